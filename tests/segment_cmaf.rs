//! `segcast segment --format cmaf` as its users meet it: the binary, real media, and other people's readers.
#![cfg(feature = "cli")]
// What the tests share is test code too.
#![allow(clippy::unwrap_used, missing_docs)]

mod support {
    pub mod command;
}

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use support::command::{Running, decoded, media, names, parsed, run, segcast, tree};

/// A folder to write to, and what it is in.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let temporary = tempfile::tempdir().unwrap();
    let output = temporary.path().join("out");
    (temporary, output)
}

/// `segcast segment INPUT --output OUTPUT --format cmaf ARGS`
fn segment(input: impl AsRef<Path>, output: &Path, args: &[&str]) -> Command {
    let mut command = segcast(["segment"]);
    command.arg(input.as_ref()).arg("--output").arg(output).args(["--format", "cmaf"]).args(args);
    command
}

fn playlist(output: &Path, name: &str) -> String {
    fs::read_to_string(output.join(name)).unwrap()
}

/// The media playlists that index.m3u8 leads to, or itself.
fn playlists(output: &Path) -> Vec<String> {
    let text = playlist(output, "index.m3u8");
    let Ok(m3u8_rs::Playlist::MasterPlaylist(index)) = m3u8_rs::parse_playlist_res(text.as_bytes()) else {
        return vec!["index.m3u8".to_owned()];
    };
    let variants = index.variants.into_iter().map(|variant| variant.uri);
    variants.chain(index.alternatives.into_iter().filter_map(|sound| sound.uri)).collect()
}

/// Everything that index.m3u8 leads to, and itself.
fn reachable(output: &Path) -> BTreeSet<String> {
    let mut all = BTreeSet::from(["index.m3u8".to_owned()]);
    for name in playlists(output) {
        for segment in parsed(&playlist(output, &name)).segments {
            all.extend(segment.map.map(|map| map.uri));
            all.insert(segment.uri);
        }
        all.insert(name);
    }
    all
}

/// What is there is what the playlists name, and nothing else.
#[track_caller]
fn is_complete(output: &Path) {
    assert_eq!(names(output), reachable(output).into_iter().collect::<Vec<_>>());
}

/// From when to when the first stream of a kind has packets, which ffprobe counts from the first; and how many they are.
/// It does not know how long sound beside pictures lasts.
fn packets(input: &Path, kind: &str) -> (f64, usize) {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-select_streams", &format!("{kind}:0"), "-show_entries"]);
    let text = run(command.args(["packet=pts_time", "-of", "csv=p=0"]).arg(input)).good().stdout;
    // Side data are lines of their own.
    let times = text.lines().filter_map(|line| line.trim_end_matches(',').parse().ok());
    let times: Vec<f64> = times.collect();
    let bounds = times.iter().fold((f64::MAX, 0.0_f64), |(low, high), at| (low.min(*at), high.max(*at)));
    (bounds.1 - bounds.0, times.len())
}

/// Every picture of `input` is in the stream, which lasts as long, and ffmpeg has nothing to say against it.
#[track_caller]
fn plays_like(input: &Path, output: &Path) {
    let index = output.join("index.m3u8");
    let (pictures, complaints) = decoded(&index);
    assert_eq!(complaints, "");
    assert_eq!(pictures, decoded(input).0);
    for kind in ["v", "a"] {
        let ((ours, count), (theirs, of)) = (packets(&index, kind), packets(input, kind));
        assert!((ours - theirs).abs() < 0.001, "{kind}: {ours} s of {theirs} s");
        assert_eq!(count, of, "{kind}");
    }
}

/// Names without what depends on the content alone.
fn without_digests(text: &str) -> String {
    let mut pieces = text.split("init-");
    let first = pieces.next().unwrap().to_owned();
    pieces.fold(first, |text, piece| text + "init-DIGEST" + &piece[16..])
}

