//! HEVC: NAL units, random access, video and sequence parameter sets.

use std::fmt::Write;

use super::bits::Bits;
use super::colour::{ALTERNATIVE_TRANSFER, Colour, sample_aspect};
use super::h264::{RECOVERY_POINT, sei_message};
use super::picture::{Coding, ParameterSets, Picture, rate};
use super::start_code::{trimmed, unescape};
use super::{Codec, Format, RandomAccess, Video};
use crate::time::Rate;

/// nal_unit_type (H.265 table 7-1).
mod nal {
    pub(crate) const BLA_W_LP: u8 = 16;
    pub(crate) const BLA_W_RADL: u8 = 17;
    pub(crate) const IDR_N_LP: u8 = 20;
    pub(crate) const CRA: u8 = 21;
    pub(crate) const LAST_VCL: u8 = 31;
    pub(crate) const VPS: u8 = 32;
    pub(crate) const SPS: u8 = 33;
    pub(crate) const PPS: u8 = 34;
    pub(crate) const PREFIX_SEI: u8 = 39;
}

/// Bytes of a NAL unit's header.
const HEADER: usize = 2;

/// What one access unit shows, up to its first slice.
#[derive(Debug, Default)]
pub(crate) struct Hevc {
    vps: ParameterSets,
    sps: ParameterSets,
    has_pps: bool,
    recovery_pictures: Option<i32>,
    /// preferred_transfer_characteristics.
    transfer: Option<u8>,
    /// Reused for each unit that is read.
    rbsp: Vec<u8>,
}

impl Coding for Hevc {
    /// The header, and the byte in which a slice says whether it is its picture's first.
    const LOOKAHEAD: usize = HEADER + 1;

    fn reset(&mut self) {
        self.vps.reset();
        self.sps.reset();
        self.has_pps = false;
        self.recovery_pictures = None;
        self.transfer = None;
    }

    fn began(&mut self, head: &[u8]) -> Option<Picture> {
        let kind = kind(head).filter(|kind| *kind <= nal::LAST_VCL)?;
        let is_first = head.get(HEADER).is_some_and(|byte| byte & 0x80 != 0);
        let random_access = match (kind, self.recovery_pictures) {
            _ if !is_first => None,
            (nal::BLA_W_LP | nal::CRA, _) => Some(RandomAccess::Open),
            (nal::BLA_W_RADL..=nal::IDR_N_LP, _) => Some(RandomAccess::Closed),
            (_, Some(pictures)) => Some(match u32::try_from(pictures) {
                Ok(frames @ 1..) => RandomAccess::Gradual { frames },
                _ => RandomAccess::Open,
            }),
            (_, None) => None,
        };
        Some(Picture { random_access })
    }

    fn ended(&mut self, unit: &[u8]) {
        match kind(unit) {
            Some(nal::VPS) => self.vps.add(trimmed(unit)),
            Some(nal::SPS) => self.sps.add(trimmed(unit)),
            Some(nal::PPS) => self.has_pps = true,
            Some(nal::PREFIX_SEI) => {
                unescape(unit.get(HEADER..).unwrap_or_default(), &mut self.rbsp);
                let message = sei_message(trimmed(&self.rbsp), RECOVERY_POINT);
                let pictures = message.and_then(|message| Bits::new(message).signed_golomb());
                self.recovery_pictures = pictures.or(self.recovery_pictures);
                let transfer = sei_message(trimmed(&self.rbsp), ALTERNATIVE_TRANSFER);
                self.transfer = transfer.and_then(|message| message.first().copied()).or(self.transfer);
            }
            _ => {}
        }
    }

    fn has_parameter_sets(&self) -> bool {
        self.vps.is_met() && self.sps.is_met() && self.has_pps
    }

