//! Files that are being sent under a temporary name, and those that were given up.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What temporary names begin and end with.
pub(super) const PREFIX: &str = ".";
pub(super) const SUFFIX: &str = ".segcast-part";
/// Bytes of a name that every file system takes.
const MAX_NAME: usize = 255;
/// How long what was sent before a connection was closed may still come to its server.
const ON_ITS_WAY: Duration = Duration::from_secs(60);

/// What attempts that were given up may have left at the server, by the path that it was to become.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<HashMap<String, Vec<Abandoned>>>);

#[derive(Debug)]
struct Abandoned {
    path: String,
    since: Instant,
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

    /// Paths that earlier attempts for `target` may have left.
    pub fn left(&self, target: &str) -> Vec<String> {
        let entries = self.lock();
        let left = entries.get(target).into_iter().flatten();
        left.map(|abandoned| abandoned.path.clone()).collect()
    }

    /// The files at `gone` were deleted, those at other paths of `target` were not there. What was sent may still come.
    pub fn forget(&self, target: &str, gone: &[String]) {
        let mut entries = self.lock();
        let Some(left) = entries.get_mut(target) else { return };
        left.retain(|abandoned| !gone.contains(&abandoned.path) && abandoned.since.elapsed() < ON_ITS_WAY);
        if left.is_empty() {
            entries.remove(target);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Abandoned>>> {
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
            let abandoned = Abandoned { path: std::mem::take(&mut self.path), since: Instant::now() };
            self.attempts.lock().entry(self.target.to_owned()).or_default().push(abandoned);
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
        attempts.forget("/a", &[]);
        assert_eq!(
            attempts.left("/a"),
            std::slice::from_ref(&path),
            "it was not there yet, but may still come"
        );
        attempts.forget("/a", &[path]);
        assert!(attempts.lock().is_empty());
        attempts.begin("/a").done();
        assert!(attempts.lock().is_empty());
    }
}
