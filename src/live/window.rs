//! What one media playlist shows.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::run::Map;
use super::view::{Named, View};
use crate::playlist;

/// A gap shorter than this gets no entry.
const SHORTEST_GAP: Duration = Duration::from_millis(100);

/// The segments in one media playlist, with its sequence numbers.
#[derive(Debug)]
pub(super) struct Window {
    media_sequence: u64,
    discontinuity_sequence: u64,
    entries: VecDeque<Entry>,
    duration: Duration,
    /// Whether all segments so far were. Once false it stays so: the tag does not come and go.
    is_independent: bool,
    /// Whether the next segment's date is written because it does not follow from the one before.
    is_date_due: bool,
}

/// A segment in the playlist.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The number in its name.
    pub(super) number: u64,
    /// Where it lies; none if an earlier run's name leads nowhere that is ours.
    pub(super) key: Option<String>,
    /// Where its map lies, likewise.
    pub(super) map: Option<String>,
    /// As the playlist shows it; its date is known for each segment and shown for few.
    pub(super) segment: playlist::Segment,
    /// Its parts, as long as they are told of.
    parts: Arc<[playlist::Part]>,
    /// Whether the date is shown wherever the segment stands.
    is_date_shown: bool,
}

impl Entry {
    pub(super) fn new(number: u64, key: Option<String>, segment: playlist::Segment) -> Self {
        Self {
            number,
            key,
            map: None,
            is_date_shown: segment.is_discontinuity,
            segment,
            parts: Arc::default(),
        }
    }

    #[must_use]
    pub(super) fn with_map(mut self, map: Option<Map>) -> Self {
        let (key, uri) = map.map_or((None, None), |map| (map.key, Some(map.uri)));
        (self.map, self.segment.map) = (key, uri);
        self
    }

    #[must_use]
    pub(super) fn with_parts(mut self, parts: Vec<playlist::Part>) -> Self {
        self.parts = parts.into();
        self
    }
}

