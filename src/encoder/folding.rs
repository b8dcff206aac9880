//! Repeated messages of a child, folded: one line a minute with a count, instead of hundreds.

use std::collections::HashMap;
use std::time::Duration;

/// A message like one that was logged so long ago at most is counted.
const INTERVAL: Duration = Duration::from_secs(60);
/// Messages kept in mind.
const MOST: usize = 64;

/// The messages logged lately. Two are alike if they differ in their numbers only.
#[derive(Debug, Default)]
pub(super) struct Folding {
    known: HashMap<String, Seen>,
}

#[derive(Debug)]
struct Seen {
    logged_at: Duration,
    /// Further ones that were not logged.
    count: u64,
    /// The last of them.
    last: String,
}

impl Folding {
    /// Takes a message at `now`, since any fixed time. Returns whether it is logged, and how many like it were not since
    /// the last one that was.
    pub(super) fn take(&mut self, text: &str, now: Duration) -> Option<u64> {
        let key = key(text);
        if let Some(seen) = self.known.get_mut(&key) {
            if now.saturating_sub(seen.logged_at) < INTERVAL {
                seen.count += 1;
                text.clone_into(&mut seen.last);
                return None;
            }
            seen.logged_at = now;
            return Some(std::mem::take(&mut seen.count));
        }
        if self.known.len() >= MOST {
            self.known.retain(|_, seen| seen.count > 0 && now.saturating_sub(seen.logged_at) < INTERVAL);
        }
        if self.known.len() < MOST {
            self.known.insert(key, Seen { logged_at: now, count: 0, last: String::new() });
        }
        Some(0)
    }

    /// Returns what was counted and not logged: the last message of each kind, and how many there were.
    pub(super) fn finish(self) -> impl Iterator<Item = (String, u64)> {
        self.known.into_values().filter(|seen| seen.count > 0).map(|seen| (seen.last, seen.count))
    }
}

/// The message without its numbers and addresses.
fn key(text: &str) -> String {
    let mut key = String::with_capacity(text.len());
    for word in text.split(' ') {
        let word = if word.starts_with("0x") { "0" } else { word };
        let mut was_digit = false;
        for letter in word.chars() {
            let is_digit = letter.is_ascii_digit();
            if !(is_digit && was_digit) {
                key.push(if is_digit { '0' } else { letter });
            }
            was_digit = is_digit;
        }
        key.push(' ');
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn messages_that_differ_in_numbers_are_logged_once_a_minute_with_their_count() {
        let mut folding = Folding::default();
        let message = |n: u64| format!("Packet corrupt (stream = {}, dts = {n}).", n % 2);
        assert_eq!(folding.take(&message(0), at(0)), Some(0));
        assert!((1..60).all(|n| folding.take(&message(n * 1000), at(n)).is_none()));
        assert_eq!(folding.take("another one", at(59)), Some(0));
        assert_eq!(folding.take(&message(1), at(61)), Some(59));
        assert_eq!(folding.take(&message(2), at(62)), None);
        assert_eq!(folding.finish().collect::<Vec<_>>(), [(message(2), 1)]);
    }

    #[test]
    fn messages_without_end_are_all_logged_and_not_all_kept() {
        let mut folding = Folding::default();
        let unlike = |n: u32| char::from_u32(0x4e00 + n).map(String::from).unwrap();
        assert!((0..1000).all(|n| folding.take(&unlike(n), at(0)) == Some(0)));
        assert!(folding.known.len() <= MOST);
    }
}
