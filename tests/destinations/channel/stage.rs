//! A channel, its destinations, and who looks at them.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use segcast::channel::{self, Stop, Summary};
use segcast::config::{Environment, Format, parse_str};
use segcast::destination::{Destination, Target};
use segcast::playlist::Media;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tracing::subscriber::DefaultGuard;

use super::checker::{Seeing, check, check_alike};
use super::host::{Host, files};
use super::viewer::{PLAYLISTS, Viewer};
use crate::conformance::open;
use crate::proxy::{Answers, Proxy};
use crate::server::{Server, free_port, system};

/// How long something may take that is waited for.
const LIMIT: Duration = Duration::from_secs(40);

/// What is encoded: segments of a second, six in a playlist.
const CHANNEL: &str = "
name = 'test'
[input]
url = 'test'
args = ['-re']
[output]
segment = '1s'
window = 6
[[rendition]]
name = 'hi'
video = { codec = 'h264', size = '160x90', bitrate = '150k', preset = 'ultrafast', fps = 10 }
audio = { codec = 'aac', bitrate = '48k' }
[[rendition]]
name = 'lo'
video = { codec = 'h264', size = '128x72', bitrate = '80k', preset = 'ultrafast', fps = 10 }
";

/// How long an attempt may take: what is lost in the network is tried again soon.
const TIMEOUT: &str = "timeout = '2s'\n";

/// The options of a channel with these destinations.
fn options(destinations: &[String]) -> channel::Options {
    let destinations = destinations.iter().map(|keys| format!("[[destination]]\n{keys}"));
    let text = CHANNEL.to_owned() + &destinations.collect::<String>();
    let checked = parse_str(Format::Toml, "test.toml", &text, &Environment::new(), &[]);
    checked.unwrap_or_else(|error| panic!("{error}\n{text}")).options
}

/// A destination and the way there.
pub struct Place {
    pub host: Host,
    pub proxy: Option<Arc<Proxy>>,
    pub answers: Option<Answers>,
    /// Further keys.
    pub more: String,
    /// What is in its keys, and what shall stand there instead.
    replaced: Vec<(&'static str, &'static str)>,
    /// What must be said of it.
    pub words: &'static [&'static str],
}

impl Place {
    pub fn new(host: Host) -> Self {
        Self { host, proxy: None, answers: None, more: TIMEOUT.to_owned(), replaced: Vec::new(), words: &[] }
    }

    pub fn behind_a_proxy(host: Host) -> Self {
        let address = host.address().unwrap();
        let proxy = match &host {
            Host::Vsftpd { passive, .. } => Proxy::before_ftp(address, passive.clone()),
            _ => Proxy::before(address),
        };
        Self { proxy: Some(Arc::new(proxy)), ..Self::new(host) }
    }

    /// Puts one in front that answers instead of the web server.
    pub fn answer(&mut self) {
        self.answers = Some(Answers::before(self.proxy.as_ref().unwrap().address()));
    }

    pub fn replace(&mut self, what: &'static str, by: &'static str) -> &mut Self {
        self.replaced.push((what, by));
        self
    }

    pub fn expect(&mut self, words: &'static [&'static str]) {
        self.words = words;
    }

    fn keys(&self, address: Option<SocketAddr>) -> String {
        let mut keys = self.host.keys(address);
        for (what, by) in &self.replaced {
            assert!(keys.contains(what), "no {what} in {keys}");
            keys = keys.replace(what, by);
        }
        keys + &self.more
    }

    /// The keys by which the channel reaches it.
    pub fn through(&self) -> String {
        let answers = self.answers.as_ref().map(Answers::address);
        let proxy = self.proxy.as_ref().map(|proxy| proxy.address());
        self.keys(answers.or(proxy).or_else(|| self.host.address()))
    }

    /// The place itself, whatever is before it.
    fn direct(&self) -> Target {
        options(&[self.keys(self.host.address())]).destinations.remove(0).target
    }

    /// What the channel calls it.
    pub fn name(&self) -> String {
        options(&[self.through()]).destinations[0].target.to_string()
    }

    /// Past the network before it.
    pub fn look(&self) -> Arc<dyn Destination> {
        open(&self.direct())
    }

    /// The segments that its playlists name.
    pub async fn segments(&self) -> BTreeSet<String> {
        let (destination, mut keys) = (self.look(), BTreeSet::new());
        for key in &PLAYLISTS[1..] {
            let text = destination.get(key).await.unwrap().unwrap();
            let media = Media::parse(std::str::from_utf8(&text).unwrap()).unwrap();
            let folder = key.split_once('/').unwrap().0;
            let named = media.segments.iter().filter(|segment| !segment.is_gap);
            keys.extend(named.map(|segment| format!("{folder}/{}", segment.uri)));
        }
        keys
    }

    /// A web server that players come to: its own, or one over its folder.
    pub fn served(&self) -> Web {
        let own = match &self.host {
            Host::Nginx(_) => Some("on/air"),
            Host::Weed(_) => Some("live-bucket/live"),
            _ => None,
        };
        if let Some(path) = own {
            let url = format!("http://{}/{path}/index.m3u8", self.host.address().unwrap());
            return Web { url, _server: None };
        }
        let (port, folder) = (free_port(), files(&self.host).unwrap());
        let mut command = std::process::Command::new(system("python3"));
        command.args(["-m", "http.server", "--bind", "127.0.0.1", "--directory"]).arg(folder);
        command.arg(port.to_string());
        let server = Server::start(command, port, tempfile::tempdir().unwrap());
        Web { url: format!("http://127.0.0.1:{port}/index.m3u8"), _server: Some(server) }
    }
}

