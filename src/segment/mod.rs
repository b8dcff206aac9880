//! Cutting a transport stream into segments that stand alone, without copying it.
//!
//! - [`Segmenter`]: bytes in, whole [`Segment`]s out. What most want.
//! - [`Cutter`]: the same, but a segment's bytes come as soon as they are there: for writers that hold
//!   nothing back.
//! - [`Part`]: a stretch of a segment, for players that do not wait for its end; where [`Options::part`] asks for
//!   it.
//! - [`OnMissingRandomAccess`]: what happens where no boundary can be had in time.
//!
//! # The cut rule
//! 1. Grid lines lie at anchor + k × target. The anchor is the first random access point of a timeline; the renditions of
//!    a channel share it, so that they cut at the same frames, and nothing drifts.
//! 2. Each line takes the random access point nearest to it: one that is early by up to half of the least of the last
//!    eight spacings counts, for the next one is expected to be farther off. No segment on the grid is shorter than a
//!    quarter of a second.
//! 3. The target duration is fixed when the first segment ends, from the spacing seen by then (⌈target / spacing⌉ ×
//!    spacing). Durations are compared with it rounded to the nearest integer (RFC 8216 §4.3.3.1): 2.04 s keep a target
//!    duration of 2. EXTINF is always the real duration.
//!    A random access point is taken off the lines where the next one would exceed it.
//! 4. Where no random access point keeps it, [`OnMissingRandomAccess`] decides; it is reported once, with the spacing.
//! 5. A step of the decoding times by more than 10 s, or back by more than 0.5 s, is a discontinuity, unless audio ran on
//!    from before it until after: then it is a gap in the pictures, and the timeline continues. An outage of
//!    all streams that would make a segment exceed its target duration is a discontinuity too. A step of the audio alone is
//!    reported.
//! 6. While more audio arrives than usually does between two pictures, segments are cut at the lines by the audio clock.
//!    Video that never arrived, or was away for 20 s, begins a new timeline at its next random access point.
//! 7. A PMT that changes tracks is a discontinuity at the next random access point, and loses nothing; one that changes
//!    what is no audio or video changes no segment.
//!
//! A segment begins with PAT and PMT and holds whole PES packets only. Which segments a playlist names is not
//! decided here but in [`live`](crate::live).

mod audio_pids;
mod cadence;
mod choice;
mod clock;
mod cutter;
mod grid;
mod lanes;
mod outlet;
mod parts;
mod repeat;
mod segmenter;
mod spacing;
mod timing;

use std::time::Duration;

pub(crate) use cutter::is_plausible_delay;
pub use cutter::{Cutter, Event, Events};
pub use segmenter::{Gatherer, Output, Segment, Segmenter};

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
    /// The duration of parts that is aimed at; none makes no parts.
    pub part: Option<Duration>,
}

impl Default for Options {
    /// Six seconds, the first program with video, never longer than promised, no parts.
    fn default() -> Self {
        Self {
            target: Duration::from_secs(6),
            program: Selection::First,
            on_missing: OnMissingRandomAccess::Cut,
            part: None,
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
    /// DTS of that picture.
    pub decode_start: Ticks,
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
    /// DTS of what follows it; an estimate where nothing does, or another timeline.
    pub decode_end: Ticks,
}

/// A stretch of a segment: whole access units of the reference stream, and what was sent with them.
///
/// Parts of a segment follow each other without a gap, and together they are the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its place in the segment, counted from 0.
    pub index: u32,
    /// DTS of its first access unit, on the unwrapped line.
    pub decode_start: Ticks,
    /// DTS of what follows it; an estimate where nothing does, or another timeline.
    pub decode_end: Ticks,
    /// The distance of the two, in whole microseconds.
    pub duration: Duration,
    /// Whether it begins with a random access point that needs nothing before it to be shown itself, and with its
    /// parameter sets.
    pub is_independent: bool,
    /// No part of this stream will last longer, but where a single access unit does: fixed from the first part on.
    pub longest: Duration,
}
