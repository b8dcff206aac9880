//! What a channel meets that runs for months: sources that fall silent, log rotation, kills. With real ffmpeg; Linux only
//! in one point: leftovers are looked for in `/proc`.
#![cfg(feature = "cli")]
// What the tests share is test code too.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use segcast::playlist::Media;

/// No process runs longer than this, whatever goes wrong.
const DEADLINE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

struct Run {
    child: Child,
    folder: PathBuf,
}

impl Run {
    /// A channel with codec copy in a folder `live`, logging to `run.log`.
    fn start(folder: &Path, input: &str, more: &str) -> Self {
        Self::start_with(folder, input, more, "")
    }

    /// The same after a shell has run `setup`.
    fn start_with(folder: &Path, input: &str, more: &str, setup: &str) -> Self {
        let text = format!(
            "{more}\n[input]\n{input}\n[output]\nsegment = \"1s\"\ndirectory = \"live\"\n[[rendition]]\nname = \"v\"\n\
             video = {{ codec = \"copy\" }}\naudio = {{ codec = \"copy\" }}\n"
        );
        fs::write(folder.join("live.toml"), text).unwrap();
        // These tests may run under nohup, which ignores it.
        let child = Command::new("env")
            .args(["--default-signal=HUP", "sh", "-c", &format!("{setup}exec \"$@\""), "sh"])
            .args([env!("CARGO_BIN_EXE_segcast"), "run", "live.toml"])
            .current_dir(folder)
            .env("LONG_RUNNING_TEST", folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("run.log")).unwrap())
            .spawn();
        Self { child: child.unwrap(), folder: folder.to_owned() }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("run.log")).unwrap()
    }

    /// What the origin answers.
    fn get(port: u16, path: &str) -> String {
        let Ok(mut socket) = TcpStream::connect(("127.0.0.1", port)) else { return String::new() };
        let mut answer = String::new();
        let asked = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let _ = socket.write_all(asked.as_bytes()).and_then(|()| socket.read_to_string(&mut answer));
        answer
    }

    fn playlist(&self) -> String {
        fs::read_to_string(self.folder.join("live/v/index.m3u8")).unwrap_or_default()
    }

    #[track_caller]
    fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !is_so(self) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() && began.elapsed() < DEADLINE, "{what}: {ended:?}\n{}", self.log());
            sleep(LOOK);
        }
    }

    fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    #[track_caller]
    fn end(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < DEADLINE, "it does not end:\n{}", self.log());
            sleep(LOOK);
        }
    }

    /// Ids of the processes of this run, without its own.
    fn children(&self) -> Vec<u32> {
        let wanted = format!("LONG_RUNNING_TEST={}\0", self.folder.display());
        let is_ours = |id: &u32| {
            let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
            environment.windows(wanted.len()).any(|window| window == wanted.as_bytes())
        };
        let ids = fs::read_dir("/proc").unwrap().flatten();
        let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        ids.filter(|id| *id != self.child.id()).filter(is_ours).collect()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.children().into_iter().chain([self.child.id()]).for_each(|id| signal(id, "KILL"));
        let _ = self.child.wait();
    }
}

fn signal(id: u32, name: &str) {
    let _ = Command::new("kill").args([&format!("-{name}"), &id.to_string()]).stderr(Stdio::null()).status();
}

/// Some seconds of video with a keyframe a second, and audio.
fn clip(folder: &Path, seconds: u32) -> PathBuf {
    let path = folder.join("clip.ts");
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25"])
        .args(["-f", "lavfi", "-i", "sine=sample_rate=48000", "-t", &seconds.to_string()])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", "aac"])
        .arg(&path)
        .stdin(Stdio::null())
        .status();
    assert!(made.unwrap().success());
    path
}

