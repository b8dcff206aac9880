//! Sessions that are kept and used again.

use tokio::sync::Semaphore;

use super::Options;
use super::failure::Failure;
use super::login::Keys;
use super::session::Session;
use crate::destination::idle::Idle;

/// Logins at the same time. sshd drops some of those beyond ten (MaxStartups).
const MAX_LOGINS: usize = 4;

/// The sessions with one host. It grows with what is done at the same time. Idle sessions keep themselves alive.
pub(super) struct Pool {
    options: Options,
    keys: Keys,
    idle: Idle<Session>,
    logins: Semaphore,
}

impl Pool {
    /// Connects to nothing yet.
    pub fn new(options: Options) -> Self {
        let logins = Semaphore::new(MAX_LOGINS);
        Self { options, keys: Keys::default(), idle: Idle::new(), logins }
    }

    /// A session that nobody uses, if there is one.
    pub fn take(&self) -> Option<Session> {
        self.idle.retain(|session| !session.is_closed());
        self.idle.take()
    }

    /// A new session.
    pub async fn open(&self) -> Result<Session, Failure> {
        // It is never closed.
        let _login = self.logins.acquire().await.map_err(Failure::lost)?;
        Session::open(&self.options, &self.keys).await
    }

    /// Keeps a session that nobody uses any more.
    pub fn keep(&self, session: Session) {
        self.idle.keep(session);
    }

    /// Closes all sessions that nobody uses.
    pub fn clear(&self) {
        self.idle.clear();
    }
}
