//! Cutting as bytes come.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::audio_pids::AudioPids;
use super::choice::{Absent, Choice};
use super::outlet::{Ending, Outlet, Then};
use super::parts::Parts;
use super::timing::{End, Judgement, Picture, Timing, is_jump};
use super::{Extent, Head, Options, Part};
use crate::codec::{AccessUnit, Format, FrameRate, RandomAccess, Video};
use crate::time::{Rate, Ticks};
use crate::ts::{self, Anomaly, AnomalyKind, Demuxer, PesStart, Pid, Program, Selection};

/// Bytes held at most until the head of one access unit tells what it is.
const MAX_HELD_BYTES: usize = 4 << 20;
/// The longest that lies between decoding and presentation, which streams of still pictures may reach.
const MAX_DELAY: Ticks = Ticks::new(10 * Ticks::PER_SECOND);

/// What cutting gives, in order.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The program's table came, or became another.
    Program(Arc<Program>),
    /// A stream's format became known, or another.
    Format {
        /// The stream.
        pid: Pid,
        /// What it is from here on.
        format: Format,
    },
    /// The frame rate of the video that cuts are made by, as its timestamps show it: before the first segment of that
    /// video is whole, and again where it becomes another.
    FrameRate {
        /// The stream.
        pid: Pid,
        /// Frames a second.
        rate: Rate,
    },
    /// A segment begins. Ordinals count up from 0.
    Open {
        /// The segment.
        ordinal: u64,
        /// What is known of it.
        head: Head,
    },
    /// Bytes of an open segment: the newest, or the one before, whose last PES packets are still coming in.
    Data {
        /// The segment.
        ordinal: u64,
        /// Whole packets, shared with the pushed chunk.
        bytes: Bytes,
    },
    /// What was handed out of a segment since its beginning, or its part before, is a part. The last one of a
    /// segment comes just before its end.
    Part {
        /// The segment.
        ordinal: u64,
        /// Its numbers.
        part: Part,
    },
    /// A segment is whole.
    Close {
        /// The segment.
        ordinal: u64,
        /// Its numbers.
        extent: Extent,
    },
    /// Something is wrong with the stream.
    Anomaly(Anomaly),
}

/// Cuts a transport stream; a segment's bytes are handed on as they come. It holds one chunk and a bounded lead,
/// never a segment.
#[derive(Debug)]
pub struct Cutter {
    selection: Selection,
    demuxer: Demuxer,
    core: Core,
}

impl Cutter {
    /// Cuts as `options` say.
    pub fn new(options: &Options) -> Self {
        Self::with_programs(options, [])
    }

    /// Cuts as `options` say a stream whose programs are known from elsewhere, see [`Demuxer::with_programs`].
    pub fn with_programs(options: &Options, programs: impl IntoIterator<Item = Arc<Program>>) -> Self {
        let selection = options.program;
        let demuxer = Demuxer::with_programs(selection, programs);
        Self { selection, demuxer, core: Core::new(options) }
    }