#[test]
fn a_file_becomes_a_playlist_for_each_track() {
    let (_temporary, output) = folder();
    let input = media("h264-aac.ts");
    let ended = run(&mut segment(&input, &output, &[])).good();
    let index = output.join("index.m3u8");
    let expected = format!("2 segments of 2 tracks each, 12.000 s of stream, in {} (", index.display());
    assert!(ended.stderr.starts_with(&expected) && ended.stderr.lines().count() == 1, "{}", ended.stderr);
    let text = "\
#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:6
#EXT-X-MEDIA-SEQUENCE:1
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI=\"segment-video-init-DIGEST.mp4\"
#EXTINF:6.000000,
segment-video-00001.m4s
#EXTINF:6.000000,
segment-video-00002.m4s
#EXT-X-ENDLIST
";
    assert_eq!(without_digests(&playlist(&output, "video.m3u8")), text);
    let sound = parsed(&playlist(&output, "audio-1.m3u8"));
    assert_eq!(sound.segments[1].uri, "segment-audio-1-00002.m4s");
    let index = playlist(&output, "index.m3u8");
    let lines: Vec<_> = index.lines().collect();
    let media = "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"Audio 1\",DEFAULT=YES,AUTOSELECT=YES,\
        CHANNELS=\"2\",URI=\"audio-1.m3u8\"";
    assert_eq!(lines[..3], ["#EXTM3U", "#EXT-X-INDEPENDENT-SEGMENTS", media]);
    let variant = ",CODECS=\"avc1.64000c,mp4a.40.2\",RESOLUTION=320x180,FRAME-RATE=25.000,AUDIO=\"audio\"";
    assert!(lines[3].starts_with("#EXT-X-STREAM-INF:BANDWIDTH=") && lines[3].ends_with(variant), "{index}");
    assert_eq!(lines[4..], ["video.m3u8"]);
    is_complete(&output);
    plays_like(&input, &output);
}

#[test]
fn muxed_is_one_playlist() {
    let (_temporary, output) = folder();
    let input = media("h264-aac.ts");
    run(&mut segment(&input, &output, &["--muxed", "--prefix", "movie"])).good();
    let text = "\
#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:6
#EXT-X-MEDIA-SEQUENCE:1
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI=\"movie-init-DIGEST.mp4\"
#EXTINF:6.000000,
movie-00001.m4s
#EXTINF:6.000000,
movie-00002.m4s
#EXT-X-ENDLIST
";
    assert_eq!(without_digests(&playlist(&output, "index.m3u8")), text);
    is_complete(&output);
    plays_like(&input, &output);
}

#[test]
fn a_lone_track_is_one_playlist() {
    for name in ["video-only.ts", "audio-only.ts"] {
        let (_temporary, output) = folder();
        run(&mut segment(media(name), &output, &[])).good();
        assert_eq!(playlists(&output), ["index.m3u8"], "{name}");
        is_complete(&output);
    }
}

#[test]
fn each_of_many_sounds_can_be_chosen() {
    let (_temporary, output) = folder();
    let input = media("many-streams.ts");
    run(&mut segment(&input, &output, &[])).good();
    let index = playlist(&output, "index.m3u8");
    let sounds: Vec<_> = index.lines().filter(|line| line.starts_with("#EXT-X-MEDIA:")).collect();
    assert_eq!(sounds.len(), 20);
    assert!(sounds.iter().all(|line| line.contains("LANGUAGE=\"en\"") && line.contains("CHANNELS=\"1\"")));
    assert_eq!(sounds.iter().filter(|line| line.contains("DEFAULT=YES")).count(), 1);
    is_complete(&output);
    plays_like(&input, &output);
}

