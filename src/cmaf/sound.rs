//! Codings of sound in sample entries: mp4a, ac-3, ec-3, Opus.

use mp4_atom::{
    Ac3, Ac3SpecificBox, Codec, Dops, Eac3, Ec3IndependentSubstream, Ec3SpecificBox, Esds, Mp4a, Opus,
    OpusChannelMapping,
    esds::{DecoderConfig, DecoderSpecific, EsDescriptor, SLConfig},
};

use super::entry::audio;
use super::substream::Layers;
use crate::codec::{self, Audio};

/// objectTypeIndication (ISO/IEC 14496-1 §7.2.6.6).
mod object_type {
    pub const AAC: u8 = 0x40;
    pub const MPEG_2_AUDIO: u8 = 0x69;
    pub const MPEG_1_AUDIO: u8 = 0x6b;
}

/// The sample entry of AAC with this AudioSpecificConfig.
pub fn aac(format: &Audio, config: Vec<u8>) -> Codec {
    mp4a(format, object_type::AAC, Some(config))
}

/// The sample entry of MPEG audio: that of MPEG-1 has the higher rates.
pub fn mpeg(format: &Audio) -> Codec {
    let is_mpeg_1 = format.sample_rate_hz > 24_000;
    mp4a(format, if is_mpeg_1 { object_type::MPEG_1_AUDIO } else { object_type::MPEG_2_AUDIO }, None)
}

fn mp4a(format: &Audio, object_type_indication: u8, config: Option<Vec<u8>>) -> Codec {
    const AUDIO_STREAM: u8 = 5;
    let dec_config = DecoderConfig {
        object_type_indication,
        stream_type: AUDIO_STREAM,
        dec_specific: config.map(|raw| DecoderSpecific { raw, ..DecoderSpecific::default() }),
        ..DecoderConfig::default()
    };
    let es_desc = EsDescriptor { dec_config, sl_config: SLConfig::default(), ..EsDescriptor::default() };
    Mp4a {
        audio: audio(format.channels, format.sample_rate_hz),
        esds: Esds { es_desc },
        btrt: None,
        taic: None,
    }
    .into()
}

/// The sample entry of AC-3 (ETSI TS 102 366 §F.4) from its first frame's head.
pub fn ac3(format: &Audio, frame: &[u8]) -> Option<Codec> {
    let &[_, _, _, _, sizes, stream, mode, behind, ..] = frame else { return None };
    let acmod = mode >> 5;
    // Behind acmod: two bits each for the centre's level, the surround's level, Dolby Surround.
    let levels =
        usize::from(acmod & 1 != 0 && acmod != 1) + usize::from(acmod & 4 != 0) + usize::from(acmod == 2);
    let rest = u16::from_be_bytes([mode, behind]);
    let dac3 = Ac3SpecificBox {
        fscod: sizes >> 6,
        bsid: stream >> 3,
        bsmod: stream & 7,
        acmod,
        lfeon: rest >> (12 - 2 * levels) & 1 != 0,
        bit_rate_code: (sizes & 0x3f) >> 1,
    };
    Some(Ac3 { audio: audio(format.channels, format.sample_rate_hz), dac3 }.into())
}

/// The sample entry of E-AC-3 (ETSI TS 102 366 §F.6) from the head of its first frame and what other substreams add.
pub fn eac3(format: &Audio, frame: &[u8], layers: Layers) -> Option<Codec> {
    let &[_, _, _, _, mode, stream, ..] = frame else { return None };
    let substream = Ec3IndependentSubstream {
        fscod: mode >> 6,
        bsid: stream >> 3,
        asvc: false,
        bsmod: 0,
        acmod: mode >> 1 & 7,
        lfeon: mode & 1 != 0,
        num_dep_sub: layers.count,
        chan_loc: (layers.count > 0).then_some(layers.chan_loc),
    };
    // In thousands of bits a second; 13 bits.
    let bits = layers.size_bytes.max(frame.len()) as u64 * 8 * u64::from(format.sample_rate_hz);
    let data_rate = bits / u64::from(format.samples_per_frame.max(1)) / 1000;
    let dec3 = Ec3SpecificBox { data_rate: data_rate.min(0x1fff) as u16, substreams: vec![substream] };
    Some(Eac3 { audio: audio(format.channels, format.sample_rate_hz), dec3 }.into())
}

/// The sample entry of Opus; `pre_skip` samples at the beginning are not to be heard.
pub fn opus(format: &Audio, pre_skip: u16) -> Option<Codec> {
    let dops = Dops {
        output_channel_count: format.channels,
        pre_skip,
        input_sample_rate: format.sample_rate_hz,
        output_gain: 0,
        channel_mapping: match format.channels {
            1 | 2 => None,
            channels => Some(mapping(channels)?),
        },
    };
    Some(Opus { audio: audio(format.channels, format.sample_rate_hz), dops, btrt: None }.into())
}

/// Streams, coupled ones, and which channel is where, in the order of Vorbis (RFC 7845 §5.1.1.2), which is what
/// mapping family 1 means and the channel codes 1 to 8 of the transport stream's descriptor stand for.
fn mapping(channels: u8) -> Option<OpusChannelMapping> {
    let (stream_count, coupled_count, channels): (u8, u8, &[u8]) = match channels {
        3 => (2, 1, &[0, 2, 1]),
        4 => (2, 2, &[0, 1, 2, 3]),
        5 => (3, 2, &[0, 4, 1, 2, 3]),
        6 => (4, 2, &[0, 4, 1, 2, 3, 5]),
        7 => (4, 3, &[0, 4, 1, 2, 3, 5, 6]),
        8 => (5, 3, &[0, 6, 1, 2, 3, 4, 5, 7]),
        _ => return None,
    };
    Some(OpusChannelMapping { family: 1, stream_count, coupled_count, channel_mapping: channels.to_vec() })
}

/// Whether fragments carry sound of this coding.
pub const fn is_supported(codec: codec::Codec) -> bool {
    codec.is_audio() && codec.is_read()
}
