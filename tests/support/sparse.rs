//! Streams of which one elementary stream is missing for a time, as if it had never been sent.
#![allow(dead_code)]

use std::ops::Range;

/// Removes the PES packets of `pid` whose PTS lie in `span`, which is seconds from the stream's first PTS. Continuity
/// counters have no gap.
pub fn without(stream: &[u8], pid: u16, span: Range<f64>) -> Vec<u8> {
    let packets = || stream.chunks_exact(188);
    let first = packets().filter_map(pts).min().expect("there are timestamps");
    let (mut kept, mut counter, mut is_left_out) = (Vec::with_capacity(stream.len()), 0, false);
    for packet in packets() {
        if pid_of(packet) != pid {
            kept.extend_from_slice(packet);
            continue;
        }
        if let Some(pts) = pts(packet) {
            is_left_out = span.contains(&((pts - first) as f64 / 90_000.0));
        }
        if !is_left_out {
            let at = kept.len();
            kept.extend_from_slice(packet);
            kept[at + 3] = kept[at + 3] & 0xf0 | counter;
            counter = (counter + 1) & 0x0f;
        }
    }
    kept
}

/// Removes the packets of `pid` that lie in `span`, which is seconds by the PES packets of `clock` from their first PTS: the
/// first one of them may lie inside a PES packet. Continuity counters have a gap.
pub fn lossy(stream: &[u8], pid: u16, clock: u16, span: Range<f64>) -> Vec<u8> {
    let mut first = None;
    let mut now = 0.0;
    let mut kept = Vec::with_capacity(stream.len());
    for packet in stream.chunks_exact(188) {
        if let Some(pts) = pts(packet).filter(|_| pid_of(packet) == clock) {
            now = (pts as f64 - *first.get_or_insert(pts) as f64) / 90_000.0;
        }
        if pid_of(packet) != pid || !span.contains(&now) {
            kept.extend_from_slice(packet);
        }
    }
    kept
}

fn pid_of(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[1] & 0x1f, packet[2]])
}

/// The PTS of the PES packet that begins in this transport packet.
fn pts(packet: &[u8]) -> Option<u64> {
    let payload = match packet[3] >> 4 & 3 {
        1 => 4,
        3 => 5 + usize::from(packet[4]),
        _ => return None,
    };
    let pes = packet.get(payload..).filter(|pes| packet[1] & 0x40 != 0 && pes.starts_with(&[0, 0, 1]))?;
    let field = pes.get(9..14).filter(|_| pes[7] & 0x80 != 0)?;
    let bits = |byte: usize, mask: u8| u64::from(field[byte] & mask);
    Some(
        bits(0, 0x0e) << 29
            | bits(1, 0xff) << 22
            | bits(2, 0xfe) << 14
            | bits(3, 0xff) << 7
            | bits(4, 0xfe) >> 1,
    )
}
