//! Where a rendition's playlist ends: the segment that is not whole yet.

use crate::playlist;

/// The segment that is not whole yet, and what there is of it. It never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    pub(super) media_sequence: u64,
    pub(super) number: u64,
    pub(super) open: playlist::Open,
}

impl Edge {
    /// The media sequence number that it will have: the one behind the last whole segment.
    pub const fn media_sequence(&self) -> u64 {
        self.media_sequence
    }

    /// The number in its name.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The parts that are there, in order.
    pub fn parts(&self) -> &[playlist::Part] {
        &self.open.parts
    }

    /// The index of the part that comes next, as EXT-X-PRELOAD-HINT tells it.
    pub fn next_part(&self) -> u64 {
        self.open.parts.len() as u64
    }
}
