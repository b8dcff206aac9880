//! The tables that tell what is in a stream: PAT and PMT (§2.4.4).

use bytes::Bytes;

use super::Pid;
use super::packet::{PACKET_LEN, SYNC_BYTE};
use super::section::crc32;
use crate::codec::{Codec, Examiner};

const PAT_TABLE_ID: u8 = 0x00;
const PMT_TABLE_ID: u8 = 0x02;

/// descriptor_tag (table 2-45; ETSI EN 300 468 table 12).
const REGISTRATION: u8 = 0x05;
const ISO_639_LANGUAGE: u8 = 0x0a;
const METADATA: u8 = 0x26;
const TELETEXT: u8 = 0x56;
const SUBTITLING: u8 = 0x59;
const AC3: u8 = 0x6a;
const EAC3: u8 = 0x7a;
const DTS: u8 = 0x7b;
const EXTENSION: u8 = 0x7f;

/// descriptor_tag_extension (ETSI EN 300 468 table 109).
const SUPPLEMENTARY_AUDIO: u8 = 0x06;
const DTS_HD: u8 = 0x0e;
const AC4: u8 = 0x15;
const DTS_UHD: u8 = 0x21;
const OPUS: u8 = 0x80;

/// One section of a program association table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pat {
    /// transport_stream_id.
    pub transport_stream_id: u16,
    /// version_number.
    pub version: u8,
    /// section_number and last_section_number.
    pub section: (u8, u8),
    /// program_number and PID of its PMT; the network information table's entry is left out.
    pub programs: Vec<(u16, Pid)>,
}

impl Pat {
    /// Reads a whole section, its CRC already checked. None if it is no PAT, or one that is not in force yet.
    pub fn parse(section: &[u8]) -> Option<Self> {
        let (head, body) = long_section(section, PAT_TABLE_ID)?;
        let programs = body
            .chunks_exact(4)
            .map(|entry| (u16::from_be_bytes([entry[0], entry[1]]), pid(entry[2], entry[3])))
            .filter(|(number, _)| *number != 0)
            .collect();
        Some(Self { transport_stream_id: head.id, version: head.version, section: head.section, programs })
    }
}

/// A program: what its PMT section says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// program_number.
    pub number: u16,
    /// transport_stream_id of the stream it came in.
    pub transport_stream_id: u16,
    /// The PID of its PMT.
    pub pmt_pid: Pid,
    /// The PID that carries its PCR; [`Pid::NULL`] if none does.
    pub pcr_pid: Pid,
    /// version_number.
    pub version: u8,
    /// Its streams, in the table's order.
    pub streams: Vec<Stream>,
    /// The PMT section as it came, CRC included.
    pub section: Bytes,
}

/// One elementary stream of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its PID.
    pub pid: Pid,
    /// stream_type (table 2-34).
    pub stream_type: u8,
    /// What stream_type and descriptors make of it.
    pub codec: Codec,
    /// ISO 639 language code, where one is given.
    pub language: Option<[u8; 3]>,
    /// Its descriptors as they stand.
    pub descriptors: Bytes,
}

/// Whom an audio stream is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Service {
    /// Everybody.
    #[default]
    Main,
    /// Those who cannot see the video: it is described.
    VisuallyImpaired,
    /// Those who do not hear well: speech is clearer.
    HearingImpaired,
}

impl Program {
    /// Reads a whole PMT section, its CRC already checked. None if it is no PMT, or one not in force yet.
    pub fn parse(section: &[u8], transport_stream_id: u16, pmt_pid: Pid) -> Option<Self> {
        let section = Bytes::copy_from_slice(section);
        let (head, body) = long_section(&section, PMT_TABLE_ID)?;
        let &[pcr_high, pcr_low, info_high, info_low, ref rest @ ..] = body else { return None };
        let (info, mut rest) = rest.split_at_checked(length(info_high, info_low))?;
        let mut streams = Vec::new();
        while let &[stream_type, pid_high, pid_low, len_high, len_low, ref tail @ ..] = rest {
            let (descriptors, next) = tail.split_at_checked(length(len_high, len_low))?;
            let descriptors = section.slice_ref(descriptors);
            streams.push(Stream::new(pid(pid_high, pid_low), stream_type, descriptors, info));
            rest = next;
        }
        Some(Self {
            number: head.id,
            transport_stream_id,
            pmt_pid,
            pcr_pid: pid(pcr_high, pcr_low),
            version: head.version,
            streams,
            section: section.clone(),
        })
    }

