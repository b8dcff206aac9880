//! PES packets put together from transport packets, their payload handed on as it comes.

use crate::ts::pes::{self, Header, Parsed};
use crate::ts::{Packet, Pid};

/// The longest PES header: nine bytes, and as many as its length byte tells.
const MAX_HEADER: usize = 9 + 255;

/// What a packet brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Packets are missing before it.
    Gap,
    /// A PES packet begins.
    Start(Header),
    /// Its payload goes on.
    Payload(&'a [u8]),
}

/// One PID's PES packets.
#[derive(Debug)]
pub struct Assembly {
    pub pid: Pid,
    next_counter: Option<u8>,
    state: State,
    /// A header that is not whole yet.
    header: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No PES packet, or one that cannot be read.
    Idle,
    /// In a header; `header` has its beginning.
    Header,
    /// In the payload, of which so many bytes are to come, if that is known.
    Payload(Option<usize>),
}

impl Assembly {
    pub const fn new(pid: Pid) -> Self {
        Self { pid, next_counter: None, state: State::Idle, header: Vec::new() }
    }

    /// What comes next is of another stream.
    pub fn break_off(&mut self) {
        *self = Self::new(self.pid);
    }

    /// Takes a packet of the PID. What it brings, in order.
    pub fn take<'a>(&'a mut self, packet: Packet<'a>, mut out: impl FnMut(Piece<'_>)) {
        if packet.is_scrambled() || !packet.has_payload() {
            if packet.is_scrambled() {
                self.state = State::Idle;
            }
            return;
        }
        let Ok(payload) = packet.payload() else { return };
        self.count(packet, &mut out);
        if packet.is_unit_start() {
            self.header.clear();
            self.state = State::Header;
        }
        match self.state {
            State::Idle => {}
            State::Header => self.read_header(payload, &mut out),
            // A length that is too short: what comes before the next PES packet belongs to this one, but not stuffing.
            State::Payload(Some(left))
                if payload.get(left..).is_some_and(|rest| rest.iter().any(|byte| *byte != 0xff)) =>
            {
                self.state = State::Payload(None);
                self.go_on(payload, &mut out);
            }
            State::Payload(_) => self.go_on(payload, &mut out),
        }
    }

    fn count(&mut self, packet: Packet<'_>, out: &mut impl FnMut(Piece<'_>)) {
        let found = packet.continuity_counter();
        let is_due = self.next_counter.is_none_or(|due| due == found);
        self.next_counter = Some((found + 1) & 0x0f);
        if is_due || packet.adaptation_field().is_ok_and(|field| field.is_discontinuity()) {
            return;
        }
        out(Piece::Gap);
        self.state = match self.state {
            State::Payload(_) => State::Payload(None),
            State::Idle | State::Header => State::Idle,
        };
    }

    fn read_header(&mut self, payload: &[u8], out: &mut impl FnMut(Piece<'_>)) {
        if self.header.is_empty()
            && let Parsed::Header(header) = pes::parse(payload)
            && let Some(rest) = payload.get(header.payload_at..)
        {
            return self.start(header, rest, out);
        }
        let before = self.header.len();
        self.header.extend_from_slice(payload);
        match pes::parse(&self.header) {
            Parsed::Header(header) if header.payload_at <= self.header.len() => {
                let rest = payload.get(header.payload_at.saturating_sub(before)..).unwrap_or_default();
                self.start(header, rest, out);
            }
            Parsed::Header(_) | Parsed::NeedsMore(_) if self.header.len() < MAX_HEADER => {}
            _ => self.state = State::Idle,
        }
    }

    fn start(&mut self, header: Header, payload: &[u8], out: &mut impl FnMut(Piece<'_>)) {
        self.state = State::Payload(header.len.map(|len| len.saturating_sub(header.payload_at)));
        out(Piece::Start(header));
        self.go_on(payload, out);
    }

    fn go_on(&mut self, payload: &[u8], out: &mut impl FnMut(Piece<'_>)) {
        let State::Payload(left) = &mut self.state else { return };
        let payload = match left {
            None => payload,
            Some(left) => {
                let now = payload.get(..*left).unwrap_or(payload);
                *left -= now.len();
                now
            }
        };
        if !payload.is_empty() {
            out(Piece::Payload(payload));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ts::PACKET_LEN;

    fn packet(counter: u8, is_start: bool, payload: &[u8]) -> [u8; PACKET_LEN] {
        let mut bytes = [0xff; PACKET_LEN];
        let stuffing = PACKET_LEN - 4 - payload.len();
        bytes[..4].copy_from_slice(&[0x47, if is_start { 0x41 } else { 0x01 }, 0, 0x30 | counter]);
        bytes[4] = (stuffing - 1) as u8;
        if stuffing > 1 {
            bytes[5] = 0;
        }
        bytes[PACKET_LEN - payload.len()..].copy_from_slice(payload);
        bytes
    }

    fn pieces(packets: &[[u8; PACKET_LEN]]) -> (usize, usize, Vec<u8>) {
        let (mut starts, mut gaps, mut bytes) = (0, 0, Vec::new());
        let mut assembly = Assembly::new(Pid::new(0x100));
        for packet in packets {
            assembly.take(Packet::parse(packet).unwrap(), |piece| match piece {
                Piece::Start(_) => starts += 1,
                Piece::Gap => gaps += 1,
                Piece::Payload(payload) => bytes.extend_from_slice(payload),
            });
        }
        (starts, gaps, bytes)
    }

    const PES: [u8; 18] = [0, 0, 1, 0xc0, 0, 12, 0x80, 0x80, 5, 0x21, 0, 1, 0, 1, 1, 2, 3, 4];

    #[test]
    fn a_header_may_lie_in_several_packets() {
        for cut in 1..PES.len() {
            let (head, tail) = PES.split_at(cut);
            assert_eq!(pieces(&[packet(0, true, head), packet(1, false, tail)]), (1, 0, vec![1, 2, 3, 4]));
        }
    }

    #[test]
    fn what_lies_behind_the_length_is_payload_in_later_packets_only() {
        let long = [&PES[..], &[9; 20]].concat();
        assert_eq!(pieces(&[packet(0, true, &long), packet(1, true, &PES)]).2, [1, 2, 3, 4, 1, 2, 3, 4]);
        assert_eq!(pieces(&[packet(0, true, &long), packet(1, false, &[5; 3])]).2, [1, 2, 3, 4, 5, 5, 5]);
        let cut = |tail: &[u8]| pieces(&[packet(0, true, &PES[..16]), packet(1, false, tail)]).2;
        assert_eq!(cut(&[3, 4, 5, 5]), [1, 2, 3, 4, 5, 5]);
        assert_eq!(cut(&[3, 4, 0xff, 0xff]), [1, 2, 3, 4]);
    }

    #[test]
    fn a_gap_is_told_and_the_payload_goes_on() {
        let found = pieces(&[packet(0, true, &PES[..16]), packet(3, false, &[3, 4, 5])]);
        assert_eq!(found, (1, 1, vec![1, 2, 3, 4, 5]));
    }
}
