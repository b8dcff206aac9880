//! From bytes to events.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::Pid;
use super::anomaly::{Anomaly, AnomalyKind};
use super::early::Early;
use super::event::{Event, Run};
use super::framing::{Framing, Front};
use super::packet::{PACKET_LEN, Packet, SYNC_BYTE};
use super::programs::{Programs, Selection};
use super::psi::{Pat, Program};
use super::table::{Found, Table};
use super::track::{Outcome, Take, Track};
use crate::time::Ticks;

/// PIDs followed at once at most, tables included.
const MAX_SLOTS: usize = 255;
/// Events gathered before they are handed out: scanning goes on in long strides.
const BATCH: usize = 64;

#[derive(Debug)]
enum Slot {
    Table(Box<Table>),
    Track(Box<Track>),
}

/// Packets to be read: a stretch of the stream, and where it lies in it.
struct Source {
    input: Bytes,
    /// Stream offset of the input's first byte.
    base: u64,
    /// Kept from before a program was chosen; tables have been read already.
    is_kept: bool,
}

impl Source {
    const fn offset(&self, position: usize) -> u64 {
        self.base + position as u64
    }
}

/// Reads a transport stream, pushed in chunks of any size. It never fails: what is wrong comes as
/// [`Event::Anomaly`]. It holds one chunk, a section of each table and the head of one PES packet a stream.
///
/// Until a program is chosen it keeps the packets that arrive, at most the newest [`Demuxer::MAX_EARLY_BYTES`] of the
/// stream; their events follow that program's [`Event::Program`]. Those further back are dropped and reported as
/// [`AnomalyKind::BeforeTables`]. A program that the PAT lists and whose PMT does not arrive is waited for at most two
/// seconds by the PCR of another one.
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
    early: Early,
    followed: Vec<Arc<Program>>,
    /// For each PID one more than its place among the slots; zero if it is not followed.
    table: Box<[u8; Pid::COUNT]>,
    slots: Vec<Slot>,
    queue: VecDeque<Event>,
    /// Empty but for its room, between the packets of tables.
    found: Vec<Found>,
    outcome: Outcome,
    clock: Option<Ticks>,
    /// Offset at which the first program that may be chosen was known.
    candidate_at: Option<u64>,
}

impl Default for Demuxer {
    fn default() -> Self {
        Self::new(Selection::First)
    }
}

impl Demuxer {
    /// How far back from where a program is chosen packets are kept, in bytes of the stream.
    pub const MAX_EARLY_BYTES: u64 = 4 << 20;

    /// Follows the programs of this selection.
    pub fn new(selection: Selection) -> Self {
        Self::with(Programs::new(selection))
    }

    /// Follows programs that are known from elsewhere, such as an earlier read of the same file, until tables say
    /// otherwise: the first one, or with [`Selection::All`] every one. Without any it is [`Demuxer::new`].
    pub fn with_programs(selection: Selection, programs: impl IntoIterator<Item = Arc<Program>>) -> Self {
        let mut demuxer = Self::with(Programs::with_known(selection, programs));
        demuxer.tell_programs(0);
        demuxer
    }

