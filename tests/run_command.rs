//! `segcast run` from the outside: the binary, real ffmpeg, and what a viewer would read meanwhile. Linux only in
//! one point: leftovers are looked for in `/proc`.
#![cfg(feature = "cli")]
// What the tests share is test code too.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant, SystemTime};

use segcast::playlist::Media;

/// No process runs longer than this, whatever goes wrong.
const DEADLINE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);
/// By this in their environment a run's children are known.
const MARK: &str = "RUN_COMMAND_TEST";

/// A running segcast; killed with all its children if a test fails.
struct Run {
    child: Child,
    mark: String,
    log: PathBuf,
}

/// What a run came to.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    log: String,
}

impl Run {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        Self::start_in_shell(folder, "exec \"$@\"", arguments)
    }

    /// `shell` runs the command that it is given as its arguments.
    fn start_in_shell(folder: &Path, shell: &str, arguments: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mark = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let log = folder.join(format!("{mark}.log"));
        let child = Command::new("sh")
            .args(["-c", shell, "sh", env!("CARGO_BIN_EXE_segcast"), "run"])
            .args(arguments)
            .current_dir(folder)
            .env(MARK, &mark)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn();
        Self { child: child.unwrap(), mark, log }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Waits until `is_so`, which must come true before the run ends.
    fn until(&mut self, what: &str, mut is_so: impl FnMut() -> bool) {
        let began = Instant::now();
        while !is_so() {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() && began.elapsed() < DEADLINE, "{what}: {ended:?}\n{}", self.log());
            sleep(LOOK);
        }
    }

    fn end(self) -> Ended {
        self.end_within(DEADLINE)
    }

    /// Waits for its end; nothing of it may be left then.
    fn end_within(mut self, limit: Duration) -> Ended {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < limit, "it does not end:\n{}", self.log());
            sleep(LOOK);
        };
        let ended = Ended { code: status.code(), log: self.log() };
        let left = marked(&self.mark);
        assert!(left.is_empty(), "left behind: {left:?}\n{}", ended.log);
        ended
    }

    /// The ids of its encoders and source commands.
    fn children(&self) -> Vec<u32> {
        marked(&self.mark).into_iter().map(|(id, _)| id).filter(|id| *id != self.child.id()).collect()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        for (id, _) in marked(&self.mark) {
            signal(id, "KILL");
        }
        let _ = self.child.wait();
    }
}

impl Ended {
    #[track_caller]
    fn expect(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.log);
        for word in words {
            assert!(self.log.contains(word), "no {word:?} in:\n{}", self.log);
        }
        assert!(!self.log.contains("panicked"), "{}", self.log);
        self
    }
}

fn signal(id: u32, name: &str) {
    let _ = Command::new("kill").args([&format!("-{name}"), &id.to_string()]).stderr(Stdio::null()).status();
}

/// Living processes with this mark, and what they are.
fn marked(mark: &str) -> Vec<(u32, String)> {
    let wanted = format!("{MARK}={mark}\0");
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let of = |entry: fs::DirEntry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        let environment = fs::read(entry.path().join("environ")).ok()?;
        let is_ours = environment.windows(wanted.len()).any(|window| window == wanted.as_bytes());
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        // A dead one that nobody has waited for has neither.
        is_ours.then(|| (id, String::from_utf8_lossy(&line).replace('\0', " ")))
    };
    entries.filter_map(of).collect()
}

fn write(path: impl AsRef<Path>, text: &str) -> String {
    fs::write(&path, text).unwrap();
    path.as_ref().display().to_string()
}

/// A small picture and a tone under `name`.
fn rung(name: &str, size: &str) -> String {
    format!(
        "[[rendition]]\nname = \"{name}\"\nvideo = {{ codec = \"h264\", size = \"{size}\", bitrate = \"150k\", \
         preset = \"ultrafast\", fps = 25 }}\naudio = {{ codec = \"aac\", bitrate = \"48k\" }}\n"
    )
}

/// The built-in pattern in two renditions, a second a segment.
fn pattern(playlist: &str, args: &str) -> String {
    let head = format!(
        "[input]\nurl = \"test\"\nargs = [{args}]\n[output]\ndirectory = \"live\"\nsegment = \"1s\"\nwindow = 3\n\
         playlist = \"{playlist}\"\n"
    );
    [head, rung("high", "160x90"), rung("low", "128x72")].concat()
}

