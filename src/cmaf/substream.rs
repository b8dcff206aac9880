//! Substreams of E-AC-3: frames that belong to the one before them (ETSI TS 102 366 annex E).

use crate::codec::ac3::Ac3;
use crate::codec::bits::Bits;
use crate::codec::sound::{Coding, Look};

/// Whose a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Substream {
    /// The first independent substream's: an access unit begins.
    First,
    /// A dependent one's, with the channels beyond 5.1 that it adds, as chan_loc tells them.
    Dependent(u16),
    /// Another program's.
    Other,
}

/// What dependent substreams add to the first independent one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    pub count: u8,
    pub chan_loc: u16,
    /// Whether there are frames behind the first: those of dependent substreams or of other programs.
    pub has_others: bool,
    /// Bytes of the access unit, all substreams together.
    pub size_bytes: usize,
}

impl Substream {
    /// Whose this frame of E-AC-3 is.
    pub fn of(frame: &[u8]) -> Self {
        const DEPENDENT: u8 = 1;
        match frame.get(2).map(|byte| (byte >> 6, byte >> 3 & 7)) {
            Some((DEPENDENT, _)) => Self::Dependent(chan_loc(frame).unwrap_or(0)),
            None | Some((_, 0)) => Self::First,
            Some(_) => Self::Other,
        }
    }
}

impl Layers {
    /// Those of the access unit that `bytes` begin with, once the frame behind it is to be seen.
    pub fn look(bytes: &[u8]) -> Option<Self> {
        let mut layers = Self::default();
        let mut is_first_program = true;
        loop {
            let rest = bytes.get(layers.size_bytes..)?;
            let len = match Ac3.look(rest) {
                Look::More => return None,
                Look::Frame(len, _) if len > 0 => len,
                _ => return Some(layers),
            };
            let substream = Substream::of(rest);
            if layers.size_bytes > 0 {
                match substream {
                    Substream::First => return Some(layers),
                    Substream::Dependent(chan_loc) if is_first_program => {
                        layers.count = (layers.count + 1).min(8);
                        layers.chan_loc |= chan_loc;
                    }
                    Substream::Dependent(_) => {}
                    Substream::Other => is_first_program = false,
                }
                layers.has_others = true;
            }
            layers.size_bytes += len;
        }
    }
}

/// A dependent substream's chanmap as dec3 has it: its places beyond 5.1, the first lowest, and LFE2.
fn chan_loc(frame: &[u8]) -> Option<u16> {
    let mut bits = Bits::new(frame);
    bits.skip(16 + 2 + 3 + 11 + 2 + 2)?;
    let acmod = bits.small(3)?;
    bits.skip(1 + 5)?;
    for _ in 0..if acmod == 0 { 2 } else { 1 } {
        bits.skip(5)?;
        if bits.flag()? {
            bits.skip(8)?;
        }
    }
    if !bits.flag()? {
        return Some(0);
    }
    let chanmap = bits.number(16)? as u16;
    let pairs =
        (0..8).filter(|place| chanmap >> (10 - place) & 1 != 0).fold(0, |all, place| all | 1 << place);
    Some(pairs | (chanmap >> 1 & 1) << 8)
}

/// A frame of a dependent substream that adds the rear pair.
#[cfg(test)]
pub const DEPENDENT: [u8; 64] = {
    let mut frame = [0; 64];
    let (head, _) = frame.split_at_mut(8);
    head.copy_from_slice(&[0x0b, 0x77, 0x40, 31, 0x34, 0x80, 0x10, 0x20]);
    frame
};

#[cfg(test)]
mod tests {
    use super::*;

    const SURROUND: &[u8] = include_bytes!("../../testdata/codec/surround.eac3");

    #[test]
    fn dependent_substreams_are_counted_up_to_the_next_independent_one() {
        let Look::Frame(len, _) = Ac3.look(SURROUND) else { panic!("no frame") };
        let (first, rest) = SURROUND.split_at(len);
        assert_eq!(
            (Substream::of(first), Substream::of(&DEPENDENT)),
            (Substream::First, Substream::Dependent(2))
        );
        assert_eq!(Layers::look(first), None);
        let looked = |bytes: &[&[u8]]| Layers::look(&bytes.concat()).unwrap();
        assert_eq!(looked(&[first, rest]), Layers { size_bytes: len, ..Layers::default() });
        let two = Layers { count: 2, chan_loc: 2, has_others: true, size_bytes: len + 128 };
        assert_eq!(looked(&[first, &DEPENDENT, &DEPENDENT, rest]), two);
    }
}
