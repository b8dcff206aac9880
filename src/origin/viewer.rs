//! How many watch: distinct clients that asked for a playlist within the last seconds.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How long a client counts after it asked for a playlist.
const RECENT: Duration = Duration::from_secs(30);
/// Clients that can be told apart: 128 KiB of places. Beyond that the count stays too low.
const PLACES: usize = 1 << 14;
/// Places where one client may stand.
const TRIES: usize = 16;
/// Bits of a place that hold the second of the last request.
const SECOND_BITS: u32 = 28;

/// Distinct recent clients, counted without a lock and in bounded memory.
pub struct Viewers {
    hasher: RandomState,
    /// The client in the high bits, the second in the low ones; 0 is free.
    places: Box<[AtomicU64]>,
}

impl Default for Viewers {
    fn default() -> Self {
        let places = (0..PLACES).map(|_| AtomicU64::new(0)).collect();
        Self { hasher: RandomState::new(), places }
    }
}

impl Viewers {
    /// `client` asked for a playlist at `now`, which is time since the origin began.
    pub fn note(&self, client: impl Hash, now: Duration) {
        let hash = self.hasher.hash_one(client);
        let entry = (hash >> SECOND_BITS).max(1) << SECOND_BITS | second(now);
        let tries = (0..TRIES).map(|n| &self.places[(hash as usize).wrapping_add(n) % PLACES]);
        for place in tries {
            let there = place.load(Relaxed);
            let is_own = there >> SECOND_BITS == entry >> SECOND_BITS;
            if is_own || !is_recent(there, now) {
                // Whoever loses a race here comes again with its next request.
                let _ = place.compare_exchange(there, entry, Relaxed, Relaxed);
                return;
            }
        }
    }

    /// How many there are at `now`.
    pub fn count(&self, now: Duration) -> usize {
        self.places.iter().filter(|place| is_recent(place.load(Relaxed), now)).count()
    }
}

/// Seconds begin with 1, so that no entry is 0; they last for eight years.
fn second(now: Duration) -> u64 {
    (now.as_secs() + 1) & ((1 << SECOND_BITS) - 1)
}

fn is_recent(entry: u64, now: Duration) -> bool {
    entry != 0 && second(now).saturating_sub(entry & ((1 << SECOND_BITS) - 1)) < RECENT.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_counts_once_and_not_for_ever() {
        let viewers = Viewers::default();
        let at = Duration::from_secs;
        for second in 0..10 {
            (0..3).for_each(|client| viewers.note(("10.0.0.1", client), at(second)));
        }
        assert_eq!(viewers.count(at(10)), 3);
        viewers.note(("10.0.0.1", 0), at(35));
        assert_eq!(viewers.count(at(45)), 1);
        assert_eq!(viewers.count(at(100)), 0);
    }

    #[test]
    fn a_crowd_stays_within_bounds() {
        let viewers = Viewers::default();
        (0..100_000).for_each(|client| viewers.note(client, Duration::ZERO));
        let count = viewers.count(Duration::ZERO);
        assert!((PLACES * 9 / 10..=PLACES).contains(&count), "{count}");
    }
}
