//! Connections that are kept and used again.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use suppaftp::Status;
use tokio::task::AbortHandle;

use super::Options;
use super::connection::Connection;
use super::failure::Failure;
use crate::destination::idle::Idle;

/// How long a connection may be idle before the server hears of us. Firewalls forget connections after a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(25);
/// How often it is looked for idle ones.
const TICK: Duration = Duration::from_secs(5);

/// The connections to one server. It grows with what is done at the same time.
#[derive(Debug)]
pub(super) struct Pool {
    idle: Arc<Idle<Connection>>,
    keeper: AbortHandle,
    options: Options,
    tls: Option<ClientConfig>,
}

impl Pool {
    /// Connects to nothing yet. Must be called within a tokio runtime.
    pub fn new(options: Options, tls: Option<ClientConfig>) -> Self {
        let idle = Arc::new(Idle::new());
        let weak = Arc::downgrade(&idle);
        let keeper = tokio::spawn(async move {
            let mut tick = tokio::time::interval(TICK);
            loop {
                tick.tick().await;
                let Some(idle) = weak.upgrade() else { return };
                keep_alive(&idle, KEEP_ALIVE).await;
            }
        });
        Self { idle, keeper: keeper.abort_handle(), options, tls }
    }

    /// One that is idle, if there is one. It may be dead.
    pub fn kept(&self) -> Option<Connection> {
        self.idle.take()
    }

    /// Forgets those that are idle: one of them, used last, was dead.
    pub fn forget(&self) {
        self.idle.clear();
    }

    /// A new one.
    pub async fn connect(&self) -> Result<Connection, Failure> {
        Connection::open(&self.options, self.tls.as_ref()).await
    }

    /// Keeps `connection` after a use of it with `result`, unless that leaves doubt about it.
    pub fn keep<T>(&self, mut connection: Connection, result: &Result<T, Failure>) {
        let is_sound = result.as_ref().err().is_none_or(Failure::is_answer);
        if is_sound && connection.is_good_for_more() {
            connection.lay_down();
            self.idle.keep(connection);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Lets the server hear of the connections that nobody has used for `limit`; those that are dead are closed.
async fn keep_alive(idle: &Idle<Connection>, limit: Duration) {
    for mut connection in idle.take_those(|connection| connection.idle() >= limit) {
        let answer = connection.command("NOOP", "", &[Status::CommandOk]).await;
        if answer.as_ref().err().is_none_or(Failure::is_answer) {
            connection.lay_down();
            // Those in use meanwhile are to be taken first.
            idle.keep_last(connection);
        }
    }
}