fn media(path: &Path) -> Media {
    Media::parse(&fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        .unwrap()
}

fn is_file(path: &Path) -> bool {
    path.is_file()
}

/// All that ffprobe or ffmpeg prints.
fn printed(program: &str, arguments: &[&str], path: &Path) -> String {
    let mut line = Command::new(program);
    line.args(["-v", "error"]);
    line.args(
        arguments.iter().map(|argument| if *argument == "{}" { path.as_os_str() } else { argument.as_ref() }),
    );
    let output = line.stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// PTS of a segment's first picture, 90 kHz.
fn first_pts(path: &Path) -> String {
    let arguments = ["-select_streams", "v", "-show_entries", "packet=pts", "-of", "csv=p=0", "{}"];
    let all = printed("ffprobe", &arguments, path);
    all.lines().next().unwrap_or_default().trim_matches(',').to_owned()
}

/// Pictures that a playlist decodes to; ffmpeg must not complain.
fn pictures(playlist: &Path) -> usize {
    let arguments = [
        "-live_start_index",
        "0",
        "-i",
        "{}",
        "-map",
        "0:v",
        "-fps_mode",
        "passthrough",
        "-f",
        "framecrc",
        "-",
    ];
    let all = printed("ffmpeg", &arguments, playlist);
    let complaints: Vec<_> = all.lines().filter(|line| line.starts_with('[')).collect();
    assert!(complaints.is_empty(), "{}: {complaints:?}", playlist.display());
    all.lines().filter(|line| line.starts_with("0,")).count()
}

/// A media playlist that another reader takes too, and of which everything is there.
fn whole(playlist: &Path) -> Media {
    let text = fs::read_to_string(playlist).unwrap();
    let (_, strict) = m3u8_rs::parse_media_playlist(text.as_bytes()).unwrap();
    let media = Media::parse(&text).unwrap();
    assert_eq!(strict.segments.len(), media.segments.len());
    for segment in &media.segments {
        let is_there = playlist.with_file_name(&segment.uri).is_file();
        assert_ne!(is_there, segment.is_gap, "{}: there {is_there}, a gap {}", segment.uri, segment.is_gap);
        assert!(segment.duration <= media.target_duration);
    }
    media
}

/// Reads playlists over and over, as a crowd of viewers would, and notes what no viewer may see.
struct Viewer {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

#[derive(Default)]
struct Seen {
    wrong: Vec<String>,
    reads: u64,
    /// When each segment was last seen named, and the duration of that playlist.
    named: BTreeMap<PathBuf, (Instant, Duration)>,
    deleted: usize,
}

impl Viewer {
    fn watch(multivariant: PathBuf, playlists: Vec<PathBuf>) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let stop = is_over.clone();
        let thread = std::thread::spawn(move || {
            let (mut seen, mut last) = (Seen::default(), BTreeMap::new());
            while !stop.load(Ordering::Relaxed) {
                let has_multivariant = multivariant.exists();
                for playlist in &playlists {
                    if has_multivariant && !playlist.exists() {
                        seen.wrong.push(format!("{} is offered too early", playlist.display()));
                    }
                    seen.look(playlist, &mut last);
                }
                seen.look_for_deleted();
            }
            seen
        });
        Self { is_over, thread }
    }

    fn end(self) -> Seen {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

impl Seen {
    fn look(&mut self, playlist: &Path, last: &mut BTreeMap<PathBuf, Media>) {
        let Ok(text) = fs::read_to_string(playlist) else { return };
        self.reads += 1;
        let media = match Media::parse(&text) {
            Ok(media) if text.ends_with('\n') => media,
            other => return self.wrong.push(format!("{other:?}: {text}")),
        };
        let now = Instant::now();
        for segment in &media.segments {
            let path = playlist.with_file_name(&segment.uri);
            if !path.is_file() {
                self.wrong.push(format!("{} is named and absent", path.display()));
            }
            self.named.insert(path, (now, media.duration() + segment.duration));
        }
        if let Some(before) = last.get(playlist) {
            let [end, end_before] =
                [&media, before].map(|media| media.media_sequence + media.segments.len() as u64);
            let is_back = media.media_sequence < before.media_sequence
                || end < end_before
                || media.discontinuity_sequence < before.discontinuity_sequence;
            if is_back || media.target_duration != before.target_duration {
                self.wrong.push(format!("{before:?} became {media:?}"));
            }
        }
        last.insert(playlist.to_owned(), media);
    }

    /// A segment stays for its own duration and that of the longest playlist that named it (RFC 8216 §6.2.2).
    fn look_for_deleted(&mut self) {
        let gone: Vec<_> = self.named.keys().filter(|path| !path.exists()).cloned().collect();
        for path in gone {
            let (named, keep) = self.named.remove(&path).unwrap();
            self.deleted += 1;
            if named.elapsed() + Duration::from_millis(300) < keep {
                self.wrong.push(format!(
                    "{} was deleted after {:?} of {keep:?}",
                    path.display(),
                    named.elapsed()
                ));
            }
        }
    }
}

/// Media playlists of one channel show the same.
fn assert_aligned(playlists: &[&Path]) {
    let medias: Vec<_> = playlists.iter().map(|path| whole(path)).collect();
    for media in &medias[1..] {
        let first = &medias[0];
        assert_eq!(media.media_sequence, first.media_sequence);
        assert_eq!(media.discontinuity_sequence, first.discontinuity_sequence);
        assert_eq!(media.target_duration, first.target_duration);
        let times = |media: &Media| {
            let of = |one: &segcast::playlist::Segment| (one.duration, one.is_discontinuity, one.date_time);
            media.segments.iter().map(of).collect::<Vec<_>>()
        };
        let (mut these, mut those) = (times(media), times(first));
        if let (Some(this), Some(that)) = (these.last_mut(), those.last_mut()) {
            // Where ffmpeg is stopped, one encoder may have got a picture more than the other.
            assert!(this.0.abs_diff(that.0) < Duration::from_millis(100), "{this:?} {that:?}");
            this.0 = that.0;
        }
        assert_eq!(these, those);
    }
    for number in 0..medias[0].segments.len() {
        let pts: Vec<_> = playlists
            .iter()
            .zip(&medias)
            .map(|(path, media)| first_pts(&path.with_file_name(&media.segments[number].uri)))
            .collect();
        assert!(!pts[0].is_empty() && pts.iter().all(|one| *one == pts[0]), "{pts:?}");
    }
}

#[test]
fn a_live_ladder_is_true_at_every_moment_and_ends_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let text = pattern("live", "\"-re\"") + &rung("tiny", "96x54");
    let config = write(folder.path().join("live.toml"), &text);
    let live = folder.path().join("live");
    let playlists = ["high", "low", "tiny"].map(|name| live.join(name).join("index.m3u8"));
    let mut run = Run::start(folder.path(), &[&config]);
    let viewer = Viewer::watch(live.join("index.m3u8"), playlists.to_vec());
    run.until("segments are deleted", || {
        playlists[2].exists()
            && media(&playlists[2]).media_sequence > 8
            && !live.join("tiny/tiny-00003.ts").exists()
    });
    run.signal("INT");
    run.end().expect(0, &["finishing", "high: "]);
    let seen = viewer.end();
    assert!(seen.wrong.is_empty(), "{:#?}", seen.wrong);
    assert!(seen.reads > 1000 && seen.deleted >= 6, "{} reads, {} deleted", seen.reads, seen.deleted);

    let paths: Vec<&Path> = playlists.iter().map(PathBuf::as_path).collect();
    assert_aligned(&paths);
    let medias: Vec<_> = paths.iter().map(|path| media(path)).collect();
    assert!(medias.iter().all(|media| media.is_ended && media.segments[0].date_time.is_some()));
    for (path, media) in paths.iter().zip(&medias) {
        let expected: f64 = media.segments.iter().map(|one| one.duration.as_secs_f64() * 25.0).sum();
        assert_eq!(pictures(path), expected.round() as usize);
    }

    let text = fs::read_to_string(live.join("index.m3u8")).unwrap();
    let (_, multivariant) = m3u8_rs::parse_master_playlist(text.as_bytes()).unwrap();
    let sizes = [(160, 90), (128, 72), (96, 54)];
    for ((variant, (width, height)), (path, media)) in
        multivariant.variants.iter().zip(sizes).zip(paths.iter().zip(&medias))
    {
        let resolution = variant.resolution.unwrap();
        assert_eq!((resolution.width, resolution.height), (width, height));
        assert_eq!(variant.frame_rate, Some(25.0));
        let codecs = variant.codecs.as_deref().unwrap();
        assert!(codecs.starts_with("avc1.") && codecs.ends_with(",mp4a.40.2"), "{codecs}");
        let rate = |one: &segcast::playlist::Segment| {
            fs::metadata(path.with_file_name(&one.uri)).unwrap().len() as f64 * 8.0
                / one.duration.as_secs_f64()
        };
        // The last one may be too short to count.
        let counted = media.segments.iter().filter(|one| one.duration.as_secs_f64() >= 0.5);
        let peak = counted.map(rate).fold(0.0, f64::max);
        assert!(variant.bandwidth as f64 >= peak, "{} < {peak}", variant.bandwidth);
        assert!(variant.average_bandwidth.unwrap() <= variant.bandwidth);
    }
}

#[test]
fn the_first_example_works_as_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let config = write(folder.path().join("live.toml"), include_str!("../examples/live.toml"));
    let live = folder.path().join("live");
    let mut run = Run::start(folder.path(), &[&config]);
    run.until("it is out", || is_file(&live.join("index.m3u8")));
    run.signal("TERM");
    run.end().expect(0, &[]);
    let playlists = ["720p/index.m3u8", "360p/index.m3u8"].map(|name| live.join(name));
    assert_aligned(&[&playlists[0], &playlists[1]]);
    assert!(media(&playlists[0]).is_ended);
    assert_eq!(media(&playlists[0]).segments[0].duration, Duration::from_secs(4));
}

#[test]
fn a_second_signal_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    // An encoder that does not care about being asked.
    let text = pattern("live", "\"-re\"")
        + "[[rendition]]\nname = \"deaf\"\ncommand = \"trap '' INT TERM; ffmpeg -v error -nostdin -re -f lavfi -i testsrc2=s=96x54 \
           -f mpegts - ; sleep 60\"\n";
    let config = write(folder.path().join("live.toml"), &text);
    let mut run = Run::start(folder.path(), &[&config]);
    run.until("it is out", || is_file(&folder.path().join("live/index.m3u8")));
    run.signal("INT");
    run.until("it finishes", || {
        fs::read_to_string(folder.path().join("live/high/index.m3u8")).unwrap().contains("ENDLIST")
    });
    run.signal("INT");
    run.end_within(Duration::from_secs(3)).expect(130, &["stopped at once"]);
}

#[test]
fn playlists_that_somebody_deletes_are_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = write(folder.path().join("live.toml"), &pattern("live", "\"-re\""));
    let mut run = Run::start(folder.path(), &[&config]);
    let playlists = ["index.m3u8", "high/index.m3u8"].map(|name| folder.path().join("live").join(name));
    run.until("it is out", || playlists.iter().all(|playlist| is_file(playlist)));
    fs::remove_dir_all(folder.path().join("live")).unwrap();
    run.until("it is out again", || playlists.iter().all(|playlist| is_file(playlist)));
    run.signal("INT");
    run.end().expect(0, &[]);
}

