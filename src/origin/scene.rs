//! What readers see at one moment.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::playlist::Playlist;
use super::reload::Directives;
use super::shelf::{Object, Shelf};
use crate::live::{Reload, Snapshot};

/// What readers see at one moment. It never changes: whoever holds it may take as long as they like.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    pub(super) shelf: Shelf,
    pub(super) playlists: HashMap<Arc<str>, Arc<Playlist>>,
    /// The channel's name.
    pub(super) name: Arc<str>,
    /// Key of the playlist that viewers open.
    pub(super) entry: Arc<str>,
    /// The playlists that there are or will be.
    pub(super) promises: Arc<[Promise]>,
    /// What they say; none before anything was shown.
    pub(super) snapshot: Option<Arc<Snapshot>>,
    /// How long a request may wait for something: three target durations.
    pub(super) patience: Duration,
    /// Whether nothing more will come.
    pub(super) is_over: bool,
}

/// A playlist that there is or will be.
#[derive(Clone, Debug)]
pub struct Promise {
    pub(super) key: String,
    /// The rendition whose playlist it is; none for a multivariant playlist.
    pub(super) rendition: Option<usize>,
}

/// What is at a path.
#[derive(Debug)]
pub enum Found {
    Object(Object),
    Playlist(Arc<Playlist>),
    /// Nobody can know yet of what is asked for.
    TooFar,
    Nothing,
}

/// Whether it is there.
#[derive(Debug)]
pub enum Look {
    Now(Found),
    /// It will be.
    Later,
}

impl Scene {
    /// What is known of a folder that is served in place of a channel.
    pub(super) fn of_folder(name: &str, entry: &str) -> Self {
        Self { name: name.into(), entry: entry.into(), ..Self::default() }
    }

    /// Whether there are parts: low latency.
    pub(super) fn has_parts(&self) -> bool {
        self.snapshot.as_ref().is_some_and(|snapshot| snapshot.options().has_parts)
    }

    /// What is at `key` for who says `directives`.
    pub(super) fn look(&self, key: &str, directives: Directives) -> Look {
        // Playlists first: it is for them that thousands wait, and look again at every change.
        let Some(promise) = self.promises.iter().find(|one| one.key == key) else {
            return match self.shelf.object(key) {
                Some(object) => Look::Now(Found::Object(object.clone())),
                None if self.is_hinted(key) => Look::Later,
                None => Look::Now(Found::Nothing),
            };
        };
        let playlist = self.playlists.get(key);
        match (self.reload(promise, directives), playlist) {
            (Reload::TooFar, Some(_)) => Look::Now(Found::TooFar),
            (Reload::Wait, Some(_)) if !self.is_over => Look::Later,
            (_, Some(playlist)) => Look::Now(Found::Playlist(Arc::clone(playlist))),
            (Reload::Gone, None) => Look::Now(Found::Nothing),
            (_, None) if self.is_over => Look::Now(Found::Nothing),
            (_, None) => Look::Later,
        }
    }

    /// Whether more may be known of a playlist than in the scene `before`.
    pub(super) fn has_news(&self, promise: &Promise, before: &Self) -> bool {
        let place = |scene: &Self| scene.playlists.get(promise.key.as_str()).map(Arc::as_ptr);
        let is_absent = |scene: &Self| {
            let snapshot = scene.snapshot.as_ref().zip(promise.rendition);
            snapshot.is_some_and(|(snapshot, rendition)| snapshot.is_absent(rendition))
        };
        // What both hold at the same time lies at the same place only if it is the same.
        self.is_over != before.is_over || place(self) != place(before) || is_absent(self) != is_absent(before)
    }

    fn reload(&self, promise: &Promise, directives: Directives) -> Reload {
        match (&self.snapshot, promise.rendition, directives.msn) {
            (Some(snapshot), Some(rendition), Some(msn)) => snapshot.answers(rendition, msn, directives.part),
            (Some(snapshot), Some(rendition), None) if snapshot.is_absent(rendition) => Reload::Gone,
            _ => Reload::Ready,
        }
    }

    /// Whether a playlist hints at `key`.
    fn is_hinted(&self, key: &str) -> bool {
        !self.is_over && self.playlists.values().any(|one| one.hints_at(key))
    }

    /// Whether the playlist that viewers open is out.
    pub fn is_ready(&self) -> bool {
        self.playlists.contains_key(&self.entry)
    }

    /// Objects that are held, and their bytes.
    pub const fn held(&self) -> (usize, u64) {
        (self.shelf.count(), self.shelf.size_bytes())
    }
}
