//! What readers find in an output, whatever its format.

use segcast::segment::Extent;

use super::drive::Segment;

/// What can be wrong with an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The core or a reader panicked.
    Panic,
    /// Each intact frame is there once, unaltered and in order.
    Frames,
    /// A frame's timestamps are those that it came with.
    Timestamps,
    /// In CMAF, keyframes and no others are sync samples.
    Sync,
    /// A segment stands alone: PAT, PMT, then a whole frame; counters go on.
    Shape,
    /// A segment begins with a keyframe where one is in reach.
    Keyframe,
    /// A segment begins with the keyframe that is nearest to a line of the grid.
    Grid,
    /// Durations are those of the frames, and add up.
    Duration,
    /// No segment lasts less than 0.1 s, but the last.
    Short,
    /// No segment is without media, or without video where there is video.
    Empty,
    /// No discontinuity without a cause.
    Discontinuity,
    /// Parts are whole, and together the segment.
    Parts,
    /// What is held is bounded.
    Held,
    /// The same bytes give the same output, however they are pushed.
    Chunking,
    /// Renditions of one source are cut at the same frames.
    Aligned,
}

/// A rule that does not hold.
#[derive(Clone, Debug)]
pub struct Violation {
    pub rule: Rule,
    pub text: String,
}

/// A frame in an output.
#[derive(Clone, Debug)]
pub struct Seen {
    pub track: usize,
    pub id: u32,
    pub segment: usize,
    /// In ticks, where the format says so for this frame.
    pub pts: Option<i64>,
    pub dts: Option<i64>,
    pub is_sync: Option<bool>,
    /// Whether its bytes are what they were.
    pub is_exact: bool,
}

/// One media playlist's worth of output.
#[derive(Clone, Debug, Default)]
pub struct Playlist {
    /// Format and track, for messages.
    pub name: String,
    pub extents: Vec<Extent>,
    /// Frames in their order in each stream.
    pub seen: Vec<Seen>,
    /// What the reader found wrong.
    pub violations: Vec<Violation>,
}

impl Playlist {
    pub fn new(name: &str, segments: &[Segment]) -> Self {
        Self {
            name: name.to_owned(),
            extents: segments.iter().map(|segment| segment.extent).collect(),
            ..Self::default()
        }
    }

    pub fn fail(&mut self, rule: Rule, text: impl AsRef<str>) {
        let text = format!("{}: {}", self.name, text.as_ref());
        self.violations.push(Violation { rule, text });
    }

    /// The frames of one track.
    pub fn of(&self, track: usize) -> impl DoubleEndedIterator<Item = &Seen> {
        self.seen.iter().filter(move |seen| seen.track == track)
    }
}
