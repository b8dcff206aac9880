//! Where packets begin in a run of bytes: 188, 192 (m2ts) or 204 bytes apart, garbage or not between them.

use bytes::{Bytes, BytesMut};

use super::packet::{PACKET_LEN, SYNC_BYTE};

/// Distances between packets: bare, behind a four-byte time code (m2ts), before 16 bytes of Reed-Solomon code.
const STRIDES: [usize; 3] = [188, 192, 204];
/// Sync bytes that must stand a stride apart before packets are believed in.
const SYNCS: usize = 5;
/// Bytes that must be at hand to decide on one place.
const LOOKAHEAD: usize = (SYNCS - 1) * 204 + 1;

/// What stands at the front of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// A whole packet, at [`Framing::position`].
    Packet,
    /// So many bytes that were no packets, just skipped; they began at this offset.
    Garbage { at: u64, bytes: u64 },
    /// The first bytes of a packet, at this offset, at which the stream ended; just skipped.
    Truncated { at: u64, bytes: usize },
    /// Nothing yet: push more, or end.
    Nothing,
}

/// Finds packets in pushed chunks. A packet that straddles two chunks is joined in a small buffer of its own;
/// all others stay where they are. Holds one chunk and fewer than [`LOOKAHEAD`] bytes.
#[derive(Debug, Default)]
pub struct Framing {
    input: Bytes,
    position: usize,
    /// Stream offset of the input's first byte.
    base: u64,
    /// Pushed, behind a joined piece that is the input now.
    rest: Bytes,
    stride: Option<usize>,
    /// The stride that held last: tried first when sync is sought again.
    last_stride: usize,
    /// Bytes between the packet before and the next.
    gap: usize,
    garbage_from: Option<u64>,
    is_ended: bool,
}

impl Framing {
    /// Takes the next bytes; what was pushed before must have been read up to [`Front::Nothing`].
    pub fn push(&mut self, chunk: Bytes) {
        if self.position == self.input.len() {
            self.base += self.input.len() as u64;
            self.input = chunk;
            self.position = 0;
        } else {
            self.rest = chunk;
        }
    }

    /// No more bytes will come: what is left is judged by what is there.
    pub fn end(&mut self) {
        self.is_ended = true;
    }

    /// The bytes being read.
    pub const fn input(&self) -> &Bytes {
        &self.input
    }

    /// Where in [`Framing::input`] the front is.
    pub const fn position(&self) -> usize {
        self.position
    }

    /// Stream offset of byte `position` of the input.
    pub const fn offset(&self, position: usize) -> u64 {
        self.base + position as u64
    }

    /// Whether packets stand back to back.
    pub fn is_bare(&self) -> bool {
        self.stride == Some(PACKET_LEN)
    }

    /// Whether packets were ever found.
    pub const fn has_locked(&self) -> bool {
        self.last_stride != 0
    }

    /// The distance of packets that held last, in bytes.
    pub fn stride(&self) -> Option<usize> {
        Some(self.last_stride).filter(|_| self.has_locked())
    }

    /// Goes on to `position`, the end of a packet.
    pub fn advance(&mut self, position: usize) {
        self.position = position;
        self.gap = self.stride.map_or(0, |stride| stride - PACKET_LEN);
    }

    /// What comes next.
    pub fn front(&mut self) -> Front {
        loop {
            if self.stride.is_none() {
                if let Some(front) = self.search() {
                    return front;
                }
                continue;
            }
            if self.gap > 0 {
                let skipped = self.gap.min(self.input.len() - self.position);
                self.position += skipped;
                self.gap -= skipped;
            }
            if self.gap == 0 && self.input.len() - self.position >= PACKET_LEN {
                if self.input[self.position] == SYNC_BYTE {
                    return Front::Packet;
                }
                self.lose();
            } else if !self.join(PACKET_LEN + self.gap) {
                return self.remainder();
            }
        }
    }

