//! The origin under load; `benches/origin.sh` runs it beside nginx.
//!
//! - `memory FOLDER ADDRESS`: serves the segments `*.ts` of a folder from memory, as a channel does, until its standard
//!   input ends.
//! - `held COUNT`: how soon so many held requests are answered when their part comes, and what each takes in memory. It
//!   starts itself a second time as the server.
//! - `multiplexed COUNT`: the same over HTTP/2, as many on a connection as the origin takes.
//! - `answered COUNT`: how many of so many held requests have their answer 50 ms after the part came, where those who
//!   asked are elsewhere: nobody reads meanwhile.
//! - `fetched COUNT`: how soon a part is fetched by one who waits for the playlist that names it, so many times.
#![allow(clippy::unwrap_used)]

use std::error::Error;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use segcast::live::{self, Presentation};
use segcast::origin::{Limits, Options, Origin, Stage};
use segcast::segment::{Extent, Head, Part};
use segcast::time::Ticks;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

#[path = "origin/http2.rs"]
mod http2;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const SECOND: Duration = Duration::from_secs(1);
/// A third of a second at 3 Mbit/s.
const PART_BYTES: usize = 125_000;
/// How soon all are to have their answer.
const AIM: Duration = Duration::from_millis(50);
/// Rounds of held requests.
const ROUNDS: usize = 5;

#[tokio::main]
async fn main() -> Outcome {
    raise_open_files();
    let arguments: Vec<String> = std::env::args().skip(1).filter(|one| one != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["memory", folder, address] => memory(folder.as_ref(), address).await,
        ["server"] => server().await,
        ["held", count] => held(count.parse()?).await,
        ["multiplexed", count] => multiplexed(count.parse()?).await,
        ["answered", count] => answered(count.parse()?).await,
        ["fetched", count] => fetched(count.parse()?).await,
        [] => held(10_000).await,
        _ => Err("expected: memory FOLDER ADDRESS, held COUNT, multiplexed COUNT, answered COUNT, or fetched COUNT".into()),
    }
}

fn raise_open_files() {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, limit);
}

/// A channel with one rendition, whose segments last a second.
struct Channel {
    stage: Stage,
    presentation: Presentation,
    closed: i64,
}

impl Channel {
    fn serve(listen: &str, has_parts: bool) -> Outcome<(Self, String)> {
        let options = live::Options {
            kind: live::Kind::Event,
            // A request waits for three of these.
            target: 10 * SECOND,
            multivariants: vec![],
            url_prefix: String::new(),
            has_date_time: true,
            has_parts,
            renditions: vec![live::Rendition { playlist: "index.m3u8".to_owned(), ..Default::default() }],
        };
        let limits = Limits { connections: 1 << 20, held: 1 << 20, ..Limits::default() };
        let mut origin = Origin::bind(Options { listen: listen.parse()?, limits, ..Options::default() })?;
        let stage = origin.stage("bench", &options);
        let address = origin.address().to_string();
        tokio::spawn(origin.run(std::future::pending()));
        Ok((Self { stage, presentation: Presentation::new(options), closed: 0 }, address))
    }

    fn start(&self) -> Ticks {
        Ticks::new(self.closed * 90_000)
    }

    fn open(&mut self) {
        let start = self.start();
        let head = Head { start, decode_start: start, is_discontinuity: false, is_independent: true };
        self.presentation.open(0, &head, SystemTime::UNIX_EPOCH);
    }

    fn part(&mut self) {
        let start = self.start();
        let part = Part {
            index: 0,
            decode_start: start,
            decode_end: start + Ticks::new(90_000),
            duration: SECOND,
            is_independent: true,
            longest: SECOND,
        };
        let number = self.presentation.next_number(0);
        let key = self.presentation.options().renditions[0].part_key(number, 0);
        self.stage.put_part(&key, Bytes::from(vec![7; PART_BYTES]).into());
        self.presentation.part(0, &part);
        self.show();
    }

    fn close(&mut self, body: Bytes) {
        let start = self.start();
        let head = Head { start, decode_start: start, is_discontinuity: false, is_independent: true };
        let number = self.presentation.next_number(0);
        let key = self.presentation.options().renditions[0].segment_key(number);
        let size_bytes = body.len() as u64;
        self.stage.put(&key, body.into());
        let decode_end = start + Ticks::from(SECOND);
        let extent = Extent { head, duration: SECOND, size_bytes, longest: 10 * SECOND, decode_end };
        self.presentation.close(0, &extent);
        self.closed += 1;
        self.show();
    }

