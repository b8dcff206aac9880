//! What `segcast segment` makes of inputs and folders that are of no use: one clear message, an exit code, no playlist,
//! and nothing else touched.
#![cfg(feature = "cli")]
// What the tests share is test code too.
#![allow(clippy::unwrap_used, missing_docs)]

mod support {
    pub mod command;
}

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::command::{Ended, Running, media, names, parsed, run, run_with, segcast, tree};

/// A folder with an output folder that holds somebody's files.
struct Place {
    temporary: tempfile::TempDir,
    output: PathBuf,
}

impl Place {
    fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let output = temporary.path().join("out");
        fs::create_dir(&output).unwrap();
        fs::write(output.join("notes.txt"), "mine").unwrap();
        fs::write(output.join("index.m3u8"), "#EXTM3U\n#EXT-X-TARGETDURATION:6\n").unwrap();
        Self { temporary, output }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.temporary.path().join(name)
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.at(name), bytes).unwrap();
        self.at(name)
    }

    fn segment(&self, input: &Path) -> Command {
        let mut command = segcast(["segment", "--output"]);
        command.arg(&self.output).arg(input);
        command
    }

    /// What `command` says; it is to fail, and to touch nothing.
    #[track_caller]
    fn refused(&self, command: &mut Command) -> String {
        self.refused_by(|| run(command))
    }

    #[track_caller]
    fn refused_by(&self, ended: impl FnOnce() -> Ended) -> String {
        let before = tree(self.temporary.path());
        let ended = ended();
        assert!(before == tree(self.temporary.path()), "something was touched: {}", ended.stderr);
        said(&ended)
    }
}

/// The one message of a command that failed.
#[track_caller]
fn said(ended: &Ended) -> String {
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
    let message = ended.stderr.strip_prefix("segcast: ").unwrap_or_else(|| panic!("{}", ended.stderr));
    assert_eq!(message.matches("segcast: ").count(), 0, "{message}");
    message.trim_end().to_owned()
}

/// Bytes that are the same every time and look like nothing.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// A packet of `pid` with nothing in it that means anything.
fn packet(pid: u16, counter: u8) -> Vec<u8> {
    let mut packet = vec![0x47, (pid >> 8) as u8, pid as u8, 0x10 | counter & 15];
    packet.resize(188, 0xff);
    packet
}

#[test]
fn inputs_that_are_no_transport_stream_are_named() {
    let place = Place::new();
    let at = |name: &str| place.at(name).display().to_string();
    let absent = place.refused(&mut place.segment(&place.at("none.ts")));
    assert_eq!(
        absent,
        format!("{}: no such file; name a transport stream, or - for standard input", at("none.ts"))
    );
    fs::create_dir(place.at("folder")).unwrap();
    let folder = place.refused(&mut place.segment(&place.at("folder")));
    assert_eq!(folder, format!("{}: is a directory; name a transport stream in it", at("folder")));
    let cases: [(&str, Vec<u8>, &str); 5] = [
        ("empty.ts", vec![], "is empty; expected a transport stream"),
        (
            "zeros.ts",
            vec![0; 1_000_000],
            "not a transport stream: it begins with zeros only; was the recording written to the end?",
        ),
        (
            "noise.ts",
            noise(1_000_000),
            "not a transport stream: no packets of 188, 192 or 204 bytes that begin with 0x47 were found",
        ),
        (
            "a.mp4",
            fs::read(media("not-a-ts.mp4")).unwrap(),
            "not a transport stream: it is an MP4; repack it with: ffmpeg -i IN.mp4 -c copy -f mpegts OUT.ts",
        ),
        (
            "short.ts",
            vec![0x47; 100],
            "not a transport stream: no packets of 188, 192 or 204 bytes that begin with 0x47 were found",
        ),
    ];
    for (name, bytes, expected) in cases {
        let input = place.file(name, bytes);
        let said = place.refused(&mut place.segment(&input));
        assert_eq!(said, format!("{}: {expected}", at(name)));
    }
}

