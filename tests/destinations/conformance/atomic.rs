//! What a reader sees while files are replaced and uploads are cut.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use segcast::chunks::Chunks;
use segcast::destination::Destination;

use super::{Case, body, open, said, text};

/// Versions of the playlist that a reader watches.
const VERSIONS: u32 = 200;
/// How long what was dropped might still come over what was put after it.
pub const WATCH: Duration = Duration::from_secs(1);
/// How long a server may take to clear away what was cut.
const CLEARED: Duration = Duration::from_secs(10);

pub async fn a_reader_never_meets_a_playlist_that_is_partial_missing_or_older(case: &Case) {
    let key = case.key("index.m3u8");
    case.put(&key, version(0)).await;
    let is_over = Arc::new(AtomicBool::new(false));
    // A thread where there is a folder: nothing in this process makes it wait.
    let reader = if let Some(folder) = &case.view.folder {
        let (path, is_over) = (folder.join(&key), is_over.clone());
        tokio::task::spawn_blocking(move || watch_file(&path, &is_over))
    } else {
        let (destination, key, is_over) = (open(&case.target), key.clone(), is_over.clone());
        tokio::spawn(async move { watch(&*destination, &key, &is_over).await })
    };
    for n in 1..=VERSIONS {
        if reader.is_finished() {
            break;
        }
        case.put(&key, version(n)).await;
    }
    is_over.store(true, Ordering::Relaxed);
    let reads = reader.await.unwrap().unwrap_or_else(|seen| case.fail(&seen));
    println!("    {reads} reads of {VERSIONS} versions");
    case.check(reads > 10, "the reader has hardly read");
    case.expect(&key, &version(VERSIONS)).await;
}

/// Reads a file again and again. How often that was, or what was wrong with it.
pub fn watch_file(path: &Path, is_over: &AtomicBool) -> Result<usize, String> {
    let mut last = 0;
    for reads in 0.. {
        if is_over.load(Ordering::Relaxed) {
            return Ok(reads);
        }
        let bytes = std::fs::read(path).map_err(|error| format!("after version {last}: {error}"))?;
        last = newer(&bytes, last)?;
    }
    unreachable!("it was read forever")
}

/// The same through a destination.
pub async fn watch(destination: &dyn Destination, key: &str, is_over: &AtomicBool) -> Result<usize, String> {
    let mut last = 0;
    let mut reads = 0;
    while !is_over.load(Ordering::Relaxed) {
        let bytes = destination.get(key).await.map_err(|error| said(&error))?;
        let bytes = bytes.ok_or_else(|| format!("after version {last}: not there"))?;
        last = newer(&bytes, last)?;
        reads += 1;
    }
    Ok(reads)
}

/// A playlist by whose text can be seen whether it is whole. Neighbours have very different lengths.
pub fn version(n: u32) -> Chunks {
    let segments = n * 37 % 211 * 10;
    let lines = (0..segments).map(|at| format!("#EXTINF:6,\n{n}/{at}.ts\n"));
    let head = format!("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:{n}\n");
    let text: String = std::iter::once(head).chain(lines).collect::<String>() + "#EXT-X-ENDLIST\n";
    text.into()
}

/// The version that `bytes` are, whole and not older than `last`.
pub fn newer(bytes: &[u8], last: u32) -> Result<u32, String> {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().nth(1).unwrap_or_default();
    let number = line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:").and_then(|number| number.parse().ok());
    let Some(number) = number else {
        return Err(format!("after version {last}: {} bytes, no number in them", bytes.len()));
    };
    let whole = version(number).to_bytes();
    if bytes != whole {
        return Err(format!("version {number} has {} bytes of {}", bytes.len(), whole.len()));
    }
    if number < last { Err(format!("version {number} came after {last}")) } else { Ok(number) }
}

/// Uploads are dropped at eighths of the time that a whole one takes: where nothing was, and over an older object;
/// followed by another put at once, and by none.
pub async fn a_dropped_put_is_never_seen(case: &Case) {
    // No larger than what can be got.
    let large = body(3, 15 << 20, 64 * 1024);
    let begun = Instant::now();
    case.put(&case.key("measure/whole.ts"), large.clone()).await;
    let took = begun.elapsed();

    let mut alone = Vec::new();
    let mut followed = Vec::new();
    for eighth in 0..8 {
        for is_there in [false, true] {
            for is_followed in [false, true] {
                let list = if is_followed { &mut followed } else { &mut alone };
                let name = if is_followed { "followed" } else { "alone" };
                let key = case.key(&format!("{name}/{eighth}-{is_there}.ts"));
                if is_there {
                    case.put(&key, text("old")).await;
                }
                let put = case.destination.put(&key, large.clone());
                let is_done = match tokio::time::timeout(took * eighth / 8, put).await {
                    Ok(done) => done.map(|()| true).unwrap_or_else(|error| case.fail(&said(&error))),
                    Err(_) => false,
                };
                if is_followed {
                    case.put(&key, text("next")).await;
                }
                list.push((key, is_there, is_done));
            }
        }
    }

    let large = large.to_bytes();
    let deadline = Instant::now() + WATCH;
    while Instant::now() < deadline {
        for (key, is_there, is_done) in &alone {
            let seen = case.seen(key).await;
            let is_as_before = match &seen {
                None => !is_there,
                Some(bytes) => *is_there && &bytes[..] == b"old",
            };
            // The last byte may have been on its way when it was dropped.
            let is_whole = seen.as_ref() == Some(&large);
            let len = seen.map(|bytes| bytes.len());
            case.check(
                is_whole || is_as_before && !is_done,
                &format!("{key} has {len:?} bytes of {}", large.len()),
            );
        }
        for (key, ..) in &followed {
            case.expect(key, &text("next")).await;
        }
    }
    nothing_else_lies_about(case, followed.len()).await;
}

/// The puts that followed have cleared away what the dropped ones left.
async fn nothing_else_lies_about(case: &Case, files: usize) {
    let Some(folder) = &case.view.folder else { return };
    let folder = folder.join(case.key("followed"));
    let deadline = Instant::now() + CLEARED;
    loop {
        let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
        let entries: Vec<_> = entries.collect();
        if entries.len() == files {
            return;
        }
        case.check(Instant::now() < deadline, &format!("{files} files should be there: {entries:?}"));
        // What was dropped may come when the put behind it is done: further ones find it.
        case.put(&case.key("after/more.ts"), text("more")).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
