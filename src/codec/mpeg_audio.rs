//! MPEG-1 and MPEG-2 audio, layers I to III (ISO/IEC 11172-3 §2.4.1.3, 13818-3), and MPEG-2.5's lower rates.

use super::Codec;
use super::aac::may_begin;
use super::sound::{Coding, Look, Name, Sound};

/// Layers I to III. The free format, whose frames do not tell their length, is not understood.
#[derive(Debug)]
pub(crate) struct MpegAudio;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    First,
    Second,
    Third,
}

impl Coding for MpegAudio {
    const SYNC: u8 = 0xff;

    fn look(&self, bytes: &[u8]) -> Look {
        if !may_begin(bytes, [(0xff, 0xff), (0xe0, 0xe0)]) {
            return Look::Nothing;
        }
        let Some(header) = bytes.first_chunk::<4>() else { return Look::More };
        frame(*header).map_or(Look::Nothing, |(len, sound)| Look::Frame(len, Some(sound)))
    }
}

fn frame([_, first, second, third]: [u8; 4]) -> Option<(usize, Sound)> {
    let (is_mpeg_1, divisor) = match first >> 3 & 3 {
        3 => (true, 1),
        2 => (false, 2),
        0 => (false, 4),
        _ => return None,
    };
    let layer = match first >> 1 & 3 {
        3 => Layer::First,
        2 => Layer::Second,
        1 => Layer::Third,
        _ => return None,
    };
    let bit_rate = bit_rate(is_mpeg_1, layer, second >> 4)?;
    let rates = [44_100, 48_000, 32_000];
    let sample_rate_hz = rates.get(usize::from(second >> 2 & 3))? / divisor;
    let padding = u32::from(second >> 1 & 1);
    let (samples_per_frame, object_type, slot) = match layer {
        Layer::First => (384, 32, 4),
        Layer::Second => (1152, 33, 1),
        Layer::Third if is_mpeg_1 => (1152, 34, 1),
        Layer::Third => (576, 34, 1),
    };
    let len = (samples_per_frame / 8 / slot * bit_rate / sample_rate_hz + padding) * slot;
    const RESERVED_EMPHASIS: u8 = 2;
    if third & 3 == RESERVED_EMPHASIS {
        return None;
    }
    const MONO: u8 = 3;
    let sound = Sound {
        codec: Codec::MpegAudio,
        name: Name::ObjectType(object_type),
        sample_rate_hz,
        channels: if third >> 6 == MONO { 1 } else { 2 },
        samples_per_frame,
    };
    Some((len as usize, sound))
}

/// bitrate_index, as bits a second.
fn bit_rate(is_mpeg_1: bool, layer: Layer, index: u8) -> Option<u32> {
    const ONE_I: [u32; 14] = [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448];
    const ONE_II: [u32; 14] = [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384];
    const ONE_III: [u32; 14] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
    const TWO_I: [u32; 14] = [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256];
    const TWO_II_III: [u32; 14] = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
    let table = match (is_mpeg_1, layer) {
        (true, Layer::First) => ONE_I,
        (true, Layer::Second) => ONE_II,
        (true, Layer::Third) => ONE_III,
        (false, Layer::First) => TWO_I,
        (false, _) => TWO_II_III,
    };
    let kilobits = table.get(usize::from(index).checked_sub(1)?)?;
    Some(kilobits * 1000)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{sound, stream};
    use super::*;

    #[test]
    fn a_header_tells_layer_rate_and_channels() {
        let of = |stream| sound(Codec::MpegAudio, stream);
        assert_eq!(of(stream!("stereo.mp3")), ("mp4a.40.34".into(), 48_000, 2, 1152));
        assert_eq!(of(stream!("mono.mp3")), ("mp4a.40.34".into(), 22_050, 1, 576));
        assert_eq!(of(stream!("stereo.mp2")), ("mp4a.40.33".into(), 48_000, 2, 1152));
        assert_eq!(of(&[0xff, 0xff, 0xc4, 0x00]), ("mp4a.40.32".into(), 48_000, 2, 384));
    }

    #[test]
    fn frames_follow_each_other() {
        for stream in [stream!("stereo.mp3"), stream!("mono.mp3"), stream!("stereo.mp2")] {
            let Look::Frame(len, Some(first)) = MpegAudio.look(stream) else { panic!("no frame") };
            let Look::Frame(_, Some(second)) = MpegAudio.look(&stream[len..]) else {
                panic!("no second frame")
            };
            assert_eq!(first, second);
        }
    }

    #[test]
    fn what_cannot_be_a_header_is_none() {
        for bytes in
            [[0xff, 0xe9, 0x90, 0], [0xff, 0xf9, 0x90, 0], [0xff, 0xfb, 0xf0, 0], [0xff, 0xfb, 0x9c, 0]]
        {
            assert_eq!(MpegAudio.look(&bytes), Look::Nothing);
        }
        assert_eq!(MpegAudio.look(&[0xff, 0xfb, 0x90]), Look::More);
    }
}
