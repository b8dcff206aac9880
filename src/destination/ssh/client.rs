//! An SFTP client: one channel, one request after another, but for the bytes of a file, which do not wait.
//!
//! It is our own because bodies are to reach the cipher as the slices they are, files to be replaced with OpenSSH's
//! posix-rename, and handles taken as the bytes that they are.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use bytes::{Buf, Bytes, BytesMut};
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};

use super::failure::Failure;
use super::packet::{Ask, FOR_READ, FOR_WRITE_OF_NEW, Name, Reply, Request, Status, take_reply};
use super::session::is_granted;
use crate::chunks::Chunks;
use crate::destination::{Kind, MOST_GOT_BYTES, TOO_LARGE};

const VERSION: u32 = 3;
/// Bytes of one write that every server takes.
const SMALL_WRITE: usize = 32 << 10;
/// Bytes of one write at most, as OpenSSH has it.
const LARGE_WRITE: usize = 255 << 10;
/// Names of a folder that are asked for, and a packet of them more.
const MOST_NAMES: usize = 1 << 16;
/// Slices below this size are copied beside each other. SSH encrypts and signs each packet by itself, and a small one
/// costs as much as a copy of so many bytes.
const MIN_SLICE: usize = 4 << 10;
/// Bytes that are gathered at most: an SSH packet of OpenSSH's.
const MAX_GATHERED: usize = 32 << 10;

/// SFTP on one channel.
pub(super) struct Sftp {
    sender: ChannelWriteHalf<Msg>,
    receiver: Receiver,
    last: u32,
    max_write: usize,
    has_posix_rename: bool,
}

impl Sftp {
    /// Begins to speak SFTP on `channel`.
    pub async fn open(mut channel: Channel<Msg>) -> Result<Self, Failure> {
        channel.request_subsystem(true, "sftp").await?;
        if !is_granted(&mut channel).await? {
            let text = "the server offers no SFTP: if the account may run commands, write scp:// instead";
            return Err(Failure::said(Kind::Refused, text).and_lost());
        }
        let (receiver, sender) = channel.split();
        let receiver = Receiver { channel: receiver, input: BytesMut::new() };
        let mut sftp = Self { sender, receiver, last: 0, max_write: SMALL_WRITE, has_posix_rename: false };
        sftp.agree().await?;
        Ok(sftp)
    }

    async fn agree(&mut self) -> Result<(), Failure> {
        self.send(Request::new(Ask::Init, VERSION)).await?;
        let Reply::Version(extensions) = self.receiver.receive().await?.1 else { return Err(unexpected()) };
        let has = |wanted: &str| extensions.iter().any(|(name, version)| name == wanted && version == "1");
        self.has_posix_rename = has("posix-rename@openssh.com");
        if has("limits@openssh.com")
            && let Reply::Extended(mut limits) = self.extended("limits@openssh.com", &[]).await?
        {
            // Of a packet, of a read, of a write.
            let largest =
                limits.try_get_u64().and_then(|_| limits.try_get_u64()).and_then(|_| limits.try_get_u64());
            if let Ok(limit @ 1..) = largest {
                self.max_write = usize::try_from(limit).unwrap_or(usize::MAX).min(LARGE_WRITE);
            }
        }
        Ok(())
    }

    /// Whether a file can be put over another in one step.
    pub const fn has_posix_rename(&self) -> bool {
        self.has_posix_rename
    }

    /// Writes a new file. If that fails, there may be a part of it.
    pub async fn create(&mut self, path: &str, body: &Chunks) -> Result<Result<(), Status>, Failure> {
        let id = self.next();
        let open = Request::new(Ask::Open, id).text(path).u32(FOR_WRITE_OF_NEW).u32(0);
        let handle = match self.ask(id, open).await? {
            Reply::Handle(handle) => handle,
            Reply::Status(status) => return Ok(Err(status)),
            _ => return Err(unexpected()),
        };
        let flow = Flow {
            first: self.last.wrapping_add(1),
            count: AtomicU32::new(u32::MAX),
            is_stopped: AtomicBool::new(false),
        };
        let send = send_file(&self.sender, &flow, &handle, body, self.max_write);
        let receive = self.receiver.receive_all(&flow);
        let (sent, result) = tokio::try_join!(send, receive)?;
        self.last = sent;
        Ok(result)
    }

