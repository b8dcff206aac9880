//! When a process that was asked to end, and produces nothing, is made to end.
//!
//! ffmpeg reads `q` and its first signal only between two packets of its input: one whose input is silent blocks in the
//! read until a second signal interrupts it. What it holds back then is lost, so that is done only to one that produces
//! nothing and computes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// When bytes of a process last arrived.
#[derive(Clone, Debug)]
pub(super) struct Activity {
    began: Instant,
    last_ms: Arc<AtomicU64>,
}

impl Activity {
    /// The process has just started.
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), last_ms: Arc::default() }
    }

    /// Bytes have arrived.
    pub(super) fn note(&self) {
        let elapsed = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(elapsed, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.began + Duration::from_millis(self.last_ms.load(Ordering::Relaxed))
    }
}

/// What is done to a silent process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silent {
    /// Once, then a second time, which interrupts ffmpeg's reads.
    Terminate,
    Kill,
}

/// Decides what is done to a process that was asked to end.
#[derive(Debug)]
pub(super) struct Silence {
    limit: Duration,
    activity: Activity,
    at: Instant,
    /// Signals sent.
    sent: u32,
    cpu_ticks: Option<u64>,
}

impl Silence {
    /// A process is silent from which nothing has arrived for `limit`.
    pub(super) fn new(limit: Duration, activity: Activity) -> Self {
        Self { limit, activity, at: Instant::now(), sent: 0, cpu_ticks: None }
    }

    /// It has been asked to end at `now`.
    pub(super) fn begin(&mut self, now: Instant) {
        self.at = (now + self.limit / 4).max(self.activity.last() + self.limit);
        self.sent = 0;
    }

    /// When it is looked at next.
    pub(super) const fn next(&self) -> Instant {
        self.at
    }

    /// What is done at `now`, when it has used `cpu_ticks` of CPU time so far.
    pub(super) fn step(&mut self, now: Instant, cpu_ticks: Option<u64>) -> Option<Silent> {
        let is_at_work = self.sent > 0 && cpu_ticks != self.cpu_ticks;
        self.cpu_ticks = cpu_ticks;
        let quiet_at = self.activity.last() + self.limit;
        if quiet_at > now {
            (self.at, self.sent) = (quiet_at, 0);
            return None;
        }
        self.at = now + self.limit / 4;
        // It encodes what it holds: its first signal is enough. The other steps to its end have their own times.
        if is_at_work && self.sent == 1 {
            return None;
        }
        self.sent += 1;
        Some(if self.sent <= 2 { Silent::Terminate } else { Silent::Kill })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(1);

    fn steps(
        silence: &mut Silence,
        cpu: impl Fn(usize) -> u64,
        count: usize,
    ) -> Vec<(Instant, Option<Silent>)> {
        let step = |n| {
            let at = silence.next();
            (at, silence.step(at, Some(cpu(n))))
        };
        (0..count).map(step).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_process_is_killed_within_two_seconds() {
        for silent_ms in [0, 500, 5000] {
            let activity = Activity::new();
            activity.note();
            tokio::time::advance(Duration::from_millis(silent_ms)).await;
            let (mut silence, asked) = (Silence::new(LIMIT, activity), Instant::now());
            silence.begin(asked);
            let steps = steps(&mut silence, |_| 7, 3);
            let done: Vec<_> = steps.iter().map(|(_, step)| *step).collect();
            assert_eq!(done, [Silent::Terminate, Silent::Terminate, Silent::Kill].map(Some));
            assert!(
                steps[2].0 - asked < Duration::from_millis(1600),
                "{silent_ms}: {:?}",
                steps[2].0 - asked
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_encodes_what_it_holds_is_not_interrupted() {
        let mut silence = Silence::new(LIMIT, Activity::new());
        silence.begin(Instant::now());
        let done: Vec<_> = steps(&mut silence, |n| n as u64, 20).into_iter().map(|(_, step)| step).collect();
        assert_eq!(done[0], Some(Silent::Terminate));
        assert!(done[1..].iter().all(Option::is_none), "{done:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_produces_something_is_waited_for_again() {
        let activity = Activity::new();
        let mut silence = Silence::new(LIMIT, activity.clone());
        silence.begin(Instant::now());
        assert_eq!(steps(&mut silence, |_| 0, 1)[0].1, Some(Silent::Terminate));
        tokio::time::advance(LIMIT).await;
        activity.note();
        let at = silence.next();
        assert_eq!(silence.step(at, Some(0)), None);
        assert_eq!(silence.next(), activity.last() + LIMIT);
    }
}
