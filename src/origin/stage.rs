//! The channel's side.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;
use tokio::sync::watch;

use super::media_type;
use super::metric::Durations;
use super::scene::{Edge, Playlist, Scene, Text};
use super::status::Status;
use super::tally::Class;
use crate::chunks::Chunks;
use crate::live::{self, Retention, Snapshot};

/// Target durations after which an object goes that no playlist has ever named.
const UNNAMED_TARGETS: u32 = 10;

/// One channel's content, the writer's side. What readers do is nothing to it.
#[derive(Debug)]
pub struct Stage {
    options: live::Options,
    scene: Scene,
    scenes: watch::Sender<Arc<Scene>>,
    status: watch::Sender<Arc<Status>>,
    shown: Arc<Snapshot>,
    retention: Retention,
    /// Keys that were put since something was shown.
    fresh: Vec<String>,
    /// Of each rendition's segments.
    durations: Vec<Histogram>,
}

impl Stage {
    pub(super) fn new(
        name: &str,
        options: &live::Options,
        scenes: watch::Sender<Arc<Scene>>,
        status: watch::Sender<Arc<Status>>,
        durations: &Durations,
    ) -> Self {
        let playlists = options.renditions.iter().map(|one| one.playlist.clone());
        let promised: Vec<String> = options.multivariant.iter().cloned().chain(playlists).collect();
        let scene = Scene {
            name: name.into(),
            entry: options.entry().into(),
            promised: promised.into(),
            patience: 3 * options.target,
            ..Scene::default()
        };
        let durations = options.renditions.iter().map(|one| durations.of_segments(&one.name)).collect();
        scenes.send_replace(Arc::new(scene.clone()));
        Self {
            options: options.clone(),
            scene,
            scenes,
            status,
            shown: Arc::default(),
            retention: Retention::default(),
            fresh: Vec::new(),
            durations,
        }
    }

    /// Puts a whole segment, or what initialises segments, ahead of the snapshot that names it.
    pub fn put(&mut self, key: &str, body: Chunks) {
        let class = if key.ends_with(".mp4") { Class::Init } else { Class::Segment };
        self.keep(key, body, class);
    }

    /// Puts a part, ahead of the snapshot that names it.
    pub fn put_part(&mut self, key: &str, body: Chunks) {
        self.keep(key, body, Class::Part);
    }

    fn keep(&mut self, key: &str, body: Chunks, class: Class) {
        self.scene.shelf.put(key, body, self.media_type(key), class);
        self.fresh.push(key.to_owned());
    }

    fn media_type(&self, key: &str) -> &'static str {
        media_type::of(key)
    }

    /// Shows `snapshot` to readers from `now` on, which is time since the channel's start. What no playlist names any
    /// more goes when its time has come (RFC 8216 §6.2.2).
    pub fn show(&mut self, snapshot: &Arc<Snapshot>, now: Duration) {
        for rendition in 0..self.options.renditions.len() {
            self.show_media(snapshot, rendition, now);
        }
        if snapshot.multivariant() != self.shown.multivariant()
            && let (Some(key), Some(text)) = (&self.options.multivariant, snapshot.multivariant())
        {
            let playlist = Playlist { text: Text::new(text.to_owned()), delta: None, hint: None, edge: None };
            self.scene.playlists.insert(key.as_str().into(), Arc::new(playlist));
        }
        self.shown = Arc::clone(snapshot);
        self.let_go(now);
        self.scenes.send_replace(Arc::new(self.scene.clone()));
    }

    fn show_media(&mut self, snapshot: &Snapshot, rendition: usize, now: Duration) {
        let Some(view) = snapshot.view(rendition) else { return };
        let before = self.shown.view(rendition);
        if before.is_some_and(|before| Arc::ptr_eq(before, view)) {
            return;
        }
        let media = view.media();
        let known = before.map_or(media.media_sequence, |before| before.end());
        let new = view.end().saturating_sub(known) as usize;
        for segment in media.segments.iter().rev().take(new) {
            self.durations[rendition].observe(segment.duration.as_secs_f64());
        }
        self.retention.show(rendition, view, now);
        self.scene.patience = 3 * media.target_duration;
        let playlist = Playlist {
            text: Text::new(media.render()),
            delta: None,
            hint: None,
            edge: Some(Edge { next: view.end(), parts: None, ahead: 0, is_ended: media.is_ended }),
        };
        let key = self.options.renditions[rendition].playlist.as_str().into();
        self.scene.playlists.insert(key, Arc::new(playlist));
    }

    /// Lets go what no playlist has named for long enough.
    fn let_go(&mut self, now: Duration) {
        let late = now.saturating_add(UNNAMED_TARGETS * self.options.target);
        for key in std::mem::take(&mut self.fresh) {
            if !self.is_named(&key) {
                self.retention.expire(key, late);
            }
        }
        while let Some(key) = self.retention.take(now) {
            if !self.is_named(&key) {
                self.scene.shelf.remove(&key);
            }
        }
    }

    fn is_named(&self, key: &str) -> bool {
        let views = (0..self.options.renditions.len()).filter_map(|rendition| self.shown.view(rendition));
        views.flat_map(|view| view.named()).any(|(named, _)| named == key)
    }

    /// Tells how the channel is doing.
    pub fn status(&self, status: Status) {
        self.status.send_replace(Arc::new(status));
    }

    /// Objects that are held, and their bytes.
    pub const fn held(&self) -> (usize, u64) {
        self.scene.held()
    }
}

impl Drop for Stage {
    /// Nothing more will come: nobody waits for it.
    fn drop(&mut self) {
        self.scene.is_over = true;
        self.scenes.send_replace(Arc::new(std::mem::take(&mut self.scene)));
    }
}
