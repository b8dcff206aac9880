//! AAC in LATM, in LOAS frames (ISO/IEC 14496-3 §1.7): StreamMuxConfig and AudioSpecificConfig.

use super::Codec;
use super::aac::{SAMPLES, channels, may_begin, program_config_channels, sampling_frequency};
use super::bits::{Bits, Packer};
use super::sound::{Coding, Look, Name, Sound};

/// AudioSyncStream. Not every frame carries the configuration.
#[derive(Debug)]
pub(crate) struct Latm;

/// Bytes of syncword and length.
const HEADER: usize = 3;

impl Coding for Latm {
    const SYNC: u8 = 0x56;

    fn look(&self, bytes: &[u8]) -> Look {
        if !may_begin(bytes, [(0xff, 0x56), (0xe0, 0xe0)]) {
            return Look::Nothing;
        }
        let Some([_, second, third]) = bytes.first_chunk::<HEADER>() else { return Look::More };
        let len = HEADER + (usize::from(second & 0x1f) << 8 | usize::from(*third));
        let whole = bytes.get(..len);
        let mut bits = Bits::new(whole.unwrap_or(bytes).get(HEADER..).unwrap_or_default());
        match (bits.flag(), whole) {
            (Some(true), _) => return Look::Frame(len, None),
            (None, Some(_)) => return Look::Nothing,
            (None, None) => return Look::More,
            (Some(false), _) => {}
        }
        match (stream_mux_config(&mut bits), whole) {
            (Some(sound), _) => Look::Frame(len, sound),
            (None, Some(_)) => Look::Nothing,
            (None, None) => Look::More,
        }
    }
}

/// StreamMuxConfig, up to its first layer's configuration. None: it does not end in these bits. The inner
/// `None`: it is of a kind that is not understood.
fn stream_mux_config(bits: &mut Bits<'_>) -> Option<Option<Sound>> {
    let has_version_1 = bits.flag()?;
    if has_version_1 {
        let has_version_a = bits.flag()?;
        if has_version_a {
            return Some(None);
        }
        latm_value(bits)?;
    }
    bits.skip(1 + 6 + 4 + 3)?;
    if has_version_1 {
        let len = latm_value(bits)?;
        let mut part = bits.part(len as usize)?;
        let Some(mut config) = audio_specific_config(&mut part.inner) else { return Some(None) };
        if config.extension.is_none() && part.left() >= 16 {
            config.extension = sync_extension(&mut part.inner);
        }
        return Some(config.sound());
    }
    // Without a length a configuration of an unknown kind looks like one that does not end.
    audio_specific_config(bits).map(Config::sound)
}

/// What a StreamMuxConfig says of the frames that follow it, as far as streams of one program and one layer go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mux {
    /// The AudioSpecificConfig.
    pub(crate) config: Vec<u8>,
    /// Payloads in each frame.
    payloads: u32,
}

/// StreamMuxConfig. None: it is of a kind that is not understood.
fn mux(bits: &mut Bits<'_>) -> Option<Mux> {
    let has_version_1 = bits.flag()?;
    if has_version_1 {
        let has_version_a = bits.flag()?;
        if has_version_a {
            return None;
        }
        latm_value(bits)?;
    }
    let is_same_framing = bits.flag()?;
    let payloads = bits.number(6)? + 1;
    let programs_and_layers = bits.number(4 + 3)?;
    if !is_same_framing || programs_and_layers != 0 {
        return None;
    }
    let len = if has_version_1 { Some(latm_value(bits)? as usize) } else { None };
    let mut config = bits.clone();
    let begin = bits.position();
    match len {
        Some(len) => bits.skip(len)?,
        None => audio_specific_config(bits).map(|_| ())?,
    }
    let mut packer = Packer::default();
    packer.copy(&mut config, bits.position() - begin)?;
    let frame_length_type = bits.number(3)?;
    if frame_length_type != 0 {
        return None;
    }
    bits.skip(8)?;
    if bits.flag()? {
        other_data_len(bits, has_version_1)?;
    }
    if bits.flag()? {
        bits.skip(8)?;
    }
    Some(Mux { config: packer.finish(), payloads })
}

