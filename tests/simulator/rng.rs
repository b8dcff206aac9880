//! Numbers from a seed: splitmix64 (Steele, Lea, Flood 2014). The same on every machine, and no dependency.

use std::ops::Range;

#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// Returns the generator of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xa076_1d64_78bd_642f) ^ 0x5eed)
    }

    /// Returns the next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Returns a number of `range`.
    pub fn within(&mut self, range: Range<i64>) -> i64 {
        range.start + (self.bits() % (range.end - range.start).max(1) as u64) as i64
    }

    /// Returns true in `percent` of all calls.
    pub fn chance(&mut self, percent: i64) -> bool {
        self.within(0..100) < percent
    }

    /// Returns one of `choices`.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.within(0..choices.len() as i64) as usize]
    }
}
