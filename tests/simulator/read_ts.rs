//! A reader of transport stream segments that shares nothing with the core.

use std::collections::BTreeMap;

use super::bitstream::names;
use super::drive::Segment;
use super::model::Frame;
use super::mux::{PACKET_LEN, VIDEO};
use super::output::{Playlist, Rule, Seen};

/// An elementary stream, joined over all segments.
#[derive(Default)]
struct Stream {
    bytes: Vec<u8>,
    /// Where each segment's bytes begin.
    segments: Vec<(usize, usize)>,
    /// Where each PES packet's payload begins, and its PTS and DTS.
    starts: Vec<(usize, Option<(i64, i64)>)>,
    /// The header of the PES packet under way, until it is whole.
    header: Option<Vec<u8>>,
    counter: Option<u8>,
}

/// Reads segments. `is_whole` says that no packet was lost on the way here.
pub fn read(name: &str, segments: &[Segment], tracks: &[Vec<Frame>], is_whole: bool) -> Playlist {
    let mut playlist = Playlist::new(name, segments);
    let mut streams: BTreeMap<u16, Stream> = BTreeMap::new();
    for (number, segment) in segments.iter().enumerate() {
        // Where another timeline begins, packets before its first keyframe are left out.
        let goes_on = is_whole && !segment.extent.head.is_discontinuity;
        if let Err(text) = take_segment(&mut streams, number, &segment.bytes, goes_on) {
            playlist.fail(Rule::Shape, format!("segment {number}: {text}"));
        }
    }
    for (pid, stream) in &streams {
        let Some(frames) = tracks.get(usize::from(pid.wrapping_sub(VIDEO))) else { continue };
        find(&mut playlist, stream, frames);
    }
    playlist
}

fn take_segment(
    streams: &mut BTreeMap<u16, Stream>,
    number: usize,
    bytes: &[u8],
    goes_on: bool,
) -> Result<(), String> {
    if !bytes.len().is_multiple_of(PACKET_LEN) {
        return Err(format!("{} bytes are no whole packets", bytes.len()));
    }
    let mut result = Ok(());
    let mut note = |text: String| {
        if result.is_ok() {
            result = Err(text);
        }
    };
    for (n, packet) in bytes.chunks_exact(PACKET_LEN).enumerate() {
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        let starts = packet[1] & 0x40 != 0;
        if packet[0] != 0x47 {
            note(format!("packet {n} begins with {:#04x}", packet[0]));
        }
        let expected = match n {
            0 => pid == 0,
            1 => packet[6 - 1] == 2 && starts,
            _ => true,
        };
        if !expected {
            note(format!("packet {n} is not a PAT or PMT: PID {pid:#x}"));
        }
        let field = if packet[3] & 0x20 != 0 { 1 + usize::from(packet[4]) } else { 0 };
        if packet[3] & 0x10 == 0 {
            continue;
        }
        let stream = streams.entry(pid).or_default();
        let counter = packet[3] & 15;
        let last = stream.counter.replace(counter);
        // Where a PES packet was divided there is one packet more than in the source.
        let is_announced = field > 1 && packet[5] & 0x80 != 0 && starts;
        if goes_on && !is_announced && last.is_some_and(|last| (last + 1) & 15 != counter) {
            note(format!("packet {n} of PID {pid:#x} has counter {counter} after {last:?}"));
        }
        if !(0x20..0x1000).contains(&pid) {
            continue;
        }
        if stream.segments.last().is_none_or(|(_, segment)| *segment != number) {
            stream.segments.push((stream.bytes.len(), number));
            if !starts && pid == VIDEO && goes_on && n < 4 {
                note("the video begins in the middle of a PES packet".to_owned());
            }
        }
        stream.take(&packet[4 + field.min(PACKET_LEN - 4)..], starts);
    }
    result
}

impl Stream {
    fn take(&mut self, payload: &[u8], starts: bool) {
        if starts {
            self.header = Some(Vec::new());
        }
        let Some(header) = &mut self.header else {
            return self.bytes.extend_from_slice(payload);
        };
        header.extend_from_slice(payload);
        let len = header.get(8).map_or(usize::MAX, |len| 9 + usize::from(*len));
        if header.len() < len {
            return;
        }
        let at = |n: usize| ticks(&header[n..n + 5]);
        let stamp = match header[7] >> 6 {
            2 => Some((at(9), at(9))),
            3 => Some((at(9), at(14))),
            _ => None,
        };
        self.starts.push((self.bytes.len(), stamp));
        let payload = header.split_off(len);
        self.bytes.extend_from_slice(&payload);
        self.header = None;
    }

