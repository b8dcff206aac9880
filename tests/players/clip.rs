//! What is played: made by ffmpeg, small enough for two cores and three players.

use std::path::{Path, PathBuf};
use std::process::Command;

/// So many seconds of a moving picture, 320x180 at 25 a second, a random access point each second; and a tone.
pub fn clip(path: PathBuf, pattern: &str, seconds: u32) -> PathBuf {
    let picture = format!("{pattern}=s=320x180:r=25");
    ffmpeg(
        &["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", "sine", "-t", &seconds.to_string()],
        |command| command.args(["-f", "mpegts"]).arg(&path),
    );
    path
}

/// A stream of ffmpeg's own making under `folder/index.m3u8`, in segments of two seconds.
pub fn hls(folder: &Path, segment_type: &str, seconds: u32) {
    let sources = ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25", "-f", "lavfi", "-i", "sine", "-t"];
    ffmpeg(&[&sources[..], &[&seconds.to_string()]].concat(), |command| {
        command.args(["-f", "hls", "-hls_time", "2", "-hls_playlist_type", "vod", "-hls_segment_type"]);
        command.arg(segment_type).arg(folder.join("index.m3u8"))
    });
}

fn ffmpeg(source: &[&str], output: impl FnOnce(&mut Command) -> &mut Command) {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-y"]).args(source);
    command.args(["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-b:v", "300k"]);
    command.args(["-g", "25", "-bf", "2", "-sc_threshold", "0", "-c:a", "aac", "-b:a", "64k"]);
    let status = output(&mut command).status().unwrap();
    assert!(status.success(), "{command:?}");
}
