//! Playlists that are read, written and read again are the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/support/holds.rs"]
mod holds;

fuzz_target!(|input: &[u8]| holds::playlist(input));
