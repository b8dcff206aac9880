//! What is deleted at one destination, and when.

use std::time::Duration;

use super::backoff::Backoff;
use super::lane::Waiting;
use super::ledger::GRACE;
use crate::destination::Error;
use crate::live::{self, Retention, View};
use crate::playlist;

/// Deletions at the same time.
const AT_ONCE: usize = 2;

/// What is deleted at one destination, and when.
#[derive(Debug)]
pub(super) struct Deletions {
    retention: Retention,
    under_way: usize,
    backoff: Backoff,
    /// Whether everything stays.
    keeps: bool,
}

impl Deletions {
    pub(super) fn new(seed: u64, keeps: bool) -> Self {
        Self { retention: Retention::default(), under_way: 0, backoff: Backoff::new(seed), keeps }
    }

    /// Nothing is deleted here from now on.
    pub(super) fn keep(&mut self) {
        self.keeps = true;
        self.retention = Retention::default();
    }

    /// Takes up what an earlier run has left here.
    pub(super) fn take_up(
        &mut self,
        options: &live::Options,
        rendition: usize,
        media: &playlist::Media,
        now: Duration,
    ) {
        if !self.keeps {
            self.retention.take_up(options, rendition, media, now);
        }
    }

    /// `view` is on its way, and may be seen.
    pub(super) fn offer(&mut self, rendition: usize, view: &View) {
        if !self.keeps && view.media().kind.is_none() {
            self.retention.offer(rendition, view);
        }
    }

    /// `view` is what is seen.
    pub(super) fn show(&mut self, rendition: usize, view: &View, now: Duration) {
        if !self.keeps {
            self.retention.show(rendition, view, now);
        }
    }

    /// What was given up may still have got there, in part or whole.
    pub(super) fn discard(&mut self, gone: Waiting, now: Duration) {
        if gone.has_begun {
            self.expire(gone.key, now);
        }
    }

    /// What is at `key` may go at `at`.
    pub(super) fn expire(&mut self, key: String, at: Duration) {
        if !self.keeps {
            self.retention.expire(key, at);
        }
    }

    /// As [`expire`](Self::expire), unless a playlist names it.
    pub(super) fn expire_unnamed(&mut self, key: String, at: Duration) {
        if !self.retention.is_named(&key) {
            self.expire(key, at);
        }
    }

    /// One that was taken is not deleted now, but looked at again at `at`, unless a playlist names it.
    pub(super) fn postpone(&mut self, key: String, at: Duration) {
        self.under_way = self.under_way.saturating_sub(1);
        self.expire_unnamed(key, at);
    }

    /// Takes the next key to delete.
    pub(super) fn next(&mut self, now: Duration) -> Option<String> {
        if self.under_way >= AT_ONCE || !self.backoff.is_over(now) {
            return None;
        }
        let key = self.retention.take(now)?;
        self.under_way += 1;
        Some(key)
    }

    /// One has been deleted.
    pub(super) fn succeed(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
        self.backoff.succeed();
    }

    /// `key` could not be deleted. Whether that has been refused for so long that nothing is deleted here any more.
    pub(super) fn fail(&mut self, key: String, error: &Error, now: Duration) -> bool {
        self.under_way = self.under_way.saturating_sub(1);
        if self.keeps {
            return false;
        }
        self.backoff.fail(now, error);
        if self.backoff.refused_since().is_some_and(|since| now.saturating_sub(since) >= GRACE) {
            self.keep();
            return true;
        }
        self.retention.expire(key, self.backoff.until().unwrap_or(now));
        false
    }

    /// When there will be something to delete.
    pub(super) fn wakes(&self) -> Option<Duration> {
        let next = self.retention.next().filter(|_| self.under_way < AT_ONCE)?;
        Some(next.max(self.backoff.until().unwrap_or_default()))
    }
}
