//! One rendition's playlist at one moment.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::playlist;

/// One rendition's playlist at one moment, and the segments that it names. It never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub(super) media: playlist::Media,
    pub(super) entries: Vec<Named>,
}

/// What stands behind a segment in a playlist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// The number in its name.
    pub(super) number: u64,
    /// Where it lies; none if an earlier run's name leads nowhere that is ours.
    pub(super) key: Option<String>,
    /// Its date, which stands in the playlist only where it must.
    pub(super) date_time: Option<SystemTime>,
    /// Where its map lies; none if that is not ours.
    pub(super) map: Option<String>,
    /// Its parts, if they are still told of. The playlist itself is of whole segments.
    pub(super) parts: Arc<[playlist::Part]>,
}

impl View {
    /// The playlist.
    pub const fn media(&self) -> &playlist::Media {
        &self.media
    }

    /// The numbers in the segments' names, the oldest first.
    pub fn numbers(&self) -> impl DoubleEndedIterator<Item = u64> + ExactSizeIterator {
        self.entries.iter().map(|entry| entry.number)
    }

    /// Where the segments lie that are ours and no gaps, and how long they last; the oldest first.
    pub fn named(&self) -> impl Iterator<Item = (&str, Duration)> {
        let entries = self.entries.iter().zip(&self.media.segments);
        entries.filter_map(|(entry, segment)| Some((entry.key.as_deref()?, segment.duration)))
    }

    /// Where the maps lie that segments which are no gaps need, as far as they are ours; each once.
    pub fn maps(&self) -> BTreeSet<&str> {
        self.entries.iter().filter_map(|entry| entry.map.as_deref()).collect()
    }

    /// Whether a segment other than the `missing` ones, by number, is decoded with the map at `key`.
    pub fn needs_map(&self, key: &str, missing: &BTreeSet<u64>) -> bool {
        let mut there = self.entries.iter().filter(|entry| !missing.contains(&entry.number));
        there.any(|entry| entry.map.as_deref() == Some(key))
    }

    /// The parts of the segment with this number in its name, as long as they are told of.
    pub(super) fn parts(&self, number: u64) -> &[playlist::Part] {
        self.entries.iter().rev().find(|entry| entry.number == number).map_or(&[], |entry| &entry.parts)
    }

    /// How many parts the segment with media sequence number `msn` is told to have.
    pub(super) fn parts_of(&self, msn: u64) -> usize {
        let at = msn.checked_sub(self.media.media_sequence).and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| self.entries.get(at)).map_or(0, |entry| entry.parts.len())
    }

    /// Whether that segment is known to end before part `part`.
    pub(super) fn lacks_part(&self, msn: u64, part: u64) -> bool {
        let parts = self.parts_of(msn) as u64;
        parts > 0 && part >= parts
    }

    /// The media sequence number behind the last segment.
    pub fn end(&self) -> u64 {
        self.media.media_sequence.saturating_add(self.media.segments.len() as u64)
    }

    /// This playlist as a place shows it that lacks the segments numbered `missing`: those are marked EXT-X-GAP. They
    /// need no map, and theirs may not be there either.
    #[must_use]
    pub fn with_gaps(&self, missing: &BTreeSet<u64>) -> Self {
        let mut view = self.clone();
        for (entry, segment) in view.entries.iter_mut().zip(&mut view.media.segments) {
            if missing.contains(&entry.number) {
                segment.is_gap = true;
                segment.map = None;
                entry.key = None;
                entry.map = None;
            }
        }
        view
    }

    /// This playlist with its first `count` segments alone, and without an end if that leaves some out: as it was
    /// before the others came.
    #[must_use]
    pub fn truncated(&self, count: usize) -> Self {
        let mut view = self.clone();
        view.media.is_ended &= count >= view.entries.len();
        view.media.segments.truncate(count);
        view.entries.truncate(count);
        view
    }

    /// This playlist without what stands before media sequence number `first`.
    #[must_use]
    pub fn from(&self, first: u64) -> Self {
        let mut view = self.clone();
        let count = first.saturating_sub(self.media.media_sequence).min(self.entries.len() as u64);
        let gone = view.media.segments.drain(..count as usize);
        let tags = gone.filter(|segment| segment.is_discontinuity).count() as u64;
        view.entries.drain(..count as usize);
        if let (Some(segment), Some(entry)) = (view.media.segments.first_mut(), view.entries.first()) {
            segment.date_time = entry.date_time;
        }
        view.media.media_sequence = view.media.media_sequence.saturating_add(count);
        view.media.discontinuity_sequence = view.media.discontinuity_sequence.saturating_add(tags);
        view
    }
}
