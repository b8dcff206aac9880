//! A proxy before a web server that answers some requests itself.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{Thread, bind};

/// An answer instead of the server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status, such as 503.
    pub status: u16,
    /// Retry-After, in seconds.
    pub retry_after: Option<u32>,
    /// Whether the request has reached the server, and only its answer is another: it was done all the same.
    pub is_done: bool,
}

impl Answer {
    /// `status`, and the server never sees the request.
    pub const fn new(status: u16) -> Self {
        Self { status, retry_after: None, is_done: false }
    }

    fn text(self) -> String {
        let Self { status, retry_after, .. } = self;
        let retry_after = retry_after.map(|wait| format!("Retry-After: {wait}\r\n")).unwrap_or_default();
        format!("HTTP/1.1 {status} Told So\r\n{retry_after}Content-Length: 0\r\nConnection: close\r\n\r\n")
    }
}

/// A proxy before a web server. It forwards requests, but for those that it was told to answer itself; each of those is
/// read to its end first, and its connection closed after it. HTTP/1.1 without TLS; bodies with Content-Length.
#[derive(Debug)]
pub struct Answers {
    address: SocketAddr,
    next: Arc<Mutex<VecDeque<Answer>>>,
    _thread: Thread,
}

impl Answers {
    /// A proxy before `server`, on a free port.
    pub fn before(server: SocketAddr) -> Self {
        let listener = bind(Ipv4Addr::LOCALHOST, 0);
        let address = listener.local_addr().unwrap();
        let next = Arc::<Mutex<VecDeque<_>>>::default();
        let answers = next.clone();
        let thread = Thread::run(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            tokio::spawn(async move {
                while let Ok((client, _)) = listener.accept().await {
                    tokio::spawn(serve(client, server, answers.clone()));
                }
            });
        });
        Self { address, next, _thread: thread }
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives `answer` to the next `times` requests, after those that wait already.
    pub fn give(&self, answer: Answer, times: usize) {
        self.next.lock().unwrap().extend(std::iter::repeat_n(answer, times));
    }

    /// Answers that were not given yet.
    pub fn waiting(&self) -> usize {
        self.next.lock().unwrap().len()
    }
}

/// Serves a connection. Requests are not pipelined: each follows the answer to the one before.
async fn serve(
    client: TcpStream,
    server: SocketAddr,
    answers: Arc<Mutex<VecDeque<Answer>>>,
) -> io::Result<()> {
    let (from_server, mut to_server) = TcpStream::connect(server).await?.into_split();
    let (from_client, to_client) = client.into_split();
    let mut requests = BufReader::new(from_client);
    let (replying, replies) = watch::channel(Replies::Forwarded);
    let replies = tokio::spawn(reply(from_server, to_client, replies));
    while let Some(head) = head(&mut requests).await? {
        let mut body = (&mut requests).take(content_length(&head));
        let answer = answers.lock().unwrap().pop_front();
        if answer.is_none_or(|answer| answer.is_done) {
            let _ = answer.is_some() && replying.send(Replies::LostOnce).is_ok();
            to_server.write_all(&head).await?;
            tokio::io::copy(&mut body, &mut to_server).await?;
        } else {
            let _ = replying.send(Replies::Over);
            tokio::io::copy(&mut body, &mut tokio::io::sink()).await?;
        }
        if let Some(answer) = answer {
            let Ok(Some(mut to_client)) = replies.await else { return Ok(()) };
            to_client.write_all(answer.text().as_bytes()).await?;
            return to_client.shutdown().await;
        }
    }
    to_server.shutdown().await
}

/// What becomes of the server's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Replies {
    /// They go to the client.
    Forwarded,
    /// The next one is lost, and then it is over.
    LostOnce,
    /// There are no more.
    Over,
}

/// Carries the server's answers back, until it is over: then the client's end is given back. None if the server closed.
async fn reply(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut replies: watch::Receiver<Replies>,
) -> Option<OwnedWriteHalf> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let len = tokio::select! {
            _ = replies.wait_for(|replies| *replies == Replies::Over) => return Some(to),
            read = from.read(&mut buffer) => read.ok().filter(|len| *len > 0)?,
        };
        if *replies.borrow() != Replies::Forwarded {
            return Some(to);
        }
        to.write_all(&buffer[..len]).await.ok()?;
    }
}

/// The head of the next request, with the empty line; none at the end.
async fn head(requests: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    loop {
        let begun = head.len();
        if requests.read_until(b'\n', &mut head).await? == 0 {
            return Ok(None);
        }
        if begun > 0 && matches!(&head[begun..], b"\r\n" | b"\n") {
            return Ok(Some(head));
        }
    }
}

fn content_length(head: &[u8]) -> u64 {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    assert!(!head.contains("\r\ntransfer-encoding:"), "a body without Content-Length is not understood");
    let value = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    value.map_or(0, |value| value.trim().parse().unwrap())
}
