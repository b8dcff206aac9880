//! What must hold of cutting, whatever the stream and however it is pushed.
#![allow(missing_docs, clippy::unwrap_used)]

mod support {
    pub mod synth;
}

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use segcast::segment::{Cutter, Event, Extent, Options, Output, Part, Segment, Segmenter};
use segcast::ts::{self, Demuxer, PACKET_LEN, Packet, Pid, packets};
use support::synth::{AUDIO, DELIMITER_LEN, SETS, Synth, VIDEO};

fn streams() -> impl Strategy<Value = Synth> {
    let pictures = (30..150_usize, 1..40_usize, 0..3000_usize);
    let audio = (proptest::option::of(0..2000_usize), 1..6_usize);
    (pictures, audio, 0..3_usize, any::<u64>()).prop_map(|(pictures, audio, stuffing, first_pts)| Synth {
        pictures: pictures.0,
        gop: pictures.1,
        picture_bytes: pictures.2,
        audio_bytes: audio.0,
        interleave: audio.1,
        stuffing,
        first_pts,
        ..Synth::default()
    })
}

/// The stream in chunks of these lengths, over and over.
fn chunked<'a>(stream: &'a Bytes, lengths: &'a [usize]) -> impl Iterator<Item = Bytes> + 'a {
    let mut rest = stream.clone();
    let mut lengths = lengths.iter().cycle();
    std::iter::from_fn(move || {
        let len = *lengths.next()?;
        (!rest.is_empty()).then(|| rest.split_to(len.min(rest.len())))
    })
}

fn demux(stream: &Bytes, lengths: &[usize]) -> Vec<ts::Event> {
    let mut demuxer = Demuxer::default();
    let mut events = Vec::new();
    for chunk in chunked(stream, lengths) {
        events.extend(demuxer.push(chunk));
    }
    events.extend(demuxer.finish());
    let mut joined: Vec<ts::Event> = Vec::new();
    for event in events {
        match (joined.last_mut(), event) {
            (Some(ts::Event::Packets(run)), ts::Event::Packets(next))
                if run.pid == next.pid && run.at + run.bytes.len() as u64 == next.at =>
            {
                run.bytes = [run.bytes.as_ref(), next.bytes.as_ref()].concat().into();
            }
            (_, event) => joined.push(event),
        }
    }
    joined
}

fn cut(stream: &Bytes, lengths: &[usize], options: &Options) -> Vec<Segment> {
    let mut segmenter = Segmenter::new(options);
    let mut outputs = Vec::new();
    for chunk in chunked(stream, lengths) {
        outputs.extend(segmenter.push(chunk));
    }
    outputs.extend(segmenter.finish());
    outputs
        .into_iter()
        .filter_map(|output| match output {
            Output::Segment(segment) => Some(segment),
            _ => None,
        })
        .collect()
}

fn options(target_ms: u64) -> Options {
    Options { target: Duration::from_millis(target_ms), ..Options::default() }
}

/// Packets of the program's streams, by PID.
fn by_pid(bytes: &[u8]) -> BTreeMap<Pid, Vec<&[u8]>> {
    let mut out: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for packet in packets(bytes).filter(|packet| [VIDEO, AUDIO].contains(&packet.pid())) {
        out.entry(packet.pid()).or_default().push(packet.bytes().as_slice());
    }
    out
}

/// The elementary streams without the parameter sets in them.
fn without_sets(bytes: &[u8]) -> BTreeMap<Pid, Vec<u8>> {
    let mut out: BTreeMap<_, Vec<u8>> = BTreeMap::new();
    for packet in packets(bytes).filter(|packet| [VIDEO, AUDIO].contains(&packet.pid())) {
        let Ok(payload) = packet.payload() else { continue };
        let header = if packet.is_unit_start() { 9 + usize::from(payload[8]) } else { 0 };
        out.entry(packet.pid()).or_default().extend_from_slice(&payload[header..]);
    }
    let sets = &SETS[DELIMITER_LEN..];
    let strip = |bytes: Vec<u8>| {
        let mut kept = Vec::new();
        let mut from = 0;
        for at in memchr::memmem::find_iter(&bytes, sets) {
            kept.extend_from_slice(&bytes[from..at]);
            from = at + sets.len();
        }
        kept.extend_from_slice(&bytes[from..]);
        kept
    };
    out.into_iter().map(|(pid, bytes)| (pid, strip(bytes))).collect()
}