#[test]
fn standard_input_that_is_no_transport_stream_is_named() {
    let place = Place::new();
    let cases: [(&[u8], &str); 4] = [
        (b"", "it is empty"),
        (&[0; 500_000], "it begins with zeros only; was the recording written to the end?"),
        (
            b"<html><body>Not found</body></html>",
            "it is a web page or XML; was an error page saved instead of the stream?",
        ),
        (&noise(500_000), "no packets of 188, 192 or 204 bytes that begin with 0x47 were found"),
    ];
    for (bytes, expected) in cases {
        let said = place.refused_by(|| run_with(&mut place.segment(Path::new("-")), bytes));
        assert_eq!(said, format!("standard input: not a transport stream: {expected}"));
    }
}

#[test]
fn an_endless_input_of_nothing_is_given_up() {
    let place = Place::new();
    for device in ["/dev/zero", "/dev/urandom"] {
        let said = place.refused(&mut place.segment(Path::new(device)));
        assert!(said.starts_with(&format!("{device}: not a transport stream: ")), "{said}");
    }
}

#[test]
fn endless_packets_without_a_program_are_given_up() {
    let place = Place::new();
    let packets: Vec<u8> = (0..100_000_u32).flat_map(|n| packet(0x100, n as u8)).collect();
    for (args, which) in [(&[][..], "a program"), (&["--program", "3"], "program 3")] {
        let said = place.refused_by(|| run_with(place.segment(Path::new("-")).args(args), &packets));
        let expected = format!(
            "standard input: 16 MiB and still no table (PMT) of {which}; is it encrypted as a whole?"
        );
        assert_eq!(said, expected);
    }
}

#[test]
fn streams_without_a_beginning_are_named() {
    let place = Place::new();
    let packets: Vec<u8> = (0..2000_u16).flat_map(|n| packet(0x100, n as u8)).collect();
    let input = place.file("no-program.ts", &packets);
    let expected = format!(
        "{}: no program in it: 376000 bytes, but no program map table (PMT); is it a piece from the middle of a \
         stream, or encrypted as a whole?",
        input.display()
    );
    assert_eq!(place.refused(&mut place.segment(&input)), expected);

    // The tables and sound of nothing but pictures that cannot be begun with.
    let whole = fs::read(media("h264-intra-refresh.ts")).unwrap();
    let input = place.file("no-access.ts", without_random_access(&whole));
    let said = place.refused(&mut place.segment(&input));
    let expected =
        format!("{}: nothing to begin a segment with: no random access point was found", input.display());
    assert!(said.starts_with(&expected), "{said}");
}

/// Video only, and of it only what lies between its first picture and the next recovery point.
fn without_random_access(stream: &[u8]) -> Vec<u8> {
    let mut pictures = 0;
    let mut out = Vec::new();
    for packet in stream.chunks_exact(188) {
        let pid = u16::from(packet[1] & 0x1f) << 8 | u16::from(packet[2]);
        pictures += u32::from(pid == 0x100 && packet[1] & 0x40 != 0);
        if matches!(pid, 0 | 0x1000) || pid == 0x100 && (3..20).contains(&pictures) {
            out.extend_from_slice(packet);
        }
    }
    out
}

