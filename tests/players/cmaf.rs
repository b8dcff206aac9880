//! CMAF, live: the same that transport streams are asked for.

use crate::live::{pattern, plays_everywhere, switches};
use crate::machine::shared;
use crate::player::{Player, seconds};
use crate::readers::is_read_everywhere;

const CMAF: &str = "format = \"cmaf\"";

#[test]
fn a_live_cmaf_stream_plays() {
    shared(|| {
        plays_everywhere(&pattern(CMAF), ".m4s");
    });
}

/// With parts, each frame of sound is a PES packet. Where many are in one, the sound of a segment begins well before its
/// first picture, and Shaka Player, which begins anew with each segment, then cuts off the pictures before.
#[test]
fn a_live_cmaf_stream_with_sound_and_picture_in_one_plays() {
    shared(|| {
        plays_everywhere(&pattern(&format!("{CMAF}\nmuxed = true\npart = \"333ms\"")), ".m4s");
    });
}

#[test]
fn a_variant_of_cmaf_is_switched_to_without_a_stall() {
    shared(|| {
        switches(&pattern(CMAF));
    });
}

#[test]
fn discontinuities_of_cmaf_are_played_over() {
    shared(|| {
        crate::live::plays_over_discontinuities(CMAF);
    });
}

#[test]
fn ffmpeg_and_gstreamer_read_cmaf() {
    is_read_everywhere(CMAF);
}

/// From one ingest both at once: a player of either finds its own.
#[test]
fn both_containers_are_played_at_once() {
    shared(|| {
        let server = pattern("format = [\"ts\", \"cmaf\"]");
        for (entry, extension) in [("index.m3u8", ".ts"), ("index-cmaf.m3u8", ".m4s")] {
            let report = Player::Hls.play(&server.url(entry), seconds()).plays_smoothly();
            assert!(report.fetched.iter().any(|path| path.ends_with(extension)), "{report:#?}");
        }
    });
}
