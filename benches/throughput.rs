//! Parsing, cutting and fragmenting in memory, beside a copy of the same bytes in the same run.
#![allow(missing_docs)]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use segcast::cmaf::{self, Fragmenter};
use segcast::segment::{Cutter, Options};
use segcast::ts::Demuxer;

#[path = "../tests/support/synth.rs"]
mod synth;

/// As a pipe or a file is read.
const CHUNK: usize = 256 * 1024;

fn throughput(criterion: &mut Criterion) {
    // 25 pictures a second of 40 kB and 128 kbit/s of audio: 8 Mbit/s, far more than any cache holds.
    let synth = synth::Synth { pictures: 3200, picture_bytes: 40_000, ..Default::default() };
    let stream = Bytes::from(synth.bytes());
    let chunks = || (0..stream.len()).step_by(CHUNK).map(|at| stream.slice(at..stream.len().min(at + CHUNK)));
    let mut copy = vec![1_u8; stream.len()];

    let mut group = criterion.benchmark_group("stream");
    group.throughput(Throughput::Bytes(stream.len() as u64));
    group.sample_size(20);
    group.bench_function("memcpy", |bencher| {
        bencher.iter(|| {
            copy.copy_from_slice(&stream);
            black_box(&mut copy);
        });
    });
    group.bench_function("header walk", |bencher| {
        bencher.iter(|| stream.chunks_exact(188).map(|p| u32::from(p[0] ^ p[3])).sum::<u32>());
    });
    group.bench_function("parse", |bencher| {
        bencher.iter(|| {
            let mut demuxer = Demuxer::default();
            let events: usize = chunks().map(|chunk| demuxer.push(chunk).count()).sum();
            black_box(events + demuxer.finish().count())
        });
    });
    group.bench_function("segment", |bencher| {
        bencher.iter(|| {
            let mut cutter = Cutter::new(&Options::default());
            let events: usize = chunks().map(|chunk| cutter.push(chunk).count()).sum();
            black_box(events + cutter.finish().count())
        });
    });
    group.bench_function("fragment", |bencher| {
        bencher.iter(|| {
            let mut cutter = Cutter::new(&Options::default());
            let mut fragmenter = Fragmenter::new(&cmaf::Options::default());
            let mut events = 0;
            for chunk in chunks() {
                events += cutter.push(chunk).map(|event| fragmenter.push(&event).count()).sum::<usize>();
            }
            events += cutter.finish().map(|event| fragmenter.push(&event).count()).sum::<usize>();
            black_box(events + fragmenter.finish().count())
        });
    });
    group.finish();
}

criterion_group!(benches, throughput);
criterion_main!(benches);
