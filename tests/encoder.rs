//! Encoders as a channel sees them, with real ffmpeg. Linux only in one point: leftovers are looked for in `/proc`.
#![cfg(feature = "channel")]
// What the tests share is test code too.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use segcast::encoder::ladder::{Audio, Feed, Input, Ladder, Latency, Rendition, Tracks, Video};
use segcast::encoder::{Error, Event, Kind, Limits, Output, Running, start};
use segcast::time::Rate;

/// No test takes longer than this, whatever goes wrong.
const DEADLINE: Duration = Duration::from_secs(90);

fn video(codec: &str, preset: Option<&str>, size: (u32, u32)) -> Option<Video> {
    let (codec, preset) = (codec.to_owned(), preset.map(str::to_owned));
    Some(Video { codec, size: Some(size), bitrate_bps: Some(300_000), preset, fps: Rate::new(25, 1) })
}

fn audio(codec: &str) -> Option<Audio> {
    Some(Audio {
        codec: codec.into(),
        bitrate_bps: Some(64_000),
        channels: Some(1),
        sample_rate_hz: None,
        tracks: Tracks::First,
    })
}

fn rendition(name: &str, video: Option<Video>, audio: Option<Audio>) -> Rendition {
    Rendition { name: name.into(), video, audio, args: vec![], command: None }
}

fn light(name: &str) -> Rendition {
    rendition(name, video("h264", Some("ultrafast"), (160, 90)), audio("aac"))
}

fn own(name: &str, command: &str) -> Rendition {
    Rendition { command: Some(command.into()), ..rendition(name, None, None) }
}

fn ladder(input: Input, feed: Feed, renditions: Vec<Rendition>) -> Ladder {
    Ladder {
        ffmpeg: "ffmpeg".into(),
        input,
        feed,
        segment: Duration::from_secs(2),
        renditions,
        latency: Latency::Normal,
    }
}

fn file(path: &Path) -> Input {
    Input::Url { url: path.display().to_string(), args: vec![] }
}

fn shell(line: impl Into<String>) -> Input {
    Input::Command { shell: line.into(), args: vec![] }
}

fn pattern(args: &[&str]) -> Input {
    Input::Test { args: args.iter().map(|&arg| arg.to_owned()).collect() }
}

/// Short ones, for what does not end by itself.
fn impatient() -> Limits {
    Limits {
        finish: Duration::from_millis(300),
        terminate: Duration::from_millis(300),
        patience: Duration::from_millis(500),
        stuck: Duration::from_secs(2),
        queue_bytes: 256 << 10,
        ..Limits::default()
    }
}

/// Six seconds of MPEG-2 video and MP2 audio, about five megabytes.
fn media(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("media.ts");
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"])
        .args(["-f", "lavfi", "-i", "sine=sample_rate=48000", "-t", "6", "-c:v", "mpeg2video"])
        .args(["-b:v", "7M", "-minrate", "7M", "-maxrate", "7M", "-bufsize", "1M", "-muxrate", "8M"])
        .args(["-c:a", "mp2", "-f", "mpegts"])
        .arg(&path)
        .stdin(Stdio::null())
        .status();
    assert!(made.unwrap().success());
    path
}

async fn read_to_end(mut output: Output) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(bytes) = output.read().await.unwrap() {
        all.extend_from_slice(&bytes);
    }
    all
}

/// Reads everything, as a channel does: all outputs and the events at the same time.
async fn drain(mut running: Running) -> (Vec<Vec<u8>>, Vec<Event>) {
    let readers: Vec<_> = running.outputs.drain(..).map(|output| tokio::spawn(read_to_end(output))).collect();
    let all = async {
        let mut events = Vec::new();
        while let Some(event) = running.events.recv().await {
            events.push(event);
        }
        let mut outputs = Vec::new();
        for reader in readers {
            outputs.push(reader.await.unwrap());
        }
        (outputs, events)
    };
    tokio::time::timeout(DEADLINE, all).await.expect("everything ends in time")
}

