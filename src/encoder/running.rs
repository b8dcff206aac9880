//! A ladder at work.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::process::ChildStdout;
use tokio::sync::{mpsc, watch};

use super::command::{self, Command, Stdin};
use super::error::Error;
use super::fanout::{self, Sink, Source};
use super::fold::Messages;
use super::font;
use super::ladder::{Input, Ladder};
use super::output::{Output, Reader, Watchdog};
use super::process::Process;
use super::progress::{self, Progress};
use super::silence::{Activity, Silence};
use super::supervise::{Ending, Phase, Step, each_line, supervise};

/// How long is waited, and how much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For the first bytes of an encoder or of the source.
    pub first_output: Duration,
    /// For further bytes.
    pub output: Duration,
    /// For an encoder to end after it was asked to; then SIGTERM.
    pub finish: Duration,
    /// Again, after SIGTERM; then SIGKILL.
    pub terminate: Duration,
    /// For the source command to end after `q`; then SIGINT, as long again, SIGTERM, as long again, SIGKILL.
    pub interrupt: Duration,
    /// How long nothing may arrive from an encoder or source that was asked to end and reads its input itself: then it is
    /// signalled and soon killed, for its input is silent.
    pub silence: Duration,
    /// How long an encoder may hold up a live source, all told, before it is dropped.
    pub patience: Duration,
    /// How long an encoder may take nothing at all of a source that can wait, before it is dropped.
    pub stuck: Duration,
    /// Bytes in an encoder's queue in a fan-out.
    pub queue_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            first_output: Duration::from_secs(60),
            output: Duration::from_secs(30),
            finish: Duration::from_secs(10),
            terminate: Duration::from_secs(5),
            interrupt: Duration::from_secs(2),
            silence: Duration::from_secs(1),
            patience: Duration::from_secs(3),
            stuck: Duration::from_secs(10),
            queue_bytes: 16 << 20,
        }
    }
}

impl Limits {
    fn encoder_ending(&self, stdin: Stdin, activity: &Activity) -> Ending {
        let quit = (stdin == Stdin::Control).then_some((Duration::ZERO, Step::Quit));
        let terminate = (self.finish, Step::Signal(Signal::TERM));
        let kill = (self.finish + self.terminate, Step::Signal(Signal::KILL));
        let steps = quit.into_iter().chain([terminate, kill]).collect();
        // One that is fed by us learns of the end from its standard input.
        let silence = (stdin == Stdin::Control).then(|| Silence::new(self.silence, activity.clone()));
        Ending { steps, silence }
    }

    fn source_ending(&self, activity: &Activity) -> Ending {
        let signals = [Signal::INT, Signal::TERM, Signal::KILL].map(Step::Signal);
        let steps = signals.into_iter().zip(1..).map(|(step, n)| (self.interrupt * n, step));
        let steps = [(Duration::ZERO, Step::Quit)].into_iter().chain(steps).collect();
        Ending { steps, silence: Some(Silence::new(self.silence, activity.clone())) }
    }
}

/// Encoders at work. When the last [`Control`] is dropped, they are killed.
#[derive(Debug)]
pub struct Running {
    /// One for each rendition, in the ladder's order.
    pub outputs: Vec<Output>,
    /// What happens; it ends when every process has ended.
    pub events: mpsc::Receiver<Event>,
    /// Ends them.
    pub control: Control,
}

/// What happens to running encoders.
///
/// Of each encoder exactly one [`Exited`](Self::Exited) or [`Dropped`](Self::Dropped) comes; where there is
/// a source, one [`SourceEnded`](Self::SourceEnded).
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// How far an ffmpeg of ours has come, about twice a second; left out while nobody takes events.
    Progress {
        /// The renditions that it makes.
        renditions: Vec<usize>,
        /// How far.
        progress: Progress,
    },
    /// The source command or our standard input has ended. It comes before the ends that follow from it.
    SourceEnded {
        /// Why, if it was not at its end.
        result: Result<(), Error>,
    },
    /// An encoder has ended.
    Exited {
        /// The renditions that it made.
        renditions: Vec<usize>,
        /// Why, if it had not done its work.
        result: Result<(), Error>,
    },
    /// An encoder in a fan-out did not keep up; it is gone so that the others can go on.
    Dropped {
        /// The renditions that it made.
        renditions: Vec<usize>,
        /// As an error, for messages.
        reason: Error,
    },
}

/// Ends running encoders.
#[derive(Clone, Debug)]
pub struct Control {
    phase: Arc<watch::Sender<Phase>>,
}

impl Control {
    /// Asks for an orderly end: `q` to ffmpeg, or to the source command, or no more of our standard input.
    /// Outputs are then to be read to their end. What does not obey is killed after a while.
    pub fn finish(&self) {
        self.phase.send_if_modified(|phase| {
            let is_new = *phase == Phase::Run;
            if is_new {
                *phase = Phase::Finish;
            }
            is_new
        });
    }

    /// Kills everything at once.
    pub fn kill(&self) {
        self.phase.send_replace(Phase::Kill);
    }
}

/// Starts the processes of a ladder. Must be called within a tokio runtime.
///
/// On Linux they are killed when the thread that calls this ends, as it does when the process dies: it must live as long as
/// they are to, as a worker thread of the runtime does, but not one of `spawn_blocking`.
///
/// # Errors
/// [`Error::Invalid`] if the ladder makes no sense, [`Error::Missing`] without ffmpeg, [`Error::System`] if
/// the system refuses; nothing is left running then.
pub fn start(ladder: &Ladder, limits: &Limits) -> Result<Running, Error> {
    start_again(ladder, limits, &Messages::default())
}

