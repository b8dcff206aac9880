//! One elementary stream on its way from transport packets to samples.

use std::sync::Arc;

use super::anomaly::{Anomaly, AnomalyKind};
use super::assembly::{Assembly, Piece};
use super::entry::Entry;
use super::fragment::{Fragment, Whole};
use super::line::Line;
use super::pictures::Pictures;
use super::sounds::{Sounds, Target};
use super::syntax::Syntax;
use crate::codec::{Format, FrameRate};
use crate::segment::is_plausible_delay;
use crate::time::{Rate, Stamp, Ticks};
use crate::ts::{self, Packet, Pid};

/// One stream.
#[derive(Debug)]
pub struct Stream {
    assembly: Assembly,
    pub media: Media,
    /// The track, and its number there.
    pub track: usize,
    pub track_id: u32,
    pub language: Option<[u8; 3]>,
    /// The segment of the PES packet in hand.
    pub ordinal: Option<u64>,
    /// Where its last fragment ended.
    end: Option<End>,
    /// How large its last fragment was.
    pub expected: usize,
    told: Vec<AnomalyKind>,
    frame_rate: FrameRate,
}

/// Where a fragment ended.
#[derive(Clone, Copy, Debug)]
struct End {
    timeline: u64,
    timescale: u32,
    point: i64,
}

/// What a stream carries.
#[derive(Debug)]
pub enum Media {
    Pictures(Box<Pictures>),
    Sounds(Box<Sounds>),
}

/// Where a segment stands in time.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Its start, on the cutter's line.
    pub start: Ticks,
    /// How far fragments lie behind that line, so that none lies before its origin.
    pub shift: Ticks,
    /// Which timeline it belongs to.
    pub timeline: u64,
}

impl Place {
    /// Where the point with this stamp, near the segment, stands in fragments.
    fn point(&self, stamp: Stamp) -> Ticks {
        self.start.nearest(stamp) + self.shift
    }
}

impl Stream {
    pub fn new(stream: &ts::Stream, track: usize, track_id: u32) -> Option<Self> {
        let pictures =
            Syntax::new(stream.codec).map(|syntax| Media::Pictures(Box::new(Pictures::new(syntax))));
        let sounds =
            || Sounds::new(stream.codec, stream.opus_channels()).map(|it| Media::Sounds(Box::new(it)));
        Some(Self {
            assembly: Assembly::new(stream.pid),
            media: pictures.or_else(sounds)?,
            track,
            track_id,
            language: stream.language,
            ordinal: None,
            end: None,
            expected: 0,
            told: Vec::new(),
            frame_rate: FrameRate::default(),
        })
    }

    pub const fn pid(&self) -> Pid {
        self.assembly.pid
    }

    /// What comes next is of another stream of the same kind.
    pub fn break_off(&mut self) {
        self.assembly.break_off();
        if let Media::Sounds(sounds) = &mut self.media {
            sounds.lose();
        }
    }

    /// The newest sample entry.
    pub const fn entry(&self) -> Option<&Arc<Entry>> {
        match &self.media {
            Media::Pictures(pictures) => pictures.entry(),
            Media::Sounds(sounds) => sounds.entry(),
        }
    }

    /// Takes a packet of the segment at `place`, whose samples go to `fragment`.
    pub fn take(&mut self, packet: Packet<'_>, place: &Place, fragment: &mut Fragment) {
        let Self { assembly, media, .. } = self;
        match media {
            Media::Pictures(pictures) => assembly.take(packet, |piece| match piece {
                Piece::Gap => pictures.lose(fragment),
                Piece::Start(header) => {
                    let decode = header.dts.or(header.pts).map(|stamp| place.point(stamp));
                    let times = decode.zip(header.pts).map(|(decode, pts)| {
                        let pts = decode.nearest(pts);
                        (decode, if is_plausible_delay(pts - decode) { pts } else { decode })
                    });
                    pictures.begin(times, place.timeline, fragment);
                }
                Piece::Payload(payload) => pictures.push(payload, fragment),
            }),
            Media::Sounds(sounds) => assembly.take(packet, |piece| match piece {
                Piece::Gap => sounds.lose(),
                Piece::Start(header) => sounds.begin(header.pts.map(|stamp| place.point(stamp))),
                Piece::Payload(payload) => sounds.push(payload, &mut target(place, fragment)),
            }),
        }
    }

    /// Where its last fragment ended, counted at `timescale`; none in a timeline that had no fragment of it.
    pub fn end(&self, place: &Place, timescale: u32) -> Option<i64> {
        let end = self.end.filter(|end| end.timeline == place.timeline)?;
        if end.timescale == timescale {
            return Some(end.point);
        }
        Some(Line::new(timescale).samples(Line::new(end.timescale).ticks(end.point)))
    }

    /// Takes the first `count` samples out of `fragment`, of a segment at `place`; the last of them lasts until `end`.
    /// None begins before the last fragment's end, whatever the timestamps say.
    pub fn take_samples(
        &mut self,
        place: &Place,
        fragment: &mut Fragment,
        count: usize,
        end: i64,
    ) -> Option<Whole> {
        let timescale = fragment.entry.as_ref()?.timescale;
        let whole = fragment.take(count, self.end(place, timescale).unwrap_or(i64::MIN), end)?;
        if count > 0 {
            self.expected = fragment.expected;
        }
        self.end = Some(End { timeline: place.timeline, timescale, point: whole.end });
        if matches!(self.media, Media::Pictures(_)) {
            whole.times().for_each(|pts| self.frame_rate.take(pts));
        }
        Some(whole)
    }

    /// The frame rate of its pictures so far, where it is another than at the last call.
    pub fn new_frame_rate(&mut self) -> Option<Rate> {
        let Media::Pictures(pictures) = &self.media else { return None };
        match &pictures.entry()?.format {
            Format::Video(video) => self.frame_rate.news(video),
            Format::Audio(_) => None,
        }
    }

    /// The picture or audio frame in hand is whole: its segment or part ends.
    pub fn end_unit(&mut self, place: &Place, fragment: &mut Fragment) {
        match &mut self.media {
            Media::Pictures(pictures) => pictures.end(fragment),
            Media::Sounds(sounds) => sounds.end(&mut target(place, fragment)),
        }
    }

    /// The picture in hand is whole: another begins, or its segment ends.
    pub fn end_picture(&mut self, fragment: &mut Fragment) {
        if let Media::Pictures(pictures) = &mut self.media {
            pictures.end(fragment);
        }
    }

    /// What was wrong since the last call and was not told yet.
    pub fn troubles(&mut self) -> Vec<Anomaly> {
        let kinds = match &mut self.media {
            Media::Sounds(sounds) => sounds.troubles().collect::<Vec<_>>(),
            Media::Pictures(pictures) => {
                pictures.take_left_out().then_some(AnomalyKind::ParameterSets).into_iter().collect()
            }
        };
        let pid = self.assembly.pid;
        let mut fresh = Vec::new();
        for kind in kinds {
            if !self.told.contains(&kind) {
                self.told.push(kind);
                fresh.push(Anomaly { pid, kind });
            }
        }
        fresh
    }
}

fn target<'a>(place: &Place, fragment: &'a mut Fragment) -> Target<'a> {
    Target { fragment, start: place.start + place.shift, timeline: place.timeline }
}
