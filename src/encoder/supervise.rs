//! One child's life: its messages, the requests to end it, the reason of its end.

use std::collections::VecDeque;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStderr, ChildStdin};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::carriage::Unplayable;
use super::error::Error;
use super::folding::Folding;
use super::output::Activity;
use super::process::Process;
use super::stderr::{LastWords, Level, Line, Lines};

/// What is wanted of all processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Run,
    Finish,
    Kill,
}

/// Why one process is to be killed while the others go on.
#[derive(Debug)]
pub(super) enum Order {
    /// Nothing came from it.
    Stalled { rendition: Option<String>, after: Duration },
    /// It holds others back.
    Slow,
    /// It is a source and no encoder is left.
    Unheard,
    /// It passes on video of this codec, which nothing can play in what it makes.
    NotCarried { codec: String },
}

/// What is tried to make a process end, each a while after it was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// `q` and no more.
    Quit,
    Signal(Signal),
    /// SIGTERM and SIGINT, if it has produced nothing since: ffmpeg stops waiting for its source at the second signal.
    Interrupt,
    /// SIGKILL, if it has produced nothing since.
    KillSilent,
}

/// How a process came to be killed.
enum Cause {
    Order(Order),
    Phase,
    LastStep(Duration),
    /// It waited for a silent source.
    Silent,
}

/// Lives as long as the process; gives the reason of its end, none if it has done its work or ended as it was
/// asked to.
pub(super) async fn supervise(
    mut process: Process,
    mut phase: watch::Receiver<Phase>,
    mut orders: mpsc::UnboundedReceiver<Order>,
    ending: &[(Duration, Step)],
    activity: &Activity,
) -> Result<(), Error> {
    let has_been_asked = Arc::new(AtomicBool::new(false));
    let words = Arc::new(Mutex::new(LastWords::default()));
    let (unplayable, mut found) = mpsc::unbounded_channel();
    let messages = process.stderr.take().map(|pipe| {
        tokio::spawn(listen(pipe, process.label.clone(), words.clone(), unplayable, has_been_asked.clone()))
    });
    let mut steps: VecDeque<(Instant, Duration, Step)> = VecDeque::new();
    let mut is_finishing = false;
    let mut produced = 0;
    let mut cause = None;
    let status = loop {
        let next = steps.front().map(|&(at, ..)| at);
        tokio::select! {
            status = process.wait() => break status,
            Some(order) = orders.recv(), if cause.is_none() => {
                cause = Some(Cause::Order(order));
                process.signal(Signal::KILL);
            }
            Some(codec) = found.recv(), if cause.is_none() => {
                cause = Some(Cause::Order(Order::NotCarried { codec }));
                process.signal(Signal::KILL);
            }
            wanted = wanted(&mut phase), if !matches!(cause, Some(Cause::Phase)) => {
                if wanted == Phase::Finish {
                    is_finishing = true;
                    has_been_asked.store(true, Ordering::Relaxed);
                    produced = activity.count();
                    let now = Instant::now();
                    steps = ending.iter().map(|&(after, step)| (now + after, after, step)).collect();
                } else {
                    cause = Some(Cause::Phase);
                    process.signal(Signal::KILL);
                }
            }
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                if let Some((_, after, step)) = steps.pop_front()
                    && !(step.is_for_silent() && activity.count() > produced)
                {
                    cause = cause.or(take(step, after, &mut process));
                }
            }
        }
    };
    process.bury(cause.is_some()).await;
    if let Some(messages) = messages {
        // Someone may have left the group and still hold the pipe.
        let _ = timeout(Duration::from_secs(1), messages).await;
    }
    // It may have been done before its line was read.
    if let (true, Ok(codec)) = (cause.is_none(), found.try_recv()) {
        cause = Some(Cause::Order(Order::NotCarried { codec }));
    }
    let words = words.lock().unwrap_or_else(PoisonError::into_inner).clone();
    verdict(process.label.to_string(), status, cause, is_finishing, words)
}

/// Takes a step to a process's end; gives the cause if it is the last one.
fn take(step: Step, after: Duration, process: &mut Process) -> Option<Cause> {
    match step {
        Step::Quit => quit(process.stdin.take()),
        Step::Signal(signal) => process.signal(signal),
        Step::Interrupt => {
            // Two of one kind might arrive as one.
            process.signal(Signal::TERM);
            process.signal(Signal::INT);
        }
        Step::KillSilent => process.signal(Signal::KILL),
    }
    match step {
        Step::Signal(Signal::KILL) => Some(Cause::LastStep(after)),
        // However it ends then, with its source not even open perhaps: it was asked to.
        Step::Interrupt | Step::KillSilent => Some(Cause::Silent),
        _ => None,
    }
}

impl Step {
    const fn is_for_silent(self) -> bool {
        matches!(self, Self::Interrupt | Self::KillSilent)
    }
}

/// The next phase; when nobody is left to say it, the end at once.
async fn wanted(phase: &mut watch::Receiver<Phase>) -> Phase {
    match phase.changed().await {
        Ok(()) => *phase.borrow_and_update(),
        Err(_) => Phase::Kill,
    }
}

/// Types `q` and ends its standard input.
fn quit(stdin: Option<ChildStdin>) {
    if let Some(mut stdin) = stdin {
        // A pipe takes one byte, or its reader is gone.
        tokio::spawn(async move { stdin.write_all(b"q").await });
    }
}