    /// Whether one of its streams is video.
    pub fn has_video(&self) -> bool {
        self.streams.iter().any(|stream| stream.codec.is_video())
    }

    /// Its streams of video and audio, by PID.
    pub fn media(&self) -> Vec<&Stream> {
        let is_media = |stream: &&Stream| stream.codec.is_video() || stream.codec.is_audio();
        let mut media: Vec<_> = self.streams.iter().filter(is_media).collect();
        media.sort_by_key(|stream| stream.pid);
        media
    }

    /// Whether `pid` carries one of its streams or its PCR.
    pub fn has_pid(&self, pid: Pid) -> bool {
        self.pcr_pid == pid || self.streams.iter().any(|stream| stream.pid == pid)
    }

    /// Whether any of its streams is video or audio that players know in transport stream segments.
    pub fn is_playable(&self) -> bool {
        self.streams.iter().any(|stream| {
            (stream.codec.is_video() || stream.codec.is_audio()) && !stream.codec.is_unplayable_in_ts()
        })
    }

    /// Its streams, for people: `H.264 on PID 0x0100, stream_type 0xc0 on PID 0x0101`.
    pub fn contents(&self) -> String {
        if self.streams.is_empty() {
            return "no streams".to_owned();
        }
        let name = |stream: &Stream| match stream.codec {
            // So ffmpeg packs what MPEG-TS has no way to carry.
            Codec::Other if stream.stream_type == 0x06 => {
                format!("private data without a name, such as AV1 or VP9, on PID {}", stream.pid)
            }
            Codec::Other => format!("stream_type {:#04x} on PID {}", stream.stream_type, stream.pid),
            codec => format!("{} on PID {}", codec.name(), stream.pid),
        };
        self.streams.iter().map(name).collect::<Vec<_>>().join(", ")
    }

    /// The stream that cuts are made by: the first video stream, else the first audio stream, else the first.
    pub fn reference(&self) -> Option<&Stream> {
        let first = |test: fn(Codec) -> bool| self.streams.iter().find(|stream| test(stream.codec));
        first(Codec::is_video).or_else(|| first(Codec::is_audio)).or(self.streams.first())
    }
}

impl Stream {
    /// A stream of a program with these descriptors of its own.
    fn new(pid: Pid, stream_type: u8, descriptors: Bytes, program: &[u8]) -> Self {
        let codec = codec(stream_type, &descriptors, program);
        let language = find(&descriptors, ISO_639_LANGUAGE).and_then(|body| body.first_chunk().copied());
        let language = language.or_else(|| supplementary_language(&descriptors));
        Self { pid, stream_type, codec, language, descriptors }
    }

    /// An examiner for what its PES packets carry.
    pub fn examiner(&self) -> Examiner {
        match self.opus_channels() {
            Some(channels) if self.codec == Codec::Opus => Examiner::with_opus_channels(channels),
            _ => Examiner::new(self.codec),
        }
    }

    /// Whom its sound is for. The supplementary audio descriptor (ETSI EN 300 468 §6.4.11) says it, audio_type of the
    /// ISO 639 language descriptor (§2.6.18), or the service type of AC-3's and E-AC-3's descriptors (annex D).
    pub fn service(&self) -> Service {
        let supplementary = extension(&self.descriptors, SUPPLEMENTARY_AUDIO).and_then(<[u8]>::first);
        let by_classification = match supplementary.map(|flags| flags >> 2 & 0x1f) {
            Some(1 | 3) => Some(Service::VisuallyImpaired),
            Some(2) => Some(Service::HearingImpaired),
            _ => None,
        };
        let audio_type = find(&self.descriptors, ISO_639_LANGUAGE).and_then(|body| body.get(3));
        let by_type = match audio_type {
            Some(2) => Some(Service::HearingImpaired),
            Some(3) => Some(Service::VisuallyImpaired),
            _ => None,
        };
        by_classification.or(by_type).or_else(|| self.dolby_service()).unwrap_or_default()
    }

