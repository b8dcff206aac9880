//! What is at a path of the stream, now or in a while.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::folder::Folder;
use super::herald::Herald;
use super::reload::Directives;
use super::scene::{Found, Hint, Look, Scene};

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

    /// Waits until the playlist at `key` says what is asked for, as long as a request may wait.
    pub async fn wait(&self, key: &str, directives: Directives) -> Option<Found> {
        let mut word = self.herald.word(key)?;
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
        timeout(self.patience(), found).await.ok().flatten()
    }

    /// Waits until the part that `hint` tells of begins, as long as a request may wait; false if it never does.
    pub async fn has_begun(&self, hint: &mut Hint) -> Option<bool> {
        timeout(self.patience(), hint.growth.has_begun()).await.ok()
    }

    fn patience(&self) -> Duration {
        self.scene().patience.max(Duration::from_secs(1))
    }
}
