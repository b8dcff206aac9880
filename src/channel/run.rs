//! The channel's loop.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use super::clock::Clock;
use super::encoders::Encoders;
use super::ingest::{Given, Readers};
use super::lives::{self, waits};
use super::package::{Item, Packager};
use super::places::Places;
use super::prepare::{Nowhere, Prepared, Search};
use super::report::Reporter;
use super::serving::Serving;
use super::summary::Summary;
use super::{BURIAL, Error, LAST_PUTS, Options, Restart, Stop};
use crate::chunks::Chunks;
use crate::cmaf;
use crate::delivery::{self, Delivery, chain};
use crate::encoder::{self, Limits, Messages, Running};
use crate::live::{self, Plan, Presentation, Step};
use crate::origin::Origin;
use crate::segment::{self, Extent, OnMissingRandomAccess, Part, Segment};
use crate::ts::{AnomalyKind, Selection};

/// How often the origin is told how the channel is doing, and the wall clock is looked at.
const REPORTS: Duration = Duration::from_secs(1);

/// Runs a channel to its end: the source's, or the one that `stop` asks for. Must be called within a tokio
/// runtime.
///
/// # Errors
/// [`Error`]; but for [`Error::StoppedNow`], what came until then has been put and the playlists are ended.
pub async fn run(options: &Options, mut stop: watch::Receiver<Stop>) -> Result<Summary, Error> {
    // The port is ours, or it is said, before anything else is begun.
    let origin = options.origin.clone().map(Origin::bind).transpose()?;
    let messages = Messages::default();
    let mut running = encoder::start_again(&options.ladder, &Limits::default(), &messages)?;
    let result = run_with(options, origin, &mut running, &messages, &mut stop).await;
    messages.finish();
    if result.is_err() {
        // Whoever ends early leaves no encoder behind; those that have ended are not hurt.
        bury(&mut running).await;
    }
    result
}

/// Kills the encoders, and waits for their end.
async fn bury(running: &mut Running) {
    running.control.kill();
    running.outputs.clear();
    let all = async { while running.events.recv().await.is_some() {} };
    let _ = timeout(BURIAL, all).await;
}

/// Finds a place to begin at. While there is none, encoders would have nowhere to go with what they make: they end, and
/// begin once there is one, unless they are ones that begin only once. None if the channel is asked to end meanwhile.
async fn find_place(
    mut search: Search<'_>,
    running: &mut Running,
    messages: &Messages,
    mut stop: watch::Receiver<Stop>,
) -> Result<Option<Prepared>, Error> {
    let options = search.options;
    let error = match search.prepare().await {
        Ok(prepared) => return Ok(Some(prepared)),
        Err(Nowhere::Silent(error)) if options.restart() != Restart::Never => error,
        Err(Nowhere::Silent(error) | Nowhere::Refused(error)) => return Err(error),
    };
    if options.destinations.len() == 1 {
        tracing::error!("{}", chain(&error));
    }
    tracing::warn!("there is nowhere to begin: it is tried again until a destination answers");
    bury(running).await;
    let prepared = tokio::select! {
        found = wait_for_place(search) => found?,
        Ok(_) = stop.wait_for(|stop| *stop == Stop::Finish) => return Ok(None),
    };
    *running = encoder::start_again(&options.ladder, &Limits::default(), messages)?;
    Ok(Some(prepared))
}

/// Tries again until there is a place. Whoever refuses may only just have begun to begin.
async fn wait_for_place(mut search: Search<'_>) -> Result<Prepared, Error> {
    let mut waits = waits();
    let mut refused_since = None;
    search.wait();
    loop {
        sleep(waits.next().unwrap_or(lives::LONGEST)).await;
        match search.prepare().await {
            Ok(prepared) => return Ok(prepared),
            Err(Nowhere::Silent(_)) => refused_since = None,
            Err(Nowhere::Refused(error)) => {
                if refused_since.get_or_insert_with(Instant::now).elapsed() >= delivery::GRACE {
                    return Err(error);
                }
            }
        }
    }
}

