//! m3u8: media and multivariant playlist values ⇄ text.
//!
//! [`Media`] is what one rendition's playlist says, [`Multivariant`] lists the variants and their sound. Both are plain values:
//! `render` is a pure function of the value, `parse` reads any such text back and passes over tags it does not
//! know. What a playlist *should* say is decided elsewhere (`live`); here is only how it is written.
//!
//! ```
//! use segcast::playlist::Media;
//!
//! let text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:3.5,\n00001.ts\n#EXT-X-ENDLIST\n";
//! let media = Media::parse(text)?;
//! assert_eq!(media.segments[0].duration.as_millis(), 3500);
//! assert!(media.is_ended);
//! # Ok::<(), segcast::playlist::Error>(())
//! ```
//!
//! Clauses are those of RFC 8216 (August 2017); where it says so, of its second edition in the making, rfc8216bis
//! (draft-pantos-hls-rfc8216bis-20, February 2026).

mod attribute;
mod date;
mod date_range;
mod hint;
mod line;
mod low_latency;
mod media;
mod multivariant;
mod part;
mod rendition;
mod report;
mod segment;
mod server_control;
mod uri;

pub use date_range::{DateRange, Value};
pub use hint::Hint;
pub use low_latency::LowLatency;
pub use media::{Media, Type};
pub use multivariant::{Multivariant, Resolution, Variant, VideoRange};
pub use part::{Open, Part};
pub use rendition::Rendition;
pub use report::Report;
pub use segment::Segment;
pub use server_control::ServerControl;
pub use uri::{decode_path, encode_path, escape};

/// A line that is not what a playlist needs there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: expected {expected}, found {found:?}")]
#[non_exhaustive]
pub struct Error {
    /// Counted from 1; one past the last where something is missing at the end.
    pub line: usize,
    /// What should have stood there.
    pub expected: &'static str,
    /// What stood there, shortened.
    pub found: String,
}

impl Error {
    /// The most characters of a line that an error repeats.
    const FOUND_CHARS: usize = 60;

    fn new(line: usize, expected: &'static str, found: &str) -> Self {
        Self { line, expected, found: found.chars().take(Self::FOUND_CHARS).collect() }
    }
}
