//! Where segments end and begin: decided from the timestamps and random access points of one stream.

use std::time::Duration;

use super::cadence::{Cadence, MAX_FRAME};
use super::grid::{Anchors, Grid};
use super::{Head, OnMissingRandomAccess};
use crate::codec::RandomAccess;
use crate::time::{Rate, Ticks};

/// Decoding times may run back by so much before it counts as a jump: some encoders restamp a frame or two.
const BACK_TOLERANCE: Ticks = Ticks::new(Ticks::PER_SECOND / 2);
/// A hole in the decoding times that counts as a jump.
const FORWARD_LIMIT: Ticks = Ticks::new(10 * Ticks::PER_SECOND);
/// Until the longest segment is promised, a segment may grow to so many targets.
const FIRST_LIMIT: u32 = 3;

/// One access unit of the reference stream, as far as cutting goes.
#[derive(Clone, Copy, Debug)]
pub struct Picture {
    /// Presentation time.
    pub pts: Ticks,
    /// Decoding time.
    pub dts: Ticks,
    /// How a decoder may begin here, if it may.
    pub random_access: Option<RandomAccess>,
    /// Whether it brings its parameter sets.
    pub has_parameter_sets: bool,
    /// Whether the stream became another with it.
    pub is_new_format: bool,
    /// Size of its PES packet, if that says so.
    pub size_bytes: Option<usize>,
}

/// Where a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// When what follows is presented.
    pub shown: Ticks,
    /// When what follows is decoded.
    pub decoded: Ticks,
}

/// What a picture means for the segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// The open segment ends before this picture, at this time.
    pub end: Option<End>,
    /// A segment begins with this picture.
    pub begin: Option<Head>,
    /// The timeline jumped by so many ticks.
    pub jump: Option<i64>,
    /// The segment that begins does so without a random access point.
    pub is_forced: bool,
}

/// Why a segment ends before a picture.
#[derive(Clone, Copy, Debug)]
struct Reason {
    /// The picture lies where the segment must not reach.
    is_beyond: bool,
    /// The timeline breaks.
    is_break: bool,
    /// It is the last picture that can be cut at.
    is_forced: bool,
}

/// The state that judgements are made from.
#[derive(Clone, Debug)]
pub struct Timing {
    target: Ticks,
    policy: OnMissingRandomAccess,
    grid: Option<Grid>,
    shared: Anchors,
    timelines: u32,
    /// The open segment's first PTS.
    start: Option<Ticks>,
    /// When waiting for a random access point began.
    waiting_since: Option<Ticks>,
    is_break_due: bool,
    cadence: Cadence,
    last_access: Option<Ticks>,
    widest_spacing: Ticks,
    longest: Option<Ticks>,
}

impl Timing {
    /// Nothing seen yet.
    pub fn new(target: Duration, policy: OnMissingRandomAccess) -> Self {
        Self {
            target: Ticks::from(target).max(Ticks::new(1)),
            policy,
            grid: None,
            shared: Anchors::default(),
            timelines: 0,
            start: None,
            waiting_since: None,
            is_break_due: false,
            cadence: Cadence::default(),
            last_access: None,
            widest_spacing: Ticks::ZERO,
            longest: None,
        }
    }

    /// Pictures to come are those of another stream.
    pub fn follow_another(&mut self) {
        self.cadence = Cadence::default();
    }

    /// The duration of a picture, where the stream says it.
    pub fn set_frame(&mut self, frame: Ticks) {
        self.cadence.set_frame(frame);
    }

    /// The stream is sound, of so many frames a second.
    pub fn set_sound(&mut self, frames: Rate) {
        self.cadence.set_sound(frames);
    }

    /// The stream becomes another with the next random access point.
    pub fn break_at_next(&mut self) {
        self.is_break_due = true;
    }

    /// The stream becomes another here. The time at which the open segment ends, if there is one.
    pub fn break_here(&mut self) -> Option<End> {
        let end = self.end()?;
        self.promise(end.shown);
        self.start = None;
        self.leave_timeline();
        Some(end)
    }