    fn with(programs: Programs) -> Self {
        let mut demuxer = Self {
            framing: Framing::default(),
            programs,
            early: Early::new(Self::MAX_EARLY_BYTES),
            followed: Vec::new(),
            table: Box::new([0; Pid::COUNT]),
            slots: Vec::new(),
            queue: VecDeque::new(),
            found: Vec::new(),
            outcome: Outcome::default(),
            clock: None,
            candidate_at: None,
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
        self.end().collect::<Vec<_>>().into_iter()
    }

    /// The stream is over: the events that its end gives, for who asks for more of what was found behind it. Nothing
    /// may be pushed after it.
    pub fn end(&mut self) -> Events<'_> {
        self.framing.end();
        let mut events: VecDeque<_> = Events { demuxer: self }.collect();
        self.settle();
        events.extend(Events { demuxer: self });
        let at = self.framing.offset(self.framing.position());
        let mut last = Vec::new();
        for slot in &mut self.slots {
            if let Slot::Track(track) = slot {
                track.end(at, &mut last);
                // A header that never became whole: its packets are the stream's all the same.
                let held = track.release().into_iter();
                last.extend(held.map(|(at, bytes)| Event::Packets(Run { pid: track.pid(), at, bytes })));
            }
        }
        events.extend(last);
        self.queue = events;
        Events { demuxer: self }
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
            if !self.programs.is_waiting()
                && let Some((base, input)) = self.early.pop()
            {
                let source = Source { input, base, is_kept: true };
                let end = self.scan(&source, 0, usize::MAX);
                self.early.put_back(source.offset(end), source.input.slice(end..));
                continue;
            }
            match self.framing.front() {
                Front::Packet if self.programs.is_waiting() => self.wait(),
                Front::Packet => {
                    let source = self.source();
                    let end = self.scan(&source, self.framing.position(), self.most());
                    self.framing.advance(end);
                }
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

    fn source(&self) -> Source {
        Source { input: self.framing.input().clone(), base: self.framing.offset(0), is_kept: false }
    }

    /// Packets that may be read without asking for the next one.
    fn most(&self) -> usize {
        if self.framing.is_bare() { usize::MAX } else { 1 }
    }

    /// Reads packets from the front on as long as no program is chosen, and keeps them.
    fn wait(&mut self) {
        let source = self.source();
        let (start, most) = (self.framing.position(), self.most());
        let mut position = start;
        while let Some(packet) = source.input.get(position..).and_then(<[u8]>::first_chunk::<PACKET_LEN>)
            && packet[0] == SYNC_BYTE
            && self.programs.is_waiting()
        {
            if let Ok(packet) = Packet::parse(packet) {
                self.take_early(packet, source.offset(position));
            }
            position += PACKET_LEN;
            if most == 1 || self.queue.len() >= BATCH {
                break;
            }
        }
        self.early.keep(source.offset(start), source.input.slice(start..position));
        self.framing.advance(position);
        if !self.programs.is_waiting() {
            self.trim(source.offset(position));
        }
    }

    /// Takes a packet that comes while no program is chosen.
    fn take_early(&mut self, packet: Packet<'_>, at: u64) {
        let pid = packet.pid();
        let slot = self.table[pid.index()];
        if slot != 0 {
            self.take_table(slot, packet, at);
        } else {
            let mut sections = Vec::new();
            self.early.find_pmt(packet, |section| sections.push(section));
            for section in sections {
                self.take_section(&section, pid, at);
            }
        }
        let pcr = packet.adaptation_field().ok().and_then(|field| field.pcr());
        let has_waited = pcr.is_some_and(|pcr| self.programs.take_pcr(pid, pcr));
        let is_over = self.programs.has_candidate() && {
            let since = *self.candidate_at.get_or_insert(at);
            at - since >= Self::MAX_EARLY_BYTES
        };
        if self.early.seen.take(packet) || has_waited || is_over {
            self.choose(at, is_over, false);
        }
    }

    /// The stream is over: what is not decided is decided by what there is.
    fn settle(&mut self) {
        let at = self.framing.offset(self.framing.position());
        if !self.programs.is_waiting() {
            return;
        }
        let doubtful = |slot: &mut Slot| match slot {
            Slot::Table(table) => Some((table.pid(), table.take_doubtful()?)),
            Slot::Track(_) => None,
        };
        // The PAT's slot is the first; the PMTs' are there behind it.
        while let Some((pid, section)) = self.slots.iter_mut().find_map(doubtful) {
            self.take_section(&section, pid, at);
        }
        if self.programs.is_waiting() {
            self.choose(at, true, false);
        }
        self.trim(at);
    }

    fn trim(&mut self, end: u64) {
        if let Some((at, bytes)) = self.early.trim(end) {
            self.tell(at, AnomalyKind::BeforeTables { bytes });
        }
    }

    /// Reads packets of `source` from `position` on, until there are no more or enough events. Returns the position
    /// behind the last one.
    fn scan(&mut self, source: &Source, mut position: usize, most: usize) -> usize {
        let input = &source.input;
        let mut run = OpenRun { slot: 0, start: position, end: position };
        while let Some(packet) = input.get(position..).and_then(<[u8]>::first_chunk::<PACKET_LEN>) {
            if packet[0] != SYNC_BYTE {
                break;
            }
            let slot = self.table[usize::from(u16::from_be_bytes([packet[1], packet[2]]) & 0x1fff)];
            let mut end = position + PACKET_LEN;
            if let Some(Slot::Track(track)) = self.slots.get_mut(usize::from(slot).wrapping_sub(1)) {
                let smooth_end = track.run_on(input, position, most);
                if smooth_end > position {
                    end = smooth_end;
                    run = self.extend(run, slot, position..end, source);
                } else {
                    run = self.look_closer(slot, packet, position, source, run);
                }
            } else if slot != 0 && !source.is_kept {
                run = self.flush(run, position, source);
                if let Ok(packet) = Packet::parse(packet) {
                    self.take_table(slot, packet, source.offset(position));
                }
            }
            position = end;
            if most == 1 || self.queue.len() >= BATCH {
                break;
            }
        }
        self.flush(run, position, source);
        position
    }

    /// Adds packets to the run, or begins another with them.
    #[inline]
    fn extend(&mut self, run: OpenRun, slot: u8, packets: Range<usize>, source: &Source) -> OpenRun {
        if run.slot == slot && run.end == packets.start {
            return OpenRun { end: packets.end, ..run };
        }
        self.flush(run, packets.start, source);
        OpenRun { slot, start: packets.start, end: packets.end }
    }

    /// Hands out the run; the next begins at `position`.
    fn flush(&mut self, run: OpenRun, position: usize, source: &Source) -> OpenRun {
        if run.end > run.start
            && let Some(Slot::Track(track)) = self.slots.get(usize::from(run.slot).wrapping_sub(1))
        {
            let at = source.offset(run.start);
            let bytes = source.input.slice(run.start..run.end);
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
        source: &Source,
        mut run: OpenRun,
    ) -> OpenRun {
        let at = source.offset(position);
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
            run = self.flush(run, position, source);
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
            run = self.extend(run, slot, packets.clone(), source);
        }
        if !self.outcome.behind.is_empty() {
            run = self.flush(run, packets.end, source);
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

    fn take_table(&mut self, slot: u8, packet: Packet<'_>, at: u64) {
        let Some(Slot::Table(table)) = self.slots.get_mut(usize::from(slot) - 1) else { return };
        let pid = table.pid();
        let mut all = std::mem::take(&mut self.found);
        table.take(packet, |found| all.push(found));
        for found in all.drain(..) {
            match found {
                Found::Again => {
                    if pid == Pid::PAT {
                        self.programs.take_pat_again();
                    }
                    self.choose(at, false, false);
                }
                Found::Section(section) => self.take_section(&section, pid, at),
                Found::Wrong(kind) => {
                    self.queue.push_back(Event::Anomaly(Anomaly { at, pid: Some(pid), kind }));
                }
            }
        }
        self.found = all;
    }

    fn take_section(&mut self, section: &[u8], pid: Pid, at: u64) {
        let is_listed_anew = if pid == Pid::PAT {
            Pat::parse(section).is_some_and(|pat| self.programs.take_pat(pat))
        } else {
            self.programs.take_pmt(section, pid);
            false
        };
        self.choose(at, false, is_listed_anew);
    }

    /// Chooses what is followed, at a table or a packet at offset `at`.
    fn choose(&mut self, at: u64, is_over: bool, is_listed_anew: bool) {
        let seen = self.programs.is_waiting().then_some(&self.early.seen);
        self.programs.choose(seen, is_over);
        if is_listed_anew || !self.programs.followed().eq(&self.followed) {
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
        for slot in &mut old {
            if let Slot::Table(table) = slot {
                table.forget();
            }
        }
        self.table.fill(0);
        let tables: Vec<_> = std::iter::once(Pid::PAT).chain(self.programs.pmt_pids()).collect();
        for pid in tables {
            let kept = take_if(&mut old, |slot| matches!(slot, Slot::Table(table) if table.pid() == pid));
            let new = || Slot::Table(Box::new(Table::new(pid)));
            self.add(pid, || kept.unwrap_or_else(new));
        }
        let programs: Vec<_> = self.programs.followed().cloned().collect();
        let streams = programs.iter().flat_map(|program| &program.streams);
        let clocks = programs.iter().map(|program| (program.pcr_pid, None));
        // A PID that carries one program's clock may carry another one's stream.
        for (pid, stream) in streams.map(|stream| (stream.pid, Some(stream))).chain(clocks) {
            let kept = take_if(
                &mut old,
                |slot| matches!(slot, Slot::Track(track) if track.pid() == pid && track.stream() == stream),
            );
            let near = self.clock;
            let new = || Slot::Track(Box::new(Track::new(pid, stream.cloned(), near)));
            self.add(pid, || kept.unwrap_or_else(new));
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
