//! The presentation: what a channel shows, as numbers and lists only.
//!
//! Segments are opened and closed ([`Presentation::open`], [`Presentation::close`]); what comes back is a
//! [`Plan`]: segments to put and playlists to put, in the order that keeps every playlist true.
//! It decides and does nothing: others do what it says, readers and destinations take an immutable [`Snapshot`].
//! Time comes in by the door, monotonic since the channel's start, so a week of stream is tested in seconds.
//!
//! | file | what it decides |
//! |---|---|
//! | `presentation` | when what is put: the order of everything |
//! | `window` | what one media playlist shows, its sequence numbers |
//! | `timeline` | discontinuities of the whole channel, and wall time from PTS |
//! | `target` | the target duration |
//! | `variant` | bandwidths and the multivariant playlist |
//! | `retention` | when what a place no longer shows may be deleted there |
//! | `resume` | how an earlier run's playlists are taken up |
//! | `naming` | keys, and the URIs that lead to them |
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use segcast::{live, segment, time::Ticks};
//!
//! let mut presentation = live::Presentation::new(live::Options {
//!     kind: live::Kind::Live { window: 6 },
//!     target: Duration::from_secs(4),
//!     multivariant: None,
//!     url_prefix: String::new(),
//!     has_date_time: true,
//!     renditions: vec![live::Rendition { playlist: "index.m3u8".to_owned(), ..Default::default() }],
//! });
//! let head = segment::Head {
//!     start: Ticks::ZERO,
//!     decode_start: Ticks::ZERO,
//!     is_discontinuity: false,
//!     is_independent: true,
//! };
//! presentation.open(0, &head, SystemTime::UNIX_EPOCH);
//! let four = Duration::from_secs(4);
//! let extent = segment::Extent {
//!     head,
//!     duration: four,
//!     size_bytes: 1_000_000,
//!     longest: four,
//!     decode_end: Ticks::from(four),
//! };
//! let plan = presentation.close(0, &extent);
//! assert!(matches!(&plan.steps()[0], live::Step::PutSegment { key, .. } if key == "00001.ts"));
//! assert!(matches!(&plan.steps()[1], live::Step::PutPlaylist { key, .. } if key == "index.m3u8"));
//! ```
//!
//! Clauses are those of RFC 8216 (August 2017).

use std::time::Duration;

mod naming;
mod plan;
mod presentation;
#[cfg(test)]
mod replay;
mod resume;
mod retention;
mod snapshot;
mod target;
mod timeline;
mod variant;
mod view;
mod window;

pub use plan::{Anomaly, Plan, Step};
pub use presentation::Presentation;
pub use resume::numbers;
pub use retention::Retention;
pub use snapshot::Snapshot;
pub use view::View;

/// What kind of playlist is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A sliding window of so many segments.
    Live {
        /// Segments in the playlist, at least; never fewer than three target durations (RFC 8216 §6.2.2).
        window: usize,
    },
    /// Grows, nothing leaves it (EXT-X-PLAYLIST-TYPE:EVENT).
    Event,
    /// Written once, at the end (EXT-X-PLAYLIST-TYPE:VOD).
    Vod,
}

/// How a channel presents itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What kind of playlist is kept.
    pub kind: Kind,
    /// The segment duration aimed at.
    pub target: Duration,
    /// Key of the multivariant playlist; none for a lone rendition without one.
    pub multivariant: Option<String>,
    /// Put before each key in the playlists; empty means names relative to the playlist.
    pub url_prefix: String,
    /// Whether EXT-X-PROGRAM-DATE-TIME is written.
    pub has_date_time: bool,
    /// The renditions, in the order of the multivariant playlist.
    pub renditions: Vec<Rendition>,
}

impl Options {
    /// Key of the playlist that viewers open: the multivariant one, or the lone rendition's.
    pub fn entry(&self) -> &str {
        let first = || self.renditions.first().map_or("", |rendition| &rendition.playlist);
        self.multivariant.as_deref().unwrap_or_else(first)
    }
}

/// One rendition's names and declared numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendition {
    /// Its name, for people.
    pub name: String,
    /// Key of its media playlist, such as `720p/index.m3u8`.
    pub playlist: String,
    /// What stands before the number in a segment's key, such as `720p/` or `sample_high-`.
    pub segment_prefix: String,
    /// Peak bits per second as configured; it wins over what is measured.
    pub bandwidth_bps: Option<u64>,
}

impl Rendition {
    /// The key of segment `number`: the prefix, five digits or more, `.ts`.
    pub fn segment_key(&self, number: u64) -> String {
        format!("{}{number:05}.ts", self.segment_prefix)
    }
}