    fn renew(&mut self, format: &mut Option<Format>) -> bool {
        let has_new_vps = self.vps.has_changed();
        if !has_new_vps && !self.sps.has_changed() {
            return false;
        }
        let vps: Option<Vps> = first(&self.vps, &mut self.rbsp, vps);
        if self.vps.is_met() && vps.is_none() {
            return false;
        }
        let Some(sps) = first(&self.sps, &mut self.rbsp, sps) else { return false };
        // A first VPS behind an SPS that is known already is no change by itself.
        let is_new = self.sps.has_changed() || has_new_vps && !self.vps.is_new();
        let mut video = sps.video(vps.and_then(|vps| vps.rate));
        video.colour = Colour::preferring(video.colour, self.transfer);
        let is_other = !matches!(format, Some(Format::Video(known)) if *known == video);
        for sets in [&mut self.vps, &mut self.sps] {
            if sets.has_changed() {
                sets.adopt();
            }
        }
        *format = Some(Format::Video(video));
        is_new || is_other
    }
}

/// The unit's type, if it is of the base layer.
fn kind(unit: &[u8]) -> Option<u8> {
    match unit {
        [first, second, ..] if first & 1 == 0 && second >> 3 == 0 => Some(first >> 1 & 0x3f),
        _ => None,
    }
}