    /// Reads a file.
    pub async fn read(&mut self, path: &str) -> Result<Result<Bytes, Status>, Failure> {
        let id = self.next();
        let open = Request::new(Ask::Open, id).text(path).u32(FOR_READ).u32(0);
        let handle = match self.ask(id, open).await? {
            Reply::Handle(handle) => handle,
            Reply::Status(status) => return Ok(Err(status)),
            _ => return Err(unexpected()),
        };
        let mut file = BytesMut::new();
        let result = loop {
            let id = self.next();
            let read =
                Request::new(Ask::Read, id).text(&handle).u64(file.len() as u64).u32(self.max_write as u32);
            match self.ask(id, read).await? {
                Reply::Data(data) if file.len() + data.len() > MOST_GOT_BYTES => {
                    self.close(&handle).await?;
                    return Err(Failure::said(Kind::Invalid, TOO_LARGE));
                }
                Reply::Data(data) if !data.is_empty() => file.extend_from_slice(&data),
                Reply::Status(status) if status.is_end() => break Ok(file.freeze()),
                Reply::Status(status) => break Err(status),
                _ => return Err(unexpected()),
            }
        };
        self.close(&handle).await?;
        Ok(result)
    }

    /// The files of a folder; not all, if they are very many.
    pub async fn list(&mut self, path: &str) -> Result<Result<Vec<Name>, Status>, Failure> {
        let id = self.next();
        let handle = match self.ask(id, Request::new(Ask::OpenDirectory, id).text(path)).await? {
            Reply::Handle(handle) => handle,
            Reply::Status(status) => return Ok(Err(status)),
            _ => return Err(unexpected()),
        };
        let mut names = Vec::new();
        let result = loop {
            let id = self.next();
            match self.ask(id, Request::new(Ask::ReadDirectory, id).text(&handle)).await? {
                Reply::Names(_) if names.len() >= MOST_NAMES => break Ok(names),
                Reply::Names(more) if !more.is_empty() => names.extend(more),
                Reply::Status(status) if status.is_end() => break Ok(names),
                Reply::Status(status) => break Err(status),
                _ => return Err(unexpected()),
            }
        };
        self.close(&handle).await?;
        Ok(result)
    }

    /// Whether something at `path` is a folder.
    pub async fn is_folder(&mut self, path: &str) -> Result<Result<bool, Status>, Failure> {
        let id = self.next();
        match self.ask(id, Request::new(Ask::Stat, id).text(path)).await? {
            Reply::Attributes(attributes) => Ok(Ok(attributes.is_folder())),
            Reply::Status(status) => Ok(Err(status)),
            _ => Err(unexpected()),
        }
    }

    /// Makes a folder.
    pub async fn make_folder(&mut self, path: &str) -> Result<Status, Failure> {
        let id = self.next();
        self.status(id, Request::new(Ask::MakeDirectory, id).text(path).u32(0)).await
    }

    /// Deletes a file.
    pub async fn remove(&mut self, path: &str) -> Result<Status, Failure> {
        let id = self.next();
        self.status(id, Request::new(Ask::Remove, id).text(path)).await
    }

    /// Gives a file another name. With posix-rename it takes the place of one that is there, in one step; else it
    /// depends on the server.
    pub async fn rename(&mut self, from: &str, to: &str) -> Result<Status, Failure> {
        if !self.has_posix_rename {
            let id = self.next();
            return self.status(id, Request::new(Ask::Rename, id).text(from).text(to)).await;
        }
        match self.extended("posix-rename@openssh.com", &[from, to]).await? {
            Reply::Status(status) => Ok(status),
            _ => Err(unexpected()),
        }
    }

    async fn extended(&mut self, name: &str, texts: &[&str]) -> Result<Reply, Failure> {
        let id = self.next();
        let request = Request::new(Ask::Extended, id).text(name);
        let request = texts.iter().fold(request, |request, text| request.text(text));
        self.ask(id, request).await
    }

    async fn close(&mut self, handle: &Bytes) -> Result<Status, Failure> {
        let id = self.next();
        self.status(id, Request::new(Ask::Close, id).text(handle)).await
    }

    async fn status(&mut self, id: u32, request: Request) -> Result<Status, Failure> {
        match self.ask(id, request).await? {
            Reply::Status(status) => Ok(status),
            _ => Err(unexpected()),
        }
    }

    async fn ask(&mut self, id: u32, request: Request) -> Result<Reply, Failure> {
        self.send(request).await?;
        let (number, reply) = self.receiver.receive().await?;
        if number == id { Ok(reply) } else { Err(unexpected()) }
    }

    async fn send(&self, request: Request) -> Result<(), Failure> {
        Ok(self.sender.data_bytes(request.before(0)).await?)
    }

