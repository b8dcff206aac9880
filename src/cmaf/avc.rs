//! H.264 in sample entries: avc1 and its avcC (ISO/IEC 14496-15 §5.3.3).

use mp4_atom::{Avc1, Avcc, AvccExt, Codec};

use super::annex_b::LENGTH;
use super::entry::{colr, pasp, visual};
use super::sets::Sets;
use super::syntax::Unit;
use crate::codec::{self, record};

/// nal_unit_type (H.264 table 7-1).
mod nal {
    pub const FIRST_SLICE: u8 = 1;
    pub const LAST_SLICE: u8 = 5;
    pub const SPS: u8 = 7;
    pub const PPS: u8 = 8;
    pub const DELIMITER: u8 = 9;
    pub const FILLER: u8 = 12;
    pub const SPS_EXTENSION: u8 = 13;
}

/// What a NAL unit is.
pub fn unit(unit: &[u8]) -> Unit {
    let Some(header) = unit.first() else { return Unit::Filler };
    match header & 0x1f {
        nal::FIRST_SLICE..=nal::LAST_SLICE => Unit::Slice { is_disposable: header & 0x60 == 0 },
        kind @ (nal::PPS | nal::SPS_EXTENSION) => set(kind, record::number_at(unit, 1)),
        // Behind profile, constraints and level.
        nal::SPS => set(nal::SPS, record::number_at(unit, 4)),
        nal::DELIMITER => Unit::Delimiter,
        nal::FILLER => Unit::Filler,
        _ => Unit::Other,
    }
}

fn set(kind: u8, number: Option<u32>) -> Unit {
    number.map_or(Unit::Other, |number| Unit::Set((kind, number)))
}

/// The sample entry, once the sets that it takes are there.
pub fn entry(sets: &Sets, video: &codec::Video) -> Option<Codec> {
    /// Profiles whose record tells how samples are coded.
    const HIGH: [u8; 4] = [100, 110, 122, 244];
    let (sps, pps) = (sets.of(nal::SPS), sets.of(nal::PPS));
    let &[_, profile, constraints, level, ..] = sps.first()?.as_slice() else { return None };
    // Their number has five bits.
    if pps.is_empty() || sps.len() > 31 {
        return None;
    }
    let sampling = record::h264(sps.first()?).filter(|_| HIGH.contains(&profile));
    let ext = sampling.map(|sampling| AvccExt {
        chroma_format: sampling.chroma_format,
        bit_depth_luma: sampling.luma_bits,
        bit_depth_chroma: sampling.chroma_bits,
        sequence_parameter_sets_ext: sets.of(nal::SPS_EXTENSION),
    });
    let avcc = Avcc {
        configuration_version: 1,
        avc_profile_indication: profile,
        profile_compatibility: constraints,
        avc_level_indication: level,
        length_size: LENGTH as u8,
        sequence_parameter_sets: sps,
        picture_parameter_sets: pps,
        ext,
    };
    let (colr, pasp) = (colr(video), pasp(video));
    Some(Avc1 { visual: visual(video), avcc, colr, pasp, ..Avc1::default() }.into())
}
