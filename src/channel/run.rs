//! The channel's loop.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::deliver::{Delivery, Job};
use super::ingest::{Item, Shared, ingest};
use super::summary::{Rendition, Summary};
use super::{Error, Options, SLOW_FOR, SLOW_SPEED, Stop};
use crate::chunks::Chunks;
use crate::destination::{self, Destination};
use crate::encoder::ladder::Feed;
use crate::encoder::{self, Control, Limits};
use crate::live::{self, Plan, Presentation, Step};
use crate::playlist;
use crate::segment::{self, OnMissingRandomAccess, Segment};
use crate::ts::{Anomaly, Selection};

/// Items that may wait for the loop.
const QUEUE: usize = 64;
/// The file by which it is seen whether a destination takes files.
const PROBE: &str = ".segcast-probe";

/// Runs a channel to its end: the source's, or the one that `stop` asks for. Must be called within a tokio
/// runtime.
///
/// # Errors
/// [`Error`]; but for [`Error::StoppedNow`], what came until then has been put and the playlists are ended.
pub async fn run(options: &Options, mut stop: watch::Receiver<Stop>) -> Result<Summary, Error> {
    let mut running = encoder::start(&options.ladder, &Limits::default())?;
    let (failed, mut failures) = mpsc::unbounded_channel();
    let (presentation, deliveries) = prepare(options, failed).await?;
    let (longest, shared) = watch::channel(None);
    let (items, mut received) = mpsc::channel(QUEUE);
    let mut readers = JoinSet::new();
    let shared = Shared::new(shared);
    for output in running.outputs.drain(..) {
        readers.spawn(ingest(output, cutting(options), shared.clone(), items.clone()));
    }
    drop(items);

    let mut channel = Channel::new(options, presentation, deliveries, running.control.clone(), longest);
    let (mut has_items, mut has_events) = (true, true);
    while has_items || has_events {
        let expiry = channel.presentation.next_expiry().map(|at| channel.began + at);
        tokio::select! {
            item = received.recv(), if has_items => match item {
                Some((rendition, item)) => channel.take(rendition, item),
                None => has_items = false,
            },
            event = running.events.recv(), if has_events => match event {
                Some(event) => channel.hear(event),
                None => has_events = false,
            },
            Some(()) = failures.recv() => channel.drop_failed().await,
            Ok(()) = stop.changed() => match *stop.borrow_and_update() {
                Stop::No => {}
                Stop::Finish => channel.finish(),
                Stop::Now => {
                    running.control.kill();
                    return Err(Error::StoppedNow);
                }
            },
            () = sleep_until(expiry.unwrap_or_else(Instant::now)), if expiry.is_some() => channel.tick(),
        }
    }
    channel.close(stop).await
}

fn cutting(options: &Options) -> segment::Options {
    let on_missing = match options.presentation.kind {
        live::Kind::Vod => OnMissingRandomAccess::Extend,
        live::Kind::Live { .. } | live::Kind::Event => OnMissingRandomAccess::Cut,
    };
    segment::Options { target: options.presentation.target, program: Selection::First, on_missing }
}

/// Sees that destinations take files, and goes on where an earlier run left off. One that does not is said and
/// left out; if none does, that is an error.
async fn prepare(
    options: &Options,
    failed: mpsc::UnboundedSender<()>,
) -> Result<(Presentation, Vec<Delivery>), Error> {
    let mut earlier = None;
    let mut deliveries = Vec::new();
    let mut refused = None;
    for target in &options.destinations {
        let destination = target.open();
        let name = destination.name();
        match probe(destination.as_ref(), &options.presentation).await {
            Ok(found) => {
                earlier = earlier.or(Some(found));
                deliveries.push(Delivery::start(destination, failed.clone()));
            }
            Err(source) => {
                tracing::error!(destination = name, "{}", chain(&source));
                refused = Some((name, source));
            }
        }
    }
    if let (true, Some((name, source))) = (deliveries.is_empty(), refused) {
        return Err(Error::Destination { name, source });
    }
    Ok((Presentation::resume(options.presentation.clone(), &earlier.unwrap_or_default()), deliveries))
}

/// Puts and deletes a small file; what an earlier run's playlists say.
async fn probe(
    destination: &dyn Destination,
    presentation: &live::Options,
) -> Result<Vec<Option<playlist::Media>>, destination::Error> {
    destination.put(PROBE, Chunks::from("segcast\n".to_owned())).await?;
    destination.delete(PROBE).await?;
    let mut found = Vec::new();
    for rendition in &presentation.renditions {
        let text = destination.get(&rendition.playlist).await?;
        let text = text.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let media = text.and_then(|text| {
            let parsed = playlist::Media::parse(&text);
            parsed
                .inspect_err(|error| tracing::warn!("{} is not gone on with: {error}", rendition.playlist))
                .ok()
        });
        found.push(media);
    }
    Ok(found)
}

struct Channel {
    presentation: Presentation,
    deliveries: Vec<Delivery>,
    control: Control,
    began: Instant,
    longest: watch::Sender<Option<Duration>>,
    summary: Summary,
    /// What ends the channel with an error, once everything is written.
    failure: Option<Error>,
    is_finishing: bool,
    is_fan_out: bool,
    slow_since: Option<Instant>,
}