    /// Takes the next bytes. Their events are drawn from the iterator; those not drawn are lost with it.
    pub fn push(&mut self, chunk: Bytes) -> Events<'_> {
        self.core.outlet.begin_chunk(chunk.clone());
        Events { demuxer: self.demuxer.push(chunk), core: &mut self.core }
    }

    /// The stream breaks off: the events that its end gives. What is pushed next is another stream, of which nothing is
    /// known; its segments are numbered on, after a discontinuity.
    pub fn break_off(&mut self) -> impl Iterator<Item = Event> {
        self.end();
        std::iter::from_fn(|| self.core.outlet.pop())
    }

    /// The stream is over: the events that its end gives.
    pub fn finish(mut self) -> impl Iterator<Item = Event> {
        self.end();
        std::iter::from_fn(move || self.core.outlet.pop())
    }

    fn end(&mut self) {
        let ended = std::mem::replace(&mut self.demuxer, Demuxer::new(self.selection));
        for event in ended.finish() {
            self.core.take(event);
        }
        self.core.break_off();
    }

    /// Whether transport packets were found at all.
    pub const fn has_packets(&self) -> bool {
        self.demuxer.has_packets()
    }

    /// The program that is cut, once its table has come.
    pub fn program(&self) -> Option<&Arc<Program>> {
        self.core.program.as_ref()
    }

    /// Whether any access unit has arrived, of whichever stream.
    pub const fn has_access_units(&self) -> bool {
        self.core.has_access_units
    }

    /// The timeline that is being cut (they count up from 0 with each discontinuity) and its grid's anchor.
    pub fn anchor(&self) -> Option<(u32, Ticks)> {
        self.core.timing.anchor()
    }

    /// Lines of `timeline` are to be counted from `anchor`, as another rendition of the channel does, if that
    /// timeline has not begun here.
    pub fn share_anchor(&mut self, timeline: u32, anchor: Ticks) {
        self.core.timing.share_anchor(timeline, anchor);
    }

    /// No segment is to be longer than `longest`, because a playlist has already promised it.
    pub fn limit_to(&mut self, longest: Duration) {
        self.core.timing.limit_to(longest);
    }
}

/// The events of a pushed chunk.
#[derive(Debug)]
pub struct Events<'a> {
    demuxer: ts::Events<'a>,
    core: &'a mut Core,
}

impl Iterator for Events<'_> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.core.outlet.pop() {
                return Some(event);
            }
            match self.demuxer.next() {
                Some(event) => self.core.take(event),
                None => {
                    self.core.outlet.flush();
                    return self.core.outlet.pop();
                }
            }
        }
    }
}

impl Drop for Events<'_> {
    fn drop(&mut self) {
        while self.next().is_some() {}
    }
}

/// What decides; the outlet does.
#[derive(Debug)]
struct Core {
    timing: Timing,
    parts: Option<Parts>,
    outlet: Outlet,
    program: Option<Arc<Program>>,
    reference: Option<Pid>,
    /// While it is not known which of several video streams arrives.
    choice: Option<Choice>,
    /// The reference stream that was chosen last, and in whose place.
    chosen: Option<Pid>,
    absent: Option<Absent>,
    /// What the reference stream says of itself, where it is video, and how its pictures follow each other.
    video: Option<Video>,
    frame_rate: FrameRate,
    has_access_units: bool,
    formatted: HashSet<Pid>,
    /// The reference stream's PES packet that has begun, until its head tells what it is; with it, all that came
    /// since.
    undecided: Option<PesStart>,
    /// How long after it is decoded the last random access point of the reference stream is presented, and the last open
    /// one.
    delays: [Option<Ticks>; 2],
    /// An access unit that can only be judged when the next one is known.
    candidate: Option<Candidate>,
    is_new_format: bool,
    held: Vec<ts::Event>,
    held_bytes: usize,
    /// The target duration asked for.
    target: Duration,
    clock: AudioPids,
    is_missing_told: bool,
    is_long_told: bool,
    is_excess_told: bool,
    is_spacing_told: bool,
}

#[derive(Debug)]
struct Candidate {
    start: PesStart,
    picture: Picture,
    /// Whether it takes the next picture to be shown, not only the next one.
    needs_shown: bool,
    next: Next,
}

/// What is known of the picture behind one that is judged.
#[derive(Clone, Copy, Debug, Default)]
struct Next {
    /// PTS of the next one to be shown.
    shown: Option<Ticks>,
    /// DTS of the next one.
    decoded: Option<Ticks>,
}

impl Core {
    fn new(options: &Options) -> Self {
        Self {
            timing: Timing::new(options.target, options.on_missing),
            parts: options.part.map(Parts::new),
            outlet: Outlet::default(),
            program: None,
            reference: None,
            choice: None,
            chosen: None,
            absent: None,
            video: None,
            frame_rate: FrameRate::default(),
            has_access_units: false,
            formatted: HashSet::new(),
            undecided: None,
            delays: [None; 2],
            candidate: None,
            is_new_format: false,
            held: Vec::new(),
            held_bytes: 0,
            target: options.target,
            clock: AudioPids::default(),
            is_missing_told: false,
            is_long_told: false,
            is_excess_told: false,
            is_spacing_told: false,
        }
    }