#[test]
fn an_end_before_the_beginning_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let config = write(folder.path().join("live.toml"), &pattern("live", "\"-re\""));
    let mut run = Run::start(folder.path(), &[&config]);
    let log = run.log.clone();
    run.until("it has begun", || fs::read_to_string(&log).unwrap().contains("to live/index.m3u8"));
    run.signal("INT");
    run.end_within(Duration::from_secs(20)).expect(0, &["finishing"]);
}

/// What the origin that this log tells of says at `path`.
fn told(log: &str, path: &str) -> String {
    let (_, behind) = log.split_once("a page at http://").unwrap();
    let (address, _) = behind.split_once('/').unwrap();
    let mut connection = TcpStream::connect(address).unwrap();
    write!(connection, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn encoders_that_are_killed_begin_again_behind_a_discontinuity() {
    let folder = tempfile::tempdir().unwrap();
    let text = pattern("live", "\"-re\"").replace("window = 3", "window = 30");
    let config = write(folder.path().join("live.toml"), &(text + "[origin]\nlisten = 0\n"));
    let live = folder.path().join("live");
    let playlists = ["high", "low"].map(|name| live.join(name).join("index.m3u8"));
    let breaks = || media(&playlists[0]).segments.iter().filter(|one| one.is_discontinuity).count();
    let mut run = Run::start(folder.path(), &[&config]);
    let viewer = Viewer::watch(live.join("index.m3u8"), playlists.to_vec());
    for count in 0..3 {
        run.until("segments are out", || {
            playlists[0].exists()
                && breaks() == count
                && media(&playlists[0]).segments.len() > 2 * (count + 1)
        });
        if count < 2 {
            signal(run.children()[0], "KILL");
        }
    }
    let metrics = told(&run.log(), "/metrics");
    for name in ["high", "low"] {
        let count = format!("segcast_encoder_restarts_total{{rendition=\"{name}\"}} 2");
        assert!(metrics.contains(&count), "{metrics}");
    }
    run.signal("INT");
    let again = ["encoder of high, low died with signal 9", "begin again in 1 s", "begin again in 2 s"];
    run.end().expect(0, &again);
    let seen = viewer.end();
    assert!(seen.wrong.is_empty(), "{:#?}", seen.wrong);
    // A killed encoder leaves a picture more of one rendition than of the other, and perhaps a segment of it.
    let lives = playlists.each_ref().map(|path| {
        let segments = whole(path).segments;
        let lives = segments.chunk_by(|_, next| !next.is_discontinuity);
        let starts = |life: &[segcast::playlist::Segment]| -> Vec<_> {
            life.iter().map(|one| first_pts(&path.with_file_name(&one.uri))).collect()
        };
        lives.map(starts).collect::<Vec<_>>()
    });
    assert_eq!(lives.each_ref().map(Vec::len), [3, 3]);
    for (high, low) in lives[0].iter().zip(&lives[1]) {
        assert!(
            high.len().abs_diff(low.len()) <= 1 && high.iter().zip(low).all(|(a, b)| a == b),
            "{lives:?}"
        );
    }
    let media = whole(&playlists[0]);
    assert!(media.is_ended && media.media_sequence == 1 && media.discontinuity_sequence == 0);
    let mut earliest = None;
    for segment in &media.segments {
        assert!(segment.date_time.is_some() || !segment.is_discontinuity);
        let at = segment.date_time.or(earliest).unwrap();
        assert!(earliest.is_none_or(|earliest| at + Duration::from_millis(1) >= earliest), "{media:?}");
        earliest = Some(at + segment.duration);
    }
}

#[test]
fn a_source_that_ends_begins_again_where_that_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let input = clip(&folder.path().join("in.ts"), "testsrc2", 2, &H264);
    let text = fan_out(&format!("cat {input}"), &[("one", COPY), ("two", "cat")]);
    let config = write(
        folder.path().join("live.toml"),
        &text.replacen("[input]\n", "[input]\nrestart = \"always\"\n", 1),
    );
    let playlists = ["one", "two"].map(|name| folder.path().join("live").join(name).join("index.m3u8"));
    let mut run = Run::start(folder.path(), &[&config]);
    run.until("it has come twice", || {
        playlists.iter().all(|path| path.exists() && media(path).segments.len() >= 4)
    });
    run.signal("INT");
    run.end().expect(0, &["begin again"]);
    for playlist in &playlists {
        let media = whole(playlist);
        assert!(media.is_ended);
        for (n, segment) in media.segments.iter().enumerate() {
            assert_eq!(segment.is_discontinuity, n > 0 && n % 2 == 0, "{media:?}");
        }
    }
}

#[test]
fn a_source_that_is_not_there_at_first_is_waited_for_where_that_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let input = clip(&folder.path().join("later.ts"), "testsrc2", 2, &H264);
    let awaited = folder.path().join("in.ts");
    let text = fan_out(&format!("cat {}", awaited.display()), &[("one", COPY), ("two", "cat")]);
    for restart in ["on-failure", "always"] {
        let text = text.replacen("[input]\n", &format!("[input]\nrestart = \"{restart}\"\n"), 1);
        let config = write(folder.path().join("live.toml"), &text);
        let mut run = Run::start(folder.path(), &[&config, "--log-level", "debug"]);
        if restart == "on-failure" {
            run.end().expect(1, &["No such file"]);
            continue;
        }
        let log = run.log.clone();
        run.until("it has been tried twice", || {
            fs::read_to_string(&log).unwrap().matches("begin again").count() >= 2
        });
        fs::rename(&input, &awaited).unwrap();
        for name in ["one", "two"] {
            let playlist = folder.path().join("live").join(name).join("index.m3u8");
            run.until("it has come", || playlist.exists() && !media(&playlist).segments.is_empty());
        }
        run.signal("INT");
        run.end().expect(0, &["No such file", "begin again"]);
    }
}

