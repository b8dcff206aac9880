//! What ffmpeg writes, cut by us, read by ffmpeg again: every kind of stream, whole and damaged.
#![allow(missing_docs, clippy::unwrap_used)]

mod support {
    pub mod media;
}

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use segcast::codec::Format;
use segcast::segment::{OnMissingRandomAccess, Options, Segment};
use segcast::ts::{self, AnomalyKind, Demuxer, Packet, Pid, Program, Selection, packets};
use support::media::{CHUNK, Cut, MEDIA, cut, decode, decode_alone, demux, each, path, probe, read};

/// What a segment gives to those who decode nothing else.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Alone {
    /// The very pictures of the input, without a complaint.
    Same,
    /// As many pictures and frames as the input gives; the input itself is damaged.
    AsMany,
    /// All but so many pictures, the leading ones of an open GOP or those before an intra refresh is complete.
    /// A decoder may complain of them.
    AllBut(usize),
    /// Nothing is said: it begins at no random access point.
    Nothing,
}
use Alone::{AllBut, AsMany, Nothing, Same};

/// A file cut on a grid of two seconds.
struct File {
    name: &'static str,
    /// See [`Cut::outline`].
    outline: &'static str,
    /// See [`Cut::troubles`].
    troubles: &'static str,
    alone: Alone,
}

const fn file(name: &'static str, outline: &'static str, troubles: &'static str, alone: Alone) -> File {
    File { name, outline, troubles, alone }
}

#[rustfmt::skip]
const FILES: &[File] = &[
    file("h264-aac.ts", "2 2 2 2 2 2", "", Same),
    // Three B-pictures lead a recovery point.
    file("h264-open-gop.ts", "2 ~2 ~2 ~2 ~2 ~2", "", AllBut(3)),
    file("h264-no-aud.ts", "2 2 2 2 2 2", "", Same),
    file("h264-interlaced.ts", "2 2 2", "", Same),
    // It takes a whole refresh, one second, until a picture is complete.
    file("h264-intra-refresh.ts", "2 ~2 ~2 ~2 ~2 ~2", "", AllBut(25)),
    // Points at 0 1.2 3.8 4 4.2 7.6 10 s: the first ones behind the lines of 2, 4, 6 and 8 s.
    file("h264-irregular-gop.ts", "3.8 3.8 2.4 2", "1 keyframes too far apart", Same),
    file("h264-long-gop.ts", "12", "", Nothing),
    file("h264-ntsc.ts", "2.002 2.002 2.002", "", Same),
    file("hevc-aac.ts", "2 2 2 2 2 2", "", Same),
    // Four B-pictures lead a CRA.
    file("hevc-open-gop.ts", "2 ~2 ~2 ~2 ~2 ~2", "", AllBut(4)),
    file("mpeg2-mp2.ts", "2 2 2", "", Same),
    file("mpeg2-open-gop.ts", "1.92 ~1.92 ~2.16", "", AllBut(2)),
    file("h264-mp3.ts", "2 2 2", "", Same),
    file("h264-ac3.ts", "2 2 2", "", Same),
    file("h264-eac3.ts", "2 2 2", "", Same),
    file("h264-opus.ts", "2 2 2", "", Same),
    file("h264-latm.ts", "2 2 2", "", Same),
    file("video-only.ts", "2 2 2", "", Same),
    // PES packets of 17 frames. The frames of the last, 5 of them, are told by its size: they are small ones, and
    // taken for 3.
    file("audio-only.ts", "2.176 1.813 2.176 1.813 2.176 1.813 0.064", "", AsMany),
    file("wrap.ts", "2 2 2 2 2 2", "", Same),
    file("two-programs.ts", "2 2 2", "", Same),
    file("many-streams.ts", "2", "", Same),
    file("constant-rate.ts", "2 2 2", "", Same),
    file("h264-aac.m2ts", "2 2 2 2 2 2", "", Same),
    file("h264-aac-204.ts", "2 2 2 2 2 2", "", Same),
    file("id3-scte35.ts", "2 2 2 2 2 2", "", Same),
    // The pieces of the joined files begin their counters anew: PAT, PMT, video and audio.
    file("jump-forward.ts", "2 2 0.08 !2 2 0.08", "4 continuity gap, 1 timestamp jump", Same),
    file("jump-back.ts", "2 2 0.08 !2 2 0.08", "4 continuity gap, 1 timestamp jump", Same),
    // The audio stream is another one: it has no counter to go on from.
    file("pmt-change.ts", "2 2 0.08 !2 2 0.08", "3 continuity gap", Same),
    file("size-change.ts", "2 2 0.08 !2 2", "4 continuity gap", Same),
    file("lost-packets.ts", "2 2 2 2 2 2", "6 continuity gap", AsMany),
    file("corrupt-packets.ts", "2 2 2 2 2 2", "1 section crc", AsMany),
    file("duplicates.ts", "2 2 2 2 2 2", "58 duplicate packet", Same),
    file("garbage.ts", "2 2 2 2 2 2", "5 garbage", Same),
    file("scrambled.ts", "2 2 2", "1 scrambled", Same),
    // Half an audio PES packet, and half a transport packet.
    file("truncated.ts", "2 2 0.04", "1 pes truncated, 1 truncated packet", Same),
    file("not-a-ts.mp4", "", "1 garbage", Nothing),
];

