//! The part of a file of ours that says what renditions there are, and what their files are called.

use std::collections::BTreeSet;

use super::check::Checker;
use super::file::{self, File};
use super::formats;
use super::presentation::beside;
use super::shape::{Mistakes, quoted};
use crate::channel::{Cmaf, Lineup};
use crate::cmaf::Layout;
use crate::live::{self, Container, Role};

/// Audio tracks that a stream may have where nobody knows how many it has.
const MOST_TRACKS: usize = 8;

/// Names that are used once.
#[derive(Default)]
struct Taken {
    names: BTreeSet<String>,
    playlists: BTreeSet<String>,
    prefixes: BTreeSet<String>,
}

impl Checker<'_> {
    /// The renditions, each with names of its own, and which of them are made of each rung's stream.
    pub(super) fn renditions(&mut self, file: &File) -> (Vec<live::Rendition>, Vec<Lineup>) {
        if file.rendition.is_empty() {
            let hint = "as in: [[rendition]] name = \"source\", video = { codec = \"copy\" }, audio = { codec = \"copy\" }";
            self.mistakes.add("rendition", "expected at least one", hint.to_owned());
        }
        let mut taken = Taken::default();
        // Names that differ in case alone are one file on some disks.
        taken.playlists.insert(file.output.multivariant.to_lowercase());
        let mut renditions = Vec::new();
        let mut lineups = Vec::new();
        for (n, rendition) in file.rendition.iter().enumerate() {
            let base = self.base(n, rendition, &mut taken);
            let sound_of = sound_of(file, n);
            lineups.push(line_up(&base, rendition, sound_of, &file.output, &mut renditions));
        }
        (renditions, lineups)
    }

    /// A rung's rendition, as transport stream segments.
    fn base(&mut self, n: usize, rendition: &file::Rendition, taken: &mut Taken) -> live::Rendition {
        let at = |key: &str| format!("rendition[{n}].{key}");
        let name = &rendition.name;
        let has_own_files = rendition.playlist.is_some() && rendition.segment_prefix.is_some();
        self.name(&at("name"), name, has_own_files);
        let is_new = once(&mut taken.names, &mut self.mistakes, &at("name"), name);
        let playlist = rendition.playlist.clone().unwrap_or_else(|| format!("{name}/index.m3u8"));
        let segment_prefix = rendition.segment_prefix.clone().unwrap_or_else(|| format!("{name}/{name}-"));
        if rendition.playlist.is_some() {
            self.key(&at("playlist"), &playlist);
        }
        if rendition.segment_prefix.is_some() {
            self.key(&at("segment_prefix"), &format!("{segment_prefix}1.ts"));
            if segment_prefix.ends_with(|c: char| c.is_ascii_digit()) {
                let hint = "end it with a `-`".to_owned();
                let message = "must not end with a digit: a number follows";
                self.mistakes.add(&at("segment_prefix"), message, hint);
            }
        }
        if is_new {
            once(&mut taken.playlists, &mut self.mistakes, &at("playlist"), &playlist);
            once(&mut taken.prefixes, &mut self.mistakes, &at("segment_prefix"), &segment_prefix);
        }
        let bandwidth_bps = self.bitrate(&at("bandwidth"), rendition.bandwidth);
        live::Rendition { name: name.clone(), playlist, segment_prefix, bandwidth_bps, ..Default::default() }
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
    pub(super) fn key(&mut self, at: &str, key: &str) {
        if !is_key(key) {
            let message = format!("expected a file's name below the destination, came {}", quoted(key));
            self.mistakes.add(at, message, None);
        }
    }
}

fn once(set: &mut BTreeSet<String>, mistakes: &mut Mistakes, key: &str, text: &str) -> bool {
    let is_new = set.insert(text.to_lowercase());
    if !is_new {
        mistakes.add(key, format!("{} is used twice", quoted(text)), None);
    }
    is_new
}

