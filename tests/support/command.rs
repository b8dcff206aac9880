//! The binary, driven from outside: children that cannot outlive a deadline, folders as values, test media.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// No child lives longer than this.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks at something that is waited for.
const POLL: Duration = Duration::from_millis(5);

/// Where the test media are; the first to ask makes them.
pub static MEDIA: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let made = Command::new(folder.join("make.sh")).output().expect("testdata/make.sh can be started");
    assert!(made.status.success(), "testdata/make.sh: {}", String::from_utf8_lossy(&made.stderr));
    folder.join("media")
});

pub fn media(name: &str) -> PathBuf {
    MEDIA.join(name)
}

/// `segcast` with these arguments, and nothing of ours in its environment.
pub fn segcast<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_segcast"));
    command.args(args);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SEGCAST_") {
            command.env_remove(name);
        }
    }
    command
}

/// What a child came to.
#[derive(Debug)]
pub struct Ended {
    /// None if it was ended by a signal.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// It went well, as its exit code says.
    #[track_caller]
    pub fn good(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }
}

/// Runs `command` to its end; standard input is empty unless told.
pub fn run(command: &mut Command) -> Ended {
    Running::start(command.stdin(Stdio::null())).end()
}

/// Runs `command` with `input` on its standard input.
pub fn run_with(command: &mut Command, input: &[u8]) -> Ended {
    let mut running = Running::start(command.stdin(Stdio::piped()));
    running.feed(input);
    running.end()
}

/// A running child; killed when it is dropped.
pub struct Running {
    child: Child,
    deadline: Instant,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
}

impl Running {
    /// Starts it. Its output is collected, unless it goes elsewhere already: see [`Running::start_as_is`].
    pub fn start(command: &mut Command) -> Self {
        Self::start_as_is(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    /// Starts it with its standard streams as they are.
    pub fn start_as_is(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = child.stdout.take().map(collect);
        let stderr = child.stderr.take().map(collect);
        Self { child, deadline: Instant::now() + DEADLINE, stdout, stderr }
    }

    /// Writes to its standard input. A child that reads no more is none of our business.
    pub fn feed(&mut self, bytes: &[u8]) {
        let _ = self.child.stdin.as_mut().expect("standard input is piped").write_all(bytes);
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until `is_so`.
    #[track_caller]
    pub fn until(&mut self, what: &str, mut is_so: impl FnMut() -> bool) {
        while !is_so() {
            assert!(self.is_running() || is_so(), "ended before {what}");
            assert!(Instant::now() < self.deadline, "{what}: not in {DEADLINE:?}");
            thread::sleep(POLL);
        }
    }

    /// Closes its standard input and waits for its end.
    #[track_caller]
    pub fn end(mut self) -> Ended {
        drop(self.child.stdin.take());
        self.wait()
    }

    /// Waits for its end; its standard input stays open.
    #[track_caller]
    pub fn wait(mut self) -> Ended {
        let status = self.status();
        let text =
            |thread: Option<JoinHandle<String>>| thread.map_or_else(String::new, |it| it.join().unwrap());
        Ended { code: status.code(), stdout: text(self.stdout.take()), stderr: text(self.stderr.take()) }
    }

    #[track_caller]
    fn status(&mut self) -> ExitStatus {
        // `Child::wait` would close standard input.
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < self.deadline, "still running after {DEADLINE:?}");
            thread::sleep(POLL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Every file below `folder`, by its relative path; folders end in `/` and are empty.
pub fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            if path.is_dir() {
                files.insert(name + "/", Vec::new());
                folders.push(path);
            } else {
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// The names in `folder`, in their order.
pub fn names(folder: &Path) -> Vec<String> {
    tree(folder).into_keys().collect()
}

/// A media playlist, read by somebody else's parser.
pub fn parsed(text: &str) -> m3u8_rs::MediaPlaylist {
    match m3u8_rs::parse_playlist_res(text.as_bytes()) {
        Ok(m3u8_rs::Playlist::MediaPlaylist(media)) => media,
        other => panic!("no media playlist: {other:?}\n{text}"),
    }
}

/// How many pictures ffmpeg decodes of `input`, and what it complains about.
pub fn decoded(input: &Path) -> (usize, String) {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "warning", "-copyts", "-i"]).arg(input);
    let ended = run(command.args(["-map", "0:v", "-fps_mode", "passthrough", "-f", "framecrc", "-"]));
    (ended.stdout.lines().filter(|line| !line.starts_with('#')).count(), ended.stderr)
}

/// Width and height of the first video stream in `input`.
pub fn size(input: &Path) -> String {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-select_streams", "v", "-show_entries", "stream=width,height"]);
    let text = run(command.args(["-of", "csv=p=0:s=x"]).arg(input)).good().stdout;
    text.lines().next().unwrap_or_default().trim_end_matches('x').to_owned()
}
