//! Slices of an object on their way.

use std::io::IoSlice;

use bytes::Buf;

use super::range::Span;
use crate::chunks::Chunks;

/// A stretch of an object's shared slices: however many they are, they are written together.
#[derive(Clone, Debug)]
pub struct Slices {
    chunks: Chunks,
    /// Where the stretch begins: a slice, and bytes in it that lie before.
    next: usize,
    skip: usize,
    rest_bytes: u64,
}

impl Slices {
    /// The bytes of `chunks` within `span`, as far as there are any.
    pub fn of(chunks: Chunks, span: Span) -> Self {
        let mut whole = Self { next: 0, skip: 0, rest_bytes: chunks.size_bytes(), chunks };
        whole.pass(span.first);
        whole.rest_bytes = whole.rest_bytes.min(span.len());
        whole
    }

    /// Its first bytes, at most so many.
    pub fn beginning(&self, most: usize) -> Self {
        Self { rest_bytes: self.rest_bytes.min(most as u64), ..self.clone() }
    }

    /// Its length, in bytes.
    pub const fn len(&self) -> u64 {
        self.rest_bytes
    }

    fn pass(&mut self, count: u64) {
        let mut count = count.min(self.rest_bytes);
        self.rest_bytes -= count;
        while let Some(slice) = self.chunks.slices().get(self.next) {
            let left = slice.len() - self.skip;
            if count < left as u64 {
                self.skip += count as usize;
                return;
            }
            count -= left as u64;
            (self.next, self.skip) = (self.next + 1, 0);
        }
    }

    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let (mut skip, mut rest) = (self.skip, self.remaining());
        self.chunks.slices()[self.next..].iter().map_while(move |slice| {
            let from = std::mem::take(&mut skip);
            let piece = &slice[from..slice.len().min(from.saturating_add(rest))];
            rest -= piece.len();
            (!piece.is_empty()).then_some(piece)
        })
    }
}

impl Buf for Slices {
    fn remaining(&self) -> usize {
        usize::try_from(self.rest_bytes).unwrap_or(usize::MAX)
    }

    fn chunk(&self) -> &[u8] {
        self.pieces().next().unwrap_or_default()
    }

    fn chunks_vectored<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (place, piece) in into.iter_mut().zip(self.pieces()) {
            *place = IoSlice::new(piece);
            count += 1;
        }
        count
    }

    fn advance(&mut self, count: usize) {
        self.pass(count as u64);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn chunks() -> Chunks {
        [&b"abc"[..], b"defg", b"hi"].into_iter().map(Bytes::from_static).collect()
    }

    #[test]
    fn any_stretch_is_read_in_steps_of_any_size() {
        let whole = b"abcdefghi";
        for (first, last) in (0..9_u64).flat_map(|first| (first..9).map(move |last| (first, last))) {
            for step in 1..=9 {
                let mut slices = Slices::of(chunks(), Span { first, last });
                let mut read = Vec::new();
                while slices.has_remaining() {
                    let beginning = slices.beginning(step);
                    slices.advance(beginning.remaining());
                    let mut places = [IoSlice::new(&[]); 4];
                    let count = beginning.chunks_vectored(&mut places);
                    places[..count].iter().for_each(|piece| read.extend_from_slice(piece));
                }
                assert_eq!(read, whole[first as usize..=last as usize]);
                assert!(slices.chunk().is_empty());
            }
        }
    }

    #[test]
    fn many_slices_are_written_together() {
        let slices = Slices::of(chunks(), Span { first: 1, last: 7 });
        let mut places = [IoSlice::new(&[]); 4];
        assert_eq!(slices.chunks_vectored(&mut places), 3);
        assert_eq!([&*places[0], &*places[1], &*places[2]], [&b"bc"[..], b"defg", b"h"]);
        assert_eq!(slices.chunks_vectored(&mut places[..2]), 2);
        assert_eq!(slices.chunks_vectored(&mut []), 0);
    }

    #[test]
    fn what_lies_beyond_the_end_is_nothing() {
        assert_eq!(Slices::of(chunks(), Span { first: 5, last: 90 }).len(), 4);
        let beyond = Slices::of(chunks(), Span { first: 90, last: 99 });
        assert!(beyond.chunk().is_empty() && beyond.len() == 0);
        assert_eq!(Slices::of(Chunks::default(), Span::whole(0)).len(), 0);
    }
}
