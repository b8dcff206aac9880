//! What `segcast segment --format cmaf` writes and `segcast serve` serves.

use crate::vod::plays_to_its_end;

#[test]
fn a_cut_cmaf_stream_plays_to_its_end() {
    plays_to_its_end(&["--format", "cmaf"], ".m4s");
}