async fn run_with(
    options: &Options,
    origin: Option<Origin>,
    running: &mut Running,
    messages: &Messages,
    stop: &mut watch::Receiver<Stop>,
) -> Result<Summary, Error> {
    let (ended, mut endings) = mpsc::unbounded_channel();
    let began = Instant::now();
    let prepared = tokio::select! {
        prepared = find_place(Search::new(options, began, ended), running, messages, stop.clone()) => prepared?,
        Ok(_) = stop.wait_for(|stop| *stop == Stop::Now) => return Err(Error::StoppedNow),
    };
    let Some(prepared) = prepared else {
        tracing::warn!("ended before there was a place to begin");
        return Ok(Summary::new(&options.presentation));
    };
    // What was asked for meanwhile is looked at too.
    stop.mark_changed();
    let (longest, shared) = watch::channel(None);
    let clock = Arc::new(Clock::new());
    let (mut readers, mut received) = Readers::new(shared, Arc::clone(&clock));
    let packagers: Vec<_> = options.lineups.iter().map(|one| Packager::new(one, &cutting(options))).collect();
    readers.read(running, packagers.into_iter().map(Box::new).enumerate().collect());

    let encoders = Encoders::new(options, running.control.clone());
    let mut channel = Channel::new(options, prepared, encoders, longest, began);
    let serving = origin.map(|origin| channel.serve(options, origin));
    let mut tick = interval(REPORTS);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut has_events = true;
    while has_events || channel.is_at_work() || channel.await_next_life() {
        let (next_life, video_due) = (channel.encoders.lives.next(), channel.video_due());
        tokio::select! {
            Some((rung, given)) = received.recv() => match given {
                Given::Items(items) => channel.take(items),
                Given::End(ending, packager) => channel.end(rung, ending, packager),
                Given::Lost => channel.lose_reader(rung),
            },
            event = running.events.recv(), if has_events => match event {
                Some(event) => channel.hear(event),
                None => has_events = false,
            },
            () = sleep_until(next_life.unwrap_or_else(Instant::now)), if next_life.is_some() => {
                match encoder::start_again(&options.ladder, &Limits::default(), messages) {
                    Ok(next) => {
                        *running = next;
                        has_events = true;
                        readers.read(running, channel.begin_again(running.control.clone()));
                    }
                    Err(error) => channel.fail_to_begin(&error),
                }
            }
            () = sleep_until(video_due.unwrap_or_else(Instant::now)), if video_due.is_some() => {
                channel.restart_without_video();
            }
            Some(()) = endings.recv() => channel.drop_failed().await,
            _ = tick.tick() => {
                channel.follow(&clock);
                channel.report();
            }
            Ok(()) = stop.changed() => match *stop.borrow_and_update() {
                Stop::No => {}
                Stop::Finish => channel.finish_as_asked(),
                Stop::Now => return Err(Error::StoppedNow),
            },
        }
    }
    let target = channel.presentation.target_duration().unwrap_or(options.presentation.target);
    let result = channel.close(stop).await;
    if let Some(serving) = serving {
        serving.end(&options.name, target, stop).await;
    }
    result
}

fn cutting(options: &Options) -> segment::Options {
    let on_missing = match options.presentation.kind {
        live::Kind::Vod => OnMissingRandomAccess::Extend,
        live::Kind::Live { .. } | live::Kind::Event => OnMissingRandomAccess::Cut,
    };
    segment::Options {
        target: options.presentation.target,
        program: Selection::First,
        on_missing,
        part: options.part,
    }
}

/// A channel at work.
pub struct Channel {
    pub presentation: Presentation,
    places: Places,
    pub encoders: Encoders,
    pub reporter: Reporter,
    began: Instant,
    longest: watch::Sender<Option<Duration>>,
    pub summary: Summary,
    /// What ends the channel with an error, once everything is written.
    pub failure: Option<Error>,
    pub is_finishing: bool,
    /// Whether it is our caller who wants the end.
    pub is_asked: bool,
}

