//! One PID followed: continuity, PES packets, and what the bitstream says at their heads.

use bytes::Bytes;

use super::Pid;
use super::anomaly::{Anomaly, AnomalyKind};
use super::event::{self, Event, PesStart, Run};
use super::inside::Inside;
use super::packet::{PACKET_LEN, Packet};
use super::pes::{self, Header, Parsed};
use super::psi::Stream;
use super::split::header_len;
use crate::codec::{Codec, Examiner, Format};
use crate::time::{Ticks, Unwrapper};

/// A continuity counter that no packet has: none has come yet.
const NO_COUNTER: u8 = 0xff;
/// Where the eight bytes lie by which a packet sent twice is known: behind a PCR, which may differ.
const FINGERPRINT_AT: usize = 12;
/// Packets held back at most while a PES header is incomplete.
const MAX_HELD: usize = 2 * pes::MAX_NEEDED;

/// Payload bytes of a packet without an adaptation field.
const PAYLOAD_LEN: u64 = PACKET_LEN as u64 - 4;

/// What is to be done with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// It belongs to the stream.
    Pass,
    /// It is left out.
    Drop,
    /// It is kept by the track until the PES header that it is part of is whole.
    Hold,
}

/// Events that one packet gives: before it, and behind it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Ahead of the packet.
    pub before: Vec<Event>,
    /// Behind it.
    pub behind: Vec<Event>,
}

/// One PID's state.
#[derive(Debug)]
pub struct Track {
    /// Whether packets without anything special about them may be passed by [`Track::run_on`].
    is_smooth: bool,
    next_counter: u8,
    fingerprint: u64,
    /// Payload bytes until the PES packet ends; the largest number if that is not known.
    left: u64,
    pid: Pid,
    stream: Option<Stream>,
    examiner: Option<Examiner>,
    state: State,
    /// Bytes of the PES header that are still to come, ahead of the payload.
    header_left: usize,
    is_marked: bool,
    /// Whether random_access_indicator was set anywhere.
    has_marks: bool,
    is_scrambled: bool,
    clock: Unwrapper,
    header: Vec<u8>,
    held: Vec<(u64, Bytes)>,
    held_from: u64,
    /// Whether `held` are packets that an access unit may begin in.
    is_holding: bool,
    /// Looks for access units that begin inside PES packets.
    inside: Option<Box<Inside>>,
    /// PTS and DTS of the PES packet, until an access unit begins in it.
    own: Option<(Ticks, Ticks)>,
    /// Those of the PES packet before, if its last bytes may be the first ones of an access unit.
    own_before: Option<(Ticks, Ticks)>,
    stream_id: u8,
    /// Whether nothing of the payload was looked at.
    is_fresh: bool,
    /// Whether all of it is.
    is_looked_through: bool,
    /// Whether the access unit that is examined began inside its PES packet.
    is_inside: bool,
    /// Whether it began in an earlier one.
    is_carried: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between PES packets, or a PID that carries none.
    Idle,
    /// A PES header has begun and is not whole.
    InHeader,
    /// In a PES packet whose head is still looked into.
    Examining,
    /// In a PES packet of which all is known.
    InPayload,
}

impl Track {
    /// A track of `pid`; of a stream, or of a PCR alone. `near` is where its timestamps are expected.
    pub fn new(pid: Pid, stream: Option<Stream>, near: Option<Ticks>) -> Self {
        let examiner = stream.as_ref().filter(|stream| stream.is_pes()).map(Stream::examiner);
        let inside = stream.as_ref().filter(|stream| stream.is_pes());
        let inside = inside.and_then(|stream| Inside::new(stream.codec, stream.opus_channels()));
        Self {
            is_smooth: true,
            next_counter: NO_COUNTER,
            fingerprint: 0,
            left: u64::MAX,
            pid,
            stream,
            examiner,
            state: State::Idle,
            header_left: 0,
            is_marked: false,
            has_marks: false,
            is_scrambled: false,
            clock: near.map_or_else(Unwrapper::default, Unwrapper::near),
            header: Vec::new(),
            held: Vec::new(),
            held_from: 0,
            is_holding: false,
            inside,
            own: None,
            own_before: None,
            stream_id: 0,
            is_fresh: false,
            is_looked_through: false,
            is_inside: false,
            is_carried: false,
        }
    }

    /// Its PID.
    pub const fn pid(&self) -> Pid {
        self.pid
    }

    /// The stream that it carries.
    pub const fn stream(&self) -> Option<&Stream> {
        self.stream.as_ref()
    }