    fn take(&mut self, event: ts::Event) {
        if let Some(choice) = &mut self.choice {
            if choice.hold(event) {
                self.choose();
            }
            return;
        }
        let event = match event {
            // Most events, and nothing waits for a decision most of the time.
            ts::Event::Packets(run) if self.candidate.is_none() && self.undecided.is_none() => {
                return self.outlet.send(run);
            }
            event => event,
        };
        self.has_access_units |= matches!(event, ts::Event::AccessUnit { .. });
        match event {
            ts::Event::Anomaly(anomaly) => self.outlet.say(Event::Anomaly(anomaly)),
            ts::Event::Program(program) => self.take_program(program),
            ts::Event::Format { pid, format } => self.take_format(pid, format),
            event if self.candidate.is_some() => self.await_next(event),
            ts::Event::Pes(start) if self.undecided.is_some() && self.is_overdue(&start) => {
                self.settle();
                self.take(ts::Event::Pes(start));
            }
            // What the PES packet before ended with is not told yet.
            event @ (ts::Event::Pes(_) | ts::Event::Rest { .. })
                if self.undecided.is_some() && self.is_of_later_pes(&event) =>
            {
                self.hold(event);
            }
            ts::Event::Pes(start) if Some(start.pid) == self.reference => {
                self.decide(AccessUnit::default());
                self.undecided = Some(start);
            }
            ts::Event::Begin(start) if Some(start.pid) == self.reference => {
                self.decide(AccessUnit::default());
                self.undecided = Some(start);
            }
            ts::Event::Rest { pid } if Some(pid) == self.reference => {
                if let Some(start) = self.undecided.take() {
                    self.outlet.go_on(&start);
                    self.replay();
                }
            }
            ts::Event::AccessUnit { pid, unit } if Some(pid) == self.reference => self.decide(unit),
            event if self.undecided.is_some() => self.hold(event),
            event => {
                if let ts::Event::Pes(start) = &event {
                    self.tick(start);
                }
                self.outlet.route(event);
            }
        }
    }

    /// Several video streams are listed: goes on with the one that arrives.
    fn choose(&mut self) {
        let Some((program, absent, held)) = self.choice.take().map(Choice::make) else { return };
        self.chosen = program.reference().map(|stream| stream.pid);
        self.absent = absent;
        self.take_program(program);
        held.into_iter().for_each(|event| self.take(event));
    }

    /// Whether `program` lists several video streams, and it is to be seen which arrives.
    fn begins_choice(&mut self, program: &Arc<Program>) -> bool {
        let reference = program.reference().map(|stream| stream.pid);
        if reference != self.reference && reference != self.chosen {
            self.choice = Choice::of(program);
        }
        self.choice.is_some()
    }

    /// Whether `event` is of a PES packet behind the one that is undecided, or tells that of one.
    fn is_of_later_pes(&self, event: &ts::Event) -> bool {
        let is_held =
            |event: &ts::Event| matches!(event, ts::Event::Pes(start) if Some(start.pid) == self.reference);
        match event {
            ts::Event::Rest { pid } => Some(*pid) == self.reference && self.held.iter().any(is_held),
            event => is_held(event),
        }
    }

    /// Takes the audio clock to a PES packet of audio: where no picture arrives, segments are cut by it.
    fn tick(&mut self, start: &PesStart) {
        let Some(pts) = start.pts.filter(|_| self.clock.is_of(start)) else { return };
        self.clock.go_on_to(start);
        let judgement = self.timing.tick(pts, start.len);
        if judgement.begin.is_some() {
            self.outlet.end_reference();
        }
        self.follow(start, &judgement);
        if judgement.begin.is_some() {
            self.open_without_picture(start, &judgement);
        } else if self.timing.is_stalled() {
            self.divide(start, &self.timing.silent(pts), None, Next::default());
        }
        self.outlet.go_on_to(start);
    }

