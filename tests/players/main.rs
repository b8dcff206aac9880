//! What players make of what we write: Chromium by itself, with hls.js and with Shaka Player; ffmpeg; GStreamer.
//! `tests/servers.sh` installs them.
//!
//! TEST_PLAYER_SECONDS=600 plays each stream for that long (default: 5).

#![allow(clippy::unwrap_used)]
#![cfg(feature = "cli")]

mod clip;
mod cmaf;
mod cmaf_vod;
mod folder;
mod harness;
mod live;
mod low_latency;
mod machine;
mod page;
mod player;
mod preview;
mod readers;
mod server;
mod vod;
