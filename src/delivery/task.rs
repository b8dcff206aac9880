//! The task that does a ledger's jobs at a destination.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use super::backoff::Backoff;
use super::job::{Job, Outcome, Work};
use super::ledger::Ledger;
use super::look::{breaks, reach};
use super::notice::Notice;
use super::spool::Held;
use super::{Found, Look, Looked, Options, Status};
use crate::chunks::Chunks;
use crate::destination::{Destination, Error, Kind};
use crate::live::{self, Snapshot};
use crate::playlist::Media;

/// How often a destination's status is logged.
const REPORTS: Duration = Duration::from_secs(300);

/// How often it is looked at most whether what is rarely put is still there.
const LEAST_CHECK: Duration = Duration::from_secs(2);
/// Where so many looks in a row miss something that was put, a destination does not give back what it takes, and is not
/// looked at any more.
const MOST_MISSED: u32 = 5;

/// A segment that is to be put.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Which rendition's.
    pub rendition: usize,
    /// The number in its name.
    pub number: u64,
    /// Where it is put.
    pub key: String,
    /// How long it lasts.
    pub duration: Duration,
    /// Its bytes.
    pub body: Arc<Held>,
    /// The Media Initialization Section that it is decoded with, where it has one: its key and its bytes. It is put
    /// ahead of the first segment that needs it, once at each destination.
    pub map: Option<(String, Bytes)>,
}

/// How a destination is come to.
pub enum Entrance {
    /// It has been looked at.
    Open(Arc<dyn Destination>, Looked),
    /// It did not answer: the look goes on until it does.
    Late(Arc<dyn Destination>, Look, Error),
}

/// The near end of a destination's task.
#[derive(Debug)]
pub struct Delivery {
    name: String,
    is_required: bool,
    timeout: Duration,
    commands: Option<mpsc::UnboundedSender<Command>>,
    state: Arc<State>,
    task: JoinHandle<Result<(), Error>>,
}

enum Command {
    Put(Segment),
    Show(Arc<Snapshot>),
}

/// How far the task has come.
#[derive(Debug, Default)]
struct State {
    /// Jobs that went well.
    done: AtomicU64,
    has_ended: AtomicBool,
    status: Mutex<Status>,
}

impl Delivery {
    /// Starts the task. The channel began at `began`, and goes on with the playlists `shown`. `ended` is told when the
    /// task ends, whatever the reason. Must be called within a tokio runtime.
    pub fn start(
        options: &Options,
        presentation: &live::Options,
        entrance: Entrance,
        shown: &Arc<Found>,
        began: Instant,
        ended: mpsc::UnboundedSender<()>,
    ) -> Self {
        let seed = RandomState::new().hash_one(options.target.to_string());
        Self::start_seeded(options, presentation, entrance, shown, began, ended, seed)
    }

    /// As [`start`](Self::start); the same `seed` gives the same waits.
    pub(super) fn start_seeded(
        options: &Options,
        presentation: &live::Options,
        entrance: Entrance,
        shown: &Arc<Found>,
        began: Instant,
        ended: mpsc::UnboundedSender<()>,
        seed: u64,
    ) -> Self {
        let name = options.target.to_string();
        let (commands, received) = mpsc::unbounded_channel();
        let notice = Ending { state: Arc::default(), ended };
        let state = Arc::clone(&notice.state);
        state.lock().name.clone_from(&name);
        let limits = options.limits(presentation.renditions.len());
        let worker = Worker {
            ledger: Ledger::new(&name, presentation.clone(), limits, options.keeps_expired, seed),
            name: name.clone(),
            options: options.clone(),
            presentation: presentation.clone(),
            shown: Arc::clone(shown),
            began,
            destination: match &entrance {
                Entrance::Open(destination, _) | Entrance::Late(destination, ..) => Arc::clone(destination),
            },
            is_open: false,
            look: Look::default(),
            jobs: JoinSet::new(),
            entering: JoinSet::new(),
            checking: JoinSet::new(),
            check_at: Instant::now(),
            missed: 0,
            backoff: Backoff::new(seed),
        };
        let task = tokio::spawn(async move { worker.run(entrance, received, &notice.state).await });
        Self {
            name,
            is_required: options.is_required,
            timeout: options.timeout,
            commands: Some(commands),
            state,
            task,
        }
    }

