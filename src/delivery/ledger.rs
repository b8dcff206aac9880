//! What is done next at one destination.
//!
//! A state machine without a socket or a clock: segments and snapshots come in, jobs go out, their outcomes come
//! back. It keeps the publish barrier: a playlist goes out only when all that it names is there.

use std::sync::Arc;
use std::time::Duration;

use super::deletions::Deletions;
use super::job::{Job, Outcome, Work};
use super::lane::{Lane, Waiting};
use super::listing::Listing;
use super::losses::Losses;
use super::maps::Maps;
use super::notice::{Notice, REMINDERS};
use super::status::Status;
use super::{Found, Segment};
use crate::destination::{Error, Kind};
use crate::live::{self, Snapshot, View};
use crate::playlist;

/// Segments that an earlier run is believed to have put here without telling of them.
const UNTOLD: u64 = 1000;
/// What is refused in the middle of a run may have been so by mistake: so long it is tried again.
pub const GRACE: Duration = Duration::from_secs(300);
/// Upload time as a share of the segment's duration, in thousandths, from which on it is warned of.
const BUSY_PERMILLE: u32 = 500;
/// Uploads of segments shorter than this, or than half the target where that is less, are not measured: what each request
/// takes, whatever it carries, says nothing of bitrates.
const LEAST_MEASURED: Duration = Duration::from_secs(1);
/// A map that no playlist names is looked at again after so long: the segments for which it was put may all have been
/// given up.
const UNNAMED: Duration = Duration::from_secs(600);

/// What is done, to be done, and lost at one destination. Times count from the channel's start.
#[derive(Debug)]
pub(super) struct Ledger {
    options: live::Options,
    lanes: Vec<Lane>,
    /// In the order of the options.
    multivariants: Vec<Listing>,
    maps: Maps,
    deletions: Deletions,
    limits: Limits,
    under_way: usize,
    status: Status,
    notices: Vec<Notice>,
    /// When a failure was told last.
    told: Duration,
    /// When something was put last.
    worked_at: Duration,
    /// When something failed last.
    failed_at: Option<Duration>,
    losses: Losses,
    /// What had been passed over when it came into trouble.
    passed_over_before: u64,
    is_on_air: bool,
}

/// How much is done at the same time, and how long it is tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Uploads of one rendition's segments.
    pub(super) share: usize,
    /// Everything together.
    pub(super) at_once: usize,
    /// How long after its end a segment is still put.
    pub(super) deadline: Option<Duration>,
}

impl Ledger {
    pub(super) fn new(
        name: &str,
        options: live::Options,
        limits: Limits,
        keeps_expired: bool,
        seed: u64,
    ) -> Self {
        let lanes = (0..options.renditions.len() as u64).map(|n| Lane::new(seed.wrapping_add(n)));
        let listings = (0..options.multivariants.len() as u64).map(|n| Listing::new(!seed.wrapping_add(n)));
        Self {
            lanes: lanes.collect(),
            multivariants: listings.collect(),
            maps: Maps::default(),
            deletions: Deletions::new(seed ^ 1, keeps_expired),
            limits,
            under_way: 0,
            status: Status { name: name.to_owned(), ..Status::default() },
            notices: Vec::new(),
            told: Duration::ZERO,
            worked_at: Duration::ZERO,
            failed_at: None,
            losses: Losses::default(),
            passed_over_before: 0,
            is_on_air: false,
            options,
        }
    }

    /// Takes up what an earlier run has left here. `shown` is what the channel goes on with.
    pub(super) fn take_up(&mut self, found: &Found, shown: &Found, now: Duration) {
        for (rendition, lane) in self.lanes.iter_mut().enumerate() {
            let here = found.get(rendition).and_then(Option::as_ref);
            if let Some(media) = here {
                lane.take_up(media);
                live::maps(&self.options, rendition, media)
                    .into_iter()
                    .for_each(|key| self.maps.take_up(key));
                self.deletions.take_up(&self.options, rendition, media, now);
            }
            // Where destinations differ, the channel goes on with the longest playlist: not all of it is here.
            let numbers = |media: &playlist::Media| live::numbers(&self.options, rendition, media);
            let all = shown.get(rendition).and_then(Option::as_ref).map(numbers).unwrap_or_default();
            let told = here.map(numbers).unwrap_or_default();
            let is_gap = |number: &u64| {
                let at = told.iter().position(|told| told == number);
                at.is_none_or(|at| here.is_some_and(|media| media.segments[at].is_gap))
            };
            lane.lack(all.iter().copied().filter(is_gap));
            // What is shown as a gap, or was passed over, may have got here all the same.
            let (Some(&first), Some(&last)) = (all.first(), all.last()) else { continue };
            let first = told.last().map_or(first, |told| told.saturating_add(1).min(first));
            let untold = first.max(last.saturating_sub(UNTOLD))..=last;
            for number in untold.filter(is_gap) {
                self.deletions.expire(self.options.renditions[rendition].segment_key(number), now);
            }
        }
    }