/// Sends a file to `url` at its own speed.
fn send(path: &Path, format: &str, url: &str) -> Child {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-re", "-i"]).arg(path).args(["-c", "copy", "-f", format, url]);
    command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn udp_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn tcp_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[track_caller]
fn stops_in_order(run: &mut Run) {
    let asked = Instant::now();
    run.signal("TERM");
    let status = run.end();
    let (took, log) = (asked.elapsed(), run.log());
    assert_eq!(status.code(), Some(0), "{log}");
    // 2 s, and what a busy machine adds.
    assert!(took < Duration::from_secs(4), "{took:?}\n{log}");
    assert!(!log.contains("ERROR"), "{log}");
    assert_eq!(run.children(), [0; 0]);
}

#[test]
fn a_channel_whose_source_fell_silent_stops_at_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = clip(folder.path(), 4);
    let port = udp_port();
    let url = format!("udp://127.0.0.1:{port}");
    let input = format!("url = \"{url}?fifo_size=100000&overrun_nonfatal=1\"\nrestart = \"never\"");
    let mut run = Run::start(folder.path(), &input, "");
    run.until("it listens", |run| !run.children().is_empty());
    let mut sent = 0;
    while run.playlist().matches("#EXTINF").count() < 2 {
        sent += 1;
        assert!(sent < 10, "{}", run.log());
        send(&path, "mpegts", &format!("{url}?pkt_size=1316")).wait().unwrap();
    }
    stops_in_order(&mut run);
    assert!(run.playlist().contains("ENDLIST"), "{}", run.playlist());
}

#[test]
fn a_source_command_that_fell_silent_is_no_reason_to_wait() {
    let folder = tempfile::tempdir().unwrap();
    let path = clip(folder.path(), 12);
    let input = format!("command = \"cat {}; sleep 1000\"", path.display());
    let mut run = Run::start(folder.path(), &input, "");
    run.until("segments are there", |run| run.playlist().matches("#EXTINF").count() >= 2);
    stops_in_order(&mut run);
    assert!(run.playlist().contains("ENDLIST"), "{}", run.playlist());
}

#[test]
fn a_listener_without_a_publisher_stops_at_once_and_in_order() {
    for (scheme, args) in [("tcp", ""), ("rtmp", "args = [\"-listen\", \"1\"]")] {
        let folder = tempfile::tempdir().unwrap();
        let listen = if scheme == "tcp" { "?listen=1" } else { "/live/key" };
        let input =
            format!("url = \"{scheme}://127.0.0.1:{}{listen}\"\nrestart = \"always\"\n{args}", tcp_port());
        let mut run = Run::start(folder.path(), &input, "");
        run.until("it listens", |run| !run.children().is_empty() && run.log().contains("takes files"));
        stops_in_order(&mut run);
    }
}

#[test]
fn a_publisher_that_left_and_may_come_again_does_not_hold_up_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = clip(folder.path(), 3);
    let url = format!("tcp://127.0.0.1:{}", tcp_port());
    let input = format!("url = \"{url}?listen=1\"\nrestart = \"always\"");
    let mut run = Run::start(folder.path(), &input, "");
    run.until("segments are there", |run| {
        let _ = send(&path, "mpegts", &url).wait();
        run.playlist().matches("#EXTINF").count() >= 2
    });
    run.until("it listens again", |run| run.log().contains("begin again") && !run.children().is_empty());
    stops_in_order(&mut run);
    assert!(run.playlist().contains("ENDLIST"), "{}", run.playlist());
}

#[test]
fn no_child_outlives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let listener = format!("ffmpeg -v quiet -i udp://127.0.0.1:{} -c copy -f mpegts - | cat", udp_port());
    for input in [
        format!("url = \"udp://127.0.0.1:{}\"", udp_port()),
        // A shell with children of its own.
        format!("command = \"{listener}\""),
    ] {
        let mut run = Run::start(folder.path(), &input, "");
        let is_up = |run: &Run| {
            let names = run.children().into_iter().map(|id| fs::read_to_string(format!("/proc/{id}/comm")));
            names.flatten().any(|name| name.trim() == "ffmpeg")
        };
        run.until("ffmpeg runs", is_up);
        run.signal("KILL");
        run.end();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !run.children().is_empty() {
            assert!(Instant::now() < deadline, "{input}: {:?}", run.children());
            sleep(LOOK);
        }
    }
}