#[test]
fn a_killed_encoder_ends_the_channel_with_whole_playlists() {
    let folder = tempfile::tempdir().unwrap();
    let text = pattern("live", "\"-re\"").replacen("[input]\n", "[input]\nrestart = \"never\"\n", 1);
    let config = write(folder.path().join("live.toml"), &text);
    let live = folder.path().join("live");
    let mut run = Run::start(folder.path(), &[&config]);
    run.until("it is out", || is_file(&live.join("index.m3u8")));
    let children = run.children();
    assert_eq!(children.len(), 1, "one ffmpeg for both");
    signal(children[0], "KILL");
    run.end().expect(1, &["encoder of high, low died with signal 9"]);
    for name in ["high", "low"] {
        assert!(whole(&live.join(name).join("index.m3u8")).is_ended);
    }
}

#[test]
fn numbers_go_on_over_a_kill_and_over_an_orderly_end() {
    let folder = tempfile::tempdir().unwrap();
    let config = write(folder.path().join("live.toml"), &pattern("live", "\"-re\""));
    let live = folder.path().join("live");
    let playlist = live.join("high/index.m3u8");
    let mut run = Run::start(folder.path(), &[&config]);
    run.until("segments are out", || playlist.exists() && media(&playlist).segments.len() >= 3);
    run.signal("KILL");
    let mark = run.mark.clone();
    assert_eq!(run.child.wait().unwrap().code(), None);
    let began = Instant::now();
    while !marked(&mark).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(5), "encoders outlive segcast");
        sleep(LOOK);
    }
    drop(run);
    let before = whole(&playlist);
    let last = before.media_sequence + before.segments.len() as u64 - 1;
    let part = live.join("high/.high-00001.ts.segcast-part");
    let old = fs::File::create(&part).unwrap();
    old.set_modified(SystemTime::now() - Duration::from_secs(600)).unwrap();
    let bytes = |number: u64| fs::read(live.join(format!("high/high-{number:05}.ts"))).unwrap();
    let kept = bytes(last);

    let mut run = Run::start(folder.path(), &[&config]);
    let viewer = Viewer::watch(live.join("none.m3u8"), vec![playlist.clone(), live.join("low/index.m3u8")]);
    run.until("a new one is named", || {
        media(&playlist).media_sequence + media(&playlist).segments.len() as u64 > last + 1
    });
    let between = media(&playlist);
    assert_eq!(bytes(last), kept, "no name comes twice");
    assert!(
        between.segments.iter().any(|one| one.uri == format!("high-{last:05}.ts") && !one.is_discontinuity)
    );
    assert!(between.segments.last().unwrap().is_discontinuity);
    assert!(!part.exists());
    run.until("the old ones are gone", || !live.join(format!("high/high-{last:05}.ts")).exists());
    run.signal("INT");
    run.end().expect(0, &[]);
    let seen = viewer.end();
    assert!(seen.wrong.is_empty(), "{:#?}", seen.wrong);

    let before = whole(&playlist);
    let next = before.media_sequence + before.segments.len() as u64;
    let mut run = Run::start(folder.path(), &[&config]);
    run.until("it begins anew", || !media(&playlist).is_ended);
    assert_eq!(media(&playlist).media_sequence, next);
    assert!(media(&playlist).discontinuity_sequence > before.discontinuity_sequence);
    run.until("the old ones are gone", || !live.join("high").join(&before.segments[0].uri).exists());
    run.signal("INT");
    run.end().expect(0, &[]);
    assert_aligned(&[&playlist, &live.join("low/index.m3u8")]);
}