    fn show(&mut self) {
        self.stage.show(&self.presentation.snapshot(), Duration::ZERO);
    }
}

async fn memory(folder: &Path, address: &str) -> Outcome {
    let (mut channel, address) = Channel::serve(address, false)?;
    let mut paths: Vec<_> = std::fs::read_dir(folder)?.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "ts"));
    paths.sort();
    for path in paths {
        channel.open();
        channel.close(std::fs::read(path)?.into());
    }
    println!("{address}");
    tokio::task::spawn_blocking(|| std::io::stdin().lines().for_each(drop)).await?;
    Ok(())
}

/// Shows a part, or ends a segment, for each line that it reads.
async fn server() -> Outcome {
    let (mut channel, address) = Channel::serve("127.0.0.1:0", true)?;
    channel.open();
    channel.part();
    channel.close(Bytes::from_static(b"segment"));
    channel.open();
    println!("{address}");
    let (lines, mut read) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        std::io::stdin().lines().map_while(Result::ok).try_for_each(|line| lines.send(line))
    });
    while let Some(line) = read.recv().await {
        let began = Instant::now();
        match line.as_str() {
            "part" => channel.part(),
            _ => {
                channel.close(Bytes::from_static(b"segment"));
                channel.open();
            }
        }
        println!("{}", began.elapsed().as_micros());
    }
    Ok(())
}

/// A server in a process of its own.
struct Server {
    child: Child,
    commands: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
    address: String,
}

impl Server {
    fn start() -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("server")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let commands = child.stdin.take().ok_or("no standard input")?;
        let mut said = BufReader::new(child.stdout.take().ok_or("no standard output")?).lines();
        let address = said.next().ok_or("no address")??;
        Ok(Self { child, commands, said, address })
    }

    /// Tells it what to do; how long that took.
    fn tell(&mut self, command: &str) -> Outcome<Duration> {
        writeln!(self.commands, "{command}")?;
        Ok(Duration::from_micros(self.said.next().ok_or("no answer")??.parse()?))
    }

    fn end(mut self) -> Outcome {
        drop(self.commands);
        self.child.wait()?;
        Ok(())
    }
}

async fn answered(count: usize) -> Outcome {
    let mut server = Server::start()?;
    let mut streams = Vec::new();
    for _ in 0..count {
        streams.push(std::net::TcpStream::connect(&server.address)?);
    }
    for round in 0..ROUNDS {
        let request =
            format!("GET /index.m3u8?_HLS_msn={}&_HLS_part=0 HTTP/1.1\r\nHost: x\r\n\r\n", round + 2);
        for stream in &mut streams {
            stream.set_nonblocking(false)?;
            stream.write_all(request.as_bytes())?;
            stream.set_nonblocking(true)?;
        }
        until_held(&server.address, count).await?;
        let start = Instant::now();
        server.tell("part")?;
        std::thread::sleep(AIM.saturating_sub(start.elapsed()));
        let looked = Instant::now();
        let there = streams.iter().filter(|stream| stream.peek(&mut [0]).is_ok()).count();
        println!(
            "{there} of {count} held requests have their answer in their socket {:.1} to {:.1} ms after the part",
            millis(looked - start),
            millis(start.elapsed()),
        );
        let mut rest = vec![0; 16 << 10];
        for stream in &mut streams {
            stream.set_nonblocking(false)?;
            let size = std::io::Read::read(stream, &mut rest)?;
            assert!(rest[..size].starts_with(b"HTTP/1.1 200"));
        }
        server.tell("segment")?;
    }
    drop(streams);
    server.end()
}

