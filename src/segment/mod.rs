//! Cutting a transport stream into segments that stand alone, without copying it.
//!
//! - [`Segmenter`]: bytes in, whole [`Segment`]s out. What most want.
//! - [`Cutter`]: the same, but a segment's bytes come as soon as they are there: for writers that hold
//!   nothing back.
//! - [`OnMissingRandomAccess`]: what happens where no boundary can be had in time.
//!
//! Boundaries lie on a grid of anchor + k × target, at the first random access point at or behind each line. A
//! segment begins with PAT and PMT and holds whole PES packets only. Which segments a playlist names is not
//! decided here but in [`live`](crate::live).

mod cadence;
mod cutter;
mod grid;
mod lanes;
mod outlet;
mod segmenter;
mod timing;

use std::time::Duration;

pub use cutter::{Cutter, Event, Events};
pub use segmenter::{Output, Segment, Segmenter};

use crate::time::Ticks;
use crate::ts::Selection;

/// How a stream is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The distance of the grid's lines.
    pub target: Duration,
    /// The program that is cut.
    pub program: Selection,
    /// What is done where random access points are too far apart.
    pub on_missing: OnMissingRandomAccess,
}

impl Default for Options {
    /// Six seconds, the first program with video, never longer than promised.
    fn default() -> Self {
        Self {
            target: Duration::from_secs(6),
            program: Selection::First,
            on_missing: OnMissingRandomAccess::Cut,
        }
    }
}

/// What is done where no random access point comes before a segment would be longer than the longest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnMissingRandomAccess {
    /// Cut at a picture that is none, so that the target duration of a playlist already out there holds
    /// (RFC 8216 §4.3.3.1). That segment is not independent. For live streams.
    #[default]
    Cut,
    /// Let the segment grow until one comes. For files, whose playlist is written at the end.
    Extend,
}

/// The head of a segment: what is known when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// PTS of its first picture (or audio frame), on the unwrapped line.
    pub start: Ticks,
    /// Whether the timeline breaks before it: timestamps jumped, or the stream became another.
    pub is_discontinuity: bool,
    /// Whether it begins at a closed random access point with its parameter sets.
    pub is_independent: bool,
}

/// A closed segment's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// As it was opened.
    pub head: Head,
    /// Real duration, from timestamps, in whole microseconds. Spans that touch add up without rounding drift.
    pub duration: Duration,
    /// Its size.
    pub size_bytes: u64,
    /// No segment of this stream will last longer: whole seconds, fixed from the first segment on.
    pub longest: Duration,
}

/// A part of a segment that is whole (rfc8216bis §4.4.4.9): some pictures of it, in decoding order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Counted from 0 in its segment.
    pub index: u32,
    /// DTS of its first picture, on the unwrapped line.
    pub decode_start: Ticks,
    /// DTS of the picture that follows it.
    pub decode_end: Ticks,
    /// From the one to the other, in whole microseconds.
    pub duration: Duration,
    /// Whether it begins with a random access point.
    pub is_independent: bool,
    /// No part of this stream will last longer; fixed from the first part on.
    pub longest: Duration,
}
