//! Tracks that start late, have a gap, end early or never come, in CMAF: `segcast segment` and a running channel.
#![cfg(feature = "cli")]
// What the tests share is test code too.
#![allow(clippy::unwrap_used, missing_docs)]

mod support {
    pub mod boxes;
    pub mod command;
    pub mod sparse;
}

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use segcast::playlist::Media;
use support::boxes::fragments;
use support::command::{Running, media, names, run, run_with, segcast};
use support::sparse::{lossy, without};

const VIDEO: u16 = 0x100;
const AUDIO: u16 = 0x101;
const RATE_HZ: f64 = 48_000.0;

/// Twelve seconds of video with a keyframe each second, and of audio but for `span`.
fn stream(folder: &Path, name: &str, span: Range<f64>) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, without(&fs::read(media("h264-aac.ts")).unwrap(), AUDIO, span)).unwrap();
    path
}

/// Cuts twelve seconds without the audio of `span`, in segments of two seconds.
fn cut(span: Range<f64>, args: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (stream(folder.path(), "in.ts", span), folder.path().join("out"));
    let mut command = segcast(["segment", "--format", "cmaf", "--segment", "2s", "--output"]);
    run(command.arg(&output).args(args).arg(&input)).good();
    (folder, output)
}

fn text(output: &Path, name: &str) -> String {
    fs::read_to_string(output.join(name)).unwrap()
}

fn playlist(output: &Path, name: &str) -> Media {
    Media::parse(&text(output, name)).unwrap()
}

fn seconds(media: &Media) -> f64 {
    media.duration().as_secs_f64()
}

/// An entry of a playlist: whether it is a gap, where it begins and ends by EXTINF, and the times of its frames.
#[derive(Debug)]
struct Entry {
    is_gap: bool,
    at: Range<f64>,
    frames: Vec<f64>,
}

/// The audio playlist's entries; times count from the video's first frame. Checks that each segment is there, has frames,
/// and is where its frames are, and that the playlist is named and as long as the video's.
#[track_caller]
fn entries(output: &Path) -> Vec<Entry> {
    let video = playlist(output, "video.m3u8");
    let origin = decode(output, &video.segments[0].uri)[0] as f64 / 90_000.0;
    let audio = playlist(output, "audio-1.m3u8");
    assert!(text(output, "index.m3u8").contains("URI=\"audio-1.m3u8\""));
    assert!(
        (seconds(&audio) - seconds(&video)).abs() < 0.1,
        "{} s of {} s",
        seconds(&audio),
        seconds(&video)
    );
    let mut at = 0.0;
    let mut entries = Vec::new();
    for segment in &audio.segments {
        let from = at;
        at += segment.duration.as_secs_f64();
        assert!(segment.duration.as_secs_f64() < audio.target_duration.as_secs_f64() + 0.5, "{segment:?}");
        let is_there = output.join(&segment.uri).exists();
        assert_eq!(is_there, !segment.is_gap, "{segment:?}");
        let mut frames = Vec::new();
        if !segment.is_gap {
            assert!(segment.map.as_ref().is_some_and(|map| output.join(map).exists()), "{segment:?}");
            let times = decode(output, &segment.uri);
            frames.extend(times.iter().map(|time| *time as f64 / RATE_HZ - origin));
            assert!((frames[0] - from).abs() < 0.12, "{from}: {}", frames[0]);
        }
        entries.push(Entry { is_gap: segment.is_gap, at: from..at, frames });
    }
    entries
}

/// When each sample of a segment is decoded.
fn decode(output: &Path, name: &str) -> Vec<u64> {
    let mut times = Vec::new();
    for traf in fragments(&fs::read(output.join(name)).unwrap()).into_iter().flat_map(|one| one.trafs) {
        let mut at = traf.decode;
        for sample in &traf.samples {
            times.push(at);
            at += u64::from(sample.duration);
        }
    }
    times
}

