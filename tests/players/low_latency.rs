//! Low latency: what players that know it make of it.

use crate::player::{Player, alone, seconds};
use crate::server::Server;

/// What is asked of a player that stays at the edge, behind the encoder's clock.
const AIM_S: f64 = 2.0;
/// Duration of each segment, which begins with the one part of it that is independent.
const SEGMENT_S: f64 = 2.0;

fn pattern(format: &str) -> Server {
    let output = format!("segment = \"{SEGMENT_S}s\"\nwindow = 6\npart = \"333ms\"\nformat = \"{format}\"");
    let mut server = Server::pattern(&output, "");
    server.until_segments("/high/index.m3u8", 3);
    server
}

/// `high-00007.2.m4s` is a part of `high-00007.m4s`.
fn is_part(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let fields: Vec<_> = name.split('.').collect();
    matches!(fields[..], [_, index, _] if index.parse::<u32>().is_ok())
}

/// The player gets parts and stays at the edge with them.
fn stays_close(player: Player, format: &str) {
    let _machine = alone();
    let server = pattern(format);
    let report = player.play(&server.url("index.m3u8"), seconds());
    assert_eq!(report.mistakes().next(), None, "{report:#?}");
    assert!(report.startup_s.is_some() && report.sound_bytes > 0, "{report:#?}");
    // Shaka Player begins with parts that are not independent, shows nothing of them, and may wait once for the next one
    // that is; so long it is further behind from then on.
    let hole_s: f64 = report.holes.iter().map(|(from, to)| to - from).sum();
    let forgiven_s = if player == Player::ShakaLowLatency { SEGMENT_S } else { 0.0 };
    assert!(hole_s <= forgiven_s && report.stalled_s <= forgiven_s && report.stalls <= 1, "{report:#?}");
    assert!(report.played_s >= 0.9 * report.elapsed_s - 0.5 - report.stalled_s, "{report:#?}");
    let parts = report.fetched.iter().filter(|path| is_part(path)).count();
    assert!(parts >= 2 * seconds() as usize, "{parts} parts: {report:#?}");
    assert!(
        report.latency_s.is_some_and(|latency| latency.median <= AIM_S + report.stalled_s),
        "{report:#?}"
    );
}

#[test]
fn hls_js_stays_close_to_cmaf() {
    stays_close(Player::HlsLowLatency, "cmaf");
}

#[test]
fn hls_js_stays_close_to_a_transport_stream() {
    stays_close(Player::HlsLowLatency, "ts");
}

#[test]
fn shaka_player_stays_close_to_cmaf() {
    stays_close(Player::ShakaLowLatency, "cmaf");
}
