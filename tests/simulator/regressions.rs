//! Inputs that failed once, by name. What `NOT_YET` excludes is not looked at here either.

use super::case::Input;
use super::fault::{Fault, Of};
use super::{describe, failures};

/// A name, the seed that the stream is drawn from, and its faults.
const REGRESSIONS: &[(&str, u64, &[Fault])] = &[
    ("a keyframe just before its line is the nearest one", 25, &[]),
    ("keyframes every 1.6 s, a target of 2 s", 40, &[]),
    ("the last video segment is shorter than an audio PES packet", 201, &[]),
    ("a program of the PAT whose PMT never arrives", 55, &[Fault::Ghost { is_first: true }]),
    ("a keyframe arrives before the first PAT", 63, &[Fault::LateTables { until: 108_195 }]),
    ("timestamps off by 10 ms", 144, &[Fault::Jitter { of: Of::All, from: 647_686, by: 929 }]),
    ("a frame lost at the seam of a loop", 276, &[Fault::Seam { at: 235_723 }]),
    ("timestamps start again, audio a little before zero", 361, &[Fault::Loop { at: 548_814 }]),
    ("the PMT lists video that never arrives", 107, &[Fault::Absent { track: 0 }]),
    ("the PMT lists audio that never arrives", 59, &[Fault::Absent { track: 1 }]),
    ("video starts 7 s after the audio", 108, &[Fault::Late { track: 0, until: 631_666 }]),
    (
        "video returns after 4.6 s, not with a keyframe",
        38,
        &[Fault::Gap { of: Of::Track(0), at: 417_969, len: 416_302 }],
    ),
    ("audio returns after 4.8 s", 952, &[Fault::Gap { of: Of::Track(1), at: 416_119, len: 436_445 }]),
    ("all tracks return after 1.4 s", 616, &[Fault::Gap { of: Of::All, at: 525_219, len: 123_169 }]),
    (
        "the clock of the video alone jumps",
        86,
        &[Fault::Jump { of: Of::Track(0), at: 451_965, by: 7_058_663_890 }],
    ),
    ("one audio frame is lost", 87, &[Fault::Loss { at: 815, packets: 6 }]),
    ("the first packet of a PES packet is lost", 386, &[Fault::Loss { at: 200, packets: 9 }]),
    ("four frames in each PES packet", 3, &[Fault::Several { frames: 4 }]),
    ("keyframes that are not the first in their PES packet", 1127, &[Fault::Several { frames: 4 }]),
    ("each frame's last bytes in the next PES packet", 23, &[Fault::Tails { bytes: 2, at_keys: true }]),
    ("audio PES packets shorter than two frames", 152, &[Fault::Unaligned { track: 1, bytes: 109 }]),
];

#[test]
fn regressions() {
    let mut failed = Vec::new();
    for (name, seed, faults) in REGRESSIONS {
        let mut input = Input::draw(*seed);
        input.faults = faults.to_vec();
        let violations = failures(&input);
        if !violations.is_empty() {
            failed.push(format!("{name}: {}", describe(&input, &violations)));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}
