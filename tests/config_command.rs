//! `segcast config`, the completions and the help, as their users meet them.
#![cfg(feature = "cli")]
// What the tests share is test code too.
#![allow(clippy::unwrap_used, missing_docs)]

mod support {
    pub mod command;
}

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::command::{Ended, decoded, media, names, run, run_with, segcast, size};

/// As README.md has it.
const EXAMPLE: &str = concat!("\n", include_str!("../examples/live.toml"));

const EXAMPLE_YAML: &str = r#"
input:
  url: test
  args: [-re]
output:
  directory: live
  segment: 4s
  window: 6
  playlist: live
rendition:
  - name: 720p
    video: { codec: h264, size: 1280x720, bitrate: 2800k, preset: veryfast, fps: 30 }
    audio: { codec: aac, bitrate: 128k }
  - name: 360p
    video: { codec: h264, size: 640x360, bitrate: 800k }
    audio: { codec: aac, bitrate: 96k }
"#;

const EXAMPLE_JSON: &str = r#"{
  "input": { "url": "test", "args": ["-re"] },
  "output": { "directory": "live", "segment": "4s", "window": 6, "playlist": "live" },
  "rendition": [
    {
      "name": "720p",
      "video": { "codec": "h264", "size": "1280x720", "bitrate": "2800k", "preset": "veryfast", "fps": 30 },
      "audio": { "codec": "aac", "bitrate": "128k" }
    },
    {
      "name": "360p",
      "video": { "codec": "h264", "size": "640x360", "bitrate": "800k" },
      "audio": { "codec": "aac", "bitrate": "96k" }
    }
  ]
}"#;

/// A folder to run in.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(name: &str, text: &str) -> Self {
        let place = Self::new();
        place.file(name, text);
        place
    }

    fn file(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    /// `segcast config ARGS`, here.
    fn config(&self, args: &[&str]) -> Command {
        let mut command = segcast(["config"]);
        command.args(args).current_dir(self.0.path());
        command
    }

    fn check(&self, file: &str) -> Ended {
        run(&mut self.config(&["check", file]))
    }
}

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/config").join(name)
}

/// The mistakes that it names, which are all it says.
#[track_caller]
fn mistakes(ended: &Ended) -> &str {
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{}", ended.stderr);
    ended.stderr.strip_prefix("segcast: ").unwrap().trim_end()
}

#[test]
fn the_readme_shows_the_example() {
    assert!(include_str!("../README.md").contains(EXAMPLE));
}

#[test]
fn the_example_works_in_all_three_formats() {
    let place = Place::with("live.toml", EXAMPLE);
    let toml = place.check("live.toml").good();
    assert_eq!(toml.stderr, "");
    for (name, text) in [("live.yml", EXAMPLE_YAML), ("live.yaml", EXAMPLE_YAML), ("live.json", EXAMPLE_JSON)]
    {
        place.file(name, text);
        let other = place.check(name).good();
        assert_eq!(other.stdout.replace(name, "live.toml"), toml.stdout);
    }
    // Nothing was made.
    assert_eq!(names(place.0.path()), ["live.json", "live.toml", "live.yaml", "live.yml"]);
}

