//! Small writes of many answers, as one.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::activity::Activity;

/// What is no longer than this is kept: most playlists. Longer writes are worth a call of their own, and no copy.
const SMALL_BYTES: usize = 8 << 10;
/// What is kept at most.
const MOST_BYTES: usize = 64 << 10;

/// A stream on which small writes of HTTP/2 wait until all who have an answer ready have written it.
///
/// A part answers all that wait for it, a hundred on one connection. Each is a task, and hyper writes what it says as
/// soon as it has run. Here the first write puts off the flush until those who stand in the scheduler's queue have had
/// their turn: that makes a few writes of a hundred, and costs one answer alone another turn of its connection.
#[derive(Debug)]
pub struct Gathered<S> {
    stream: S,
    activity: Arc<Activity>,
    kept: Vec<u8>,
    /// How much of it is written.
    written: usize,
    /// The connection's turn in which the flush was put off.
    put_off: Option<u32>,
}

impl<S: AsyncWrite + Unpin> Gathered<S> {
    pub const fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity, kept: Vec::new(), written: 0, put_off: None }
    }

    fn keeps(&self, size_bytes: usize) -> bool {
        self.activity.is_http2() && size_bytes <= SMALL_BYTES && self.kept.len() + size_bytes <= MOST_BYTES
    }

    /// Writes what is kept.
    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.kept.get(self.written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                size => self.written += size,
            }
        }
        // Connections are many, and most of them wait.
        (self.kept, self.written, self.put_off) = (Vec::new(), 0, None);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let size = slices.iter().map(|slice| slice.len()).sum();
        if self.keeps(size) {
            slices.iter().for_each(|slice| self.kept.extend_from_slice(slice));
            return Poll::Ready(Ok(size));
        }
        ready!(self.poll_drain(context))?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let turn = self.activity.turns();
        match self.put_off {
            _ if self.kept.is_empty() => {}
            // Whoever wakes itself comes behind those who wait.
            None => {
                self.put_off = Some(turn);
                context.waker().wake_by_ref();
                return Poll::Ready(Ok(()));
            }
            Some(put_off) if put_off == turn => return Poll::Ready(Ok(())),
            Some(_) => ready!(self.poll_drain(context))?,
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use super::super::Limits;
    use super::super::activity::Exchange;
    use super::super::tally::Tallies;
    use super::*;

    /// What is written, call by call; no call takes more than `most`, and every other one nothing if it is `slow`.
    #[derive(Debug)]
    struct Wire {
        calls: Vec<Vec<u8>>,
        most: usize,
        is_slow: bool,
        is_shut: bool,
        polls: usize,
    }

    impl AsyncWrite for Wire {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.polls += 1;
            if self.is_slow && self.polls.is_multiple_of(2) {
                return Poll::Pending;
            }
            let size = bytes.len().min(self.most);
            self.calls.push(bytes[..size].to_vec());
            Poll::Ready(Ok(size))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.is_shut = true;
            Poll::Ready(Ok(()))
        }
    }

    /// Counts how often it is woken.
    #[derive(Debug, Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Bench {
        bell: Arc<Bell>,
        stream: Gathered<Wire>,
        activity: Arc<Activity>,
        _exchange: Exchange,
        written: Vec<u8>,
    }

    impl Bench {
        fn new(is_http2: bool) -> Self {
            let activity = Arc::new(Activity::new(Limits::default(), Arc::new(Tallies::default())));
            let wire = Wire { calls: Vec::new(), most: usize::MAX, is_slow: false, is_shut: false, polls: 0 };
            let stream = Gathered::new(wire, Arc::clone(&activity));
            let _exchange = activity.begin(is_http2);
            Self { bell: Arc::default(), stream, activity, _exchange, written: Vec::new() }
        }

        /// Writes so many bytes, which are all different from those before.
        fn write(&mut self, size: usize) {
            let bytes: Vec<u8> = (0..size).map(|n| ((self.written.len() + n) % 251) as u8).collect();
            let mut context = Context::from_waker(Waker::noop());
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                if let Poll::Ready(size) = Pin::new(&mut self.stream).poll_write(&mut context, rest) {
                    rest = &rest[size.unwrap()..];
                }
            }
            self.written.extend_from_slice(&bytes);
        }

        fn flush(&mut self) -> bool {
            let waker = Waker::from(Arc::clone(&self.bell));
            let mut context = Context::from_waker(&waker);
            Pin::new(&mut self.stream).poll_flush(&mut context).is_ready()
        }

        fn wakes(&self) -> usize {
            self.bell.0.load(Ordering::Relaxed)
        }

        fn sizes(&self) -> Vec<usize> {
            self.stream.stream.calls.iter().map(Vec::len).collect()
        }

        fn end(mut self) {
            let mut context = Context::from_waker(Waker::noop());
            while Pin::new(&mut self.stream).poll_shutdown(&mut context).is_pending() {}
            assert!(self.stream.stream.is_shut);
            assert!(self.stream.stream.calls.concat() == self.written, "other bytes than were written");
        }
    }

    #[test]
    fn answers_of_one_turn_and_the_next_are_one_write() {
        let mut bench = Bench::new(true);
        bench.activity.turn();
        for _ in 0..3 {
            bench.write(1000);
            assert!(bench.flush());
        }
        assert!(bench.sizes().is_empty());
        assert_eq!(bench.wakes(), 1, "its task is woken for the next turn, once");
        bench.activity.turn();
        bench.write(500);
        assert!(bench.flush());
        assert_eq!((bench.sizes(), bench.wakes()), (vec![3500], 1));
        assert!(bench.flush());
        assert_eq!(bench.wakes(), 1, "there is nothing to be woken for");
        // What nobody flushes any more is written at the end.
        bench.write(1);
        assert!(bench.flush());
        assert_eq!((bench.sizes(), bench.wakes()), (vec![3500], 2));
        bench.end();
    }

    #[test]
    fn long_writes_are_not_kept_and_nor_is_too_much() {
        let mut bench = Bench::new(true);
        bench.write(10);
        bench.write(SMALL_BYTES + 1);
        assert_eq!(bench.sizes(), [10, SMALL_BYTES + 1]);
        (0..9).for_each(|_| bench.write(SMALL_BYTES));
        assert_eq!(bench.sizes()[2..], [MOST_BYTES, SMALL_BYTES]);
        assert!(bench.stream.kept.is_empty());
        bench.end();
    }

    #[test]
    fn nothing_waits_over_http1() {
        let mut bench = Bench::new(false);
        bench.write(10);
        bench.write(20);
        assert_eq!(bench.sizes(), [10, 20]);
        bench.end();
    }

    #[test]
    fn a_wire_that_takes_little_gets_everything_in_order() {
        let mut bench = Bench::new(true);
        (bench.stream.stream.most, bench.stream.stream.is_slow) = (700, true);
        for size in [100, 900, 20_000, 3, 8_000, 9_000, 1, 40] {
            bench.write(size);
            bench.activity.turn();
            while !bench.flush() {}
        }
        bench.end();
    }
}
