//! Frames into a transport stream: PES packets, tables, PCR, interleaving; and what is lost or repeated on the way.

use super::fault::{Fault, Of};
use super::model::{Fate, Frame, Model, Packing, SECOND};
use super::rng::Rng;

pub const PACKET_LEN: usize = 188;
pub const VIDEO: u16 = 0x100;
const PMT: u16 = 0x1000;
const GHOST_PMT: u16 = 0x1fa0;
/// How far timestamps are ahead of the PCR.
const LEAD: i64 = SECOND / 2;

/// The PID of a track.
pub const fn pid(track: usize) -> u16 {
    VIDEO + track as u16
}

/// A transport packet, and what it is for.
struct Packet {
    bytes: [u8; PACKET_LEN],
    sent: i64,
    /// Its PES packet.
    unit: Option<usize>,
}

/// A PES packet.
struct Unit {
    track: usize,
    payload: Vec<u8>,
    /// PTS and DTS of the first frame that begins in it.
    stamp: Option<(i64, i64)>,
    sent: i64,
    is_key: bool,
    /// The frames that it has bytes of, by their places in the track.
    frames: Vec<usize>,
    /// Those that begin in it, but for the first.
    unstamped: Vec<usize>,
}

/// Returns the stream's bytes; `tracks` learns which frames do not get through.
pub fn mux(model: &Model, faults: &[Fault], tracks: &mut [Vec<Frame>]) -> Vec<u8> {
    let mut units = Vec::new();
    for (track, frames) in tracks.iter_mut().enumerate() {
        let packing = packing(model, faults, track);
        let is_reordered = track == 0 && model.b_frames > 0;
        let its = pack(frames, track, packing);
        for (unit, frame) in
            its.iter().flat_map(|unit| unit.unstamped.iter().map(move |frame| (unit, *frame)))
        {
            let before = &frames[frame - 1];
            let follows = before.is_stated && frames[frame].dts == before.dts + before.duration;
            frames[frame].is_stated = unit.stamp.is_some() && follows && !is_reordered;
        }
        for (number, unit) in its.iter().enumerate() {
            for frame in
                unit.frames.iter().rev().take(unit.unstamped.len() + usize::from(unit.stamp.is_some()))
            {
                frames[*frame].unit = number;
            }
        }
        units.extend(its);
    }
    let mut packets = Vec::new();
    for (number, unit) in units.iter().enumerate() {
        packetize(model, unit, number, &mut packets);
    }
    packets.extend(clock(model, faults));
    packets.extend(tables(model, faults, tracks));
    // The packets of one PES packet are apart, so that those of other tracks come between.
    packets.sort_by_key(|packet| packet.sent);
    count(&mut packets);
    disturb(faults, packets, |unit| damage(tracks, &units[unit]))
}

fn damage(tracks: &mut [Vec<Frame>], unit: &Unit) {
    for frame in &unit.frames {
        tracks[unit.track][*frame].fate = Fate::Damaged;
    }
}

fn packing(model: &Model, faults: &[Fault], track: usize) -> Packing {
    let is_video = track == 0 && model.video.is_some();
    let audio = || &model.audio[track - usize::from(model.video.is_some())];
    let own = if is_video { model.video.as_ref().map(|video| video.packing) } else { Some(audio().packing) };
    let other = faults.iter().rev().find_map(|fault| match *fault {
        Fault::Tails { bytes, at_keys } if is_video => Some(Packing::Tails { bytes, at_keys }),
        Fault::Several { frames } if is_video => Some(Packing::Whole(frames)),
        Fault::Unaligned { track: of, bytes } if of == track && !is_video => Some(Packing::Fixed(bytes)),
        _ => None,
    });
    other.or(own).unwrap_or(Packing::Whole(1))
}

