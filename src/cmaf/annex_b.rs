//! From NAL units behind start codes (Annex B of H.264 and H.265) to NAL units behind their lengths, as bytes come.

use memchr::memmem::Finder;

/// Bytes of the length before each NAL unit.
pub const LENGTH: usize = 4;

/// What stands before a NAL unit.
const START_CODE: [u8; 3] = [0, 0, 1];

/// Follows start codes through payloads that are cut anywhere. The bytes go to a buffer once; a unit that is left out
/// is taken back from its end.
#[derive(Clone, Debug)]
pub struct AnnexB {
    /// Of the start codes that lie in one payload.
    finder: Finder<'static>,
    /// Where the length of the unit in hand stands.
    unit: Option<usize>,
    /// The last two bytes.
    before: [u8; 2],
    /// The PES packet whose payload is pushed, and the one in which the unit in hand began.
    pes: u64,
    unit_pes: u64,
    /// That of the byte before its start code, if it is zero.
    zero_pes: u64,
    /// The PES packet of the last bytes.
    before_pes: u64,
}

/// A whole unit, the last of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole {
    /// Where its length stands.
    pub at: usize,
    /// The PES packet in which its start code began.
    pub pes: u64,
    /// The one in which it began, if a zero before the start code is the first byte of it.
    pub zero_pes: u64,
}

/// What becomes of a whole unit: where its length stands now, or nothing if it is left out.
pub type Kept = Option<usize>;

impl Default for AnnexB {
    fn default() -> Self {
        Self {
            finder: Finder::new(&START_CODE),
            unit: None,
            before: [0xff; 2],
            pes: 0,
            unit_pes: 0,
            zero_pes: 0,
            before_pes: 0,
        }
    }
}

impl AnnexB {
    /// Another PES packet begins. Returns its number.
    pub const fn begin_pes(&mut self) -> u64 {
        self.pes += 1;
        self.pes
    }

    /// Takes payload. `end` takes each unit that is whole; if it moves it, it tells where to.
    pub fn push(
        &mut self,
        mut payload: &[u8],
        out: &mut Vec<u8>,
        end: &mut impl FnMut(&mut Vec<u8>, Whole) -> Kept,
    ) {
        let mut is_first = true;
        while let Some(code) = self.start_code(payload) {
            let (head, rest) = payload.split_at(code + 1);
            if self.unit.is_some() {
                out.extend_from_slice(&head[..code]);
                self.end(out, end);
            }
            self.unit = Some(out.len());
            // A code whose first bytes came with the payload before began there.
            let is_split = is_first && code < START_CODE.len() - 1;
            self.unit_pes = if is_split { self.before_pes } else { self.pes };
            let is_behind_zero = is_first && code == START_CODE.len() - 1 && self.before[1] == 0;
            self.zero_pes = if is_behind_zero { self.before_pes } else { self.unit_pes };
            out.extend_from_slice(&[0; LENGTH]);
            self.before = [0xff; 2];
            payload = rest;
            is_first = false;
        }
        if self.unit.is_some() {
            out.extend_from_slice(payload);
        }
        if !payload.is_empty() || !is_first {
            self.before_pes = self.pes;
        }
        self.before = match *payload {
            [] => self.before,
            [last] => [self.before[1], last],
            [.., a, b] => [a, b],
        };
    }

    /// The unit in hand is whole.
    pub fn end(&mut self, out: &mut Vec<u8>, end: &mut impl FnMut(&mut Vec<u8>, Whole) -> Kept) {
        self.before = [0xff; 2];
        let Some(at) = self.unit.take() else { return };
        // No unit ends with a zero of its own.
        let body = out.get(at + LENGTH..).unwrap_or_default();
        let len = body.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        out.truncate(at + LENGTH + len);
        let whole = Whole { at, pes: self.unit_pes, zero_pes: self.zero_pes };
        let Some(size) = u32::try_from(len).ok().filter(|size| *size > 0) else { return out.truncate(at) };
        if let Some(at) = end(out, whole)
            && let Some(length) = out.get_mut(at..at + LENGTH)
        {
            length.copy_from_slice(&size.to_be_bytes());
        }
    }

    /// Where in `payload` the last byte of a start code stands.
    fn start_code(&self, payload: &[u8]) -> Option<usize> {
        match (self.before, payload) {
            ([0, 0], [1, ..]) => Some(0),
            ([_, 0], [0, 1, ..]) => Some(1),
            _ => self.finder.find(payload).map(|at| at + START_CODE.len() - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: [u8; 23] = [9, 0, 0, 0, 1, 0x67, 1, 0, 1, 7, 0, 0, 0, 1, 0x68, 0, 0, 1, 0x65, 3, 0, 0, 0];

    fn keep(out: &mut Vec<u8>, Whole { at, .. }: Whole, dropped: u8) -> Kept {
        if out[at + LENGTH] != dropped {
            return Some(at);
        }
        out.truncate(at);
        None
    }

    fn convert(pieces: &[&[u8]], dropped: u8) -> Vec<u8> {
        let (mut annex_b, mut out) = (AnnexB::default(), vec![0xee]);
        for piece in pieces {
            annex_b.push(piece, &mut out, &mut |out: &mut Vec<u8>, whole| keep(out, whole, dropped));
        }
        annex_b.end(&mut out, &mut |out: &mut Vec<u8>, whole| keep(out, whole, dropped));
        out
    }

    #[test]
    fn each_unit_stands_behind_its_length_however_the_payload_is_cut() {
        let whole = [0xee, 0, 0, 0, 5, 0x67, 1, 0, 1, 7, 0, 0, 0, 1, 0x68, 0, 0, 0, 2, 0x65, 3];
        assert_eq!(convert(&[&STREAM], 0xff), whole);
        for size in 1..STREAM.len() {
            assert_eq!(convert(&STREAM.chunks(size).collect::<Vec<_>>(), 0xff), whole);
        }
    }

    #[test]
    fn a_unit_that_is_left_out_leaves_nothing() {
        for size in 1..=STREAM.len() {
            let out = convert(&STREAM.chunks(size).collect::<Vec<_>>(), 0x67);
            assert_eq!(out, [0xee, 0, 0, 0, 1, 0x68, 0, 0, 0, 2, 0x65, 3]);
        }
    }

    #[test]
    fn bytes_without_a_start_code_are_no_unit() {
        assert_eq!(convert(&[&[1, 2, 3, 0, 1, 5]], 0), [0xee]);
        assert_eq!(convert(&[&[0, 0, 1, 0, 0, 1]], 0), [0xee]);
    }

    #[test]
    fn a_unit_belongs_to_the_pes_packet_that_its_start_code_begins_in() {
        let (mut annex_b, mut out, mut told) = (AnnexB::default(), Vec::new(), Vec::new());
        let mut take = |out: &mut Vec<u8>, whole: Whole| {
            told.push((out[whole.at + LENGTH], whole.pes));
            Some(whole.at)
        };
        for payload in [&[0, 0, 1, 7, 0][..], &[0, 1, 8, 9, 0, 0, 1, 9, 0, 0], &[1, 10], &[5, 0, 0, 1, 11]] {
            annex_b.begin_pes();
            annex_b.push(payload, &mut out, &mut take);
        }
        annex_b.end(&mut out, &mut take);
        assert_eq!(told, [(7, 1), (8, 1), (9, 2), (10, 2), (11, 4)]);
    }
}