fn options() -> Options {
    Options { target: Duration::from_secs(2), ..Options::default() }
}

fn cut_file(name: &str) -> Cut {
    cut(&read(name), CHUNK, &options())
}

/// Runs `check` on every file and tells of all that fail at once. Each file has a folder of its own.
fn for_each_file(check: impl Fn(&File, &Path) -> Result<(), String> + Sync) {
    let folder = tempfile::tempdir().unwrap();
    let failures = each(FILES, |file| {
        let own = folder.path().join(file.name);
        std::fs::create_dir(&own).unwrap();
        check(file, &own).err().map(|why| format!("{}: {why}", file.name))
    });
    let failures: Vec<_> = failures.into_iter().flatten().collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// An error unless both are equal.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?}, expected {expected:?}")) }
}

fn written(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, bytes).unwrap();
    file
}

#[test]
fn every_file_is_in_the_table() {
    let names = std::fs::read_dir(&*MEDIA).unwrap().map(|entry| entry.unwrap().file_name());
    let names: BTreeSet<_> = names.map(|name| name.into_string().unwrap()).collect();
    let known: BTreeSet<_> = FILES.iter().map(|file| file.name.to_owned()).collect();
    let names: BTreeSet<_> = names.into_iter().filter(|name| !name.starts_with('.')).collect();
    assert_eq!(names, known);
}

#[test]
fn boundaries_discontinuities_and_anomalies_are_those_of_the_stream() {
    for_each_file(|file, _| {
        let cut = cut_file(file.name);
        same("segments", cut.outline().as_str(), file.outline)?;
        same("anomalies", cut.troubles().as_str(), file.troubles)?;
        same("ordinals", ordinals(&cut), (0..cut.segments.len() as u64).collect())
    });
}

fn ordinals(cut: &Cut) -> Vec<u64> {
    cut.segments.iter().map(|segment| segment.ordinal).collect()
}

#[test]
fn any_chunking_gives_the_same_segments() {
    for_each_file(|file, _| {
        let stream = read(file.name);
        let whole = cut(&stream, stream.len(), &options());
        for chunk in [61, 1000, 7 * 188, CHUNK] {
            let cut = cut(&stream, chunk, &options());
            let what = |what| format!("{what} in chunks of {chunk}");
            same(&what("extents"), extents(&cut), extents(&whole))?;
            same(&what("anomalies"), &cut.anomalies, &whole.anomalies)?;
            same(&what("formats"), &cut.formats, &whole.formats)?;
            if cut
                .segments
                .iter()
                .zip(&whole.segments)
                .any(|(a, b)| a.chunks.to_bytes() != b.chunks.to_bytes())
            {
                return Err(what("other bytes"));
            }
        }
        Ok(())
    });
}

