//! What readers see at one moment.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderValue;

use super::reload::Directives;
use super::shelf::{Object, Shelf};
use super::{coding, validator};

/// What readers see at one moment. It never changes: whoever holds it may take as long as they like.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    pub(super) shelf: Shelf,
    pub(super) playlists: HashMap<Arc<str>, Arc<Playlist>>,
    /// The channel's name.
    pub(super) name: Arc<str>,
    /// Key of the playlist that viewers open.
    pub(super) entry: Arc<str>,
    /// Keys of the playlists that there are or will be.
    pub(super) promised: Arc<[String]>,
    /// How long a request may wait for something: three target durations.
    pub(super) patience: Duration,
    /// Whether nothing more will come.
    pub(super) is_over: bool,
}

/// A playlist, ready to be sent.
#[derive(Clone, Debug)]
pub struct Playlist {
    pub(super) text: Text,
    /// Without what a client knows (EXT-X-SKIP); none where that is nothing.
    pub(super) delta: Option<Text>,
    /// Key of the part that is hinted at (EXT-X-PRELOAD-HINT).
    pub(super) hint: Option<String>,
    /// What it reaches to; none for a multivariant playlist.
    pub(super) edge: Option<Edge>,
}

/// What a media playlist reaches to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The media sequence number behind its last segment: that of the open one.
    pub next: u64,
    /// Parts of the open segment; none in a playlist without parts.
    pub parts: Option<u64>,
    /// Parts by which a request may run ahead (the Advance Part Limit).
    pub ahead: u64,
    pub is_ended: bool,
}

/// What is to be done with a request for a playlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// It says what is asked for, or never will say more.
    Ready,
    /// It does not say that yet.
    Wait,
    /// Nobody can know yet of what is asked for.
    TooFar,
}

/// A text as it is, and compressed where that is smaller.
#[derive(Clone, Debug)]
pub struct Text {
    pub(super) plain: (Bytes, HeaderValue),
    pub(super) gzip: Option<(Bytes, HeaderValue)>,
}

impl Scene {
    /// What is known of a folder that is served in place of a channel.
    pub(super) fn of_folder(name: &str, entry: &str) -> Self {
        Self { name: name.into(), entry: entry.into(), ..Self::default() }
    }

    /// Whether there are parts: low latency.
    pub(super) fn has_parts(&self) -> bool {
        self.playlists.values().any(|one| one.edge.is_some_and(|edge| edge.parts.is_some()))
    }

    /// The object at `key`.
    pub(super) fn object(&self, key: &str) -> Option<&Object> {
        self.shelf.object(key)
    }

    /// The playlist at `key`.
    pub(super) fn playlist(&self, key: &str) -> Option<&Arc<Playlist>> {
        self.playlists.get(key)
    }

    /// Whether a playlist will be at `key` sooner or later.
    pub(super) fn is_promised(&self, key: &str) -> bool {
        !self.is_over && self.promised.iter().any(|one| one == key)
    }

    /// Whether a playlist hints at `key`.
    pub(super) fn is_hinted(&self, key: &str) -> bool {
        !self.is_over && self.playlists.values().any(|one| one.hint.as_deref() == Some(key))
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

impl Playlist {
    /// What is to be done with a request that says `directives`.
    pub(super) fn reload(&self, directives: Directives) -> Reload {
        let (Some(edge), Some(msn)) = (self.edge, directives.msn) else { return Reload::Ready };
        edge.answers(msn, directives.part)
    }
}

impl Edge {
    /// rfc8216bis §6.2.5.2.
    fn answers(self, msn: u64, part: Option<u64>) -> Reload {
        let parts = self.parts.unwrap_or(0);
        if self.is_ended || msn < self.next {
            return Reload::Ready;
        }
        // The last segment's number plus two is as far as anybody may ask; the open one is the last plus one.
        if msn - self.next > 1 {
            return Reload::TooFar;
        }
        match part.filter(|_| self.parts.is_some()) {
            None => Reload::Wait,
            Some(part) if msn > self.next => {
                if part > self.ahead {
                    Reload::TooFar
                } else {
                    Reload::Wait
                }
            }
            Some(part) if part < parts => Reload::Ready,
            Some(part) if part - parts >= self.ahead => Reload::TooFar,
            Some(_) => Reload::Wait,
        }
    }
}

impl Text {
    /// Makes `text` ready.
    pub(super) fn new(text: impl Into<Bytes>) -> Self {
        let plain = text.into();
        let packed = coding::gzip(&plain);
        let gzip = packed.map(|packed| (packed, validator::of_text(&plain, "gzip")));
        let tag = validator::of_text(&plain, "");
        Self { plain: (plain, tag), gzip }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_ready_waits_or_is_too_far() {
        let edge = Edge { next: 10, parts: None, ahead: 0, is_ended: false };
        assert_eq!(edge.answers(0, None), Reload::Ready);
        assert_eq!(edge.answers(9, Some(99)), Reload::Ready);
        assert_eq!(edge.answers(10, None), Reload::Wait);
        assert_eq!(edge.answers(10, Some(99)), Reload::Wait, "there are no parts");
        assert_eq!(edge.answers(11, None), Reload::Wait);
        assert_eq!(edge.answers(12, None), Reload::TooFar);
        assert_eq!(edge.answers(u64::MAX, None), Reload::TooFar);
        assert_eq!(Edge { is_ended: true, ..edge }.answers(99, None), Reload::Ready);
    }
}
