//! What the speed guards measure: clean streams in memory, and the passes of the core over them.
#![allow(dead_code)]

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use segcast::cmaf::{self, Fragmenter, Layout};
use segcast::segment::{Cutter, Options, Segmenter};
use segcast::ts::Demuxer;

use super::synth::Synth;

/// The size of a read from a pipe or a file.
const CHUNK: usize = 64 * 1024;
/// The parts of a low-latency channel.
const PART: Duration = Duration::from_millis(320);

/// The streams, by name: frames of 40 kB (8 Mbit/s), and frames of 3 kB (0.7 Mbit/s), where headers weigh more.
pub const STREAMS: &[&str] = &["large", "small"];

/// The passes over a stream, by name.
pub const PASSES: &[&str] = &["parse", "segment", "segment-parts", "cmaf", "cmaf-parts", "cmaf-muxed"];

/// Returns the stream of this name: four to five megabytes.
pub fn stream(name: &str) -> Bytes {
    let synth = match name {
        "large" => Synth { pictures: 100, picture_bytes: 40_000, ..Synth::default() },
        "small" => Synth { pictures: 1000, picture_bytes: 3000, audio_bytes: Some(300), ..Synth::default() },
        _ => panic!("unknown stream {name}: one of {STREAMS:?}"),
    };
    Bytes::from(synth.bytes())
}

/// Runs the pass of this name over `stream`. Returns the number of events that came out of it.
pub fn run(pass: &str, stream: &Bytes) -> usize {
    match pass {
        "parse" => parse(stream),
        "segment" => segment(stream, None),
        "segment-parts" => segment(stream, Some(PART)),
        "cmaf" => fragment(stream, None, Layout::Demuxed),
        "cmaf-parts" => fragment(stream, Some(PART), Layout::Demuxed),
        "cmaf-muxed" => fragment(stream, None, Layout::Muxed),
        _ => panic!("unknown pass {pass}: one of {PASSES:?}"),
    }
}

fn chunks(stream: &Bytes) -> impl Iterator<Item = Bytes> {
    (0..stream.len()).step_by(CHUNK).map(|at| stream.slice(at..stream.len().min(at + CHUNK)))
}

fn options(part: Option<Duration>) -> Options {
    Options { target: Duration::from_secs(2), part, ..Options::default() }
}

fn parse(stream: &Bytes) -> usize {
    let mut demuxer = Demuxer::default();
    let mut count = 0;
    for chunk in chunks(stream) {
        count += demuxer.push(chunk).map(black_box).count();
    }
    count + demuxer.finish().map(black_box).count()
}

fn segment(stream: &Bytes, part: Option<Duration>) -> usize {
    let mut segmenter = Segmenter::new(&options(part));
    let mut count = 0;
    for chunk in chunks(stream) {
        count += segmenter.push(chunk).map(black_box).count();
    }
    count + segmenter.finish().map(black_box).count()
}

fn fragment(stream: &Bytes, part: Option<Duration>, layout: Layout) -> usize {
    let mut cutter = Cutter::new(&options(part));
    let mut fragmenter = Fragmenter::new(&cmaf::Options { layout });
    let mut count = 0;
    for chunk in chunks(stream) {
        for event in cutter.push(chunk) {
            count += fragmenter.push(&event).map(black_box).count();
        }
    }
    for event in cutter.finish() {
        count += fragmenter.push(&event).map(black_box).count();
    }
    count + fragmenter.finish().map(black_box).count()
}