/// The first of the rungs before rung `n` whose sound is the same, so that players keep to one while they change
/// pictures: the same ffmpeg encodes it of the same input in the same way.
fn sound_of(file: &File, n: usize) -> Option<&str> {
    let rung = &file.rendition[n];
    let is_one_ffmpeg = matches!(file.feed, None | Some(file::Feed::Shared));
    let is_plain =
        |one: &file::Rendition| one.command.is_none() && one.video.is_some() && one.audio.is_some();
    let is_same = |one: &&file::Rendition| is_plain(one) && one.audio == rung.audio && one.args == rung.args;
    let has_commands = file.rendition.iter().any(|one| one.command.is_some());
    let earlier = file.rendition[..n].iter().find(is_same);
    earlier.filter(|_| is_one_ffmpeg && !has_commands && is_plain(rung)).map(|one| one.name.as_str())
}

/// Adds the renditions that are made of one rung's stream, whose sound may be that of rung `sound_of`.
fn line_up(
    base: &live::Rendition,
    rung: &file::Rendition,
    sound_of: Option<&str>,
    output: &file::Output,
    renditions: &mut Vec<live::Rendition>,
) -> Lineup {
    let mut lineup = Lineup::default();
    for (n, &container) in output.format.0.iter().enumerate() {
        let mut one = live::Rendition { container, ..base.clone() };
        if n > 0 {
            one.playlist = beside(&one.playlist, formats::name(container));
        }
        let place = renditions.len();
        match container {
            Container::Ts => {
                lineup.ts = Some(place);
                renditions.push(one);
            }
            Container::Cmaf => {
                let tracks = if output.muxed { 0 } else { audio_tracks(rung) };
                let group = (tracks > 0).then(|| sound_of.unwrap_or(&one.name).to_owned());
                let has_sound_elsewhere = group.is_some() && sound_of.is_some();
                let tracks = if has_sound_elsewhere { 0 } else { tracks };
                let audio: Vec<_> = (1..=tracks).map(|track| sound(&one, track)).collect();
                one.role = Role::Variant { audio: group };
                let layout = if output.muxed { Layout::Muxed } else { Layout::Demuxed };
                let places = place + 1..place + 1 + tracks;
                lineup.cmaf = Some(Cmaf {
                    layout,
                    main: place,
                    audio: places.collect(),
                    has_sound_elsewhere,
                    has_prft: output.prft,
                });
                renditions.push(one);
                renditions.extend(audio);
            }
        }
    }
    lineup
}

/// How many audio tracks may stand beside the first track of a rung's stream.
fn audio_tracks(rung: &file::Rendition) -> usize {
    let all = match (&rung.command, &rung.audio) {
        (Some(_), _) => return MOST_TRACKS,
        (None, None) => 0,
        (None, Some(audio)) if audio.tracks == file::Tracks::All => MOST_TRACKS,
        (None, Some(_)) => 1,
    };
    // Where there are no pictures, the first is sound.
    if rung.video.is_none() { all.saturating_sub(1) } else { all }
}

/// The rendition of audio track `track`, counted from 1, beside the pictures of `main`.
fn sound(main: &live::Rendition, track: usize) -> live::Rendition {
    live::Rendition {
        name: format!("{} audio {track}", main.name),
        playlist: beside(&main.playlist, &format!("audio-{track}")),
        segment_prefix: format!("{}audio-{track}-", main.segment_prefix),
        bandwidth_bps: None,
        container: main.container,
        role: Role::Audio {
            group: main.name.clone(),
            name: format!("Audio {track}"),
            is_default: track == 1,
        },
    }
}

