//! What the tests of the codings share.

use super::{AccessUnit, Audio, Codec, Examiner, Format, RandomAccess, Video};

/// A file of `testdata/codec`.
macro_rules! stream {
    ($name:literal) => {
        include_bytes!(concat!("../../testdata/codec/", $name)).as_slice()
    };
}
pub(super) use stream;

/// One PES packet with this payload.
pub(super) fn examine(examiner: &mut Examiner, payload: &[u8]) -> AccessUnit {
    examiner.begin();
    examiner.push(payload).or_else(|| examiner.finish()).expect("each PES packet gets a verdict")
}

/// How a decoder may begin at each of the access units, one to a PES packet.
pub(super) fn random_access(codec: Codec, units: &[&[u8]]) -> Vec<Option<RandomAccess>> {
    let mut examiner = Examiner::new(codec);
    units.iter().map(|unit| examine(&mut examiner, unit).random_access).collect()
}

/// The stream cut before each place where `mark` stands.
pub(super) fn cut_before<'a>(stream: &'a [u8], mark: &[u8]) -> Vec<&'a [u8]> {
    let mut starts: Vec<_> = memchr::memmem::find_iter(stream, mark).collect();
    starts.push(stream.len());
    starts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect()
}

/// The access units of a stream in which each begins with an access unit delimiter.
pub(super) fn access_units(codec: Codec, stream: &[u8]) -> Vec<&[u8]> {
    match codec {
        Codec::H264 => cut_before(stream, &[0, 0, 0, 1, 9]),
        Codec::Hevc => cut_before(stream, &[0, 0, 0, 1, 0x46, 1]),
        _ => panic!("{} has none", codec.name()),
    }
}

pub(super) fn video(examiner: &Examiner) -> Video {
    match examiner.format() {
        Some(Format::Video(video)) => video.clone(),
        other => panic!("not a video format: {other:?}"),
    }
}

pub(super) fn audio(examiner: &Examiner) -> Audio {
    match examiner.format() {
        Some(Format::Audio(audio)) => audio.clone(),
        other => panic!("not an audio format: {other:?}"),
    }
}

/// The format that the first PES packet of a stream of sound tells: coding string, rate, channels, samples.
pub(super) fn sound(codec: Codec, payload: &[u8]) -> (String, u32, u8, u32) {
    let mut examiner = Examiner::new(codec);
    let unit = examine(&mut examiner, payload);
    assert_eq!(unit.random_access, Some(RandomAccess::Closed));
    assert!(unit.is_new_format);
    let audio = audio(&examiner);
    (audio.rfc6381.unwrap(), audio.sample_rate_hz, audio.channels, audio.samples_per_frame)
}

/// Bits from pairs of a width and a value.
pub(super) fn packed(fields: &[(usize, u32)]) -> Vec<u8> {
    let digits: Vec<u8> =
        fields.iter().flat_map(|(width, value)| format!("{value:0width$b}").into_bytes()).collect();
    let byte = |digits: &[u8]| (0..8).fold(0, |byte, at| byte << 1 | u8::from(digits.get(at) == Some(&b'1')));
    digits.chunks(8).map(byte).collect()
}
