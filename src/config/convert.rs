//! Our TOML for a file of the original. Read again, it gives the same channel.

use std::fmt::Write as _;
use std::path::Path;

use super::error::Error;
use super::expand::escape;
use super::file::{Level, LogFormat};
use super::remote::{Remote, is_secret, variable};
use super::value::{Bitrate, Kind as _, Size};
use super::{Checked, Dialect, Environment, Format};
use crate::destination::Target;
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
    names.map(|(name, _)| (name.to_owned(), format!("${{{name}}}"))).collect()
}

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
    page.output(checked);
    for (n, rendition) in ladder.renditions.iter().enumerate() {
        page.rendition(checked, n, rendition);
    }
    for served in options.destinations.iter().skip(1) {
        page.table("[[destination]]");
        page.set("url", &*folder(&served.target));
    }
    for (n, remote) in checked.later.iter().enumerate() {
        page.remote(n + 1, remote);
    }
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

/// A folder as a destination's `url`, in which `$` and `://` have a meaning of their own.
fn folder(target: &Target) -> String {
    let path = escape(&target.to_string());
    if path.contains("://") && !path.starts_with(['/', '.']) { format!("./{path}") } else { path }
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
        self.line(&format!("{key} = {}", value.into()));
    }

    fn input(&mut self, input: &Input) {
        self.table("[input]");
        let args = match input {
            Input::Test { args } => {
                self.set("url", "test");
                args
            }
            Input::Url { url, args } => {
                self.set("url", url.as_str());
                args
            }
            Input::Stdin { args } => {
                self.set("url", "-");
                args
            }
            Input::Command { shell, args } => {
                self.comment("Its output is copied to every rendition's command.");
                self.set("command", shell.as_str());
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
        if let Some(served) = checked.options.destinations.first() {
            self.set("directory", &*served.target.to_string());
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
        if presentation.multivariant.is_none() {
            self.comment("A single rendition had no multirate index; a name here writes one.");
        }
        self.set("multivariant", presentation.multivariant.as_deref().unwrap_or_default());
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
            self.set("command", command.as_str());
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

    fn remote(&mut self, n: usize, remote: &Remote) {
        self.table("[[destination]]");
        self.comment("Not used yet: this kind of destination arrives with the next release.");
        self.set("url", escape(&remote.url()));
        for (name, value) in &remote.settings {
            let value = value.expose();
            let is_variable = value.starts_with("${") && value.ends_with('}');
            if !is_secret(name) {
                self.set(name, escape(value));
            } else if is_variable {
                self.set(name, value);
            } else {
                let variable = variable(n, name);
                self.comment(&format!(
                    "The old file has it; put it into the environment variable {variable}."
                ));
                self.set(name, format!("${{{variable}}}"));
            }
        }
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
            ("DESTINATION_1_ACCESS_KEY_ID", "not-a-real-key"),
            ("DESTINATION_1_SECRET_ACCESS_KEY", "not$$a$real${secret}"),
        ]);
        let mut texts: Vec<String> = OLD.iter().map(|name| sample(name)).collect();
        texts
            .push(sample("s3.yml").replace("transfer_profile: bucket", "transfer_profile: [upload, mirror]"));
        texts.push(sample("single-copy.yml").replace("recording.ts", "test"));
        for text in texts {
            let old = parse_str(Format::Yaml, "old.yml", &text, &secrets, &[]).unwrap();
            let toml = convert_str(Format::Yaml, "old.yml", &text).unwrap();
            let new = parse_str(Format::Toml, "new.toml", &toml, &secrets, &[])
                .unwrap_or_else(|e| panic!("{e}\n{toml}"));
            assert_eq!(format!("{:?}", new.options), format!("{:?}", old.options));
            assert_eq!(new.later, old.later);
            assert_eq!(new.log, old.log);
            assert!(!toml.contains("not-a-real-key"), "{toml}");
            assert!(!toml.contains("hunter2"), "{toml}");
        }
    }

    #[test]
    fn files_of_ours_survive_the_way_through_toml() {
        let text = sample("ladder.toml");
        let rendered = render(&ours(&text).unwrap()).replace("DESTINATION_1_ACCESS_KEY_ID", "KEY_ID");
        let rendered = rendered.replace("DESTINATION_1_SECRET_ACCESS_KEY", "KEY");
        let (first, again) = (ours(&text).unwrap(), ours(&rendered).unwrap());
        assert_eq!(format!("{:?}", again.options), format!("{:?}", first.options));
        assert_eq!(again.later, first.later);
        assert_eq!(again.log, file::Log { file: Some("segcast.log".into()), ..first.log });
    }

    #[test]
    fn a_converted_file_tells_what_changed() {
        let expected = r#"# Converted from old.yml.
# segmenter_binary is not used: the segmenter is built in
# s3://talks.example.org/2013/autumn is not used yet: this kind of destination arrives with the next release
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
# Not used yet: this kind of destination arrives with the next release.
url = "s3://talks.example.org/2013/autumn"
# The old file has it; put it into the environment variable DESTINATION_1_ACCESS_KEY_ID.
access_key_id = "${DESTINATION_1_ACCESS_KEY_ID}"
acl = "public-read"
# The old file has it; put it into the environment variable DESTINATION_1_SECRET_ACCESS_KEY.
secret_access_key = "${DESTINATION_1_SECRET_ACCESS_KEY}"

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
