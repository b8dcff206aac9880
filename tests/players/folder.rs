//! A small web server of the tests' own: a folder as it is, for pages of any other host.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

/// Longer than this no request takes to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves a folder until the test's process ends.
pub struct Folder {
    address: SocketAddr,
}

impl Folder {
    pub fn serve(path: &Path) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let path = path.to_owned();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let path = path.clone();
                thread::spawn(move || answer(stream, &path));
            }
        });
        Self { address }
    }

    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }
}

/// One request a connection. A client that goes away is none of our business.
fn answer(mut stream: TcpStream, folder: &Path) -> Option<()> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let request = lines.next()?.ok()?;
    // The headers say nothing that we heed.
    lines.take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty())).count();
    let name = request.split(' ').nth(1)?.split('?').next()?.trim_start_matches('/').to_owned();
    let path = folder.join(name);
    let (status, body) = match fs::read(&path) {
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {}\r\ncontent-length: {}\r\naccess-control-allow-origin: *\r\n\
         cache-control: no-store\r\nconnection: close\r\n\r\n",
        media_type(&path),
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(&body).ok()
}

fn media_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("m3u8") => "application/vnd.apple.mpegurl",
        Some("ts") => "video/mp2t",
        Some("mp4" | "m4s") => "video/mp4",
        Some("js") => "text/javascript",
        Some("html") => "text/html; charset=utf-8",
        _ => "application/octet-stream",
    }
}
