//! When a removed segment may be deleted (RFC 8216 §6.2.2).

use std::collections::BTreeMap;
use std::time::Duration;

/// Keys out of every playlist, by the time at which they may go.
#[derive(Debug, Default)]
pub(super) struct Expiry {
    // The count keeps keys with the same time apart, and in order.
    due: BTreeMap<(Duration, u64), String>,
    count: u64,
}

impl Expiry {
    /// Lets `key` go at `at`.
    pub(super) fn schedule(&mut self, at: Duration, key: String) {
        self.due.insert((at, self.count), key);
        self.count += 1;
    }

    /// The time at which the next key may go.
    pub(super) fn next(&self) -> Option<Duration> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes one key whose time has come.
    pub(super) fn take(&mut self, now: Duration) -> Option<String> {
        let first = self.due.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_when_their_time_has_come_and_not_before() {
        let mut expiry = Expiry::default();
        for (seconds, key) in [(9, "b"), (5, "a"), (9, "c")] {
            expiry.schedule(Duration::from_secs(seconds), key.to_owned());
        }
        assert_eq!(expiry.take(Duration::from_millis(4999)), None);
        assert_eq!(expiry.next(), Some(Duration::from_secs(5)));
        let now = Duration::from_secs(9);
        let gone: Vec<_> = std::iter::from_fn(|| expiry.take(now)).collect();
        assert_eq!(gone, ["a", "b", "c"]);
        assert_eq!(expiry.next(), None);
    }
}
