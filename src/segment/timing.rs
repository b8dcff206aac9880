//! Where segments end and begin: decided from the timestamps and random access points of the reference stream, and
//! from the audio clock while no picture arrives.

use std::time::Duration;

use super::cadence::Cadence;
use super::clock::Clock;
use super::grid::{Anchors, Grid};
use super::spacing::Spacing;
use super::{Head, OnMissingRandomAccess};
use crate::codec::RandomAccess;
use crate::time::{Rate, Ticks};

/// Decoding times may step back by this much before it counts as a jump: some encoders restamp a frame or two.
const BACK_TOLERANCE: Ticks = Ticks::new(Ticks::PER_SECOND / 2);
/// A longer step of the decoding times is a jump, unless another stream ran on meanwhile.
const FORWARD_LIMIT: Ticks = Ticks::new(10 * Ticks::PER_SECOND);
/// A longer step is no frame rate, where others are much shorter: something is missing.
const OUTAGE: Ticks = Ticks::new(Ticks::PER_SECOND);
/// Audio that is no farther ahead of the pictures than this shows no absence: it may be sent after them.
const AHEAD: Ticks = Ticks::new(Ticks::PER_SECOND / 10);
/// How long before its limit a segment is cut by the audio clock as soon as pictures stall.
const PRESSING: Ticks = Ticks::new(Ticks::PER_SECOND / 2);
/// Audio that lies farther behind the pictures is of another timeline.
const BEHIND: Ticks = Ticks::new(3 * Ticks::PER_SECOND);
/// Until the target duration is fixed, a segment may grow to this many targets while it waits for the second random
/// access point, whose distance tells what target duration the stream can keep.
const FIRST_LIMIT: i64 = 3;
/// The least of that limit: cameras send a keyframe every 8 to 10 s.
const FIRST_LIMIT_LEAST: Ticks = Ticks::new(12 * Ticks::PER_SECOND);
/// How far a segment may exceed its EXT-X-TARGETDURATION: EXTINF is rounded to the nearest integer before they are
/// compared (RFC 8216 §4.3.3.1).
const ROUNDING: Ticks = Ticks::new(Ticks::PER_SECOND / 2 - 1);
/// A duration that exceeds whole seconds by no more than this needs no higher target duration; the rest of the
/// rounding is left for jitter.
const ROUND_DOWN: Ticks = Ticks::new(Ticks::PER_SECOND / 4);
/// Random access points whose distance falls short of the target by less are on the grid but for jitter.
const JITTER: Ticks = Ticks::new(Ticks::PER_SECOND / 20);
/// A segment that follows the grid is never shorter, unless its target is shorter than four of these.
const SHORTEST: Ticks = Ticks::new(Ticks::PER_SECOND / 4);
/// How much audio arrives before segments start without the video that the PMT lists.
const START_WAIT: Ticks = Ticks::new(5 * Ticks::PER_SECOND);
/// Video that returns after this much audio starts another timeline, as if it arrived for the first time.
const LOST_AFTER: Ticks = Ticks::new(20 * Ticks::PER_SECOND);

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

