//! One stream through the core in all formats.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::Bytes;
use segcast::cmaf::Layout;

use super::check::{Case, check, check_parts};
use super::drive::{self, fragment, options, segment};
use super::fault::{Fault, Of};
use super::model::{Chunking, Fate, Frame, Model, SECOND};
use super::mux::{self, chunks};
use super::output::{Playlist, Rule, Violation};
use super::rng::Rng;
use super::{read_mp4, read_ts};

const PART: Duration = Duration::from_millis(320);

/// A stream and what is wrong with it.
#[derive(Clone, Debug)]
pub struct Input {
    pub model: Model,
    pub faults: Vec<Fault>,
}

impl Input {
    /// Draws the stream of a seed: one in six is clean, the others have up to three faults.
    pub fn draw(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let model = Model::draw(seed, &mut rng);
        let count = rng.pick(&[0, 1, 1, 2, 2, 3]);
        let faults = (0..count).map(|_| Fault::draw(&model, &mut rng)).collect();
        Self { model, faults }
    }

    /// Returns what does not hold of the core's output.
    pub fn violations(&self) -> Vec<Violation> {
        let result = catch_unwind(AssertUnwindSafe(|| self.run()));
        result.unwrap_or_else(|cause| {
            let text = cause.downcast_ref::<String>().cloned();
            let text = text.or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            vec![Violation { rule: Rule::Panic, text: text.unwrap_or_default() }]
        })
    }

    fn run(&self) -> Vec<Violation> {
        let (stream, tracks) = self.stream();
        if tracks.iter().all(Vec::is_empty) {
            return Vec::new();
        }
        let case = Case { model: &self.model, faults: &self.faults, tracks: &tracks };
        let mut violations = self.check_ts(case, &stream);
        violations.extend(self.check_cmaf(case, &stream));
        violations.extend(self.check_renditions(case));
        violations
    }

    /// The transport stream, and its frames with their fates.
    pub fn stream(&self) -> (Bytes, Vec<Vec<Frame>>) {
        let mut tracks = self.model.frames(&self.faults);
        let stream = mux::mux(&self.model, &self.faults, &mut tracks);
        self.exempt(&mut tracks);
        (stream.into(), tracks)
    }

    /// Frames before the first keyframe need not be there; and after a jump of the clock those before the next one.
    fn exempt(&self, tracks: &mut [Vec<Frame>]) {
        let jumps = self.faults.iter().filter_map(|fault| match *fault {
            Fault::Jump { of: Of::All, at, .. } => Some(at),
            _ => None,
        });
        for from in [i64::MIN].into_iter().chain(jumps) {
            let is_key = |frame: &&Frame| frame.is_key && frame.fate != Fate::Damaged && frame.sent >= from;
            let Some(key) = tracks[0].iter().find(is_key) else { continue };
            let (sent, shown) = (key.sent, key.shown);
            for (track, frames) in tracks.iter_mut().enumerate() {
                let is_before = |frame: &Frame| match track {
                    0 => frame.sent < sent,
                    _ => frame.shown < shown,
                };
                let is_dead = |frame: &Frame| frame.sent >= from && is_before(frame);
                // A PES packet that begins before the keyframe may be left out as a whole.
                let last = frames.iter().rev().find(|frame| is_dead(frame)).map(|frame| frame.unit);
                for frame in frames.iter_mut().filter(|frame| frame.fate == Fate::Intact) {
                    if is_dead(frame) || track > 0 && Some(frame.unit) == last {
                        frame.fate = Fate::Exempt;
                    }
                }
            }
        }
    }

    fn is_whole(&self) -> bool {
        !self.faults.iter().any(|fault| matches!(fault, Fault::Loss { .. }))
    }

