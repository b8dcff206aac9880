//! A transport stream made up in memory: H.264 heads, AAC heads, filler behind them.
#![allow(dead_code)]

use segcast::ts::section::crc32;
use segcast::ts::{PACKET_LEN, Pid, packetize};

pub const VIDEO: Pid = Pid::new(0x100);
pub const AUDIO: Pid = Pid::new(0x101);
const PMT: Pid = Pid::new(0x1000);

/// What the stream is like.
#[derive(Clone, Debug)]
pub struct Synth {
    pub pictures: usize,
    pub gop: usize,
    /// Bytes of a picture beyond its head; varied a little from one to the next.
    pub picture_bytes: usize,
    /// Bytes of an audio PES packet beyond its head; none without audio.
    pub audio_bytes: Option<usize>,
    /// How many video packets stand between two of audio.
    pub interleave: usize,
    /// Null packets after each picture.
    pub stuffing: usize,
    pub first_pts: u64,
    /// From one picture to the next, in 90 kHz ticks.
    pub frame: u64,
}

impl Default for Synth {
    fn default() -> Self {
        Self {
            pictures: 250,
            gop: 25,
            picture_bytes: 5000,
            audio_bytes: Some(700),
            interleave: 3,
            stuffing: 0,
            first_pts: 126_000,
            frame: 3600,
        }
    }
}

/// SPS and PPS of a 320x180 Baseline stream, an access unit delimiter before them.
pub const SETS: &[u8] = &[
    0, 0, 0, 1, 0x09, 0x10, 0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x0d, 0xd9, 0x01, 0x41, 0x9f, 0x9f, 0x01, 0x10, 0,
    0, 3, 0, 0x10, 0, 0, 3, 3, 0x20, 0xf1, 0x42, 0xa4, 0x80, 0, 0, 0, 1, 0x68, 0xcb, 0x83, 0xcb, 0x20,
];

/// Of the access unit delimiter in front of them.
pub const DELIMITER_LEN: usize = 6;

impl Synth {
    /// The stream.
    pub fn bytes(&self) -> Vec<u8> {
        let mut mux = Mux::default();
        for n in 0..self.pictures {
            let pts = self.first_pts + n as u64 * self.frame;
            if n % 3 == 0 {
                mux.tables(self.audio_bytes.is_some());
            }
            let is_access = n % self.gop == 0;
            let mut picture = if is_access { SETS.to_vec() } else { vec![0, 0, 0, 1, 0x09, 0x30] };
            picture.extend_from_slice(&[0, 0, 1, if is_access { 0x65 } else { 0x41 }, 0x88]);
            picture.resize(picture.len() + self.picture_bytes + n * 37 % 400, 0xa5);
            let video = pes_packets(VIDEO, 0xe0, pts, &picture, true, is_access);
            let audio = match self.audio_bytes {
                Some(bytes) if n % 2 == 1 => {
                    let mut frame =
                        vec![0xff, 0xf1, 0x4c, 0x80, (bytes >> 3) as u8, (bytes << 5) as u8 | 0x1f, 0xfc];
                    frame.resize(bytes.max(7), 0x5a);
                    pes_packets(AUDIO, 0xc0, pts + 100, &frame, false, false)
                }
                _ => Vec::new(),
            };
            mux.interleave(video, audio, self.interleave);
            for _ in 0..self.stuffing {
                mux.put(null_packet());
            }
        }
        mux.catch_up(0);
        mux.out
    }
}

/// Audio packets that lag behind their picture at most.
const MAX_LATE: usize = 12;

#[derive(Default)]
struct Mux {
    out: Vec<u8>,
    counters: std::collections::HashMap<Pid, u8>,
    tables: (u8, u8),
    late: Vec<[u8; PACKET_LEN]>,
}

impl Mux {
    fn tables(&mut self, has_audio: bool) {
        packetize(
            &section(&[0, 0, 1, 0xc1, 0, 0, 0, 1, 0xf0, 0x00]),
            Pid::PAT,
            &mut self.tables.0,
            &mut self.out,
        );
        let mut pmt = vec![2, 0, 1, 0xc1, 0, 0, 0xe1, 0x00, 0xf0, 0, 0x1b, 0xe1, 0x00, 0xf0, 0];
        if has_audio {
            pmt.extend_from_slice(&[0x0f, 0xe1, 0x01, 0xf0, 0]);
        }
        packetize(&section(&pmt), PMT, &mut self.tables.1, &mut self.out);
    }