/// Where players come to.
pub struct Web {
    pub url: String,
    _server: Option<Server>,
}

/// ffmpeg, which plays a few seconds of `url`, decodes all of it, and tells on standard output how much that was.
pub fn play(url: &str) -> Child {
    let mut command = Command::new("ffmpeg");
    command.args([
        "-nostdin", "-v", "warning", "-xerror", "-i", url, "-t", "4", "-map", "0:v:0", "-map", "0:a:0",
    ]);
    command.args(["-progress", "pipe:1", "-f", "null", "-"]).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Names of segments below `folder`.
pub fn segments_in(folder: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for rendition in ["hi", "lo"] {
        for entry in std::fs::read_dir(folder.join(rendition)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".ts") {
                names.insert(format!("{rendition}/{name}"));
            }
        }
    }
    names
}

/// Waits until `is_so`.
pub async fn until(deadline: Instant, what: &str, is_so: impl AsyncFn() -> bool) {
    while !is_so().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Destinations with viewers, and what a channel logs meanwhile.
pub struct Stage {
    pub places: Vec<Place>,
    viewers: Vec<Viewer>,
    log: Buffer,
    _logging: DefaultGuard,
}

impl Stage {
    /// Viewers look from now on. What is logged by this thread is kept.
    pub fn new(places: Vec<Place>) -> Self {
        let began = Instant::now();
        let viewers = places.iter().map(|place| Viewer::begin(&place.direct(), began)).collect();
        Self::seen_by(viewers, places)
    }

    /// One without a viewer, who would see what is wrong with it.
    pub fn unwatched(place: Place) -> Self {
        Self::seen_by(Vec::new(), vec![place])
    }

    fn seen_by(viewers: Vec<Viewer>, places: Vec<Place>) -> Self {
        let log = Buffer::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone());
        let _logging = tracing::subscriber::set_default(subscriber.finish());
        Self { places, viewers, log, _logging }
    }

    /// Starts a channel that puts its stream to all places.
    pub fn run(&self) -> Run {
        let keys: Vec<_> = self.places.iter().map(Place::through).collect();
        let options = options(&keys);
        let (stop, stopped) = watch::channel(Stop::No);
        Run { stop, task: tokio::spawn(async move { channel::run(&options, stopped).await }) }
    }

    /// Waits until everything is seen at these places.
    pub async fn until_on_air(&self, run: &Run, places: Range<usize>) {
        let deadline = Instant::now() + LIMIT;
        for place in &self.places[places] {
            let destination = place.look();
            until(deadline, &format!("on air at {}:\n{}", place.name(), self.log()), async || {
                assert!(!run.task.is_finished(), "it has ended:\n{}", self.log());
                destination.get("index.m3u8").await.is_ok_and(|text| text.is_some())
            })
            .await;
        }
    }

    /// Waits until `run` has logged this.
    pub async fn until_said(&self, run: &Run, what: &str) {
        until(Instant::now() + LIMIT, what, async || {
            assert!(!run.task.is_finished(), "it has ended:\n{}", self.log());
            self.log().contains(what)
        })
        .await;
    }

    /// What was logged until now.
    pub fn log(&self) -> String {
        String::from_utf8(self.log.0.lock().unwrap().clone()).unwrap()
    }

    /// Ends the viewers of `places`, the first ones, and checks what they saw: the same everywhere, ended and whole.
    pub async fn check(mut self) -> Vec<Seeing> {
        let mut all = Vec::new();
        for viewer in self.viewers.drain(..self.places.len()) {
            let log = viewer.end().await;
            let seeing = check(&log);
            println!(
                "{}: {} playlists, {} segments, {} gaps, {} asked for shortly before they could be deleted, {} \
                 requests of its viewer failed",
                log.name,
                seeing.playlists,
                seeing.bodies.len(),
                seeing.gaps.len(),
                seeing.stayed,
                log.failures.len(),
            );
            all.push(seeing);
        }
        let ends = all[0].ends();
        for (seeing, place) in all.iter().zip(&self.places) {
            let name = place.name();
            assert!(seeing.last.iter().all(|media| media.is_ended), "{name}: {:#?}", seeing.last);
            assert_eq!(seeing.ends(), ends, "{name}");
            assert_eq!(seeing.last_gaps(), 0, "{name}: {:#?}\n{}", seeing.last, self.log());
        }
        check_alike(&all);
        all
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.log());
        }
    }
}

/// A running channel.
pub struct Run {
    stop: watch::Sender<Stop>,
    task: JoinHandle<Result<Summary, channel::Error>>,
}

impl Run {
    /// Asks it to finish, and waits for it.
    pub async fn finish(self) -> Result<Summary, channel::Error> {
        self.stop.send_replace(Stop::Finish);
        self.end().await
    }

    /// Waits for its own end.
    pub async fn end(self) -> Result<Summary, channel::Error> {
        let Self { stop: _stop, task } = self;
        task.await.unwrap()
    }

    /// Ends it as if its process were killed.
    pub async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// What is logged.
#[derive(Clone, Debug, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