/// What `parse` makes of the first of `sets`, if it can read all.
fn first<T>(sets: &ParameterSets, rbsp: &mut Vec<u8>, parse: fn(&mut Bits<'_>) -> Option<T>) -> Option<T> {
    let mut first = None;
    for nal in sets.met() {
        unescape(nal.get(HEADER..)?, rbsp);
        let value = parse(&mut Bits::new(rbsp))?;
        first.get_or_insert(value);
    }
    first
}

/// What of a VPS matters here.
#[derive(Clone, Copy, Debug)]
struct Vps {
    rate: Option<Rate>,
}

/// H.265 §7.3.2.1.
fn vps(bits: &mut Bits<'_>) -> Option<Vps> {
    bits.skip(4 + 2 + 6)?;
    let sub_layers = sub_layers(bits)?;
    bits.skip(1 + 16)?;
    profile_tier_level(bits, sub_layers)?;
    sub_layer_ordering(bits, sub_layers)?;
    let layers = bits.number(6)? as usize + 1;
    let layer_sets = bits.golomb_within(1023)? as usize;
    bits.skip(layer_sets * layers)?;
    let rate = if bits.flag()? { timing(bits)? } else { None };
    Some(Vps { rate })
}

/// What of an SPS matters here.
#[derive(Clone, Debug)]
struct Sps {
    rfc6381: String,
    width: u32,
    height: u32,
    vui: Vui,
}

impl Sps {
    fn video(self, rate_of_vps: Option<Rate>) -> Video {
        Video {
            codec: Codec::Hevc,
            rfc6381: Some(self.rfc6381),
            width: self.width,
            height: self.height,
            frame_rate: self.vui.rate.or(rate_of_vps),
            is_interlaced: self.vui.is_field_seq,
            colour: self.vui.colour,
            sample_aspect: self.vui.sample_aspect,
        }
    }
}

/// H.265 §7.3.2.2, up to the VUI's timing.
fn sps(bits: &mut Bits<'_>) -> Option<Sps> {
    bits.skip(4)?;
    let sub_layers = sub_layers(bits)?;
    bits.skip(1)?;
    let rfc6381 = profile_tier_level(bits, sub_layers)?;
    bits.golomb_within(15)?;
    let (width, height) = size(bits)?;
    coding_tools(bits, sub_layers)?;
    let vui = if bits.flag()? { vui(bits)? } else { Vui::default() };
    Some(Sps { rfc6381, width, height, vui })
}

/// The count of temporal sub-layers less one.
pub(crate) fn sub_layers(bits: &mut Bits<'_>) -> Option<usize> {
    bits.number(3).filter(|count| *count < 7).map(|count| count as usize)
}

/// H.265 §7.3.3, as the string of ISO/IEC 14496-15 annex E.
pub(crate) fn profile_tier_level(bits: &mut Bits<'_>, sub_layers: usize) -> Option<String> {
    let space = bits.number(2)?;
    let tier = if bits.flag()? { 'H' } else { 'L' };
    let profile = bits.number(5)?;
    let compatibility = bits.number(32)?.reverse_bits();
    let mut constraints = [0; 6];
    for byte in &mut constraints {
        *byte = bits.small(8)?;
    }
    let level = bits.number(8)?;
    let mut present = [(false, false); 8];
    for sub_layer in present.iter_mut().take(sub_layers) {
        *sub_layer = (bits.flag()?, bits.flag()?);
    }
    if sub_layers > 0 {
        bits.skip(2 * (8 - sub_layers))?;
    }
    for (has_profile, has_level) in present {
        bits.skip(if has_profile { 88 } else { 0 } + if has_level { 8 } else { 0 })?;
    }

    let space = ["", "A", "B", "C"].get(space as usize)?;
    let mut text = format!("hvc1.{space}{profile}.{compatibility:X}.{tier}{level}");
    let used = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    for byte in constraints.iter().take(used) {
        // Writing to a String cannot fail.
        let _ = write!(text, ".{byte:X}");
    }
    Some(text)
}

fn sub_layer_ordering(bits: &mut Bits<'_>, sub_layers: usize) -> Option<()> {
    let count = if bits.flag()? { sub_layers + 1 } else { 1 };
    for _ in 0..count * 3 {
        bits.golomb()?;
    }
    Some(())
}

/// Width and height within the conformance window.
fn size(bits: &mut Bits<'_>) -> Option<(u32, u32)> {
    /// The largest side of level 6.2 is 16888 luma samples (H.265 §A.4.1); twice that leaves room.
    const SIDE_MAX: u32 = 33_776;
    let chroma = bits.golomb_within(3)?;
    let is_separate = chroma == 3 && bits.flag()?;
    let (unit_width, unit_height) = match chroma {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    debug_assert!(!is_separate || unit_width == 1);
    let width = bits.golomb_within(SIDE_MAX)?;
    let height = bits.golomb_within(SIDE_MAX)?;
    let mut window = [0; 4];
    if bits.flag()? {
        for offset in &mut window {
            *offset = bits.golomb_within(SIDE_MAX)?;
        }
    }
    let [left, right, top, bottom] = window;
    let width = width.checked_sub(unit_width * (left + right)).filter(|width| *width > 0)?;
    let height = height.checked_sub(unit_height * (top + bottom)).filter(|height| *height > 0)?;
    Some((width, height))
}

/// All between the size and the VUI.
fn coding_tools(bits: &mut Bits<'_>, sub_layers: usize) -> Option<()> {
    bits.golomb_within(8)?;
    bits.golomb_within(8)?;
    let order_count_bits = bits.golomb_within(12)? as usize + 4;
    sub_layer_ordering(bits, sub_layers)?;
    for _ in 0..6 {
        bits.golomb_within(32)?;
    }
    if bits.flag()? && bits.flag()? {
        scaling_lists(bits)?;
    }
    bits.skip(2)?;
    if bits.flag()? {
        bits.skip(8)?;
        bits.golomb_within(3)?;
        bits.golomb_within(3)?;
        bits.skip(1)?;
    }
    reference_picture_sets(bits)?;
    if bits.flag()? {
        let count = bits.golomb_within(32)? as usize;
        bits.skip(count * (order_count_bits + 1))?;
    }
    bits.skip(2)
}

/// H.265 §7.3.4.
fn scaling_lists(bits: &mut Bits<'_>) -> Option<()> {
    for size in 0..4 {
        for _ in (0..6).step_by(if size == 3 { 3 } else { 1 }) {
            if !bits.flag()? {
                bits.golomb_within(5)?;
                continue;
            }
            if size > 1 {
                bits.signed_golomb()?;
            }
            for _ in 0..64.min(1 << (4 + 2 * size)) {
                bits.signed_golomb()?;
            }
        }
    }
    Some(())
}

/// The short-term ones (H.265 §7.3.7).
fn reference_picture_sets(bits: &mut Bits<'_>) -> Option<()> {
    /// num_negative_pics and num_positive_pics are at most the decoded picture buffer's 16.
    const PICTURES_MAX: u32 = 16;
    let count = bits.golomb_within(64)?;
    let mut pictures = 0;
    for index in 0..count {
        if index > 0 && bits.flag()? {
            // Told as a difference to the set before.
            bits.skip(1)?;
            bits.golomb()?;
            let mut kept = 0;
            for _ in 0..=pictures {
                let is_used = bits.flag()?;
                if is_used || bits.flag()? {
                    kept += 1;
                }
            }
            pictures = kept;
        } else {
            let negative = bits.golomb_within(PICTURES_MAX)?;
            let positive = bits.golomb_within(PICTURES_MAX)?;
            for _ in 0..negative + positive {
                bits.golomb()?;
                bits.skip(1)?;
            }
            pictures = negative + positive;
        }
    }
    Some(())
}

/// What of the VUI matters here.
#[derive(Clone, Copy, Debug, Default)]
struct Vui {
    rate: Option<Rate>,
    is_field_seq: bool,
    colour: Option<Colour>,
    sample_aspect: Option<(u16, u16)>,
}

/// H.265 §E.2.1, up to the timing.
fn vui(bits: &mut Bits<'_>) -> Option<Vui> {
    const EXTENDED_ASPECT_RATIO: u32 = 255;
    let sample_aspect = match bits.flag()?.then(|| bits.number(8)) {
        None => None,
        Some(idc) if idc? == EXTENDED_ASPECT_RATIO => {
            let aspect = (bits.number(16)? as u16, bits.number(16)? as u16);
            (aspect.0 > 0 && aspect.1 > 0).then_some(aspect)
        }
        Some(idc) => sample_aspect(idc?),
    };
    if bits.flag()? {
        bits.skip(1)?;
    }
    let mut colour = None;
    if bits.flag()? {
        bits.skip(3)?;
        colour = Colour::read(bits)?;
    }
    if bits.flag()? {
        bits.golomb()?;
        bits.golomb()?;
    }
    bits.skip(1)?;
    let is_field_seq = bits.flag()?;
    bits.skip(1)?;
    if bits.flag()? {
        for _ in 0..4 {
            bits.golomb()?;
        }
    }
    let rate = if bits.flag()? { timing(bits)? } else { None };
    Some(Vui { rate, is_field_seq, colour, sample_aspect })
}

/// num_units_in_tick and time_scale: a tick is a picture's. The inner `None`: they make no rate.
fn timing(bits: &mut Bits<'_>) -> Option<Option<Rate>> {
    let units = bits.number(32)?;
    let scale = bits.number(32)?;
    Some(rate(scale.into(), units.into()))
}

#[cfg(test)]
mod tests {
    use super::super::Examiner;
    use super::super::testing::{access_units, examine, packed, random_access, stream, video};
    use super::*;

    const CLOSED: &[u8] = stream!("closed.hevc");

    fn slice(kind: u8) -> [u8; 7] {
        [0, 0, 1, kind << 1, 1, 0x80, 0xff]
    }

    #[test]
    fn an_idr_picture_is_a_closed_point() {
        let idr = Some(RandomAccess::Closed);
        let units = access_units(Codec::Hevc, CLOSED);
        assert_eq!(random_access(Codec::Hevc, &units), [idr, None, None, idr, None, None]);
    }

    #[test]
    fn a_clean_random_access_picture_is_an_open_point() {
        let units = access_units(Codec::Hevc, stream!("open.hevc"));
        let points = random_access(Codec::Hevc, &units);
        assert!(points[1..].contains(&Some(RandomAccess::Open)), "{points:?}");
    }

    #[test]
    fn the_type_of_a_slice_tells_how_to_begin() {
        let closed = Some(RandomAccess::Closed);
        let open = Some(RandomAccess::Open);
        let points: Vec<_> = [1, 15, 16, 17, 18, 19, 20, 21, 22]
            .map(|kind| random_access(Codec::Hevc, &[&slice(kind)])[0])
            .into();
        assert_eq!(points, [None, None, open, closed, closed, closed, closed, open, None]);
    }

    #[test]
    fn slices_of_upper_layers_and_later_slices_do_not_tell() {
        let upper = [0, 0, 1, 20 << 1, 1 << 3 | 1, 0x80, 0];
        assert_eq!(random_access(Codec::Hevc, &[&[&upper[..], &slice(1)].concat()]), [None]);
        assert_eq!(random_access(Codec::Hevc, &[&[0, 0, 1, 20 << 1, 1, 0x20]]), [None]);
    }

    #[test]
    fn recovery_points_tell_how_many_pictures_they_take() {
        // recovery_poc_cnt 3 (00110), 0 (1), -1 (011)
        for (payload, expected) in [
            (0b0011_0100, RandomAccess::Gradual { frames: 3 }),
            (0b1100_0000, RandomAccess::Open),
            (0b0110_0000, RandomAccess::Open),
        ] {
            let unit = [&[0, 0, 1, 39 << 1, 1, 6, 1, payload, 0x80][..], &slice(1)].concat();
            assert_eq!(random_access(Codec::Hevc, &[&unit]), [Some(expected)]);
        }
    }

    #[test]
    fn the_format_comes_from_the_parameter_sets() {
        let mut examiner = Examiner::new(Codec::Hevc);
        let unit = examine(&mut examiner, CLOSED);
        assert!(unit.has_parameter_sets && unit.is_new_format);
        let expected = Video {
            codec: Codec::Hevc,
            rfc6381: Some("hvc1.1.6.L30.90".into()),
            width: 66,
            height: 50,
            frame_rate: Rate::new(30_000, 1001),
            is_interlaced: false,
            colour: None,
            sample_aspect: Some((1, 1)),
        };
        assert_eq!(video(&examiner), expected);
    }

    /// An IDR picture behind these units.
    fn behind(units: &[&[u8]]) -> Vec<u8> {
        let mut unit: Vec<u8> = units.iter().flat_map(|unit| [&[0, 0, 1][..], *unit].concat()).collect();
        unit.extend_from_slice(&slice(20));
        unit
    }

    /// Of x265: BT.2020 with the PQ curve, samples that are square.
    const PQ: &[u8] = &[
        0x42, 0x01, 0x01, 0x02, 0x20, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00,
        0x1e, 0xa0, 0x14, 0x20, 0x61, 0xf2, 0x36, 0x5b, 0xa4, 0xa4, 0xc2, 0xf0, 0x16, 0xa1, 0x22, 0x01, 0x20,
        0x80, 0x00, 0x00, 0x03, 0x00, 0x80, 0x00, 0x00, 0x0c, 0x84,
    ];
    /// Of x265: BT.2020 with the curve of old receivers, samples of 16:11.
    const HLG: &[u8] = &[
        0x42, 0x01, 0x01, 0x02, 0x20, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00,
        0x1e, 0xa0, 0x20, 0x83, 0x13, 0x65, 0x95, 0x9a, 0xe4, 0xca, 0xf0, 0x46, 0xa1, 0x21, 0xc1, 0x20, 0x80,
        0x00, 0x00, 0x03, 0x00, 0x80, 0x00, 0x00, 0x0c, 0x84,
    ];
    /// Its SEI message: HLG (18) is preferred.
    const PREFERRED: &[u8] = &[0x4e, 0x01, 0x93, 0x01, 0x12, 0x80];

    #[test]
    fn colours_come_from_the_vui_and_from_the_preferred_transfer() {
        let bt_2020 = |transfer| Some(Colour { primaries: 9, transfer, matrix: 9, is_full_range: false });
        for (units, transfer) in [(&[PQ][..], 16), (&[HLG], 14), (&[HLG, PREFERRED], 18)] {
            let mut examiner = Examiner::new(Codec::Hevc);
            assert!(examine(&mut examiner, &behind(units)).is_new_format);
            assert_eq!(video(&examiner).colour, bt_2020(transfer));
            assert_eq!(video(&examiner).frame_rate, Rate::new(25, 1));
        }
        let mut examiner = Examiner::new(Codec::Hevc);
        examine(&mut examiner, &behind(&[HLG]));
        assert_eq!(video(&examiner).sample_aspect, Some((16, 11)));
    }

    #[test]
    fn a_format_is_new_once() {
        let mut examiner = Examiner::new(Codec::Hevc);
        let units = access_units(Codec::Hevc, CLOSED);
        let news: Vec<_> = units.iter().map(|unit| examine(&mut examiner, unit).is_new_format).collect();
        assert_eq!(news, [true, false, false, false, false, false]);
    }

    #[test]
    fn a_codec_string_drops_trailing_zero_constraints_only() {
        let text = |bytes: &[u8]| profile_tier_level(&mut Bits::new(bytes), 0).unwrap();
        assert_eq!(text(&[0x22, 0x20, 0, 0, 0, 0xb0, 0, 0x10, 0, 0, 0, 123]), "hvc1.2.4.H123.B0.0.10");
        assert_eq!(text(&[0x41, 0x60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 93]), "hvc1.A1.6.L93");
    }

    #[test]
    fn the_video_parameter_set_alone_can_tell_the_rate() {
        let head = [(4, 0), (2, 3), (6, 0), (3, 0), (1, 1), (16, 0xffff)];
        let profile = [(8, 1), (32, 0x6000_0000), (16, 0x9000), (32, 0), (8, 30)];
        let rest = [(1, 1), (3, 0b111), (6, 0), (1, 1), (1, 1), (32, 4), (32, 100)];
        let vps = packed(&[&head[..], &profile, &rest].concat());
        assert_eq!(super::vps(&mut Bits::new(&vps)).unwrap().rate, Rate::new(25, 1));
    }

    #[test]
    fn scaling_lists_end_where_the_standard_ends_them() {
        // Each taken from another list, then each told with differences of zero: a 1 bit.
        let lists = 6 + 6 + 6 + 2;
        let copied = packed(&vec![(2, 0b01); lists]);
        let mut bits = Bits::new(&copied);
        scaling_lists(&mut bits).unwrap();
        assert_eq!(bits.left(), 0);
        let ones = 6 * (1 + 16) + 6 * (1 + 64) + (6 + 2) * (1 + 1 + 64);
        let told = packed(&vec![(1, 1); ones]);
        let mut bits = Bits::new(&told);
        scaling_lists(&mut bits).unwrap();
        assert_eq!(bits.left(), told.len() * 8 - ones);
    }

    #[test]
    fn reference_picture_sets_are_told_by_differences() {
        let count = (5, 0b00100);
        // Two pictures before and one after: 011, 010, and for each a distance and a flag.
        let plain = [(3, 0b011), (3, 0b010), (2, 0b11), (2, 0b11), (2, 0b11)];
        // For each of the three and the set's own picture: used; not used but kept; neither; used.
        let difference = [(1, 1), (1, 0), (1, 1), (1, 1), (2, 0b01), (2, 0b00), (1, 1)];
        let next = [(1, 1), (1, 1), (1, 1), (4, 0b1111)];
        let fields = [&[count][..], &plain, &difference, &next].concat();
        let bytes = packed(&fields);
        let mut bits = Bits::new(&bytes);
        reference_picture_sets(&mut bits).unwrap();
        let len: usize = fields.iter().map(|(width, _)| width).sum();
        assert_eq!(bits.left(), bytes.len() * 8 - len);
    }
}
