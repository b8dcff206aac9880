//! Which Media Initialization Sections are at one destination.

use std::collections::BTreeMap;
use std::time::Duration;

/// The maps that are at one destination, by key, and those on their way. What is not listed is not there.
#[derive(Debug, Default)]
pub(super) struct Maps(BTreeMap<String, State>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It is put now, as part of a segment's job.
    Coming,
    /// Its put was acknowledged at this time, or an earlier run's playlist names it.
    There(Duration),
    /// It is deleted now.
    Going,
    /// It may be there or not: it is put ahead of the next segment that needs it.
    Unsure,
}

impl Maps {
    /// It is there: an earlier run's playlist names it.
    pub(super) fn take_up(&mut self, key: String) {
        self.0.entry(key).or_insert(State::There(Duration::ZERO));
    }

    /// Whether it is one, as far as is known here.
    pub(super) fn knows(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// The keys of those that are there.
    pub(super) fn there(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, state)| matches!(state, State::There(_))).map(|(key, _)| key.as_str())
    }

    /// Whether it has been there since before `at`.
    pub(super) fn is_there_since(&self, key: &str, at: Duration) -> bool {
        matches!(self.0.get(key), Some(State::There(since)) if *since < at)
    }

    /// Whether it is just being put or deleted: who needs it waits.
    pub(super) fn is_under_way(&self, key: &str) -> bool {
        matches!(self.0.get(key), Some(State::Coming | State::Going))
    }

    /// Whether it has to be put ahead of a segment; if so, it is on its way from now on.
    pub(super) fn begin(&mut self, key: &str) -> bool {
        let is_missing = !matches!(self.0.get(key), Some(State::There(_)));
        if is_missing {
            self.0.insert(key.to_owned(), State::Coming);
        }
        is_missing
    }

    /// It has been put by `now`.
    pub(super) fn arrive(&mut self, key: &str, now: Duration) {
        self.0.insert(key.to_owned(), State::There(now));
    }

    /// It may be there or not: an attempt to put or delete it failed, or somebody else deleted it.
    pub(super) fn doubt(&mut self, key: &str) {
        if let Some(state) = self.0.get_mut(key) {
            *state = State::Unsure;
        }
    }

    /// It is deleted from now on, if it is one.
    pub(super) fn leave(&mut self, key: &str) {
        if let Some(state) = self.0.get_mut(key) {
            *state = State::Going;
        }
    }

    /// It has been deleted.
    pub(super) fn forget(&mut self, key: &str) {
        self.0.remove(key);
    }
}
