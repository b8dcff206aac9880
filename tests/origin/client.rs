//! A client that sends exactly what it is told, and reads the whole answer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// No answer takes longer than this.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u16,
    /// By names in small letters.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// Reads an answer from its bytes.
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a header with an end");
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| line.split_once(':').unwrap());
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect();
        Self { status, headers, body: bytes[end + 4..].to_vec() }
    }
}

/// Sends `request` as it is, and reads until the server closes the connection.
pub async fn raw(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // A server that has seen enough may close before it has read everything.
        let _ = stream.write_all(request).await;
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        bytes
    };
    timeout(DEADLINE, exchange).await.expect("an answer in time")
}

/// A request with these headers, each with its line's end.
pub async fn ask(address: SocketAddr, method: &str, path: &str, headers: &str) -> Answer {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\r\n");
    let answer = Answer::parse(&raw(address, request.as_bytes()).await);
    if answer.status != 304 && answer.status != 204 {
        let told: usize = answer.header("content-length").parse().expect("a length");
        assert_eq!(answer.body.len(), if method == "HEAD" { 0 } else { told }, "{path}");
    }
    answer
}

pub async fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, "GET", path, "").await
}

/// Runs curl, whose answer's header is printed first.
pub async fn curl(arguments: &[&str]) -> Answer {
    Answer::parse(&output(&[&["-i"], arguments].concat()).await)
}

/// What curl is told to write.
pub async fn written(arguments: &[&str]) -> String {
    String::from_utf8(output(arguments).await).unwrap()
}

async fn output(arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new("curl");
    command.args(["-s", "--max-time", "30"]).args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", output.status);
    output.stdout
}