    /// Whether so much audio arrived up to `start` that what is waited for cannot be waited for any longer.
    fn is_overdue(&self, start: &PesStart) -> bool {
        self.clock.is_of(start) && start.pts.is_some_and(|pts| self.timing.is_late(pts))
    }

    /// Opens a segment where audio begins, not a picture.
    fn open_without_picture(&mut self, start: &PesStart, judgement: &Judgement) {
        let Some(head) = judgement.begin else { return };
        self.divide(start, &self.timing.silent(head.start), Some(head), Next::default());
        if let Some(program) = &self.program {
            self.outlet.open(head, program);
            self.outlet.deliver_lead_now();
        }
    }

    /// Carries out how a judgement ends the open segment, and reports what is out of the ordinary.
    fn follow(&mut self, start: &PesStart, judgement: &Judgement) {
        if let Some(by) = judgement.jump {
            self.trouble(start, AnomalyKind::TimestampJump { by });
        }
        if judgement.is_forced && !std::mem::replace(&mut self.is_missing_told, true) {
            self.trouble(start, AnomalyKind::RandomAccessMissing);
        }
        match judgement.follows_audio {
            Some(true) => self.trouble(start, AnomalyKind::VideoMissing),
            Some(false) => self.trouble(start, AnomalyKind::VideoResumed),
            None => {}
        }
        if judgement.is_stale {
            self.trouble(start, AnomalyKind::LatePicture);
        }
        if let Some(end) = judgement.end {
            self.end_segment(end);
            self.report_spacing(start);
        }
        if let Some(duration) =
            judgement.too_long.filter(|_| !std::mem::replace(&mut self.is_excess_told, true))
        {
            let kind = AnomalyKind::SegmentTooLong {
                duration_ms: millis(duration),
                target_duration_s: millis(self.timing.longest()) / 1000,
            };
            self.trouble(start, kind);
        }
    }

    /// Reports once that random access points lie too far apart for the target.
    fn report_spacing(&mut self, start: &PesStart) {
        if let Some(spacing) = self.timing.sparse_spacing().filter(|_| !self.is_spacing_told) {
            self.is_spacing_told = true;
            let kind = AnomalyKind::SparseRandomAccess {
                spacing_ms: millis(spacing.span()),
                target_ms: millis(self.target),
            };
            self.trouble(start, kind);
        }
    }

    fn break_off(&mut self) {
        while self.choice.is_some() {
            self.choose();
        }
        self.settle();
        let judgement = self.timing.begin_at_end();
        if let (Some(head), Some(pid)) = (judgement.begin, self.clock.pid) {
            let start = PesStart {
                pid,
                at: 0,
                stream_id: 0xc0,
                pts: Some(head.start),
                dts: Some(head.start),
                len: None,
                is_marked_random_access: false,
                inside: None,
            };
            self.follow(&start, &judgement);
            self.open_without_picture(&start, &judgement);
        }
        let end = self.timing.break_off();
        let ending = end.map(|end| self.ending(end));
        self.outlet.break_off(ending);
        self.program = None;
        self.reference = None;
        self.chosen = None;
        self.absent = None;
        self.clock = AudioPids::default();
        self.forget_frames();
        self.formatted.clear();
        self.is_new_format = false;
    }

    fn take_program(&mut self, program: Arc<Program>) {
        self.settle();
        let program = self.absent.and_then(|absent| absent.ahead(&program)).unwrap_or(program);
        if self.begins_choice(&program) {
            return;
        }
        let reference = program.reference();
        let goes_on = self.program.as_ref().is_some_and(|known| {
            known.number == program.number && reference.is_some() && known.reference() == reference
        });
        if goes_on {
            self.change_streams(&program);
        } else {
            if let Some(end) = self.timing.break_here() {
                self.end_segment(end);
            }
            self.forget_formats(&program);
            let reference = reference.map(|stream| stream.pid);
            if reference != self.reference {
                self.reference = reference;
                self.forget_frames();
                self.timing.follow_another();
                self.parts.iter_mut().for_each(Parts::follow_another);
                self.formatted.clear();
            }
            self.outlet.arrange(&program, reference);
            self.clock = AudioPids::of(&program, reference);
        }
        self.program = Some(Arc::clone(&program));
        self.outlet.say(Event::Program(program));
    }

