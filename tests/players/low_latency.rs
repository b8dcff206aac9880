//! Low latency: what players that know it make of it.

use crate::player::{Player, alone, seconds};
use crate::server::Server;

/// What is asked of a player that stays at the edge, behind the encoder's clock.
const AIM_S: f64 = 2.0;

fn pattern(format: &str) -> Server {
    let output = format!("segment = \"2s\"\nwindow = 6\npart = \"333ms\"\nformat = \"{format}\"");
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
    let report = player.play(&server.url("index.m3u8"), seconds()).never_stands_still();
    assert_eq!(report.mistakes().next(), None, "{report:#?}");
    // Shaka Player begins with parts that are not independent, and shows nothing of them.
    assert!(report.holes.is_empty() || player == Player::ShakaLowLatency, "{report:#?}");
    let parts = report.fetched.iter().filter(|path| is_part(path)).count();
    assert!(parts >= 2 * seconds() as usize, "{parts} parts: {report:#?}");
    assert!(report.latency_s.is_some_and(|latency| latency.median <= AIM_S), "{report:#?}");
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
