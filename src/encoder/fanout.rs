//! The source, read once, copied to every encoder's standard input.
//!
//! Each encoder has its own bounded queue of shared slices. When one queue is full, what happens depends on
//! the source, and which kind it is shows in who waits for whom:
//!
//! - A **live** source makes us wait most of the time. It must not be stalled: an encoder that has held it up
//!   for [`Limits::patience`] since it last had an empty queue is dropped.
//! - A **file** gives as fast as it is read, and then the encoders make us wait. Waiting harms nobody: all go
//!   on at the pace of the slowest. Only one that takes nothing at all for [`Limits::stuck`] is dropped.
//!
//! An encoder that is alone is never dropped, for it holds back nobody.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::error::Error;
use super::output::Reader;
use super::running::Limits;
use super::stderr::LastWords;
use super::supervise::{Order, Phase};

/// What one write is given: small enough that a slow encoder is seen to take something.
const WRITE_BYTES: usize = 64 << 10;
/// How often a full queue is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// Size of a buffer for our own standard input, and the least that a read is worth.
const BUFFER_BYTES: usize = 256 << 10;
const LEAST_READ_BYTES: usize = 64 << 10;
/// How long a source command may live on after it has closed its output.
const AFTER_OUTPUT: Duration = Duration::from_secs(2);

/// Where media come from.
pub(super) enum Source {
    Command {
        reader: Reader,
        orders: mpsc::UnboundedSender<Order>,
        /// Its supervisor's.
        end: JoinHandle<Result<(), Error>>,
    },
    Stdin(mpsc::Receiver<io::Result<Bytes>>),
}

impl Source {
    /// Our own standard input, read by a thread of its own, since a read of it cannot be cancelled. The
    /// thread ends with the input or with the process.
    pub(super) fn stdin() -> Result<Self, Error> {
        let (sender, receiver) = mpsc::channel(1);
        let thread = std::thread::Builder::new().name("standard input".into());
        thread.spawn(move || read_stdin(&sender)).map_err(|source| Error::Input { source })?;
        Ok(Self::Stdin(receiver))
    }

    async fn read(&mut self) -> io::Result<Option<Bytes>> {
        match self {
            Self::Command { reader, .. } => reader.read().await,
            Self::Stdin(chunks) => chunks.recv().await.transpose(),
        }
    }

    /// Ends it and says how it ended. `copied` is what the copying came to.
    async fn end(self, copied: Copied) -> Result<(), Error> {
        match (self, copied) {
            (Self::Command { orders, mut end, .. }, copied) => {
                let order = match copied {
                    Copied::Unheard => Some(Order::Unheard),
                    Copied::Silent(after) => Some(Order::Stalled { rendition: None, after }),
                    Copied::All | Copied::Failed(_) | Copied::Stopped => None,
                };
                // A supervisor that is gone has nothing left to end.
                order.map(|order| orders.send(order).ok());
                match timeout(AFTER_OUTPUT, &mut end).await {
                    Ok(Ok(result)) => result,
                    // It lives on without an output: that is no reason to keep the encoders waiting.
                    Ok(Err(_)) | Err(_) => {
                        let _ = orders.send(Order::Unheard);
                        Ok(())
                    }
                }
            }
            (Self::Stdin(_), Copied::Failed(source)) => Err(Error::Input { source }),
            (Self::Stdin(_), Copied::Silent(after)) => Err(Error::Stalled {
                process: "standard input".into(),
                rendition: None,
                after,
                words: LastWords::default(),
            }),
            (Self::Stdin(_), Copied::All | Copied::Unheard | Copied::Stopped) => Ok(()),
        }
    }
}

