//! Programs that are no browsers: ffmpeg and GStreamer.

use std::process::{Command, Output, Stdio};

use crate::live::pattern;
use crate::machine::shared;
use crate::player::seconds;
use crate::server::Server;

const FPS: u32 = 25;

/// Runs to its end, which it must be told to reach.
fn run(command: &mut Command) -> (Output, String) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    (output, text)
}

/// ffmpeg decodes the stream for so long, has nothing to say about it, and misses no picture.
fn ffmpeg_reads(server: &Server) {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "warning", "-nostdin", "-i", &server.url("index.m3u8")]);
    command.args(["-t", &seconds().to_string(), "-fps_mode", "passthrough", "-f", "framecrc", "-"]);
    let (output, text) = run(&mut command);
    // ffmpeg reads EXT-X-MAP again whenever it reads a live playlist again, its own too.
    let is_complaint = |line: &&str| {
        !line.ends_with("Found duplicated MOOV Atom. Skipped it") && !line.contains("Last message repeated")
    };
    let complaints = String::from_utf8_lossy(&output.stderr).lines().find(is_complaint).map(str::to_owned);
    assert!(output.status.success() && complaints.is_none(), "{text}");
    // stream, dts, pts, …: each picture lasts 1 of 1/25 s.
    let pictures =
        text.lines().filter_map(|line| line.strip_prefix("0,")?.split(',').nth(1)?.trim().parse().ok());
    let pictures: Vec<i64> = pictures.collect();
    assert!(pictures.len() as u32 >= (seconds() - 1) * FPS, "{} pictures", pictures.len());
    assert!(pictures.windows(2).all(|two| two[1] - two[0] == 1), "{pictures:?}");
}

/// GStreamer plays the stream for so long, by hlsdemux2. (The older hlsdemux, which playbin takes, loses packets between
/// the segments of any live stream, ffmpeg's own too, in 1.22 at least.)
fn gstreamer_plays(server: &Server) {
    // Of sound, 48000 / 1024 buffers a second. A sink that has had its number ends.
    let sink =
        |kind: &str, rate: u32| format!("{kind}-sink=fakesink sync=true num-buffers={}", rate * seconds());
    let (output, text) = run(Command::new("timeout")
        .args([(seconds() + 30).to_string().as_str(), "gst-launch-1.0", "playbin3"])
        .arg(format!("uri={}", server.url("index.m3u8")))
        .args([sink("video", FPS), sink("audio", 46)]));
    assert!(output.status.success() && text.contains("Got EOS"), "{text}");
    let is_complaint = |line: &&str| ["ERROR", "WARN", "CRITICAL"].iter().any(|word| line.contains(word));
    assert_eq!(text.lines().find(is_complaint), None, "{text}");
}

pub fn is_read_everywhere(output: &str) {
    shared(|| {
        let server = pattern(output);
        std::thread::scope(|scope| {
            scope.spawn(|| ffmpeg_reads(&server));
            scope.spawn(|| gstreamer_plays(&server));
        });
    });
}

#[test]
fn ffmpeg_and_gstreamer_read_a_transport_stream() {
    is_read_everywhere("");
}