fn extents(cut: &Cut) -> Vec<segcast::segment::Extent> {
    cut.segments.iter().map(|segment| segment.extent).collect()
}

#[test]
fn a_segment_begins_with_its_tables_and_a_random_access_point() {
    for_each_file(|file, _| {
        let cut = cut_file(file.name);
        let mut counters = [None; Pid::COUNT];
        for segment in &cut.segments {
            let bytes = segment.chunks.to_bytes();
            same("size", segment.extent.size_bytes, bytes.len() as u64)?;
            same("bytes beyond whole packets", packets(&bytes).count() * ts::PACKET_LEN, bytes.len())?;
            check_head(segment, &bytes, file.alone == Nothing)
                .map_err(|why| format!("{}: {why}", segment.ordinal))?;
            // Our own tables' counters run on, whatever the input's did.
            for packet in packets(&bytes).filter(|packet| is_table(*packet, &cut)) {
                let last = counters[packet.pid().index()].replace(packet.continuity_counter());
                same("counter", packet.continuity_counter(), last.map_or(0, |last| (last + 1) & 0x0f))?;
            }
        }
        Ok(())
    });
}

fn is_table(packet: Packet<'_>, cut: &Cut) -> bool {
    packet.pid() == Pid::PAT || cut.programs.iter().any(|program| program.pmt_pid == packet.pid())
}

fn check_head(segment: &Segment, bytes: &Bytes, may_be_forced: bool) -> Result<(), String> {
    let mut demuxer = Demuxer::default();
    let mut events: Vec<_> = demuxer.push(bytes.clone()).collect();
    events.extend(demuxer.finish());
    let Some(ts::Event::Program(program)) = events.first() else {
        return Err(format!("begins with {:?}", events.first()));
    };
    let reference = program.reference().map(|stream| stream.pid).ok_or("no stream")?;
    same("first packet", packets(bytes).next().map(Packet::pid), Some(Pid::PAT))?;
    let mut rest = packets(bytes).skip(1).skip_while(|packet| packet.pid() == program.pmt_pid);
    let first = rest.next().ok_or("nothing behind the tables")?;
    same("first packet behind the tables", (first.pid(), first.is_unit_start()), (reference, true))?;
    same(
        "PAT and PMT in mid-segment",
        rest.any(|packet| [Pid::PAT, program.pmt_pid].contains(&packet.pid())),
        false,
    )?;
    let first_unit = events.iter().find_map(|event| match event {
        ts::Event::AccessUnit { pid, unit } if *pid == reference => Some(*unit),
        _ => None,
    });
    let unit = first_unit.ok_or("no access unit")?;
    let head = segment.extent.head;
    same(
        "independent",
        head.is_independent,
        unit.random_access.is_some_and(|access| access.is_independent()),
    )?;
    let is_point = unit.random_access.is_some() && unit.has_parameter_sets;
    same("random access point", is_point || may_be_forced, true)?;
    let pts = events.iter().find_map(|event| match event {
        ts::Event::Pes(pes) if pes.pid == reference => pes.pts,
        _ => None,
    });
    let bits = |ticks: segcast::time::Ticks| segcast::time::Stamp::new(ticks.count() as u64);
    same("start", Some(bits(head.start)), pts.map(bits))
}

/// What ffmpeg reads of the input, or of the file that the input was made from without the damage that we take
/// away and ffmpeg does not.
fn source(name: &str) -> PathBuf {
    path(if name == "duplicates.ts" { "h264-aac.ts" } else { name })
}

