//! Our TOML for a file of the original. Read again, it gives the same channel.

use std::fmt::Write as _;
use std::path::Path;

use super::error::Error;
use super::expand::escape;
use super::file::{Level, LogFormat};
use super::place::{Entry, Word, variable};
use super::printf;
use super::value::{Bitrate, Bytes, Kind as _, Size};
use super::{Checked, Dialect, Environment, Format, PREFIX};
use crate::channel::{self, Restart};
use crate::delivery;
use crate::destination::{Target, copy};
use crate::encoder::hide_secrets;
use crate::encoder::ladder::{Feed, Input, Rendition};
use crate::live::Kind;

/// Reads a file of the original and writes our TOML for it, with comments on what changed.
///
/// Secrets are not written: `${NAME}` stands in their place, and a comment says what belongs there.
///
/// # Errors
/// Every mistake in the file; or that it is one of ours already.
pub fn convert(path: &Path) -> Result<String, Error> {
    let format = Format::of(path)?;
    convert_str(format, &path.display().to_string(), &super::read(path)?)
}

/// As [`convert`], from a file's name and its text.
///
/// # Errors
/// As [`convert`].
pub fn convert_str(format: Format, name: &str, text: &str) -> Result<String, Error> {
    let checked = super::parse_str(format, name, text, &echo(text), &[])?;
    if checked.dialect == Dialect::Ours {
        let hint = "`segcast config check` shows what it does".to_owned();
        return Err(Error::whole(&checked.file, "is a file of ours already", Some(hint)));
    }
    Ok(render(&checked))
}

/// An environment in which each `${NAME}` of `text` stands for itself.
fn echo(text: &str) -> Environment {
    let names = text.split("${").skip(1).filter_map(|text| text.split_once('}'));
    let variables = names.map(|(name, _)| (name.to_owned(), format!("${{{name}}}")));
    variables.chain([("HOME".to_owned(), "~".to_owned())]).collect()
}

/// The folder of a destination that has nothing else to say.
fn plain_folder(served: &delivery::Options) -> Option<&Path> {
    match &served.target {
        Target::Copy(options)
            if *served == delivery::Options::new(Target::Copy(copy::Options::new(&options.directory))) =>
        {
            Some(&options.directory)
        }
        _ => None,
    }
}

/// The variable of the input's URL in commands.
const INPUT_URL: &str = "INPUT_URL";

/// The TOML of any configuration.
fn render(checked: &Checked) -> String {
    let mut page = Page::default();
    page.comment(&format!("Converted from {}.", checked.file));
    checked.notes.iter().for_each(|note| page.comment(note));
    let (options, ladder) = (&checked.options, &checked.options.ladder);
    page.set("name", options.name.as_str());
    page.set("ffmpeg", ladder.ffmpeg.to_string_lossy().as_ref());
    page.set("feed", feed(ladder.feed));
    page.input(&ladder.input);
    page.restart(options);
    page.output(checked);
    for (n, rendition) in ladder.renditions.iter().enumerate() {
        page.rendition(checked, n, rendition);
    }
    let is_first_plain = options.destinations.first().is_some_and(|served| plain_folder(served).is_some());
    for (n, served) in options.destinations.iter().skip(usize::from(is_first_plain)).enumerate() {
        page.destination(n + 1, served);
    }
    page.spool(&options.spool);
    page.log(checked);
    page.0
}

fn feed(feed: Feed) -> &'static str {
    match feed {
        Feed::Shared => "shared",
        Feed::Each => "each",
        Feed::FanOut => "fan-out",
    }
}