/// What an access unit means for the segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// The open segment ends before this access unit, at this time.
    pub end: Option<End>,
    /// A segment begins with this access unit.
    pub begin: Option<Head>,
    /// The timeline jumped by so many ticks.
    pub jump: Option<i64>,
    /// The segment that begins does so without a random access point, though pictures arrive.
    pub is_forced: bool,
    /// The picture belongs to no segment: nothing can decode it.
    pub is_left_out: bool,
    /// It is left out because its segment ended long before.
    pub is_stale: bool,
    /// Pictures stopped arriving, or arrive again: whether segments follow the audio clock from here on.
    pub follows_audio: Option<bool>,
    /// The segment that ends is longer than its target duration allows, by this duration.
    pub too_long: Option<Duration>,
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
    /// How much later than decoded its first picture is presented.
    delay: Ticks,
    /// When waiting for a random access point began.
    waiting_since: Option<Ticks>,
    is_break_due: bool,
    cadence: Cadence,
    spacing: Spacing,
    clock: Clock,
    /// How far the last audio was ahead of the pictures.
    audio_ahead: Option<Ticks>,
    /// No picture of this timeline arrived yet, or none for so long that the next one starts another.
    is_without_video: bool,
    /// Segments are cut by the audio clock.
    follows_audio: bool,
    /// EXT-X-TARGETDURATION, once it is fixed.
    promised: Option<Ticks>,
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
            delay: Ticks::ZERO,
            waiting_since: None,
            is_break_due: false,
            cadence: Cadence::default(),
            spacing: Spacing::default(),
            clock: Clock::default(),
            audio_ahead: None,
            is_without_video: false,
            follows_audio: false,
            promised: None,
        }
    }

    /// Pictures to come are those of another stream.
    pub fn follow_another(&mut self) {
        self.cadence = Cadence::default();
        self.clock = Clock::default();
    }

    /// The duration of a picture, where the stream says it.
    pub fn set_frame(&mut self, frame: Ticks) {
        self.cadence.set_frame(frame);
    }

    /// The stream is sound, of so many frames a second.
    pub fn set_sound(&mut self, frames: Rate) {
        self.cadence.set_sound(frames);
    }

    /// The audio beside the pictures has this many frames a second.
    pub fn set_clock(&mut self, frames: Rate) {
        self.clock.set_sound(frames);
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
        self.clock = Clock::default();
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

    /// Returns when the open segment would end if the stream ended now. How long its last picture lasts is estimated;
    /// where audio outlasts the pictures, the audio's end counts.
    pub fn end(&self) -> Option<End> {
        let start = self.start?;
        let pictures = self.cadence.end().zip(self.cadence.decode_end());
        let audio = self.clock.end().filter(|_| self.follows_audio || self.clock.is_absent());
        let audio = audio.map(|end| (end, end - self.delay));
        let (shown, decoded) = match (pictures, audio) {
            (Some(pictures), Some(audio)) if audio.0 > pictures.0 => audio,
            (pictures, audio) => pictures.or(audio)?,
        };
        Some(End { shown: shown.max(start + Ticks::new(1)), decoded })
    }

    /// Whether a segment begins with this picture, or ends before it, whatever follows.
    pub fn is_boundary(&self, picture: &Picture) -> bool {
        self.start.is_none() || self.jump(picture).is_some() || self.reason(picture, None).is_some()
    }

    /// EXT-X-TARGETDURATION that the segments keep, once the first one has ended.
    pub fn longest(&self) -> Duration {
        self.promised.unwrap_or_else(|| whole_seconds(self.limit())).span()
    }

    /// Segments are to keep the target duration `longest`, whole seconds, because others have already promised it.
    pub fn limit_to(&mut self, longest: Duration) {
        let longest = Ticks::from(longest);
        self.promised = Some(self.promised.map_or(longest, |own| own.min(longest)));
    }

    /// The distance of random access points, where it forces segments to be at least half as long again as their
    /// target.
    pub fn sparse_spacing(&self) -> Option<Ticks> {
        let widest = self.spacing.widest();
        (widest.count() > self.target.count() / 2 * 3).then_some(widest)
    }

    /// Whether this picture can only be judged when it is known which one is the next to be shown after it: a
    /// segment that goes on behind it may turn out longer than the longest.
    pub fn needs_next(&self, picture: &Picture) -> bool {
        self.is_place_to_force(picture, picture.pts + self.cadence.stride())
    }

    /// Whether so much audio arrived up to `audio` that a picture which is waited for is late.
    pub fn is_late(&self, audio: Ticks) -> bool {
        self.clock.would_stall(audio)
    }

    /// Judges the next access unit, in decoding order. `next` is the PTS of the one shown after it, where
    /// [`Timing::needs_next`] asked for it.
    pub fn judge(&mut self, picture: &Picture, next: Option<Ticks>) -> Judgement {
        let mut judgement = Judgement::default();
        self.is_without_video |= self.start.is_some() && self.clock.silence() > LOST_AFTER;
        if self.is_without_video && self.start.is_some() {
            if !self.may_begin(picture) {
                judgement.is_left_out = true;
                return judgement;
            }
            judgement.end = self.break_here();
        } else if let Some(by) = self.jump(picture) {
            judgement.jump = Some(by);
            judgement.end = self.break_here();
        }
        if self.follows_audio
            && self.start.is_some_and(|start| picture.pts < start)
            && self.clock.is_stale(picture.pts)
        {
            // Multiplexers hold the last picture up for 10 s where none follows. Its segment is out long since.
            judgement.is_left_out = true;
            judgement.is_stale = true;
            return judgement;
        }
        self.clock.picture(self.cadence.max_pts().map_or(Ticks::ZERO, |max| picture.pts - max));
        if std::mem::take(&mut self.follows_audio) {
            judgement.follows_audio = Some(false);
        }
        if self.start.is_none() && self.cadence.last_dts().is_some_and(|last| is_jump(picture.dts - last)) {
            self.waiting_since = None;
            self.cadence.restart();
        }
        self.cadence.measure(picture);
        if picture.random_access.is_some() {
            self.spacing.add(picture.pts);
        }
        if self.start.is_none() {
            self.begin(picture, &mut judgement);
        } else {
            self.go_on(picture, next, &mut judgement);
        }
        self.cadence.go_on_to(picture);
        judgement
    }

    /// Takes the audio clock to a PES packet of `size_bytes` that starts at `at`. While pictures arrive it only measures;
    /// while none does, segments are cut here.
    pub fn tick(&mut self, at: Ticks, size_bytes: Option<usize>) -> Judgement {
        let mut judgement = Judgement { jump: self.audio_jump(at), ..Judgement::default() };
        let has_jumped =
            self.clock.go_on_to(&Picture { size_bytes, dts: at, ..self.silent(at) }, FORWARD_LIMIT);
        let Some(start) = self.start else {
            self.begin_without_video(START_WAIT, &mut judgement);
            return judgement;
        };
        // A short absence is waited out, unless the segment would become too long.
        let is_pressing = self.policy == OnMissingRandomAccess::Cut && at - start + PRESSING >= self.limit();
        let is_due = is_pressing && self.clock.is_over();
        if !(self.clock.is_absent() || is_due) {
            return judgement;
        }
        let expected = self.cadence.max_pts().unwrap_or(start).max(start);
        let is_apart = self.clock.run_start() > expected + FORWARD_LIMIT || at + BEHIND < expected;
        let is_ahead = at > expected + AHEAD;
        if (has_jumped || is_apart) && !self.clock.is_absent() || !is_apart && !is_ahead {
            return judgement;
        }
        if has_jumped || is_apart {
            judgement.jump = Some((at - expected).count());
            judgement.end = self.break_here();
            self.is_without_video = true;
            self.open(&self.silent(at), true, &mut judgement);
        } else if is_due
            || self.grid.is_some_and(|grid| grid.is_due(at, Ticks::ZERO)) && at - start >= self.shortest()
        {
            let picture = self.silent(at);
            judgement.end = Some(End { shown: at, decoded: picture.dts });
            self.promise(at);
            judgement.too_long = self.excess(at - start);
            self.open(&picture, false, &mut judgement);
        }
        if judgement.begin.is_some() && !std::mem::replace(&mut self.follows_audio, true) {
            judgement.follows_audio = Some(true);
        }
        judgement
    }

    /// Returns by how much the audio jumps at `at`, if it does without the pictures. After a gap of its own it is as far from
    /// them as before.
    fn audio_jump(&mut self, at: Ticks) -> Option<i64> {
        let ahead = self.cadence.max_pts().filter(|_| self.start.is_some()).map(|max| at - max);
        let before = std::mem::replace(&mut self.audio_ahead, ahead);
        let is_step =
            self.clock.step_to(at).is_some_and(|step| step > OUTAGE || step < Ticks::ZERO - BACK_TOLERANCE);
        let by = before.zip(ahead).filter(|_| is_step).map(|(before, ahead)| (ahead - before).count());
        by.filter(|by| by.abs() > OUTAGE.count())
    }

    /// The stream is over and no segment is open: starts one with the audio that waits for pictures.
    pub fn begin_at_end(&mut self) -> Judgement {
        let mut judgement = Judgement::default();
        if self.start.is_none() {
            self.begin_without_video(Ticks::new(-1), &mut judgement);
        }
        judgement
    }

    /// The decoding time of audio at `at`, among the pictures'.
    pub fn silent(&self, at: Ticks) -> Picture {
        Picture {
            pts: at,
            dts: at - self.delay,
            random_access: None,
            has_parameter_sets: false,
            is_new_format: false,
            size_bytes: None,
        }
    }

    /// Whether pictures do not arrive although audio does.
    pub fn is_stalled(&self) -> bool {
        self.clock.is_stalled()
    }

    /// Starts a segment at the first audio, once more than `wait` of it arrived since the last picture.
    fn begin_without_video(&mut self, wait: Ticks, judgement: &mut Judgement) {
        let Some(first) = self.clock.first() else { return };
        if self.clock.silence() <= wait {
            return;
        }
        self.is_without_video = true;
        self.follows_audio = true;
        judgement.follows_audio = Some(true);
        self.delay = Ticks::ZERO;
        self.open(&self.silent(first), self.timelines > 0, judgement);
    }

    /// Returns by how much the timeline jumps at this picture, if it does. A gap in the pictures during which audio ran
    /// on is not a jump.
    fn jump(&self, picture: &Picture) -> Option<i64> {
        let step = picture.dts - self.cadence.last_dts()?;
        self.start?;
        if !is_jump(step) {
            return self.is_outage(picture, step).then_some(step.count());
        }
        let last = self.cadence.max_pts()?;
        (step < Ticks::ZERO || !self.clock.has_run(last, picture.pts)).then_some(step.count())
    }

    /// Returns whether so much of all streams is missing before this picture that no segment may span it: EXTINF must not
    /// exceed the target duration.
    fn is_outage(&self, picture: &Picture, step: Ticks) -> bool {
        let (Some(start), Some(last), Some(_)) = (self.start, self.cadence.max_pts(), self.promised) else {
            return false;
        };
        self.policy == OnMissingRandomAccess::Cut
            && step > OUTAGE.max(Ticks::new(self.cadence.usual_step().count().saturating_mul(3)))
            && picture.pts - start > self.limit()
            && !self.clock.is_steady(last, picture.pts)
    }

    fn leave_timeline(&mut self) {
        self.timelines += 1;
        self.audio_ahead = None;
        self.grid = None;
        self.shared.turn();
        self.cadence.restart();
        self.spacing.restart();
        self.waiting_since = None;
        self.is_break_due = false;
        self.is_without_video = false;
    }

    /// Whether a segment may begin with this picture.
    fn may_begin(&mut self, picture: &Picture) -> bool {
        let since = *self.waiting_since.get_or_insert(picture.dts);
        let wait = Ticks::new(self.target.count().saturating_mul(FIRST_LIMIT));
        let is_late = picture.dts - since > wait && self.policy == OnMissingRandomAccess::Cut;
        picture.random_access.is_some() || is_late
    }

    fn begin(&mut self, picture: &Picture, judgement: &mut Judgement) {
        if !self.may_begin(picture) {
            return;
        }
        judgement.is_forced = picture.random_access.is_none();
        self.open(picture, self.timelines > 0, judgement);
    }

    fn go_on(&mut self, picture: &Picture, next: Option<Ticks>, judgement: &mut Judgement) {
        let Some(Reason { is_beyond, is_break, is_forced }) = self.reason(picture, next) else { return };
        // Where another stream begins, its timestamps may run back over those of the old one.
        let is_apart = is_break && self.cadence.max_pts().is_some_and(|max| picture.pts <= max);
        let here = End { shown: picture.pts, decoded: picture.dts };
        let end = if is_apart { self.end() } else { None }.unwrap_or(here);
        judgement.end = Some(end);
        judgement.is_forced = is_forced || is_beyond && picture.random_access.is_none();
        self.promise(end.shown);
        judgement.too_long = self.start.and_then(|start| self.excess(end.shown - start));
        if is_break {
            self.leave_timeline();
        }
        self.open(picture, is_break, judgement);
    }

    /// Why the open segment ends before this picture, if it does.
    fn reason(&self, picture: &Picture, next: Option<Ticks>) -> Option<Reason> {
        let start = self.start?;
        let is_access = picture.random_access.is_some();
        let is_ahead = self.cadence.max_pts().is_none_or(|max| picture.pts > max);
        let is_beyond =
            self.policy == OnMissingRandomAccess::Cut && is_ahead && picture.pts - start > self.limit();
        let is_break = is_access && (self.is_break_due || picture.is_new_format);
        let is_due = is_access && self.is_due(picture.pts, start);
        let is_forced = next.is_some_and(|next| self.is_place_to_force(picture, next));
        (is_beyond || is_break || is_due || is_forced).then_some(Reason { is_beyond, is_break, is_forced })
    }

    /// Whether a random access point at `pts` belongs to the next line, or the next one would come too late.
    fn is_due(&self, pts: Ticks, start: Ticks) -> bool {
        let is_last = self.promised.is_some()
            && self.policy == OnMissingRandomAccess::Cut
            && pts + self.spacing.usual() - start > self.limit();
        let is_near = || self.grid.is_some_and(|grid| grid.is_due(pts, self.tolerance()));
        pts - start >= self.shortest() && (is_last || is_near())
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
        self.clock.settle();
        self.delay = picture.pts - picture.dts;
        self.is_break_due = false;
        self.waiting_since = None;
        let tolerance = if picture.random_access.is_some() { self.tolerance() } else { Ticks::ZERO };
        match &mut self.grid {
            Some(grid) => grid.pass(picture.pts, tolerance),
            None => {
                self.grid = Some(self.shared.grid(self.target, picture.pts));
            }
        }
    }

    /// How far before its line a random access point may lie: the next one, as far away as the others, would lie
    /// farther behind it.
    fn tolerance(&self) -> Ticks {
        let half = Ticks::new((self.spacing.usual().count() - 1).max(0) / 2);
        half.min(Ticks::new(self.target.count() / 2))
    }

    /// Segments on the grid are not shorter.
    fn shortest(&self) -> Ticks {
        SHORTEST.min(Ticks::new(self.target.count() / 4))
    }

    /// Whether a segment that goes on up to the picture at `next` is longer than the longest, and can be cut at
    /// this one. Only pictures shown after all earlier ones come into question, so that none shown before the cut
    /// lies behind it.
    fn is_place_to_force(&self, picture: &Picture, next: Ticks) -> bool {
        let (Some(start), OnMissingRandomAccess::Cut) = (self.start, self.policy) else { return false };
        let is_ahead = self.cadence.max_pts().is_some_and(|max| picture.pts > max) && picture.pts > start;
        picture.random_access.is_none() && is_ahead && next - start > self.limit()
    }

    /// How long a segment may become.
    fn limit(&self) -> Ticks {
        let first = Ticks::new(self.target.count().saturating_mul(FIRST_LIMIT)).max(FIRST_LIMIT_LEAST);
        self.promised.map_or(first, |promised| promised + ROUNDING)
    }

    /// The duration, if it is longer than the target duration allows.
    fn excess(&self, duration: Ticks) -> Option<Duration> {
        let is_kept = self.policy == OnMissingRandomAccess::Extend || duration <= self.limit();
        (!is_kept).then(|| duration.span())
    }

    /// The first segment ends at `end`: promises how long segments will be, from the spacing seen in it.
    ///
    /// Random access points that come every s make no segment on a grid of t longer than ⌈t/s⌉ × s.
    fn promise(&mut self, end: Ticks) {
        if self.promised.is_some() {
            return;
        }
        let (target, spacing) = (self.target.count(), self.spacing.widest().count().max(1));
        let intervals = (target - JITTER.count().max(target / 50)).max(0) / spacing + 1;
        let regular = Ticks::new(intervals.saturating_mul(spacing));
        let first = self.start.map_or(Ticks::ZERO, |start| end - start);
        let longest = regular.max(first).max(self.target).min(self.limit());
        self.promised = Some(target_seconds(longest));
    }
}

