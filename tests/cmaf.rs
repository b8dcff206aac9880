//! Fragments against the transport stream that they come of: the same pictures and sound at the same times, read by
//! others.
#![allow(missing_docs, clippy::unwrap_used)]

mod support {
    pub mod fragments;
}

use std::time::Duration;

use segcast::cmaf::{Layout, Role};
use support::fragments::{Made, make, packets, read};

const PART: Option<Duration> = Some(Duration::from_millis(320));

/// Files whose streams are whole: H.264 or HEVC, and each coding of sound.
const WHOLE: &[&str] = &[
    "h264-aac.ts",
    "h264-ac3.ts",
    "h264-eac3.ts",
    "h264-interlaced.ts",
    "h264-intra-refresh.ts",
    "h264-irregular-gop.ts",
    "h264-latm.ts",
    "h264-long-gop.ts",
    "h264-mp3.ts",
    "h264-no-aud.ts",
    "h264-ntsc.ts",
    "h264-open-gop.ts",
    "h264-opus.ts",
    "hevc-aac.ts",
    "hevc-open-gop.ts",
    "id3-scte35.ts",
    "constant-rate.ts",
    "video-only.ts",
    "audio-only.ts",
    "wrap.ts",
    "many-streams.ts",
];

fn each(names: &[&str], layouts: &[Layout], check: impl Fn(&str, &Made)) {
    for name in names {
        for layout in layouts {
            for part in [None, PART] {
                check(name, &make(&read(name), 65_536, *layout, part));
            }
        }
    }
}

/// Whether two times in seconds are the same, but for rounding and for turns of the 33-bit clock.
fn is_same(a: f64, b: f64) -> bool {
    const TURN: f64 = (1_u64 << 33) as f64 / 90_000.0;
    ((a - b + TURN / 2.0).rem_euclid(TURN) - TURN / 2.0).abs() < 0.000_03
}

#[test]
fn every_packet_of_the_segments_is_a_sample_with_its_times() {
    let faults = std::cell::RefCell::new(Vec::new());
    each(WHOLE, &[Layout::Demuxed, Layout::Muxed], |name, made| {
        let folder = tempfile::tempdir().unwrap();
        let ts = folder.path().join("in.ts");
        std::fs::write(&ts, made.ts()).unwrap();
        assert!(made.tracks[0].role != Role::Audio || name.contains("audio-only"));
        for (track, of) in made.tracks.iter().enumerate() {
            let file = folder.path().join(format!("{track}.mp4"));
            std::fs::write(&file, made.joined(track)).unwrap();
            for (n, pid) in of.pids.iter().enumerate() {
                let expected = packets(&ts, &format!("i:{:#x}", pid.bits()));
                let found = packets(&file, &n.to_string());
                let off = found.iter().zip(&expected).position(|(a, b)| !is_same(*a, *b));
                if expected.is_empty() || found.len() != expected.len() || off.is_some() {
                    let at = off.map(|at| (at, found[at], expected[at]));
                    let sizes = (found.len(), expected.len());
                    faults.borrow_mut().push(format!("{name}, {:?}, PID {pid}: {sizes:?} {at:?}", of.role));
                }
            }
        }
    });
    let faults = faults.into_inner();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
