//! What is said of stretches of time: the same in the playlists of all renditions.

use std::time::{Duration, SystemTime};

use crate::playlist::DateRange;

/// The most that are told of, and the most IDs that are remembered of those that went; the oldest go first. A source
/// may say things without an end.
const MOST: usize = 256;

/// Date ranges, and since when each is told of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DateRanges {
    told: Vec<Told>,
    gone: Vec<Gone>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    range: DateRange,
    since: SystemTime,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Gone {
    id: String,
    since: SystemTime,
}

impl DateRanges {
    /// Those of an earlier run, as told long ago.
    pub(super) fn resume(ranges: &[DateRange]) -> Self {
        let mut all = Self::default();
        ranges.iter().for_each(|range| all.tell(range.clone(), SystemTime::UNIX_EPOCH));
        all
    }

    /// Whether there was ever one.
    pub(super) const fn is_used(&self) -> bool {
        !self.told.is_empty() || !self.gone.is_empty()
    }

    /// All, in the order in which they were told.
    pub(super) fn all(&self) -> Vec<DateRange> {
        self.told.iter().map(|one| one.range.clone()).collect()
    }

    /// Those told since `from`.
    pub(super) fn told_since(&self, from: SystemTime) -> Vec<DateRange> {
        self.told.iter().filter(|one| one.since >= from).map(|one| one.range.clone()).collect()
    }

    /// The IDs of those that went since `from`.
    pub(super) fn gone_since(&self, from: SystemTime) -> Vec<String> {
        self.gone.iter().filter(|one| one.since >= from).map(|one| one.id.clone()).collect()
    }

    /// Tells of `range` from `now` on, in place of what was told of that ID.
    pub(super) fn tell(&mut self, range: DateRange, now: SystemTime) {
        self.told.retain(|one| one.range.id != range.id);
        self.gone.retain(|one| one.id != range.id);
        self.told.push(Told { range, since: now });
        while self.told.len() > MOST {
            let first = self.told.remove(0);
            self.forget(first.range.id, now);
        }
    }

    /// Tells no more of what ends before `first`, when the first segment of all playlists begins; whether there was any.
    pub(super) fn leave_behind(&mut self, first: SystemTime, now: SystemTime) -> bool {
        let is_behind = |one: &Told| self.end(&one.range).is_some_and(|end| end < first);
        let (behind, left): (Vec<_>, Vec<_>) = self.told.iter().cloned().partition(is_behind);
        self.told = left;
        let is_any = !behind.is_empty();
        behind.into_iter().for_each(|one| self.forget(one.range.id, now));
        is_any
    }

    fn forget(&mut self, id: String, now: SystemTime) {
        self.gone.push(Gone { id, since: now });
        let surplus = self.gone.len().saturating_sub(MOST);
        self.gone.drain(..surplus);
    }

    /// When `range` ends, if anybody has said so (RFC 8216 §4.3.2.7).
    fn end(&self, range: &DateRange) -> Option<SystemTime> {
        let lasting = |span: Duration| range.start.checked_add(span);
        let is_of_its_class = |one: &&Told| one.range.class.is_some() && one.range.class == range.class;
        let of_its_class = self.told.iter().filter(is_of_its_class);
        let next = || of_its_class.map(|one| one.range.start).filter(|start| *start > range.start).min();
        let said = range.end.or(range.duration.and_then(lasting));
        said.or_else(|| if range.ends_on_next { next() } else { None })
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn range(id: &str, start: u64, duration: Option<u64>) -> DateRange {
        DateRange { duration: duration.map(Duration::from_secs), ..DateRange::new(id, at(start)) }
    }

    fn ids(ranges: &[DateRange]) -> Vec<&str> {
        ranges.iter().map(|range| range.id.as_str()).collect()
    }

    #[test]
    fn one_goes_when_it_ends_before_the_first_segment() {
        let mut ranges = DateRanges::default();
        ranges.tell(range("short", 10, Some(5)), at(10));
        ranges.tell(range("long", 10, Some(50)), at(11));
        ranges.tell(range("endless", 10, None), at(12));
        ranges.tell(DateRange { end: Some(at(15)), ..range("ended", 10, None) }, at(13));
        assert!(!ranges.leave_behind(at(15), at(100)), "it ends where the first segment begins");
        assert!(ranges.leave_behind(at(16), at(101)));
        assert_eq!(ids(&ranges.all()), ["long", "endless"]);
        assert_eq!(ids(&ranges.told_since(at(12))), ["endless"]);
        assert_eq!(ranges.gone_since(at(101)), ["short", "ended"]);
        assert!(ranges.gone_since(at(102)).is_empty());
    }

    #[test]
    fn what_is_said_again_replaces_what_was_said() {
        let mut ranges = DateRanges::default();
        ranges.tell(range("a", 10, None), at(10));
        ranges.tell(range("b", 12, None), at(12));
        ranges.tell(range("a", 10, Some(3)), at(13));
        assert_eq!(ids(&ranges.all()), ["b", "a"]);
        assert!(ranges.leave_behind(at(20), at(30)));
        ranges.tell(range("a", 40, None), at(40));
        assert!(ranges.gone_since(at(0)).is_empty(), "it is there again");
    }

    #[test]
    fn one_may_end_where_the_next_of_its_class_begins() {
        let show = |id: &str, start| DateRange {
            class: Some("show".to_owned()),
            ends_on_next: true,
            ..range(id, start, None)
        };
        let mut ranges = DateRanges::default();
        ranges.tell(show("one", 10), at(10));
        ranges.tell(range("other", 15, None), at(15));
        assert!(!ranges.leave_behind(at(100), at(100)));
        ranges.tell(show("two", 20), at(20));
        assert!(ranges.leave_behind(at(100), at(100)));
        assert_eq!(ids(&ranges.all()), ["other", "two"]);
    }

    #[test]
    fn there_is_a_bound() {
        let mut ranges = DateRanges::default();
        (0..3 * MOST).for_each(|n| ranges.tell(range(&n.to_string(), 10, None), at(n as u64)));
        assert_eq!((ranges.told.len(), ranges.gone.len()), (MOST, MOST));
        assert_eq!(ranges.all()[0].id, (2 * MOST).to_string());
    }
}
