//! A reader of CMAF segments that shares nothing with the core.

use std::collections::HashMap;

use super::bitstream::names;
use super::boxes::{boxes, fragments};
use super::drive::Track;
use super::model::{Frame, SECOND};
use super::output::{Playlist, Rule, Seen};

/// Reads a track's segments.
pub fn read(name: &str, track: &Track, tracks: &[Vec<Frame>], has_video: bool) -> Playlist {
    let mut playlist = Playlist::new(name, &track.segments);
    let mut scales = HashMap::new();
    for (number, segment) in track.segments.iter().enumerate() {
        for (_, init) in track.inits.iter().filter(|(ordinal, _)| *ordinal == segment.ordinal) {
            scales = timescales(init);
        }
        if segment.bytes.is_empty() {
            playlist.fail(Rule::Empty, format!("segment {number} has no bytes"));
            continue;
        }
        let mut samples = 0;
        for traf in fragments(&segment.bytes).iter().flat_map(|fragment| &fragment.trafs) {
            let Some(scale) = scales.get(&traf.track_id).copied() else {
                playlist.fail(Rule::Shape, format!("segment {number}: track {} has no init", traf.track_id));
                continue;
            };
            let (mut at, mut decode) = (0, traf.decode as i64);
            for sample in &traf.samples {
                let bytes = &traf.media[at..at + sample.size as usize];
                let ticks = |time: i64| (i128::from(time) * i128::from(SECOND) / i128::from(scale)) as i64;
                let times = (ticks(decode + i64::from(sample.offset)), ticks(decode));
                let is_sync = sample.flags & 0x1_0000 == 0;
                take_sample(&mut playlist, bytes, times, is_sync, number, (tracks, has_video));
                at += sample.size as usize;
                decode += i64::from(sample.duration);
                samples += 1;
            }
        }
        if samples == 0 {
            playlist.fail(Rule::Empty, format!("segment {number} has no samples"));
        }
    }
    playlist
}

fn take_sample(
    playlist: &mut Playlist,
    bytes: &[u8],
    (pts, dts): (i64, i64),
    is_sync: bool,
    segment: usize,
    (tracks, has_video): (&[Vec<Frame>], bool),
) {
    let found = names(bytes);
    let [(_, track, id)] = found[..] else {
        playlist.fail(Rule::Frames, format!("segment {segment}: a sample with {} frames", found.len()));
        return;
    };
    let frames = tracks.get(track).map_or(&[][..], Vec::as_slice);
    let frame = frames.get(frames.partition_point(|frame| frame.id < id));
    let Some(frame) = frame.filter(|frame| frame.id == id) else {
        playlist.fail(Rule::Frames, format!("a frame {id} of track {track} that was never sent"));
        return;
    };
    let sent = frame.payload.iter().map(|range| &frame.bytes[range.clone()]);
    let is_exact = if track == 0 && has_video {
        sent.eq(units(bytes).into_iter().filter(|unit| names_any(unit)))
    } else {
        sent.eq([bytes])
    };
    let (pts, dts, is_sync) = (Some(pts), Some(dts), Some(is_sync));
    playlist.seen.push(Seen { track, id, segment, pts, dts, is_sync, is_exact });
}

/// Whether a NAL unit has coded video.
fn names_any(unit: &[u8]) -> bool {
    unit.contains(&b'#')
}

/// NAL units with their lengths before them.
fn units(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut units = Vec::new();
    while let Some((len, rest)) = bytes.split_first_chunk::<4>() {
        let len = (u32::from_be_bytes(*len) as usize).min(rest.len());
        units.push(&rest[..len]);
        bytes = &rest[len..];
    }
    units
}

/// The timescale of each track of an initialization section.
fn timescales(init: &[u8]) -> HashMap<u32, u32> {
    let within = |boxes: &[(&str, &[u8])], kind: &str| -> Vec<u8> {
        boxes.iter().find(|(of, _)| *of == kind).map(|(_, bytes)| bytes.to_vec()).unwrap_or_default()
    };
    let word = |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let moov = within(&boxes(init), "moov");
    let mut scales = HashMap::new();
    for (_, trak) in boxes(&moov).into_iter().filter(|(kind, _)| *kind == "trak") {
        let tkhd = within(&boxes(trak), "tkhd");
        let mdhd = within(&boxes(&within(&boxes(trak), "mdia")), "mdhd");
        // Version 0 has times of four bytes, version 1 of eight.
        let id = word(&tkhd, if tkhd[0] == 1 { 20 } else { 12 });
        scales.insert(id, word(&mdhd, if mdhd[0] == 1 { 20 } else { 12 }));
    }
    scales
}
