//! The original's YAML, taken as it is: the same names in the same places.
//!
//! The script took its keys as Ruby gave them, so numbers may be written as text and unknown keys are passed
//! over; here they are at least told.
//!
//! - `encoder`: the profiles' commands, without the segmenter at their ends.

mod encoder;

use std::collections::BTreeMap;
use std::time::Duration;

use figment::value::Dict;

use super::file::{Level, Log};
use super::ground::Must;
use super::layer::Layers;
use super::lineup::is_key;
use super::outside::Outside;
use super::presentation::{LEAST_WINDOW, MOST_WINDOW, WINDOW};
use super::reader::{Reader, Table};
use super::shape::{Mistakes, quoted};
use super::value::Kind as _;
use super::{Checked, Dialect, Error, transfer};
use crate::channel::{Lineup, Restart};
use crate::encoder::ladder::{Ladder, Latency, Rendition};
use crate::{channel, delivery, live};

/// The keys that may stand at the top, beside the profiles' own names.
pub(super) const KEYS: [&str; 14] = [
    "temp_dir",
    "segment_prefix",
    "index_prefix",
    "log_type",
    "log_file",
    "log_level",
    "input_location",
    "segment_length",
    "url_prefix",
    "index_segment_count",
    "source_command",
    "segmenter_binary",
    "encoding_profile",
    "transfer_profile",
];

/// Whether a file has the original's keys.
pub(super) fn is_original(dict: &Dict) -> bool {
    ["encoding_profile", "segmenter_binary", "transfer_profile"].iter().any(|key| dict.contains_key(*key))
}

/// Checks the merged layers of a file of the original.
pub(super) fn check(layers: &Layers, outside: &Outside) -> Result<Checked, Error> {
    let mistakes = Mistakes::new(layers);
    let mut reader = Reader { root: &layers.root, outside, mistakes, needs: Vec::new(), notes: Vec::new() };
    let checked = reader.channel(layers);
    Error::unless(reader.mistakes.list, checked)
}

impl<'a> Reader<'a> {
    fn channel(&mut self, layers: &Layers) -> Checked {
        let top = Table { name: "", dict: self.root };
        self.pass_over(top, &KEYS);
        let temp_dir = self.required(top, "temp_dir");
        self.need("temp_dir", temp_dir.into(), Must::WriteInto);
        if top.dict.contains_key("segmenter_binary") {
            self.notes.push("segmenter_binary is not used: the segmenter is built in".into());
        }
        let target = self.segment_length(top);
        let window = self.window(top);
        let url_prefix = self.text(top, "url_prefix").unwrap_or_default();
        if url_prefix.contains(char::is_control) {
            let message = format!("expected one line of plain text, came {}", quoted(&url_prefix));
            self.mistakes.add("url_prefix", message, None);
        }
        let (input, feed, rungs, multivariant) = self.encoders(top);
        let (renditions, names): (Vec<Rendition>, Vec<live::Rendition>) = rungs.into_iter().unzip();
        let lineups = (0..names.len()).map(Lineup::ts).collect();
        let destinations = self.transfers(top);
        let kind = live::Kind::Live { window };
        let restart = Restart::usual(&input, kind);
        let ladder = Ladder {
            ffmpeg: "ffmpeg".into(),
            input,
            feed,
            segment: target,
            renditions,
            latency: Latency::Normal,
        };
        let presentation = live::Options {
            kind,
            target,
            multivariants: multivariant
                .into_iter()
                .map(|key| live::Listing { key, ..Default::default() })
                .collect(),
            url_prefix,
            has_date_time: false,
            has_parts: false,
            renditions: names,
        };
        let name = super::stem(&layers.file);
        Checked {
            options: channel::Options {
                name,
                ladder,
                presentation,
                lineups,
                restart,
                part: None,
                destinations,
                spool: delivery::Spool::default(),
                origin: None,
            },
            log: self.log(top),
            notes: std::mem::take(&mut self.notes),
            dialect: Dialect::Original,
            file: layers.file.clone(),
            needs: std::mem::take(&mut self.needs),
        }
    }

    fn segment_length(&mut self, top: Table) -> Duration {
        let length = self.required_number(top, "segment_length");
        let span = length.and_then(Duration::from_number);
        let is_good = |span: &Duration| (1.0..=3600.0).contains(&span.as_secs_f64());
        match (length, span.filter(is_good)) {
            (_, Some(span)) => span,
            (Some(length), None) => {
                self.mistakes.add(
                    "segment_length",
                    format!("expected from 1 to 3600 seconds, came {length}"),
                    None,
                );
                Duration::from_secs(1)
            }
            (None, None) => Duration::from_secs(1),
        }
    }