    /// The destination refuses to delete: expired segments stay.
    pub(super) fn keep_expired(&mut self) {
        self.deletions.keep();
    }

    /// The destination takes files now.
    pub(super) fn entered(&mut self, now: Duration) {
        self.worked(now);
    }

    /// The destination could not be looked at.
    ///
    /// # Errors
    /// If there is no point in trying again.
    pub(super) fn not_entered(&mut self, error: Error, now: Duration) -> Result<(), Error> {
        if error.kind() == Kind::Transient { self.failed(error, None, now, now) } else { Err(error) }
    }

    /// A segment is to be put.
    pub(super) fn add(&mut self, segment: Segment, now: Duration) {
        let Segment { rendition, number, key, duration, body, map } = segment;
        let due = self.limits.deadline.map(|deadline| now.saturating_add(deadline));
        let waiting = Waiting { key, body, duration, map, due, has_begun: false, is_under_way: false };
        self.lanes[rendition].add(number, waiting, now);
    }

    /// The channel shows something new.
    pub(super) fn update(&mut self, snapshot: &Snapshot, now: Duration) {
        for (rendition, lane) in self.lanes.iter_mut().enumerate() {
            let Some(view) = snapshot.view(rendition) else { continue };
            for passed_over in lane.update(view) {
                self.status.passed_over += 1;
                self.deletions.discard(passed_over, now);
            }
        }
        self.lose_gone(now);
        for (names, listing) in self.options.multivariants.iter().zip(&mut self.multivariants) {
            snapshot.multivariant(&names.key).into_iter().for_each(|text| listing.update(text));
        }
    }

    /// Gives up what the spool has given up, and what is not here by its deadline.
    fn lose_gone(&mut self, now: Duration) {
        for lane in &mut self.lanes {
            let gone = lane.lose_gone(now);
            if let Some(first) = gone.first() {
                self.notices.extend(self.losses.note(&first.key, gone.len(), now));
            }
            for gone in gone {
                self.status.lost += 1;
                self.deletions.discard(gone, now);
            }
        }
    }

    /// The next thing to do at `now`, if there is one.
    pub(super) fn next(&mut self, now: Duration) -> Option<Job> {
        self.lose_gone(now);
        if self.under_way >= self.limits.at_once {
            return None;
        }
        let job = self
            .next_playlist(now)
            .or_else(|| self.next_multivariant(now))
            .or_else(|| self.next_segment(now))
            .or_else(|| self.next_deletion(now))?;
        self.under_way += 1;
        Some(job)
    }

    fn next_playlist(&mut self, now: Duration) -> Option<Job> {
        let lanes = self.lanes.iter_mut().enumerate().filter(|(_, lane)| lane.showing.is_over(now));
        for (rendition, lane) in lanes {
            if let Some(view) = lane.candidate() {
                lane.offer(&view);
                self.deletions.offer(rendition, &view);
                let key = self.options.renditions[rendition].playlist.clone();
                return Some(Job::new(key, Work::Playlist { rendition, view: Arc::new(view) }, now));
            }
        }
        None
    }

    fn next_multivariant(&mut self, now: Duration) -> Option<Job> {
        let lanes = self.options.renditions.iter().zip(&self.lanes);
        let listings = self.options.multivariants.iter().zip(&mut self.multivariants);
        for (index, (names, listing)) in listings.enumerate() {
            let mut own = lanes.clone().filter(|(rendition, _)| rendition.container == names.container);
            if own.all(|(_, lane)| lane.is_out() || !lane.has_views())
                && let Some(text) = listing.start(now)
            {
                return Some(Job::new(names.key.clone(), Work::Multivariant { index, text }, now));
            }
        }
        None
    }

    fn next_segment(&mut self, now: Duration) -> Option<Job> {
        let lanes = self.lanes.iter_mut().enumerate().filter(|(_, lane)| lane.backoff.is_over(now));
        for (rendition, lane) in lanes {
            let waits_for = |map: &str| self.maps.is_under_way(map);
            if let Some((number, waiting)) = lane.start_next(self.limits.share, waits_for) {
                let (key, body, due) = (waiting.key.clone(), Arc::clone(&waiting.body), waiting.due);
                let map = waiting.map.clone().filter(|(map, _)| self.maps.begin(map));
                return Some(Job::new(key, Work::Segment { rendition, number, body, map, due }, now));
            }
        }
        None
    }

    fn next_deletion(&mut self, now: Duration) -> Option<Job> {
        loop {
            let key = self.deletions.next(now)?;
            if !self.maps.knows(&key) || !self.is_needed(&key) {
                self.maps.leave(&key);
                return Some(Job::new(key, Work::Delete, now));
            }
            self.deletions.postpone(key, now.saturating_add(UNNAMED));
        }
    }

    /// Whether the map at `key` has to stay, though it may be that no playlist names it now.
    fn is_needed(&self, key: &str) -> bool {
        // Before the first playlist nobody knows what it will name.
        let has_begun = self.lanes.iter().any(Lane::has_views);
        !has_begun || self.maps.is_under_way(key) || self.lanes.iter().any(|lane| lane.needs_map(key))
    }

