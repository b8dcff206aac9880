//! One running live channel: encoders' pipes are cut, what is to be put is planned, destinations put it.
//!
//! [`run`] wires the floors below and supervises them. Data goes one way: each rendition has a task that reads
//! and cuts, one loop keeps the presentation, each destination has a task with a queue of its own. Nothing at a
//! destination can hold up an encoder.
//!
//! ```no_run
//! # async fn example(options: segcast::channel::Options) -> Result<(), segcast::channel::Error> {
//! use segcast::channel::{self, Stop};
//!
//! let (stop, stopped) = tokio::sync::watch::channel(Stop::No);
//! tokio::spawn(async move {
//!     tokio::signal::ctrl_c().await.ok();
//!     stop.send_replace(Stop::Finish);
//! });
//! let summary = channel::run(&options, stopped).await?;
//! println!("{} segments", summary.segments());
//! # Ok(())
//! # }
//! ```

mod absence;
mod clock;
mod encoders;
mod formats;
mod ingest;
mod lives;
mod outcome;
mod pace;
mod package;
mod places;
mod prepare;
mod report;
mod run;
mod serving;
mod summary;

use std::path::Path;
use std::time::Duration;

use crate::{delivery, destination, encoder, live, origin};

pub use package::{Cmaf, Lineup};
pub use run::run;
pub use summary::{Rendition, Summary};

/// Everything a channel needs to run, checked.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its name in logs.
    pub name: String,
    /// What is encoded, and how.
    pub ladder: encoder::ladder::Ladder,
    /// How it presents itself.
    pub presentation: live::Options,
    /// Of each rung of the ladder: the renditions that are made of its stream.
    pub lineups: Vec<Lineup>,
    /// When encoders are begun again.
    pub restart: Restart,
    /// The duration of parts that is aimed at; none makes no parts.
    pub part: Option<Duration>,
    /// Where it is put.
    pub destinations: Vec<delivery::Options>,
    /// Where segments wait that a destination has not taken yet.
    pub spool: delivery::Spool,
    /// The server that players may pull it from.
    pub origin: Option<origin::Options>,
}

impl Options {
    /// When encoders are begun again: as asked for, where they can be.
    fn restart(&self) -> Restart {
        match Restart::usual(&self.ladder.input, self.presentation.kind) {
            Restart::Never => Restart::Never,
            _ => self.restart,
        }
    }

    /// Whether encoders are restarted where video stays away. A file has no other, and would begin at its start.
    fn restarts_without_video(&self) -> bool {
        let is_file = match &self.ladder.input {
            encoder::ladder::Input::Url { url, .. } => {
                Path::new(url.strip_prefix("file:").unwrap_or(url)).is_file()
            }
            _ => false,
        };
        self.restart() != Restart::Never && !is_file
    }
}

/// When encoders are begun again. All of them are then, the source's command with them, so that renditions stay
/// aligned; playlists go on behind a discontinuity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    /// Never: their end is the channel's.
    #[default]
    Never,
    /// When one of them, or the source, fails. Those that never gave a segment are not: something is wrong then that
    /// another try does not mend.
    OnFailure,
    /// Whenever they end and nobody asked them to, also as long as none has given anything: their source may not be there
    /// yet.
    Always,
}

impl Restart {
    /// What fits where nobody has said anything. What was read from standard input does not come again, and an archive
    /// with holes is none.
    pub fn usual(input: &encoder::ladder::Input, kind: live::Kind) -> Self {
        let is_once = matches!(input, encoder::ladder::Input::Stdin { .. }) || kind == live::Kind::Vod;
        if is_once { Self::Never } else { Self::OnFailure }
    }
}

/// How a channel is asked to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stop {
    /// It is not.
    #[default]
    No,
    /// Encoders finish, everything is written, playlists are ended.
    Finish,
    /// At once; what is out there stays as it is.
    Now,
}

/// Why a channel ended otherwise than by its source's end or by being asked to finish.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An encoder could not be started, or died and was not begun again.
    #[error(transparent)]
    Encoder(#[from] encoder::Error),
    /// A destination does not take files, or takes no more.
    #[error("nothing can be put at {name}")]
    Destination {
        /// Which one.
        name: String,
        /// What it said.
        source: destination::Error,
    },
    /// The origin could not begin.
    #[error(transparent)]
    Origin(#[from] origin::Error),
    /// A rendition's encoder gave something that cannot be cut.
    #[error("rendition {rendition}: {what}")]
    Stream {
        /// Its name.
        rendition: String,
        /// What came instead of a stream, and what to do.
        what: String,
    },
    /// It was told to end at once.
    #[error("stopped at once: the last segments and the end of the playlists were not written")]
    StoppedNow,
}

/// How long a destination may do nothing while the channel's end waits for it.
const LAST_PUTS: Duration = Duration::from_secs(30);
/// How long killed encoders are waited for.
const BURIAL: Duration = Duration::from_secs(1);
/// Bytes of one rendition without a transport packet in them, after which it is something else.
const MAX_BYTES_WITHOUT_PACKETS: u64 = 256 << 10;
/// Bytes of one rendition without a program in them, after which it is no stream.
const MAX_BYTES_WITHOUT_PROGRAM: u64 = 16 << 20;
/// Bytes of one rendition of which nothing can be played, after which it is given up.
const MAX_BYTES_UNPLAYABLE: u64 = 1 << 20;
/// Bytes of one rendition that may come before a segment is whole: what a channel holds of it in memory.
const MAX_SEGMENT_BYTES: u64 = 512 << 20;
