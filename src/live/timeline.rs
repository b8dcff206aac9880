//! The channel's timeline: where it breaks, for all renditions alike, and when its PTS were now.
//!
//! Clients match renditions by discontinuity sequence number and timestamp (RFC 8216 §6.2.4), so a break that
//! one rendition meets is every rendition's. Breaks are numbered for the whole channel. Each is due at a
//! position, counted in segments since this run began, and every rendition passes each of them once, with one
//! EXT-X-DISCONTINUITY: at a jump of its own, else at the position where it is due, else as soon as it can.
//!
//! A [`Line`] maps PTS to wall time. The first rendition to begin one decides; the others join it where their
//! PTS lie on it, so that equal PTS have equal dates. Where the wall clock steps, dates of a line step too, from a PTS on
//! that no rendition has reached: there is no break, for the media go on.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::time::Ticks;

/// How many lines are remembered for renditions that have not reached them yet.
const LINES: usize = 16;
/// How many steps of the wall clock are remembered, several for each line.
const STEPS: usize = 8 * LINES;

/// The breaks and lines of a channel, and how far each rendition has come.
#[derive(Debug)]
pub(super) struct Timeline {
    /// Where each break is due that some rendition has not passed; the first of them is number `passed`.
    breaks: VecDeque<u64>,
    /// Breaks that every rendition has passed.
    passed: u64,
    lines: VecDeque<Line>,
    steps: VecDeque<ClockStep>,
    /// What the wall clock has stepped forward, all told.
    ahead_ms: i64,
    cursors: Vec<Cursor>,
    /// How far off a line a rendition's PTS may be and still be on it.
    tolerance: Ticks,
    /// How much later than any segment so far the first one begins whose date follows a step of the wall clock. Renditions'
    /// segments begin at nearly the same time; the next one is as good as a target duration away.
    distance: Ticks,
}

/// A step of the wall clock, on one line.
#[derive(Clone, Copy, Debug)]
struct ClockStep {
    line: u64,
    from: Ticks,
    by_ms: i64,
}

/// A stretch of PTS without a jump, pinned to the wall clock at its start.
#[derive(Clone, Copy, Debug)]
struct Line {
    /// Counted from 1.
    id: u64,
    /// The number of breaks before it.
    breaks: u64,
    start: Ticks,
    /// The latest segment begun on it.
    reach: Ticks,
    wall: SystemTime,
}

#[derive(Clone, Copy, Debug)]
struct Cursor {
    /// Breaks passed.
    breaks: u64,
    line: Option<Line>,
    /// What the wall clock had stepped forward at the segment before, on that line.
    shift_ms: i64,
    is_over: bool,
}

/// What the timeline says of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Whether EXT-X-DISCONTINUITY stands before it.
    pub(super) is_discontinuity: bool,
    /// When its first picture was now.
    pub(super) date_time: Option<SystemTime>,
    /// Whether that does not follow from the date of the segment before and its duration.
    pub(super) has_stepped: bool,
}

impl Timeline {
    /// Begins where each rendition has passed as many breaks as `passed` says; all of them are to pass breaks
    /// up to number `top` as soon as they can.
    pub(super) fn new(passed: &[u64], top: u64, target: Duration) -> Self {
        let least = passed.iter().copied().min().unwrap_or(top).min(top);
        let cursor = |&breaks: &u64| Cursor { breaks, line: None, shift_ms: 0, is_over: false };
        Self {
            breaks: (least..top).map(|_| 0).collect(),
            passed: least,
            lines: VecDeque::new(),
            steps: VecDeque::new(),
            ahead_ms: 0,
            cursors: passed.iter().map(cursor).collect(),
            // Renditions of one source cut within a segment of each other; the rest is for uneven lengths.
            tolerance: Ticks::from(target.saturating_mul(3)),
            distance: Ticks::from(target / 2),
        }
    }

