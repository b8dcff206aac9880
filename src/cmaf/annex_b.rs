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
}

impl Default for AnnexB {
    fn default() -> Self {
        Self { finder: Finder::new(&START_CODE), unit: None, before: [0xff; 2] }
    }
}

impl AnnexB {
    /// Takes payload. `end` is told of each unit that is whole, the last of the buffer, by where its length stands;
    /// whether it stays is the answer.
    pub fn push(
        &mut self,
        mut payload: &[u8],
        out: &mut Vec<u8>,
        end: &mut impl FnMut(&mut Vec<u8>, usize) -> bool,
    ) {
        while let Some(code) = self.start_code(payload) {
            let (head, rest) = payload.split_at(code + 1);
            if self.unit.is_some() {
                out.extend_from_slice(&head[..code]);
                self.end(out, end);
            }
            self.unit = Some(out.len());
            out.extend_from_slice(&[0; LENGTH]);
            self.before = [0xff; 2];
            payload = rest;
        }
        if self.unit.is_some() {
            out.extend_from_slice(payload);
        }
        self.before = match *payload {
            [] => self.before,
            [last] => [self.before[1], last],
            [.., a, b] => [a, b],
        };
    }

    /// The unit in hand is whole.
    pub fn end(&mut self, out: &mut Vec<u8>, end: &mut impl FnMut(&mut Vec<u8>, usize) -> bool) {
        self.before = [0xff; 2];
        let Some(at) = self.unit.take() else { return };
        // No unit ends with a zero of its own.
        let body = out.get(at + LENGTH..).unwrap_or_default();
        let len = body.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        out.truncate(at + LENGTH + len);
        match u32::try_from(len) {
            Ok(size @ 1..) if end(out, at) => {
                if let Some(length) = out.get_mut(at..at + LENGTH) {
                    length.copy_from_slice(&size.to_be_bytes());
                }
            }
            _ => out.truncate(at),
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

    fn convert(pieces: &[&[u8]], dropped: u8) -> Vec<u8> {
        let (mut annex_b, mut out) = (AnnexB::default(), vec![0xee]);
        for piece in pieces {
            annex_b.push(piece, &mut out, &mut |out: &mut Vec<u8>, at| out[at + LENGTH] != dropped);
        }
        annex_b.end(&mut out, &mut |out: &mut Vec<u8>, at| out[at + LENGTH] != dropped);
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
}
