//! Whether an encoder keeps up with real time.

use std::time::Duration;

use tokio::time::Instant;

/// How long is measured: ffmpeg's own figure is the average since its start, and slow in the first seconds.
const WINDOW: Duration = Duration::from_secs(20);
/// An encoder that makes less media than this in a second does not keep up.
const SLOW: f64 = 0.95;
/// How long nothing is said after it has been.
const SILENCE: Duration = Duration::from_secs(300);

/// One encoder's pace.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// When the window began, and how much media there was.
    began: Option<(Instant, Duration)>,
    told: Option<Instant>,
}

impl Pace {
    /// The encoder has made `made` by `now`. Its speed, if it is time to say that it is too slow.
    pub fn take(&mut self, made: Duration, now: Instant) -> Option<f64> {
        let (since, before) = *self.began.get_or_insert((now, made));
        let elapsed = now.saturating_duration_since(since);
        if elapsed < WINDOW {
            return None;
        }
        self.began = Some((now, made));
        let speed = made.saturating_sub(before).as_secs_f64() / elapsed.as_secs_f64();
        let is_told = self.told.is_some_and(|told| now.saturating_duration_since(told) < SILENCE);
        if speed >= SLOW || is_told {
            return None;
        }
        self.told = Some(now);
        Some(speed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds at which it is said, of an encoder at `speed` after a slow start.
    fn told(speed: f64, seconds: u64) -> Vec<u64> {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let made = |second: u64| Duration::from_secs_f64(second.saturating_sub(2) as f64 * speed);
        let is_told = |second: &u64| pace.take(made(*second), start + Duration::from_secs(*second)).is_some();
        (2..seconds).filter(is_told).collect()
    }

    #[test]
    fn one_that_keeps_up_is_left_in_peace() {
        assert!(told(1.0, 1000).is_empty());
        assert!(told(3.0, 100).is_empty());
    }

    #[test]
    fn one_that_does_not_is_told_of_now_and_then() {
        assert_eq!(told(0.8, 700), [22, 322, 622]);
    }
}
