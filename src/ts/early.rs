//! What arrives before a program is chosen: kept, so that nothing of it is lost once one is.

use std::collections::VecDeque;

use bytes::Bytes;

use super::Pid;
use super::packet::{PACKET_LEN, Packet};
use super::programs::Seen;
use super::section::{Gathered, Gatherer};

/// PIDs at most on which a PMT is gathered that no PAT lists.
const MAX_GATHERED: usize = 16;
/// table_id of a PMT.
const PMT_TABLE_ID: u8 = 0x02;

/// Packets of all PIDs, the newest `limit` bytes of the stream, and what was noticed about them.
#[derive(Debug)]
pub struct Early {
    limit: u64,
    /// Stretches of whole packets, with their offsets.
    kept: VecDeque<(u64, Bytes)>,
    /// Offset of the first packet that was ever kept.
    first_at: Option<u64>,
    /// Bytes of packets dropped because the limit was reached.
    dropped_bytes: u64,
    /// PIDs that carry payload.
    pub seen: Seen,
    gathered: Vec<(Pid, Gatherer)>,
}

impl Early {
    /// Keeps nothing yet, and never packets from further back than `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self {
            limit,
            kept: VecDeque::new(),
            first_at: None,
            dropped_bytes: 0,
            seen: Seen::default(),
            gathered: Vec::new(),
        }
    }

    /// Keeps packets that lie back to back, the first at offset `at`.
    pub fn keep(&mut self, at: u64, packets: Bytes) {
        if packets.is_empty() {
            return;
        }
        self.first_at.get_or_insert(at);
        let end = at + packets.len() as u64;
        self.kept.push_back((at, packets));
        while let Some((at, packets)) = self.kept.front()
            && at + packets.len() as u64 + self.limit <= end
        {
            self.dropped_bytes += packets.len() as u64;
            self.kept.pop_front();
        }
    }

    /// The stream has come to `end`, and a program is chosen: what lies further back than the limit is dropped, to the
    /// packet. Returns the offset of the first packet dropped, and their bytes.
    pub fn trim(&mut self, end: u64) -> Option<(u64, u64)> {
        let from = end.saturating_sub(self.limit);
        while let Some((at, packets)) = self.kept.front_mut()
            && *at < from
        {
            let behind = (from - *at).next_multiple_of(PACKET_LEN as u64).min(packets.len() as u64);
            drop(packets.split_to(behind as usize));
            self.dropped_bytes += behind;
            *at += behind;
            if packets.is_empty() {
                self.kept.pop_front();
            }
        }
        self.first_at.filter(|_| self.dropped_bytes > 0).map(|at| (at, self.dropped_bytes))
    }

    /// The oldest packets that are kept, which it no longer keeps.
    pub fn pop(&mut self) -> Option<(u64, Bytes)> {
        self.kept.pop_front()
    }

    /// Puts packets back to the front.
    pub fn put_back(&mut self, at: u64, packets: Bytes) {
        if !packets.is_empty() {
            self.kept.push_front((at, packets));
        }
    }

    /// Looks for PMT sections in a packet of a PID that the PAT does not name.
    pub fn find_pmt(&mut self, packet: Packet<'_>, mut found: impl FnMut(Vec<u8>)) {
        let index = self.gathered.iter().position(|(pid, _)| *pid == packet.pid());
        let payload = packet.payload().unwrap_or_default();
        let gatherer = match index {
            Some(index) => &mut self.gathered[index].1,
            None if self.gathered.len() < MAX_GATHERED && begins_pmt(packet, payload) => {
                self.gathered.push((packet.pid(), Gatherer::default()));
                let last = self.gathered.len() - 1;
                &mut self.gathered[last].1
            }
            None => return,
        };
        gatherer.push(payload, packet.is_unit_start(), |gathered| {
            if let Gathered::Section(section) = gathered {
                found(section);
            }
        });
    }
}

/// Whether a PMT section begins in this packet.
fn begins_pmt(packet: Packet<'_>, payload: &[u8]) -> bool {
    let is_clear = !packet.is_in_error() && !packet.is_scrambled();
    let section = payload.split_first().and_then(|(pointer, rest)| rest.get(usize::from(*pointer)..));
    // Long form, and a length that a PMT may have (§2.4.4.9).
    let is_pmt = |section: &[u8]| matches!(section, [PMT_TABLE_ID, 0x80..=0xb3, ..]);
    packet.is_unit_start() && is_clear && section.is_some_and(is_pmt)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(count: usize) -> Bytes {
        vec![0x47; count * PACKET_LEN].into()
    }

    fn kept(early: &mut Early) -> Vec<(u64, usize)> {
        std::iter::from_fn(|| early.pop()).map(|(at, bytes)| (at, bytes.len() / PACKET_LEN)).collect()
    }

    #[test]
    fn what_is_within_the_limit_is_kept_whole() {
        let mut early = Early::new(10 * 188);
        early.keep(0, packets(4));
        early.keep(4 * 188, packets(6));
        assert_eq!(early.trim(10 * 188), None);
        assert_eq!(kept(&mut early), [(0, 4), (4 * 188, 6)]);
    }

    #[test]
    fn what_is_dropped_does_not_depend_on_how_it_was_kept() {
        for size in [1, 2, 3, 5, 30] {
            let mut early = Early::new(10 * 188 + 100);
            for at in (0..30).step_by(size) {
                early.keep(at as u64 * 188, packets(size.min(30 - at)));
            }
            assert_eq!(early.trim(30 * 188), Some((0, 20 * 188)), "{size}");
            assert_eq!(early.pop().map(|(at, _)| at), Some(20 * 188), "{size}");
        }
    }

    #[test]
    fn garbage_counts_for_the_limit() {
        let mut early = Early::new(1000);
        early.keep(0, packets(1));
        early.keep(1_000_000, packets(1));
        assert_eq!(early.trim(1_000_188), Some((0, 188)));
        assert_eq!(kept(&mut early), [(1_000_000, 1)]);
    }
}
