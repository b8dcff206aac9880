//! The origin from the outside: a real server on a free port, real clients, request by request.

#![allow(clippy::unwrap_used)]
#![cfg(feature = "channel")]

mod answer;
mod channel;
mod client;
mod limits;
mod reload;
mod secure;
#[cfg(feature = "cli")]
mod serve;
mod status;
