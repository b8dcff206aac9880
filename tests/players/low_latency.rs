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

/// The players get parts and stay at the edge with them: each no farther behind the encoder than it is said.
fn stay_close(format: &str, players: &[(Player, f64)]) {
    let _machine = alone();
    let server = pattern(format);
    let url = server.url("index.m3u8");
    let play = |(player, limit_s): &(Player, f64)| {
        // Shaka Player begins with parts that are not independent, and shows nothing of them.
        let report = player.play(&url, seconds()).never_stands_still();
        assert!(report.holes.is_empty() || *player == Player::ShakaLowLatency, "{report:#?}");
        assert!(report.errors.is_empty(), "{report:#?}");
        let parts = report.fetched.iter().filter(|path| is_part(path)).count();
        assert!(parts >= 2 * seconds() as usize, "{parts} parts: {report:#?}");
        assert!(report.latency_s.is_some_and(|latency| latency.median <= *limit_s), "{report:#?}");
    };
    std::thread::scope(|scope| {
        players.iter().for_each(|player| {
            scope.spawn(|| play(player));
        });
    });
}

#[test]
fn players_stay_close_to_cmaf() {
    stay_close("cmaf", &[(Player::HlsLowLatency, AIM_S), (Player::ShakaLowLatency, AIM_S)]);
}

#[test]
fn players_stay_close_to_a_transport_stream() {
    stay_close("ts", &[(Player::HlsLowLatency, AIM_S)]);
}