#[test]
fn live_and_event_go_on_in_numbers() {
    for args in [&["--playlist", "live"][..], &["--playlist", "event"], &["--playlist", "live", "--muxed"]] {
        let (_temporary, output) = folder();
        let input = media("h264-aac.ts");
        let cut = || run(segment(&input, &output, args).args(["--segment", "2s", "--window", "9"])).good();
        cut();
        is_complete(&output);
        plays_like(&input, &output);
        let first = tree(&output);
        cut();
        let second = tree(&output);
        let all = playlists(&output);
        assert_eq!(all.len(), if args.contains(&"--muxed") { 1 } else { 2 });
        for name in all {
            let media = parsed(&playlist(&output, &name));
            assert_eq!((media.media_sequence, media.segments.len(), media.end_list), (7, 6, true), "{name}");
            assert!(media.segments[0].uri.ends_with("-00007.m4s") && media.segments[0].map.is_some());
        }
        let is_same = |name: &String| second.get(name).is_none_or(|bytes| *bytes == first[name]);
        let segments = first.keys().filter(|name| name.ends_with(".m4s"));
        assert!(segments.clone().count() >= 6 && segments.clone().all(is_same));
        plays_like(&input, &output);
    }
}

#[test]
fn a_killed_live_stream_is_taken_up() {
    let (_temporary, output) = folder();
    let args = ["--playlist", "live", "--segment", "1s", "--window", "30"];
    let mut command = segment("-", &output, &args);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running::start_as_is(command);
    running.feed(&fs::read(media("h264-aac.ts")).unwrap()[..300_000]);
    let index = output.join("index.m3u8");
    running.until("a playlist", || index.exists() && playlist(&output, "video.m3u8").contains("-00008.m4s"));
    running.signal(Signal::KILL);
    running.wait();
    let shown = ["video.m3u8", "audio-1.m3u8"].map(|name| parsed(&playlist(&output, name)).segments.len());
    run(&mut segment(media("h264-aac.ts"), &output, &args)).good();
    for (name, shown) in ["video.m3u8", "audio-1.m3u8"].into_iter().zip(shown) {
        let media = parsed(&playlist(&output, name));
        assert!(media.segments.len() >= shown.min(8) + 12 && media.end_list, "{name}");
        assert_eq!(media.segments.iter().filter(|segment| segment.discontinuity).count(), 1, "{name}");
    }
    // What was being written when it was killed is swept later, for it may be another's.
    let there = names(&output).into_iter().filter(|name| !name.starts_with('.')).collect::<BTreeSet<_>>();
    assert!(reachable(&output).is_subset(&there));
}

#[test]
fn a_vod_in_another_layout_leaves_nothing_of_the_first() {
    let (_temporary, output) = folder();
    let input = media("h264-aac.ts");
    let kinds: [&[&str]; 7] = [
        &["--segment", "1s"],
        &["--muxed"],
        &["--format", "ts", "--segment", "1s"],
        &["--muxed"],
        &["--format", "ts"],
        &["--segment", "4s"],
        &["--playlist", "live", "--segment", "1s"],
    ];
    for kind in kinds.iter().chain(&kinds[..2]) {
        let mut command = segcast(["segment"]);
        command.arg(&input).arg("--output").arg(&output).args(*kind);
        if !kind.contains(&"--format") {
            command.args(["--format", "cmaf"]);
        }
        run(&mut command).good();
        if !kind.contains(&"live") {
            is_complete(&output);
            assert_eq!(decoded(&output.join("index.m3u8")), decoded(&input), "{kind:?}");
        }
    }
}

#[test]
fn what_cmaf_does_not_carry_is_told() {
    let (_temporary, output) = folder();
    let ended = run(&mut segment(media("mpeg2-mp2.ts"), &output, &[])).good();
    assert!(
        ended.stderr.contains("MPEG-2 video cannot be carried in CMAF here and is left out"),
        "{}",
        ended.stderr
    );
    let mut command = segcast(["segment", "--muxed", "--output"]);
    let ended = run(command.arg(&output).arg(media("h264-aac.ts")));
    let expected = "segcast: --muxed is for --format cmaf: transport stream segments always are\n";
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), expected));
}
