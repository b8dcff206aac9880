//! One destination's task: it does the plan's steps in their order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::MAX_QUEUED_BYTES;
use crate::chunks::Chunks;
use crate::destination::{Destination, Error, Kind};

/// One step at one destination.
#[derive(Clone, Debug)]
pub enum Job {
    /// Put a file.
    Put(String, Chunks),
    /// Delete a file.
    Delete(String),
}

/// The near end of a destination's queue.
#[derive(Debug)]
pub struct Delivery {
    /// What people call it.
    pub name: String,
    jobs: Option<mpsc::UnboundedSender<(Instant, Job)>>,
    state: Arc<State>,
    task: JoinHandle<Result<(), Error>>,
}

/// How far the task has come.
#[derive(Debug, Default)]
struct State {
    queued_bytes: AtomicU64,
    done: AtomicU64,
    has_ended: AtomicBool,
}

impl Delivery {
    /// Starts the task. `ended` is told when it ends, whatever the reason; once `first`, the playlist that viewers
    /// open, is there, it is said.
    pub fn start(destination: Box<dyn Destination>, first: &str, ended: mpsc::UnboundedSender<()>) -> Self {
        let name = destination.name();
        let (jobs, queue) = mpsc::unbounded_channel();
        let notice = Notice { state: Arc::default(), ended };
        let state = Arc::clone(&notice.state);
        let first = first.to_owned();
        let task =
            tokio::spawn(async move { work(destination.as_ref(), &first, queue, &notice.state).await });
        Self { name, jobs: Some(jobs), state, task }
    }

    /// Appends a step. One that falls too far behind is cut off, and what waited for it is let go.
    pub fn add(&mut self, job: Job) {
        let Some(jobs) = &self.jobs else { return };
        let size_bytes = job.size_bytes();
        let queued = self.state.queued_bytes.fetch_add(size_bytes, Ordering::Relaxed) + size_bytes;
        if queued > MAX_QUEUED_BYTES {
            self.jobs = None;
            self.task.abort();
        } else if jobs.send((Instant::now(), job)).is_err() {
            self.jobs = None;
        }
    }

    /// Whether its task has given up.
    pub fn has_failed(&self) -> bool {
        self.state.has_ended.load(Ordering::Acquire)
    }

    /// Waits until everything is done, as long as within `patience` at least one step is.
    ///
    /// # Errors
    /// What ended it early.
    pub async fn finish(mut self, patience: Duration) -> Result<(), Error> {
        self.jobs = None;
        loop {
            let done = self.state.done.load(Ordering::Relaxed);
            match timeout(patience, &mut self.task).await {
                Ok(Ok(result)) => return result,
                Ok(Err(join)) if join.is_cancelled() => {
                    return Err(self.behind(format!("more than {} MiB wait", MAX_QUEUED_BYTES >> 20)));
                }
                Ok(Err(join)) => {
                    return Err(Error::new(Kind::Closed, format!("go on at {}", self.name), join.into()));
                }
                Err(_) if self.state.done.load(Ordering::Relaxed) > done => {}
                Err(_) => {
                    self.task.abort();
                    return Err(self.behind(format!("nothing was done for {} s", patience.as_secs_f64())));
                }
            }
        }
    }

    fn behind(&self, how: String) -> Error {
        Error::new(Kind::Transient, format!("keep up at {}", self.name), how.into())
    }
}

impl Drop for Delivery {
    /// What waits is let go: the channel has ended, and another may begin in the same place.
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Job {
    fn size_bytes(&self) -> u64 {
        match self {
            Self::Put(_, body) => body.size_bytes(),
            Self::Delete(_) => 0,
        }
    }
}

/// Tells of the task's end, even if it is cut off or breaks down.
struct Notice {
    state: Arc<State>,
    ended: mpsc::UnboundedSender<()>,
}

impl Drop for Notice {
    fn drop(&mut self) {
        self.state.has_ended.store(true, Ordering::Release);
        // Nobody listens any more when the channel has ended.
        let _ = self.ended.send(());
    }
}

/// How late playlists were at this destination: the longest in the last while.
///
/// A plan's deletions are due by the time at which it was made. Where a playlist arrived late, viewers read the one
/// before for longer, and what that names must stay for as much longer (RFC 8216 §6.2.2).
#[derive(Debug)]
struct Lateness {
    worst: Duration,
    since: Instant,
}

impl Lateness {
    /// How long one late playlist counts.
    const MEMORY: Duration = Duration::from_secs(600);