    fn segment(&self, at: usize) -> usize {
        let behind = self.segments.partition_point(|(start, _)| *start <= at);
        behind.checked_sub(1).map_or(usize::MAX, |index| self.segments[index].1)
    }
}

fn ticks(bytes: &[u8]) -> i64 {
    let number = bytes.iter().fold(0_i64, |number, byte| number << 8 | i64::from(*byte));
    number >> 3 & 0x1_c000_0000 | number >> 2 & 0x3fff_8000 | number >> 1 & 0x7fff
}

/// What stands between the delimiter of a keyframe and its first slice, behind start codes of four bytes.
fn parameter_sets(frame: &Frame) -> Vec<u8> {
    let head = frame.payload.first().map_or(&[][..], |slice| &frame.bytes[..slice.start - 3]);
    let is_code = |at: usize| head[..at].ends_with(&[0, 0, 1]);
    let mut starts: Vec<usize> = (3..=head.len()).filter(|at| is_code(*at)).collect();
    starts.push(head.len() + 3);
    let mut sets = Vec::new();
    for pair in starts.windows(2) {
        let unit = &head[pair[0]..pair[1] - 3];
        let is_set = matches!(unit[0], 0x67 | 0x68 | 0x40 | 0x42 | 0x44);
        if is_set {
            sets.extend_from_slice(&[0, 0, 0, 1]);
            sets.extend_from_slice(unit);
        }
    }
    sets
}

/// The frame with `sets` behind its delimiter.
fn with_sets(frame: &Frame, sets: &[u8]) -> Vec<u8> {
    let lead = frame.payload.first().map_or(0, |slice| slice.start - 3);
    // The first start code has four bytes.
    let (before, behind) = frame.bytes.split_at(if lead > 1 { lead } else { 0 });
    [before, sets, behind].concat()
}

/// Finds the frames in a stream by their names.
fn find(playlist: &mut Playlist, stream: &Stream, frames: &[Frame]) {
    let mut last_start = None;
    let mut sets = Vec::new();
    for (at, track, id) in names(&stream.bytes) {
        let frame = frames.get(frames.partition_point(|frame| frame.id < id));
        let Some(frame) = frame.filter(|frame| (frame.track, frame.id) == (track, id)) else {
            playlist.fail(Rule::Frames, format!("a frame {id} of track {track} that was never sent"));
            continue;
        };
        if frame.is_key && frame.track == 0 {
            sets = parameter_sets(frame);
        }
        let is_here = |bytes: &[u8], name_at: usize| {
            let from = at.checked_sub(name_at)?;
            (stream.bytes.get(from..from + bytes.len()) == Some(bytes)).then_some(from)
        };
        // Where a part begins, parameter sets are repeated.
        let repeated = || {
            let has_sets = frame.track == 0 && !sets.is_empty();
            has_sets.then(|| is_here(&with_sets(frame, &sets), frame.name_at + sets.len()))?
        };
        let from = is_here(&frame.bytes, frame.name_at).or_else(repeated);
        let is_exact = from.is_some();
        let start = from.or(at.checked_sub(frame.name_at)).unwrap_or(0);
        let segment = stream.segment(start);
        // The PES packet's timestamps are those of the first frame that begins in it.
        let pes = stream.starts.partition_point(|(from, _)| *from <= start).checked_sub(1);
        let stamp = pes.filter(|_| pes != last_start).and_then(|pes| stream.starts[pes].1);
        last_start = pes;
        let (pts, dts) = stamp.unzip();
        playlist.seen.push(Seen { track, id, segment, pts, dts, is_sync: None, is_exact });
        let end = start + frame.bytes.len() - 1;
        if is_exact && stream.segment(end) != segment && track == 0 {
            playlist.fail(Rule::Shape, format!("video frame {id} is in two segments"));
        }
    }
}