#[test]
fn joined_segments_hold_every_packet_and_decode_to_the_same_pictures_and_sound() {
    for_each_file(|file, folder| {
        if file.outline.is_empty() {
            return Ok(());
        }
        let joined = written(folder, "joined.ts", &cut_file(file.name).joined());
        let source = source(file.name);
        let (mut expected, found) = (demux(&source), demux(&joined));
        if file.name == "two-programs.ts" {
            expected.streams.truncate(2);
        }
        same("packets", found.counts(), expected.counts())?;
        same("packets' bytes", found.streams == expected.streams, true)?;
        let (mut expected, found) = (decode(&source), decode(&joined));
        if file.name == "two-programs.ts" {
            expected.streams = vec![expected.streams.swap_remove(0), expected.streams.swap_remove(2)];
        }
        same("frames", found.counts(), expected.counts())?;
        same("frames' contents", found.streams == expected.streams, true)
    });
}

#[test]
fn a_segment_decodes_alone() {
    for_each_file(|file, folder| {
        if file.alone == Nothing {
            return Ok(());
        }
        let cut = cut_file(file.name);
        let in_file = |segment: &Segment| {
            let bytes = segment.chunks.to_bytes();
            (written(folder, &format!("{}.ts", segment.ordinal), &bytes), kinds_in(&bytes, &cut.programs[0]))
        };
        let files: Vec<_> = cut.segments.iter().map(in_file).collect();
        let found = decode_alone(&files);
        if file.alone == Same {
            same("complaints", found.complaints.as_str(), "")?;
        }
        let (mut pictures, mut sound, mut joined) = (Vec::new(), 0, Vec::new());
        let mut streams = found.streams.into_iter();
        for (segment, (_, kinds)) in cut.segments.iter().zip(&files) {
            if kinds.contains(&"v") {
                let found = streams.next().unwrap_or_default();
                if let AllBut(most) = file.alone {
                    let all = expected_pictures(segment);
                    same(
                        "too few or too many pictures alone",
                        (all - most..=all).contains(&found.len()),
                        true,
                    )?;
                }
                pictures.push(found.len());
                joined.extend(found);
            }
            if kinds.contains(&"a") {
                sound += streams.next().map_or(0, |stream| stream.len());
            }
        }
        let has_video = cut.programs[0].has_video();
        let mut expected = decode(&source(file.name)).streams.into_iter();
        let expected_video = if has_video { expected.next().unwrap_or_default() } else { Vec::new() };
        match file.alone {
            Same => {
                same(&format!("pictures of segments alone ({pictures:?})"), joined == expected_video, true)?
            }
            AsMany => same("pictures of segments alone", joined.len(), expected_video.len())?,
            AllBut(_) | Nothing => {}
        }
        // The last streams of pmt-change.ts are of two codings, of which ffmpeg decodes the first only.
        if !["pmt-change.ts", "two-programs.ts"].contains(&file.name) {
            same(
                "frames of sound in segments alone",
                sound,
                expected.next().map_or(0, |stream| stream.len()),
            )?;
        }
        Ok(())
    });
}

/// Pictures that last as long as the segment, at 25 a second.
fn expected_pictures(segment: &Segment) -> usize {
    (segment.extent.duration.as_millis() / 40) as usize
}

/// Of which kinds of streams a decodable PES packet begins in these bytes.
fn kinds_in(bytes: &Bytes, program: &Program) -> Vec<&'static str> {
    let begin: BTreeSet<_> = packets(bytes)
        .filter(|packet| packet.is_unit_start() && !packet.is_scrambled())
        .map(Packet::pid)
        .collect();
    let has =
        |test: fn(&ts::Stream) -> bool| program.streams.iter().any(|s| test(s) && begin.contains(&s.pid));
    let kinds = [("v", has(|stream| stream.codec.is_video())), ("a", has(|stream| !stream.codec.is_video()))];
    kinds.into_iter().filter(|(_, is_there)| *is_there).map(|(kind, _)| kind).collect()
}

