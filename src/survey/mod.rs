//! What is in a transport stream, in figures: programs, streams, their rates, random access points and spans of
//! time, and what was wrong.
//!
//! A [`Survey`] takes the events of a [`Demuxer`](crate::ts::Demuxer) and gives a [`Report`] at any time. It keeps
//! no packets, and of what may go on without end (anomalies, spacings, formats) only counts and the first few: its
//! memory does not grow with the stream.
//!
//! ```
//! use segcast::survey::Survey;
//! use segcast::ts::{Demuxer, Selection};
//! # let chunks: Vec<bytes::Bytes> = vec![];
//! let (mut demuxer, mut survey) = (Demuxer::new(Selection::All), Survey::new());
//! for chunk in chunks {
//!     demuxer.push(chunk).for_each(|event| survey.take(&event));
//! }
//! demuxer.finish().for_each(|event| survey.take(&event));
//! for program in survey.report().programs {
//!     println!("program {}: {:?}", program.number, program.duration);
//! }
//! ```

mod line;
mod report;
mod spacing;
mod track;

use crate::ts::{self, Anomaly, AnomalyKind, Event, PesStart, Pid};
use line::{Line, is_jump};
pub use report::{Points, Program, Report, Spacing, Stream, Tally, rate_bps};
use track::Track;

/// Programs reported at most.
const MAX_PROGRAMS: usize = 64;
/// Streams reported at most, those that a later PMT replaced counted too.
const MAX_TRACKS: usize = 1024;
/// Anomalies of a kind of which the place is kept.
const MAX_FIRST: usize = 3;

/// Counts and measures what a demuxer finds.
#[derive(Debug)]
pub struct Survey {
    programs: Vec<Shown>,
    tracks: Vec<Track>,
    /// For each PID one more than its present track's place among the tracks; zero if it has none.
    table: Box<[u16; Pid::COUNT]>,
    tallies: Vec<Tally>,
    garbage_bytes: u64,
}

/// A program, as far as tables have shown it.
#[derive(Debug)]
struct Shown {
    number: u16,
    pmt_pid: Pid,
    pcr_pid: Pid,
    tables: u64,
    /// Places of its tracks, in the order in which tables named them.
    tracks: Vec<usize>,
    /// Places of those that were the stream which cuts are made by.
    references: Vec<usize>,
    /// Whether its time is in pieces.
    has_jumped: bool,
}

impl Default for Survey {
    fn default() -> Self {
        Self::new()
    }
}

