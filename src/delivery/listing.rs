//! A multivariant playlist at one destination.

use std::sync::Arc;
use std::time::Duration;

use super::backoff::Backoff;
use crate::destination::Error;

/// A multivariant playlist at one destination.
#[derive(Debug)]
pub(super) struct Listing {
    wanted: Option<Arc<str>>,
    shown: Option<Arc<str>>,
    /// When what is shown had been put.
    shown_at: Duration,
    is_under_way: bool,
    backoff: Backoff,
}

impl Listing {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            wanted: None,
            shown: None,
            shown_at: Duration::ZERO,
            is_under_way: false,
            backoff: Backoff::new(seed),
        }
    }

    /// It is to say this.
    pub(super) fn update(&mut self, text: &str) {
        if self.wanted.as_deref() != Some(text) {
            self.wanted = Some(text.into());
        }
    }

    /// What is put now, if there is something new and it can be put.
    pub(super) fn start(&mut self, now: Duration) -> Option<Arc<str>> {
        let text = self.wanted.clone().filter(|text| self.shown.as_ref() != Some(text))?;
        if self.is_under_way || !self.backoff.is_over(now) {
            return None;
        }
        self.is_under_way = true;
        Some(text)
    }

    /// It says this, by `now`.
    pub(super) fn show(&mut self, text: Arc<str>, now: Duration) {
        self.is_under_way = false;
        self.shown_at = now;
        self.shown = Some(text);
        self.backoff.succeed();
    }

    /// It could not be put; since when that has been refused.
    pub(super) fn fail(&mut self, now: Duration, error: &Error) -> Option<Duration> {
        self.is_under_way = false;
        self.backoff.fail(now, error);
        self.backoff.refused_since()
    }

    /// Whether it is there.
    pub(super) fn is_out(&self) -> bool {
        self.shown.is_some() && !self.is_under_way
    }

    /// Whether it has been there since before `at`.
    pub(super) fn is_out_since(&self, at: Duration) -> bool {
        self.is_out() && self.shown_at < at
    }

    /// It is not there any more.
    pub(super) fn lose(&mut self) {
        self.shown = None;
    }

    pub(super) const fn put_back(&mut self) {
        self.is_under_way = false;
    }

    pub(super) fn is_settled(&self) -> bool {
        self.wanted == self.shown && !self.is_under_way
    }

    pub(super) fn is_failing(&self) -> bool {
        self.backoff.since().is_some()
    }

    /// When it is tried again.
    pub(super) fn wakes(&self) -> Option<Duration> {
        self.backoff.until()
    }
}