    /// The table is another, and the reference stream goes on. Where tracks become others (RFC 8216 §4.3.2.3), the timeline
    /// breaks with the next random access point; of what is no track, such as SCTE-35, viewers need not know.
    fn change_streams(&mut self, program: &Program) {
        let Some(known) = &self.program else { return };
        if known.media() != program.media() {
            self.timing.break_at_next();
        }
        self.forget_formats(program);
        self.outlet.arrange(program, self.reference);
        self.clock.arrange(program, self.reference);
    }

    /// A stream that `program` describes otherwise than before is another one: its format is no change of format.
    fn forget_formats(&mut self, program: &Program) {
        let known = self.program.as_ref().map_or(&[][..], |known| &known.streams);
        self.formatted.retain(|pid| program.streams.iter().any(|new| new.pid == *pid && known.contains(new)));
    }

    fn take_format(&mut self, pid: Pid, format: Format) {
        let is_other = !self.formatted.insert(pid);
        if Some(pid) == self.reference {
            self.is_new_format = is_other;
            match &format {
                Format::Video(video) => {
                    self.forget_frames();
                    self.video = Some(video.clone());
                    if let Some(rate) = video.frame_rate {
                        self.timing.set_frame(rate.period());
                        self.parts.iter_mut().for_each(|parts| parts.set_frame(rate));
                    }
                }
                Format::Audio(audio) => {
                    if let Some(frames) = Rate::new(audio.sample_rate_hz, audio.samples_per_frame) {
                        self.timing.set_sound(frames);
                        self.parts.iter_mut().for_each(|parts| parts.set_sound(frames));
                    }
                }
            }
        } else {
            if is_other {
                self.timing.break_at_next();
            }
            if let Format::Audio(audio) = &format
                && let Some(frames) = Rate::new(audio.sample_rate_hz, audio.samples_per_frame)
            {
                self.timing.set_clock(frames);
            }
        }
        self.outlet.say(Event::Format { pid, format });
    }

    /// Keeps what comes behind an access unit that is not judged yet.
    fn hold(&mut self, event: ts::Event) {
        if let ts::Event::Packets(run) = &event {
            self.held_bytes += run.bytes.len();
        }
        self.held.push(event);
        if self.held_bytes > MAX_HELD_BYTES {
            self.settle();
        }
    }

    /// The head of the reference stream's PES packet told what it is.
    fn decide(&mut self, unit: AccessUnit) {
        let Some(mut start) = self.undecided.take() else { return };
        self.has_access_units = true;
        let is_new_format = std::mem::take(&mut self.is_new_format);
        let AccessUnit { random_access, has_parameter_sets, .. } = unit;
        self.estimate(&mut start, random_access);
        match (start.pts, start.dts) {
            (Some(pts), Some(dts)) => {
                let pts = if is_plausible_delay(pts - dts) { pts } else { dts };
                if self.video.is_some() {
                    self.frame_rate.take(pts);
                }
                let picture = Picture {
                    pts,
                    dts,
                    random_access,
                    has_parameter_sets,
                    is_new_format,
                    size_bytes: start.len,
                };
                self.parts.iter_mut().for_each(|parts| parts.measure(dts));
                let needs_shown = self.timing.needs_next(&picture);
                if needs_shown || self.needs_next_for_part(&picture) {
                    self.candidate = Some(Candidate { start, picture, needs_shown, next: Next::default() });
                    return;
                }
                self.judge(&start, &picture, Next::default());
            }
            _ if start.inside.is_some() => {}
            _ => self.outlet.join(&start),
        }
        self.replay();
    }

