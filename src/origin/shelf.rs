//! Objects by key.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use hyper::header::HeaderValue;

use super::tally::Class;
use super::validator;
use crate::chunks::Chunks;

/// Boards of a shelf. A change copies one board, and that only once after each snapshot: of a day's EVENT playlist
/// that is a thousandth of a second's work.
const BOARDS: usize = 64;

/// Objects by key: a map that is cheap to take a snapshot of, and cheap to change after that.
#[derive(Clone, Debug)]
pub struct Shelf {
    boards: [Arc<HashMap<Arc<str>, Object>>; BOARDS],
    count: usize,
    size_bytes: u64,
}

/// What lies at a key; it never changes.
#[derive(Clone, Debug)]
pub struct Object {
    pub body: Chunks,
    pub media_type: &'static str,
    pub class: Class,
    pub tag: HeaderValue,
}

impl Default for Shelf {
    fn default() -> Self {
        Self { boards: std::array::from_fn(|_| Arc::default()), count: 0, size_bytes: 0 }
    }
}

impl Shelf {
    /// Puts `body` at `key`, in place of what is there.
    pub fn put(&mut self, key: &str, body: Chunks, media_type: &'static str, class: Class) {
        let tag = validator::of_name(key, body.size_bytes());
        self.size_bytes += body.size_bytes();
        self.count += 1;
        let object = Object { body, media_type, class, tag };
        if let Some(before) = self.board(key).insert(key.into(), object) {
            self.forget(&before);
        }
    }

    /// Takes away what is at `key`.
    pub fn remove(&mut self, key: &str) {
        if self.boards[place(key)].contains_key(key)
            && let Some(gone) = self.board(key).remove(key)
        {
            self.forget(&gone);
        }
    }

    /// What is at `key`.
    pub fn object(&self, key: &str) -> Option<&Object> {
        self.boards[place(key)].get(key)
    }

    /// How many objects there are.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Their bytes. Parts share theirs with their segment and count twice.
    pub const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn board(&mut self, key: &str) -> &mut HashMap<Arc<str>, Object> {
        Arc::make_mut(&mut self.boards[place(key)])
    }

    fn forget(&mut self, gone: &Object) {
        self.size_bytes -= gone.body.size_bytes();
        self.count -= 1;
    }
}

fn place(key: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish() as usize % BOARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(shelf: &mut Shelf, key: &str, size: usize) {
        shelf.put(key, bytes::Bytes::from(vec![0; size]).into(), "video/mp2t", Class::Segment);
    }

    #[test]
    fn a_snapshot_keeps_what_is_changed_later() {
        let mut shelf = Shelf::default();
        (0..200).for_each(|n| put(&mut shelf, &n.to_string(), n));
        let before = shelf.clone();
        (0..100).for_each(|n| shelf.remove(&n.to_string()));
        put(&mut shelf, "150", 1);
        shelf.remove("none");
        assert_eq!((before.count(), before.size_bytes()), (200, 199 * 100));
        assert_eq!((shelf.count(), shelf.size_bytes()), (100, (100..200).sum::<u64>() - 149));
        assert!(before.object("7").is_some() && shelf.object("7").is_none());
        assert_eq!(shelf.object("150").unwrap().body.size_bytes(), 1);
    }
}