/// Some seconds of picture and tone.
fn clip(path: &Path, pattern: &str, seconds: u32, options: &[&str]) -> String {
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", &format!("{pattern}=size=160x90:rate=25")])
        .args(["-f", "lavfi", "-i", "sine=sample_rate=48000", "-t", &seconds.to_string()])
        .args(options)
        .args(["-f", "mpegts"])
        .arg(path)
        .stdin(Stdio::null())
        .status();
    assert!(made.unwrap().success());
    path.display().to_string()
}

const H264: [&str; 8] = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", "aac"];

/// The tail that every known file of the original has, and what stands before it in most.
const TAIL: &str = "-flags +loop -partitions +parti4x4+partp8x8+partb8x8 -subq 5 -trellis 1 -refs 1 -coder 0 -me_range 16 \
                    -keyint_min 25 -sc_threshold 40 -i_qfactor 0.71 -rc_eq 'blurCplx^(1-qComp)' -qcomp 0.6 -qmin 10 -qmax 51 \
                    -qdiff 4 -level 30 -g 30 -async 2 - | %s %s %s %s %s";

#[test]
fn an_original_file_with_one_profile_runs_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).display().to_string();
    for name in ["tmp", "www"] {
        fs::create_dir(place(name)).unwrap();
    }
    let input = clip(Path::new(&place("in.ts")), "testsrc2", 6, &H264);
    let config = write(
        place("config.yml"),
        &format!(
            "temp_dir: '{}'\nsegment_prefix: 'sample'\nindex_prefix: 'stream'\nlog_type: 'STDOUT'\nlog_level: 'DEBUG'\n\
             input_location: '{input}'\nsegment_length: 3\nurl_prefix: 'http://example.com/'\nindex_segment_count: 4\n\
             source_command: 'cat %s'\nsegmenter_binary: './live_segmenter'\nencoding_profile: 'ep_128k'\n\
             transfer_profile: 'copy_dev'\nep_128k:\n  ffmpeg_command: \"ffmpeg -y -i %s -f mpegts -acodec libmp3lame \
             -ar 48000 -ab 64k -s 128x72 -vcodec libx264 -b 128k {TAIL}\"\n  bandwidth: 128000\ncopy_dev:\n  \
             transfer_type: 'copy'\n  directory: '{}'\n",
            place("tmp"),
            place("www")
        ),
    );
    Run::start(folder.path(), &[&config]).end().expect(0, &[]);
    let playlist = folder.path().join("www/stream_ep_128k.m3u8");
    let media = media(&playlist);
    assert!(media.is_ended && !media.segments.is_empty());
    for segment in &media.segments {
        let name = segment.uri.strip_prefix("http://example.com/").unwrap();
        assert!(folder.path().join("www").join(name).is_file());
    }
    assert_eq!(media.segments[0].uri, "http://example.com/sample_ep_128k-00001.ts");
    assert!(media.duration() > Duration::from_millis(5900));
    assert!(!folder.path().join("www/stream_multi.m3u8").exists());
}

