//! When to try again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::destination::{Error, Kind};

/// The shortest wait after a failure; each further one doubles it.
const SHORTEST: Duration = Duration::from_millis(200);
/// The longest wait, before jitter.
const LONGEST: Duration = Duration::from_secs(3);
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
    /// Since when it is refused, and nothing else.
    refused_since: Option<Duration>,
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

    /// An attempt has failed at `now`.
    pub(super) fn fail(&mut self, now: Duration, error: &Error) {
        let builder = self.builder;
        let trouble = self.trouble.get_or_insert_with(|| Trouble {
            since: now,
            refused_since: None,
            until: now,
            delays: builder.build(),
        });
        let delay = trouble.delays.next().unwrap_or(LONGEST);
        let asked = error.retry_after().unwrap_or_default().min(LONGEST_ASKED);
        let is_refused = matches!(error.kind(), Kind::Refused | Kind::Missing | Kind::Invalid);
        trouble.refused_since = is_refused.then(|| trouble.refused_since.unwrap_or(now));
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

    /// Since when it is refused, and nothing else.
    pub(super) fn refused_since(&self) -> Option<Duration> {
        self.trouble.as_ref()?.refused_since
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

    fn error(kind: Kind) -> Error {
        Error::new(kind, "put it", "no".into())
    }

    #[test]
    fn waits_grow_to_a_bound_and_end_with_a_success() {
        let mut backoff = Backoff::new(7);
        let mut now = Duration::from_secs(100);
        assert!(backoff.is_over(now));
        let mut waits = Vec::new();
        for _ in 0..20 {
            backoff.fail(now, &error(Kind::Transient));
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
        backoff.fail(Duration::ZERO, &error(Kind::Transient).after(Duration::from_secs(30)));
        assert_eq!(backoff.until(), Some(Duration::from_secs(30)));
        backoff.fail(Duration::ZERO, &error(Kind::Transient).after(Duration::from_secs(1_000_000)));
        assert_eq!(backoff.until(), Some(LONGEST_ASKED));
    }

    #[test]
    fn how_long_it_is_refused_counts_only_while_nothing_else_happens() {
        let mut backoff = Backoff::new(7);
        let at = Duration::from_secs;
        backoff.fail(at(1), &error(Kind::Refused));
        backoff.fail(at(2), &error(Kind::Missing));
        assert_eq!(backoff.refused_since(), Some(at(1)));
        backoff.fail(at(3), &error(Kind::Transient));
        assert_eq!(backoff.refused_since(), None);
        backoff.fail(at(4), &error(Kind::Refused));
        assert_eq!((backoff.refused_since(), backoff.since()), (Some(at(4)), Some(at(1))));
    }
}
