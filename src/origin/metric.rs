//! `/metrics`, for Prometheus: counters and the channel's status, taken when they are asked for.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use super::scene::Scene;
use super::status::{State, Status};
use super::tally::Tallies;
use super::viewer::Viewers;

/// What the text is, to who asked for it.
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;

/// Seconds that segments are told apart by.
const SEGMENT_BUCKETS: [f64; 10] = [0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0];
/// Seconds that parts are told apart by.
const PART_BUCKETS: [f64; 8] = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0, 2.0];

/// Durations of what a channel has shown, by rendition.
#[derive(Clone, Debug)]
pub struct Durations {
    segments: Family<Labels, Histogram, fn() -> Histogram>,
    parts: Family<Labels, Histogram, fn() -> Histogram>,
}

impl Default for Durations {
    fn default() -> Self {
        let segments: fn() -> Histogram = || Histogram::new(SEGMENT_BUCKETS);
        let parts: fn() -> Histogram = || Histogram::new(PART_BUCKETS);
        Self { segments: Family::new_with_constructor(segments), parts: Family::new_with_constructor(parts) }
    }
}

impl Durations {
    /// Those of a rendition's segments.
    pub fn of_segments(&self, rendition: &str) -> Histogram {
        self.segments.get_or_create_owned(&label("rendition", rendition))
    }

    /// Those of a rendition's parts.
    pub fn of_parts(&self, rendition: &str) -> Histogram {
        self.parts.get_or_create_owned(&label("rendition", rendition))
    }
}

/// All that is measured of one origin.
pub struct Dashboard {
    pub tallies: Arc<Tallies>,
    pub viewers: Viewers,
    pub status: watch::Receiver<Arc<Status>>,
    pub scenes: watch::Receiver<Arc<Scene>>,
    pub began: Instant,
}

impl Dashboard {
    /// Time since the origin began.
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }
}

impl fmt::Debug for Dashboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dashboard").finish_non_exhaustive()
    }
}

/// A registry of this origin's own.
pub fn registry(dashboard: &Arc<Dashboard>, durations: &Durations) -> Registry {
    let mut registry = Registry::with_prefix("segcast");
    let (segments, parts) = (durations.segments.clone(), durations.parts.clone());
    registry.register("segment_duration_seconds", "Durations of segments", segments);
    registry.register("part_duration_seconds", "Durations of parts", parts);
    registry.register_collector(Box::new(Arc::clone(dashboard)));
    registry
}

/// What is measured now, as text.
pub fn render(registry: &Registry) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = text::encode(&mut out, registry);
    out
}

impl Collector for Dashboard {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut out = Writer(encoder);
        self.origin(&mut out)?;
        let status = Arc::clone(&self.status.borrow());
        renditions(&status, &mut out)?;
        destinations(&status, &mut out)
    }
}

impl Dashboard {
    fn origin(&self, out: &mut Writer) -> fmt::Result {
        let tallies = &self.tallies;
        let requests = tallies.requests().map(|(class, status, count)| {
            let status = if status == 0 { "other".to_owned() } else { status.to_string() };
            (vec![("class", class.name().to_owned()), ("status", status)], count)
        });
        out.counter("origin_requests", "Requests answered", requests)?;
        let bytes = tallies.bytes().map(|(class, count)| (label("class", class.name()), count));
        out.counter("origin_sent_bytes", "Bytes of bodies handed to connections", bytes)?;
        let refused = one(tallies.refused.now());
        out.counter("origin_connections_refused", "Connections that were one too many", refused)?;
        let spent = one(tallies.spent.now());
        out.counter(
            "origin_connections_spent",
            "Connections closed as their client was idle or too slow",
            spent,
        )?;
        out.gauge("origin_connections", "Connections now", one(tallies.connections.now()))?;
        out.gauge(
            "origin_held_requests",
            "Requests that wait for something to come",
            one(tallies.held.now()),
        )?;
        let viewers = one(self.viewers.count(self.now()));
        out.gauge("origin_viewers", "Distinct clients that asked for a playlist in the last 30 s", viewers)?;
        let (count, size_bytes) = self.scenes.borrow().held();
        out.gauge("origin_objects", "Objects held in memory", one(count))?;
        out.gauge("origin_object_bytes", "Their bytes", one(size_bytes))?;
        out.gauge("origin_uptime_seconds", "Time since the origin began", one(self.now().as_secs_f64()))
    }
}

