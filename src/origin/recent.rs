//! Files that were asked for of late, as they were found.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use hyper::header::HeaderValue;

use super::text::Text;

/// How long a file is taken to be as it was seen: much less than the way to a viewer takes.
const STILL: Duration = Duration::from_millis(20);
/// Changes that come sooner one after the other may have the same time in some file systems.
const COARSE: Duration = Duration::from_secs(2);
/// The most files that are known, and the most of their bytes.
const MOST_FILES: usize = 512;
const MOST_BYTES: u64 = 64 << 20;
/// The most bytes of whole files in memory, known ones and those that slow clients still read.
const ROOM_BYTES: u64 = 128 << 20;

/// Files that were asked for of late, by key.
#[derive(Debug)]
pub struct Recent {
    began: Instant,
    /// How old a change has to be to be told from the next.
    coarse: Duration,
    files: Mutex<HashMap<Box<str>, Arc<Seen>>>,
    held_bytes: Arc<AtomicU64>,
}

/// A file as it was found.
#[derive(Debug)]
pub struct Seen {
    pub identity: Identity,
    /// Where it really lies, which is in the folder.
    pub real: PathBuf,
    pub tag: HeaderValue,
    pub size_bytes: u64,
    pub content: Content,
    /// When it was last looked at, in milliseconds since the folder is served.
    looked: AtomicU64,
}

/// What is in a file.
#[derive(Clone, Debug)]
pub enum Content {
    Text(Text),
    Whole(Bytes),
    /// Too much to hold.
    Large,
}

/// What is another as soon as a file is another one, or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
    size_bytes: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    pub fn of(about: &Metadata) -> Self {
        Self {
            device: about.dev(),
            inode: about.ino(),
            size_bytes: about.size(),
            written: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        }
    }

    /// Whether a further change is sure to have another time.
    fn is_settled(&self, coarse: Duration) -> bool {
        let (seconds, nanoseconds) = self.written.max(self.changed);
        let (seconds, nanoseconds) =
            (u64::try_from(seconds).unwrap_or(0), u32::try_from(nanoseconds).unwrap_or(0));
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        now.checked_sub(Duration::new(seconds, nanoseconds)).is_some_and(|age| age >= coarse)
    }
}

impl Default for Recent {
    fn default() -> Self {
        Self::with(COARSE)
    }
}

impl Recent {
    /// Of files that are as they are since `coarse`.
    pub fn with(coarse: Duration) -> Self {
        Self { began: Instant::now(), coarse, files: Mutex::default(), held_bytes: Arc::default() }
    }

    /// What was at `key` a moment ago; none of what is too large to be held.
    pub fn still(&self, key: &str) -> Option<Arc<Seen>> {
        let seen = self.files().get(key).cloned()?;
        let age = self.now().saturating_sub(seen.looked.load(Relaxed));
        (!matches!(seen.content, Content::Large) && u128::from(age) < STILL.as_millis()).then_some(seen)
    }

    /// What was at `key`, if the file there is the same.
    pub fn same(&self, key: &str, identity: &Identity) -> Option<Arc<Seen>> {
        let seen = self.files().get(key).cloned().filter(|seen| seen.identity == *identity)?;
        seen.looked.store(self.now(), Relaxed);
        Some(seen)
    }

    /// Keeps what was found, unless the file was changed a moment ago.
    pub fn keep(&self, key: &str, seen: &Arc<Seen>) {
        let mut files = self.files();
        files.remove(key);
        if !seen.identity.is_settled(self.coarse) {
            return;
        }
        seen.looked.store(self.now(), Relaxed);
        files.insert(key.into(), Arc::clone(seen));
        let size = |files: &HashMap<_, Arc<Seen>>| files.values().map(|seen| seen.held_bytes()).sum::<u64>();
        while files.len() > MOST_FILES || size(&files) > MOST_BYTES {
            let others = files.iter().filter(|(other, _)| &***other != key);
            let oldest = others.min_by_key(|(_, seen)| seen.looked.load(Relaxed));
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else { return };
            files.remove(&oldest);
        }
    }

    /// Room for so many bytes; none if too many are held already.
    pub fn room(&self, size_bytes: u64) -> Option<Room> {
        let room = Room { held_bytes: Arc::clone(&self.held_bytes), size_bytes };
        (self.held_bytes.fetch_add(size_bytes, Relaxed) + size_bytes <= ROOM_BYTES).then_some(room)
    }

    fn files(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Seen>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Seen {
    pub const fn new(
        identity: Identity,
        real: PathBuf,
        tag: HeaderValue,
        size_bytes: u64,
        content: Content,
    ) -> Self {
        Self { identity, real, tag, size_bytes, content, looked: AtomicU64::new(0) }
    }

    fn held_bytes(&self) -> u64 {
        match &self.content {
            Content::Text(text) => text.plain.0.len() as u64,
            Content::Whole(bytes) => bytes.len() as u64,
            Content::Large => 0,
        }
    }
}

/// Room for a file in memory, until nobody reads it any more.
#[derive(Debug)]
pub struct Room {
    held_bytes: Arc<AtomicU64>,
    size_bytes: u64,
}

impl Room {
    /// Puts `bytes` there.
    pub fn hold(self, bytes: Vec<u8>) -> Bytes {
        struct Held(Vec<u8>, #[expect(dead_code, reason = "it is given back with the bytes")] Room);
        impl AsRef<[u8]> for Held {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        Bytes::from_owner(Held(bytes, self))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.held_bytes.fetch_sub(self.size_bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Identity = Identity { device: 1, inode: 1, size_bytes: 1, written: (1, 0), changed: (1, 0) };

    fn seen(identity: Identity, size: usize) -> Arc<Seen> {
        let content = Content::Whole(vec![0; size].into());
        let tag = HeaderValue::from_static("\"a\"");
        Arc::new(Seen::new(identity, PathBuf::new(), tag, size as u64, content))
    }

    #[test]
    fn a_file_is_known_until_it_is_another() {
        let recent = Recent::default();
        recent.keep("a", &seen(OLD, 1));
        assert!(recent.same("a", &OLD).is_some());
        for other in [
            Identity { inode: 2, ..OLD },
            Identity { device: 2, ..OLD },
            Identity { size_bytes: 2, ..OLD },
            Identity { written: (1, 1), ..OLD },
            Identity { changed: (1, 1), ..OLD },
        ] {
            assert!(recent.same("a", &other).is_none());
        }
        assert!(recent.same("b", &OLD).is_none());
    }

    #[test]
    fn one_that_was_changed_just_now_is_looked_at_again() {
        let recent = Recent::default();
        recent.keep("a", &seen(OLD, 1));
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let fresh = Identity { written: (now.cast_signed(), 0), ..OLD };
        recent.keep("a", &seen(fresh, 1));
        assert!(recent.still("a").is_none() && recent.same("a", &fresh).is_none());
    }

    #[test]
    fn what_is_known_and_held_stays_within_bounds() {
        let recent = Recent::default();
        (0..2 * MOST_FILES).for_each(|n| recent.keep(&n.to_string(), &seen(OLD, 1)));
        assert_eq!(recent.files().len(), MOST_FILES);
        recent.keep("all", &seen(OLD, MOST_BYTES as usize));
        assert_eq!(recent.files().len(), 1);
        let held = recent.room(ROOM_BYTES).unwrap().hold(vec![1]);
        assert!(recent.room(1).is_none());
        drop(held.slice(..0));
        assert!(recent.room(1).is_none());
        drop(held);
        assert!(recent.room(1).is_some());
    }
}
