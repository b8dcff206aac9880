//! One rendition at one destination: what waits, what is lost there, and which playlist is true there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::backoff::Backoff;
use super::spool::Held;
use crate::live::View;
use crate::playlist::{Media, Type};

/// Playlists that may wait for their segments, and segments in all of them together. Beyond that, what is shown is
/// cut from the newest one.
const MOST_VIEWS: usize = 64;
const MOST_ENTRIES: usize = 8192;
/// A playlist cut short shows at least so many target durations (RFC 8216 §6.2.2).
const LEAST_TARGETS: u32 = 3;

/// One rendition at one destination.
#[derive(Debug)]
pub(super) struct Lane {
    /// Not there yet, by number.
    segments: BTreeMap<u64, Waiting>,
    /// Given up: shown as gaps.
    missing: BTreeSet<u64>,
    /// The newest last.
    views: VecDeque<Arc<View>>,
    shown: Option<Position>,
    /// The playlist sent last: it may have got there, whatever was answered.
    offered: Option<Position>,
    /// When segments were closed that no playlist shows here yet.
    closed: BTreeMap<u64, Duration>,
    is_showing: bool,
    /// Whether its last upload took long.
    is_busy: bool,
    /// Of segments.
    pub(super) backoff: Backoff,
    /// Of the playlist.
    pub(super) showing: Backoff,
}

/// A segment that waits for its turn, or is under way.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) key: String,
    pub(super) body: Arc<Held>,
    pub(super) duration: Duration,
    /// What it is decoded with: key and bytes.
    pub(super) map: Option<(String, Bytes)>,
    /// By when it is to be here.
    pub(super) due: Option<Duration>,
    /// Whether an attempt was made.
    pub(super) has_begun: bool,
    pub(super) is_under_way: bool,
}

/// How far the playlist at a destination has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    media_sequence: u64,
    /// The media sequence number behind the last segment.
    end: u64,
    is_ended: bool,
}

impl Position {
    fn of(media: &Media) -> Self {
        let end = media.media_sequence.saturating_add(media.segments.len() as u64);
        Self { media_sequence: media.media_sequence, end, is_ended: media.is_ended }
    }

    /// What can only grow.
    const fn progress(self) -> (u64, bool) {
        (self.end, self.is_ended)
    }
}