#[test]
fn sighup_opens_the_log_file_again_and_the_channel_continues() {
    let folder = tempfile::tempdir().unwrap();
    let path = clip(folder.path(), 3);
    let input = format!("url = \"{}\"\nargs = [\"-re\", \"-stream_loop\", \"-1\"]", path.display());
    let log = folder.path().join("channel.log");
    let mut run = Run::start(folder.path(), &input, "log.file = \"channel.log\"");
    run.until("segments are there", |run| run.playlist().contains("#EXTINF"));
    let rotated = folder.path().join("channel.log.1");
    fs::rename(&log, &rotated).unwrap();
    run.signal("HUP");
    run.until("it is opened again", |_| {
        fs::read_to_string(&log).is_ok_and(|text| text.contains("log file reopened"))
    });
    let before = run.playlist();
    run.until("the channel continues", |run| run.playlist() != before);
    assert!(!run.playlist().contains("ENDLIST"));
    run.signal("TERM");
    assert_eq!(run.end().code(), Some(0));
    assert!(fs::read_to_string(&log).unwrap().contains("finishing"));
    assert!(!fs::read_to_string(&rotated).unwrap().contains("finishing"));
}

#[test]
fn without_a_log_file_sighup_stops_the_channel_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = clip(folder.path(), 3);
    let input = format!("url = \"{}\"\nargs = [\"-re\", \"-stream_loop\", \"-1\"]", path.display());
    // Under nohup it is ignored.
    for is_ignored in [false, true] {
        let mut run =
            Run::start_with(folder.path(), &input, "", if is_ignored { "trap '' HUP; " } else { "" });
        let before = run.playlist();
        run.until("segments are there", |run| run.playlist() != before && run.playlist().contains("#EXTINF"));
        run.signal("HUP");
        if is_ignored {
            let before = run.playlist();
            run.until("the channel continues", |run| run.playlist() != before);
            assert!(!run.playlist().contains("ENDLIST"));
            run.signal("TERM");
        }
        assert_eq!(run.end().code(), Some(0), "{}", run.log());
        assert!(run.playlist().contains("ENDLIST"));
    }
}

#[test]
fn a_source_that_is_down_is_logged_once() {
    let folder = tempfile::tempdir().unwrap();
    let input = format!("url = \"tcp://127.0.0.1:{}\"\nrestart = \"always\"", tcp_port());
    let mut run = Run::start(folder.path(), &input, "[origin]\nlisten = 0");
    // 1, 2 and 4 s lie between the first four attempts.
    let began = Instant::now();
    run.until("it has been tried four times", |_| began.elapsed() > Duration::from_secs(9));
    let log = run.log();
    // ffmpeg says it twice, and then we.
    assert_eq!(log.matches("ERROR").count(), 3, "{log}");
    assert_eq!(log.matches("begin again").count(), 1, "{log}");
    run.signal("TERM");
    assert_eq!(run.end().code(), Some(0), "{}", run.log());
}

/// A source whose video stops after four seconds, the first time.
const STOPS: &str = "\
if [ -e again ]; then seconds=1000; else seconds=4; touch again; fi
exec ffmpeg -v error -re -f lavfi -i testsrc2=size=160x90:rate=25:duration=$seconds \
  -re -f lavfi -i sine=sample_rate=48000 -t 1000 -max_interleave_delta 500000 \
  -c:v libx264 -preset ultrafast -tune zerolatency -g 25 -c:a aac -f mpegts -
";