/// Starts them as [`start`] does. What earlier ones that were given the same `messages` have said a moment ago is not
/// logged again, but counted.
///
/// # Errors
/// As [`start`].
pub fn start_again(ladder: &Ladder, limits: &Limits, messages: &Messages) -> Result<Running, Error> {
    let has_pattern = matches!(ladder.input, Input::Test { .. });
    let clock_font = has_pattern.then(|| font::find(&ladder.ffmpeg)).flatten();
    let commands = command::commands(ladder, clock_font.as_deref())?;
    let started = commands.into_iter().map(|command| {
        tracing::debug!(process = command.label(), "starting {command}");
        Process::start(&command).map(|process| (command, process))
    });
    let started = started.collect::<Result<Vec<_>, Error>>()?;
    let (sender, events) = mpsc::channel(64 + 4 * started.len());
    let events_to = Events { sender, reserve: 2 + 2 * started.len() };
    let (phase, _) = watch::channel(Phase::Run);
    let mut starting = Starting {
        limits: *limits,
        messages: messages.clone(),
        events: events_to,
        phase,
        outputs: vec![],
        sinks: vec![],
        source: None,
    };
    if matches!(ladder.input, Input::Stdin { .. }) {
        starting.source = Some(Source::stdin()?);
    }
    for (command, process) in started {
        if command.is_source() { starting.source(process) } else { starting.encoder(command, process) }
    }
    starting.pump();
    starting.outputs.sort_by_key(Output::rendition);
    Ok(Running { outputs: starting.outputs, events, control: Control { phase: Arc::new(starting.phase) } })
}

struct Starting {
    limits: Limits,
    messages: Messages,
    events: Events,
    phase: watch::Sender<Phase>,
    outputs: Vec<Output>,
    sinks: Vec<Sink>,
    source: Option<Source>,
}

impl Starting {
    fn source(&mut self, mut process: Process) {
        let (orders, received) = mpsc::unbounded_channel();
        let activity = Activity::new();
        let (phase, ending) = (self.phase.subscribe(), self.limits.source_ending(&activity));
        // A shell's one output.
        let Some(pipe) = process.outputs.pop() else { return };
        let end = tokio::spawn(supervise(process, phase, received, ending, self.messages.clone()));
        self.source = Some(Source::Command { reader: Reader::new(pipe, activity), orders, end });
    }

    fn encoder(&mut self, command: Command, mut process: Process) {
        let (orders, received) = mpsc::unbounded_channel();
        let (limits, activity) = (&self.limits, Activity::new());
        for ((&rendition, name), pipe) in
            command.renditions.iter().zip(&command.names).zip(process.outputs.drain(..))
        {
            let watchdog = Watchdog::new(name.clone(), limits.first_output, limits.output, orders.clone());
            self.outputs.push(Output::new(rendition, pipe, activity.clone(), watchdog));
        }
        if let (Stdin::Media, Some(stdin)) =
            (command.stdin, process.stdin.take_if(|_| command.stdin == Stdin::Media))
        {
            self.sinks.push(Sink::new(stdin, limits.queue_bytes, orders));
        }
        if let Some(pipe) = process.progress.take() {
            tokio::spawn(report(pipe, command.renditions.clone(), self.events.clone()));
        }
        let (phase, events) = (self.phase.subscribe(), self.events.clone());
        let ending = limits.encoder_ending(command.stdin, &activity);
        let (renditions, messages) = (command.renditions, self.messages.clone());
        tokio::spawn(async move {
            let event = match supervise(process, phase, received, ending, messages).await {
                Err(reason @ Error::Slow { .. }) => Event::Dropped { renditions, reason },
                result => Event::Exited { renditions, result },
            };
            events.tell(event).await;
        });
    }

    fn pump(&mut self) {
        let Some(source) = self.source.take() else { return };
        let (mut sinks, limits) = (std::mem::take(&mut self.sinks), self.limits);
        let (phase, events) = (self.phase.subscribe(), self.events.clone());
        tokio::spawn(async move {
            let result = fanout::pump(source, &mut sinks, phase, &limits).await;
            // First the cause, then, with the end of their input, what follows from it.
            events.tell(Event::SourceEnded { result }).await;
        });
    }
}

/// The sending side of [`Running::events`], with room kept for what must not be lost: nothing waits on a
/// reader that reads the outputs alone.
#[derive(Clone)]
struct Events {
    sender: mpsc::Sender<Event>,
    reserve: usize,
}

impl Events {
    async fn tell(&self, event: Event) {
        // Whoever has dropped the receiver does not want to know.
        let _ = self.sender.send(event).await;
    }

    fn tell_if_there_is_room(&self, event: Event) {
        if self.sender.capacity() > self.reserve {
            let _ = self.sender.try_send(event);
        }
    }
}

async fn report(pipe: ChildStdout, renditions: Vec<usize>, events: Events) {
    let mut reader = progress::Reader::default();
    each_line(pipe, |line| {
        if let Some(progress) = reader.push(&String::from_utf8_lossy(line)) {
            events.tell_if_there_is_room(Event::Progress { renditions: renditions.clone(), progress });
        }
    })
    .await;
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("rendition", &self.rendition()).finish_non_exhaustive()
    }
}