    /// component_type of the AC-3 or E-AC-3 descriptor: three bits of it are the service type.
    fn dolby_service(&self) -> Option<Service> {
        const HAS_COMPONENT_TYPE: u8 = 0x80;
        let body = find(&self.descriptors, AC3).or_else(|| find(&self.descriptors, EAC3))?;
        let &[flags, component_type, ..] = body else { return None };
        match component_type >> 3 & 7 {
            2 if flags & HAS_COMPONENT_TYPE != 0 => Some(Service::VisuallyImpaired),
            3 if flags & HAS_COMPONENT_TYPE != 0 => Some(Service::HearingImpaired),
            _ => None,
        }
    }

    /// The languages that its descriptors name, each once: of sound, and of the pages of subtitles and teletext.
    pub fn languages(&self) -> Vec<[u8; 3]> {
        let entries = |tag: u8, len: usize| {
            let body = find(&self.descriptors, tag).unwrap_or_default();
            body.chunks_exact(len).filter_map(|entry| entry.first_chunk().copied())
        };
        let all = entries(ISO_639_LANGUAGE, 4).chain(entries(SUBTITLING, 8)).chain(entries(TELETEXT, 5));
        let mut languages: Vec<[u8; 3]> = Vec::new();
        for language in all.chain(supplementary_language(&self.descriptors)) {
            if !languages.contains(&language) {
                languages.push(language);
            }
        }
        languages
    }

    /// Channels by the Opus extension descriptor (descriptor_tag_extension 0x80): its code is their count, 0
    /// means two of their own.
    pub fn opus_channels(&self) -> Option<u8> {
        match extension(&self.descriptors, OPUS)? {
            [0, ..] => Some(2),
            [channels @ 1..=8, ..] => Some(*channels),
            _ => None,
        }
    }

    /// Whether it is carried in PES packets, not in sections.
    pub const fn is_pes(&self) -> bool {
        !matches!(self.stream_type, 0x05 | 0x0a..=0x0d | 0x14 | 0x16) && !matches!(self.codec, Codec::Scte35)
    }
}

/// What `stream_type` and the descriptors say of the coding, in a program of these registered formats.
fn codec(stream_type: u8, descriptors: &[u8], program: &[u8]) -> Codec {
    let is_registered = |name: &[u8; 4]| registrations(descriptors).any(|format| format == name);
    let is_in = |name: &[u8; 4]| registrations(program).any(|format| format == name) || is_registered(name);
    let is_disc = is_in(b"HDMV") || is_in(b"HDPR");
    match stream_type {
        0x01 | 0x02 => Codec::Mpeg2Video,
        0x03 | 0x04 => Codec::MpegAudio,
        0x0f => Codec::AacAdts,
        0x10 => Codec::Mpeg4Video,
        0x11 => Codec::AacLatm,
        0x1b => Codec::H264,
        0x24 => Codec::Hevc,
        0x2d | 0x2e => Codec::MpegH,
        0x33 => Codec::Vvc,
        0x06 | 0x15 => private_codec(descriptors),
        // From here on the user private values, of which each owner has taken some.
        0x80.. if is_disc => disc_codec(stream_type),
        0x80.. if is_registered(b"VC-1") => Codec::Vc1,
        // ATSC A/52 and SCTE 35.
        0x81 => Codec::Ac3,
        0x87 => Codec::Eac3,
        0x86 => Codec::Scte35,
        // Subtitles of SCTE 27, in cable networks of North America.
        0x82 if is_in(b"SCTE") || is_in(b"GA94") => match registered_codec(descriptors) {
            Some(Codec::Dts) => Codec::Dts,
            _ => Codec::Other,
        },
        0x82 | 0x8a => Codec::Dts,
        // Cameras (GB/T 28181).
        0x90 | 0x91 => Codec::G711,
        0xea => Codec::Vc1,
        _ => registered_codec(descriptors).unwrap_or(Codec::Other),
    }
}