fn other_data_len(bits: &mut Bits<'_>, has_version_1: bool) -> Option<()> {
    if has_version_1 {
        return latm_value(bits).map(|_| ());
    }
    loop {
        let goes_on = bits.flag()?;
        bits.skip(8)?;
        if !goes_on {
            return Some(());
        }
    }
}

/// The payloads of a whole LOAS frame, each appended to `out` and its size told. `known` is the configuration in
/// force; a frame may bring another. None: the frame cannot be read on, or there is no configuration yet.
pub(crate) fn payloads(
    frame: &[u8],
    known: &mut Option<Mux>,
    out: &mut Vec<u8>,
    mut each: impl FnMut(usize),
) -> Option<()> {
    let mut bits = Bits::new(frame.get(HEADER..)?);
    let is_as_before = bits.flag()?;
    if !is_as_before {
        *known = mux(&mut bits);
    }
    for _ in 0..known.as_ref()?.payloads {
        let mut size = 0;
        loop {
            let byte = bits.number(8)?;
            size += byte as usize;
            if byte != 0xff {
                break;
            }
        }
        if bits.left() < size * 8 {
            return None;
        }
        for _ in 0..size {
            out.push(bits.small(8)?);
        }
        each(size);
    }
    Some(())
}

/// LatmGetValue: as many bytes as its first two bits tell, plus one.
fn latm_value(bits: &mut Bits<'_>) -> Option<u32> {
    let bytes = bits.number(2)? as usize + 1;
    bits.number(bytes * 8)
}

/// What of an AudioSpecificConfig matters here.
#[derive(Clone, Copy, Debug)]
struct Config {
    object_type: u8,
    sample_rate_hz: u32,
    channels: u8,
    samples_per_frame: u32,
    extension: Option<Extension>,
}

/// Spectral band replication, on top of the core coder.
#[derive(Clone, Copy, Debug)]
struct Extension {
    sample_rate_hz: u32,
    has_parametric_stereo: bool,
}

/// audioObjectType (ISO/IEC 14496-3 table 1.17).
mod object {
    pub(crate) const SBR: u8 = 5;
    pub(crate) const SCALABLE: u8 = 6;
    pub(crate) const ER_SCALABLE: u8 = 20;
    pub(crate) const ER_BSAC: u8 = 22;
    pub(crate) const ER_LD: u8 = 23;
    pub(crate) const PS: u8 = 29;
    pub(crate) const ER_ELD: u8 = 39;
}

impl Config {
    fn sound(self) -> Option<Sound> {
        let plain = Sound {
            codec: Codec::AacLatm,
            name: Name::ObjectType(self.object_type),
            sample_rate_hz: self.sample_rate_hz,
            channels: self.channels,
            samples_per_frame: self.samples_per_frame,
        };
        Some(match self.extension {
            None => plain,
            Some(extension) => Sound {
                name: Name::ObjectType(if extension.has_parametric_stereo {
                    object::PS
                } else {
                    object::SBR
                }),
                sample_rate_hz: extension.sample_rate_hz,
                channels: if extension.has_parametric_stereo && self.channels == 1 {
                    2
                } else {
                    self.channels
                },
                // The same span of time at the higher rate.
                samples_per_frame: u32::try_from(
                    u64::from(self.samples_per_frame) * u64::from(extension.sample_rate_hz)
                        / u64::from(self.sample_rate_hz),
                )
                .ok()?,
                ..plain
            },
        })
    }
}

