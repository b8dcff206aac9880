//! The original's encoding profiles: ffmpeg's commands, without the segmenter that stood at their ends.

use super::super::ground::Must;
use super::super::media::{LEAST_BITRATE, is_path};
use super::super::printf::{Template, push_value};
use super::super::reader::{Reader, Table};
use super::super::shape::{join, quoted};
use super::super::value::{Bitrate, Kind as _};
use crate::encoder::ladder::{Feed, Input, Rendition};
use crate::live;

/// A rendition as the channel and as the presentation want it.
pub(super) type Rung = (Rendition, live::Rendition);

impl<'a> Reader<'a> {
    pub(super) fn encoders(&mut self, top: Table<'a>) -> (Input, Feed, Vec<Rung>, Option<String>) {
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
            let names = live::Rendition {
                name: profile.clone(),
                playlist,
                segment_prefix,
                bandwidth_bps,
                ..Default::default()
            };
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
        if !top.dict.contains_key("source_command") {
            let hint = "it feeds all encoders of a list in encoding_profile, as in: source_command: cat %s"
                .to_owned();
            self.mistakes.add("source_command", "is missing", hint);
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
        let rate_bps = Bitrate::from_number(rate).map(|rate| rate.0);
        if rate_bps.is_none() {
            self.mistakes.add(&key, format!("expected bits per second, came {rate}"), None);
        }
        rate_bps
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::file::{Level, Log};
    use super::super::super::tests::sample;
    use super::super::tests::{copy, mistakes, read, with};
    use super::*;

    #[test]
    fn a_list_of_profiles_is_fed_from_one_source() {
        let checked = read(&sample("multirate-copy.yml")).unwrap();
        let options = &checked.options;
        let shell =
            "ffmpeg -v 0 -i 'udp://239.0.0.1:1234?fifo_size=100000&overrun_nonfatal=1' -c copy -f mpegts -";
        assert_eq!(options.ladder.input, Input::Command { shell: shell.into(), args: vec![] });
        assert_eq!(options.ladder.feed, Feed::FanOut);
        assert_eq!(options.ladder.segment, Duration::from_millis(4500));
        let commands: Vec<_> =
            options.ladder.renditions.iter().filter_map(|it| it.command.as_deref()).collect();
        let expected = [
            "ffmpeg -v 0 -i - -s 1280x720 -b:v 2000k -c:a libmp3lame -f mpegts -",
            "ffmpeg -v 0 -i - -vf \"drawtext=text=%{pts}\" -s 320x180 -b:v 200k -c:a libmp3lame -f mpegts -",
            "ffmpeg -v 0 -i - -vn -c:a libmp3lame -f mpegts -",
        ];
        assert_eq!(commands, expected);
        let names: Vec<_> = options.presentation.renditions.iter().map(|it| it.playlist.as_str()).collect();
        assert_eq!(names, ["stadium_high.m3u8", "stadium_low.m3u8", "stadium_sound.m3u8"]);
        let rates: Vec<_> = options.presentation.renditions.iter().map(|it| it.bandwidth_bps).collect();
        assert_eq!(rates, [Some(2_200_000), Some(280_000), None]);
        assert_eq!(options.presentation.multivariants[0].key, "stadium_multi.m3u8");
        assert_eq!(options.presentation.url_prefix, "");
        assert_eq!(options.destinations, [copy("/tmp/front"), copy("/tmp/archive")]);
        let log = Log { level: Some(Level::Warn), format: None, file: Some("/tmp/match.log".into()) };
        assert_eq!(checked.log, log);
        let notes = [
            "segmenter_binary is not used: the segmenter is built in",
            "index_segment_count is 2: 3 is taken, as players stall on fewer",
            "high.ffmpeg_command: \"nice\" is dropped together with the segmenter",
            "high.ffmpeg_command: \"2>/dev/null\" is dropped together with the segmenter",
            "sound.bandwidth: 64 is too low for bits per second: it is measured instead",
        ];
        assert_eq!(checked.notes, notes);
    }

    #[test]
    fn standard_input_goes_through_us_and_quotes_stay() {
        let checked = read(&sample("quoted-expression.yml")).unwrap();
        assert_eq!(checked.options.ladder.input, Input::Stdin { args: vec![] });
        assert_eq!(checked.options.ladder.feed, Feed::FanOut);
        let command = checked.options.ladder.renditions[0].command.as_deref().unwrap();
        let whole = "ffmpeg -y -i - -f mpegts -acodec libmp3lame -ar 48000 -ab 64k -s 320x240 -vcodec libx264 \
                     -b 128k -flags +loop -partitions +parti4x4+partp8x8 -qmin 10 -rc_eq 'blurCplx^(1-qComp)' \
                     -g 30 -async 2 -";
        assert_eq!(command, whole);
        let note = "log_level \"LOUD\" is none of DEBUG, INFO, WARN, ERROR: DEBUG is taken";
        assert!(checked.notes.contains(&note.to_owned()));
    }

    #[test]
    fn commands_that_are_not_as_they_were_are_told() {
        let hint = "\n  as in `ffmpeg -i %s … -f mpegts - | %s %s %s %s %s`";
        for (to, told) in [
            ("- | %s %s %s %s", format!("expected six `%s`, came 5{hint}")),
            ("- | %s %s %s %s %s %s", format!("expected six `%s`, came 7{hint}")),
            ("> x %s %s %s %s %s", format!("expected ` | %s %s %s %s %s` at the end{hint}")),
            ("- | %s %d %s %s %s", "expected `%s` alone, came `%d` (a plain percent sign is `%%`)".into()),
        ] {
            let expected = format!("old.yml: ep_128k.ffmpeg_command: {told}");
            assert_eq!(mistakes("- | %s %s %s %s %s", to), expected);
        }
        let text =
            with("encoding_profile: ep_128k", "encoding_profile: [ep_128k]\nsource_command: cat %s %s");
        let expected = "old.yml: source_command: expected one `%s` for input_location, came 2";
        assert_eq!(read(&text).unwrap_err().to_string(), expected);
    }

    #[test]
    fn a_list_on_standard_input_needs_no_source() {
        for more in ["", "\nsource_command: cat %s"] {
            let text = with("encoding_profile: ep_128k", &format!("encoding_profile: [ep_128k]{more}"));
            let ladder = read(&text).unwrap().options.ladder;
            assert_eq!((ladder.input, ladder.feed), (Input::Stdin { args: vec![] }, Feed::FanOut));
        }
    }
}
