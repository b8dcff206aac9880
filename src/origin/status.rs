//! How a channel is doing, for people and for machines.

use std::time::Duration;

use serde::Serialize;

use crate::delivery;

/// How a channel is doing: what it tells the origin about once a second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The channel as a whole.
    pub state: State,
    /// Its renditions, in the ladder's order.
    pub renditions: Vec<Rendition>,
    /// Its destinations.
    pub destinations: Vec<delivery::Status>,
    /// Bytes that wait in memory for destinations.
    pub spool_memory_bytes: u64,
    /// Bytes that wait on disk for destinations.
    pub spool_disk_bytes: u64,
    /// Time since the channel's start.
    pub now: Duration,
}

/// How a channel or rendition is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing has come of it yet.
    #[default]
    Starting,
    /// Segments come.
    Running,
    /// They came, and its encoder begins again.
    Restarting,
    /// It was asked to end.
    Ending,
    /// Nothing more comes.
    Ended,
    /// It has broken down.
    Failed,
}

/// How a rendition is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendition {
    /// Its name.
    pub name: String,
    /// Key of its playlist.
    pub playlist: String,
    /// How it is doing.
    pub state: State,
    /// Bits per second of its latest segments.
    pub bitrate_bps: Option<u64>,
    /// Segments so far.
    pub segments: u64,
    /// Their bytes.
    pub size_bytes: u64,
    /// Durations of its latest segments, the oldest first.
    pub recent: Vec<Duration>,
    /// Seconds of media that its encoder makes in a second, in thousandths; none where it does not say.
    pub speed_permille: Option<u32>,
    /// How often its encoder has begun again.
    pub restarts: u64,
    /// How often that was because its video was missing.
    pub video_restarts: u64,
    /// Whether video does not arrive although the stream lists it and audio arrives.
    pub is_video_missing: bool,
    /// What was wrong with it last.
    pub last_error: Option<String>,
}

/// Latencies of a destination that are plotted.
const PLOTTED: usize = 60;

/// What `/status` says, as JSON.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    pub name: &'a str,
    pub state: State,
    pub ready: bool,
    pub uptime_seconds: f64,
    /// Where the stream is, from `/`.
    pub entry: &'a str,
    pub player: Option<&'a str>,
    pub low_latency: bool,
    pub viewers: usize,
    pub connections: u64,
    pub held_requests: u64,
    pub objects: usize,
    pub object_bytes: u64,
    pub spool_memory_bytes: u64,
    pub spool_disk_bytes: u64,
    pub renditions: Vec<RenditionReport<'a>>,
    pub destinations: Vec<DestinationReport<'a>>,
}

#[derive(Debug, Serialize)]
pub(super) struct RenditionReport<'a> {
    name: &'a str,
    playlist: &'a str,
    state: State,
    bitrate_bps: Option<u64>,
    segments: u64,
    bytes: u64,
    encoder_speed: Option<f64>,
    encoder_restarts: u64,
    video_restarts: u64,
    video_missing: bool,
    last_error: Option<&'a str>,
    segment_seconds: Vec<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct DestinationReport<'a> {
    name: &'a str,
    /// `ok`, or `trouble` since a while.
    state: &'static str,
    trouble_seconds: Option<f64>,
    segments: u64,
    bytes: u64,
    playlists: u64,
    queued_segments: usize,
    queued_bytes: u64,
    retries: u64,
    lost: u64,
    passed_over: u64,
    /// Upload time as a share of the segment's duration.
    load: f64,
    last_error: Option<&'a str>,
    latency_median_seconds: Option<f64>,
    latency_worst_seconds: f64,
    latency_seconds: Vec<f64>,
}

impl Status {
    /// Returns whether the video of any rendition does not arrive.
    pub(super) fn lacks_video(&self) -> bool {
        self.renditions.iter().any(|one| one.is_video_missing)
    }

    pub(super) fn rendition_reports(&self) -> Vec<RenditionReport<'_>> {
        self.renditions.iter().map(Rendition::report).collect()
    }

    pub(super) fn destination_reports(&self) -> Vec<DestinationReport<'_>> {
        self.destinations.iter().map(|one| destination(one, self.now)).collect()
    }
}

impl Rendition {
    fn report(&self) -> RenditionReport<'_> {
        RenditionReport {
            name: &self.name,
            playlist: &self.playlist,
            state: self.state,
            bitrate_bps: self.bitrate_bps,
            segments: self.segments,
            bytes: self.size_bytes,
            encoder_speed: self.speed_permille.map(|permille| f64::from(permille) / 1000.0),
            encoder_restarts: self.restarts,
            video_restarts: self.video_restarts,
            video_missing: self.is_video_missing,
            last_error: self.last_error.as_deref(),
            segment_seconds: self.recent.iter().map(Duration::as_secs_f64).collect(),
        }
    }
}

fn destination(status: &delivery::Status, now: Duration) -> DestinationReport<'_> {
    let trouble = status.in_trouble_since.map(|since| now.saturating_sub(since).as_secs_f64());
    DestinationReport {
        name: &status.name,
        state: if trouble.is_some() { "trouble" } else { "ok" },
        trouble_seconds: trouble,
        segments: status.segments,
        bytes: status.size_bytes,
        playlists: status.playlists,
        queued_segments: status.queued_segments,
        queued_bytes: status.queued_bytes,
        retries: status.retries,
        lost: status.lost,
        passed_over: status.passed_over,
        load: f64::from(status.load.last_permille) / 1000.0,
        last_error: status.last_error.as_deref(),
        latency_median_seconds: status.latency.median().map(|median| median.as_secs_f64()),
        latency_worst_seconds: status.latency.worst().as_secs_f64(),
        latency_seconds: status.latency.recent(PLOTTED).map(|one| one.as_secs_f64()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_told_as_json() {
        let rendition = Rendition {
            name: "720p".to_owned(),
            state: State::Running,
            recent: vec![Duration::from_millis(1500)],
            speed_permille: Some(1010),
            ..Rendition::default()
        };
        let delivery =
            delivery::Status { in_trouble_since: Some(Duration::from_secs(1)), ..Default::default() };
        let now = Duration::from_secs(3);
        let status =
            Status { renditions: vec![rendition], destinations: vec![delivery], now, ..Status::default() };
        let json = serde_json::to_string(&status.rendition_reports()).unwrap();
        assert!(
            json.contains(r#""state":"running""#) && json.contains(r#""segment_seconds":[1.5]"#),
            "{json}"
        );
        let json = serde_json::to_string(&status.destination_reports()).unwrap();
        assert!(json.contains(r#""state":"trouble","trouble_seconds":2.0"#), "{json}");
    }
}