    /// The bytes short of a packet that are left at the end of the stream.
    fn remainder(&mut self) -> Front {
        let left = &self.input[self.position..];
        let (bytes, is_packet) = (left.len(), left.first() == Some(&SYNC_BYTE));
        if !self.is_ended || bytes == 0 || self.gap > 0 {
            return Front::Nothing;
        }
        let at = self.offset(self.position);
        self.position = self.input.len();
        if is_packet { Front::Truncated { at, bytes } } else { Front::Garbage { at, bytes: bytes as u64 } }
    }

    fn lose(&mut self) {
        self.stride = None;
        self.garbage_from = Some(self.offset(self.position));
    }

    /// Looks for packets from the front on. None: look at the front again.
    fn search(&mut self) -> Option<Front> {
        let from = *self.garbage_from.get_or_insert(self.base + self.position as u64);
        match search(&self.input[self.position..], self.last_stride, self.is_ended) {
            Found::At { at, stride } => {
                self.position += at;
                self.stride = Some(stride);
                self.gap = 0;
                let bytes = self.offset(self.position) - from;
                self.garbage_from = None;
                // The time code before an m2ts stream's first packet belongs to it.
                let is_time_code = stride == 192 && bytes == 4 && !self.has_locked();
                self.last_stride = stride;
                (bytes > 0 && !is_time_code).then_some(Front::Garbage { at: from, bytes })
            }
            Found::NothingBefore(at) => {
                self.position += at;
                if self.join(usize::MAX) {
                    return None;
                }
                if !self.is_ended {
                    return Some(Front::Nothing);
                }
                self.position = self.input.len();
                self.garbage_from = None;
                self.stride = Some(self.last_stride.max(PACKET_LEN));
                let bytes = self.offset(self.position) - from;
                (bytes > 0).then_some(Front::Garbage { at: from, bytes })
            }
        }
    }

    /// Joins what is left of the input with the bytes behind it, up to `len` in all. False if there are none.
    fn join(&mut self, len: usize) -> bool {
        let left = self.input.len() - self.position;
        if self.rest.is_empty() {
            return false;
        }
        self.base += self.position as u64;
        if left == 0 {
            self.input = std::mem::take(&mut self.rest);
        } else {
            let taken = self.rest.split_to(len.saturating_sub(left).min(self.rest.len()));
            let mut joined = BytesMut::with_capacity(left + taken.len());
            joined.extend_from_slice(&self.input[self.position..]);
            joined.extend_from_slice(&taken);
            self.input = joined.freeze();
        }
        self.position = 0;
        true
    }
}

enum Found {
    At {
        at: usize,
        stride: usize,
    },
    /// No packet begins before this position; from there on more bytes are needed to tell.
    NothingBefore(usize),
}

