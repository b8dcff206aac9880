//! The reading end of an encoder's pipe.

use std::future::Future;
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::silence::Activity;
use super::supervise::Order;

/// Size of a read buffer: many reads share one allocation.
const BUFFER_BYTES: usize = 256 << 10;
/// Below this the next read would be too small to be worth its system call.
const LEAST_READ_BYTES: usize = 64 << 10;

/// Reads a pipe into shared slices, without a copy behind the system's own.
pub(super) struct Reader {
    pipe: pipe::Receiver,
    buffer: BytesMut,
    activity: Activity,
}

impl Reader {
    pub(super) fn new(pipe: pipe::Receiver, activity: Activity) -> Self {
        Self { pipe, buffer: BytesMut::new(), activity }
    }

    /// What is there, or none at the end. Nothing is lost if it is cancelled.
    pub(super) async fn read(&mut self) -> io::Result<Option<Bytes>> {
        if self.buffer.capacity() < LEAST_READ_BYTES {
            self.buffer.reserve(BUFFER_BYTES);
        }
        let count = self.pipe.read_buf(&mut self.buffer).await?;
        self.activity.note();
        Ok((count > 0).then(|| self.buffer.split().freeze()))
    }
}

/// One rendition's MPEG-TS.
///
/// In a shared ladder one ffmpeg writes every rendition: it stands still as soon as one output is not read,
/// so all of them are to be read at the same time.
pub struct Output {
    rendition: usize,
    reader: Reader,
    watchdog: Watchdog,
}

impl Output {
    pub(super) fn new(
        rendition: usize,
        pipe: pipe::Receiver,
        activity: Activity,
        watchdog: Watchdog,
    ) -> Self {
        Self { rendition, reader: Reader::new(pipe, activity), watchdog }
    }

    /// The rendition's place in the ladder.
    pub fn rendition(&self) -> usize {
        self.rendition
    }

    /// The next bytes, or none at the end, whatever its reason: that comes as an [`Event`](super::Event).
    /// Nothing is lost if the call is cancelled.
    ///
    /// An encoder from which nothing comes for longer than the limit while it is waited for is killed.
    ///
    /// # Errors
    /// As the pipe gives them, which it hardly ever does.
    pub async fn read(&mut self) -> io::Result<Option<Bytes>> {
        self.watchdog.guard(self.reader.read()).await.unwrap_or(Ok(None))
    }
}

/// Sees that something comes.
pub(super) struct Watchdog {
    rendition: String,
    patience: Duration,
    /// From the first bytes on.
    usual_patience: Duration,
    waiting_since: Option<Instant>,
    orders: mpsc::UnboundedSender<Order>,
}

impl Watchdog {
    pub(super) fn new(
        rendition: String,
        first: Duration,
        usual: Duration,
        orders: mpsc::UnboundedSender<Order>,
    ) -> Self {
        Self { rendition, patience: first, usual_patience: usual, waiting_since: None, orders }
    }

    /// None if it took too long; the encoder is then killed. Time is counted only while someone waits, so a
    /// reader that comes late finds what is there.
    async fn guard<T>(&mut self, read: impl Future<Output = T>) -> Option<T> {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        match timeout_at(since + self.patience, read).await {
            Ok(read) => {
                self.waiting_since = None;
                self.patience = self.usual_patience;
                Some(read)
            }
            Err(_) => {
                let order = Order::Stalled { rendition: Some(self.rendition.clone()), after: self.patience };
                // The supervisor may be gone already, and the encoder with it.
                let _ = self.orders.send(order);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn output(patience: Duration) -> (std::fs::File, Output, mpsc::UnboundedReceiver<Order>) {
        let (ours, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let (orders, received) = mpsc::unbounded_channel();
        let watchdog = Watchdog::new("720p".into(), patience, patience, orders);
        let pipe = pipe::Receiver::from_owned_fd(ours).unwrap();
        (theirs.into(), Output::new(0, pipe, Activity::new(), watchdog), received)
    }

    #[tokio::test]
    async fn reads_share_one_allocation() {
        let (mut pipe, mut output, _orders) = output(Duration::from_secs(10));
        pipe.write_all(&[1; 100]).unwrap();
        let first = output.read().await.unwrap().unwrap();
        pipe.write_all(&[2; 100]).unwrap();
        let second = output.read().await.unwrap().unwrap();
        assert_eq!(first.as_ptr().wrapping_add(100), second.as_ptr());
        drop(pipe);
        assert_eq!(output.read().await.unwrap(), None);
    }

    #[tokio::test]
    async fn silence_is_reported_and_ends_the_output() {
        let (_pipe, mut output, mut orders) = output(Duration::from_millis(50));
        assert_eq!(output.read().await.unwrap(), None);
        assert!(matches!(orders.recv().await, Some(Order::Stalled { .. })));
    }

    #[tokio::test]
    async fn a_late_reader_finds_what_came_in_time() {
        let (mut pipe, mut output, _orders) = output(Duration::from_millis(50));
        assert!(tokio::time::timeout(Duration::from_millis(10), output.read()).await.is_err());
        pipe.write_all(b"x").unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(output.read().await.unwrap().as_deref(), Some(&b"x"[..]));
    }
}
