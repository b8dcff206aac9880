//! Packets on their way into segments.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::cutter::Event;
use super::lanes::{Lanes, Owner};
use super::repeat::Repeat;
use super::timing::{End, is_jump};
use super::{Extent, Head, Part};
use crate::codec::Codec;
use crate::time::Ticks;
use crate::ts::{self, Anomaly, AnomalyKind, PACKET_LEN, PesStart, Pid, Program};

/// How far the stream goes on while an earlier segment waits for the ends of its PES packets.
const TAIL_LIMIT: Ticks = Ticks::new(Ticks::PER_SECOND);
/// The stretch of the stream, in bytes, from which packets are kept for the next segment: each keeps its whole chunk.
const MAX_LEAD_BYTES: u64 = 8 << 20;
/// A stream's first PES packets belong to the first segment if they lie at most so far before it.
const LEAD_SPAN: Ticks = Ticks::new(Ticks::PER_SECOND);

/// A longer step may be that of all streams, which the reference stream has not made yet.
const OUTAGE: Ticks = Ticks::new(2 * Ticks::PER_SECOND);

/// Streams that are sent at the same time are presented at most this far apart.
const BESIDE: Ticks = Ticks::new(3 * Ticks::PER_SECOND);

/// A segment that is not whole yet.
#[derive(Debug)]
struct Open {
    ordinal: u64,
    head: Head,
    size_bytes: u64,
}

impl Open {
    /// Whether packets from before it may be of another timeline.
    const fn begins_timeline(&self) -> bool {
        self.ordinal == 0 || self.head.is_discontinuity
    }
}

/// A segment that takes no new PES packets, while its last ones come in.
#[derive(Debug)]
struct Waiting {
    open: Open,
    ending: Ending,
}

/// How a segment ends.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// When what follows it comes.
    pub at: End,
    /// No segment will be longer.
    pub longest: Duration,
    /// Its last part, where there are parts.
    pub last_part: Option<Part>,
}

/// Packets that wait for the segment that opens next.
#[derive(Debug, Default)]
struct Lead {
    /// With the PTS of the PES packet that they belong to.
    packets: VecDeque<(Option<Ticks>, ts::Run)>,
    /// Whether they are to follow the first packet of the segment that has opened.
    is_due: bool,
}

/// An access unit inside a PES packet with which a segment or a part begins: the PES packet is divided there.
#[derive(Debug)]
struct Split {
    start: PesStart,
    is_random_access: bool,
    then: Then,
}

/// What follows where a PES packet is divided.
#[derive(Debug)]
pub enum Then {
    /// The newest segment.
    Segment,
    /// The newest segment's next part, behind this one. Parameter sets are repeated in it, if its coding is given.
    Part(Part, Arc<Program>, Option<Codec>),
    /// Nothing that is kept.
    Nothing,
}

/// Sends packets to the segments that they belong to, and hands out what comes of it, in order.
#[derive(Debug, Default)]
pub struct Outlet {
    lanes: Lanes,
    reference: Option<Pid>,
    table_counters: (u8, u8),
    opened: u64,
    current: Option<Open>,
    waiting: Option<Waiting>,
    lead: Lead,
    split: Option<Split>,
    repeat: Repeat,
    /// Offset of the first, and number, of the packets that go nowhere.
    left_out: Option<(u64, u64)>,
    chunk: Bytes,
    /// Bytes of the chunk that go to a segment and are not handed out yet.
    pending: Option<(u64, Range<usize>)>,
    queue: VecDeque<Event>,
}

impl Outlet {
    /// What is taken next lies in `chunk`.
    pub fn begin_chunk(&mut self, chunk: Bytes) {
        self.chunk = chunk;
    }

    /// The next event.
    pub fn pop(&mut self) -> Option<Event> {
        self.queue.pop_front()
    }

    /// The streams are those of `program`, and segments begin with pictures of `reference`.
    pub fn arrange(&mut self, program: &Program, reference: Option<Pid>) {
        self.lanes.arrange(program);
        if reference != self.reference {
            self.reference = reference;
            self.repeat = Repeat::default();
        }
    }

    /// The reference stream's PES packet goes to the newest segment, if one is open.
    pub fn join(&mut self, start: &PesStart) {
        let owner = self.newest();
        if let Some(lane) = self.lanes.get(start.pid) {
            lane.owner = owner;
            lane.is_in_pes = true;
            lane.pts = start.pts;
        }
    }

    /// The reference stream's PES packet begins with the rest of what was in the one before, and goes where that went.
    pub fn go_on(&mut self, start: &PesStart) {
        if let Some(lane) = self.lanes.get(start.pid) {
            lane.is_in_pes = true;
            lane.pts = start.pts;
        }
    }

