//! From a file of ours to a channel's options: what the schema cannot say is checked here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::file::{self, File, Playlist};
use super::ground::{Must, Need};
use super::layer::Layers;
use super::remote::{self, Place, Remote};
use super::shape::{Mistakes, quoted};
use super::value::Kind as _;
use super::{Checked, Dialect, Environment, Error, schema, shape};
use crate::encoder::ladder::{Ladder, Rendition};
use crate::{channel, destination, live};

/// Segments outside of these are not worth serving.
const SHORTEST_SEGMENT: Duration = Duration::from_millis(500);
const LONGEST_SEGMENT: Duration = Duration::from_secs(3600);

/// Playlists shorter than this stall players (RFC 8216 §6.2.2 asks for three target durations).
pub(super) const LEAST_WINDOW: u32 = 3;
/// Longer playlists are an EVENT's business.
pub(super) const MOST_WINDOW: u32 = 100_000;
/// Segments in a live playlist, if nothing is said.
pub(super) const WINDOW: u32 = 6;

/// Checks the merged layers of a file of ours.
pub(super) fn check(layers: &Layers, environment: &Environment) -> Result<Checked, Error> {
    let mut mistakes = Mistakes::new(layers);
    let root = figment::value::Value::from(layers.root.clone());
    shape::check("", &root, schema::schema(), &mut mistakes);
    Error::unless(std::mem::take(&mut mistakes.list), ())?;
    let file: File = root.deserialize().map_err(|error| {
        Error::whole(&layers.file, format!("{}: {}", error.path.join("."), error.kind), None)
    })?;
    let mut checker = Checker { mistakes, needs: Vec::new(), notes: Vec::new() };
    let checked = checker.file(layers, &file, environment);
    Error::unless(checker.mistakes.list, checked)
}

/// A file on its way to options.
pub(super) struct Checker<'a> {
    pub(super) mistakes: Mistakes<'a>,
    needs: Vec<Need>,
    notes: Vec<String>,
}

