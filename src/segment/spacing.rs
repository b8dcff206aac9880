//! How far random access points lie apart.

use std::collections::VecDeque;

use crate::time::Ticks;

/// The spacings that the usual one is taken from.
const RECENT: usize = 8;

/// The spacing of one stream's random access points.
#[derive(Clone, Debug, Default)]
pub struct Spacing {
    last: Option<Ticks>,
    recent: VecDeque<Ticks>,
    usual: Ticks,
    widest: Ticks,
}

impl Spacing {
    /// Adds the random access point that is presented at `pts`.
    pub fn add(&mut self, pts: Ticks) {
        let since = self.last.map_or(Ticks::ZERO, |last| pts - last);
        self.last = Some(pts);
        if since > Ticks::ZERO {
            self.widest = self.widest.max(since);
            self.recent.push_back(since);
            if self.recent.len() > RECENT {
                self.recent.pop_front();
            }
            self.usual = self.recent.iter().copied().min().unwrap_or(Ticks::ZERO);
        }
    }

    /// Another timeline begins; what is known of spacings still holds.
    pub const fn restart(&mut self) {
        self.last = None;
    }

    /// Returns the least of the recent spacings: the next random access point is not expected earlier. Zero before the
    /// second one.
    pub const fn usual(&self) -> Ticks {
        self.usual
    }

    /// Returns the widest of all.
    pub const fn widest(&self) -> Ticks {
        self.widest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_spacing_is_the_least_of_the_recent_ones() {
        let mut spacing = Spacing::default();
        assert_eq!(spacing.usual(), Ticks::ZERO);
        [0, 10, 300, 500, 490].into_iter().for_each(|pts| spacing.add(Ticks::new(pts)));
        assert_eq!((spacing.usual().count(), spacing.widest().count()), (10, 290));
        (1..=8).for_each(|n| spacing.add(Ticks::new(500 + n * 200)));
        assert_eq!((spacing.usual().count(), spacing.widest().count()), (200, 290));
    }
}
