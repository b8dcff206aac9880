//! SIGINT, SIGTERM and SIGHUP: the first asks for an orderly end, the second ends at once. For a channel that has a log file,
//! SIGHUP opens that again instead.

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
    /// Whether SIGHUP opens the log file again, instead of asking for an end.
    reopens_log: bool,
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
        Ok(Self { interrupt, terminate, hangup, reopens_log: false })
    }

    /// Makes SIGHUP open the log file again, where there is one: even under `nohup`, for then it is sent on purpose.
    ///
    /// # Errors
    /// If the system does not let us.
    pub fn reopening_log(mut self) -> io::Result<Self> {
        self.reopens_log = logging::has_file();
        if self.reopens_log && self.hangup.is_none() {
            self.hangup = Some(signal(SignalKind::hangup())?);
        }
        Ok(self)
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
                Some(_) = async { self.hangup.as_mut()?.recv().await } => {
                    if !self.reopens_log {
                        return;
                    }
                    logging::reopen();
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
