//! Elementary streams as far as a segmenter reads them: parameter sets, slice headers and audio frame headers of our
//! own writing, with text in place of coded video and audio. The text names the frame, so that a frame is found again
//! in any output; it holds no zero bytes, so that nothing in it is a start code.

use std::ops::Range;
use std::sync::LazyLock;

use super::rng::Rng;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Video {
    H264,
    Hevc,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audio {
    /// ADTS at 48 or 44.1 kHz.
    Aac(u32),
    Mp2,
    Ac3,
}

impl Video {
    pub const fn stream_type(self) -> u8 {
        match self {
            Self::H264 => 0x1b,
            Self::Hevc => 0x24,
        }
    }
}

impl Audio {
    pub const fn stream_type(self) -> u8 {
        match self {
            Self::Aac(_) => 0x0f,
            Self::Mp2 => 0x03,
            Self::Ac3 => 0x81,
        }
    }

    pub const fn stream_id(self) -> u8 {
        match self {
            Self::Ac3 => 0xbd,
            _ => 0xc0,
        }
    }

    pub const fn samples(self) -> i64 {
        match self {
            Self::Aac(_) => 1024,
            Self::Mp2 => 1152,
            Self::Ac3 => 1536,
        }
    }

    pub const fn rate(self) -> i64 {
        match self {
            Self::Aac(rate) => rate as i64,
            _ => 48_000,
        }
    }

    /// Bytes before a frame's payload that MP4 does not carry.
    pub const fn stripped(self) -> usize {
        match self {
            Self::Aac(_) => 7,
            _ => 0,
        }
    }
}

/// Length of a frame's name: `#`, the track, eight hexadecimal digits, the slice.
pub const NAME_LEN: usize = 12;

/// Returns what names slice `slice` of a frame.
pub fn name(track: usize, id: u32, slice: usize) -> Vec<u8> {
    let track = (b'a' + track as u8) as char;
    let slice = (b'A' + slice as u8) as char;
    format!("#{track}{id:08X}.{slice}").into_bytes()
}

/// Finds the names of first slices in `bytes`. Returns the position, track and id of each.
pub fn names(bytes: &[u8]) -> Vec<(usize, usize, u32)> {
    let mut found = Vec::new();
    for at in memchr::memchr_iter(b'#', bytes) {
        let Some([track @ b'a'..=b'z', digits @ .., b'.', b'A']) = bytes.get(at + 1..at + NAME_LEN) else {
            continue;
        };
        let id = std::str::from_utf8(digits).ok().and_then(|digits| u32::from_str_radix(digits, 16).ok());
        found.extend(id.map(|id| (at, usize::from(track - b'a'), id)));
    }
    found
}

/// Letters without order; in place of coded data.
static FILLER: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut rng = Rng::new(0);
    (0..1 << 16).map(|_| b'a' + (rng.bits() % 26) as u8).collect()
});

fn filler(id: u32, len: usize) -> &'static [u8] {
    let at = id as usize * 7919 % (FILLER.len() - len);
    &FILLER[at..at + len]
}

/// What a coded picture is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coded {
    /// Nothing after it refers to anything before it.
    Closed,
    /// Frames after it that are shown before it may refer to earlier ones.
    Open,
    /// Refers to others, and others refer to it.
    Predicted,
    /// Nothing refers to it.
    Disposable,
}

impl Coded {
    pub const fn is_key(self) -> bool {
        matches!(self, Self::Closed | Self::Open)
    }
}

/// How a video stream is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coding {
    pub video: Video,
    /// In units of 16 pixels.
    pub size: (u32, u32),
    pub has_delimiters: bool,
    pub slices: usize,
    /// A second over the frame's duration in the SPS (H.264 only), if it has timing.
    pub timing: Option<(u32, u32)>,
}

/// Writes an access unit. Returns its bytes, and where its slices' NAL units are.
pub fn access_unit(coding: &Coding, coded: Coded, id: u32, bytes: usize) -> (Vec<u8>, Vec<Range<usize>>) {
    let mut unit = Vec::new();
    let mut put = |nal: &[u8]| {
        // The first start code of an access unit has four bytes.
        if unit.is_empty() {
            unit.push(0);
        }
        unit.extend_from_slice(&[0, 0, 1]);
        let at = unit.len();
        unit.extend_from_slice(nal);
        at..unit.len()
    };
    let heads: &[&[u8]] = match coding.video {
        Video::H264 => &[&[0x09, 0xf0], &[0x06, 0x06, 0x01, 0xc4, 0x80]],
        Video::Hevc => &[&[0x46, 0x01, 0x50], &[]],
    };
    if coding.has_delimiters {
        put(heads[0]);
    }
    if coded.is_key() {
        for set in parameter_sets(coding) {
            put(&set);
        }
    }
    if coded == Coded::Open && coding.video == Video::H264 {
        put(heads[1]);
    }
    let mut slices = Vec::new();
    for slice in 0..coding.slices {
        let mut nal = slice_header(coding.video, coded, slice == 0);
        nal.extend_from_slice(&name(0, id, slice));
        nal.extend_from_slice(filler(id + slice as u32, bytes / coding.slices));
        slices.push(put(&nal));
    }
    (unit, slices)
}