impl Lane {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            segments: BTreeMap::new(),
            missing: BTreeSet::new(),
            views: VecDeque::new(),
            shown: None,
            offered: None,
            closed: BTreeMap::new(),
            is_showing: false,
            is_busy: false,
            backoff: Backoff::new(seed),
            showing: Backoff::new(seed.wrapping_mul(31)),
        }
    }

    /// Takes up the playlist that an earlier run has left here.
    pub(super) fn take_up(&mut self, media: &Media) {
        self.shown = Some(Position::of(media));
        self.offered = self.shown;
    }

    /// These segments of the earlier run are not here.
    pub(super) fn lack(&mut self, numbers: impl IntoIterator<Item = u64>) {
        self.missing.extend(numbers);
    }

    pub(super) fn add(&mut self, number: u64, waiting: Waiting, now: Duration) {
        self.segments.insert(number, waiting);
        self.closed.insert(number, now);
    }

    /// There is a newer playlist. What waits and has left it is given up, and returned.
    pub(super) fn update(&mut self, view: &Arc<View>) -> Vec<Waiting> {
        if self.views.back().is_some_and(|newest| Arc::ptr_eq(newest, view)) {
            return Vec::new();
        }
        // Nothing leaves one with a type: whatever it showed before is its beginning.
        let most = match view.media().kind {
            None => (MOST_ENTRIES / view.numbers().len().max(1)).clamp(2, MOST_VIEWS),
            Some(_) => 1,
        };
        self.views.push_back(Arc::clone(view));
        while self.views.len() > most {
            self.views.pop_front();
        }
        let Some(first) = view.numbers().next() else { return Vec::new() };
        // What is under way may still come in time for the playlist that was the newest when it was closed.
        let is_late = |(number, waiting): (&u64, &Waiting)| {
            (*number < first && !waiting.is_under_way).then_some(*number)
        };
        let late: Vec<u64> = self.segments.iter().filter_map(is_late).collect();
        let gone = late.into_iter().filter_map(|number| self.lose(number)).collect();
        self.forget();
        gone
    }

    /// The playlist that is true here and newer than the one that is shown.
    pub(super) fn candidate(&self) -> Option<View> {
        if self.is_showing {
            return None;
        }
        let newest = self.views.back()?;
        let complete = self.views.iter().rev().find(|view| self.first_waiting(view).is_none());
        let view = match complete {
            Some(view) if self.is_news(Position::of(view.media())) => (**view).clone(),
            _ => self.cut(newest)?,
        };
        Some(self.as_here(view))
    }

    /// The beginning of `view` that is here, if it is long enough to be shown.
    fn cut(&self, view: &View) -> Option<View> {
        // A VOD is shown once, whole.
        let waiting = self.first_waiting(view).filter(|_| view.media().kind != Some(Type::Vod))?;
        let count = view.numbers().take_while(|number| *number < waiting).count();
        let media = view.media();
        let length: Duration = media.segments[..count].iter().map(|segment| segment.duration).sum();
        let is_enough =
            count > 0 && (media.kind.is_some() || length >= media.target_duration * LEAST_TARGETS);
        let end = media.media_sequence.saturating_add(count as u64);
        let is_news = self.is_news(Position { media_sequence: media.media_sequence, end, is_ended: false });
        (is_enough && is_news).then(|| view.truncated(count))
    }

    /// `view` with what is lost here marked. What was lost before anything was shown, or left the playlist that is
    /// shown, is not named at all.
    fn as_here(&self, view: View) -> View {
        let lead = view.numbers().take_while(|number| self.missing.contains(number)).count();
        let first = match self.offered.or(self.shown) {
            Some(before) => before.media_sequence,
            None => view.media().media_sequence.saturating_add(lead as u64),
        };
        // Something is to be left in it.
        let first = first.min(view.end().saturating_sub(1));
        view.from(first).with_gaps(&self.missing)
    }

    fn first_waiting(&self, view: &View) -> Option<u64> {
        let (first, last) = (view.numbers().next()?, view.numbers().next_back()?);
        self.segments.range(first..=last).next().map(|(number, _)| *number)
    }

    fn is_news(&self, position: Position) -> bool {
        self.shown.is_none_or(|shown| position.progress() > shown.progress())
            && self.offered.is_none_or(|offered| position.progress() >= offered.progress())
    }

    /// `view` is being sent.
    pub(super) fn offer(&mut self, view: &View) {
        self.is_showing = true;
        self.offered = Some(Position::of(view.media()));
    }

    /// `view` is what viewers see here. How long its last segment took to be shown, from when it was closed.
    pub(super) fn show(&mut self, view: &View, now: Duration) -> Option<Duration> {
        let position = Position::of(view.media());
        self.is_showing = false;
        self.shown = Some(position);
        let newest = self.views.back().cloned();
        self.views.retain(|old| {
            old.end() > position.end || newest.as_ref().is_some_and(|newest| Arc::ptr_eq(old, newest))
        });
        let last = view.numbers().next_back()?;
        let closed = self.closed.get(&last).copied();
        self.closed = self.closed.split_off(&last.saturating_add(1));
        self.forget();
        closed.map(|closed| now.saturating_sub(closed))
    }

    /// Forgets losses that no playlist can name any more.
    fn forget(&mut self) {
        let first = self.views.iter().filter_map(|view| view.numbers().next()).min();
        if let Some(first) = first {
            self.missing = self.missing.split_off(&first);
            self.closed = self.closed.split_off(&first);
        }
    }

    /// Takes the oldest segment that is not under way, if `share` allows for one more and its map does not have to be
    /// waited for, as `waits_for` says of a map's key.
    pub(super) fn start_next(
        &mut self,
        share: usize,
        waits_for: impl Fn(&str) -> bool,
    ) -> Option<(u64, &Waiting)> {
        let under_way = self.segments.values().filter(|one| one.is_under_way).count();
        // Where nothing goes well, one attempt tells as much as many.
        let share = if self.backoff.since().is_some() { 1 } else { share };
        if under_way >= share {
            return None;
        }
        let (number, waiting) = self.segments.iter_mut().find(|(_, one)| !one.is_under_way)?;
        if waiting.map.as_ref().is_some_and(|(key, _)| waits_for(key)) {
            return None;
        }
        waiting.is_under_way = true;
        waiting.has_begun = true;
        Some((*number, waiting))
    }

    /// The playlist that was sent is not known to be there.
    pub(super) const fn unoffer(&mut self) {
        self.is_showing = false;
    }

    /// The last upload took long, or did not: whether that is news of trouble.
    pub(super) const fn note_busy(&mut self, is_busy: bool) -> bool {
        let was_busy = self.is_busy;
        self.is_busy = is_busy;
        is_busy && !was_busy
    }

    /// The attempt to put segment `number` is over without success: it waits again.
    pub(super) fn put_back(&mut self, number: u64) {
        if let Some(waiting) = self.segments.get_mut(&number) {
            waiting.is_under_way = false;
        }
    }

    /// Segment `number` is here. None if it was given up meanwhile.
    pub(super) fn take(&mut self, number: u64) -> Option<Waiting> {
        self.segments.remove(&number)
    }

    /// Segment `number` will never be here.
    pub(super) fn lose(&mut self, number: u64) -> Option<Waiting> {
        let waiting = self.segments.remove(&number)?;
        self.missing.insert(number);
        Some(waiting)
    }

    /// Whether the map at `key` is needed by a segment that waits, or by a playlist that may be shown.
    pub(super) fn needs_map(&self, key: &str) -> bool {
        let is_waited_for = |one: &Waiting| one.map.as_ref().is_some_and(|(own, _)| own == key);
        self.segments.values().any(is_waited_for)
            || self.views.iter().any(|view| view.needs_map(key, &self.missing))
    }

    pub(super) fn has_views(&self) -> bool {
        !self.views.is_empty()
    }

    /// Segments whose bytes the spool has given up, or whose time is over; they will never be here. What is under way
    /// is left to its attempt, which has no more time than that.
    pub(super) fn lose_gone(&mut self, now: Duration) -> Vec<Waiting> {
        let is_gone = |waiting: &Waiting| waiting.body.is_gone() || waiting.due.is_some_and(|due| due <= now);
        let is_lost = |(number, waiting): (&u64, &Waiting)| {
            (!waiting.is_under_way && is_gone(waiting)).then_some(*number)
        };
        let gone: Vec<u64> = self.segments.iter().filter_map(is_lost).collect();
        gone.into_iter().filter_map(|number| self.lose(number)).collect()
    }

    /// When the first segment that waits is given up.
    pub(super) fn due(&self) -> Option<Duration> {
        self.segments.values().filter(|waiting| !waiting.is_under_way).filter_map(|waiting| waiting.due).min()
    }

    pub(super) const fn is_out(&self) -> bool {
        self.shown.is_some()
    }

    /// Segments that wait.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.segments.values()
    }

    /// Whether the newest playlist is shown here.
    pub(super) fn is_settled(&self) -> bool {
        let is_current = match self.views.back() {
            Some(newest) => !self.is_news(Position::of(newest.media())),
            None => true,
        };
        self.segments.is_empty() && is_current && !self.is_showing
    }
}
