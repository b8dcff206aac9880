//! segcast turns a live source into HTTP Live Streaming that any player can watch.
#![forbid(unsafe_code)]
// See clippy.toml: the core is pure. Tests may read media.
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod chunks;
pub mod codec;
pub mod live;
pub mod playlist;
pub mod segment;
pub mod survey;
pub mod time;
pub mod ts;

#[cfg(feature = "channel")]
#[allow(clippy::disallowed_methods)]
pub mod channel;
#[cfg(feature = "channel")]
#[allow(clippy::disallowed_methods)]
pub mod destination;
#[cfg(feature = "channel")]
#[allow(clippy::disallowed_methods)]
pub mod encoder;

#[cfg(feature = "cli")]
#[allow(clippy::disallowed_methods)]
pub mod cli;
#[cfg(feature = "cli")]
#[allow(clippy::disallowed_methods)]
pub mod config;