fn slice_header(video: Video, coded: Coded, is_first: bool) -> Vec<u8> {
    match video {
        Video::H264 => {
            let kind = match coded {
                Coded::Closed => 0x65,
                Coded::Open | Coded::Predicted => 0x41,
                Coded::Disposable => 0x01,
            };
            // first_mb_in_slice 0 is the bit 1.
            vec![kind, if is_first { 0x88 } else { 0x24 }]
        }
        Video::Hevc => {
            // IDR_W_RADL, CRA_NUT, TRAIL_R, TRAIL_N
            let kind = match coded {
                Coded::Closed => 19,
                Coded::Open => 21,
                Coded::Predicted => 1,
                Coded::Disposable => 0,
            };
            vec![kind << 1, 1, if is_first { 0xa4 } else { 0x24 }]
        }
    }
}

fn parameter_sets(coding: &Coding) -> Vec<Vec<u8>> {
    match coding.video {
        Video::H264 => vec![h264_sps(coding), vec![0x68, 0xcb, 0x83, 0xcb, 0x20]],
        Video::Hevc => vec![hevc_vps(), hevc_sps(coding), vec![0x44, 0x01, 0xc1, 0x72, 0xb4, 0x62, 0x40]],
    }
}

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    free: u32,
}

impl Writer {
    fn put(&mut self, value: u64, bits: u32) -> &mut Self {
        for bit in (0..bits).rev() {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            self.free -= 1;
            let last = self.bytes.len() - 1;
            self.bytes[last] |= ((value >> bit & 1) as u8) << self.free;
        }
        self
    }

    /// Exp-Golomb codes, ue(v).
    fn golomb(&mut self, values: &[u32]) -> &mut Self {
        for value in values {
            let coded = u64::from(*value) + 1;
            let bits = 64 - coded.leading_zeros();
            self.put(0, bits - 1).put(coded, bits);
        }
        self
    }

    /// Ends with the trailing bits. Returns the NAL unit, with emulation prevention bytes.
    fn nal(&mut self, header: &[u8]) -> Vec<u8> {
        self.put(1, 1);
        let mut nal = header.to_vec();
        let mut zeros = 0;
        for byte in &self.bytes {
            if zeros == 2 && *byte <= 3 {
                nal.push(3);
                zeros = 0;
            }
            zeros = if *byte == 0 { zeros + 1 } else { 0 };
            nal.push(*byte);
        }
        nal
    }
}

/// H.264 §7.3.2.1.1, Main profile.
fn h264_sps(coding: &Coding) -> Vec<u8> {
    let mut sps = Writer::default();
    sps.put(77, 8).put(0, 8).put(30, 8).golomb(&[0, 0, 0, 2, 4]).put(0, 1);
    sps.golomb(&[coding.size.0 - 1, coding.size.1 - 1]).put(0b110, 3);
    match coding.timing {
        None => sps.put(0, 1),
        Some((units, scale)) => {
            sps.put(1, 1).put(0b0_0001, 5).put(units.into(), 32).put(scale.into(), 32).put(0b1_0000, 5)
        }
    };
    sps.nal(&[0x67])
}

fn profile_tier_level(writer: &mut Writer) {
    writer.put(1, 8).put(0x6000_0000, 32).put(0b1001, 4).put(0, 44).put(93, 8);
}

/// H.265 §7.3.2.1.
fn hevc_vps() -> Vec<u8> {
    let mut vps = Writer::default();
    vps.put(0b11, 6).put(0, 6).put(1, 4).put(0xffff, 16);
    profile_tier_level(&mut vps);
    vps.put(1, 1).golomb(&[4, 2, 0]).put(0, 6).golomb(&[0]).put(0, 2);
    vps.nal(&[0x40, 0x01])
}

/// H.265 §7.3.2.2, Main profile.
fn hevc_sps(coding: &Coding) -> Vec<u8> {
    let mut sps = Writer::default();
    sps.put(0, 4).put(1, 4);
    profile_tier_level(&mut sps);
    sps.golomb(&[0, 1, coding.size.0 * 16, coding.size.1 * 16]).put(0, 1).golomb(&[0, 0, 4]);
    sps.put(1, 1).golomb(&[4, 2, 0]).golomb(&[0, 3, 0, 3, 0, 0]);
    sps.put(0, 4).golomb(&[0]).put(0, 5);
    sps.nal(&[0x42, 0x01])
}

/// Writes an audio frame. Returns its bytes.
pub fn audio_frame(audio: Audio, track: usize, id: u32, bytes: usize) -> Vec<u8> {
    let (header, len): (Vec<u8>, usize) = match audio {
        Audio::Aac(rate) => {
            let len = bytes + NAME_LEN + 7;
            let index = if rate == 44_100 { 4 } else { 3 };
            let rest = [(len >> 3) as u8, (len << 5) as u8 | 0x1f, 0xfc];
            ([0xff, 0xf1, 0x40 | index << 2, 0x80 | (len >> 11) as u8].into_iter().chain(rest).collect(), len)
        }
        // 64 kbit/s in stereo: 144 × 64,000 ÷ 48,000 bytes.
        Audio::Mp2 => (vec![0xff, 0xfd, 0x44, 0x04], 192),
        // 32 kbit/s in stereo: 64 words.
        Audio::Ac3 => (vec![0x0b, 0x77, b'c', b'c', 0x00, 0x40, 0x40, 0x40], 128),
    };
    let mut frame = header;
    frame.extend_from_slice(&name(track, id, 0));
    let rest = len - frame.len();
    frame.extend_from_slice(filler(id, rest));
    frame
}