/// Where PES packets begin in the elementary stream.
fn cuts(frames: &[Frame], packing: Packing) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut at = 0;
    for frame in frames {
        starts.push(at);
        at += frame.bytes.len();
    }
    let mut cuts: Vec<usize> = match packing {
        Packing::Whole(count) => {
            // Where timestamps do not go on, a PES packet with one of its own begins.
            let mut since = 0;
            let mut begins = |n: &usize| {
                let goes_on =
                    *n > 0 && (frames[*n].dts - frames[n - 1].dts - frames[n - 1].duration).abs() < 100;
                let is_cut = !goes_on || n - since >= count;
                since = if is_cut { *n } else { since };
                is_cut
            };
            (0..frames.len()).filter(|n| begins(n)).map(|n| starts[n]).collect()
        }
        Packing::Fixed(bytes) => (0..at).step_by(bytes).collect(),
        Packing::Tails { bytes, at_keys } => {
            let cut = |n: usize| match frames[n].is_key && !at_keys {
                true => starts[n],
                // A PES packet holds the beginning of the frame before.
                false => starts[n] - bytes.min(frames[n - 1].bytes.len() / 2),
            };
            std::iter::once(0).chain((1..frames.len()).map(cut)).collect()
        }
    };
    cuts.push(at);
    cuts
}

fn pack(frames: &[Frame], track: usize, packing: Packing) -> Vec<Unit> {
    let stream: Vec<u8> = frames.iter().map(|frame| &frame.bytes[..]).collect::<Vec<_>>().concat();
    let cuts = cuts(frames, packing);
    let mut units = Vec::new();
    let (mut next, mut next_at) = (0, 0);
    for pair in cuts.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let first = next;
        let mut inside: Vec<usize> = (next > 0 && next_at > from).then(|| next - 1).into_iter().collect();
        while next < frames.len() && next_at < to {
            inside.push(next);
            next_at += frames[next].bytes.len();
            next += 1;
        }
        let begins = (first < next).then(|| &frames[first]);
        let sent =
            begins.or_else(|| inside.first().map(|frame| &frames[*frame])).map_or(0, |frame| frame.sent);
        units.push(Unit {
            track,
            payload: stream[from..to].to_vec(),
            stamp: begins.map(|frame| (frame.pts, frame.dts)),
            sent,
            is_key: begins.is_some_and(|frame| frame.is_key),
            frames: inside,
            unstamped: (first + 1..next).collect(),
        });
    }
    units
}

fn packetize(model: &Model, unit: &Unit, number: usize, packets: &mut Vec<Packet>) {
    let is_video = unit.track == 0 && model.video.is_some();
    let stream_id = match is_video {
        true => 0xe0,
        false => model.audio[unit.track - usize::from(model.video.is_some())].coding.stream_id(),
    };
    let pes = pes(stream_id, unit, is_video);
    let pid = pid(unit.track);
    let step = if is_video { model.frame / 2 } else { SECOND / 100 } / (pes.len() as i64 / 184 + 2);
    let mut rest = pes.as_slice();
    let mut is_first = true;
    while !rest.is_empty() {
        let marks = is_first && is_video && unit.is_key;
        let taken = rest.len().min(PACKET_LEN - 4 - if marks { 2 } else { 0 });
        let field = PACKET_LEN - 4 - taken;
        let mut bytes = [0xff; PACKET_LEN];
        bytes[0] = 0x47;
        bytes[1] = if is_first { 0x40 } else { 0 } | (pid >> 8) as u8;
        bytes[2] = pid as u8;
        bytes[3] = if field > 0 { 0x30 } else { 0x10 };
        if field > 0 {
            bytes[4] = (field - 1) as u8;
        }
        if field > 1 {
            bytes[5] = if marks { 0x40 } else { 0 };
        }
        bytes[PACKET_LEN - taken..].copy_from_slice(&rest[..taken]);
        // Not before those of the PES packet before.
        let last = packets.last().map_or(i64::MIN, |packet| packet.sent);
        let is_same = packets
            .last()
            .is_some_and(|packet| (packet.bytes[1] & 0x1f, packet.bytes[2]) == (bytes[1] & 0x1f, bytes[2]));
        let sent = if is_first { unit.sent } else { last.saturating_add(step) };
        let sent = if is_same { sent.max(last) } else { sent };
        packets.push(Packet { bytes, sent, unit: Some(number) });
        rest = &rest[taken..];
        is_first = false;
    }
}