/// A segment begins with PAT, PMT and the first packet of a picture that can be decoded, and holds whole PES
/// packets only.
fn assert_stands_alone(segment: &Segment) {
    let bytes = segment.chunks.to_bytes();
    let all: Vec<Packet<'_>> = packets(&bytes).collect();
    assert_eq!(all.len() * PACKET_LEN, bytes.len());
    assert_eq!(segment.extent.size_bytes, bytes.len() as u64);
    assert_eq!(all[0].pid(), Pid::PAT);
    assert!(all[1].pid() != VIDEO && all[1].is_unit_start());
    assert!(all[2].pid() == VIDEO && all[2].is_unit_start());
    assert!(all[2].adaptation_field().is_ok_and(|field| field.is_random_access()));
    let mut open: BTreeMap<Pid, Option<usize>> = BTreeMap::new();
    for packet in &all[2..] {
        let payload = packet.payload().unwrap();
        if packet.is_unit_start() {
            let left = open.insert(
                packet.pid(),
                match usize::from(u16::from_be_bytes([payload[4], payload[5]])) {
                    0 => None,
                    len => Some(len + 6),
                },
            );
            assert!(left.flatten().is_none_or(|left| left == 0), "a PES packet is cut short");
        }
        let left = open.get_mut(&packet.pid()).expect("a PES packet without its start");
        *left = left.map(|left| left.checked_sub(payload.len()).expect("more than the PES packet holds"));
    }
    assert!(open.values().all(|left| left.is_none_or(|left| left == 0)), "a PES packet is cut short");
}

/// Each segment with its parts, as the segmenter hands them out.
fn parts(stream: &Bytes, lengths: &[usize], options: &Options) -> Vec<(Vec<(Part, Bytes)>, Segment)> {
    let mut segmenter = Segmenter::new(options);
    let mut outputs = Vec::new();
    for chunk in chunked(stream, lengths) {
        outputs.extend(segmenter.push(chunk));
    }
    outputs.extend(segmenter.finish());
    let (mut segments, mut open) = (Vec::new(), Vec::new());
    for output in outputs {
        match output {
            Output::Part { ordinal, part, chunks } => {
                assert_eq!(ordinal, segments.len() as u64);
                open.push((part, chunks.to_bytes()));
            }
            Output::Segment(segment) => segments.push((std::mem::take(&mut open), segment)),
            _ => {}
        }
    }
    assert!(open.is_empty());
    segments
}

