//! How far the segments of one track reach, and where the track has gaps.
//!
//! A media playlist places a segment at the sum of the durations before it, so a time in which a track has no frames
//! needs an entry of its own: a gap. Segments and gaps of a track add up to what the cutter's segments add up to.

use std::time::Duration;

use crate::time::Ticks;

/// A hole shorter than this gets no gap.
const SHORTEST: Ticks = Ticks::new(Ticks::PER_SECOND / 10);
/// How far audio may lie behind the video that it is multiplexed with, at least: what is missing for less may be late.
const LAG: Ticks = Ticks::new(Ticks::PER_SECOND);
/// A gap at the end of a segment or of the timeline that is shorter may come of the multiplex.
const STOPPED: Ticks = Ticks::new(Ticks::PER_SECOND / 2);
/// A first frame more segments ahead than this is another clock, not the end of a gap.
const MAX_SEGMENTS: i64 = 4;
/// Frames that end longer than this before the cutter's segment go by another clock: no gap lies between the two.
const MAX_BEHIND: Ticks = Ticks::new(60 * Ticks::PER_SECOND);
/// By how much EXTINF may exceed the target duration (RFC 8216 §4.3.3.1: it is rounded).
pub const ROUNDING: Ticks = Ticks::new(Ticks::PER_SECOND * 49 / 100);

/// A time in which a track has no frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    pub start: Ticks,
    pub end: Ticks,
}

/// How far the segments and gaps of one track reach in one timeline.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reach {
    /// Where they end when their durations are added up. None before the first.
    position: Option<Ticks>,
    /// How long before the cutter's segments frames may end without being missing. None before the first frame.
    lag: Option<Ticks>,
    /// Whether it is video, which is never late: the cutter goes by it.
    is_video: bool,
    /// Where the cutter's last segment ended.
    until: Option<Ticks>,
    /// No segment of the cutter's lasts longer.
    longest: Option<Ticks>,
}

impl Reach {
    /// That of a track of video, or of video and audio.
    pub fn of_video() -> Self {
        Self { is_video: true, ..Self::default() }
    }

    /// A segment whose own frames begin at `start` is opened in a segment of the cutter's that begins at `begin`. Returns
    /// the gap before it.
    pub fn open(&mut self, begin: Ticks, start: Ticks) -> Option<Gap> {
        let position = self.position.unwrap_or(begin.min(start));
        self.position = Some(position);
        let gap = Gap { start: position, end: start };
        let most = self.longest.map_or(gap.len(), |longest| Ticks::new(longest.count() * MAX_SEGMENTS));
        if gap.len() > most {
            self.position = Some(start);
            return None;
        }
        self.take(gap)
    }

    /// The segment that was opened has frames that end at `end` and lasts `duration`; the cutter's ends at `until`. Returns
    /// the gap after it, if the track has stopped.
    pub fn close(&mut self, duration: Duration, end: Ticks, until: Ticks, longest: Duration) -> Option<Gap> {
        self.note(until, longest);
        self.extend(duration, end);
        let lag = self.lag.unwrap_or(LAG);
        let gap = Gap { start: self.position?, end: until - lag };
        if until - end > MAX_BEHIND {
            return None;
        }
        if until - end >= lag + STOPPED && gap.len() >= STOPPED {
            self.lag = Some(lag);
            return self.take(gap);
        }
        self.lag = Some(lag.max(until - end));
        None
    }

    /// A segment that ends at `end` and lasts `duration` is not the last one in the cutter's.
    pub fn extend(&mut self, duration: Duration, end: Ticks) {
        let duration = Ticks::from(duration);
        self.position = Some(self.position.unwrap_or(end - duration) + duration);
    }

    /// How long a segment may be.
    pub fn limit(&self) -> Option<Ticks> {
        self.longest.map(|longest| longest + ROUNDING)
    }