#[test]
fn what_would_run_is_told_exactly() {
    let place = Place::with("live.toml", &EXAMPLE.replace("\"test\" ", "\"in put.ts\" "));
    place.file("in put.ts", "");
    let told = place.check("live.toml").good().stdout;
    let expected = "\
channel      live (live.toml)
input        in put.ts (options: -re)
encoders     one ffmpeg for all renditions
  ffmpeg -hide_banner -loglevel level+info -nostats -progress pipe:1 -dts_delta_threshold 60 -re -i 'in put.ts' -filter_complex \
'[0:v:0]split=2[s0][s1];[s0]fps=30,scale=1280:720[v0];[s1]scale=640:360[v1]' -map '[v0]' -c:v libx264 -preset \
veryfast -pix_fmt yuv420p -b:v 2800k -maxrate 2800k -bufsize 5600k -g 120 -sc_threshold 0 -force_key_frames \
'expr:isnan(prev_forced_t)+gt(floor(t/4+1e-6),floor(prev_forced_t/4+1e-6))' -map '0:a:0?' -c:a aac -b:a 128k \
-avoid_negative_ts disabled -output_ts_offset 10 -f mpegts pipe:3 -map '[v1]' -c:v libx264 -pix_fmt yuv420p -b:v \
800k -maxrate 800k -bufsize 1600k -sc_threshold 0 -force_key_frames \
'expr:isnan(prev_forced_t)+gt(floor(t/4+1e-6),floor(prev_forced_t/4+1e-6))' -map '0:a:0?' -c:a aac -b:a 96k \
-avoid_negative_ts disabled -output_ts_offset 10 -f mpegts pipe:4 3>720p.ts 4>360p.ts
segments     4s, live, 6 in the playlist
files
  index.m3u8
  720p/index.m3u8, 720p/720p-00001.ts …
  360p/index.m3u8, 360p/360p-00001.ts …
destinations
  live (folder)
spool        256MiB in memory, 2GiB among temporary files
log          to standard error
";
    assert_eq!(told, expected);
}

#[test]
fn the_command_line_that_is_told_can_be_run_as_it_stands() {
    let text = EXAMPLE
        .replace("\"test\" ", "\"in put.ts\" ")
        .replace("[\"-re\"]", "[\"-t\", \"2\"]")
        .replace("1280x720", "128x72")
        .replace("640x360", "64x36");
    let place = Place::with("live.toml", &text);
    fs::copy(media("h264-mp3.ts"), place.0.path().join("in put.ts")).unwrap();
    let told = place.check("live.toml").good().stdout;
    let line = told.lines().find(|line| line.starts_with("  ffmpeg ")).unwrap();
    run(Command::new("bash").args(["-c", line]).current_dir(place.0.path())).good();
    assert_eq!(size(&place.0.path().join("720p.ts")), "128x72");
    assert_eq!(decoded(&place.0.path().join("360p.ts")), (50, String::new()));
}

#[test]
fn the_environment_wins_over_the_file_and_flags_over_both() {
    let place = Place::with("live.toml", EXAMPLE);
    let segments = |command: &mut Command| {
        let told = run(command).good().stdout;
        told.lines().find_map(|line| line.strip_prefix("segments ")).unwrap().trim().to_owned()
    };
    let mut command = place.config(&["check", "live.toml"]);
    assert_eq!(segments(&mut command), "4s, live, 6 in the playlist");
    command.env("SEGCAST_OUTPUT__SEGMENT", "2s").env("SEGCAST_OUTPUT__WINDOW", "9");
    assert_eq!(segments(&mut command), "2s, live, 9 in the playlist");
    command.args(["--set", "output.segment=1500ms", "--set", "output.playlist=event"]);
    assert_eq!(segments(&mut command), "1s 500ms, event, all in the playlist");
}

#[test]
fn mistakes_are_named_wherever_they_were_written() {
    let place = Place::with("live.toml", EXAMPLE);
    let mut command = place.config(&["check", "live.toml", "--set", "output.window=two"]);
    command.env("SEGCAST_OUTPUT__SEGMNET", "2s");
    let expected = "\
environment variable SEGCAST_OUTPUT__SEGMNET: output.segmnet: unknown key
  did you mean `segment`?
command line: output.window: expected a whole number, came \"two\"";
    assert_eq!(mistakes(&run(&mut command)), expected);
}

