//! A player in Chromium, and what it saw. `drive.mjs` does the driving.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// What plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Player {
    /// Chromium by itself.
    Native,
    /// hls.js, told to have no low latency.
    Hls,
    HlsLowLatency,
    Shaka,
    ShakaLowLatency,
}

/// All that play any stream.
pub const PLAYERS: [Player; 3] = [Player::Native, Player::Hls, Player::Shaka];

/// What Shaka Player 5.2 throws when it has dropped every segment that it knew. It drops those that are too old by the
/// clock on the wall, counted from a window that gets smaller with each that it has dropped; where a busy machine makes
/// the stream a segment late, it may come to none. It shows no new picture then.
const EMPTY_INDEX: &str = "shaka undefined: Cannot read properties of null (reading 'next')";
/// How often it may try. What is wrong with a stream is wrong each time.
const TRIES: u32 = 3;

/// What a player saw of a stream.
#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "people read all of it where a test fails")]
pub struct Report {
    /// Name and version.
    pub player: String,
    /// From the address to the first picture that moved; none if none did.
    pub startup_s: Option<f64>,
    /// From the first picture that moved to the end.
    pub elapsed_s: f64,
    /// What its clock went on by itself: without seeks.
    pub played_s: f64,
    pub position_s: f64,
    pub is_ended: bool,
    pub ready_state: u8,
    /// How often it fell behind the clock on the wall, by more than a quarter of a second.
    pub stalls: u32,
    pub stalled_s: f64,
    /// `waiting` events after the first picture.
    pub waits: u32,
    /// Seeks, its own among them.
    pub jumps: u32,
    /// From which picture to which none was shown, where that is half a second or more.
    pub holes: Vec<(f64, f64)>,
    /// Behind EXT-X-PROGRAM-DATE-TIME; none if there is no date, or the player tells none.
    pub latency_s: Option<Latency>,
    /// The sizes of the picture in the order in which they came, such as `320x180`.
    pub sizes: Vec<String>,
    /// The discontinuity sequence numbers that were played; hls.js alone tells them.
    pub timelines: Vec<u64>,
    pub decoded: u32,
    pub dropped: u32,
    /// Of sound, decoded.
    pub sound_bytes: u64,
    pub errors: Vec<String>,
    /// Paths that were asked for, in their order.
    pub fetched: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[allow(dead_code, reason = "people read all of it where a test fails")]
pub struct Latency {
    pub median: f64,
    pub max: f64,
    pub last: f64,
}

impl Player {
    fn mode(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Hls => "hls",
            Self::HlsLowLatency => "hls-ll",
            Self::Shaka => "shaka",
            Self::ShakaLowLatency => "shaka-ll",
        }
    }

    /// Plays `url` for so many seconds, or to its end.
    pub fn play(self, url: &str, seconds: u32) -> Report {
        self.drive(&[self.mode(), url, "--seconds", &seconds.to_string()])
    }

    /// Plays with the worst variant, and from half of the time on with the best one.
    pub fn switch(self, url: &str, seconds: u32) -> Report {
        self.drive(&[self.mode(), url, "--switch", "--seconds", &seconds.to_string()])
    }

    /// Plays, again where it was Shaka Player that fell over: an error of its own making tells nothing of the stream.
    fn drive(self, arguments: &[&str]) -> Report {
        let mut report = told(drive(arguments));
        for _ in 1..TRIES {
            if !report.errors.iter().any(|error| error.contains(EMPTY_INDEX)) {
                break;
            }
            report = told(drive(arguments));
        }
        report
    }
}

/// What a play came to goes with the test's output.
fn told(report: Report) -> Report {
    let Report { player, startup_s, elapsed_s, played_s, stalls, stalled_s, .. } = &report;
    println!(
        "{player}: began after {startup_s:.2?} s, {played_s:.2} s in {elapsed_s:.2} s, {stalls} stalls of \
         {stalled_s:.2} s, {} frames, {} dropped, {:?}, {:?}, {:?}",
        report.decoded, report.dropped, report.sizes, report.latency_s, report.errors
    );
    report
}

