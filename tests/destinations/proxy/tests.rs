//! The proxies themselves, before a server that is as plain as can be.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::{Answer, Answers, Fault, Proxy, Schedule};

const DEADLINE: Duration = Duration::from_secs(20);

/// A server that sends everything back, and at the end tells how much it was. Its thread ends with the process.
fn echo(address: (Ipv4Addr, u16)) -> (SocketAddr, Receiver<Result<usize, io::ErrorKind>>) {
    let listener = TcpListener::bind(address).unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, received) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, sender) = (stream.unwrap(), sender.clone());
            std::thread::spawn(move || sender.send(send_back(&mut stream)));
        }
    });
    (address, received)
}

fn send_back(stream: &mut TcpStream) -> Result<usize, io::ErrorKind> {
    let mut buffer = vec![0; 64 * 1024];
    let mut total = 0;
    loop {
        match stream.read(&mut buffer).map_err(|error| error.kind())? {
            0 => return Ok(total),
            len => {
                total += len;
                stream.write_all(&buffer[..len]).map_err(|error| error.kind())?;
            }
        }
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn ping(stream: &mut TcpStream) -> io::Result<Duration> {
    let begun = Instant::now();
    stream.write_all(b"ping")?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer)?;
    assert_eq!(&answer, b"ping");
    Ok(begun.elapsed())
}

/// Sends `len` bytes and reads them back; how long that took.
fn there_and_back(stream: TcpStream, len: usize) -> Duration {
    let begun = Instant::now();
    let body: Vec<u8> = (0..len).map(|n| (n / 251 + n) as u8).collect();
    let mut back = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (&stream).write_all(&body).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        });
        (&stream).read_to_end(&mut back).unwrap();
    });
    assert!(back == body, "{} of {} bytes came back, or others", back.len(), body.len());
    begun.elapsed()
}

#[test]
fn without_a_fault_everything_goes_through() {
    let (server, received) = echo((Ipv4Addr::LOCALHOST, 0));
    let proxy = Proxy::before(server);
    there_and_back(connect(proxy.address()), 3_000_000);
    assert_eq!(received.recv_timeout(DEADLINE).unwrap(), Ok(3_000_000));
    assert_eq!((proxy.connections(), proxy.up_bytes()), (1, 3_000_000));
}

#[test]
fn latency_delays_but_does_not_throttle() {
    let (server, _received) = echo((Ipv4Addr::LOCALHOST, 0));
    let proxy = Proxy::before(server);
    proxy.set(Fault::Latency(Duration::from_millis(100)));
    let mut stream = connect(proxy.address());
    assert!(ping(&mut stream).unwrap() >= Duration::from_millis(200));
    let took = there_and_back(stream, 1_000_000);
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn bandwidth_is_as_little_as_told() {
    let (server, _received) = echo((Ipv4Addr::LOCALHOST, 0));
    let proxy = Proxy::before(server);
    proxy.set(Fault::Bandwidth(25_000));
    let took = there_and_back(connect(proxy.address()), 20_000);
    assert!(took >= Duration::from_millis(700) && took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn a_connection_is_reset_in_mid_upload() {
    let (server, received) = echo((Ipv4Addr::LOCALHOST, 0));
    let proxy = Proxy::before(server);
    let mut stream = connect(proxy.address());
    ping(&mut stream).unwrap();
    proxy.set(Fault::ResetAfter(100_000));
    let error = std::iter::repeat_with(|| stream.write_all(&[7; 10_000])).find_map(Result::err).unwrap();
    assert!(matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe), "{error}");
    received.recv_timeout(DEADLINE).unwrap().unwrap_err();
    assert_eq!(proxy.up_bytes(), 100_004);
    proxy.heal();
    ping(&mut connect(proxy.address())).unwrap();
}

#[test]
fn a_black_hole_swallows_and_gives_back() {
    let (server, _received) = echo((Ipv4Addr::LOCALHOST, 0));
    let proxy = Proxy::before(server);
    let mut before = connect(proxy.address());
    ping(&mut before).unwrap();
    proxy.set(Fault::BlackHole);
    let mut within = connect(proxy.address());
    for stream in [&mut before, &mut within] {
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let kind = ping(stream).unwrap_err().kind();
        assert!(matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "{kind}");
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
    }
    proxy.heal();
    let mut answer = [0; 4];
    before.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"ping");
    ping(&mut before).unwrap();
    assert_eq!(within.read(&mut answer).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    ping(&mut connect(proxy.address())).unwrap();
}

#[test]
fn who_resets_in_a_black_hole_has_sent_nothing() {
    let (server, received) = echo((Ipv4Addr::LOCALHOST, 0));
    let proxy = Proxy::before(server);
    let connect = || tokio::net::TcpStream::connect(proxy.address());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut stream = connect().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"before").await.unwrap();
        while proxy.up_bytes() < 6 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        proxy.set(Fault::BlackHole);
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"never to come").await.unwrap();
        stream.set_zero_linger().unwrap();
    });
    proxy.heal();
    received.recv_timeout(DEADLINE).unwrap().unwrap_err();
    assert_eq!(proxy.up_bytes(), 6);
}