impl Window {
    /// An empty playlist whose first segment will have these numbers.
    pub(super) const fn new(media_sequence: u64, discontinuity_sequence: u64) -> Self {
        Self {
            media_sequence,
            discontinuity_sequence,
            entries: VecDeque::new(),
            duration: Duration::ZERO,
            is_independent: true,
            is_date_due: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The media sequence number behind the last segment.
    pub(super) fn end(&self) -> u64 {
        self.media_sequence.saturating_add(self.entries.len() as u64)
    }

    /// Whether a segment in it is no gap.
    pub(super) fn has_media(&self) -> bool {
        self.entries.iter().any(|entry| !entry.segment.is_gap)
    }

    /// Shortens the gaps at the end by `excess`, and removes those of which nothing is left. Returns how many that are. An
    /// entry after a discontinuity stays.
    pub(super) fn shorten_gaps(&mut self, mut excess: Duration) -> u64 {
        let mut removed = 0;
        while let Some(last) = self.entries.back_mut().filter(|last| last.segment.is_gap) {
            let rest = last.segment.duration.saturating_sub(excess);
            if rest >= SHORTEST_GAP || excess.is_zero() {
                self.duration = self.duration.saturating_sub(last.segment.duration - rest);
                last.segment.duration = rest;
                break;
            }
            if last.segment.is_discontinuity {
                break;
            }
            excess = excess.saturating_sub(last.segment.duration);
            self.duration = self.duration.saturating_sub(last.segment.duration);
            self.entries.pop_back();
            removed += 1;
        }
        removed
    }

    /// When the first segment begins, if that is known.
    pub(super) fn first_date(&self) -> Option<SystemTime> {
        self.entries.front()?.segment.date_time
    }

    /// The map of the last segment that has one.
    pub(super) fn last_map(&self) -> Option<Map> {
        let map = |entry: &Entry| Some(Map { uri: entry.segment.map.clone()?, key: entry.map.clone() });
        self.entries.iter().rev().find_map(map)
    }

    pub(super) const fn is_independent(&self) -> bool {
        self.is_independent
    }

    pub(super) fn push(&mut self, mut entry: Entry, is_independent: bool) {
        entry.is_date_shown |= std::mem::take(&mut self.is_date_due);
        self.duration += entry.segment.duration;
        self.entries.push_back(entry);
        self.is_independent &= is_independent;
    }

    /// The segment pushed last does not end where its duration says, or the wall clock has stepped: the next one tells its
    /// date.
    pub(super) const fn restate_date(&mut self) {
        self.is_date_due = true;
    }

    /// Removes the oldest while there are more than `limit` segments and three target durations stay (§6.2.2).
    pub(super) fn trim(&mut self, limit: usize, target: Duration) {
        let floor = target.saturating_mul(3);
        while self.entries.len() > limit.max(1) {
            let Some(first) = self.entries.front() else { break };
            if self.duration - first.segment.duration < floor {
                break;
            }
            self.remove_first();
        }
    }

    /// Forgets the parts of segments that so much lies behind that they are told of no more.
    pub(super) fn forget_parts(&mut self, keep: Duration) {
        let mut behind = Duration::ZERO;
        for entry in self.entries.iter_mut().rev() {
            if behind >= keep {
                if entry.parts.is_empty() {
                    break;
                }
                entry.parts = Arc::default();
            }
            behind += entry.segment.duration;
        }
    }

    fn remove_first(&mut self) {
        let Some(first) = self.entries.pop_front() else { return };
        self.duration -= first.segment.duration;
        self.media_sequence = self.media_sequence.saturating_add(1);
        let tags = u64::from(first.segment.is_discontinuity);
        self.discontinuity_sequence = self.discontinuity_sequence.saturating_add(tags);
    }

    /// The playlist as it is now; dates stand at the first segment and after each discontinuity.
    pub(super) fn view(&self, target_duration: Duration, has_date_time: bool) -> View {
        let segment = |(at, entry): (usize, &Entry)| {
            let mut segment = entry.segment.clone();
            if !has_date_time || !(at == 0 || entry.is_date_shown) {
                segment.date_time = None;
            }
            segment
        };
        let named = |entry: &Entry| Named {
            number: entry.number,
            key: entry.key.clone().filter(|_| !entry.segment.is_gap),
            date_time: entry.segment.date_time.filter(|_| has_date_time),
            map: entry.map.clone().filter(|_| !entry.segment.is_gap),
            parts: Arc::clone(&entry.parts),
        };
        View {
            media: playlist::Media {
                date_ranges: Vec::new(),
                target_duration,
                media_sequence: self.media_sequence,
                discontinuity_sequence: self.discontinuity_sequence,
                kind: None,
                is_independent: self.is_independent,
                segments: self.entries.iter().enumerate().map(segment).collect(),
                is_ended: false,
                low_latency: playlist::LowLatency::default(),
            },
            entries: self.entries.iter().map(named).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u64, seconds: u64, is_discontinuity: bool) -> Entry {
        let duration = Duration::from_secs(seconds);
        let uri = number.to_string();
        let segment = playlist::Segment { uri, duration, is_discontinuity, ..playlist::Segment::default() };
        Entry::new(number, Some(number.to_string()), segment)
    }

    fn filled(seconds: &[u64]) -> Window {
        let mut window = Window::new(1, 0);
        for (number, &seconds) in (1..).zip(seconds) {
            window.push(entry(number, seconds, number == 2), true);
        }
        window
    }

    #[test]
    fn three_target_durations_stay() {
        let mut window = filled(&[4, 4, 1, 1, 1, 1]);
        let numbers = |window: &Window| window.view(Duration::ZERO, false).numbers().collect::<Vec<_>>();
        window.trim(2, Duration::from_secs(4));
        assert_eq!(numbers(&window), [1, 2, 3, 4, 5, 6]);
        window.push(entry(7, 4, false), true);
        window.trim(2, Duration::from_secs(4));
        assert_eq!(numbers(&window), [2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn a_tag_counts_when_its_segment_leaves() {
        let mut window = filled(&[4; 6]);
        let sequences = |window: &Window| {
            let media = window.view(Duration::ZERO, false).media;
            (media.media_sequence, media.discontinuity_sequence, media.segments[0].is_discontinuity)
        };
        window.trim(5, Duration::from_secs(1));
        assert_eq!(sequences(&window), (2, 0, true));
        window.trim(4, Duration::from_secs(1));
        assert_eq!(sequences(&window), (3, 1, false));
    }

    #[test]
    fn independence_is_not_regained() {
        let mut window = filled(&[4; 3]);
        window.push(entry(4, 4, false), false);
        window.trim(1, Duration::ZERO);
        window.push(entry(5, 4, false), true);
        window.trim(1, Duration::ZERO);
        assert!(!window.is_independent());
    }
}