/// Whether no stream that runs on steps so far from one access unit to the next.
pub fn is_jump(step: Ticks) -> bool {
    step < Ticks::ZERO - BACK_TOLERANCE || step > FORWARD_LIMIT
}

/// The target duration that segments of this duration keep: whole seconds, rounded down where little is missing.
fn target_seconds(duration: Ticks) -> Ticks {
    let second = Ticks::new(Ticks::PER_SECOND);
    whole_seconds(duration - ROUND_DOWN).max(second)
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
    fn each_line_takes_the_nearest_point() {
        let mut timing = timing(4);
        assert_eq!(times(starts(&mut timing, 60, 0..600, 0)), [0.0, 4.8, 7.2, 12.0, 16.8, 19.2]);
        assert_eq!(timing.longest(), Duration::from_secs(5));
    }

    #[test]
    fn a_point_is_taken_where_the_next_one_would_be_too_late() {
        // Points 0.96 s apart drift through the lines, and two of them make no segment of a second.
        let mut timing = timing(1);
        let begun = times(starts(&mut timing, 24, 0..960, 0));
        assert_eq!(begun, (0..40).map(|n| n as f64 * 24.0 / 25.0).collect::<Vec<_>>());
        assert_eq!(timing.longest(), Duration::from_secs(1));
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
        assert_eq!(later.first(), Some(&8.48), "the last picture before 4.5 s, which round to 5");
        assert!(later.windows(2).all(|pair| pair[1] - pair[0] < 4.5));
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
    fn a_gap_in_the_pictures_is_told_with_its_real_duration() {
        let mut timing = timing(4);
        starts(&mut timing, 50, 0..101, 0);
        starts(&mut timing, 10_000, 101..199, 0);
        let judgement = timing.judge(&picture_at(220 * FRAME, None), None);
        assert_eq!(judgement.end.map(|end| end.shown), Some(Ticks::new(220 * FRAME)));
        assert_eq!(judgement.too_long, Some(Duration::from_millis(4800)));
        assert!(judgement.is_forced && judgement.begin.is_some_and(|head| !head.is_discontinuity));
    }

    #[test]
    fn points_that_jitter_around_the_lines_are_taken() {
        for jitter in [900, 3600, 6000] {
            let mut timing = timing(2);
            let offset = |n: i64| if n == 0 { 0 } else { [-jitter, jitter, 0][n as usize % 3] };
            let mut begun = Vec::new();
            for n in 0..500_i64 {
                let pts = n * FRAME + if n % 50 == 0 { offset(n / 50) } else { 0 };
                let picture = picture_at(pts, (n % 50 == 0).then_some(RandomAccess::Closed));
                let next = timing.needs_next(&picture).then_some(Ticks::new((n + 1) * FRAME));
                begun.extend(timing.judge(&picture, next).begin.map(|head| head.start.count()));
            }
            let expected: Vec<_> = (0..10).map(|n| n * 50 * FRAME + offset(n)).collect();
            assert_eq!(begun, expected, "{jitter}");
            assert_eq!(timing.longest(), Duration::from_secs(2));
        }
    }

    /// Audio from `from` to `to`, in seconds, a PES packet each 0.1 s; where segments begin in it, in seconds.
    fn audio(timing: &mut Timing, from: i64, to: i64) -> Vec<f64> {
        let ticks = (from * 10..to * 10).map(|n| Ticks::new(n * Ticks::PER_SECOND / 10));
        let begun = ticks.filter_map(|at| timing.tick(at, Some(1000)).begin);
        begun.map(|head| head.start.count() as f64 / 90_000.0).collect()
    }

    #[test]
    fn segments_follow_the_audio_while_pictures_are_away() {
        let mut timing = timing(2);
        audio(&mut timing, 0, 1);
        starts(&mut timing, 50, 0..125, 0);
        assert_eq!(audio(&mut timing, 1, 20), [6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0]);
        assert_eq!(starts(&mut timing, 50, 500..560, 0), [(20.0, false), (22.0, false)]);
    }

    /// Where segments begin, in seconds, with pictures `step` apart, the first of each `gop` a random access point, and audio
    /// of a third of a second beside them.
    fn slow(target_s: u64, step: i64, gop: i64, count: i64) -> (Vec<f64>, Duration) {
        let mut timing = timing(target_s);
        let mut begun = Vec::new();
        for at in (0..count * step).step_by(Ticks::PER_SECOND as usize / 3) {
            let n = at / step;
            if at - n * step < Ticks::PER_SECOND / 3 {
                let random_access = (n % gop == 0).then_some(RandomAccess::Closed);
                let picture = picture_at(n * step, random_access);
                let next = timing.needs_next(&picture).then(|| Ticks::new((n + 1) * step));
                begun.extend(timing.judge(&picture, next).begin);
            }
            begun.extend(timing.tick(Ticks::new(at), Some(1000)).begin);
        }
        (
            times(begun.iter().map(|head| (head.start.count() as f64 / 90_000.0, false)).collect()),
            timing.longest(),
        )
    }

    #[test]
    fn segments_beside_slides_are_no_longer_than_promised() {
        const SECOND: i64 = Ticks::PER_SECOND;
        for (target, step, gop) in [(2, 8, 1), (2, 10, 1), (2, 2, 4), (4, 2, 8), (6, 8, 1)] {
            let (begun, longest) = slow(target, step * SECOND, gop, 12);
            let most = begun.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
            assert!(begun.len() > 2 && most < longest.as_secs_f64() + 0.5, "{target} {step}: {begun:?}");
        }
    }

    #[test]
    fn a_jump_of_the_audio_alone_is_reported_and_a_gap_is_not() {
        let second = Ticks::PER_SECOND;
        for (by, gap, expected) in
            [(5, 0, vec![5 * second]), (-5, 0, vec![-5 * second]), (0, 5, vec![]), (0, 0, vec![])]
        {
            let mut timing = timing(2);
            let mut jumps = Vec::new();
            for n in 0..500 {
                let pts = n * FRAME;
                timing.judge(&picture_at(pts, (n % 50 == 0).then_some(RandomAccess::Closed)), None);
                let has_changed = n >= 200;
                if n % 8 == 0 && (!has_changed || pts >= 200 * FRAME + gap * second) {
                    let at = Ticks::new(pts + if has_changed { by * second } else { 0 });
                    let judgement = timing.tick(at, Some(300));
                    assert!(judgement.end.is_none(), "{by} {gap}");
                    jumps.extend(judgement.jump);
                }
            }
            assert_eq!(jumps, expected, "{by} {gap}");
        }
    }

    /// Seven seconds of pictures with audio beside them, or without, then all of it later by `hole` seconds.
    fn with_hole(hole: i64, has_audio: bool) -> Vec<(f64, bool)> {
        let mut timing = timing(2);
        let mut begun = Vec::new();
        for n in 0..400 {
            let pts = n * FRAME + if n < 175 { 0 } else { hole * Ticks::PER_SECOND };
            if has_audio {
                begun.extend(timing.tick(Ticks::new(pts), Some(300)).begin);
            }
            let picture = picture_at(pts, (n % 50 == 0).then_some(RandomAccess::Closed));
            let next = timing.needs_next(&picture).then(|| Ticks::new(pts + FRAME));
            begun.extend(timing.judge(&picture, next).begin);
        }
        begun.iter().map(|head| (head.start.count() as f64 / 90_000.0, head.is_discontinuity)).collect()
    }

    #[test]
    fn an_outage_of_all_streams_that_no_segment_may_span_is_a_discontinuity() {
        for (hole, has_audio) in [(2, true), (3, true), (9, true), (3, false), (9, false)] {
            let begun = with_hole(hole, has_audio);
            let hole = hole as f64;
            let before = [(0.0, false), (2.0, false), (4.0, false), (6.0, false)];
            assert_eq!(begun[..4], before, "{hole} {has_audio}");
            assert_eq!(begun[4..6], [(8.0 + hole, true), (10.0 + hole, false)], "{hole} {has_audio}");
        }
        assert!(with_hole(1, true).iter().all(|(_, is_break)| !is_break));
    }

    #[test]
    fn video_that_never_arrives_leaves_the_segments_to_the_audio() {
        let mut timing = timing(2);
        assert_eq!(audio(&mut timing, 1, 9), [1.0, 6.2, 7.0]);
        assert_eq!(starts(&mut timing, 50, 210..310, 0), [(10.0, true), (12.0, false)]);
    }

    #[test]
    fn a_picture_that_was_held_up_does_not_show_that_video_arrives() {
        let mut timing = timing(2);
        starts(&mut timing, 50, 0..125, 0);
        audio(&mut timing, 5, 15);
        let judgement = timing.judge(&picture_at(125 * FRAME, None), None);
        assert_eq!(judgement, Judgement { is_left_out: true, is_stale: true, ..Judgement::default() });
        assert_eq!(audio(&mut timing, 15, 19), [16.0, 18.0]);
    }

    #[test]
    fn a_jump_of_all_streams_is_none_of_the_pictures_alone() {
        let mut timing = timing(2);
        audio(&mut timing, 0, 5);
        starts(&mut timing, 50, 0..125, 0);
        audio(&mut timing, 105, 106);
        let judgement = timing.judge(&picture_at(2625 * FRAME, Some(RandomAccess::Closed)), None);
        assert!(judgement.jump.is_some() && judgement.begin.is_some_and(|head| head.is_discontinuity));
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
        assert!(starts.len() > 2);
        assert!(starts.windows(2).all(|pair| pair[1] - pair[0] <= timing.longest().as_secs_f64() + 0.5));
    }

    #[test]
    fn extending_never_cuts_without_a_point() {
        let mut timing = Timing::new(Duration::from_secs(2), OnMissingRandomAccess::Extend);
        assert_eq!(times(starts(&mut timing, 2000, 0..2001, 0)), [0.0, 80.0]);
    }
}
