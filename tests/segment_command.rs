//! `segcast segment` as its users meet it: the binary, real media, and other people's readers.
#![cfg(feature = "cli")]
// What the tests share is test code too.
#![allow(clippy::unwrap_used, missing_docs)]

mod support {
    pub mod command;
}

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::command::{Running, decoded, media, names, parsed, run, run_with, segcast, size, tree};

/// A folder to write to, and what it is in.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let temporary = tempfile::tempdir().unwrap();
    let output = temporary.path().join("out");
    (temporary, output)
}

/// `segcast segment INPUT --output OUTPUT ARGS`
fn segment(input: impl AsRef<Path>, output: &Path, args: &[&str]) -> Command {
    let mut command = segcast(["segment"]);
    command.arg(input.as_ref()).arg("--output").arg(output).args(args);
    command
}

fn playlist(output: &Path) -> String {
    fs::read_to_string(output.join("index.m3u8")).unwrap()
}

fn read(name: &str) -> Vec<u8> {
    fs::read(media(name)).unwrap()
}

fn numbered(prefix: &str, numbers: std::ops::RangeInclusive<u32>) -> Vec<String> {
    numbers.map(|number| format!("{prefix}-{number:05}.ts")).collect()
}

/// The playlist and these segments, as a folder lists them.
fn listing(segments: &[String]) -> Vec<String> {
    std::iter::once("index.m3u8".to_owned()).chain(segments.iter().cloned()).collect()
}

/// Every picture of `input` is in the stream, and ffmpeg has nothing to say against it.
#[track_caller]
fn plays_like(input: &Path, output: &Path) {
    let (pictures, complaints) = decoded(&output.join("index.m3u8"));
    assert_eq!(complaints, "");
    assert_eq!(pictures, decoded(input).0);
}

#[test]
fn a_file_becomes_a_vod_that_others_read() {
    let (_temporary, output) = folder();
    let input = media("h264-aac.ts");
    let ended = run(&mut segment(&input, &output, &[])).good();
    assert_eq!(ended.stdout, "");
    let expected = format!("2 segments, 12.000 s of stream, in {} (", output.join("index.m3u8").display());
    assert!(ended.stderr.starts_with(&expected) && ended.stderr.lines().count() == 1, "{}", ended.stderr);
    assert_eq!(names(&output), listing(&numbered("segment", 1..=2)));
    let text = "\
#EXTM3U
#EXT-X-VERSION:3
#EXT-X-TARGETDURATION:6
#EXT-X-MEDIA-SEQUENCE:1
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-INDEPENDENT-SEGMENTS
#EXTINF:6.000000,
segment-00001.ts
#EXTINF:6.000000,
segment-00002.ts
#EXT-X-ENDLIST
";
    assert_eq!(playlist(&output), text);
    plays_like(&input, &output);
    let media = parsed(&playlist(&output));
    assert!(media.end_list && media.independent_segments);
    assert_eq!(media.playlist_type, Some(m3u8_rs::MediaPlaylistType::Vod));
    assert_eq!(media.segments.iter().map(|segment| segment.duration).sum::<f32>(), 12.0);
}

#[test]
fn every_packet_length_gives_the_same_stream() {
    let (temporary, output) = folder();
    run(&mut segment(media("h264-aac.ts"), &output, &["--segment", "2s"])).good();
    let expected = tree(&output);
    assert_eq!(expected.len(), 7);
    for name in ["h264-aac.m2ts", "h264-aac-204.ts"] {
        let output = temporary.path().join(name);
        run(&mut segment(media(name), &output, &["--segment", "2"])).good();
        assert_eq!(names(&output), expected.keys().cloned().collect::<Vec<_>>(), "{name}");
        assert_eq!(playlist(&output).as_bytes(), expected["index.m3u8"], "{name}");
        plays_like(&media("h264-aac.ts"), &output);
    }
    assert_eq!(tree(&temporary.path().join("h264-aac-204.ts")), expected);
}

#[test]
fn standard_input_gives_the_same_segments_as_the_file() {
    let (temporary, output) = folder();
    run(&mut segment(media("h264-aac.ts"), &output, &[])).good();
    let piped = temporary.path().join("piped");
    let ended = run_with(&mut segment("-", &piped, &["--playlist", "vod", "--quiet"]), &read("h264-aac.ts"));
    assert_eq!(ended.good().stderr, "");
    assert_eq!(tree(&piped), tree(&output));
}

