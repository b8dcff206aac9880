//! A part that is still being made: what there is of it, for those who ask ahead of its end.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::sync::watch;

use super::range::Span;
use super::slices::Slices;
use crate::chunks::Chunks;

/// How far a part is.
#[derive(Clone, Debug, Default)]
struct Grown {
    body: Chunks,
    is_whole: bool,
}

/// A part that is still being made, the writer's side. Dropped before the end, it never comes.
#[derive(Debug)]
pub struct Growing {
    key: String,
    grown: watch::Sender<Grown>,
}

/// A part that is still being made, a reader's side.
#[derive(Clone, Debug)]
pub struct Growth {
    grown: watch::Receiver<Grown>,
}

impl Growing {
    /// A part of which there is nothing yet.
    pub fn new(key: String) -> Self {
        Self { key, grown: watch::Sender::default() }
    }

    /// Where it will be.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// This is what there is of it now: what there was, and more.
    pub fn grow(&self, body: Chunks) {
        self.grown.send_if_modified(|grown| {
            let is_more = !grown.is_whole && body.size_bytes() > grown.body.size_bytes();
            if is_more {
                grown.body = body;
            }
            is_more
        });
    }

    /// This is all of it.
    pub fn finish(&self, body: Chunks) {
        self.grown.send_replace(Grown { body, is_whole: true });
    }

    /// For one more reader.
    pub fn growth(&self) -> Growth {
        Growth { grown: self.grown.subscribe() }
    }
}

impl Growth {
    /// Waits for its first bytes; whether they came.
    pub async fn has_begun(&mut self) -> bool {
        self.grown.wait_for(|grown| grown.is_whole || !grown.body.is_empty()).await.is_ok()
    }

    /// All of it, if it is there.
    pub fn whole(&self) -> Option<Chunks> {
        let grown = self.grown.borrow();
        grown.is_whole.then(|| grown.body.clone())
    }

    /// Its bytes as they come.
    pub fn read(self) -> Reading {
        Reading { sent_bytes: 0, state: State::Looking(self.grown) }
    }
}

/// A part's bytes as they come.
pub struct Reading {
    sent_bytes: u64,
    state: State,
}

enum State {
    Looking(watch::Receiver<Grown>),
    Waiting(Pin<Box<dyn Future<Output = Option<watch::Receiver<Grown>>> + Send>>),
    Done,
}

impl Reading {
    /// The next ones, `most` of them at most. That it never becomes whole is an error.
    pub fn poll(&mut self, most: usize, context: &mut Context<'_>) -> Poll<Option<io::Result<Slices>>> {
        loop {
            match &mut self.state {
                State::Looking(grown) => {
                    let now = grown.borrow_and_update().clone();
                    if now.body.size_bytes() > self.sent_bytes {
                        let span = Span { first: self.sent_bytes, last: now.body.size_bytes() - 1 };
                        let frame = Slices::of(now.body, span).beginning(most);
                        self.sent_bytes += frame.len();
                        return Poll::Ready(Some(Ok(frame)));
                    }
                    self.state = if now.is_whole { State::Done } else { State::Waiting(changed(grown)) };
                }
                State::Waiting(changed) => {
                    let Some(grown) = ready!(changed.as_mut().poll(context)) else {
                        self.state = State::Done;
                        let error = "the part was given up while it was sent";
                        return Poll::Ready(Some(Err(io::Error::other(error))));
                    };
                    self.state = State::Looking(grown);
                }
                State::Done => return Poll::Ready(None),
            }
        }
    }
}

/// Waits until there is more; none if there never is.
fn changed(
    grown: &watch::Receiver<Grown>,
) -> Pin<Box<dyn Future<Output = Option<watch::Receiver<Grown>>> + Send>> {
    let mut grown = grown.clone();
    Box::pin(async move { grown.changed().await.ok().map(|()| grown) })
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("sent_bytes", &self.sent_bytes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use bytes::{Buf as _, Bytes};
    use tokio::time::timeout;

    use super::*;

    fn body(text: &'static str) -> Chunks {
        Bytes::from_static(text.as_bytes()).into()
    }

    async fn next(reading: &mut Reading, most: usize) -> Option<io::Result<Vec<u8>>> {
        let next = poll_fn(|context| reading.poll(most, context)).await?;
        Some(next.map(|mut slices| slices.copy_to_bytes(slices.remaining()).to_vec()))
    }

    #[tokio::test]
    async fn every_byte_is_read_once_as_it_comes() {
        let growing = Growing::new("a".to_owned());
        let mut growth = growing.growth();
        growing.grow(body("abc"));
        assert!(growth.has_begun().await && growth.whole().is_none());
        let mut reading = growth.read();
        assert_eq!(next(&mut reading, 2).await.unwrap().unwrap(), b"ab");
        assert_eq!(next(&mut reading, 2).await.unwrap().unwrap(), b"c");
        assert!(timeout(Duration::from_millis(1), next(&mut reading, 2)).await.is_err());
        growing.grow(body("abcd"));
        growing.grow(body("abcd"));
        growing.finish(body("abcdef"));
        drop(growing);
        assert_eq!(next(&mut reading, 9).await.unwrap().unwrap(), b"def");
        assert!(next(&mut reading, 9).await.is_none());
    }

    #[tokio::test]
    async fn one_that_never_comes_is_told() {
        let growing = Growing::new("a".to_owned());
        let (mut before, mut after) = (growing.growth(), growing.growth());
        growing.grow(body("abc"));
        assert!(after.has_begun().await);
        let mut reading = after.read();
        next(&mut reading, 9).await.unwrap().unwrap();
        drop(growing);
        assert!(next(&mut reading, 9).await.unwrap().is_err());
        assert!(next(&mut reading, 9).await.is_none());
        // Of this one nothing was awaited yet; there was something.
        assert!(before.has_begun().await);
        let mut never = {
            let growing = Growing::new("b".to_owned());
            growing.growth()
        };
        assert!(!never.has_begun().await);
    }
}
