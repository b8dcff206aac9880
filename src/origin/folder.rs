//! A folder in place of a channel: what `segcast serve` gives.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use rustix::fs::OFlags;
use tokio::task::spawn_blocking;

use super::activity::Exchange;
use super::body::Body;
use super::media_type::{self, PLAYLIST};
use super::reply::{self, Facts, REVALIDATE, said};
use super::scene::Text;
use super::site;
use super::tally::Class;
use super::validator;

/// Files up to this size, in bytes, are read in one go.
const SMALL: u64 = 256 << 10;
/// Playlists beyond this size, in bytes, are not compressed.
const LARGEST_TEXT: u64 = 1 << 20;
/// A file's content may be another one day, but a segment's hardly ever is.
const HOUR: HeaderValue = HeaderValue::from_static("max-age=3600");
/// The playlist that viewers open, unless another is the only one.
const ENTRY: &str = "index.m3u8";

/// A folder; nothing outside of it is ever read.
#[derive(Clone, Debug)]
pub struct Folder {
    root: Arc<Path>,
    entry: String,
}

/// A file that was opened, and its beginning.
#[derive(Debug)]
struct Opened {
    file: File,
    size_bytes: u64,
    tag: HeaderValue,
    /// All of it, if it is small.
    whole: Option<Bytes>,
}

impl Folder {
    /// The folder at `directory`.
    ///
    /// # Errors
    /// If it is none, or cannot be read.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let root = directory.canonicalize()?;
        let mut playlists = Vec::new();
        for entry in fs::read_dir(&root)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if media_type::is_playlist(&name) && !name.starts_with('.') {
                playlists.push(name);
            }
        }
        playlists.sort();
        let has_usual = playlists.iter().any(|name| name == ENTRY);
        let entry = playlists.into_iter().next().filter(|_| !has_usual).unwrap_or_else(|| ENTRY.to_owned());
        Ok(Self { root: root.into(), entry })
    }

    /// Name of the playlist that viewers open.
    pub fn entry(&self) -> &str {
        &self.entry
    }

    /// Whether it is there.
    pub async fn is_ready(&self) -> bool {
        let path = self.root.join(&self.entry);
        spawn_blocking(move || path.is_file()).await.unwrap_or(false)
    }

    /// The answer for what is at `key`; none if there is nothing that may be seen.
    pub async fn answer(
        &self,
        key: &str,
        asked: &HeaderMap,
        exchange: &mut Exchange,
    ) -> Option<Response<Body>> {
        let key = if key.is_empty() { "index.html" } else { key };
        let path = self.path(key)?;
        let root = Arc::clone(&self.root);
        let opened = spawn_blocking(move || open(&root, &path)).await.ok()?;
        let opened = match opened {
            Ok(opened) => opened?,
            Err(error) => {
                tracing::warn!(key, "cannot be read: {error}");
                return Some(said(StatusCode::INTERNAL_SERVER_ERROR, "it cannot be read"));
            }
        };
        exchange.class(class(key));
        Some(answer(key, asked, opened))
    }

    /// Where `key` is; none if it is hidden, as unfinished files and locks are.
    fn path(&self, key: &str) -> Option<PathBuf> {
        let is_hidden = key.split('/').any(|part| part.starts_with('.'));
        (!is_hidden).then(|| self.root.join(key))
    }
}

fn class(key: &str) -> Class {
    match media_type::of(key) {
        PLAYLIST => Class::Playlist,
        _ if key.ends_with(".mp4") => Class::Init,
        kind if kind.starts_with("video/") || kind.starts_with("audio/") => Class::Segment,
        _ => Class::Other,
    }
}

