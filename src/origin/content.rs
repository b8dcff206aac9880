//! What is at a path of the stream, now or in a while.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::folder::Folder;
use super::reload::Directives;
use super::scene::{Playlist, Reload, Scene};
use super::shelf::Object;

/// Where the stream is.
#[derive(Debug)]
pub enum Content {
    /// In memory: what a channel shows.
    Stage(watch::Receiver<Arc<Scene>>),
    /// On disk.
    Folder(Folder),
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
    /// What is at `key` for who says `directives`.
    pub(super) fn look(&self, key: &str, directives: Directives) -> Look {
        if let Some(object) = self.object(key) {
            return Look::Now(Found::Object(object.clone()));
        }
        let Some(playlist) = self.playlist(key) else {
            let is_coming = self.is_promised(key) || self.is_hinted(key);
            return if is_coming { Look::Later } else { Look::Now(Found::Nothing) };
        };
        match playlist.reload(directives) {
            Reload::Wait if !self.is_over => Look::Later,
            Reload::TooFar => Look::Now(Found::TooFar),
            Reload::Ready | Reload::Wait => Look::Now(Found::Playlist(Arc::clone(playlist))),
        }
    }
}

/// Waits until what is at `key` is there, as long as a request may wait.
pub async fn wait(
    mut scenes: watch::Receiver<Arc<Scene>>,
    key: &str,
    directives: Directives,
) -> Option<Found> {
    let patience = scenes.borrow().patience.max(Duration::from_secs(1));
    let found = async {
        loop {
            if let Look::Now(found) = scenes.borrow_and_update().look(key, directives) {
                return Some(found);
            }
            scenes.changed().await.ok()?;
        }
    };
    timeout(patience, found).await.ok().flatten()
}