/// Frames follow each other but for one hole, which is `span` to within a PES packet, and the gaps are that hole.
#[track_caller]
fn is_missing(entries: &[Entry], span: &Range<f64>) {
    const FRAME: f64 = 1024.0 / RATE_HZ;
    let frames: Vec<f64> = entries.iter().flat_map(|entry| entry.frames.iter().copied()).collect();
    let steps = frames.windows(2).filter(|pair| (pair[1] - pair[0] - FRAME).abs() > 0.001);
    let mut holes: Vec<_> = steps.map(|pair| pair[0] + FRAME..pair[1]).collect();
    let (first, last) = (frames[0], frames[frames.len() - 1] + FRAME);
    holes.extend([0.0..first, last..12.0].into_iter().filter(|hole| hole.end - hole.start > 0.3));
    assert_eq!(holes.len(), 1, "{holes:?} for {span:?}");
    let (hole, span) = (&holes[0], span.start.max(0.0)..span.end.min(12.0));
    let is_near = |a: f64, b: f64, within: f64| (a - b).abs() < within;
    assert!(
        is_near(hole.start, span.start, 0.5) && is_near(hole.end, span.end, 0.5),
        "{hole:?} for {span:?}"
    );
    let gaps = || entries.iter().filter(|entry| entry.is_gap).map(|entry| &entry.at);
    let (first, last) = (gaps().next().unwrap(), gaps().next_back().unwrap());
    assert!(
        is_near(first.start, hole.start, 0.12) && is_near(last.end, hole.end, 0.12),
        "{hole:?}: {first:?}, {last:?}"
    );
    let sum: f64 = gaps().map(|gap| gap.end - gap.start).sum();
    assert!(is_near(sum, hole.end - hole.start, 0.12), "{sum} s of {hole:?}");
}

#[test]
fn a_track_is_at_its_own_time_and_as_long_as_the_video() {
    let spans = [-1.0..6.0, -1.0..5.3, -1.0..0.7, 5.0..9.0, 2.5..11.2, 4.0..6.0, 8.0..99.0, 6.7..99.0];
    for span in spans {
        for kind in ["vod", "event"] {
            let (_folder, output) = cut(span.clone(), &["--playlist", kind]);
            is_missing(&entries(&output), &span);
        }
    }
}

/// A hole that begins inside a PES packet leaves the beginning of a frame that is never whole.
#[test]
fn a_hole_in_a_pes_packet_begins_where_its_last_whole_frame_ends() {
    let stream = fs::read(media("h264-aac.ts")).unwrap();
    for n in 0..8 {
        let from = 4.5 + f64::from(n) / 10.0;
        let folder = tempfile::tempdir().unwrap();
        let (input, output) = (folder.path().join("in.ts"), folder.path().join("out"));
        fs::write(&input, lossy(&stream, AUDIO, VIDEO, from..from + 2.0)).unwrap();
        let mut command = segcast(["segment", "--format", "cmaf", "--segment", "2s", "--output"]);
        run(command.arg(&output).arg(&input)).good();
        let entries = entries(&output);
        assert!(entries.iter().any(|entry| entry.is_gap), "{from}: {entries:?}");
        let holes = entries.iter().filter(|entry| !entry.is_gap);
        for entry in holes {
            let last = entry.frames.last().unwrap() + 1024.0 / RATE_HZ;
            assert!((last - entry.at.end).abs() < 0.12, "{from}: {entry:?}");
        }
    }
}

#[test]
fn a_gap_of_whole_segments_keeps_the_numbers_of_the_video() {
    let (_folder, output) = cut(-1.0..5.99, &[]);
    let media = playlist(&output, "audio-1.m3u8");
    let gaps = media.segments.iter().take_while(|segment| segment.is_gap).take(3);
    let gaps: Vec<f64> = gaps.map(|segment| segment.duration.as_secs_f64()).collect();
    assert_eq!(gaps, [2.0; 3]);
    let text = text(&output, "audio-1.m3u8");
    let (gaps, rest) = text.split_once("#EXT-X-MAP:").unwrap();
    assert!(
        gaps.contains("EXT-X-GAP") && !gaps.contains("EXT-X-MAP") && !rest.contains("EXT-X-GAP"),
        "{text}"
    );
}

