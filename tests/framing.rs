//! PES packets are an envelope: however an elementary stream is put into them, the same access units and audio frames come
//! out, at the same times, and segments begin at the same ones.
#![allow(missing_docs, clippy::unwrap_used)]

mod support {
    pub mod boxes;
    pub mod fragments;
    pub mod repack;
}

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use segcast::cmaf::Layout;
use segcast::ts::{Demuxer, Event, Packet};
use support::boxes::{Sample, fragments};
use support::fragments::{Made, make};
use support::repack::Elementary;

const FIRST: i64 = 126_000;
const FRAME: i64 = 3003;

macro_rules! codec {
    ($name:literal) => {
        include_bytes!(concat!("../testdata/codec/", $name)).as_slice()
    };
}

/// Three frames from one keyframe to the next, again and again, without reordering.
fn video(stream_type: u8, bytes: &[u8], delimiter: &[u8], has_delimiters: bool) -> Elementary {
    let once: Vec<usize> = memchr::memmem::find_iter(bytes, delimiter).collect();
    let mut all = Elementary { stream_type, ..Elementary::default() };
    for n in 0..200 {
        let (from, to) = (once[n % 6], once.get(n % 6 + 1).copied().unwrap_or(bytes.len()));
        let skipped = if has_delimiters { 0 } else { delimiter.len() + 1 };
        let at = all.bytes.len();
        all.bytes.extend_from_slice(&bytes[from + skipped..to]);
        let time = FIRST + n as i64 * FRAME;
        all.units.push((at..all.bytes.len(), time, time));
    }
    all
}

fn h264(has_delimiters: bool) -> Elementary {
    video(0x1b, codec!("closed.h264"), &[0, 0, 0, 1, 9], has_delimiters)
}

fn hevc() -> Elementary {
    video(0x24, codec!("closed.hevc"), &[0, 0, 0, 1, 0x46, 1], true)
}

/// 500 frames of one size.
fn ac3() -> Elementary {
    let frame = codec!("surround.ac3");
    let len = memchr::memmem::find_iter(frame, &[0x0b, 0x77]).nth(1).unwrap();
    let mut all = Elementary { stream_type: 0x81, ..Elementary::default() };
    for n in 0..300 {
        let at = all.bytes.len();
        all.bytes.extend_from_slice(&frame[..len]);
        let time = FIRST + n * 2880;
        all.units.push((at..all.bytes.len(), time, time));
    }
    all
}

/// Payload of all PES packets, and where in it each of them begins.
fn payload(segments: impl IntoIterator<Item = Vec<u8>>) -> (Vec<u8>, Vec<usize>) {
    let (mut bytes, mut starts) = (Vec::new(), Vec::new());
    for segment in segments {
        for packet in segment.chunks(188).map(|packet| Packet::parse(packet).unwrap()) {
            if packet.pid() != support::repack::PID || !packet.has_payload() {
                continue;
            }
            let payload = packet.payload().unwrap();
            let header = if packet.is_unit_start() { 9 + usize::from(payload[8]) } else { 0 };
            if packet.is_unit_start() {
                starts.push(bytes.len());
            }
            bytes.extend_from_slice(&payload[header..]);
        }
    }
    (bytes, starts)
}

fn samples(made: &Made) -> Vec<(u64, Sample, Vec<u8>)> {
    let bodies = made.fragmented[0].segments.iter().map(|(_, body)| body);
    let trafs = bodies.flat_map(|body| fragments(body)).flat_map(|fragment| fragment.trafs);
    let each = trafs.flat_map(|traf| {
        let (mut at, mut from) = (traf.decode, 0);
        let samples: Vec<_> = traf.samples.clone();
        samples
            .into_iter()
            .map(move |sample| {
                let found = (at, sample, traf.media[from..from + sample.size as usize].to_vec());
                at += u64::from(sample.duration);
                from += sample.size as usize;
                found
            })
            .collect::<Vec<_>>()
    });
    each.collect()
}

