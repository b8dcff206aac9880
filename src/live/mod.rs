//! The presentation.
use std::time::Duration;

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
    /// Put before each file name in the playlists; empty means names relative to the playlist.
    pub url_prefix: String,
    /// Whether EXT-X-PROGRAM-DATE-TIME is written.
    pub has_date_time: bool,
    /// The renditions, in the order of the multivariant playlist.
    pub renditions: Vec<Rendition>,
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