#[test]
fn an_event_keeps_everything_and_tells_the_time() {
    let (_temporary, output) = folder();
    run(&mut segment(media("h264-aac.ts"), &output, &["--playlist", "event", "--segment", "2s"])).good();
    assert_eq!(names(&output), listing(&numbered("segment", 1..=6)));
    let media = parsed(&playlist(&output));
    assert_eq!(media.playlist_type, Some(m3u8_rs::MediaPlaylistType::Event));
    assert!(media.end_list && media.segments[0].program_date_time.is_some());
    assert_eq!(media.segments.len(), 6);
    plays_like(&self::media("h264-aac.ts"), &output);
}

#[test]
fn a_live_window_is_as_long_as_it_is_told() {
    let (_temporary, output) = folder();
    let args = ["--playlist", "live", "--segment", "1s", "--window", "5", "--prefix", "news"];
    run(&mut segment(media("h264-aac.ts"), &output, &args)).good();
    let media = parsed(&playlist(&output));
    assert_eq!((media.media_sequence, media.segments.len(), media.end_list), (8, 5, true));
    let uris: Vec<_> = media.segments.iter().map(|segment| segment.uri.clone()).collect();
    assert_eq!(uris, numbered("news", 8..=12));
    // Nothing was out of the playlist long enough to be deleted.
    assert_eq!(names(&output), listing(&numbered("news", 1..=12)));
}

#[test]
fn the_program_can_be_chosen() {
    let (temporary, output) = folder();
    let input = media("two-programs.ts");
    run(&mut segment(&input, &output, &[])).good();
    assert_eq!(size(&output.join("segment-00001.ts")), "320x180");
    let second = temporary.path().join("second");
    run(&mut segment(&input, &second, &["--program", "2"])).good();
    assert_eq!(size(&second.join("segment-00001.ts")), "160x90");
    // Two programs of 6 s each.
    assert_eq!(decoded(&second.join("index.m3u8")), (150, String::new()));

    let none = temporary.path().join("none");
    let ended = run(&mut segment(&input, &none, &["--program", "7"]));
    let name = input.display();
    let expected =
        format!("segcast: {name}: no program 7 in it; `segcast inspect` lists the programs that there are\n");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), expected.as_str()));
    assert!(!none.exists());
}

#[test]
fn a_vod_that_is_cut_again_leaves_nothing_of_the_first() {
    let (_temporary, output) = folder();
    let input = media("h264-aac.ts");
    run(&mut segment(&input, &output, &["--segment", "2s"])).good();
    assert_eq!(names(&output), listing(&numbered("segment", 1..=6)));
    let others = ["notes.txt", "other-00001.ts", "segment-00077.ts"];
    others.iter().for_each(|name| fs::write(output.join(name), name).unwrap());
    run(&mut segment(&input, &output, &[])).good();
    let mut expected = listing(&numbered("segment", 1..=2));
    expected.extend(others.map(str::to_owned));
    expected.sort();
    assert_eq!(names(&output), expected);
    others.iter().for_each(|name| assert_eq!(fs::read_to_string(output.join(name)).unwrap(), *name));
    plays_like(&input, &output);
}

#[test]
fn a_vod_takes_the_place_of_a_live_stream() {
    let (_temporary, output) = folder();
    let input = media("h264-aac.ts");
    let cut = |args: &[&str]| run(segment(&input, &output, &["--prefix", "ü #1"]).args(args)).good();
    cut(&["--playlist", "live", "--segment", "1s"]);
    let media = parsed(&playlist(&output));
    assert_eq!((media.media_sequence, media.segments.len()), (7, 6));
    assert_eq!(media.segments[0].uri, "%C3%BC%20%231-00007.ts");
    assert_eq!(names(&output), listing(&numbered("ü #1", 1..=12)));
    cut(&[]);
    assert_eq!(names(&output), listing(&numbered("ü #1", 1..=2)));
}