fn renditions(status: &Status, out: &mut Writer) -> fmt::Result {
    let all = || status.renditions.iter().map(|one| (label("rendition", &one.name), one));
    let is_up = |state| i64::from(matches!(state, State::Running | State::Ending));
    let up = all().map(|(labels, one)| (labels, is_up(one.state)));
    out.gauge("rendition_up", "Whether segments of it come", up)?;
    let segments = all().map(|(labels, one)| (labels, one.segments));
    out.counter("rendition_segments", "Segments cut", segments)?;
    let bytes = all().map(|(labels, one)| (labels, one.size_bytes));
    out.counter("rendition_bytes", "Bytes of segments cut", bytes)?;
    let rates = all().filter_map(|(labels, one)| Some((labels, one.bitrate_bps?)));
    out.gauge("rendition_bits_per_second", "Bitrate of the latest segments", rates)?;
    let ratio = |permille| f64::from(permille) / 1000.0;
    let speeds = all().filter_map(|(labels, one)| Some((labels, ratio(one.speed_permille?))));
    out.gauge("encoder_speed_ratio", "Seconds of media made in a second", speeds)?;
    let restarts = all().map(|(labels, one)| (labels, one.restarts));
    out.counter("encoder_restarts", "How often the encoder has begun again", restarts)?;
    let restarts = all().map(|(labels, one)| (labels, one.video_restarts));
    out.counter("video_restarts", "How often that was because video was missing", restarts)?;
    out.gauge(
        "spool_memory_bytes",
        "Bytes waiting in memory for destinations",
        one(status.spool_memory_bytes),
    )?;
    out.gauge("spool_disk_bytes", "Bytes waiting on disk for destinations", one(status.spool_disk_bytes))
}

fn destinations(status: &Status, out: &mut Writer) -> fmt::Result {
    let all = || status.destinations.iter().map(|one| (label("destination", &one.name), one));
    let up = all().map(|(labels, one)| (labels, i64::from(one.in_trouble_since.is_none())));
    out.gauge("destination_up", "Whether the last thing that was put there got there", up)?;
    let segments = all().map(|(labels, one)| (labels, one.segments));
    out.counter("destination_segments", "Segments put", segments)?;
    let bytes = all().map(|(labels, one)| (labels, one.size_bytes));
    out.counter("destination_bytes", "Bytes of segments put", bytes)?;
    let retries = all().map(|(labels, one)| (labels, one.retries));
    out.counter("destination_retries", "Attempts that were made again", retries)?;
    let lost = all().map(|(labels, one)| (labels, one.lost));
    out.counter("destination_lost_segments", "Segments given up", lost)?;
    let queued = all().map(|(labels, one)| (labels, one.queued_segments));
    out.gauge("destination_queued_segments", "Segments that wait", queued)?;
    let queued = all().map(|(labels, one)| (labels, one.queued_bytes));
    out.gauge("destination_queued_bytes", "Bytes that wait", queued)?;
    let load = all().map(|(labels, one)| (labels, f64::from(one.load.last_permille) / 1000.0));
    out.gauge("destination_load_ratio", "Upload time as a share of the segment's duration", load)?;
    let help = "From a segment's end to a playlist that shows it: median of the latest";
    let median = all().filter_map(|(labels, one)| Some((labels, one.latency.median()?.as_secs_f64())));
    out.gauge("destination_publish_latency_median_seconds", help, median)?;
    let help = "From a segment's end to a playlist that shows it: the longest";
    let worst = all().map(|(labels, one)| (labels, one.latency.worst().as_secs_f64()));
    out.gauge("destination_publish_latency_worst_seconds", help, worst)
}

fn label(name: &'static str, value: &str) -> Labels {
    vec![(name, value.to_owned())]
}

/// A value without labels.
fn one<T>(value: T) -> [(Labels, T); 1] {
    [(Vec::new(), value)]
}

struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    fn gauge<T: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels, T)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        values.into_iter().try_for_each(|(labels, value)| match labels.is_empty() {
            true => metric.encode_gauge(&value),
            false => metric.encode_family(&labels)?.encode_gauge(&value),
        })
    }

    fn counter<T: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels, T)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        let none: Option<&Exemplar<Labels, f64>> = None;
        values.into_iter().try_for_each(|(labels, value)| match labels.is_empty() {
            true => metric.encode_counter(&value, none),
            false => metric.encode_family(&labels)?.encode_counter(&value, none),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery;
    use crate::origin::Rendition;
    use crate::origin::tally::Class;

    #[test]
    fn names_follow_the_conventions_and_labels_are_escaped() {
        let rendition = Rendition { name: "a\"b".to_owned(), bitrate_bps: Some(7), ..Rendition::default() };
        let delivery = delivery::Status { name: "ftp://h".to_owned(), ..delivery::Status::default() };
        let status =
            Status { renditions: vec![rendition], destinations: vec![delivery], ..Status::default() };
        let dashboard = Arc::new(Dashboard {
            tallies: Arc::default(),
            viewers: Viewers::default(),
            status: watch::channel(Arc::new(status)).1,
            scenes: watch::channel(Arc::default()).1,
            began: Instant::now(),
        });
        dashboard.tallies.answered(Class::Segment, 200);
        dashboard.tallies.answered(Class::Segment, 299);
        let durations = Durations::default();
        durations.of_segments("a").observe(4.0);
        let text = render(&registry(&dashboard, &durations));
        for line in [
            "segcast_origin_requests_total{class=\"segment\",status=\"200\"} 1",
            "segcast_origin_requests_total{class=\"segment\",status=\"other\"} 1",
            "segcast_origin_viewers 0",
            "segcast_segment_duration_seconds_bucket{le=\"4.0\",rendition=\"a\"} 1",
            "segcast_rendition_bits_per_second{rendition=\"a\\\"b\"} 7",
            "segcast_destination_up{destination=\"ftp://h\"} 1",
            "# EOF",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is missing in\n{text}");
        }
    }
}
