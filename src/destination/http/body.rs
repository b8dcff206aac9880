//! What is sent with PUT.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::chunks::Chunks;

/// Slices as they are, with their size told before: they are neither joined nor sent in chunks (RFC 9112 §7.1).
pub struct Upload {
    chunks: Chunks,
    /// The slice that comes next.
    next: usize,
    rest_bytes: u64,
}

impl Upload {
    pub fn new(chunks: Chunks) -> Self {
        let rest_bytes = chunks.size_bytes();
        Self { chunks, next: 0, rest_bytes }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(slice) = self.chunks.slices().get(self.next).cloned() else { return Poll::Ready(None) };
        self.next += 1;
        self.rest_bytes -= slice.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(slice))))
    }

    fn is_end_stream(&self) -> bool {
        self.next == self.chunks.slices().len()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest_bytes)
    }
}