    fn next(&mut self) -> u32 {
        self.last = self.last.wrapping_add(1);
        self.last
    }
}

/// What the two directions of an upload tell each other.
struct Flow {
    /// The first request's number.
    first: u32,
    /// How many requests it is; the most that can be while that is not known.
    count: AtomicU32,
    /// Whether a write has failed: the rest need not be sent.
    is_stopped: AtomicBool,
}

/// Sends the writes of `body`, and the close. The number of the last request.
async fn send_file(
    sender: &ChannelWriteHalf<Msg>,
    flow: &Flow,
    handle: &Bytes,
    body: &Chunks,
    max_write: usize,
) -> Result<u32, Failure> {
    let mut outbox = Outbox::new(sender);
    let mut id = flow.first;
    let mut offset = 0;
    let mut slices = body.slices().iter().cloned();
    let mut rest = slices.next().unwrap_or_default();
    while offset < body.size_bytes() && !flow.is_stopped.load(Ordering::Relaxed) {
        let size = (body.size_bytes() - offset).min(max_write as u64) as usize;
        let header = Request::new(Ask::Write, id).text(handle).u64(offset).u32(size as u32);
        outbox.gather(&header.before(size)).await?;
        let mut left = size;
        while left > 0 {
            let piece = rest.split_to(left.min(rest.len()));
            left -= piece.len();
            outbox.push(piece).await?;
            if rest.is_empty() {
                rest = slices.next().unwrap_or_default();
            }
        }
        offset += size as u64;
        id = id.wrapping_add(1);
    }
    // Before the last request is sent: its reply ends the other direction.
    flow.count.store(id.wrapping_sub(flow.first).wrapping_add(1), Ordering::Release);
    outbox.gather(&Request::new(Ask::Close, id).text(handle).before(0)).await?;
    outbox.flush().await?;
    Ok(id)
}

/// What is on its way into a channel: large slices as they are, small ones together.
pub(super) struct Outbox<'a> {
    sender: &'a ChannelWriteHalf<Msg>,
    gathered: BytesMut,
}

impl<'a> Outbox<'a> {
    pub fn new(sender: &'a ChannelWriteHalf<Msg>) -> Self {
        Self { sender, gathered: BytesMut::new() }
    }

    /// Sends a slice.
    pub async fn push(&mut self, slice: Bytes) -> Result<(), Failure> {
        if slice.len() < MIN_SLICE {
            return self.gather(&slice).await;
        }
        self.flush().await?;
        Ok(self.sender.data_bytes(slice).await?)
    }

    /// Sends a copy of `bytes`, together with its neighbours.
    pub async fn gather(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if self.gathered.len() + bytes.len() > MAX_GATHERED {
            self.flush().await?;
        }
        self.gathered.extend_from_slice(bytes);
        Ok(())
    }

    /// Sends what was gathered.
    pub async fn flush(&mut self) -> Result<(), Failure> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        Ok(self.sender.data_bytes(self.gathered.split().freeze()).await?)
    }
}

struct Receiver {
    channel: ChannelReadHalf,
    input: BytesMut,
}

impl Receiver {
    /// The next reply, and the number of the request that it is for.
    async fn receive(&mut self) -> Result<(u32, Reply), Failure> {
        loop {
            if let Some(reply) = take_reply(&mut self.input)? {
                return Reply::parse(reply).ok_or_else(unexpected);
            }
            match self.channel.wait().await {
                Some(ChannelMsg::Data { data }) => self.input.extend_from_slice(&data),
                None | Some(ChannelMsg::Eof | ChannelMsg::Close) => {
                    return Err(Failure::from(
                        Kind::Transient,
                        "the server has ended SFTP",
                        russh::Error::Disconnect,
                    )
                    .and_lost());
                }
                Some(_) => {}
            }
        }
    }

    /// Receives the replies of an upload. The first status that was not good, if there is one.
    async fn receive_all(&mut self, flow: &Flow) -> Result<Result<(), Status>, Failure> {
        let mut result = Ok(());
        let mut received = 0;
        while received != flow.count.load(Ordering::Acquire) {
            let (_, Reply::Status(status)) = self.receive().await? else { return Err(unexpected()) };
            received += 1;
            if !status.is_ok() && result.is_ok() {
                flow.is_stopped.store(true, Ordering::Relaxed);
                result = Err(status);
            }
        }
        Ok(result)
    }
}

fn unexpected() -> Failure {
    Failure::said(Kind::Transient, "the server's answer is not the one to the question").and_lost()
}
