//! The part of a file of ours that encoders are made of: the input, how it is fed, and the codecs.

use super::check::Checker;
use super::file::{self, File};
use super::ground::Must;
use super::printf;
use super::shape::quoted;
use super::value::{Bitrate, Size, Written};
use crate::channel::Restart;
use crate::encoder::ladder::{Audio, Feed, Input, Rendition, Tracks, Video};

/// A bitrate below this is one whose `k` was forgotten.
pub(super) const LEAST_BITRATE: u64 = 4000;

/// The largest width or height.
const LARGEST_SIDE: u32 = 16_384;

impl Checker<'_> {
    pub(super) fn input(&mut self, file: &File) -> Input {
        let input = &file.input;
        let is_opened = file.rendition.iter().any(|rendition| rendition.command.is_none());
        let args = input.args.clone();
        if let Some(command) = &input.command {
            return self.input_command(command, input.url.as_deref(), args);
        }
        let Some(url) = &input.url else {
            let hint = "write `url = \"test\"` for the built-in pattern".to_owned();
            self.mistakes.add("input.url", "is missing, and so is `input.command`", hint);
            return Input::Test { args };
        };
        match url.as_str() {
            "" => self.mistakes.add("input.url", "expected what ffmpeg opens, came \"\"", None),
            "test" => return Input::Test { args },
            "-" => return Input::Stdin { args },
            // With a format named, it may be a device; with commands of their own, encoders may not open it.
            path if is_opened && is_path(path) && !args.iter().any(|arg| arg == "-f") => {
                self.need("input.url", path.into(), Must::Read);
            }
            _ => {}
        }
        Input::Url { url: url.clone(), args }
    }

    pub(super) fn restart(&mut self, file: &File, input: &Input) -> Restart {
        let only_once = match input {
            Input::Stdin { .. } => Some("standard input can be read only once"),
            _ if file.output.playlist == file::Playlist::Vod => {
                Some("the playlist is written once, at the end")
            }
            _ => None,
        };
        match (file.input.restart, only_once) {
            (Some(file::Restart::OnFailure | file::Restart::Always), Some(why)) => {
                self.mistakes.add("input.restart", why, "write never, or leave it out".to_owned());
                Restart::Never
            }
            (Some(file::Restart::Never), _) | (None, Some(_)) => Restart::Never,
            (Some(file::Restart::OnFailure) | None, None) => Restart::OnFailure,
            (Some(file::Restart::Always), None) => Restart::Always,
        }
    }

    fn input_command(&mut self, command: &str, url: Option<&str>, args: Vec<String>) -> Input {
        let key = "input.command";
        match (printf::has_url(command), url) {
            _ if command.trim().is_empty() => {
                self.mistakes.add(key, "expected a shell command, came \"\"", None)
            }
            (true, None) => {
                self.mistakes.add("input.url", "is missing, as `input.command` has {url}", None);
            }
            (false, Some(_)) => {
                let hint = "write {url} where it belongs, or leave `input.url` out".to_owned();
                self.mistakes.add(key, "does not use `input.url`", hint);
            }
            (true, Some(path)) if path != "-" && is_path(path) => {
                self.need("input.url", path.into(), Must::Read);
            }
            _ => {}
        }
        Input::Command { shell: printf::fill_url(command, url.unwrap_or_default()), args }
    }

    pub(super) fn feed(&mut self, file: &File, input: &Input) -> Feed {
        let has_commands = file.rendition.iter().any(|rendition| rendition.command.is_some());
        let is_pipe = matches!(input, Input::Stdin { .. } | Input::Command { .. });
        let fault = match file.feed {
            None => None,
            Some(file::Feed::Shared) if has_commands => {
                Some(("one shared ffmpeg cannot run a rendition's own command", "fan-out or each"))
            }
            Some(file::Feed::Each) if is_pipe => {
                Some(("a command's output, or standard input, cannot be opened by each encoder", "fan-out"))
            }
            Some(file::Feed::FanOut) if !is_pipe => {
                Some(("fan-out needs `input.command`, or standard input as `input.url`", "each"))
            }
            Some(_) => None,
        };
        if let Some((message, instead)) = fault {
            self.mistakes.add("feed", message, format!("write {instead}, or leave `feed` out"));
        }
        match (file.feed, input) {
            (Some(file::Feed::Shared), _) => Feed::Shared,
            (Some(file::Feed::Each), _) => Feed::Each,
            (Some(file::Feed::FanOut), _) | (None, Input::Command { .. }) => Feed::FanOut,
            (None, Input::Stdin { .. }) if has_commands => Feed::FanOut,
            (None, _) if has_commands => Feed::Each,
            (None, _) => Feed::Shared,
        }
    }

    pub(super) fn rendition(&mut self, n: usize, rendition: &file::Rendition) -> Rendition {
        let at = |key: &str| format!("rendition[{n}].{key}");
        if let Some(command) = &rendition.command {
            let beside = [
                ("video", rendition.video.is_some()),
                ("audio", rendition.audio.is_some()),
                ("args", !rendition.args.is_empty()),
            ];
            for (key, _) in beside.into_iter().filter(|(_, is_there)| *is_there) {
                self.mistakes.add(&at(key), "has no effect beside `command`, which is the whole line", None);
            }
            if command.trim().is_empty() {
                self.mistakes.add(&at("command"), "expected a shell command, came \"\"", None);
            }
        } else if rendition.video.is_none() && rendition.audio.is_none() {
            let message = "needs `video`, `audio` or `command`";
            self.mistakes.add(&format!("rendition[{n}]"), message, None);
        }
        Rendition {
            name: rendition.name.clone(),
            video: rendition.video.as_ref().map(|video| self.video(&at("video"), video)),
            audio: rendition.audio.as_ref().map(|audio| self.audio(&at("audio"), audio)),
            args: rendition.args.clone(),
            command: rendition.command.clone(),
        }
    }

    fn video(&mut self, at: &str, video: &file::Video) -> Video {
        let settings = [
            ("size", video.size.is_some()),
            ("bitrate", video.bitrate.is_some()),
            ("preset", video.preset.is_some()),
            ("fps", video.fps.is_some()),
        ];
        self.codec(at, &video.codec, &settings);
        let size = video.size.map(|size| size.0);
        if let Some(Size(width, height)) = size {
            let is_good = |side: u32| side > 0 && side <= LARGEST_SIDE && side.is_multiple_of(2);
            if !is_good(width) || !is_good(height) {
                let message = format!("expected even sides up to {LARGEST_SIDE}, came {width}x{height}");
                let even = |side: u32| side.clamp(2, LARGEST_SIDE).next_multiple_of(2);
                let hint = format!("write \"{}x{}\"", even(width), even(height));
                self.mistakes.add(&format!("{at}.size"), message, hint);
            }
        }
        Video {
            codec: video.codec.clone(),
            size: size.map(|Size(width, height)| (width, height)),
            bitrate_bps: self.bitrate(&format!("{at}.bitrate"), video.bitrate),
            preset: video.preset.clone(),
            fps: video.fps.map(|fps| fps.0),
        }
    }

    fn audio(&mut self, at: &str, audio: &file::Audio) -> Audio {
        let settings = [
            ("bitrate", audio.bitrate.is_some()),
            ("channels", audio.channels.is_some()),
            ("sample_rate", audio.sample_rate.is_some()),
        ];
        self.codec(at, &audio.codec, &settings);
        if let Some(channels) = audio.channels.filter(|channels| !(1..=8).contains(channels)) {
            self.mistakes.add(
                &format!("{at}.channels"),
                format!("expected from 1 to 8, came {channels}"),
                None,
            );
        }
        if let Some(rate) = audio.sample_rate.filter(|rate| !(8000..=192_000).contains(rate)) {
            let message = format!("expected from 8000 to 192000 samples a second, came {rate}");
            self.mistakes.add(&format!("{at}.sample_rate"), message, None);
        }
        Audio {
            codec: audio.codec.clone(),
            bitrate_bps: self.bitrate(&format!("{at}.bitrate"), audio.bitrate),
            channels: audio.channels,
            sample_rate_hz: audio.sample_rate,
            tracks: match audio.tracks {
                file::Tracks::First => Tracks::First,
                file::Tracks::All => Tracks::All,
            },
        }
    }

    /// A codec's name, and that nothing is asked of `copy`.
    fn codec(&mut self, at: &str, codec: &str, settings: &[(&str, bool)]) {
        let key = format!("{at}.codec");
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        let slips = [("h265", "hevc"), ("x265", "hevc"), ("x264", "h264"), ("avc", "h264"), ("ac-3", "ac3")];
        if let Some((_, name)) = slips.iter().find(|(slip, _)| codec.eq_ignore_ascii_case(slip)) {
            let message = format!("is no codec or encoder by the name of {}", quoted(codec));
            self.mistakes.add(&key, message, format!("did you mean `{name}`?"));
        } else if codec.is_empty() || !codec.chars().all(is_name) || codec.starts_with('-') {
            self.mistakes.add(&key, format!("expected a codec's name, came {}", quoted(codec)), None);
        }
        if codec == "copy" {
            for (setting, _) in settings.iter().filter(|(_, is_there)| *is_there) {
                let message = "has no effect with the codec `copy`, which changes nothing";
                let hint = "leave it out, or name an encoder".to_owned();
                self.mistakes.add(&format!("{at}.{setting}"), message, hint);
            }
        }
    }

    pub(super) fn bitrate(&mut self, key: &str, rate: Option<Written<Bitrate>>) -> Option<u64> {
        let rate = rate?.0.0;
        if rate < LEAST_BITRATE {
            let message = format!("expected at least {LEAST_BITRATE} bits per second, came {rate}");
            self.mistakes.add(key, message, format!("did you mean \"{rate}k\"?"));
        }
        Some(rate)
    }
}

