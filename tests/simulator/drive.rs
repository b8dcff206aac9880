//! Drives the core over a stream and keeps all that comes out of it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use segcast::chunks::Chunks;
use segcast::cmaf::{self, Fragmenter, Layout};
use segcast::segment::{Cutter, Extent, Options, Output, Part, Segmenter};

/// A segment and its parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    pub ordinal: u64,
    pub extent: Extent,
    pub bytes: Bytes,
    pub parts: Vec<(Part, Bytes)>,
}

/// What the segmenter made of a transport stream.
#[derive(Debug, Default, PartialEq)]
pub struct Ts {
    pub segments: Vec<Segment>,
    pub anomalies: Vec<String>,
    /// The most bytes that had been pushed and were not out yet.
    pub held: usize,
    /// Bytes of the segments so far.
    out: usize,
}

/// A track of the fragmenter's.
#[derive(Debug, Default, PartialEq)]
pub struct Track {
    /// Each with the first segment that needs it.
    pub inits: Vec<(u64, Bytes)>,
    pub segments: Vec<Segment>,
}

/// What the fragmenter made: its tracks, by the PID of their first stream.
#[derive(Debug, Default, PartialEq)]
pub struct Cmaf {
    pub tracks: BTreeMap<u16, Track>,
}

pub fn options(target_s: i64, part: Option<Duration>) -> Options {
    Options { target: Duration::from_secs(target_s as u64), part, ..Options::default() }
}

fn pieces(stream: &Bytes, sizes: &[usize]) -> Vec<Bytes> {
    let mut rest = stream.clone();
    sizes.iter().map(|size| rest.split_to(*size)).collect()
}

/// `Chunks::to_bytes`, which takes a byte at a time in a debug build, is half of the time of a run.
fn joined(chunks: &Chunks) -> Bytes {
    chunks.slices().iter().map(|slice| &slice[..]).collect::<Vec<_>>().concat().into()
}

/// Cuts `stream`, pushed in these sizes.
pub fn segment(stream: &Bytes, sizes: &[usize], options: &Options) -> Ts {
    let mut ts = Ts::default();
    let mut segmenter = Segmenter::new(options);
    let (mut pushed, mut parts) = (0, Vec::new());
    for piece in pieces(stream, sizes) {
        pushed += piece.len();
        segmenter.push(piece).for_each(|output| ts.take(output, &mut parts));
        ts.held = ts.held.max(pushed.saturating_sub(ts.out));
    }
    segmenter.finish().for_each(|output| ts.take(output, &mut parts));
    ts
}

impl Ts {
    fn take(&mut self, output: Output, parts: &mut Vec<(u64, Part, Bytes)>) {
        match output {
            Output::Part { ordinal, part, chunks } => parts.push((ordinal, part, joined(&chunks))),
            Output::Segment(segment) => {
                let (its, others): (Vec<_>, _) =
                    std::mem::take(parts).into_iter().partition(|(of, ..)| *of == segment.ordinal);
                *parts = others;
                self.out += segment.chunks.size_bytes() as usize;
                self.segments.push(Segment {
                    ordinal: segment.ordinal,
                    extent: segment.extent,
                    bytes: joined(&segment.chunks),
                    parts: its.into_iter().map(|(_, part, bytes)| (part, bytes)).collect(),
                });
            }
            Output::Anomaly(anomaly) => self.anomalies.push(format!("{anomaly}")),
            _ => {}
        }
    }
}

/// Cuts and fragments `stream`, pushed in these sizes.
pub fn fragment(stream: &Bytes, sizes: &[usize], options: &Options, layout: Layout) -> Cmaf {
    let mut cmaf = Cmaf::default();
    let mut pids = Vec::new();
    let mut parts = Vec::new();
    let mut cutter = Cutter::new(options);
    let mut fragmenter = Fragmenter::new(&cmaf::Options { layout });
    for piece in pieces(stream, sizes) {
        for event in cutter.push(piece) {
            fragmenter.push(&event).for_each(|event| cmaf.take(event, &mut pids, &mut parts));
        }
    }
    for event in cutter.finish() {
        fragmenter.push(&event).for_each(|event| cmaf.take(event, &mut pids, &mut parts));
    }
    fragmenter.finish().for_each(|event| cmaf.take(event, &mut pids, &mut parts));
    cmaf
}

impl Cmaf {
    fn take(&mut self, event: cmaf::Event, pids: &mut Vec<u16>, parts: &mut Vec<(usize, Part, Bytes)>) {
        match event {
            cmaf::Event::Tracks(tracks) => *pids = tracks.iter().map(|track| track.pids[0].bits()).collect(),
            cmaf::Event::Init { track, ordinal, init } => {
                self.track(pids[track]).inits.push((ordinal, init.bytes.clone()));
            }
            cmaf::Event::Part { track, part, body, .. } => parts.push((track, part, joined(&body))),
            cmaf::Event::Segment { track, ordinal, extent, body } => {
                let (its, others): (Vec<_>, _) =
                    std::mem::take(parts).into_iter().partition(|(of, ..)| *of == track);
                *parts = others;
                let parts = its.into_iter().map(|(_, part, bytes)| (part, bytes)).collect();
                let bytes = joined(&body);
                self.track(pids[track]).segments.push(Segment { ordinal, extent, bytes, parts });
            }
            _ => {}
        }
    }

    fn track(&mut self, pid: u16) -> &mut Track {
        self.tracks.entry(pid).or_default()
    }
}

/// Cuts two renditions of one source, each pushed a bit at a time, which share anchors as a channel's do. Returns the
/// segments of each.
pub fn renditions(streams: [&Bytes; 2], options: &Options) -> [Vec<Segment>; 2] {
    const STEPS: usize = 200;
    let mut made = [Ts::default(), Ts::default()];
    let mut parts = Vec::new();
    let mut segmenters = [Segmenter::new(options), Segmenter::new(options)];
    for step in 0..STEPS {
        for (n, stream) in streams.iter().enumerate() {
            let piece = stream.slice(stream.len() * step / STEPS..stream.len() * (step + 1) / STEPS);
            segmenters[n].push(piece).for_each(|output| made[n].take(output, &mut parts));
            if let Some((timeline, anchor)) = segmenters[n].cutter().anchor() {
                segmenters[1 - n].cutter().share_anchor(timeline, anchor);
            }
        }
    }
    for (made, segmenter) in made.iter_mut().zip(segmenters) {
        segmenter.finish().for_each(|output| made.take(output, &mut parts));
    }
    made.map(|made| made.segments)
}
