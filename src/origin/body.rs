//! What is sent: shared slices as they are, or a file as it is read.

use std::fs::File;
use std::io::{self, Read as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http_body::{Frame, SizeHint};
use tokio::task::{JoinHandle, spawn_blocking};

use super::activity::Exchange;
use super::range::Span;
use super::slices::Slices;
use crate::chunks::Chunks;

/// The most bytes that are handed over at once: more would only make a slow reader's progress harder to see.
const FRAME_BYTES: usize = 256 << 10;

/// The body of an answer, with the exchange that it ends.
#[derive(Debug)]
pub struct Body {
    source: Source,
    rest_bytes: u64,
    /// Counts what is sent, and is told when nothing more is.
    exchange: Option<Exchange>,
}

#[derive(Debug)]
enum Source {
    Nothing,
    Slices(Slices),
    File(Reading),
}

/// A file from which a piece at a time is read, away from the runtime's threads.
#[derive(Debug)]
enum Reading {
    Idle(Arc<File>),
    Busy(JoinHandle<(Arc<File>, io::Result<Bytes>)>),
    Done,
}

impl Body {
    /// Nothing at all.
    pub const fn empty() -> Self {
        Self { source: Source::Nothing, rest_bytes: 0, exchange: None }
    }

    /// The bytes of `chunks` within `span`; they are shared, not copied.
    pub fn slices(chunks: Chunks, span: Span) -> Self {
        let slices = Slices::of(chunks, span);
        Self { rest_bytes: slices.len(), source: Source::Slices(slices), exchange: None }
    }

    /// `count` bytes of `file` from where it stands.
    pub fn file(file: File, count: u64) -> Self {
        Self { source: Source::File(Reading::Idle(Arc::new(file))), rest_bytes: count, exchange: None }
    }

    /// Keeps `exchange` until the body is done with.
    pub fn under(mut self, mut exchange: Exchange) -> Self {
        if self.rest_bytes > 0 {
            exchange.send(matches!(self.source, Source::Slices(_)));
        }
        self.exchange = Some(exchange);
        self
    }

    /// Its length, in bytes.
    pub const fn len(&self) -> u64 {
        self.rest_bytes
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Slices>>> {
        let most = usize::try_from(self.rest_bytes).unwrap_or(usize::MAX).min(FRAME_BYTES);
        if most == 0 {
            return Poll::Ready(None);
        }
        match &mut self.source {
            Source::Nothing => Poll::Ready(None),
            Source::Slices(slices) => {
                let frame = slices.beginning(most);
                slices.advance(frame.remaining());
                Poll::Ready(Some(Ok(frame)))
            }
            Source::File(reading) => reading.poll(most, context),
        }
    }
}

impl Reading {
    fn poll(&mut self, most: usize, context: &mut Context<'_>) -> Poll<Option<io::Result<Slices>>> {
        if let Self::Idle(file) = self {
            let file = Arc::clone(file);
            *self = Self::Busy(spawn_blocking(move || {
                let read = read(&file, most);
                (file, read)
            }));
        }
        let Self::Busy(reading) = self else { return Poll::Ready(None) };
        let (file, read) = ready!(Pin::new(reading).poll(context)).map_err(io::Error::other)?;
        *self = if read.is_ok() { Self::Idle(file) } else { Self::Done };
        Poll::Ready(Some(read.map(|bytes| Slices::of(bytes.into(), Span::whole(most as u64)))))
    }
}

/// A piece of `file`, of `most` bytes; fewer are an error.
fn read(file: &File, most: usize) -> io::Result<Bytes> {
    let mut piece = Vec::with_capacity(most);
    file.take(most as u64).read_to_end(&mut piece)?;
    if piece.len() < most {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file was cut while it was sent"));
    }
    Ok(piece.into())
}

impl http_body::Body for Body {
    type Data = Slices;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Slices>>>> {
        let Some(next) = ready!(self.poll_next(context)) else { return Poll::Ready(None) };
        let frame = next?;
        self.rest_bytes = self.rest_bytes.saturating_sub(frame.len());
        if let Some(exchange) = &self.exchange {
            exchange.sent(frame.len())?;
        }
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest_bytes == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest_bytes)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    fn chunks() -> Chunks {
        [&b"abc"[..], b"defg", b"hi"].into_iter().map(Bytes::from_static).collect()
    }

    async fn collected(body: Body) -> Vec<u8> {
        body.collect().await.unwrap().to_bytes().to_vec()
    }

    #[tokio::test]
    async fn any_span_of_the_slices_is_sent() {
        let whole = b"abcdefghi";
        for first in 0..9 {
            for last in first..9 {
                let body = Body::slices(chunks(), Span { first, last });
                assert_eq!(body.len(), last - first + 1);
                assert_eq!(collected(body).await, whole[first as usize..=last as usize]);
            }
        }
    }

    #[tokio::test]
    async fn frames_are_the_slices_themselves() {
        let buffer = Bytes::from(vec![7; 600 << 10]);
        let span = Span { first: 10, last: (600 << 10) - 1 };
        let mut body = Body::slices(buffer.clone().into(), span);
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first.chunk().as_ptr(), buffer[10..].as_ptr());
        assert_eq!(first.remaining(), FRAME_BYTES);
    }

    #[tokio::test]
    async fn a_file_is_sent_from_where_it_stands_and_its_cut_is_an_error() {
        use std::io::{Seek as _, SeekFrom};
        let path = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(path.path(), vec![1; 300 << 10]).unwrap();
        let open = || {
            let mut file = File::open(path.path()).unwrap();
            file.seek(SeekFrom::Start(5)).unwrap();
            file
        };
        assert_eq!(collected(Body::file(open(), (300 << 10) - 5)).await.len(), (300 << 10) - 5);
        assert!(Body::file(open(), 300 << 10).collect().await.is_err());
    }
}