/// Whether both have the same segments with the same samples at the same times.
#[track_caller]
fn is_same(elementary: &Elementary, stream: &Bytes, part: Option<Duration>) {
    let expected = make(&elementary.aligned(), 65_536, Layout::Demuxed, part);
    let made = make(stream, 1000, Layout::Demuxed, part);
    let cuts = |made: &Made| {
        made.segments
            .iter()
            .map(|(head, _, extent)| (head.start, extent.unwrap().duration))
            .collect::<Vec<_>>()
    };
    let is_video = elementary.stream_type != 0x81;
    // Audio is cut at the first frame of a PES packet, so that there are fewer places.
    assert!(!is_video || cuts(&made) == cuts(&expected), "{:?}, expected {:?}", cuts(&made), cuts(&expected));
    let (found, wanted) = (samples(&made), samples(&expected));
    assert_eq!(found.len(), wanted.len());
    for (n, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
        assert_eq!((found.0, found.1), (wanted.0, wanted.1), "sample {n}");
        assert!(found.2 == wanted.2, "sample {n}");
    }
    let parts = |made: &Made| made.fragmented[0].parts.iter().map(Vec::len).collect::<Vec<_>>();
    assert!(!is_video || parts(&made) == parts(&expected));
    // As transport streams all of it is there, and each segment begins with an access unit.
    let (bytes, _) = payload(made.segments.iter().map(|(_, bytes, _)| bytes.clone()));
    assert!(bytes == elementary.bytes);
    let mut at = 0;
    for (_, segment, _) in &made.segments {
        let (bytes, starts) = payload([segment.clone()]);
        assert!(starts.first() == Some(&0), "{starts:?}");
        // A start code that lies in two PES packets, with the header behind it, is left where it is.
        let is_begin = |unit: &Range<usize>| (unit.start..unit.start + 8).contains(&at);
        assert!(elementary.units.iter().any(|(unit, ..)| is_begin(unit)), "a segment begins at byte {at}");
        at += bytes.len();
    }
}

/// Tails of so many bytes in the next PES packet.
fn tails(elementary: &Elementary, tail: usize, units: usize) -> Vec<usize> {
    elementary.units.chunks(units).map(|group| group[group.len() - 1].0.end - tail).collect()
}

#[test]
fn tails_and_several_access_units_change_nothing() {
    for elementary in [h264(true), h264(false), hevc(), ac3()] {
        for (tail, units) in [(1, 1), (3, 1), (20, 1), (60, 1), (0, 2), (0, 3), (0, 7), (10, 3)] {
            for part in [None, Some(Duration::from_millis(400))] {
                is_same(&elementary, &elementary.packed(&tails(&elementary, tail, units)), part);
            }
        }
    }
}

/// Where PES packets of these sizes end; not behind the zero before a start code, which may be stuffing.
fn splits(elementary: &Elementary, sizes: &[usize]) -> Vec<usize> {
    let ends = sizes.iter().cycle().scan(0, |at, size| {
        *at += size;
        Some(*at)
    });
    let is_behind_zero = |end: usize| elementary.units.iter().any(|(unit, ..)| unit.start + 1 == end);
    let ends = ends.take_while(|end| *end < elementary.bytes.len());
    ends.map(|end| if is_behind_zero(end) { end + 1 } else { end }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    // Each but the last holds more than what tells where an access unit begins; fewer bytes in every PES packet would leave
    // times that belong to start codes in pieces.
    #[test]
    fn any_pes_packets_give_the_same_segments(
        which in 0..4,
        sizes in proptest::collection::vec(40_usize..4000, 1..12),
    ) {
        let elementary = match which { 0 => h264(true), 1 => h264(false), 2 => hevc(), _ => ac3() };
        is_same(&elementary, &elementary.packed(&splits(&elementary, &sizes)), None);
    }
}

#[test]
fn each_access_unit_is_reported_once_with_its_time() {
    let elementary = h264(true);
    let stream = elementary.packed(&tails(&elementary, 20, 2));
    let mut demuxer = Demuxer::default();
    let mut events: Vec<_> = demuxer.push(stream).collect();
    events.extend(demuxer.finish());
    let (mut pes, mut times) = (None, Vec::new());
    for event in events {
        match event {
            Event::Pes(start) | Event::Begin(start) => pes = Some(start),
            Event::Rest { .. } => pes = None,
            Event::AccessUnit { unit, .. } => {
                times.extend(
                    pes.take().map(|start| (start.dts.unwrap().count(), unit.random_access.is_some())),
                );
            }
            _ => {}
        }
    }
    let expected: Vec<_> =
        elementary.units.iter().enumerate().map(|(n, (.., dts))| (*dts, n % 3 == 0)).collect();
    assert_eq!(times, expected);
}