#[test]
fn an_encoder_whose_video_stops_while_audio_continues_is_restarted() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("source.sh"), STOPS).unwrap();
    let port = tcp_port();
    let origin = format!("[origin]\nlisten = \"127.0.0.1:{port}\"\nlinger = \"0s\"");
    let input = "command = \"sh source.sh\"\nargs = [\"-max_interleave_delta\", \"500000\"]";
    let mut run = Run::start(folder.path(), input, &origin);
    let status = || Run::get(port, "/status");
    run.until("video is missing", |_| status().contains("\"video_missing\":true"));
    assert!(status().contains("\"video_restarts\":0"), "{}", status());
    assert!(Run::get(port, "/readyz").contains(" 503 "));
    run.until("the encoder is restarted", |_| status().contains("\"video_restarts\":1"));
    run.until("video arrives again", |run| {
        let (status, playlist) = (status(), run.playlist());
        let behind = playlist.split_once("#EXT-X-DISCONTINUITY\n").map_or("", |(_, behind)| behind);
        let fields = ["\"encoder_restarts\":1", "\"video_missing\":false", "\"ready\":true"];
        behind.matches("#EXTINF").count() >= 3 && fields.iter().all(|field| status.contains(field))
    });
    let log = run.log();
    let line = log.lines().find(|line| line.contains("video missing while audio continues")).unwrap();
    for field in ["rendition=\"v\"", "missing_s=30", "patience_s=60"] {
        assert!(line.contains(field), "no {field} in {line}");
    }
    assert_eq!(log.matches("video missing while audio continues").count(), 1, "{log}");
    stops_in_order(&mut run);
}

/// A source without an end, at its own speed.
const ENDLESS: &str = "\
exec ffmpeg -v error -re -f lavfi -i testsrc2=size=160x90:rate=25 -re -f lavfi -i sine=sample_rate=48000 \
  -c:v libx264 -preset ultrafast -tune zerolatency -g 25 -c:a aac -f mpegts -
";

/// What the dates of a playlist step by, in seconds, where one does not follow from the one before.
fn date_steps(playlist: &str) -> Vec<i64> {
    let Ok(media) = Media::parse(playlist) else { return Vec::new() };
    let (mut expected, mut steps) = (None::<SystemTime>, Vec::new());
    for segment in &media.segments {
        if let (Some(date), Some(expected)) = (segment.date_time, expected) {
            let seconds =
                |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
            steps.push((seconds(date) - seconds(expected)).round() as i64);
        }
        expected = segment.date_time.or(expected).map(|date| date + segment.duration);
    }
    steps
}

/// libfaketime lies about the wall clock, not about the monotonic one, to segcast and to ffmpeg.
#[test]
fn dates_follow_a_step_of_the_wall_clock_without_a_break() {
    let libraries = fs::read_dir("/usr/lib").unwrap().flatten();
    let library =
        libraries.map(|entry| entry.path().join("faketime/libfaketime.so.1")).find(|path| path.is_file());
    let library = library.expect("libfaketime, which tests/run.sh installs");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("source.sh"), ENDLESS).unwrap();
    let time = folder.path().join("time");
    let set = |offset: &str| {
        fs::write(time.with_extension("new"), offset).unwrap();
        fs::rename(time.with_extension("new"), &time).unwrap();
    };
    set("+0");
    let (library, file) = (library.display(), time.display());
    let setup = format!(
        "export LD_PRELOAD={library} FAKETIME_TIMESTAMP_FILE={file} FAKETIME_NO_CACHE=1 \
         FAKETIME_DONT_FAKE_MONOTONIC=1; "
    );
    let mut run = Run::start_with(folder.path(), "command = \"sh source.sh\"", "", &setup);
    run.until("segments are there", |run| run.playlist().matches("#EXTINF").count() >= 3);
    assert_eq!(date_steps(&run.playlist()), [0; 0]);
    for (offset, by) in [("+3600", 3600), ("-30", -3630)] {
        set(offset);
        run.until("dates follow", |run| !date_steps(&run.playlist()).is_empty());
        let playlist = run.playlist();
        assert_eq!(date_steps(&playlist), [by], "{playlist}");
        assert!(!playlist.contains("#EXT-X-DISCONTINUITY\n"), "{playlist}");
        run.until("the step leaves the window", |run| date_steps(&run.playlist()).is_empty());
    }
    let log = run.log();
    let told: Vec<_> = log.lines().filter(|line| line.contains("wall clock stepped")).collect();
    assert_eq!(told.len(), 2, "{log}");
    assert!(told[0].contains("by_s=3600") || told[0].contains("by_s=3599.9"), "{}", told[0]);
    stops_in_order(&mut run);
}