    /// Packets held back, to be passed now with their offsets.
    pub fn release(&mut self) -> Vec<(u64, Bytes)> {
        std::mem::take(&mut self.held)
    }

    /// Whether packets are held that may be released.
    pub fn has_released(&self) -> bool {
        !self.held.is_empty() && self.state != State::InHeader && !self.is_holding
    }

    /// Takes packets from `position` on that follow each other back to back with nothing special about them: no
    /// adaptation field, no flags, the counter that is due. Nearly all packets are like this. The position behind
    /// the last of them; `position` itself if the first needs a closer look.
    #[inline]
    pub fn run_on(&mut self, input: &[u8], position: usize, most: usize) -> usize {
        /// Payload alone: no error, no unit start, not scrambled, no adaptation field.
        const PLAIN: u32 = 0x0000_0010;
        let Some(first) = head(input, position) else { return position };
        let is_due = (first & 0x0f) as u8 == self.next_counter;
        if first & 0x00c0_00f0 != PLAIN || !is_due || !self.is_smooth || self.left <= PAYLOAD_LEN {
            return position;
        }
        // The packet that ends a PES packet is looked at closely.
        let most = most.min(usize::try_from((self.left - 1) / PAYLOAD_LEN).unwrap_or(usize::MAX));
        let (mut count, mut end, mut due) = (1, position + PACKET_LEN, next(first));
        while count < most && head(input, end) == Some(due) {
            count += 1;
            end += PACKET_LEN;
            due = next(due);
        }
        self.next_counter = (due & 0x0f) as u8;
        if let Some(last) = input[..end].last_chunk::<PACKET_LEN>() {
            self.fingerprint = fingerprint(last);
        }
        if self.left != u64::MAX {
            self.left -= count as u64 * PAYLOAD_LEN;
        }
        end
    }

    /// Takes any packet.
    pub fn take(&mut self, packet: Packet<'_>, at: u64, out: &mut Outcome) -> Take {
        let anomaly = |kind| Event::Anomaly(Anomaly { at, pid: Some(self.pid), kind });
        if packet.is_in_error() {
            out.before.push(anomaly(AnomalyKind::TransportError));
            return Take::Drop;
        }
        if !packet.has_payload() && !packet.has_adaptation_field() {
            out.before.push(anomaly(AnomalyKind::ReservedAdaptationControl));
            return Take::Drop;
        }
        let Ok(field) = packet.adaptation_field() else {
            out.before.push(anomaly(AnomalyKind::AdaptationField));
            return Take::Pass;
        };
        if packet.has_payload() && !self.count(packet, at, field.is_discontinuity(), out) {
            return Take::Drop;
        }
        if field.is_discontinuity() {
            out.before.push(Event::Discontinuity { pid: self.pid, at });
        }
        if let Some(pcr) = field.pcr() {
            out.before.push(Event::Pcr { pid: self.pid, at, pcr });
        }
        if packet.is_scrambled() {
            self.scrambled(at, out);
            return Take::Pass;
        }
        self.is_scrambled = false;
        let payload = packet.payload().unwrap_or_default();
        if packet.is_unit_start() && packet.has_payload() && self.examiner.is_some() {
            self.start(payload, at, field.is_random_access(), out)
        } else {
            self.go_on(payload, at, out)
        }
    }

    /// The stream is over, or the PID is no longer in the program.
    pub fn end(&mut self, at: u64, out: &mut Vec<Event>) {
        self.end_pes(at, out);
        self.end_carried(at, out);
    }

    /// Checks the continuity counter. False for a packet that was sent twice.
    fn count(&mut self, packet: Packet<'_>, at: u64, may_jump: bool, out: &mut Outcome) -> bool {
        let (found, expected) = (packet.continuity_counter(), self.next_counter);
        let print = fingerprint(packet.bytes());
        let is_first = expected == NO_COUNTER;
        if !is_first && !may_jump && found != expected {
            let is_again = found == expected.wrapping_sub(1) & 0x0f && print == self.fingerprint;
            let kind = match is_again {
                true => AnomalyKind::Duplicate,
                false => AnomalyKind::ContinuityGap { expected, found },
            };
            out.before.push(Event::Anomaly(Anomaly { at, pid: Some(self.pid), kind }));
            if is_again {
                return false;
            }
            self.lose(at, out);
        }
        self.next_counter = (found + 1) & 0x0f;
        self.fingerprint = print;
        true
    }