    /// No frame came in a segment of the cutter's from `begin` to `until`. Returns the gap that stands for it: an empty one
    /// if frames may only be late.
    pub fn pass(&mut self, begin: Ticks, until: Ticks, longest: Duration) -> Gap {
        self.note(until, longest);
        let start = *self.position.get_or_insert(begin);
        let start = if begin - start > MAX_BEHIND { begin } else { start };
        let end = (until - self.lag.filter(|_| !self.is_video).unwrap_or(Ticks::ZERO)).max(start);
        // A track that never had a frame is waited for once.
        let is_late = !self.is_video && (until - start <= LAG || end - start < SHORTEST);
        let end = if is_late { start } else { end };
        self.position = Some(end);
        Gap { start, end }
    }

    /// The timeline ends. Returns the gap up to its end.
    pub fn finish(&mut self) -> Option<Gap> {
        let empty = Self { is_video: self.is_video, ..Self::default() };
        let (position, until) = std::mem::replace(self, empty).position_and_end()?;
        let gap = Gap { start: position, end: until };
        (gap.len() >= STOPPED && gap.len() <= MAX_BEHIND).then_some(gap)
    }

    /// Divides a gap into entries that the target duration allows.
    pub fn entries(&self, gap: Gap) -> impl Iterator<Item = Gap> + use<> {
        let longest = self.longest.map_or(i64::MAX, |longest| longest.count().max(1));
        let beyond = (gap.len() - ROUNDING).count().max(0) as u64;
        let count = beyond.div_ceil(longest as u64).max(1) as i64;
        let at = move |n: i64| gap.start + Ticks::new(gap.len().count() / count * n);
        (0..count).map(move |n| Gap { start: at(n), end: if n + 1 == count { gap.end } else { at(n + 1) } })
    }

    /// No segment of the cutter's lasts longer, as far as it has promised.
    pub fn longest(&self) -> Duration {
        self.longest.unwrap_or_default().span()
    }

    /// No segment of the cutter's lasts longer than `longest`.
    pub fn promise(&mut self, longest: Duration) {
        self.longest = self.longest.max(Some(Ticks::from(longest)));
    }

    fn note(&mut self, until: Ticks, longest: Duration) {
        self.until = Some(until);
        self.promise(longest);
    }

    fn position_and_end(self) -> Option<(Ticks, Ticks)> {
        self.position.zip(self.until)
    }

    /// Returns `gap` and adds it to the playlist's length, if it is long enough for an entry.
    fn take(&mut self, gap: Gap) -> Option<Gap> {
        if gap.len() < SHORTEST {
            return None;
        }
        self.position = Some(gap.end);
        Some(gap)
    }
}

