//! segcast turns a live source into HTTP Live Streaming that any player can watch.
#![forbid(unsafe_code)]

pub mod chunks;
pub mod codec;
pub mod live;
pub mod playlist;
pub mod segment;
pub mod time;
pub mod ts;

#[cfg(feature = "channel")]
pub mod channel;
#[cfg(feature = "channel")]
pub mod destination;
#[cfg(feature = "channel")]
pub mod encoder;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod config;