fn answer(key: &str, asked: &HeaderMap, opened: Opened) -> Response<Body> {
    let media_type = media_type::of(key);
    let is_playlist = media_type == PLAYLIST;
    if let Some(text) = opened.whole.clone().filter(|_| is_playlist) {
        return site::text(asked, &Text::new(text), media_type, REVALIDATE);
    }
    let facts = Facts {
        cache: if is_playlist { REVALIDATE } else { HOUR },
        ..Facts::immutable(media_type, &opened.tag, opened.size_bytes)
    };
    let Opened { mut file, whole, .. } = opened;
    reply::found(asked, &facts, |span| match whole {
        Some(bytes) => Body::slices(bytes.into(), span),
        // A place in a file can always be gone to; if not, its end is missing, and the client told.
        None if file.seek(SeekFrom::Start(span.first)).is_ok() => Body::file(file, span.len()),
        None => Body::empty(),
    })
}

/// Opens the file at `path` if it is one, and lies below `root`.
fn open(root: &Path, path: &Path) -> io::Result<Option<Opened>> {
    let real = match path.canonicalize() {
        Ok(real) if real.starts_with(root) => real,
        Ok(_) => return Ok(None),
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    // A pipe shall hold up nobody, and what has become a link since is not followed.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut file = match OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(real) {
        Ok(file) => file,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let about = file.metadata()?;
    if !about.is_file() {
        return Ok(None);
    }
    let size_bytes = about.len();
    let tag = validator::of_file(size_bytes, (about.mtime(), about.mtime_nsec()), about.ino());
    let is_text = media_type::is_playlist(&path.to_string_lossy()) && size_bytes <= LARGEST_TEXT;
    let mut whole = None;
    if size_bytes <= SMALL || is_text {
        let mut bytes = Vec::with_capacity(size_bytes as usize);
        file.by_ref().take(size_bytes).read_to_end(&mut bytes)?;
        // One that is being written may have been cut meanwhile.
        whole = Some(Bytes::from(bytes));
    }
    let size_bytes = whole.as_ref().map_or(size_bytes, |bytes| bytes.len() as u64);
    Ok(Some(Opened { file, size_bytes, tag, whole }))
}

/// Whether there is nothing of that name, or nothing that this user may see.
fn is_missing(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound, PermissionDenied};
    let is_loop = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
    is_loop || matches!(error.kind(), NotFound | NotADirectory | PermissionDenied | InvalidFilename)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("live");
        fs::create_dir_all(root.join("720p")).unwrap();
        fs::write(root.join("all.m3u8"), "#EXTM3U\n").unwrap();
        fs::write(root.join("720p/1.ts"), vec![7; 1000]).unwrap();
        fs::write(root.join(".index.m3u8.segcast-lock"), "").unwrap();
        fs::write(outside.path().join("secret.ts"), "secret").unwrap();
        symlink(outside.path().join("secret.ts"), root.join("out.ts")).unwrap();
        symlink(outside.path(), root.join("up")).unwrap();
        symlink("720p/1.ts", root.join("in.ts")).unwrap();
        let folder = Folder::open(&root).unwrap();
        (outside, folder)
    }

    fn is_seen(folder: &Folder, key: &str) -> bool {
        folder.path(key).is_some_and(|path| open(&folder.root, &path).unwrap().is_some())
    }

    #[test]
    fn only_what_lies_in_the_folder_is_seen() {
        let (_outside, folder) = folder();
        for key in ["all.m3u8", "720p/1.ts", "in.ts"] {
            assert!(is_seen(&folder, key), "{key}");
        }
        let long = "x".repeat(300);
        for key in
            ["out.ts", "up/secret.ts", ".index.m3u8.segcast-lock", "720p", "none", "720p/1.ts/x", &long]
        {
            assert!(!is_seen(&folder, key), "{key}");
        }
    }

    #[test]
    fn the_only_playlist_is_the_one_to_open() {
        let (outside, folder) = folder();
        assert_eq!(folder.entry(), "all.m3u8");
        fs::write(outside.path().join("live/index.m3u8"), "").unwrap();
        assert_eq!(Folder::open(&outside.path().join("live")).unwrap().entry(), ENTRY);
        assert!(Folder::open(&outside.path().join("none")).is_err());
    }
}
