//! Connections that are kept and used again.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Connections that nobody uses.
#[derive(Debug)]
pub(super) struct Idle<T>(Mutex<Vec<T>>);

impl<T> Idle<T> {
    /// None yet.
    pub const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// The one that was used last.
    pub fn take(&self) -> Option<T> {
        self.lock().pop()
    }

    /// Keeps one that was just used.
    pub fn keep(&self, connection: T) {
        self.lock().push(connection);
    }

    /// Keeps one that nobody has used for a while: it is taken after all others.
    pub fn keep_last(&self, connection: T) {
        self.lock().insert(0, connection);
    }

    /// Closes those that are not `sound`.
    pub fn retain(&self, sound: impl FnMut(&T) -> bool) {
        self.lock().retain(sound);
    }

    /// Takes those of which `is_wanted` holds.
    pub fn take_those(&self, is_wanted: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut idle = self.lock();
        let (wanted, rest) = std::mem::take(&mut *idle).into_iter().partition(is_wanted);
        *idle = rest;
        wanted
    }

    /// Closes all.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_is_taken_first() {
        let idle = Idle::new();
        (1..=4).for_each(|n| idle.keep(n));
        idle.keep_last(0);
        assert_eq!(idle.take(), Some(4));
        assert_eq!(idle.take_those(|n| n % 2 == 0), [0, 2]);
        idle.retain(|n| *n != 1);
        assert_eq!((idle.take(), idle.take()), (Some(3), None));
        idle.keep(5);
        idle.clear();
        assert_eq!(idle.take(), None);
    }
}