    /// Packets are missing: the PES packet's length cannot be kept, nor its head understood.
    fn lose(&mut self, at: u64, out: &mut Outcome) {
        self.let_go(&mut out.before);
        self.left = u64::MAX;
        if let Some(inside) = &mut self.inside {
            inside.lose();
        }
        match self.state {
            State::Examining => {
                out.before.push(Event::AccessUnit { pid: self.pid, unit: Default::default() });
                self.is_carried = false;
                self.settle(State::InPayload);
            }
            State::InHeader => self.settle(State::Idle),
            State::Idle | State::InPayload => {}
        }
        self.end_carried(at, &mut out.before);
    }

    fn scrambled(&mut self, at: u64, out: &mut Outcome) {
        self.let_go(&mut out.before);
        if !self.is_scrambled {
            self.is_scrambled = true;
            self.end_pes(at, &mut out.before);
            self.end_carried(at, &mut out.before);
            let kind = AnomalyKind::Scrambled;
            out.before.push(Event::Anomaly(Anomaly { at, pid: Some(self.pid), kind }));
        }
    }

    fn settle(&mut self, state: State) {
        self.state = state;
        self.is_smooth = match state {
            State::Idle => true,
            State::InPayload => !self.inside.as_ref().is_some_and(|inside| inside.is_on()),
            State::InHeader | State::Examining => false,
        };
    }

    fn start(&mut self, payload: &[u8], at: u64, is_marked: bool, out: &mut Outcome) -> Take {
        self.let_go(&mut out.before);
        self.end_pes(at, &mut out.before);
        self.is_marked = is_marked;
        self.header.clear();
        self.held_from = at;
        self.read_header(payload, at, out)
    }

    fn go_on(&mut self, payload: &[u8], at: u64, out: &mut Outcome) -> Take {
        match self.state {
            State::Idle => {}
            State::InHeader => return self.read_header(payload, at, out),
            State::Examining | State::InPayload if payload.is_empty() && self.is_holding => {
                return Take::Hold;
            }
            State::Examining | State::InPayload => return self.payload(payload, at, out),
        }
        Take::Pass
    }

    /// Hands out the packets that an access unit might have begun in.
    fn let_go(&mut self, out: &mut Vec<Event>) {
        if std::mem::take(&mut self.is_holding) {
            let pid = self.pid;
            out.extend(self.held.drain(..).map(|(at, bytes)| Event::Packets(Run { pid, at, bytes })));
        }
    }

    /// Reads a PES header that may have begun in earlier packets.
    fn read_header(&mut self, payload: &[u8], at: u64, out: &mut Outcome) -> Take {
        let before = self.header.len();
        let parsed = if before == 0 {
            pes::parse(payload)
        } else {
            self.header.extend_from_slice(&payload[..payload.len().min(pes::MAX_NEEDED)]);
            pes::parse(&self.header)
        };
        match parsed {
            Parsed::Header(header) => {
                self.open(&header, out);
                self.header_left = header.payload_at;
                self.left = header.len.map_or(u64::MAX, |len| len as u64);
                let earlier = before.min(self.header_left);
                self.header_left -= earlier;
                self.left = if self.left == u64::MAX { self.left } else { self.left - earlier as u64 };
                self.payload(payload, at, out)
            }
            Parsed::NeedsMore(_) if self.held.len() < MAX_HELD => {
                if before == 0 {
                    self.header.extend_from_slice(payload);
                }
                self.settle(State::InHeader);
                Take::Hold
            }
            Parsed::NeedsMore(_) | Parsed::Malformed => {
                let kind = AnomalyKind::PesHeader;
                out.before.push(Event::Anomaly(Anomaly { at: self.held_from, pid: Some(self.pid), kind }));
                self.settle(State::Idle);
                self.end_carried(at, &mut out.before);
                Take::Pass
            }
        }
    }

    /// Keeps a packet back until the header is whole: a copy, for a slice would keep the whole chunk.
    pub fn hold(&mut self, at: u64, packet: Packet<'_>) {
        self.held.push((at, Bytes::copy_from_slice(packet.bytes())));
    }

    fn open(&mut self, header: &Header, out: &mut Outcome) {
        let dts = header.dts.map(|stamp| self.clock.unwrap(stamp));
        let pts = match (header.pts, dts) {
            (Some(stamp), Some(dts)) => Some(dts.nearest(stamp)),
            (Some(stamp), None) => Some(self.clock.unwrap(stamp)),
            (None, _) => None,
        };
        out.before.push(Event::Pes(PesStart {
            pid: self.pid,
            at: self.held_from,
            stream_id: header.stream_id,
            pts,
            dts: dts.or(pts),
            len: header.len,
            is_marked_random_access: self.is_marked,
            inside: None,
        }));
        self.stream_id = header.stream_id;
        let own = pts.map(|pts| (pts, dts.unwrap_or(pts)));
        self.own_before = std::mem::replace(&mut self.own, own);
        self.is_fresh = true;
        self.is_looked_through = false;
        self.is_inside = false;
        if let Some(inside) = &mut self.inside {
            inside.begin(
                dts.or(pts),
                self.is_carried,
                self.own_before.is_some(),
                self.examiner.as_ref().and_then(Examiner::format),
            );
        }
        self.settle(State::Examining);
        if let Some(examiner) = self.examiner.as_mut().filter(|_| !self.is_carried) {
            examiner.begin();
        }
    }