    /// What people call it; without secrets.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the channel ends with it.
    pub const fn is_required(&self) -> bool {
        self.is_required
    }

    /// A segment is to be put, before any playlist that names it.
    pub fn put(&mut self, segment: Segment) {
        self.command(Command::Put(segment));
    }

    /// The channel shows something new.
    pub fn show(&mut self, snapshot: &Arc<Snapshot>) {
        self.command(Command::Show(Arc::clone(snapshot)));
    }

    fn command(&mut self, command: Command) {
        if self.commands.as_ref().is_some_and(|commands| commands.send(command).is_err()) {
            self.commands = None;
        }
    }

    /// Whether its task has given up.
    pub fn has_failed(&self) -> bool {
        self.state.has_ended.load(Ordering::Acquire)
    }

    /// How it is doing.
    pub fn status(&self) -> Status {
        self.state.lock().clone()
    }

    /// Waits until everything is there, as long as within `patience` at least one more thing gets there. How it was
    /// doing, and what ended it early.
    pub async fn finish(mut self, patience: Duration) -> (Status, Result<(), Error>) {
        self.commands = None;
        // Whoever is given time for an attempt has it here too, and for the one after it.
        let result = self.wait(patience.max(2 * self.timeout)).await;
        (self.status(), result)
    }

    async fn wait(&mut self, patience: Duration) -> Result<(), Error> {
        loop {
            let done = self.state.done.load(Ordering::Relaxed);
            match timeout(patience, &mut self.task).await {
                Ok(Ok(result)) => return result,
                Ok(Err(join)) => {
                    return Err(Error::new(Kind::Closed, format!("go on at {}", self.name), join.into()));
                }
                Err(_) if self.state.done.load(Ordering::Relaxed) > done => {}
                Err(_) => {
                    self.task.abort();
                    return Err(self.behind(patience));
                }
            }
        }
    }

    fn behind(&self, patience: Duration) -> Error {
        let status = self.status();
        let waits = match status.queued_segments {
            0 => "its last playlists".to_owned(),
            count => format!("{count} segments and its last playlists"),
        };
        let last = status.last_error.map(|error| format!(": {error}")).unwrap_or_default();
        let how = format!("nothing got there for {} s, it lacks {waits}{last}", patience.as_secs_f64());
        Error::new(Kind::Transient, format!("finish at {}", self.name), how.into())
    }
}

impl Drop for Delivery {
    /// What waits is let go: the channel has ended, and another may begin in the same place.
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn lock(&self) -> std::sync::MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells of the task's end, even if it is cut off or breaks down.
struct Ending {
    state: Arc<State>,
    ended: mpsc::UnboundedSender<()>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.state.has_ended.store(true, Ordering::Release);
        // Nobody listens any more when the channel has ended.
        let _ = self.ended.send(());
    }
}

struct Worker {
    name: String,
    options: Options,
    presentation: live::Options,
    ledger: Ledger,
    shown: Arc<Found>,
    began: Instant,
    destination: Arc<dyn Destination>,
    /// Whether it has been looked at, and takes files.
    is_open: bool,
    /// What is known of it before that, while it is not being looked at.
    look: Look,
    jobs: JoinSet<(Job, Outcome)>,
    entering: JoinSet<(Look, Result<Looked, Error>)>,
    /// When a look began, and the keys that were found to be absent.
    checking: JoinSet<(Duration, Vec<String>)>,
    /// When it is looked next whether what is rarely put is still there.
    check_at: Instant,
    /// How many looks in a row missed something.
    missed: u32,
    /// Of looking at it.
    backoff: Backoff,
}

