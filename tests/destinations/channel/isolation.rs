//! What a destination that nothing gets through to costs the others: measured, not asserted, as it takes minutes and
//! a machine with nothing else to do. `benches/isolation.sh` runs it.
//!
//! - `SEGCAST_BINARY`: what is measured; the tests' own build if absent.
//! - `SEGCAST_ISOLATION_SECONDS`: how long all is fair, and again how long one is black-holed; 60 if absent.
//! - `SEGCAST_ISOLATION_CYCLES`: how often; once if absent.
//! - `SEGCAST_BLACK_HOLE`: which one: http, ftp, sftp or s3; http if absent.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use segcast::playlist::Media;
use serde_json::Value;
use tokio::time::sleep;

use super::host::Host;
use super::stage::{Place, until};
use super::viewer::PLAYLISTS;
use crate::proxy::Fault;

/// Before anything is measured, and before the black hole is over and done with.
const SETTLING: Duration = Duration::from_secs(15);
/// How long the channel may take to begin, and to end.
const LIMIT: Duration = Duration::from_secs(60);

const CHANNEL: &str = "
name = 'isolation'
spool = { memory = '64MiB', disk = '256MiB' }
[log]
level = 'debug'
format = 'json'
file = 'log'
[input]
url = 'test'
args = ['-re']
[output]
segment = '1s'
window = 6
[[rendition]]
name = 'hi'
video = { codec = 'h264', size = '480x270', bitrate = '800k', preset = 'ultrafast', fps = 25 }
audio = { codec = 'aac', bitrate = '64k' }
[[rendition]]
name = 'lo'
video = { codec = 'h264', size = '320x180', bitrate = '300k', preset = 'ultrafast', fps = 25 }
audio = { codec = 'aac', bitrate = '64k' }
";

#[tokio::test]
#[ignore = "a measurement of some minutes: benches/isolation.sh"]
async fn one_black_hole_costs_the_others_nothing() {
    let phase = Duration::from_secs(number("SEGCAST_ISOLATION_SECONDS", 60));
    let cycles = number("SEGCAST_ISOLATION_CYCLES", 1);
    let black = env::var("SEGCAST_BLACK_HOLE").unwrap_or_else(|_| "http".to_owned());
    let places = [
        Place::new(Host::folder()),
        Place::behind_a_proxy(Host::nginx()),
        Place::behind_a_proxy(Host::vsftpd()),
        Place::behind_a_proxy(Host::sshd()),
        Place::behind_a_proxy(Host::weed().await),
    ];
    let hole = places.iter().position(|place| place.name().starts_with(&format!("{black}:")));
    let hole = &places[hole.unwrap_or_else(|| panic!("SEGCAST_BLACK_HOLE: no {black} here"))];
    let channel = Channel::start(&places);
    for place in &places {
        let looks = place.look();
        let deadline = tokio::time::Instant::now() + LIMIT;
        until(deadline, "on air", async || looks.get("index.m3u8").await.is_ok_and(|text| text.is_some()))
            .await;
    }
    let (mut fair, mut spoiled) = (Vec::new(), Vec::new());
    for _ in 0..cycles {
        sleep(SETTLING).await;
        fair.push(channel.during(phase).await);
        hole.proxy.as_ref().unwrap().set(Fault::BlackHole);
        spoiled.push(channel.during(phase).await);
        hole.proxy.as_ref().unwrap().heal();
    }
    sleep(SETTLING).await;
    let memory = channel.peak_kibibytes();
    let log = channel.end();
    tell(&places, hole, &log, &fair, &spoiled);
    println!(
        "peak memory of segcast (VmHWM): {:.1} MiB; its spool: 64 MiB, and 256 MiB on disk",
        memory / 1024.0
    );
    let mut ends = Vec::new();
    for place in &places {
        ends.push(end(place).await);
        println!("{}: its last playlists end before {:?}", kind(place), ends[ends.len() - 1]);
    }
    assert!(ends.iter().all(|end| *end == ends[0]), "{} has not caught up", kind(hole));
    for line in log.iter().filter(|line| line["target"] == "segcast::channel::run" && line["level"] == "INFO")
    {
        println!("{}", line["fields"]["message"].as_str().unwrap_or_default());
    }
}