    fn put(&mut self, mut packet: [u8; PACKET_LEN]) {
        let pid = Pid::new(u16::from_be_bytes([packet[1], packet[2]]));
        let counter = self.counters.entry(pid).or_default();
        packet[3] = packet[3] & 0xf0 | *counter;
        *counter = (*counter + 1) & 0x0f;
        self.out.extend_from_slice(&packet);
    }

    /// Audio is spread over the video packets; what does not fit comes with the next picture's.
    fn interleave(&mut self, video: Vec<[u8; PACKET_LEN]>, audio: Vec<[u8; PACKET_LEN]>, every: usize) {
        self.late.extend(audio);
        for (n, packet) in video.into_iter().enumerate() {
            self.put(packet);
            if n % every.max(1) == 0 && !self.late.is_empty() {
                let packet = self.late.remove(0);
                self.put(packet);
            }
        }
        self.catch_up(MAX_LATE);
    }

    fn catch_up(&mut self, most: usize) {
        while self.late.len() > most {
            let packet = self.late.remove(0);
            self.put(packet);
        }
    }
}

fn null_packet() -> [u8; PACKET_LEN] {
    let mut packet = [0xff; PACKET_LEN];
    packet[..4].copy_from_slice(&[0x47, 0x1f, 0xff, 0x10]);
    packet
}

/// A section from its table_id and what follows the length.
fn section(bytes: &[u8]) -> Vec<u8> {
    let len = bytes.len() - 1 + 4;
    let mut section = vec![bytes[0], 0xb0 | (len >> 8) as u8, len as u8];
    section.extend_from_slice(&bytes[1..]);
    let crc = crc32(&section);
    section.extend_from_slice(&crc.to_be_bytes());
    section
}

fn pes_packets(
    pid: Pid,
    stream_id: u8,
    pts: u64,
    payload: &[u8],
    is_unbounded: bool,
    is_access: bool,
) -> Vec<[u8; PACKET_LEN]> {
    let pts = pts & ((1 << 33) - 1);
    let len = if is_unbounded { 0 } else { payload.len() + 8 };
    let mut pes = vec![0, 0, 1, stream_id, (len >> 8) as u8, len as u8, 0x84, 0x80, 5];
    pes.push(0x21 | (pts >> 29) as u8 & 0x0e);
    pes.extend_from_slice(&(((pts >> 14) as u16) | 1).to_be_bytes());
    pes.extend_from_slice(&(((pts << 1) as u16) | 1).to_be_bytes());
    pes.extend_from_slice(payload);

    let mut packets = Vec::new();
    let mut rest = pes.as_slice();
    let mut is_first = true;
    while !rest.is_empty() {
        let mut packet = [0xff; PACKET_LEN];
        let [high, low] = pid.bits().to_be_bytes();
        let start = if is_first { 0x40 } else { 0 };
        // A PCR and random_access_indicator ahead of the first bytes of a picture, stuffing ahead of the last.
        let pcr_len = if is_first && is_unbounded { 8 } else { 0 };
        let room = PACKET_LEN - 4 - pcr_len;
        let taken = rest.len().min(room);
        let field_len = PACKET_LEN - 4 - taken;
        packet[..4].copy_from_slice(&[0x47, start | high, low, if field_len > 0 { 0x30 } else { 0x10 }]);
        if field_len > 0 {
            packet[4] = (field_len - 1) as u8;
        }
        if field_len > 1 {
            packet[5] = 0;
        }
        if pcr_len > 0 {
            packet[5] = 0x10 | if is_access { 0x40 } else { 0 };
            packet[6..10].copy_from_slice(&((pts >> 1) as u32).to_be_bytes());
            packet[10] = 0x7e | (pts as u8) << 7;
            packet[11] = 0;
        }
        packet[PACKET_LEN - taken..].copy_from_slice(&rest[..taken]);
        packets.push(packet);
        rest = &rest[taken..];
        is_first = false;
    }
    packets
}