impl Worker {
    async fn run(
        mut self,
        entrance: Entrance,
        mut commands: mpsc::UnboundedReceiver<Command>,
        state: &State,
    ) -> Result<(), Error> {
        match entrance {
            Entrance::Open(_, looked) => self.enter(&looked)?,
            Entrance::Late(_, look, error) => self.stay_out(look, error)?,
        }
        let mut is_finishing = false;
        let mut report = Instant::now() + REPORTS;
        while !(is_finishing && self.ledger.is_settled()) {
            // One reading of the clock: what is due at it is begun, what is not is woken for.
            let now = self.now();
            self.start_jobs(now);
            self.tell(state);
            self.check();
            let wake = self.wakes(now).map_or(report, |at| report.min(self.began + at)).min(self.check_at);
            tokio::select! {
                command = commands.recv(), if !is_finishing => match command {
                    Some(command) => self.obey(command),
                    None => is_finishing = true,
                },
                Some(done) = self.jobs.join_next() => self.done(done, state)?,
                Some(entered) = self.entering.join_next() => {
                    match entered.unwrap_or_else(|join| (Look::default(), Err(self.broken(join)))) {
                        (_, Ok(looked)) => self.enter(&looked)?,
                        (look, Err(error)) => self.stay_out(look, error)?,
                    }
                }
                Some(Ok((looked, absent))) = self.checking.join_next() => self.checked(looked, &absent),
                () = sleep_until(wake) => if Instant::now() >= report {
                    report += REPORTS;
                    tracing::info!("{}", self.ledger.status());
                },
            }
        }
        self.tell(state);
        Ok(())
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Looks once in a target duration whether what is not put with each segment is still there: multivariant playlists
    /// and initialization sections, which a clean-up may have deleted.
    fn check(&mut self) {
        if Instant::now() < self.check_at {
            return;
        }
        self.check_at = Instant::now() + self.presentation.target.max(LEAST_CHECK);
        let may_look = self.is_open && self.checking.is_empty() && self.missed < MOST_MISSED;
        let keys = if may_look { self.ledger.lasting() } else { Vec::new() };
        if !keys.is_empty() {
            let (destination, limit, now) = (Arc::clone(&self.destination), self.options.timeout, self.now());
            self.checking.spawn(async move { (now, absent(destination.as_ref(), keys, limit).await) });
        }
    }

    /// The look that began at `looked` missed the objects at these keys.
    fn checked(&mut self, looked: Duration, absent: &[String]) {
        let now = self.now();
        let missing = absent.iter().filter(|key| self.ledger.lost(key, looked, now)).count();
        self.missed = if missing > 0 { self.missed + 1 } else { 0 };
        if self.missed == MOST_MISSED {
            tracing::warn!(
                "does not return what was written, no longer checked for deleted playlists destination={}",
                self.name
            );
        }
    }

    fn obey(&mut self, command: Command) {
        let now = self.now();
        match command {
            Command::Put(segment) => self.ledger.add(segment, now),
            Command::Show(snapshot) => self.ledger.update(&snapshot, now),
        }
    }

    /// The destination takes files.
    fn enter(&mut self, looked: &Looked) -> Result<(), Error> {
        let (now, found) = (self.now(), &looked.found);
        if looked.refuses_delete {
            self.ledger.keep_expired();
        }
        self.ledger.take_up(found, &self.shown, now);
        let is_beyond = |(rendition, here): (usize, &Option<Media>)| {
            let began = self.shown.get(rendition).and_then(Option::as_ref);
            reach(here.as_ref()) > reach(began) || breaks(here.as_ref()) > breaks(began)
        };
        if found.iter().enumerate().any(is_beyond) {
            let source = "an earlier run's playlist there reaches beyond where this one began: start again, so that \
                          numbers go on from there";
            return Err(Error::new(Kind::Invalid, format!("go on at {}", self.name), source.into()));
        }
        self.ledger.entered(now);
        self.is_open = true;
        Ok(())
    }

    /// The destination did not answer when it was looked at.
    fn stay_out(&mut self, look: Look, error: Error) -> Result<(), Error> {
        let now = self.now();
        self.look = look;
        self.backoff.fail(now, &error);
        self.ledger.not_entered(error, now)
    }

    fn start_jobs(&mut self, now: Duration) {
        if !self.is_open {
            if self.entering.is_empty() && self.backoff.is_over(now) {
                let destination = Arc::clone(&self.destination);
                let (keeps, limit) = (self.options.keeps_expired, self.options.timeout);
                let look = std::mem::take(&mut self.look);
                self.entering.spawn(enter(destination, look, self.presentation.clone(), keeps, limit));
            }
            return;
        }
        while let Some(job) = self.ledger.next(now) {
            let limit = job.limit(self.options.timeout, now);
            self.jobs.spawn(perform(Arc::clone(&self.destination), job, limit));
        }
    }

    fn done(
        &mut self,
        done: Result<(Job, Outcome), tokio::task::JoinError>,
        state: &State,
    ) -> Result<(), Error> {
        let (job, outcome) = done.map_err(|join| self.broken(join))?;
        if matches!(outcome, Outcome::Done) {
            state.done.fetch_add(1, Ordering::Relaxed);
        }
        let now = self.now();
        self.ledger.done(job, outcome, now)
    }

    fn broken(&self, join: tokio::task::JoinError) -> Error {
        Error::new(Kind::Closed, format!("go on at {}", self.name), join.into())
    }

    fn wakes(&self, now: Duration) -> Option<Duration> {
        if self.is_open {
            self.ledger.wakes(now)
        } else {
            self.backoff.until().filter(|_| self.entering.is_empty())
        }
    }

    fn tell(&mut self, state: &State) {
        *state.lock() = self.ledger.status();
        for notice in self.ledger.notices() {
            let name = &self.name;
            match notice {
                Notice::OnAir(key) => tracing::info!("on air: {name}/{key}"),
                Notice::Shown { key, latency } => {
                    let latency_ms = latency.map(|latency| latency.as_secs_f64() * 1000.0);
                    tracing::debug!(destination = name, key, latency_ms, "playlist");
                }
                notice if notice.is_warning() => tracing::warn!("{name}: {notice}"),
                notice => tracing::info!("{name}: {notice}"),
            }
        }
    }
}

/// Goes on with the look at a destination, within `limit`. It is the same destination each time: what one try has left
/// hanging there is not in the way of the next. Returns the look, and what has come of it: an error if the destination does
/// not take files, or is another process's.
pub async fn enter(
    destination: Arc<dyn Destination>,
    mut look: Look,
    presentation: live::Options,
    keeps: bool,
    limit: Duration,
) -> (Look, Result<Looked, Error>) {
    let looked = timeout(limit, look.run(destination.as_ref(), &presentation, keeps)).await;
    let looked = looked.unwrap_or_else(|_| Err(silent("put anything at", &destination.name(), limit)));
    if looked.as_ref().is_err_and(|error| error.kind() != Kind::Transient) {
        look.clean_up(destination.as_ref(), &presentation).await;
    }
    (look, looked)
}

/// Returns those of `keys` that are not there. What cannot be told counts as there.
async fn absent(destination: &dyn Destination, keys: Vec<String>, limit: Duration) -> Vec<String> {
    let mut absent = Vec::new();
    for key in keys {
        if let Ok(Ok(None)) = timeout(limit, destination.get(&key)).await {
            absent.push(key);
        }
    }
    absent
}

/// That nothing was done within `limit`.
fn silent(what: &str, place: &str, limit: Duration) -> Error {
    let source = format!("not done within {} s", limit.as_secs_f64());
    Error::new(Kind::Transient, format!("{what} {place}"), source.into())
}

async fn perform(destination: Arc<dyn Destination>, job: Job, limit: Duration) -> (Job, Outcome) {
    let key = job.key.as_str();
    let attempt = async {
        match &job.work {
            Work::Segment { body, map, .. } => match body.load().await {
                Ok(Some(body)) => {
                    if let Some((map, bytes)) = map {
                        destination.put(map, Chunks::from(bytes.clone())).await?;
                    }
                    destination.put(key, body).await.map(|()| Outcome::Done)
                }
                Ok(None) => Ok(Outcome::Gone),
                Err(error) => {
                    Err(Error::new(Kind::Invalid, format!("read {key} from the spool"), error.into()))
                }
            },
            Work::Playlist { view, .. } => {
                let text = Chunks::from(view.media().render());
                destination.put(key, text).await.map(|()| Outcome::Done)
            }
            Work::Multivariant { text, .. } => {
                let text = Chunks::from(text.to_string());
                destination.put(key, text).await.map(|()| Outcome::Done)
            }
            Work::Delete => destination.delete(key).await.map(|()| Outcome::Done),
        }
    };
    let outcome = match timeout(limit, attempt).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Outcome::Failed(error),
        Err(_) => {
            let what = if matches!(job.work, Work::Delete) { "delete" } else { "put" };
            Outcome::Failed(silent(what, &format!("{}/{key}", destination.name()), limit))
        }
    };
    (job, outcome)
}
