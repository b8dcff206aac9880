//! From a file of ours to a channel's options: what the schema cannot say is checked here.

use std::collections::BTreeMap;

use super::file::{self, File};
use super::ground::{Must, Need};
use super::layer::Layers;
use super::outside::Outside;
use super::shape::Mistakes;
use super::value::{Bytes, Kind as _, Written};
use super::{Checked, Dialect, Error, place, schema, shape};
use crate::destination::{Target, copy};
use crate::encoder::ladder::{Ladder, Latency, Rendition};
use crate::{channel, delivery};

/// Bytes that must be able to wait in memory: a segment or two.
const LEAST_SPOOL: u64 = 1 << 20;

/// Checks the merged layers of a file of ours.
pub(super) fn check(layers: &Layers, outside: &Outside) -> Result<Checked, Error> {
    let mut mistakes = Mistakes::new(layers);
    let root = figment::value::Value::from(layers.root.clone());
    shape::check("", &root, schema::schema(), &mut mistakes);
    Error::unless(std::mem::take(&mut mistakes.list), ())?;
    let file: File = root.deserialize().map_err(|error| {
        Error::whole(&layers.file, format!("{}: {}", error.path.join("."), error.kind), None)
    })?;
    let mut checker = Checker { mistakes, needs: Vec::new(), notes: Vec::new() };
    let checked = checker.file(layers, &file, outside);
    Error::unless(checker.mistakes.list, checked)
}

/// A file on its way to options.
pub(super) struct Checker<'a> {
    pub(super) mistakes: Mistakes<'a>,
    needs: Vec<Need>,
    pub(super) notes: Vec<String>,
}

