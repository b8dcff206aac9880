//! What is at a path of the stream, now or in a while.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::folder::Folder;
use super::herald::Herald;
use super::reload::Directives;
use super::scene::{Found, Look, Scene};

/// Where the stream is.
#[derive(Debug)]
pub enum Content {
    /// In memory: what a channel shows.
    Stage(Shown),
    /// On disk.
    Folder(Folder),
}

/// What a channel shows.
#[derive(Debug)]
pub struct Shown {
    scenes: watch::Receiver<Arc<Scene>>,
    herald: Herald,
}

impl Shown {
    /// Must be called within a tokio runtime.
    pub fn new(scenes: watch::Receiver<Arc<Scene>>) -> Self {
        Self { herald: Herald::start(scenes.clone()), scenes }
    }

    /// What is shown now.
    pub fn scene(&self) -> Arc<Scene> {
        Arc::clone(&self.scenes.borrow())
    }

    /// Waits until what is at `key` is there, as long as a request may wait.
    pub async fn wait(&self, key: &str, directives: Directives) -> Option<Found> {
        let patience = self.scene().patience.max(Duration::from_secs(1));
        let mut word = self.herald.word(key);
        let found = async {
            loop {
                // Before the look: what comes behind it is heard of.
                word.mark_unchanged();
                if let Look::Now(found) = self.scene().look(key, directives) {
                    return Some(found);
                }
                word.changed().await.ok()?;
            }
        };
        timeout(patience, found).await.ok().flatten()
    }
}
