//! SIGINT, SIGTERM and SIGHUP: the first asks for an orderly end, the second ends at once. With a log file SIGHUP opens
//! that again instead.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::logging;
use crate::channel::Stop;

/// The signals that ask for an end.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// The terminal is closed; none where that is to be ignored, as under `nohup`.
    hangup: Option<Signal>,
}

impl Signals {
    /// Takes them from here on. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the system does not let us.
    pub fn take() -> io::Result<Self> {
        // A write beyond a limit on files' sizes then fails, and is reported, instead of ending the process.
        drop(signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?);
        let hangup = if is_hangup_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate, hangup })
    }

    /// Waits for the next one that asks for an end.
    pub async fn next(&mut self) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
                Some(_) = async { self.hangup.as_mut()?.recv().await } => {
                    if !logging::reopen() {
                        return;
                    }
                }
            }
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

/// Whether whoever started us wants us to outlive the terminal. Without /proc nobody can tell.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & 1 << (rustix::process::Signal::HUP.as_raw() - 1) != 0
}
