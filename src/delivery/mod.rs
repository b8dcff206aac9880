//! How one destination is kept true: what is put there when, again, or not at all.

pub mod probe;

use std::path::PathBuf;
use std::time::Duration;

use crate::destination::Target;

/// One destination of a channel, and how it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where it is.
    pub target: Target,
    /// Uploads at the same time; as the kind of destination likes it if none is given.
    pub concurrency: Option<usize>,
    /// How long one attempt to put or delete an object may take.
    pub timeout: Duration,
    /// Whether the channel ends when this destination fails for good.
    pub is_required: bool,
    /// Whether segments stay when they have left the playlist.
    pub keeps_expired: bool,
}

impl Options {
    /// How long one attempt may take if nothing else is said.
    pub const TIMEOUT: Duration = Duration::from_secs(30);

    /// This target, served as usual.
    pub const fn new(target: Target) -> Self {
        Self { target, concurrency: None, timeout: Self::TIMEOUT, is_required: false, keeps_expired: false }
    }
}

/// Where segments wait that a destination has not taken yet; shared by all destinations of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spool {
    /// Bytes that may wait in memory.
    pub memory_bytes: u64,
    /// The folder for what is beyond that; a folder of ours in the system's one for temporary files if none is given.
    pub directory: Option<PathBuf>,
    /// Bytes that may wait in that folder; 0 uses none.
    pub disk_bytes: u64,
}

impl Default for Spool {
    fn default() -> Self {
        Self { memory_bytes: 256 << 20, directory: None, disk_bytes: 2 << 30 }
    }
}