    /// The keys of what is there, is not put with each segment, and is needed.
    pub(super) fn lasting(&self) -> Vec<String> {
        let listings = self.options.multivariants.iter().zip(&self.multivariants);
        let listings = listings.filter(|(_, listing)| listing.is_out()).map(|(names, _)| names.key.clone());
        let maps = self.maps.there().filter(|key| self.lanes.iter().any(|lane| lane.needs_map(key)));
        listings.chain(maps.map(str::to_owned)).collect()
    }

    /// A look that began at `looked` found nothing at `key`. What had been put there before has been deleted by somebody
    /// else: it is put again. What was put later, the look may have missed. Returns whether it had been put before.
    pub(super) fn lost(&mut self, key: &str, looked: Duration, now: Duration) -> bool {
        let listings = self.options.multivariants.iter().zip(&mut self.multivariants);
        let listing = listings.filter(|(names, _)| names.key == key).map(|(_, listing)| listing).next();
        match listing {
            Some(listing) if listing.is_out_since(looked) => listing.lose(),
            None if self.maps.is_there_since(key, looked) => self.map_may_be_there(key.to_owned(), now),
            _ => return false,
        }
        self.notices.push(Notice::Deleted(key.to_owned()));
        true
    }

    /// A job has come to `outcome`.
    ///
    /// # Errors
    /// If that ends this destination for good.
    pub(super) fn done(&mut self, job: Job, outcome: Outcome, now: Duration) -> Result<(), Error> {
        let Job { key, work, begun } = job;
        self.under_way = self.under_way.saturating_sub(1);
        match (work, outcome) {
            (Work::Segment { rendition, number, map, .. }, Outcome::Done) => {
                map.into_iter().for_each(|(map, _)| self.map_is_there(map, now));
                self.segment_is_there(rendition, number, key, begun, now);
            }
            (Work::Segment { rendition, number, map, .. }, Outcome::Gone) => {
                map.into_iter().for_each(|(map, _)| self.map_may_be_there(map, now));
                self.lose(rendition, number, now);
            }
            (Work::Segment { rendition, number, map, .. }, Outcome::Failed(error)) => {
                map.into_iter().for_each(|(map, _)| self.map_may_be_there(map, now));
                self.lanes[rendition].put_back(number);
                if error.kind() == Kind::Invalid {
                    self.notices.push(Notice::Impossible(super::chain(&error)));
                    self.status.last_error = Some(super::chain(&error));
                    self.lose(rendition, number, now);
                } else {
                    let backoff = &mut self.lanes[rendition].backoff;
                    backoff.fail(now, &error);
                    let refused_since = backoff.refused_since();
                    return self.failed(error, refused_since, begun, now);
                }
            }
            (Work::Playlist { rendition, view }, Outcome::Done) => {
                self.playlist_is_there(rendition, key, &view, now);
            }
            (Work::Playlist { rendition, .. }, Outcome::Failed(error)) => {
                let lane = &mut self.lanes[rendition];
                lane.unoffer();
                lane.showing.fail(now, &error);
                let refused_since = lane.showing.refused_since();
                return self.failed(error, refused_since, begun, now);
            }
            (Work::Multivariant { index, text }, Outcome::Done) => {
                self.multivariants[index].show(text, now);
                self.worked(now);
                self.note_on_air(&key);
            }
            (Work::Multivariant { index, .. }, Outcome::Failed(error)) => {
                let since = self.multivariants[index].fail(now, &error);
                return self.failed(error, since, begun, now);
            }
            (Work::Delete, outcome) => self.deleted(key, outcome, now),
            (Work::Playlist { rendition, .. }, Outcome::Gone) => self.lanes[rendition].unoffer(),
            (Work::Multivariant { index, .. }, Outcome::Gone) => self.multivariants[index].put_back(),
        }
        Ok(())
    }

    /// Until a playlist names it, it may turn out that none will.
    fn map_is_there(&mut self, map: String, now: Duration) {
        self.maps.arrive(&map, now);
        self.deletions.expire_unnamed(map, now.saturating_add(UNNAMED));
    }

    /// It is put again with the next segment that needs it; if there is none, it goes.
    fn map_may_be_there(&mut self, map: String, now: Duration) {
        self.maps.doubt(&map);
        self.deletions.expire_unnamed(map, now.saturating_add(UNNAMED));
    }

    fn segment_is_there(
        &mut self,
        rendition: usize,
        number: u64,
        key: String,
        begun: Duration,
        now: Duration,
    ) {
        self.lanes[rendition].backoff.succeed();
        self.worked(now);
        let Some(waiting) = self.lanes[rendition].take(number) else {
            // It was given up meanwhile: no playlist will name it.
            self.deletions.expire(key, now);
            return;
        };
        self.status.segments += 1;
        self.status.size_bytes += waiting.body.size_bytes();
        // What hung with something that failed meanwhile says nothing of how fast uploads are, nor does a segment so short
        // that its size hardly counts.
        let has_hung = self.failed_at.is_some_and(|failed_at| begun <= failed_at);
        if has_hung || waiting.duration < LEAST_MEASURED.min(self.options.target / 2) {
            return;
        }
        let took = now.saturating_sub(begun);
        self.status.load.note(took, waiting.duration);
        let is_busy = self.status.load.last_permille >= BUSY_PERMILLE;
        if self.lanes[rendition].note_busy(is_busy) {
            self.notices.push(Notice::Busy { took, duration: waiting.duration });
        }
    }