#[test]
fn a_track_that_never_comes_has_no_playlist() {
    for kind in ["vod", "event", "live"] {
        let (_folder, output) = cut(-1.0..99.0, &["--playlist", kind]);
        let index = text(&output, "index.m3u8");
        assert!(index.ends_with("\nvideo.m3u8\n") && !index.contains("AUDIO"), "{index}");
        assert!(index.contains("CODECS=\"avc1.64000c\""), "{index}");
        assert!(!names(&output).iter().any(|name| name.contains("audio")), "{:?}", names(&output));
    }
}

#[test]
fn a_muxed_segment_has_no_fragment_of_a_track_that_is_missing() {
    let (_folder, output) = cut(2.5..8.5, &["--muxed", "--playlist", "event"]);
    let media = playlist(&output, "index.m3u8");
    assert!(media.segments.iter().all(|segment| !segment.is_gap && !segment.is_discontinuity));
    let trafs = |name: &str| fragments(&fs::read(output.join(name)).unwrap())[0].trafs.len();
    let trafs: Vec<_> = media.segments.iter().map(|segment| trafs(&segment.uri)).collect();
    assert_eq!(trafs, [2, 2, 1, 1, 2, 2]);
}

/// A source that ends and comes back with a track that it did not have, or had not sent.
#[test]
fn a_track_that_comes_later_gets_its_playlist_in_a_running_channel() {
    let folder = tempfile::tempdir().unwrap();
    stream(folder.path(), "silent.ts", -1.0..99.0);
    stream(folder.path(), "whole.ts", 99.0..99.0);
    // The first time the one, from then on the other.
    let command = "if mkdir begun 2>/dev/null; then cat silent.ts; else cat whole.ts; sleep 60; fi";
    let toml = format!(
        "[input]\nurl = \"test\"\nrestart = \"always\"\n[output]\ndirectory = \"out\"\nplaylist = \"live\"\nsegment = \"2s\"\n\
        window = 60\nformat = [\"ts\", \"cmaf\"]\n[[rendition]]\nname = \"v\"\ncommand = '''{command}'''\n"
    );
    fs::write(folder.path().join("channel.toml"), toml).unwrap();
    let mut command = segcast(["run", "channel.toml"]);
    let command = command.current_dir(folder.path()).stdin(Stdio::null());
    let mut running = Running::start(command);
    let output = folder.path().join("out");
    let index = output.join("index-cmaf.m3u8");
    let is_named = |text: String| text.contains("index-cmaf-audio-1.m3u8") && text.contains("mp4a.40.2");
    running.until("a playlist of the video alone", || {
        index.exists() && !is_named(fs::read_to_string(&index).unwrap())
    });
    running.until("audio", || fs::read_to_string(&index).is_ok_and(is_named));
    running.signal(Signal::TERM);
    running.end();
    let (video, audio) =
        (playlist(&output, "v/index-cmaf.m3u8"), playlist(&output, "v/index-cmaf-audio-1.m3u8"));
    let breaks = |media: &Media| {
        let breaks = (0_u64..).zip(&media.segments).filter(|(_, segment)| segment.is_discontinuity);
        breaks.map(|(at, _)| at + media.media_sequence).collect::<Vec<_>>()
    };
    assert_eq!(
        (breaks(&audio), audio.discontinuity_sequence),
        (breaks(&video), video.discontinuity_sequence)
    );
    assert!(audio.is_ended && (seconds(&audio) - seconds(&video)).abs() < 0.2);
    assert!(audio.segments[0].is_gap && audio.segments.iter().any(|segment| !segment.is_gap));
    for segment in &audio.segments {
        let is_there = output.join("v").join(&segment.uri).metadata().is_ok_and(|file| file.len() > 0);
        assert_eq!(is_there, !segment.is_gap, "{segment:?}");
    }
}

