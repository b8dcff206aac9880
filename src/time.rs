//! Time as streams count it: the 90 kHz clock of MPEG-2 systems, unwrapped from its 33 bits.
//!
//! [`Stamp`] is what stands in a PES header, [`Ticks`] is a point on a line that never wraps, and
//! [`Unwrapper`] leads from the one to the other. Spans are [`Duration`]s; they are made from two points at
//! once ([`Ticks::until`]) so that rounding to microseconds never adds up.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A PTS or DTS as it stands in a PES header: 33 bits of a 90 kHz clock (ISO/IEC 13818-1:2019 §2.4.3.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp(u64);

impl Stamp {
    /// How many stamps there are before the clock wraps: 2³³, about 26.5 hours.
    pub const COUNT: u64 = 1 << 33;

    /// Takes the low 33 bits.
    pub const fn new(bits: u64) -> Self {
        Self(bits & (Self::COUNT - 1))
    }

    /// The 33 bits.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

/// A point in time on the unwrapped 90 kHz line, or the signed distance between two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticks(i64);

impl Ticks {
    /// Ticks in a second.
    pub const PER_SECOND: i64 = 90_000;
    /// The origin of the line.
    pub const ZERO: Self = Self(0);

    /// The point `count` ticks from the origin.
    pub const fn new(count: i64) -> Self {
        Self(count)
    }

    /// Ticks from the origin.
    pub const fn count(self) -> i64 {
        self.0
    }

    /// Whole microseconds from the origin, rounded down.
    pub const fn micros(self) -> i64 {
        // In two halves: the product of the whole would overflow after a few thousand years.
        let seconds = self.0.div_euclid(Self::PER_SECOND);
        let rest = self.0.rem_euclid(Self::PER_SECOND);
        seconds.saturating_mul(1_000_000).saturating_add(rest * 100 / 9)
    }

    /// The span from here to `end`, zero if `end` is earlier.
    ///
    /// Both ends are rounded, not the span: spans that touch add up to the span of the whole.
    pub fn until(self, end: Self) -> Duration {
        Duration::from_micros(u64::try_from(end.micros().saturating_sub(self.micros())).unwrap_or(0))
    }

    /// This many ticks as a span, zero if negative.
    pub fn span(self) -> Duration {
        Self::ZERO.until(self)
    }

    /// The point `stamp` nearest to this one, before or after it.
    pub fn nearest(self, stamp: Stamp) -> Self {
        let ahead = Stamp::new((stamp.bits() as i64).wrapping_sub(self.0) as u64).bits() as i64;
        let half = (Stamp::COUNT / 2) as i64;
        Self(self.0.saturating_add(if ahead >= half { ahead - Stamp::COUNT as i64 } else { ahead }))
    }
}

impl From<Duration> for Ticks {
    /// Rounded to the nearest tick.
    fn from(span: Duration) -> Self {
        let ticks = (span.as_nanos() * 9 + 50_000) / 100_000;
        Self(i64::try_from(ticks).unwrap_or(i64::MAX))
    }
}

impl Add for Ticks {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Ticks {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Ticks {
    /// Seconds with three decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} s", self.0 as f64 / Self::PER_SECOND as f64)
    }
}

/// Follows one stream's stamps over the wrap: each is taken as the point nearest to the one before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwrapper {
    last: Option<Ticks>,
}

impl Unwrapper {
    /// Starts on the line where `near` is, so that a second stream joins a first one's side of the wrap.
    pub const fn near(near: Ticks) -> Self {
        Self { last: Some(near) }
    }

    /// The unwrapped point of `stamp`.
    pub fn unwrap(&mut self, stamp: Stamp) -> Ticks {
        let ticks = self.last.unwrap_or(Ticks::new(stamp.bits() as i64)).nearest(stamp);
        self.last = Some(ticks);
        ticks
    }

    /// The point unwrapped last.
    pub const fn last(&self) -> Option<Ticks> {
        self.last
    }
}

/// An exact rate, such as 30000/1001 frames a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// Events in `seconds` seconds.
    pub count: u32,
    /// The span that `count` events take, in seconds; never zero.
    pub seconds: std::num::NonZeroU32,
}

impl Rate {
    /// `count` events in `seconds` seconds; none if either is zero.
    pub const fn new(count: u32, seconds: u32) -> Option<Self> {
        match std::num::NonZeroU32::new(seconds) {
            Some(seconds) if count > 0 => Some(Self { count, seconds }),
            _ => None,
        }
    }

    /// Events a second.
    pub fn per_second(self) -> f64 {
        f64::from(self.count) / f64::from(self.seconds.get())
    }

    /// The span of one event, rounded to the nearest tick.
    pub fn period(self) -> Ticks {
        let count = i64::from(self.count);
        Ticks((i64::from(self.seconds.get()) * Ticks::PER_SECOND + count / 2) / count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_unwrap_over_both_sides_of_the_wrap() {
        let mut clock = Unwrapper::default();
        let top = Stamp::COUNT as i64;
        assert_eq!(clock.unwrap(Stamp::new(Stamp::COUNT - 1)), Ticks::new(top - 1));
        assert_eq!(clock.unwrap(Stamp::new(1)), Ticks::new(top + 1));
        assert_eq!(clock.unwrap(Stamp::new(Stamp::COUNT - 2)), Ticks::new(top - 2));
    }

    #[test]
    fn spans_that_touch_add_up() {
        let points: Vec<_> = (0..10_000).map(|n| Ticks::new(n * 3003)).collect();
        let sum: Duration = points.windows(2).map(|pair| pair[0].until(pair[1])).sum();
        assert_eq!(sum, points[0].until(points[9_999]));
    }

    #[test]
    fn micros_hold_at_the_ends_of_the_line() {
        assert_eq!(Ticks::new(-1).micros(), -12);
        assert_eq!(Ticks::new(90_000).micros(), 1_000_000);
        assert!(Ticks::new(i64::MAX / 2).micros() > 0);
    }

    #[test]
    fn durations_become_ticks() {
        assert_eq!(Ticks::from(Duration::from_secs(4)), Ticks::new(360_000));
        assert_eq!(Ticks::from(Duration::from_micros(33_367)), Ticks::new(3003));
    }

    #[test]
    fn a_rate_knows_its_period() {
        assert_eq!(Rate::new(30_000, 1001).map(Rate::period), Some(Ticks::new(3003)));
        assert_eq!(Rate::new(25, 0), None);
    }
}