fn number(name: &str, usual: u64) -> u64 {
    env::var(name)
        .map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name}: {text} is no number")))
}

fn kind(place: &Place) -> String {
    let name = place.name();
    name.split_once("://").map_or("copy", |(scheme, _)| scheme).to_owned()
}

/// The media sequence numbers behind the last segments of a place's playlists, which are ended.
async fn end(place: &Place) -> Vec<u64> {
    let (looks, mut ends) = (place.look(), Vec::new());
    for key in &PLAYLISTS[1..] {
        let text = looks.get(key).await.unwrap().unwrap();
        let media = Media::parse(std::str::from_utf8(&text).unwrap()).unwrap();
        assert!(media.is_ended);
        ends.push(media.media_sequence + media.segments.len() as u64);
    }
    ends
}

/// A running segcast.
struct Channel {
    child: Child,
    folder: tempfile::TempDir,
}

impl Channel {
    fn start(places: &[Place]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let destinations = places.iter().map(|place| format!("[[destination]]\n{}", place.through()));
        let text = CHANNEL.to_owned() + &destinations.collect::<String>();
        fs::write(folder.path().join("isolation.toml"), text).unwrap();
        let binary = env::var_os("SEGCAST_BINARY").map(PathBuf::from);
        let binary = binary.unwrap_or_else(|| Path::new(env!("CARGO_BIN_EXE_segcast")).to_owned());
        let mut command = Command::new(binary.canonicalize().unwrap());
        command.args(["run", "isolation.toml"]).current_dir(folder.path());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { child, folder }
    }

    fn text(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The lines of the log that are written meanwhile.
    async fn during(&self, time: Duration) -> Range<usize> {
        let begun = self.text().lines().count();
        sleep(time).await;
        begun..self.text().lines().count()
    }

    fn peak_kibibytes(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Lets it finish. What it has logged.
    fn end(mut self) -> Vec<Value> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let deadline = Instant::now() + LIMIT;
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(50));
        }
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Publish latencies in milliseconds, by destination, in order of size.
fn latencies(log: &[Value], phases: &[Range<usize>]) -> BTreeMap<String, Vec<f64>> {
    let mut latencies = BTreeMap::<_, Vec<f64>>::new();
    for line in phases.iter().flat_map(|phase| &log[phase.clone()]) {
        let fields = &line["fields"];
        if let ("playlist", Some(latency)) =
            (fields["message"].as_str().unwrap_or(""), fields["latency_ms"].as_f64())
        {
            let name = fields["destination"].as_str().unwrap().to_owned();
            latencies.entry(name).or_default().push(latency);
        }
    }
    latencies.values_mut().for_each(|all| all.sort_by(f64::total_cmp));
    latencies
}

fn quantile(sorted: &[f64], percent: usize) -> f64 {
    sorted.get((sorted.len().max(1) - 1) * percent / 100).copied().unwrap_or(f64::NAN)
}

/// Prints the table.
fn tell(places: &[Place], hole: &Place, log: &[Value], fair: &[Range<usize>], spoiled: &[Range<usize>]) {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!(
        "{} is black-holed; from a segment's end to the playlist that shows it, in ms; load {load}",
        kind(hole)
    );
    println!("| destination | fair: median | p95 | of | black hole: median | p95 | of | median changes by |");
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    let (fair, spoiled) = (latencies(log, fair), latencies(log, spoiled));
    for place in places {
        let [before, after] =
            [&fair, &spoiled].map(|all| all.get(&place.name()).map_or(&[][..], Vec::as_slice));
        let change = (quantile(after, 50) / quantile(before, 50) - 1.0) * 100.0;
        println!(
            "| {} | {:.2} | {:.2} | {} | {:.2} | {:.2} | {} | {change:+.1} % |",
            kind(place),
            quantile(before, 50),
            quantile(before, 95),
            before.len(),
            quantile(after, 50),
            quantile(after, 95),
            after.len(),
        );
    }
}
