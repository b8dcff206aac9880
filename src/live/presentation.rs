//! When what is put.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::expiry::Expiry;
use super::snapshot::Snapshot;
use super::target::{Target, whole_seconds};
use super::timeline::Timeline;
use super::variant::Profile;
use super::window::{Entry, Removed, Window};
use super::{Anomaly, Kind, Options, Plan, Step, naming, resume};
use crate::codec::Format;
use crate::playlist::{self, Multivariant};
use crate::segment::{Extent, Head};

/// Once a rendition has closed so many segments, the first playlists wait no longer for one that has none.
const PATIENCE: u64 = 3;

/// A variant that ended so many segments before the others is offered no more.
const BEHIND: u64 = 3;

/// A channel's playlists, from its first segment to its end.
///
/// Methods that take a rendition panic if the options hold none with that index.
#[derive(Debug)]
pub struct Presentation {
    options: Options,
    runs: Vec<Run>,
    timeline: Timeline,
    target: Target,
    multivariant: Listing,
    expiry: Expiry,
    snapshot: Arc<Snapshot>,
}

/// One rendition on its way.
#[derive(Debug)]
struct Run {
    /// The number of the next segment.
    next: u64,
    /// Segments closed since this run began: the next one's position in the timeline.
    closed: u64,
    /// Set while a segment is open: whether the rendition's own PTS jumped before it.
    opened: Option<bool>,
    window: Window,
    profile: Profile,
    /// An earlier run's segments, shown until this one's first playlist is put.
    retired: Vec<Removed>,
    /// Whether its playlist is at the destinations.
    is_out: bool,
    is_ended: bool,
}

/// The multivariant playlist as it was put last.
#[derive(Debug, Default)]
struct Listing {
    last: Option<Multivariant>,
    /// Whether something that it says may have changed.
    is_due: bool,
}

impl Presentation {
    /// A fresh channel: segments are numbered from 1.
    pub fn new(options: Options) -> Self {
        Self::resume(options, &[])
    }

    /// Goes on after an earlier run, of which each rendition's playlist was found at the destination.
    ///
    /// Numbers go on, above every number found. A playlist without EXT-X-ENDLIST keeps its segments, with a
    /// discontinuity after them; one with it begins anew, and its segments are deleted when their time is over.
    pub fn resume(options: Options, earlier: &[Option<playlist::Media>]) -> Self {
        let start = resume::start(&options, earlier);
        let passed: Vec<u64> = start.renditions.iter().map(|one| one.breaks).collect();
        let mut expiry = Expiry::default();
        let run = |one: resume::Beginning| {
            one.leftover.into_iter().for_each(|old| expiry.schedule(old.keep, old.key));
            Run {
                next: one.next,
                closed: 0,
                opened: None,
                is_out: !one.window.is_empty(),
                window: one.window,
                profile: Profile::default(),
                retired: one.retired,
                is_ended: false,
            }
        };
        let runs: Vec<Run> = start.renditions.into_iter().map(run).collect();
        let snapshot = Snapshot { views: vec![None; runs.len()], multivariant: None };
        Self {
            timeline: Timeline::new(&passed, start.breaks, options.target),
            target: Target::new(start.target),
            multivariant: Listing::default(),
            snapshot: Arc::new(snapshot),
            expiry,
            runs,
            options,
        }
    }

    /// A segment of `rendition` begins; its first bytes came at `arrived`.
    pub fn open(&mut self, rendition: usize, head: &Head, arrived: SystemTime) {
        if !self.runs[rendition].is_ended {
            self.begin(rendition, head, Some(arrived));
        }
    }

    /// The segment of `rendition` that was opened last is complete. `now` counts from the channel's start.
    ///
    /// After [`end`](Self::end) it is too late: such a segment is not put.
    pub fn close(&mut self, rendition: usize, extent: &Extent, now: Duration) -> Plan {
        let mut plan = Plan::default();
        if !self.runs[rendition].is_ended {
            self.append(rendition, extent, &mut plan);
            self.publish(rendition, now, &mut plan);
        }
        self.delete_due(now, &mut plan);
        plan
    }

    /// The formats of all streams of `rendition` are known, or have become others.
    pub fn format(&mut self, rendition: usize, formats: &[Format]) {
        let known = &mut self.runs[rendition].profile.formats;
        if *known != formats {
            *known = formats.to_vec();
            self.multivariant.is_due = true;
        }
    }