impl Channel {
    fn new(
        options: &Options,
        prepared: Prepared,
        encoders: Encoders,
        longest: watch::Sender<Option<Duration>>,
        began: Instant,
    ) -> Self {
        let summary = Summary::new(&options.presentation);
        let spool = options.spool.clone();
        Self {
            presentation: prepared.presentation,
            places: Places::new(prepared.deliveries, spool, summary.renditions.len(), began),
            encoders,
            reporter: Reporter::new(&options.presentation),
            began,
            longest,
            summary,
            failure: prepared.refused,
            is_finishing: false,
            is_asked: false,
        }
    }

    fn take(&mut self, items: Vec<(usize, Item)>) {
        for (rendition, item) in items {
            match item {
                Item::Open(head, arrived) => self.presentation.open(rendition, &head, arrived),
                Item::Map(init) => self.map(rendition, init),
                Item::Part(part, body) => self.put_part(rendition, &part, body),
                Item::Segment(segment) => self.put(rendition, segment),
                Item::Formats(formats) => self.presentation.format(rendition, &formats),
                Item::FrameRate(rate) => self.presentation.frame_rate(rendition, rate),
                Item::Service(service) => self.presentation.service(rendition, service),
                Item::Language(language) => self.presentation.language(rendition, &language),
                Item::Gap(extent, is_whole) => self.pass(rendition, &extent, is_whole),
                Item::Absent => self.reporter.end(rendition),
                Item::Anomaly(anomaly) => {
                    self.video(rendition, anomaly.kind);
                    self.note(rendition, anomaly.kind.name(), &anomaly);
                }
                Item::Unfit(anomaly) => self.note(rendition, anomaly.kind.name(), &anomaly),
            }
        }
        // At once, for the playlist of a segment's last part would name one more that never comes.
        self.show_at_edge();
    }

    fn map(&mut self, rendition: usize, init: cmaf::Init) {
        let key = self.presentation.options().renditions[rendition].init_key(init.digest);
        self.places.map(rendition, key, init.bytes);
        self.presentation.map(rendition, init.digest);
    }

    fn put_part(&mut self, rendition: usize, part: &Part, body: Chunks) {
        let number = self.presentation.next_number(rendition);
        let key = self.presentation.options().renditions[rendition].part_key(number, part.index.into());
        self.places.part(&key, body);
        let plan = self.presentation.part(rendition, part);
        tell(&plan);
    }

    /// Nothing more of this rendition comes.
    pub fn leave_out(&mut self, rendition: usize) {
        let plan = self.presentation.end(rendition);
        self.reporter.end(rendition);
        self.perform(&plan, None);
        self.show_at_edge();
    }

    /// Lets the origin show what has come, which is more than what destinations are told: parts.
    fn show_at_edge(&mut self) {
        self.places.show_at_edge(&self.presentation.snapshot());
    }

    fn put(&mut self, rendition: usize, segment: Segment) {
        let so_far = &mut self.summary.renditions[rendition];
        so_far.segments += 1;
        so_far.duration += segment.extent.duration;
        so_far.size_bytes += segment.extent.size_bytes;
        tracing::debug!(
            rendition = so_far.name,
            number = self.presentation.next_number(rendition),
            seconds = segment.extent.duration.as_secs_f64(),
            bytes = segment.extent.size_bytes,
            "segment"
        );
        self.reporter.segment(rendition, &segment.extent);
        self.encoders.give(rendition);
        let plan = self.presentation.close(rendition, &segment.extent);
        self.perform(&plan, Some(segment));
        self.share_target();
    }

