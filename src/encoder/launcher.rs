//! Children that do not outlive us, however we die.
//!
//! A program that is run through this one sets its parent-death signal, which lasts over exec, and then becomes ffmpeg. A
//! shell command may have children of its own, which that signal does not reach: there this program stays, and kills its
//! process group when its parent is gone. Where nothing is [`install`]ed, `setpriv` of util-linux sets the signal. Without
//! either, or on a system that has no such signal, children are started directly.
//!
//! The signal comes when the thread that started the child ends, not only the process: a worker thread of a tokio runtime
//! lives as long as that.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::fs::{Access, access};
use rustix::process::{Pid, Signal, getpgrp, getppid, kill_process_group};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

/// The first argument of a program that is to call [`launch`].
pub const ARGUMENT: &str = "__launch";
/// What follows it, and what it says.
const BECOME: &str = "become";
const GUARD: &str = "guard";
/// How often a guard looks whether its parent is there.
const LOOK: Duration = Duration::from_millis(200);
/// As shells have it: the program could not be run.
const CANNOT_RUN: u8 = 126;

/// What `setpriv` is told.
const SETPRIV: [&str; 3] = ["--pdeathsig", "KILL", "--"];

static LAUNCHER: OnceLock<PathBuf> = OnceLock::new();

/// Starts children through our own program from now on, whose `main` must call [`launch`] where its first argument is
/// [`ARGUMENT`]. Without effect on systems other than Linux.
pub fn install() {
    // It stays the same program while its file is replaced.
    let own = Path::new("/proc/self/exe");
    if cfg!(target_os = "linux") && own.exists() {
        LAUNCHER.get_or_init(|| own.to_owned());
    }
}

/// A command that runs `program`.
pub(super) fn program(program: &Path) -> Command {
    // What cannot be run is to fail as without a launcher.
    if !is_executable(program) {
        return Command::new(program);
    }
    match LAUNCHER.get() {
        Some(launcher) => through(launcher, BECOME, program.as_os_str()),
        None => with_setpriv(program.as_os_str()),
    }
}

/// A command that runs `line` in a shell.
pub(super) fn shell(line: &str) -> Command {
    let mut command = match LAUNCHER.get() {
        Some(launcher) => through(launcher, GUARD, OsStr::new("sh")),
        None => with_setpriv(OsStr::new("sh")),
    };
    command.arg("-c").arg(line);
    command
}

fn with_setpriv(program: &OsStr) -> Command {
    if !has_setpriv() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(SETPRIV).arg(program);
    command
}

/// Whether there is a `setpriv` that knows the signal; that of busybox does not.
fn has_setpriv() -> bool {
    static HAS_SETPRIV: OnceLock<bool> = OnceLock::new();
    *HAS_SETPRIV.get_or_init(|| {
        let mut command = std::process::Command::new("setpriv");
        command.args(SETPRIV).arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        cfg!(target_os = "linux") && command.status().is_ok_and(|status| status.success())
    })
}

fn through(launcher: &Path, how: &str, program: &OsStr) -> Command {
    let mut command = Command::new(launcher);
    command.arg0("segcast").args([ARGUMENT, how]).arg(std::process::id().to_string()).arg(program);
    command
}

/// Whether `program` is found as exec finds it.
fn is_executable(program: &Path) -> bool {
    let is = |path: &Path| path.is_file() && access(path, Access::EXEC_OK).is_ok();
    if program.components().count() > 1 || program.is_absolute() {
        return is(program);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| is(&folder.join(program)))
}

/// Does what a command line of this module asks for; `arguments` are those after [`ARGUMENT`]. Returns the exit code.
pub fn launch(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let mut arguments = arguments.into_iter();
    let how = arguments.next();
    let parent = arguments.next().and_then(|id| id.to_str()?.parse().ok()).and_then(Pid::from_raw);
    let (Some(how), Some(parent), Some(program)) = (how, parent, arguments.next()) else {
        return fail(OsStr::new(ARGUMENT), &"it is no command for people");
    };
    if how == GUARD {
        guard(parent, &program, arguments)
    } else {
        become_program(parent, &program, arguments)
    }
}

