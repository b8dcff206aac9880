//! Parameter sets that a video stream sends in front of its random access points, kept to be sent again.

use memchr::memmem;

use super::Codec;
use super::access::{Place, place};
use super::start_code::trimmed;

/// Bytes in front of the first slice that are looked through for parameter sets.
const MOST_BYTES: usize = 16 << 10;
/// What stands before each NAL unit.
const CODE: &[u8] = &[0, 0, 1];
/// Bytes of a NAL unit that tell what it is.
const LOOKAHEAD: usize = 3;

/// The parameter sets of an H.264 or HEVC stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct ParameterSets {
    /// The newest, each behind a start code of four bytes.
    sets: Vec<u8>,
    /// Of the access unit that is looked through: its coding, and its bytes so far.
    open: Option<(Codec, Vec<u8>)>,
}

impl ParameterSets {
    /// An access unit that has parameter sets begins in the bytes to come.
    pub(crate) fn begin(&mut self, codec: Codec) {
        self.open = matches!(codec, Codec::H264 | Codec::Hevc).then(|| (codec, Vec::new()));
    }

    /// Whether bytes are wanted.
    pub(crate) const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Takes bytes of the access unit, up to its first slice.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let Some((codec, head)) = &mut self.open else { return };
        head.extend_from_slice(bytes);
        let mut starts = memmem::find_iter(head, CODE).map(|at| at + CODE.len());
        let slice = starts.find(|start| {
            let unit = head.get(*start..*start + LOOKAHEAD);
            unit.is_some_and(|unit| matches!(place(*codec, unit), Place::FirstSlice | Place::Slice))
        });
        if slice.is_none() && head.len() < MOST_BYTES {
            return;
        }
        head.truncate(slice.map_or(0, |start| start - CODE.len()));
        let sets = sets_in(*codec, head);
        if !sets.is_empty() {
            self.sets = sets;
        }
        self.open = None;
    }

    /// The parameter sets, each behind a start code; none before any came.
    pub(crate) fn get(&self) -> Option<&[u8]> {
        Some(self.sets.as_slice()).filter(|sets| !sets.is_empty())
    }
}

fn sets_in(codec: Codec, head: &[u8]) -> Vec<u8> {
    let starts: Vec<usize> = memmem::find_iter(head, CODE).map(|at| at + CODE.len()).collect();
    let ends = starts.iter().skip(1).map(|start| start - CODE.len()).chain([head.len()]);
    let mut sets = Vec::new();
    for unit in starts.iter().zip(ends).filter_map(|(start, end)| head.get(*start..end)) {
        if is_set(codec, unit) {
            sets.extend_from_slice(&[0, 0, 0, 1]);
            sets.extend_from_slice(trimmed(unit));
        }
    }
    sets
}

/// Whether a NAL unit is a sequence, picture or video parameter set, or the extension of one (H.264 Table 7-1, H.265
/// Table 7-1).
fn is_set(codec: Codec, unit: &[u8]) -> bool {
    let header = unit.first().copied().unwrap_or(0);
    match codec {
        Codec::H264 => matches!(header & 0x1f, 7 | 8 | 13 | 15),
        Codec::Hevc => matches!(header >> 1 & 0x3f, 32..=34),
        _ => false,
    }
}

/// How many bytes the access unit delimiter takes with which `bytes` begin; zero if there is none, or its end is not
/// among them.
pub(crate) fn delimiter_len(codec: Codec, bytes: &[u8]) -> usize {
    let Some(at) = memmem::find(bytes, CODE).filter(|at| bytes[..*at].iter().all(|byte| *byte == 0)) else {
        return 0;
    };
    let unit = bytes.get(at + CODE.len()..).unwrap_or_default();
    let is_delimiter = match (codec, unit.first()) {
        (Codec::H264, Some(header)) => header & 0x1f == 9,
        (Codec::Hevc, Some(header)) => header >> 1 & 0x3f == 35,
        _ => false,
    };
    let Some(next) = memmem::find(unit, CODE).filter(|_| is_delimiter) else { return 0 };
    // The zero before the next start code is part of that.
    let end = at + CODE.len() + next;
    if bytes.get(end - 1) == Some(&0) { end - 1 } else { end }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPS: &[u8] = &[0, 0, 0, 1, 0x67, 0x42, 0, 0x1e, 0x80];
    const PPS: &[u8] = &[0, 0, 0, 1, 0x68, 0xce];

    fn gathered(codec: Codec, chunks: &[&[u8]]) -> ParameterSets {
        let mut sets = ParameterSets::default();
        sets.begin(codec);
        chunks.iter().for_each(|chunk| sets.push(chunk));
        sets
    }

    #[test]
    fn sets_in_front_of_the_first_slice_are_kept_however_they_come() {
        let delimiter: &[u8] = &[0, 0, 0, 1, 9, 0xf0];
        let unit =
            [delimiter, SPS, PPS, &[0, 0, 1, 6, 5, 1, 2, 0x80], &[0, 0, 1, 0x65, 0x88, 1], PPS].concat();
        for split in 0..unit.len() {
            let sets = gathered(Codec::H264, &[&unit[..split], &unit[split..]]);
            assert_eq!(sets.get(), Some([SPS, PPS].concat().as_slice()), "{split}");
            assert!(!sets.is_open());
        }
    }

    #[test]
    fn hevc_has_three_kinds() {
        let unit = [0, 0, 0, 1, 0x40, 1, 2, 0, 0, 1, 0x42, 1, 3, 0, 0, 1, 0x44, 1, 4, 0, 0, 1, 0x26, 1, 0x80];
        let sets = gathered(Codec::Hevc, &[&unit]);
        assert_eq!(
            sets.get(),
            Some(&[0, 0, 0, 1, 0x40, 1, 2, 0, 0, 0, 1, 0x42, 1, 3, 0, 0, 0, 1, 0x44, 1, 4][..])
        );
    }

    #[test]
    fn what_has_none_leaves_the_ones_before() {
        let mut sets = gathered(Codec::H264, &[SPS, &[0, 0, 1, 0x65, 0x88, 1]]);
        sets.begin(Codec::H264);
        sets.push(&[0, 0, 1, 0x65, 0x88, 1]);
        assert_eq!(sets.get(), Some(SPS));
        sets.begin(Codec::H264);
        sets.push(&[1; MOST_BYTES]);
        assert_eq!((sets.get(), sets.is_open()), (Some(SPS), false));
        assert_eq!(gathered(Codec::Mpeg2Video, &[SPS]).get(), None);
    }

    #[test]
    fn a_delimiter_ends_where_the_next_unit_begins() {
        assert_eq!(delimiter_len(Codec::H264, &[0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 0x41]), 6);
        assert_eq!(delimiter_len(Codec::H264, &[0, 0, 1, 9, 0xf0, 0, 0, 1, 0x41]), 5);
        assert_eq!(delimiter_len(Codec::Hevc, &[0, 0, 0, 1, 0x46, 1, 0x50, 0, 0, 1, 2]), 7);
        assert_eq!(delimiter_len(Codec::H264, &[0, 0, 0, 1, 9, 0xf0]), 0, "its end is not there");
        assert_eq!(delimiter_len(Codec::H264, &[0, 0, 0, 1, 0x41, 0xf0, 0, 0, 1, 9]), 0);
        assert_eq!(delimiter_len(Codec::H264, &[7, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x41]), 0);
    }
}