#[test]
fn an_original_file_with_several_profiles_runs_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).display().to_string();
    for name in ["tmp", "www"] {
        fs::create_dir(place(name)).unwrap();
    }
    let input = clip(Path::new(&place("in.ts")), "testsrc2", 6, &H264);
    let profile = |name: &str, size: &str, rate: u32| {
        format!(
            "{name}:\n  ffmpeg_command: \"ffmpeg -y -i %s -f mpegts -acodec aac -ar 48000 -ab 64k -s {size} -vcodec libx264 \
             -b {rate} {TAIL}\"\n  bandwidth: {rate}\n"
        )
    };
    let config = write(
        place("config-multirate.yml"),
        &format!(
            "temp_dir: '{}'\nsegment_prefix: 'sample'\nindex_prefix: 'stream'\nlog_type: 'STDOUT'\nlog_level: 'INFO'\n\
             input_location: '{input}'\nsegment_length: 3\nurl_prefix:\nindex_segment_count: 4\n\
             source_command: 'cat %s'\nsegmenter_binary: './live_segmenter'\nencoding_profile: [ 'ep_low', 'ep_high' ]\n\
             transfer_profile: 'copy_dev'\n{}{}copy_dev:\n  transfer_type: 'copy'\n  directory: '{}'\n",
            place("tmp"),
            profile("ep_low", "96x54", 1_280_000),
            profile("ep_high", "160x90", 3_860_000),
            place("www")
        ),
    );
    Run::start(folder.path(), &[&config]).end().expect(0, &[]);
    let www = folder.path().join("www");
    let playlists = ["stream_ep_low.m3u8", "stream_ep_high.m3u8"].map(|name| www.join(name));
    assert_aligned(&[&playlists[0], &playlists[1]]);
    assert_eq!(media(&playlists[0]).segments[0].uri, "sample_ep_low-00001.ts");
    assert!(playlists.iter().all(|path| media(path).is_ended));
    let text = fs::read_to_string(www.join("stream_multi.m3u8")).unwrap();
    let (_, multivariant) = m3u8_rs::parse_master_playlist(text.as_bytes()).unwrap();
    let told: Vec<_> = multivariant.variants.iter().map(|one| (one.uri.as_str(), one.bandwidth)).collect();
    assert_eq!(told, [("stream_ep_low.m3u8", 1_280_000), ("stream_ep_high.m3u8", 3_860_000)]);
    assert_eq!(fs::read_dir(place("tmp")).unwrap().count(), 0);
}

/// A channel fed by a command, each rendition by one of its own.
fn fan_out(source: &str, renditions: &[(&str, &str)]) -> String {
    let mut text = format!(
        "[input]\ncommand = \"{source}\"\n[output]\ndirectory = \"live\"\nsegment = \"1s\"\nwindow = 30\n"
    );
    for (name, command) in renditions {
        text += &format!("[[rendition]]\nname = \"{name}\"\ncommand = \"{command}\"\n");
    }
    text
}

const COPY: &str = "ffmpeg -v error -i - -c copy -copyts -f mpegts -";

#[test]
fn a_stuck_encoder_is_dropped_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let rate = [
        "-c:v",
        "mpeg2video",
        "-g",
        "25",
        "-b:v",
        "20M",
        "-minrate",
        "20M",
        "-maxrate",
        "20M",
        "-bufsize",
        "4M",
    ];
    let options = [&rate[..], &["-muxrate", "24M", "-c:a", "mp2"]].concat();
    let input = clip(&folder.path().join("in.ts"), "testsrc2", 10, &options);
    let text = fan_out(&format!("cat {input}"), &[("good", COPY), ("stuck", "sleep 100"), ("plain", "cat")]);
    // Begun again it would be as slow, whatever is asked for.
    let text = text.replacen("[input]\n", "[input]\nrestart = \"always\"\n", 1);
    let config = write(folder.path().join("live.toml"), &text);
    let ended = Run::start(folder.path(), &[&config]).end();
    ended.expect(1, &["encoder of stuck did not keep up", "the others go on"]);
    let live = folder.path().join("live");
    for name in ["good", "plain"] {
        let media = whole(&live.join(name).join("index.m3u8"));
        assert!(media.is_ended && media.duration() > Duration::from_millis(9900), "{name}: {media:?}");
    }
    assert!(!live.join("stuck/index.m3u8").exists());
    let multivariant = fs::read_to_string(live.join("index.m3u8")).unwrap();
    assert!(multivariant.contains("good/index.m3u8") && !multivariant.contains("stuck"), "{multivariant}");
}