/// What stream_type means in a program registered as HDMV: discs, and cameras that record as they do.
const fn disc_codec(stream_type: u8) -> Codec {
    match stream_type {
        0x80 => Codec::Lpcm,
        0x81 => Codec::Ac3,
        0x82 | 0x85 | 0x86 | 0xa2 => Codec::Dts,
        0x83 => Codec::TrueHd,
        0x84 | 0xa1 => Codec::Eac3,
        0xea => Codec::Vc1,
        _ => Codec::Other,
    }
}

/// Private PES data is named by its descriptors (ETSI EN 300 468) or by a registered format identifier.
fn private_codec(descriptors: &[u8]) -> Codec {
    let registered = registered_codec(descriptors);
    if find(descriptors, AC3).is_some() || registered == Some(Codec::Ac3) {
        Codec::Ac3
    } else if find(descriptors, EAC3).is_some() || registered == Some(Codec::Eac3) {
        Codec::Eac3
    } else if extension(descriptors, AC4).is_some() {
        Codec::Ac4
    } else if find(descriptors, DTS).is_some()
        || [DTS_HD, DTS_UHD].iter().any(|tag| extension(descriptors, *tag).is_some())
    {
        Codec::Dts
    } else if let Some(codec) = registered.filter(|codec| codec.is_video() || codec.is_audio()) {
        codec
    } else if find(descriptors, SUBTITLING).is_some() {
        Codec::DvbSubtitle
    } else if find(descriptors, TELETEXT).is_some() {
        Codec::Teletext
    } else {
        registered.unwrap_or(Codec::Other)
    }
}

/// The coding that a registered format identifier names.
fn registered_codec(descriptors: &[u8]) -> Option<Codec> {
    let metadata = find(descriptors, METADATA);
    let in_metadata = [2, 7].into_iter().filter_map(|at| metadata?.get(at..at + 4));
    registrations(descriptors).chain(in_metadata).find_map(|format| {
        Some(match format {
            b"AC-3" => Codec::Ac3,
            b"EAC3" => Codec::Eac3,
            b"AC-4" => Codec::Ac4,
            b"DTS1" | b"DTS2" | b"DTS3" | b"DTSH" => Codec::Dts,
            b"Opus" => Codec::Opus,
            b"BSSD" => Codec::Lpcm,
            b"HEVC" => Codec::Hevc,
            b"VVC " => Codec::Vvc,
            b"AV01" => Codec::Av1,
            b"VP09" | b"VP90" | b"VP9 " => Codec::Vp9,
            b"VC-1" => Codec::Vc1,
            b"ID3 " => Codec::Id3,
            b"KLVA" => Codec::Klv,
            _ => return None,
        })
    })
}

/// The format identifiers of all registration descriptors.
fn registrations(descriptors: &[u8]) -> impl Iterator<Item = &[u8]> {
    all(descriptors).filter(|(tag, _)| *tag == REGISTRATION).filter_map(|(_, body)| body.get(..4))
}

/// The language of a supplementary audio descriptor.
fn supplementary_language(descriptors: &[u8]) -> Option<[u8; 3]> {
    let (flags, behind) = extension(descriptors, SUPPLEMENTARY_AUDIO)?.split_first()?;
    if flags & 1 == 0 { None } else { behind.first_chunk().copied() }
}

/// The body of the first extension descriptor with this descriptor_tag_extension.
fn extension(descriptors: &[u8], wanted: u8) -> Option<&[u8]> {
    all(descriptors).filter(|(tag, _)| *tag == EXTENSION).find_map(|(_, body)| match body {
        [tag, rest @ ..] if *tag == wanted => Some(rest),
        _ => None,
    })
}