async fn fetched(count: usize) -> Outcome {
    let mut server = Server::start()?;
    let mut stream = TcpStream::connect(&server.address).await?;
    stream.set_nodelay(true)?;
    let mut came = Vec::new();
    for msn in 2..count + 2 {
        let request = format!("GET /index.m3u8?_HLS_msn={msn}&_HLS_part=0 HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        until_held(&server.address, 1).await?;
        let start = Instant::now();
        server.tell("part")?;
        let playlist = answer(&mut stream).await?;
        let name = format!("{msn:05}.0.ts");
        assert!(String::from_utf8_lossy(&playlist).contains(&name), "the part is named");
        let request = format!("GET /{name} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let part = answer(&mut stream).await?;
        came.push(start.elapsed());
        assert_eq!(part.len(), PART_BYTES);
        server.tell("segment")?;
    }
    came.sort_unstable();
    println!(
        "{count} parts of {PART_BYTES} bytes, shown → playlist → fetched: {:.2} ms (median), {:.2} ms (95 of 100), \
         {:.2} ms (last)",
        millis(came[count / 2]),
        millis(came[count * 95 / 100]),
        millis(came[count - 1]),
    );
    server.end()
}

/// The body of the next answer.
async fn answer(stream: &mut TcpStream) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::with_capacity(256 << 10);
    loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = std::str::from_utf8(&bytes[..at])?.to_lowercase();
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            let length: usize = length.ok_or("no length")?.parse()?;
            let mut body = bytes.split_off(at + 4);
            let rest = length - body.len();
            let read = stream.take(rest as u64).read_to_end(&mut body).await?;
            assert_eq!(read, rest);
            return Ok(body);
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err("no answer".into());
        }
    }
}

async fn held(count: usize) -> Outcome {
    let mut server = Server::start()?;
    let address = server.address.clone();
    let before = resident_bytes(server.child.id())?;
    let mut streams = Vec::new();
    for _ in 0..count {
        streams.push(TcpStream::connect(&address).await?);
    }
    // Segment 1 is whole, and after each round one more.
    for round in 0..ROUNDS {
        let msn = round + 2;
        let request = format!("GET /index.m3u8?_HLS_msn={msn}&_HLS_part=0 HTTP/1.1\r\nHost: x\r\n\r\n");
        for stream in &mut streams {
            stream.write_all(request.as_bytes()).await?;
        }
        until_held(&address, count).await?;
        let each = (resident_bytes(server.child.id())? - before) / count as u64;
        let mut reading = JoinSet::new();
        for mut stream in streams.drain(..) {
            reading.spawn(async move {
                let mut answer = vec![0; 4096];
                let size = stream.read(&mut answer).await.unwrap();
                assert!(
                    answer[..size].starts_with(b"HTTP/1.1 200"),
                    "{}",
                    String::from_utf8_lossy(&answer[..size])
                );
                (Instant::now(), stream)
            });
        }
        // Every reader waits by then.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let start = Instant::now();
        let shown = server.tell("part")?;
        let mut came = Vec::new();
        for (at, stream) in reading.join_all().await {
            came.push(at - start);
            streams.push(stream);
        }
        server.tell("segment")?;
        tell_held("held requests", each, shown, came);
    }
    server.end()
}

async fn multiplexed(count: usize) -> Outcome {
    let mut server = Server::start()?;
    let address = server.address.clone();
    let before = resident_bytes(server.child.id())?;
    let each_holds = (Limits::default().streams as usize).min(count).max(1);
    let mut connections = Vec::new();
    for _ in 0..count / each_holds {
        connections.push(http2::Connection::open(&address).await?);
    }
    let count = connections.len() * each_holds;
    for round in 0..ROUNDS {
        let path = format!("/index.m3u8?_HLS_msn={}&_HLS_part=0", round + 2);
        for connection in &mut connections {
            connection.ask(&path, each_holds).await?;
        }
        until_held(&address, count).await?;
        let each = (resident_bytes(server.child.id())? - before) / count as u64;
        let mut reading = JoinSet::new();
        for mut connection in connections.drain(..) {
            reading.spawn(async move {
                let came = connection.answers(each_holds).await.unwrap();
                (came, connection)
            });
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let start = Instant::now();
        let shown = server.tell("part")?;
        let mut came = Vec::new();
        for (at, connection) in reading.join_all().await {
            came.extend(at.into_iter().map(|at| at - start));
            connections.push(connection);
        }
        server.tell("segment")?;
        tell_held("held requests over HTTP/2", each, shown, came);
    }
    server.end()
}

fn tell_held(what: &str, each_bytes: u64, shown: Duration, mut came: Vec<Duration>) {
    came.sort_unstable();
    let count = came.len();
    println!(
        "{count} {what}: {each_bytes} bytes each; the part was shown in {:.1} ms; answered after {:.1} ms (first), \
         {:.1} ms (median), {:.1} ms (last)",
        millis(shown),
        millis(came[0]),
        millis(came[count / 2]),
        millis(came[count - 1]),
    );
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

async fn until_held(address: &str, count: usize) -> Outcome {
    let line = format!("segcast_origin_held_requests {count}\n");
    loop {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        if text.contains(&line) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn resident_bytes(pid: u32) -> Outcome<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