#[test]
fn every_mistake_is_told_with_the_nearest_key() {
    let wrong = EXAMPLE
        .replace("segment = \"4s\"", "segmnet = \"4s\"")
        .replace("preset =", "presett =")
        .replace("\"640x360\"", "\"640\"")
        .replace("bitrate = \"96k\"", "bitrate = \"loud\"");
    let place = Place::with("live.toml", &wrong);
    let expected = "\
live.toml: output.segmnet: unknown key
  did you mean `segment`?
live.toml: rendition[0].video.presett: unknown key
  did you mean `preset`?
live.toml: rendition[1].audio.bitrate: expected a bitrate such as \"2800k\" or \"2.5M\" (a bare number is bits per \
second), came \"loud\"
live.toml: rendition[1].video.size: expected a size in pixels such as \"1280x720\", came \"640\"";
    assert_eq!(mistakes(&place.check("live.toml")), expected);
    place.file("live.toml", &EXAMPLE.replace("window = 6", "window = 1").replace("\"4s\"", "\"2h\""));
    let expected = "\
live.toml: output.segment: expected from 500ms to 1h, came 2h
live.toml: output.window: expected from 3 to 100000 segments, came 1";
    assert_eq!(mistakes(&place.check("live.toml")), expected);
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let place = Place::with("live.txt", EXAMPLE);
    place.file("broken.toml", "[input\nurl = 1");
    place.file("broken.yml", "a: [1\nb: }");
    place.file("broken.json", "{\"input\": ");
    place.file("empty.toml", "");
    fs::create_dir(place.0.path().join("folder.toml")).unwrap();
    let files =
        ["none.toml", "live.txt", "broken.toml", "broken.yml", "broken.json", "folder.toml", "empty.toml"];
    for file in files {
        let ended = place.check(file);
        let said = mistakes(&ended);
        assert!(said.starts_with(&format!("{file}: ")), "{said}");
    }
}

#[test]
fn a_missing_ffmpeg_is_said_by_the_check() {
    let place = Place::with("live.toml", EXAMPLE);
    let ended = run(&mut place.config(&["check", "live.toml", "--set", "ffmpeg=/nowhere/ffmpeg"]));
    let expected = "segcast: /nowhere/ffmpeg not found: install ffmpeg (Debian, Ubuntu: apt-get install ffmpeg; macOS: \
                    brew install ffmpeg) or name the path of its binary\n";
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), expected));
    assert!(ended.stdout.contains("\n  /nowhere/ffmpeg -"), "{}", ended.stdout);
}