/// The error that ended the encoder of this rendition; none if it did its work.
fn end_of(events: &[Event], rendition: usize) -> Option<&Error> {
    let mut ends = events.iter().filter_map(|event| match event {
        Event::Exited { renditions, result } if renditions.contains(&rendition) => {
            Some(result.as_ref().err())
        }
        Event::Dropped { renditions, reason } if renditions.contains(&rendition) => Some(Some(reason)),
        _ => None,
    });
    let end = ends.next().expect("an encoder's end is told");
    assert!(ends.next().is_none(), "an encoder's end is told once");
    end
}

fn source_end(events: &[Event]) -> Option<&Error> {
    let end = events.iter().find_map(|event| match event {
        Event::SourceEnded { result } => Some(result.as_ref().err()),
        _ => None,
    });
    end.expect("the source's end is told")
}

/// PTS of packets, the random access points' alone or all, in 90 kHz.
fn stamps(folder: &Path, ts: &[u8], stream: &str, keys_only: bool) -> Vec<u64> {
    let path = folder.join("probe.ts");
    std::fs::write(&path, ts).unwrap();
    let probe = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-select_streams",
            stream,
            "-show_entries",
            "packet=pts,flags",
            "-of",
            "csv=p=0",
        ])
        .arg(&path)
        .output()
        .unwrap();
    let text = String::from_utf8(probe.stdout).unwrap();
    let lines = text.lines().filter(|line| !keys_only || line.contains(",K"));
    let mut stamps: Vec<u64> = lines.filter_map(|line| line.split(',').next()?.parse().ok()).collect();
    stamps.sort_unstable();
    stamps.dedup();
    stamps
}

/// Whether ffmpeg decodes it without a complaint.
fn assert_sound(folder: &Path, ts: &[u8]) {
    let path = folder.join("sound.ts");
    std::fs::write(&path, ts).unwrap();
    let decoded =
        Command::new("ffmpeg").args(["-v", "error", "-i"]).arg(&path).args(["-f", "null", "-"]).output();
    let complaints = String::from_utf8_lossy(&decoded.unwrap().stderr).into_owned();
    assert_eq!(complaints, "");
}

