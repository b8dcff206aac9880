//! Word of what is new, for those who wait.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::scene::Scene;

/// Spreads the word that another scene is shown. Whoever shows it wakes this one task, however many wait.
#[derive(Debug)]
pub struct Herald {
    word: watch::Receiver<()>,
    task: JoinHandle<()>,
}

impl Herald {
    /// Listens from now on, until nobody shows anything any more. Must be called within a tokio runtime.
    pub fn start(mut scenes: watch::Receiver<Arc<Scene>>) -> Self {
        let (spread, word) = watch::channel(());
        let task = tokio::spawn(async move {
            while scenes.changed().await.is_ok() {
                scenes.mark_unchanged();
                spread.send_replace(());
            }
        });
        Self { word, task }
    }

    /// What changes with each scene, and some time after it.
    pub fn word(&self) -> watch::Receiver<()> {
        self.word.clone()
    }
}

impl Drop for Herald {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn who_shows_wakes_one_and_all_hear_of_it() {
        let (scenes, seen) = watch::channel(Arc::<Scene>::default());
        let herald = Herald::start(seen);
        let waiting: Vec<_> = (0..100).map(|_| herald.word()).collect();
        assert_eq!(scenes.receiver_count(), 1, "nobody else is woken by who shows");
        scenes.send_replace(Arc::default());
        for mut word in waiting {
            timeout(Duration::from_secs(10), word.changed()).await.unwrap().unwrap();
        }
        drop(scenes);
        let mut last = herald.word();
        last.mark_unchanged();
        assert!(timeout(Duration::from_secs(10), last.changed()).await.unwrap().is_err(), "it has ended");
    }
}