    /// Takes payload of the PES packet in hand, what is left of its header included.
    fn payload(&mut self, bytes: &[u8], at: u64, out: &mut Outcome) -> Take {
        let len = bytes.len() as u64;
        let (bytes, is_last) = match self.left {
            u64::MAX => (bytes, false),
            // What lies behind it is looked into all the same: see below.
            left if self.is_video() => (bytes, len >= left),
            left => (&bytes[..len.min(left) as usize], len >= left),
        };
        if self.left != u64::MAX {
            self.left = self.left.saturating_sub(bytes.len() as u64);
        }
        let skipped = self.header_left.min(bytes.len());
        self.header_left -= skipped;
        let piece = &bytes[skipped..];
        if !piece.is_empty()
            && std::mem::take(&mut self.is_fresh)
            && let Some(inside) = &mut self.inside
        {
            self.is_looked_through = inside.is_on() || inside.look_at_head(piece);
            if !self.is_looked_through {
                inside.time(self.own.take(), None);
            }
        }
        let mut take = Take::Pass;
        if self.is_looked_through && !piece.is_empty() {
            take = self.look_through(piece, at, skipped, out);
        } else if self.state == State::Examining && !piece.is_empty() {
            let unit = self.examiner.as_mut().and_then(|examiner| examiner.push(piece));
            self.conclude(unit, at, &mut out.before);
        }
        if is_last && self.is_video() {
            // Multiplexers give video lengths that are too short; the next PES packet tells where it ends.
            self.left = u64::MAX;
        } else if is_last {
            self.end_pes(at, &mut out.behind);
        }
        take
    }

    /// Looks for access units that begin in payload that lies behind `offset` bytes of the packet's.
    fn look_through(&mut self, piece: &[u8], at: u64, offset: usize, out: &mut Outcome) -> Take {
        let Some(mut inside) = self.inside.take() else { return Take::Pass };
        let is_interlaced = matches!(self.format(), Some(Format::Video(video)) if video.is_interlaced);
        let shown = inside.push(piece, at, offset, is_interlaced);
        let window = inside.window(piece).len();
        let mut from = window - piece.len();
        match shown.is_aligned {
            Some(true) => {
                if self.is_carried {
                    self.end_carried(at, &mut out.before);
                    self.is_inside = false;
                    self.examiner.iter_mut().for_each(Examiner::begin);
                }
                inside.time(self.own.take(), self.format());
                from = 0;
            }
            Some(false) if self.state == State::Examining => {
                out.before.push(Event::Rest { pid: self.pid });
                if self.is_carried {
                    self.is_inside = true;
                } else {
                    self.state = State::InPayload;
                }
            }
            _ => {}
        }
        let is_head_open = shown.is_aligned.is_none() && !inside.is_head_known();
        for begin in &shown.begins {
            let end = window - begin.back;
            if self.state == State::Examining {
                let head = inside.window(piece).get(from..end).unwrap_or_default();
                let unit = self
                    .examiner
                    .as_mut()
                    .and_then(|examiner| examiner.push(head).or_else(|| examiner.finish()));
                self.conclude(Some(unit.unwrap_or_default()), at, &mut out.before);
            }
            self.begin_inside(&mut inside, begin, out);
            from = end;
        }
        if self.state == State::Examining && !is_head_open {
            let head = inside.window(piece).get(from..).unwrap_or_default();
            let unit = self.examiner.as_mut().and_then(|examiner| examiner.push(head));
            self.conclude(unit, at, &mut out.before);
        }
        let is_done = inside.is_done();
        self.inside = Some(inside);
        self.settle(self.state);
        if is_done && shown.is_aligned.is_none() {
            self.is_looked_through = false;
            self.is_smooth = self.state == State::InPayload;
        } else if shown.is_open {
            self.is_holding = true;
            return Take::Hold;
        }
        self.let_go(&mut out.before);
        Take::Pass
    }