    fn playlist_is_there(&mut self, rendition: usize, key: String, view: &View, now: Duration) {
        let lane = &mut self.lanes[rendition];
        lane.showing.succeed();
        let latency = lane.show(view, now);
        latency.into_iter().for_each(|latency| self.status.latency.note(latency));
        self.status.playlists += 1;
        self.deletions.show(rendition, view, now);
        self.worked(now);
        self.note_on_air(&key);
        self.notices.push(Notice::Shown { key, latency });
    }

    fn note_on_air(&mut self, key: &str) {
        if key == self.options.entry() && !std::mem::replace(&mut self.is_on_air, true) {
            self.notices.push(Notice::OnAir(key.to_owned()));
        }
    }

    /// Segment `number` will never be here: its playlists show a gap.
    fn lose(&mut self, rendition: usize, number: u64, now: Duration) {
        if let Some(gone) = self.lanes[rendition].lose(number) {
            self.status.lost += 1;
            self.notices.extend(self.losses.note(&gone.key, 1, now));
            self.deletions.discard(gone, now);
        }
    }

    /// What was begun at `begun` has failed.
    fn failed(
        &mut self,
        error: Error,
        refused_since: Option<Duration>,
        begun: Duration,
        now: Duration,
    ) -> Result<(), Error> {
        let is_hopeless = match error.kind() {
            Kind::Transient => false,
            Kind::Refused | Kind::Missing | Kind::Invalid => {
                refused_since.is_some_and(|since| now.saturating_sub(since) >= GRACE)
            }
            Kind::Closed => true,
        };
        if is_hopeless {
            return Err(error);
        }
        self.status.retries += 1;
        self.failed_at = Some(now);
        let text = super::chain(&error);
        if self.status.in_trouble_since.is_none() {
            self.status.in_trouble_since = Some(begun.max(self.worked_at));
            self.passed_over_before = self.status.passed_over;
            self.told = now;
            self.notices.push(Notice::Trouble(text.clone()));
        } else if now.saturating_sub(self.told) >= REMINDERS {
            // Messages name keys and parts of files: hardly one is like the one before.
            self.told = now;
            self.notices.push(Notice::StillInTrouble(text.clone()));
        }
        self.status.last_error = Some(text);
        Ok(())
    }

    /// Something was put.
    fn worked(&mut self, now: Duration) {
        self.worked_at = now;
        if let Some(since) = self.status.in_trouble_since.filter(|_| !self.is_in_trouble()) {
            self.status.in_trouble_since = None;
            let waiting = self.lanes.iter().map(|lane| lane.waiting().count()).sum();
            self.notices.extend(self.losses.rest());
            let passed_over = self.status.passed_over - self.passed_over_before;
            self.notices.push(Notice::Recovered { after: now.saturating_sub(since), waiting, passed_over });
        }
    }

    fn is_in_trouble(&self) -> bool {
        let is_failing = |lane: &Lane| lane.backoff.since().or(lane.showing.since()).is_some();
        self.lanes.iter().any(is_failing) || self.multivariants.iter().any(Listing::is_failing)
    }

    fn deleted(&mut self, key: String, outcome: Outcome, now: Duration) {
        match outcome {
            Outcome::Done | Outcome::Gone => {
                self.maps.forget(&key);
                self.status.deleted += 1;
                self.deletions.succeed();
            }
            // What cannot be deleted is no loss to viewers.
            Outcome::Failed(error) => {
                self.maps.doubt(&key);
                if self.deletions.fail(key, &error, now) {
                    self.notices.push(Notice::Left(super::chain(&error)));
                }
            }
        }
    }

    /// When there will be something to do that nothing else tells of.
    pub(super) fn wakes(&self, now: Duration) -> Option<Duration> {
        let lanes = self.lanes.iter().filter(|lane| !lane.is_settled());
        let lanes = lanes.flat_map(|lane| [lane.backoff.until(), lane.showing.until(), lane.due()]);
        let listings = self.multivariants.iter().map(Listing::wakes);
        let times = lanes.chain(listings).chain([self.deletions.wakes()]);
        times.flatten().filter(|at| *at > now).min()
    }

    /// Whether everything is there and shown; what is still to be deleted does not count.
    pub(super) fn is_settled(&self) -> bool {
        let is_listed = self.multivariants.iter().all(Listing::is_settled);
        self.lanes.iter().all(Lane::is_settled) && is_listed
    }

    /// How it is doing.
    pub(super) fn status(&self) -> Status {
        let mut status = self.status.clone();
        for waiting in self.lanes.iter().flat_map(Lane::waiting) {
            status.queued_segments += 1;
            status.queued_bytes += waiting.body.size_bytes();
        }
        status
    }