impl Survey {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self {
            programs: Vec::new(),
            tracks: Vec::new(),
            table: Box::new([0; Pid::COUNT]),
            tallies: Vec::new(),
            garbage_bytes: 0,
        }
    }

    /// Takes the next event.
    #[inline]
    pub fn take(&mut self, event: &Event) {
        match event {
            Event::Packets(run) => {
                if let Some(track) = self.track(run.pid) {
                    track.packets += (run.bytes.len() / ts::PACKET_LEN) as u64;
                }
            }
            Event::Pes(pes) => self.take_pes(pes),
            Event::Begin(start) => {
                if let Some(track) = self.track(start.pid) {
                    track.take_begin(start);
                }
            }
            Event::AccessUnit { pid, unit } => {
                if let Some(track) = self.track(*pid) {
                    track.take_access_unit(*unit);
                }
            }
            Event::Format { pid, format } => {
                if let Some(track) = self.track(*pid) {
                    track.take_format(format);
                }
            }
            Event::Program(program) => self.take_program(program),
            Event::Anomaly(anomaly) => self.take_anomaly(*anomaly),
            _ => {}
        }
    }

    /// What was found so far.
    pub fn report(&self) -> Report {
        let programs: Vec<_> = self.programs.iter().map(|shown| self.program(shown)).collect();
        Report {
            duration: programs.iter().map(|program| program.duration).max().unwrap_or_default(),
            programs,
            anomalies: self.tallies.clone(),
            garbage_bytes: self.garbage_bytes,
        }
    }

    #[inline]
    fn track(&mut self, pid: Pid) -> Option<&mut Track> {
        self.tracks.get_mut(usize::from(self.table[pid.index()]).wrapping_sub(1))
    }

    fn take_pes(&mut self, pes: &PesStart) {
        let index = usize::from(self.table[pes.pid.index()]).wrapping_sub(1);
        let Some(track) = self.tracks.get_mut(index) else { return };
        let is_first = track.line.is_empty();
        let jump = track.take_pes(pes);
        if !track.is_continuous() {
            return;
        }
        if let Some(by) = jump {
            let kind = AnomalyKind::TimestampJump { by };
            self.take_anomaly(Anomaly { at: pes.at, pid: Some(pes.pid), kind });
        }
        if jump.is_some() || is_first {
            let tracks = &self.tracks;
            for shown in self.programs.iter_mut().filter(|shown| shown.tracks.contains(&index)) {
                shown.has_jumped |= jump.is_some() || starts_elsewhere(pes, index, &shown.tracks, tracks);
            }
        }
    }

    fn take_program(&mut self, program: &ts::Program) {
        let known = self.programs.iter().position(|shown| shown.number == program.number);
        let index = match known {
            Some(index) => index,
            None if self.programs.len() >= MAX_PROGRAMS => return,
            None => {
                self.programs.push(Shown::new(program));
                self.programs.len() - 1
            }
        };
        let tracks: Vec<_> = program.streams.iter().filter_map(|stream| self.add(stream)).collect();
        let reference = program.reference().and_then(|stream| self.place(stream));
        let shown = &mut self.programs[index];
        shown.tables += 1;
        shown.pmt_pid = program.pmt_pid;
        shown.pcr_pid = program.pcr_pid;
        add_new(&mut shown.tracks, tracks);
        add_new(&mut shown.references, reference);
    }

    /// The present track of this stream.
    fn place(&self, stream: &ts::Stream) -> Option<usize> {
        let place = usize::from(self.table[stream.pid.index()]).checked_sub(1)?;
        (self.tracks[place].stream.stream_type == stream.stream_type).then_some(place)
    }

    /// Makes a track for the stream unless it has one. Its place.
    fn add(&mut self, stream: &ts::Stream) -> Option<usize> {
        if let Some(place) = self.place(stream) {
            self.tracks[place].stream = stream.clone();
            return Some(place);
        }
        let is_it =
            |track: &Track| track.stream.pid == stream.pid && track.stream.stream_type == stream.stream_type;
        let place = match self.tracks.iter().position(is_it) {
            Some(place) => place,
            None if self.tracks.len() >= MAX_TRACKS => return None,
            None => {
                self.tracks.push(Track::new(stream.clone()));
                self.tracks.len() - 1
            }
        };
        self.table[stream.pid.index()] = place as u16 + 1;
        Some(place)
    }

    fn take_anomaly(&mut self, anomaly: Anomaly) {
        match (anomaly.kind, anomaly.pid) {
            (AnomalyKind::Garbage { bytes }, _) => self.garbage_bytes += bytes,
            (AnomalyKind::Scrambled, Some(pid)) => {
                if let Some(track) = self.track(pid) {
                    track.is_scrambled = true;
                }
            }
            _ => {}
        }
        let name = anomaly.kind.name();
        match self.tallies.iter_mut().find(|tally| tally.name == name) {
            Some(tally) => {
                tally.count += 1;
                if tally.first.len() < MAX_FIRST {
                    tally.first.push(anomaly);
                }
            }
            None => self.tallies.push(Tally { name, count: 1, first: vec![anomaly] }),
        }
    }

    fn program(&self, shown: &Shown) -> Program {
        let tracks = || shown.tracks.iter().map(|place| &self.tracks[*place]);
        let continuous: Vec<_> =
            tracks().filter(|track| track.is_continuous()).map(|track| &track.line).collect();
        let all: Vec<_> = tracks().map(|track| &track.line).collect();
        let references = shown.references.iter().map(|place| self.tracks[*place].duration());
        let duration = if shown.has_jumped {
            references.sum()
        } else if continuous.iter().any(|line| !line.is_empty()) {
            Line::hull(&continuous)
        } else {
            Line::hull(&all)
        };
        Program {
            number: shown.number,
            pmt_pid: shown.pmt_pid,
            pcr_pid: shown.pcr_pid,
            tables: shown.tables,
            duration,
            streams: tracks().map(|track| track.report(duration)).collect(),
        }
    }
}

impl Shown {
    fn new(program: &ts::Program) -> Self {
        Self {
            number: program.number,
            pmt_pid: program.pmt_pid,
            pcr_pid: program.pcr_pid,
            tables: 0,
            tracks: Vec::new(),
            references: Vec::new(),
            has_jumped: false,
        }
    }
}

/// Whether a stream that begins with this PES packet begins far from where all others of its program are.
fn starts_elsewhere(pes: &PesStart, index: usize, places: &[usize], tracks: &[Track]) -> bool {
    let others = places.iter().filter(|place| **place != index).map(|place| &tracks[*place]);
    let mut times =
        others.filter(|track| track.is_continuous()).filter_map(|track| track.line.last_dts()).peekable();
    let Some(dts) = pes.dts else { return false };
    times.peek().is_some() && times.all(|time| is_jump(dts - time))
}

