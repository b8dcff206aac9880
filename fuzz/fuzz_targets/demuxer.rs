//! Any chunking of any bytes gives the same events; offsets and runs are those of the stream.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/support/holds.rs"]
mod holds;

fuzz_target!(|input: &[u8]| holds::demuxer(input));
