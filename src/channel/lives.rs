//! The lives of a channel's encoders: one after another, where they are begun again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

use super::Restart;
use crate::delivery;

/// How long is waited before encoders begin again, at first; each further time it is twice as long.
const SHORTEST: Duration = Duration::from_secs(1);
/// How long is waited at most.
pub const LONGEST: Duration = Duration::from_secs(10);
/// Encoders that have lived so long and given something had begun well: the next wait is the shortest again, as after
/// an end in order.
const WELL: Duration = Duration::from_secs(60);

/// How the end of a life is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// With how many that ended since the last one that was logged.
    Aloud { untold: u32 },
    /// For debugging only.
    Quiet,
}

impl Telling {
    /// What follows the reason of the end.
    pub fn repeated(self) -> String {
        match self {
            Self::Aloud { untold: 0 } | Self::Quiet => String::new(),
            Self::Aloud { untold: 1 } => " (1 more time since it was last logged)".to_owned(),
            Self::Aloud { untold } => format!(" ({untold} more times since it was last logged)"),
        }
    }
}

/// Says whether and when encoders are begun again.
#[derive(Debug)]
pub struct Lives {
    policy: Restart,
    /// Whether a life has broken down that is not over yet, or whose next one has not begun.
    is_broken: bool,
    began: Instant,
    waits: ExponentialBackoff,
    next: Option<Instant>,
    /// When a life ended of which something had come, if nothing has since.
    silent: Option<Instant>,
    /// When the end of a life was last logged, if nothing has come since.
    told: Option<Instant>,
    /// How many ended since without being logged.
    untold: u32,
    /// How this life's end is logged, once that is settled.
    telling: Option<Telling>,
}

impl Lives {
    /// The first begins now.
    pub fn new(policy: Restart) -> Self {
        let began = Instant::now();
        Self {
            policy,
            is_broken: false,
            began,
            waits: waits(),
            next: None,
            silent: None,
            told: None,
            untold: 0,
            telling: None,
        }
    }

    /// Whether a life may follow this one.
    pub fn may_follow(&self) -> bool {
        self.policy != Restart::Never
    }

    /// Whether one may follow lives of which nothing ever came.
    pub fn may_follow_nothing(&self) -> bool {
        self.policy == Restart::Always
    }

    /// Whether this life has failed: what else its encoders say is of no interest.
    pub const fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// This life has failed, and another one is to follow it.
    pub fn break_down(&mut self) {
        self.is_broken = true;
    }

    /// Nothing is left of this life, which gave something or not. How long is waited for the next one, if there is to be
    /// one.
    pub fn end(&mut self, has_given: bool) -> Option<Duration> {
        let is_wanted = match self.policy {
            Restart::Never => false,
            Restart::OnFailure => self.is_broken,
            Restart::Always => true,
        };
        if !is_wanted {
            return None;
        }
        if has_given && (!self.is_broken || self.began.elapsed() >= WELL) {
            self.waits = waits();
        }
        let wait = self.waits.next().unwrap_or(LONGEST);
        let now = Instant::now();
        if has_given {
            self.silent.get_or_insert(now);
        }
        self.next = Some(now + wait);
        Some(wait)
    }

    /// How the end of this life is logged: of lives of which nothing came, one a minute.
    pub fn telling(&mut self, has_given: bool) -> Telling {
        if let Some(telling) = self.telling {
            return telling;
        }
        let now = Instant::now();
        let is_due = has_given || self.told.is_none_or(|told| now - told >= delivery::REMINDERS);
        let telling = if is_due {
            self.told = Some(now);
            Telling::Aloud { untold: std::mem::take(&mut self.untold) }
        } else {
            self.untold += 1;
            Telling::Quiet
        };
        *self.telling.insert(telling)
    }

    /// Something has come. How long encoders had been away, if it is the first since.
    pub fn recover(&mut self) -> Option<Duration> {
        self.silent.take().map(|silent| silent.elapsed())
    }

    /// When the next life is to begin, if one is waited for.
    pub const fn next(&self) -> Option<Instant> {
        self.next
    }

    /// The next life begins.
    pub fn begin(&mut self) {
        self.began = Instant::now();
        self.next = None;
        self.is_broken = false;
        self.telling = None;
    }

    /// The next life could not begin: it is as if it had failed at once.
    pub fn fail_to_begin(&mut self) {
        self.began = Instant::now();
        self.next = None;
        self.is_broken = true;
        self.telling = None;
    }

    /// There will be no next life.
    pub fn give_up(&mut self) {
        self.policy = Restart::Never;
        self.next = None;
    }
}

/// How long is waited before encoders, or a channel without a place, try to begin again, time after time: without an end.
pub fn waits() -> ExponentialBackoff {
    let builder = ExponentialBuilder::default().with_min_delay(SHORTEST).with_max_delay(LONGEST);
    builder.without_max_times().build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(lives: &mut Lives, has_given: bool) -> Option<u64> {
        let wait = lives.end(has_given).map(|wait| wait.as_secs());
        lives.begin();
        wait
    }

    #[tokio::test(start_paused = true)]
    async fn waits_grow_until_a_life_goes_well() {
        let mut lives = Lives::new(Restart::OnFailure);
        let waits: Vec<_> = (0..7)
            .map(|_| {
                lives.break_down();
                seconds(&mut lives, true)
            })
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 10, 10, 10].map(Some));
        tokio::time::advance(WELL).await;
        lives.break_down();
        assert_eq!(seconds(&mut lives, false), Some(10), "it was silent");
        tokio::time::advance(WELL).await;
        lives.break_down();
        assert_eq!(seconds(&mut lives, true), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn of_lives_that_give_nothing_one_a_minute_is_logged_with_a_count() {
        let mut lives = Lives::new(Restart::Always);
        let (mut counted, mut logged) = (0, 0);
        for _ in 0..30 {
            let telling = lives.telling(false);
            if let Telling::Aloud { untold } = telling {
                (logged, counted) = (logged + 1, counted + untold + 1);
            }
            assert_eq!(lives.telling(false), telling, "the same of one life");
            tokio::time::advance(lives.end(false).unwrap()).await;
            lives.begin();
        }
        assert_eq!(logged, 5, "in 285 s");
        assert!((25..=30).contains(&counted), "{counted}");
        assert!(matches!(lives.telling(true), Telling::Aloud { .. }), "what had worked");
    }

    #[tokio::test]
    async fn an_end_is_followed_by_nothing_unless_that_is_wanted() {
        assert_eq!(Lives::new(Restart::OnFailure).end(true), None);
        let mut always = Lives::new(Restart::Always);
        assert_eq!(
            [true, true, false, false].map(|has_given| seconds(&mut always, has_given)),
            [1, 1, 2, 4].map(Some)
        );
        assert!(always.recover().is_some() && always.recover().is_none());
        always.end(false);
        assert_eq!(always.recover(), None, "nothing had come that could go on");
        assert!(always.may_follow_nothing() && !Lives::new(Restart::OnFailure).may_follow_nothing());
        always.give_up();
        assert_eq!((always.end(true), always.next()), (None, None));
    }
}