    /// The reference stream's PES packet is divided where an access unit begins in it: what precedes it goes where the PES
    /// packet went.
    pub fn split(&mut self, start: &PesStart, is_random_access: bool, then: Then) {
        self.split = Some(Split { start: *start, is_random_access, then });
    }

    /// Divides the packet in `run` that an access unit begins in, and hands it on.
    fn send_split(&mut self, mut run: ts::Run, split: Split) {
        let Split { start, is_random_access, then } = split;
        let before = usize::try_from(start.at.saturating_sub(run.at)).unwrap_or(0) / PACKET_LEN * PACKET_LEN;
        if before > 0 && before < run.bytes.len() {
            let earlier = ts::Run { bytes: run.bytes.split_to(before), ..run };
            run.at += before as u64;
            self.send(earlier);
        }
        // Where its packet is gone already, it begins with the next.
        let inside = start
            .inside
            .filter(|_| start.at >= run.at)
            .unwrap_or(ts::Inside { offset: 0, is_estimated: false });
        let halves = run.bytes.first_chunk::<PACKET_LEN>().and_then(|packet| {
            ts::split(packet, &PesStart { inside: Some(inside), ..start }, is_random_access)
        });
        let rest = run.bytes.split_off(PACKET_LEN.min(run.bytes.len()));
        let Some(halves) = halves else { return };
        let at = run.at;
        let whole = |bytes: Bytes| ts::Run { pid: start.pid, at, bytes };
        if let Some(tail) = halves.tail {
            self.send(whole(Bytes::copy_from_slice(&tail)));
        }
        match &then {
            Then::Part(part, program, _) => self.part(*part, program),
            Then::Segment | Then::Nothing => {
                self.route(ts::Event::PesEnd { pid: start.pid });
                if let Then::Segment = then { self.join(&start) } else { self.leave(&start) }
            }
        }
        let head = Bytes::from(halves.head);
        if let Then::Part(.., Some(codec)) = then {
            self.repeat.at(&PesStart { at, ..start }, codec);
        }
        self.send(whole(head));
        if !rest.is_empty() {
            self.send(ts::Run { pid: start.pid, at: at + PACKET_LEN as u64, bytes: rest });
        }
    }

    /// The parameter sets of the reference stream, and where they are repeated.
    pub(super) const fn repeat(&mut self) -> &mut Repeat {
        &mut self.repeat
    }

    /// No more of the reference stream's PES packet is waited for: the stream is away.
    pub fn end_reference(&mut self) {
        if let Some(lane) = self.reference.and_then(|pid| self.lanes.get(pid)) {
            lane.is_in_pes = false;
        }
    }

    /// The reference stream's PES packet goes nowhere.
    pub fn leave(&mut self, start: &PesStart) {
        if let Some(lane) = self.lanes.get(start.pid) {
            lane.owner = Owner::Nobody;
            lane.is_in_pes = true;
            lane.pts = start.pts;
        }
    }

