//! Files that are being sent under a temporary name, and those that were given up.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What temporary names begin and end with.
const PREFIX: &str = ".";
const SUFFIX: &str = ".segcast-part";
/// Bytes of a name that every file system takes.
const MAX_NAME: usize = 255;

/// The temporary names that may be at a server, each with what it was to become.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<Vec<Temporary>>);

#[derive(Debug)]
struct Temporary {
    path: String,
    target: String,
    is_running: bool,
}

/// One try to put a file. Given up with its drop, unless it was cleared away before.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    attempts: &'a Attempts,
    /// The temporary name's path.
    pub temporary: String,
}

impl Attempts {
    /// Begins to put the file at the path `target`, under a name that nobody had before.
    pub fn begin(&self, target: &str) -> Attempt<'_> {
        let temporary = temporary(target, RandomState::new().build_hasher().finish());
        let entry = Temporary { path: temporary.clone(), target: target.to_owned(), is_running: true };
        self.lock().push(entry);
        Attempt { attempts: self, temporary }
    }

    /// What earlier attempts for `target` may have left.
    pub fn abandoned(&self, target: &str) -> Vec<String> {
        let entries = self.lock();
        let of_target = entries.iter().filter(|entry| !entry.is_running && entry.target == target);
        of_target.map(|entry| entry.path.clone()).collect()
    }

    /// Something that any earlier attempt may have left.
    pub fn any_abandoned(&self) -> Option<String> {
        self.lock().iter().find(|entry| !entry.is_running).map(|entry| entry.path.clone())
    }

    /// Nothing is at `temporary` any more.
    pub fn clear(&self, temporary: &str) {
        self.lock().retain(|entry| entry.path != temporary);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Temporary>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut entries = self.attempts.lock();
        if let Some(entry) = entries.iter_mut().find(|entry| entry.path == self.temporary) {
            entry.is_running = false;
        }
    }
}

/// Whether a file of this name is one that was being sent.
pub(super) fn is_temporary(name: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}

fn temporary(target: &str, unique: u64) -> String {
    let (folder, name) = target.rsplit_once('/').map_or(("", target), |(folder, name)| (folder, name));
    let slash = if target.contains('/') { "/" } else { "" };
    let whole = format!("{PREFIX}{name}.{unique:016x}{SUFFIX}");
    if whole.len() <= MAX_NAME {
        format!("{folder}{slash}{whole}")
    } else {
        format!("{folder}{slash}{PREFIX}{unique:016x}{SUFFIX}")
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
        assert!(is_temporary(".x.0000000000000007.segcast-part"));
        assert!(!is_temporary("x.ts"));
    }

    #[test]
    fn a_dropped_attempt_is_remembered_until_it_is_cleared_away() {
        let attempts = Attempts::default();
        let dropped = attempts.begin("/a");
        let path = dropped.temporary.clone();
        assert!(attempts.abandoned("/a").is_empty(), "it still runs");
        drop(dropped);
        assert_eq!(attempts.abandoned("/a"), std::slice::from_ref(&path));
        assert!(attempts.abandoned("/b").is_empty());
        assert_eq!(attempts.any_abandoned().as_ref(), Some(&path));
        attempts.clear(&path);
        assert!(attempts.any_abandoned().is_none());

        let done = attempts.begin("/a");
        attempts.clear(&done.temporary);
        drop(done);
        assert!(attempts.any_abandoned().is_none());
    }
}
