//! The channel's loop.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::ingest::{Ending, Item, Shared, ingest};
use super::outcome::Outcome;
use super::pace::Pace;
use super::prepare::{Prepared, prepare};
use super::report::Reporter;
use super::summary::{Rendition, Summary};
use super::{BURIAL, Error, LAST_PUTS, Options, Stop};
use crate::delivery::{self, Delivery, Store, chain};
use crate::encoder::ladder::Feed;
use crate::encoder::{self, Control, Limits, Running};
use crate::live::{self, Plan, Presentation, Step};
use crate::origin::{Origin, Stage};
use crate::segment::{self, OnMissingRandomAccess, Segment};
use crate::ts::{Anomaly, Selection};

/// Items that may wait for the loop.
const QUEUE: usize = 64;
/// How often the origin is told how the channel is doing.
const REPORTS: Duration = Duration::from_secs(1);

/// Runs a channel to its end: the source's, or the one that `stop` asks for. Must be called within a tokio
/// runtime.
///
/// # Errors
/// [`Error`]; but for [`Error::StoppedNow`], what came until then has been put and the playlists are ended.
pub async fn run(options: &Options, mut stop: watch::Receiver<Stop>) -> Result<Summary, Error> {
    // The port is ours, or it is said, before anything else is begun.
    let origin = options.origin.clone().map(Origin::bind).transpose()?;
    let mut running = encoder::start(&options.ladder, &Limits::default())?;
    let result = run_with(options, origin, &mut running, &mut stop).await;
    if result.is_err() {
        // Whoever ends early leaves no encoder behind; those that have ended are not hurt.
        running.control.kill();
        running.outputs.clear();
        let all = async { while running.events.recv().await.is_some() {} };
        let _ = timeout(BURIAL, all).await;
    }
    result
}

async fn run_with(
    options: &Options,
    origin: Option<Origin>,
    running: &mut Running,
    stop: &mut watch::Receiver<Stop>,
) -> Result<Summary, Error> {
    let (ended, mut endings) = mpsc::unbounded_channel();
    let began = Instant::now();
    let prepared = tokio::select! {
        prepared = prepare(options, began, &ended) => prepared?,
        Ok(_) = stop.wait_for(|stop| *stop == Stop::Now) => return Err(Error::StoppedNow),
    };
    drop(ended);
    // What was asked for meanwhile is looked at too.
    stop.mark_changed();
    let (longest, shared) = watch::channel(None);
    let (items, mut received) = mpsc::channel(QUEUE);
    let mut readers = JoinSet::new();
    let shared = Shared::new(shared);
    for output in running.outputs.drain(..) {
        readers.spawn(ingest(output, cutting(options), shared.clone(), items.clone()));
    }
    drop(items);

    let mut channel = Channel::new(options, prepared, running.control.clone(), longest, began);
    let serving = origin.map(|origin| channel.serve(options, origin));
    let mut tick = interval(REPORTS);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut has_items, mut has_events) = (true, true);
    while has_items || has_events {
        tokio::select! {
            item = received.recv(), if has_items => match item {
                Some((rendition, item)) => channel.take(rendition, item),
                None => has_items = false,
            },
            event = running.events.recv(), if has_events => match event {
                Some(event) => channel.hear(event),
                None => has_events = false,
            },
            Some(()) = endings.recv() => channel.drop_failed().await,
            _ = tick.tick(), if channel.stage.is_some() => channel.report(),
            Ok(()) = stop.changed() => match *stop.borrow_and_update() {
                Stop::No => {}
                Stop::Finish => channel.finish_as_asked(),
                Stop::Now => return Err(Error::StoppedNow),
            },
        }
    }
    let result = channel.close(stop).await;
    if let Some(serving) = serving {
        serving.end().await;
    }
    result
}

fn cutting(options: &Options) -> segment::Options {
    let on_missing = match options.presentation.kind {
        live::Kind::Vod => OnMissingRandomAccess::Extend,
        live::Kind::Live { .. } | live::Kind::Event => OnMissingRandomAccess::Cut,
    };
    segment::Options { target: options.presentation.target, program: Selection::First, on_missing }
}

