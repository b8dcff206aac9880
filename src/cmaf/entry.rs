//! What describes a stream's samples to a decoder: a sample entry.

use mp4_atom::{Audio, Codec, Colr, FixedPoint, Pasp, Visual};

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

/// How samples stand for colours (ISO/IEC 14496-12 §12.1.5), where the stream says so.
pub fn colr(video: &codec::Video) -> Option<Colr> {
    video.colour.map(|colour| Colr::Nclx {
        colour_primaries: colour.primaries.into(),
        transfer_characteristics: colour.transfer.into(),
        matrix_coefficients: colour.matrix.into(),
        full_range_flag: colour.is_full_range,
    })
}

/// The shape of samples that are not square (ISO/IEC 14496-12 §12.1.4).
pub fn pasp(video: &codec::Video) -> Option<Pasp> {
    let (width, height) = video.sample_aspect.filter(|(width, height)| width != height)?;
    Some(Pasp { h_spacing: width.into(), v_spacing: height.into() })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Colour;

    #[test]
    fn colours_and_samples_that_are_not_square_are_described() {
        let square = codec::Video {
            codec: codec::Codec::Hevc,
            rfc6381: None,
            width: 720,
            height: 576,
            frame_rate: None,
            is_interlaced: false,
            colour: None,
            sample_aspect: Some((1, 1)),
        };
        assert_eq!((colr(&square), pasp(&square)), (None, None));
        let colour = Colour { primaries: 9, transfer: 16, matrix: 9, is_full_range: true };
        let wide = codec::Video { colour: Some(colour), sample_aspect: Some((64, 45)), ..square };
        let nclx = Colr::Nclx {
            colour_primaries: 9,
            transfer_characteristics: 16,
            matrix_coefficients: 9,
            full_range_flag: true,
        };
        assert_eq!(colr(&wide), Some(nclx));
        assert_eq!(pasp(&wide), Some(Pasp { h_spacing: 64, v_spacing: 45 }));
    }
}
