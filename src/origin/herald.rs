//! Word of what is new, for those who wait.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::scene::Scene;

/// Spreads the word that another scene is shown. Whoever shows it wakes this one task, however many wait; and this wakes
/// those alone whom it concerns.
#[derive(Debug)]
pub struct Herald {
    word: watch::Receiver<()>,
    /// Of each playlist that there is or will be.
    of_playlists: Vec<(String, watch::Receiver<()>)>,
    task: JoinHandle<()>,
}

impl Herald {
    /// Listens from now on, until nobody shows anything any more. Must be called within a tokio runtime.
    pub fn start(mut scenes: watch::Receiver<Arc<Scene>>) -> Self {
        let mut before = Arc::clone(&scenes.borrow_and_update());
        let (spread, word) = watch::channel(());
        let (of_each, of_playlists): (Vec<_>, _) = (before.promises.iter())
            .map(|promise| {
                let (spread, word) = watch::channel(());
                (spread, (promise.key.clone(), word))
            })
            .unzip();
        let task = tokio::spawn(async move {
            while scenes.changed().await.is_ok() {
                let scene = Arc::clone(&scenes.borrow_and_update());
                for (spread, promise) in of_each.iter().zip(&*scene.promises) {
                    if scene.has_news(promise, &before) {
                        spread.send_replace(());
                    }
                }
                spread.send_replace(());
                before = scene;
            }
        });
        Self { word, of_playlists, task }
    }

    /// What changes with each scene in which there is news of what is at `key`, and some time after it.
    pub fn word(&self, key: &str) -> watch::Receiver<()> {
        let of_it = self.of_playlists.iter().find(|(playlist, _)| playlist == key);
        of_it.map_or(&self.word, |(_, word)| word).clone()
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
    use crate::origin::playlist::Playlist;
    use crate::origin::scene::Promise;

    const SOON: Duration = Duration::from_secs(10);

    fn scene(of: &[&str]) -> Scene {
        let promise = |key: &&str| Promise { key: (*key).to_owned(), rendition: None };
        Scene { promises: of.iter().map(promise).collect(), ..Scene::default() }
    }

    #[tokio::test]
    async fn who_shows_wakes_one_and_all_hear_of_it() {
        let (scenes, seen) = watch::channel(Arc::<Scene>::default());
        let herald = Herald::start(seen);
        let waiting: Vec<_> = (0..100).map(|_| herald.word("part")).collect();
        assert_eq!(scenes.receiver_count(), 1, "nobody else is woken by who shows");
        scenes.send_replace(Arc::default());
        for mut word in waiting {
            timeout(SOON, word.changed()).await.unwrap().unwrap();
        }
        drop(scenes);
        let mut last = herald.word("part");
        last.mark_unchanged();
        assert!(timeout(SOON, last.changed()).await.unwrap().is_err(), "it has ended");
    }

    #[tokio::test]
    async fn a_playlists_news_is_for_those_who_wait_for_it() {
        let mut scene = scene(&["hd", "sd"]);
        let (scenes, seen) = watch::channel(Arc::new(scene.clone()));
        let herald = Herald::start(seen);
        let (mut hd, mut sd, mut any) = (herald.word("hd"), herald.word("sd"), herald.word("part"));
        let playlist = Playlist::of_text("#EXTM3U\n");
        scene.playlists.insert("hd".into(), Arc::new(playlist));
        scenes.send_replace(Arc::new(scene.clone()));
        for word in [&mut hd, &mut any] {
            timeout(SOON, word.changed()).await.unwrap().unwrap();
        }
        assert!(!sd.has_changed().unwrap() && !hd.has_changed().unwrap());
        scenes.send_replace(Arc::new(Scene { is_over: true, ..scene }));
        for word in [&mut hd, &mut sd, &mut any] {
            timeout(SOON, word.changed()).await.unwrap().unwrap();
        }
    }
}