    fn window(&mut self, top: Table) -> usize {
        if !top.dict.contains_key("index_segment_count") {
            self.notes.push(format!("index_segment_count is missing: {WINDOW} is taken"));
            return WINDOW as usize;
        }
        let Some(count) = self.required_number(top, "index_segment_count") else { return 0 };
        if count.fract() != 0.0 || !(0.0..=f64::from(MOST_WINDOW)).contains(&count) {
            let message = format!("expected a whole number up to {MOST_WINDOW}, came {count}");
            self.mistakes.add("index_segment_count", message, None);
        } else if count < f64::from(LEAST_WINDOW) {
            let note =
                format!("index_segment_count is {count}: {LEAST_WINDOW} is taken, as players stall on fewer");
            self.notes.push(note);
        }
        (count as usize).max(LEAST_WINDOW as usize)
    }

    fn log(&mut self, top: Table) -> Log {
        let is_file = self.text(top, "log_type").is_some_and(|kind| kind == "FILE");
        let file = if is_file { self.required(top, "log_file") } else { "-".to_owned() };
        if is_file {
            self.need("log_file", file.clone().into(), Must::MakeFile);
        }
        let word = self.text(top, "log_level");
        let level = match word.as_deref() {
            None | Some("DEBUG") => Level::Debug,
            Some("INFO") => Level::Info,
            Some("WARN") => Level::Warn,
            Some("ERROR") => Level::Error,
            Some(other) => {
                let words = "DEBUG, INFO, WARN, ERROR";
                self.notes.push(format!("log_level {} is none of {words}: DEBUG is taken", quoted(other)));
                Level::Debug
            }
        };
        Log { level: Some(level), format: None, file: Some(file.into()) }
    }

    fn transfers(&mut self, top: Table<'a>) -> Vec<delivery::Options> {
        let mut found = Vec::new();
        for name in self.names(top, "transfer_profile").0 {
            let Some(table) = self.profile("transfer_profile", &name, "transfer_type") else { continue };
            found.extend(transfer::target(self, table).map(|target| (name, target)));
        }
        let mut places = BTreeMap::new();
        for (name, target) in &found {
            if let Some(first) = places.insert(super::identity(target), name) {
                self.mistakes.add(name, format!("is the same place as {first}"), None);
            }
        }
        found.into_iter().map(|(_, target)| delivery::Options::new(target)).collect()
    }