    /// A random access point without times of its own is presented as long after it is decoded as the last one that had
    /// them.
    fn estimate(&mut self, start: &mut PesStart, random_access: Option<RandomAccess>) {
        let (Some(pts), Some(dts), Some(random_access)) = (start.pts, start.dts, random_access) else {
            return;
        };
        // Frames that lead an open one are presented before it.
        let delay = &mut self.delays[usize::from(random_access == RandomAccess::Open)];
        if start.inside.is_some_and(|inside| inside.is_estimated) {
            start.pts = Some(dts + delay.unwrap_or(pts - dts));
        } else if is_plausible_delay(pts - dts) {
            *delay = Some(pts - dts);
        }
    }

    /// Whether it takes the next picture to tell if this one lies in the open part.
    fn needs_next_for_part(&self, picture: &Picture) -> bool {
        self.parts.as_ref().is_some_and(|parts| parts.needs_next(picture.dts))
            && !self.timing.is_boundary(picture)
    }

    /// Keeps what comes behind the candidate until a picture tells what is to be known. Where another timeline begins
    /// first, none does.
    fn await_next(&mut self, event: ts::Event) {
        let mut is_known = false;
        if let (ts::Event::Pes(start) | ts::Event::Begin(start), Some(candidate)) =
            (&event, &mut self.candidate)
            && Some(start.pid) == self.reference
        {
            let Candidate { picture, needs_shown, next, .. } = candidate;
            let has_jumped = start.dts.is_some_and(|dts| is_jump(dts - picture.dts));
            if !has_jumped {
                next.decoded = next.decoded.or(start.dts);
                next.shown = start.pts.filter(|pts| *pts > picture.pts);
            }
            is_known = has_jumped || if *needs_shown { next.shown.is_some() } else { next.decoded.is_some() };
        } else if let ts::Event::Pes(start) = &event
            && self.is_overdue(start)
        {
            is_known = true;
            // None is shown before the audio that has arrived.
            if let Some(Candidate { picture, next, .. }) = &mut self.candidate {
                next.shown = next.shown.or(start.pts.filter(|pts| *pts > picture.pts));
            }
        }
        self.hold(event);
        if is_known {
            self.settle_candidate();
        }
    }

    fn settle_candidate(&mut self) {
        if let Some(Candidate { start, picture, needs_shown, next }) = self.candidate.take() {
            self.judge(&start, &picture, Next { shown: next.shown.filter(|_| needs_shown), ..next });
            self.replay();
        }
    }

    /// Judges what is not judged yet by what there is.
    fn settle(&mut self) {
        self.settle_candidate();
        self.decide(AccessUnit::default());
        self.settle_candidate();
    }

    fn replay(&mut self) {
        self.held_bytes = 0;
        let mut held = std::mem::take(&mut self.held);
        for event in held.drain(..) {
            self.take(event);
        }
        if self.held.is_empty() {
            // Its room is used again.
            self.held = held;
        }
    }

    fn judge(&mut self, start: &PesStart, picture: &Picture, next: Next) {
        let judgement = self.timing.judge(picture, next.shown);
        self.follow(start, &judgement);
        if judgement.is_left_out {
            return match start.inside {
                Some(_) => self.outlet.split(start, false, Then::Nothing),
                None => self.outlet.leave(start),
            };
        }
        self.divide(start, picture, judgement.begin, next);
        if let (Some(head), Some(program)) = (judgement.begin, &self.program) {
            self.outlet.open(head, program);
        }
        if start.inside.is_none() {
            self.outlet.join(start);
        } else if judgement.begin.is_some() {
            self.outlet.split(start, picture.random_access.is_some(), Then::Segment);
        } else if !self.outlet.has_open() {
            self.outlet.split(start, false, Then::Nothing);
        }
        self.outlet.go_on_to(start);
    }

