//! Command lines, from a ladder, as values that can be shown.

use std::fmt;
use std::path::{Path, PathBuf};

use super::arguments::{self, FIRST_DESCRIPTOR};
use super::error::Error;
use super::ladder::{Feed, Input, Ladder, Rendition};
use super::secret;

/// One process that is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What is run.
    pub invocation: Invocation,
    /// The renditions that it makes, by their place in the ladder; none for the source command.
    pub renditions: Vec<usize>,
    /// The names of those renditions.
    pub names: Vec<String>,
    /// What it reads from its standard input.
    pub stdin: Stdin,
}

/// What is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// ffmpeg: MPEG-TS comes from descriptor 3 on, one for each rendition, progress from standard output.
    Ffmpeg {
        /// The binary.
        program: PathBuf,
        /// Its arguments.
        arguments: Vec<String>,
    },
    /// A user's own line, run by `sh -c`; media come from its standard output.
    Shell(String),
}

/// What a process reads from its standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdin {
    /// Nothing but the `q` that asks it to end.
    Control,
    /// Media, from the source command or from our own standard input.
    Media,
}

impl Command {
    /// Whether it is the source command, not an encoder.
    pub fn is_source(&self) -> bool {
        self.renditions.is_empty()
    }

    /// Whom messages are about: `source command`, `encoder of 720p, 360p`.
    pub fn label(&self) -> String {
        if self.is_source() {
            "source command".into()
        } else {
            format!("encoder of {}", self.names.join(", "))
        }
    }

    /// The exact line that a shell takes, passwords in it included. Outputs go to files named after the
    /// renditions, since a shell has no reader at descriptor 3.
    pub fn shell_line(&self) -> String {
        self.line(|argument, _| argument.to_owned())
    }

    fn line(&self, show: impl Fn(&str, Option<&str>) -> String) -> String {
        let (program, arguments) = match &self.invocation {
            Invocation::Shell(line) => return show(line, None),
            Invocation::Ffmpeg { program, arguments } => (program, arguments),
        };
        let mut line = quote(&program.to_string_lossy());
        let mut previous = None;
        for argument in arguments {
            line.push(' ');
            line += &quote(&show(argument, previous));
            previous = Some(argument.as_str());
        }
        for (n, name) in self.names.iter().enumerate() {
            line +=
                &format!(" {}>{}", FIRST_DESCRIPTOR + n, quote(&format!("{}.ts", name.replace('/', "_"))));
        }
        line
    }
}

impl fmt::Display for Command {
    /// [`Command::shell_line`] with secrets hidden: where there are none it can be pasted as it stands.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line(|argument, previous| {
            if previous.is_some_and(secret::is_option) {
                secret::HIDDEN.to_owned()
            } else {
                secret::hide(argument).into_owned()
            }
        }))
    }
}

