//! HEVC in sample entries: hvc1 and its hvcC (ISO/IEC 14496-15 §8.3.3).

use mp4_atom::{Codec, Hvc1, HvcCArray, Hvcc};

use super::annex_b::LENGTH;
use super::entry::{colr, pasp, visual};
use super::sets::Sets;
use super::syntax::Unit;
use crate::codec::{self, record};

/// nal_unit_type (H.265 table 7-1).
mod nal {
    pub const LAST_SLICE: u8 = 31;
    pub const VPS: u8 = 32;
    pub const SPS: u8 = 33;
    pub const PPS: u8 = 34;
    pub const DELIMITER: u8 = 35;
    pub const FILLER: u8 = 38;
}

/// What a NAL unit is.
pub fn unit(unit: &[u8]) -> Unit {
    let &[first, second, ..] = unit else { return Unit::Filler };
    let is_base = first & 1 == 0 && second >> 3 == 0;
    let number = match first >> 1 & 0x3f {
        0..=nal::LAST_SLICE => return Unit::Slice { is_disposable: false },
        nal::DELIMITER => return Unit::Delimiter,
        nal::FILLER => return Unit::Filler,
        _ if !is_base => None,
        nal::VPS => unit.get(2).map(|byte| u32::from(byte >> 4)),
        nal::SPS => record::hevc(unit).map(|sps| sps.id),
        nal::PPS => record::number_at(unit, 2),
        _ => None,
    };
    number.map_or(Unit::Other, |number| Unit::Set((first >> 1 & 0x3f, number)))
}

/// The sample entry, once the sets that it takes are there.
pub fn entry(sets: &Sets, video: &codec::Video) -> Option<Codec> {
    let arrays = [nal::VPS, nal::SPS, nal::PPS].map(|kind| HvcCArray {
        completeness: true,
        nal_unit_type: kind,
        nalus: sets.of(kind),
    });
    if arrays.iter().any(|array| array.nalus.is_empty()) {
        return None;
    }
    let sps = record::hevc(arrays[1].nalus.first()?)?;
    let [space, compatibility @ .., level] = sps.general;
    let (flags, constraints) = compatibility.split_first_chunk()?;
    let hvcc = Hvcc {
        general_profile_space: space >> 6,
        general_tier_flag: space & 0x20 != 0,
        general_profile_idc: space & 0x1f,
        general_profile_compatibility_flags: *flags,
        general_constraint_indicator_flags: *constraints.first_chunk()?,
        general_level_idc: level,
        chroma_format_idc: sps.sampling.chroma_format,
        bit_depth_luma_minus8: sps.sampling.luma_bits - 8,
        bit_depth_chroma_minus8: sps.sampling.chroma_bits - 8,
        num_temporal_layers: sps.layers,
        temporal_id_nested: sps.is_nested,
        length_size_minus_one: LENGTH as u8 - 1,
        arrays: arrays.into(),
        ..Hvcc::new()
    };
    let (colr, pasp) = (colr(video), pasp(video));
    Some(Hvc1 { visual: visual(video), hvcc, colr, pasp, ..Hvc1::default() }.into())
}
