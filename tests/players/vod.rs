//! What `segcast segment` writes and `segcast serve` serves.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::clip::clip;
use crate::machine::shared;
use crate::player::{PLAYERS, all_play};
use crate::server::Server;

/// Longer than the clip: it is played to its end.
const AMPLE_S: u32 = 15;

/// Cuts `input` into `folder` in segments of two seconds.
fn segment(input: &Path, folder: &Path, arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_segcast"));
    command.arg("segment").arg(input).args(["--segment", "2s", "--output"]).arg(folder).args(arguments);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

pub fn plays_to_its_end(arguments: &[&str], extension: &str) {
    shared(|| {
        let folder = tempfile::tempdir().unwrap();
        let input = clip(folder.path().join("clip.ts"), "testsrc2", 5);
        let vod = folder.path().join("vod");
        segment(&input, &vod, arguments);
        let server = Server::files(&vod);
        for report in all_play(&PLAYERS, &server.url("index.m3u8"), AMPLE_S) {
            let report = report.plays_smoothly();
            assert!(report.is_ended && (report.position_s - 5.0).abs() < 0.2, "{report:#?}");
            assert!(
                report.fetched.iter().filter(|path| path.ends_with(extension)).count() >= 3,
                "{report:#?}"
            );
        }
    });
}

#[test]
fn a_cut_transport_stream_plays_to_its_end() {
    plays_to_its_end(&[], ".ts");
}