/// A TOML file on its way.
#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, text: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{text}");
    }

    fn comment(&mut self, text: &str) {
        self.line(&format!("# {}", text.replace(char::is_control, " ")));
    }

    fn table(&mut self, head: &str) {
        self.line("");
        self.line(head);
    }

    fn set(&mut self, key: &str, value: impl Into<toml::Value>) {
        // A header's name may have more in it than a bare key.
        let key = match key.strip_prefix("headers.") {
            Some(header) => format!("headers.{header:?}"),
            None => key.to_owned(),
        };
        self.line(&format!("{key} = {}", value.into()));
    }

    /// Said where it is not what it would be if it were absent.
    fn restart(&mut self, options: &channel::Options) {
        if options.restart == Restart::usual(&options.ladder.input, options.presentation.kind) {
            return;
        }
        let name = match options.restart {
            Restart::Never => "never",
            Restart::OnFailure => "on-failure",
            Restart::Always => "always",
        };
        self.set("restart", name);
    }

    fn input(&mut self, input: &Input) {
        self.table("[input]");
        let args = match input {
            Input::Test { args } => {
                self.set("url", "test");
                args
            }
            Input::Url { url, args } => {
                self.hidden("url", url);
                args
            }
            Input::Stdin { args } => {
                self.set("url", "-");
                args
            }
            Input::Command { shell, args } => {
                self.comment("Its output is copied to every rendition's command.");
                self.hidden("command", shell);
                args
            }
        };
        if !args.is_empty() {
            self.set("args", args.clone());
        }
    }

    fn output(&mut self, checked: &Checked) {
        let presentation = &checked.options.presentation;
        self.table("[output]");
        if checked.dialect == Dialect::Original {
            self.comment("temp_dir has no counterpart: segments go from memory to the destinations.");
        }
        if let Some(directory) = checked.options.destinations.first().and_then(plain_folder) {
            self.set("directory", directory.to_string_lossy().as_ref());
        }
        self.set("segment", presentation.target.write());
        match presentation.kind {
            Kind::Live { window } => {
                self.set("playlist", "live");
                self.set("window", i64::try_from(window).unwrap_or(i64::MAX));
            }
            Kind::Event => self.set("playlist", "event"),
            Kind::Vod => self.set("playlist", "vod"),
        }
        self.set("url_prefix", presentation.url_prefix.as_str());
        if checked.dialect == Dialect::Original {
            self.comment("true tells players the time of day of each segment.");
        }
        self.set("program_date_time", presentation.has_date_time);
        if presentation.multivariants.is_empty() {
            self.comment("A single rendition had no multirate index; a name here writes one.");
        }
        self.set("multivariant", presentation.multivariants.first().map_or("", |listing| &listing.key));
    }

    fn rendition(&mut self, checked: &Checked, n: usize, rendition: &Rendition) {
        self.table("[[rendition]]");
        self.set("name", rendition.name.as_str());
        if let Some(names) = checked.options.presentation.renditions.get(n) {
            if checked.dialect == Dialect::Original && n == 0 {
                self.comment("The old names; without these two, files are \"<name>/index.m3u8\" and \"<name>/<name>-00001.ts\".");
            }
            self.set("playlist", names.playlist.as_str());
            self.set("segment_prefix", names.segment_prefix.as_str());
            if let Some(rate) = names.bandwidth_bps {
                self.set("bandwidth", Bitrate(rate).write());
            }
        }
        if let Some(command) = &rendition.command {
            if checked.dialect == Dialect::Original && n == 0 {
                self.comment(
                    "The old command without its segmenter. `video` and `audio` tables instead of it let",
                );
                self.comment("one ffmpeg make all renditions, with key frames where segments begin.");
            }
            let command = self.without_input_secrets(command, &checked.options.ladder.input);
            self.set("command", command);
        }
        self.video_and_audio(rendition);
        if !rendition.args.is_empty() {
            self.set("args", rendition.args.clone());
        }
    }

    fn video_and_audio(&mut self, rendition: &Rendition) {
        if let Some(video) = &rendition.video {
            let mut table = toml::Table::new();
            table.insert("codec".into(), video.codec.as_str().into());
            let size = video.size.map(|(width, height)| Size(width, height).write());
            insert(&mut table, "size", size);
            insert(&mut table, "bitrate", video.bitrate_bps.map(|rate| Bitrate(rate).write()));
            insert(&mut table, "preset", video.preset.clone());
            insert(&mut table, "fps", video.fps.map(|fps| fps.write()));
            self.set("video", table);
        }
        if let Some(audio) = &rendition.audio {
            let mut table = toml::Table::new();
            table.insert("codec".into(), audio.codec.as_str().into());
            insert(&mut table, "bitrate", audio.bitrate_bps.map(|rate| Bitrate(rate).write()));
            insert(&mut table, "channels", audio.channels.map(i64::from));
            insert(&mut table, "sample_rate", audio.sample_rate_hz.map(i64::from));
            self.set("audio", table);
        }
    }

    /// A key of `input`, without the passwords in it: a variable above the file has the whole.
    fn hidden(&mut self, key: &str, text: &str) {
        let shown = hide_secrets(text);
        if shown != text {
            let variable = format!("{PREFIX}INPUT__{}", key.to_uppercase());
            self.comment(&format!(
                "The old file has a secret in it; put the whole into the environment variable {variable}."
            ));
        }
        self.set(key, shown.as_ref());
    }

    /// A command, with a variable where the input's URL has a secret in it.
    fn without_input_secrets(&mut self, command: &str, input: &Input) -> String {
        let url = match input {
            Input::Url { url, .. } if hide_secrets(url) != *url => printf::quote(url),
            _ => String::new(),
        };
        if url.is_empty() || !command.contains(&url) {
            if hide_secrets(command) != command {
                self.comment("There is a secret in this command: let nobody else read this file.");
            }
            return command.to_owned();
        }
        self.comment(&format!("${INPUT_URL} is the input's URL; the old file has it, with a secret in it."));
        command.replace(&url, &format!("\"${INPUT_URL}\""))
    }

    fn destination(&mut self, n: usize, served: &delivery::Options) {
        let Entry { url, keys } = Entry::of(served);
        self.table("[[destination]]");
        self.set("url", escape(&url));
        for (name, word) in keys {
            match word {
                Word::Text(text) => self.set(&name, escape(&text)),
                Word::Secret(secret) => self.secret(n, &name, secret.expose()),
                Word::Count(count) => self.set(&name, i64::try_from(count).unwrap_or(i64::MAX)),
                Word::Yes => self.set(&name, true),
            }
        }
    }

    /// Variables stay; a secret in clear becomes one.
    fn secret(&mut self, n: usize, name: &str, value: &str) {
        if value.starts_with("${") && value.ends_with('}') {
            return self.set(name, value);
        }
        let variable = variable(n, name);
        self.comment(&format!("The old file has it; put it into the environment variable {variable}."));
        self.set(name, format!("${{{variable}}}"));
    }

    fn spool(&mut self, spool: &delivery::Spool) {
        if *spool == delivery::Spool::default() {
            return;
        }
        self.table("[spool]");
        self.set("memory", Bytes(spool.memory_bytes).write());
        if let Some(directory) = &spool.directory {
            self.set("directory", directory.to_string_lossy().as_ref());
        }
        self.set("disk", Bytes(spool.disk_bytes).write());
    }

    fn log(&mut self, checked: &Checked) {
        let log = &checked.log;
        if *log == super::file::Log::default() {
            return;
        }
        self.table("[log]");
        if let Some(level) = log.level {
            self.set(
                "level",
                match level {
                    Level::Error => "error",
                    Level::Warn => "warn",
                    Level::Info => "info",
                    Level::Debug => "debug",
                    Level::Trace => "trace",
                },
            );
        }
        if let Some(format) = log.format {
            self.set(
                "format",
                match format {
                    LogFormat::Text => "text",
                    LogFormat::Json => "json",
                },
            );
        }
        if let Some(file) = &log.file {
            self.set("file", file.to_string_lossy().as_ref());
        }
    }
}

