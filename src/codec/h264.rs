//! H.264: NAL units, random access, the sequence parameter set.

use h264_reader::nal::sps::{AspectRatioInfo, FrameMbsFlags, SeqParameterSet, VuiParameters};
use h264_reader::rbsp::{BitRead, BitReader, BitReaderError, Integer, Primitive};

use super::bits::Bits;
use super::colour::{ALTERNATIVE_TRANSFER, Colour};
use super::picture::{Coding, ParameterSets, Picture, rate};
use super::start_code::{trimmed, unescape};
use super::{Codec, Format, RandomAccess, Video};

/// nal_unit_type (H.264 table 7-1).
mod nal {
    pub(crate) const SLICE: u8 = 1;
    pub(crate) const IDR_SLICE: u8 = 5;
    pub(crate) const SEI: u8 = 6;
    pub(crate) const SPS: u8 = 7;
    pub(crate) const PPS: u8 = 8;
}

/// What one access unit shows, up to its first slice.
#[derive(Debug, Default)]
pub(crate) struct H264 {
    sps: ParameterSets,
    has_pps: bool,
    recovery_frames: Option<u32>,
    /// preferred_transfer_characteristics.
    transfer: Option<u8>,
    /// Reused for each unit that is read.
    rbsp: Vec<u8>,
}

impl Coding for H264 {
    /// The header, and the byte in which a slice says whether it is its picture's first.
    const LOOKAHEAD: usize = 2;

    fn reset(&mut self) {
        self.sps.reset();
        self.has_pps = false;
        self.recovery_frames = None;
        self.transfer = None;
    }

    fn began(&mut self, head: &[u8]) -> Option<Picture> {
        let kind = kind(head);
        if !(nal::SLICE..=nal::IDR_SLICE).contains(&kind) {
            return None;
        }
        // first_mb_in_slice: zero is coded as a single 1. A PES packet may begin in mid-picture.
        let is_first = head.get(1).is_some_and(|byte| byte & 0x80 != 0);
        let random_access = match (kind, self.recovery_frames) {
            _ if !is_first => None,
            (nal::IDR_SLICE, _) => Some(RandomAccess::Closed),
            (_, Some(0)) => Some(RandomAccess::Open),
            (_, Some(frames)) => Some(RandomAccess::Gradual { frames }),
            (_, None) => None,
        };
        Some(Picture { random_access })
    }

    fn ended(&mut self, unit: &[u8]) {
        match kind(unit) {
            nal::SPS => self.sps.add(trimmed(unit)),
            nal::PPS => self.has_pps = true,
            nal::SEI => {
                unescape(unit.get(1..).unwrap_or_default(), &mut self.rbsp);
                let message = sei_message(trimmed(&self.rbsp), RECOVERY_POINT);
                self.recovery_frames =
                    message.and_then(|message| Bits::new(message).golomb()).or(self.recovery_frames);
                let transfer = sei_message(trimmed(&self.rbsp), ALTERNATIVE_TRANSFER);
                self.transfer = transfer.and_then(|message| message.first().copied()).or(self.transfer);
            }
            _ => {}
        }
    }

    fn has_parameter_sets(&self) -> bool {
        self.sps.is_met() && self.has_pps
    }

    fn renew(&mut self, format: &mut Option<Format>) -> bool {
        if !self.sps.has_changed() {
            return false;
        }
        let mut video = self::video(&self.sps, &mut self.rbsp, Strictness::Whole);
        if video.is_none() && self.sps.refuse() {
            // An encoder that sends the same odd set twice means it.
            video = self::video(&self.sps, &mut self.rbsp, Strictness::UpToRestrictions);
        }
        let Some(mut video) = video else { return false };
        video.colour = Colour::preferring(video.colour, self.transfer);
        self.sps.adopt();
        *format = Some(Format::Video(video));
        true
    }
}

fn kind(unit: &[u8]) -> u8 {
    unit.first().map_or(0, |header| header & 0x1f)
}

/// payloadType of a recovery point, in H.264 and in HEVC.
pub(crate) const RECOVERY_POINT: u32 = 6;

/// The first SEI message of the given payloadType (H.264 §7.3.2.3.1, H.265 §7.3.2.4).
pub(crate) fn sei_message(mut rbsp: &[u8], wanted: u32) -> Option<&[u8]> {
    // What is left at the end is the trailing bits' byte.
    while rbsp.len() > 2 {
        let (kind, behind) = sei_number(rbsp)?;
        let (size, behind) = sei_number(behind)?;
        let (message, behind) = behind.split_at_checked(size as usize)?;
        if kind == wanted {
            return Some(message);
        }
        rbsp = behind;
    }
    None
}

