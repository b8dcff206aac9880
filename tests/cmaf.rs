//! Fragments against the transport stream that they come of: the same pictures and sound at the same times, read by
//! others.
#![allow(missing_docs, clippy::unwrap_used)]

mod support {
    pub mod boxes;
    pub mod fragments;
}

use std::collections::BTreeMap;
use std::time::Duration;

use segcast::cmaf::{AnomalyKind, Init, Layout, Role};
use segcast::codec::{Codec, Format};
use segcast::segment::Extent;
use support::boxes::fragments;
use support::fragments::{Made, complaints, keyframes, make, make_of, packets, read};

const PART: Option<Duration> = Some(Duration::from_millis(320));

/// Files whose streams are whole: H.264 or HEVC, and each coding of sound.
const WHOLE: &[&str] = &[
    "h264-aac.ts",
    "h264-ac3.ts",
    "h264-eac3.ts",
    "h264-interlaced.ts",
    "h264-intra-refresh.ts",
    "h264-irregular-gop.ts",
    "h264-latm.ts",
    "h264-long-gop.ts",
    "h264-mp3.ts",
    "h264-no-aud.ts",
    "h264-ntsc.ts",
    "h264-open-gop.ts",
    "h264-opus.ts",
    "hevc-aac.ts",
    "hevc-open-gop.ts",
    "id3-scte35.ts",
    "constant-rate.ts",
    "video-only.ts",
    "audio-only.ts",
    "wrap.ts",
    "many-streams.ts",
];

fn each(names: &[&str], layouts: &[Layout], check: impl Fn(&str, &Made)) {
    for name in names {
        for layout in layouts {
            for part in [None, PART] {
                check(name, &make(&read(name), 65_536, *layout, part));
            }
        }
    }
}

fn samples(body: &[u8]) -> usize {
    fragments(body).iter().flat_map(|fragment| &fragment.trafs).map(|traf| traf.samples.len()).sum()
}

/// Whether two times in seconds are the same, but for rounding and for turns of the 33-bit clock.
fn is_same(a: f64, b: f64) -> bool {
    const TURN: f64 = (1_u64 << 33) as f64 / 90_000.0;
    ((a - b + TURN / 2.0).rem_euclid(TURN) - TURN / 2.0).abs() < 0.000_03
}

#[test]
fn a_stream_behind_one_that_broke_off_gives_what_it_gives_alone() {
    for (name, layout) in [("h264-aac.ts", Layout::Demuxed), ("h264-open-gop.ts", Layout::Muxed)] {
        let stream = read(name);
        for part in [None, PART] {
            let alone = make(&stream, 65_536, layout, part);
            // Cut off in the middle of a packet.
            let broken = stream.slice(..stream.len() / 2 + 100);
            let made = make_of(&[broken, stream.clone(), stream.clone()], 65_536, layout, part);
            for (track, (of, of_alone)) in made.fragmented.iter().zip(&alone.fragmented).enumerate() {
                let count = of_alone.segments.len();
                let behind = of.segments.len() - 2 * count;
                assert!(behind > 0 && of.inits.len() == 1, "{name}, {track}");
                for (n, (extent, body)) in of.segments.iter().enumerate().skip(behind) {
                    let (extent_alone, body_alone) = &of_alone.segments[(n - behind) % count];
                    assert_eq!(
                        extent.head.is_discontinuity,
                        (n - behind) % count == 0,
                        "{name}, {track}, {n}"
                    );
                    assert_eq!(samples(body), samples(body_alone), "{name}, {track}, {n}");
                    assert_eq!(extent.duration, extent_alone.duration, "{name}, {track}, {n}");
                }
                assert_eq!(
                    of.parts[behind..behind + count].iter().map(Vec::len).sum::<usize>(),
                    of_alone.parts.iter().map(Vec::len).sum::<usize>()
                );
            }
            assert_eq!(made.tellings, 1);
        }
    }
}