#[test]
fn durations_add_up_to_the_span_of_the_timestamps() {
    for_each_file(|file, folder| {
        let cut = cut_file(file.name);
        let mut timelines: Vec<Vec<&Segment>> = Vec::new();
        for segment in &cut.segments {
            match timelines.last_mut() {
                Some(timeline) if !segment.extent.head.is_discontinuity => timeline.push(segment),
                _ => timelines.push(vec![segment]),
            }
        }
        for timeline in timelines {
            let bytes: Vec<u8> = timeline.iter().flat_map(|segment| segment.chunks.to_bytes()).collect();
            let pts = demux(&written(folder, "timeline.ts", &bytes)).pts.swap_remove(0);
            let (first, last) = (pts.iter().min().ok_or("no PTS")?, pts.iter().max().ok_or("no PTS")?);
            let sum: Duration = timeline.iter().map(|segment| segment.extent.duration).sum();
            let beyond = sum.as_secs_f64() - (last - first) as f64 / 90_000.0;
            // Behind the last PTS comes one frame; where only sound is, at most one PES packet.
            let frame = if file.name == "audio-only.ts" { 0.363 } else { 0.0401 };
            if !(0.0..=frame).contains(&beyond) {
                return Err(format!("{} segments last {beyond:.3} s longer than their PTS", timeline.len()));
            }
        }
        Ok(())
    });
}

#[test]
fn no_segment_is_longer_than_was_promised_from_the_first_on() {
    for_each_file(|file, _| {
        let cut = cut_file(file.name);
        for segment in &cut.segments {
            same("longest", segment.extent.longest, cut.segments[0].extent.longest)?;
            let most = segment.extent.longest + Duration::from_millis(500);
            same("rounded no longer than the longest", segment.extent.duration < most, true)?;
            same("some duration", segment.extent.duration > Duration::ZERO, true)?;
        }
        Ok(())
    });
}

#[test]
fn formats_are_what_ffprobe_says() {
    for_each_file(|file, _| {
        let cut = cut_file(file.name);
        let Some(program) = cut.programs.first() else { return Ok(()) };
        for probed in probe(&path(file.name)) {
            let text = |key: &str| probed.get(key).map_or("", String::as_str);
            let pid =
                u16::from_str_radix(text("id").trim_start_matches("0x"), 16).map_err(|e| e.to_string())?;
            let pid = Pid::new(pid);
            let is_ours = program
                .streams
                .iter()
                .any(|stream| stream.pid == pid && stream.codec != segcast::codec::Codec::Other);
            if !is_ours || !["video", "audio"].contains(&text("codec_type")) {
                continue;
            }
            let (_, format) =
                cut.formats.iter().find(|(of, _)| *of == pid).ok_or(format!("{pid}: no format"))?;
            let (ours, theirs) = match format {
                Format::Video(video) => (
                    format!(
                        "{}x{} {}",
                        video.width,
                        video.height,
                        video.rfc6381.as_deref().unwrap_or_default()
                    ),
                    format!("{}x{} {}", text("width"), text("height"), codecs(&text)),
                ),
                Format::Audio(audio) => (
                    format!(
                        "{} Hz {} {}",
                        audio.sample_rate_hz,
                        audio.channels,
                        audio.rfc6381.as_deref().unwrap_or_default()
                    ),
                    format!("{} Hz {} {}", text("sample_rate"), text("channels"), codecs(&text)),
                ),
            };
            // ffprobe takes the rate from the timestamps where they jump, and the level from what it sees last.
            if file.name == "size-change.ts" && text("codec_type") == "video" {
                continue;
            }
            same(&pid.to_string(), ours, theirs)?;
            if let Format::Video(video) = format
                && !file.name.starts_with("jump")
            {
                let rate = video.frame_rate.map(|rate| format!("{}/{}", rate.count, rate.seconds));
                same("frame rate", rate.as_deref(), Some(text("r_frame_rate")))?;
            }
        }
        Ok(())
    });
}

