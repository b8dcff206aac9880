//! One child's life: its messages, the requests to end it, the reason of its end.

use std::collections::VecDeque;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStderr, ChildStdin};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval, sleep_until, timeout};

use super::carriage::Unplayable;
use super::error::Error;
use super::fold::{self, Messages, Speaker};
use super::process::Process;
use super::silence::{Silence, Silent};
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
}

/// How a process is made to end.
#[derive(Debug)]
pub(super) struct Ending {
    /// Each a while after it was asked for.
    pub(super) steps: Vec<(Duration, Step)>,
    /// Sooner where no output arrives; none if it is not known what is awaited.
    pub(super) silence: Option<Silence>,
}

/// How a process came to be killed.
enum Cause {
    Order(Order),
    Phase,
    LastStep(Duration),
    /// It was asked to end, and produced nothing more.
    Silent,
}

/// Lives as long as the process; gives the reason of its end, none if it has done its work or ended as it was
/// asked to.
pub(super) async fn supervise(
    mut process: Process,
    mut phase: watch::Receiver<Phase>,
    mut orders: mpsc::UnboundedReceiver<Order>,
    mut ending: Ending,
    messages: Messages,
) -> Result<(), Error> {
    let words = Arc::new(Mutex::new(LastWords::default()));
    let is_signalled = Arc::new(AtomicBool::new(false));
    let (unplayable, mut found) = mpsc::unbounded_channel();
    let listener = Listener {
        process: messages.speaker(&process.label),
        words: words.clone(),
        is_signalled: is_signalled.clone(),
        messages,
        unplayable,
    };
    let messages = process.stderr.take().map(|pipe| tokio::spawn(listener.run(pipe)));
    let mut steps: VecDeque<(Instant, Duration, Step)> = VecDeque::new();
    let mut is_finishing = false;
    let mut cause = None;
    let status = loop {
        let next = steps.front().map(|&(at, ..)| at);
        let silent = ending.silence.as_ref().filter(|_| is_finishing && cause.is_none()).map(Silence::next);
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
                    let now = Instant::now();
                    steps = ending.steps.iter().map(|&(after, step)| (now + after, after, step)).collect();
                    ending.silence.iter_mut().for_each(|silence| silence.begin(now));
                } else {
                    cause = Some(Cause::Phase);
                    process.signal(Signal::KILL);
                }
            }
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                if let Some((_, after, step)) = steps.pop_front() {
                    is_signalled.fetch_or(matches!(step, Step::Signal(_)), Ordering::Relaxed);
                    cause = cause.or(take(step, after, &mut process));
                }
            }
            () = sleep_until(silent.unwrap_or_else(Instant::now)), if silent.is_some() => {
                let (now, cpu) = (Instant::now(), process.cpu_ticks());
                let step = ending.silence.as_mut().and_then(|silence| silence.step(now, cpu));
                is_signalled.fetch_or(step.is_some(), Ordering::Relaxed);
                match step {
                    Some(Silent::Terminate) => process.signal(Signal::TERM),
                    Some(Silent::Kill) => {
                        cause = Some(Cause::Silent);
                        process.signal(Signal::KILL);
                    }
                    None => {}
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
    let asked = match (is_finishing, is_signalled.load(Ordering::Relaxed)) {
        (false, _) => Asked::No,
        (true, false) => Asked::ByQuit,
        (true, true) => Asked::BySignal,
    };
    verdict(process.label.to_string(), status, cause, asked, words)
}

/// Whether and how a process was asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    No,
    ByQuit,
    BySignal,
}