    /// The stream breaks off, and another timeline begins whatever there was of this one. The time at which the open
    /// segment ends, if there is one.
    pub fn break_off(&mut self) -> Option<End> {
        let end = self.break_here();
        if end.is_none() {
            self.start = None;
            self.leave_timeline();
        }
        end
    }

    /// Lines are to be counted from `anchor` in timeline `timeline` (the first is 0), if that has not begun and is
    /// this one or the next.
    pub fn share_anchor(&mut self, timeline: u32, anchor: Ticks) {
        if self.timelines == timeline {
            self.shared.here = Some(anchor);
        } else if self.timelines.checked_add(1) == Some(timeline) {
            self.shared.next = Some(anchor);
        }
    }

    /// The timeline that the grid belongs to, and its anchor.
    pub fn anchor(&self) -> Option<(u32, Ticks)> {
        self.grid.map(|grid| (self.timelines, grid.anchor()))
    }

    /// When the open segment would end if the stream ended now. How long its last picture lasts is a guess, by
    /// which it is not made longer than the longest.
    pub fn end(&self) -> Option<End> {
        let (start, end) = self.start.zip(self.cadence.end())?;
        let shown =
            if self.policy == OnMissingRandomAccess::Cut { end.min(start + self.limit()) } else { end };
        Some(End { shown, decoded: self.cadence.decode_end()? })
    }

    /// Whether a segment begins with this picture, or ends before it, whatever follows.
    pub fn is_boundary(&self, picture: &Picture) -> bool {
        self.start.is_none() || self.jump(picture).is_some() || self.reason(picture, None).is_some()
    }

    /// No segment will be longer: fixed once the first one has ended.
    pub fn longest(&self) -> Duration {
        self.limit().span()
    }

    /// No segment is to be longer than `longest`, whole seconds, because others have already promised it.
    pub fn limit_to(&mut self, longest: Duration) {
        let longest = Ticks::from(longest);
        self.longest = Some(self.longest.map_or(longest, |own| own.min(longest)));
    }

    /// Whether this picture can only be judged when it is known which one is the next to be shown after it: a
    /// segment that goes on behind it may turn out longer than the longest.
    pub fn needs_next(&self, picture: &Picture) -> bool {
        self.is_place_to_force(picture, picture.pts + self.cadence.stride())
    }

    /// Judges the next access unit, in decoding order. `next` is the PTS of the one shown after it, where
    /// [`Timing::needs_next`] asked for it.
    pub fn judge(&mut self, picture: &Picture, next: Option<Ticks>) -> Judgement {
        let mut judgement = Judgement::default();
        if let Some(by) = self.jump(picture) {
            judgement.jump = Some(by);
            judgement.end = self.break_here();
        }
        self.measure(picture);
        if self.start.is_none() {
            self.begin(picture, &mut judgement);
        } else {
            self.go_on(picture, next, &mut judgement);
        }
        self.cadence.go_on_to(picture);
        judgement
    }

    /// By how much the timeline jumps at this picture, if it does.
    fn jump(&self, picture: &Picture) -> Option<i64> {
        let step = picture.dts - self.cadence.last_dts()?;
        let start = self.start?;
        // A hole that no segment may span breaks the timeline as well, however short it is.
        let is_hole = step > MAX_FRAME && picture.pts - start > self.limit();
        (is_jump(step) || is_hole).then_some(step.count())
    }

    fn leave_timeline(&mut self) {
        self.timelines += 1;
        self.grid = None;
        self.shared.turn();
        self.cadence.restart();
        self.last_access = None;
        self.waiting_since = None;
        self.is_break_due = false;
    }

    /// Learns picture durations and the spacing of random access points.
    fn measure(&mut self, picture: &Picture) {
        self.cadence.measure(picture);
        if picture.random_access.is_some() {
            if let Some(last) = self.last_access {
                self.widest_spacing = self.widest_spacing.max(picture.pts - last);
            }
            self.last_access = Some(picture.pts);
        }
    }