/// Tags and bodies of all descriptors that are whole.
fn all(mut descriptors: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let &[tag, len, ref rest @ ..] = descriptors else { return None };
        let (body, next) = rest.split_at_checked(usize::from(len))?;
        descriptors = next;
        Some((tag, body))
    })
}

/// The body of the first descriptor with this tag.
pub fn find(descriptors: &[u8], wanted: u8) -> Option<&[u8]> {
    all(descriptors).find_map(|(tag, body)| (tag == wanted).then_some(body))
}

struct SectionHead {
    id: u16,
    version: u8,
    section: (u8, u8),
}

/// The head of a section in the long form, and its body without the CRC.
fn long_section(section: &[u8], table_id: u8) -> Option<(SectionHead, &[u8])> {
    let &[this, syntax, _, id_high, id_low, version, number, last, ref rest @ ..] = section else {
        return None;
    };
    let is_current = version & 1 != 0;
    if this != table_id || syntax & 0x80 == 0 || !is_current {
        return None;
    }
    let body = rest.get(..rest.len().checked_sub(4)?)?;
    let head = SectionHead {
        id: u16::from_be_bytes([id_high, id_low]),
        version: version >> 1 & 0x1f,
        section: (number, last),
    };
    Some((head, body))
}

const fn pid(high: u8, low: u8) -> Pid {
    Pid::new(u16::from_be_bytes([high, low]))
}

fn length(high: u8, low: u8) -> usize {
    usize::from(u16::from_be_bytes([high & 0x0f, low]))
}

/// The PAT section of a stream with this one program in it.
pub fn pat_section(program: &Program) -> Vec<u8> {
    let mut section = vec![PAT_TABLE_ID, 0xb0, 13];
    section.extend_from_slice(&program.transport_stream_id.to_be_bytes());
    section.extend_from_slice(&[0xc1, 0, 0]);
    section.extend_from_slice(&program.number.to_be_bytes());
    section.extend_from_slice(&(0xe000 | program.pmt_pid.bits()).to_be_bytes());
    let crc = crc32(&section);
    section.extend_from_slice(&crc.to_be_bytes());
    section
}