fn verdict(
    process: String,
    status: io::Result<ExitStatus>,
    cause: Option<Cause>,
    is_finishing: bool,
    words: LastWords,
) -> Result<(), Error> {
    let status = match status {
        Ok(status) => status,
        Err(source) => return Err(Error::System { process, source }),
    };
    match cause {
        Some(Cause::Order(Order::Unheard) | Cause::Silent) => Ok(()),
        Some(Cause::Order(Order::NotCarried { codec })) => Err(Error::NotCarried { process, codec }),
        Some(Cause::Order(Order::Slow)) => Err(Error::Slow { process, words }),
        _ if status.success() || (is_finishing && is_as_asked(status)) => Ok(()),
        Some(Cause::Order(Order::Stalled { rendition, after })) => {
            Err(Error::Stalled { process, rendition, after, words })
        }
        Some(Cause::Phase) => Err(Error::Killed { process }),
        Some(Cause::LastStep(after)) => Err(Error::Unfinished { process, after, words }),
        None => Err(Error::Died { process, status, words }),
    }
}

/// How programs end when a signal has asked them to: ffmpeg with 255, shells with 128 and the signal's
/// number, others by the signal itself.
fn is_as_asked(status: ExitStatus) -> bool {
    let asked = [Signal::INT, Signal::TERM, Signal::PIPE].map(Signal::as_raw);
    match (status.code(), status.signal()) {
        (Some(code), _) => code == 255 || asked.contains(&(code - 128)),
        (None, Some(signal)) => asked.contains(&signal),
        (None, None) => false,
    }
}

/// Brings a child's messages to the log and keeps the last of them.
/// Video that nothing can play goes to `unplayable`.
async fn listen(
    pipe: ChildStderr,
    process: Arc<str>,
    words: Arc<Mutex<LastWords>>,
    unplayable: mpsc::UnboundedSender<String>,
    has_been_asked: Arc<AtomicBool>,
) {
    let (mut folding, began) = (Folding::default(), Instant::now());
    each_line(pipe, |line| {
        let line = Line::parse(line);
        let is_trouble = matches!(line.level, Level::Error | Level::Warning);
        let repeated = if is_trouble { folding.take(&line.text, began.elapsed()) } else { Some(0) };
        match repeated {
            Some(0) => log(&process, &line, has_been_asked.load(Ordering::Relaxed)),
            Some(repeated) => tracing::warn!(process = &*process, repeated, "{}", line.text),
            None => tracing::trace!(process = &*process, "{}", line.text),
        }
        match Unplayable::read(&line.text) {
            // The receiver lives as long as the process.
            Some(Unplayable::Video(codec)) => drop(unplayable.send(codec)),
            Some(Unplayable::Audio(codec)) => tracing::warn!(
                process = &*process,
                "audio is {codec}, which MPEG-TS cannot carry so that players know it, and is not heard: encode it, as in \
                 audio = {{ codec = \"aac\" }}"
            ),
            None => {}
        }
        words.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    })
    .await;
    for (text, repeated) in folding.finish() {
        tracing::warn!(process = &*process, repeated, "{text}");
    }
}

/// Reads a pipe to its end, line by line.
pub(super) async fn each_line(mut pipe: impl AsyncRead + Unpin, mut each: impl FnMut(&[u8])) {
    let mut lines = Lines::default();
    let mut buffer = [0; 4096];
    // A pipe that cannot be read has come to its end.
    while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
        lines.push(&buffer[..count], &mut each);
    }
    lines.finish(&mut each);
}

/// ffmpeg's `info` is much of it at each start, of interest only to who looks for something: debug. So is what it says of
/// being interrupted, once it has been asked to end.
fn log(process: &str, line: &Line, has_been_asked: bool) {
    match line.level {
        Level::Error | Level::Warning if has_been_asked => tracing::debug!(process, "{}", line.text),
        Level::Error => tracing::error!(process, "{}", line.text),
        Level::Warning => tracing::warn!(process, "{}", line.text),
        Level::Unknown | Level::Info => tracing::debug!(process, "{}", line.text),
        Level::Trace => tracing::trace!(process, "{}", line.text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(raw: i32, cause: Option<Cause>, is_finishing: bool) -> Result<(), Error> {
        let status = Ok(ExitStatus::from_raw(raw));
        verdict("encoder of a".into(), status, cause, is_finishing, LastWords::default())
    }

    #[test]
    fn ending_as_asked_is_no_error_and_ending_unasked_is() {
        for raw in [0, 255 << 8, 143 << 8, 130 << 8, 15, 2, 13] {
            assert!(judge(raw, None, true).is_ok(), "{raw}");
        }
        for raw in [255 << 8, 143 << 8, 15, 9, 1 << 8] {
            assert!(matches!(judge(raw, None, false), Err(Error::Died { .. })), "{raw}");
        }
        assert!(matches!(judge(1 << 8, None, true), Err(Error::Died { .. })));
    }

    #[test]
    fn whoever_was_killed_is_told_why() {
        let after = Duration::from_secs(15);
        assert!(matches!(judge(9, Some(Cause::Order(Order::Slow)), false), Err(Error::Slow { .. })));
        assert!(judge(9, Some(Cause::Order(Order::Unheard)), false).is_ok());
        assert!(matches!(judge(9, Some(Cause::Phase), true), Err(Error::Killed { .. })));
        assert!(matches!(judge(9, Some(Cause::LastStep(after)), true), Err(Error::Unfinished { .. })));
        let stalled = Cause::Order(Order::Stalled { rendition: None, after });
        assert_eq!(
            judge(9, Some(stalled), false).unwrap_err().to_string(),
            "encoder of a gave nothing for 15 s"
        );
    }
}
