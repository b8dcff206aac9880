//! What is to be done, in order.

use std::fmt;
use std::time::Duration;

/// Steps in the order in which they are to be done, and what was found wrong on the way.
///
/// A place where they are done in order never shows a playlist that names what is not there. Where they are done beside
/// each other, or may fail, it takes more: see `delivery`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    steps: Vec<Step>,
    anomalies: Vec<Anomaly>,
}

/// One thing to do at every destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Put the segment that was just closed.
    PutSegment {
        /// Which rendition's, counted from 0 in the order of the options.
        rendition: usize,
        /// The number in its name.
        number: u64,
        /// Where it is put.
        key: String,
    },
    /// Put a playlist whole, in place of the one before.
    PutPlaylist {
        /// Where it is put.
        key: String,
        /// What it says.
        text: String,
    },
}

/// What should not have happened, and was dealt with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Anomaly {
    /// A segment lasts longer than the target duration that its playlist is bound to.
    ///
    /// The target duration must not change and no EXTINF may exceed it, while EXTINF only *should* be exact
    /// (RFC 8216 §4.3.3.1, §4.3.2.1, §6.2.1). So all of the segment stays, its EXTINF is written as the target
    /// duration, and the next segment's EXT-X-PROGRAM-DATE-TIME tells again where the timeline really is.
    LongerThanTarget {
        /// Which rendition's.
        rendition: usize,
        /// The number in its name.
        number: u64,
        /// How long it really lasts.
        duration: Duration,
        /// What was written.
        target: Duration,
    },
    /// A part lasts longer than the part target that the playlists are bound to, and is told to last no longer than
    /// that.
    PartLongerThanTarget {
        /// Which rendition's.
        rendition: usize,
        /// The number in its name.
        number: u64,
        /// Its index in the segment.
        index: u32,
        /// How long it really lasts.
        duration: Duration,
        /// What was told.
        target: Duration,
    },
    /// A variant's segments, and the audio that goes with them, have a higher peak bit rate than was configured. BANDWIDTH
    /// must not be below it (RFC 8216 §4.3.4.2), so it is what is measured from now on. Told once.
    BandwidthExceeded {
        /// Which rendition's.
        rendition: usize,
        /// Bits a second.
        measured_bps: u64,
        /// Bits a second.
        configured_bps: u64,
    },
    /// An earlier run's playlist, which is gone on with, had a target duration too short for this run's
    /// segments: players that still hold it may stumble once.
    TargetRaised {
        /// The earlier run's.
        from: Duration,
        /// This run's.
        to: Duration,
    },
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LongerThanTarget { rendition, number, duration, target } => write!(
                f,
                "segment {number} of rendition {rendition} lasts {:.3} s, longer than the target duration of {} s \
                 that its playlist is bound to",
                duration.as_secs_f64(),
                target.as_secs()
            ),
            Self::PartLongerThanTarget { rendition, number, index, duration, target } => write!(
                f,
                "part {index} of segment {number} of rendition {rendition} lasts {:.3} s, longer than the part target of \
                 {:.3} s that its playlist is bound to",
                duration.as_secs_f64(),
                target.as_secs_f64()
            ),
            Self::BandwidthExceeded { rendition, measured_bps, configured_bps } => write!(
                f,
                "segments of rendition {rendition} need {measured_bps} bit/s, more than the configured bandwidth of \
                 {configured_bps} bit/s: BANDWIDTH is the measured figure from now on; raise `bandwidth` or lower the bitrate"
            ),
            Self::TargetRaised { from, to } => write!(
                f,
                "the target duration of an earlier run, {} s, is too short for this one and becomes {} s",
                from.as_secs(),
                to.as_secs()
            ),
        }
    }
}

impl Plan {
    /// The steps, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What was found wrong.
    pub fn anomalies(&self) -> &[Anomaly] {
        &self.anomalies
    }

    /// Whether there is nothing to do.
    pub const fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    pub(super) fn push(&mut self, step: Step) {
        self.steps.push(step);
    }

    pub(super) fn report(&mut self, anomaly: Anomaly) {
        self.anomalies.push(anomaly);
    }
}

impl IntoIterator for Plan {
    type Item = Step;
    type IntoIter = std::vec::IntoIter<Step>;

    fn into_iter(self) -> Self::IntoIter {
        self.steps.into_iter()
    }
}

impl<'a> IntoIterator for &'a Plan {
    type Item = &'a Step;
    type IntoIter = std::slice::Iter<'a, Step>;

    fn into_iter(self) -> Self::IntoIter {
        self.steps.iter()
    }
}
