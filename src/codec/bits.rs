//! Reading bits, most significant first.

/// A reader over bytes. Past the end each read gives `None`.
#[derive(Clone, Debug)]
pub(crate) struct Bits<'a> {
    bytes: &'a [u8],
    /// The next bit's index; at most eight times the length.
    at: usize,
}

impl<'a> Bits<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next bit.
    pub(crate) fn flag(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// The next `count` bits as a number, `count` being 32 at most.
    pub(crate) fn number(&mut self, count: usize) -> Option<u32> {
        debug_assert!(count <= 32);
        if self.left() < count {
            return None;
        }
        let mut value = 0_u64;
        let mut wanted = count;
        while wanted > 0 {
            let byte = *self.bytes.get(self.at / 8)?;
            let in_byte = 8 - self.at % 8;
            let taken = in_byte.min(wanted);
            let part = (byte >> (in_byte - taken)) & (0xff >> (8 - taken));
            value = value << taken | u64::from(part);
            self.at += taken;
            wanted -= taken;
        }
        u32::try_from(value).ok()
    }

    /// The next `count` bits as a number, `count` being 8 at most.
    pub(crate) fn small(&mut self, count: usize) -> Option<u8> {
        debug_assert!(count <= 8);
        self.number(count).and_then(|value| u8::try_from(value).ok())
    }

    pub(crate) fn skip(&mut self, count: usize) -> Option<()> {
        if self.left() < count {
            return None;
        }
        self.at += count;
        Some(())
    }

    /// Goes on at the next whole byte, counted from the first.
    pub(crate) const fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }

    /// An Exp-Golomb coded number, ue(v).
    pub(crate) fn golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let rest = self.number(zeros)?;
        Some((1_u32 << zeros) - 1 + rest)
    }

    /// An Exp-Golomb coded number that is `most` at most.
    pub(crate) fn golomb_within(&mut self, most: u32) -> Option<u32> {
        self.golomb().filter(|value| *value <= most)
    }

    /// A signed Exp-Golomb coded number, se(v).
    pub(crate) fn signed_golomb(&mut self) -> Option<i32> {
        let code = i64::from(self.golomb()?);
        let size = (code + 1) / 2;
        i32::try_from(if code % 2 == 1 { size } else { -size }).ok()
    }

    /// The next bit's index.
    pub(crate) const fn position(&self) -> usize {
        self.at
    }

    /// How many bits are left.
    pub(crate) const fn left(&self) -> usize {
        self.bytes.len() * 8 - self.at
    }

    /// The next `count` bits alone, as a reader of their own; goes on after them.
    pub(crate) fn part(&mut self, count: usize) -> Option<Part<'a>> {
        let mut inner = self.clone();
        self.skip(count)?;
        inner.bytes = self.bytes.get(..self.at.div_ceil(8))?;
        Some(Part { inner, end: self.at })
    }
}

/// Writes bits, most significant first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packer {
    bytes: Vec<u8>,
    /// Bits of the last byte that are taken.
    taken: usize,
}

impl Packer {
    /// The low `count` bits of `value`, `count` being 32 at most.
    pub(crate) fn put(&mut self, count: usize, value: u32) {
        for at in (0..count).rev() {
            if self.taken == 0 {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= ((value >> at & 1) as u8) << (7 - self.taken);
            }
            self.taken = (self.taken + 1) % 8;
        }
    }

    /// Goes on at the next whole byte.
    pub(crate) const fn align(&mut self) {
        self.taken = 0;
    }

    /// As many bits of `from` as are asked for. None, if it has fewer.
    pub(crate) fn copy(&mut self, from: &mut Bits<'_>, mut count: usize) -> Option<()> {
        while count > 0 {
            let now = count.min(32);
            self.put(now, from.number(now)?);
            count -= now;
        }
        Some(())
    }

    /// What was written; the rest of the last byte is zero.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// A span of bits with an end that need not be a whole byte's.
#[derive(Clone, Debug)]
pub(crate) struct Part<'a> {
    pub(crate) inner: Bits<'a>,
    end: usize,
}

impl Part<'_> {
    /// How many bits of the span are left.
    pub(crate) const fn left(&self) -> usize {
        self.end.saturating_sub(self.inner.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_cross_bytes() {
        let mut bits = Bits::new(&[0b1010_1100, 0b0111_0000, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(bits.number(3), Some(0b101));
        assert_eq!(bits.number(9), Some(0b0_1100_0111));
        assert_eq!(bits.number(0), Some(0));
        assert_eq!(bits.number(32), Some(0x0fff_ffff));
        assert_eq!(bits.number(5), None);
        assert_eq!(bits.number(4), Some(0xf));
        assert_eq!(bits.flag(), None);
    }

    #[test]
    fn golomb_codes_read_as_the_standard_lists_them() {
        // 1, 010, 011, 00100, 00101
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let codes: Vec<_> = std::iter::from_fn(|| bits.golomb()).take(5).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4]);
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let codes: Vec<_> = std::iter::from_fn(|| bits.signed_golomb()).take(5).collect();
        assert_eq!(codes, [0, 1, -1, 2, -2]);
    }

    #[test]
    fn the_widest_golomb_code_does_not_overflow() {
        let mut widest = Bits::new(&[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(widest.golomb(), Some(u32::MAX - 1));
        assert_eq!(Bits::new(&[0; 9]).golomb(), None);
    }

    #[test]
    fn a_part_ends_where_it_was_cut() {
        let mut bits = Bits::new(&[0xf0, 0x0f]);
        bits.skip(2).unwrap();
        let mut part = bits.part(7).unwrap();
        assert_eq!(part.left(), 7);
        part.inner.skip(5).unwrap();
        assert_eq!(part.left(), 2);
        assert_eq!(bits.number(7), Some(0b000_1111));
        assert!(bits.part(1).is_none());
    }
}