    fn begin(&mut self, picture: &Picture, judgement: &mut Judgement) {
        let has_jumped = self.cadence.last_dts().is_some_and(|last| is_jump(picture.dts - last));
        if has_jumped {
            self.waiting_since = None;
        }
        let since = *self.waiting_since.get_or_insert(picture.dts);
        let is_late = picture.dts - since > self.limit() && self.policy == OnMissingRandomAccess::Cut;
        if picture.random_access.is_none() && !is_late {
            return;
        }
        judgement.is_forced = picture.random_access.is_none();
        self.open(picture, self.timelines > 0, judgement);
    }

    fn go_on(&mut self, picture: &Picture, next: Option<Ticks>, judgement: &mut Judgement) {
        let Some(Reason { is_beyond, is_break, is_forced }) = self.reason(picture, next) else { return };
        // Where another stream begins, its timestamps may run back over those of the old one; and where a picture
        // comes later than any stride told, nothing says what lasts so long.
        let is_apart = is_beyond || is_break && self.cadence.max_pts().is_some_and(|max| picture.pts <= max);
        let here = End { shown: picture.pts, decoded: picture.dts };
        let end = if is_apart { self.end() } else { None }.unwrap_or(here);
        judgement.end = Some(end);
        judgement.is_forced = is_forced || is_beyond && picture.random_access.is_none();
        self.promise(end.shown);
        if is_break {
            self.leave_timeline();
        }
        self.open(picture, is_break, judgement);
    }

    /// Why the open segment ends before this picture, if it does.
    fn reason(&self, picture: &Picture, next: Option<Ticks>) -> Option<Reason> {
        let is_access = picture.random_access.is_some();
        let is_beyond = self.policy == OnMissingRandomAccess::Cut
            && self.start.is_some_and(|start| picture.pts - start > self.limit());
        let is_break = is_beyond || is_access && (self.is_break_due || picture.is_new_format);
        let is_due = is_access && self.grid.is_some_and(|grid| grid.is_due(picture.pts));
        let is_forced = next.is_some_and(|next| self.is_place_to_force(picture, next));
        (is_break || is_due || is_forced).then_some(Reason { is_beyond, is_break, is_forced })
    }

    fn open(&mut self, picture: &Picture, is_discontinuity: bool, judgement: &mut Judgement) {
        let is_independent = picture.random_access.is_some_and(RandomAccess::is_independent);
        judgement.begin = Some(Head {
            start: picture.pts,
            decode_start: picture.dts,
            is_discontinuity,
            is_independent: is_independent && picture.has_parameter_sets,
        });
        self.start = Some(picture.pts);
        self.is_break_due = false;
        match &mut self.grid {
            Some(grid) => grid.pass(picture.pts),
            None => {
                self.grid = Some(self.shared.grid(self.target, picture.pts));
            }
        }
    }

    /// Whether a segment that goes on up to the picture at `next` is longer than the longest, and can be cut at
    /// this one. Only pictures shown after all earlier ones come into question, so that none shown before the cut
    /// lies behind it.
    fn is_place_to_force(&self, picture: &Picture, next: Ticks) -> bool {
        let (Some(start), OnMissingRandomAccess::Cut) = (self.start, self.policy) else { return false };
        let is_ahead = self.cadence.max_pts().is_some_and(|max| picture.pts > max) && picture.pts > start;
        picture.random_access.is_none() && is_ahead && next - start > self.limit()
    }

    fn limit(&self) -> Ticks {
        self.longest
            .unwrap_or_else(|| whole_seconds(Ticks::new(self.target.count() * i64::from(FIRST_LIMIT))))
    }

