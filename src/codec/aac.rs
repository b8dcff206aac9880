//! AAC in ADTS frames (ISO/IEC 14496-3 annex 1.A), and what its configuration shares with LATM's.

use super::Codec;
use super::bits::{Bits, Packer};
use super::mpeg_audio::MpegAudio;
use super::sound::{Coding, Look, Name, Sound};

/// ADTS. That the sound is HE-AAC is not told by it: SBR and PS hide in fill elements, so such a stream is
/// taken for AAC-LC at half its rate, as its own header does.
#[derive(Debug)]
pub(crate) struct Adts;

/// Bytes of the header, without and with its checksum.
const HEADER: usize = 7;
const HEADER_WITH_CHECKSUM: usize = 9;

/// Samples in a raw_data_block, per channel.
pub(crate) const SAMPLES: u32 = 1024;

/// Whether a header with these first bytes is of ADTS, where MPEG audio states a layer that there is not: muxers put
/// either under the other's stream_type.
pub(crate) fn is_adts(frame: &[u8]) -> bool {
    matches!(frame, [0xff, second, ..] if second & 0xf6 == 0xf0)
}

/// AAC in ADTS or MPEG audio, whatever the stream_type says: each header tells which.
#[derive(Debug)]
pub(crate) struct AdtsOrMpeg;

impl Coding for AdtsOrMpeg {
    const SYNC: u8 = Adts::SYNC;

    fn look(&self, bytes: &[u8]) -> Look {
        if is_adts(bytes) { Adts.look(bytes) } else { MpegAudio.look(bytes) }
    }
}

impl Coding for Adts {
    const SYNC: u8 = 0xff;

    fn look(&self, bytes: &[u8]) -> Look {
        if !may_begin(bytes, [(0xff, 0xff), (0xf6, 0xf0)]) {
            return Look::Nothing;
        }
        let Some(header) = bytes.first_chunk::<HEADER>() else { return Look::More };
        let [_, flags, second, third, fourth, fifth, _] = *header;
        let len = usize::from(third & 3) << 11 | usize::from(fourth) << 3 | usize::from(fifth >> 5);
        let size = if flags & 1 == 0 { HEADER_WITH_CHECKSUM } else { HEADER };
        let Some(sample_rate_hz) = sampling_frequency(second >> 2 & 0xf) else { return Look::Nothing };
        if len < size {
            return Look::Nothing;
        }
        let channels = match channels((second & 1) << 2 | third >> 6) {
            Some(0) => match channels_within(bytes, size, len) {
                Some(channels) => channels,
                None => return Look::More,
            },
            Some(channels) => channels,
            None => return Look::Nothing,
        };
        let sound = Sound {
            codec: Codec::AacAdts,
            name: Name::ObjectType((second >> 6) + 1),
            sample_rate_hz,
            channels,
            samples_per_frame: SAMPLES,
        };
        Look::Frame(len, Some(sound))
    }
}

/// The bytes of an ADTS frame before its raw_data_block.
pub(crate) fn header_len(frame: &[u8]) -> usize {
    if frame.get(1).is_some_and(|flags| flags & 1 == 0) { HEADER_WITH_CHECKSUM } else { HEADER }
}

/// Whether the frame holds more than one raw_data_block, which cannot be told apart without decoding.
pub(crate) fn is_compound(frame: &[u8]) -> bool {
    frame.get(6).is_some_and(|byte| byte & 3 != 0)
}

/// The AudioSpecificConfig of an ADTS frame (ISO/IEC 14496-3 §1.6.2.1). None, if its channels are told neither in the
/// header nor at the head of the frame.
pub(crate) fn audio_specific_config(frame: &[u8]) -> Option<Vec<u8>> {
    const PROGRAM_CONFIG_ELEMENT: u32 = 5;
    let &[_, _, second, third, ..] = frame else { return None };
    let channels = (second & 1) << 2 | third >> 6;
    let mut config = Packer::default();
    config.put(5, u32::from(second >> 6) + 1);
    config.put(4, u32::from(second >> 2 & 0xf));
    config.put(4, channels.into());
    // 1024 samples, no core coder, no extension.
    config.put(3, 0);
    if channels == 0 {
        let mut bits = Bits::new(frame.get(header_len(frame)..)?);
        if bits.number(3)? != PROGRAM_CONFIG_ELEMENT {
            return None;
        }
        let mut element = bits.clone();
        program_config_channels(&mut bits)?;
        config.copy(&mut element, bits.position() - 3)?;
        config.align();
        // No comment.
        config.put(8, 0);
    }
    Some(config.finish())
}

/// Whether the first two bytes, as far as they are there, are the wanted ones: pairs of a mask and a value.
pub(crate) fn may_begin(bytes: &[u8], wanted: [(u8, u8); 2]) -> bool {
    bytes.iter().zip(wanted).all(|(byte, (mask, value))| byte & mask == value)
}

/// The channels that a program_config_element at the head of the frame tells, 0 if there is none. None: more
/// of the frame is needed.
fn channels_within(bytes: &[u8], header: usize, len: usize) -> Option<u8> {
    const PROGRAM_CONFIG_ELEMENT: u32 = 5;
    let is_whole = bytes.len() >= len;
    let mut bits = Bits::new(bytes.get(header..len.min(bytes.len())).unwrap_or_default());
    let count = match bits.number(3) {
        Some(PROGRAM_CONFIG_ELEMENT) => program_config_channels(&mut bits),
        Some(_) => Some(0),
        None => None,
    };
    count.or(is_whole.then_some(0))
}

