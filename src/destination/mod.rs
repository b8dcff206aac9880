//! Where files are put. What is put when, and again, is not decided here but in [`delivery`](crate::delivery).
//!
//! - [`Destination`]: the one small contract.
//! - [`Target`]: a place as it is configured; [`Target::open`] makes a [`Destination`] of it.
//! - [`copy`], [`object`], [`http`], [`ftp`], [`ssh`]: one kind each, with its options.
//! - [`Headers`]: what is said of objects where the protocol has words for it.
//! - [`Claim`]: that one process writes a playlist, and no other.
//! - [`Staged`]: a file that appears only when it is whole, for those who write one piece by piece.

#[doc(hidden)]
pub mod answer;
mod attempt;
mod claim;
pub mod copy;
pub mod ftp;
mod header;
pub mod http;
mod idle;
mod key;
pub mod object;
mod secret;
pub mod ssh;
mod staged;
mod target;
mod tls;
mod words;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

pub use claim::Claim;
pub use copy::Copy;
pub use header::{Headers, content_type, is_playlist};
pub use secret::Secret;
pub use staged::{Staged, sweep};
pub use target::Target;

use crate::chunks::Chunks;

/// Bytes that [`Destination::get`] reads: a playlist is far smaller.
const MOST_GOT_BYTES: usize = 16 << 20;
/// What is said of a file that has more.
const TOO_LARGE: &str = "it is larger than 16 MiB";

/// What an operation on a destination comes to.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// A place that files are put to. Keys are relative paths with `/` between their parts.
///
/// Operations may run at the same time, on different keys. One whose future is dropped ends there: its connection is
/// not used again, and nothing of it comes over what is put under the same key later.
pub trait Destination: Send + Sync {
    /// What people call it; without secrets.
    fn name(&self) -> String;

    /// Claims the place of a playlist, where the destination can tell that another process writes it: that is an
    /// error. The claim is held as long as the destination.
    fn claim(&self, key: &str) -> Pending<'_, ()> {
        let _ = key;
        Box::pin(async { Ok(()) })
    }

    /// Puts a file, over one that is there. It is seen whole or not at all.
    fn put(&self, key: &str, body: Chunks) -> Pending<'_, ()>;

    /// Deletes a file; one that is not there is no error.
    fn delete(&self, key: &str) -> Pending<'_, ()>;

    /// Gets a small file, such as a playlist; none if it is not there. One of more than 16 MiB is [`Kind::Invalid`],
    /// and not read to its end.
    fn get(&self, key: &str) -> Pending<'_, Option<Bytes>>;
}

/// Why an operation on a destination failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}")]
pub struct Error {
    kind: Kind,
    what: String,
    retry_after: Option<Duration>,
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// What to do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It may go well another time.
    Transient,
    /// It is not allowed.
    Refused,
    /// The place is not there.
    Missing,
    /// It can never go well.
    Invalid,
    /// We are ending.
    Closed,
}

impl Error {
    /// `what` completes "cannot …" and names the place.
    pub fn new(
        kind: Kind,
        what: impl Into<String>,
        source: Box<dyn std::error::Error + Send + Sync>,
    ) -> Self {
        Self { kind, what: what.into(), retry_after: None, source }
    }

    /// It was told when to come back (Retry-After, RFC 9110 §10.2.3).
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// When to come back, if that was told.
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// What to do about it.
    pub const fn kind(&self) -> Kind {
        self.kind
    }
}