/// An origin at work.
struct Serving {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Serving {
    /// Lets nobody else in, and waits for those who are served.
    async fn end(self) {
        drop(self.end);
        // It does not panic; if it did, it has ended.
        let _ = self.task.await;
    }
}

struct Channel {
    presentation: Presentation,
    deliveries: Vec<Delivery>,
    control: Control,
    store: Store,
    /// The origin's, if there is one.
    stage: Option<Stage>,
    reporter: Reporter,
    began: Instant,
    longest: watch::Sender<Option<Duration>>,
    summary: Summary,
    /// What ends the channel with an error, once everything is written.
    failure: Option<Error>,
    outcomes: Vec<Outcome>,
    is_finishing: bool,
    /// Whether it is our caller who wants the end.
    is_asked: bool,
    is_fan_out: bool,
    /// Of encoders, by the first of their renditions.
    paces: BTreeMap<usize, Pace>,
}

impl Channel {
    fn new(
        options: &Options,
        prepared: Prepared,
        control: Control,
        longest: watch::Sender<Option<Duration>>,
        began: Instant,
    ) -> Self {
        let names = options.presentation.renditions.iter().map(|rendition| rendition.name.clone());
        let renditions = names.map(|name| Rendition { name, ..Rendition::default() }).collect();
        Self {
            presentation: prepared.presentation,
            deliveries: prepared.deliveries,
            control,
            store: Store::new(options.spool.clone()),
            stage: None,
            reporter: Reporter::new(&options.presentation),
            began,
            longest,
            summary: Summary { renditions, destinations: Vec::new() },
            failure: prepared.refused,
            outcomes: vec![Outcome::default(); options.presentation.renditions.len()],
            is_finishing: false,
            is_asked: false,
            is_fan_out: options.ladder.feed == Feed::FanOut,
            paces: BTreeMap::new(),
        }
    }

    fn take(&mut self, rendition: usize, item: Item) {
        match item {
            Item::Open(head, arrived) => self.presentation.open(rendition, &head, arrived),
            Item::Segment(segment) => self.put(rendition, segment),
            Item::Formats(formats) => self.presentation.format(rendition, &formats),
            Item::Anomaly(anomaly) => self.note(rendition, &anomaly),
            Item::End(ending) => self.end(rendition, ending),
        }
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
        let plan = self.presentation.close(rendition, &segment.extent);
        self.perform(&plan, Some(segment));
        self.longest.send_if_modified(|longest| {
            let is_news = longest.is_none() && self.presentation.target_duration().is_some();
            *longest = longest.or(self.presentation.target_duration());
            is_news
        });
    }

    fn end(&mut self, rendition: usize, ending: Ending) {
        let plan = self.presentation.end(rendition);
        self.reporter.end(rendition);
        self.perform(&plan, None);
        let what = self.outcomes[rendition].ended(ending);
        self.judge(rendition, what);
    }

    /// Whoever is asked to end may not have begun: no stream is no error then.
    fn judge(&mut self, rendition: usize, what: Option<String>) {
        // Who is asked to finish early may have nothing to show yet.
        if let Some(what) = what.filter(|_| !self.is_finishing) {
            let rendition = self.summary.renditions[rendition].name.clone();
            if self.is_asked {
                tracing::warn!("rendition {rendition}: {what}");
                return;
            }
            self.lose(Error::Stream { rendition, what });
        }
    }

    /// Tells every destination what a plan has brought. The one segment that it may put is `segment`.
    fn perform(&mut self, plan: &Plan, segment: Option<Segment>) {
        for anomaly in plan.anomalies() {
            tracing::warn!("{anomaly}");
        }
        if let (Some(Step::PutSegment { rendition, number, key }), Some(segment)) =
            (plan.steps().first(), segment)
        {
            let (rendition, number, key) = (*rendition, *number, key.clone());
            if let Some(stage) = &mut self.stage {
                stage.put(&key, segment.chunks.clone());
            }
            let (duration, body) = (segment.extent.duration, self.store.hold(segment.chunks));
            let segment = delivery::Segment { rendition, number, key, duration, body, map: None };
            self.deliveries.iter_mut().for_each(|delivery| delivery.put(segment.clone()));
        }
        if let Some(trouble) = self.store.take_trouble() {
            tracing::warn!("{trouble}: segments wait in memory alone");
        }
        let snapshot = self.presentation.snapshot();
        self.deliveries.iter_mut().for_each(|delivery| delivery.show(&snapshot));
        if let Some(stage) = &mut self.stage {
            stage.show(&snapshot, self.began.elapsed());
            self.report();
        }
    }

    /// Lets players come to `origin` for what this channel shows.
    fn serve(&mut self, options: &Options, mut origin: Origin) -> Serving {
        let stage = origin.stage(&options.name, &options.presentation);
        let (url, entry) = (origin.url(), options.presentation.entry());
        tracing::info!("{}: watch at {url}, the stream is {url}{entry}", options.name);
        self.stage = Some(stage);
        let (end, ended) = oneshot::channel();
        // Whoever drops the sender ends it too.
        let shutdown = async { drop(ended.await) };
        Serving { end, task: tokio::spawn(origin.run(shutdown)) }
    }

