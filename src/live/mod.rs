//! The presentation: what a channel shows, as numbers and lists only.
//!
//! Segments are opened and closed ([`Presentation::open`], [`Presentation::close`]); what comes back is a
//! [`Plan`]: segments to put and playlists to put, in the order that keeps every playlist true.
//! What is said of stretches of time ([`Presentation::date_range`]) comes from whoever embeds it.
//! It decides and does nothing: others do what it says, readers and destinations take an immutable [`Snapshot`].
//! Time comes in by the door, monotonic since the channel's start, so a week of stream is tested in seconds.
//!
//! | file | what it decides |
//! |---|---|
//! | `presentation` | when what is put: the order of everything |
//! | `run` | one rendition on its way: its numbers, the open segment, its map and parts |
//! | `window` | what one media playlist shows, its sequence numbers |
//! | `timeline` | discontinuities of the whole channel, and wall time from PTS |
//! | `date_ranges` | what is said of stretches of time, and for how long |
//! | `target` | the target durations, of segments and of parts |
//! | `variant` | bandwidths and formats |
//! | `multivariant` | the multivariant playlists: variants and their sound |
//! | `edge`, `low_latency`, `reload` | what is shown of the open segment, and who waits for what |
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
//!     multivariants: vec![],
//!     url_prefix: String::new(),
//!     has_date_time: true,
//!     has_parts: false,
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
//! Clauses are those of RFC 8216 (August 2017), and of its second edition in the making where it says rfc8216bis
//! (draft-pantos-hls-rfc8216bis-20, February 2026).

use std::time::Duration;

mod date_ranges;
mod edge;
mod low_latency;
mod multivariant;
mod naming;
mod plan;
mod presentation;
mod reload;
mod rendition;
#[cfg(test)]
mod replay;
mod resume;
mod retention;
mod run;
mod snapshot;
mod target;
mod timeline;
mod variant;
mod view;
#[cfg(test)]
pub(crate) mod viewer;
mod window;

pub use edge::Edge;
pub use low_latency::{Skip, low_latency};
pub use plan::{Anomaly, Plan, Step};
pub use presentation::Presentation;
pub use reload::Reload;
pub use rendition::{Container, Rendition, Role};
pub use resume::{maps, numbers};
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
    /// The multivariant playlists, each of one container's renditions; the first is what viewers open. None for a lone
    /// rendition without one.
    pub multivariants: Vec<Listing>,
    /// Put before each key in the playlists; empty means names relative to the playlist.
    pub url_prefix: String,
    /// Whether EXT-X-PROGRAM-DATE-TIME is written.
    pub has_date_time: bool,
    /// Whether there are parts (EXT-X-PART), for those who are shown [`low_latency`] playlists.
    pub has_parts: bool,
    /// The renditions, in the order of the multivariant playlist.
    pub renditions: Vec<Rendition>,
}

impl Options {
    /// Key of the playlist that viewers open: the first multivariant one, or the lone rendition's.
    pub fn entry(&self) -> &str {
        let first = || self.renditions.first().map_or("", |rendition| &rendition.playlist);
        self.multivariants.first().map_or_else(first, |listing| &listing.key)
    }
}

/// A multivariant playlist: all variants of one container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Where it is put.
    pub key: String,
    /// What its renditions are made of.
    pub container: Container,
}