/// A number as SEI codes it: so many times 255, then the rest.
fn sei_number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let full = bytes.iter().take_while(|byte| **byte == 0xff).count();
    let (last, behind) = bytes.get(full..)?.split_first()?;
    let number = u32::try_from(full).ok()?.checked_mul(0xff)?.checked_add(u32::from(*last))?;
    Some((number, behind))
}

/// How much of a sequence parameter set has to be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strictness {
    /// All of it.
    Whole,
    /// All up to the bitstream restrictions, where encoders write limits that they then do not keep.
    UpToRestrictions,
}

/// What the first of `sets` says, if all are valid.
fn video(sets: &ParameterSets, rbsp: &mut Vec<u8>, strictness: Strictness) -> Option<Video> {
    let mut first = None;
    for nal in sets.met() {
        unescape(nal.get(1..)?, rbsp);
        let video = video_of(rbsp, strictness)?;
        first.get_or_insert(video);
    }
    first
}

fn video_of(rbsp: &mut [u8], strictness: Strictness) -> Option<Video> {
    let [profile, constraints, level, ..] = rbsp else { return None };
    let rfc6381 = format!("avc1.{profile:02x}{constraints:02x}{level:02x}");
    // With a level that is not in the tables the parser does not hold sizes against it: encoders understate it.
    *level = 0;
    let bits = BitReader::new(&*rbsp);
    let sps = match strictness {
        Strictness::Whole => SeqParameterSet::from_bits(bits),
        Strictness::UpToRestrictions => SeqParameterSet::from_bits(UpToRestrictions(bits)),
    }
    .ok()?;
    let (width, height) = sps.pixel_dimensions().ok().filter(|(width, height)| *width > 0 && *height > 0)?;
    let timing = sps.vui_parameters.as_ref().and_then(|vui| vui.timing_info.as_ref());
    Some(Video {
        codec: Codec::H264,
        rfc6381: Some(rfc6381),
        width,
        height,
        // A tick is a field's (H.264 §E.2.1).
        frame_rate: timing
            .and_then(|timing| rate(timing.time_scale.into(), 2 * u64::from(timing.num_units_in_tick))),
        is_interlaced: sps.frame_mbs_flags != FrameMbsFlags::Frames,
        colour: sps.vui_parameters.as_ref().and_then(colour),
        sample_aspect: sps
            .vui_parameters
            .as_ref()
            .and_then(|vui| vui.aspect_ratio_info.as_ref())
            .and_then(AspectRatioInfo::get),
    })
}

/// The colour description of the VUI (H.264 §E.2.1).
fn colour(vui: &VuiParameters) -> Option<Colour> {
    let signal = vui.video_signal_type.as_ref()?;
    let description = signal.colour_description.as_ref()?;
    Some(Colour {
        primaries: description.colour_primaries,
        transfer: description.transfer_characteristics,
        matrix: description.matrix_coefficients,
        is_full_range: signal.video_full_range_flag,
    })
}

/// Reads all but the bitstream restrictions, which it hides, and what follows them.
pub(crate) struct UpToRestrictions<'a>(pub(crate) BitReader<&'a [u8]>);

impl BitRead for UpToRestrictions<'_> {
    fn read_bit(&mut self, name: &'static str) -> Result<bool, BitReaderError> {
        if name == "bitstream_restriction_flag" {
            return Ok(false);
        }
        self.0.read_bit(name)
    }

    fn finish_rbsp(self) -> Result<(), BitReaderError> {
        Ok(())
    }

    fn read_ue(&mut self, name: &'static str) -> Result<u32, BitReaderError> {
        self.0.read_ue(name)
    }

    fn read_se(&mut self, name: &'static str) -> Result<i32, BitReaderError> {
        self.0.read_se(name)
    }

    fn read<const BITS: u32, I: Integer>(&mut self, name: &'static str) -> Result<I, BitReaderError> {
        self.0.read::<BITS, I>(name)
    }

    fn read_var<I: Integer>(&mut self, bit_count: u32, name: &'static str) -> Result<I, BitReaderError> {
        self.0.read_var(bit_count, name)
    }

    fn read_to<V: Primitive>(&mut self, name: &'static str) -> Result<V, BitReaderError> {
        self.0.read_to(name)
    }

    fn skip(&mut self, bit_count: u32, name: &'static str) -> Result<(), BitReaderError> {
        self.0.skip(bit_count, name)
    }

    fn byte_aligned(&self) -> bool {
        self.0.byte_aligned()
    }

    fn has_more_rbsp_data(&mut self, name: &'static str) -> Result<bool, BitReaderError> {
        self.0.has_more_rbsp_data(name)
    }

    fn finish_sei_payload(self) -> Result<(), BitReaderError> {
        self.0.finish_sei_payload()
    }
}