fn search(bytes: &[u8], preferred: usize, is_end: bool) -> Found {
    let mut from = 0;
    while let Some(step) = memchr::memchr(SYNC_BYTE, &bytes[from..]) {
        let at = from + step;
        let ahead = &bytes[at..];
        let shortest = if is_end { PACKET_LEN } else { LOOKAHEAD };
        if ahead.len() < shortest {
            return Found::NothingBefore(at);
        }
        let mut strides = STRIDES;
        strides.sort_by_key(|stride| *stride != preferred);
        let holds = |stride: &usize| ahead.iter().step_by(*stride).take(SYNCS).all(|byte| *byte == SYNC_BYTE);
        if let Some(stride) = strides.into_iter().find(holds) {
            return Found::At { at, stride };
        }
        from = at + 1;
    }
    Found::NothingBefore(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(count: usize, stride: usize) -> Vec<u8> {
        let mut bytes = vec![0; count * stride];
        for packet in bytes.chunks_mut(stride) {
            packet[0] = SYNC_BYTE;
        }
        bytes
    }

    /// Offsets of packets and stretches of garbage, however the bytes are cut.
    fn read(bytes: &[u8], chunk: usize) -> (Vec<u64>, Vec<(u64, u64)>) {
        let (mut framing, mut found, mut garbage) = (Framing::default(), Vec::new(), Vec::new());
        let mut drain = |framing: &mut Framing| {
            loop {
                match framing.front() {
                    Front::Packet => {
                        found.push(framing.offset(framing.position()));
                        framing.advance(framing.position() + PACKET_LEN);
                    }
                    Front::Garbage { at, bytes } => garbage.push((at, bytes)),
                    Front::Truncated { at, bytes } => garbage.push((at, bytes as u64)),
                    Front::Nothing => break,
                }
            }
        };
        for chunk in bytes.chunks(chunk) {
            framing.push(Bytes::copy_from_slice(chunk));
            drain(&mut framing);
        }
        framing.end();
        drain(&mut framing);
        (found, garbage)
    }

    fn read_any(bytes: &[u8]) -> (Vec<u64>, Vec<(u64, u64)>) {
        let whole = read(bytes, bytes.len().max(1));
        for chunk in [1, 7, 187, 188, 189, 1000] {
            assert_eq!(read(bytes, chunk), whole, "chunks of {chunk}");
        }
        whole
    }

    #[test]
    fn every_stride_is_found() {
        for stride in STRIDES {
            let (found, garbage) = read_any(&packets(12, stride));
            assert_eq!(found, (0..12).map(|n| n * stride as u64).collect::<Vec<_>>());
            assert_eq!(garbage, []);
        }
    }

    #[test]
    fn an_m2ts_time_code_is_no_garbage() {
        let mut bytes = vec![0; 4];
        bytes.extend(packets(12, 192));
        bytes.truncate(12 * 192);
        let (found, garbage) = read_any(&bytes);
        assert_eq!((found.len(), found[0]), (12, 4));
        assert_eq!(garbage, []);
    }

    #[test]
    fn garbage_is_skipped_and_told() {
        let mut bytes = vec![0x47; 3];
        bytes.extend([1; 500]);
        bytes.extend(packets(9, 188));
        bytes.extend([2; 100]);
        bytes.extend(packets(8, 188));
        let (found, garbage) = read_any(&bytes);
        assert_eq!(found.len(), 17);
        assert_eq!(garbage, [(0, 503), (503 + 9 * 188, 100)]);
    }

    #[test]
    fn a_tail_short_of_a_packet_is_told() {
        let mut bytes = packets(6, 188);
        bytes.truncate(6 * 188 - 50);
        let (found, garbage) = read_any(&bytes);
        assert_eq!(found.len(), 5);
        assert_eq!(garbage, [(5 * 188, 138)]);
        for (first, last) in [
            (SYNC_BYTE, Front::Truncated { at: 940, bytes: 138 }),
            (0, Front::Garbage { at: 940, bytes: 138 }),
        ] {
            bytes[940] = first;
            let mut framing = Framing::default();
            framing.push(Bytes::copy_from_slice(&bytes));
            while framing.front() == Front::Packet {
                framing.advance(framing.position() + PACKET_LEN);
            }
            framing.end();
            assert_eq!(framing.front(), last);
            assert_eq!(framing.front(), Front::Nothing);
        }
    }

    #[test]
    fn few_packets_are_believed_at_the_end_only() {
        let (found, garbage) = read_any(&packets(2, 188));
        assert_eq!((found.len(), garbage.len()), (2, 0));
        assert_eq!(read_any(&[]), (vec![], vec![]));
        assert_eq!(read_any(&[0; 5000]), (vec![], vec![(0, 5000)]));
    }

    #[test]
    fn packets_stay_where_they_were_pushed() {
        let chunk = Bytes::from(packets(10, 188));
        let mut framing = Framing::default();
        framing.push(chunk.clone());
        assert_eq!(framing.front(), Front::Packet);
        assert_eq!(framing.input().as_ptr(), chunk.as_ptr());
    }
}
