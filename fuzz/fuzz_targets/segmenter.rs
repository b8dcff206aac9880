//! Any chunking of any bytes gives the same segments, whole and no longer than promised.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/support/holds.rs"]
mod holds;

fuzz_target!(|input: &[u8]| holds::segmenter(input));