    /// An access unit begins inside the PES packet.
    fn begin_inside(&mut self, inside: &mut Inside, begin: &super::inside::Begin, out: &mut Outcome) {
        let own = if begin.is_split { self.own_before.take() } else { self.own.take() };
        let time = inside.time(own, self.format());
        let (pts, dts) = time.unzip();
        let len = (self.left != u64::MAX).then(|| self.left as usize + begin.back + header_len(pts, dts));
        out.before.push(Event::Begin(PesStart {
            pid: self.pid,
            at: begin.at,
            stream_id: self.stream_id,
            pts,
            dts,
            len: len.filter(|_| !self.is_video()),
            is_marked_random_access: false,
            inside: Some(event::Inside {
                offset: u8::try_from(begin.offset).unwrap_or(0),
                is_estimated: own.is_none(),
            }),
        }));
        self.state = State::Examining;
        self.is_inside = true;
        if let Some(examiner) = &mut self.examiner {
            examiner.begin();
        }
    }

    fn format(&self) -> Option<&Format> {
        self.examiner.as_ref().and_then(Examiner::format)
    }

    fn is_video(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.codec.is_video())
    }

    /// Tells what the examiner found, once it has.
    fn conclude(&mut self, unit: Option<crate::codec::AccessUnit>, at: u64, out: &mut Vec<Event>) {
        let Some(mut unit) = unit else { return };
        let pid = Some(self.pid);
        let codec = self.stream.as_ref().map_or(Codec::Other, |stream| stream.codec);
        let is_video = codec.is_video() && codec.is_read();
        if codec.is_video() && !is_video {
            // Only the muxer says where a decoder can begin, if it says it at all.
            self.has_marks |= self.is_marked;
            unit.random_access = unit.random_access.filter(|_| self.is_marked || !self.has_marks);
        }
        if is_video && unit.random_access.is_some() != self.is_marked && !self.is_inside {
            let kind = AnomalyKind::RandomAccess { indicated: self.is_marked };
            out.push(Event::Anomaly(Anomaly { at, pid, kind }));
        }
        if is_video && unit.random_access.is_some() && !unit.has_parameter_sets {
            out.push(Event::Anomaly(Anomaly { at, pid, kind: AnomalyKind::ParameterSetsAbsent }));
        }
        if unit.is_new_format
            && let Some(format) = self.examiner.as_ref().and_then(Examiner::format)
        {
            out.push(Event::Format { pid: self.pid, format: format.clone() });
        }
        out.push(Event::AccessUnit { pid: self.pid, unit });
        self.is_carried = false;
        self.settle(State::InPayload);
    }

    /// The access unit that was carried over from an earlier PES packet is over.
    fn end_carried(&mut self, at: u64, out: &mut Vec<Event>) {
        if std::mem::take(&mut self.is_carried) {
            let unit = self.examiner.as_mut().and_then(Examiner::finish).unwrap_or_default();
            self.is_inside = true;
            let state = self.state;
            self.conclude(Some(unit), at, out);
            self.settle(state);
        }
    }

    fn end_pes(&mut self, at: u64, out: &mut Vec<Event>) {
        match self.state {
            State::Idle => return,
            State::InHeader => {
                let kind = AnomalyKind::PesHeader;
                out.push(Event::Anomaly(Anomaly { at: self.held_from, pid: Some(self.pid), kind }));
                self.settle(State::Idle);
                return;
            }
            // An access unit whose first slice is in the next PES packet.
            State::Examining if self.is_video() && self.inside.is_some() => self.is_carried = true,
            State::Examining => {
                let unit = self.examiner.as_mut().and_then(Examiner::finish).unwrap_or_default();
                self.conclude(Some(unit), at, out);
            }
            State::InPayload => {}
        }
        if self.left != u64::MAX && self.left > 0 {
            let kind = AnomalyKind::PesTruncated { missing: self.left };
            out.push(Event::Anomaly(Anomaly { at, pid: Some(self.pid), kind }));
        }
        out.push(Event::PesEnd { pid: self.pid });
        self.left = u64::MAX;
        self.settle(State::Idle);
    }
}

/// The first four bytes of the packet at `position`, if a whole one lies there.
#[inline]
fn head(input: &[u8], position: usize) -> Option<u32> {
    let packet = input.get(position..position + PACKET_LEN)?;
    packet.first_chunk().map(|head| u32::from_be_bytes(*head))
}

/// The head of the packet that is due behind one with this head.
#[inline]
const fn next(head: u32) -> u32 {
    head & !0x0f | (head + 1) & 0x0f
}

#[inline]
fn fingerprint(packet: &[u8; PACKET_LEN]) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&packet[FINGERPRINT_AT..FINGERPRINT_AT + 8]);
    u64::from_ne_bytes(bytes)
}