fn add_new(places: &mut Vec<usize>, new: impl IntoIterator<Item = usize>) {
    for place in new {
        if !places.contains(&place) {
            places.push(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::codec::{AccessUnit, Codec, Format, RandomAccess, Video};
    use crate::time::{Rate, Ticks};

    const FRAME: i64 = 3600;

    fn stream(pid: u16, stream_type: u8, codec: Codec) -> ts::Stream {
        ts::Stream { pid: Pid::new(pid), stream_type, codec, language: None, descriptors: Default::default() }
    }

    fn program(number: u16, streams: Vec<ts::Stream>) -> Event {
        Event::Program(Arc::new(ts::Program {
            number,
            transport_stream_id: 1,
            pmt_pid: Pid::new(0x1000),
            pcr_pid: Pid::new(0x100),
            version: 0,
            streams,
            section: Default::default(),
        }))
    }

    fn pes(pid: u16, at: u64, ticks: i64) -> Event {
        let time = Some(Ticks::new(ticks));
        let pid = Pid::new(pid);
        let is_marked_random_access = false;
        Event::Pes(PesStart {
            pid,
            at,
            stream_id: 0xe0,
            pts: time,
            dts: time,
            len: None,
            is_marked_random_access,
            inside: None,
        })
    }

    fn point(pid: u16, random_access: RandomAccess) -> Event {
        let unit = AccessUnit { random_access: Some(random_access), ..AccessUnit::default() };
        Event::AccessUnit { pid: Pid::new(pid), unit }
    }

    fn surveyed(events: impl IntoIterator<Item = Event>) -> Report {
        let mut survey = Survey::new();
        events.into_iter().for_each(|event| survey.take(&event));
        survey.report()
    }

    fn pictures(pid: u16, from: i64, count: i64) -> impl Iterator<Item = Event> {
        (0..count).map(move |n| pes(pid, n as u64, from + n * FRAME))
    }

    #[test]
    fn the_frame_rate_is_that_of_the_timestamps() {
        let video = Video {
            codec: Codec::H264,
            rfc6381: None,
            width: 16,
            height: 16,
            frame_rate: Rate::new(50, 1),
            is_interlaced: false,
            colour: None,
            sample_aspect: None,
        };
        let mut events = vec![program(1, vec![stream(0x100, 0x1b, Codec::H264)])];
        events.push(Event::Format { pid: Pid::new(0x100), format: Format::Video(video) });
        for picture in pictures(0x100, 0, 100) {
            events.extend([picture, point(0x100, RandomAccess::Closed)]);
        }
        let report = surveyed(events);
        let Format::Video(video) = &report.programs[0].streams[0].formats[0] else { panic!() };
        assert_eq!(video.frame_rate, Rate::new(25, 1));
    }

    #[test]
    fn points_are_counted_by_kind_and_spaced() {
        let mut events = vec![program(1, vec![stream(0x100, 0x1b, Codec::H264)])];
        let kinds = [
            RandomAccess::Closed,
            RandomAccess::Open,
            RandomAccess::Gradual { frames: 9 },
            RandomAccess::Open,
        ];
        for (n, kind) in (0..).zip(kinds) {
            events.extend([pes(0x100, 0, n * n * FRAME), point(0x100, kind)]);
        }
        let points = surveyed(events).programs[0].streams[0].random_access.unwrap();
        assert_eq!((points.closed, points.open, points.gradual, points.count()), (1, 2, 1, 4));
        let [min, median, max] = [40, 120, 200].map(Duration::from_millis);
        assert_eq!(points.spacing, Some(Spacing { min, median, max }));
    }

    #[test]
    fn a_jump_is_no_spacing_and_no_time() {
        let mut events = vec![program(1, vec![stream(0x100, 0x1b, Codec::H264)])];
        for from in [0, 900_000_000, 5] {
            events.extend(pictures(0x100, from, 25));
            events.push(point(0x100, RandomAccess::Closed));
        }
        let report = surveyed(events);
        assert_eq!(report.duration, Duration::from_secs(3));
        assert_eq!(report.programs[0].streams[0].random_access.unwrap().spacing, None);
        assert_eq!((report.anomalies[0].name, report.anomalies[0].count), ("timestamp jump", 2));
    }

    #[test]
    fn a_program_that_goes_on_elsewhere_with_other_pids_is_as_long_as_both_parts() {
        let mut events = vec![program(1, vec![stream(0x100, 0x1b, Codec::H264)])];
        events.extend(pictures(0x100, 0, 25));
        events.push(program(1, vec![stream(0x200, 0x1b, Codec::H264)]));
        events.extend(pictures(0x200, 900_000_000, 50));
        assert_eq!(surveyed(events).duration, Duration::from_secs(3));
    }

    #[test]
    fn a_sparse_stream_neither_jumps_nor_lengthens_a_program() {
        let streams = vec![stream(0x100, 0x1b, Codec::H264), stream(0x101, 0x06, Codec::DvbSubtitle)];
        let mut events = vec![program(1, streams)];
        events.extend(pictures(0x100, 0, 500));
        events.extend([0, 1_000_000, 9_000_000].map(|ticks| pes(0x101, 0, ticks)));
        let report = surveyed(events);
        assert_eq!(report.duration, Duration::from_secs(20));
        assert_eq!(report.anomalies, []);
    }

    #[test]
    fn what_never_ends_is_kept_in_bounds() {
        let mut events = Vec::new();
        for number in 0..2000_u16 {
            events.push(program(number % 100, vec![stream(number, 0x06, Codec::Other)]));
            let kind = AnomalyKind::Duplicate;
            events.push(Event::Anomaly(Anomaly { at: number.into(), pid: None, kind }));
        }
        let mut survey = Survey::new();
        events.iter().for_each(|event| survey.take(event));
        assert_eq!((survey.programs.len(), survey.tracks.len()), (MAX_PROGRAMS, MAX_TRACKS));
        let report = survey.report();
        assert_eq!((report.anomalies[0].count, report.anomalies[0].first.len()), (2000, MAX_FIRST));
    }
}
