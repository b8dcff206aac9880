//! What `config check` prints: what would run, for people, secrets hidden.

use std::fmt::Write as _;

use super::Checked;
use super::place::{Entry, Word};
use super::value::{Bytes, Kind as _};
use crate::delivery;
use crate::destination::Target;
use crate::encoder::hide_secrets;
use crate::encoder::ladder::{Feed, Input};
use crate::live::Kind;
use crate::origin::{self, Auth};

impl Checked {
    /// What would run, with the encoders' command lines, in a screen of text.
    pub fn describe<C: ToString>(&self, commands: &[C]) -> String {
        let mut out = String::new();
        let ladder = &self.options.ladder;
        let mut line = |text: String| {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{}", hide_secrets(&text));
        };
        line(format!("channel      {} ({})", self.options.name, self.file));
        line(format!("input        {}", input(&ladder.input)));
        line(format!("encoders     {}", feed(ladder.feed)));
        commands.iter().for_each(|command| line(format!("  {}", command.to_string().replace('\n', "\n  "))));
        line(format!("segments     {}, {}", self.options.presentation.target.write(), self.kind()));
        line("files".into());
        self.options.presentation.multivariants.iter().for_each(|listing| line(format!("  {}", listing.key)));
        for rendition in &self.options.presentation.renditions {
            line(format!("  {}, {} …", rendition.playlist, rendition.segment_key(1)));
        }
        if let Some(origin) = &self.options.origin {
            line(format!("origin       {}", self::origin(origin)));
        }
        if !self.options.destinations.is_empty() {
            line("destinations".into());
        }
        for served in &self.options.destinations {
            line(format!("  {}{}", served.target, settings(served)));
        }
        line(format!("spool        {}", spool(&self.options.spool)));
        line(format!("log          {}", self.log()));
        if !self.notes.is_empty() {
            line("notes".into());
        }
        self.notes.iter().for_each(|note| line(format!("  {note}")));
        out
    }

    fn kind(&self) -> String {
        match self.options.presentation.kind {
            Kind::Live { window } => format!("live, {window} in the playlist"),
            Kind::Event => "event, all in the playlist".into(),
            Kind::Vod => "vod, the playlist at the end".into(),
        }
    }

    fn log(&self) -> String {
        let place = match self.log.file.as_ref().map(|file| file.to_string_lossy()) {
            None => "standard error".into(),
            Some(file) if file == "-" => "standard output".into(),
            Some(file) => file.into_owned(),
        };
        let level = self.log.level.map(|level| format!("{level:?}, ").to_lowercase()).unwrap_or_default();
        let format = self.log.format.map(|format| format!("{format:?}, ").to_lowercase()).unwrap_or_default();
        format!("{level}{format}to {place}")
    }
}

/// A destination's keys in brackets, secrets hidden.
fn settings(served: &delivery::Options) -> String {
    let folder = matches!(served.target, Target::Copy(_)).then(|| "folder".to_owned());
    let keys = Entry::of(served).keys.into_iter().map(|(name, word)| match word {
        Word::Text(text) => format!("{name} {text}"),
        Word::Secret(secret) => format!("{name} {secret}"),
        Word::Count(count) => format!("{name} {count}"),
        Word::Yes => name,
    });
    let all: Vec<String> = folder.into_iter().chain(keys).collect();
    if all.is_empty() { String::new() } else { format!(" ({})", all.join(", ")) }
}

fn origin(origin: &origin::Options) -> String {
    let scheme = if origin.tls.is_some() { "https" } else { "http" };
    let who = match &origin.auth {
        None => "for everybody".to_owned(),
        Some(Auth::Basic { user, .. }) => format!("for {user} with a password"),
        Some(Auth::Bearer(_)) => "for those with a token".to_owned(),
    };
    format!("{scheme}://{}/, {who}", origin.listen)
}

fn spool(spool: &delivery::Spool) -> String {
    let memory = format!("{} in memory", Bytes(spool.memory_bytes).write());
    match (spool.disk_bytes, &spool.directory) {
        (0, _) => memory,
        (disk, None) => format!("{memory}, {} among temporary files", Bytes(disk).write()),
        (disk, Some(directory)) => format!("{memory}, {} in {}", Bytes(disk).write(), directory.display()),
    }
}

fn input(input: &Input) -> String {
    let (name, args) = match input {
        Input::Test { args } => ("the built-in test pattern".into(), args),
        Input::Url { url, args } => (url.clone(), args),
        Input::Stdin { args } => ("standard input".into(), args),
        Input::Command { shell, args } => (format!("the output of: {shell}"), args),
    };
    if args.is_empty() { name } else { format!("{name} (options: {})", args.join(" ")) }
}

fn feed(feed: Feed) -> &'static str {
    match feed {
        Feed::Shared => "one ffmpeg for all renditions",
        Feed::Each => "one for each rendition, each opening the input",
        Feed::FanOut => "one for each rendition, the input copied to each",
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{environment, ours, sample};
    use super::super::{Format, parse_str};

    #[test]
    fn what_would_run_is_told_in_a_screen() {
        let expected = "\
channel      ladder (live.toml)
input        the built-in test pattern (options: -re)
encoders     one ffmpeg for all renditions
  ffmpeg -i rtsp://me:***@cam -f null -
segments     2s 500ms, live, 8 in the playlist
files
  all.m3u8
  hd/index.m3u8, hd/hd-00001.ts …
  sound.m3u8, sound-00001.ts …
destinations
  live (folder)
  /srv/live two (folder)
  s3://bucket/shows/live (access_key_id ***, secret_access_key ***, region eu-north-1, acl public-read, \
headers.X-Channel ***, required, concurrency 16, timeout 10s)
spool        64MiB in memory, 1GB in spool
log          debug, json, to segcast.log
";
        let checked = ours(&sample("ladder.toml")).unwrap();
        assert_eq!(checked.describe(&["ffmpeg -i rtsp://me:secret@cam -f null -"]), expected);
    }

    #[test]
    fn where_there_are_no_destinations_there_is_no_heading() {
        let text = "input.url = 'test'\norigin.listen = '8080'\nrendition = [{ name = 'a', video = {} }]";
        let told = ours(text).unwrap().describe::<String>(&[]);
        assert!(told.contains("a/index.m3u8") && !told.contains("destinations"), "{told}");
    }

    #[test]
    fn the_originals_files_are_told_too() {
        let text = sample("single-copy.yml");
        let checked = parse_str(Format::Yaml, "old.yml", &text, &environment(&[]), &[]).unwrap();
        let expected = "\
channel      old (old.yml)
input        recording.ts
encoders     one for each rendition, each opening the input
segments     10s, live, 5 in the playlist
files
  live_medium.m3u8, studio_medium-00001.ts …
destinations
  /tmp/www (folder)
spool        256MiB in memory, 2GiB among temporary files
log          info, to standard output
notes
  segmenter_binary is not used: the segmenter is built in
";
        assert_eq!(checked.describe::<String>(&[]), expected);
    }
}