    fn check_ts(&self, case: Case<'_>, stream: &Bytes) -> Vec<Violation> {
        let sizes = chunks(&self.model, stream.len());
        let mut violations = Vec::new();
        let carried = case.sent();
        for (name, part) in [("ts", None), ("ts parts", Some(PART))] {
            let options = options(self.model.target_s, part);
            let made = segment(stream, &sizes, &options);
            let mut playlist = read_ts::read(name, &made.segments, case.tracks, self.is_whole());
            check_parts(&mut playlist, case, &made.segments);
            check(case, &mut playlist, &carried);
            self.check_held(&mut playlist, made.held, stream.len());
            if part.is_none() {
                let other = Model { chunk: Chunking::Fixed(188 * 40 + 51), ..self.model.clone() };
                let again = segment(stream, &chunks(&other, stream.len()), &options);
                if (&again.segments, &again.anomalies) != (&made.segments, &made.anomalies) {
                    playlist.fail(Rule::Chunking, "another output for other chunks");
                }
                // What comes before the first keyframe is left out, packets with a PCR alone among it; and there is
                // advice where keyframes do not suit the target duration.
                let is_known = |text: &str| {
                    text.contains("before the first random access point") || text.contains("keyframes every")
                };
                let is_odd = |text: &&String| !is_known(text);
                if let (true, Some(text)) = (self.faults.is_empty(), made.anomalies.iter().find(is_odd)) {
                    playlist.fail(Rule::Shape, format!("an anomaly of a clean stream: {text}"));
                }
            }
            violations.append(&mut playlist.violations);
        }
        violations
    }

    /// What is held lasts no longer than a few segments.
    fn check_held(&self, playlist: &mut Playlist, held: usize, len: usize) {
        let Model { target_s, gop, frame, length, .. } = &self.model;
        let spacing = (target_s * SECOND).max(gop * frame);
        let held = held as i64 * length / len.max(1) as i64;
        if held > 4 * spacing + 4 * SECOND {
            let seconds = held as f64 / SECOND as f64;
            playlist.fail(Rule::Held, format!("{seconds:.1} s of the stream were held"));
        }
    }

    fn check_cmaf(&self, case: Case<'_>, stream: &Bytes) -> Vec<Violation> {
        let sizes = chunks(&self.model, stream.len());
        let mut violations = Vec::new();
        let mut runs = vec![("cmaf", None, Layout::Demuxed), ("cmaf parts", Some(PART), Layout::Demuxed)];
        if self.model.seed.is_multiple_of(4) {
            runs.push(("cmaf muxed", None, Layout::Muxed));
        }
        for (name, part, layout) in runs {
            let made = fragment(stream, &sizes, &options(self.model.target_s, part), layout);
            for (pid, track) in &made.tracks {
                let number = usize::from(pid - mux::VIDEO);
                let carried = match layout {
                    Layout::Muxed => case.sent(),
                    Layout::Demuxed => vec![number],
                };
                let name = format!("{name}, track {number}");
                let mut playlist = read_mp4::read(&name, track, case.tracks, self.model.video.is_some());
                check_parts(&mut playlist, case, &track.segments);
                check(case, &mut playlist, &carried);
                violations.append(&mut playlist.violations);
            }
            let lacks =
                |track: &usize| layout == Layout::Demuxed && !made.tracks.contains_key(&mux::pid(*track));
            for track in case.sent().into_iter().filter(lacks) {
                let text = format!("{name}: no track {track}");
                violations.push(Violation { rule: Rule::Frames, text });
            }
        }
        violations
    }

    /// Another encode of the same source, of other frame sizes.
    fn check_renditions(&self, case: Case<'_>) -> Vec<Violation> {
        if !self.is_whole() || case.tracks[0].is_empty() || self.model.seed % 2 == 1 {
            return Vec::new();
        }
        let mut other = self.clone();
        other.model.seed ^= 1 << 40;
        other.model.video.iter_mut().for_each(|video| video.bytes *= 2);
        let streams = [self.stream().0, other.stream().0];
        let made = drive::renditions([&streams[0], &streams[1]], &options(self.model.target_s, None));
        let cuts = made.map(|segments| {
            segments.iter().map(|segment| segment.extent.head.start.count()).collect::<Vec<_>>()
        });
        if cuts[0] == cuts[1] {
            return Vec::new();
        }
        let first = cuts[0].iter().zip(&cuts[1]).position(|(a, b)| a != b);
        let text = format!(
            "renditions: {} and {} segments, the first that differs is {first:?}",
            cuts[0].len(),
            cuts[1].len()
        );
        vec![Violation { rule: Rule::Aligned, text }]
    }
}
