//! Segments that a destination lost, and when people are told.

use std::time::Duration;

use super::notice::{Notice, REMINDERS};

/// Segments that were given up and not told of yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Losses {
    /// The first of them.
    first: Option<String>,
    count: usize,
    told: Option<Duration>,
}

impl Losses {
    /// `count` more are lost, `key` the first of them. What to tell, no oftener than there are reminders.
    pub(super) fn note(&mut self, key: &str, count: usize, now: Duration) -> Option<Notice> {
        self.first.get_or_insert_with(|| key.to_owned());
        self.count += count;
        if self.told.is_some_and(|told| now.saturating_sub(told) < REMINDERS) {
            return None;
        }
        self.told = Some(now);
        self.rest()
    }

    /// All that was not told yet.
    pub(super) fn rest(&mut self) -> Option<Notice> {
        let key = self.first.take()?;
        Some(Notice::Lost { key, count: std::mem::take(&mut self.count) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_within_a_while_is_told_together() {
        let told = |key: &str, count| Some(Notice::Lost { key: key.to_owned(), count });
        let at = Duration::from_secs;
        let mut losses = Losses::default();
        assert_eq!(losses.note("a", 1, at(100)), told("a", 1));
        assert_eq!(losses.note("b", 1, at(104)), None);
        assert_eq!(losses.note("c", 2, at(108)), None);
        assert_eq!(losses.note("d", 1, at(160)), told("b", 4));
        assert_eq!(losses.note("e", 1, at(161)), None);
        assert_eq!(losses.rest(), told("e", 1));
        assert_eq!(losses.rest(), None);
    }
}
