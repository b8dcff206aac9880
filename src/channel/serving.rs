//! A channel's origin at work.

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::origin::Origin;

/// An origin at work; it ends when this is dropped.
pub struct Serving {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Serving {
    /// Lets players in. Must be called within a tokio runtime.
    pub fn start(origin: Origin) -> Self {
        let (end, ended) = oneshot::channel();
        // Whoever drops the sender ends it too.
        let shutdown = async { drop(ended.await) };
        Self { end, task: tokio::spawn(origin.run(shutdown)) }
    }

    /// Lets nobody else in, and waits for those who are served.
    pub async fn end(self) {
        drop(self.end);
        // It does not panic; if it did, it has ended.
        let _ = self.task.await;
    }
}