    /// Nothing more of `rendition` will come: it is finished, or was dropped. Its playlist gets its end; when
    /// all renditions have ended, everything there is has been written.
    pub fn end(&mut self, rendition: usize, now: Duration) -> Plan {
        let mut plan = Plan::default();
        if !self.runs[rendition].is_ended {
            self.runs[rendition].is_ended = true;
            self.timeline.leave(rendition);
            self.multivariant.is_due = true;
            self.publish(rendition, now, &mut plan);
        }
        self.delete_due(now, &mut plan);
        plan
    }

    /// Deletes what may go by `now`.
    pub fn tick(&mut self, now: Duration) -> Plan {
        let mut plan = Plan::default();
        self.delete_due(now, &mut plan);
        plan
    }

    /// When the next [`tick`](Self::tick) will have something to delete.
    pub fn next_expiry(&self) -> Option<Duration> {
        self.expiry.next()
    }

    /// The number that the next segment of `rendition` gets, or the open one has.
    pub fn next_number(&self, rendition: usize) -> u64 {
        self.runs[rendition].next
    }

    /// EXT-X-TARGETDURATION; none before the first playlist was put.
    pub const fn target_duration(&self) -> Option<Duration> {
        self.target.fixed()
    }

    /// Whether all renditions have ended.
    pub fn is_ended(&self) -> bool {
        self.runs.iter().all(|run| run.is_ended)
    }

    /// How the channel presents itself.
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// What is shown now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }

    fn begin(&mut self, rendition: usize, head: &Head, arrived: Option<SystemTime>) -> bool {
        let run = &mut self.runs[rendition];
        // The first segment of all breaks nothing.
        let has_jumped = head.is_discontinuity && !run.window.is_empty();
        self.timeline.open(rendition, run.closed, head.start, has_jumped, arrived);
        // An open segment that never closed leaves its jump to this one.
        let has_jumped = has_jumped || run.opened == Some(true);
        run.opened = Some(has_jumped);
        has_jumped
    }

    /// Puts the segment and appends it to its rendition's window.
    fn append(&mut self, rendition: usize, extent: &Extent, plan: &mut Plan) {
        let has_jumped = match self.runs[rendition].opened {
            Some(has_jumped) => has_jumped,
            None => self.begin(rendition, &extent.head, None),
        };
        let run = &mut self.runs[rendition];
        run.opened = None;
        let mark = self.timeline.close(rendition, run.closed, extent.head.start, has_jumped);
        let names = &self.options.renditions[rendition];
        let (number, key) = (run.next, names.segment_key(run.next));
        plan.push(Step::PutSegment { rendition, number, key: key.clone() });

        let duration = self.target.admit(extent, self.options.kind);
        if duration < extent.duration {
            let target = duration;
            plan.report(Anomaly::LongerThanTarget { rendition, number, duration: extent.duration, target });
        }
        let segment = playlist::Segment {
            uri: naming::reference(&self.options.url_prefix, &names.playlist, &key),
            duration,
            is_discontinuity: mark.is_discontinuity,
            is_gap: false,
            date_time: mark.date_time,
        };
        let was_independent = run.window.is_independent();
        run.window.push(Entry::new(number, Some(key), segment), extent.head.is_independent);
        self.multivariant.is_due |= was_independent != run.window.is_independent();
        if duration < extent.duration {
            run.window.restate_date();
        }
        let target = self.target.fixed().unwrap_or(whole_seconds(self.options.target));
        run.profile.meter.add(extent.duration, extent.size_bytes, target);
        run.next = run.next.saturating_add(1);
        run.closed += 1;
    }

    /// Puts what may be shown now that `rendition` has something new.
    fn publish(&mut self, rendition: usize, now: Duration, plan: &mut Plan) {
        if self.target.fixed().is_some() {
            self.put_playlist(rendition, now, plan);
        } else if self.is_ready() {
            self.fix_target(plan);
            for rendition in 0..self.runs.len() {
                let run = &self.runs[rendition];
                if run.closed > 0 || run.is_ended {
                    self.put_playlist(rendition, now, plan);
                }
            }
        } else {
            return;
        }
        self.put_multivariant(plan);
    }

    /// Whether the target duration can be told: every rendition has promised one, or has been waited for long
    /// enough. VOD is told at the end, from the whole.
    fn is_ready(&self) -> bool {
        if self.runs.iter().all(|run| run.window.is_empty()) {
            return false;
        }
        if self.options.kind == Kind::Vod {
            return self.is_ended();
        }
        self.most_closed() >= PATIENCE || self.runs.iter().all(|run| run.is_ended || run.closed > 0)
    }

