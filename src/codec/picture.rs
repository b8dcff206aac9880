//! What codings of pictures share: units behind start codes, parameter sets that stand before a picture.

use std::fmt::Debug;

use super::examiner::Reader;
use super::start_code::{Event, Units};
use super::{AccessUnit, Format, RandomAccess};
use crate::time::Rate;

/// A coding of pictures: it is told each unit of an access unit up to the first picture's own.
pub(crate) trait Coding: Debug + Send + Sync {
    /// How many bytes of a unit it wants to see to know what the unit is.
    const LOOKAHEAD: usize;

    /// A PES packet begins: forget the access unit before.
    fn reset(&mut self);

    /// A unit begins with `head`. At the first unit of a picture: how a decoder may begin at it.
    fn began(&mut self, head: &[u8]) -> Option<Picture>;

    /// The unit that began last is whole.
    fn ended(&mut self, unit: &[u8]);

    /// Whether the parameter sets that a decoder needs were among the units.
    fn has_parameter_sets(&self) -> bool;

    /// Called once for each access unit: puts what its parameter sets say into `format`, if they are other ones
    /// than before and valid. Gives whether they were.
    fn renew(&mut self, format: &mut Option<Format>) -> bool;
}

/// The first picture of an access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    /// Set if a decoder can begin here.
    pub(crate) random_access: Option<RandomAccess>,
}

/// Reads pictures of one coding.
#[derive(Debug, Default)]
pub(crate) struct Pictures<C> {
    coding: C,
    units: Units,
    format: Option<Format>,
}

impl<C: Coding> Reader for Pictures<C> {
    fn begin(&mut self) {
        self.coding.reset();
        self.units = Units::default();
    }

    fn read(&mut self, head: &[u8], is_end: bool) -> Option<AccessUnit> {
        let mut picture = None;
        while picture.is_none() {
            match self.units.next(head, C::LOOKAHEAD, is_end) {
                Some(Event::Began(head)) => picture = self.coding.began(head),
                Some(Event::Ended(unit)) => self.coding.ended(unit),
                None if is_end => break,
                None => return None,
            }
        }
        Some(AccessUnit {
            random_access: picture.and_then(|picture| picture.random_access),
            has_parameter_sets: self.coding.has_parameter_sets(),
            is_new_format: self.coding.renew(&mut self.format),
        })
    }

    fn format(&self) -> Option<&Format> {
        self.format.as_ref()
    }
}

/// The parameter sets of one kind: those in this access unit, and those that are in force.
///
/// Several with different identifiers are taken together, so that a stream that repeats two of them is not
/// taken for one that changes from each to the other.
#[derive(Debug, Default)]
pub(crate) struct ParameterSets {
    /// Each with its length before it.
    met: Vec<u8>,
    valid: Vec<u8>,
    /// Those that were refused last.
    refused: Vec<u8>,
}

/// The length before a parameter set: four bytes.
const LENGTH: usize = size_of::<u32>();

impl ParameterSets {
    /// Forgets those of the access unit before.
    pub(crate) fn reset(&mut self) {
        self.met.clear();
    }

    /// One more stands in this access unit. A repeated one is not taken twice.
    pub(crate) fn add(&mut self, nal: &[u8]) {
        if let Ok(len) = u32::try_from(nal.len())
            && !self.met().any(|met| met == nal)
        {
            self.met.extend_from_slice(&len.to_be_bytes());
            self.met.extend_from_slice(nal);
        }
    }

    /// Those of this access unit.
    pub(crate) fn met(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.met.as_slice();
        std::iter::from_fn(move || {
            let (len, behind) = rest.split_first_chunk::<LENGTH>()?;
            let (nal, behind) = behind.split_at_checked(u32::from_be_bytes(*len) as usize)?;
            rest = behind;
            Some(nal)
        })
    }

    /// Whether any stands in this access unit.
    pub(crate) const fn is_met(&self) -> bool {
        !self.met.is_empty()
    }

    /// Whether those of this access unit are other ones than those in force.
    pub(crate) fn has_changed(&self) -> bool {
        self.is_met() && self.met != self.valid
    }

    /// Whether none was ever in force.
    pub(crate) const fn is_new(&self) -> bool {
        self.valid.is_empty()
    }

    /// Those of this access unit are in force from now on.
    pub(crate) fn adopt(&mut self) {
        std::mem::swap(&mut self.met, &mut self.valid);
        self.refused.clear();
    }

    /// Those of this access unit cannot be read. Gives whether the very same were refused the last time:
    /// then no damage on the way made them so.
    pub(crate) fn refuse(&mut self) -> bool {
        if self.refused == self.met {
            return true;
        }
        self.refused.clone_from(&self.met);
        false
    }
}

/// A header that says more pictures a second means another clock: 90 kHz, milliseconds.
const MAX_RATE: u64 = 300;

/// `count / seconds` in lowest terms; none if it is zero, endless, or no frame rate.
pub(crate) fn rate(count: u64, seconds: u64) -> Option<Rate> {
    if count >= seconds.saturating_mul(MAX_RATE) {
        return None;
    }
    let divisor = greatest_common_divisor(count, seconds);
    let [count, seconds] = [count, seconds].map(|part| u32::try_from(part.checked_div(divisor)?).ok());
    Rate::new(count?, seconds?)
}

const fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_change_only_when_their_bytes_do() {
        let mut sets = ParameterSets::default();
        assert!(!sets.has_changed());
        sets.add(&[1, 2]);
        sets.add(&[3]);
        sets.add(&[1, 2]);
        assert_eq!(sets.met().collect::<Vec<_>>(), [&[1, 2][..], &[3]]);
        assert!(sets.has_changed());
        sets.adopt();
        sets.reset();
        assert!(!sets.has_changed());
        sets.add(&[1, 2]);
        sets.add(&[3]);
        assert!(sets.is_met() && !sets.has_changed());
    }

    #[test]
    fn a_rate_is_in_lowest_terms() {
        assert_eq!(rate(60_000, 2002), Rate::new(30_000, 1001));
        assert_eq!(rate(50, 2), Rate::new(25, 1));
        assert_eq!(rate(0, 0), None);
        assert_eq!(rate(0, 5), None);
        assert_eq!(rate(5, 0), None);
        assert_eq!((rate(240, 1), rate(90_000, 1)), (Rate::new(240, 1), None));
        assert_eq!(rate(u64::from(u32::MAX), 2 * u64::from(u32::MAX)), Rate::new(1, 2));
    }
}
