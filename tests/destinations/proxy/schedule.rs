//! Faults that look random and follow from a seed.

use std::time::{Duration, Instant};

use super::{Fault, Proxy};

/// What is wrong, and for how long, one after the other without end. Every other time nothing is wrong.
#[derive(Clone, Debug)]
pub struct Schedule {
    dice: u64,
    is_calm: bool,
    /// The longest that a fault lasts, and that nothing is wrong.
    longest: Duration,
}

impl Schedule {
    /// The schedule of `seed`: no fault is longer than `longest`, and no calm.
    pub const fn new(seed: u64, longest: Duration) -> Self {
        Self { dice: seed, is_calm: false, longest }
    }

    /// A number below `limit` (SplitMix64).
    fn below(&mut self, limit: u64) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.dice ^ (self.dice >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn fault(&mut self) -> Fault {
        match self.below(6) {
            0 => Fault::Latency(Duration::from_millis(10 + self.below(200))),
            1 => Fault::Bandwidth(25_000 << self.below(6)),
            2 | 3 => Fault::ResetAfter(self.below(200_000)),
            4 => Fault::BlackHole,
            _ => Fault::Refuse,
        }
    }
}

impl Iterator for Schedule {
    type Item = (Fault, Duration);

    fn next(&mut self) -> Option<Self::Item> {
        self.is_calm = !self.is_calm;
        let fault = if self.is_calm { Fault::None } else { self.fault() };
        let longest = self.longest.as_millis() as u64;
        Some((fault, Duration::from_millis(longest / 10 + self.below(longest - longest / 10))))
    }
}

impl Proxy {
    /// Suffers `schedule` until `is_over` says so, and is healed then. It blocks: give it a thread of its own, such as
    /// `std::thread::scope` or `spawn_blocking` has.
    pub fn suffer(&self, schedule: Schedule, is_over: impl Fn() -> bool) {
        for (fault, lasts) in schedule {
            self.set(fault);
            let deadline = Instant::now() + lasts;
            while Instant::now() < deadline && !is_over() {
                std::thread::sleep(Duration::from_millis(5));
            }
            if is_over() {
                break;
            }
        }
        self.heal();
    }
}