#[test]
fn a_killed_live_stream_is_taken_up() {
    let (_temporary, output) = folder();
    let mut command = segment("-", &output, &["--segment", "1s", "--window", "30"]);
    let mut running = halted(&output, command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let half = output.join(".segment-00010.ts.segcast-part");
    running.until("a half-written segment", || half.exists());
    running.signal(Signal::KILL);
    assert_eq!(running.wait().code, None);
    let first = tree(&output);
    assert!(half.exists());
    let shown = parsed(&playlist(&output)).segments.len();
    let args = ["--playlist", "live", "--segment", "1s", "--window", "30"];
    run(&mut segment(media("h264-aac.ts"), &output, &args)).good();
    let media = parsed(&playlist(&output));
    assert_eq!((media.media_sequence, media.segments.len(), media.end_list), (1, shown + 12, true));
    assert!(media.segments[shown].discontinuity);
    let uris: Vec<_> = media.segments.iter().map(|segment| segment.uri.clone()).collect();
    assert_eq!(names(&output), listing(&uris));
    let second = tree(&output);
    assert!(uris[..shown].iter().all(|name| first[name] == second[name]));
}

#[test]
fn a_live_stream_that_begins_again_goes_on_counting() {
    let (_temporary, output) = folder();
    let args = ["--playlist", "live", "--segment", "2s"];
    run(&mut segment(media("h264-aac.ts"), &output, &args)).good();
    assert_eq!(parsed(&playlist(&output)).media_sequence, 1);
    let first = tree(&output);
    run(&mut segment(media("h264-aac.ts"), &output, &args)).good();
    let text = playlist(&output);
    let media = parsed(&text);
    assert_eq!((media.media_sequence, media.segments.len()), (7, 6));
    assert_eq!(media.segments[0].uri, "segment-00007.ts");
    assert!(media.segments[0].discontinuity || media.discontinuity_sequence > 0, "{text}");
    let second = tree(&output);
    for name in numbered("segment", 1..=6) {
        assert!(second.get(&name).is_none_or(|bytes| *bytes == first[&name]), "{name} became another");
    }
}

/// What a viewer sees who asks for the playlist all the time.
#[derive(Default)]
struct Seen {
    playlists: Vec<String>,
    /// When each segment was last in the playlist, and when it was found gone from the folder.
    shown: BTreeMap<String, Instant>,
    gone: BTreeMap<String, Instant>,
    wrong: Vec<String>,
}

impl Seen {
    fn look(&mut self, output: &Path) {
        let looked = Instant::now();
        let Ok(text) = fs::read_to_string(output.join("index.m3u8")) else {
            if !self.playlists.is_empty() {
                self.wrong.push("the playlist was gone".to_owned());
            }
            return;
        };
        if !text.starts_with("#EXTM3U\n") || !text.ends_with(".ts\n") && !text.ends_with("#EXT-X-ENDLIST\n") {
            self.wrong.push(format!("a partial playlist:\n{text}"));
        }
        for name in text.lines().filter(|line| !line.starts_with('#')) {
            if fs::metadata(output.join(name)).map_or(0, |file| file.len()) == 0 {
                self.wrong.push(format!("{name} is named but not there"));
            }
            self.shown.insert(name.to_owned(), looked);
        }
        for name in self.shown.keys() {
            if !self.gone.contains_key(name) && !output.join(name).exists() {
                self.gone.insert(name.clone(), Instant::now());
            }
        }
        if self.playlists.last() != Some(&text) {
            self.playlists.push(text);
        }
    }
}

/// Looks until told to stop.
fn watch(output: &Path, is_over: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    while !is_over.load(Ordering::Relaxed) {
        seen.look(output);
        thread::sleep(Duration::from_millis(2));
    }
    seen.look(output);
    seen
}

#[test]
fn a_live_stream_is_right_at_every_moment() {
    let (_temporary, output) = folder();
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-re", "-i"]).arg(media("h264-aac.ts"));
    ffmpeg.args(["-c", "copy", "-f", "mpegts", "-"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut source = ffmpeg.spawn().unwrap();
    let stream = source.stdout.take().unwrap();
    let is_over = AtomicBool::new(false);
    let (ended, seen) = thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(&output, &is_over));
        let args = ["--segment", "1s", "--window", "3"];
        let ended = Running::start(segment("-", &output, &args).stdin(stream)).wait();
        is_over.store(true, Ordering::Relaxed);
        (ended, watcher.join().unwrap())
    });
    source.kill().unwrap();
    source.wait().unwrap();
    ended.good();
    assert!(seen.wrong.is_empty(), "{:#?}", seen.wrong);
    assert!(seen.playlists.len() >= 10, "{:#?}", seen.playlists);
    let all: Vec<_> = seen.playlists.iter().map(|text| parsed(text)).collect();
    assert!(all.is_sorted_by_key(|media| media.media_sequence));
    assert!(all.iter().all(|media| media.target_duration == all[0].target_duration));
    let (last, before) = all.split_last().unwrap();
    assert!(last.end_list && before.iter().all(|media| !media.end_list));
    assert_eq!(last.segments.last().unwrap().uri, "segment-00012.ts");
    // What was deleted had been out of the playlist as long as itself and the longest playlist with it took.
    let longest = all.iter().map(|media| media.segments.iter().map(|segment| segment.duration).sum());
    let keep = Duration::from_secs_f32(longest.fold(0.0, f32::max) + 1.0);
    let slack = Duration::from_millis(500);
    assert!(!seen.gone.is_empty(), "nothing was deleted");
    for (name, at) in &seen.gone {
        let out_for = *at - seen.shown[name];
        assert!(out_for + slack >= keep, "{name} was deleted {out_for:?} after it was last shown");
    }
    let there: BTreeSet<_> = names(&output).into_iter().collect();
    assert!(last.segments.iter().all(|segment| there.contains(&segment.uri)));
    assert_eq!(there.len() - 1, 12 - seen.gone.len());
}

