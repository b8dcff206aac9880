//! Elementary streams put into PES packets that begin and end anywhere (ISO/IEC 13818-1 §2.4.3.7).
#![allow(dead_code)]

use std::ops::Range;

use bytes::Bytes;
use segcast::ts::section::crc32;
use segcast::ts::{PACKET_LEN, Pid, packetize};

pub const PID: Pid = Pid::new(0x100);
const PMT: Pid = Pid::new(0x1000);

/// An elementary stream, where its access units or frames are, and when they are presented and decoded.
#[derive(Clone, Debug, Default)]
pub struct Elementary {
    pub stream_type: u8,
    pub bytes: Vec<u8>,
    pub units: Vec<(Range<usize>, i64, i64)>,
}

impl Elementary {
    /// PES packets that end at these places and at the end of the stream, each with the times of the first access unit
    /// that begins in it.
    pub fn packed(&self, ends: &[usize]) -> Bytes {
        let mut out = Vec::new();
        let (mut pat, mut pmt, mut counter, mut at) = (0, 0, 0, 0);
        let is_video = matches!(self.stream_type, 0x02 | 0x1b | 0x24);
        let ends = ends.iter().copied().filter(|end| *end < self.bytes.len()).chain([self.bytes.len()]);
        for (n, end) in ends.enumerate() {
            if n % 5 == 0 {
                packetize(&section(&[0, 0, 1, 0xc1, 0, 0, 0, 1, 0xf0, 0x00]), Pid::PAT, &mut pat, &mut out);
                let table = [2, 0, 1, 0xc1, 0, 0, 0xe1, 0x00, 0xf0, 0, self.stream_type, 0xe1, 0x00, 0xf0, 0];
                packetize(&section(&table), PMT, &mut pmt, &mut out);
            }
            let first = self.units.iter().find(|(unit, ..)| (at..end).contains(&unit.start));
            let stamps = match first {
                Some((_, pts, dts)) if pts != dts => [stamp(3, *pts), stamp(1, *dts)].concat(),
                Some((_, pts, _)) => stamp(2, *pts).to_vec(),
                None => Vec::new(),
            };
            let payload = &self.bytes[at..end];
            let len = if is_video { 0 } else { payload.len() + stamps.len() + 3 };
            let flags = [0, 0x80, 0xc0][stamps.len() / 5];
            let id = if is_video { 0xe0 } else { 0xc0 };
            let mut pes = vec![0, 0, 1, id, (len >> 8) as u8, len as u8, 0x80, flags, stamps.len() as u8];
            pes.extend_from_slice(&stamps);
            pes.extend_from_slice(payload);
            put(&pes, &mut counter, &mut out);
            at = end;
        }
        out.into()
    }

    /// A PES packet for each access unit.
    pub fn aligned(&self) -> Bytes {
        self.packed(&self.units.iter().map(|(unit, ..)| unit.end).collect::<Vec<_>>())
    }
}

fn put(mut pes: &[u8], counter: &mut u8, out: &mut Vec<u8>) {
    let mut is_start = true;
    while !pes.is_empty() {
        let taken = pes.len().min(PACKET_LEN - 4);
        let field = PACKET_LEN - 4 - taken;
        let mut packet = [0xff; PACKET_LEN];
        let control = if field > 0 { 0x30 } else { 0x10 };
        packet[..4].copy_from_slice(&[0x47, if is_start { 0x41 } else { 1 }, 0, control | *counter]);
        if field > 0 {
            packet[4] = field as u8 - 1;
        }
        if field > 1 {
            packet[5] = 0;
        }
        packet[PACKET_LEN - taken..].copy_from_slice(&pes[..taken]);
        out.extend_from_slice(&packet);
        *counter = (*counter + 1) & 15;
        is_start = false;
        pes = &pes[taken..];
    }
}

fn section(table: &[u8]) -> Vec<u8> {
    let len = table.len() - 1 + 4;
    let mut section = vec![table[0], 0xb0 | (len >> 8) as u8, len as u8];
    section.extend_from_slice(&table[1..]);
    section.extend_from_slice(&crc32(&section).to_be_bytes());
    section
}

fn stamp(marker: u8, ticks: i64) -> [u8; 5] {
    let ticks = ticks.rem_euclid(1 << 33) as u64;
    let mut bytes = [0; 5];
    bytes[0] = marker << 4 | (ticks >> 29) as u8 & 0x0e | 1;
    bytes[1..3].copy_from_slice(&((ticks >> 14) as u16 | 1).to_be_bytes());
    bytes[3..].copy_from_slice(&((ticks << 1) as u16 | 1).to_be_bytes());
    bytes
}
