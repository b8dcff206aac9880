//! Start codes: `00 00 01` parts a video stream into units (NAL units; the headers and slices of H.262).

use memchr::memchr;

/// What was met next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// A unit begins with these bytes: as many as were asked for, fewer where the stream ends.
    Began(&'a [u8]),
    /// The unit that began last is this, with any zeros that trail it.
    Ended(&'a [u8]),
}

/// Walks the units of a buffer that grows at its end. No byte is searched twice.
#[derive(Debug, Default)]
pub(crate) struct Units {
    /// Up to here no start code is left to be found.
    searched: usize,
    /// Where a unit begins that was not told yet.
    found: Option<usize>,
    /// Where the unit begins that was told and did not end yet.
    open: Option<usize>,
}

impl Units {
    /// The next event in `bytes`, which are those of the last call and perhaps more behind them.
    ///
    /// A unit is told once `lookahead` bytes of it are there. `is_end`: no more will come.
    pub(crate) fn next<'a>(&mut self, bytes: &'a [u8], lookahead: usize, is_end: bool) -> Option<Event<'a>> {
        if self.found.is_none() {
            let Some(start) = start_after(bytes, self.searched) else {
                self.searched = bytes.len();
                let open = if is_end { self.open.take() } else { None };
                return open.and_then(|open| bytes.get(open..)).map(Event::Ended);
            };
            self.searched = start;
            self.found = Some(start);
            if let Some(open) = self.open.take() {
                return bytes.get(open..start - CODE.len()).map(Event::Ended);
            }
        }
        let begun = self.found.and_then(|start| bytes.get(start..))?;
        if begun.len() < lookahead && !is_end {
            return None;
        }
        self.open = self.found.take();
        Some(Event::Began(begun.get(..lookahead).unwrap_or(begun)))
    }
}

/// What stands before each unit.
const CODE: [u8; 3] = [0, 0, 1];

/// The index behind the first start code that ends in `bytes[from..]`.
fn start_after(bytes: &[u8], mut from: usize) -> Option<usize> {
    loop {
        let end = from + memchr(1, bytes.get(from..)?)? + 1;
        if bytes.get(..end)?.ends_with(&CODE) {
            return Some(end);
        }
        from = end;
    }
}

/// A NAL unit without what trails it: none ends with a zero of its own.
pub(crate) fn trimmed(unit: &[u8]) -> &[u8] {
    let len = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    unit.get(..len).unwrap_or(unit)
}

/// Puts the payload of a NAL unit, without the bytes that keep start codes from arising in it, into `rbsp`.
pub(crate) fn unescape(escaped: &[u8], rbsp: &mut Vec<u8>) {
    rbsp.clear();
    let mut kept = 0;
    let mut from = 0;
    while let Some(found) = escaped.get(from..).and_then(|rest| memchr(3, rest)) {
        let at = from + found;
        if escaped.get(..=at).is_some_and(|head| head.ends_with(&[0, 0, 3])) {
            rbsp.extend_from_slice(escaped.get(kept..at).unwrap_or_default());
            kept = at + 1;
        }
        from = at + 1;
    }
    rbsp.extend_from_slice(escaped.get(kept..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(pieces: &[&[u8]], lookahead: usize) -> Vec<(bool, Vec<u8>)> {
        let mut units = Units::default();
        let mut bytes = Vec::new();
        let mut events = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            bytes.extend_from_slice(piece);
            while let Some(event) = units.next(&bytes, lookahead, index + 1 == pieces.len()) {
                events.push(match event {
                    Event::Began(head) => (true, head.to_vec()),
                    Event::Ended(unit) => (false, unit.to_vec()),
                });
            }
        }
        events
    }

    const STREAM: [u8; 20] = [9, 0, 0, 0, 1, 0x67, 1, 0, 1, 7, 0, 0, 0, 1, 0x68, 0, 0, 1, 0x65, 3];

    #[test]
    fn units_are_told_when_they_begin_and_when_they_end() {
        let expected = [
            (true, vec![0x67, 1]),
            (false, vec![0x67, 1, 0, 1, 7, 0]),
            (true, vec![0x68, 0]),
            (false, vec![0x68]),
            (true, vec![0x65, 3]),
            (false, vec![0x65, 3]),
        ];
        assert_eq!(walk(&[&STREAM], 2), expected);
        let single: Vec<&[u8]> = STREAM.chunks(1).collect();
        assert_eq!(walk(&single, 2), expected);
    }

    #[test]
    fn a_start_code_at_the_very_end_begins_an_empty_unit() {
        assert_eq!(walk(&[&[0, 0, 1]], 2), [(true, vec![]), (false, vec![])]);
    }

    #[test]
    fn trailing_zeros_are_no_part_of_a_nal_unit() {
        assert_eq!(trimmed(&[0x67, 0, 1, 0, 0]), [0x67, 0, 1]);
        assert!(trimmed(&[0, 0]).is_empty());
    }

    #[test]
    fn escapes_are_removed() {
        let mut rbsp = vec![1, 2, 3];
        unescape(&[0, 0, 3, 1, 3, 0, 0, 3, 0, 0, 3, 0, 3], &mut rbsp);
        assert_eq!(rbsp, [0, 0, 1, 3, 0, 0, 0, 0, 0, 3]);
        unescape(&[5, 0, 0, 3], &mut rbsp);
        assert_eq!(rbsp, [5, 0, 0]);
    }
}