/// What holds of the parts of any stream.
fn assert_parts_are_the_segments(segments: &[(Vec<(Part, Bytes)>, Segment)]) {
    for (parts, segment) in segments {
        let joined: Vec<u8> = parts.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
        assert!(joined == segment.chunks.to_bytes(), "segment {}", segment.ordinal);
        assert!(parts.iter().zip(0..).all(|((part, _), index)| part.index == index));
        assert!(parts.windows(2).all(|pair| pair[0].0.decode_end == pair[1].0.decode_start));
        assert_eq!(parts.first().map(|(part, _)| part.decode_start), Some(segment.extent.head.decode_start));
        assert_eq!(parts.last().map(|(part, _)| part.decode_end), Some(segment.extent.decode_end));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_chunking_gives_the_same_events(synth in streams(), lengths in prop::collection::vec(1..2000_usize, 1..8)) {
        let stream = Bytes::from(synth.bytes());
        prop_assert_eq!(demux(&stream, &[stream.len()]), demux(&stream, &lengths));
    }

    #[test]
    fn any_chunking_of_damaged_bytes_gives_the_same_events(
        synth in streams(),
        lengths in prop::collection::vec(1..2000_usize, 1..8),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..60),
        holes in prop::collection::vec((any::<prop::sample::Index>(), 1..600_usize), 0..6),
    ) {
        let mut stream = synth.bytes();
        for (at, byte) in damage {
            let at = at.index(stream.len());
            stream[at] = byte;
        }
        for (at, len) in holes {
            let at = at.index(stream.len());
            stream.drain(at..(at + len).min(stream.len()));
        }
        let stream = Bytes::from(stream);
        prop_assert_eq!(demux(&stream, &[stream.len().max(1)]), demux(&stream, &lengths));
        let options = Options { part: Some(Duration::from_millis(200)), ..options(1000) };
        let divided = parts(&stream, &lengths, &options);
        assert_parts_are_the_segments(&divided);
        let whole = cut(&stream, &[stream.len().max(1)], &self::options(1000));
        let pieces = cut(&stream, &lengths, &self::options(1000));
        prop_assert_eq!(whole.len(), pieces.len());
        for (a, b) in whole.iter().zip(&pieces) {
            prop_assert_eq!(a.extent, b.extent);
            prop_assert_eq!(a.chunks.to_bytes(), b.chunks.to_bytes());
        }
    }

    #[test]
    fn joined_segments_are_the_input_but_for_its_tables(
        synth in streams(),
        lengths in prop::collection::vec(1..5000_usize, 1..8),
        target_ms in 500..4000_u64,
    ) {
        let stream = Bytes::from(synth.bytes());
        let segments = cut(&stream, &lengths, &options(target_ms));
        let joined: Vec<u8> = segments.iter().flat_map(|segment| segment.chunks.to_bytes()).collect();
        prop_assert_eq!(by_pid(&joined), by_pid(&stream));
        if synth.gop <= 25 {
            segments.iter().for_each(assert_stands_alone);
        }
        let mut counters: BTreeMap<Pid, u8> = BTreeMap::new();
        for packet in packets(&joined) {
            let counter = packet.continuity_counter();
            if let Some(last) = counters.insert(packet.pid(), counter) {
                prop_assert_eq!(counter, (last + 1) & 0x0f, "PID {}", packet.pid());
            }
        }
    }

    #[test]
    fn what_follows_a_stream_that_broke_off_is_cut_as_if_it_were_alone(
        synth in streams(),
        lengths in prop::collection::vec(1..5000_usize, 1..8),
        until in any::<prop::sample::Index>(),
    ) {
        let stream = Bytes::from(synth.bytes());
        let broken = stream.slice(..until.index(stream.len()));
        let mut segmenter = Segmenter::new(&options(1000));
        let mut outputs = Vec::new();
        for stream in [&broken, &stream] {
            for chunk in chunked(stream, &lengths) {
                outputs.extend(segmenter.push(chunk));
            }
            outputs.extend(segmenter.break_off());
        }
        let segments: Vec<_> = outputs.into_iter().filter_map(|output| match output {
            Output::Segment(segment) => Some(segment),
            _ => None,
        }).collect();
        let count = cut(&broken, &lengths, &options(1000)).len();
        prop_assert!(segments.iter().zip(0..).all(|(segment, n)| segment.ordinal == n));
        prop_assert!(segments.iter().enumerate().all(|(n, one)| one.extent.head.is_discontinuity == (n == count)));
        let joined = |segments: &[Segment]| -> Vec<u8> {
            segments.iter().flat_map(|segment| segment.chunks.to_bytes()).collect()
        };
        let behind = joined(&segments[count..]);
        prop_assert_eq!(by_pid(&behind), by_pid(&stream));
        let tables = |bytes: &[u8]| packets(bytes).filter(|packet| packet.pid() == Pid::PAT)
            .map(|packet| packet.continuity_counter()).collect::<Vec<_>>();
        let counters = tables(&joined(&segments));
        prop_assert!(counters.windows(2).all(|pair| pair[1] == (pair[0] + 1) & 0x0f), "{counters:?}");
    }

    #[test]
    fn durations_add_up_and_none_is_longer_than_promised(synth in streams(), target_ms in 500..4000_u64) {
        let stream = Bytes::from(synth.bytes());
        let segments = cut(&stream, &[65_536], &options(target_ms));
        let sum: Duration = segments.iter().map(|segment| segment.extent.duration).sum();
        prop_assert_eq!(sum, Duration::from_millis(40 * synth.pictures as u64));
        let promised = segments[0].extent.longest;
        for segment in &segments {
            prop_assert_eq!(segment.extent.longest, promised);
            // Rounded, as EXT-X-TARGETDURATION bounds it.
            prop_assert!(segment.extent.duration < promised + Duration::from_millis(500));
        }
    }

    #[test]
    fn parts_are_the_segment_and_as_long_as_promised(
        synth in streams(),
        frame in prop::sample::select(&[3600, 3003, 3750, 1800][..]),
        lengths in prop::collection::vec(1..5000_usize, 1..8),
        target_ms in 500..3000_u64,
        part_ms in 100..700_u64,
    ) {
        let synth = Synth { frame, ..synth };
        let stream = Bytes::from(synth.bytes());
        let options = Options { part: Some(Duration::from_millis(part_ms)), ..options(target_ms) };
        let segments = parts(&stream, &lengths, &options);
        assert_parts_are_the_segments(&segments);
        let whole = parts(&stream, &[stream.len()], &options);
        prop_assert_eq!(segments.len(), whole.len());
        for ((parts, segment), (whole, other)) in segments.iter().zip(&whole) {
            prop_assert_eq!(segment.extent, other.extent);
            prop_assert_eq!(parts, whole);
        }
        let longest = segments[0].0[0].0.longest;
        for (parts, _) in &segments {
            for (n, (part, _)) in parts.iter().enumerate() {
                prop_assert_eq!(part.longest, longest);
                prop_assert!(part.duration <= longest);
                prop_assert!(n + 1 == parts.len() || part.duration >= longest.mul_f64(0.85), "{:?}", part);
                prop_assert!(!part.duration.is_zero());
                prop_assert!(n > 0 || synth.gop > 25 || part.is_independent);
            }
        }
        // What segments there are and what is in them does not depend on their parts, but for the tables that each part
        // begins with, and the packet of parameter sets where it begins without its own.
        let plain = cut(&stream, &lengths, &self::options(target_ms));
        for ((parts, segment), plain) in segments.iter().zip(&plain) {
            let dependent = parts.iter().filter(|(part, _)| !part.is_independent).count();
            let more = ((parts.len() - 1) * 2 + dependent) * PACKET_LEN;
            let without = Extent { size_bytes: segment.extent.size_bytes - more as u64, ..segment.extent };
            prop_assert_eq!(without, plain.extent);
            let (bytes, plain) = (segment.chunks.to_bytes(), plain.chunks.to_bytes());
            if dependent == 0 {
                prop_assert_eq!(by_pid(&bytes), by_pid(&plain));
            }
            prop_assert_eq!(without_sets(&bytes), without_sets(&plain));
        }
    }

    #[test]
    fn random_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..20_000), chunk in 1..3000_usize) {
        let stream = Bytes::from(bytes);
        prop_assert_eq!(demux(&stream, &[stream.len().max(1)]), demux(&stream, &[chunk]));
    }
}

