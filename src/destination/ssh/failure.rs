//! Why something went wrong, before it is said of which file.

use crate::destination::{Error, Kind};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why something on a session went wrong.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(super) struct Failure {
    kind: Kind,
    text: String,
    source: Option<Source>,
    /// Whether the session is of no more use.
    is_lost: bool,
}

impl Failure {
    /// An answer; the session can go on.
    pub fn said(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), source: None, is_lost: false }
    }

    /// The same, with what it comes from.
    pub fn from(kind: Kind, text: impl Into<String>, source: impl Into<Source>) -> Self {
        Self { source: Some(source.into()), ..Self::said(kind, text) }
    }

    /// The session has ended, or nobody knows what comes next on it.
    pub fn lost(source: impl Into<Source>) -> Self {
        Self::from(Kind::Transient, "the connection was lost", source).and_lost()
    }

    /// The session is of no more use after this.
    #[must_use]
    pub fn and_lost(mut self) -> Self {
        self.is_lost = true;
        self
    }

    /// Whether the session is of no more use.
    pub const fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// What to do about it.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The error of an operation; `what` as in [`Error::new`].
    pub fn during(self, what: String) -> Error {
        Error::new(self.kind, what, Box::new(self))
    }
}

impl From<russh::Error> for Failure {
    fn from(error: russh::Error) -> Self {
        Self::lost(error)
    }
}