    fn new() -> Self {
        Self { worst: Duration::ZERO, since: Instant::now() }
    }

    fn note(&mut self, late: Duration) {
        if late >= self.worst || self.since.elapsed() > Self::MEMORY {
            *self = Self { worst: late, since: Instant::now() };
        }
    }
}

async fn work(
    destination: &dyn Destination,
    first: &str,
    mut queue: mpsc::UnboundedReceiver<(Instant, Job)>,
    state: &State,
) -> Result<(), Error> {
    let mut lateness = Lateness::new();
    let mut is_on_air = false;
    // Deletions that are not due here yet; what is left of them at the end the next run deletes.
    let mut later: VecDeque<(Instant, String)> = VecDeque::new();
    loop {
        let due = later.front().map(|(due, _)| *due);
        let (queued, job) = tokio::select! {
            next = queue.recv() => match next {
                Some(next) => next,
                None => return Ok(()),
            },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                if let Some((_, key)) = later.pop_front() {
                    delete(destination, &key).await;
                }
                continue;
            }
        };
        let size_bytes = job.size_bytes();
        match job {
            Job::Put(key, body) => {
                destination.put(&key, body).await?;
                if key.ends_with(".m3u8") {
                    lateness.note(queued.elapsed());
                }
                if key == first && !std::mem::replace(&mut is_on_air, true) {
                    tracing::info!("on air: {}/{key}", destination.name());
                }
            }
            Job::Delete(key) if (queued + lateness.worst) > Instant::now() => {
                later.push_back((queued + lateness.worst, key));
            }
            Job::Delete(key) => delete(destination, &key).await,
        }
        state.queued_bytes.fetch_sub(size_bytes, Ordering::Relaxed);
        state.done.fetch_add(1, Ordering::Relaxed);
    }
}