    /// What people should know since this was asked last.
    pub(super) fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use bytes::Bytes;

    use super::*;
    use crate::chunks::Chunks;
    use crate::delivery::{Spool, Store};
    use crate::live::{Presentation, Step};
    use crate::segment::{Extent, Head};
    use crate::time::Ticks;

    const FOUR: Duration = Duration::from_secs(4);
    const LIMITS: Limits = Limits { share: 1, at_once: 100, deadline: None };

    /// A channel of two renditions and one destination, step by step.
    struct Desk {
        presentation: Presentation,
        store: Store,
        ledger: Ledger,
        now: Duration,
        digest: Option<u64>,
    }

    impl Desk {
        fn new() -> Self {
            let rendition = |name: &str| live::Rendition {
                name: name.to_owned(),
                playlist: format!("{name}/index.m3u8"),
                segment_prefix: format!("{name}/"),
                ..live::Rendition::default()
            };
            let options = live::Options {
                kind: live::Kind::Live { window: 3 },
                target: FOUR,
                multivariants: vec![live::Listing {
                    key: "index.m3u8".to_owned(),
                    ..live::Listing::default()
                }],
                url_prefix: String::new(),
                has_date_time: false,
                has_parts: false,
                renditions: vec![rendition("a"), rendition("b")],
            };
            Self {
                presentation: Presentation::new(options.clone()),
                store: Store::new(Spool { disk_bytes: 0, ..Spool::default() }),
                ledger: Ledger::new("place", options, LIMITS, false, 7),
                now: Duration::ZERO,
                digest: None,
            }
        }

        /// Closes four seconds of a rendition.
        fn segment(&mut self, rendition: usize) {
            self.segment_of(rendition, FOUR);
        }

        fn segment_of(&mut self, rendition: usize, duration: Duration) {
            let head = Head {
                start: Ticks::ZERO,
                decode_start: Ticks::ZERO,
                is_discontinuity: false,
                is_independent: true,
            };
            self.presentation.open(rendition, &head, UNIX_EPOCH);
            self.digest.into_iter().for_each(|digest| self.presentation.map(rendition, digest));
            let extent = Extent { head, duration, size_bytes: 1, longest: FOUR, decode_end: Ticks::ZERO };
            let plan = self.presentation.close(rendition, &extent);
            let Some(Step::PutSegment { number, key, .. }) = plan.steps().first() else { panic!("{plan:?}") };
            let body = self.store.hold(Chunks::from(key.clone()));
            let names = &self.ledger.options.renditions[rendition];
            let map = self.digest.map(|digest| (names.init_key(digest), Bytes::from(digest.to_string())));
            let segment = Segment { rendition, number: *number, key: key.clone(), duration, body, map };
            self.ledger.add(segment, self.now);
            self.show();
        }

        fn show(&mut self) {
            self.ledger.update(&self.presentation.snapshot(), self.now);
        }

        fn jobs(&mut self) -> Vec<Job> {
            std::iter::from_fn(|| self.ledger.next(self.now)).collect()
        }

        fn done(&mut self, job: Job) {
            self.ledger.done(job, Outcome::Done, self.now).unwrap();
        }

        fn fail(&mut self, job: Job, kind: Kind) -> Result<(), Error> {
            let error = Error::new(kind, "put it", "no".into());
            self.ledger.done(job, Outcome::Failed(error), self.now)
        }

        /// Does all there is to do; the keys in their order.
        fn work(&mut self) -> Vec<String> {
            let mut keys = Vec::new();
            loop {
                let jobs = self.jobs();
                if jobs.is_empty() {
                    return keys;
                }
                keys.extend(jobs.iter().map(|job| job.key.clone()));
                jobs.into_iter().for_each(|job| self.done(job));
            }
        }
    }

    fn keys(jobs: &[Job]) -> Vec<&str> {
        jobs.iter().map(|job| job.key.as_str()).collect()
    }

