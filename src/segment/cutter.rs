//! Cutting as bytes come.

use std::collections::{HashSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::lanes::{Lanes, Owner};
use super::timing::{Picture, Timing, is_jump};
use super::{Extent, Head, Options};
use crate::codec::{AccessUnit, Format};
use crate::time::Ticks;
use crate::ts::{self, Anomaly, AnomalyKind, Demuxer, PACKET_LEN, PesStart, Pid, Program};

/// How far the stream goes on while an earlier segment waits for the ends of its PES packets.
const TAIL_LIMIT: Ticks = Ticks::new(Ticks::PER_SECOND);
/// Bytes kept for the next segment at most.
const MAX_LEAD_BYTES: usize = 4 << 20;
/// Bytes held at most until the head of one access unit tells what it is.
const MAX_HELD_BYTES: usize = 4 << 20;
/// A stream's first PES packets belong to the first segment if they lie at most so far before it.
const LEAD_SPAN: Ticks = Ticks::new(Ticks::PER_SECOND);
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
    demuxer: Demuxer,
    core: Core,
}

impl Cutter {
    /// Cuts as `options` say.
    pub fn new(options: &Options) -> Self {
        Self { demuxer: Demuxer::new(options.program), core: Core::new(options) }
    }

    /// Takes the next bytes. Their events are drawn from the iterator; those not drawn are lost with it.
    pub fn push(&mut self, chunk: Bytes) -> Events<'_> {
        self.core.chunk = chunk.clone();
        Events { demuxer: self.demuxer.push(chunk), core: &mut self.core }
    }

    /// The stream is over: the events that its end gives.
    pub fn finish(mut self) -> impl Iterator<Item = Event> {
        for event in self.demuxer.finish() {
            self.core.take(event);
        }
        self.core.finish();
        self.core.queue.into_iter()
    }

    /// Whether transport packets were found at all.
    pub const fn has_packets(&self) -> bool {
        self.demuxer.has_packets()
    }

    /// The program that is cut, once its table has come.
    pub fn program(&self) -> Option<&Arc<Program>> {
        self.core.program.as_ref()
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
            if let Some(event) = self.core.queue.pop_front() {
                return Some(event);
            }
            match self.demuxer.next() {
                Some(event) => self.core.take(event),
                None => {
                    self.core.flush();
                    return self.core.queue.pop_front();
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

/// A segment that is not whole yet.
#[derive(Debug)]
struct Open {
    ordinal: u64,
    head: Head,
    size_bytes: u64,
}

/// Packets that wait for the segment that opens next.
#[derive(Debug)]
struct Lead {
    pts: Option<Ticks>,
    bytes: Bytes,
}

#[derive(Debug)]
struct Core {
    timing: Timing,
    lanes: Lanes,
    program: Option<Arc<Program>>,
    reference: Option<Pid>,
    formatted: HashSet<Pid>,
    table_counters: (u8, u8),
    opened: u64,
    current: Option<Open>,
    /// The segment before, with the time at which it ends, while its last PES packets come in.
    waiting: Option<(Open, Ticks)>,
    /// The reference stream's PES packet that has begun, until its head tells what it is; with it, all that came
    /// since.
    undecided: Option<PesStart>,
    /// An access unit that can only be judged when the next one is known.
    candidate: Option<(PesStart, Picture)>,
    is_new_format: bool,
    held: Vec<ts::Event>,
    held_bytes: usize,
    lead: VecDeque<Lead>,
    lead_bytes: usize,
    is_lead_due: bool,
    left_out: Option<(u64, u64)>,
    is_missing_told: bool,
    chunk: Bytes,
    /// Bytes of the chunk that go to a segment and are not handed out yet.
    pending: Option<(u64, Range<usize>)>,
    queue: VecDeque<Event>,
}

impl Core {
    fn new(options: &Options) -> Self {
        Self {
            timing: Timing::new(options.target, options.on_missing),
            lanes: Lanes::default(),
            program: None,
            reference: None,
            formatted: HashSet::new(),
            table_counters: (0, 0),
            opened: 0,
            current: None,
            waiting: None,
            undecided: None,
            candidate: None,
            is_new_format: false,
            held: Vec::new(),
            held_bytes: 0,
            lead: VecDeque::new(),
            lead_bytes: 0,
            is_lead_due: false,
            left_out: None,
            is_missing_told: false,
            chunk: Bytes::new(),
            pending: None,
            queue: VecDeque::new(),
        }
    }

    fn take(&mut self, event: ts::Event) {
        match event {
            ts::Event::Anomaly(anomaly) => self.say(Event::Anomaly(anomaly)),
            ts::Event::Program(program) => self.take_program(program),
            ts::Event::Format { pid, format } => self.take_format(pid, format),
            event if self.candidate.is_some() => self.await_next(event),
            ts::Event::Pes(start) if Some(start.pid) == self.reference => {
                self.decide(AccessUnit::default());
                self.undecided = Some(start);
            }
            ts::Event::AccessUnit { pid, unit } if Some(pid) == self.reference => self.decide(unit),
            event if self.undecided.is_some() => self.hold(event),
            event => self.route(event),
        }
    }

    fn finish(&mut self) {
        self.settle();
        if let Some(open) = &self.current {
            let ordinal = open.ordinal;
            self.deliver_lead(ordinal, None);
        }
        if let Some(end) = self.timing.break_here() {
            self.close_current(end);
        }
        self.close_waiting();
        self.tell_left_out();
        self.flush();
    }

    fn take_program(&mut self, program: Arc<Program>) {
        self.settle();
        let is_other = |known: &Arc<Program>| {
            (known.number, known.pcr_pid, &known.streams)
                != (program.number, program.pcr_pid, &program.streams)
        };
        if self.program.as_ref().is_none_or(is_other) {
            if let Some(end) = self.timing.break_here() {
                self.close_current(end);
            }
            self.lanes.arrange(&program);
            self.forget_formats(&program);
            let reference = program.reference().map(|stream| stream.pid);
            if reference != self.reference {
                self.reference = reference;
                self.formatted.clear();
            }
        }
        self.program = Some(Arc::clone(&program));
        self.say(Event::Program(program));
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
            if let Format::Video(video) = &format
                && let Some(rate) = video.frame_rate
            {
                self.timing.set_frame(rate.period());
            }
        } else if is_other {
            self.timing.break_at_next();
        }
        self.say(Event::Format { pid, format });
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
        let Some(start) = self.undecided.take() else { return };
        let is_new_format = std::mem::take(&mut self.is_new_format);
        let AccessUnit { random_access, has_parameter_sets, .. } = unit;
        match (start.pts, start.dts) {
            (Some(pts), Some(dts)) => {
                let pts = if is_plausible(pts - dts) { pts } else { dts };
                let picture = Picture { pts, dts, random_access, has_parameter_sets, is_new_format };
                if self.timing.needs_next(&picture) {
                    self.candidate = Some((start, picture));
                    return;
                }
                self.judge(&start, &picture, None);
            }
            _ => self.join(&start),
        }
        self.replay();
    }

    /// Keeps what comes behind the candidate until the next picture to be shown tells when it is shown.
    fn await_next(&mut self, event: ts::Event) {
        let next = match (&event, &self.candidate) {
            (ts::Event::Pes(start), Some((_, picture))) if Some(start.pid) == self.reference => {
                start.pts.filter(|pts| *pts > picture.pts)
            }
            _ => None,
        };
        self.hold(event);
        if next.is_some() {
            self.settle_candidate(next);
        }
    }

    fn settle_candidate(&mut self, next: Option<Ticks>) {
        if let Some((start, picture)) = self.candidate.take() {
            self.judge(&start, &picture, next);
            self.replay();
        }
    }

    /// Judges what is not judged yet by what there is.
    fn settle(&mut self) {
        self.settle_candidate(None);
        self.decide(AccessUnit::default());
        self.settle_candidate(None);
    }

    fn replay(&mut self) {
        self.held_bytes = 0;
        for event in std::mem::take(&mut self.held) {
            self.take(event);
        }
    }

    /// The reference stream's PES packet goes to the newest segment, if one is open.
    fn join(&mut self, start: &PesStart) {
        let owner = self.current.as_ref().map_or(Owner::Nobody, |open| Owner::Segment(open.ordinal));
        if let Some(lane) = self.lanes.get(start.pid) {
            lane.owner = owner;
            lane.is_in_pes = true;
            lane.pts = start.pts;
        }
    }

    fn judge(&mut self, start: &PesStart, picture: &Picture, next: Option<Ticks>) {
        let judgement = self.timing.judge(picture, next);
        if let Some(by) = judgement.jump {
            self.trouble(start, AnomalyKind::TimestampJump { by });
        }
        if judgement.is_forced && !std::mem::replace(&mut self.is_missing_told, true) {
            self.trouble(start, AnomalyKind::RandomAccessMissing);
        }
        if let Some(end) = judgement.end {
            self.close_current(end);
        }
        if let Some(head) = judgement.begin {
            self.open(head);
        }
        self.join(start);
        if self.waiting.as_ref().is_some_and(|(_, end)| picture.pts - *end > TAIL_LIMIT) {
            self.give_up_waiting(start);
        }
    }

    fn trouble(&mut self, start: &PesStart, kind: AnomalyKind) {
        self.say(Event::Anomaly(Anomaly { at: start.at, pid: Some(start.pid), kind }));
    }

    /// Sends an event of the program's streams where it belongs.
    fn route(&mut self, event: ts::Event) {
        match event {
            ts::Event::Pes(start) => self.begin_pes(&start),
            ts::Event::PesEnd { pid } => {
                if let Some(lane) = self.lanes.get(pid) {
                    lane.is_in_pes = false;
                }
                if self.waiting.as_ref().is_some_and(|(open, _)| !self.lanes.is_awaited(open.ordinal)) {
                    self.close_waiting();
                }
            }
            ts::Event::Packets(run) => self.send(run),
            _ => {}
        }
    }

    /// A PES packet of another stream than the reference begins: it goes to the newest segment, unless its
    /// timestamps have already jumped to where the next one will be.
    fn begin_pes(&mut self, start: &PesStart) {
        let current = self.current.as_ref().map(|open| open.ordinal);
        let Some(lane) = self.lanes.get(start.pid) else { return };
        if let (Some(last), Some(pts)) = (lane.pts, start.pts) {
            lane.is_ahead |= is_jump(pts - last);
        }
        lane.pts = start.pts.or(lane.pts);
        lane.is_in_pes = true;
        lane.owner = match current {
            Some(ordinal) if !lane.is_ahead => Owner::Segment(ordinal),
            _ => Owner::Next,
        };
    }

    fn send(&mut self, mut run: ts::Run) {
        let Some(lane) = self.lanes.get(run.pid) else { return };
        match lane.owner {
            Owner::Segment(ordinal) => {
                if self.is_lead_due && Some(run.pid) == self.reference {
                    // Behind the first packet, not the first run: how long that is the chunks decide.
                    self.emit(ordinal, run.bytes.split_to(PACKET_LEN.min(run.bytes.len())));
                    let start = self.current.as_ref().map(|open| open.head.start);
                    self.deliver_lead(ordinal, start);
                }
                self.emit(ordinal, run.bytes);
            }
            Owner::Next => {
                let pts = lane.pts;
                self.lead_bytes += run.bytes.len();
                self.lead.push_back(Lead { pts, bytes: run.bytes });
                self.bound_lead();
            }
            Owner::Nobody => self.leave_out(run.at, &run.bytes),
        }
    }

    fn bound_lead(&mut self) {
        while self.lead_bytes > MAX_LEAD_BYTES
            && let Some(lead) = self.lead.pop_front()
        {
            self.lead_bytes -= lead.bytes.len();
            match self.current.as_ref().map(|open| open.ordinal) {
                Some(ordinal) => self.emit(ordinal, lead.bytes),
                None => self.leave_out(0, &lead.bytes),
            }
        }
    }

    /// Hands on what waited for a segment to open; around `start`, where a timeline begins there.
    fn deliver_lead(&mut self, ordinal: u64, start: Option<Ticks>) {
        self.is_lead_due = false;
        self.lead_bytes = 0;
        for lead in std::mem::take(&mut self.lead) {
            let ahead = lead.pts.zip(start).map(|(pts, start)| pts - start);
            if ahead.is_none_or(|ahead| ahead > Ticks::ZERO - LEAD_SPAN && !is_jump(ahead.max(Ticks::ZERO))) {
                self.emit(ordinal, lead.bytes);
            } else {
                self.leave_out(0, &lead.bytes);
            }
        }
    }

    fn leave_out(&mut self, at: u64, bytes: &Bytes) {
        let (_, packets) = self.left_out.get_or_insert((at, 0));
        *packets += (bytes.len() / PACKET_LEN) as u64;
    }

    fn tell_left_out(&mut self) {
        if let Some((at, packets)) = self.left_out.take() {
            let kind = AnomalyKind::Undecodable { packets };
            self.say(Event::Anomaly(Anomaly { at, pid: self.reference, kind }));
        }
    }

    fn open(&mut self, head: Head) {
        let Some(program) = self.program.clone() else { return };
        self.tell_left_out();
        let ordinal = self.opened;
        self.opened += 1;
        self.say(Event::Open { ordinal, head });
        self.current = Some(Open { ordinal, head, size_bytes: 0 });
        self.lanes.opened(ordinal, head.is_discontinuity);
        self.is_lead_due = !self.lead.is_empty();
        let tables = self.tables(&program);
        self.emit(ordinal, tables);
    }

    /// PAT and PMT, with their own counters that run on from segment to segment.
    fn tables(&mut self, program: &Program) -> Bytes {
        let mut packets = Vec::with_capacity(PACKET_LEN * (2 + program.section.len() / PACKET_LEN));
        let (pat, pmt) = &mut self.table_counters;
        ts::packetize(&ts::pat_section(program), Pid::PAT, pat, &mut packets);
        ts::packetize(&program.section, program.pmt_pid, pmt, &mut packets);
        packets.into()
    }

    /// The newest segment takes no new PES packets; it is whole once those under way have ended.
    fn close_current(&mut self, end: Ticks) {
        let Some(open) = self.current.take() else { return };
        self.close_waiting();
        let ordinal = open.ordinal;
        self.lanes.closed(ordinal);
        self.waiting = Some((open, end));
        if !self.lanes.is_awaited(ordinal) {
            self.close_waiting();
        }
    }

    fn give_up_waiting(&mut self, start: &PesStart) {
        let Some((open, _)) = &self.waiting else { return };
        let to = self.current.as_ref().map_or(Owner::Nobody, |open| Owner::Segment(open.ordinal));
        if self.lanes.hand_over(open.ordinal, to) {
            self.trouble(start, AnomalyKind::PesTooLong);
        }
        self.close_waiting();
    }

    fn close_waiting(&mut self) {
        let Some((open, end)) = self.waiting.take() else { return };
        let to = self.current.as_ref().map_or(Owner::Nobody, |open| Owner::Segment(open.ordinal));
        self.lanes.hand_over(open.ordinal, to);
        let extent = Extent {
            head: open.head,
            duration: open.head.start.until(end),
            size_bytes: open.size_bytes,
            longest: self.timing.longest(),
        };
        self.say(Event::Close { ordinal: open.ordinal, extent });
    }

    /// Adds bytes to a segment; what lies back to back in the chunk is handed out in one piece.
    fn emit(&mut self, ordinal: u64, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let waiting = self.waiting.as_mut().map(|(open, _)| open);
        let Some(open) = self.current.iter_mut().chain(waiting).find(|open| open.ordinal == ordinal) else {
            return;
        };
        open.size_bytes += bytes.len() as u64;
        let Some(at) = position_in(&self.chunk, &bytes) else {
            return self.say(Event::Data { ordinal, bytes });
        };
        match &mut self.pending {
            Some((of, range)) if *of == ordinal && range.end == at => range.end += bytes.len(),
            _ => {
                self.flush();
                self.pending = Some((ordinal, at..at + bytes.len()));
            }
        }
    }

    fn flush(&mut self) {
        if let Some((ordinal, range)) = self.pending.take() {
            self.queue.push_back(Event::Data { ordinal, bytes: self.chunk.slice(range) });
        }
    }

    fn say(&mut self, event: Event) {
        self.flush();
        self.queue.push_back(event);
    }
}

/// Whether a picture may be shown so long after it is decoded. A damaged PTS is not.
fn is_plausible(delay: Ticks) -> bool {
    (Ticks::ZERO - MAX_DELAY..=MAX_DELAY).contains(&delay)
}

/// Where in `whole` its part `part` lies; none if it is no part of it.
fn position_in(whole: &Bytes, part: &Bytes) -> Option<usize> {
    let at = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    (at + part.len() <= whole.len()).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Audio, Codec, RandomAccess};

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
        let start =
            PesStart { pid, at: 0, stream_id: 0xe0, pts, dts, len: None, is_marked_random_access: true };
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
        core.finish();
        let mut segments: Vec<(bool, usize)> = Vec::new();
        for event in core.queue {
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
