//! How fast destinations take files: `cargo bench --bench deliver -- CONFIG.toml [CONCURRENCY]`.
//!
//! At each destination of the configuration, with up to CONCURRENCY uploads at the same time (default 1): many segments
//! of 1 MB, many playlists of 2 kB, and segments each with a playlist after it, which is what a channel does. A line
//! for each, tab-separated, of numbers that follow from the clock alone. All is deleted again.
//!
//! `benches/deliver.sh` runs it beside other clients, against servers of its own.
#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use segcast::chunks::Chunks;
use segcast::config::{Format, parse_str};
use segcast::destination::{Destination, Target};
use tokio::task::JoinSet;

/// Files of a kind; deliver.sh gives other clients as many.
const FILES: usize = 200;
const SEGMENT_BYTES: usize = 1_000_000;
const PLAYLIST_BYTES: usize = 2_000;
/// As a pipe is read.
const SLICE_BYTES: usize = 64 * 1024;

#[tokio::main]
async fn main() {
    // cargo adds `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let Some(file) = arguments.next() else {
        eprintln!("usage: cargo bench --bench deliver -- CONFIG.toml [CONCURRENCY]");
        return;
    };
    let concurrency = arguments.next().map_or(1, |number| number.parse().unwrap());
    println!("destination\twhat\tat once\tfiles\tMB\tseconds\tmedian ms\t95 % ms");
    for target in targets(&file) {
        measure(&target, concurrency).await;
    }
}

fn targets(file: &str) -> Vec<Target> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let environment = std::env::vars().collect();
    let checked = parse_str(Format::Toml, file, &text, &environment, &[]);
    let checked = checked.unwrap_or_else(|error| panic!("{error}"));
    checked.options.destinations.into_iter().map(|served| served.target).collect()
}

async fn measure(target: &Target, concurrency: usize) {
    let segment = body(SEGMENT_BYTES);
    let playlist = body(PLAYLIST_BYTES);
    let rows = [
        ("segments", vec![("ts", segment.clone())]),
        ("playlists", vec![("m3u8", playlist.clone())]),
        ("both", vec![("ts", segment), ("m3u8", playlist)]),
    ];
    for (what, files) in rows {
        // Opened each time, as another client logs in each time.
        let begun = Instant::now();
        let destination: Arc<dyn Destination> = target.open().unwrap().into();
        let files: Arc<[_]> = files.into();
        let mut times = put(&destination, what, &files, concurrency).await;
        let seconds = begun.elapsed().as_secs_f64();
        times.sort();
        let at = |share: f64| times[(times.len() as f64 * share) as usize].as_secs_f64() * 1e3;
        let size_bytes: u64 = files.iter().map(|(_, body)| body.size_bytes()).sum();
        let (median, most) = (at(0.5), at(0.95));
        let mb = size_bytes as f64 / 1e6 * FILES as f64;
        println!("{target}\t{what}\t{concurrency}\t{FILES}\t{mb:.1}\t{seconds:.4}\t{median:.2}\t{most:.2}");
        for (n, (extension, _)) in (0..FILES).flat_map(|n| files.iter().map(move |file| (n, file))) {
            destination.delete(&key(what, n, extension)).await.unwrap();
        }
    }
}

/// Puts the files of each round in order, and several rounds at the same time. How long each round took.
async fn put(
    destination: &Arc<dyn Destination>,
    what: &'static str,
    files: &Arc<[(&'static str, Chunks)]>,
    concurrency: usize,
) -> Vec<Duration> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..concurrency {
        let (destination, files, next) = (destination.clone(), files.clone(), next.clone());
        workers.spawn(async move {
            let mut times = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= FILES {
                    return times;
                }
                let begun = Instant::now();
                for (extension, body) in files.iter() {
                    destination.put(&key(what, n, extension), body.clone()).await.unwrap();
                }
                times.push(begun.elapsed());
            }
        });
    }
    workers.join_all().await.concat()
}

fn key(what: &str, n: usize, extension: &str) -> String {
    format!("{what}/{n:03}.{extension}")
}

fn body(size_bytes: usize) -> Chunks {
    let bytes = Bytes::from((0..size_bytes).map(|n| (n % 251) as u8).collect::<Vec<_>>());
    (0..size_bytes).step_by(SLICE_BYTES).map(|at| bytes.slice(at..size_bytes.min(at + SLICE_BYTES))).collect()
}
