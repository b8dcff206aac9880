//! Servers of the tests' own: started on loopback, stopped by their process id.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a server may take to answer.
const START: Duration = Duration::from_secs(60);
/// How long a server may take to end.
const STOP: Duration = Duration::from_secs(3);

/// A running server with a folder of its own. Both are gone when it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub port: u16,
    /// Its folder: configuration, logs, files.
    pub folder: TempDir,
}

impl Server {
    /// Starts `command`, which has been told to listen on `port`; it answers when this returns. What it prints goes to
    /// `output` in `folder`.
    pub fn start(mut command: Command, port: u16, folder: TempDir) -> Self {
        let output = std::fs::File::create(folder.path().join("output")).unwrap();
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let mut server = Self { child, port, folder };
        let deadline = Instant::now() + START;
        while TcpStream::connect(server.address()).is_err() {
            let ended = server.child.try_wait().unwrap();
            assert!(ended.is_none(), "{command:?} has ended, {ended:?}:\n{}", server.output());
            assert!(Instant::now() < deadline, "{command:?} does not answer:\n{}", server.output());
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// What it has printed.
    pub fn output(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("output")).unwrap_or_default()
    }

    /// Kills the processes below it, which serve one connection each.
    pub fn hang_up(&self) {
        for id in below(self.child.id()) {
            // It may have ended already.
            let _ = Command::new("kill").args(["-9", &id.to_string()]).output();
        }
    }
}

/// The processes below the process `id`.
fn below(id: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    children.flat_map(|child| std::iter::once(child).chain(below(child))).collect()
}

impl Drop for Server {
    fn drop(&mut self) {
        let deadline = Instant::now() + STOP;
        let is_running = |child: &mut Child| matches!(child.try_wait(), Ok(None));
        if is_running(&mut self.child) {
            // Asked first: a master that is killed leaves its workers behind.
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        }
        while is_running(&mut self.child) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on just now, and that is not taken before the server that it is for has begun: each is
/// given once in a while, and all lie below those that the system gives to connections.
pub fn free_port() -> u16 {
    const FIRST: u32 = 8000;
    const COUNT: u32 = 8000;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    loop {
        let given = GIVEN.fetch_add(1, Ordering::Relaxed);
        let port = (FIRST + std::process::id().wrapping_mul(64).wrapping_add(given) % COUNT) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// A program of Debian's, which may stand where only root looks.
pub fn system(program: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut folders = path.split(':').chain(["/usr/sbin", "/sbin", "/usr/lib/openssh"]);
    folders
        .find_map(|folder| Some(Path::new(folder).join(program)).filter(|path| path.exists()))
        .unwrap_or_else(|| panic!("{program} is not installed: run tests/servers.sh first"))
}

/// The folder of `tests/servers.sh`.
pub fn folder() -> PathBuf {
    let root = std::env::var_os("TEST_SERVERS").map(PathBuf::from);
    root.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/servers"))
}

/// A program that `tests/servers.sh` has installed from PyPI or npm, or unpacked.
pub fn installed(program: &str) -> PathBuf {
    let root = folder();
    ["python/bin", "node_modules/.bin", "debian/usr/sbin"]
        .into_iter()
        .map(|place| root.join(place).join(program))
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("{program} is not in {}: run tests/servers.sh first", root.display()))
}
