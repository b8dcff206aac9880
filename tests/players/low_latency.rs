//! Low latency: what players that know it make of it.

use crate::machine::alone;
use crate::player::{Player, seconds};
use crate::server::Server;

/// What is asked of a player that stays at the edge, behind the encoder's clock.
const AIM_S: f64 = 2.0;
/// Duration of each segment, whose first part alone is independent.
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
    alone(|| {
        let server = pattern(format);
        // Shaka Player begins at one place, finds a better one behind it, and goes on there with parts that are not
        // independent: it shows nothing before the next segment, and may wait for that. It has to be over it soon.
        let (seconds, forgiven_s) = if player == Player::ShakaLowLatency {
            (seconds().max(10), 2.0 * SEGMENT_S)
        } else {
            (seconds(), 0.0)
        };
        let report = player.play(&server.url("index.m3u8"), seconds);
        assert_eq!(report.mistakes().next(), None, "{report:#?}");
        assert!(report.startup_s.is_some() && report.sound_bytes > 0, "{report:#?}");
        let hole_s: f64 = report.holes.iter().map(|(from, to)| to - from).sum();
        assert!(hole_s <= forgiven_s && report.stalled_s <= forgiven_s && report.stalls <= 1, "{report:#?}");
        assert!(report.played_s >= 0.9 * report.elapsed_s - 0.5 - report.stalled_s, "{report:#?}");
        assert!(f64::from(report.decoded) >= 0.8 * 25.0 * (report.played_s - forgiven_s), "{report:#?}");
        let parts = report.fetched.iter().filter(|path| is_part(path)).count();
        assert!(parts >= 2 * seconds as usize, "{parts} parts: {report:#?}");
        assert!(
            report.latency_s.is_some_and(|latency| latency.median <= AIM_S + report.stalled_s),
            "{report:#?}"
        );
    });
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

#[test]
fn shaka_player_stays_close_to_a_transport_stream() {
    stays_close(Player::ShakaLowLatency, "ts");
}