/// The command as somebody without rights; none where that cannot be.
fn as_nobody(command: &Command) -> Option<Command> {
    if !rustix::process::geteuid().is_root() {
        let mut same = Command::new(command.get_program());
        same.args(command.get_args());
        return Some(same);
    }
    let drop_rights = || {
        let mut nobody = Command::new("setpriv");
        nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(command.get_program());
        nobody
    };
    let can = drop_rights().arg("--version").output().is_ok_and(|output| output.status.success());
    let mut nobody = drop_rights();
    nobody.args(command.get_args());
    can.then_some(nobody)
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_is_not_allowed_is_said() {
    let place = Place::new();
    allow(place.temporary.path(), 0o755);
    let input = place.file("secret.ts", fs::read(media("h264-aac.ts")).unwrap());
    let Some(mut command) = as_nobody(&place.segment(&input)) else {
        eprintln!("left out: rights cannot be dropped here");
        return;
    };
    allow(&input, 0);
    let said = place.refused(&mut command);
    allow(&input, 0o644);
    assert_eq!(said, format!("{}: no permission to read it", input.display()));

    allow(&place.output, 0o555);
    let mut command = as_nobody(&place.segment(&input)).unwrap();
    let said = place.refused(&mut command);
    allow(&place.output, 0o755);
    assert_eq!(
        said,
        format!(
            "cannot write in {}: Permission denied (os error 13); choose a folder that can be written by --output",
            place.output.display()
        )
    );
}

#[test]
fn folders_that_cannot_be_are_said() {
    let place = Place::new();
    let input = media("h264-aac.ts");
    let file = place.file("file", "mine");
    let cases = [
        (file.clone(), "File exists (os error 17)"),
        (file.join("below"), "Not a directory (os error 20)"),
        (PathBuf::from("/proc/none"), "No such file or directory (os error 2)"),
    ];
    for (output, why) in cases {
        let mut command = segcast(["segment", "--output"]);
        let said = place.refused(command.arg(&output).arg(&input));
        let name = output.display();
        assert_eq!(
            said,
            format!("cannot create the folder {name}: {why}; choose another folder by --output")
        );
    }
}

#[test]
fn a_segment_is_never_written_over_the_input() {
    let place = Place::new();
    let input = place.output.join("segment-00001.ts");
    fs::copy(media("h264-aac.ts"), &input).unwrap();
    let said = place.refused(&mut place.segment(&input));
    assert_eq!(
        said,
        format!(
            "{}: would be written over by a segment; choose another --output or --prefix",
            input.display()
        )
    );
    let ended = run(place.segment(&input).args(["--prefix", "other"])).good();
    assert!(ended.stderr.starts_with("2 segments, "), "{}", ended.stderr);
}

/// Live: the playlist is whole, and names what is there. VOD: there is none.
#[track_caller]
fn is_sound(output: &Path, is_live: bool) {
    let there = names(output);
    assert!(there.iter().all(|name| !name.starts_with('.')), "{there:?}");
    let text = fs::read_to_string(output.join("index.m3u8"));
    if !is_live {
        assert!(text.is_err(), "a playlist of what is not whole: {text:?}");
        return;
    }
    let media = parsed(&text.unwrap());
    assert!(!media.segments.is_empty());
    assert!(media.segments.iter().all(|segment| there.contains(&segment.uri)), "{there:?}");
}

#[test]
fn a_limit_on_files_sizes_is_an_error_like_others() {
    // The third segment and those behind it are larger than the first two.
    for kind in ["vod", "live"] {
        let temporary = tempfile::tempdir().unwrap();
        let output = temporary.path().join("out");
        let sizes = segment_sizes(temporary.path());
        let limit = sizes[2..].iter().max().unwrap() / 1024;
        let segment = segcast(["segment", "--segment", "2s", "--playlist", kind, "--output"]);
        let mut command = Command::new("bash");
        command.args(["-c", "ulimit -f $0 && exec \"$@\"", &limit.to_string()]);
        command.arg(segment.get_program()).args(segment.get_args()).arg(&output).arg(media("h264-aac.ts"));
        let message = said(&run(&mut command));
        let expected = ": File too large (os error 27); the size of files is limited (ulimit -f): raise the limit, or \
                        cut shorter by --segment";
        assert!(message.ends_with(expected), "{message}");
        assert!(message.starts_with(&format!("cannot write {}/segment-0000", output.display())), "{message}");
        is_sound(&output, kind == "live" && output.join("segment-00001.ts").exists());
    }
}

/// Sizes of the segments that the usual file is cut into.
fn segment_sizes(folder: &Path) -> Vec<usize> {
    let output = folder.join("sizes");
    let mut command = segcast(["segment", "--segment", "2s", "--output"]);
    run(command.arg(&output).arg(media("h264-aac.ts"))).good();
    tree(&output)
        .into_iter()
        .filter(|(name, _)| name.ends_with(".ts"))
        .map(|(_, bytes)| bytes.len())
        .collect()
}

#[test]
fn a_full_disk_leaves_what_is_whole() {
    for kind in ["vod", "live"] {
        let temporary = tempfile::tempdir().unwrap();
        let output = temporary.path().join("out");
        fs::create_dir(&output).unwrap();
        // A small disk that nobody else sees, and that is gone with the shell; what is on it is copied out.
        let script = "mount -t tmpfs -o size=200k tmpfs \"$0\" || exit 99
            \"$@\"; code=$?; cp -a \"$0\" \"$0.copy\"; exit $code";
        let segment = segcast(["segment", "--segment", "2s", "--playlist", kind, "--output"]);
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--map-root-user", "sh", "-c", script])
            .arg(&output)
            .arg(segment.get_program());
        command.args(segment.get_args()).arg(&output).arg(media("h264-aac.ts"));
        if !can_mount() {
            eprintln!("left out: nothing can be mounted here");
            return;
        }
        let message = said(&run(&mut command));
        let expected = ": No space left on device (os error 28); free some space, or choose a folder elsewhere by --output";
        assert!(message.ends_with(expected), "{message}");
        let copy = temporary.path().join("out.copy");
        is_sound(&copy, kind == "live");
        assert!(names(&copy).contains(&"segment-00001.ts".to_owned()));
    }
}

fn can_mount() -> bool {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "mount", "-t", "tmpfs", "tmpfs"]).arg(folder.path());
    command.output().is_ok_and(|output| output.status.success())
}

