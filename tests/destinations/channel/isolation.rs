//! What a destination that nothing gets through to costs the others: measured, not asserted, as it takes minutes and
//! a machine with nothing else to do. `benches/isolation.sh` runs it.
//!
//! Machines drift, and five destinations cost more than four. So each cycle has three channels one after the other,
//! in an order that moves on from cycle to cycle: without the destination in question, with it, and with it
//! black-holed. What is told is how the medians of one cycle compare.
//!
//! - `TEST_BINARY`: what is measured; the tests' own build if absent.
//! - `TEST_ISOLATION_SECONDS`: how long each channel is measured; 15 if absent.
//! - `TEST_ISOLATION_CYCLES`: how often; three times if absent.
//! - `TEST_BLACK_HOLE`: which one: http, ftp, sftp or s3; http if absent.

use std::collections::BTreeMap;
use std::env;
use std::fs;
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

/// Before anything is measured.
const SETTLING: Duration = Duration::from_secs(5);
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

/// How a channel fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weather {
    /// Without the destination in question.
    Absent,
    /// All is well.
    Fair,
    /// Nothing gets through to it.
    BlackHole,
}

const WEATHERS: [Weather; 3] = [Weather::Absent, Weather::Fair, Weather::BlackHole];

/// Publish latencies in milliseconds in one channel, by destination, in order of size.
type Latencies = BTreeMap<String, Vec<f64>>;

#[tokio::test]
#[ignore = "a measurement of some minutes: benches/isolation.sh"]
async fn one_black_hole_costs_the_others_nothing() {
    let phase = Duration::from_secs(number("TEST_ISOLATION_SECONDS", 15));
    let cycles = number("TEST_ISOLATION_CYCLES", 3) as usize;
    let black = env::var("TEST_BLACK_HOLE").unwrap_or_else(|_| "http".to_owned());
    let places = [
        Place::new(Host::folder()),
        Place::behind_a_proxy(Host::nginx()),
        Place::behind_a_proxy(Host::vsftpd()),
        Place::behind_a_proxy(Host::sshd()),
        Place::behind_a_proxy(Host::weed().await),
    ];
    let hole = places.iter().position(|place| place.name().starts_with(&format!("{black}:")));
    let hole = hole.unwrap_or_else(|| panic!("TEST_BLACK_HOLE: no {black} here"));
    let (mut measured, mut peak_kibibytes) = (Vec::new(), 0.0_f64);
    for cycle in 0..cycles {
        let mut here = BTreeMap::new();
        for weather in (0..WEATHERS.len()).map(|n| WEATHERS[(n + cycle) % WEATHERS.len()]) {
            let (latencies, memory) = live_through(&places, hole, weather, phase).await;
            here.insert(weather, latencies);
            peak_kibibytes = peak_kibibytes.max(memory);
        }
        measured.push(here);
    }
    tell(&places, hole, &measured);
    println!(
        "peak memory of segcast (VmHWM): {:.1} MiB; its spool: 64 MiB, and 256 MiB on disk",
        peak_kibibytes / 1024.0
    );
}

/// One channel, from its start to its end: its latencies, and its memory in KiB.
async fn live_through(places: &[Place], hole: usize, weather: Weather, phase: Duration) -> (Latencies, f64) {
    let is_there = |n: usize| n != hole || weather != Weather::Absent;
    let there: Vec<&Place> = (0..places.len()).filter(|n| is_there(*n)).map(|n| &places[n]).collect();
    let channel = Channel::start(&there);
    let deadline = tokio::time::Instant::now() + LIMIT;
    let is_on_air = |log: &str| there.iter().all(|place| log.contains(&format!("on air: {}/", place.name())));
    until(deadline, "on air", async || is_on_air(&channel.text())).await;
    let proxy = places[hole].proxy.as_ref().unwrap();
    if weather == Weather::BlackHole {
        proxy.set(Fault::BlackHole);
    }
    sleep(SETTLING).await;
    let begun = channel.lines();
    sleep(phase).await;
    let measured = begun..channel.lines();
    proxy.heal();
    let memory = channel.peak_kibibytes();
    let log = channel.end();
    let mut ends = Vec::new();
    for place in &there {
        ends.push(end(place).await);
    }
    assert!(ends.iter().all(|end| *end == ends[0]), "one has not caught up: {ends:?}");
    (latencies(&log[measured]), memory)
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
    fn start(places: &[&Place]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let destinations = places.iter().map(|place| format!("[[destination]]\n{}", place.through()));
        let text = CHANNEL.to_owned() + &destinations.collect::<String>();
        fs::write(folder.path().join("isolation.toml"), text).unwrap();
        let binary = env::var_os("TEST_BINARY").map(PathBuf::from);
        let binary = binary.unwrap_or_else(|| Path::new(env!("CARGO_BIN_EXE_segcast")).to_owned());
        let mut command = Command::new(binary.canonicalize().unwrap());
        command.args(["run", "isolation.toml"]).current_dir(folder.path());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { child, folder }
    }

    fn text(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Lines of the log so far.
    fn lines(&self) -> usize {
        self.text().lines().count()
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

fn latencies(log: &[Value]) -> Latencies {
    let mut latencies = Latencies::new();
    for line in log {
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

fn median(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len().max(1) / 2).or(sorted.last()).copied().unwrap_or(f64::NAN)
}

/// Prints the table.
fn tell(places: &[Place], hole: usize, measured: &[BTreeMap<Weather, Latencies>]) {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!(
        "{} is left out, there, or black-holed; from a segment's end to the playlist that shows it, medians in ms of \
         each cycle; load {load}",
        kind(&places[hole])
    );
    println!(
        "| destination | left out | there | black-holed | black-holed ÷ left out | black-holed ÷ there |"
    );
    println!("|---|---|---|---|---|---|");
    for (_, place) in places.iter().enumerate().filter(|(n, _)| *n != hole) {
        let medians = |weather: Weather| -> Vec<f64> {
            let of_cycle = |cycle: &BTreeMap<Weather, Latencies>| {
                median(cycle[&weather].get(&place.name()).map_or(&[][..], Vec::as_slice))
            };
            measured.iter().map(of_cycle).collect()
        };
        let [absent, fair, black] = WEATHERS.map(medians);
        println!(
            "| {} | {} | {} | {} | {} | {} |",
            kind(place),
            listed(&absent),
            listed(&fair),
            listed(&black),
            compared(&black, &absent),
            compared(&black, &fair),
        );
    }
}

fn listed(values: &[f64]) -> String {
    values.iter().map(|value| format!("{value:.2}")).collect::<Vec<_>>().join(" ")
}

/// The median of the ratios of each cycle, and those.
fn compared(these: &[f64], those: &[f64]) -> String {
    let ratios: Vec<f64> = these.iter().zip(those).map(|(this, that)| this / that).collect();
    let mut sorted = ratios.clone();
    sorted.sort_by(f64::total_cmp);
    format!("{:.3} ({})", median(&sorted), listed(&ratios))
}