/// Takes a step to a process's end; gives the cause if it is the last one.
fn take(step: Step, after: Duration, process: &mut Process) -> Option<Cause> {
    match step {
        Step::Quit => quit(process.stdin.take()),
        Step::Signal(signal) => process.signal(signal),
    }
    matches!(step, Step::Signal(Signal::KILL)).then_some(Cause::LastStep(after))
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
    asked: Asked,
    words: LastWords,
) -> Result<(), Error> {
    let status = match status {
        Ok(status) => status,
        Err(source) => return Err(Error::System { process, source }),
    };
    match cause {
        Some(Cause::Order(Order::Unheard)) => Ok(()),
        Some(Cause::Order(Order::NotCarried { codec })) => Err(Error::NotCarried { process, codec }),
        Some(Cause::Order(Order::Slow)) => Err(Error::Slow { process, words }),
        Some(Cause::Silent) => {
            tracing::info!(process, "produced nothing more after it was asked to end, killed");
            Ok(())
        }
        _ if status.success() || (asked != Asked::No && is_as_asked(status)) => Ok(()),
        // A source that is interrupted while it opens or waits is an error to ffmpeg, not to us.
        None if asked == Asked::BySignal && status.code().is_some() => Ok(()),
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
struct Listener {
    process: Speaker,
    words: Arc<Mutex<LastWords>>,
    /// Whether a signal of ours has asked for the end: what it complains of from then on follows from that.
    is_signalled: Arc<AtomicBool>,
    messages: Messages,
    /// Gets the codec of video that nothing can play.
    unplayable: mpsc::UnboundedSender<String>,
}

impl Listener {
    async fn run(self, pipe: ChildStderr) {
        let mut reading = pin!(each_line(pipe, |line| self.take(Line::parse(line))));
        let mut tick = interval(fold::LOOK);
        loop {
            tokio::select! {
                () = &mut reading => break,
                _ = tick.tick() => self.messages.due(Instant::now().into_std(), log),
            }
        }
    }

    fn take(&self, line: Line) {
        match Unplayable::read(&line.text) {
            // The receiver lives as long as the process.
            Some(Unplayable::Video(codec)) => drop(self.unplayable.send(codec)),
            Some(Unplayable::Audio(codec)) => tracing::warn!(
                process = &*self.process.label,
                "audio is {codec}, which MPEG-TS cannot carry so that players know it, and is not heard: encode it, as in \
                 audio = {{ codec = \"aac\" }}"
            ),
            None => {}
        }
        let is_expected = line.level >= Level::Warning && self.is_signalled.load(Ordering::Relaxed);
        let level = if is_expected { Level::Unknown } else { line.level };
        self.messages.take(&self.process, level, &line.text, Instant::now().into_std(), log);
        self.words.lock().unwrap_or_else(PoisonError::into_inner).push(line);
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

/// ffmpeg's `info` is much of it at each start, of interest only to who looks for something: debug.
pub(super) fn log(process: &str, level: Level, text: &str) {
    match level {
        Level::Error => tracing::error!(process, "{text}"),
        Level::Warning => tracing::warn!(process, "{text}"),
        Level::Unknown | Level::Info => tracing::debug!(process, "{text}"),
        Level::Trace => tracing::trace!(process, "{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(raw: i32, cause: Option<Cause>, asked: Asked) -> Result<(), Error> {
        let status = Ok(ExitStatus::from_raw(raw));
        verdict("encoder of a".into(), status, cause, asked, LastWords::default())
    }

    #[test]
    fn ending_as_asked_is_no_error_and_ending_unasked_is() {
        for raw in [0, 255 << 8, 143 << 8, 130 << 8, 15, 2, 13] {
            assert!(judge(raw, None, Asked::ByQuit).is_ok(), "{raw}");
        }
        for raw in [255 << 8, 143 << 8, 15, 9, 1 << 8] {
            assert!(matches!(judge(raw, None, Asked::No), Err(Error::Died { .. })), "{raw}");
        }
        assert!(matches!(judge(1 << 8, None, Asked::ByQuit), Err(Error::Died { .. })));
        // ffmpeg that is interrupted while it opens its input.
        assert!(judge(1 << 8, None, Asked::BySignal).is_ok());
        assert!(judge(9, Some(Cause::Silent), Asked::BySignal).is_ok());
    }

    #[test]
    fn whoever_was_killed_is_told_why() {
        let after = Duration::from_secs(15);
        assert!(matches!(judge(9, Some(Cause::Order(Order::Slow)), Asked::No), Err(Error::Slow { .. })));
        assert!(judge(9, Some(Cause::Order(Order::Unheard)), Asked::No).is_ok());
        assert!(matches!(judge(9, Some(Cause::Phase), Asked::ByQuit), Err(Error::Killed { .. })));
        assert!(matches!(
            judge(9, Some(Cause::LastStep(after)), Asked::ByQuit),
            Err(Error::Unfinished { .. })
        ));
        let stalled = Cause::Order(Order::Stalled { rendition: None, after });
        assert_eq!(
            judge(9, Some(stalled), Asked::No).unwrap_err().to_string(),
            "encoder of a gave nothing for 15 s"
        );
    }
}
