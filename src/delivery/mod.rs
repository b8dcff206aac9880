//! How one destination is kept true: what is put there when, again, or not at all.
//!
//! - `ledger`, `lane`: what is done next, as state machines without socket and clock. They keep the publish barrier:
//!   a playlist goes out only when all that it names is there, newer ones replace older ones, the end comes last.
//! - `maps`: which Media Initialization Sections are there; one is put as part of the job of the first segment that
//!   needs it.
//! - `deletions`: what is deleted when.
//! - `backoff`: when what failed is tried again; `losses`: when people hear of what is given up.
//! - `spool`: where segments wait, in memory and in a folder, within bounds.
//! - [`Delivery`]: the task that does a ledger's jobs at a [`Destination`](crate::destination::Destination).
//! - [`probe`]: whether a destination takes files, and how fast; for people.
//! - [`Look`]: whether a destination takes files, and what an earlier run left there.
//! - [`Status`]: how a destination is doing.
//!
//! Each destination of a channel has a ledger, a task and connections of its own. One that is slow or gone costs
//! itself alone; what it cannot take within the spool's bounds becomes EXT-X-GAP there.

mod backoff;
mod deletions;
mod job;
mod lane;
mod ledger;
mod listing;
mod look;
mod losses;
mod maps;
mod notice;
pub mod probe;
#[cfg(test)]
mod replay;
mod spool;
mod status;
mod task;

use std::time::Duration;

use self::ledger::Limits;
use crate::destination::Target;

pub use ledger::GRACE;
pub use look::{Found, Look, Looked, farthest};
pub use notice::REMINDERS;
pub use spool::{Held, Spool, Store};
pub use status::{Latency, Load, Status};
pub use task::{Delivery, Entrance, Segment, enter};

/// One destination of a channel, and how it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where it is.
    pub target: Target,
    /// Operations at the same time; as the kind of destination likes it if none is given.
    pub concurrency: Option<usize>,
    /// How long one attempt to put or delete an object may take.
    pub timeout: Duration,
    /// How long after its end a segment is still put here; then it is a gap. Without it, as long as the playlist's
    /// window holds the segment.
    pub deadline: Option<Duration>,
    /// Whether the channel ends when this destination fails for good.
    pub is_required: bool,
    /// Whether segments stay when they have left the playlist.
    pub keeps_expired: bool,
}

impl Options {
    /// How long one attempt may take if nothing else is said.
    pub const TIMEOUT: Duration = Duration::from_secs(15);

    /// This target, served as usual.
    pub const fn new(target: Target) -> Self {
        Self {
            target,
            concurrency: None,
            timeout: Self::TIMEOUT,
            deadline: None,
            is_required: false,
            keeps_expired: false,
        }
    }

    /// Renditions have equal shares, so that none waits for another's uploads as long as there are enough.
    fn limits(&self, renditions: usize) -> Limits {
        let usual = match self.target {
            // Each upload there has a connection and a login of its own.
            Target::Ftp(_) | Target::Ssh(_) => 1,
            _ => 2,
        };
        let share = self.concurrency.map_or(usual, |most| most / renditions.max(1)).max(1);
        Limits { share, at_once: self.concurrency.unwrap_or(usize::MAX), deadline: self.deadline }
    }
}

/// An error and what is behind it, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}
