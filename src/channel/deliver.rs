//! One destination's task: it does the plan's steps in their order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

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
    jobs: Option<mpsc::UnboundedSender<Job>>,
    queued_bytes: Arc<AtomicU64>,
    task: JoinHandle<Result<(), Error>>,
}

impl Delivery {
    /// Starts the task. `failed` is told once if it gives up.
    pub fn start(destination: Box<dyn Destination>, failed: mpsc::UnboundedSender<()>) -> Self {
        let name = destination.name();
        let (jobs, queue) = mpsc::unbounded_channel();
        let queued_bytes = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&queued_bytes);
        let task = tokio::spawn(async move {
            let result = work(destination.as_ref(), queue, &counter).await;
            if result.is_err() {
                // Nobody listens any more when the channel has ended.
                let _ = failed.send(());
            }
            result
        });
        Self { name, jobs: Some(jobs), queued_bytes, task }
    }

    /// Appends a step. One that falls too far behind is cut off: its task ends with an error.
    pub fn add(&mut self, job: Job) {
        let Some(jobs) = &self.jobs else { return };
        let size_bytes = job.size_bytes();
        let queued = self.queued_bytes.fetch_add(size_bytes, Ordering::Relaxed) + size_bytes;
        if jobs.send(job).is_err() || queued > MAX_QUEUED_BYTES {
            self.jobs = None;
        }
    }

    /// Whether its task has given up.
    pub fn has_failed(&self) -> bool {
        self.task.is_finished()
    }

    /// Waits until everything is done.
    ///
    /// # Errors
    /// What ended it early.
    pub async fn finish(mut self) -> Result<(), Error> {
        let was_cut_off = self.jobs.take().is_none();
        let result = match self.task.await {
            Ok(result) => result,
            Err(join) => Err(Error::new(Kind::Closed, format!("go on at {}", self.name), join.into())),
        };
        match result {
            Ok(()) if was_cut_off => {
                let mebibytes = MAX_QUEUED_BYTES >> 20;
                let source = format!("it is more than {mebibytes} MiB behind").into();
                Err(Error::new(Kind::Transient, format!("keep up at {}", self.name), source))
            }
            result => result,
        }
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

async fn work(
    destination: &dyn Destination,
    mut queue: mpsc::UnboundedReceiver<Job>,
    queued_bytes: &AtomicU64,
) -> Result<(), Error> {
    while let Some(job) = queue.recv().await {
        let size_bytes = job.size_bytes();
        match job {
            Job::Put(key, body) => destination.put(&key, body).await?,
            // What cannot be deleted is no loss to viewers.
            Job::Delete(key) => {
                if let Err(error) = destination.delete(&key).await {
                    tracing::warn!(destination = destination.name(), "{error}: {}", source(&error));
                }
            }
        }
        queued_bytes.fetch_sub(size_bytes, Ordering::Relaxed);
    }
    Ok(())
}

/// The reason behind an error, as text.
fn source(error: &Error) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}
