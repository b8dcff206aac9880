//! What is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::audience::Audience;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Playlist,
    Segment,
    Part,
    Init,
    Page,
    Other,
}

impl Class {
    pub const ALL: [Self; 6] =
        [Self::Playlist, Self::Segment, Self::Part, Self::Init, Self::Page, Self::Other];

    /// Whether it is what players ask for.
    const fn is_of_stream(self) -> bool {
        matches!(self, Self::Playlist | Self::Segment | Self::Part | Self::Init)
    }

    /// Its name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Playlist => "playlist",
            Self::Segment => "segment",
            Self::Part => "part",
            Self::Init => "init",
            Self::Page => "page",
            Self::Other => "other",
        }
    }
}

/// A number that many change.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    pub fn add(&self, count: u64) -> u64 {
        self.0.fetch_add(count, Relaxed)
    }

    pub fn subtract(&self, count: u64) {
        self.0.fetch_sub(count, Relaxed);
    }

    pub fn now(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The statuses that we answer with; the last stands for any other.
pub const STATUSES: [u16; 12] = [200, 204, 206, 304, 400, 401, 404, 405, 416, 500, 503, 0];

/// Counters of one origin.
#[derive(Debug, Default)]
pub struct Tallies {
    requests: [[Count; STATUSES.len()]; Class::ALL.len()],
    bytes: [Count; Class::ALL.len()],
    /// Connections now.
    pub connections: Count,
    /// Connections that were one too many.
    pub refused: Count,
    /// Connections that were closed because their client cost too much.
    pub spent: Count,
    /// Requests that wait now.
    pub held: Count,
    /// Those who ask for something of the stream.
    pub audience: Audience,
}

impl Tallies {
    /// None so far, of an origin with this audience.
    pub fn of(audience: Audience) -> Self {
        Self { audience, ..Self::default() }
    }

    /// A request was answered.
    pub fn answered(&self, class: Class, status: u16) {
        self.hear(class);
        let at = STATUSES.iter().position(|one| *one == status).unwrap_or(STATUSES.len() - 1);
        self.requests[class as usize][at].add(1);
    }

    /// Bytes of a body were taken.
    pub fn sent(&self, class: Class, size_bytes: u64) {
        self.hear(class);
        self.bytes[class as usize].add(size_bytes);
    }

    fn hear(&self, class: Class) {
        if class.is_of_stream() {
            self.audience.note();
        }
    }

    /// Requests by class and status, as far as there were any.
    pub fn requests(&self) -> impl Iterator<Item = (Class, u16, u64)> {
        Class::ALL.into_iter().flat_map(|class| {
            let counts = self.requests[class as usize].iter().map(Count::now);
            let all = STATUSES.into_iter().zip(counts).filter(|(_, count)| *count > 0);
            all.map(move |(status, count)| (class, status, count))
        })
    }

    /// Bytes of bodies by class.
    pub fn bytes(&self) -> impl Iterator<Item = (Class, u64)> {
        Class::ALL.into_iter().map(|class| (class, self.bytes[class as usize].now()))
    }
}

/// A connection, from the door on.
#[derive(Debug)]
pub struct Open(Arc<Tallies>);

impl Open {
    /// One more, unless there are `most` already.
    pub fn one_of(tallies: &Arc<Tallies>, most: usize) -> Option<Self> {
        let open = Self(Arc::clone(tallies));
        (tallies.connections.add(1) < most as u64).then_some(open)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.subtract(1);
    }
}

/// A request that waits.
#[derive(Debug)]
pub struct Held<'a>(&'a Count);

impl<'a> Held<'a> {
    /// One more, unless there are `most` already.
    pub fn one_of(count: &'a Count, most: usize) -> Option<Self> {
        let held = Self(count);
        (count.add(1) < most as u64).then_some(held)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.subtract(1);
    }
}
