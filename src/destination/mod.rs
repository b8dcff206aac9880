//! Where files are put. What is put when is not decided here but in [`live`](crate::live); that a playlist names
//! only what is there follows from doing its plan in order.
//!
//! - [`Destination`]: the one small contract.
//! - [`struct@Copy`]: a local folder.
//! - [`Claim`]: that one process writes a playlist, and no other.
//! - [`Staged`]: a file that appears only when it is whole, for those who write one piece by piece.

mod claim;
mod copy;
mod staged;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use bytes::Bytes;

pub use claim::Claim;
pub use copy::Copy;
pub use staged::{Staged, sweep};

use crate::chunks::Chunks;

/// A place that files are put to, as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A local folder.
    Copy {
        /// Created if it is not there.
        directory: PathBuf,
    },
}

impl Target {
    /// The place itself.
    pub fn open(&self) -> Box<dyn Destination> {
        match self {
            Self::Copy { directory } => Box::new(Copy::new(directory)),
        }
    }
}

/// What an operation on a destination comes to.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// A place that files are put to. Keys are relative paths with `/` between their parts.
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

    /// Gets a small file, such as a playlist; none if it is not there.
    fn get(&self, key: &str) -> Pending<'_, Option<Bytes>>;
}

/// Why an operation on a destination failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}")]
pub struct Error {
    kind: Kind,
    what: String,
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
        Self { kind, what: what.into(), source }
    }

    /// What to do about it.
    pub const fn kind(&self) -> Kind {
        self.kind
    }
}