fn fail(program: &OsStr, error: &dyn std::fmt::Display) -> u8 {
    eprintln!("[fatal] cannot run {}: {error}", program.display());
    CANNOT_RUN
}

fn become_program(parent: Pid, program: &OsStr, arguments: impl Iterator<Item = OsString>) -> u8 {
    #[cfg(target_os = "linux")]
    if let Err(errno) = rustix::process::set_parent_process_death_signal(Some(Signal::KILL)) {
        eprintln!("[warning] {} may outlive segcast: {errno}", program.display());
    }
    // It may have died before that call.
    if getppid() != Some(parent) {
        return CANNOT_RUN;
    }
    fail(program, &std::process::Command::new(program).args(arguments).exec())
}

/// Runs `program` in our process group, and kills the group when our parent is gone.
fn guard(parent: Pid, program: &OsStr, arguments: impl Iterator<Item = OsString>) -> u8 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let guarded = runtime.and_then(|runtime| {
        runtime.block_on(async {
            // They are for the program, whose end is ours; a handler is not inherited over exec.
            let kept = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
            let mut child = Command::new(program).args(arguments).spawn()?;
            close_standard_streams();
            let mut look = tokio::time::interval(LOOK);
            let status = loop {
                tokio::select! {
                    status = child.wait() => break status,
                    _ = look.tick() => if getppid() != Some(parent) {
                        // We are one of it.
                        kill_process_group(getpgrp(), Signal::KILL)?;
                    }
                }
            };
            drop(kept);
            status
        })
    });
    match guarded {
        Ok(status) => exit_code(status),
        Err(error) => fail(program, &error),
    }
}

/// The end of its pipes is for the program alone to say.
fn close_standard_streams() {
    if let Ok(null) = std::fs::File::options().read(true).write(true).open("/dev/null") {
        // Where one stays open, the pipe ends with us.
        let _ = rustix::stdio::dup2_stdin(&null);
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stderr(&null);
    }
}

/// As shells have it: of a program that a signal ended, 128 and the signal's number.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_as_exec_finds_them() {
        assert!(is_executable(Path::new("sh")) && is_executable(Path::new("/bin/sh")));
        assert!(!is_executable(Path::new("/etc/passwd")) && !is_executable(Path::new("/bin")));
        assert!(
            !is_executable(Path::new("no-such-program")) && !is_executable(Path::new("/nonexistent/ffmpeg"))
        );
    }

    #[test]
    fn a_program_whose_parent_is_another_is_not_run() {
        let arguments = [BECOME, "1", "/bin/false"].map(OsString::from);
        assert_eq!(launch(arguments), CANNOT_RUN);
        assert_eq!(launch([]), CANNOT_RUN);
    }

    #[test]
    fn without_a_launcher_children_are_started_as_far_as_possible() {
        let line = |command: &Command| {
            let command = command.as_std();
            [command.get_program()]
                .into_iter()
                .chain(command.get_args())
                .map(OsStr::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(line(&program(Path::new("/nonexistent/ffmpeg"))), ["/nonexistent/ffmpeg"]);
        let guarded = line(&program(Path::new("/bin/true")));
        let expected = ["setpriv", "--pdeathsig", "KILL", "--", "/bin/true"];
        assert_eq!(guarded, expected[if has_setpriv() { 0.. } else { 4.. }]);
        assert_eq!(line(&shell("exit 3")).last().unwrap(), "exit 3");
    }

    #[test]
    fn ends_are_passed_on() {
        for (raw, code) in [(0, 0), (3 << 8, 3), (255 << 8, 255), (9, 137), (15, 143)] {
            assert_eq!(exit_code(ExitStatus::from_raw(raw)), code);
        }
    }
}
