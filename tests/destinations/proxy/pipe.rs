//! How connections are taken, and bytes carried, under a fault.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::{Counts, Fault, State};

/// Bytes read at once.
const PIECE: usize = 16 * 1024;
/// Pieces that may be on their way, in either direction of a connection: with latency, what fits into the cable.
const ON_THE_WAY: usize = 16;
/// How often in a second something goes through where bandwidth is short.
const SHARES: u64 = 50;

/// Takes connections for `server`, but for the times when they are refused.
pub async fn listen(
    listener: std::net::TcpListener,
    server: SocketAddr,
    mut states: watch::Receiver<State>,
    counts: Arc<Counts>,
) {
    let address = listener.local_addr().unwrap();
    let mut listener = TcpListener::from_std(listener).unwrap();
    loop {
        let mut refusing = states.clone();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let Ok((client, _)) = accepted else { continue };
                    counts.connections.fetch_add(1, Ordering::SeqCst);
                    let open = Open::new(&states, counts.clone());
                    tokio::spawn(run(client, server, states.clone(), open));
                }
                _ = refusing.wait_for(|state| state.fault == Fault::Refuse) => break,
            }
        }
        drop(listener);
        counts.listening.fetch_sub(1, Ordering::SeqCst);
        if states.wait_for(|state| state.fault != Fault::Refuse).await.is_err() {
            return;
        }
        listener = TcpListener::bind(address).await.unwrap();
        counts.listening.fetch_add(1, Ordering::SeqCst);
    }
}

/// That a connection is there.
struct Open {
    cuts: u64,
    counts: Arc<Counts>,
}

impl Open {
    fn new(states: &watch::Receiver<State>, counts: Arc<Counts>) -> Self {
        let cuts = {
            let mut open = counts.open.lock().unwrap();
            let cuts = states.borrow().cuts;
            *open.entry(cuts).or_default() += 1;
            cuts
        };
        Self { cuts, counts }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut open = self.counts.open.lock().unwrap();
        let count = open.remove(&self.cuts).unwrap_or(1) - 1;
        if count > 0 {
            open.insert(self.cuts, count);
        }
    }
}

/// Carries one connection to its end, or until it is cut.
async fn run(
    mut client: TcpStream,
    server: SocketAddr,
    mut states: watch::Receiver<State>,
    // Dropped last, when both ends are closed.
    open: Open,
) {
    let mut to_server = None;
    let ended = tokio::select! {
        ended = carry(&mut client, server, &mut to_server, states.clone(), &open.counts) => ended,
        _ = states.wait_for(|state| state.cuts != open.cuts) => Err(io::ErrorKind::ConnectionReset.into()),
    };
    if ended.is_err() {
        // Closing sends a reset then, and forgets what was not sent yet.
        let _ = client.set_zero_linger();
        let _ = to_server.as_ref().map(TcpStream::set_zero_linger);
    }
    drop((client, to_server));
    drop(open);
}

/// Carries one connection to its end. An error if it was reset, by whomever.
async fn carry(
    client: &mut TcpStream,
    server: SocketAddr,
    to_server: &mut Option<TcpStream>,
    mut states: watch::Receiver<State>,
    counts: &Counts,
) -> io::Result<()> {
    let fault = states.borrow_and_update().fault;
    if fault == Fault::BlackHole {
        // It could not have been made.
        let _ = states.wait_for(|state| state.fault != Fault::BlackHole).await;
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    let server = to_server.insert(TcpStream::connect(server).await?);
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let up = Way { states: states.clone(), counts: Some(counts), since: (fault, 0) };
    let down = Way { states, counts: None, since: (fault, 0) };
    tokio::try_join!(up.carry(from_client, to_server), down.carry(from_server, to_client)).map(drop)
}

/// One direction of a connection.
struct Way<'a> {
    states: watch::Receiver<State>,
    /// Where bytes are counted, on the way to the server.
    counts: Option<&'a Counts>,
    /// The fault, and how many bytes have passed under it.
    since: (Fault, u64),
}

impl Way<'_> {
    /// Carries bytes until there are no more. An error if the connection was reset, by whomever.
    async fn carry(mut self, from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> io::Result<()> {
        let (sender, mut receiver) = mpsc::channel(ON_THE_WAY);
        let read = async {
            loop {
                let bytes = read(&from).await?;
                let is_end = bytes.is_empty();
                if sender.send((Instant::now(), bytes)).await.is_err() || is_end {
                    return Ok(());
                }
            }
        };
        let write = async {
            while let Some((at, mut bytes)) = receiver.recv().await {
                if bytes.is_empty() {
                    self.pass(at, 0).await?;
                    return to.shutdown().await;
                }
                while !bytes.is_empty() {
                    let len = self.pass(at, bytes.len()).await?;
                    // A reset outruns what was sent before it.
                    if let Some(error) = from.as_ref().take_error()? {
                        return Err(error);
                    }
                    to.write_all(&bytes.split_to(len)).await?;
                    self.since.1 += len as u64;
                    if let Some(counts) = self.counts {
                        counts.up_bytes.fetch_add(len as u64, Ordering::SeqCst);
                    }
                }
            }
            Ok(())
        };
        tokio::try_join!(read, write).map(drop)
    }

    /// Waits until some of `len` bytes that came at `at` may go on, and says how many.
    async fn pass(&mut self, at: Instant, len: usize) -> io::Result<usize> {
        loop {
            let fault = self.states.borrow_and_update().fault;
            if fault != self.since.0 {
                self.since = (fault, 0);
            }
            let (wait, len) = match fault {
                Fault::None => return Ok(len),
                Fault::Latency(latency) => (Some(at + latency), len),
                Fault::Bandwidth(rate) => {
                    let len = len.min((rate / SHARES).max(1) as usize);
                    (Some(Instant::now() + Duration::from_secs(1) * len as u32 / rate as u32), len)
                }
                Fault::ResetAfter(limit) if self.counts.is_some() => {
                    let left = limit.saturating_sub(self.since.1);
                    let is_over = left == 0 && len > 0;
                    return if is_over {
                        Err(io::ErrorKind::ConnectionReset.into())
                    } else {
                        Ok(len.min(left as usize))
                    };
                }
                Fault::ResetAfter(_) => return Ok(len),
                Fault::BlackHole | Fault::Refuse => (None, 0),
            };
            let passed = async {
                match wait {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = passed => return Ok(len),
                changed = self.states.changed() => {
                    changed.map_err(|_| io::Error::from(io::ErrorKind::ConnectionAborted))?;
                }
            }
        }
    }
}

/// What has come; nothing at the end.
async fn read(from: &ReadHalf<'_>) -> io::Result<Bytes> {
    let mut buffer = vec![0; PIECE];
    loop {
        from.readable().await?;
        match from.try_read(&mut buffer) {
            Ok(len) => {
                buffer.truncate(len);
                return Ok(buffer.into());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