/// ISO/IEC 14496-3 §1.6.2.1.
fn audio_specific_config(bits: &mut Bits<'_>) -> Option<Config> {
    let mut object_type = audio_object_type(bits)?;
    let sample_rate_hz = rate(bits)?;
    let configuration = bits.small(4)?;
    let mut extension = None;
    if let object::SBR | object::PS = object_type {
        let has_parametric_stereo = object_type == object::PS;
        extension = Some(Extension { sample_rate_hz: rate(bits)?, has_parametric_stereo });
        object_type = audio_object_type(bits)?;
        if object_type == object::ER_BSAC {
            bits.skip(4)?;
        }
    }
    let mut config = Config {
        object_type,
        sample_rate_hz,
        channels: channels(configuration)?,
        samples_per_frame: SAMPLES,
        extension,
    };
    match object_type {
        1..=4 | object::SCALABLE | 7 | 17 | 19..=object::ER_LD => general(bits, &mut config)?,
        object::ER_ELD if bits.flag()? => config.samples_per_frame = 480,
        object::ER_ELD => config.samples_per_frame = 512,
        _ => {}
    }
    Some(config)
}

/// GASpecificConfig (ISO/IEC 14496-3 §4.4.1), and epConfig behind it.
fn general(bits: &mut Bits<'_>, config: &mut Config) -> Option<()> {
    let is_short = bits.flag()?;
    config.samples_per_frame = match (config.object_type == object::ER_LD, is_short) {
        (false, false) => SAMPLES,
        (false, true) => 960,
        (true, false) => 512,
        (true, true) => 480,
    };
    if bits.flag()? {
        bits.skip(14)?;
    }
    let is_extended = bits.flag()?;
    if config.channels == 0 {
        config.channels = program_config_channels(bits)?;
        skip_program_config_comment(bits)?;
    }
    if let object::SCALABLE | object::ER_SCALABLE = config.object_type {
        bits.skip(3)?;
    }
    if is_extended {
        bits.skip(match config.object_type {
            object::ER_BSAC => 5 + 11,
            17 | 19 | object::ER_SCALABLE | object::ER_LD => 3,
            _ => 0,
        })?;
        bits.skip(1)?;
    }
    bits.skip(if config.object_type >= 17 { 2 } else { 0 })
}

/// What follows the channels in a program_config_element. Its alignment counts from the configuration's start,
/// which is a whole byte's but in audioMuxVersion 1; there, what stands behind it may be missed.
fn skip_program_config_comment(bits: &mut Bits<'_>) -> Option<()> {
    bits.align();
    let len = bits.number(8)? as usize;
    bits.skip(len * 8)
}

/// The extension of a configuration that older decoders take for plain AAC.
fn sync_extension(bits: &mut Bits<'_>) -> Option<Extension> {
    const SBR_FOLLOWS: u32 = 0x2b7;
    const PS_FOLLOWS: u32 = 0x548;
    if bits.number(11)? != SBR_FOLLOWS || audio_object_type(bits)? != object::SBR || !bits.flag()? {
        return None;
    }
    let sample_rate_hz = rate(bits)?;
    let has_parametric_stereo = bits.number(11) == Some(PS_FOLLOWS) && bits.flag() == Some(true);
    Some(Extension { sample_rate_hz, has_parametric_stereo })
}

fn audio_object_type(bits: &mut Bits<'_>) -> Option<u8> {
    const ESCAPE: u8 = 31;
    match bits.small(5)? {
        ESCAPE => Some(32 + bits.small(6)?),
        object_type => Some(object_type),
    }
}

