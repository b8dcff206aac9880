//! Reading ahead in a thread of its own, with a progress bar, until the end or a signal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use anyhow::Context;
use bytes::Bytes;
use indicatif::ProgressBar;

use super::INTERRUPTED;
use super::input::Input;
use super::progress;
use super::signals::Signals;
use crate::segment::Cutter;

/// Chunks read ahead: enough for reading and writing to go on at the same time.
const AHEAD: usize = 2;

/// What comes next.
pub enum Next {
    /// Bytes.
    Chunk(Bytes),
    /// The input is at its end, or turned out to be of no use.
    End(End),
    /// A signal asks for the end.
    Stop,
}

/// How an input ended.
pub struct End {
    /// The input.
    pub input: Input,
    /// Why it was not read to its end.
    pub error: Option<anyhow::Error>,
}

/// An input that is read ahead.
pub struct Feed {
    messages: Receiver<Next>,
    has_packets: Arc<AtomicBool>,
    bar: ProgressBar,
}

impl Feed {
    /// Begins to read `input`. From here on a first signal gives [`Next::Stop`] and a second ends the process.
    ///
    /// # Errors
    /// If the system does not let us.
    pub fn start(input: Input, is_quiet: bool) -> anyhow::Result<Self> {
        let bar = progress::bar(&input, is_quiet);
        let (sender, messages) = sync_channel(AHEAD);
        watch_signals(sender.clone())?;
        let has_packets = Arc::new(AtomicBool::new(false));
        let is_known = Arc::clone(&has_packets);
        thread::spawn(move || read(input, &sender, &is_known));
        Ok(Self { messages, has_packets, bar })
    }

    /// Waits for what comes next. `cutter` tells whether it has found packets: what has none is given up.
    pub fn next(&mut self, cutter: &Cutter) -> Next {
        if cutter.has_packets() {
            self.has_packets.store(true, Ordering::Relaxed);
        }
        let next = self.messages.recv().unwrap_or(Next::Stop);
        if let Next::Chunk(chunk) = &next {
            self.bar.inc(chunk.len() as u64);
        }
        next
    }

    /// Takes the progress bar away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Feed {
    /// No bar may stand where an error is told.
    fn drop(&mut self) {
        self.clear();
    }
}

fn read(mut input: Input, sender: &SyncSender<Next>, has_packets: &AtomicBool) {
    let error = loop {
        match input.read_chunk() {
            Ok(Some(chunk)) => {
                if sender.send(Next::Chunk(chunk)).is_err() {
                    return;
                }
            }
            Ok(None) => break None,
            Err(error) => {
                let error = anyhow::Error::new(error);
                break Some(error.context(format!(
                    "{}: cannot be read on at byte {}",
                    input.name,
                    input.read_bytes()
                )));
            }
        }
        if !has_packets.load(Ordering::Relaxed)
            && let Err(error) = input.expect_packets()
        {
            break Some(error);
        }
    };
    // Nobody waits for it after a signal.
    let _ = sender.send(Next::End(End { input, error }));
}

fn watch_signals(sender: SyncSender<Next>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let runtime = runtime.context("cannot take signals")?;
    let mut signals = {
        let _inside = runtime.enter();
        Signals::take().context("cannot take signals")?
    };
    thread::spawn(move || {
        runtime.block_on(signals.next());
        // The reader may fill the queue: the message must not wait behind it.
        thread::spawn(move || drop(sender.send(Next::Stop)));
        runtime.block_on(signals.next());
        std::process::exit(i32::from(INTERRUPTED));
    });
    Ok(())
}