    /// The wall clock was set forward by so many milliseconds, or back.
    pub(super) fn step_clock(&mut self, by_ms: i64) {
        self.ahead_ms = self.ahead_ms.saturating_add(by_ms);
        let steps = self.lines.iter().map(|line| (line.id, line.reach + self.distance));
        self.steps.extend(steps.map(|(line, from)| ClockStep { line, from, by_ms }));
        while self.steps.len() > STEPS {
            // It lies far behind: the next one on its line is as good as the first.
            let Some(first) = self.steps.pop_front() else { break };
            if let Some(next) = self.steps.iter_mut().find(|next| next.line == first.line) {
                next.by_ms = next.by_ms.saturating_add(first.by_ms);
            }
        }
    }

    /// What the wall clock shows when the clock that never steps shows `steady`.
    pub(super) fn wall(&self, steady: SystemTime) -> SystemTime {
        shifted(steady, self.ahead_ms).unwrap_or(steady)
    }

    /// What the wall clock has stepped forward before `at` on `line`, since that began.
    fn shift_ms(&self, line: &Line, at: Ticks) -> i64 {
        let before = self.steps.iter().filter(|step| step.line == line.id && step.from <= at);
        before.fold(0, |sum, step| sum.saturating_add(step.by_ms))
    }

    /// A segment of `rendition` begins, the `position`th of this run.
    pub(super) fn open(
        &mut self,
        rendition: usize,
        position: u64,
        start: Ticks,
        has_jumped: bool,
        arrived: Option<SystemTime>,
    ) {
        if has_jumped {
            if self.next_break(rendition).is_none() {
                self.breaks.push_back(position);
            }
            self.pass(rendition);
        }
        let cursor = self.cursors[rendition];
        if has_jumped || cursor.line.is_none() {
            let line = self.joined(&cursor, start).or_else(|| self.begin(cursor.breaks, start, arrived?));
            self.set_line(rendition, line, start);
        }
        self.extend(rendition, start);
    }

    /// The segment that was opened last is complete.
    pub(super) fn close(&mut self, rendition: usize, position: u64, start: Ticks, has_jumped: bool) -> Mark {
        let is_due = self.next_break(rendition).is_some_and(|due| due <= position);
        if is_due && !has_jumped {
            self.pass(rendition);
            self.rejoin(rendition, start);
        }
        let is_discontinuity = is_due || has_jumped;
        let Some(line) = self.cursors[rendition].line else {
            return Mark { is_discontinuity, ..Mark::default() };
        };
        let shift_ms = self.shift_ms(&line, start);
        let has_stepped = std::mem::replace(&mut self.cursors[rendition].shift_ms, shift_ms) != shift_ms;
        let date_time = line.date(start).and_then(|date| shifted(date, shift_ms));
        Mark { is_discontinuity, date_time, has_stepped }
    }

    /// `rendition` goes on to `line` at `start`.
    fn set_line(&mut self, rendition: usize, line: Option<Line>, start: Ticks) {
        let shift_ms = line.map_or(0, |line| self.shift_ms(&line, start));
        let cursor = &mut self.cursors[rendition];
        (cursor.line, cursor.shift_ms) = (line, shift_ms);
    }

    /// The segment that was opened last has another map than the one before, and has not jumped: that is a break too,
    /// though PTS go on.
    pub(super) fn split(&mut self, rendition: usize, position: u64, start: Ticks) {
        if self.next_break(rendition).is_none() {
            self.breaks.push_back(position);
        }
        self.pass(rendition);
        self.rejoin(rendition, start);
    }

    /// A break that is not a jump of its own: if its PTS lie on a newer line all the same, its dates come from there.
    fn rejoin(&mut self, rendition: usize, start: Ticks) {
        if let Some(line) = self.joined(&self.cursors[rendition], start) {
            self.set_line(rendition, Some(line), start);
        }
    }

    /// No more of `rendition` will come: nothing waits for it.
    pub(super) fn leave(&mut self, rendition: usize) {
        self.cursors[rendition].is_over = true;
        self.forget_passed();
    }

