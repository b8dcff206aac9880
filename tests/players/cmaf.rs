//! CMAF, live and from a folder: the same that transport streams are asked for.

use crate::live::{pattern, plays_everywhere, switches};
use crate::player::shared;
use crate::readers::is_read_everywhere;
use crate::server::Server;
use crate::vod::plays_to_its_end;

const CMAF: &str = "format = \"cmaf\"";

#[test]
fn a_live_cmaf_stream_plays() {
    let _machine = shared();
    plays_everywhere(&pattern(CMAF), ".m4s");
}

#[test]
fn a_live_cmaf_stream_with_sound_and_picture_in_one_plays() {
    let _machine = shared();
    plays_everywhere(&pattern(&format!("{CMAF}\nmuxed = true")), ".m4s");
}

#[test]
fn a_variant_of_cmaf_is_switched_to_without_a_stall() {
    let _machine = shared();
    switches(&pattern(CMAF));
}

#[test]
fn discontinuities_of_cmaf_are_played_over() {
    let _machine = shared();
    crate::live::plays_over_discontinuities(CMAF);
}

#[test]
fn ffmpeg_and_gstreamer_read_cmaf() {
    is_read_everywhere(CMAF);
}

#[test]
fn a_cut_cmaf_stream_plays_to_its_end() {
    plays_to_its_end(&["--format", "cmaf"], ".m4s");
}

/// From one ingest both at once: a player of either finds its own.
#[test]
fn both_containers_are_played_at_once() {
    let _machine = shared();
    let server: Server = pattern("format = [\"ts\", \"cmaf\"]");
    plays_everywhere(&server, ".ts");
}