#[cfg(test)]
mod tests {
    use h264_reader::nal::sps::{ColourDescription, VideoSignalType};
    use h264_reader::nal::{NalHeader, WritableNal};

    use super::super::Examiner;
    use super::super::testing::{access_units, cut_before, examine, random_access, stream, video};
    use super::*;
    use crate::time::Rate;

    const CLOSED: &[u8] = stream!("closed.h264");

    fn points(stream: &[u8]) -> Vec<Option<RandomAccess>> {
        random_access(Codec::H264, &access_units(Codec::H264, stream))
    }

    #[test]
    fn an_idr_picture_is_a_closed_point() {
        let idr = Some(RandomAccess::Closed);
        assert_eq!(points(CLOSED), [idr, None, None, idr, None, None]);
    }

    #[test]
    fn a_recovery_point_of_zero_frames_is_an_open_point() {
        let points = points(stream!("open.h264"));
        assert_eq!(points[0], Some(RandomAccess::Closed));
        let open = points[1..].iter().flatten().collect::<Vec<_>>();
        assert!(open.len() >= 2 && open.iter().all(|point| **point == RandomAccess::Open), "{points:?}");
    }

    #[test]
    fn an_intra_refresh_is_a_gradual_point() {
        let points = points(stream!("refresh.h264"));
        assert_eq!(points[0], Some(RandomAccess::Closed));
        assert!(matches!(points[1..].iter().flatten().next(), Some(RandomAccess::Gradual { frames: 1.. })));
    }

    #[test]
    fn an_intra_picture_alone_is_no_point() {
        let units = access_units(Codec::H264, CLOSED);
        let mut unit = units[0].to_vec();
        let idr = memchr::memmem::rfind(&unit, &[0, 0, 1, 0x65]).unwrap();
        unit[idr + 3] = 0x61;
        let mut examiner = Examiner::new(Codec::H264);
        let verdict = examine(&mut examiner, &unit);
        assert_eq!(verdict.random_access, None);
        assert!(verdict.has_parameter_sets && verdict.is_new_format);
    }

    #[test]
    fn a_packet_that_begins_in_mid_picture_is_no_point() {
        assert_eq!(random_access(Codec::H264, &[&[0, 0, 1, 0x65, 0x45]]), [None]);
        assert_eq!(random_access(Codec::H264, &[&[0, 0, 1, 0x65]]), [None]);
    }

    #[test]
    fn the_format_comes_from_the_sequence_parameter_set() {
        let mut examiner = Examiner::new(Codec::H264);
        let unit = examine(&mut examiner, CLOSED);
        assert!(unit.has_parameter_sets && unit.is_new_format);
        let expected = Video {
            codec: Codec::H264,
            rfc6381: Some("avc1.64001f".into()),
            width: 66,
            height: 50,
            frame_rate: Rate::new(30_000, 1001),
            is_interlaced: false,
            colour: None,
            sample_aspect: Some((1, 1)),
        };
        assert_eq!(video(&examiner), expected);
    }

    #[test]
    fn fields_are_seen() {
        let mut examiner = Examiner::new(Codec::H264);
        examine(&mut examiner, stream!("interlaced.h264"));
        let video = video(&examiner);
        assert!(video.is_interlaced);
        assert_eq!(video.frame_rate, Rate::new(25, 1));
        assert_eq!((video.width, video.height), (64, 64));
    }

    #[test]
    fn a_format_is_new_once() {
        let mut examiner = Examiner::new(Codec::H264);
        let news: Vec<_> = access_units(Codec::H264, CLOSED)
            .iter()
            .map(|unit| examine(&mut examiner, unit))
            .map(|unit| (unit.has_parameter_sets, unit.is_new_format))
            .collect();
        let plain = (false, false);
        assert_eq!(news, [(true, true), plain, plain, (true, false), plain, plain]);
    }

    /// The SPS of `CLOSED` with a change, in an access unit of its own with a PPS and an IDR picture.
    fn unit_with(change: impl Fn(&mut SeqParameterSet)) -> Vec<u8> {
        let nal = cut_before(CLOSED, &[0, 0, 0, 1])[1];
        let mut rbsp = Vec::new();
        unescape(&nal[5..], &mut rbsp);
        let mut sps = SeqParameterSet::from_bits(BitReader::new(&rbsp[..])).unwrap();
        change(&mut sps);
        let sps = sps.to_vec_with_header(NalHeader::new(0x67).unwrap());
        [&[0, 0, 1][..], &sps, &[0, 0, 1, 0x68, 0xee, 0, 0, 1, 0x65, 0x88]].concat()
    }

