//! Any chunking of any bytes gives the same fragments, in which all lengths add up and time does not go back.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/support/holds.rs"]
mod holds;

fuzz_target!(|input: &[u8]| holds::cmaf(input));