#[test]
fn nobody_has_to_listen() {
    let place = Place::new();
    let closed = || std::io::pipe().unwrap().1;
    let input = media("h264-aac.ts");
    let mut command = place.segment(&input);
    let ended = Running::start_as_is(command.stdin(Stdio::null()).stdout(closed()).stderr(closed())).wait();
    assert_eq!(ended.code, Some(0));
    let mut command = place.segment(&place.at("none.ts"));
    let ended = Running::start_as_is(command.stdin(Stdio::null()).stdout(closed()).stderr(closed())).wait();
    assert_eq!(ended.code, Some(1));
    let inspected = input.display().to_string();
    let talkative =
        [&["--help"][..], &["config", "schema"], &["completions", "bash"], &["inspect", &inspected]];
    for args in talkative {
        let mut command = segcast(args);
        let piped = command.stdin(Stdio::null()).stdout(closed()).stderr(Stdio::piped());
        let ended = Running::start_as_is(piped).wait().good();
        assert_eq!(ended.stderr, "", "{args:?}");
    }
}

#[test]
fn what_cannot_be_printed_is_said() {
    for args in [&["config", "schema"][..], &["completions", "zsh"]] {
        let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") else { return };
        let mut command = segcast(args);
        let ended =
            Running::start_as_is(command.stdin(Stdio::null()).stdout(full).stderr(Stdio::piped())).wait();
        let expected = "standard output: cannot be written: No space left on device (os error 28)";
        assert_eq!(said(&ended), expected, "{args:?}");
    }
}

#[test]
fn a_wrong_command_line_is_said() {
    let place = Place::new();
    let input = media("h264-aac.ts");
    let cases: [(&[&str], &str); 6] = [
        (&["--prefix", "a\nb"], "expected the beginning of a file name"),
        (&["--segment", "0"], "expected a duration from 500ms to 1h, such as 6s"),
        (&["--segment", "soon"], "expected a duration from 500ms to 1h, such as 6s"),
        (&["--window", "2"], "2 is not in 3..=65535"),
        (&["--prefix", "../x"], "expected the beginning of a file name"),
        (&["--playlist", "loop"], "possible values: vod, event, live"),
    ];
    for (args, expected) in cases {
        let before = tree(place.temporary.path());
        let ended = run(place.segment(&input).args(args));
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{args:?}: {}", ended.stderr);
        assert!(before == tree(place.temporary.path()));
    }
    let ended = run(&mut segcast(["segment", "a.ts"]));
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("--output <DIR>"), "{}", ended.stderr);
}