/// Eight seconds of two videos and audio, without the first video's frames of `left_out`.
fn two_videos(folder: &Path, left_out: Range<f64>) -> PathBuf {
    let (whole, path) = (folder.join("two.ts"), folder.join("in.ts"));
    let source = |size: &str| format!("testsrc2=size={size}:rate=25:duration=8");
    let mut command = Command::new("ffmpeg");
    command.args([
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        &source("320x180"),
        "-f",
        "lavfi",
        "-i",
        &source("160x90"),
    ]);
    command.args([
        "-f",
        "lavfi",
        "-i",
        "sine=sample_rate=48000:duration=8",
        "-map",
        "0",
        "-map",
        "1",
        "-map",
        "2",
    ]);
    command.args(["-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-c:a", "aac"]).arg(&whole);
    assert!(command.stdin(Stdio::null()).status().unwrap().success());
    fs::write(&path, without(&fs::read(&whole).unwrap(), 0x100, left_out)).unwrap();
    path
}

/// How many frames of a stream ffprobe finds.
fn frames(path: &Path, stream: &str) -> usize {
    let mut command = Command::new("ffprobe");
    command.args([
        "-v",
        "quiet",
        "-select_streams",
        stream,
        "-show_entries",
        "packet=flags",
        "-of",
        "csv=p=0",
    ]);
    let output = command.arg(path).stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().filter(|line| !line.trim().is_empty()).count()
}

/// The first video that is listed never arrives: cuts are made by the other one, from its first frame on.
#[test]
fn where_the_first_video_never_arrives_the_other_one_is_cut_by() {
    let folder = tempfile::tempdir().unwrap();
    let input = two_videos(folder.path(), -1.0..99.0);
    for chunked in [false, true] {
        for (format, playlist) in [("cmaf", "video.m3u8"), ("ts", "index.m3u8")] {
            let output = folder.path().join(format!("{format}-{chunked}"));
            let mut command = segcast(["segment", "--format", format, "--segment", "2s", "--output"]);
            if chunked {
                // From a pipe, as a live playlist whose window holds all of it.
                command.arg(&output).args(["--playlist", "event", "-"]);
                run_with(&mut command, &fs::read(&input).unwrap()).good();
            } else {
                run(command.arg(&output).arg(&input)).good();
            }
            let media = Media::parse(&text(&output, playlist)).unwrap();
            let durations: Vec<f64> = media.segments.iter().map(|one| one.duration.as_secs_f64()).collect();
            assert_eq!(durations, [2.0; 4], "{format}");
            assert!(media.segments.iter().all(|segment| !segment.is_discontinuity), "{format}");
            let counts: Vec<usize> = media
                .segments
                .iter()
                .map(|segment| match format {
                    "cmaf" => decode(&output, &segment.uri).len(),
                    _ => frames(&output.join(&segment.uri), "i:0x101"),
                })
                .collect();
            assert_eq!(counts, [50; 4], "{format}");
        }
    }
}

/// One that arrives late, but soon enough, stays the one that cuts are made by.
#[test]
fn where_the_first_video_arrives_within_two_seconds_it_is_cut_by() {
    let folder = tempfile::tempdir().unwrap();
    let input = two_videos(folder.path(), -1.0..1.9);
    let output = folder.path().join("out");
    let mut command = segcast(["segment", "--format", "cmaf", "--segment", "2s", "--output"]);
    run(command.arg(&output).arg(&input)).good();
    assert!(text(&output, "index.m3u8").contains("RESOLUTION=320x180"), "{}", text(&output, "index.m3u8"));
}
