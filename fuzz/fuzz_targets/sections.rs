//! Sections that come out of any packets are whole, and come out of their own packets again.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/support/holds.rs"]
mod holds;

fuzz_target!(|input: &[u8]| holds::sections(input));
