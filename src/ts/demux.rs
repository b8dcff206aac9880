//! From bytes to events.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::Pid;
use super::anomaly::{Anomaly, AnomalyKind};
use super::event::{Event, Run};
use super::framing::{Framing, Front};
use super::packet::{PACKET_LEN, Packet, SYNC_BYTE};
use super::programs::{Programs, Selection};
use super::psi::{Pat, Program};
use super::section::{Gathered, Gatherer};
use super::track::{Outcome, Take, Track};
use crate::time::Ticks;

/// PIDs followed at once at most, tables included.
const MAX_SLOTS: usize = 255;
/// Events gathered before they are handed out: scanning goes on in long strides.
const BATCH: usize = 64;

#[derive(Debug)]
enum Slot {
    Table { pid: Pid, gatherer: Gatherer, counter: Option<u8> },
    Track(Box<Track>),
}

/// Reads a transport stream, pushed in chunks of any size. It never fails: what is wrong comes as
/// [`Event::Anomaly`]. It holds one chunk, a section of each table and the head of one PES packet a stream.
///
/// ```
/// use segcast::ts::{Demuxer, Event};
/// # let chunks: Vec<bytes::Bytes> = vec![];
/// let mut demuxer = Demuxer::default();
/// for chunk in chunks {
///     for event in demuxer.push(chunk) {
///         match event {
///             Event::Pes(pes) => println!("{}: PTS {:?}", pes.pid, pes.pts),
///             Event::Anomaly(anomaly) => eprintln!("{anomaly}"),
///             _ => {}
///         }
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Demuxer {
    framing: Framing,
    programs: Programs,
    followed: Vec<Arc<Program>>,
    /// For each PID one more than its place among the slots; zero if it is not followed.
    table: Box<[u8; Pid::COUNT]>,
    slots: Vec<Slot>,
    queue: VecDeque<Event>,
    outcome: Outcome,
    clock: Option<Ticks>,
}

impl Default for Demuxer {
    fn default() -> Self {
        Self::new(Selection::First)
    }
}

impl Demuxer {
    /// Follows the programs of this selection.
    pub fn new(selection: Selection) -> Self {
        let mut demuxer = Self {
            framing: Framing::default(),
            programs: Programs::new(selection),
            followed: Vec::new(),
            table: Box::new([0; Pid::COUNT]),
            slots: Vec::new(),
            queue: VecDeque::new(),
            outcome: Outcome::default(),
            clock: None,
        };
        demuxer.arrange(0);
        demuxer
    }

