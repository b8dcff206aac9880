//! Bytes that once broke what must hold, kept in `testdata/crash/<what>/`, and beginnings of all the test data.
#![allow(missing_docs, clippy::unwrap_used)]

mod support {
    pub mod holds;
}

use std::fs;
use std::path::{Path, PathBuf};

use support::holds;

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(folder);
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect()
}

/// Checks at most so many bytes of each file that was kept for `check`, and of each in `seeds`.
fn replay(name: &str, seeds: &str, most: usize, check: fn(&[u8])) {
    for path in files(&format!("crash/{name}")).iter().chain(&files(seeds)) {
        let bytes = fs::read(path).unwrap();
        // Names the file should the check panic.
        eprintln!("{}", path.display());
        check(&bytes[..bytes.len().min(most)]);
    }
}

#[test]
fn the_demuxer_holds() {
    replay("demuxer", "media", 20_000, holds::demuxer);
}

#[test]
fn sections_hold() {
    replay("sections", "media", 4096, holds::sections);
}

#[test]
fn pes_headers_hold() {
    replay("pes", "codec", 4096, holds::pes);
}

#[test]
fn codecs_hold() {
    replay("codec", "codec", 20_000, holds::codec);
}

#[test]
fn the_segmenter_holds() {
    replay("segmenter", "media", 20_000, holds::segmenter);
}

#[test]
fn the_fragmenter_holds() {
    replay("cmaf", "media", usize::MAX, holds::cmaf);
}

#[test]
fn playlists_hold() {
    replay("playlist", "playlist", 4096, holds::playlist);
}

#[cfg(feature = "cli")]
#[test]
fn configurations_hold() {
    replay("config", "config", 4096, holds::config);
}

#[cfg(feature = "cli")]
#[test]
fn answers_hold() {
    replay("answers", "answers", 4096, holds::answers);
}