    fn text(job: &Job) -> String {
        match &job.work {
            Work::Playlist { view, .. } => view.media().render(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn playlists_wait_for_what_they_name_and_the_multivariant_one_for_them() {
        let mut desk = Desk::new();
        desk.segment(0);
        desk.segment(1);
        let jobs = desk.jobs();
        assert_eq!(keys(&jobs), ["a/00001.ts", "b/00001.ts"]);
        let [a, b] = <[Job; 2]>::try_from(jobs).unwrap();
        desk.done(b);
        let jobs = desk.jobs();
        assert_eq!(keys(&jobs), ["b/index.m3u8"], "one rendition does not wait for the other's upload");
        jobs.into_iter().for_each(|job| desk.done(job));
        assert!(desk.jobs().is_empty());
        desk.done(a);
        assert_eq!(desk.work(), ["a/index.m3u8", "index.m3u8"]);
        assert!(desk.ledger.is_settled());
        let told: Vec<_> =
            desk.ledger.notices().into_iter().filter(|notice| matches!(notice, Notice::OnAir(_))).collect();
        assert_eq!(told, [Notice::OnAir("index.m3u8".to_owned())]);
    }

    #[test]
    fn one_playlist_is_under_way_at_a_time_and_the_newest_goes_next() {
        let mut desk = Desk::new();
        (0..2).for_each(|rendition| desk.segment(rendition));
        desk.work();
        desk.segment(0);
        assert_eq!(
            desk.jobs()
                .into_iter()
                .map(|job| {
                    let key = job.key.clone();
                    desk.done(job);
                    key
                })
                .collect::<Vec<_>>(),
            ["a/00002.ts"]
        );
        let first = desk.jobs().remove(0);
        // While it is under way, two more segments get there.
        for _ in 0..2 {
            desk.segment(0);
            let job = desk.jobs().remove(0);
            desk.done(job);
        }
        assert!(desk.jobs().is_empty());
        desk.done(first);
        let next = desk.jobs().remove(0);
        assert!(text(&next).ends_with("00004.ts\n"), "{}", text(&next));
        desk.done(next);
        assert_eq!(desk.work(), [""; 0]);
    }

    #[test]
    fn what_was_sent_counts_as_seen_whatever_was_answered() {
        let mut desk = Desk::new();
        (0..2).for_each(|rendition| desk.segment(rendition));
        desk.work();
        for _ in 0..5 {
            desk.segment(0);
        }
        // Only the newest window is sent; its playlist fails.
        let (mut sent, mut jobs) = (Vec::new(), std::collections::VecDeque::new());
        let failed = loop {
            jobs.extend(desk.jobs());
            let job: Job = jobs.pop_front().unwrap();
            if job.key.ends_with(".m3u8") && text(&job).ends_with("00006.ts\n") {
                break job;
            }
            sent.push(job.key.clone());
            desk.done(job);
        };
        assert!(!sent.contains(&"a/00002.ts".to_owned()), "{sent:?}");
        let before = text(&failed);
        desk.fail(failed, Kind::Transient).unwrap();
        assert!(desk.jobs().is_empty(), "it is waited");
        assert!(desk.ledger.wakes(desk.now).is_some());
        desk.now += Duration::from_secs(60);
        let again = desk.jobs().remove(0);
        assert_eq!(text(&again), before);
    }

    #[test]
    fn what_can_never_be_put_is_a_gap_and_what_is_refused_has_its_time() {
        let mut desk = Desk::new();
        (0..2).for_each(|rendition| desk.segment(rendition));
        let job = desk.jobs().remove(0);
        desk.fail(job, Kind::Invalid).unwrap();
        assert!(desk.ledger.status().lost == 1 && desk.ledger.status().in_trouble_since.is_none());
        desk.segment(0);
        let job = desk.jobs().remove(0);
        desk.fail(job, Kind::Refused).unwrap();
        assert_eq!(desk.ledger.status().last_error.as_deref(), Some("cannot put it: no"));
        desk.now += GRACE;
        let job = desk.jobs().remove(0);
        assert_eq!(desk.fail(job, Kind::Refused).unwrap_err().kind(), Kind::Refused);
    }

    #[test]
    fn what_is_not_there_by_its_deadline_is_a_gap() {
        let mut desk = Desk::new();
        desk.ledger.limits.deadline = Some(Duration::from_secs(10));
        (0..2).for_each(|rendition| desk.segment(rendition));
        desk.work();
        // One that can be put at no time, and one behind it.
        desk.segment(0);
        desk.now += FOUR;
        desk.segment(0);
        let deadline = Duration::from_secs(10);
        while desk.now < deadline {
            for job in desk.jobs() {
                assert_eq!(job.key, "a/00002.ts");
                assert_eq!(
                    job.limit(FOUR, desk.now),
                    FOUR.min(deadline - desk.now),
                    "no attempt outlasts it"
                );
                desk.fail(job, Kind::Transient).unwrap();
            }
            desk.now = desk.ledger.wakes(desk.now).unwrap();
            assert!(desk.now <= deadline, "it is given up in time");
        }
        assert_eq!(desk.now, deadline);
        let jobs = desk.jobs();
        assert_eq!(keys(&jobs), ["a/index.m3u8", "a/00002.ts"], "what may have got there is deleted");
        assert_eq!(desk.ledger.status().lost, 1);
        let text = text(&jobs[0]);
        assert!(text.contains("#EXT-X-GAP\n") && text.ends_with("00002.ts\n"), "{text}");
        jobs.into_iter().for_each(|job| desk.done(job));
        desk.now = desk.ledger.wakes(desk.now).unwrap();
        assert!(desk.now < deadline + FOUR, "before the next one's time is over");
        assert_eq!(desk.work(), ["a/00003.ts", "a/index.m3u8"]);
    }

    #[test]
    fn what_is_under_way_at_its_deadline_counts_if_it_gets_there() {
        let mut desk = Desk::new();
        desk.ledger.limits.deadline = Some(FOUR);
        (0..2).for_each(|rendition| desk.segment(rendition));
        let jobs = desk.jobs();
        desk.now += FOUR;
        assert!(desk.jobs().is_empty());
        jobs.into_iter().for_each(|job| desk.done(job));
        assert_eq!(desk.work(), ["a/index.m3u8", "b/index.m3u8", "index.m3u8"]);
        assert_eq!(desk.ledger.status().lost, 0);
    }

    #[test]
    fn trouble_that_lasts_is_told_of_now_and_then() {
        let mut desk = Desk::new();
        desk.segment(0);
        let mut told = 0;
        for seconds in 0..300 {
            desk.now = Duration::from_secs(seconds);
            for job in desk.jobs() {
                let error = Error::new(Kind::Transient, format!("put {} at {seconds}", job.key), "no".into());
                desk.ledger.done(job, Outcome::Failed(error), desk.now).unwrap();
            }
            told += desk.ledger.notices().len();
        }
        assert_eq!(told, 5);
    }

    #[test]
    fn trouble_counts_from_the_attempt_and_what_hung_with_it_was_not_slow() {
        let mut desk = Desk::new();
        (0..2).for_each(|rendition| desk.segment(rendition));
        let begun = desk.now;
        let [failing, hanging] = <[Job; 2]>::try_from(desk.jobs()).unwrap();
        desk.now += Duration::from_secs(15);
        desk.fail(failing, Kind::Transient).unwrap();
        assert_eq!(desk.ledger.status().in_trouble_since, Some(begun));
        desk.now += Duration::from_secs(5);
        desk.done(hanging);
        desk.work();
        let status = desk.ledger.status();
        assert!(status.in_trouble_since.is_none() && status.load.worst_permille < BUSY_PERMILLE, "{status}");
        let notices = desk.ledger.notices();
        let after = Duration::from_secs(20);
        let is_recovery =
            |one: &Notice| matches!(one, Notice::Recovered { after: told, .. } if *told == after);
        assert!(notices.iter().any(is_recovery), "{notices:?}");
        assert!(!notices.iter().any(|one| matches!(one, Notice::Busy { .. })), "{notices:?}");
        // What begins after that tells of the way there again, and other trouble is no older than the last success.
        desk.now += Duration::from_secs(1);
        desk.segment(0);
        let [slow] = <[Job; 1]>::try_from(desk.jobs()).unwrap();
        desk.now += Duration::from_secs(3);
        desk.segment(1);
        desk.work();
        let worked = desk.now;
        desk.now += Duration::from_secs(1);
        desk.fail(slow, Kind::Transient).unwrap();
        assert_eq!(desk.ledger.status().in_trouble_since, Some(worked));
    }

    #[test]
    fn uploads_of_segments_below_a_second_are_not_measured() {
        for (milliseconds, permille) in [(40, 0), (999, 0), (1000, 800)] {
            let mut desk = Desk::new();
            desk.segment_of(0, Duration::from_millis(milliseconds));
            let [job] = <[Job; 1]>::try_from(desk.jobs()).unwrap();
            desk.now += Duration::from_millis(800);
            desk.done(job);
            assert_eq!(desk.ledger.status().load.worst_permille, permille, "{milliseconds}");
            let is_told = desk.ledger.notices().iter().any(|one| matches!(one, Notice::Busy { .. }));
            assert_eq!(is_told, permille > 0, "{milliseconds}");
        }
    }

    /// A desk whose renditions are CMAF, with the map of digest 1.
    fn mapped_desk() -> Desk {
        let mut desk = Desk::new();
        let mut options = desk.ledger.options.clone();
        options.multivariants[0].container = live::Container::Cmaf;
        options.renditions.iter_mut().for_each(|rendition| rendition.container = live::Container::Cmaf);
        desk.presentation = Presentation::new(options.clone());
        desk.ledger.options = options;
        desk.digest = Some(1);
        desk
    }

    const MAP: &str = "a/init-0000000000000001.mp4";
    const OTHER_MAP: &str = "a/init-0000000000000002.mp4";

    /// Keys of jobs, each map that is put ahead of a segment before it.
    fn all_keys(jobs: &[Job]) -> Vec<String> {
        let keys = jobs.iter().flat_map(|job| {
            let map = match &job.work {
                Work::Segment { map: Some((map, _)), .. } => Some(map.clone()),
                _ => None,
            };
            map.into_iter().chain([job.key.clone()])
        });
        keys.collect()
    }

    #[test]
    fn a_map_is_put_once_ahead_of_the_first_segment_that_needs_it() {
        let mut desk = mapped_desk();
        desk.ledger.limits.share = 2;
        (0..2).for_each(|_| desk.segment(0));
        let jobs = desk.jobs();
        assert_eq!(all_keys(&jobs), [MAP, "a/00001.m4s"], "the second one waits for the map");
        let failed = jobs.into_iter().next().unwrap();
        desk.fail(failed, Kind::Transient).unwrap();
        desk.now += FOUR;
        let jobs = desk.jobs();
        assert_eq!(all_keys(&jobs), [MAP, "a/00001.m4s"], "it is put again with its segment");
        jobs.into_iter().for_each(|job| desk.done(job));
        let jobs = desk.jobs();
        assert_eq!(all_keys(&jobs), ["a/00002.m4s"]);
        jobs.into_iter().for_each(|job| desk.done(job));
        desk.segment(1);
        desk.work();
        desk.digest = Some(2);
        desk.segment(0);
        assert_eq!(all_keys(&desk.jobs()), [OTHER_MAP, "a/00003.m4s"]);
    }

    #[test]
    fn a_map_goes_with_the_last_playlist_that_names_it_and_comes_back_when_it_is_needed() {
        let mut desk = mapped_desk();
        let mut deleted = Vec::new();
        for round in 0..16 {
            desk.digest = Some(if (2..12).contains(&round) { 2 } else { 1 });
            desk.now += FOUR;
            (0..2).for_each(|rendition| desk.segment(rendition));
            let keys = desk.work();
            deleted.extend(keys.into_iter().filter(|key| key == MAP).map(|_| round));
            let is_there = desk.ledger.maps.knows(MAP);
            // It left the playlist in round 4, and stays for a target duration and the playlist's duration.
            assert_eq!(is_there, !(8..12).contains(&round), "{round}");
        }
        assert_eq!(deleted, [8]);
    }

    #[test]
    fn a_map_that_an_earlier_playlist_names_is_there() {
        let mut desk = mapped_desk();
        let text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MAP:URI=\"init-0000000000000001.mp4\"\n#EXTINF:4,\n\
            00001.m4s\n#EXT-X-MAP:URI=\"init-0000000000000002.mp4\"\n#EXT-X-GAP\n#EXTINF:4,\n00002.m4s\n";
        let found = vec![Some(playlist::Media::parse(text).unwrap()), None];
        desk.presentation = Presentation::resume(desk.ledger.options.clone(), &found);
        desk.ledger.take_up(&found, &found, Duration::ZERO);
        desk.segment(0);
        let jobs = desk.jobs();
        assert_eq!(all_keys(&jobs)[0], "a/00003.m4s");
        jobs.into_iter().for_each(|job| desk.done(job));
        desk.digest = Some(2);
        desk.segment(0);
        assert_eq!(all_keys(&desk.jobs())[..2], [OTHER_MAP, "a/00004.m4s"], "a gap's map may not be there");
    }

    #[test]
    fn a_map_for_which_every_segment_was_given_up_goes() {
        let mut desk = mapped_desk();
        (0..2).for_each(|rendition| desk.segment(rendition));
        desk.work();
        desk.digest = Some(2);
        desk.segment(0);
        let job = desk.jobs().remove(0);
        desk.fail(job, Kind::Invalid).unwrap();
        desk.digest = Some(1);
        desk.segment(0);
        desk.work();
        assert!(!desk.work().contains(&OTHER_MAP.to_owned()));
        desk.now += UNNAMED;
        assert!(desk.work().contains(&OTHER_MAP.to_owned()));
        assert!(desk.ledger.maps.knows(MAP));
    }

    #[test]
    fn expired_segments_go_when_they_may_unless_they_are_kept() {
        for keeps in [false, true] {
            let mut desk = Desk::new();
            desk.ledger.deletions = Deletions::new(1, keeps);
            for _ in 0..5 {
                desk.now += FOUR;
                (0..2).for_each(|rendition| desk.segment(rendition));
                assert!(desk.work().iter().all(|key| !key.ends_with("00001.ts") || desk.now == FOUR));
            }
            // The first left its playlist at 16 s, and stays for itself and 12 s.
            desk.now = Duration::from_secs(32);
            let deleted = desk.work();
            let expected: &[&str] = if keeps { &[] } else { &["a/00001.ts", "b/00001.ts"] };
            assert_eq!(deleted, expected);
            assert_eq!(desk.ledger.status().deleted, expected.len() as u64);
            assert_eq!(desk.ledger.wakes(desk.now), (!keeps).then(|| Duration::from_secs(36)));
        }
    }

    #[test]
    fn what_somebody_else_deleted_is_put_again() {
        let mut desk = Desk::new();
        desk.digest = Some(5);
        [0, 1, 0, 1].into_iter().for_each(|rendition| desk.segment(rendition));
        desk.work();
        let map = desk.ledger.options.renditions[0].init_key(5);
        let lasting = desk.ledger.lasting();
        assert!(lasting.contains(&"index.m3u8".to_owned()) && lasting.contains(&map), "{lasting:?}");
        let looked = desk.now + Duration::from_secs(1);
        assert!(!desk.ledger.lost("index.m3u8", Duration::ZERO, looked), "it was put after that");
        assert!(desk.ledger.lost("index.m3u8", looked, looked));
        assert_eq!(desk.work(), ["index.m3u8"]);
        assert!(desk.ledger.lost(&map, looked, looked));
        desk.segment(0);
        let jobs = desk.jobs();
        let puts_map =
            |job: &Job| matches!(&job.work, Work::Segment { map: Some((key, _)), .. } if *key == map);
        assert!(jobs.iter().any(puts_map), "{jobs:?}");
        assert!(desk.ledger.notices().contains(&Notice::Deleted(map)));
    }
}