    /// Nothing of `rendition` came for the time of `extent`.
    fn pass(&mut self, rendition: usize, extent: &Extent, is_whole: bool) {
        let plan = self.presentation.gap(rendition, extent, is_whole);
        if !plan.is_empty() || !plan.anomalies().is_empty() {
            self.perform(&plan, None);
            self.share_target();
        }
    }

    /// Tells the cutters the target duration, once it is out there.
    fn share_target(&mut self) {
        self.longest.send_if_modified(|longest| {
            let is_news = longest.is_none() && self.presentation.target_duration().is_some();
            *longest = longest.or(self.presentation.target_duration());
            is_news
        });
    }

    /// Tells every destination what a plan has brought. The one segment that it may put is `segment`.
    fn perform(&mut self, plan: &Plan, segment: Option<Segment>) {
        tell(plan);
        if let (Some(Step::PutSegment { rendition, number, key }), Some(segment)) =
            (plan.steps().first(), segment)
        {
            self.places.segment(*rendition, *number, key.clone(), segment);
        }
        self.places.show(&self.presentation.snapshot());
        self.report();
    }

    /// Lets players come to `origin` for what this channel shows.
    fn serve(&mut self, options: &Options, mut origin: Origin) -> Serving {
        let linger = options.origin.as_ref().map_or(Duration::ZERO, |origin| origin.linger);
        let stage = origin.stage(&options.name, &options.presentation);
        let (url, entry) = (origin.url(), options.presentation.entry());
        tracing::info!("{}: a page at {url}, the stream at {url}{entry}", options.name);
        self.places.serve(stage, url);
        Serving::start(origin, linger)
    }

    /// Lets dates follow the wall clock where that has stepped.
    fn follow(&mut self, clock: &Clock) {
        if let Some(by_ms) = clock.look() {
            let by_s = by_ms as f64 / 1e3;
            tracing::warn!(
                by_s,
                "wall clock stepped, EXT-X-PROGRAM-DATE-TIME follows from the next segment on"
            );
            self.presentation.step_clock(by_ms);
        }
    }

    /// Tells the origin how the channel is doing.
    pub fn report(&self) {
        if let Some(stage) = &self.places.stage {
            let destinations = self.places.deliveries.iter().map(Delivery::status).collect();
            let mut status = self.reporter.status(self.is_finishing, self.failure.is_some(), destinations);
            (status.spool_memory_bytes, status.spool_disk_bytes) = self.places.store.waiting_bytes();
            status.now = self.began.elapsed();
            stage.status(status);
        }
    }

    /// Notes whether video of a rendition arrives.
    fn video(&mut self, rendition: usize, kind: AnomalyKind) {
        let is_missing = match kind {
            AnomalyKind::VideoMissing => true,
            AnomalyKind::VideoResumed => false,
            _ => return,
        };
        self.reporter.video(rendition, is_missing);
        self.encoders.video(rendition, is_missing);
    }

    /// Counts an anomaly by its kind; the first of a kind is said aloud.
    fn note(&mut self, rendition: usize, kind: &'static str, anomaly: &dyn fmt::Display) {
        self.reporter.note(rendition, anomaly.to_string());
        let so_far = &mut self.summary.renditions[rendition];
        let count = so_far.anomalies.entry(kind).or_default();
        *count += 1;
        if *count == 1 {
            tracing::warn!(rendition = so_far.name, "{anomaly} (further ones of this kind are counted)");
        } else {
            tracing::debug!(rendition = so_far.name, "{anomaly}");
        }
    }

    /// Ends the channel in order, with an error.
    pub fn fail(&mut self, error: Error) {
        if self.is_finishing && self.failure.is_some() {
            tracing::debug!("{}", chain(&error));
            return;
        }
        tracing::error!("{}", chain(&error));
        self.failure.get_or_insert(error);
        self.finish();
    }

    /// Ends the channel in order, because our caller wants it.
    fn finish_as_asked(&mut self) {
        self.is_asked = true;
        self.finish();
    }