    /// Where the next break is due for `rendition`, if one waits.
    fn next_break(&self, rendition: usize) -> Option<u64> {
        let ahead = self.cursors[rendition].breaks.saturating_sub(self.passed);
        self.breaks.get(usize::try_from(ahead).ok()?).copied()
    }

    fn pass(&mut self, rendition: usize) {
        self.cursors[rendition].breaks = self.cursors[rendition].breaks.saturating_add(1);
        self.forget_passed();
    }

    fn forget_passed(&mut self) {
        let running = self.cursors.iter().filter(|cursor| !cursor.is_over);
        let Some(least) = running.map(|cursor| cursor.breaks).min() else { return };
        while self.passed < least && self.breaks.pop_front().is_some() {
            self.passed += 1;
        }
    }

    /// The line begun by another rendition, after the cursor's own, on which `start` lies. The one after the
    /// same break comes first: a source that loops has the same PTS on many lines.
    fn joined(&self, cursor: &Cursor, start: Ticks) -> Option<Line> {
        let own = cursor.line.map_or(0, |line| line.id);
        let fits = |line: &&Line| {
            line.id > own && start >= line.start - self.tolerance && start <= line.reach + self.tolerance
        };
        let same_break = self.lines.iter().filter(fits).find(|line| line.breaks == cursor.breaks);
        same_break.or_else(|| self.lines.iter().rev().find(fits)).copied()
    }

    fn begin(&mut self, breaks: u64, start: Ticks, wall: SystemTime) -> Option<Line> {
        let wall = in_step(self.wall(wall), start);
        let id = self.lines.back().map_or(1, |last| last.id + 1);
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(Line { id, breaks, start, reach: start, wall });
        self.lines.back().copied()
    }

    fn extend(&mut self, rendition: usize, start: Ticks) {
        let Some(own) = self.cursors[rendition].line else { return };
        if let Some(line) = self.lines.iter_mut().find(|line| line.id == own.id) {
            line.reach = line.reach.max(start);
        }
    }
}

/// The time close to `wall` from which on PTS of whole milliseconds have dates of whole milliseconds.
///
/// Playlists tell no more than that, and hls.js lays sound beside pictures by its date. Where sound seems to begin later
/// than it does, if only by a fraction, hls.js 1.7 in low latency may look for what comes next in the segment that it has,
/// and wait for seconds. So pictures have exact dates, as far as their PTS are whole milliseconds, and sound's are cut.
fn in_step(wall: SystemTime, start: Ticks) -> SystemTime {
    let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    let beyond = since.subsec_nanos() % 1_000_000;
    let ahead = Ticks::new(start.count().rem_euclid(Ticks::PER_SECOND / 1000)).span();
    wall.checked_sub(Duration::from_nanos(beyond.into()))
        .and_then(|wall| wall.checked_add(ahead))
        .unwrap_or(wall)
}

/// The time so many milliseconds after `time`, or before it.
fn shifted(time: SystemTime, by_ms: i64) -> Option<SystemTime> {
    let by = Duration::from_millis(by_ms.unsigned_abs());
    if by_ms < 0 { time.checked_sub(by) } else { time.checked_add(by) }
}