    #[test]
    fn another_sequence_parameter_set_is_a_new_format_even_at_the_same_size() {
        let mut examiner = Examiner::new(Codec::H264);
        assert!(examine(&mut examiner, &unit_with(|_| {})).is_new_format);
        let format = examiner.format().cloned();
        assert!(examine(&mut examiner, &unit_with(|sps| sps.max_num_ref_frames = 2)).is_new_format);
        assert_eq!(examiner.format().cloned(), format);
    }

    #[test]
    fn colours_and_the_shape_of_samples_come_from_the_vui() {
        let unit = unit_with(|sps| {
            let vui = sps.vui_parameters.as_mut().unwrap();
            vui.aspect_ratio_info = Some(AspectRatioInfo::Extended(64, 45));
            vui.video_signal_type = Some(VideoSignalType {
                video_full_range_flag: true,
                colour_description: Some(ColourDescription {
                    colour_primaries: 9,
                    transfer_characteristics: 14,
                    matrix_coefficients: 9,
                }),
                ..VideoSignalType::default()
            });
        });
        let mut examiner = Examiner::new(Codec::H264);
        examine(&mut examiner, &unit);
        let expected = Colour { primaries: 9, transfer: 14, matrix: 9, is_full_range: true };
        assert_eq!(video(&examiner).colour, Some(expected));
        assert_eq!(video(&examiner).sample_aspect, Some((64, 45)));
        let preferred = [&[0, 0, 1, 6, 147, 1, 18, 0x80][..], &unit].concat();
        let mut examiner = Examiner::new(Codec::H264);
        examine(&mut examiner, &preferred);
        assert_eq!(video(&examiner).colour, Some(Colour { transfer: 18, ..expected }));
    }

    #[test]
    fn a_clock_in_place_of_a_frame_rate_is_none() {
        let unit = unit_with(|sps| {
            let timing = sps.vui_parameters.as_mut().unwrap().timing_info.as_mut().unwrap();
            (timing.time_scale, timing.num_units_in_tick) = (2_000_000, 1);
        });
        let mut examiner = Examiner::new(Codec::H264);
        examine(&mut examiner, &unit);
        assert_eq!(video(&examiner).frame_rate, None);
    }

    #[test]
    fn a_size_above_the_level_is_read() {
        let mut examiner = Examiner::new(Codec::H264);
        let unit = unit_with(|sps| {
            sps.level_idc = 10;
            sps.pic_width_in_mbs_minus1 = 119;
            sps.pic_height_in_map_units_minus1 = 67;
            sps.frame_cropping = None;
        });
        examine(&mut examiner, &unit);
        let video = video(&examiner);
        assert_eq!((video.width, video.height), (1920, 1088));
        assert_eq!(video.rfc6381.as_deref(), Some("avc1.64000a"));
    }

    #[test]
    fn odd_restrictions_are_believed_the_second_time() {
        let odd = unit_with(|sps| {
            sps.max_num_ref_frames = 4;
            let vui = sps.vui_parameters.as_mut().unwrap();
            let restrictions = vui.bitstream_restrictions.as_mut().unwrap();
            restrictions.max_num_reorder_frames = 0;
            restrictions.max_dec_frame_buffering = 1;
        });
        let mut examiner = Examiner::new(Codec::H264);
        assert!(!examine(&mut examiner, &odd).is_new_format);
        assert!(examine(&mut examiner, &odd).is_new_format);
        assert!(!examine(&mut examiner, &odd).is_new_format);
        assert_eq!(video(&examiner).frame_rate, Rate::new(30_000, 1001));
    }

    #[test]
    fn a_damaged_sequence_parameter_set_changes_nothing() {
        let mut examiner = Examiner::new(Codec::H264);
        examine(&mut examiner, CLOSED);
        let format = examiner.format().cloned();
        let cut: &[u8] = &[0, 0, 1, 0x67, 0x64, 0, 0x1f, 0xac, 0xb2, 0, 0, 1, 0x65, 0x88];
        assert!(!examine(&mut examiner, cut).is_new_format);
        assert_eq!(examiner.format().cloned(), format);
        assert!(!examine(&mut examiner, CLOSED).is_new_format);
    }

    #[test]
    fn messages_before_the_wanted_one_are_passed() {
        let sei = [1, 2, 9, 9, 0xff, 1, 0, 6, 1, 0xa0, 0x80];
        assert_eq!(sei_message(&sei, 256), Some(&[][..]));
        assert_eq!(sei_message(&sei, 6), Some(&[0xa0][..]));
        assert_eq!(sei_message(&sei, 7), None);
        assert_eq!(sei_message(&[6, 200, 1, 0x80], 6), None);
    }
}
