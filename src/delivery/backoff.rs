//! When to try again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// The shortest wait after a failure; each further one doubles it.
const SHORTEST: Duration = Duration::from_millis(200);
/// The longest wait, before jitter.
const LONGEST: Duration = Duration::from_secs(10);
/// The longest wait that a server may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(120);

/// Waits that grow from failure to failure, with jitter; a success ends them.
#[derive(Debug)]
pub(super) struct Backoff {
    builder: ExponentialBuilder,
    trouble: Option<Trouble>,
}

#[derive(Debug)]
struct Trouble {
    since: Duration,
    until: Duration,
    delays: ExponentialBackoff,
}

impl Backoff {
    /// The same `seed` gives the same waits.
    pub(super) fn new(seed: u64) -> Self {
        let builder = ExponentialBuilder::default()
            .with_min_delay(SHORTEST)
            .with_max_delay(LONGEST)
            .without_max_times()
            .with_jitter()
            .with_jitter_seed(seed);
        Self { builder, trouble: None }
    }

    /// An attempt has failed at `now`; `asked` is the wait that the server asked for.
    pub(super) fn fail(&mut self, now: Duration, asked: Option<Duration>) {
        let builder = self.builder;
        let trouble =
            self.trouble.get_or_insert_with(|| Trouble { since: now, until: now, delays: builder.build() });
        let delay = trouble.delays.next().unwrap_or(LONGEST);
        let asked = asked.unwrap_or_default().min(LONGEST_ASKED);
        trouble.until = now.saturating_add(delay.max(asked));
    }

    /// An attempt has gone well.
    pub(super) fn succeed(&mut self) {
        self.trouble = None;
    }

    /// Since when attempts fail.
    pub(super) fn since(&self) -> Option<Duration> {
        self.trouble.as_ref().map(|trouble| trouble.since)
    }

    /// When the next attempt may be made; none if at any time.
    pub(super) fn until(&self) -> Option<Duration> {
        self.trouble.as_ref().map(|trouble| trouble.until)
    }

    /// Whether an attempt may be made at `now`.
    pub(super) fn is_over(&self, now: Duration) -> bool {
        self.until().is_none_or(|until| until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_end_with_a_success() {
        let mut backoff = Backoff::new(7);
        let mut now = Duration::from_secs(100);
        assert!(backoff.is_over(now));
        let mut waits = Vec::new();
        for _ in 0..20 {
            backoff.fail(now, None);
            waits.push(backoff.until().unwrap() - now);
            assert!(!backoff.is_over(now));
            now = backoff.until().unwrap();
            assert!(backoff.is_over(now));
        }
        assert!(waits[0] >= SHORTEST && waits[0] <= 2 * SHORTEST, "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= 2 * LONGEST), "{waits:?}");
        assert!(waits[19] >= LONGEST, "{waits:?}");
        assert_eq!(backoff.since(), Some(Duration::from_secs(100)));
        backoff.succeed();
        assert!(backoff.is_over(Duration::ZERO) && backoff.since().is_none());
    }

    #[test]
    fn what_the_server_asks_for_is_waited_for_within_reason() {
        let mut backoff = Backoff::new(7);
        backoff.fail(Duration::ZERO, Some(Duration::from_secs(30)));
        assert_eq!(backoff.until(), Some(Duration::from_secs(30)));
        backoff.fail(Duration::ZERO, Some(Duration::from_secs(1_000_000)));
        assert_eq!(backoff.until(), Some(LONGEST_ASKED));
    }
}
