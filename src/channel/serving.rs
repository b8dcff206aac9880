//! A channel's origin at work.

use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::Stop;
use crate::origin::{Audience, Origin};

/// An origin at work; it ends when this is dropped.
pub struct Serving {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
    audience: Audience,
    linger: Duration,
}

impl Serving {
    /// Lets players in. Must be called within a tokio runtime.
    pub fn start(origin: Origin, linger: Duration) -> Self {
        let (end, ended) = oneshot::channel();
        // Whoever drops the sender ends it too.
        let shutdown = async { drop(ended.await) };
        let audience = origin.audience();
        Self { end, task: tokio::spawn(origin.run(shutdown)), audience, linger }
    }

    /// Serves those who watch until they have the rest: until nothing was asked for in two of the `target` durations, for
    /// players that hold no request ask again within one. Whoever stops the channel meanwhile ends it.
    /// Then nobody else is let in, and requests under way are ended.
    pub async fn end(self, name: &str, target: Duration, stop: &mut watch::Receiver<Stop>) {
        let quiet = target.saturating_mul(2);
        let asked = *stop.borrow_and_update();
        let linger = if asked == Stop::Now { Duration::ZERO } else { self.linger };
        if !linger.is_zero() && self.audience.is_there(quiet) {
            let most = humantime::format_duration(linger);
            tracing::info!(
                "{name}: who still watches is served the rest, for {most} at most; a signal ends that"
            );
        }
        tokio::select! {
            () = self.audience.gone(quiet, linger) => {}
            Ok(_) = stop.wait_for(|stop| *stop != asked) => {}
        }
        drop(self.end);
        // It does not panic; if it did, it has ended.
        let _ = self.task.await;
    }
}