#[test]
fn a_payload_byte_is_never_copied() {
    let stream = Bytes::from(Synth::default().bytes());
    let (from, to) = (stream.as_ptr() as usize, stream.as_ptr() as usize + stream.len());
    let mut cutter = Cutter::new(&options(2000));
    let (mut shared, mut copied) = (0, 0);
    let mut count = |event: Event| {
        if let Event::Data { bytes, .. } = event {
            let is_shared = (from..to).contains(&(bytes.as_ptr() as usize));
            *if is_shared { &mut shared } else { &mut copied } += bytes.len();
        }
    };
    // A multiple of the packet length: nothing straddles, so nothing but the tables is made anew.
    for chunk in chunked(&stream, &[188 * 500]) {
        cutter.push(chunk).for_each(&mut count);
    }
    cutter.finish().for_each(&mut count);
    assert_eq!(copied, 5 * 2 * PACKET_LEN);
    assert!(shared > 1_000_000);
}

#[test]
fn a_stream_is_cut_before_it_ends() {
    let stream = Bytes::from(Synth::default().bytes());
    let mut segmenter = Segmenter::new(&options(2000));
    let early = segmenter.push(stream).filter(|output| matches!(output, Output::Segment(_))).count();
    assert_eq!(early, 4);
    assert_eq!(segmenter.finish().filter(|output| matches!(output, Output::Segment(_))).count(), 1);
}
