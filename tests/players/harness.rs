//! That the players' reports are true: with streams that ffmpeg wrote, whole and broken.

use std::fs;

use crate::clip::hls;
use crate::folder::Folder;
use crate::machine::shared;
use crate::page::Page;
use crate::player::{PLAYERS, Player, all_play};

#[test]
fn what_others_write_is_played() {
    shared(|| {
        for segment_type in ["mpegts", "fmp4"] {
            let folder = tempfile::tempdir().unwrap();
            hls(folder.path(), segment_type, 4);
            for report in all_play(&PLAYERS, &Folder::serve(folder.path()).url("index.m3u8"), 8) {
                let report = report.plays_smoothly();
                assert!(
                    report.is_ended && (report.position_s - 4.0).abs() < 0.2,
                    "{segment_type}: {report:#?}"
                );
                assert_eq!(report.sizes, ["320x180"]);
            }
        }
    });
}

#[test]
fn what_stops_is_seen_to_stall() {
    shared(|| {
        let folder = tempfile::tempdir().unwrap();
        hls(folder.path(), "mpegts", 4);
        let playlist = folder.path().join("index.m3u8");
        // The same without an end: there may be more, and there is none.
        let text = fs::read_to_string(&playlist).unwrap();
        let text = text.replace("#EXT-X-ENDLIST\n", "").replace("#EXT-X-PLAYLIST-TYPE:VOD\n", "");
        fs::write(&playlist, text).unwrap();
        let report = Player::Hls.play(&Folder::serve(folder.path()).url("index.m3u8"), 6);
        assert!(report.stalls > 0 && report.stalled_s > 1.0 && !report.is_ended, "{report:#?}");
        assert!(report.played_s < 4.5, "{report:#?}");
    });
}

#[test]
fn what_is_missing_is_an_error() {
    shared(|| {
        let folder = tempfile::tempdir().unwrap();
        hls(folder.path(), "fmp4", 6);
        fs::remove_file(folder.path().join("index1.m4s")).unwrap();
        let url = Folder::serve(folder.path()).url("index.m3u8");
        for report in all_play(&PLAYERS, &url, 4) {
            assert!(report.errors.iter().any(|error| error.contains("404: /index1.m4s")), "{report:#?}");
        }
    });
}

#[test]
fn a_stream_that_is_not_there_is_an_error() {
    shared(|| {
        let folder = tempfile::tempdir().unwrap();
        for report in all_play(&PLAYERS, &Folder::serve(folder.path()).url("index.m3u8"), 2) {
            assert!(report.startup_s.is_none() && report.errors.len() > 1, "{report:#?}");
        }
    });
}

#[test]
fn a_page_that_is_hard_to_use_is_said_to_be() {
    shared(|| {
        let folder = tempfile::tempdir().unwrap();
        let page = "<!DOCTYPE html><html><body><video></video><div style='width:2000px'><button></button>\
                <p style='color:#ccc;background:#fff'>pale</p></div><script>missing()</script></body></html>";
        fs::write(folder.path().join("index.html"), page).unwrap();
        let page = Page::open(&Folder::serve(folder.path()).url("index.html"), &["--seconds", "0"]);
        for word in ["button-name", "color-contrast", "document-title", "html-has-lang"] {
            assert!(page.violations.iter().any(|one| one.contains(word)), "{word}: {page:#?}");
        }
        assert!(page.overflow_px > 0 && page.startup_s.is_none(), "{page:#?}");
        for word in ["nothing plays", "missing is not defined"] {
            assert!(page.errors.iter().any(|error| error.contains(word)), "{word}: {page:#?}");
        }
    });
}
