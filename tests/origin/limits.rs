//! What clients can cost: floods, idlers, slow readers.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use segcast::origin::{Error, Limits, Options, Origin};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::channel::{Channel, Server, body, limited, options};
use super::client::{DEADLINE, get, raw};

/// Short enough for tests, long enough for a busy machine.
const SHORT: Duration = Duration::from_millis(600);

/// Whether the server closes `stream`, and after how long.
async fn closed(stream: &mut TcpStream) -> Duration {
    let began = Instant::now();
    let mut rest = Vec::new();
    // A reset is an end too.
    let _ = timeout(DEADLINE, stream.read_to_end(&mut rest)).await.expect("an end");
    began.elapsed()
}

#[tokio::test]
async fn header_floods_are_refused() {
    let (_channel, server) = Channel::serve(options(), &["hd"], false);
    let many: String = (0..200).map(|n| format!("X-{n}: y\r\n")).collect();
    let large = format!("X: {}\r\n", "y".repeat(100 << 10));
    let line = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100 << 10));
    for request in [
        format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{many}\r\n"),
        format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{large}\r\n"),
        line,
    ] {
        let answer = raw(server.address, request.as_bytes()).await;
        let status = answer.get(9..12).map(|status| String::from_utf8_lossy(status).into_owned());
        // Whoever is still sending may see the connection reset before the answer.
        assert!(matches!(status.as_deref(), None | Some("431" | "414")), "{status:?}");
    }
    assert_eq!(get(server.address, "/healthz").await.status, 200);
}