    /// Ends the open part before this picture, or begins the first one of a segment with it.
    fn divide(&mut self, start: &PesStart, picture: &Picture, begin: Option<Head>, next: Next) {
        let Some(parts) = &mut self.parts else { return };
        let codec = self.video.as_ref().map(|video| video.codec);
        if let Some(codec) = codec.filter(|_| picture.has_parameter_sets) {
            self.outlet.repeat().keep(codec);
        }
        let repeated = codec.filter(|_| !picture.has_parameter_sets);
        if begin.is_some() {
            parts.begin(picture);
        } else if let Some(part) = parts.go_on(picture, next.decoded)
            && let Some(program) = &self.program
        {
            if start.inside.is_some() {
                self.outlet.split(
                    start,
                    picture.random_access.is_some(),
                    Then::Part(part, Arc::clone(program), repeated),
                );
            } else {
                self.outlet.part(part, program);
                repeated.into_iter().for_each(|codec| self.outlet.repeat().at(start, codec));
            }
            if part.duration > part.longest && !std::mem::replace(&mut self.is_long_told, true) {
                self.trouble(start, AnomalyKind::PartTooLong);
            }
        }
    }

    fn end_segment(&mut self, end: End) {
        let ending = self.ending(end);
        self.outlet.close_current(ending);
    }

    fn ending(&mut self, at: End) -> Ending {
        self.tell_frame_rate();
        let last_part = self.parts.as_mut().and_then(|parts| parts.end(at.decoded));
        Ending { at, longest: self.timing.longest(), last_part }
    }

    fn tell_frame_rate(&mut self) {
        if let (Some(pid), Some(video)) = (self.reference, &self.video)
            && let Some(rate) = self.frame_rate.news(video)
        {
            self.outlet.say(Event::FrameRate { pid, rate });
        }
    }

    fn forget_frames(&mut self) {
        self.video = None;
        self.frame_rate = FrameRate::default();
    }

    fn trouble(&mut self, start: &PesStart, kind: AnomalyKind) {
        self.outlet.say(Event::Anomaly(Anomaly { at: start.at, pid: Some(start.pid), kind }));
    }
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// Whether a picture may be shown so long after it is decoded. A damaged PTS is not.
pub(crate) fn is_plausible_delay(delay: Ticks) -> bool {
    (Ticks::ZERO - MAX_DELAY..=MAX_DELAY).contains(&delay)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Audio, Codec};
    use crate::ts::PACKET_LEN;

    const VIDEO: Pid = Pid::new(0x100);
    const OTHER: Pid = Pid::new(0x101);
    const SECOND: i64 = Ticks::PER_SECOND;

    /// A program of H.264 and one other stream.
    fn program(version: u8, stream_type: u8) -> ts::Event {
        let section = [
            &[2, 0xb0, 23, 0, 1, 0xc1 | version << 1, 0, 0, 0xe1, 0x00, 0xf0, 0][..],
            &[0x1b, 0xe1, 0x00, 0xf0, 0, stream_type, 0xe1, 0x01, 0xf0, 0, 0, 0, 0, 0],
        ];
        let program = Program::parse(&section.concat(), 1, Pid::new(0x1000)).unwrap();
        ts::Event::Program(Arc::new(program))
    }

    fn packet(pid: Pid) -> ts::Event {
        ts::Event::Packets(ts::Run { pid, at: 0, bytes: Bytes::from(vec![pid.bits() as u8; PACKET_LEN]) })
    }

    /// A PES packet of one transport packet.
    fn pes(pid: Pid, at: i64) -> [ts::Event; 4] {
        let pts = Some(Ticks::new(at));
        let (dts, random_access) = (pts, Some(RandomAccess::Closed));
        let start = PesStart {
            pid,
            at: 0,
            stream_id: 0xe0,
            pts,
            dts,
            len: None,
            is_marked_random_access: true,
            inside: None,
        };
        let unit = AccessUnit { random_access, has_parameter_sets: true, is_new_format: false };
        [ts::Event::Pes(start), ts::Event::AccessUnit { pid, unit }, packet(pid), ts::Event::PesEnd { pid }]
    }