impl Report {
    /// It began, went on, with sound, and nothing was wrong.
    #[track_caller]
    pub fn plays_smoothly(self) -> Self {
        assert_eq!(self.mistakes().next(), None, "{self:#?}");
        assert!(self.startup_s.is_some() && self.stalls == 0, "{self:#?}");
        assert!(self.played_s >= 0.9 * self.elapsed_s - 0.5, "{self:#?}");
        assert!(self.holes.is_empty(), "{self:#?}");
        // At 25 a second; a busy machine drops some.
        let expected = self.played_s * 25.0;
        assert!(f64::from(self.decoded) >= 0.9 * expected && self.dropped * 4 <= self.decoded, "{self:#?}");
        assert!(self.sound_bytes > 0, "{self:#?}");
        self
    }
}

impl Report {
    /// It went on to the end, whatever it had to do for that.
    #[track_caller]
    pub fn survives(self) -> Self {
        let fatal =
            |error: &&String| error.contains("fatal") || error.contains("video ") || error.contains("shaka");
        assert_eq!(self.errors.iter().find(fatal), None, "{self:#?}");
        assert!(self.startup_s.is_some() && self.sound_bytes > 0, "{self:#?}");
        assert!(self.played_s >= 0.9 * self.elapsed_s - 0.5, "{self:#?}");
        self
    }
}

impl Report {
    /// It went on without a stall, whatever the player said of its own doings.
    #[track_caller]
    pub fn never_stands_still(self) -> Self {
        assert_eq!(self.stalls, 0, "{self:#?}");
        self.survives()
    }
}

impl Report {
    /// What went wrong. Where sound and picture do not begin together, hls.js begins with both of them, and says so; also
    /// that it gives up a request of its own when it finds its place.
    pub fn mistakes(&self) -> impl Iterator<Item = &String> {
        let startup = self.startup_s.unwrap_or_default();
        let is_beginning = move |error: &str| {
            let at = error.split(' ').next().and_then(|at| at.parse::<f64>().ok());
            let is_own =
                ["bufferSeekOverHole", "networkError aborted"].iter().any(|name| error.contains(name));
            is_own && at.is_some_and(|at| at <= startup + 0.1)
        };
        self.errors.iter().filter(move |error| !is_beginning(error))
    }
}

/// Each of `players` plays `url` at the same time.
pub fn all_play(players: &[Player], url: &str, seconds: u32) -> Vec<Report> {
    std::thread::scope(|scope| {
        let plays: Vec<_> =
            players.iter().map(|player| scope.spawn(move || player.play(url, seconds))).collect();
        plays.into_iter().map(|play| play.join().unwrap()).collect()
    })
}

/// Runs `drive.mjs`, which ends by itself.
pub fn drive<R: DeserializeOwned>(arguments: &[&str]) -> R {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/players/drive.mjs");
    let output = Command::new("node")
        .arg(script)
        .args(arguments)
        .env("TEST_SERVERS", servers())
        .stdin(Stdio::null())
        .output()
        .expect("node is installed: run tests/servers.sh first");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "drive.mjs {arguments:?}: {complaint}");
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Where `tests/servers.sh` puts what comes from npm.
fn servers() -> PathBuf {
    let root = std::env::var_os("TEST_SERVERS").map(PathBuf::from);
    let root = root.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/servers"));
    assert!(
        root.join("node_modules/hls.js").exists(),
        "no players in {}: run tests/servers.sh first",
        root.display()
    );
    root
}

/// A folder of what `tests/servers.sh` has from npm.
pub fn scripts(folder: &str) -> PathBuf {
    servers().join("node_modules").join(folder)
}

/// How long each stream is played, in seconds.
pub fn seconds() -> u32 {
    std::env::var("TEST_PLAYER_SECONDS")
        .map_or(5, |text| text.parse().expect("TEST_PLAYER_SECONDS is a number"))
}