#[test]
fn a_break_in_the_source_is_one_break_for_all_renditions() {
    let folder = tempfile::tempdir().unwrap();
    let clips = ["testsrc2", "testsrc"].map(|kind| clip(&folder.path().join(kind), kind, 4, &H264));
    let text =
        fan_out(&format!("cat {} {} {}", clips[0], clips[1], clips[0]), &[("one", "cat"), ("two", "cat")]);
    let config = write(folder.path().join("live.toml"), &text);
    Run::start(folder.path(), &[&config]).end().expect(0, &[]);
    let playlists = ["one", "two"].map(|name| folder.path().join("live").join(name).join("index.m3u8"));
    assert_aligned(&[&playlists[0], &playlists[1]]);
    let media = media(&playlists[0]);
    assert_eq!(media.segments.iter().filter(|one| one.is_discontinuity).count(), 2, "{media:?}");
    assert!((11.9..12.2).contains(&media.duration().as_secs_f64()), "{:?}", media.duration());
}

#[test]
fn an_encoders_own_jumps_break_the_others_too() {
    let folder = tempfile::tempdir().unwrap();
    let clips = ["testsrc2", "testsrc"].map(|kind| clip(&folder.path().join(kind), kind, 4, &H264));
    // The second one smooths what the first one passes on.
    let smooth = "ffmpeg -v error -i - -c copy -f mpegts -";
    let text = fan_out(&format!("cat {} {}", clips[0], clips[1]), &[("raw", "cat"), ("smooth", smooth)]);
    let config = write(folder.path().join("live.toml"), &text);
    Run::start(folder.path(), &[&config]).end().expect(0, &[]);
    let tags = ["raw", "smooth"].map(|name| {
        let media = whole(&folder.path().join("live").join(name).join("index.m3u8"));
        assert!(media.is_ended && media.duration() > Duration::from_millis(7900), "{media:?}");
        media.discontinuity_sequence + media.segments.iter().filter(|one| one.is_discontinuity).count() as u64
    });
    assert_eq!(tags, [1, 1]);
}

#[test]
fn a_rendition_that_comes_late_is_offered_late_and_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let text = pattern("live", "\"-re\"")
        + "[[rendition]]\nname = \"late\"\ncommand = \"sleep 5; ffmpeg -v error -nostdin -re -f lavfi -i testsrc2=s=96x54:r=25 \
           -c:v libx264 -preset ultrafast -g 25 -f mpegts -\"\n";
    let config = write(folder.path().join("live.toml"), &text);
    let live = folder.path().join("live");
    let playlists = ["high", "low", "late"].map(|name| live.join(name).join("index.m3u8"));
    let mut run = Run::start(folder.path(), &[&config]);
    let viewer = Viewer::watch(live.join("index.m3u8"), playlists.to_vec());
    run.until("the others are out", || playlists[0].exists() && playlists[1].exists());
    assert!(!playlists[2].exists() && !live.join("index.m3u8").exists());
    run.until("all are out", || live.join("index.m3u8").exists());
    run.signal("INT");
    run.end().expect(0, &[]);
    let seen = viewer.end();
    assert!(seen.wrong.is_empty(), "{:#?}", seen.wrong);
    assert!(playlists.iter().all(|path| whole(path).is_ended));
}

#[test]
fn channels_in_one_process_end_together_and_share_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let text = pattern("live", "\"-re\"");
    let one = write(folder.path().join("one.toml"), &text);
    let two =
        write(folder.path().join("two.toml"), &text.replace("\"live\"\nsegment", "\"./live/\"\nsegment"));
    Run::start(folder.path(), &[&one, &two]).end().expect(2, &["one and two would both write index.m3u8"]);
    assert!(!folder.path().join("live").exists());

    let two = write(folder.path().join("two.toml"), &text.replace("\"live\"\nsegment", "\"other\"\nsegment"));
    let mut run = Run::start(folder.path(), &[&one, &two]);
    let out = ["live", "other"].map(|name| folder.path().join(name).join("index.m3u8"));
    run.until("both are out", || out.iter().all(|path| path.exists()));
    run.signal("INT");
    run.end().expect(0, &["one", "two"]);
    for folder in out.iter().map(|path| path.parent().unwrap()) {
        assert!(whole(&folder.join("high/index.m3u8")).is_ended);
    }
}

#[test]
fn event_and_vod_playlists_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    for kind in ["event", "vod"] {
        let text =
            pattern(kind, "\"-t\", \"6.4\"").replace("\"live\"\nsegment", &format!("\"{kind}\"\nsegment"));
        let config = write(folder.path().join(format!("{kind}.toml")), &text);
        Run::start(folder.path(), &[&config]).end().expect(0, &[]);
        let playlists = ["high", "low"].map(|name| folder.path().join(kind).join(name).join("index.m3u8"));
        assert_aligned(&[&playlists[0], &playlists[1]]);
        let text = fs::read_to_string(&playlists[0]).unwrap();
        assert!(text.contains(&format!("#EXT-X-PLAYLIST-TYPE:{}\n", kind.to_uppercase())), "{text}");
        assert!(media(&playlists[0]).is_ended);
        assert_eq!(media(&playlists[0]).segments[0].uri, "high-00001.ts");
        assert_eq!(pictures(&playlists[0]), 160);
    }
}