    fn sound(codec: Codec) -> ts::Event {
        let audio =
            Audio { codec, rfc6381: None, sample_rate_hz: 48_000, channels: 2, samples_per_frame: 1024 };
        ts::Event::Format { pid: OTHER, format: Format::Audio(audio) }
    }

    /// For each segment: whether the timeline breaks before it, and how many packets of the other stream it has.
    fn cut(events: impl IntoIterator<Item = ts::Event>) -> Vec<(bool, usize)> {
        let mut core = Core::new(&Options { target: Duration::from_secs(1), ..Options::default() });
        events.into_iter().for_each(|event| core.take(event));
        core.break_off();
        let mut segments: Vec<(bool, usize)> = Vec::new();
        while let Some(event) = core.outlet.pop() {
            match event {
                Event::Open { head, .. } => segments.push((head.is_discontinuity, 0)),
                Event::Data { ordinal, bytes } => {
                    let is_other = |bytes: &&[u8]| bytes[0] == OTHER.bits() as u8;
                    segments[ordinal as usize].1 += bytes.chunks(PACKET_LEN).filter(is_other).count();
                }
                _ => {}
            }
        }
        segments
    }

    #[test]
    fn data_just_before_the_first_picture_belongs_to_its_segment() {
        let events = [program(0, 0x15)].into_iter().chain(pes(OTHER, 0)).chain(pes(VIDEO, 0));
        assert_eq!(cut(events), [(false, 1)]);
        let long_before = [program(0, 0x15)].into_iter().chain(pes(OTHER, 0)).chain(pes(VIDEO, 5 * SECOND));
        assert_eq!(cut(long_before), [(false, 0)]);
    }

    #[test]
    fn a_stream_that_the_table_makes_another_breaks_the_timeline_once() {
        let mut events = vec![program(0, 0x0f)];
        events.extend(pes(VIDEO, 0));
        events.push(sound(Codec::AacAdts));
        events.extend(pes(OTHER, 0));
        events.push(program(1, 0x03));
        for second in 1..4 {
            events.extend(pes(VIDEO, second * SECOND));
            if second == 1 {
                events.push(sound(Codec::MpegAudio));
            }
        }
        assert_eq!(cut(events), [(false, 1), (true, 0), (false, 0), (false, 0)]);
    }

    #[test]
    fn a_picture_at_the_end_of_a_timeline_does_not_wait_for_the_next_one_in_another() {
        let mut core = Core::new(&Options { target: Duration::from_secs(1), ..Options::default() });
        core.take(program(0, 0x0f));
        // The second timeline never gets as far as the first one.
        for (from, count) in [(0, 76), (0, 26)] {
            for n in 0..count {
                for mut event in pes(VIDEO, from + n * SECOND / 25) {
                    if let ts::Event::AccessUnit { unit, .. } = &mut event
                        && n > 0
                    {
                        unit.random_access = None;
                    }
                    core.take(event);
                }
            }
        }
        let events = std::iter::from_fn(|| core.outlet.pop());
        let breaks =
            events.filter(|event| matches!(event, Event::Open { head, .. } if head.is_discontinuity));
        assert_eq!(breaks.count(), 1);
    }

    #[test]
    fn a_jump_of_sound_alone_loses_nothing() {
        let mut events = vec![program(0, 0x0f)];
        for second in 0..3 {
            events.extend(pes(VIDEO, second * SECOND));
            let at = if second == 0 { 100 * SECOND } else { second * SECOND };
            events.extend(pes(OTHER, at));
        }
        assert_eq!(cut(events).iter().map(|(_, packets)| packets).sum::<usize>(), 3);
    }

    #[test]
    fn packets_in_no_pes_packet_go_to_the_newest_segment() {
        let mut events = vec![program(0, 0x0f)];
        for second in 0..3 {
            events.extend(pes(VIDEO, second * SECOND));
            if second == 0 {
                events.extend(pes(OTHER, 0));
            }
            events.push(packet(OTHER));
        }
        assert_eq!(cut(events), [(false, 2), (false, 1), (false, 1)]);
    }
}
