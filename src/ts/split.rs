//! One transport packet made into several: divided where an access unit begins in it (its end stays with the PES packet in
//! hand, the access unit gets a PES packet of its own), or with units inserted at the front of its access unit.

use super::packet::{PACKET_LEN, Packet, SYNC_BYTE};
use super::{Pid, event::PesStart};
use crate::time::Ticks;

const HEADER: usize = 4;
const ROOM: usize = PACKET_LEN - HEADER;
/// An adaptation field with flags alone.
const FLAGS: usize = 2;
const DISCONTINUITY: u8 = 0x80;
const RANDOM_ACCESS: u8 = 0x40;

/// What became of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Halves {
    /// The packet with what comes before the access unit, if anything does.
    pub(crate) tail: Option<[u8; PACKET_LEN]>,
    /// Packets with the PES header and what follows. Their continuity counters lead up to that of the packet that follows
    /// in the stream; the first has discontinuity_indicator set, as one packet more was made of one.
    pub(crate) head: Vec<u8>,
}

/// Divides `packet` where `start` begins in it. None, if it is not a packet with so much payload.
pub(crate) fn split(packet: &[u8; PACKET_LEN], start: &PesStart, is_random_access: bool) -> Option<Halves> {
    let parsed = Packet::parse(packet).ok()?;
    let payload = parsed.payload().ok()?;
    let offset = usize::from(start.inside?.offset);
    let (before, behind) = payload.split_at_checked(offset)?;
    let counter = parsed.continuity_counter();
    let field = &packet[HEADER..PACKET_LEN - payload.len()];
    let tail = (offset > 0).then(|| {
        let mut tail = *packet;
        tail[3] = packet[3] | 0x30;
        fill(&mut tail, field, before);
        tail
    });
    let flags = DISCONTINUITY | if is_random_access { RANDOM_ACCESS } else { 0 };
    let header = header(start);
    let mut head = Vec::with_capacity(2 * PACKET_LEN);
    if offset == 0 {
        head.extend_from_slice(&written(parsed.pid(), true, counter.wrapping_sub(1), &[1, flags], &header));
        head.extend_from_slice(packet);
        return Some(Halves { tail, head });
    }
    let all = [&header, behind].concat();
    match all.split_at_checked(ROOM - FLAGS) {
        Some((first, rest)) if !rest.is_empty() => {
            head.extend_from_slice(&written(parsed.pid(), true, counter.wrapping_sub(1), &[1, flags], first));
            head.extend_from_slice(&written(parsed.pid(), false, counter, &[], rest));
        }
        _ => head.extend_from_slice(&written(parsed.pid(), true, counter, &[1, flags], &all)),
    }
    Some(Halves { tail, head })
}

/// Packets in place of `packet`, which begins a PES packet: its access unit has `units` in it, behind its first `lead`
/// bytes. Their continuity counters lead up to that of the packet that follows in the stream; the first has
/// discontinuity_indicator set, as there are more of them. None, if the packet begins none, or is scrambled.
pub(crate) fn insert(
    packet: &[u8; PACKET_LEN],
    units: &[u8],
    lead: impl Fn(&[u8]) -> usize,
) -> Option<Vec<u8>> {
    let parsed = Packet::parse(packet).ok()?;
    let payload = parsed.payload().ok()?;
    if !parsed.is_unit_start() || packet[3] & 0xc0 != 0 || !payload.starts_with(&[0, 0, 1]) {
        return None;
    }
    let header_len = 9 + usize::from(*payload.get(8)?);
    let lead = lead(payload.get(header_len..)?);
    let (before, behind) = payload.split_at_checked(header_len + lead)?;
    let mut first = before.to_vec();
    let len = usize::from(u16::from_be_bytes([first[4], first[5]]));
    // Of video, zero says nothing of how long it is.
    let len = if len == 0 { 0 } else { u16::try_from(len + units.len()).unwrap_or(0) };
    first[4..6].copy_from_slice(&len.to_be_bytes());
    first.extend_from_slice(units);
    let (head, rest) = first.split_at(first.len().min(ROOM - FLAGS));
    let more = rest.chunks(ROOM).collect::<Vec<_>>();
    // The packet itself keeps its counter, unless nothing is left in it.
    let count = more.len() + usize::from(!behind.is_empty());
    let mut counter = parsed.continuity_counter().wrapping_sub(count as u8);
    let field = &packet[HEADER..PACKET_LEN - payload.len()];
    let mut out = written(parsed.pid(), true, counter, &[1, DISCONTINUITY], head).to_vec();
    for payload in more {
        counter = counter.wrapping_add(1);
        out.extend_from_slice(&written(parsed.pid(), false, counter, &[], payload));
    }
    if !behind.is_empty() {
        let mut last = *packet;
        last[1] &= !0x40;
        last[3] |= 0x30;
        fill(&mut last, field, behind);
        out.extend_from_slice(&last);
    }
    Some(out)
}