#[test]
fn connections_are_refused_and_taken_again() {
    let (server, received) = echo((Ipv4Addr::LOCALHOST, 0));
    let proxy = Proxy::before(server);
    let mut stream = connect(proxy.address());
    ping(&mut stream).unwrap();
    proxy.set(Fault::Refuse);
    let refused = TcpStream::connect(proxy.address()).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    received.recv_timeout(DEADLINE).unwrap().unwrap_err();
    ping(&mut stream).unwrap_err();
    proxy.heal();
    ping(&mut connect(proxy.address())).unwrap();
}

#[test]
fn a_cut_resets_what_is_there_only() {
    let (server, received) = echo((Ipv4Addr::LOCALHOST, 0));
    let proxy = Proxy::before(server);
    let mut stream = connect(proxy.address());
    ping(&mut stream).unwrap();
    proxy.cut();
    received.recv_timeout(DEADLINE).unwrap().unwrap_err();
    ping(&mut stream).unwrap_err();
    ping(&mut connect(proxy.address())).unwrap();
}

#[test]
fn data_connections_have_the_server_s_own_ports() {
    let (control, _received) = echo((Ipv4Addr::LOCALHOST, 0));
    let (data, _received) = echo((Ipv4Addr::LOCALHOST, 0));
    let proxy = Proxy::before_ftp(control, data.port()..=data.port());
    let data = SocketAddr::new(proxy.address().ip(), data.port());
    ping(&mut connect(proxy.address())).unwrap();
    ping(&mut connect(data)).unwrap();
    proxy.set(Fault::Refuse);
    for address in [proxy.address(), data] {
        assert_eq!(TcpStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
    proxy.heal();
    ping(&mut connect(data)).unwrap();
}

#[test]
fn a_seed_gives_one_schedule_with_all_faults_in_it() {
    let schedule = |seed| Schedule::new(seed, Duration::from_millis(500)).take(100).collect::<Vec<_>>();
    assert_eq!(schedule(7), schedule(7));
    assert_ne!(schedule(7), schedule(8));
    let has = |is: fn(&Fault) -> bool| schedule(7).iter().any(|(fault, _)| is(fault));
    assert!(
        has(|fault| matches!(fault, Fault::Latency(_))) && has(|fault| matches!(fault, Fault::Bandwidth(_)))
    );
    assert!(has(|fault| matches!(fault, Fault::ResetAfter(_))) && has(|fault| *fault == Fault::BlackHole));
    assert!(has(|fault| *fault == Fault::Refuse) && schedule(7)[0].0 == Fault::None);
}

#[test]
fn what_was_suffered_is_healed() {
    let (server, _received) = echo((Ipv4Addr::LOCALHOST, 0));
    let proxy = Proxy::before(server);
    let deadline = Instant::now() + Duration::from_millis(500);
    proxy.suffer(Schedule::new(1, Duration::from_millis(30)), || Instant::now() > deadline);
    ping(&mut connect(proxy.address())).unwrap();
}

/// A web server that is as plain as can be: it answers each request with its method and the length of its body, and
/// keeps the connection.
fn web() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || serve(stream.unwrap()));
        }
    });
    address
}

fn serve(stream: TcpStream) -> Option<()> {
    use std::io::BufRead;

    let mut lines = io::BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut first = String::new();
        let mut length = 0;
        loop {
            let mut line = String::new();
            lines.read_line(&mut line).ok().filter(|len| *len > 0)?;
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
            first += &line;
        }
        io::copy(&mut (&mut lines).take(length), &mut io::sink()).ok()?;
        let text = format!("{} {length}", first.split(' ').next()?);
        write!(&stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()).ok()?;
    }
}

/// Sends one request and reads one answer, which ends with `end`.
fn request(stream: &mut TcpStream, body: &str, end: &str) -> String {
    write!(stream, "PUT /x HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    let mut byte = [0];
    while !answer.ends_with(end) && stream.read(&mut byte).unwrap() == 1 {
        answer.push(char::from(byte[0]));
    }
    answer
}

#[test]
fn requests_are_answered_as_told() {
    let proxy = Proxy::before(web());
    let answers = Answers::before(proxy.address());
    let mut stream = connect(answers.address());
    assert!(request(&mut stream, "four", "PUT 4").starts_with("HTTP/1.1 200 "));
    assert!(request(&mut stream, "fives", "PUT 5").starts_with("HTTP/1.1 200 "));
    assert_eq!(proxy.connections(), 1, "it is kept alive");
    let seen = proxy.up_bytes();

    answers.give(Answer { retry_after: Some(1), ..Answer::new(503) }, 2);
    for mut stream in [stream, connect(answers.address())] {
        let answer = request(&mut stream, "four", "no end");
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nRetry-After: 1\r\n"), "{answer}");
    }
    assert_eq!((answers.waiting(), proxy.up_bytes()), (0, seen), "the server has seen none of it");

    answers.give(Answer { is_done: true, ..Answer::new(500) }, 1);
    let answer = request(&mut connect(answers.address()), "four", "no end");
    assert!(answer.starts_with("HTTP/1.1 500 ") && !answer.contains("PUT"), "{answer}");
    assert!(proxy.up_bytes() > seen, "the server has done it");
    assert!(request(&mut connect(answers.address()), "four", "PUT 4").ends_with("PUT 4"));
}