/// Whether `key` is a file's name below a destination: relative, without `.` and `..`.
pub(super) fn is_key(key: &str) -> bool {
    !key.contains(|c: char| c.is_control() || c == '\\')
        && key.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::super::tests::ours;
    use super::*;

    /// Playlists and first segments, in order, and the line-ups.
    fn of(output: &str, rendition: &str) -> (Vec<String>, Vec<Lineup>) {
        let text = format!(
            "input.url = 'test'\noutput = {{ directory = 'x', {output} }}\nrendition = [{{ name = 'a', {rendition} }}]"
        );
        let options = ours(&text).unwrap().options;
        let renditions = options.presentation.renditions.iter();
        (renditions.map(|one| format!("{} {}", one.playlist, one.segment_key(1))).collect(), options.lineups)
    }

    #[test]
    fn sound_has_a_playlist_of_its_own_in_cmaf() {
        let (files, lineups) = of("format = 'cmaf'", "video = {}, audio = {}");
        assert_eq!(files, ["a/index.m3u8 a/a-00001.m4s", "a/index-audio-1.m3u8 a/a-audio-1-00001.m4s"]);
        let cmaf = Cmaf {
            layout: Layout::Demuxed,
            main: 0,
            audio: vec![1],
            has_sound_elsewhere: false,
            has_prft: false,
        };
        assert_eq!(lineups, [Lineup { ts: None, cmaf: Some(cmaf) }]);
        assert_eq!(of("format = 'cmaf'", "audio = {}").0, ["a/index.m3u8 a/a-00001.m4s"]);
        assert_eq!(of("format = 'cmaf', muxed = true", "video = {}, audio = {}").0.len(), 1);
        assert_eq!(of("format = 'cmaf'", "video = {}, audio = { tracks = 'all' }").0.len(), 1 + MOST_TRACKS);
        assert_eq!(of("format = 'cmaf'", "command = 'x'").0.len(), 1 + MOST_TRACKS);
    }

    #[test]
    fn sound_that_is_the_same_is_made_once() {
        let made = |rungs: &str, more: &str| {
            let text = format!(
                "input.url = 'test'\noutput = {{ directory = 'x', format = 'cmaf' }}\n{more}\n{rungs}"
            );
            let presentation = ours(&text).unwrap().options.presentation;
            let variant = |one: live::Rendition| match one.role {
                Role::Variant { audio } => Some((one.name, audio.unwrap_or_default())),
                Role::Audio { .. } => None,
            };
            presentation.renditions.into_iter().filter_map(variant).collect::<Vec<_>>()
        };
        let rung = |name: &str, audio: &str| {
            format!("[[rendition]]\nname = '{name}'\nvideo = {{}}\naudio = {{{audio}}}\n")
        };
        let named = |pairs: [(&str, &str); 3]| pairs.map(|(name, group)| (name.to_owned(), group.to_owned()));
        let rungs = rung("a", "") + &rung("b", "bitrate = '64k'") + &rung("c", "");
        assert_eq!(made(&rungs, ""), named([("a", "a"), ("b", "b"), ("c", "a")]));
        assert_eq!(
            made(&rungs, "feed = 'each'"),
            named([("a", "a"), ("b", "b"), ("c", "c")]),
            "other encoders"
        );
    }

    #[test]
    fn sound_of_which_nothing_is_made_is_not_encoded() {
        let encoded = |format: &str, args: &str| {
            let rung =
                |name: &str| format!("[[rendition]]\nname = '{name}'\nvideo = {{}}\naudio = {{}}\n{args}\n");
            let output = format!("output = {{ directory = 'x', format = {format} }}\n");
            let text = format!("input.url = 'test'\n{output}{}{}", rung("a"), rung("b"));
            let ladder = ours(&text).unwrap().options.ladder;
            ladder.renditions.iter().map(|rung| rung.audio.is_some()).collect::<Vec<_>>()
        };
        assert_eq!(encoded("'cmaf'", ""), [true, false]);
        assert_eq!(encoded("['ts', 'cmaf']", ""), [true, true]);
        assert_eq!(encoded("'cmaf'", "args = ['-af', 'volume=2']"), [true, true]);
    }

    #[test]
    fn the_first_of_two_formats_has_the_plain_names() {
        let (files, lineups) = of("format = ['ts', 'cmaf']", "video = {}, audio = {}");
        assert_eq!(
            files,
            [
                "a/index.m3u8 a/a-00001.ts",
                "a/index-cmaf.m3u8 a/a-00001.m4s",
                "a/index-cmaf-audio-1.m3u8 a/a-audio-1-00001.m4s"
            ]
        );
        assert_eq!(lineups[0].renditions().collect::<Vec<_>>(), [0, 1, 2]);
    }
}
