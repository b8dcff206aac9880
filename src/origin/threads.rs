//! Threads of the readers' own.

use std::io;
use std::num::NonZero;
use std::thread::available_parallelism;

use tokio::runtime::{Builder, Handle, Runtime};

/// The most threads that answer: what is sent by memory fills a network long before.
const MOST: usize = 8;

/// Threads on which readers are served, so that they take none from the channel. They end with this.
#[derive(Debug, Default)]
pub struct Threads(Option<Runtime>);

impl Threads {
    /// As many as the machine runs at once, within bounds.
    ///
    /// # Errors
    /// If the system gives none.
    pub fn start() -> io::Result<Self> {
        let count = available_parallelism().map_or(1, NonZero::get).min(MOST);
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(count).thread_name("segcast-origin").enable_all().build()?;
        Ok(Self(Some(runtime)))
    }

    /// Where tasks are spawned that run on them; none once they end.
    pub fn handle(&self) -> Option<&Handle> {
        self.0.as_ref().map(Runtime::handle)
    }
}

impl Drop for Threads {
    /// Waits for nobody: it may be dropped where waiting is forbidden.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
