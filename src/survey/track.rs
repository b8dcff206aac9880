//! One stream, as it goes by.

use std::time::Duration;

use super::line::Line;
use super::report::{Points, Stream, rate_bps};
use super::spacing::Spacings;
use crate::codec::{AccessUnit, Format, FrameRate, RandomAccess, Video};
use crate::time::Ticks;
use crate::ts::{self, PACKET_LEN, PesStart};

/// Formats kept at most.
const MAX_FORMATS: usize = 8;

/// What is known of a stream.
#[derive(Debug)]
pub struct Track {
    /// What the PMT says of it.
    pub stream: ts::Stream,
    /// Its transport packets.
    pub packets: u64,
    /// Its time.
    pub line: Line,
    /// Whether it is scrambled, if only somewhere: then its packets outlast the time that is known.
    pub is_scrambled: bool,
    pes_packets: u64,
    /// The different formats, each with the frame rate that its pictures have come at.
    formats: Vec<(Format, FrameRate)>,
    /// The place of the present one.
    format: usize,
    first_pts: Option<Ticks>,
    last_pts: Option<Ticks>,
    /// PTS of the PES packet in hand.
    pts: Option<Ticks>,
    points: Points,
    spacings: Spacings,
    last_access: Option<Ticks>,
}

impl Track {
    /// A stream of which nothing has come.
    pub fn new(stream: ts::Stream) -> Self {
        Self {
            stream,
            packets: 0,
            line: Line::default(),
            is_scrambled: false,
            pes_packets: 0,
            formats: Vec::new(),
            format: 0,
            first_pts: None,
            last_pts: None,
            pts: None,
            points: Points::default(),
            spacings: Spacings::default(),
            last_access: None,
        }
    }

    /// Whether its timestamps run on without holes: pictures and sound, not texts and signals.
    pub const fn is_continuous(&self) -> bool {
        self.stream.codec.is_video() || self.stream.codec.is_audio()
    }

    /// A PES packet starts. By how many ticks its time jumps, if it does.
    pub fn take_pes(&mut self, pes: &PesStart) -> Option<i64> {
        self.pes_packets += 1;
        self.pts = pes.pts;
        let pts = pes.pts?;
        // Sound is packed by bytes, pictures one by one.
        let bytes = pes.len.filter(|_| self.stream.codec.is_audio()).unwrap_or(1);
        let jump = self.line.take(pts, pes.dts.unwrap_or(pts), bytes as u64);
        if jump.is_some() {
            self.last_pts = None;
            self.last_access = None;
        }
        self.first_pts.get_or_insert(pts);
        self.last_pts = self.last_pts.max(Some(pts));
        jump
    }

    /// An access unit begins inside the PES packet in hand.
    pub fn take_begin(&mut self, start: &PesStart) {
        let Some((pts, dts)) = start.pts.zip(start.dts) else { return };
        self.pts = Some(pts);
        // The others are where their PES packet is.
        if start.inside.is_some_and(|inside| inside.is_estimated) {
            self.line.take(pts, dts, 1);
            self.last_pts = self.last_pts.max(Some(pts));
        }
    }

    /// What begins with the PES packet in hand, or inside it.
    pub fn take_access_unit(&mut self, unit: AccessUnit) {
        if let (Some((Format::Video(_), rate)), Some(pts)) = (self.formats.get_mut(self.format), self.pts) {
            rate.take(pts);
        }
        let Some(random_access) = unit.random_access else { return };
        if !self.stream.codec.is_video() {
            return;
        }
        match random_access {
            RandomAccess::Closed => self.points.closed += 1,
            RandomAccess::Open => self.points.open += 1,
            RandomAccess::Gradual { .. } => self.points.gradual += 1,
        }
        if let (Some(pts), Some(last)) = (self.pts, self.last_access) {
            self.spacings.take(pts - last);
        }
        self.last_access = self.pts.or(self.last_access);
    }

    /// Its format became known, or another.
    pub fn take_format(&mut self, format: &Format) {
        if let Some((_, rate)) = self.formats.get_mut(self.format) {
            rate.restart();
        }
        match self.formats.iter().position(|(known, _)| known == format) {
            Some(place) => self.format = place,
            None => {
                self.format = self.formats.len();
                if self.formats.len() < MAX_FORMATS {
                    self.formats.push((format.clone(), FrameRate::default()));
                }
            }
        }
    }

    /// How long it lasts.
    pub fn duration(&self) -> Duration {
        self.line.duration()
    }

    /// What was found; `program` is how long the program lasts.
    pub fn report(&self, program: Duration) -> Stream {
        let is_timed = self.is_continuous() && !self.is_scrambled;
        let span = if is_timed { self.duration() } else { program };
        let points = Points { spacing: self.spacings.summary(), ..self.points };
        Stream {
            pid: self.stream.pid,
            stream_type: self.stream.stream_type,
            codec: self.formats.first().map_or(self.stream.codec, |(format, _)| format.codec()),
            languages: self.stream.languages(),
            formats: self.formats.iter().map(|(format, rate)| measured(format, rate)).collect(),
            pes_packets: self.pes_packets,
            packets: self.packets,
            first_pts: self.first_pts,
            last_pts: self.last_pts,
            duration: self.duration(),
            rate_bps: rate_bps(self.packets * PACKET_LEN as u64, span),
            random_access: self.stream.codec.is_video().then_some(points),
        }
    }
}

/// The format with the frame rate that was measured.
fn measured(format: &Format, rate: &FrameRate) -> Format {
    match format {
        Format::Video(video) => Format::Video(Video { frame_rate: rate.rate(video), ..video.clone() }),
        Format::Audio(_) => format.clone(),
    }
}
