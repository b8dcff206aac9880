//! One child: started with its pipes, signalled as a group, never left behind.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::time::Instant;

use super::arguments::FIRST_DESCRIPTOR;
use super::command::{Command, Invocation, Stdin};
use super::error::Error;
use super::launcher;

/// Pipes are made this large where the system allows it: at 20 Mbit/s, a third of a second of media.
const PIPE_BYTES: usize = 1 << 20;
/// What a dead leader's own children get to end by themselves.
const STRAGGLERS: Duration = Duration::from_secs(2);

/// A running child and our ends of its pipes.
pub(super) struct Process {
    pub(super) label: Arc<str>,
    /// For media or for `q`, as its command says.
    pub(super) stdin: Option<ChildStdin>,
    /// What `-progress` writes.
    pub(super) progress: Option<ChildStdout>,
    /// Media, one for each rendition; the source command has one too.
    pub(super) outputs: Vec<pipe::Receiver>,
    pub(super) stderr: Option<ChildStderr>,
    child: Child,
    group: Group,
}

impl Process {
    /// Starts it. Must be called within a tokio runtime.
    pub(super) fn start(command: &Command) -> Result<Self, Error> {
        let label = command.label();
        let failed = |source| Error::System { process: label.clone(), source };
        let (mut line, outputs) = line(command).map_err(failed)?;
        // A group of its own: Ctrl-C at a terminal reaches us alone, and we let the children finish.
        line.stdin(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
        line.env("AV_LOG_FORCE_NOCOLOR", "1");
        let mut child = line.spawn().map_err(|source| match &command.invocation {
            Invocation::Ffmpeg { program, .. } if source.kind() == io::ErrorKind::NotFound => {
                Error::Missing { program: program.clone() }
            }
            _ => failed(source),
        })?;
        let group = Group(child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)));
        let stdin = child.stdin.take();
        if let (Stdin::Media, Some(stdin)) = (command.stdin, &stdin) {
            enlarge(stdin);
        }
        let (progress, stderr) = (child.stdout.take(), child.stderr.take());
        Ok(Self { label: label.into(), stdin, progress, outputs, stderr, child, group })
    }

    /// Sends a signal to it and its own children.
    pub(super) fn signal(&self, signal: Signal) {
        self.group.signal(signal);
    }

    /// CPU time that it has used, its own children apart, in the system's ticks. None where that cannot be known.
    pub(super) fn cpu_ticks(&self) -> Option<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()?)).ok()?;
        // The name is in parentheses and may have spaces; utime and stime are the 12th and 13th field after it (proc(5)).
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
    }

    /// Waits for its end; may be called again if it was cancelled.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// After its end: whatever it has left behind ends too, at once if it was `killed`.
    pub(super) async fn bury(&mut self, killed: bool) {
        let deadline = Instant::now() + if killed { Duration::ZERO } else { STRAGGLERS };
        while self.group.is_alive() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.group.signal(Signal::KILL);
        self.group = Group(None);
    }
}

/// The child to be, holding the writing ends of its media pipes, and our ends of them.
fn line(command: &Command) -> io::Result<(tokio::process::Command, Vec<pipe::Receiver>)> {
    let (program, arguments) = match &command.invocation {
        Invocation::Shell(shell) => {
            let (ours, theirs) = media_pipe()?;
            let mut line = launcher::shell(shell);
            line.stdout(theirs);
            return Ok((line, vec![ours]));
        }
        Invocation::Ffmpeg { program, arguments } => (program, arguments),
    };
    let (mut outputs, mut mappings) = (Vec::new(), Vec::new());
    for child_fd in (FIRST_DESCRIPTOR as i32..).take(command.renditions.len()) {
        let (ours, parent_fd) = media_pipe()?;
        outputs.push(ours);
        mappings.push(FdMapping { parent_fd, child_fd });
    }
    let mut line = launcher::program(program);
    line.args(arguments).stdout(Stdio::piped());
    line.fd_mappings(mappings).map_err(io::Error::other)?;
    Ok((line, outputs))
}

fn media_pipe() -> io::Result<(pipe::Receiver, OwnedFd)> {
    let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
    enlarge(&ours);
    Ok((pipe::Receiver::from_owned_fd(ours)?, theirs))
}

/// A process group, killed when dropped.
struct Group(Option<Pid>);

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.0 {
            // It fails only if none of the group is left.
            let _ = kill_process_group(leader, signal);
        }
    }

    fn is_alive(&self) -> bool {
        self.0.is_some_and(|leader| test_kill_process_group(leader).is_ok())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Makes a pipe larger where that is possible; a small one works as well, with more wake-ups.
fn enlarge(pipe: &impl std::os::fd::AsFd) {
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_BYTES);
    #[cfg(not(target_os = "linux"))]
    let _ = (pipe, PIPE_BYTES);
}
