//! SIGINT and SIGTERM: the first asks for an orderly end, the second ends at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::channel::Stop;

/// The signals that ask for an end.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Takes them from here on. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the system does not let us.
    pub fn take() -> io::Result<Self> {
        // A write beyond a limit on files' sizes then fails, and is reported, instead of ending the process.
        drop(signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?);
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Tells `stop` of each one.
    pub async fn pass_on(mut self, stop: watch::Sender<Stop>) {
        self.next().await;
        tracing::info!("asked to end; a second signal ends at once");
        stop.send_replace(Stop::Finish);
        self.next().await;
        stop.send_replace(Stop::Now);
    }
}
