//! `segcast serve`, and a channel with an origin, from the command line.

use std::fs;
use std::io::BufReader;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::channel::{SEGMENT, body};
use super::client::{ask, curl, get};

/// A channel of a test picture in segments of [`SEGMENT`].
const NEWS: &str = "input = { url = 'test', args = ['-re'] }
output.segment = '1s'
[[rendition]]
name = 'a'
video = { codec = 'h264', size = '160x90', preset = 'ultrafast', fps = 25 }
";
/// How often something is looked at.
const POLL: Duration = Duration::from_millis(50);

/// A running segcast; it is killed when it is dropped.
struct Running {
    child: Child,
    address: SocketAddr,
}

impl Running {
    /// Starts it, and reads from `stream` where it listens.
    fn start(arguments: &[&str], says_on_stdout: bool) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_segcast"));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let address = if says_on_stdout {
            address_in(BufReader::new(child.stdout.take().unwrap()))
        } else {
            address_in(BufReader::new(child.stderr.take().unwrap()))
        };
        Self { child, address }
    }

    /// Asks it to end, and waits for that.
    fn end(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The channel of [`NEWS`], run with `more` arguments, and the folder that its file lies in.
fn news(more: &[&str]) -> (TempDir, Running) {
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("news.toml");
    fs::write(&config, NEWS).unwrap();
    let running = Running::start(&[&["run", text(&config), "--listen", "0"], more].concat(), false);
    (folder, running)
}

fn address_in(lines: impl std::io::BufRead + Send + 'static) -> SocketAddr {
    let mut lines = lines.lines().map_while(Result::ok);
    let said = lines.find_map(|line| {
        let rest = line.split("http://").nth(1)?;
        rest.split('/').next()?.parse().ok()
    });
    // What it says later has to go somewhere.
    std::thread::spawn(move || lines.for_each(drop));
    said.expect("an address")
}

fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("live/hd")).unwrap();
    fs::write(at("live/index.m3u8"), "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhd/index.m3u8\n").unwrap();
    fs::write(at("live/hd/index.m3u8"), format!("#EXTM3U\n{}", "#EXTINF:4,\n1.ts\n".repeat(50))).unwrap();
    fs::write(at("live/hd/1.ts"), body(1_000_000)).unwrap();
    fs::write(at("live/hd/init.mp4"), body(700)).unwrap();
    fs::write(at("live/hd/.1.ts.0123456789abcdef"), "unfinished").unwrap();
    fs::write(at("live/.index.m3u8.segcast-lock"), "").unwrap();
    fs::write(at("secret.txt"), "secret").unwrap();
    symlink(at("secret.txt"), at("live/link.txt")).unwrap();
    symlink(folder.path(), at("live/up")).unwrap();
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_served_like_a_channel() {
    let folder = folder();
    let live = folder.path().join("live");
    let running = Running::start(&["serve", text(&live), "--listen", "0"], true);
    let address = running.address;
    assert!(address.ip().is_loopback());
    for (path, kind) in [
        ("/index.m3u8", "application/vnd.apple.mpegurl"),
        ("/hd/1.ts", "video/mp2t"),
        ("/hd/init.mp4", "video/mp4"),
        ("/", "text/html; charset=utf-8"),
        ("/status", "application/json"),
    ] {
        let answer = get(address, path).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, kind), "{path}");
    }
    assert_eq!(get(address, "/hd/1.ts").await.body, body(1_000_000));
    let part = ask(address, "GET", "/hd/1.ts", "Range: bytes=600000-600009\r\n").await;
    assert_eq!((part.status, &part.body[..]), (206, &body(1_000_000)[600_000..600_010]));
    assert_eq!(ask(address, "GET", "/hd/1.ts", "Range: bytes=1000000-\r\n").await.status, 416);
    let tag = get(address, "/hd/1.ts").await.header("etag").to_owned();
    assert_eq!(ask(address, "GET", "/hd/1.ts", &format!("If-None-Match: {tag}\r\n")).await.status, 304);
    let packed = ask(address, "GET", "/hd/index.m3u8", "Accept-Encoding: gzip\r\n").await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    let url = format!("http://{address}/hd/1.ts");
    assert_eq!(curl(&["--http2-prior-knowledge", &url]).await.body.len(), 1_000_000);
    let head = curl(&["-I", &url]).await;
    assert_eq!(head.header("content-length"), "1000000");
    // What changes is seen.
    fs::write(live.join("index.m3u8"), "#EXTM3U\n#\n").unwrap();
    assert_eq!(get(address, "/index.m3u8").await.text(), "#EXTM3U\n#\n");
    assert_eq!(get(address, "/readyz").await.status, 200);
    fs::remove_file(live.join("index.m3u8")).unwrap();
    assert_eq!(get(address, "/readyz").await.status, 503);
    assert_eq!(running.end(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_hidden_and_nothing_outside_of_the_folder_is_served() {
    let folder = folder();
    let running = Running::start(&["serve", text(&folder.path().join("live")), "--listen", "0"], true);
    for path in [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/link.txt",
        "/up/secret.txt",
        "/hd/.1.ts.0123456789abcdef",
        "/.index.m3u8.segcast-lock",
        "/hd",
        "/hd/",
        "//etc/passwd",
        "/etc/passwd",
        "/hd/1.ts/x",
        "/none",
    ] {
        let answer = get(running.address, path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(!answer.text().contains("secret") && !answer.text().contains("unfinished"));
    }
}

#[test]
fn what_cannot_be_served_is_told() {
    let folder = folder();
    let live = folder.path().join("live");
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port().to_string();
    for (arguments, code, told) in [
        (vec!["serve", "/none"], 1, "cannot serve /none"),
        (vec!["serve", text(&live), "--listen", &port], 1, "another program has it"),
        (vec!["serve", text(&live), "--listen", "nowhere"], 2, "expected an address and a port"),
        (vec!["serve", text(&live), "--certificate", "x.pem"], 2, "--key"),
        (
            vec!["serve", text(&live), "--listen", "0", "--certificate", "/none.pem", "--key", "/none.key"],
            1,
            "cannot use the certificate in /none.pem",
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_segcast")).args(&arguments).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{error}");
        assert!(error.contains(told), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_watched_while_it_runs_and_its_end_is_seen() {
    let (_folder, running) = news(&[]);
    let entry = get(running.address, "/index.m3u8").await;
    assert_eq!(entry.status, 200);
    let media = get(running.address, "/a/index.m3u8").await.text();
    let first = segcast::playlist::Media::parse(&media).unwrap();
    let sane = Duration::from_secs(first.media_sequence);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!(now.abs_diff(sane) < Duration::from_secs(60), "numbers begin with the time: {media}");
    let segment = get(running.address, &format!("/a/{}", first.segments[0].uri)).await;
    assert_eq!((segment.status, segment.body.first()), (200, Some(&0x47)));
    let next = first.media_sequence + first.segments.len() as u64;
    let held = get(running.address, &format!("/a/index.m3u8?_HLS_msn={next}")).await;
    assert_eq!(held.status, 200);
    let status: serde_json::Value =
        serde_json::from_slice(&get(running.address, "/status").await.body).unwrap();
    assert_eq!(status.pointer("/renditions/0/state").unwrap(), "running");
    assert_eq!(status.pointer("/name").unwrap(), "news");
    let address = running.address;
    let last = tokio::spawn(async move {
        // Whoever waits when it ends is told, and has time to come for the last segment.
        for ahead in next + 1.. {
            let text = get(address, &format!("/a/index.m3u8?_HLS_msn={ahead}")).await.text();
            if text.contains("#EXT-X-ENDLIST") {
                let media = segcast::playlist::Media::parse(&text).unwrap();
                tokio::time::sleep(SEGMENT).await;
                return get(address, &format!("/a/{}", media.segments.last().unwrap().uri)).await;
            }
        }
        unreachable!();
    });
    assert_eq!(tokio::task::spawn_blocking(|| running.end()).await.unwrap(), Some(0));
    let last = last.await.unwrap();
    assert_eq!((last.status, last.body.first()), (200, Some(&0x47)));
}

#[tokio::test(flavor = "multi_thread")]
async fn fragments_tell_when_they_were_made_if_that_is_asked_for() {
    /// Seconds from 1900, where NTP begins, to 1970.
    const EPOCH: u64 = 2_208_988_800;
    let (_folder, running) = news(&["--set", "output.format=cmaf", "--set", "output.prft=true"]);
    let media = get(running.address, "/a/index.m3u8").await.text();
    let media = segcast::playlist::Media::parse(&media).unwrap();
    let segment = get(running.address, &format!("/a/{}", media.segments[0].uri)).await.body;
    // Size, type, version and flags, track, time (ISO/IEC 14496-12 §8.16.5); then the fragment that it tells of.
    let word = |at: usize| u32::from_be_bytes(segment[at..at + 4].try_into().unwrap());
    let next = word(0) as usize;
    assert_eq!((&segment[4..8], &segment[next + 4..next + 8]), (&b"prft"[..], &b"moof"[..]));
    let made = u64::from(word(16));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + EPOCH;
    assert!((now - 60..=now).contains(&made), "{made} at {now}");
    assert_eq!(tokio::task::spawn_blocking(|| running.end()).await.unwrap(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_sends_those_away_who_still_watch() {
    let (_folder, running) = news(&[]);
    let (address, process) = (running.address, Pid::from_child(&running.child));
    let entry = get(address, "/a/index.m3u8").await;
    assert_eq!(entry.status, 200);
    let ending = tokio::task::spawn_blocking(|| running.end());
    while !get(address, "/a/index.m3u8").await.text().contains("#EXT-X-ENDLIST") {
        tokio::time::sleep(POLL).await;
    }
    // Whoever asks without an end would be served for half a minute.
    let watching = tokio::spawn(async move {
        loop {
            tokio::time::sleep(POLL).await;
            get(address, "/a/index.m3u8").await;
        }
    });
    tokio::time::sleep(3 * SEGMENT).await;
    assert!(!watching.is_finished(), "it is there for who asks");
    kill_process(process, Signal::INT).unwrap();
    assert_eq!(ending.await.unwrap(), Some(0));
    watching.abort();
}