#[tokio::test]
async fn a_header_that_never_ends_is_given_up() {
    let limits = Limits { header: SHORT, ..Limits::default() };
    let (_channel, server) = Channel::serve(limited(limits), &["hd"], false);
    for start in ["", "G", "GET /healthz HTTP/1.1\r\nHost: x\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(start.as_bytes()).await.unwrap();
        let took = closed(&mut stream).await;
        assert!(took >= SHORT / 2 && took < 5 * SHORT, "{start:?}: {took:?}");
    }
    // Whoever sends a byte now and then is no better.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let began = Instant::now();
    while stream.write_all(b"G").await.is_ok() {
        assert!(began.elapsed() < DEADLINE);
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_held_request_is_none() {
    let limits = Limits { idle: SHORT, header: SHORT, stall: SHORT, ..Limits::default() };
    let (mut channel, server) = Channel::serve(limited(limits), &["hd"], false);
    channel.segment(0, body(10));
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut held = TcpStream::connect(server.address).await.unwrap();
    held.write_all(b"GET /hd/index.m3u8?_HLS_msn=2 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(closed(&mut idle).await < 5 * SHORT);
    sleep(2 * SHORT).await;
    channel.segment(0, body(10));
    let mut answer = [0; 12];
    timeout(DEADLINE, held.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[tokio::test]
async fn a_slow_reader_costs_itself_alone() {
    let limits = Limits { stall: SHORT, ..Limits::default() };
    let (mut channel, server) = Channel::serve(limited(limits), &["hd"], false);
    channel.segment(0, body(32 << 20));
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut slow = socket.connect(server.address).await.unwrap();
    slow.write_all(b"GET /hd/00001.ts HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    // Others are served, and the channel goes on, meanwhile.
    let began = Instant::now();
    for n in 2..20 {
        channel.segment(0, body(1000));
        assert_eq!(get(server.address, &format!("/hd/{n:05}.ts")).await.status, 200);
    }
    assert!(began.elapsed() < Duration::from_secs(5));
    let deadline = Instant::now() + DEADLINE;
    while !get(server.address, "/metrics").await.text().contains("segcast_origin_connections_spent_total 1") {
        assert!(Instant::now() < deadline, "it was not given up");
        sleep(Duration::from_millis(50)).await;
    }
    let mut rest = Vec::new();
    let _ = timeout(DEADLINE, slow.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.len() < 32 << 20, "not all of it came");
}

#[tokio::test]
async fn one_too_many_is_closed_at_once_and_room_is_made_again() {
    let limits = Limits { connections: 3, ..Limits::default() };
    let (_channel, server) = Channel::serve(limited(limits), &["hd"], false);
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = [0; 12];
        timeout(DEADLINE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
        open.push(stream);
    }
    let mut fourth = TcpStream::connect(server.address).await.unwrap();
    assert!(closed(&mut fourth).await < Duration::from_secs(5));
    open.clear();
    let deadline = Instant::now() + DEADLINE;
    while raw(server.address, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .is_empty()
    {
        assert!(Instant::now() < deadline, "no room was made");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn no_more_requests_are_held_than_may_be() {
    let limits = Limits { held: 1, ..Limits::default() };
    let (mut channel, server) = Channel::serve(limited(limits), &["hd"], false);
    channel.segment(0, body(10));
    let address = server.address;
    let first = tokio::spawn(async move { get(address, "/hd/index.m3u8?_HLS_msn=2").await });
    while !get(address, "/metrics").await.text().contains("segcast_origin_held_requests 1") {
        sleep(Duration::from_millis(5)).await;
    }
    let second = get(address, "/hd/index.m3u8?_HLS_msn=2").await;
    assert_eq!((second.status, second.header("retry-after")), (503, "1"));
    channel.segment(0, body(10));
    assert_eq!(first.await.unwrap().status, 200);
}

/// Only one crowd at a time.
static CROWD: Mutex<()> = Mutex::const_new(());

/// Connections beside each other, at both ends in this process: as many as it may have, up to 9,000.
fn crowd() -> usize {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, limit);
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    (most.saturating_sub(1500) / 2).min(9000) as usize
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_idle_connections_are_nothing_to_the_channel() {
    let _alone = CROWD.lock().await;
    let (mut channel, server) = Channel::serve(options(), &["hd"], false);
    let mut idle = Vec::new();
    for _ in 0..crowd() {
        idle.push(TcpStream::connect(server.address).await.unwrap());
    }
    let mut longest = Duration::ZERO;
    for n in 1..20 {
        let began = Instant::now();
        channel.segment(0, body(1000));
        longest = longest.max(began.elapsed());
        assert_eq!(get(server.address, &format!("/hd/{n:05}.ts")).await.status, 200);
    }
    println!("{} idle connections, a segment was shown within {longest:?}", idle.len());
    assert!(longest < Duration::from_millis(100), "{longest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_held_requests_are_answered_when_their_part_comes() {
    let _alone = CROWD.lock().await;
    let (mut channel, server) = Channel::serve(options(), &["hd"], true);
    (0..3).for_each(|_| drop(channel.segment(0, body(10))));
    channel.open(0);
    let mut waiting = Vec::new();
    for _ in 0..crowd() {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream
            .write_all(b"GET /hd/index.m3u8?_HLS_msn=4&_HLS_part=0 HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        waiting.push(stream);
    }
    let line = format!("segcast_origin_held_requests {}", waiting.len());
    let deadline = Instant::now() + DEADLINE;
    while !get(server.address, "/metrics").await.text().contains(&line) {
        assert!(Instant::now() < deadline, "never {line}");
        sleep(Duration::from_millis(5)).await;
    }
    let began = Instant::now();
    channel.part(0);
    let shown = began.elapsed();
    for stream in &mut waiting {
        let mut answer = [0; 12];
        timeout(DEADLINE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
    println!("{} requests: shown in {shown:?}, all answered in {:?}", waiting.len(), began.elapsed());
    assert!(shown < Duration::from_millis(100), "{shown:?}");
}

#[tokio::test]
async fn whoever_leaves_is_not_waited_for() {
    let (mut channel, server) = Channel::serve(options(), &["hd"], false);
    channel.segment(0, body(10));
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /hd/index.m3u8?_HLS_msn=2 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    says(&server, "segcast_origin_held_requests 1").await;
    drop(stream);
    says(&server, "segcast_origin_held_requests 0").await;
}

/// Waits until the metrics say so, for less long than a request is held.
async fn says(server: &Server, line: &str) {
    let deadline = Instant::now() + Duration::from_secs(2);
    while !get(server.address, "/metrics").await.text().contains(line) {
        assert!(Instant::now() < deadline, "never {line}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_port_in_use_is_told_at_once() {
    let (_channel, server) = Channel::serve(options(), &["hd"], false);
    let error = Origin::bind(Options { listen: server.address, ..options() }).unwrap_err();
    assert!(matches!(error, Error::Listen { .. }));
    let text = error.to_string();
    assert!(text.contains(&server.address.to_string()) && text.contains("another program has it"), "{text}");
}

#[tokio::test]
async fn the_end_waits_for_those_who_are_served() {
    let (mut channel, mut server) = Channel::serve(options(), &["hd"], false);
    channel.segment(0, body(10));
    let address = server.address;
    let held = tokio::spawn(async move { get(address, "/hd/index.m3u8?_HLS_msn=2").await });
    while !get(address, "/metrics").await.text().contains("segcast_origin_held_requests 1") {
        sleep(Duration::from_millis(5)).await;
    }
    drop(server.end.take());
    sleep(Duration::from_millis(50)).await;
    assert!(TcpStream::connect(address).await.is_err(), "nobody else is let in");
    channel.segment(0, body(10));
    assert_eq!(held.await.unwrap().status, 200);
    timeout(Duration::from_secs(2), server.task).await.expect("an end").unwrap();
}

#[tokio::test]
async fn readers_are_served_on_other_threads_than_the_channels() {
    let (mut channel, server) = Channel::serve(options(), &["hd"], false);
    channel.segment(0, body(10));
    tokio::task::yield_now().await;
    // From here on the channel's only thread gives way to nobody.
    let mut stream = std::net::TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(b"GET /hd/index.m3u8 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("00001.ts"), "{answer}");
}