/// samplingFrequencyIndex (ISO/IEC 14496-3 table 1.18).
pub(crate) const fn sampling_frequency(index: u8) -> Option<u32> {
    Some(match index {
        0 => 96_000,
        1 => 88_200,
        2 => 64_000,
        3 => 48_000,
        4 => 44_100,
        5 => 32_000,
        6 => 24_000,
        7 => 22_050,
        8 => 16_000,
        9 => 12_000,
        10 => 11_025,
        11 => 8_000,
        12 => 7_350,
        _ => return None,
    })
}

/// channelConfiguration (ISO/IEC 14496-3 table 1.19); 0 stands for a program_config_element.
pub(crate) const fn channels(configuration: u8) -> Option<u8> {
    Some(match configuration {
        count @ 0..=6 => count,
        7 | 12 | 14 => 8,
        11 => 7,
        13 => 24,
        _ => return None,
    })
}

/// Channels of a program_config_element (ISO/IEC 14496-3 table 4.2). Goes on behind its last channel.
pub(crate) fn program_config_channels(bits: &mut Bits<'_>) -> Option<u8> {
    bits.skip(4 + 2 + 4)?;
    let mains = bits.number(4)? + bits.number(4)? + bits.number(4)?;
    let low_frequency = bits.small(2)?;
    let rest = bits.number(3)? as usize * 4 + bits.number(4)? as usize * 5;
    for mixdown in [4, 4, 3] {
        if bits.flag()? {
            bits.skip(mixdown)?;
        }
    }
    let mut count = low_frequency;
    for _ in 0..mains {
        count += if bits.flag()? { 2 } else { 1 };
        bits.skip(4)?;
    }
    bits.skip(usize::from(low_frequency) * 4 + rest)?;
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{packed, sound, stream};
    use super::super::{AccessUnit, Examiner};
    use super::*;

    const STEREO: &[u8] = stream!("stereo.aac");

    #[test]
    fn a_header_tells_the_format() {
        assert_eq!(sound(Codec::AacAdts, STEREO), ("mp4a.40.2".into(), 48_000, 2, 1024));
    }

    #[test]
    fn a_header_makes_a_configuration() {
        assert_eq!(audio_specific_config(STEREO), Some(vec![0x11, 0x90]));
        assert_eq!((header_len(STEREO), is_compound(STEREO)), (7, false));
    }

    #[test]
    fn the_first_header_is_enough() {
        let mut examiner = Examiner::new(Codec::AacAdts);
        examiner.begin();
        assert_eq!(examiner.push(&STEREO[..6]), None);
        assert!(!examiner.is_decided());
        assert!(examiner.push(&STEREO[6..7]).is_some());
        assert_eq!(examiner.push(&STEREO[7..]), None);
        assert_eq!(examiner.finish(), None);
    }

    #[test]
    fn channels_are_counted_where_only_the_frame_tells() {
        // In front a pair and a single, behind a pair, and a low-frequency channel.
        let counts = [(4, 2), (4, 0), (4, 1), (2, 1), (3, 0), (4, 0)];
        let elements = [(1, 1), (4, 0), (1, 0), (4, 0), (1, 1), (4, 1), (4, 0)];
        let fields = [&[(3, 5), (4, 0), (2, 1), (4, 3)][..], &counts, &[(1, 0); 3], &elements].concat();
        let frame = [&[0xff, 0xf1, 0x4c, 0x00, 0x02, 0x00, 0xfc][..], &packed(&fields), &[0; 8]].concat();
        assert_eq!(Adts.look(&frame[..12]), Look::More);
        let Look::Frame(16, Some(sound)) = Adts.look(&frame) else { panic!("{:?}", Adts.look(&frame)) };
        assert_eq!(sound.channels, 6);
    }

    #[test]
    fn a_frame_that_does_not_tell_its_channels_is_no_other_format() {
        let mut examiner = Examiner::new(Codec::AacAdts);
        let mut untold = STEREO.to_vec();
        untold[2] &= !1;
        untold[3] &= 0x3f;
        untold[7] = 0;
        let mut news = Vec::new();
        for payload in [STEREO, &untold, &untold, STEREO] {
            examiner.begin();
            news.push(examiner.push(payload).unwrap().is_new_format);
        }
        assert_eq!(news, [true, false, false, false]);
    }

    #[test]
    fn the_header_tells_adts_from_mpeg_audio_whatever_the_table_says() {
        const LAYER_2: &[u8] = stream!("stereo.mp2");
        for codec in [Codec::AacAdts, Codec::MpegAudio] {
            assert_eq!(sound(codec, STEREO), ("mp4a.40.2".into(), 48_000, 2, 1024));
            assert_eq!(sound(codec, LAYER_2), ("mp4a.40.33".into(), 48_000, 2, 1152));
        }
    }

    #[test]
    fn bytes_that_hold_no_frame_are_no_point() {
        let mut examiner = Examiner::new(Codec::AacAdts);
        examiner.begin();
        assert_eq!(examiner.push(&[0xff, 0xff, 0x00, 0xff]), None);
        let nothing = AccessUnit { has_parameter_sets: true, ..AccessUnit::default() };
        assert_eq!(examiner.finish(), Some(nothing));
    }
}