impl Line {
    fn date(&self, at: Ticks) -> Option<SystemTime> {
        if at >= self.start {
            self.wall.checked_add(self.start.until(at))
        } else {
            self.wall.checked_sub(at.until(self.start))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_secs(4);

    fn seconds(count: i64) -> Ticks {
        Ticks::new(count * Ticks::PER_SECOND)
    }

    fn wall(count: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(count)
    }

    /// Opens and closes the segment at `position`, starting at `start` seconds, arriving at `arrived` seconds.
    fn step(
        line: &mut Timeline,
        r: usize,
        position: u64,
        start: i64,
        jumped: bool,
        arrived: u64,
    ) -> (bool, u64) {
        line.open(r, position, seconds(start), jumped, Some(wall(arrived)));
        let mark = line.close(r, position, seconds(start), jumped);
        let date = mark.date_time.unwrap().duration_since(UNIX_EPOCH).unwrap();
        (mark.is_discontinuity, date.as_secs())
    }

    #[test]
    fn a_jump_that_both_meet_is_one_break_with_one_date() {
        let mut line = Timeline::new(&[0, 0], 0, TARGET);
        assert_eq!(step(&mut line, 0, 0, 100, false, 1000), (false, 1000));
        assert_eq!(step(&mut line, 1, 0, 100, false, 1001), (false, 1000));
        assert_eq!(step(&mut line, 0, 1, 5, true, 1004), (true, 1004));
        assert_eq!(step(&mut line, 1, 1, 5, true, 1006), (true, 1004));
        assert_eq!(step(&mut line, 0, 2, 9, false, 1008), (false, 1008));
        assert_eq!(step(&mut line, 1, 2, 9, false, 1009), (false, 1008));
        assert!(line.breaks.is_empty());
    }

    #[test]
    fn one_renditions_own_jump_breaks_the_others_at_the_same_position() {
        let mut line = Timeline::new(&[0, 0], 0, TARGET);
        step(&mut line, 0, 0, 100, false, 1000);
        step(&mut line, 1, 0, 100, false, 1000);
        // Rendition 0's encoder starts anew at 0 s; rendition 1's goes on.
        assert_eq!(step(&mut line, 0, 1, 0, true, 1005), (true, 1005));
        assert_eq!(step(&mut line, 1, 1, 104, false, 1005), (true, 1004));
        assert_eq!(step(&mut line, 1, 2, 108, false, 1009), (false, 1008));
    }

    #[test]
    fn a_rendition_ahead_breaks_at_its_next_segment() {
        let mut line = Timeline::new(&[0, 0], 0, TARGET);
        for n in 0..5_u32 {
            step(&mut line, 1, n.into(), i64::from(n) * 4, false, 1000);
        }
        step(&mut line, 0, 0, 0, false, 1000);
        assert!(step(&mut line, 0, 1, 500, true, 1000).0);
        assert!(step(&mut line, 0, 2, 900, true, 1000).0);
        let late: Vec<bool> =
            (5..9_u32).map(|n| step(&mut line, 1, n.into(), i64::from(n) * 4, false, 1000).0).collect();
        assert_eq!(late, [true, true, false, false]);
    }

    #[test]
    fn a_jump_one_segment_late_still_leads_to_equal_counts() {
        let mut line = Timeline::new(&[0, 0], 0, TARGET);
        let mut tags = [0, 0];
        for n in 0..10_u32 {
            for (r, jump) in [(0, 5), (1, 6)] {
                let start = i64::from(n) * 4 + if n >= jump { 10_000 } else { 0 };
                tags[r] += u32::from(step(&mut line, r, n.into(), start, n == jump, 1000).0);
            }
        }
        assert_eq!(tags[0], tags[1]);
    }

    #[test]
    fn a_loop_joins_the_line_after_the_same_break() {
        let mut line = Timeline::new(&[0, 0], 0, TARGET);
        for pass in 0..3_u32 {
            step(&mut line, 0, pass.into(), 0, pass > 0, 1000 + u64::from(pass) * 60);
        }
        let dates: Vec<u64> =
            (0..3_u32).map(|pass| step(&mut line, 1, pass.into(), 0, pass > 0, 5000).1).collect();
        assert_eq!(dates, [1000, 1060, 1120]);
    }

    #[test]
    fn earlier_counts_that_differ_become_equal() {
        let mut line = Timeline::new(&[7, 5], 8, TARGET);
        let first: Vec<bool> = (0..4).map(|n| step(&mut line, 0, n, 0, false, 0).0).collect();
        let second: Vec<bool> = (0..4).map(|n| step(&mut line, 1, n, 0, false, 0).0).collect();
        assert_eq!(first, [true, false, false, false]);
        assert_eq!(second, [true, true, true, false]);
    }

    #[test]
    fn pictures_have_dates_of_whole_milliseconds() {
        let mut line = Timeline::new(&[0, 0], 0, TARGET);
        let arrived = wall(1000) + Duration::from_nanos(123_456_789);
        // Sound comes first, at a fraction of a millisecond; pictures 5 ms later, at whole ones.
        let (sound, picture) = (Ticks::new(126_000 - 480), Ticks::new(126_000));
        line.open(1, 0, sound, false, Some(arrived));
        line.open(0, 0, picture, false, Some(arrived));
        let date = |mark: Mark| mark.date_time.unwrap().duration_since(UNIX_EPOCH).unwrap();
        let [sound, picture] = [(1, sound), (0, picture)].map(|(r, at)| date(line.close(r, 0, at, false)));
        assert_eq!(picture.subsec_nanos() % 1_000_000, 0);
        assert_eq!(picture - sound, Duration::from_micros(5_334));
        assert!(picture.abs_diff(Duration::from_nanos(1_000_128_456_789)) < Duration::from_millis(1));
    }

    #[test]
    fn after_a_step_of_the_wall_clock_equal_pts_have_equal_dates_and_the_next_segment_the_new_one() {
        const HOUR_MS: i64 = 3_600_000;
        let mut line = Timeline::new(&[0, 0], 0, TARGET);
        let mut told = [Vec::new(), Vec::new()];
        let mut segment = |line: &mut Timeline, r: usize, n: u64| {
            // Sound begins a little later than pictures, and everything arrives by the clock that never steps.
            let start = seconds(n as i64 * 4) + Ticks::new(r as i64 * 500);
            line.open(r, n, start, false, Some(wall(1000 + n * 4)));
            let mark = line.close(r, n, start, false);
            let date = mark.date_time.unwrap().duration_since(UNIX_EPOCH).unwrap();
            assert!(!mark.is_discontinuity);
            told[r].push((date.as_secs(), mark.has_stepped));
        };
        (0..3).for_each(|n| segment(&mut line, 0, n));
        (0..2).for_each(|n| segment(&mut line, 1, n));
        line.step_clock(HOUR_MS);
        segment(&mut line, 1, 2);
        (3..5).for_each(|n| (0..2).for_each(|r| segment(&mut line, r, n)));
        line.step_clock(-HOUR_MS - 2000);
        (5..7).for_each(|n| (0..2).for_each(|r| segment(&mut line, r, n)));
        let dates = [1000, 1004, 1008, 4612, 4616, 1018, 1022];
        let steps = [false, false, false, true, false, true, false];
        assert_eq!(told[0], dates.into_iter().zip(steps).collect::<Vec<_>>());
        assert_eq!(told[0], told[1]);
    }

    #[test]
    fn a_line_that_begins_after_a_step_has_the_new_date_from_its_start() {
        let mut line = Timeline::new(&[0, 0], 0, TARGET);
        step(&mut line, 0, 0, 100, false, 1000);
        line.step_clock(60_000);
        assert_eq!(step(&mut line, 0, 1, 5, true, 1004), (true, 1064));
        assert_eq!(step(&mut line, 1, 0, 100, false, 1004), (false, 1000));
        assert_eq!(step(&mut line, 1, 1, 5, true, 1006), (true, 1064));
        // A clock that is set again and again costs no memory, and no date.
        for n in 0..10_000 {
            line.step_clock(if n % 2 == 0 { 5000 } else { -5000 });
        }
        assert_eq!(line.steps.len(), STEPS);
        line.step_clock(1000);
        assert_eq!(step(&mut line, 0, 2, 9, false, 1008), (false, 1069));
    }

    #[test]
    fn nothing_waits_for_one_that_left() {
        let mut line = Timeline::new(&[0, 0], 0, TARGET);
        line.leave(1);
        for n in 0..100 {
            step(&mut line, 0, n, 0, n > 0, 0);
        }
        assert!(line.breaks.is_empty() && line.lines.len() <= LINES);
    }
}