    fn finish(&mut self) {
        if !std::mem::replace(&mut self.is_finishing, true) {
            tracing::info!("finishing: the last segments and the end of the playlists are being written");
        }
        self.encoders.control.finish();
        self.settle();
    }

    /// Leaves out destinations that have given up. Without any left there is no point in going on.
    async fn drop_failed(&mut self) {
        let all = std::mem::take(&mut self.places.deliveries);
        let (gone, left): (Vec<_>, _) = all.into_iter().partition(Delivery::has_failed);
        self.places.deliveries = left;
        for delivery in gone {
            let (name, is_required) = (delivery.name().to_owned(), delivery.is_required());
            let (status, result) = delivery.finish(LAST_PUTS).await;
            self.summary.destinations.push(status);
            if let Err(source) = result {
                let error = Error::Destination { name, source };
                if self.places.is_nowhere() || is_required {
                    if self.is_finishing {
                        tracing::error!("{}", chain(&error));
                    }
                    self.fail(error);
                } else {
                    tracing::error!("{}; the other destinations go on", chain(&error));
                    self.failure.get_or_insert(error);
                }
            }
        }
    }

    /// A channel that ended without anything that viewers could open has failed, unless it was to end before.
    fn judge_whole(&mut self) {
        let snapshot = self.presentation.snapshot();
        if self.failure.is_some() || self.is_asked || snapshot.has_entry() {
            return;
        }
        let Some(first) = self.summary.renditions.first() else { return };
        let kind = cmaf::AnomalyKind::ParameterSets.name();
        let why = match self.summary.renditions.iter().any(|one| one.anomalies.contains_key(kind)) {
            true => ": the SPS or PPS of its video is missing or cannot be read; encode it",
            false => "",
        };
        let (rendition, what) =
            (first.name.clone(), format!("nothing that can be played came of its stream{why}"));
        let error = Error::Stream { rendition, what };
        tracing::error!("{}", chain(&error));
        self.failure = Some(error);
    }

    /// Waits until destinations have everything. Players can still read all of it.
    async fn close(mut self, stop: &mut watch::Receiver<Stop>) -> Result<Summary, Error> {
        self.judge_whole();
        let deliveries = std::mem::take(&mut self.places.deliveries);
        for status in deliveries.iter().map(Delivery::status).filter(|one| one.in_trouble_since.is_some()) {
            let (name, waiting) = (status.name, status.queued_segments);
            let seconds = LAST_PUTS.as_secs();
            tracing::warn!(
                "{name} is in trouble: it is waited for as long as something gets there within {seconds} s; \
                 {waiting} segments and its last playlists are missing there"
            );
        }
        let finish = async {
            // Each has its own time to finish, whatever the others do.
            let mut finishing = JoinSet::new();
            for delivery in deliveries {
                let name = delivery.name().to_owned();
                finishing.spawn(async move { (name, delivery.finish(LAST_PUTS).await) });
            }
            for (name, (status, result)) in finishing.join_all().await {
                self.summary.destinations.push(status);
                if let Err(source) = result {
                    let error = Error::Destination { name, source };
                    // The first one is what our caller is told, but for one who has to wait for viewers.
                    if self.failure.is_some() || self.places.stage.is_some() {
                        tracing::error!("{}", chain(&error));
                    }
                    self.failure.get_or_insert(error);
                }
            }
        };
        tokio::select! {
            () = finish => {}
            Ok(_) = stop.wait_for(|stop| *stop == Stop::Now) => return Err(Error::StoppedNow),
        }
        for rendition in self.summary.renditions.iter().filter(|one| one.segments > 0 || !one.is_optional) {
            tracing::info!("{rendition}");
        }
        for destination in &self.summary.destinations {
            tracing::info!("{destination}");
        }
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(self.summary),
        }
    }
}

fn tell(plan: &Plan) {
    for anomaly in plan.anomalies() {
        tracing::warn!("{anomaly}");
    }
}
