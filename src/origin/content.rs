//! What is at a path of the stream, now or in a while.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::folder::Folder;
use super::reload::Directives;
use super::scene::{Found, Look, Scene};

/// Where the stream is.
#[derive(Debug)]
pub enum Content {
    /// In memory: what a channel shows.
    Stage(watch::Receiver<Arc<Scene>>),
    /// On disk.
    Folder(Folder),
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
            let scene = Arc::clone(&scenes.borrow_and_update());
            if let Look::Now(found) = scene.look(key, directives) {
                return Some(found);
            }
            drop(scene);
            scenes.changed().await.ok()?;
        }
    };
    timeout(patience, found).await.ok().flatten()
}