impl Checker<'_> {
    fn file(&mut self, layers: &Layers, file: &File, outside: &Outside) -> Checked {
        let input = self.input(file);
        let feed = self.feed(file, &input);
        let restart = self.restart(file, &input);
        let mut renditions: Vec<Rendition> =
            file.rendition.iter().enumerate().map(|(n, rendition)| self.rendition(n, rendition)).collect();
        let (presentation, lineups) = self.presentation(file);
        for ((encoded, lineup), rung) in renditions.iter_mut().zip(&lineups).zip(&file.rendition) {
            // Options of the user's own may be for sound.
            if lineup.needs_no_sound() && rung.args.is_empty() {
                encoded.audio = None;
            }
        }
        let destinations = self.destinations(file, outside);
        let spool = self.spool(&file.spool);
        let origin = self.origin(file, outside);
        if file.ffmpeg.as_os_str().is_empty() {
            self.mistakes.add("ffmpeg", "expected the name or path of ffmpeg, came \"\"", None);
        }
        if let Some(path) = file.log.file.as_ref().filter(|path| path.as_os_str() != "-") {
            self.need("log.file", path.clone(), Must::MakeFile);
        }
        let name = file.name.clone().unwrap_or_else(|| super::stem(&layers.file));
        let segment = file.output.segment.0;
        let ladder = Ladder {
            ffmpeg: file.ffmpeg.clone(),
            input,
            feed,
            segment,
            renditions,
            latency: if file.output.part.is_some() { Latency::Low } else { Latency::Normal },
        };
        Checked {
            options: channel::Options {
                name,
                ladder,
                presentation,
                lineups,
                restart,
                part: file.output.part.map(|part| part.0),
                destinations,
                spool,
                origin,
            },
            log: file.log.clone(),
            notes: std::mem::take(&mut self.notes),
            dialect: Dialect::Ours,
            file: layers.file.clone(),
            needs: std::mem::take(&mut self.needs),
        }
    }

    pub(super) fn need(&mut self, key: &str, path: std::path::PathBuf, must: Must) {
        self.needs.push(self.mistakes.need(key, path, must));
    }

    fn destinations(&mut self, file: &File, outside: &Outside) -> Vec<delivery::Options> {
        let mut found = Vec::new();
        if let Some(directory) = &file.output.directory {
            let key = "output.directory".to_owned();
            if directory.as_os_str().is_empty() {
                self.mistakes.add(&key, "expected a folder, came \"\"", None);
            }
            self.need(&key, directory.clone(), Must::MakeFolder);
            found.push((key, delivery::Options::new(Target::Copy(copy::Options::new(directory)))));
        }
        for (n, destination) in file.destination.iter().enumerate() {
            let key = format!("destination[{n}]");
            let served = place::read(&key, destination, outside, &mut self.mistakes, &mut self.needs);
            found.extend(served.map(|served| (format!("{key}.url"), served)));
        }
        if file.output.directory.is_none() && file.destination.is_empty() && file.origin.is_none() {
            let hint = "as in `directory = \"live\"`, or add a [[destination]] or an [origin]".to_owned();
            self.mistakes.add(
                "output.directory",
                "is missing, and there is no destination and no origin",
                hint,
            );
        }
        let mut places = BTreeMap::new();
        for (key, served) in &found {
            if let Some(first) = places.insert(place::identity(&served.target), key) {
                self.mistakes.add(key, format!("is the same place as {first}"), None);
            }
        }
        found.into_iter().map(|(_, served)| served).collect()
    }

    fn spool(&mut self, spool: &file::Spool) -> delivery::Spool {
        let usual = delivery::Spool::default();
        let bytes = |written: Option<Written<Bytes>>| written.map(|written| written.0.0);
        let memory_bytes = bytes(spool.memory).unwrap_or(usual.memory_bytes);
        if memory_bytes < LEAST_SPOOL {
            let least = Bytes(LEAST_SPOOL).write();
            let message = format!("expected at least {least}, came {}", Bytes(memory_bytes).write());
            self.mistakes.add("spool.memory", message, None);
        }
        let disk_bytes = bytes(spool.disk).unwrap_or(usual.disk_bytes);
        if let Some(directory) = &spool.directory {
            if directory.as_os_str().is_empty() {
                self.mistakes.add("spool.directory", "expected a folder, came \"\"", None);
            }
            if disk_bytes == 0 {
                self.mistakes.add("spool.directory", "has no effect where `spool.disk` is 0", None);
            }
            self.need("spool.directory", directory.clone(), Must::MakeFolder);
        }
        delivery::Spool { memory_bytes, directory: spool.directory.clone(), disk_bytes }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::{mistakes, ours, sample};
    use super::super::{Environment, Format, parse_str};
    use super::*;
    use crate::encoder::ladder::{Audio, Feed, Input, Tracks, Video};
    use crate::live;
    use crate::time::Rate;

    const EXAMPLE: &str = concat!("\n", include_str!("../../examples/live.toml"));

    /// A good file to which `more` is added.
    fn with(more: &str) -> String {
        format!(
            "input = {{ url = 'test' }}\n\
             rendition = [{{ name = 'a', audio = {{}} }}]\n\
             output.directory = 'live'\n{more}"
        )
    }

    #[test]
    fn the_example_is_read() {
        let options = ours(EXAMPLE).unwrap().options;
        let audio = |rate| Audio {
            codec: "aac".into(),
            bitrate_bps: Some(rate),
            channels: None,
            sample_rate_hz: None,
            tracks: Tracks::First,
        };
        let rendition = |name: &str, video, audio| Rendition {
            name: name.into(),
            video: Some(video),
            audio: Some(audio),
            args: vec![],
            command: None,
        };
        let hd = Video {
            codec: "h264".into(),
            size: Some((1280, 720)),
            bitrate_bps: Some(2_800_000),
            preset: Some("veryfast".into()),
            fps: Rate::new(30, 1),
        };
        let sd = Video {
            codec: "h264".into(),
            size: Some((640, 360)),
            bitrate_bps: Some(800_000),
            preset: None,
            fps: None,
        };
        let ladder = Ladder {
            ffmpeg: "ffmpeg".into(),
            input: Input::Test { args: vec!["-re".into()] },
            feed: Feed::Shared,
            segment: Duration::from_secs(4),
            renditions: vec![rendition("720p", hd, audio(128_000)), rendition("360p", sd, audio(96_000))],
            latency: Latency::Normal,
        };
        assert_eq!(options.name, "live");
        assert_eq!(options.ladder, ladder);
        let names = |name: &str| live::Rendition {
            name: name.into(),
            playlist: format!("{name}/index.m3u8"),
            segment_prefix: format!("{name}/{name}-"),
            ..Default::default()
        };
        let presentation = live::Options {
            kind: live::Kind::Live { window: 6 },
            target: Duration::from_secs(4),
            multivariants: vec![live::Listing { key: "index.m3u8".into(), ..Default::default() }],
            url_prefix: String::new(),
            has_date_time: true,
            has_parts: false,
            renditions: vec![names("720p"), names("360p")],
        };
        assert_eq!(options.presentation, presentation);
        assert_eq!(options.destinations, [delivery::Options::new(Target::Copy(copy::Options::new("live")))]);
    }

    #[test]
    fn little_is_enough() {
        let checked = ours(&with("")).unwrap();
        assert_eq!(checked.options.presentation.target, Duration::from_secs(6));
        assert_eq!(checked.options.presentation.kind, live::Kind::Live { window: 6 });
        assert_eq!(checked.notes, [""; 0]);
        assert_eq!(checked.log, file::Log::default());
    }

    #[test]
    fn everything_is_read() {
        let checked = ours(&sample("ladder.toml")).unwrap();
        let folders = ["live", "/srv/live two"];
        let targets = folders.map(|name| delivery::Options::new(Target::Copy(copy::Options::new(name))));
        assert_eq!(checked.options.destinations[..2], targets);
        let bucket = &checked.options.destinations[2];
        assert_eq!(bucket.target.to_string(), "s3://bucket/shows/live");
        assert_eq!((bucket.concurrency, bucket.timeout), (Some(16), Duration::from_secs(10)));
        let spool = delivery::Spool {
            memory_bytes: 64 << 20,
            directory: Some("spool".into()),
            disk_bytes: 1_000_000_000,
        };
        assert_eq!(checked.options.spool, spool);
        assert_eq!(checked.options.presentation.renditions[1].segment_key(7), "sound-00007.ts");
        assert_eq!(checked.options.presentation.multivariants[0].key, "all.m3u8");
        assert_eq!(checked.log.level, Some(file::Level::Debug));
    }

    #[test]
    fn flags_and_environment_win_and_are_named_in_mistakes() {
        let overrides = [("output.window".to_owned(), "2".to_owned())];
        let environment = Environment::from([
            ("SEGCAST_OUTPUT__SEGMENT".to_owned(), "100ms".to_owned()),
            ("SEGCAST_PORT".to_owned(), "tcp://10.0.0.1:80".to_owned()),
        ]);
        let read = |text: &str| parse_str(Format::Toml, "live.toml", text, &environment, &overrides);
        let expected = "\
environment variable SEGCAST_OUTPUT__SEGMENT: output.segment: expected from 500ms to 1h, came 100ms
command line: output.window: expected from 3 to 100000 segments, came 2";
        assert_eq!(read(EXAMPLE).unwrap_err().to_string(), expected);

        let good =
            [("output.window".to_owned(), "9".to_owned()), ("output.segment".to_owned(), "2s".to_owned())];
        let checked = parse_str(Format::Toml, "live.toml", EXAMPLE, &environment, &good).unwrap();
        assert_eq!(checked.options.presentation.kind, live::Kind::Live { window: 9 });
        assert_eq!(checked.options.ladder.segment, Duration::from_secs(2));
        let note = "the environment variable SEGCAST_PORT is not used: no key answers to it";
        assert_eq!(checked.notes, [note]);
    }

    #[test]
    fn wrong_keys_and_types_are_all_told() {
        let text = r#"
name = 7
feeds = "each"
[input]
url = "test"
args = "-re"
[output]
segmnt = "4s"
segment = "4 parsecs"
window = -1
playlist = "lvie"
program_date_time = "yes"
[[rendition]]
name = "a"
video = { codec = "h264", size = 1280, fps = "fast" }
audio = { bitrate = "many", channels = 999 }
[[rendition]]
video = "copy"
[[destination]]
uri = "live"
[[destination]]
url = "s3://b"
secret_access_key = 12345
pasword = "hunter2"
concurrency = 65
encryption = "AES"
file_mode = 644
headers = { X-Key = 12345 }
keep = "yes"
timeout = "soon"
[log]
level = []
"#;
        let expected = "\
live.toml: destination[0].uri: unknown key
  did you mean `url`?
live.toml: destination[0].url: is missing
  it says: A folder, or a URL: s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, https://host/path, \
ftp://user@host/path (ftps:// with TLS), sftp://user@host/path, scp://user@host/path. Behind a host of ftp a path is \
taken from the login folder, and from the root with a second slash; behind one of sftp and scp from the root, and \
behind /~/ from the login folder. Keys without secrets may stand in a URL's query.
live.toml: destination[1].concurrency: expected a whole number from 1 to 64, came 65
live.toml: destination[1].encryption: expected one of AES256, aws:kms, came \"AES\"
live.toml: destination[1].file_mode: expected permissions as octal digits in quotes, such as \"0644\", came 644
live.toml: destination[1].headers.X-Key: expected a text, came a secret
live.toml: destination[1].keep: expected true or false, came \"yes\"
live.toml: destination[1].pasword: unknown key
  did you mean `password`?
live.toml: destination[1].secret_access_key: expected a text, came a secret
live.toml: destination[1].timeout: expected a duration such as \"4s\", \"333ms\" or \"1m\" (a bare number is seconds), \
came \"soon\"
live.toml: feeds: unknown key
  did you mean `feed`?
live.toml: input.args: expected a list, came \"-re\"
live.toml: log.level: expected one of error, warn, info, debug, trace, came a list
live.toml: name: expected a text, came 7
live.toml: output.playlist: expected one of live, event, vod, came \"lvie\"
  did you mean `live`?
live.toml: output.program_date_time: expected true or false, came \"yes\"
live.toml: output.segment: expected a duration such as \"4s\", \"333ms\" or \"1m\" (a bare number is seconds), \
came \"4 parsecs\"
live.toml: output.segmnt: unknown key
  did you mean `segment`?
live.toml: output.window: expected a whole number, came -1
live.toml: rendition[0].audio.bitrate: expected a bitrate such as \"2800k\" or \"2.5M\" (a bare number is bits \
per second), came \"many\"
live.toml: rendition[0].audio.channels: expected a whole number from 0 to 255, came 999
live.toml: rendition[0].video.fps: expected frames per second such as 30, 29.97 or \"30000/1001\", came \"fast\"
live.toml: rendition[0].video.size: expected a size in pixels such as \"1280x720\", came 1280
live.toml: rendition[1].video: expected a table, came \"copy\"
live.toml: rendition[1].name: is missing
  it says: Its name, unique in the channel; folders and files are named after it.";
        assert_eq!(mistakes(text), expected);
    }

    #[test]
    fn an_empty_file_is_told_what_it_lacks() {
        let expected = "\
live.toml: input: is missing
  it says: Where media come from.
live.toml: rendition: is missing
  it says: What is made of the input, in the order of the multivariant playlist.";
        assert_eq!(mistakes(""), expected);
        let expected = "\
live.toml: input.url: is missing, and so is `input.command`
  write `url = \"test\"` for the built-in pattern
live.toml: rendition: expected at least one
  as in: [[rendition]] name = \"source\", video = { codec = \"copy\" }, audio = { codec = \"copy\" }
live.toml: output.directory: is missing, and there is no destination and no origin
  as in `directory = \"live\"`, or add a [[destination]] or an [origin]";
        assert_eq!(mistakes("input = {}\nrendition = []"), expected);
    }

    #[test]
    fn senseless_output_is_told() {
        let text = r#"
name = "a\nb"
ffmpeg = ""
input = { url = "test" }
output = { directory = "", segment = 0.4, window = 2, url_prefix = "a\nb", multivariant = "../x.m3u8" }
rendition = [
    { name = "a b", audio = {} },
    { name = "hd", audio = {}, playlist = "x.m3u8", bandwidth = 300 },
    { name = "HD", audio = {} },
    { name = "sd", audio = {}, playlist = "X.m3u8", segment_prefix = "s1" },
    { name = "é", audio = {}, playlist = "/e.m3u8", segment_prefix = "é-" },
]
destination = [{ url = "live/" }, { url = "./live" }, { url = "live" }]
"#;
        let expected = "\
live.toml: output.segment: expected from 500ms to 1h, came 400ms
live.toml: rendition[0].name: expected letters, digits, `-`, `_` and `.`, as files are named after it, came \"a b\"
live.toml: rendition[1].bandwidth: expected at least 4000 bits per second, came 300
  did you mean \"300k\"?
live.toml: rendition[2].name: \"HD\" is used twice
live.toml: rendition[3].segment_prefix: must not end with a digit: a number follows
  end it with a `-`
live.toml: rendition[3].playlist: \"X.m3u8\" is used twice
live.toml: rendition[4].playlist: expected a file's name below the destination, came \"/e.m3u8\"
live.toml: output.multivariant: expected a file's name below the destination, came \"../x.m3u8\"
live.toml: output.url_prefix: expected one line of plain text, came \"a\\nb\"
live.toml: name: expected one line of plain text, came \"a\\nb\"
live.toml: output.window: expected from 3 to 100000 segments, came 2
live.toml: output.directory: expected a folder, came \"\"
live.toml: destination[2].url: is the same place as destination[0].url
live.toml: ffmpeg: expected the name or path of ffmpeg, came \"\"";
        assert_eq!(mistakes(text), expected);
    }

    #[test]
    fn several_renditions_need_a_multivariant_playlist() {
        assert!(
            ours(&with("output.multivariant = ''")).unwrap().options.presentation.multivariants.is_empty()
        );
        let text = "input.url = 'test'\noutput = { directory = 'x', multivariant = '' }\n\
                    rendition = [{ name = 'a', audio = {} }, { name = 'b', audio = {} }]";
        let expected = "live.toml: output.multivariant: expected a file's name, as there are 2 renditions";
        assert_eq!(mistakes(text), expected);
    }

    #[test]
    fn a_spool_is_an_amount_or_a_table() {
        let spool = |text: &str| ours(&with(text)).unwrap().options.spool;
        let usual = delivery::Spool::default();
        assert_eq!(spool(""), usual);
        for text in ["spool = '512MiB'", "spool = 536870912", "spool.memory = '512MiB'"] {
            assert_eq!(spool(text), delivery::Spool { memory_bytes: 512 << 20, ..usual.clone() });
        }
        assert_eq!(spool("spool.disk = 0"), delivery::Spool { disk_bytes: 0, ..usual.clone() });
        let amount = "expected an amount such as \"256MiB\" or \"2GB\" (a bare number is bytes), came";
        for (text, told) in [
            ("spool = 'big'", format!("spool: {amount} \"big\"")),
            ("spool = true", format!("spool: {amount} true")),
            ("spool.disk = -1", format!("spool.disk: {amount} -1")),
            ("spool.disc = 1", "spool.disc: unknown key\n  did you mean `disk`?".into()),
            ("spool = 1", "spool.memory: expected at least 1MiB, came 1B".into()),
            ("spool.directory = ''", "spool.directory: expected a folder, came \"\"".into()),
            (
                "spool = { disk = 0, directory = 'x' }",
                "spool.directory: has no effect where `spool.disk` is 0".into(),
            ),
        ] {
            assert_eq!(mistakes(&with(text)), format!("live.toml: {told}"));
        }
        let environment = Environment::from([("SEGCAST_SPOOL__DISK".to_owned(), "0".to_owned())]);
        let overrides = [("spool.memory".to_owned(), "2MiB".to_owned())];
        let read = parse_str(Format::Toml, "live.toml", EXAMPLE, &environment, &overrides).unwrap();
        assert_eq!((read.options.spool.memory_bytes, read.options.spool.disk_bytes), (2 << 20, 0));
    }

    #[test]
    fn a_window_beside_vod_is_noted() {
        let checked = ours(&with("output.playlist = 'vod'\noutput.window = 6")).unwrap();
        assert_eq!(checked.options.presentation.kind, live::Kind::Vod);
        assert_eq!(checked.notes, ["output.window is not used: it belongs to live playlists"]);
    }
}
