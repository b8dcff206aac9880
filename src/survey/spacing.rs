//! Distances between random access points, in little memory.

use std::collections::BTreeMap;

use super::report::Spacing;
use crate::time::Ticks;

/// Different distances kept apart at most.
const MAX_DISTINCT: usize = 1024;

/// Counts of distances. The least and the largest are exact; the median is, until there are more than
/// 1024 different ones: then each is rounded down to a multiple of so many ticks that there are not.
#[derive(Clone, Debug)]
pub struct Spacings {
    counts: BTreeMap<i64, u64>,
    total: u64,
    least: Ticks,
    largest: Ticks,
    /// Ticks that one entry stands for.
    grain: i64,
}

impl Default for Spacings {
    fn default() -> Self {
        Self { counts: BTreeMap::new(), total: 0, least: Ticks::ZERO, largest: Ticks::ZERO, grain: 1 }
    }
}

impl Spacings {
    /// Takes a distance. One that is not positive does not count.
    pub fn take(&mut self, spacing: Ticks) {
        if spacing <= Ticks::ZERO {
            return;
        }
        self.least = if self.total == 0 { spacing } else { self.least.min(spacing) };
        self.largest = self.largest.max(spacing);
        self.total += 1;
        *self.counts.entry(spacing.count() / self.grain).or_default() += 1;
        while self.counts.len() > MAX_DISTINCT {
            self.coarsen();
        }
    }

    /// Least, median, largest; none without any.
    pub fn summary(&self) -> Option<Spacing> {
        let mut seen = 0;
        let median = self.counts.iter().find_map(|(entry, count)| {
            seen += count;
            (seen * 2 >= self.total).then_some(Ticks::new(entry * self.grain))
        })?;
        Some(Spacing {
            min: self.least.span(),
            median: median.max(self.least).span(),
            max: self.largest.span(),
        })
    }

    fn coarsen(&mut self) {
        self.grain *= 2;
        let mut coarse = BTreeMap::new();
        for (entry, count) in &self.counts {
            *coarse.entry(entry / 2).or_default() += count;
        }
        self.counts = coarse;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn taken(spacings: impl IntoIterator<Item = i64>) -> Spacings {
        let mut taken = Spacings::default();
        spacings.into_iter().for_each(|spacing| taken.take(Ticks::new(spacing)));
        taken
    }

    #[test]
    fn few_spacings_are_exact() {
        let summary = taken([90_000, 180_000, 45_000, 90_000, 0, -5]).summary();
        let [min, median, max] = [500, 1000, 2000].map(Duration::from_millis);
        assert_eq!(summary, Some(Spacing { min, median, max }));
        assert_eq!(taken([]).summary(), None);
    }

    #[test]
    fn many_different_ones_take_no_more_memory() {
        let spacings = taken((1..=100_000).map(|n| n * 9));
        assert!(spacings.counts.len() <= MAX_DISTINCT);
        let summary = spacings.summary().expect("there are some");
        assert_eq!((summary.min, summary.max), (Ticks::new(9).span(), Ticks::new(900_000).span()));
        let wrong = summary.median.abs_diff(Duration::from_secs(5));
        assert!(wrong <= Ticks::new(spacings.grain).span(), "{wrong:?}");
    }

    #[test]
    fn the_longest_spacings_do_no_harm() {
        let summary = taken((0..5000).map(|n| i64::MAX - n * 1_000_000_000_000)).summary();
        assert!(summary.is_some());
    }
}