/// Whether a process with this in its command line is alive.
fn is_running(marker: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes.filter(|process| process.file_name().to_string_lossy().parse::<u32>().is_ok()).any(|process| {
        std::fs::read(process.path().join("cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).replace('\0', " ").contains(marker))
    })
}

async fn assert_there(expected: bool, marker: &str) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while is_running(marker) != expected {
        assert!(Instant::now() < deadline, "{marker}: expected it to run: {expected}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn assert_gone(marker: &str) {
    assert_there(false, marker).await;
}

#[tokio::test]
async fn a_shared_ladder_gives_the_same_picture_the_same_time_in_every_rendition() {
    let folder = tempfile::tempdir().unwrap();
    let renditions = vec![
        rendition("b-pictures", video("h264", Some("veryfast"), (320, 180)), audio("aac")),
        rendition("none", video("h264", Some("ultrafast"), (160, 90)), audio("aac")),
        rendition("mpeg2", video("mpeg2", None, (160, 90)), audio("mp3")),
        rendition("hevc", video("hevc", Some("ultrafast"), (160, 90)), audio("ac3")),
        rendition("audio", None, audio("aac")),
        rendition("silent", video("h264", Some("superfast"), (160, 90)), None),
    ];
    let ladder = ladder(file(&media(folder.path())), Feed::Shared, renditions);
    let running = start(&ladder, &Limits::default()).unwrap();
    let order: Vec<_> = running.outputs.iter().map(Output::rendition).collect();
    assert_eq!(order, [0, 1, 2, 3, 4, 5]);
    let (outputs, events) = drain(running).await;
    assert!(end_of(&events, 0).is_none(), "{events:?}");
    let mut progress = events.iter().filter_map(|event| match event {
        Event::Progress { renditions, progress } => Some((renditions.len(), progress.frame)),
        _ => None,
    });
    assert_eq!(progress.next_back(), Some((6, 150)));

    let keys = stamps(folder.path(), &outputs[0], "v", true);
    assert_eq!(keys.iter().map(|key| key - keys[0]).collect::<Vec<_>>(), [0, 180_000, 360_000]);
    let pictures = stamps(folder.path(), &outputs[0], "v", false);
    assert_eq!(pictures.len(), 150);
    for n in [1, 2, 3, 5] {
        assert_eq!(stamps(folder.path(), &outputs[n], "v", true), keys, "rendition {n}");
        assert_eq!(stamps(folder.path(), &outputs[n], "v", false), pictures, "rendition {n}");
    }
    let frames = stamps(folder.path(), &outputs[0], "a", false);
    assert_eq!(stamps(folder.path(), &outputs[1], "a", false), frames);
    assert_eq!(stamps(folder.path(), &outputs[4], "a", false), frames);
}

#[tokio::test]
async fn encoders_of_their_own_keep_step_on_the_pattern() {
    let folder = tempfile::tempdir().unwrap();
    let mut light = light("light");
    light.args = vec!["-metadata".into(), "service_name=light".into()];
    let heavy = rendition("heavy", video("h264", Some("veryfast"), (320, 180)), audio("aac"));
    let ladder = ladder(pattern(&["-t", "5", "-readrate", "10"]), Feed::Each, vec![heavy, light]);
    let (outputs, events) = drain(start(&ladder, &Limits::default()).unwrap()).await;
    assert!(end_of(&events, 0).is_none() && end_of(&events, 1).is_none(), "{events:?}");
    let keys = stamps(folder.path(), &outputs[0], "v", true);
    assert_eq!(keys.len(), 3);
    assert_eq!(stamps(folder.path(), &outputs[1], "v", true), keys);
    assert!(outputs[1].windows(5).any(|name| name == b"light"));
}

#[tokio::test]
async fn a_live_ladder_finishes_when_it_is_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let ladder = ladder(pattern(&[]), Feed::Shared, vec![light("a"), light("b")]);
    let mut running = start(&ladder, &Limits::default()).unwrap();
    let first = running.outputs[0].read().await.unwrap().unwrap();
    let (asked, control) = (Instant::now(), running.control.clone());
    control.finish();
    control.finish();
    let (outputs, events) = drain(running).await;
    assert!(end_of(&events, 0).is_none(), "{events:?}");
    assert!(asked.elapsed() < Duration::from_secs(8), "q was enough");
    assert_sound(folder.path(), &[&first[..], &outputs[0]].concat());
    assert_sound(folder.path(), &outputs[1]);
}

#[tokio::test]
async fn a_users_own_line_runs_as_it_stands_and_hears_q() {
    let folder = tempfile::tempdir().unwrap();
    let media = media(folder.path());
    let line = format!(
        "ffmpeg -y -re -stream_loop -1 -i {} -f mpegts -acodec libmp3lame -ab 64k -s 160x90 -vcodec libx264 \
         -rc_eq 'blurCplx^(1-qComp)' -g 30 - | cat",
        media.display()
    );
    let ladder = ladder(file(&media), Feed::Each, vec![own("old", &line)]);
    let mut running = start(&ladder, &Limits::default()).unwrap();
    let first = running.outputs[0].read().await.unwrap().unwrap();
    let asked = Instant::now();
    running.control.finish();
    let (outputs, events) = drain(running).await;
    assert!(end_of(&events, 0).is_none(), "{events:?}");
    assert!(asked.elapsed() < Duration::from_secs(8), "q was enough");
    assert_sound(folder.path(), &[&first[..], &outputs[0]].concat());
}

#[tokio::test]
async fn a_source_command_feeds_every_encoder() {
    let folder = tempfile::tempdir().unwrap();
    let source = shell(format!("cat {}", media(folder.path()).display()));
    let line = "ffmpeg -v error -i - -c:v mpeg2video -g 50 -c:a copy -f mpegts -";
    let renditions = vec![light("ours"), own("theirs", line), own("copy", "cat")];
    let (outputs, events) =
        drain(start(&ladder(source, Feed::FanOut, renditions), &Limits::default()).unwrap()).await;
    assert!(source_end(&events).is_none());
    assert!((0..3).all(|n| end_of(&events, n).is_none()), "{events:?}");
    assert_eq!(stamps(folder.path(), &outputs[0], "v", false).len(), 150);
    assert_eq!(stamps(folder.path(), &outputs[1], "v", false).len(), 150);
    assert!(outputs[2] == std::fs::read(folder.path().join("media.ts")).unwrap());
}

#[tokio::test]
async fn a_shared_ladder_can_read_a_source_command() {
    let folder = tempfile::tempdir().unwrap();
    let source = shell(format!("cat {}", media(folder.path()).display()));
    let ladder = ladder(source, Feed::Shared, vec![light("a"), light("b")]);
    let (outputs, events) = drain(start(&ladder, &impatient()).unwrap()).await;
    assert!(end_of(&events, 0).is_none() && source_end(&events).is_none(), "{events:?}");
    assert_eq!(stamps(folder.path(), &outputs[1], "v", false).len(), 150);
}

#[tokio::test]
async fn a_stuck_encoder_is_dropped_and_a_dead_one_missed_by_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let media = media(folder.path());
    let source = shell(format!("cat {0} {0}", media.display()));
    let renditions =
        vec![own("stuck", "sleep 1000.25"), own("dead", "echo oops >&2; exit 3"), own("well", "cat")];
    let (outputs, events) =
        drain(start(&ladder(source, Feed::FanOut, renditions), &impatient()).unwrap()).await;
    assert!(
        events.iter().any(|event| matches!(event, Event::Dropped { renditions, .. } if renditions == &[0]))
    );
    assert!(matches!(end_of(&events, 0), Some(Error::Slow { .. })), "{events:?}");
    assert_eq!(end_of(&events, 1).unwrap().to_string(), "encoder of dead died with exit status 3: oops");
    assert!(end_of(&events, 2).is_none() && source_end(&events).is_none());
    assert_eq!(outputs[2].len() as u64, 2 * std::fs::metadata(media).unwrap().len());
    assert_gone("sleep 1000.25").await;
}

#[tokio::test]
async fn an_encoder_too_slow_for_a_live_source_is_dropped_and_the_source_hears_q() {
    let folder = tempfile::tempdir().unwrap();
    let media = media(folder.path());
    let source =
        shell(format!("ffmpeg -v error -re -stream_loop -1 -i {} -c copy -f mpegts -", media.display()));
    let slow = own("slow", "while dd bs=20000 count=1 of=/dev/null 2>/dev/null; do sleep 0.1; done");
    let limits = Limits { stuck: DEADLINE, interrupt: DEADLINE, ..impatient() };
    let limits = Limits { finish: Duration::from_secs(8), ..limits };
    let mut running = start(&ladder(source, Feed::FanOut, vec![light("well"), slow]), &limits).unwrap();
    let (mut outputs, control) = (std::mem::take(&mut running.outputs), running.control.clone());
    let well = tokio::spawn(read_to_end(outputs.remove(0)));
    let slow = tokio::spawn(read_to_end(outputs.remove(0)));
    let mut events = Vec::new();
    let all = async {
        while let Some(event) = running.events.recv().await {
            if matches!(event, Event::Dropped { .. }) {
                control.finish();
            }
            events.push(event);
        }
    };
    tokio::time::timeout(DEADLINE, all).await.expect("everything ends in time");
    assert!(matches!(end_of(&events, 1), Some(Error::Slow { .. })), "{events:?}");
    assert!(end_of(&events, 0).is_none() && source_end(&events).is_none(), "{events:?}");
    assert!(slow.await.unwrap().is_empty());
    assert_sound(folder.path(), &well.await.unwrap());
}

#[tokio::test]
async fn an_encoder_that_waits_for_a_silent_source_ends_soon_and_in_order() {
    // Bound, so that nobody else sends to it.
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let input = Input::Url { url: format!("udp://127.0.0.1:{port}"), args: vec![] };
    let running = start(&ladder(input, Feed::Shared, vec![light("a")]), &Limits::default()).unwrap();
    let began = std::time::Instant::now();
    running.control.finish();
    let (_, events) = drain(running).await;
    assert!(end_of(&events, 0).is_none(), "{events:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_source_that_ignores_q_is_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let source = shell(format!("cat {}; exec sleep 1000.5", media(folder.path()).display()));
    let limits = Limits { interrupt: Duration::from_millis(200), ..Limits::default() };
    let mut running = start(&ladder(source, Feed::FanOut, vec![light("a")]), &limits).unwrap();
    let first = running.outputs[0].read().await.unwrap().unwrap();
    running.control.finish();
    let (outputs, events) = drain(running).await;
    assert!(source_end(&events).is_none() && end_of(&events, 0).is_none(), "{events:?}");
    assert_sound(folder.path(), &[&first[..], &outputs[0]].concat());
    assert_gone("sleep 1000.5").await;
}

#[tokio::test]
async fn a_dead_sources_words_come_before_what_follows_from_it() {
    let source = shell("echo no such camera >&2; exit 7");
    let (_, events) = drain(
        start(&ladder(source, Feed::FanOut, vec![light("a"), light("b")]), &Limits::default()).unwrap(),
    )
    .await;
    let ends: Vec<_> = events.iter().filter(|event| !matches!(event, Event::Progress { .. })).collect();
    assert!(matches!(ends[0], Event::SourceEnded { .. }), "{ends:?}");
    let message = source_end(&events).unwrap().to_string();
    assert_eq!(message, "source command died with exit status 7: no such camera");
    assert!(matches!(end_of(&events, 0), Some(Error::Died { .. })));
}

#[tokio::test]
async fn an_encoder_that_dies_is_quoted() {
    let mut bad = light("a");
    bad.video.as_mut().unwrap().codec = "nosuch".into();
    let (outputs, events) =
        drain(start(&ladder(pattern(&[]), Feed::Shared, vec![bad]), &Limits::default()).unwrap()).await;
    assert!(outputs[0].is_empty());
    let error = end_of(&events, 0).unwrap();
    assert_eq!(error.to_string(), "encoder of a died with exit status 1: Unknown encoder 'nosuch'");

    let missing = file(Path::new("/nonexistent/in.mp4"));
    let (_, events) =
        drain(start(&ladder(missing, Feed::Shared, vec![light("a")]), &Limits::default()).unwrap()).await;
    let message = end_of(&events, 0).unwrap().to_string();
    assert!(message.contains("/nonexistent/in.mp4: No such file or directory"), "{message}");
}

#[tokio::test]
async fn a_silent_encoder_is_killed() {
    let limits = Limits { first_output: Duration::from_millis(300), ..Limits::default() };
    let ladder = ladder(pattern(&[]), Feed::Each, vec![own("mute", "sleep 1000.75 | cat")]);
    let (_, events) = drain(start(&ladder, &limits).unwrap()).await;
    let message = end_of(&events, 0).unwrap().to_string();
    assert_eq!(message, "encoder of mute gave nothing of rendition mute for 0.3 s");
    assert_gone("sleep 1000.75").await;
}

#[tokio::test]
async fn whoever_does_not_finish_is_killed() {
    let line = "trap '' TERM INT; echo ready; sleep 1000.125";
    let mut running =
        start(&ladder(pattern(&[]), Feed::Each, vec![own("deaf", line)]), &impatient()).unwrap();
    assert_eq!(running.outputs[0].read().await.unwrap().as_deref(), Some(&b"ready\n"[..]));
    running.control.finish();
    let (_, events) = drain(running).await;
    assert!(matches!(end_of(&events, 0), Some(Error::Unfinished { .. })), "{events:?}");
    assert_gone("sleep 1000.125").await;
}

#[tokio::test]
async fn a_kill_or_a_dropped_handle_leaves_nobody_behind() {
    let ladder = ladder(pattern(&[]), Feed::Each, vec![own("a", "sleep 1000.375 | cat"), light("b")]);
    let running = start(&ladder, &Limits::default()).unwrap();
    assert_there(true, "sleep 1000.375").await;
    running.control.kill();
    let (_, events) = drain(running).await;
    assert_eq!(end_of(&events, 0).map(Error::kind), Some(Kind::Closed));
    assert_gone("sleep 1000.375").await;

    let running = start(&ladder, &Limits::default()).unwrap();
    assert_there(true, "sleep 1000.375").await;
    drop(running);
    assert_gone("sleep 1000.375").await;
}

#[test]
fn the_end_of_the_runtime_leaves_nobody_behind() {
    let ladder = ladder(pattern(&[]), Feed::Each, vec![own("a", "sleep 1000.625 | cat")]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let running = runtime.block_on(async {
        let running = start(&ladder, &Limits::default()).unwrap();
        assert_there(true, "sleep 1000.625").await;
        running
    });
    drop(runtime);
    tokio::runtime::Runtime::new().unwrap().block_on(assert_gone("sleep 1000.625"));
    drop(running);
}

#[tokio::test]
async fn a_missing_ffmpeg_is_named_with_what_to_do() {
    let mut ladder = ladder(pattern(&[]), Feed::Shared, vec![light("a")]);
    ladder.ffmpeg = "/nonexistent/ffmpeg".into();
    let error = start(&ladder, &Limits::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Missing);
    assert!(error.to_string().starts_with("/nonexistent/ffmpeg not found: install ffmpeg"), "{error}");
}

/// Run again by the test below, in a process whose standard input is media.
#[tokio::test]
async fn standard_input_inner() {
    if std::env::var_os("TEST_STDIN").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let input = Input::Stdin { args: vec!["-f".into(), "mpegts".into()] };
    let ladder = ladder(input, Feed::FanOut, vec![light("a"), own("b", "cat")]);
    let (outputs, events) = drain(start(&ladder, &Limits::default()).unwrap()).await;
    assert!(source_end(&events).is_none() && end_of(&events, 0).is_none() && end_of(&events, 1).is_none());
    assert_eq!(stamps(folder.path(), &outputs[0], "v", false).len(), 150);
    assert_eq!(stamps(folder.path(), &outputs[1], "v", false).len(), 150);
}

#[test]
fn our_standard_input_is_fanned_out() {
    let folder = tempfile::tempdir().unwrap();
    let media = std::fs::File::open(media(folder.path())).unwrap();
    let again = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "standard_input_inner", "--nocapture"])
        .env("TEST_STDIN", "1")
        .stdin(media)
        .output()
        .unwrap();
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
}

/// Run again by the test below, in a process that is killed.
#[tokio::test]
async fn killed_inner() {
    let Ok(url) = std::env::var("TEST_KILLED") else { return };
    let input = Input::Url { url, args: vec![] };
    let running = start(&ladder(input, Feed::Shared, vec![light("a")]), &Limits::default()).unwrap();
    drain(running).await;
}

#[tokio::test]
async fn no_encoder_of_a_library_user_outlives_a_kill() {
    let has_setpriv = Command::new("setpriv").args(["--pdeathsig", "KILL", "true"]).status();
    if !has_setpriv.is_ok_and(|status| status.success()) {
        eprintln!("skipped: there is no setpriv that knows --pdeathsig");
        return;
    }
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("udp://127.0.0.1:{port}");
    let mut again = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed_inner", "--nocapture"])
        .env("TEST_KILLED", &url)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    assert_there(true, &url).await;
    // Until it has become ffmpeg the signal may not be set.
    assert_there(false, "setpriv --pdeathsig").await;
    again.kill().unwrap();
    again.wait().unwrap();
    assert_gone(&url).await;
}
