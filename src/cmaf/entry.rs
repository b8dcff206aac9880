//! What describes a stream's samples to a decoder: a sample entry.

use mp4_atom::{Audio, Codec, FixedPoint, Visual};

use crate::codec::{self, Format};

/// A sample entry, and what belongs to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub codec: Codec,
    /// Ticks a second in which the track counts.
    pub timescale: u32,
    /// The same, as the rest of the program says it.
    pub format: Format,
}

/// The fields that all entries of pictures have.
pub fn visual(video: &codec::Video) -> Visual {
    let side = |pixels: u32| u16::try_from(pixels).unwrap_or(u16::MAX);
    Visual {
        data_reference_index: 1,
        width: side(video.width),
        height: side(video.height),
        ..Visual::default()
    }
}

/// The fields that all entries of sound have.
pub fn audio(channels: u8, rate_hz: u32) -> Audio {
    Audio {
        data_reference_index: 1,
        channel_count: channels.into(),
        sample_size: 16,
        // 16 bits do not hold higher rates: there, 0 leaves it to the decoder's configuration.
        sample_rate: FixedPoint::from(u16::try_from(rate_hz).unwrap_or(0)),
    }
}