/// A live stream on standard input that has come so far that it has a playlist, and goes no further.
fn halted(output: &Path, command: &mut Command) -> Running {
    let mut running = Running::start_as_is(command.stdin(Stdio::piped()));
    running.feed(&read("h264-aac.ts")[..300_000]);
    let playlist = output.join("index.m3u8");
    running.until("a playlist", || fs::read_to_string(&playlist).is_ok_and(|text| text.contains("00008.ts")));
    running
}

/// Whether our children are started with `signal` ignored, as under `nohup`.
fn is_ignored(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() & 1 << (signal.as_raw() - 1) != 0
}

#[test]
fn a_signal_ends_a_stream_as_its_source_would() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP].into_iter().filter(|signal| !is_ignored(*signal)) {
        let (_temporary, output) = folder();
        let mut command = segment("-", &output, &["--segment", "1s", "--window", "20"]);
        let running = halted(&output, command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        assert!(!playlist(&output).contains("ENDLIST"));
        running.signal(signal);
        let ended = running.wait().good();
        assert!(ended.stderr.contains(" segments, "), "{}", ended.stderr);
        let media = parsed(&playlist(&output));
        assert!(media.end_list && media.segments.len() >= 8);
        let there: Vec<_> = media.segments.iter().map(|segment| segment.uri.clone()).collect();
        assert_eq!(names(&output), listing(&there));
        // 25 a second; what was fed ends in mid-picture.
        assert!(decoded(&output.join("index.m3u8")).0 > 200);
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let (_temporary, output) = folder();
    // Nobody reads what it says: it cannot say its last line, and waits.
    let (unread, mut full) = std::io::pipe().unwrap();
    full.write_all(&[b' '; 65536]).unwrap();
    let mut command = segment("-", &output, &["--segment", "1s", "--window", "20"]);
    let mut running = halted(&output, command.stdout(Stdio::null()).stderr(full));
    running.signal(Signal::INT);
    running.until("the end of the playlist", || playlist(&output).contains("ENDLIST"));
    assert!(running.is_running());
    running.signal(Signal::INT);
    assert_eq!(running.wait().code, Some(130));
    drop(unread);
}

#[test]
fn a_signal_before_the_first_segment_leaves_no_trace() {
    let (_temporary, output) = folder();
    let mut running = Running::start(segment("-", &output, &[]).stdin(Stdio::piped()));
    running.feed(&read("h264-aac.ts")[..188]);
    // It takes signals as soon as it reads: what was fed must be gone from the pipe before.
    let began = Instant::now();
    running.until("a moment", || began.elapsed() > Duration::from_millis(500));
    running.signal(Signal::INT);
    let ended = running.wait().good();
    assert_eq!(ended.stderr, "stopped before the first segment\n");
    assert!(!output.exists());
}

#[test]
fn an_input_that_ends_in_mid_packet_is_saved() {
    let (_temporary, output) = folder();
    let args = ["--segment", "1s", "--window", "20"];
    let ended = run_with(&mut segment("-", &output, &args), &read("h264-aac.ts")[..188 * 1500 + 77]).good();
    assert!(ended.stderr.contains("× "), "{}", ended.stderr);
    let media = parsed(&playlist(&output));
    assert!(media.end_list && media.segments.len() >= 8);
    let (pictures, _) = decoded(&output.join("index.m3u8"));
    assert!(pictures > 200, "{pictures}");
}

#[test]
fn damage_is_counted_and_the_rest_is_saved() {
    let cases = [
        ("truncated.ts", "truncated"),
        ("lost-packets.ts", "continuity"),
        ("corrupt-packets.ts", ""),
        ("garbage.ts", "garbage"),
        ("duplicates.ts", "duplicate"),
        ("scrambled.ts", "scrambled"),
    ];
    for (name, kind) in cases {
        let (_temporary, output) = folder();
        let ended = run(&mut segment(media(name), &output, &["--segment", "2s"])).good();
        let (first, rest) = ended.stderr.split_once('\n').unwrap();
        assert!(first.contains(" segments, "), "{name}: {first}");
        assert!(rest.contains("× ") && rest.contains(kind), "{name}: {rest}");
        let media = parsed(&playlist(&output));
        assert!(media.end_list && media.segments.len() >= 2, "{name}");
        let there: Vec<_> = media.segments.iter().map(|segment| segment.uri.clone()).collect();
        assert_eq!(names(&output), listing(&there), "{name}");
    }
}

#[test]
fn what_another_wrote_before_the_first_segment_is_gone_on_from() {
    let (_temporary, output) = folder();
    let stream = read("h264-aac.ts");
    let args = ["--segment", "1s", "--window", "20"];
    let mut waiting = Running::start(segment("-", &output, &args).stdin(Stdio::piped()));
    waiting.feed(&stream[..188]);
    let began = Instant::now();
    waiting.until("a moment", || began.elapsed() > Duration::from_millis(500));
    run_with(&mut segment("-", &output, &args), &stream).good();
    let first = parsed(&playlist(&output));
    let bodies = |names: &[String]| names.iter().map(|name| fs::read(output.join(name)).unwrap()).collect();
    let names: Vec<String> = first.segments.iter().map(|segment| segment.uri.clone()).collect();
    let before: Vec<Vec<u8>> = bodies(&names);
    waiting.feed(&stream);
    waiting.end().good();
    assert_eq!(bodies(&names), before, "its segments are written over");
    let both = parsed(&playlist(&output));
    // The other's playlist had come to its end: this one begins anew, with names of its own.
    assert!(both.end_list && both.segments.iter().all(|segment| !names.contains(&segment.uri)));
    assert_eq!(both.media_sequence, first.media_sequence + names.len() as u64);
}

#[test]
fn a_folder_has_one_writer_at_a_time() {
    let (_temporary, output) = folder();
    let stream = read("h264-aac.ts");
    let mut running = Running::start(segment("-", &output, &["--segment", "1s"]).stdin(Stdio::piped()));
    running.feed(&stream);
    running.until("the first playlist", || output.join("index.m3u8").exists());
    let other = media("h264-aac.ts");
    let ended = run(&mut segment(other.to_str().unwrap(), &output, &[]));
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("another segcast is writing it"), "{}", ended.stderr);
    let before = parsed(&playlist(&output)).segments.len();
    let ended = running.end().good();
    assert!(before > 0 && parsed(&playlist(&output)).end_list, "{}", ended.stderr);
    // It is given back with the process, and nothing is left of it.
    assert!(names(&output).iter().all(|name| !name.starts_with('.')), "{:?}", names(&output));
    run(&mut segment(other.to_str().unwrap(), &output, &[])).good();
}