/// What cannot be deleted is no loss to viewers.
async fn delete(destination: &dyn Destination, key: &str) {
    if let Err(error) = destination.delete(key).await {
        tracing::warn!(destination = destination.name(), "{}", super::chain(&error));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use bytes::Bytes;

    use super::*;
    use crate::destination::Pending;

    /// Notes what is done; fails at one key, and never comes back from another.
    #[derive(Clone, Default)]
    struct Place {
        done: Arc<Mutex<Vec<String>>>,
        fails_at: &'static str,
        blocks_at: &'static str,
        /// Takes a minute.
        slow_at: &'static str,
    }

    impl Place {
        fn start(&self) -> (Delivery, mpsc::UnboundedReceiver<()>) {
            let (ended, notices) = mpsc::unbounded_channel();
            (Delivery::start(Box::new(self.clone()), "index.m3u8", ended), notices)
        }

        fn done(&self) -> Vec<String> {
            self.done.lock().unwrap().clone()
        }

        async fn act(&self, what: String) -> Result<(), Error> {
            if !self.blocks_at.is_empty() && what.contains(self.blocks_at) {
                std::future::pending::<()>().await;
            }
            if !self.slow_at.is_empty() && what.contains(self.slow_at) {
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            if !self.fails_at.is_empty() && what.contains(self.fails_at) {
                return Err(Error::new(Kind::Transient, format!("do {what}"), "disk full".into()));
            }
            self.done.lock().unwrap().push(what);
            Ok(())
        }
    }

    impl Destination for Place {
        fn name(&self) -> String {
            "place".to_owned()
        }

        fn put(&self, key: &str, _: Chunks) -> Pending<'_, ()> {
            Box::pin(self.act(format!("put {key}")))
        }

        fn delete(&self, key: &str) -> Pending<'_, ()> {
            Box::pin(self.act(format!("delete {key}")))
        }

        fn get(&self, _: &str) -> Pending<'_, Option<Bytes>> {
            Box::pin(async { Ok(None) })
        }
    }

    const PATIENCE: Duration = Duration::from_secs(30);

    fn put(key: &str) -> Job {
        Job::Put(key.to_owned(), Chunks::from("x".to_owned()))
    }

    #[tokio::test]
    async fn steps_are_done_in_their_order() {
        let place = Place::default();
        let (mut delivery, _notices) = place.start();
        for n in 0..100 {
            delivery.add(put(&format!("{n}.ts")));
            delivery.add(Job::Delete(format!("{n}.ts")));
        }
        delivery.finish(PATIENCE).await.unwrap();
        let expected = (0..100).flat_map(|n| [format!("put {n}.ts"), format!("delete {n}.ts")]);
        assert_eq!(place.done(), expected.collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn nothing_is_put_behind_a_put_that_failed() {
        let place = Place { fails_at: "b.ts", ..Place::default() };
        let (mut delivery, mut notices) = place.start();
        ["a.ts", "b.ts", "index.m3u8"].iter().for_each(|key| delivery.add(put(key)));
        notices.recv().await.unwrap();
        assert!(delivery.has_failed(), "what is told is true by then");
        delivery.add(put("c.ts"));
        assert_eq!(delivery.finish(PATIENCE).await.unwrap_err().to_string(), "cannot do put b.ts");
        assert_eq!(place.done(), ["put a.ts"]);
    }

    #[tokio::test]
    async fn what_cannot_be_deleted_stops_nothing() {
        let place = Place { fails_at: "delete", ..Place::default() };
        let (mut delivery, _notices) = place.start();
        delivery.add(Job::Delete("a.ts".to_owned()));
        delivery.add(put("b.ts"));
        delivery.finish(PATIENCE).await.unwrap();
        assert_eq!(place.done(), ["put b.ts"]);
    }

    #[tokio::test]
    async fn one_that_blocks_for_ever_slows_no_other_and_is_not_waited_for_for_ever() {
        let (stuck, free) = (Place { blocks_at: "b.ts", ..Place::default() }, Place::default());
        let mut deliveries = [stuck.start().0, free.start().0];
        for key in ["a.ts", "b.ts", "c.ts"] {
            deliveries.iter_mut().for_each(|delivery| delivery.add(put(key)));
        }
        let [first, second] = deliveries;
        second.finish(PATIENCE).await.unwrap();
        assert_eq!(free.done().len(), 3);
        let error = first.finish(Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(super::super::chain(&error), "cannot keep up at place: nothing was done for 0.05 s");
    }

    #[tokio::test]
    async fn one_that_falls_too_far_behind_is_cut_off_and_its_bytes_are_let_go() {
        let place = Place { blocks_at: "ts", ..Place::default() };
        let (mut delivery, mut notices) = place.start();
        let body = Bytes::from(vec![0; 1 << 20]);
        let chunks = Chunks::from(body.clone());
        for _ in 0..=MAX_QUEUED_BYTES >> 20 {
            delivery.add(Job::Put("a.ts".to_owned(), chunks.clone()));
        }
        notices.recv().await.unwrap();
        assert!(delivery.has_failed());
        drop(chunks);
        assert!(body.is_unique(), "nobody holds what waited");
        let error = delivery.finish(PATIENCE).await.unwrap_err();
        assert_eq!(super::super::chain(&error), "cannot keep up at place: more than 256 MiB wait");
    }

    async fn until_done(place: &Place, what: &str) {
        while !place.done().iter().any(|done| done.contains(what)) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn where_playlists_come_late_deletions_come_as_late() {
        let place = Place { slow_at: "index.m3u8", ..Place::default() };
        let (mut delivery, _notices) = place.start();
        delivery.add(put("index.m3u8"));
        until_done(&place, "index.m3u8").await;
        let due = Instant::now();
        delivery.add(Job::Delete("a.ts".to_owned()));
        delivery.add(put("b.ts"));
        until_done(&place, "b.ts").await;
        assert!(due.elapsed() < Duration::from_secs(1), "nothing waits behind a deletion");
        until_done(&place, "a.ts").await;
        assert!(due.elapsed() >= Duration::from_secs(60));
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_is_let_go_with_the_channel() {
        let place = Place { slow_at: "a.ts", ..Place::default() };
        let (mut delivery, mut notices) = place.start();
        ["a.ts", "b.ts"].iter().for_each(|key| delivery.add(put(key)));
        drop(delivery);
        notices.recv().await.unwrap();
        assert!(place.done().is_empty());
    }
}