    /// The first segment ends at `end`: promises how long segments will be, from the spacing seen in it.
    ///
    /// Random access points that come every s make no segment on a grid of t longer than ⌈t/s⌉ × s.
    fn promise(&mut self, end: Ticks) {
        if self.longest.is_some() {
            return;
        }
        let (target, spacing) = (self.target.count(), self.widest_spacing.count().max(1));
        let regular = Ticks::new((target + spacing - 1) / spacing * spacing);
        let first = self.start.map_or(Ticks::ZERO, |start| end - start);
        let longest = regular.max(first).max(self.target);
        self.longest = Some(whole_seconds(longest).min(whole_seconds(self.limit())));
    }
}

/// Whether no stream that runs on steps so far from one access unit to the next.
pub fn is_jump(step: Ticks) -> bool {
    step < Ticks::ZERO - BACK_TOLERANCE || step > FORWARD_LIMIT
}

fn whole_seconds(ticks: Ticks) -> Ticks {
    let second = Ticks::PER_SECOND;
    Ticks::new((ticks.count() + second - 1) / second * second)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: i64 = 3600;

    fn timing(target_s: u64) -> Timing {
        Timing::new(Duration::from_secs(target_s), OnMissingRandomAccess::Cut)
    }

    /// Pictures at 25 a second, a random access point every `gop`; where segments begin, in seconds.
    fn starts(
        timing: &mut Timing,
        gop: usize,
        frames: std::ops::Range<usize>,
        offset: i64,
    ) -> Vec<(f64, bool)> {
        let mut starts = Vec::new();
        for n in frames {
            let pts = Ticks::new(offset + n as i64 * FRAME);
            let random_access = (n % gop == 0).then_some(RandomAccess::Closed);
            let picture = picture_at(pts.count(), random_access);
            let next = timing.needs_next(&picture).then_some(pts + Ticks::new(FRAME));
            let judgement = timing.judge(&picture, next);
            if let Some(head) = judgement.begin {
                starts.push((head.start.count() as f64 / 90_000.0, head.is_discontinuity));
            }
        }
        starts
    }

    fn times(starts: Vec<(f64, bool)>) -> Vec<f64> {
        starts.into_iter().map(|(start, _)| start).collect()
    }

    #[test]
    fn boundaries_are_the_first_points_at_or_behind_the_lines() {
        let mut timing = timing(4);
        assert_eq!(times(starts(&mut timing, 60, 0..600, 0)), [0.0, 4.8, 9.6, 12.0, 16.8, 21.6]);
        assert_eq!(timing.longest(), Duration::from_secs(5));
    }

    #[test]
    fn points_on_the_grid_make_the_target_the_longest() {
        let mut timing = timing(4);
        assert_eq!(times(starts(&mut timing, 50, 0..400, 0)), [0.0, 4.0, 8.0, 12.0]);
        assert_eq!(timing.longest(), Duration::from_secs(4));
    }

    #[test]
    fn sparse_points_make_longer_segments_from_the_first_on() {
        let mut timing = timing(4);
        assert_eq!(times(starts(&mut timing, 250, 0..800, 0)), [0.0, 10.0, 20.0, 30.0]);
        assert_eq!(timing.longest(), Duration::from_secs(10));
    }

    #[test]
    fn a_missing_point_is_cut_for_before_the_longest_is_exceeded() {
        let mut timing = timing(4);
        starts(&mut timing, 50, 0..101, 0);
        let later = times(starts(&mut timing, 10_000, 101..400, 0));
        assert_eq!(later.first(), Some(&8.0));
        assert!(later.windows(2).all(|pair| pair[1] - pair[0] <= 4.0));
        assert_eq!(timing.longest(), Duration::from_secs(4));
    }

    #[test]
    fn a_jump_ends_the_segment_and_waits_for_a_point() {
        let mut timing = timing(4);
        starts(&mut timing, 50, 0..110, 0);
        let picture = picture_at(5, None);
        let judgement = timing.judge(&picture, None);
        assert_eq!(judgement.end.map(|end| end.shown), Some(Ticks::new(110 * FRAME)));
        assert!(judgement.begin.is_none() && judgement.jump.is_some());
        assert_eq!(starts(&mut timing, 50, 1..300, 0), [(2.0, true), (6.0, false), (10.0, false)]);
    }

    #[test]
    fn a_stream_that_begins_over_the_old_ones_time_leaves_it_its_duration() {
        let mut timing = timing(4);
        starts(&mut timing, 50, 0..105, 0);
        let pts = Ticks::new(100 * FRAME);
        let random_access = Some(RandomAccess::Closed);
        let picture = Picture { is_new_format: true, ..picture_at(pts.count(), random_access) };
        let judgement = timing.judge(&picture, None);
        assert_eq!(judgement.end.map(|end| end.shown), Some(Ticks::new(105 * FRAME)));
        assert_eq!(judgement.begin.map(|head| (head.start, head.is_discontinuity)), Some((pts, true)));
    }

    fn picture_at(pts: i64, random_access: Option<RandomAccess>) -> Picture {
        let pts = Ticks::new(pts);
        Picture {
            pts,
            dts: pts,
            random_access,
            has_parameter_sets: true,
            is_new_format: false,
            size_bytes: None,
        }
    }

    #[test]
    fn an_unforeseen_stride_over_the_longest_breaks_the_timeline_and_loses_nothing() {
        let mut timing = timing(4);
        starts(&mut timing, 50, 0..101, 0);
        starts(&mut timing, 10_000, 101..199, 0);
        let judgement = timing.judge(&picture_at(220 * FRAME, None), None);
        assert_eq!(judgement.end.map(|end| end.shown), Some(Ticks::new(199 * FRAME)));
        assert!(judgement.is_forced && judgement.begin.is_some_and(|head| head.is_discontinuity));
    }

    #[test]
    fn the_guessed_end_of_the_last_picture_makes_no_segment_too_long() {
        let mut timing = timing(4);
        starts(&mut timing, 50, 0..101, 0);
        starts(&mut timing, 10_000, 101..200, 0);
        timing.judge(&picture_at(200 * FRAME - 10, None), None);
        assert_eq!(timing.end().map(|end| end.shown), Some(Ticks::new(200 * FRAME)));
    }

    #[test]
    fn a_shared_anchor_aligns_a_late_comer() {
        let mut late = timing(4);
        late.share_anchor(0, Ticks::ZERO);
        assert_eq!(times(starts(&mut late, 25, 30..400, 0)), [2.0, 4.0, 8.0, 12.0]);
        late.share_anchor(1, Ticks::new(1));
        assert_eq!(late.anchor(), Some((0, Ticks::ZERO)));
    }

    #[test]
    fn a_rendition_whose_timestamps_lie_a_frame_before_the_others_is_cut_at_the_same_pictures() {
        for early in [-2, -1, 0, 1, 2] {
            let mut timing = timing(4);
            timing.share_anchor(0, Ticks::new(-early * FRAME));
            assert_eq!(times(starts(&mut timing, 50, 0..400, 0)), [0.0, 4.0, 8.0, 12.0], "{early}");
        }
    }

    #[test]
    fn an_anchor_told_before_the_jump_holds_behind_it() {
        let mut timing = timing(4);
        starts(&mut timing, 50, 0..110, 0);
        let hour = 3600 * Ticks::PER_SECOND;
        timing.share_anchor(1, Ticks::new(hour));
        assert_eq!(times(starts(&mut timing, 25, 40..400, hour)), [3602.0, 3604.0, 3608.0, 3612.0]);
    }

    #[test]
    fn a_stream_without_points_is_cut_all_the_same() {
        let mut timing = timing(2);
        let starts = times(starts(&mut timing, usize::MAX, 1..1000, 0));
        assert!(starts.len() > 3);
        assert!(starts.windows(2).all(|pair| pair[1] - pair[0] <= timing.longest().as_secs_f64()));
    }

    #[test]
    fn extending_never_cuts_without_a_point() {
        let mut timing = Timing::new(Duration::from_secs(2), OnMissingRandomAccess::Extend);
        assert_eq!(times(starts(&mut timing, 2000, 0..2001, 0)), [0.0, 80.0]);
    }
}
