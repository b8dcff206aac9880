//! Puts whose answer was not heard: what was sent may still come over what is put later.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What was not answered for so long does not come any more.
const MEMORY: Duration = Duration::from_secs(60);

/// Keys whose last put was given up, or lost its connection.
#[derive(Debug, Default)]
pub(super) struct Unsettled(Mutex<HashMap<String, Instant>>);

impl Unsettled {
    /// A put of `key` begins, and is unsettled until [`settle`](Self::settle) is called. Whether the one before is.
    pub(super) fn begin(&self, key: &str) -> bool {
        let mut keys = self.lock();
        keys.retain(|_, since| since.elapsed() < MEMORY);
        keys.insert(key.to_owned(), Instant::now()).is_some()
    }

    /// The last put of `key` was done, and nothing comes over it.
    pub(super) fn settle(&self, key: &str) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_put_is_unsettled_until_it_is_done_or_long_ago() {
        let unsettled = Unsettled::default();
        assert!(!unsettled.begin("a"));
        assert!(unsettled.begin("a"));
        unsettled.settle("a");
        assert!(!unsettled.begin("a"));
        tokio::time::advance(MEMORY).await;
        assert!(!unsettled.begin("a"));
    }
}
