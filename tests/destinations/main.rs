//! Every kind of destination against real servers on loopback. `tests/servers.sh` installs what they need.

#![allow(clippy::unwrap_used)]
#![cfg(feature = "channel")]

#[cfg(feature = "cli")]
mod channel;
mod conformance;
mod copy;
mod ftp;
mod http;
mod object;
mod proxy;
mod server;
mod ssh;
