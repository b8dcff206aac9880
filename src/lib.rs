//! segcast turns a live source into HTTP Live Streaming that any player can watch, and puts it where viewers are.
//! ffmpeg encodes; everything behind ffmpeg's output is done here.
//!
//! The crate is a library and a binary. Without default features it is the **core**: pure state machines, bytes
//! and times in, values out; no I/O, no clock, no runtime. Feature `channel` adds encoders, destinations and a
//! running channel (tokio); feature `cli` (default) adds configuration files and the command line.
//!
//! # Parse a transport stream
//! ```
//! use segcast::ts::{Demuxer, Event};
//!
//! # let chunks = [bytes::Bytes::new()];
//! let mut demuxer = Demuxer::default();
//! for chunk in chunks {
//!     for event in demuxer.push(chunk) {
//!         match event {
//!             Event::Format { pid, format } => println!("{pid}: {format:?}"),
//!             Event::Pes(pes) => println!("{}: PTS {:?}", pes.pid, pes.pts),
//!             Event::Anomaly(anomaly) => eprintln!("{anomaly}"),
//!             _ => {}
//!         }
//!     }
//! }
//! ```
//!
//! # Segment a file
//! ```
//! use segcast::segment::{Options, Output, Segmenter};
//!
//! # fn main() -> std::io::Result<()> {
//! # let (folder, stream) = (tempfile::tempdir()?, vec![0_u8; 1000]);
//! # let (path, folder) = (folder.path().join("in.ts"), folder.path().to_owned());
//! # std::fs::write(&path, stream)?;
//! let mut segmenter = Segmenter::new(&Options::default());
//! let outputs: Vec<_> = segmenter.push(std::fs::read(path)?.into()).collect();
//! for output in outputs.into_iter().chain(segmenter.finish()) {
//!     if let Output::Segment(segment) = output {
//!         std::fs::write(folder.join(format!("{}.ts", segment.ordinal)), segment.chunks.to_bytes())?;
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Run a channel
#![cfg_attr(feature = "cli", doc = "```no_run")]
#![cfg_attr(not(feature = "cli"), doc = "```ignore")]
//! use segcast::channel::{self, Stop};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let options = segcast::config::load("live.toml".as_ref(), &[])?.options;
//! let (stop, stopped) = tokio::sync::watch::channel(Stop::No);
//! let running = tokio::spawn(async move { channel::run(&options, stopped).await });
//! stop.send_replace(Stop::Finish);
//! println!("{} segments", running.await??.segments());
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
// See clippy.toml: the core is pure. Tests may read media.
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod chunks;
pub mod cmaf;
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
pub mod delivery;
#[cfg(feature = "channel")]
#[allow(clippy::disallowed_methods)]
pub mod destination;
#[cfg(feature = "channel")]
#[allow(clippy::disallowed_methods)]
pub mod encoder;
#[cfg(feature = "channel")]
#[allow(clippy::disallowed_methods)]
pub mod origin;

#[cfg(feature = "cli")]
#[allow(clippy::disallowed_methods)]
pub mod cli;
#[cfg(feature = "cli")]
#[allow(clippy::disallowed_methods)]
pub mod config;