/// Whether ffmpeg would open `url` as a file: no protocol, no pattern of names.
pub(super) fn is_path(url: &str) -> bool {
    let is_protocol = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "+-.,_".contains(c))
    };
    !url.split_once(':').is_some_and(|(name, _)| is_protocol(name)) && !url.contains(['%', '*', '?'])
}

#[cfg(test)]
mod tests {
    use super::super::tests::{mistakes, ours};
    use super::*;

    /// A file with this input and these renditions, in TOML's short form.
    fn with(input: &str, feed: &str, renditions: &str) -> String {
        format!("{feed}\ninput = {{ {input} }}\noutput.directory = 'x'\nrendition = [{renditions}]")
    }

    fn fed(input: &str, feed: &str, renditions: &str) -> (Input, Feed) {
        let ladder = ours(&with(input, feed, renditions)).unwrap().options.ladder;
        (ladder.input, ladder.feed)
    }

    const PLAIN: &str = "{ name = 'a', audio = {} }";
    const OWN: &str = "{ name = 'a', command = 'ffmpeg -i - -f mpegts -' }";

    #[test]
    fn encoders_begin_again_where_the_input_can() {
        let restart = |input: &str| ours(&with(input, "", PLAIN)).unwrap().options.restart;
        assert_eq!(restart("url = 'udp://h:1'"), Restart::OnFailure);
        assert_eq!(restart("command = 'x', restart = 'always'"), Restart::Always);
        assert_eq!(restart("url = 'test', restart = 'never'"), Restart::Never);
        assert_eq!(restart("url = '-'"), Restart::Never);
        let told = mistakes(&with("url = '-', restart = 'always'", "", PLAIN));
        assert!(told.contains("input.restart: standard input can be read only once"), "{told}");
        let vod = with("url = 'test', restart = 'on-failure'", "output.playlist = 'vod'", PLAIN);
        assert!(mistakes(&vod).contains("the playlist is written once"), "{}", mistakes(&vod));
    }

