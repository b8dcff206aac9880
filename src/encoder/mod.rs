//! ffmpeg children: command lines, pipes, stderr, supervision, the reason of an end.
//!
//! [`ladder`] says what is to be encoded, [`command`] turns it into command lines (pure text, so that they can
//! be shown and tested), [`start`] runs them. A [`Running`] ladder gives one [`Output`] of MPEG-TS for each
//! rendition, a stream of [`Event`]s, and a [`Control`] that ends it. What the bytes mean is not known here,
//! and nothing is started again once it has died.
//!
//! ```no_run
//! # use std::{path::PathBuf, time::Duration};
//! # use segcast::encoder::{self, ladder::*};
//! # async fn run(renditions: Vec<Rendition>) -> Result<(), Box<dyn std::error::Error>> {
//! let input = Input::Test { args: vec![] };
//! let segment = Duration::from_secs(4);
//! let (ffmpeg, feed, latency) = (PathBuf::from("ffmpeg"), Feed::Shared, Latency::Normal);
//! let ladder = Ladder { ffmpeg, input, feed, segment, renditions, latency };
//! let mut running = encoder::start(&ladder, &encoder::Limits::default())?;
//! while let Some(bytes) = running.outputs[0].read().await? {
//!     println!("{} bytes of rendition {}", bytes.len(), running.outputs[0].rendition());
//! }
//! # Ok(())
//! # }
//! ```

pub mod command;
pub mod ladder;
pub mod launcher;

mod arguments;
mod carriage;
mod error;
mod fanout;
mod fold;
mod font;
mod output;
mod process;
mod progress;
mod running;
mod secret;
mod silence;
mod stderr;
mod supervise;

pub use command::{Command, commands};
pub use error::{Error, Kind};
pub use fold::Messages;
pub use font::find as clock_font;
pub use output::Output;
pub use progress::Progress;
pub use running::{Control, Event, Limits, Running, start, start_again};
pub use secret::hide as hide_secrets;
pub use stderr::{LastWords, Level};
