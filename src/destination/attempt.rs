//! Files that are being sent to a server under a temporary name, and those that were given up.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What temporary names begin and end with.
pub(super) const PREFIX: &str = ".";
pub(super) const SUFFIX: &str = ".segcast-part";
/// Bytes of a name that every file system takes.
const MAX_NAME: usize = 255;
/// How long what was sent before a connection was closed may still come to its server.
pub(super) const ON_ITS_WAY: Duration = Duration::from_secs(60);

/// What attempts that were given up may have left at a server, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<VecDeque<Abandoned>>);

#[derive(Debug)]
struct Abandoned {
    path: String,
    /// What it was to become.
    target: String,
    since: Instant,
    /// Whether it is not asked for before each further attempt any more, but only in its turn.
    is_set_aside: bool,
}

/// One try to put a file. If it is dropped before it is done, what it left is remembered.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    attempts: &'a Attempts,
    target: &'a str,
    path: String,
    is_done: bool,
}

impl Attempts {
    /// Begins to put the file at the path `target`, under a name that nobody had before.
    pub fn begin<'a>(&'a self, target: &'a str) -> Attempt<'a> {
        let path = temporary(target, RandomState::new().build_hasher().finish());
        Attempt { attempts: self, target, path, is_done: false }
    }

    /// Paths that earlier attempts for `target` may have left, but for those that were set aside.
    pub fn left(&self, target: &str) -> Vec<String> {
        let entries = self.lock();
        let left = entries.iter().filter(|left| left.target == target && !left.is_set_aside);
        left.map(|left| left.path.clone()).collect()
    }

    /// A path that any earlier attempt may have left; each in its turn.
    pub fn next_left(&self) -> Option<String> {
        let mut entries = self.lock();
        let left = entries.pop_front()?;
        let path = left.path.clone();
        entries.push_back(left);
        Some(path)
    }

    /// What was at `path` is deleted.
    pub fn deleted(&self, path: &str) {
        self.lock().retain(|left| left.path != path);
    }

    /// Nothing was at `path`. What was sent before its connection was closed may still come within `time`.
    pub fn absent_for(&self, path: &str, time: Duration) {
        self.lock().retain(|left| left.path != path || left.since.elapsed() < time);
    }

    /// What may be at `path` holds up no further attempt for its target: it is deleted in its turn.
    pub fn set_aside(&self, path: &str) {
        self.lock().iter_mut().filter(|left| left.path == path).for_each(|left| left.is_set_aside = true);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Abandoned>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// The temporary name's path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Nothing is left of it.
    pub fn done(mut self) {
        self.is_done = true;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            let (path, target) = (std::mem::take(&mut self.path), self.target.to_owned());
            self.attempts.lock().push_back(Abandoned {
                path,
                target,
                since: Instant::now(),
                is_set_aside: false,
            });
        }
    }
}

/// Whether a file of this name is one that was being sent.
pub(super) fn is_temporary(name: &[u8]) -> bool {
    name.starts_with(PREFIX.as_bytes()) && name.ends_with(SUFFIX.as_bytes())
}

fn temporary(target: &str, unique: u64) -> String {
    let begin = target.rfind('/').map_or(0, |slash| slash + 1);
    let (folder, name) = target.split_at(begin);
    let whole = format!("{PREFIX}{name}.{unique:016x}{SUFFIX}");
    if whole.len() <= MAX_NAME {
        format!("{folder}{whole}")
    } else {
        format!("{folder}{PREFIX}{unique:016x}{SUFFIX}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_name_is_beside_its_target() {
        assert_eq!(temporary("/a b/ü.ts", 7), "/a b/.ü.ts.0000000000000007.segcast-part");
        assert_eq!(temporary("x", 7), ".x.0000000000000007.segcast-part");
        let long = temporary(&format!("/a/{}", "x".repeat(250)), 7);
        assert_eq!(long, "/a/.0000000000000007.segcast-part");
        assert!(is_temporary(b".x.0000000000000007.segcast-part") && !is_temporary(b"x.ts"));
    }

    #[test]
    fn what_a_dropped_attempt_left_is_remembered_until_it_is_deleted() {
        let attempts = Attempts::default();
        let dropped = attempts.begin("/a");
        let path = dropped.path().to_owned();
        assert!(attempts.left("/a").is_empty(), "it still runs");
        drop(dropped);
        assert_eq!(attempts.left("/a"), std::slice::from_ref(&path));
        assert!(attempts.left("/b").is_empty());
        attempts.absent_for(&path, ON_ITS_WAY);
        assert_eq!(attempts.left("/a"), std::slice::from_ref(&path), "it may still come");
        attempts.set_aside(&path);
        assert!(attempts.left("/a").is_empty(), "it holds up nobody");
        assert_eq!(attempts.next_left(), Some(path.clone()));
        attempts.deleted(&path);
        assert!(attempts.lock().is_empty());
        attempts.begin("/a").done();
        assert!(attempts.lock().is_empty());
    }

    #[test]
    fn each_of_those_that_are_left_has_its_turn() {
        let attempts = Attempts::default();
        assert_eq!(attempts.next_left(), None);
        let paths: Vec<String> = ["/a", "/b", "/c"].map(|target| attempts.begin(target).path().into()).into();
        let turns: Vec<String> = std::iter::from_fn(|| attempts.next_left()).take(4).collect();
        assert_eq!(turns, [&paths[..], &paths[..1]].concat());
    }
}
