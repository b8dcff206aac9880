//! A live channel, from segcast's own origin.

use crate::clip::clip;
use crate::machine::shared;
use crate::player::{PLAYERS, Player, Report, all_play, seconds};
use crate::server::Server;

/// Players that keep three segments away from the live edge find them.
const ENOUGH: usize = 4;
/// From one break to the next.
const LOOP_S: u32 = 3;

/// A channel of the pattern, in segments of a second.
pub fn pattern(output: &str) -> Server {
    let mut server = Server::pattern(&format!("segment = \"1s\"\nwindow = 8\n{output}"), "");
    server.until_segments("/high/index.m3u8", ENOUGH);
    server
}

pub fn plays_everywhere(server: &Server, extension: &str) {
    for report in all_play(&PLAYERS, &server.url("index.m3u8"), seconds()) {
        let report = report.plays_smoothly();
        assert!(report.fetched.iter().any(|path| path.ends_with(extension)), "{report:#?}");
        assert_does_not_lag(&report);
    }
    assert_calm(server);
}

/// Behind the newest segment by the three that RFC 8216 §6.3.3 asks for, and what it takes to get there.
#[track_caller]
fn assert_does_not_lag(report: &Report) {
    assert!(report.latency_s.is_none_or(|latency| latency.median < 8.0), "{report:#?}");
}

/// Nothing of what players do is worth a warning.
#[track_caller]
fn assert_calm(server: &Server) {
    let log = server.log();
    assert!(!["WARN", "ERROR", "panicked"].iter().any(|word| log.contains(word)), "{log}");
}

#[test]
fn a_live_transport_stream_plays() {
    shared(|| {
        plays_everywhere(&pattern(""), ".ts");
    });
}

/// From the worst variant to the best one, in players that can be told to.
pub fn switches(server: &Server) {
    std::thread::scope(|scope| {
        for player in [Player::Hls, Player::Shaka] {
            let url = server.url("index.m3u8");
            scope.spawn(move || {
                let report = player.switch(&url, seconds().max(8)).never_stands_still();
                // hls.js says so where it fetches again what it has, now in the other variant.
                let is_wrong = |error: &&String| !error.contains("bufferAppendNoProgress");
                assert_eq!(report.mistakes().find(is_wrong), None, "{report:#?}");
                assert_eq!(report.sizes, ["160x90", "320x180"], "{report:#?}");
            });
        }
    });
    assert_calm(server);
}

#[test]
fn a_variant_is_switched_to_without_a_stall() {
    shared(|| {
        switches(&pattern(""));
    });
}

/// An encoder that begins anew every three seconds, timestamps and all. It is a bit faster than the clock, and so makes up
/// for its beginnings: Shaka Player counts by the clock, and drops what is late (see `player.rs`).
pub fn plays_over_discontinuities(output: &str) {
    let folder = tempfile::tempdir().unwrap();
    let clip = clip(folder.path().join("clip.ts"), "testsrc2", LOOP_S);
    let source = format!(
        "while :; do ffmpeg -v error -nostdin -readrate 1.05 -i {} -c copy -f mpegts - || exit; done",
        clip.display()
    );
    let mut server = Server::channel(
        &format!("[input]\ncommand = \"{source}\"\n"),
        &format!("segment = \"1s\"\nwindow = 12\n{output}"),
        "",
        "[[rendition]]\nname = \"high\"\ncommand = \"cat\"\n",
    );
    server.until_segments("/high/index.m3u8", ENOUGH + 1);
    let breaks = |server: &Server| {
        let media = server.media("/high/index.m3u8").unwrap();
        media.discontinuity_sequence + media.segments.iter().filter(|one| one.is_discontinuity).count() as u64
    };
    let before = breaks(&server);
    let seconds = seconds().max(3 * LOOP_S);
    for report in all_play(&PLAYERS, &server.url("index.m3u8"), seconds) {
        let report = report.survives();
        assert!(report.timelines.is_empty() || report.timelines.len() >= 3, "{report:#?}");
    }
    // The last one may not be shown yet.
    assert!(breaks(&server) >= before + u64::from(seconds / LOOP_S) - 1, "{before} {}", breaks(&server));
}

#[test]
fn discontinuities_are_played_over() {
    shared(|| {
        plays_over_discontinuities("");
    });
}