fn written(pid: Pid, is_start: bool, counter: u8, field: &[u8], payload: &[u8]) -> [u8; PACKET_LEN] {
    let mut packet = [0xff; PACKET_LEN];
    let [high, low] = pid.bits().to_be_bytes();
    let is_full = field.is_empty() && payload.len() == ROOM;
    let control = if is_full { 0x10 } else { 0x30 };
    packet[..HEADER].copy_from_slice(&[
        SYNC_BYTE,
        high | if is_start { 0x40 } else { 0 },
        low,
        control | counter & 0x0f,
    ]);
    if is_full {
        packet[HEADER..].copy_from_slice(payload);
    } else {
        fill(&mut packet, field, payload);
    }
    packet
}

/// Puts the adaptation field `field`, with as much stuffing as it takes, and the payload into a packet.
fn fill(packet: &mut [u8; PACKET_LEN], field: &[u8], payload: &[u8]) {
    let len = ROOM - payload.len();
    let mut whole = vec![0xff; len];
    whole[0] = len as u8 - 1;
    if len > 1 {
        whole[1] = 0;
    }
    if let Some(own) = field.get(1..).filter(|own| own.len() < len) {
        whole[1..1 + own.len()].copy_from_slice(own);
    }
    packet[HEADER..HEADER + len].copy_from_slice(&whole);
    packet[HEADER + len..].copy_from_slice(payload);
}

/// The header of the PES packet that the access unit gets.
fn header(start: &PesStart) -> Vec<u8> {
    const ALIGNED: u8 = 0x84;
    let stamps = match (start.pts, start.dts) {
        (Some(pts), Some(dts)) if pts != dts => [stamp(3, pts), stamp(1, dts)].concat(),
        (Some(pts), _) => stamp(2, pts).to_vec(),
        _ => Vec::new(),
    };
    let flags = [0, 0x80, 0xc0][stamps.len() / 5];
    // What follows its own length field.
    let len = start.len.and_then(|len| u16::try_from(len.checked_sub(6)?).ok()).unwrap_or(0);
    let mut header = vec![0, 0, 1, start.stream_id];
    header.extend_from_slice(&len.to_be_bytes());
    header.extend_from_slice(&[ALIGNED, flags, stamps.len() as u8]);
    header.extend_from_slice(&stamps);
    header
}

/// How long the header of [`split`] is for these times.
pub(super) fn header_len(pts: Option<Ticks>, dts: Option<Ticks>) -> usize {
    match (pts, dts) {
        (Some(pts), Some(dts)) if pts != dts => 19,
        (Some(_), _) => 14,
        _ => 9,
    }
}