impl Gap {
    fn len(&self) -> Ticks {
        self.end - self.start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: Duration = Duration::from_secs(2);

    fn at(millis: i64) -> Ticks {
        Ticks::new(millis * 90)
    }

    fn gap(start: i64, end: i64) -> Gap {
        Gap { start: at(start), end: at(end) }
    }

    /// Takes the frames from `start` to `end` in the cutter's segment that ends at `until`. Returns the gaps around them.
    fn frames(reach: &mut Reach, start: i64, end: i64, until: i64) -> (Option<Gap>, Option<Gap>) {
        let before = reach.open(at(until - 2000), at(start));
        (before, reach.close(at(start).until(at(end)), at(end), at(until), TWO))
    }

    #[test]
    fn frames_that_follow_each_other_leave_no_gap() {
        let mut reach = Reach::default();
        for n in 0..100 {
            // Audio that is multiplexed late, and ends with a whole frame.
            let (start, end) = (n * 2000 - 350 - n % 7 * 3, n * 2000 + 1650 - (n + 1) % 7 * 3);
            assert_eq!(frames(&mut reach, start, end, n * 2000 + 2000), (None, None), "{n}");
        }
        assert_eq!(reach.finish(), None);
    }

    #[test]
    fn frames_by_another_clock_have_no_gap_before_the_others() {
        const DAY: i64 = 86_400_000;
        let mut reach = Reach::default();
        assert_eq!(frames(&mut reach, 0, 2000, 2000), (None, None));
        for n in 1..100 {
            let found = frames(&mut reach, n * 2000, n * 2000 + 2000, DAY + n * 2000);
            assert_eq!(found, (None, None), "{n}");
        }
        assert!(reach.pass(at(DAY + 200_000), at(DAY + 202_000), TWO).len() <= at(2000));
        assert!(reach.finish().is_none_or(|gap| gap.len() <= at(2000)));
    }

    #[test]
    fn a_track_that_begins_late_has_gaps_up_to_its_first_frame() {
        let mut reach = Reach::default();
        assert_eq!(reach.pass(at(0), at(2000), TWO), gap(0, 2000));
        assert_eq!(reach.pass(at(2000), at(4000), TWO), gap(2000, 4000));
        assert_eq!(frames(&mut reach, 5000, 5990, 6000), (Some(gap(4000, 5000)), None));
        assert_eq!(frames(&mut reach, 5990, 7980, 8000), (None, None));
    }

    #[test]
    fn a_gap_within_two_segments_is_as_long_as_it_is() {
        let mut reach = Reach::default();
        frames(&mut reach, 0, 1980, 2000);
        assert_eq!(frames(&mut reach, 1980, 2400, 4000), (None, Some(gap(2400, 3000))));
        assert_eq!(reach.pass(at(4000), at(6000), TWO), gap(3000, 5000));
        assert_eq!(frames(&mut reach, 7000, 7990, 8000), (Some(gap(5000, 7000)), None));
    }

    #[test]
    fn frames_that_are_late_are_not_missing() {
        let mut reach = Reach::default();
        let half = Duration::from_millis(500);
        assert_eq!(reach.open(at(0), at(0)), None);
        assert_eq!(reach.close(half, at(500), at(500), half), None);
        assert_eq!(reach.pass(at(500), at(1000), half), gap(500, 500));
        assert_eq!(reach.open(at(1000), at(500)), None);
        assert_eq!(reach.close(Duration::from_secs(1), at(1500), at(1500), half), None);
        assert_eq!(reach.pass(at(1500), at(2000), half), gap(1500, 1500));
        assert_eq!(reach.pass(at(2000), at(2501), half), gap(1500, 1500));
        assert_eq!(reach.pass(at(2501), at(3001), half), gap(1500, 2001));
    }

    #[test]
    fn a_track_that_ends_early_is_as_long_as_the_others() {
        let mut reach = Reach::default();
        frames(&mut reach, 0, 1300, 2000);
        assert_eq!(reach.finish(), Some(gap(1300, 2000)));
        assert_eq!(reach.finish(), None, "nothing is left of the timeline");
    }

    #[test]
    fn video_that_is_away_is_missing_at_once() {
        let mut reach = Reach::of_video();
        frames(&mut reach, 0, 2000, 2000);
        assert_eq!(reach.pass(at(2000), at(4000), TWO), gap(2000, 4000));
        assert_eq!(reach.pass(at(4000), at(4500), TWO), gap(4000, 4500));
        assert_eq!(frames(&mut reach, 4500, 6000, 6000), (None, None));
    }

    #[test]
    fn another_clock_is_no_gap() {
        let mut reach = Reach::default();
        frames(&mut reach, 0, 2000, 2000);
        assert_eq!(frames(&mut reach, 100_000, 102_000, 4000), (None, None));
    }

    #[test]
    fn no_entry_is_longer_than_the_target_duration_allows() {
        let mut reach = Reach::default();
        frames(&mut reach, 0, 2000, 2000);
        let entries = |end| reach.entries(gap(0, end)).collect::<Vec<_>>();
        assert_eq!(entries(2400), [gap(0, 2400)]);
        assert_eq!(entries(3000), [gap(0, 1500), gap(1500, 3000)]);
        assert_eq!(entries(6600).len(), 4);
    }
}
