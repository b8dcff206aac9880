//! The original's YAML, taken as it is: the same names in the same places.
//!
//! The script took its keys as Ruby gave them, so numbers may be written as text and unknown keys are passed
//! over; here they are at least told.

use std::time::Duration;

use figment::value::Dict;

use super::check::{LEAST_WINDOW, MOST_WINDOW, WINDOW, is_key};
use super::file::{Level, Log};
use super::ground::Must;
use super::layer::Layers;
use super::media::{LEAST_BITRATE, is_path};
use super::printf::{Template, push_value};
use super::reader::{Reader, Table};
use super::remote::Remote;
use super::shape::{Mistakes, join, quoted};
use super::value::Kind as _;
use super::{Checked, Dialect, Environment, Error, transfer};
use crate::encoder::ladder::{Feed, Input, Ladder, Rendition};
use crate::{channel, destination, live};

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
pub(super) fn check(layers: &Layers, environment: &Environment) -> Result<Checked, Error> {
    let mistakes = Mistakes::new(layers);
    let mut reader =
        Reader { root: &layers.root, environment, mistakes, needs: Vec::new(), notes: Vec::new() };
    let checked = reader.channel(layers);
    Error::unless(reader.mistakes.list, checked)
}

/// A rendition as the channel and as the presentation want it.
type Rung = (Rendition, live::Rendition);

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
        let (renditions, names) = rungs.into_iter().unzip();
        let (destinations, later) = self.transfers(top);
        let ladder = Ladder { ffmpeg: "ffmpeg".into(), input, feed, segment: target, renditions };
        let presentation = live::Options {
            kind: live::Kind::Live { window },
            target,
            multivariant,
            url_prefix,
            has_date_time: false,
            renditions: names,
        };
        let name = super::stem(&layers.file);
        Checked {
            options: channel::Options { name, ladder, presentation, destinations },
            later,
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

    fn encoders(&mut self, top: Table<'a>) -> (Input, Feed, Vec<Rung>, Option<String>) {
        let location = self.required(top, "input_location");
        let segments = self.required(top, "segment_prefix");
        let indexes = self.required(top, "index_prefix");
        let (profiles, is_list) = self.names(top, "encoding_profile");
        let mut is_device = false;
        let mut rungs = Vec::new();
        for profile in &profiles {
            let Some(table) = self.profile("encoding_profile", profile, "ffmpeg_command") else { continue };
            self.pass_over(table, &["ffmpeg_command", "bandwidth"]);
            let at = join(profile, "ffmpeg_command");
            let text = self.required(table, "ffmpeg_command");
            let stdin = if is_list { "-" } else { location.as_str() };
            let command = self.ffmpeg_command(&at, &text, stdin);
            is_device |= !is_list && names_format(&text);
            let rendition = Rendition {
                name: profile.clone(),
                video: None,
                audio: None,
                args: Vec::new(),
                command: Some(command),
            };
            let bandwidth_bps = self.bandwidth(table);
            let playlist = format!("{indexes}_{profile}.m3u8");
            let segment_prefix = format!("{segments}_{profile}-");
            self.key("index_prefix", &playlist);
            self.key("segment_prefix", &segment_prefix);
            let names = live::Rendition { name: profile.clone(), playlist, segment_prefix, bandwidth_bps };
            rungs.push((rendition, names));
        }
        if is_list && profiles.iter().any(|profile| profile == "multi") {
            let hint = "give the profile another name".to_owned();
            self.mistakes.add("encoding_profile", "`multi` would take the multirate index's name", hint);
        }
        let (input, feed) = match (is_list, location.as_str()) {
            (true, _) => (self.source(top, &location), Feed::FanOut),
            // What is read from standard input goes through us, so that it can be asked to end.
            (false, "-") => (Input::Stdin { args: Vec::new() }, Feed::FanOut),
            (false, _) => {
                self.input_need(&location, is_device);
                // `test` is the built-in pattern only in files of ours.
                let url = if location == "test" { "./test".into() } else { location };
                (Input::Url { url, args: Vec::new() }, Feed::Each)
            }
        };
        (input, feed, rungs, is_list.then(|| format!("{indexes}_multi.m3u8")))
    }

    /// The command that feeds every encoder.
    fn source(&mut self, top: Table, location: &str) -> Input {
        let stdin = Input::Stdin { args: Vec::new() };
        if !top.dict.contains_key("source_command") && location == "-" {
            return stdin;
        }
        let text = self.required(top, "source_command");
        self.input_need(location, names_format(&text));
        match Template::parse(&text) {
            Ok(template) if template.blanks() <= 1 => {
                let mut shell = template.parts[0].clone();
                for part in &template.parts[1..] {
                    push_value(&mut shell, location);
                    shell.push_str(part);
                }
                if shell.trim() == "cat -" { stdin } else { Input::Command { shell, args: Vec::new() } }
            }
            Ok(template) => {
                let message = format!("expected one `%s` for input_location, came {}", template.blanks());
                self.mistakes.add("source_command", message, None);
                stdin
            }
            Err(error) => {
                self.mistakes.add("source_command", format!("expected `%s` alone, came {error}"), None);
                stdin
            }
        }
    }

    fn input_need(&mut self, location: &str, is_device: bool) {
        if !location.is_empty() && location != "-" && !is_device && is_path(location) {
            self.need("input_location", location.into(), Must::Read);
        }
    }

    /// The command up to the segmenter, with the input in its place.
    fn ffmpeg_command(&mut self, key: &str, text: &str, input: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        let template = match Template::parse(text) {
            Ok(template) => template,
            Err(error) => {
                self.mistakes.add(key, format!("expected `%s` alone, came {error}"), None);
                return String::new();
            }
        };
        let [before, behind, between @ .., rest] = template.parts.as_slice() else {
            self.mistakes.add(key, "expected six `%s`, came none", six());
            return String::new();
        };
        let pipe = behind.rfind('|');
        let is_tail = between.len() == 4 && between.iter().all(|text| text.trim().is_empty());
        let Some(pipe) = pipe.filter(|_| is_tail) else {
            let message = match template.blanks() {
                6 => "expected ` | %s %s %s %s %s` at the end".to_owned(),
                count => format!("expected six `%s`, came {count}"),
            };
            self.mistakes.add(key, message, six());
            return String::new();
        };
        let dropped = [behind[pipe + 1..].trim(), rest.trim()].into_iter().filter(|text| !text.is_empty());
        for text in dropped {
            self.notes.push(format!("{key}: {} is dropped together with the segmenter", quoted(text)));
        }
        let mut command = before.clone();
        push_value(&mut command, input);
        command + behind[..pipe].trim_end()
    }

    fn bandwidth(&mut self, profile: Table) -> Option<u64> {
        let rate = self.number(profile, "bandwidth")?;
        let key = join(profile.name, "bandwidth");
        if rate >= 0.0 && rate < LEAST_BITRATE as f64 {
            self.notes.push(format!("{key}: {rate} is too low for bits per second: it is measured instead"));
            return None;
        }
        let rate_bps = super::value::Bitrate::from_number(rate).map(|rate| rate.0);
        if rate_bps.is_none() {
            self.mistakes.add(&key, format!("expected bits per second, came {rate}"), None);
        }
        rate_bps
    }

    fn transfers(&mut self, top: Table<'a>) -> (Vec<destination::Target>, Vec<Remote>) {
        let (mut targets, mut later) = (Vec::new(), Vec::new());
        for name in self.names(top, "transfer_profile").0 {
            let Some(table) = self.profile("transfer_profile", &name, "transfer_type") else { continue };
            match transfer::place(self, table) {
                Some(super::remote::Place::Folder(directory)) => {
                    self.need(&join(&name, "directory"), directory.clone(), Must::MakeFolder);
                    targets.push(destination::Target::Copy { directory });
                }
                Some(super::remote::Place::Remote(remote)) => later.push(remote),
                None => {}
            }
        }
        (targets, later)
    }

    fn key(&mut self, at: &str, key: &str) {
        if !is_key(key) {
            let message = format!("expected a file's name below the destination, came {}", quoted(key));
            self.mistakes.add(at, message, None);
        }
    }
}

/// The hint for a command whose `%s` are not as they were.
fn six() -> Option<String> {
    Some("as in `ffmpeg -i %s … -f mpegts - | %s %s %s %s %s`".into())
}

/// Whether a command names the format of its input, as for devices: then the input need not be a file.
fn names_format(command: &str) -> bool {
    let before = command.split("%s").next().unwrap_or_default();
    before.split_whitespace().any(|word| word == "-f")
}
