//! Whether anybody still watches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// When somebody last asked for something of the stream, or took some of it. Clones are of the same origin.
#[derive(Clone, Debug)]
pub struct Audience {
    began: Instant,
    /// When something was last asked for, in milliseconds since `began`; 0 for never.
    asked: Arc<AtomicU64>,
}

impl Default for Audience {
    /// That of an origin that begins now.
    fn default() -> Self {
        Self { began: Instant::now(), asked: Arc::default() }
    }
}

impl Audience {
    /// Something of the stream was asked for, or some of it was taken.
    pub(super) fn note(&self) {
        self.asked.store(self.now().max(1), Relaxed);
    }

    /// Whether somebody asked for something within the last `quiet`.
    pub fn is_there(&self, quiet: Duration) -> bool {
        self.rest(quiet).is_some()
    }

    /// Waits until nobody has asked for anything for as long as `quiet`, but not longer than `most`.
    pub async fn gone(&self, quiet: Duration, most: Duration) {
        let until = Instant::now().checked_add(most);
        while let Some(rest) = self.rest(quiet) {
            let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return;
            }
            sleep(rest.min(left)).await;
        }
    }

    /// How much of `quiet` is still to come.
    fn rest(&self, quiet: Duration) -> Option<Duration> {
        let asked = self.asked.load(Relaxed);
        let since = Duration::from_millis(self.now().saturating_sub(asked));
        if asked == 0 { None } else { quiet.checked_sub(since).filter(|rest| !rest.is_zero()) }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Duration = Duration::from_secs(4);
    const MOST: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn nobody_who_never_came_is_waited_for() {
        let audience = Audience::default();
        audience.gone(QUIET, MOST).await;
        assert_eq!(audience.began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_is_waited_for_until_quiet() {
        let audience = Audience::default();
        let other = audience.clone();
        let asking = tokio::spawn(async move {
            for _ in 0..5 {
                other.note();
                sleep(Duration::from_secs(3)).await;
            }
        });
        sleep(Duration::from_millis(1)).await;
        audience.gone(QUIET, MOST).await;
        assert_eq!(audience.began.elapsed().as_secs(), 16);
        asking.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_stops_is_not_waited_for_for_ever() {
        let audience = Audience::default();
        let other = audience.clone();
        let asking = tokio::spawn(async move {
            loop {
                other.note();
                sleep(Duration::from_secs(1)).await;
            }
        });
        sleep(Duration::from_millis(1)).await;
        audience.gone(QUIET, MOST).await;
        assert_eq!(audience.began.elapsed().as_secs(), 30);
        asking.abort();
    }
}