impl Channel {
    fn new(
        options: &Options,
        presentation: Presentation,
        deliveries: Vec<Delivery>,
        control: Control,
        longest: watch::Sender<Option<Duration>>,
    ) -> Self {
        let names = options.presentation.renditions.iter().map(|rendition| rendition.name.clone());
        let renditions = names.map(|name| Rendition { name, ..Rendition::default() }).collect();
        Self {
            presentation,
            deliveries,
            control,
            began: Instant::now(),
            longest,
            summary: Summary { renditions },
            failure: None,
            is_finishing: false,
            is_fan_out: options.ladder.feed == Feed::FanOut,
            slow_since: None,
        }
    }

    fn take(&mut self, rendition: usize, item: Item) {
        match item {
            Item::Open(head, arrived) => self.presentation.open(rendition, &head, arrived),
            Item::Segment(segment) => self.put(rendition, segment),
            Item::Formats(formats) => self.presentation.format(rendition, &formats),
            Item::Anomaly(anomaly) => self.note(rendition, &anomaly),
            Item::End(result) => {
                let plan = self.presentation.end(rendition, self.began.elapsed());
                self.perform(plan, None);
                if let Err(what) = result {
                    let rendition = self.summary.renditions[rendition].name.clone();
                    self.fail(Error::Stream { rendition, what });
                }
            }
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
        let plan = self.presentation.close(rendition, &segment.extent, self.began.elapsed());
        self.perform(plan, Some(segment.chunks));
        self.longest.send_if_modified(|longest| {
            let is_news = longest.is_none() && self.presentation.target_duration().is_some();
            *longest = longest.or(self.presentation.target_duration());
            is_news
        });
    }

    fn tick(&mut self) {
        let plan = self.presentation.tick(self.began.elapsed());
        self.perform(plan, None);
    }

    /// Queues a plan's steps at every destination. The one segment that a plan may put is `segment`.
    fn perform(&mut self, plan: Plan, segment: Option<Chunks>) {
        for anomaly in plan.anomalies() {
            tracing::warn!("{anomaly}");
        }
        for step in plan {
            let job = match step {
                Step::PutSegment { key, .. } => Job::Put(key, segment.clone().unwrap_or_default()),
                Step::PutPlaylist { key, text } => Job::Put(key, Chunks::from(text)),
                Step::Delete { key } => Job::Delete(key),
            };
            for delivery in &mut self.deliveries {
                delivery.add(job.clone());
            }
        }
    }

    /// Counts an anomaly; the first of its kind is said aloud.
    fn note(&mut self, rendition: usize, anomaly: &Anomaly) {
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
            encoder::Event::Progress { progress, .. } => self.watch_speed(&progress),
            encoder::Event::SourceEnded { result: Err(error) } => self.fail(error.into()),
            encoder::Event::Exited { result: Err(error), .. } => self.lose(error),
            encoder::Event::Dropped { reason, .. } => self.lose(reason),
            _ => {}
        }
    }

    /// An encoder is gone. In a fan-out the others go on without it.
    fn lose(&mut self, error: encoder::Error) {
        if self.is_fan_out && !self.presentation.is_ended() {
            tracing::error!("{}", chain(&error));
            self.failure.get_or_insert(error.into());
        } else {
            self.fail(error.into());
        }
    }

    /// Ends the channel in order, with an error.
    fn fail(&mut self, error: Error) {
        tracing::error!("{}", chain(&error));
        self.failure.get_or_insert(error);
        self.finish();
    }

    fn finish(&mut self) {
        if !std::mem::replace(&mut self.is_finishing, true) {
            tracing::info!("finishing: the last segments and the end of the playlists are being written");
        }
        self.control.finish();
    }

    fn watch_speed(&mut self, progress: &encoder::Progress) {
        tracing::trace!(?progress, "encoder");
        let is_slow = progress.speed.is_some_and(|speed| speed < SLOW_SPEED);
        match self.slow_since {
            Some(since) if is_slow && since.elapsed() > SLOW_FOR => {
                let speed = progress.speed.unwrap_or_default();
                tracing::warn!(
                    "the encoder runs at {speed:.2} of real time: use lighter presets, smaller sizes, or fewer renditions"
                );
                // Said again only after it has been fast enough for a while.
                self.slow_since = Some(Instant::now() + 20 * SLOW_FOR);
            }
            Some(since) if !is_slow && since <= Instant::now() => self.slow_since = None,
            None if is_slow => self.slow_since = Some(Instant::now()),
            _ => {}
        }
    }

    /// Leaves out destinations that have given up. Without any left there is no point in going on.
    async fn drop_failed(&mut self) {
        let (gone, left): (Vec<_>, _) =
            std::mem::take(&mut self.deliveries).into_iter().partition(Delivery::has_failed);
        self.deliveries = left;
        for delivery in gone {
            let name = delivery.name.clone();
            if let Err(source) = delivery.finish().await {
                let error = Error::Destination { name, source };
                if self.deliveries.is_empty() {
                    self.fail(error);
                } else {
                    tracing::error!("{}; the other destinations go on", chain(&error));
                    self.failure.get_or_insert(error);
                }
            }
        }
    }

    /// Waits until destinations have everything.
    async fn close(mut self, mut stop: watch::Receiver<Stop>) -> Result<Summary, Error> {
        let deliveries = std::mem::take(&mut self.deliveries);
        let finish = async {
            for delivery in deliveries {
                let name = delivery.name.clone();
                if let Err(source) = delivery.finish().await {
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
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(self.summary),
        }
    }
}

/// An error and what is behind it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}
