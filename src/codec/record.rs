//! What a decoder configuration record (ISO/IEC 14496-15) needs of parameter sets, beyond the [`Format`](super::Format).

use h264_reader::nal::sps::{ChromaFormat, SeqParameterSet};
use h264_reader::rbsp::BitReader;

use super::bits::Bits;
use super::h264::UpToRestrictions;
use super::hevc::{profile_tier_level, sub_layers};
use super::start_code::unescape;

/// How the samples of a picture are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sampling {
    /// chroma_format_idc.
    pub(crate) chroma_format: u8,
    /// Bits of a luma sample.
    pub(crate) luma_bits: u8,
    /// Bits of a chroma sample.
    pub(crate) chroma_bits: u8,
}

/// What an H.264 sequence parameter set says of them.
pub(crate) fn h264(sps: &[u8]) -> Option<Sampling> {
    let mut rbsp = Vec::new();
    unescape(sps.get(1..)?, &mut rbsp);
    // As where the format is read: a level that is not in the tables holds no sizes against the set.
    *rbsp.get_mut(2)? = 0;
    let info = SeqParameterSet::from_bits(UpToRestrictions(BitReader::new(&*rbsp))).ok()?.chroma_info;
    let chroma_format = match info.chroma_format {
        ChromaFormat::Monochrome => 0,
        ChromaFormat::YUV420 => 1,
        ChromaFormat::YUV422 => 2,
        ChromaFormat::YUV444 => 3,
        ChromaFormat::Invalid(_) => return None,
    };
    Some(Sampling {
        chroma_format,
        luma_bits: info.bit_depth_luma_minus8.checked_add(8)?,
        chroma_bits: info.bit_depth_chroma_minus8.checked_add(8)?,
    })
}

/// What a HEVC sequence parameter set says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hevc {
    /// general_profile_space up to general_level_idc.
    pub(crate) general: [u8; 12],
    /// Temporal sub-layers.
    pub(crate) layers: u8,
    /// sps_temporal_id_nesting_flag.
    pub(crate) is_nested: bool,
    /// sps_seq_parameter_set_id.
    pub(crate) id: u32,
    pub(crate) sampling: Sampling,
}

/// H.265 §7.3.2.2, up to the bit depths.
pub(crate) fn hevc(sps: &[u8]) -> Option<Hevc> {
    let mut rbsp = Vec::new();
    unescape(sps.get(2..)?, &mut rbsp);
    let general = *rbsp.get(1..)?.first_chunk()?;
    let mut bits = Bits::new(&rbsp);
    bits.skip(4)?;
    let sub_layers = sub_layers(&mut bits)?;
    let is_nested = bits.flag()?;
    profile_tier_level(&mut bits, sub_layers)?;
    let id = bits.golomb_within(15)?;
    let chroma_format = bits.golomb_within(3)?;
    if chroma_format == 3 {
        bits.skip(1)?;
    }
    bits.golomb()?;
    bits.golomb()?;
    if bits.flag()? {
        for _ in 0..4 {
            bits.golomb()?;
        }
    }
    let luma_bits = 8 + bits.golomb_within(7)? as u8;
    let chroma_bits = 8 + bits.golomb_within(7)? as u8;
    let sampling = Sampling { chroma_format: chroma_format as u8, luma_bits, chroma_bits };
    Some(Hevc { general, layers: sub_layers as u8 + 1, is_nested, id, sampling })
}

/// The number in front of a parameter set, ue(v), behind so many bytes.
pub(crate) fn number_at(unit: &[u8], at: usize) -> Option<u32> {
    // Emulation prevention cannot come so early: a number of a few bits follows no two zero bytes.
    Bits::new(unit.get(at..)?).golomb()
}

#[cfg(test)]
mod tests {
    use super::super::testing::stream;
    use super::*;

    fn unit(stream: &[u8], header: u8) -> &[u8] {
        let at = memchr::memmem::find(stream, &[0, 0, 1, header]).unwrap() + 3;
        let len = memchr::memmem::find(&stream[at..], &[0, 0, 1]).unwrap();
        &stream[at..at + len]
    }

    #[test]
    fn a_set_tells_how_samples_are_coded() {
        let usual = Sampling { chroma_format: 1, luma_bits: 8, chroma_bits: 8 };
        assert_eq!(h264(unit(stream!("closed.h264"), 0x67)), Some(usual));
        let hevc = hevc(unit(stream!("closed.hevc"), 0x42)).unwrap();
        assert_eq!(hevc.sampling, usual);
        assert_eq!(
            (hevc.general[0], hevc.general[11], hevc.layers, hevc.is_nested, hevc.id),
            (1, 30, 1, true, 0)
        );
    }

    #[test]
    fn what_is_cut_short_tells_nothing() {
        let set = unit(stream!("closed.hevc"), 0x42);
        assert!((0..18).all(|len| hevc(&set[..len]).is_none()));
        assert_eq!(h264(&[0x67, 0x64]), None);
    }
}
