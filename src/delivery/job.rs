//! One thing to do at a destination, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::spool::Held;
use crate::destination::Error;
use crate::live::View;

/// One thing to do.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) key: String,
    pub(super) work: Work,
    /// When it was given out.
    pub(super) begun: Duration,
}

impl Job {
    pub(super) const fn new(key: String, work: Work, begun: Duration) -> Self {
        Self { key, work, begun }
    }

    /// How long an attempt may take that begins at `now`, where one may take `usual`.
    pub(super) fn limit(&self, usual: Duration, now: Duration) -> Duration {
        match self.work {
            Work::Segment { due: Some(due), .. } => usual.min(due.saturating_sub(now)),
            _ => usual,
        }
    }
}

/// What is done with a key.
#[derive(Clone, Debug)]
pub(super) enum Work {
    /// With the map that is to be put ahead of it, key and bytes; to be there by `due`.
    Segment {
        rendition: usize,
        number: u64,
        body: Arc<Held>,
        map: Option<(String, Bytes)>,
        due: Option<Duration>,
    },
    Playlist {
        rendition: usize,
        view: Arc<View>,
    },
    /// That of the options with this index.
    Multivariant {
        index: usize,
        text: Arc<str>,
    },
    Delete,
}

/// What came of a job.
#[derive(Debug)]
pub(super) enum Outcome {
    Done,
    /// What was to be put is not held any more.
    Gone,
    Failed(Error),
}
