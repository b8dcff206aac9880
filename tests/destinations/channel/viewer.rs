//! A viewer at one destination, who writes down what is seen there.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use segcast::destination::{Destination, Target};
use segcast::playlist::Media;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::conformance::open;

/// Every playlist of the channel, the multivariant one first.
pub const PLAYLISTS: [&str; 3] = ["index.m3u8", "hi/index.m3u8", "lo/index.m3u8"];

/// Between two looks at all playlists.
const PAUSE: Duration = Duration::from_millis(50);
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a server may be away at the end.
const LAST_LOOK: Duration = Duration::from_secs(20);
/// A removed segment is asked for so long before the time until which it must stay.
const BEFORE: [Duration; 3] =
    [Duration::from_millis(2000), Duration::from_millis(700), Duration::from_millis(250)];

/// What was seen at one destination, in order. Times count from the test's start.
#[derive(Debug, Default)]
pub struct Log {
    /// What people call the destination.
    pub name: String,
    pub operations: Vec<Operation>,
    /// Requests that came to nothing: the server was away.
    pub failures: Vec<(Duration, String)>,
}

/// One request, or several of the same playlist that brought the same.
#[derive(Debug)]
pub struct Operation {
    pub key: String,
    /// When the first one was answered.
    pub answered: Duration,
    /// When the last one was sent.
    pub asked: Duration,
    pub seen: Seen,
}

/// What was at a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Nothing,
    Playlist(String),
    Segment { size_bytes: usize, hash: u64 },
}

impl Seen {
    fn of(key: &str, body: Option<&Bytes>) -> Self {
        match body {
            None => Self::Nothing,
            Some(text) if key.ends_with(".m3u8") => Self::Playlist(String::from_utf8(text.to_vec()).unwrap()),
            Some(body) => {
                let mut hasher = DefaultHasher::new();
                body.hash(&mut hasher);
                Self::Segment { size_bytes: body.len(), hash: hasher.finish() }
            }
        }
    }
}

/// Somebody who looks at every playlist again and again until told to stop.
pub struct Viewer {
    is_over: Arc<AtomicBool>,
    task: JoinHandle<Log>,
}

impl Viewer {
    /// Looks at `target` from now on. Times count from `began`.
    pub fn begin(target: &Target, began: Instant) -> Self {
        let is_over = Arc::<AtomicBool>::default();
        let mut eyes = Eyes {
            destination: open(target),
            began,
            log: Log { name: target.to_string(), ..Log::default() },
            last: BTreeMap::new(),
            named: BTreeMap::new(),
            due: Vec::new(),
        };
        let over = Arc::clone(&is_over);
        let task = tokio::spawn(async move {
            while !over.load(Ordering::SeqCst) {
                eyes.look().await;
                sleep(PAUSE).await;
            }
            eyes.look_last().await;
            eyes.log
        });
        Self { is_over, task }
    }

    /// Looks at everything once more. What was seen from the beginning.
    pub async fn end(self) -> Log {
        self.is_over.store(true, Ordering::SeqCst);
        self.task.await.unwrap()
    }
}

struct Eyes {
    destination: Arc<dyn Destination>,
    began: Instant,
    log: Log,
    /// Where the latest look at a playlist stands in the log.
    last: BTreeMap<String, usize>,
    /// Segments that the latest playlists name, by folder: how long each must stay when it is not named any more.
    named: BTreeMap<String, BTreeMap<String, Duration>>,
    /// When to ask for segments that no playlist names any more.
    due: Vec<(Duration, String)>,
}

impl Eyes {
    /// Whether every request was answered.
    async fn look(&mut self) -> bool {
        let mut is_good = true;
        for key in PLAYLISTS {
            is_good &= self.look_at(key).await;
        }
        let now = self.began.elapsed();
        let (due, later): (Vec<_>, _) =
            std::mem::take(&mut self.due).into_iter().partition(|(at, _)| *at <= now);
        self.due = later;
        for (_, key) in due {
            self.ask(&key).await;
        }
        is_good
    }

    async fn look_last(&mut self) {
        let deadline = Instant::now() + LAST_LOOK;
        while !self.look().await && Instant::now() < deadline {
            sleep(PAUSE).await;
        }
    }

    async fn get(&mut self, key: &str) -> Option<(Duration, Duration, Seen)> {
        let asked = self.began.elapsed();
        let got = timeout(PATIENCE, self.destination.get(key)).await;
        let answered = self.began.elapsed();
        let error = match got {
            Ok(Ok(body)) => return Some((asked, answered, Seen::of(key, body.as_ref()))),
            Ok(Err(error)) => crate::conformance::said(&error),
            Err(_) => format!("{key}: no answer"),
        };
        self.log.failures.push((answered, error));
        None
    }

    /// Asks for a segment.
    async fn ask(&mut self, key: &str) {
        if let Some((asked, answered, seen)) = self.get(key).await {
            self.log.operations.push(Operation { key: key.to_owned(), answered, asked, seen });
        }
    }

    async fn look_at(&mut self, key: &str) -> bool {
        let Some((asked, answered, seen)) = self.get(key).await else { return false };
        if let Some(&last) = self.last.get(key) {
            let last = &mut self.log.operations[last];
            if last.seen == seen {
                last.asked = asked;
                return true;
            }
        }
        self.last.insert(key.to_owned(), self.log.operations.len());
        if let (Seen::Playlist(text), Some((folder, _))) = (&seen, key.split_once('/')) {
            let media = Media::parse(text).unwrap_or_else(|error| panic!("{key}: {error}\n{text}"));
            self.log.operations.push(Operation { key: key.to_owned(), answered, asked, seen });
            self.turn_to(folder, &media, asked).await;
        } else {
            self.log.operations.push(Operation { key: key.to_owned(), answered, asked, seen });
        }
        true
    }

    /// Asks for the segments that are new in `media`, and plans when to ask for those that are gone.
    async fn turn_to(&mut self, folder: &str, media: &Media, asked: Duration) {
        let total = media.duration();
        let before = self.named.remove(folder).unwrap_or_default();
        let mut named = BTreeMap::new();
        for segment in media.segments.iter().filter(|segment| !segment.is_gap) {
            let key = format!("{folder}/{}", segment.uri);
            if !before.contains_key(&key) {
                self.ask(&key).await;
            }
            let stays = before.get(&key).copied().unwrap_or_default();
            named.insert(key, stays.max(segment.duration + total));
        }
        for (key, stays) in before.into_iter().filter(|(key, _)| !named.contains_key(key)) {
            let ends = asked + stays;
            self.due.extend(BEFORE.iter().map(|before| (ends.saturating_sub(*before), key.clone())));
        }
        self.named.insert(folder.to_owned(), named);
    }
}
