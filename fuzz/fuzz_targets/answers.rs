//! No answer of a server makes its reader panic, and what is told of it is short and plain: SFTP, FTP, known hosts.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/support/holds.rs"]
mod holds;

fuzz_target!(|input: &[u8]| holds::answers(input));