#[test]
fn bad_input_gets_one_clear_message_and_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let base = pattern("live", "");
    let url = |url: &str| base.replace("\"test\"", &format!("\"{url}\""));
    let own = |command: &str| {
        base.split("[[rendition]]").next().unwrap().to_owned()
            + &format!("[[rendition]]\nname = \"own\"\ncommand = \"{command}\"\n")
    };
    let lavfi = "ffmpeg -v error -f lavfi -i testsrc2=s=96x54 -t 20 -c:v libx264 -preset ultrafast -b:v 3M";
    let cases: [(&str, String, i32, &[&str]); 7] = [
        ("absent", url("/nowhere/in.ts"), 2, &["/nowhere/in.ts"]),
        ("refused", url("tcp://127.0.0.1:1"), 1, &["encoder of high, low died", "Connection refused"]),
        (
            "program",
            format!("ffmpeg = \"/nowhere/ffmpeg\"\n{base}"),
            1,
            &["/nowhere/ffmpeg", "install ffmpeg"],
        ),
        (
            "mp4",
            own(&format!("{lavfi} -f mp4 -movflags frag_keyframe+empty_moov -")),
            1,
            &["rendition own", "-f mpegts -"],
        ),
        ("nothing", own("true"), 1, &["rendition own: its encoder gave no bytes"]),
        (
            "dead",
            own("echo it is broken >&2; exit 7"),
            1,
            &["encoder of own died with exit status 7: it is broken"],
        ),
        ("zeros", own("head -c 100000 /dev/zero"), 1, &["rendition own", "no MPEG transport stream"]),
    ];
    for (name, text, code, words) in cases {
        let config = write(folder.path().join(format!("{name}.toml")), &text);
        let ended =
            Run::start(folder.path(), &[&config]).end_within(Duration::from_secs(20)).expect(code, words);
        let told = ended.log.lines().filter(|line| line.starts_with("segcast: ")).count();
        assert_eq!(told, 1, "{name}:\n{}", ended.log);
        let playlist = folder.path().join("live/index.m3u8");
        assert!(!playlist.exists(), "{name}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_said() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path().join("live"), "a file stands here");
    let config = write(folder.path().join("live.toml"), &pattern("live", ""));
    Run::start(folder.path(), &[&config]).end().expect(2, &["live"]);
}

#[test]
fn a_segment_that_can_never_be_written_becomes_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    // The small segments fit into what a file may be large, others do not.
    let quiet = "ffmpeg -v error -re -f lavfi -i color=s=160x90:r=25:d=3 -f lavfi -i 'nullsrc=s=160x90:r=25:d=9,geq=random(1)*255:128:128' \
                 -filter_complex '[0][1]concat' -c:v mpeg2video -q:v 2 -g 25 -f mpegts -";
    let text = pattern("live", "").split("[[rendition]]").next().unwrap().to_owned()
        + &format!("[[rendition]]\nname = \"own\"\ncommand = \"{quiet}\"\n");
    let config = write(folder.path().join("live.toml"), &text);
    let shell = "trap '' XFSZ; ulimit -f 200; exec \"$@\"";
    let ended = Run::start_in_shell(folder.path(), shell, &[&config]).end();
    ended.expect(
        0,
        &["cannot write ", "own/own-0000", "ulimit -f", "is given up: playlists there show a gap", " lost"],
    );
    let media = whole(&folder.path().join("live/own/index.m3u8"));
    let gaps = media.segments.iter().filter(|segment| segment.is_gap).count();
    assert!(media.is_ended && gaps >= 1, "{media:?}");
    let files = fs::read_dir(folder.path().join("live/own")).unwrap().flatten();
    assert!(files.into_iter().all(|file| !file.file_name().to_string_lossy().ends_with("-part")));
}

#[test]
fn logs_are_json_where_asked_and_never_tell_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let text =
        pattern("live", "").replace("\"test\"", "\"http://me:opensesame@127.0.0.1:1/a?token=hushhush\"");
    let config = write(folder.path().join("live.toml"), &text);
    for level in ["trace", "error"] {
        let arguments = [&config, "--log-format", "json", "--log-level", level];
        let ended = Run::start(folder.path(), &arguments).end().expect(1, &["refused"]);
        assert!(!ended.log.contains("opensesame") && !ended.log.contains("hushhush"), "{}", ended.log);
        for line in ended.log.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
            assert!(level == "trace" || value["level"] == "ERROR", "{line}");
        }
    }
}

#[test]
fn a_reader_of_the_log_that_goes_away_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = write(folder.path().join("live.toml"), &pattern("vod", "\"-t\", \"3\""));
    let shell = "{ \"$@\"; echo $? >code; } 2>&1 | true";
    let mut run = Run::start_in_shell(folder.path(), shell, &[&config, "--log-level", "trace"]);
    run.child.wait().unwrap();
    let code = folder.path().join("code");
    let began = Instant::now();
    while fs::read_to_string(&code).unwrap_or_default().is_empty() {
        assert!(began.elapsed() < DEADLINE);
        sleep(LOOK);
    }
    assert_eq!(fs::read_to_string(&code).unwrap(), "0\n");
    assert!(whole(&folder.path().join("live/high/index.m3u8")).is_ended);
}

#[test]
fn an_origin_goes_on_while_its_only_destination_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = pattern("live", "\"-re\"").replace("directory = \"live\"\n", "");
    let text = format!(
        "[origin]\nlisten = \"127.0.0.1:0\"\n{text}[[destination]]\nurl = \"http://{nobody}/live\"\n"
    );
    let config = write(folder.path().join("live.toml"), &text);
    let mut run = Run::start(folder.path(), &[&config]);
    let log = run.log.clone();
    let is_said = |words: &str| fs::read_to_string(&log).unwrap().contains(words);
    run.until("it is served", || is_said("on air: http://127.0.0.1:"));
    run.until("the destination is tried again", || is_said("it is tried again until it works"));
    run.signal("INT");
    run.until("it finishes", || is_said("finishing"));
    run.signal("INT");
    run.end().expect(130, &[]);
}