/// The `CODECS` string by what ffprobe calls a stream.
fn codecs<'a>(text: &impl Fn(&str) -> &'a str) -> String {
    let level = || text("level").parse::<u32>().unwrap_or_default();
    match (text("codec_name"), text("profile")) {
        ("h264", "High") => format!("avc1.6400{:02x}", level()),
        ("hevc", "Main") => format!("hvc1.1.6.L{}.90", level()),
        ("mpeg2video", "Main") => "mp4v.61".into(),
        ("aac" | "aac_latm", "LC") => "mp4a.40.2".into(),
        ("mp3", _) => "mp4a.40.34".into(),
        ("mp2", _) => "mp4a.40.33".into(),
        ("ac3", _) => "ac-3".into(),
        ("eac3", _) => "ec-3".into(),
        ("opus", _) => "opus".into(),
        other => panic!("{other:?} is not in the table"),
    }
}

#[test]
fn a_size_change_is_told_at_its_discontinuity() {
    let cut = cut_file("size-change.ts");
    let sizes: Vec<_> = cut
        .formats
        .iter()
        .filter_map(|(_, format)| match format {
            Format::Video(video) => Some((video.width, video.height)),
            _ => None,
        })
        .collect();
    assert_eq!(sizes, [(320, 180), (480, 270)]);
}

#[test]
fn extending_makes_one_segment_of_one_random_access_point() {
    let options = Options { on_missing: OnMissingRandomAccess::Extend, ..options() };
    let cut = cut(&read("h264-long-gop.ts"), CHUNK, &options);
    assert_eq!((cut.outline().as_str(), cut.troubles().as_str()), ("12", ""));
}

#[test]
fn the_chosen_program_alone_is_cut() {
    for (number, size) in [(1, (320, 180)), (2, (160, 90))] {
        let options = Options { program: Selection::Number(number), ..options() };
        let cut = cut(&read("two-programs.ts"), CHUNK, &options);
        assert_eq!(cut.outline(), "2 2 2", "program {number}");
        let found = cut.formats.iter().find_map(|(_, format)| match format {
            Format::Video(video) => Some((video.width, video.height)),
            _ => None,
        });
        assert_eq!(found, Some(size), "program {number}");
        let pids: BTreeSet<_> = cut.programs[0].streams.iter().map(|stream| stream.pid).collect();
        for packet in
            cut.segments.iter().flat_map(|segment| segment.chunks.to_bytes()).collect::<Vec<_>>().chunks(188)
        {
            let packet = Packet::parse(packet).unwrap();
            assert!(is_table(packet, &cut) || pids.contains(&packet.pid()), "{}", packet.pid());
        }
    }
}

#[test]
fn what_is_no_transport_stream_gives_no_segment() {
    let cut = cut_file("not-a-ts.mp4");
    assert!(!cut.has_packets && cut.programs.is_empty() && cut.segments.is_empty());
}

#[test]
fn anomalies_stand_where_the_damage_is() {
    let size = read("garbage.ts").len() as u64;
    let cut = cut_file("garbage.ts");
    let first = cut.anomalies.first().unwrap();
    assert_eq!((first.at, first.kind), (0, AnomalyKind::Garbage { bytes: 1000 }));
    let last = cut.anomalies.last().unwrap();
    assert_eq!((last.at, last.kind), (size - 100, AnomalyKind::Garbage { bytes: 100 }));

    let truncated = read("truncated.ts").len() as u64;
    let cut = cut_file("truncated.ts");
    let kind = AnomalyKind::TruncatedPacket { bytes: 94 };
    assert!(cut.anomalies.iter().any(|anomaly| (anomaly.at, anomaly.kind) == (truncated - 94, kind)));
}
