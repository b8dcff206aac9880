//! An inspection as JSON. These names are what scripts rely on.

use serde::Serialize;

use super::{Inspection, languages, seconds};
use crate::codec::{Codec, Format};
use crate::survey::{Points, Program, Stream, Tally};
use crate::time::Ticks;
use crate::ts::{Anomaly, Pid};

/// One object, and a newline.
pub fn render(inspection: &Inspection) -> String {
    let mut text = serde_json::to_string_pretty(&Document::from(inspection))
        .expect("a value of texts, numbers and lists is JSON");
    text.push('\n');
    text
}

#[derive(Serialize)]
struct Document<'a> {
    name: &'a str,
    size_bytes: u64,
    packets: u64,
    packet_distance_bytes: usize,
    duration_seconds: f64,
    rate_bps: Option<u64>,
    garbage_bytes: u64,
    programs: Vec<ProgramObject<'a>>,
    anomalies: Vec<TallyObject>,
}

#[derive(Serialize)]
struct ProgramObject<'a> {
    number: u16,
    pmt_pid: u16,
    pcr_pid: Option<u16>,
    tables: u64,
    duration_seconds: f64,
    streams: Vec<StreamObject<'a>>,
}

#[derive(Serialize)]
struct StreamObject<'a> {
    pid: u16,
    stream_type: u8,
    kind: &'static str,
    #[serde(flatten)]
    format: FormatObject<'a>,
    language: Option<String>,
    languages: Vec<String>,
    pes_packets: u64,
    packets: u64,
    size_bytes: u64,
    rate_bps: Option<u64>,
    first_pts_seconds: Option<f64>,
    last_pts_seconds: Option<f64>,
    duration_seconds: f64,
    random_access: Option<PointsObject>,
    later_formats: Vec<FormatObject<'a>>,
}

#[derive(Serialize)]
struct FormatObject<'a> {
    codec: &'static str,
    rfc6381: Option<&'a str>,
    width: Option<u32>,
    height: Option<u32>,
    frame_rate_hz: Option<f64>,
    interlaced: Option<bool>,
    sample_rate_hz: Option<u32>,
    channels: Option<u8>,
}

#[derive(Serialize)]
struct PointsObject {
    count: u64,
    closed: u64,
    open: u64,
    gradual: u64,
    spacing_min_seconds: Option<f64>,
    spacing_median_seconds: Option<f64>,
    spacing_max_seconds: Option<f64>,
}

#[derive(Serialize)]
struct TallyObject {
    kind: String,
    count: u64,
    first: Vec<AnomalyObject>,
}

#[derive(Serialize)]
struct AnomalyObject {
    at_byte: u64,
    pid: Option<u16>,
    message: String,
}

impl<'a> From<&'a Inspection> for Document<'a> {
    fn from(inspection: &'a Inspection) -> Self {
        let report = &inspection.report;
        Self {
            name: &inspection.name,
            size_bytes: inspection.size_bytes,
            packets: inspection.packets(),
            packet_distance_bytes: inspection.packet_distance,
            duration_seconds: seconds(report.duration),
            rate_bps: inspection.rate_bps(),
            garbage_bytes: report.garbage_bytes,
            programs: report.programs.iter().map(ProgramObject::from).collect(),
            anomalies: report.anomalies.iter().map(TallyObject::from).collect(),
        }
    }
}

impl<'a> From<&'a Program> for ProgramObject<'a> {
    fn from(program: &'a Program) -> Self {
        Self {
            number: program.number,
            pmt_pid: program.pmt_pid.bits(),
            pcr_pid: Some(program.pcr_pid).filter(|pid| *pid != Pid::NULL).map(Pid::bits),
            tables: program.tables,
            duration_seconds: seconds(program.duration),
            streams: program.streams.iter().map(StreamObject::from).collect(),
        }
    }
}

impl<'a> From<&'a Stream> for StreamObject<'a> {
    fn from(stream: &'a Stream) -> Self {
        let point = |ticks: Ticks| ticks.micros() as f64 / 1e6;
        let mut formats = stream.formats.iter().map(FormatObject::from);
        Self {
            pid: stream.pid.bits(),
            stream_type: stream.stream_type,
            kind: match stream.codec {
                codec if codec.is_video() => "video",
                codec if codec.is_audio() => "audio",
                _ => "data",
            },
            format: formats.next().unwrap_or_else(|| FormatObject::unknown(stream.codec)),
            language: languages(&stream.languages).into_iter().next(),
            languages: languages(&stream.languages),
            pes_packets: stream.pes_packets,
            packets: stream.packets,
            size_bytes: stream.size_bytes(),
            rate_bps: stream.rate_bps,
            first_pts_seconds: stream.first_pts.map(point),
            last_pts_seconds: stream.last_pts.map(point),
            duration_seconds: seconds(stream.duration),
            random_access: stream.random_access.as_ref().map(PointsObject::from),
            later_formats: formats.collect(),
        }
    }
}

impl FormatObject<'_> {
    fn unknown(codec: Codec) -> Self {
        Self {
            codec: codec.name(),
            rfc6381: None,
            width: None,
            height: None,
            frame_rate_hz: None,
            interlaced: None,
            sample_rate_hz: None,
            channels: None,
        }
    }
}

impl<'a> From<&'a Format> for FormatObject<'a> {
    fn from(format: &'a Format) -> Self {
        let known = Self { rfc6381: format.rfc6381(), ..Self::unknown(format.codec()) };
        match format {
            Format::Video(video) => Self {
                width: Some(video.width),
                height: Some(video.height),
                frame_rate_hz: video.frame_rate.map(|rate| (rate.per_second() * 1e6).round() / 1e6),
                interlaced: Some(video.is_interlaced),
                ..known
            },
            Format::Audio(audio) => Self {
                sample_rate_hz: Some(audio.sample_rate_hz),
                channels: Some(audio.channels).filter(|channels| *channels > 0),
                ..known
            },
        }
    }
}

impl From<&Points> for PointsObject {
    fn from(points: &Points) -> Self {
        let spacing = points.spacing;
        Self {
            count: points.count(),
            closed: points.closed,
            open: points.open,
            gradual: points.gradual,
            spacing_min_seconds: spacing.map(|spacing| seconds(spacing.min)),
            spacing_median_seconds: spacing.map(|spacing| seconds(spacing.median)),
            spacing_max_seconds: spacing.map(|spacing| seconds(spacing.max)),
        }
    }
}

impl From<&Tally> for TallyObject {
    fn from(tally: &Tally) -> Self {
        Self {
            kind: tally.name.replace(' ', "_"),
            count: tally.count,
            first: tally.first.iter().map(AnomalyObject::from).collect(),
        }
    }
}

impl From<&Anomaly> for AnomalyObject {
    fn from(anomaly: &Anomaly) -> Self {
        Self { at_byte: anomaly.at, pid: anomaly.pid.map(Pid::bits), message: anomaly.kind.to_string() }
    }
}
