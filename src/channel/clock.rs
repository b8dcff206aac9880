//! The wall clock, read so that a step of it is seen: NTP after boot, an operator, a suspended machine.
//!
//! Arrivals are timed by a clock that never steps, the wall clock at the channel's start plus the time that passed since.
//! How far the wall clock is ahead of that is looked at once a second; [`Presentation`](crate::live::Presentation) is told
//! of each step, and dates follow.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// A smaller difference between wall clock and monotonic clock is no step. A leap second is none.
const LEAST_STEP_MS: i64 = 1001;
/// Where a look at both clocks took longer, they cannot be compared.
const LONGEST_LOOK: Duration = Duration::from_millis(100);

/// The wall clock of one channel.
#[derive(Debug)]
pub struct Clock {
    wall: SystemTime,
    began: Instant,
    /// What the wall clock has stepped forward since.
    ahead_ms: AtomicI64,
}

impl Clock {
    /// It begins at the wall clock's time.
    pub fn new() -> Self {
        Self { wall: SystemTime::now(), began: Instant::now(), ahead_ms: AtomicI64::new(0) }
    }

    /// The time, by the wall clock as it was set at the start.
    pub fn steady(&self) -> SystemTime {
        self.wall + self.began.elapsed()
    }

    /// How far the wall clock is ahead of that, as far as its steps were seen.
    pub fn ahead_ms(&self) -> i64 {
        self.ahead_ms.load(Ordering::Relaxed)
    }

    /// Looks at the wall clock. Returns by how much it has stepped forward since the last look, if it has.
    pub fn look(&self) -> Option<i64> {
        let (before, wall, after) = (self.steady(), SystemTime::now(), self.steady());
        let took = after.duration_since(before).unwrap_or_default();
        let by_ms = step_ms(before, self.ahead_ms(), wall).filter(|_| took < LONGEST_LOOK)?;
        self.ahead_ms.fetch_add(by_ms, Ordering::Relaxed);
        Some(by_ms)
    }
}

/// Returns what `wall` has stepped forward, where it was `ahead_ms` ahead of the steady clock so far.
fn step_ms(steady: SystemTime, ahead_ms: i64, wall: SystemTime) -> Option<i64> {
    let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let ahead = match wall.duration_since(steady) {
        Ok(ahead) => millis(ahead),
        Err(behind) => -millis(behind.duration()),
    };
    let by_ms = ahead.saturating_sub(ahead_ms);
    (by_ms.abs() >= LEAST_STEP_MS).then_some(by_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_told_once_and_what_is_no_step_never() {
        let began = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let (mut ahead_ms, mut told) = (0, Vec::new());
        // Seconds since the start, and what the wall clock is ahead by, in milliseconds.
        let looks =
            [(1, 0), (2, 900), (3, -900), (4, 3_600_250), (5, 3_600_250), (6, 3_601_200), (7, -40), (8, 10)];
        for (seconds, really_ms) in looks {
            let steady = began + Duration::from_secs(seconds);
            let shift = Duration::from_millis(i64::unsigned_abs(really_ms));
            let wall = if really_ms < 0 { steady - shift } else { steady + shift };
            if let Some(by_ms) = step_ms(steady, ahead_ms, wall) {
                ahead_ms += by_ms;
                told.push((seconds, by_ms));
            }
        }
        assert_eq!(told, [(4, 3_600_250), (7, -3_600_290)]);
    }

    #[test]
    fn a_clock_that_nobody_sets_has_no_steps() {
        let clock = Clock::new();
        assert_eq!((clock.look(), clock.ahead_ms()), (None, 0));
        assert!(clock.steady().duration_since(clock.wall).unwrap() < Duration::from_secs(60));
    }
}
