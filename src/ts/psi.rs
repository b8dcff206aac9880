//! The tables that tell what is in a stream: PAT and PMT (§2.4.4).

use bytes::Bytes;

use super::Pid;
use super::packet::{PACKET_LEN, SYNC_BYTE};
use super::section::crc32;
use crate::codec::{Codec, Examiner};

const PAT_TABLE_ID: u8 = 0x00;
const PMT_TABLE_ID: u8 = 0x02;

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

impl Program {
    /// Reads a whole PMT section, its CRC already checked. None if it is no PMT, or one not in force yet.
    pub fn parse(section: &[u8], transport_stream_id: u16, pmt_pid: Pid) -> Option<Self> {
        let section = Bytes::copy_from_slice(section);
        let (head, body) = long_section(&section, PMT_TABLE_ID)?;
        let &[pcr_high, pcr_low, info_high, info_low, ref rest @ ..] = body else { return None };
        let mut rest = rest.get(length(info_high, info_low)..)?;
        let mut streams = Vec::new();
        while let &[stream_type, pid_high, pid_low, len_high, len_low, ref tail @ ..] = rest {
            let (descriptors, next) = tail.split_at_checked(length(len_high, len_low))?;
            streams.push(Stream::new(pid(pid_high, pid_low), stream_type, section.slice_ref(descriptors)));
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

    /// Whether `pid` carries one of its streams or its PCR.
    pub fn has_pid(&self, pid: Pid) -> bool {
        self.pcr_pid == pid || self.streams.iter().any(|stream| stream.pid == pid)
    }

    /// The stream that cuts are made by: the first video stream, else the first audio stream, else the first.
    pub fn reference(&self) -> Option<&Stream> {
        let first = |test: fn(Codec) -> bool| self.streams.iter().find(|stream| test(stream.codec));
        first(Codec::is_video).or_else(|| first(Codec::is_audio)).or(self.streams.first())
    }
}

impl Stream {
    fn new(pid: Pid, stream_type: u8, descriptors: Bytes) -> Self {
        let codec = codec(stream_type, &descriptors);
        let language = find(&descriptors, 0x0a).and_then(|body| body.first_chunk().copied());
        Self { pid, stream_type, codec, language, descriptors }
    }

    /// An examiner for what its PES packets carry.
    pub fn examiner(&self) -> Examiner {
        match self.opus_channels() {
            Some(channels) if self.codec == Codec::Opus => Examiner::with_opus_channels(channels),
            _ => Examiner::new(self.codec),
        }
    }

    /// Channels by the Opus extension descriptor (descriptor_tag_extension 0x80): its code is their count, 0
    /// means two of their own.
    pub fn opus_channels(&self) -> Option<u8> {
        match find(&self.descriptors, 0x7f)? {
            [0x80, 0, ..] => Some(2),
            [0x80, channels @ 1..=8, ..] => Some(*channels),
            _ => None,
        }
    }

    /// Whether it is carried in PES packets, not in sections.
    pub const fn is_pes(&self) -> bool {
        !matches!(self.stream_type, 0x05 | 0x0a..=0x0d | 0x14 | 0x16 | 0x86)
    }
}

/// What `stream_type` and the descriptors say of the coding.
fn codec(stream_type: u8, descriptors: &[u8]) -> Codec {
    match stream_type {
        0x01 | 0x02 => Codec::Mpeg2Video,
        0x03 | 0x04 => Codec::MpegAudio,
        0x0f => Codec::AacAdts,
        0x11 => Codec::AacLatm,
        0x1b => Codec::H264,
        0x24 => Codec::Hevc,
        // The user private values that ATSC A/52 and SCTE 35 took.
        0x81 => Codec::Ac3,
        0x87 => Codec::Eac3,
        0x86 => Codec::Scte35,
        0x06 | 0x15 => private_codec(descriptors),
        _ => Codec::Other,
    }
}

/// Private PES data is named by its descriptors (ETSI EN 300 468) or by a registered format identifier.
fn private_codec(descriptors: &[u8]) -> Codec {
    let format = |tag: u8, at: usize| find(descriptors, tag).and_then(|body| body.get(at..at + 4));
    let registered = [format(0x05, 0), format(0x26, 2), format(0x26, 7)];
    let is = |name: &[u8; 4]| registered.contains(&Some(name.as_slice()));
    if find(descriptors, 0x6a).is_some() || is(b"AC-3") {
        Codec::Ac3
    } else if find(descriptors, 0x7a).is_some() || is(b"EAC3") {
        Codec::Eac3
    } else if is(b"Opus") {
        Codec::Opus
    } else if is(b"HEVC") {
        Codec::Hevc
    } else if find(descriptors, 0x59).is_some() {
        Codec::DvbSubtitle
    } else if find(descriptors, 0x56).is_some() {
        Codec::Teletext
    } else if is(b"ID3 ") {
        Codec::Id3
    } else if is(b"KLVA") {
        Codec::Klv
    } else {
        Codec::Other
    }
}

/// The body of the first descriptor with this tag.
pub fn find(mut descriptors: &[u8], tag: u8) -> Option<&[u8]> {
    while let &[this, len, ref rest @ ..] = descriptors {
        let (body, next) = rest.split_at_checked(usize::from(len))?;
        if this == tag {
            return Some(body);
        }
        descriptors = next;
    }
    None
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
