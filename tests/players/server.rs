//! The binary as players see it: channels with an origin, and folders that it serves.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use segcast::playlist::Media;
use tempfile::TempDir;

/// How long anything may take to begin.
const START: Duration = Duration::from_secs(30);
/// How long a channel may take to end.
const STOP: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

/// A running segcast that listens on loopback; stopped when it is dropped.
pub struct Server {
    child: Child,
    port: u16,
    /// Its configuration, its log and, for a channel, what its destination holds.
    pub folder: TempDir,
}

/// What was answered.
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Server {
    /// A channel of the built-in pattern in two renditions, `high` (320x180) and `low` (160x90). `output` and `origin`
    /// are lines for these tables.
    pub fn pattern(output: &str, origin: &str) -> Self {
        let rung = |name: &str, size: &str, rate: &str| {
            format!(
                "[[rendition]]\nname = \"{name}\"\nvideo = {{ codec = \"h264\", size = \"{size}\", bitrate = \
                 \"{rate}\", preset = \"ultrafast\", fps = 25 }}\naudio = {{ codec = \"aac\", bitrate = \"48k\" }}\n"
            )
        };
        let ladder = rung("high", "320x180", "300k") + &rung("low", "160x90", "100k");
        Self::channel("[input]\nurl = \"test\"\nargs = [\"-re\"]\n", output, origin, &ladder)
    }

    /// A channel. It has a destination too, as most have: the folder `copy`.
    pub fn channel(input: &str, output: &str, origin: &str, renditions: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let text = format!(
            "name = \"test\"\n{input}[output]\ndirectory = \"copy\"\n{output}\n[origin]\nlisten = \
             \"127.0.0.1:{port}\"\n{origin}\n{renditions}"
        );
        let config = folder.path().join("live.toml");
        fs::write(&config, text).unwrap();
        Self::start(&["run".as_ref(), config.as_os_str()], port, folder)
    }

    /// What `examples/quickstart.sh` runs, with the script at `player` for its page.
    pub fn quickstart(player: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart.toml");
        let (port, output) = (free_port(), folder.path().join("live"));
        let (listen, player) = (port.to_string(), format!("origin.player={player}"));
        let arguments = ["run".as_ref(), config.as_os_str(), "--output".as_ref(), output.as_os_str()];
        Self::start(
            &[&arguments[..], &["--listen".as_ref(), listen.as_ref(), "--set".as_ref(), player.as_ref()]]
                .concat(),
            port,
            folder,
        )
    }

    /// `segcast serve` of `path`.
    pub fn files(path: &Path) -> Self {
        let port = free_port();
        let listen = port.to_string();
        let arguments = ["serve".as_ref(), path.as_os_str(), "--listen".as_ref(), listen.as_ref()];
        Self::start(&arguments, port, tempfile::tempdir().unwrap())
    }

    /// Starts segcast, which has been told to listen on `port`, in `folder`; it answers when this returns.
    pub fn start(arguments: &[&std::ffi::OsStr], port: u16, folder: TempDir) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_segcast"));
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SEGCAST_"))
        {
            command.env_remove(name);
        }
        let log = fs::File::create(folder.path().join("log")).unwrap();
        command.args(arguments).current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut server = Self { child: command.spawn().unwrap(), port, folder };
        server.until("it answers", |server| server.get("/").is_some());
        server
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// One GET; none while nothing answers.
    pub fn get(&self, path: &str) -> Option<Answer> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        stream.set_read_timeout(Some(START)).ok()?;
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nconnection: close\r\n\r\n", self.port);
        stream.write_all(request.as_bytes()).ok()?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        Some(Answer { status: head.split(' ').nth(1)?.parse().ok()?, body: body.to_owned() })
    }

    /// The media playlist at `path`, once it is there.
    pub fn media(&self, path: &str) -> Option<Media> {
        let answer = self.get(path).filter(|answer| answer.status == 200)?;
        Some(Media::parse(&answer.body).unwrap_or_else(|error| panic!("{path}: {error}\n{}", answer.body)))
    }

    /// Waits until it says that it is ready.
    pub fn until_ready(&mut self) {
        self.until("it is ready", |server| server.get("/readyz").is_some_and(|answer| answer.status == 200));
    }

    /// Waits until the playlist at `path` has so many segments: players that keep away from the live edge want some.
    pub fn until_segments(&mut self, path: &str, count: usize) {
        self.until(&format!("{path} has {count} segments"), |server| {
            server.media(path).is_some_and(|media| media.segments.len() >= count)
        });
    }

    /// Waits until `is_so`.
    #[track_caller]
    pub fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !is_so(self) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() && began.elapsed() < START, "{what}: {ended:?}\n{}", self.log());
            sleep(LOOK);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let began = Instant::now();
        let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
        while matches!(self.child.try_wait(), Ok(None)) && began.elapsed() < STOP {
            sleep(LOOK);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("segcast's log:\n{}", self.log());
        }
    }
}

/// A port that nobody listens on just now.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}