/// Appends `section` to `out` as packets of `pid`, the first with `counter`, which is left at the next one due.
pub fn packetize(section: &[u8], pid: Pid, counter: &mut u8, out: &mut Vec<u8>) {
    let mut is_first = true;
    let mut rest = section;
    while is_first || !rest.is_empty() {
        let [high, low] = pid.bits().to_be_bytes();
        let start_flag = if is_first { 0x40 } else { 0 };
        out.extend_from_slice(&[SYNC_BYTE, start_flag | high, low, 0x10 | *counter]);
        *counter = (*counter + 1) & 0x0f;
        let room = PACKET_LEN - 4 - usize::from(is_first);
        if is_first {
            out.push(0);
        }
        let (now, later) = rest.split_at(rest.len().min(room));
        out.extend_from_slice(now);
        out.resize(out.len() + room - now.len(), 0xff);
        rest = later;
        is_first = false;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::ts::packet::packets;
    use crate::ts::section::{Gathered, Gatherer};

    /// A PMT section of program `number` with these (stream_type, PID, descriptors).
    pub fn pmt_of(number: u16, version: u8, streams: &[(u8, u16, &[u8])]) -> Vec<u8> {
        let [high, low] = number.to_be_bytes();
        let mut body = vec![high, low, 0xc1 | version << 1, 0, 0];
        body.extend_from_slice(&0xe100_u16.to_be_bytes());
        body.extend_from_slice(&[0xf0, 0]);
        for (stream_type, pid, descriptors) in streams {
            body.push(*stream_type);
            body.extend_from_slice(&(0xe000 | pid).to_be_bytes());
            body.extend_from_slice(&(0xf000 | descriptors.len() as u16).to_be_bytes());
            body.extend_from_slice(descriptors);
        }
        let mut section = vec![PMT_TABLE_ID, 0xb0 | ((body.len() + 4) >> 8) as u8, (body.len() + 4) as u8];
        section.extend_from_slice(&body);
        let crc = crc32(&section);
        section.extend_from_slice(&crc.to_be_bytes());
        section
    }

    fn program(streams: &[(u8, u16, &[u8])]) -> Program {
        Program::parse(&pmt_of(1, 3, streams), 7, Pid::new(0x1000)).unwrap()
    }

    #[test]
    fn a_program_is_what_its_table_says() {
        let program = program(&[(0x0f, 0x101, &[0x0a, 4, b'd', b'e', b'u', 0]), (0x1b, 0x100, &[])]);
        assert_eq!((program.number, program.version, program.pcr_pid), (1, 3, Pid::new(0x100)));
        assert_eq!(program.streams[0].language, Some(*b"deu"));
        assert_eq!(program.reference().map(|stream| stream.codec), Some(Codec::H264));
    }

    #[test]
    fn private_streams_are_known_by_their_descriptors() {
        let codecs = |descriptors: &[u8]| program(&[(0x06, 0x100, descriptors)]).streams[0].codec;
        assert_eq!(codecs(&[0x6a, 1, 0]), Codec::Ac3);
        assert_eq!(codecs(&[0x52, 1, 0, 0x05, 4, b'O', b'p', b'u', b's']), Codec::Opus);
        assert_eq!(codecs(&[0x56, 0]), Codec::Teletext);
        assert_eq!(codecs(&[0x05, 4, b'K', b'L', b'V', b'A']), Codec::Klv);
        assert_eq!(codecs(&[0x6a, 200]), Codec::Other);
    }

    #[test]
    fn codings_that_are_not_looked_into_are_named() {
        let codec = |stream_type: u8, descriptors: &[u8]| {
            program(&[(stream_type, 0x100, descriptors)]).streams[0].codec
        };
        let registered = |name: &[u8; 4]| [&[0x05, 4][..], name].concat();
        assert_eq!(codec(0x06, &registered(b"AV01")), Codec::Av1);
        assert_eq!(codec(0x06, &registered(b"DTS2")), Codec::Dts);
        assert_eq!(codec(0x06, &[0x7b, 1, 0]), Codec::Dts);
        assert_eq!(codec(0x06, &[0x52, 1, 0, 0x7f, 2, 0x15, 0]), Codec::Ac4);
        assert_eq!(codec(0x06, &registered(b"BSSD")), Codec::Lpcm);
        let by_type = [0x10, 0x2d, 0x33, 0x82, 0x8a, 0x90].map(|stream_type| codec(stream_type, &[]));
        let expected = [Codec::Mpeg4Video, Codec::MpegH, Codec::Vvc, Codec::Dts, Codec::Dts, Codec::G711];
        assert_eq!(by_type, expected);
        assert_eq!(codec(0x82, &registered(b"SCTE")), Codec::Other);
    }

    #[test]
    fn a_program_says_whether_it_can_be_played() {
        let av1 = program(&[(0x06, 0x100, &[0x05, 4, b'A', b'V', b'0', b'1']), (0xc0, 0x101, &[])]);
        assert!(!av1.is_playable());
        assert_eq!(av1.contents(), "AV1 on PID 0x0100, stream_type 0xc0 on PID 0x0101");
        assert!(program(&[(0x82, 0x100, &[])]).is_playable());
        assert_eq!(program(&[]).contents(), "no streams");
    }

    #[test]
    fn a_disc_has_stream_types_of_its_own() {
        let stream =
            |stream_type, program: &[u8]| Stream::new(Pid::new(0x100), stream_type, Bytes::new(), program);
        let disc = [0x05, 4, b'H', b'D', b'M', b'V'];
        let (splices, sound) = (stream(0x86, &[]), stream(0x86, &disc));
        assert_eq!((splices.codec, splices.is_pes()), (Codec::Scte35, false));
        assert_eq!((sound.codec, sound.is_pes()), (Codec::Dts, true));
        assert_eq!(
            [0x80, 0x83, 0x90].map(|stream_type| stream(stream_type, &disc).codec),
            [Codec::Lpcm, Codec::TrueHd, Codec::Other]
        );
    }

    #[test]
    fn descriptors_say_whom_sound_is_for() {
        let service = |descriptors: &[u8]| program(&[(0x0f, 0x100, descriptors)]).streams[0].service();
        assert_eq!(service(&[0x0a, 4, b'e', b'n', b'g', 0]), Service::Main);
        assert_eq!(service(&[0x0a, 4, b'e', b'n', b'g', 2]), Service::HearingImpaired);
        assert_eq!(service(&[0x0a, 4, b'e', b'n', b'g', 3]), Service::VisuallyImpaired);
        assert_eq!(service(&[0x7f, 2, 0x06, 0b1000_0110]), Service::VisuallyImpaired);
        assert_eq!(service(&[0x7f, 2, 0x06, 0b1000_1010]), Service::HearingImpaired);
        assert_eq!(service(&[0x6a, 2, 0x80, 0b0101_0010]), Service::VisuallyImpaired);
        assert_eq!(service(&[0x7a, 1, 0x80]), Service::Main);
    }

    #[test]
    fn languages_stand_in_descriptors_of_several_kinds() {
        let languages = |stream_type, descriptors: &[u8]| {
            program(&[(stream_type, 0x100, descriptors)]).streams[0].languages()
        };
        let subtitles = [0x59, 16, b'd', b'e', b'u', 0x10, 0, 1, 0, 1, b'f', b'r', b'a', 0x20, 0, 1, 0, 1];
        assert_eq!(languages(0x06, &subtitles), [*b"deu", *b"fra"]);
        assert_eq!(languages(0x06, &[0x56, 5, b's', b'w', b'e', 0x09, 0]), [*b"swe"]);
        assert_eq!(languages(0x0f, &[0x0a, 8, b'e', b'n', b'g', 0, b'e', b'n', b'g', 3]), [*b"eng"]);
        let described = [0x7f, 5, 0x06, 0b1000_0111, b'g', b'l', b'e'];
        assert_eq!(languages(0x0f, &described), [*b"gle"]);
        assert_eq!(program(&[(0x0f, 0x100, &described)]).streams[0].language, Some(*b"gle"));
    }

    #[test]
    fn a_table_in_packets_reads_back() {
        let streams: Vec<(u8, u16, &[u8])> = (0..60).map(|n| (0x0f, 0x200 + n, &[][..])).collect();
        let section = pmt_of(1, 0, &streams);
        let (mut out, mut counter) = (Vec::new(), 14);
        packetize(&section, Pid::new(0x1000), &mut counter, &mut out);
        let mut found = Vec::new();
        let mut gatherer = Gatherer::default();
        for packet in packets(&out) {
            gatherer.push(packet.payload().unwrap(), packet.is_unit_start(), |gathered| found.push(gathered));
        }
        assert_eq!(found, [Gathered::Section(section)]);
        assert_eq!((out.len(), counter), (2 * PACKET_LEN, 0));
    }

    #[test]
    fn our_pat_names_the_one_program() {
        let section = pat_section(&program(&[]));
        assert_eq!(crc32(&section), 0);
        let pat = Pat::parse(&section).unwrap();
        assert_eq!((pat.transport_stream_id, pat.programs), (7, vec![(1, Pid::new(0x1000))]));
    }

    #[test]
    fn tables_of_another_kind_or_not_in_force_are_none() {
        let mut next = pmt_of(1, 0, &[]);
        assert_eq!(Pat::parse(&next), None);
        next[5] &= 0xfe;
        assert_eq!(Program::parse(&next, 0, Pid::new(1)), None);
        assert_eq!(Program::parse(&[2, 0x80], 0, Pid::new(1)), None);
    }
}
