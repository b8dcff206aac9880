//! A folder in place of a channel: what `segcast serve` gives.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use rustix::fs::OFlags;
use tokio::task::spawn_blocking;

use super::activity::Exchange;
use super::body::Body;
use super::media_type::{self, PLAYLIST};
use super::recent::{Content, Identity, Recent, Seen};
use super::reply::{self, Facts, REVALIDATE, said};
use super::site;
use super::tally::Class;
use super::text::Text;
use super::validator;

/// Files up to this size, in bytes, are read in one go and held while they are asked for.
const SMALL: u64 = 2 << 20;
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
    recent: Arc<Recent>,
}

/// A file that was found; open if it is a large one.
#[derive(Debug)]
struct Found {
    seen: Arc<Seen>,
    file: Option<File>,
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
        Ok(Self { root: root.into(), entry, recent: Arc::default() })
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
        let found = match self.recent.still(key) {
            Some(seen) => Ok(Some(Found { seen, file: None })),
            None => self.look(key.to_owned(), path).await?,
        };
        let found = match found {
            Ok(found) => found?,
            Err(error) => {
                tracing::warn!(key, "cannot be read: {error}");
                return Some(said(StatusCode::INTERNAL_SERVER_ERROR, "it cannot be read"));
            }
        };
        exchange.class(class(key));
        Some(answer(key, asked, found))
    }

    /// Looks at the disk, away from the runtime's threads.
    async fn look(&self, key: String, path: PathBuf) -> Option<io::Result<Option<Found>>> {
        let (root, recent) = (Arc::clone(&self.root), Arc::clone(&self.recent));
        spawn_blocking(move || find(&root, &recent, &key, &path)).await.ok()
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

fn answer(key: &str, asked: &HeaderMap, found: Found) -> Response<Body> {
    let media_type = media_type::of(key);
    let seen = &*found.seen;
    if let Content::Text(text) = &seen.content {
        return site::text(asked, text, media_type, REVALIDATE);
    }
    let facts = Facts {
        cache: if media_type == PLAYLIST { REVALIDATE } else { HOUR },
        ..Facts::immutable(media_type, &seen.tag, seen.size_bytes)
    };
    reply::found(asked, &facts, |span| match (&seen.content, found.file) {
        (Content::Whole(bytes), _) => Body::slices(bytes.clone().into(), span),
        // A place in a file can always be gone to; if not, its end is missing, and the client told.
        (_, Some(file)) if (&file).seek(SeekFrom::Start(span.first)).is_ok() => Body::file(file, span.len()),
        _ => Body::empty(),
    })
}

/// The file at `path`, as it is known if it is still the same.
fn find(root: &Path, recent: &Recent, key: &str, path: &Path) -> io::Result<Option<Found>> {
    // What was found to lie in the folder does, as long as it is the same file.
    let known = fs::metadata(path).ok().and_then(|about| recent.same(key, &Identity::of(&about)));
    if let Some(seen) = known {
        if !matches!(seen.content, Content::Large) {
            return Ok(Some(Found { seen, file: None }));
        }
        if let Some((file, about)) = open(&seen.real)?
            && Identity::of(&about) == seen.identity
        {
            return Ok(Some(Found { seen, file: Some(file) }));
        }
    }
    let real = match path.canonicalize() {
        Ok(real) if real.starts_with(root) => real,
        Ok(_) => return Ok(None),
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some((mut file, about)) = open(&real)? else { return Ok(None) };
    let content = content(recent, key, &mut file, about.len())?;
    let size_bytes = match &content {
        // One that is being written may have been cut meanwhile.
        Content::Whole(bytes) => bytes.len() as u64,
        _ => about.len(),
    };
    let file = Some(file).filter(|_| matches!(content, Content::Large));
    let tag = validator::of_file(size_bytes, (about.mtime(), about.mtime_nsec()), about.ino());
    let seen = Arc::new(Seen::new(Identity::of(&about), real, tag, size_bytes, content));
    recent.keep(key, &seen);
    Ok(Some(Found { seen, file }))
}

/// What is in `file`, if that is little enough to be held.
fn content(recent: &Recent, key: &str, file: &mut File, size_bytes: u64) -> io::Result<Content> {
    let read = |file: &mut File| {
        let mut bytes = Vec::with_capacity(size_bytes as usize);
        file.take(size_bytes).read_to_end(&mut bytes)?;
        io::Result::Ok(bytes)
    };
    if media_type::is_playlist(key) && size_bytes <= LARGEST_TEXT {
        return Ok(Content::Text(Text::new(read(file)?)));
    }
    match recent.room(size_bytes).filter(|_| size_bytes <= SMALL) {
        Some(room) => Ok(Content::Whole(room.hold(read(file)?))),
        None => Ok(Content::Large),
    }
}

/// Opens what is at `real`, if it is a file.
fn open(real: &Path) -> io::Result<Option<(File, Metadata)>> {
    // A pipe shall hold up nobody, and what has become a link since is not followed.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(real) {
        Ok(file) => file,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let about = file.metadata()?;
    Ok(about.is_file().then_some((file, about)))
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
        folder.path(key).is_some_and(|path| find(&folder.root, &folder.recent, key, &path).unwrap().is_some())
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
    fn what_is_known_is_no_way_out_of_the_folder() {
        let (outside, mut folder) = folder();
        folder.recent = Arc::new(Recent::with(std::time::Duration::ZERO));
        let root = outside.path().join("live");
        let large = outside.path().join("large.ts");
        fs::write(&large, vec![1; 3 << 20]).unwrap();
        fs::write(root.join("720p/large.ts"), vec![2; 3 << 20]).unwrap();
        for key in ["720p/1.ts", "720p/large.ts"] {
            assert!(is_seen(&folder, key) && is_seen(&folder, key));
        }
        assert!(folder.recent.still("720p/1.ts").is_some(), "it is known");
        fs::rename(root.join("720p"), outside.path().join("away")).unwrap();
        assert!(!is_seen(&folder, "720p/1.ts"), "it is gone");
        symlink("../away", root.join("720p")).unwrap();
        fs::rename(&large, outside.path().join("away/large.ts")).unwrap();
        fs::write(outside.path().join("away/1.ts"), "another").unwrap();
        for key in ["720p/1.ts", "720p/large.ts"] {
            assert!(!is_seen(&folder, key), "{key} is another file, outside");
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