fn insert(table: &mut toml::Table, key: &str, value: Option<impl Into<toml::Value>>) {
    table.extend(value.map(|value| (key.to_owned(), value.into())));
}

#[cfg(test)]
mod tests {
    use super::super::tests::{environment, ours, sample};
    use super::super::{file, parse_str};
    use super::*;

    const OLD: [&str; 4] = ["single-copy.yml", "multirate-copy.yml", "quoted-expression.yml", "s3.yml"];

    #[test]
    fn what_is_converted_gives_the_same_channel() {
        let secrets = environment(&[
            ("FTP_PASSWORD", "hunter2"),
            ("S3_KEY", "hunter3"),
            ("S3_SECRET", "hunter4"),
            ("HOME", "/home/me"),
            ("DESTINATION_1_ACCESS_KEY_ID", "not-a-real-key"),
            ("DESTINATION_1_SECRET_ACCESS_KEY", "not$$a$real${secret}"),
        ]);
        let mut texts: Vec<String> = OLD.iter().map(|name| sample(name)).collect();
        texts
            .push(sample("s3.yml").replace("transfer_profile: bucket", "transfer_profile: [upload, mirror]"));
        texts.push(sample("single-copy.yml").replace("recording.ts", "test"));
        texts.push(sample("uploads.yml").replace("camera:hush-1@", ""));
        for text in texts {
            let old = parse_str(Format::Yaml, "old.yml", &text, &secrets, &[]).unwrap();
            let toml = convert_str(Format::Yaml, "old.yml", &text).unwrap();
            let new = parse_str(Format::Toml, "new.toml", &toml, &secrets, &[])
                .unwrap_or_else(|e| panic!("{e}\n{toml}"));
            assert_eq!(format!("{:?}", new.options), format!("{:?}", old.options));
            assert_eq!(new.log, old.log);
            assert!(!toml.contains("not-a-real-key"), "{toml}");
            assert!(!toml.contains("hunter"), "{toml}");
        }
    }