/// Quotes a word for a POSIX shell, if it needs it.
fn quote(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The processes that run this ladder; the source command, if there is one, comes first.
///
/// `clock_font` is the font file for the built-in pattern's clock; without it the pattern shows its own
/// counter only.
///
/// # Errors
/// [`Error::Invalid`] says what in the ladder cannot be run, and what to do.
pub fn commands(ladder: &Ladder, clock_font: Option<&Path>) -> Result<Vec<Command>, Error> {
    check(ladder)?;
    let (shared, own): (Vec<usize>, Vec<usize>) = (0..ladder.renditions.len())
        .partition(|&n| ladder.feed == Feed::Shared && ladder.renditions[n].command.is_none());
    let groups =
        Some(shared).filter(|group| !group.is_empty()).into_iter().chain(own.into_iter().map(|n| vec![n]));
    let encoders: Vec<Command> = groups.map(|group| encoder(ladder, group, clock_font)).collect();
    if ladder.input.is_piped() && ladder.feed != Feed::FanOut && encoders.len() > 1 {
        return Err(invalid("several encoders cannot share one standard input: use the fan-out feed"));
    }
    let source = match &ladder.input {
        Input::Command { shell, .. } => Some(Command {
            invocation: Invocation::Shell(shell.clone()),
            renditions: vec![],
            names: vec![],
            stdin: Stdin::Control,
        }),
        _ => None,
    };
    Ok(source.into_iter().chain(encoders).collect())
}

fn encoder(ladder: &Ladder, group: Vec<usize>, clock_font: Option<&Path>) -> Command {
    let names = group.iter().map(|&n| ladder.renditions[n].name.clone()).collect();
    let own_line = match group[..] {
        [n] => ladder.renditions[n].command.clone(),
        _ => None,
    };
    let invocation = match own_line {
        Some(line) => Invocation::Shell(line),
        None => Invocation::Ffmpeg {
            program: ladder.ffmpeg.clone(),
            arguments: arguments::of_group(ladder, &group, clock_font),
        },
    };
    let stdin = if ladder.input.is_piped() { Stdin::Media } else { Stdin::Control };
    Command { invocation, renditions: group, names, stdin }
}

fn check(ladder: &Ladder) -> Result<(), Error> {
    if ladder.renditions.is_empty() {
        return Err(invalid("there is no rendition: name at least one"));
    }
    if ladder.feed == Feed::FanOut && !ladder.input.is_piped() {
        return Err(invalid("the fan-out feed copies a stream: it needs a source command or standard input"));
    }
    if ladder.segment.is_zero() {
        return Err(invalid("a segment of no duration cannot be cut: expected a second or more"));
    }
    ladder.renditions.iter().try_for_each(|rendition| check_rendition(rendition, &ladder.input))
}

fn check_rendition(rendition: &Rendition, input: &Input) -> Result<(), Error> {
    if rendition.command.is_some() {
        return Ok(());
    }
    let wrong = |what: &str| Err(invalid(format!("rendition {}: {what}", rendition.name)));
    if rendition.video.is_none() && rendition.audio.is_none() {
        return wrong("it has neither video nor audio: give it one, or a command");
    }
    let video_copy = rendition.video.as_ref().filter(|video| video.codec == "copy");
    let audio_copy = rendition.audio.as_ref().filter(|audio| audio.codec == "copy");
    if matches!(input, Input::Test { .. }) && (video_copy.is_some() || audio_copy.is_some()) {
        return wrong("the built-in pattern is not encoded yet, so it cannot be copied: name a codec");
    }
    if video_copy.is_some_and(|video| {
        video.size.is_some() || video.bitrate_bps.is_some() || video.fps.is_some() || video.preset.is_some()
    }) {
        return wrong("copied video stays as it is: remove size, bitrate, preset and fps, or name a codec");
    }
    if audio_copy.is_some_and(|audio| {
        audio.bitrate_bps.is_some() || audio.channels.is_some() || audio.sample_rate_hz.is_some()
    }) {
        return wrong(
            "copied audio stays as it is: remove bitrate, channels and sample rate, or name a codec",
        );
    }
    Ok(())
}

fn invalid(what: impl Into<String>) -> Error {
    Error::Invalid { what: what.into() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::encoder::ladder::{Audio, Latency, Tracks, Video};
    use crate::time::Rate;

    fn rendition(name: &str, size: (u32, u32), codec: &str) -> Rendition {
        Rendition {
            name: name.into(),
            video: Some(Video {
                codec: codec.into(),
                size: Some(size),
                bitrate_bps: Some(800_000),
                preset: None,
                fps: Rate::new(25, 1),
            }),
            audio: Some(Audio {
                codec: "aac".into(),
                bitrate_bps: Some(96_000),
                channels: None,
                sample_rate_hz: None,
                tracks: Tracks::First,
            }),
            args: vec![],
            command: None,
        }
    }

    fn ladder(input: Input, feed: Feed) -> Ladder {
        let renditions = vec![rendition("720p", (1280, 720), "h264"), rendition("360p", (640, 360), "h264")];
        Ladder {
            ffmpeg: "ffmpeg".into(),
            input,
            feed,
            segment: Duration::from_secs(4),
            renditions,
            latency: Latency::Normal,
        }
    }

    fn url(url: &str) -> Input {
        Input::Url { url: url.into(), args: vec!["-re".into()] }
    }

    fn lines(ladder: &Ladder) -> Vec<String> {
        commands(ladder, None).unwrap().iter().map(Command::to_string).collect()
    }

    #[test]
    fn a_shared_ladder_is_decoded_once() {
        let mut ladder = ladder(url("in.mp4"), Feed::Shared);
        ladder.renditions[0].args = vec!["-tune".into(), "film".into()];
        assert_eq!(
            lines(&ladder),
            [
                "ffmpeg -hide_banner -loglevel level+info -nostats -progress pipe:1 -dts_delta_threshold 60 -re -i in.mp4 \
              -filter_complex '[0:v:0]split=2[s0][s1];[s0]fps=25,scale=1280:720[v0];[s1]fps=25,scale=640:360[v1]' \
              -map '[v0]' -c:v libx264 -pix_fmt yuv420p -b:v 800k -maxrate 800k -bufsize 1600k -g 100 \
              -sc_threshold 0 -force_key_frames \
              'expr:isnan(prev_forced_t)+gt(floor(t/4+1e-6),floor(prev_forced_t/4+1e-6))' \
              -map '0:a:0?' -c:a aac -b:a 96k -tune film \
              -avoid_negative_ts disabled -output_ts_offset 10 -f mpegts pipe:3 \
              -map '[v1]' -c:v libx264 -pix_fmt yuv420p -b:v 800k -maxrate 800k -bufsize 1600k -g 100 \
              -sc_threshold 0 -force_key_frames \
              'expr:isnan(prev_forced_t)+gt(floor(t/4+1e-6),floor(prev_forced_t/4+1e-6))' \
              -map '0:a:0?' -c:a aac -b:a 96k \
              -avoid_negative_ts disabled -output_ts_offset 10 -f mpegts pipe:4 3>720p.ts 4>360p.ts"
            ]
        );
    }

    #[test]
    fn each_rendition_can_have_its_own_ffmpeg() {
        let mut ladder = ladder(url("in.mp4"), Feed::Each);
        ladder.renditions[1] = Rendition { video: None, ..ladder.renditions[1].clone() };
        let lines = lines(&ladder);
        assert!(
            lines[0].contains(" -i in.mp4 -map 0:v:0 -vf fps=25,scale=1280:720 -c:v libx264 "),
            "{}",
            lines[0]
        );
        assert_eq!(
            lines[1],
            "ffmpeg -hide_banner -loglevel level+info -nostats -progress pipe:1 -dts_delta_threshold 60 -re -i in.mp4 -map '0:a:0?' \
             -c:a aac -b:a 96k -avoid_negative_ts disabled -output_ts_offset 10 -f mpegts pipe:3 3>360p.ts"
        );
    }

    #[test]
    fn a_source_command_comes_first_and_feeds_every_encoder() {
        let input = Input::Command { shell: "cat 'a b.ts'".into(), args: vec!["-f".into(), "mpegts".into()] };
        let mut ladder = ladder(input, Feed::FanOut);
        ladder.renditions[1].command = Some("ffmpeg -y -i - -f mpegts -s 320x240 - | cat".into());
        let commands = commands(&ladder, None).unwrap();
        assert!(commands[0].is_source());
        assert_eq!(commands[0].to_string(), "cat 'a b.ts'");
        assert_eq!(commands[0].stdin, Stdin::Control);
        assert!(commands[1].to_string().contains(" -f mpegts -i pipe:0 "));
        assert_eq!(commands[2].to_string(), "ffmpeg -y -i - -f mpegts -s 320x240 - | cat");
        assert!(commands[1..].iter().all(|command| command.stdin == Stdin::Media));
        assert_eq!(commands[2].label(), "encoder of 360p");
    }

    #[test]
    fn a_command_of_its_own_stands_beside_the_shared_ffmpeg() {
        let mut ladder = ladder(url("in.mp4"), Feed::Shared);
        ladder
            .renditions
            .push(Rendition { command: Some("special".into()), ..rendition("x", (2, 2), "h264") });
        let commands = commands(&ladder, None).unwrap();
        assert_eq!(commands.len(), 2);
        assert_eq!(commands[0].renditions, [0, 1]);
        assert_eq!(commands[1].renditions, [2]);
        assert_eq!(commands[1].stdin, Stdin::Control);
    }

    #[test]
    fn the_pattern_is_real_time_and_as_large_as_the_largest_rendition() {
        let mut ladder = ladder(Input::Test { args: vec!["-t".into(), "6".into()] }, Feed::Shared);
        ladder.renditions.reverse();
        let line = commands(&ladder, Some(Path::new("/f/a.ttf"))).unwrap()[0].to_string();
        assert!(
            line.contains(
                " -re -t 6 -f lavfi -i 'testsrc2=size=1280x720:rate=25,drawtext=fontfile=/f/a.ttf:text=%{localtime}:"
            ),
            "{line}"
        );
        assert!(line.contains(" -re -t 6 -f lavfi -i sine=frequency=220:"), "{line}");
        assert!(line.contains(" -map '1:a:0?' "), "{line}");

        ladder.input = Input::Test { args: vec!["-readrate".into(), "2".into()] };
        assert!(!lines(&ladder)[0].contains("-re "));
    }

    #[test]
    fn every_codec_is_kept_on_the_grid_in_its_own_way() {
        let line = |codec: &str| {
            let mut ladder = ladder(url("in.mp4"), Feed::Each);
            ladder.renditions = vec![rendition("a", (640, 360), codec)];
            lines(&ladder).remove(0)
        };
        assert!(line("hevc").contains("-c:v libx265 -pix_fmt yuv420p "));
        assert!(line("hevc").contains("-forced-idr 1 -x265-params scenecut=0:open-gop=0"));
        assert!(line("mpeg2").contains("-flags +cgop -sc_threshold 1000000000 -force_key_frames"));
        assert!(line("h264_nvenc").contains("-c:v h264_nvenc -b:v 800k"));
        assert!(line("h264_nvenc").contains("-forced-idr 1 -force_key_frames"));
    }

    #[test]
    fn with_low_latency_nothing_is_held_back() {
        let line = |codec: &str| {
            let mut ladder = ladder(url("in.mp4"), Feed::Each);
            ladder.latency = Latency::Low;
            ladder.renditions = vec![rendition("a", (640, 360), codec)];
            lines(&ladder).remove(0)
        };
        assert!(line("h264").contains("-c:v libx264 -tune zerolatency -pix_fmt"));
        assert!(line("mpeg2").contains("-c:v mpeg2video -bf 0 "));
        assert!(line("h264").contains("-f mpegts -flush_packets 1 -pes_payload_size 0 pipe:3"));
    }

    #[test]
    fn all_audio_tracks_are_taken_where_that_is_asked_for() {
        let mut ladder = ladder(url("in.ts"), Feed::Shared);
        ladder.renditions[0].audio.as_mut().unwrap().tracks = Tracks::All;
        let line = lines(&ladder).remove(0);
        assert!(line.contains(" -map '0:a?' -c:a aac "), "{line}");
        assert!(line.contains(" -map '0:a:0?' -c:a aac "), "{line}");
    }

    #[test]
    fn copied_video_needs_no_filter() {
        let mut ladder = ladder(url("in.ts"), Feed::Shared);
        let video = Video { codec: "copy".into(), size: None, bitrate_bps: None, preset: None, fps: None };
        ladder.renditions[0].video = Some(video);
        let line = lines(&ladder).remove(0);
        assert!(line.contains(" -i in.ts -map 0:v:0 -c:v copy -map '0:a:0?' "), "{line}");
        assert!(line.contains(" -map 0:v:0 -vf fps=25,scale=640:360 -c:v libx264 "), "{line}");
    }

    #[test]
    fn what_cannot_run_is_refused_with_advice() {
        let refused = |ladder: &Ladder| commands(ladder, None).unwrap_err().to_string();
        let stdin = || Input::Stdin { args: vec![] };
        assert!(refused(&ladder(stdin(), Feed::Each)).contains("use the fan-out feed"));
        assert!(refused(&ladder(url("a"), Feed::FanOut)).contains("needs a source command"));
        let mut copy = ladder(url("a"), Feed::Shared);
        copy.renditions[1].audio = None;
        copy.renditions[1].video.as_mut().unwrap().codec = "copy".into();
        assert!(refused(&copy).starts_with("rendition 360p: copied video stays as it is"));
        copy.input = Input::Test { args: vec![] };
        assert!(refused(&copy).contains("cannot be copied"));
        copy.renditions[1].video = None;
        assert!(refused(&copy).contains("neither video nor audio"));
        copy.renditions.clear();
        assert!(refused(&copy).contains("no rendition"));
        assert!(commands(&ladder(stdin(), Feed::Shared), None).is_ok());
    }

    #[test]
    fn secrets_are_hidden_where_lines_are_shown() {
        let input = Input::Url {
            url: "rtsp://me:s3cret@cam/1".into(),
            args: vec!["-headers".into(), "Authorization: x".into()],
        };
        let command = commands(&ladder(input, Feed::Shared), None).unwrap().remove(0);
        let shown = command.to_string();
        assert!(shown.contains(" -headers '***' -i 'rtsp://me:***@cam/1' "), "{shown}");
        assert!(command.shell_line().contains(" -headers 'Authorization: x' -i rtsp://me:s3cret@cam/1 "));
    }

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(quote("a-b.ts"), "a-b.ts");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("~/x"), "'~/x'");
    }
}