/// A sampling rate: an index, or the rate itself; never zero.
fn rate(bits: &mut Bits<'_>) -> Option<u32> {
    const EXPLICIT: u8 = 15;
    match bits.small(4)? {
        EXPLICIT => bits.number(24).filter(|rate| *rate > 0),
        index => sampling_frequency(index),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{audio, examine, packed, sound, stream};
    use super::super::{AccessUnit, Examiner, RandomAccess};
    use super::*;

    const STEREO: &[u8] = stream!("stereo.latm");

    fn frames(mut stream: &[u8]) -> Vec<&[u8]> {
        let mut frames = Vec::new();
        while let Look::Frame(len, _) = Latm.look(stream) {
            let (frame, rest) = stream.split_at(len.min(stream.len()));
            frames.push(frame);
            stream = rest;
        }
        frames
    }

    #[test]
    fn the_configuration_tells_the_format() {
        assert_eq!(sound(Codec::AacLatm, STEREO), ("mp4a.40.2".into(), 48_000, 2, 1024));
    }

    #[test]
    fn payloads_are_those_of_the_same_stream_in_another_framing() {
        let (mut known, mut out, mut sizes) = (None, Vec::new(), Vec::new());
        for frame in frames(STEREO) {
            payloads(frame, &mut known, &mut out, |size| sizes.push(size)).unwrap();
        }
        assert_eq!(known.map(|mux| mux.config), Some(vec![0x11, 0x90]));
        assert_eq!((sizes.len(), sizes.iter().sum::<usize>()), (frames(STEREO).len(), out.len()));
        // Each begins with a single or pair element, or fill before it.
        let mut rest = out.as_slice();
        for size in sizes {
            let (payload, behind) = rest.split_at(size);
            assert!(matches!(payload[0] >> 5, 0 | 1 | 6), "{:x}", payload[0]);
            rest = behind;
        }
    }

    #[test]
    fn a_frame_without_configuration_is_a_point_that_lacks_it() {
        let frames = frames(STEREO);
        let mut examiner = Examiner::new(Codec::AacLatm);
        assert!(examine(&mut examiner, frames[0]).has_parameter_sets);
        let unit = examine(&mut examiner, frames[1]);
        let expected = AccessUnit {
            random_access: Some(RandomAccess::Closed),
            has_parameter_sets: false,
            is_new_format: false,
        };
        assert_eq!(unit, expected);
    }

    #[test]
    fn a_first_configuration_is_found_in_a_later_frame() {
        let frames = frames(STEREO);
        assert!(frames.len() > 20, "the configuration comes again");
        let mut examiner = Examiner::new(Codec::AacLatm);
        let unit = examine(&mut examiner, &frames[1..].concat());
        assert!(unit.is_new_format && !unit.has_parameter_sets);
        assert_eq!(audio(&examiner).channels, 2);
    }

    fn heard(fields: &[(usize, u32)]) -> Option<(Name, u32, u8, u32)> {
        let bytes = packed(fields);
        let sound = stream_mux_config(&mut Bits::new(&bytes)).flatten()?;
        Some((sound.name, sound.sample_rate_hz, sound.channels, sound.samples_per_frame))
    }

    const PLAIN: [(usize, u32); 5] = [(1, 0), (1, 1), (6, 0), (4, 0), (3, 0)];

    #[test]
    fn explicit_extensions_are_told() {
        let sbr = [&PLAIN[..], &[(5, 5), (4, 6), (4, 2), (4, 3), (5, 2), (3, 0)]].concat();
        assert_eq!(heard(&sbr), Some((Name::ObjectType(5), 48_000, 2, 2048)));
        let ps = [&PLAIN[..], &[(5, 29), (4, 6), (4, 1), (4, 3), (5, 2), (3, 0)]].concat();
        assert_eq!(heard(&ps), Some((Name::ObjectType(29), 48_000, 2, 2048)));
    }

    #[test]
    fn an_extension_that_old_decoders_pass_over_is_told() {
        // Version 1, a configuration of 5 + 4 + 4 + 3 + 11 + 5 + 1 + 4 bits.
        let head = [(1, 1), (1, 0), (2, 0), (8, 0), (1, 1), (6, 0), (4, 0), (3, 0), (2, 0), (8, 37)];
        let config = [(5, 2), (4, 6), (4, 2), (3, 0), (11, 0x2b7), (5, 5), (1, 1), (4, 3)];
        assert_eq!(heard(&[&head[..], &config].concat()), Some((Name::ObjectType(5), 48_000, 2, 2048)));
    }

    #[test]
    fn rare_configurations_are_read() {
        let low_delay = [&PLAIN[..], &[(5, 23), (4, 15), (24, 44_100), (4, 1), (3, 4), (2, 0)]].concat();
        assert_eq!(heard(&low_delay), Some((Name::ObjectType(23), 44_100, 1, 480)));
        let enhanced = [&PLAIN[..], &[(5, 31), (6, 7), (4, 3), (4, 2), (1, 0)]].concat();
        assert_eq!(heard(&enhanced), Some((Name::ObjectType(39), 48_000, 2, 512)));
    }
}