fn stamp(marker: u8, time: Ticks) -> [u8; 5] {
    let ticks = time.count().rem_euclid(1 << 33) as u64;
    let mut bytes = [0; 5];
    bytes[0] = marker << 4 | (ticks >> 29) as u8 & 0x0e | 1;
    bytes[1..3].copy_from_slice(&((ticks >> 14) as u16 | 1).to_be_bytes());
    bytes[3..].copy_from_slice(&((ticks << 1) as u16 | 1).to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::event::Inside;
    use super::super::pes::{self, Parsed};
    use super::*;

    fn start(offset: usize, dts: i64) -> PesStart {
        PesStart {
            pid: Pid::new(0x100),
            at: 0,
            stream_id: 0xe0,
            pts: Some(Ticks::new(7200)),
            dts: Some(Ticks::new(dts)),
            len: None,
            is_marked_random_access: false,
            inside: Some(Inside { offset: offset as u8, is_estimated: false }),
        }
    }

    fn packet(field: &[u8]) -> [u8; PACKET_LEN] {
        let mut packet = [0; PACKET_LEN];
        packet[..4].copy_from_slice(&[0x47, 0x01, 0x00, if field.is_empty() { 0x15 } else { 0x35 }]);
        packet[4..4 + field.len()].copy_from_slice(field);
        for (n, byte) in packet[4 + field.len()..].iter_mut().enumerate() {
            *byte = n as u8;
        }
        packet
    }

    #[test]
    fn what_is_inserted_stands_behind_the_lead_of_the_access_unit() {
        let head = [0, 0, 1, 0xe0, 0, 0, 0x84, 0x80, 5, 0x21, 0, 1, 0, 1];
        for (field, units, len) in
            [(&[][..], 30, 0), (&[0], 170, 300), (&[7, 0x10, 1, 2, 3, 4, 5, 6], 700, 0)]
        {
            let mut packet = packet(field);
            packet[1] |= 0x40;
            let at = 4 + field.len();
            packet[at..at + head.len()].copy_from_slice(&head);
            packet[at + 5] = len as u8;
            packet[at + 4] = (len >> 8) as u8;
            let units = vec![0xab; units];
            let payload = Packet::parse(&packet).unwrap().payload().unwrap();
            for lead in [0, 6, payload.len() - head.len()] {
                let out = insert(&packet, &units, |_| lead).unwrap();
                let packets: Vec<_> =
                    out.chunks(PACKET_LEN).map(|packet| Packet::parse(packet).unwrap()).collect();
                let starts: Vec<_> = packets.iter().map(|packet| packet.is_unit_start()).collect();
                assert!(starts[0] && !starts[1..].contains(&true));
                assert!(packets[0].adaptation_field().unwrap().is_discontinuity());
                let counters: Vec<_> = packets.iter().map(|packet| packet.continuity_counter()).collect();
                let until = (6 - packets.len() as i32..=5).map(|counter| counter as u8 & 0x0f);
                assert_eq!(counters, until.collect::<Vec<_>>());
                let pes: Vec<u8> =
                    packets.iter().flat_map(|packet| packet.payload().unwrap().to_vec()).collect();
                let (before, behind) = payload.split_at(head.len() + lead);
                assert_eq!(pes[6..], [&before[6..], &units, behind].concat());
                let stated = usize::from(u16::from_be_bytes([pes[4], pes[5]]));
                assert_eq!(stated, if len == 0 { 0 } else { len + units.len() });
                let pcr = packets.last().unwrap().adaptation_field().ok().and_then(|field| field.pcr());
                assert_eq!(pcr.is_some(), field.len() == 8 && !behind.is_empty());
            }
        }
    }

    #[test]
    fn nothing_is_inserted_where_no_pes_packet_begins_or_it_is_scrambled() {
        let mut packet = packet(&[]);
        assert_eq!(insert(&packet, &[1], |_| 0), None);
        packet[1] |= 0x40;
        assert_eq!(insert(&packet, &[1], |_| 0), None, "no start code");
        packet[4..13].copy_from_slice(&[0, 0, 1, 0xe0, 0, 0, 0x84, 0, 0]);
        assert!(insert(&packet, &[1], |_| 0).is_some());
        packet[3] |= 0x80;
        assert_eq!(insert(&packet, &[1], |_| 0), None);
    }

    #[test]
    fn both_halves_have_all_of_the_payload_in_order() {
        let pcr = [7, 0x10, 1, 2, 3, 4, 5, 6];
        for field in [&[][..], &[0], &[1, 0], &pcr] {
            let packet = packet(field);
            let payload = Packet::parse(&packet).unwrap().payload().unwrap();
            for (offset, dts) in (0..payload.len()).flat_map(|offset| [(offset, 7200), (offset, 3600)]) {
                let halves = split(&packet, &start(offset, dts), true).unwrap();
                let tail = halves.tail.as_ref().map(|tail| Packet::parse(tail).unwrap());
                assert_eq!(tail.is_some(), offset > 0);
                let mut joined = tail.map_or(Vec::new(), |tail| tail.payload().unwrap().to_vec());
                if let Some(tail) = tail {
                    assert_eq!((tail.continuity_counter(), tail.is_unit_start()), (5, false));
                    let before = Packet::parse(&packet).unwrap().adaptation_field().unwrap().pcr();
                    assert_eq!(tail.adaptation_field().unwrap().pcr(), before);
                }
                let head: Vec<_> =
                    halves.head.chunks(PACKET_LEN).map(|packet| Packet::parse(packet).unwrap()).collect();
                let first = head[0].adaptation_field().unwrap();
                assert!(head[0].is_unit_start() && first.is_discontinuity() && first.is_random_access());
                let counters: Vec<_> = head.iter().map(|packet| packet.continuity_counter()).collect();
                assert_eq!(counters, if head.len() == 2 { vec![4, 5] } else { vec![5] });
                let pes: Vec<u8> =
                    head.iter().flat_map(|packet| packet.payload().unwrap().to_vec()).collect();
                let Parsed::Header(header) = pes::parse(&pes) else { panic!("no header") };
                assert_eq!(header.pts.map(|stamp| stamp.bits()), Some(7200));
                assert_eq!(header.payload_at, header_len(start(0, dts).pts, start(0, dts).dts));
                joined.extend_from_slice(&pes[header.payload_at..]);
                assert_eq!(joined, payload, "{field:?} {offset}");
            }
        }
    }
}
