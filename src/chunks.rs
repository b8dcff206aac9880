//! An ordered, cheaply cloned list of shared slices: a segment's bytes without a copy of them.

use std::io::IoSlice;
use std::sync::Arc;

use bytes::Bytes;

/// Shared slices in order. Cloning it clones one pointer.
#[derive(Clone, Debug, Default)]
pub struct Chunks {
    slices: Arc<[Bytes]>,
    size_bytes: u64,
}

impl Chunks {
    /// The sum of the slices' lengths.
    pub const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Whether there is no byte in it.
    pub const fn is_empty(&self) -> bool {
        self.size_bytes == 0
    }

    /// The slices, in order; none is empty.
    pub fn slices(&self) -> &[Bytes] {
        &self.slices
    }

    /// The slices from byte `offset` on, as a vectored write takes them, at most `limit` of them.
    pub fn io_slices(&self, offset: u64, limit: usize) -> Vec<IoSlice<'_>> {
        let mut skip = offset;
        let mut out = Vec::with_capacity(limit.min(self.slices.len()));
        for slice in self.slices.iter() {
            let len = slice.len() as u64;
            if skip >= len {
                skip -= len;
                continue;
            }
            if out.len() == limit {
                break;
            }
            out.push(IoSlice::new(&slice[skip as usize..]));
            skip = 0;
        }
        out
    }

    /// All bytes in one new buffer. It copies: for tests and small objects.
    pub fn to_bytes(&self) -> Bytes {
        self.slices.iter().flat_map(|slice| slice.iter().copied()).collect()
    }
}

impl FromIterator<Bytes> for Chunks {
    fn from_iter<I: IntoIterator<Item = Bytes>>(slices: I) -> Self {
        let slices: Arc<[Bytes]> = slices.into_iter().filter(|slice| !slice.is_empty()).collect();
        let size_bytes = slices.iter().map(|slice| slice.len() as u64).sum();
        Self { slices, size_bytes }
    }
}

impl From<Bytes> for Chunks {
    fn from(bytes: Bytes) -> Self {
        std::iter::once(bytes).collect()
    }
}

impl From<String> for Chunks {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_shared_not_copied() {
        let buffer = Bytes::from(vec![7; 1000]);
        let chunks: Chunks =
            [buffer.slice(0..10), Bytes::new(), buffer.slice(500..600)].into_iter().collect();
        assert_eq!(chunks.size_bytes(), 110);
        assert_eq!(chunks.slices().len(), 2);
        assert_eq!(chunks.slices()[1].as_ptr(), buffer[500..].as_ptr());
    }

    #[test]
    fn io_slices_go_on_in_mid_slice() {
        let chunks: Chunks = [Bytes::from_static(b"abc"), Bytes::from_static(b"defg")].into_iter().collect();
        let rest: Vec<u8> = chunks.io_slices(4, 8).iter().flat_map(|slice| slice.to_vec()).collect();
        assert_eq!(rest, b"efg");
        assert_eq!(chunks.io_slices(0, 1).len(), 1);
        assert!(chunks.io_slices(7, 8).is_empty());
    }
}