    #[test]
    fn passwords_of_the_input_are_not_written() {
        let toml = convert_str(Format::Yaml, "old.yml", &sample("uploads.yml")).unwrap();
        let url = r#"# The old file has a secret in it; put the whole into the environment variable SEGCAST_INPUT__URL.
url = "rtsp://camera:***@10.0.0.5/live"
"#;
        assert!(toml.contains(url), "{toml}");
        let command = r#"# $INPUT_URL is the input's URL; the old file has it, with a secret in it.
command = 'ffmpeg -i "$INPUT_URL" -f mpegts -acodec libmp3lame -ab 96k -'
"#;
        assert!(toml.contains(command), "{toml}");
        assert!(!toml.contains("hush"), "{toml}");
    }

    #[test]
    fn every_kind_of_destination_survives_the_way_through_toml() {
        let text = sample("destinations.toml");
        let names = ["S3_KEY", "S3_SECRET", "FTP_PASSWORD"];
        let mut echo: Vec<_> = names.map(|name| (name, format!("${{{name}}}"))).into();
        echo.push(("HOME", "/home/me".into()));
        let echo: Vec<_> = echo.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let read = |text: &str| parse_str(Format::Toml, "x", text, &environment(&echo), &[]).unwrap().options;
        let first = read(&text);
        let rendered = render(&parse_str(Format::Toml, "x", &text, &environment(&echo), &[]).unwrap())
            .replace("${DESTINATION_1_HEADERS_X_NAME}", "value")
            .replace("${DESTINATION_2_CREDENTIALS}", "/home/me/gcs.json");
        // Variables stand for themselves, so that they stay.
        let again = read(&rendered);
        assert_eq!((again.destinations, again.spool), (first.destinations, first.spool), "{rendered}");
    }

    #[test]
    fn files_of_ours_survive_the_way_through_toml() {
        let text = sample("ladder.toml");
        let rendered = render(&ours(&text).unwrap()).replace("DESTINATION_2_ACCESS_KEY_ID", "KEY_ID");
        let rendered = rendered.replace("DESTINATION_2_SECRET_ACCESS_KEY", "KEY");
        let rendered = rendered.replace("${DESTINATION_2_HEADERS_X_CHANNEL}", "7");
        let (first, again) = (ours(&text).unwrap(), ours(&rendered).unwrap());
        assert_eq!(format!("{:?}", again.options), format!("{:?}", first.options));
        assert_eq!(again.log, file::Log { file: Some("segcast.log".into()), ..first.log });
    }

    #[test]
    fn a_converted_file_tells_what_changed() {
        let expected = r#"# Converted from old.yml.
# segmenter_binary is not used: the segmenter is built in
# bucket: objects are readable by anyone (public-read), as they always were: `acl: private` in the profile changes it
name = "old"
ffmpeg = "ffmpeg"
feed = "each"

[input]
url = "hw:0"

[output]
# temp_dir has no counterpart: segments go from memory to the destinations.
segment = "8s"
playlist = "live"
window = 6
url_prefix = ""
# true tells players the time of day of each segment.
program_date_time = false
# A single rendition had no multirate index; a name here writes one.
multivariant = ""

[[rendition]]
name = "voice"
# The old names; without these two, files are "<name>/index.m3u8" and "<name>/<name>-00001.ts".
playlist = "talk_voice.m3u8"
segment_prefix = "talk_voice-"
bandwidth = "110k"
# The old command without its segmenter. `video` and `audio` tables instead of it let
# one ffmpeg make all renditions, with key frames where segments begin.
command = "ffmpeg -f alsa -i hw:0 -f mpegts -acodec libmp3lame -ab 96k -"

[[destination]]
url = "s3://talks.example.org/2013/autumn"
# The old file has it; put it into the environment variable DESTINATION_1_ACCESS_KEY_ID.
access_key_id = "${DESTINATION_1_ACCESS_KEY_ID}"
# The old file has it; put it into the environment variable DESTINATION_1_SECRET_ACCESS_KEY.
secret_access_key = "${DESTINATION_1_SECRET_ACCESS_KEY}"
acl = "public-read"

[log]
level = "debug"
file = "-"
"#;
        assert_eq!(convert_str(Format::Yaml, "old.yml", &sample("s3.yml")).unwrap(), expected);
    }

    #[test]
    fn a_file_of_ours_is_not_converted() {
        let error = convert_str(Format::Toml, "live.toml", &sample("ladder.toml")).unwrap_err().to_string();
        assert_eq!(
            error,
            "live.toml: is a file of ours already\n  `segcast config check` shows what it does"
        );
    }
}
