//! Cutting.
use std::time::Duration;

use crate::time::Ticks;

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
