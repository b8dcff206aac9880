//! How samples stand for colours: code points of ITU-T H.273, the same in H.264, HEVC and nclx boxes.

use super::bits::Bits;

/// A colour description, as a video usability information has it (H.264 §E.2.1, H.265 §E.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    /// colour_primaries.
    pub primaries: u8,
    /// transfer_characteristics: 16 is PQ (SMPTE ST 2084), 18 is HLG (ARIB STD-B67).
    pub transfer: u8,
    /// matrix_coefficients.
    pub matrix: u8,
    /// video_full_range_flag.
    pub is_full_range: bool,
}

impl Colour {
    /// Nothing but a full range flag: all code points are 2, unspecified.
    const UNSPECIFIED: Self = Self { primaries: 2, transfer: 2, matrix: 2, is_full_range: false };

    /// What is left of `stated` where an SEI message prefers other transfer characteristics.
    pub(crate) fn preferring(stated: Option<Self>, transfer: Option<u8>) -> Option<Self> {
        match transfer {
            Some(transfer) => Some(Self { transfer, ..stated.unwrap_or(Self::UNSPECIFIED) }),
            None => stated,
        }
    }

    /// Reads the colour description of a HEVC VUI, from video_full_range_flag on. The inner `None`: there is none.
    pub(crate) fn read(bits: &mut Bits<'_>) -> Option<Option<Self>> {
        let is_full_range = bits.flag()?;
        if !bits.flag()? {
            return Some(None);
        }
        let (primaries, transfer, matrix) = (bits.small(8)?, bits.small(8)?, bits.small(8)?);
        Some(Some(Self { primaries, transfer, matrix, is_full_range }))
    }
}

/// payloadType of alternative transfer characteristics, in H.264 and in HEVC: a stream whose headers say BT.709 or
/// BT.2020, for old receivers, says with it that it is HLG.
pub(crate) const ALTERNATIVE_TRANSFER: u32 = 147;

/// sar_width and sar_height of aspect_ratio_idc (H.264 table E-1, H.265 table E.1), but for 255, which is followed by
/// its own; none for unspecified and reserved ones.
pub(crate) const fn sample_aspect(aspect_ratio_idc: u32) -> Option<(u16, u16)> {
    Some(match aspect_ratio_idc {
        1 => (1, 1),
        2 => (12, 11),
        3 => (10, 11),
        4 => (16, 11),
        5 => (40, 33),
        6 => (24, 11),
        7 => (20, 11),
        8 => (32, 11),
        9 => (80, 33),
        10 => (18, 11),
        11 => (15, 11),
        12 => (64, 33),
        13 => (160, 99),
        14 => (4, 3),
        15 => (3, 2),
        16 => (2, 1),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preferred_transfer_replaces_the_stated_one() {
        let stated = Colour { primaries: 9, transfer: 14, matrix: 9, is_full_range: false };
        let hlg = Colour { transfer: 18, ..stated };
        assert_eq!(Colour::preferring(Some(stated), Some(18)), Some(hlg));
        assert_eq!(Colour::preferring(Some(stated), None), Some(stated));
        assert_eq!(Colour::preferring(None, Some(18)).map(|colour| colour.transfer), Some(18));
        assert_eq!(Colour::preferring(None, None), None);
    }
}