fn stamp(marker: u8, ticks: i64) -> [u8; 5] {
    let ticks = ticks.rem_euclid(1 << 33) as u64;
    let mut bytes = [0; 5];
    bytes[0] = marker << 4 | (ticks >> 29) as u8 & 0x0e | 1;
    bytes[1..3].copy_from_slice(&((ticks >> 14) as u16 | 1).to_be_bytes());
    bytes[3..].copy_from_slice(&((ticks << 1) as u16 | 1).to_be_bytes());
    bytes
}

fn pes(stream_id: u8, unit: &Unit, is_video: bool) -> Vec<u8> {
    let stamps: Vec<u8> = match unit.stamp {
        Some((pts, dts)) if pts != dts => [stamp(3, pts), stamp(1, dts)].concat(),
        Some((pts, _)) => stamp(2, pts).to_vec(),
        None => Vec::new(),
    };
    let flags = [0, 0x80, 0xc0][stamps.len() / 5];
    let len = if is_video { 0 } else { unit.payload.len() + stamps.len() + 3 };
    let mut pes = vec![0, 0, 1, stream_id, (len >> 8) as u8, len as u8, 0x80, flags, stamps.len() as u8];
    pes.extend_from_slice(&stamps);
    pes.extend_from_slice(&unit.payload);
    pes
}

/// PCR in packets of their own, so that they go on when frames do not.
fn clock(model: &Model, faults: &[Fault]) -> Vec<Packet> {
    let pcr = |sent: i64| {
        let jumped = |fault: &Fault| match *fault {
            Fault::Jump { of: Of::All, at, by } if sent >= at => by,
            Fault::Wrap { at } => (1 << 33) - model.first_pts - at,
            _ => 0,
        };
        let ticks = model.first_pts + sent - LEAD + faults.iter().map(jumped).sum::<i64>();
        let ticks = ticks.rem_euclid(1 << 33) as u64;
        let mut bytes = [0xff; PACKET_LEN];
        bytes[..6].copy_from_slice(&[0x47, (VIDEO >> 8) as u8, VIDEO as u8, 0x20, 183, 0x10]);
        bytes[6..10].copy_from_slice(&((ticks >> 1) as u32).to_be_bytes());
        bytes[10] = 0x7e | (ticks as u8) << 7;
        bytes[11] = 0;
        Packet { bytes, sent, unit: None }
    };
    (0..model.length).step_by(SECOND as usize / 12).map(pcr).collect()
}

fn tables(model: &Model, faults: &[Fault], tracks: &[Vec<Frame>]) -> Vec<Packet> {
    // The PMT of another codec comes just before its first keyframe.
    let first_key = |at: i64| tracks[0].iter().find(|frame| frame.is_key && frame.sent >= at);
    let changes = faults.iter().filter_map(|fault| match fault {
        Fault::Codec { at } if model.video.is_some() => first_key(*at).map(|frame| frame.sent - 1),
        _ => None,
    });
    let changes: Vec<i64> = changes.collect();
    let start = tracks.iter().flatten().map(|frame| frame.sent).min().unwrap_or(0) - 1;
    let mut times: Vec<i64> =
        (start..model.length).step_by(model.tables as usize).chain(changes.clone()).collect();
    times.retain(|time| {
        !faults.iter().any(|fault| match fault {
            Fault::LateTables { until } => time < until,
            Fault::NoTables { from, to } => (from..to).contains(&time) && !changes.contains(time),
            _ => false,
        })
    });
    let mut packets = Vec::new();
    for sent in times {
        let version = changes.iter().filter(|change| **change <= sent).count() as u8;
        let mut types = Vec::new();
        types.extend(model.video.as_ref().map(|video| {
            let since = if version > 0 { sent + 1 } else { i64::MIN };
            Fault::coding_at(video.coding, faults, since).video.stream_type()
        }));
        types.extend(model.audio.iter().map(|audio| audio.coding.stream_type()));
        packets.push(table(0, &pat(faults), sent));
        packets.push(table(PMT, &pmt(&types, version), sent));
    }
    packets
}