    fn most_closed(&self) -> u64 {
        self.runs.iter().map(|run| run.closed).max().unwrap_or(0)
    }

    fn fix_target(&mut self, plan: &mut Plan) {
        if let Some((from, to)) = self.target.fix() {
            plan.report(Anomaly::TargetRaised { from, to });
        }
    }

    fn put_playlist(&mut self, rendition: usize, now: Duration, plan: &mut Plan) {
        let (Some(target), run) = (self.target.fixed(), &mut self.runs[rendition]) else { return };
        if run.window.is_empty() {
            return;
        }
        let mut gone = std::mem::take(&mut run.retired);
        if let Kind::Live { window } = self.options.kind {
            gone.extend(run.window.trim(window, target));
            // Only what may be removed one day needs to know how long it was shown.
            run.window.note_shown();
        }
        for old in gone {
            self.expiry.schedule(now.saturating_add(old.keep), old.key);
        }
        let mut view = run.window.view(target, self.options.has_date_time);
        view.media.is_ended = run.is_ended;
        view.media.kind = match self.options.kind {
            Kind::Live { .. } => None,
            Kind::Event => Some(playlist::Type::Event),
            Kind::Vod => Some(playlist::Type::Vod),
        };
        let key = self.options.renditions[rendition].playlist.clone();
        plan.push(Step::PutPlaylist { key, text: view.media.render() });
        self.multivariant.is_due |= !run.is_out;
        run.is_out = true;
        Arc::make_mut(&mut self.snapshot).views[rendition] = Some(Arc::new(view));
    }

    /// Puts the multivariant playlist if every variant's is out and it says something new.
    fn put_multivariant(&mut self, plan: &mut Plan) {
        let Some(key) = self.options.multivariant.clone() else { return };
        let most_closed = self.most_closed();
        let is_growing = self.options.kind != Kind::Vod;
        let offered: Vec<bool> =
            self.runs.iter().map(|run| run.is_offered(most_closed, is_growing)).collect();
        let bandwidths = self.options.renditions.iter().map(|names| names.bandwidth_bps);
        let is_stale = self.runs.iter().zip(bandwidths).any(|(run, bps)| run.profile.is_stale(bps));
        let is_any_ended = self.runs.iter().any(|run| run.is_ended);
        if !(is_stale || is_any_ended || self.multivariant.is_due) {
            return;
        }
        if is_stale {
            self.runs.iter_mut().for_each(|run| run.profile.declare(is_growing));
        }
        let Some(listing) = self.listing(&key, &offered) else { return };
        self.multivariant.is_due = false;
        if !listing.variants.is_empty() && self.multivariant.last.as_ref() != Some(&listing) {
            let text = listing.render();
            Arc::make_mut(&mut self.snapshot).multivariant = Some(text.as_str().into());
            plan.push(Step::PutPlaylist { key, text });
            self.multivariant.last = Some(listing);
        }
    }

    /// The variants that are offered; none while one of them cannot be told yet.
    fn listing(&self, key: &str, offered: &[bool]) -> Option<Multivariant> {
        let mut listing = Multivariant { is_independent: true, variants: Vec::new() };
        for ((run, names), _) in
            self.runs.iter().zip(&self.options.renditions).zip(offered).filter(|(_, is_offered)| **is_offered)
        {
            let uri = naming::reference(&self.options.url_prefix, key, &names.playlist);
            match run.profile.variant(uri, names.bandwidth_bps).filter(|_| run.is_out) {
                Some(variant) => listing.variants.push(variant),
                // It ended before there was anything to tell of it.
                None if run.is_ended => continue,
                None => return None,
            }
            listing.is_independent &= run.window.is_independent();
        }
        Some(listing)
    }

    fn delete_due(&mut self, now: Duration, plan: &mut Plan) {
        while let Some(key) = self.expiry.take(now) {
            plan.push(Step::Delete { key });
        }
    }
}

impl Run {
    /// Whether the multivariant playlist offers it: one that was dropped while the others went on would only
    /// lead new viewers to its end.
    const fn is_offered(&self, most_closed: u64, is_growing: bool) -> bool {
        !(is_growing && self.is_ended && most_closed >= self.closed.saturating_add(BEHIND))
    }
}