    fn key(&mut self, at: &str, key: &str) {
        if !is_key(key) {
            let message = format!("expected a file's name below the destination, came {}", quoted(key));
            self.mistakes.add(at, message, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{environment, sample};
    use super::super::{Format, parse_str};
    use super::*;
    use crate::destination::object::{S3, Service};
    use crate::destination::ssh::{HostKey, Protocol};
    use crate::destination::{Secret, Target, copy, ftp, ssh};
    use crate::encoder::ladder::{Feed, Input};

    pub(super) fn read(text: &str) -> Result<Checked, Error> {
        parse_str(Format::Yaml, "old.yml", text, &environment(&[("FTP_PASSWORD", "hunter2")]), &[])
    }

    /// A good file in which `from` is replaced.
    pub(super) fn with(from: &str, to: &str) -> String {
        let text = sample("quoted-expression.yml");
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    }

    pub(super) fn mistakes(from: &str, to: &str) -> String {
        read(&with(from, to)).unwrap_err().to_string()
    }

    pub(super) fn copy(directory: &str) -> delivery::Options {
        delivery::Options::new(Target::Copy(copy::Options::new(directory)))
    }

    #[test]
    fn a_single_profile_reads_its_input_itself() {
        let checked = read(&sample("single-copy.yml")).unwrap();
        let rendition = Rendition {
            name: "medium".into(),
            video: None,
            audio: None,
            args: vec![],
            command: Some(
                "ffmpeg -v 0 -y -i recording.ts -f mpegts -acodec libmp3lame -ar 48000 -ab 64k -s 480x272 \
                 -vcodec libx264 -b 256k -g 30 -async 2 -"
                    .into(),
            ),
        };
        let ladder = Ladder {
            ffmpeg: "ffmpeg".into(),
            input: Input::Url { url: "recording.ts".into(), args: vec![] },
            feed: Feed::Each,
            segment: Duration::from_secs(10),
            renditions: vec![rendition],
            latency: Latency::Normal,
        };
        let presentation = live::Options {
            kind: live::Kind::Live { window: 5 },
            target: Duration::from_secs(10),
            multivariants: Vec::new(),
            url_prefix: "http://www.example.org/video/".into(),
            has_date_time: false,
            has_parts: false,
            renditions: vec![live::Rendition {
                name: "medium".into(),
                playlist: "live_medium.m3u8".into(),
                segment_prefix: "studio_medium-".into(),
                bandwidth_bps: Some(320_000),
                ..Default::default()
            }],
        };
        assert_eq!(checked.options.name, "old");
        assert_eq!(checked.options.ladder, ladder);
        assert_eq!(checked.options.presentation, presentation);
        assert_eq!(checked.options.presentation.renditions[0].segment_key(1), "studio_medium-00001.ts");
        assert_eq!(checked.options.destinations, [copy("/tmp/www")]);
        assert_eq!(checked.log, Log { level: Some(Level::Info), format: None, file: Some("-".into()) });
        assert_eq!(checked.notes, ["segmenter_binary is not used: the segmenter is built in"]);
        assert_eq!(checked.dialect, Dialect::Original);
    }

    /// The targets of a file, without what is usual.
    fn targets(checked: &Checked) -> Vec<&Target> {
        let served = checked.options.destinations.iter();
        served
            .inspect(|it| assert_eq!(**it, delivery::Options::new(it.target.clone())))
            .map(|it| &it.target)
            .collect()
    }

    #[test]
    fn a_bucket_is_read() {
        let checked = read(&sample("s3.yml")).unwrap();
        let [Target::Object(bucket)] = targets(&checked)[..] else { panic!() };
        assert_eq!((bucket.bucket.as_str(), bucket.prefix.as_str()), ("talks.example.org", "2013/autumn"));
        let service = S3 {
            access_key_id: Some(Secret::new("not-a-real-key")),
            secret_access_key: Some(Secret::new("not$$a$real${secret}")),
            acl: Some("public-read".into()),
            ..S3::default()
        };
        assert_eq!(bucket.service, Service::S3(service));
        let note = "bucket: objects are readable by anyone (public-read), as they always were: \
                    `acl: private` in the profile changes it";
        assert!(checked.notes.contains(&note.into()), "{:?}", checked.notes);
        let command = checked.options.ladder.renditions[0].command.as_deref();
        assert_eq!(command, Some("ffmpeg -f alsa -i hw:0 -f mpegts -acodec libmp3lame -ab 96k -"));
        assert!(!format!("{checked:?}").contains("not-a-real-key"));
    }

    #[test]
    fn uploads_are_read() {
        let text = sample("s3.yml").replace("transfer_profile: bucket", "transfer_profile: [upload, mirror]");
        let checked = read(&text).unwrap();
        let upload = ftp::Options {
            host: "ftp.example.org".into(),
            port: 21,
            directory: "www/talks".into(),
            user: "talks".into(),
            password: Secret::new("hunter2"),
            security: ftp::Security::Plain,
        };
        let mirror = ssh::Options {
            protocol: Protocol::Scp,
            host: "mirror.example.org".into(),
            port: 22,
            directory: "/srv/talks".into(),
            user: "talks".into(),
            password: None,
            private_key: None,
            passphrase: None,
            known_hosts: None,
            host_key: HostKey::Strict,
        };
        assert_eq!(targets(&checked), [&Target::Ftp(upload), &Target::Ssh(mirror)]);
        let note = "mirror: the host's key must be known now: connect once with ssh, or add \
                    `host_key: accept-new` to the profile";
        assert!(checked.notes.contains(&note.into()), "{:?}", checked.notes);
        assert!(!format!("{checked:?}").contains("hunter2"));
    }

    #[test]
    fn profiles_may_say_more_than_they_did() {
        let secrets = [("FTP_PASSWORD", "x"), ("S3_KEY", "x"), ("S3_SECRET", "x"), ("HOME", "/home/me")];
        let read = |text: &str| parse_str(Format::Yaml, "old.yml", text, &environment(&secrets), &[]);
        let checked = read(&sample("uploads.yml")).unwrap();
        let names: Vec<String> = targets(&checked).into_iter().map(ToString::to_string).collect();
        let expected = [
            "/tmp/www",
            "ftp://talks@example.org@ftp.example.org/www/talks 2013",
            "ftp://talks@192.0.2.7:2121//srv/talks",
            "scp://talks@mirror.example.org/srv/talks",
            "scp://talks@agent.example.org/~/talks",
            "s3://talks.example.org/2013/autumn",
        ];
        assert_eq!(names, expected);
        let Target::Ssh(agent) = targets(&checked)[4] else { panic!() };
        assert_eq!(agent.private_key.as_deref(), Some("/home/me/.ssh/id_talks".as_ref()));
        assert_eq!(agent.known_hosts.as_deref(), Some("/etc/ssh/ssh_known_hosts".as_ref()));
        assert_eq!(agent.host_key, HostKey::AcceptNew);
        let Target::Object(bucket) = targets(&checked)[5] else { panic!() };
        assert_eq!(bucket.endpoint.as_deref(), Some("http://127.0.0.1:8333"));
        assert_eq!(checked.notes.len(), 2, "{:?}", checked.notes);

        let wrong = sample("uploads.yml")
            .replace("host_key: accept-new", "host_key: never")
            .replace("http://127.0.0.1:8333/", "127.0.0.1:8333")
            .replace("2013/autumn/", "2013//autumn")
            .replace("directory: /srv/talks\nmirror", "directory: www/talks 2013\nmirror")
            .replace("192.0.2.7:2121", "2001:db8::7")
            .replace("bucket_name: talks.example.org", "bucket_name: talks.example.org:8333");
        let expected = "\
old.yml: absolute.remote_host: expected a name alone
  an IPv6 address stands in brackets, as in [::1]
old.yml: agent.host_key: expected one of strict, accept-new, came \"never\"
old.yml: bucket.bucket_name: expected a name alone
  the address of a service goes into `endpoint`
old.yml: bucket.key_prefix: expected a path without `.`, `..`, backslashes and empty parts
old.yml: bucket.endpoint: expected a URL that begins with https:// or http://";
        assert_eq!(read(&wrong).unwrap_err().to_string(), expected);
        let twice = sample("uploads.yml").replace(
            "mirror.example.org\n  user_name: talks\n  password: ${FTP_PASSWORD}\n  directory: /srv/talks",
            "agent.example.org\n  user_name: talks\n  directory: ~/talks/",
        );
        assert_eq!(read(&twice).unwrap_err().to_string(), "old.yml: agent: is the same place as mirror");
    }

    #[test]
    fn flags_lie_above_the_file() {
        let overrides = [
            ("segment_length".to_owned(), "2".to_owned()),
            ("copy_dev.directory".to_owned(), "x".to_owned()),
        ];
        let text = sample("quoted-expression.yml");
        let read = |overrides: &_| parse_str(Format::Yaml, "old.yml", &text, &environment(&[]), overrides);
        let options = read(&overrides).unwrap().options;
        assert_eq!(options.ladder.segment, Duration::from_secs(2));
        assert_eq!(options.destinations, [copy("x")]);
        let overrides = [("output.segment".to_owned(), "2".to_owned())];
        let error = read(&overrides).unwrap_err().to_string();
        assert!(
            error.starts_with("command line: output.segment: unknown key\n  known keys: temp_dir, "),
            "{error}"
        );
        let overrides = [("output.directory".to_owned(), "x".to_owned())];
        let error = read(&overrides).unwrap_err().to_string();
        assert!(error.ends_with("--set PROFILE.directory=DIR sets one"), "{error}");
    }

    #[test]
    fn an_empty_file_is_told_all_that_it_lacks() {
        let expected = "\
old.yml: temp_dir: is missing
old.yml: segment_length: is missing
  is it meant by `segment_lenght`?
old.yml: input_location: is missing
old.yml: segment_prefix: is missing
old.yml: index_prefix: is missing
old.yml: encoding_profile: there is no profile \"ep_128\" in this file
  did you mean `ep_128k`?
old.yml: transfer_profile: is missing";
        let text = "encoding_profile: ep_128\nsegment_lenght: 10\nep_128k: { ffmpeg_command: x }";
        assert_eq!(read(text).unwrap_err().to_string(), expected);
    }

    #[test]
    fn wrong_values_are_told() {
        for (from, to, told) in [
            (
                "segment_length: 10",
                "segment_length: 0.5",
                "segment_length: expected from 1 to 3600 seconds, came 0.5",
            ),
            ("segment_length: 10", "segment_length: ten", "segment_length: expected a number, came \"ten\""),
            ("segment_length: 10", "segment_length: .inf", "segment_length: expected a number, came inf"),
            (
                "index_segment_count: 3",
                "index_segment_count: 3.5",
                "index_segment_count: expected a whole number up to 100000, came 3.5",
            ),
            ("temp_dir: /tmp", "temp_dir: [/tmp]", "temp_dir: expected a text, came a list"),
            ("temp_dir: /tmp", "temp_dir: ''", "temp_dir: expected a text, came \"\""),
            ("log_type: STDOUT", "log_type: FILE", "log_file: is missing"),
            (
                "index_prefix: stream",
                "index_prefix: ../up",
                "index_prefix: expected a file's name below the destination, came \"../up_ep_128k.m3u8\"",
            ),
            (
                "encoding_profile: ep_128k",
                "encoding_profile: []",
                "encoding_profile: expected at least one profile's name, came an empty list",
            ),
            (
                "encoding_profile: ep_128k",
                "encoding_profile: [ep_128k, ep_128k]",
                "encoding_profile[1]: \"ep_128k\" is named twice",
            ),
            ("bandwidth: 192000", "bandwidth: -1", "ep_128k.bandwidth: expected bits per second, came -1"),
            (
                "transfer_profile: copy_dev",
                "transfer_profile: copydev",
                "transfer_profile: there is no profile \"copydev\" in this file\n  did you mean `copy_dev`?",
            ),
            (
                "transfer_type: copy",
                "transfer_type: cpy",
                "copy_dev.transfer_type: expected one of copy, ftp, scp, s3, came \"cpy\"\n  did you mean `copy`?",
            ),
            (
                "transfer_type: copy",
                "transfer_type: cf",
                "copy_dev.transfer_type: Rackspace Cloud Files, as it was, has closed down\n  Swift's S3 interface takes a profile with `transfer_type: s3` and an `endpoint`",
            ),
            (
                "transfer_type: copy",
                "transfer_type: ftp\n  remote_host: a b\n  user_name: u\n  password: '${NOPE}'",
                "copy_dev.remote_host: expected a name alone\n  expected letters, digits, `-`, `.` and `_` in its name\nold.yml: copy_dev.password: the environment variable \"NOPE\" is not set",
            ),
            (
                "transfer_type: copy",
                "transfer_type: s3",
                "copy_dev.bucket_name: is missing\nold.yml: copy_dev.aws_api_key: is missing\nold.yml: copy_dev.aws_api_secret: is missing",
            ),
            ("directory: /tmp/stream", "folder: /tmp/stream", "copy_dev.directory: is missing"),
        ] {
            let error = mistakes(from, to);
            let error =
                error.lines().filter(|line| !line.starts_with("old.yml: source_command")).collect::<Vec<_>>();
            assert_eq!(error.join("\n"), format!("old.yml: {told}"));
        }
    }

    #[test]
    fn unknown_keys_are_passed_over_as_ever_but_told() {
        let text = with("log_type: STDOUT", "log_type: STDOUT\nlog_files: x\nother: {}")
            .replace("bandwidth", "bandwith");
        let notes = read(&text).unwrap().notes;
        assert_eq!(notes[0], "log_files is not used: did you mean `log_file`?");
        assert!(
            notes.contains(&"ep_128k.bandwith is not used: did you mean `bandwidth`?".into()),
            "{notes:?}"
        );
    }

    #[test]
    fn this_machine_must_have_what_is_named() {
        let text = sample("single-copy.yml").replace("temp_dir: /tmp", "temp_dir: /no/such");
        let error = read(&text).unwrap().check_ground().unwrap_err().to_string();
        let expected = "\
old.yml: temp_dir: \"/no/such\" is not there
  make the folder, or name another
old.yml: input_location: \"recording.ts\" is not there
  paths are taken from the current directory";
        assert_eq!(error, expected);
    }

    #[test]
    fn yaml_is_taken_as_ruby_took_it() {
        let numbers = with("ep_128k", "128").replace("segment_length: 10", "segment_length: '010'");
        let options = read(&format!("---\n{numbers}")).unwrap().options;
        assert_eq!(options.presentation.renditions[0].playlist, "stream_128.m3u8");
        assert_eq!(options.ladder.segment, Duration::from_secs(10));
        let twice = with("index_prefix: stream", "index_prefix: old\nindex_prefix: stream");
        assert_eq!(read(&twice).unwrap().options.presentation.renditions[0].playlist, "stream_ep_128k.m3u8");
    }
}