fn pat(faults: &[Fault]) -> Vec<u8> {
    let entry = |number: u16, pid: u16| [number.to_be_bytes(), (0xe000 | pid).to_be_bytes()].concat();
    let ghost = |first: bool| {
        let is_there =
            faults.iter().any(|fault| matches!(fault, Fault::Ghost { is_first } if *is_first == first));
        if is_there { entry(if first { 1 } else { 9 }, GHOST_PMT) } else { Vec::new() }
    };
    [vec![0, 0, 1, 0xc1, 0, 0], ghost(true), entry(5, PMT), ghost(false)].concat()
}

fn pmt(types: &[u8], version: u8) -> Vec<u8> {
    let mut section =
        vec![2, 0, 5, 0xc1 | version << 1, 0, 0, 0xe0 | (VIDEO >> 8) as u8, VIDEO as u8, 0xf0, 0];
    for (track, kind) in types.iter().enumerate() {
        let [high, low] = pid(track).to_be_bytes();
        section.extend_from_slice(&[*kind, 0xe0 | high, low, 0xf0, 0]);
    }
    section
}

/// A packet with a section, given without its length and CRC.
fn table(pid: u16, section: &[u8], sent: i64) -> Packet {
    let len = section.len() - 1 + 4;
    let mut whole = vec![section[0], 0xb0 | (len >> 8) as u8, len as u8];
    whole.extend_from_slice(&section[1..]);
    let crc = crc32(&whole);
    whole.extend_from_slice(&crc.to_be_bytes());
    let mut bytes = [0xff; PACKET_LEN];
    bytes[..5].copy_from_slice(&[0x47, 0x40 | (pid >> 8) as u8, pid as u8, 0x10, 0]);
    bytes[5..5 + whole.len()].copy_from_slice(&whole);
    Packet { bytes, sent, unit: None }
}

/// ISO/IEC 13818-1 annex A.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte) << 24;
        for _ in 0..8 {
            crc = crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 };
        }
    }
    crc
}

/// Numbers the packets of each PID; those without payload do not count.
fn count(packets: &mut [Packet]) {
    let mut counters = std::collections::HashMap::new();
    for Packet { bytes, .. } in packets {
        let counter: &mut u8 = counters.entry((bytes[1] & 0x1f, bytes[2])).or_insert(15);
        if bytes[3] & 0x10 != 0 {
            *counter = (*counter + 1) & 15;
        }
        bytes[3] = bytes[3] & 0xf0 | *counter;
    }
}

/// Loses and repeats packets; `lost` learns the PES packets that lost one.
fn disturb(faults: &[Fault], packets: Vec<Packet>, mut lost: impl FnMut(usize)) -> Vec<u8> {
    let total = packets.len();
    let is_lost = |n: usize| {
        faults.iter().any(|fault| match fault {
            Fault::Loss { at, packets } => (total * at / 1000..total * at / 1000 + packets).contains(&n),
            _ => false,
        })
    };
    let is_twice = |n: usize| {
        faults.iter().any(|fault| matches!(fault, Fault::Duplicates { every } if n % every == every - 1))
    };
    let mut stream = Vec::with_capacity(total * PACKET_LEN);
    for (n, packet) in packets.iter().enumerate() {
        if is_lost(n) {
            packet.unit.into_iter().for_each(&mut lost);
            continue;
        }
        stream.extend_from_slice(&packet.bytes);
        // Only packets with payload are ever sent twice.
        if is_twice(n) && packet.bytes[3] & 0x10 != 0 {
            stream.extend_from_slice(&packet.bytes);
        }
    }
    stream
}

/// Returns the sizes that `len` bytes are pushed in.
pub fn chunks(model: &Model, len: usize) -> Vec<usize> {
    let mut rng = Rng::new(model.seed ^ 0x00c4_0c4b);
    let mut sizes = Vec::new();
    let mut at = 0;
    while at < len {
        let size = match model.chunk {
            super::model::Chunking::Fixed(size) => size,
            super::model::Chunking::Random(size) => 1 + rng.within(0..size as i64) as usize,
        };
        sizes.push(size.min(len - at));
        at += size;
    }
    sizes
}
