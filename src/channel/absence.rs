//! Video that is missing while audio goes on: when the encoders are restarted because of it.
//!
//! A watchdog for each stream that sees what the one over an encoder's pipe does not: bytes keep coming, of audio alone.
//! A state machine without a clock; the channel does what it says.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// How long video may be missing before the encoders are restarted: as long as an encoder may produce nothing.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most that it grows to. Each restart doubles it: where the source has no video, further restarts only cost audio.
const LONGEST: Duration = Duration::from_secs(600);
/// Where video arrived for so long, the restart helped.
const WELL: Duration = Duration::from_secs(60);

/// Which renditions lack their video, since when, and how long that is put up with.
#[derive(Debug)]
pub struct Absence {
    missing: BTreeMap<usize, Instant>,
    /// Since when all video arrives, in this life of the encoders.
    arriving_since: Option<Instant>,
    patience: Duration,
}

/// That the encoders are to be restarted.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The renditions that lack video, and for how long.
    pub missing: Vec<(usize, Duration)>,
    /// How long video may be missing next time.
    pub next: Duration,
}

impl Absence {
    /// Nothing is missing yet.
    pub const fn new() -> Self {
        Self { missing: BTreeMap::new(), arriving_since: None, patience: PATIENCE }
    }

    /// A segment arrived at `now`.
    pub fn segment(&mut self, now: Instant) {
        if self.missing.is_empty() {
            self.arriving_since.get_or_insert(now);
        }
    }

    /// Video of `rendition` is missing since `now`.
    pub fn begin(&mut self, rendition: usize, now: Instant) {
        if self.arriving_since.take().is_some_and(|since| now - since >= WELL) {
            self.patience = PATIENCE;
        }
        self.missing.entry(rendition).or_insert(now);
    }

    /// Video of `rendition` arrives again.
    pub fn end(&mut self, rendition: usize) {
        self.missing.remove(&rendition);
    }

    /// Another life of the encoders begins: what it lacks is not known yet.
    pub fn restart(&mut self) {
        self.missing.clear();
        self.arriving_since = None;
    }

    /// When the encoders are to be restarted, if they are.
    pub fn due(&self) -> Option<Instant> {
        self.missing.values().min().map(|since| *since + self.patience)
    }

    /// Returns why the encoders are to be restarted at `now`, if they are.
    pub fn judge(&mut self, now: Instant) -> Option<Verdict> {
        self.due().filter(|due| *due <= now)?;
        self.patience = (2 * self.patience).min(LONGEST);
        let missing = std::mem::take(&mut self.missing);
        let missing = missing.into_iter().map(|(rendition, since)| (rendition, now - since)).collect();
        Some(Verdict { missing, next: self.patience })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn video_that_stays_away_for_long_is_reason_to_restart_and_a_gap_is_not() {
        let (mut absence, began) = (Absence::new(), Instant::now());
        absence.segment(began);
        absence.begin(1, began + seconds(10));
        assert_eq!(absence.due(), Some(began + seconds(40)));
        absence.end(1);
        assert_eq!((absence.due(), absence.judge(began + seconds(50))), (None, None));
        absence.begin(0, began + seconds(60));
        absence.begin(1, began + seconds(70));
        absence.begin(0, began + seconds(80));
        assert_eq!(absence.judge(began + seconds(89)), None);
        let verdict = absence.judge(began + seconds(90)).unwrap();
        assert_eq!(verdict.missing, [(0, seconds(30)), (1, seconds(20))]);
        assert_eq!(absence.due(), None);
    }

    #[test]
    fn a_source_without_video_is_restarted_less_and_less_often() {
        let (mut absence, mut now) = (Absence::new(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..8 {
            absence.restart();
            now += seconds(2);
            absence.begin(0, now);
            // Segments of audio are no sign that video arrives.
            absence.segment(now + seconds(4));
            let due = absence.due().unwrap();
            waits.push((due - now).as_secs());
            assert!(absence.judge(due).is_some());
            now = due;
        }
        assert_eq!(waits, [30, 60, 120, 240, 480, 600, 600, 600]);
    }

    #[test]
    fn video_that_arrived_for_a_minute_makes_the_wait_short_again() {
        for (arrived, wait) in [(59, 60), (60, 30)] {
            let (mut absence, began) = (Absence::new(), Instant::now());
            absence.begin(0, began);
            absence.judge(began + seconds(30)).unwrap();
            absence.restart();
            let again = began + seconds(40);
            absence.segment(again);
            absence.begin(0, again + seconds(arrived));
            assert_eq!(absence.due(), Some(again + seconds(arrived + wait)), "after {arrived} s");
        }
    }
}