    /// Tells the origin how the channel is doing.
    fn report(&self) {
        if let Some(stage) = &self.stage {
            let destinations = self.deliveries.iter().map(Delivery::status).collect();
            let mut status = self.reporter.status(self.is_finishing, self.failure.is_some(), destinations);
            (status.spool_memory_bytes, status.spool_disk_bytes) = self.store.waiting_bytes();
            status.now = self.began.elapsed();
            stage.status(status);
        }
    }

    /// Counts an anomaly; the first of its kind is said aloud.
    fn note(&mut self, rendition: usize, anomaly: &Anomaly) {
        self.reporter.note(rendition, anomaly.to_string());
        let so_far = &mut self.summary.renditions[rendition];
        let count = so_far.anomalies.entry(anomaly.kind.name()).or_default();
        *count += 1;
        if *count == 1 {
            tracing::warn!(rendition = so_far.name, "{anomaly} (further ones of this kind are counted)");
        } else {
            tracing::debug!(rendition = so_far.name, "{anomaly}");
        }
    }

    fn hear(&mut self, event: encoder::Event) {
        match event {
            encoder::Event::Progress { renditions, progress } => self.watch_speed(&renditions, &progress),
            encoder::Event::SourceEnded { result: Err(error) } => self.fail(error.into()),
            encoder::Event::Exited { renditions, result } => {
                for &rendition in &renditions {
                    let what = self.outcomes[rendition].exited(result.is_ok());
                    self.judge(rendition, what);
                }
                let is_abandoned =
                    renditions.iter().any(|&rendition| self.outcomes[rendition].is_abandoned());
                match result {
                    Err(error) if self.is_called_off(&renditions) => {
                        tracing::warn!("ended before its first segment: {}", chain(&error));
                    }
                    Err(error) if !is_abandoned => self.lose(error.into()),
                    _ => {}
                }
            }
            encoder::Event::Dropped { reason, .. } => self.lose(reason.into()),
            _ => {}
        }
    }

    /// Whether the channel was asked to end before anything had come of these renditions: no failure then.
    fn is_called_off(&self, renditions: &[usize]) -> bool {
        let is_empty = |&rendition: &usize| self.summary.renditions[rendition].segments == 0;
        self.is_finishing && self.failure.is_none() && renditions.iter().all(is_empty)
    }

    /// A rendition is gone. In a fan-out the others go on without it.
    fn lose(&mut self, error: Error) {
        if self.is_fan_out && !self.is_finishing && !self.presentation.is_ended() {
            tracing::error!("{}; the others go on", chain(&error));
            self.failure.get_or_insert(error);
        } else {
            self.fail(error);
        }
    }

    /// Ends the channel in order, with an error.
    fn fail(&mut self, error: Error) {
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
        self.control.finish();
    }

    fn watch_speed(&mut self, renditions: &[usize], progress: &encoder::Progress) {
        tracing::trace!(?progress, "encoder");
        let Some(&first) = renditions.first() else { return };
        self.reporter.speed(renditions, progress.speed);
        if self.presentation.options().kind == live::Kind::Vod {
            return;
        }
        if let Some(speed) = self.paces.entry(first).or_default().take(progress.out_time, Instant::now()) {
            let names = renditions.iter().map(|&rendition| self.summary.renditions[rendition].name.as_str());
            tracing::warn!(
                "the encoder of {} runs at {speed:.2} of real time: use lighter presets, smaller sizes, or fewer renditions",
                names.collect::<Vec<_>>().join(", ")
            );
        }
    }

    /// Leaves out destinations that have given up. Without any left there is no point in going on.
    async fn drop_failed(&mut self) {
        let (gone, left): (Vec<_>, _) =
            std::mem::take(&mut self.deliveries).into_iter().partition(Delivery::has_failed);
        self.deliveries = left;
        for delivery in gone {
            let (name, is_required) = (delivery.name().to_owned(), delivery.is_required());
            let (status, result) = delivery.finish(LAST_PUTS).await;
            self.summary.destinations.push(status);
            if let Err(source) = result {
                let error = Error::Destination { name, source };
                if (self.deliveries.is_empty() && self.stage.is_none()) || is_required {
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

    /// Waits until destinations have everything. Players can still read all of it.
    async fn close(mut self, stop: &mut watch::Receiver<Stop>) -> Result<Summary, Error> {
        let deliveries = std::mem::take(&mut self.deliveries);
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
                    tracing::error!("{}", chain(&error));
                    self.failure.get_or_insert(error);
                }
            }
        };
        tokio::select! {
            () = finish => {}
            Ok(_) = stop.wait_for(|stop| *stop == Stop::Now) => return Err(Error::StoppedNow),
        }
        for rendition in &self.summary.renditions {
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