#[test]
fn every_packet_of_the_segments_is_a_sample_with_its_times() {
    let faults = std::cell::RefCell::new(Vec::new());
    each(WHOLE, &[Layout::Demuxed, Layout::Muxed], |name, made| {
        let folder = tempfile::tempdir().unwrap();
        let ts = folder.path().join("in.ts");
        std::fs::write(&ts, made.ts()).unwrap();
        assert!(made.tracks[0].role != Role::Audio || name.contains("audio-only"));
        for (track, of) in made.tracks.iter().enumerate() {
            let file = folder.path().join(format!("{track}.mp4"));
            std::fs::write(&file, made.joined(track)).unwrap();
            for (n, pid) in of.pids.iter().enumerate() {
                let expected = packets(&ts, &format!("i:{:#x}", pid.bits()));
                let found = packets(&file, &n.to_string());
                let off = found.iter().zip(&expected).position(|(a, b)| !is_same(*a, *b));
                if expected.is_empty() || found.len() != expected.len() || off.is_some() {
                    let at = off.map(|at| (at, found[at], expected[at]));
                    let sizes = (found.len(), expected.len());
                    faults.borrow_mut().push(format!("{name}, {:?}, PID {pid}: {sizes:?} {at:?}", of.role));
                }
            }
        }
    });
    let faults = faults.into_inner();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn what_is_made_decodes_without_a_complaint() {
    each(WHOLE, &[Layout::Demuxed], |name, made| {
        let folder = tempfile::tempdir().unwrap();
        for track in 0..made.tracks.len() {
            let file = folder.path().join("in.mp4");
            std::fs::write(&file, made.joined(track)).unwrap();
            assert_eq!(complaints(&file), "", "{name}, track {track}");
        }
    });
}

/// Tracks without a gap of their own, sound counted.
#[test]
fn decoding_times_go_on_from_segment_to_segment_and_from_part_to_part() {
    each(WHOLE, &[Layout::Demuxed, Layout::Muxed], |name, made| {
        for (track, of) in made.fragmented.iter().enumerate() {
            let mut ends: BTreeMap<u32, u64> = BTreeMap::new();
            for (_, body) in &of.segments {
                for traf in fragments(body).into_iter().flat_map(|fragment| fragment.trafs) {
                    let end = ends.insert(traf.track_id, traf.end());
                    assert!(end.is_none_or(|end| end == traf.decode), "{name}, track {track}: {end:?}");
                }
            }
        }
    });
}

#[test]
fn segments_are_the_cutters_and_their_parts() {
    each(WHOLE, &[Layout::Demuxed, Layout::Muxed], |name, made| {
        for (of, track) in made.fragmented.iter().zip(&made.tracks) {
            // A segment may be too short for a PES packet of audio to begin in it.
            let passed = of.gaps.iter().filter(|(_, _, is_whole)| *is_whole).count();
            // Audio that is late may be more than one segment's at the end.
            let most = made.segments.len() + usize::from(track.role == Role::Audio);
            assert!((made.segments.len()..=most).contains(&(of.segments.len() + passed)), "{name}");
            // Audio may last a little longer than video.
            let is_short = |extent: &Extent| extent.duration < Duration::from_millis(100);
            assert!(of.gaps.iter().all(|(_, extent, _)| is_short(extent)), "{name}: {:?}", of.gaps);
            assert_eq!(of.inits.len(), 1, "{name}");
            for (n, (extent, body)) in of.segments.iter().enumerate() {
                assert!(
                    extent.duration <= extent.longest + Duration::from_micros(499_999),
                    "{name}: {extent:?}"
                );
                if track.role != Role::Audio {
                    let (head, _, cut) = &made.segments[n];
                    assert_eq!((extent.head, extent.duration), (*head, cut.unwrap().duration), "{name}");
                    let fragments = fragments(body);
                    let first =
                        &fragments.first().unwrap_or_else(|| panic!("{name} {n} {extent:?}")).trafs[0];
                    let present = first.decode as i64 + i64::from(first.samples[0].offset);
                    let is_video = !name.contains("audio-only") && first.track_id == 1;
                    assert!(!is_video || present == head.start.count(), "{name}, segment {n}");
                    let is_sync = first.samples[0].flags & 0x1_0000 == 0;
                    assert!(is_sync || !head.is_independent, "{name}, segment {n}");
                }
                let parts = &of.parts[n];
                if !parts.is_empty() {
                    let joined: Vec<u8> = parts.iter().flat_map(|(_, body)| body.iter().copied()).collect();
                    assert!(joined == *body, "{name}, segment {n}");
                    for (index, (part, _)) in parts.iter().enumerate() {
                        assert_eq!(part.index as usize, index);
                        assert!(part.duration <= part.longest, "{name}: {part:?}");
                        let is_last = index + 1 == parts.len();
                        let is_long = part.duration >= part.longest.mul_f64(0.85);
                        // Sound is independent, of which the rule does not ask it.
                        assert!(is_last || is_long || part.is_independent, "{name}: {part:?}");
                    }
                }
            }
            let sum: Duration = of.segments.iter().map(|(extent, _)| extent.duration).sum();
            let cut: Duration = made.segments.iter().map(|(_, _, extent)| extent.unwrap().duration).sum();
            let each: Vec<_> =
                of.segments.iter().map(|(extent, _)| (extent.head.start, extent.duration)).collect();
            assert!(sum.abs_diff(cut) < Duration::from_millis(200), "{name}: {each:?} of {cut:?}");
        }
    });
}

#[test]
fn how_the_stream_is_pushed_changes_nothing() {
    for name in ["h264-aac.ts", "h264-latm.ts", "h264-opus.ts", "hevc-open-gop.ts", "audio-only.ts"] {
        let stream = read(name);
        for part in [None, PART] {
            let whole = make(&stream, stream.len(), Layout::Demuxed, part);
            for chunk in [188, 1000, 65_537] {
                let pieces = make(&stream, chunk, Layout::Demuxed, part);
                assert!(whole.fragmented == pieces.fragmented, "{name} in chunks of {chunk}");
            }
        }
    }
}

/// The flags that fragments state, read here by hand, mark the packets in which ffmpeg sees a keyframe, and ffmpeg reads
/// the same from them: with B-frames, open GOPs, intra refresh, and several keyframes a segment.
#[test]
fn keyframes_alone_are_flagged_as_sync_samples() {
    const NAMES: &[&str] = &[
        "h264-aac.ts",
        "h264-open-gop.ts",
        "h264-irregular-gop.ts",
        "h264-long-gop.ts",
        "h264-no-aud.ts",
        "h264-interlaced.ts",
        "hevc-aac.ts",
        "hevc-open-gop.ts",
        "video-only.ts",
    ];
    each(NAMES, &[Layout::Demuxed, Layout::Muxed], |name, made| {
        let folder = tempfile::tempdir().unwrap();
        let (ts, mp4) = (folder.path().join("in.ts"), folder.path().join("out.mp4"));
        std::fs::write(&ts, made.ts()).unwrap();
        std::fs::write(&mp4, made.joined(0)).unwrap();
        let expected = keyframes(&ts, "v:0");
        let bodies = made.fragmented[0].segments.iter().map(|(_, body)| body);
        let trafs = bodies.flat_map(|body| fragments(body)).flat_map(|fragment| fragment.trafs);
        let samples = trafs.filter(|traf| traf.track_id == 1).flat_map(|traf| traf.samples);
        let found: Vec<_> = samples.map(|sample| sample.flags & 0x1_0000 == 0).collect();
        assert!(expected.contains(&true) && expected.contains(&false), "{name}");
        assert_eq!(found, expected, "{name}");
        assert_eq!(keyframes(&mp4, "v:0"), expected, "{name}");
    });
}

/// An independent reader finds the tracks and counts the samples.
#[test]
fn another_reader_finds_the_same() {
    each(WHOLE, &[Layout::Demuxed], |name, made| {
        for (track, of) in made.tracks.iter().enumerate() {
            let bytes = made.joined(track);
            let len = bytes.len() as u64;
            let reader = mp4::Mp4Reader::read_header(std::io::Cursor::new(bytes), len)
                .unwrap_or_else(|error| panic!("{name}, track {track}: {error}"));
            let samples: usize = made.fragmented[track].segments.iter().map(|(_, body)| samples(body)).sum();
            assert_eq!(reader.tracks()[&1].sample_count() as usize, samples, "{name}");
            let kind = if of.role == Role::Video { mp4::TrackType::Video } else { mp4::TrackType::Audio };
            assert_eq!(reader.tracks()[&1].track_type().unwrap(), kind);
        }
    });
}

/// Where the line would begin below zero, it begins a turn of the clock later; and it goes on over the wrap.
#[test]
fn decoding_times_are_never_negative_and_go_on_over_the_wrap() {
    let made = make(&read("wrap.ts"), 65_536, Layout::Demuxed, None);
    let starts: Vec<u64> =
        made.fragmented[0].segments.iter().map(|(_, body)| fragments(body)[0].trafs[0].decode).collect();
    assert!(starts.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(starts.first() < Some(&(1 << 33)) && starts.last() > Some(&(1 << 33)), "{starts:?}");
}

#[test]
fn what_is_not_carried_is_told_once() {
    let made = make(&read("mpeg2-mp2.ts"), 65_536, Layout::Demuxed, None);
    let told: Vec<_> = made.anomalies.iter().map(|anomaly| anomaly.kind).collect();
    assert_eq!(told, [AnomalyKind::Unsupported(Codec::Mpeg2Video)]);
    assert_eq!(made.tracks.iter().map(|track| track.role).collect::<Vec<_>>(), [Role::Audio]);
    assert_eq!(made.fragmented[0].segments.len(), made.segments.len());
}

#[test]
fn a_stream_of_another_size_has_another_initialization() {
    let made = make(&read("size-change.ts"), 65_536, Layout::Demuxed, None);
    let widths = |init: &Init| match init.formats.first() {
        Some(Format::Video(video)) => video.width,
        other => panic!("{other:?}"),
    };
    let inits: Vec<_> =
        made.fragmented[0].inits.iter().map(|(ordinal, init)| (*ordinal, widths(init))).collect();
    assert_eq!(inits.len(), 2, "{inits:?}");
    assert!(made.fragmented[0].heads[inits[1].0 as usize].is_discontinuity);
    assert_eq!(made.fragmented[1].inits.len(), 1);
}