    /// Takes the next bytes. Their events are drawn from the iterator; those not drawn are lost with it.
    pub fn push(&mut self, chunk: Bytes) -> Events<'_> {
        self.framing.push(chunk);
        Events { demuxer: self }
    }

    /// The stream is over: the events that its end gives.
    pub fn finish(mut self) -> impl Iterator<Item = Event> {
        self.framing.end();
        let mut events: Vec<_> = Events { demuxer: &mut self }.collect();
        let at = self.framing.offset(self.framing.position());
        for slot in &mut self.slots {
            if let Slot::Track(track) = slot {
                track.end(at, &mut events);
                // A header that never became whole: its packets are the stream's all the same.
                let held = track.release().into_iter();
                events.extend(held.map(|(at, bytes)| Event::Packets(Run { pid: track.pid(), at, bytes })));
            }
        }
        events.into_iter()
    }

    /// The programs followed, as far as their tables have come.
    pub fn programs(&self) -> &[Arc<Program>] {
        &self.followed
    }

    /// Whether transport packets were found at all.
    pub const fn has_packets(&self) -> bool {
        self.framing.has_locked()
    }

    /// The distance from one packet to the next in bytes, 188, 192 or 204, once packets were found.
    pub fn packet_distance(&self) -> Option<usize> {
        self.framing.stride()
    }

    fn next_event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Some(event);
            }
            match self.framing.front() {
                Front::Packet => self.scan(),
                Front::Nothing => return None,
                Front::Garbage { at, bytes } => self.tell(at, AnomalyKind::Garbage { bytes }),
                Front::Truncated { at, bytes } => self.tell(at, AnomalyKind::TruncatedPacket { bytes }),
            }
        }
    }

    /// Tells of what is wrong with no one stream.
    fn tell(&mut self, at: u64, kind: AnomalyKind) {
        self.queue.push_back(Event::Anomaly(Anomaly { at, pid: None, kind }));
    }

    /// Reads packets from the front on, until there are no more at hand or enough events.
    fn scan(&mut self) {
        let input = self.framing.input().clone();
        let most = if self.framing.is_bare() { usize::MAX } else { 1 };
        let mut position = self.framing.position();
        let mut run = OpenRun { slot: 0, start: position, end: position };
        while let Some(packet) = input.get(position..).and_then(<[u8]>::first_chunk::<PACKET_LEN>) {
            if packet[0] != SYNC_BYTE {
                break;
            }
            let slot = self.table[usize::from(u16::from_be_bytes([packet[1], packet[2]]) & 0x1fff)];
            let mut end = position + PACKET_LEN;
            if let Some(Slot::Track(track)) = self.slots.get_mut(usize::from(slot).wrapping_sub(1)) {
                let smooth_end = track.run_on(&input, position, most);
                if smooth_end > position {
                    end = smooth_end;
                    run = self.extend(run, slot, position..end, &input);
                } else {
                    run = self.look_closer(slot, packet, position, &input, run);
                }
            } else if slot != 0 {
                run = self.flush(run, position, &input);
                self.take_table(slot, packet, position);
            }
            position = end;
            if most == 1 || self.queue.len() >= BATCH {
                break;
            }
        }
        self.flush(run, position, &input);
        self.framing.advance(position);
    }

    /// Adds packets to the run, or begins another with them.
    #[inline]
    fn extend(&mut self, run: OpenRun, slot: u8, packets: Range<usize>, input: &Bytes) -> OpenRun {
        if run.slot == slot && run.end == packets.start {
            return OpenRun { end: packets.end, ..run };
        }
        self.flush(run, packets.start, input);
        OpenRun { slot, start: packets.start, end: packets.end }
    }

    /// Hands out the run; the next begins at `position`.
    fn flush(&mut self, run: OpenRun, position: usize, input: &Bytes) -> OpenRun {
        if run.end > run.start
            && let Some(Slot::Track(track)) = self.slots.get(usize::from(run.slot).wrapping_sub(1))
        {
            let at = self.framing.offset(run.start);
            let bytes = input.slice(run.start..run.end);
            self.queue.push_back(Event::Packets(Run { pid: track.pid(), at, bytes }));
        }
        OpenRun { slot: 0, start: position, end: position }
    }

    /// Takes a packet of a stream that has something about it. The run that is open behind it.
    fn look_closer(
        &mut self,
        slot: u8,
        packet: &[u8; PACKET_LEN],
        position: usize,
        input: &Bytes,
        mut run: OpenRun,
    ) -> OpenRun {
        let at = self.framing.offset(position);
        let packets = position..position + PACKET_LEN;
        let (Some(Slot::Track(track)), Ok(packet)) =
            (self.slots.get_mut(usize::from(slot) - 1), Packet::parse(packet))
        else {
            return run;
        };
        let take = track.take(packet, at, &mut self.outcome);
        if take == Take::Hold {
            track.hold(at, packet);
        }
        let has_released = track.has_released();
        if !self.outcome.before.is_empty() || has_released {
            run = self.flush(run, position, input);
            let clock = self.outcome.before.iter().rev().find_map(|event| match event {
                Event::Pes(pes) => pes.dts,
                _ => None,
            });
            self.clock = clock.or(self.clock);
            self.queue.extend(self.outcome.before.drain(..));
        }
        if has_released {
            self.release(slot);
        }
        if take == Take::Pass {
            run = self.extend(run, slot, packets.clone(), input);
        }
        if !self.outcome.behind.is_empty() {
            run = self.flush(run, packets.end, input);
            self.queue.extend(self.outcome.behind.drain(..));
        }
        run
    }

    /// Hands out packets that were held back.
    fn release(&mut self, slot: u8) {
        if let Some(Slot::Track(track)) = self.slots.get_mut(usize::from(slot) - 1) {
            let pid = track.pid();
            let held = track.release().into_iter();
            self.queue.extend(held.map(|(at, bytes)| Event::Packets(Run { pid, at, bytes })));
        }
    }

    fn take_table(&mut self, slot: u8, packet: &[u8; PACKET_LEN], position: usize) {
        let at = self.framing.offset(position);
        let (Some(Slot::Table { pid, gatherer, counter }), Ok(packet)) =
            (self.slots.get_mut(usize::from(slot) - 1), Packet::parse(packet))
        else {
            return;
        };
        let pid = *pid;
        if packet.is_in_error() || packet.is_scrambled() || !packet.has_payload() {
            return;
        }
        let found = packet.continuity_counter();
        let expected = counter.map_or(found, |last| (last + 1) & 0x0f);
        if *counter == Some(found) {
            return;
        }
        *counter = Some(found);
        if found != expected {
            gatherer.reset();
            let kind = AnomalyKind::ContinuityGap { expected, found };
            self.queue.push_back(Event::Anomaly(Anomaly { at, pid: Some(pid), kind }));
        }
        let mut sections = Vec::new();
        let payload = packet.payload().unwrap_or_default();
        gatherer.push(payload, packet.is_unit_start(), |gathered| sections.push(gathered));
        for gathered in sections {
            self.take_section(gathered, pid, at);
        }
    }

    fn take_section(&mut self, gathered: Gathered, pid: Pid, at: u64) {
        let section = match gathered {
            Gathered::Section(section) => section,
            Gathered::BadCrc => {
                let kind = AnomalyKind::SectionCrc;
                return self.queue.push_back(Event::Anomaly(Anomaly { at, pid: Some(pid), kind }));
            }
            Gathered::Malformed => {
                let kind = AnomalyKind::Section;
                return self.queue.push_back(Event::Anomaly(Anomaly { at, pid: Some(pid), kind }));
            }
        };
        let is_changed = if pid == Pid::PAT {
            Pat::parse(&section).is_some_and(|pat| self.programs.take_pat(pat))
        } else {
            self.programs.take_pmt(&section, pid)
        };
        if is_changed {
            self.arrange(at);
            self.tell_programs(at);
        }
    }

    /// Tells of programs that are new or changed.
    fn tell_programs(&mut self, at: u64) {
        let now: Vec<_> = self.programs.followed().cloned().collect();
        for program in &now {
            if !self.followed.contains(program) {
                self.queue.push_back(Event::Program(Arc::clone(program)));
            }
        }
        let wanted = 1 + self.programs.pmt_pids().count();
        let streams: usize = now.iter().map(|program| program.streams.len() + 1).sum();
        if self.followed != now && wanted + streams > MAX_SLOTS && self.slots.len() == MAX_SLOTS {
            let kind = AnomalyKind::TooManyStreams;
            self.queue.push_back(Event::Anomaly(Anomaly { at, pid: None, kind }));
        }
        self.followed = now;
    }

    /// Makes the slots those of the tables and of the followed programs' streams, by a table that came at offset
    /// `at`. What stays keeps its state.
    fn arrange(&mut self, at: u64) {
        let mut old = std::mem::take(&mut self.slots);
        self.table.fill(0);
        let tables: Vec<_> = std::iter::once(Pid::PAT).chain(self.programs.pmt_pids()).collect();
        for pid in tables {
            let kept = take_if(&mut old, |slot| matches!(slot, Slot::Table { pid: of, .. } if *of == pid));
            let new = || Slot::Table { pid, gatherer: Gatherer::default(), counter: None };
            self.add(pid, || kept.unwrap_or_else(new));
        }
        let programs: Vec<_> = self.programs.followed().cloned().collect();
        for program in &programs {
            let streams = program.streams.iter().map(|stream| (stream.pid, Some(stream)));
            for (pid, stream) in streams.chain([(program.pcr_pid, None)]) {
                let kept = take_if(
                    &mut old,
                    |slot| matches!(slot, Slot::Track(track) if track.pid() == pid && track.stream() == stream),
                );
                let near = self.clock;
                let new = || Slot::Track(Box::new(Track::new(pid, stream.cloned(), near)));
                self.add(pid, || kept.unwrap_or_else(new));
            }
        }
        for slot in &mut old {
            if let Slot::Track(track) = slot {
                track.end(at, &mut self.outcome.behind);
                let held = track.release().into_iter();
                let packets = held.map(|(at, bytes)| Event::Packets(Run { pid: track.pid(), at, bytes }));
                self.outcome.behind.extend(packets);
            }
        }
        self.queue.extend(self.outcome.behind.drain(..));
    }

    /// Gives `pid` a slot unless it has one, is stuffing, or all are taken.
    fn add(&mut self, pid: Pid, slot: impl FnOnce() -> Slot) {
        let entry = &mut self.table[pid.index()];
        if *entry == 0 && pid != Pid::NULL && self.slots.len() < MAX_SLOTS {
            self.slots.push(slot());
            *entry = self.slots.len() as u8;
        }
    }
}

#[derive(Clone, Copy)]
struct OpenRun {
    slot: u8,
    start: usize,
    end: usize,
}

fn take_if(slots: &mut Vec<Slot>, is_it: impl Fn(&Slot) -> bool) -> Option<Slot> {
    let index = slots.iter().position(is_it)?;
    Some(slots.swap_remove(index))
}

/// The events of a pushed chunk. Borrows the demuxer, so that they are drawn before the next push.
#[derive(Debug)]
pub struct Events<'a> {
    demuxer: &'a mut Demuxer,
}

impl Iterator for Events<'_> {
    type Item = Event;

    #[inline]
    fn next(&mut self) -> Option<Event> {
        self.demuxer.next_event()
    }
}

impl Drop for Events<'_> {
    fn drop(&mut self) {
        while self.demuxer.next_event().is_some() {}
    }
}