fn read_stdin(sender: &mpsc::Sender<io::Result<Bytes>>) {
    let mut stdin = io::stdin().lock();
    let mut buffer = BytesMut::new();
    loop {
        if buffer.len() < LEAST_READ_BYTES {
            buffer = BytesMut::zeroed(BUFFER_BYTES);
        }
        let chunk = match stdin.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => Ok(buffer.split_to(count).freeze()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let is_last = chunk.is_err();
        if sender.blocking_send(chunk).is_err() || is_last {
            return;
        }
    }
}

/// Why copying ended.
enum Copied {
    /// The source came to its end.
    All,
    Failed(io::Error),
    /// Nothing came for so long.
    Silent(Duration),
    /// No encoder is left.
    Unheard,
    /// We were told to end.
    Stopped,
}

/// Copies until the source or the last encoder ends; gives the source's end. Encoders see the end of their
/// standard input when `sinks` are dropped, which is the caller's to do.
pub(super) async fn pump(
    mut source: Source,
    sinks: &mut Vec<Sink>,
    mut phase: watch::Receiver<Phase>,
    limits: &Limits,
) -> Result<(), Error> {
    let copied = copy(&mut source, sinks, &mut phase, limits).await;
    source.end(copied).await
}

async fn copy(
    source: &mut Source,
    sinks: &mut Vec<Sink>,
    phase: &mut watch::Receiver<Phase>,
    limits: &Limits,
) -> Copied {
    let mut pace = Pace::default();
    // Before the encoders' own watchdogs, so that the one is named whose fault it is.
    let mut patience = limits.first_output * 9 / 10;
    while !sinks.is_empty() {
        // A source command ends its output by itself when it is told to finish.
        let is_ours = matches!(source, Source::Stdin(_));
        let asked = Instant::now();
        let read = tokio::select! {
            read = timeout(patience, source.read()) => read,
            _ = phase.changed(), if is_ours => return Copied::Stopped,
        };
        let chunk = match read {
            Ok(Ok(Some(chunk))) => chunk,
            Ok(Ok(None)) => return Copied::All,
            Ok(Err(error)) => return Copied::Failed(error),
            Err(_) => return Copied::Silent(patience),
        };
        patience = limits.output * 9 / 10;
        pace.waited(asked);
        offer(&chunk, sinks, &pace, limits).await;
    }
    Copied::Unheard
}

async fn offer(chunk: &Bytes, sinks: &mut Vec<Sink>, pace: &Pace, limits: &Limits) {
    let mut n = 0;
    while n < sinks.len() {
        let is_alone = sinks.len() == 1;
        match sinks[n].offer(chunk.clone(), is_alone, pace, limits).await {
            Ok(()) => n += 1,
            Err(Gone) => drop(sinks.remove(n)),
        }
    }
}

/// Who waits for whom.
#[derive(Default)]
struct Pace {
    begun: Option<Instant>,
    waited_for_source: Duration,
}

impl Pace {
    fn waited(&mut self, since: Instant) {
        match self.begun {
            Some(_) => self.waited_for_source += since.elapsed(),
            // How long the first bytes took says nothing.
            None => self.begun = Some(Instant::now()),
        }
    }

    fn is_live(&self) -> bool {
        self.begun.is_some_and(|begun| self.waited_for_source * 2 > begun.elapsed())
    }
}

/// The encoder takes no more.
struct Gone;

/// One encoder's queue.
pub(super) struct Sink {
    queue: mpsc::UnboundedSender<(Bytes, OwnedSemaphorePermit)>,
    /// Free bytes of the queue.
    room: Arc<Semaphore>,
    capacity_bytes: usize,
    written: Arc<AtomicU64>,
    /// How long it has held the source up since its queue was last empty.
    held: Duration,
    orders: mpsc::UnboundedSender<Order>,
}

impl Sink {
    /// A queue of at least a read's size.
    pub(super) fn new(
        stdin: ChildStdin,
        capacity_bytes: usize,
        orders: mpsc::UnboundedSender<Order>,
    ) -> Self {
        let capacity_bytes = capacity_bytes.clamp(BUFFER_BYTES, 1 << 30);
        let (queue, chunks) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(capacity_bytes));
        let written = Arc::new(AtomicU64::new(0));
        tokio::spawn(write(stdin, chunks, room.clone(), written.clone()));
        Self { queue, room, capacity_bytes, written, held: Duration::ZERO, orders }
    }

    async fn offer(
        &mut self,
        chunk: Bytes,
        is_alone: bool,
        pace: &Pace,
        limits: &Limits,
    ) -> Result<(), Gone> {
        if self.room.available_permits() == self.capacity_bytes {
            self.held = Duration::ZERO;
        }
        // A chunk is a read's size at most, and a queue takes at least that.
        let size = u32::try_from(chunk.len().min(self.capacity_bytes)).map_err(|_| Gone)?;
        let permit = match self.room.clone().try_acquire_many_owned(size) {
            Ok(permit) => permit,
            Err(tokio::sync::TryAcquireError::Closed) => return Err(Gone),
            Err(tokio::sync::TryAcquireError::NoPermits) => self.wait(size, is_alone, pace, limits).await?,
        };
        self.queue.send((chunk, permit)).map_err(|_| Gone)
    }

    async fn wait(
        &mut self,
        size: u32,
        is_alone: bool,
        pace: &Pace,
        limits: &Limits,
    ) -> Result<OwnedSemaphorePermit, Gone> {
        let room = self.room.clone().acquire_many_owned(size);
        tokio::pin!(room);
        let begun = Instant::now();
        let (mut written, mut moved) = (self.written.load(Ordering::Relaxed), begun);
        loop {
            tokio::select! {
                permit = &mut room => {
                    self.held += begun.elapsed();
                    return permit.map_err(|_| Gone);
                }
                () = sleep(LOOK) => {}
            }
            let now = self.written.load(Ordering::Relaxed);
            if now != written {
                (written, moved) = (now, Instant::now());
            }
            let holds_up = pace.is_live() && self.held + begun.elapsed() >= limits.patience;
            if !is_alone && (holds_up || moved.elapsed() >= limits.stuck) {
                // Its supervisor kills it and tells why; if it is gone already, so is the encoder.
                let _ = self.orders.send(Order::Slow);
                return Err(Gone);
            }
        }
    }
}

/// Writes a queue to an encoder until either ends.
async fn write(
    mut stdin: ChildStdin,
    mut chunks: mpsc::UnboundedReceiver<(Bytes, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
    written: Arc<AtomicU64>,
) {
    while let Some((mut chunk, mut permit)) = chunks.recv().await {
        while !chunk.is_empty() {
            let piece = &chunk[..chunk.len().min(WRITE_BYTES)];
            // A closed pipe: its supervisor knows why.
            let Ok(count @ 1..) = stdin.write(piece).await else { return room.close() };
            chunk.advance(count);
            written.fetch_add(count as u64, Ordering::Relaxed);
            drop(permit.split(count));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_makes_us_wait_is_live() {
        let mut pace = Pace::default();
        assert!(!pace.is_live());
        pace.begun = Some(Instant::now() - Duration::from_secs(60));
        pace.waited_for_source = Duration::from_secs(50);
        assert!(pace.is_live());
        pace.waited_for_source = Duration::from_secs(5);
        assert!(!pace.is_live());
    }
}