    #[test]
    fn the_feed_follows_from_the_input_and_the_commands() {
        let args = Vec::new;
        let url = Input::Url { url: "udp://h:1".into(), args: args() };
        assert_eq!(fed("url = 'test'", "", PLAIN), (Input::Test { args: args() }, Feed::Shared));
        assert_eq!(fed("url = 'udp://h:1'", "", PLAIN), (url.clone(), Feed::Shared));
        assert_eq!(fed("url = 'udp://h:1'", "", OWN), (url.clone(), Feed::Each));
        assert_eq!(fed("url = 'udp://h:1'", "feed = 'each'", PLAIN), (url, Feed::Each));
        assert_eq!(fed("url = '-'", "", PLAIN), (Input::Stdin { args: args() }, Feed::Shared));
        assert_eq!(fed("url = '-'", "", OWN), (Input::Stdin { args: args() }, Feed::FanOut));
        let command = Input::Command { shell: "cat 'a b'".into(), args: args() };
        assert_eq!(fed("command = 'cat {url}', url = 'a b'", "", PLAIN), (command.clone(), Feed::FanOut));
        assert_eq!(fed("command = \"cat 'a b'\"", "feed = 'shared'", PLAIN), (command, Feed::Shared));
    }

    #[test]
    fn impossible_feeds_are_told() {
        let told = |input: &str, feed: &str, renditions: &str| mistakes(&with(input, feed, renditions));
        let expected = "live.toml: feed: one shared ffmpeg cannot run a rendition's own command\n  \
                        write fan-out or each, or leave `feed` out";
        assert_eq!(told("url = '-'", "feed = 'shared'", OWN), expected);
        let expected = "live.toml: feed: a command's output, or standard input, cannot be opened by each encoder\n  \
                        write fan-out, or leave `feed` out";
        assert_eq!(told("url = '-'", "feed = 'each'", PLAIN), expected);
        let expected = "live.toml: feed: fan-out needs `input.command`, or standard input as `input.url`\n  \
                        write each, or leave `feed` out";
        assert_eq!(told("url = 'test'", "feed = 'fan-out'", PLAIN), expected);
    }