#[test]
fn secrets_are_never_told() {
    let text = EXAMPLE.replace("url = \"test\" ", "url = \"rtsp://me:hush-1@camera/1?token=hush-2\" ")
        + "
[[destination]]
url = \"s3://bucket/live\"
access_key_id = \"hush-3\"
secret_access_key = \"${KEY}\"
[[destination]]
url = \"sftp://host/live\"
user = \"me\"
password = \"hush-6\"
[[destination]]
url = \"http://host/live\"
token = \"hush-8\"
headers = { X-Api-Key = \"hush-9\" }
";
    let place = Place::with("live.toml", &text);
    let mut command = place.config(&["check", "live.toml"]);
    let ended = run(command.env("KEY", "hush-4")).good();
    assert!(ended.stdout.contains("s3://bucket/live") && ended.stdout.contains("***"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("hush"), "{}", ended.stdout);
    assert!(!ended.stderr.contains("hush"), "{}", ended.stderr);
    // Nor in what is wrong.
    let in_url = text.replace("sftp://host", "sftp://me:hush-5@host");
    place.file("live.toml", &in_url);
    assert!(!mistakes(&run(&mut command)).contains("hush"));
    place.file(
        "live.toml",
        &text.replace("password =", "pasword =").replace("access_key_id = ", "acl = 1\naccess_key_id = 7 #"),
    );
    let ended = run(command.env("KEY", "hush-4"));
    assert!(!mistakes(&ended).contains("hush"), "{}", ended.stderr);
    place.file("live.toml", EXAMPLE);
    let broken = "destination=[{url=\"s3://b/x\",secret_access_key=\"hush-7\" ";
    let ended = run(&mut place.config(&["check", "live.toml", "--set", broken]));
    assert!(!mistakes(&ended).contains("hush"), "{}", ended.stderr);
    place.file("live.toml", &text.replace("password = \"hush-6\"", "password = \"hush-6"));
    let ended = run(&mut command);
    assert!(!mistakes(&ended).contains("hush"), "{}", ended.stderr);
}

/// A file with these destinations.
fn with_destinations(destinations: &str) -> String {
    format!("input = {{ url = \"test\" }}\nrendition = [{{ name = \"a\", audio = {{}} }}]\n{destinations}")
}

#[test]
fn every_kind_of_destination_is_told_with_its_settings() {
    let place = Place::new();
    let here = place.0.path().display().to_string();
    for name in ["ca.pem", "id_ed25519", "known_hosts"] {
        place.file(name, "");
    }
    place.file("gcs.json", "{}");
    let text = fs::read_to_string(sample("destinations.toml")).unwrap();
    place.file(
        "all.toml",
        &text.replace("/etc/segcast", &here).replace("/var/www", &here).replace("/srv", &here),
    );
    let mut command = place.config(&["check", "all.toml"]);
    command
        .env("HOME", &here)
        .env("S3_KEY", "hush-1")
        .env("S3_SECRET", "hush-2")
        .env("FTP_PASSWORD", "hush-3");
    let ended = run(&mut command).good();
    let told = ended.stdout.split("destinations\n").nth(1).unwrap().replace(&here, "HERE");
    let expected = "\
\x20 s3://bucket/live (access_key_id ***, secret_access_key ***, session_token ***, region us-east-1, endpoint \
http://127.0.0.1:8333, virtual_hosted, encryption aws:kms, kms_key alias/live, acl public-read, storage_class \
STANDARD_IA, playlist_cache_control no-cache, segment_cache_control max-age=60, headers.X-Api-Key ***, \
headers.X-Name ***, required, keep, concurrency 8, timeout 10s, deadline 30s)
  gs://bucket/a b (acl publicRead, storage_class NEARLINE, credentials ***)
  az://$web/live (account me, access_key ***, access_tier Cool)
  az://other (endpoint http://127.0.0.1:10000/me, account me, sas_token ***)
  https://[::1]:8443/live/ü%20x (user deploy, password ***, ca HERE/ca.pem, insecure)
  http://origin/live (token ***, timeout 2s 500ms)
  ftp://deploy@web1/live (password ***)
  ftps://de@ploy@web1:2121/HERE/live (password ***, ca HERE/ca.pem, insecure)
  sftp://deploy@web1:2222HERE/live (private_key HERE/id_ed25519, passphrase ***, known_hosts HERE/known_hosts)
  scp://deploy@[2001:db8::7]/~/live (password ***, host_key accept-new)
  HERE/live (folder, fsync, file_mode 0644, folder_mode 2755)
  HERE/live two (folder)
spool        64MiB in memory, 1GB in spool
log          to standard error
";
    assert_eq!(told, expected);
    assert!(!ended.stdout.contains("hush") && !ended.stderr.contains("hush"));
}

#[test]
fn bad_destinations_are_told_before_anything_runs() {
    let place = Place::new();
    let cases = [
        ("url = \"s4://bucket/live\"", "url: the scheme \"s4\" is not known\n  did you mean `s3://`?"),
        (
            "url = \"ftp://deploy@web1/live\"",
            "password: is missing, as ftp needs it\n  as in password = \"${NAME}\", or password_file = \
             \"/run/secrets/password\"",
        ),
        (
            "url = \"ftp://deploy@web1/live\"\npassword = \"${NOPE}\"",
            "password: the environment variable \"NOPE\" is not set",
        ),
        (
            "url = \"ftp://deploy@web1/live\"\npassword_file = \"none\"",
            "password_file: \"none\" cannot be read: No such file or directory (os error 2)",
        ),
        (
            "url = \"sftp://deploy@web1/live\"\nprivate_key = \"none\"",
            "private_key: \"none\" is not there\n  paths are taken from the current directory",
        ),
        (
            "url = \"ftps://deploy@web1/live\"\npassword = \"x\"\nca = \"none.pem\"",
            "ca: \"none.pem\" is not there\n  paths are taken from the current directory",
        ),
        (
            "url = \"s3://bucket/live\"\naccess_key_id = \"x\"",
            "secret_access_key: is missing beside `access_key_id`",
        ),
        (
            "url = \"/dev/null/live\"",
            "url: \"/dev/null/live\" cannot be made: there is no such folder above it",
        ),
    ];
    for (keys, message) in cases {
        place.file("live.toml", &with_destinations(&format!("[[destination]]\n{keys}")));
        let ended = place.check("live.toml");
        assert_eq!(mistakes(&ended), format!("live.toml: destination[0].{message}"));
    }
}

#[test]
fn a_secret_in_a_file_is_read_and_not_told() {
    let place = Place::new();
    place.file("secret", "hush\n");
    let text = "[[destination]]\nurl = \"ftp://deploy@web1/live\"\npassword_file = \"secret\"";
    place.file("live.toml", &with_destinations(text));
    let ended = place.check("live.toml").good();
    assert!(ended.stdout.contains("ftp://deploy@web1/live (password ***)"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("hush"), "{}", ended.stdout);
}

#[test]
fn destinations_are_probed_and_left_as_they_were() {
    let place = Place::new();
    let text = "[[destination]]\nurl = \"one\"\n[[destination]]\nurl = \"two/folders\"";
    place.file("live.toml", &with_destinations(text));
    let mut command = segcast(["destination", "check", "live.toml", "--size", "3MiB"]);
    let ended = run(command.current_dir(place.0.path())).good();
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{}", ended.stdout);
    for (line, name) in lines.iter().zip(["one          latency ", "two/folders  latency "]) {
        assert!(line.starts_with(name) && line.ends_with(" MB/s, ok"), "{line}");
    }
    assert_eq!(ended.stderr, "");
    assert!(names(&place.0.path().join("one")).is_empty());
    assert!(names(&place.0.path().join("two/folders")).is_empty());
}

#[test]
fn a_destination_that_takes_nothing_is_told_and_the_others_are_probed() {
    let place = Place::new();
    // Longer than a name may be: seen only once it is tried.
    let bad = "x".repeat(300);
    let text = format!("[[destination]]\nurl = \"{bad}\"\n[[destination]]\nurl = \"good\"");
    place.file("live.toml", &with_destinations(&text));
    let mut command = segcast(["destination", "check", "live.toml"]);
    let ended = run(command.current_dir(place.0.path()));
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert!(lines[0].starts_with(&format!("{bad}  cannot create {bad}: ")), "{}", ended.stdout);
    assert!(lines[1].ends_with(" MB/s, ok"), "{}", ended.stdout);
    assert_eq!(ended.stderr, "segcast: 1 of 2 destinations cannot be used\n");
}

#[test]
fn the_originals_files_are_told_as_they_stand() {
    let place = Place::new();
    place.file("recording.ts", "");
    let single = "  ffmpeg -v 0 -y -i recording.ts -f mpegts -acodec libmp3lame -ar 48000 -ab 64k -s 480x272 -vcodec libx264 -b 256k \
-g 30 -async 2 -
";
    let multirate =
        "  ffmpeg -v 0 -i 'udp://239.0.0.1:1234?fifo_size=100000&overrun_nonfatal=1' -c copy -f mpegts -
  ffmpeg -v 0 -i - -s 1280x720 -b:v 2000k -c:a libmp3lame -f mpegts -
  ffmpeg -v 0 -i - -vf \"drawtext=text=%{pts}\" -s 320x180 -b:v 200k -c:a libmp3lame -f mpegts -
  ffmpeg -v 0 -i - -vn -c:a libmp3lame -f mpegts -
";
    let quoted = "  ffmpeg -y -i - -f mpegts -acodec libmp3lame -ar 48000 -ab 64k -s 320x240 -vcodec libx264 -b 128k -flags +loop \
-partitions +parti4x4+partp8x8 -qmin 10 -rc_eq 'blurCplx^(1-qComp)' -g 30 -async 2 -
";
    let s3 = "  ffmpeg -f alsa -i hw:0 -f mpegts -acodec libmp3lame -ab 96k -\n";
    let cases = [
        ("single-copy.yml", single),
        ("multirate-copy.yml", multirate),
        ("quoted-expression.yml", quoted),
        ("s3.yml", s3),
    ];
    for (name, commands) in cases {
        let file = sample(name).display().to_string();
        let mut command = place.config(&["check", &file]);
        let ended = run(command.env("FTP_PASSWORD", "hush")).good();
        let (_, rest) = ended.stdout.split_once("\nencoders ").unwrap();
        let told = rest.split_once('\n').unwrap().1.split("segments ").next();
        assert_eq!(told, Some(commands), "{name}");
        assert!(
            !ended.stdout.contains("not-a-real-key") && !ended.stdout.contains("not$"),
            "{}",
            ended.stdout
        );
    }
}

#[test]
fn what_was_converted_can_be_checked() {
    let place = Place::new();
    place.file("recording.ts", "");
    for name in ["single-copy.yml", "multirate-copy.yml", "quoted-expression.yml", "s3.yml"] {
        let file = sample(name).display().to_string();
        let toml = run(&mut place.config(&["convert", &file])).good().stdout;
        place.file("converted.toml", &toml);
        assert!(!toml.contains("not-a-real-key") && !toml.contains("not$"), "{toml}");
        let mut command = place.config(&["check", "converted.toml"]);
        for secret in ["DESTINATION_1_ACCESS_KEY_ID", "DESTINATION_1_SECRET_ACCESS_KEY", "FTP_PASSWORD"] {
            command.env(secret, "hush");
        }
        let converted = run(&mut command).good().stdout;
        let original = run(place.config(&["check", &file]).env("FTP_PASSWORD", "hush")).good().stdout;
        // The same files in the same places.
        let part = |text: &str| {
            let from = text.find("\nfiles\n").unwrap();
            text[from..text.find("\nlog ").unwrap()].to_owned()
        };
        assert_eq!(part(&converted), part(&original), "{name}");
    }
    let ended = run(&mut place.config(&["convert", "none.yml"]));
    assert!(mistakes(&ended).starts_with("none.yml: "), "{}", ended.stderr);
}

#[test]
fn the_schema_is_json_schema() {
    let place = Place::new();
    let schema = run(&mut place.config(&["schema"])).good().stdout;
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert!(schema["$schema"].as_str().unwrap().contains("json-schema.org"));
    for key in ["input", "output", "rendition", "destination", "spool", "log"] {
        assert!(schema["properties"][key].is_object(), "{key}");
    }
    let keys = &schema["properties"]["destination"]["items"]["properties"];
    assert_eq!(keys["concurrency"]["maximum"], 64);
    assert_eq!(keys["password_file"]["type"], "string");
    assert_eq!(keys["host_key"]["enum"], serde_json::json!(["strict", "accept-new"]));
}

#[test]
fn completions_are_there_for_every_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&mut segcast(["completions", shell])).good().stdout;
        assert!(script.contains("segment") && script.contains("segcast"), "{shell}");
        let mut syntax = Command::new(shell);
        // Shells that are not installed cannot judge.
        if Command::new(shell).arg("--version").output().is_err() {
            continue;
        }
        let ended = run_with(syntax.arg("-n"), script.as_bytes()).good();
        assert_eq!(ended.stderr, "", "{shell}");
    }
    let script = run(&mut segcast(["completions", "bash"])).good().stdout;
    let sourced = run_with(&mut Command::new("bash"), (script + "\ncomplete -p segcast\n").as_bytes()).good();
    assert_eq!(sourced.stderr, "");
    assert!(sourced.stdout.contains("_segcast"), "{}", sourced.stdout);
}

#[test]
fn every_command_has_examples() {
    let mut commands: Vec<Vec<String>> = vec![vec![]];
    let mut seen = 0;
    while let Some(path) = commands.pop() {
        let help = run(segcast(&path).arg("--help")).good().stdout;
        assert!(help.contains("\nExamples:\n  "), "{path:?}: {help}");
        seen += 1;
        let below =
            help.split_once("\nCommands:\n").map_or("", |(_, rest)| rest.split("\n\n").next().unwrap());
        // A line that goes on with a description is indented further.
        let names = below.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
        for name in names.filter(|name| !name.is_empty() && *name != "help") {
            commands.push(path.iter().cloned().chain([name.to_owned()]).collect());
        }
    }
    assert!(seen >= 8, "{seen}");
    let help = run(&mut segcast(["--help"])).good().stdout;
    for line in ["  0    done", "  1    failed", "  2    wrong", "  130  ended"] {
        assert!(help.contains(line), "{help}");
    }
}