    /// Sends an event of the program's streams where it belongs.
    pub fn route(&mut self, event: ts::Event) {
        match event {
            ts::Event::Pes(start) => self.begin_pes(&start),
            ts::Event::PesEnd { pid } => {
                if let Some(lane) = self.lanes.get(pid) {
                    lane.is_in_pes = false;
                }
                if self.waiting.as_ref().is_some_and(|waiting| !self.lanes.is_awaited(waiting.open.ordinal)) {
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
        let reference = self.reference.and_then(|pid| self.lanes.get(pid)).and_then(|lane| lane.pts);
        let Some(lane) = self.lanes.get(start.pid) else { return };
        if let (Some(last), Some(pts)) = (lane.pts, start.pts) {
            // After a gap of its own it is where the reference stream is.
            let is_beside = reference.is_some_and(|at| (pts - at).count().abs() <= BESIDE.count());
            lane.is_ahead |= (is_jump(pts - last) || pts - last > OUTAGE) && !is_beside;
        }
        lane.pts = start.pts.or(lane.pts);
        lane.is_in_pes = true;
        lane.owner = match current {
            Some(ordinal) if !lane.is_ahead => Owner::Segment(ordinal),
            _ => Owner::Next,
        };
    }

    /// Sends packets to the segment that they belong to.
    pub fn send(&mut self, mut run: ts::Run) {
        let end = run.at + run.bytes.len() as u64;
        if let Some(split) = self.split.take_if(|split| split.start.pid == run.pid && end > split.start.at) {
            return self.send_split(run, split);
        }
        if Some(run.pid) == self.reference {
            if let Some(place) = self.repeat.take_in(&run) {
                return self.repeat.inserted(run, place).into_iter().for_each(|run| self.send(run));
            }
            if self.repeat.is_looking() {
                self.repeat.look(&run);
            }
        }
        let Some(lane) = self.lanes.get(run.pid) else { return };
        match lane.owner {
            Owner::Segment(ordinal) => {
                if self.lead.is_due && Some(run.pid) == self.reference {
                    // Behind the first packet, not the first run: how long that is the chunks decide.
                    self.emit(ordinal, run.bytes.split_to(PACKET_LEN.min(run.bytes.len())));
                    let begun = self.current.as_ref().filter(|open| open.begins_timeline());
                    let start = begun.map(|open| open.head.start);
                    self.deliver_lead(ordinal, start);
                }
                self.emit(ordinal, run.bytes);
            }
            Owner::Next => {
                let (pts, at) = (lane.pts, run.at);
                self.lead.packets.push_back((pts, run));
                self.bound_lead(at);
            }
            Owner::Nobody => self.leave_out(&run),
        }
    }

    /// The stream has come to byte `at`: what waits for too long goes on without the next segment.
    fn bound_lead(&mut self, at: u64) {
        let is_old = |(_, run): &(_, ts::Run)| at.saturating_sub(run.at) > MAX_LEAD_BYTES;
        while self.lead.packets.front().is_some_and(is_old)
            && let Some((_, run)) = self.lead.packets.pop_front()
        {
            match self.current.as_ref().map(|open| open.ordinal) {
                Some(ordinal) => self.emit(ordinal, run.bytes),
                None => self.leave_out(&run),
            }
        }
    }

    /// Hands on what waited for the segment that has opened without a picture.
    pub fn deliver_lead_now(&mut self) {
        if let Some(open) = self.current.as_ref().filter(|_| self.lead.is_due) {
            let (ordinal, start) = (open.ordinal, open.head.start);
            let start = open.begins_timeline().then_some(start);
            self.deliver_lead(ordinal, start);
        }
    }

    /// Hands on what waited for a segment to open; around `start`, where a timeline begins there.
    fn deliver_lead(&mut self, ordinal: u64, start: Option<Ticks>) {
        for (pts, run) in std::mem::take(&mut self.lead).packets {
            let ahead = pts.zip(start).map(|(pts, start)| pts - start);
            if ahead.is_none_or(|ahead| ahead > Ticks::ZERO - LEAD_SPAN && !is_jump(ahead.max(Ticks::ZERO))) {
                self.emit(ordinal, run.bytes);
            } else {
                self.leave_out(&run);
            }
        }
    }

    fn leave_out(&mut self, run: &ts::Run) {
        let (at, packets) = self.left_out.get_or_insert((run.at, 0));
        *at = run.at.min(*at);
        *packets += (run.bytes.len() / PACKET_LEN) as u64;
    }

    fn tell_left_out(&mut self) {
        if let Some((at, packets)) = self.left_out.take() {
            let kind = AnomalyKind::Undecodable { packets };
            self.say(Event::Anomaly(Anomaly { at, pid: self.reference, kind }));
        }
    }

    /// A segment begins.
    pub fn open(&mut self, head: Head, program: &Program) {
        self.tell_left_out();
        let ordinal = self.opened;
        self.opened += 1;
        self.say(Event::Open { ordinal, head });
        self.current = Some(Open { ordinal, head, size_bytes: 0 });
        self.lanes.opened(ordinal, head.is_discontinuity);
        self.lead.is_due = !self.lead.packets.is_empty();
        let tables = self.tables(program);
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
    pub fn close_current(&mut self, ending: Ending) {
        let Some(open) = self.current.take() else { return };
        self.close_waiting();
        let ordinal = open.ordinal;
        self.lanes.closed(ordinal);
        self.waiting = Some(Waiting { open, ending });
        if !self.lanes.is_awaited(ordinal) {
            self.close_waiting();
        }
    }

    /// The stream has come to `start`: the segment before must not wait for the ends of its PES packets for ever.
    pub fn go_on_to(&mut self, start: &PesStart) {
        let Some(waiting) = self.waiting.as_ref().filter(|_| self.split.is_none()) else { return };
        if start.pts.is_none_or(|pts| pts - waiting.ending.at.shown <= TAIL_LIMIT) {
            return;
        }
        let to = self.newest();
        if self.lanes.hand_over(waiting.open.ordinal, to) {
            let kind = AnomalyKind::PesTooLong;
            self.say(Event::Anomaly(Anomaly { at: start.at, pid: Some(start.pid), kind }));
        }
        self.close_waiting();
    }

    /// Whether a segment is open that takes what comes.
    pub const fn has_open(&self) -> bool {
        self.current.is_some()
    }

    fn newest(&self) -> Owner {
        self.current.as_ref().map_or(Owner::Nobody, |open| Owner::Segment(open.ordinal))
    }

    fn close_waiting(&mut self) {
        let Some(Waiting { open, ending }) = self.waiting.take() else { return };
        let to = self.newest();
        self.lanes.hand_over(open.ordinal, to);
        let extent = Extent {
            head: open.head,
            duration: open.head.start.until(ending.at.shown),
            size_bytes: open.size_bytes,
            longest: ending.longest,
            decode_end: ending.at.decoded,
        };
        if let Some(part) = ending.last_part {
            self.say(Event::Part { ordinal: open.ordinal, part });
        }
        self.say(Event::Close { ordinal: open.ordinal, extent });
    }

    /// Ends a part of the newest segment, which goes on with another: that begins with the tables, as players may start
    /// with any part.
    pub fn part(&mut self, part: Part, program: &Program) {
        if let Some(open) = &self.current {
            let ordinal = open.ordinal;
            self.say(Event::Part { ordinal, part });
            let tables = self.tables(program);
            self.emit(ordinal, tables);
        }
    }

    /// The stream breaks off; the newest segment, if one is open, ends like this. Nothing is known of what comes next.
    pub fn break_off(&mut self, ending: Option<Ending>) {
        if let Some(open) = &self.current {
            let ordinal = open.ordinal;
            self.deliver_lead(ordinal, None);
        }
        if let Some(ending) = ending {
            self.close_current(ending);
        }
        self.close_waiting();
        for (_, run) in std::mem::take(&mut self.lead).packets {
            self.leave_out(&run);
        }
        self.tell_left_out();
        self.flush();
        self.split = None;
        self.repeat = Repeat::default();
        self.lanes = Lanes::default();
        self.reference = None;
        self.chunk = Bytes::new();
    }

    /// Adds bytes to a segment; what lies back to back in the chunk is handed out in one piece.
    fn emit(&mut self, ordinal: u64, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let waiting = self.waiting.as_mut().map(|waiting| &mut waiting.open);
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

    /// Hands out what lies in the chunk, because it ends or something else comes.
    pub fn flush(&mut self) {
        if let Some((ordinal, range)) = self.pending.take() {
            self.queue.push_back(Event::Data { ordinal, bytes: self.chunk.slice(range) });
        }
    }

    /// Hands out an event, behind the bytes before it.
    pub fn say(&mut self, event: Event) {
        self.flush();
        self.queue.push_back(event);
    }
}

/// Where in `whole` its part `part` lies; none if it is no part of it.
fn position_in(whole: &Bytes, part: &Bytes) -> Option<usize> {
    let at = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    (at + part.len() <= whole.len()).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: Pid = Pid::new(0x101);

    /// A program of H.264 and AAC, the sound of which waits for the first picture.
    fn outlet() -> Outlet {
        let section = [
            &[2, 0xb0, 23, 0, 1, 0xc1, 0, 0, 0xe1, 0x00, 0xf0, 0, 0x1b, 0xe1, 0x00, 0xf0, 0][..],
            &[0x0f, 0xe1, 0x01, 0xf0, 0, 0, 0, 0, 0],
        ];
        let program = Program::parse(&section.concat(), 1, Pid::new(0x1000)).unwrap();
        let mut outlet = Outlet::default();
        outlet.arrange(&program, Some(Pid::new(0x100)));
        let pts = Some(Ticks::ZERO);
        let start = PesStart {
            pid: SOUND,
            at: 0,
            stream_id: 0xc0,
            pts,
            dts: pts,
            len: None,
            is_marked_random_access: false,
            inside: None,
        };
        outlet.route(ts::Event::Pes(start));
        outlet
    }

    #[test]
    fn what_waits_for_a_segment_keeps_no_more_than_its_share_of_the_stream() {
        let mut outlet = outlet();
        let chunks: Vec<_> = (0..200).map(|_| Bytes::from(vec![0x47; 64 << 10])).collect();
        for (n, chunk) in (0..).zip(&chunks) {
            outlet.begin_chunk(chunk.clone());
            let at = n * chunk.len() as u64;
            outlet.route(ts::Event::Packets(ts::Run { pid: SOUND, at, bytes: chunk.slice(..PACKET_LEN) }));
        }
        outlet.begin_chunk(Bytes::new());
        let kept: usize = chunks.iter().filter(|chunk| !chunk.is_unique()).map(Bytes::len).sum();
        assert!(kept <= MAX_LEAD_BYTES as usize + (64 << 10), "{} KiB", kept >> 10);
    }
}