    #[test]
    fn senseless_inputs_are_told() {
        let told = |input: &str| mistakes(&with(input, "", PLAIN));
        assert_eq!(told("url = ''"), "live.toml: input.url: expected what ffmpeg opens, came \"\"");
        assert_eq!(told("command = ' '"), "live.toml: input.command: expected a shell command, came \"\"");
        let expected = "live.toml: input.url: is missing, as `input.command` has {url}";
        assert_eq!(told("command = 'cat {url}'"), expected);
        let expected = "live.toml: input.command: does not use `input.url`\n  \
                        write {url} where it belongs, or leave `input.url` out";
        assert_eq!(told("command = 'cat x', url = 'y'"), expected);
    }

    #[test]
    fn only_plain_paths_must_be_there() {
        let needs = |input: &str, rendition: &str| {
            let error = ours(&with(input, "", rendition)).unwrap().check_ground().err();
            error.map(|error| error.mistakes()[0].key.clone())
        };
        let missing = Some("input.url".to_owned());
        assert_eq!(needs("url = 'no/such.ts'", PLAIN), missing);
        assert_eq!(needs("command = 'cat {url}', url = 'no/such.ts'", PLAIN), missing);
        assert_eq!(needs("url = 'no/such.ts'", OWN), None);
        assert_eq!(needs("url = 'default', args = ['-f', 'pulse']", PLAIN), None);
        for url in ["rtsp://h/1", "hw:0", "frame%03d.png", "concat:a.ts|b.ts", "-"] {
            assert_eq!(needs(&format!("url = '{url}'"), PLAIN), None, "{url}");
        }
    }

    #[test]
    fn senseless_renditions_are_told() {
        let renditions = r#"
            { name = "none" },
            { name = "both", command = " ", video = {}, audio = {}, args = ["-an"] },
            { name = "copy", video = { codec = "copy", size = "640x360", fps = 25, bitrate = "1M", preset = "fast" } },
            { name = "sound", audio = { codec = "copy", bitrate = "64k", channels = 2, sample_rate = 48000 } },
            { name = "odd", video = { codec = "h265", size = "641x0", bitrate = 2800 } },
            { name = "loud", audio = { codec = "-x", channels = 9, sample_rate = 48, bitrate = "1" } },
        "#;
        let copy =
            "has no effect with the codec `copy`, which changes nothing\n  leave it out, or name an encoder";
        let expected = format!(
            "\
live.toml: rendition[0]: needs `video`, `audio` or `command`
live.toml: rendition[1].video: has no effect beside `command`, which is the whole line
live.toml: rendition[1].audio: has no effect beside `command`, which is the whole line
live.toml: rendition[1].args: has no effect beside `command`, which is the whole line
live.toml: rendition[1].command: expected a shell command, came \"\"
live.toml: rendition[2].video.size: {copy}
live.toml: rendition[2].video.bitrate: {copy}
live.toml: rendition[2].video.preset: {copy}
live.toml: rendition[2].video.fps: {copy}
live.toml: rendition[3].audio.bitrate: {copy}
live.toml: rendition[3].audio.channels: {copy}
live.toml: rendition[3].audio.sample_rate: {copy}
live.toml: rendition[4].video.codec: is no codec or encoder by the name of \"h265\"
  did you mean `hevc`?
live.toml: rendition[4].video.size: expected even sides up to 16384, came 641x0
  write \"642x2\"
live.toml: rendition[4].video.bitrate: expected at least 4000 bits per second, came 2800
  did you mean \"2800k\"?
live.toml: rendition[5].audio.codec: expected a codec's name, came \"-x\"
live.toml: rendition[5].audio.channels: expected from 1 to 8, came 9
live.toml: rendition[5].audio.sample_rate: expected from 8000 to 192000 samples a second, came 48
live.toml: rendition[5].audio.bitrate: expected at least 4000 bits per second, came 1
  did you mean \"1k\"?"
        );
        assert_eq!(mistakes(&with("url = 'test'", "", renditions)), expected);
    }
}