impl Checker<'_> {
    fn file(&mut self, layers: &Layers, file: &File, environment: &Environment) -> Checked {
        let input = self.input(file);
        let feed = self.feed(file, &input);
        let renditions: Vec<Rendition> =
            file.rendition.iter().enumerate().map(|(n, rendition)| self.rendition(n, rendition)).collect();
        let presentation = self.presentation(file);
        let (destinations, later) = self.destinations(file, environment);
        if file.ffmpeg.as_os_str().is_empty() {
            self.mistakes.add("ffmpeg", "expected the name or path of ffmpeg, came \"\"", None);
        }
        if let Some(path) = file.log.file.as_ref().filter(|path| path.as_os_str() != "-") {
            self.need("log.file", path.clone(), Must::MakeFile);
        }
        let name = file.name.clone().unwrap_or_else(|| super::stem(&layers.file));
        let segment = file.output.segment.0;
        let ladder = Ladder { ffmpeg: file.ffmpeg.clone(), input, feed, segment, renditions };
        Checked {
            options: channel::Options { name, ladder, presentation, destinations },
            later,
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

    fn presentation(&mut self, file: &File) -> live::Options {
        let output = &file.output;
        let target = output.segment.0;
        if !(SHORTEST_SEGMENT..=LONGEST_SEGMENT).contains(&target) {
            let message = format!("expected from 500ms to 1h, came {}", target.write());
            self.mistakes.add("output.segment", message, None);
        }
        let renditions = self.names(file);
        let multivariant = Some(output.multivariant.clone()).filter(|name| !name.is_empty());
        match &multivariant {
            Some(name) => self.key("output.multivariant", name),
            None if renditions.len() > 1 => {
                let message = format!("expected a file's name, as there are {} renditions", renditions.len());
                self.mistakes.add("output.multivariant", message, None);
            }
            None => {}
        }
        self.no_controls("output.url_prefix", &output.url_prefix);
        if let Some(name) = &file.name {
            self.no_controls("name", name);
        }
        live::Options {
            kind: self.kind(output),
            target,
            multivariant,
            url_prefix: output.url_prefix.clone(),
            has_date_time: output.program_date_time,
            renditions,
        }
    }

    fn kind(&mut self, output: &file::Output) -> live::Kind {
        let window = output.window.unwrap_or(WINDOW);
        if !(LEAST_WINDOW..=MOST_WINDOW).contains(&window) {
            let message = format!("expected from {LEAST_WINDOW} to {MOST_WINDOW} segments, came {window}");
            self.mistakes.add("output.window", message, None);
        }
        if output.window.is_some() && output.playlist != Playlist::Live {
            self.notes.push("output.window is not used: it belongs to live playlists".into());
        }
        match output.playlist {
            Playlist::Live => live::Kind::Live { window: window as usize },
            Playlist::Event => live::Kind::Event,
            Playlist::Vod => live::Kind::Vod,
        }
    }

    /// The renditions' names and the names of their files, each used once.
    fn names(&mut self, file: &File) -> Vec<live::Rendition> {
        if file.rendition.is_empty() {
            let hint = "as in: [[rendition]] name = \"source\", video = { codec = \"copy\" }, audio = { codec = \"copy\" }";
            self.mistakes.add("rendition", "expected at least one", hint.to_owned());
        }
        let mut names = BTreeSet::new();
        // Names that differ in case alone are one file on some disks.
        let mut playlists = BTreeSet::from([file.output.multivariant.to_lowercase()]);
        let mut prefixes = BTreeSet::new();
        let once = |set: &mut BTreeSet<String>, mistakes: &mut Mistakes, key: &str, text: &str| {
            if !set.insert(text.to_lowercase()) {
                mistakes.add(key, format!("{} is used twice", quoted(text)), None);
                return false;
            }
            true
        };
        let mut renditions = Vec::new();
        for (n, rendition) in file.rendition.iter().enumerate() {
            let at = |key: &str| format!("rendition[{n}].{key}");
            let name = &rendition.name;
            let has_own_files = rendition.playlist.is_some() && rendition.segment_prefix.is_some();
            self.name(&at("name"), name, has_own_files);
            let is_new = once(&mut names, &mut self.mistakes, &at("name"), name);
            let playlist = rendition.playlist.clone().unwrap_or_else(|| format!("{name}/index.m3u8"));
            let segment_prefix =
                rendition.segment_prefix.clone().unwrap_or_else(|| format!("{name}/{name}-"));
            if rendition.playlist.is_some() {
                self.key(&at("playlist"), &playlist);
            }
            if rendition.segment_prefix.is_some() {
                self.key(&at("segment_prefix"), &format!("{segment_prefix}1.ts"));
                if segment_prefix.ends_with(|c: char| c.is_ascii_digit()) {
                    let hint = "end it with a `-`".to_owned();
                    self.mistakes.add(
                        &at("segment_prefix"),
                        "must not end with a digit: a number follows",
                        hint,
                    );
                }
            }
            if is_new {
                once(&mut playlists, &mut self.mistakes, &at("playlist"), &playlist);
                once(&mut prefixes, &mut self.mistakes, &at("segment_prefix"), &segment_prefix);
            }
            let bandwidth_bps = self.bitrate(&at("bandwidth"), rendition.bandwidth);
            renditions.push(live::Rendition { name: name.clone(), playlist, segment_prefix, bandwidth_bps });
        }
        renditions
    }

    /// A rendition's name; folders are called so unless the rendition names its files itself.
    fn name(&mut self, key: &str, name: &str, has_own_files: bool) {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let is_good = if has_own_files {
            !name.is_empty() && !name.contains(char::is_control)
        } else {
            !name.is_empty()
                && name.len() <= 100
                && name.chars().all(is_plain)
                && !name.starts_with(['.', '-'])
        };
        if !is_good {
            let message = format!(
                "expected letters, digits, `-`, `_` and `.`, as files are named after it, came {}",
                quoted(name)
            );
            self.mistakes.add(key, message, None);
        }
    }

    /// A file's name below each destination.
    fn key(&mut self, at: &str, key: &str) {
        if !is_key(key) {
            let message = format!("expected a file's name below the destination, came {}", quoted(key));
            self.mistakes.add(at, message, None);
        }
    }

    fn no_controls(&mut self, key: &str, text: &str) {
        if text.contains(char::is_control) {
            self.mistakes.add(key, format!("expected one line of plain text, came {}", quoted(text)), None);
        }
    }

    fn destinations(
        &mut self,
        file: &File,
        environment: &Environment,
    ) -> (Vec<destination::Target>, Vec<Remote>) {
        let mut places = BTreeMap::new();
        let mut order = Vec::new();
        if let Some(folder) = &file.output.directory {
            if folder.as_os_str().is_empty() {
                self.mistakes.add("output.directory", "expected a folder, came \"\"", None);
            }
            order.push(("output.directory".to_owned(), Place::Folder(folder.clone())));
        }
        for (n, destination) in file.destination.iter().enumerate() {
            let key = format!("destination[{n}]");
            let place = remote::place(&key, destination, environment, &mut self.mistakes);
            order.extend(place.map(|place| (format!("{key}.url"), place)));
        }
        if file.output.directory.is_none() && file.destination.is_empty() {
            let hint = "as in `directory = \"live\"`, or add a [[destination]]".to_owned();
            self.mistakes.add("output.directory", "is missing, and there is no destination", hint);
        }
        let (mut targets, mut later) = (Vec::new(), Vec::new());
        for (key, place) in order {
            let name = match &place {
                Place::Folder(path) => {
                    path.components().collect::<std::path::PathBuf>().display().to_string()
                }
                Place::Remote(remote) => remote.url(),
            };
            if let Some(first) = places.insert(name, key.clone()) {
                self.mistakes.add(&key, format!("is the same place as {first}"), None);
            }
            match place {
                Place::Folder(directory) => {
                    self.need(&key, directory.clone(), Must::MakeFolder);
                    targets.push(destination::Target::Copy { directory });
                }
                Place::Remote(remote) => later.push(remote),
            }
        }
        (targets, later)
    }
}

/// Whether `key` is a file's name below a destination: relative, without `.` and `..`.
pub(super) fn is_key(key: &str) -> bool {
    !key.contains(|c: char| c.is_control() || c == '\\')
        && key.split('/').all(|part| !matches!(part, "" | "." | ".."))
}
