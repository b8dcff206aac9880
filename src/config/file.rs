//! What may stand in a configuration file of ours. The schema that people print, and against which files are
//! checked, is made from these types.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

use super::formats::Formats;
use super::place::Destination;
use super::value::{Address, Bitrate, Bytes, Kind as _, Size, Written};
use crate::time::Rate;

/// One live channel: what is encoded, how it is presented and where it is put.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The channel's name in logs; if absent, the file's name without its extension.
    #[schemars(example = &"news")]
    pub name: Option<String>,
    /// The ffmpeg binary; a bare name is looked up in PATH.
    #[serde(default = "ffmpeg")]
    pub ffmpeg: PathBuf,
    /// How encoders are fed. If absent: "shared", or what the input and the renditions' own commands ask for.
    pub feed: Option<Feed>,
    /// Where media come from.
    pub input: Input,
    /// How the stream is presented.
    #[serde(default)]
    pub output: Output,
    /// What is made of the input, in the order of the multivariant playlist.
    pub rendition: Vec<Rendition>,
    /// Where the stream is put, beside `output.directory`.
    #[serde(default)]
    pub destination: Vec<Destination>,
    /// Where segments wait that a destination has not taken yet; an amount alone is that in memory.
    #[serde(default)]
    pub spool: Spool,
    /// The built-in server that players may pull the stream from.
    pub origin: Option<Origin>,
    /// What is logged, and where; flags of the command line win.
    #[serde(default)]
    pub log: Log,
}

fn ffmpeg() -> PathBuf {
    "ffmpeg".into()
}

/// How encoders are fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Feed {
    /// One ffmpeg decodes once and encodes every rendition.
    Shared,
    /// One ffmpeg for each rendition, each opening the input.
    Each,
    /// The input (a command's output, or standard input) is read once and copied to every encoder.
    FanOut,
}

/// Where media come from.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// "test" for the built-in pattern with a clock and a tone, "-" for standard input, or anything that
    /// ffmpeg opens: a file, a device, a URL.
    #[schemars(example = &"test", example = &"rtsp://camera/stream", example = &"-")]
    pub url: Option<String>,
    /// Instead: a shell command that writes media to its standard output. `{url}` in it is `input.url`.
    #[schemars(example = &"cat {url}")]
    pub command: Option<String>,
    /// Extra ffmpeg input options.
    #[serde(default)]
    pub args: Vec<String>,
    /// When encoders are begun again; "on-failure" if absent, "never" for standard input and for a playlist that is
    /// written once.
    pub restart: Option<Restart>,
}

/// When encoders are begun again: all of them, and the input's command with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Their end is the stream's.
    Never,
    /// When one of them, or the input's command, fails after the first segment.
    OnFailure,
    /// At the input's end too, and where it is not there at first.
    Always,
}

/// How the stream is presented.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Output {
    /// A folder to put the stream in: shorthand for one destination.
    #[schemars(example = &"live")]
    pub directory: Option<PathBuf>,
    /// What segments are made of: "ts" (MPEG transport stream, if absent), "cmaf" (fragmented MP4), or a list of both,
    /// of which the first is what viewers open.
    #[schemars(example = &"cmaf")]
    pub format: Formats,
    /// Whether sound stands in the same CMAF segments as pictures; else each audio track has a playlist of its own.
    pub muxed: bool,
    /// Whether CMAF fragments tell when they were made, by this machine's clock (prft): players that read it know how far
    /// they are behind.
    pub prft: bool,
    /// The segment duration aimed at; 6s if absent.
    #[schemars(example = &"4s", example = 2.5)]
    pub segment: Written<Duration>,
    /// The duration of a part (EXT-X-PART) aimed at: the origin then serves with low latency. Destinations get the same
    /// whole segments.
    #[schemars(example = &"333ms")]
    pub part: Option<Written<Duration>>,
    /// Segments in a live playlist, more where three target durations need more; 6 if absent.
    pub window: Option<u32>,
    /// What kind of playlist is kept.
    pub playlist: Playlist,
    /// Put before each file name in the playlists; empty for names relative to the playlist.
    #[schemars(example = &"https://cdn.example/live/")]
    pub url_prefix: String,
    /// Whether EXT-X-PROGRAM-DATE-TIME is written; true if absent.
    pub program_date_time: bool,
    /// The multivariant playlist's name; "index.m3u8" if absent, empty for none (one rendition only).
    pub multivariant: String,
}

impl Default for Output {
    fn default() -> Self {
        Self {
            directory: None,
            format: Formats::default(),
            muxed: false,
            prft: false,
            part: None,
            segment: Written(Duration::from_secs(6)),
            window: None,
            playlist: Playlist::Live,
            url_prefix: String::new(),
            program_date_time: true,
            multivariant: "index.m3u8".into(),
        }
    }
}

/// What kind of playlist is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Playlist {
    /// A sliding window of the newest segments.
    Live,
    /// Grows; nothing leaves it.
    Event,
    /// Written once, at the end.
    Vod,
}

/// One rung of the ladder.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rendition {
    /// Its name, unique in the channel; folders and files are named after it.
    #[schemars(example = &"720p")]
    pub name: String,
    /// Video settings; none for audio only.
    pub video: Option<Video>,
    /// Audio settings; none for video only.
    pub audio: Option<Audio>,
    /// Encoder options added behind ours.
    #[serde(default)]
    pub args: Vec<String>,
    /// A shell command that replaces ffmpeg's whole line and writes MPEG-TS to its standard output.
    #[schemars(example = &"ffmpeg -i - -c copy -f mpegts -")]
    pub command: Option<String>,
    /// Peak bits per second in the multivariant playlist, at least: more if more is measured; measured if absent.
    #[schemars(example = &"3M")]
    pub bandwidth: Option<Written<Bitrate>>,
    /// The media playlist's name; `<name>/index.m3u8` if absent.
    pub playlist: Option<String>,
    /// What stands before the number in a segment's name; `<name>/<name>-` if absent.
    pub segment_prefix: Option<String>,
}

/// Video settings.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Video {
    /// "h264", "hevc", "mpeg2", "copy", or an ffmpeg encoder's own name.
    #[serde(default = "h264")]
    #[schemars(example = &"h264", example = &"h264_nvenc")]
    pub codec: String,
    /// Width and height; the input's if absent.
    #[schemars(example = &"1280x720")]
    pub size: Option<Written<Size>>,
    /// Bits per second.
    #[schemars(example = &"2800k")]
    pub bitrate: Option<Written<Bitrate>>,
    /// The encoder's preset.
    #[schemars(example = &"veryfast")]
    pub preset: Option<String>,
    /// Frames a second; the input's if absent.
    #[schemars(example = 30, example = &"30000/1001")]
    pub fps: Option<Written<Rate>>,
}

fn h264() -> String {
    "h264".into()
}

/// Audio settings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Audio {
    /// "aac", "mp3", "ac3", "copy", or an ffmpeg encoder's own name.
    #[serde(default = "aac")]
    #[schemars(example = &"aac")]
    pub codec: String,
    /// Bits per second.
    #[schemars(example = &"128k")]
    pub bitrate: Option<Written<Bitrate>>,
    /// Channels; the input's if absent.
    #[schemars(example = 2)]
    pub channels: Option<u8>,
    /// Samples a second; the input's if absent.
    #[schemars(example = 48_000)]
    pub sample_rate: Option<u32>,
    /// Which of the input's audio tracks are taken.
    #[serde(default)]
    pub tracks: Tracks,
}

/// Which of the input's audio tracks a rendition has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tracks {
    /// The first.
    #[default]
    First,
    /// All of them, each a choice of the viewer's where tracks have playlists of their own.
    All,
}

fn aac() -> String {
    "aac".into()
}

/// Where segments wait that a destination has not taken yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "MemoryOrSpool")]
pub struct Spool {
    /// What may wait in memory.
    pub memory: Option<Written<Bytes>>,
    /// The folder for what is beyond that.
    pub directory: Option<PathBuf>,
    /// What may wait in that folder.
    pub disk: Option<Written<Bytes>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum MemoryOrSpool {
    Memory(Written<Bytes>),
    Spool(SpoolTable),
}

/// Where segments wait that a destination has not taken yet; an amount alone is that in memory.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SpoolTable {
    /// What may wait in memory, for all destinations together; 256MiB if absent.
    #[schemars(example = &"512MiB")]
    memory: Option<Written<Bytes>>,
    /// The folder for what is beyond that; one of segcast's own among the system's temporary files if absent.
    #[schemars(example = &"/var/spool/segcast")]
    directory: Option<PathBuf>,
    /// What may wait in that folder; 2GiB if absent, 0 for none.
    #[schemars(example = &"10GiB")]
    disk: Option<Written<Bytes>>,
}

impl From<MemoryOrSpool> for Spool {
    fn from(written: MemoryOrSpool) -> Self {
        match written {
            MemoryOrSpool::Memory(memory) => Self { memory: Some(memory), ..Self::default() },
            MemoryOrSpool::Spool(SpoolTable { memory, directory, disk }) => Self { memory, directory, disk },
        }
    }
}

impl JsonSchema for Spool {
    fn schema_name() -> Cow<'static, str> {
        "Spool".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = SpoolTable::json_schema(generator);
        schema.insert("type".into(), ["object", "string", "number"].as_slice().into());
        schema.insert("x-kind".into(), Bytes::NAME.into());
        schema.insert("pattern".into(), Bytes::PATTERN.into());
        schema
    }
}

/// The built-in server that players may pull the stream from: the stream at /index.m3u8, a page at /.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Origin {
    /// Where players come in; 127.0.0.1:8080 if absent. A port alone is one that only this machine can reach.
    #[schemars(example = &"127.0.0.1:8080", example = &"0.0.0.0:80", example = 8080)]
    pub listen: Option<Written<Address>>,
    /// For https: a PEM file with the certificate, and those between it and an authority.
    #[schemars(example = &"/etc/segcast/fullchain.pem")]
    pub certificate: Option<PathBuf>,
    /// A PEM file with the certificate's private key.
    #[schemars(example = &"/etc/segcast/privkey.pem")]
    pub key: Option<PathBuf>,
    /// Who is let in; everybody if absent.
    #[schemars(example = &"viewer")]
    pub user: Option<String>,
    /// That user's password.
    #[schemars(example = &"${PASSWORD}")]
    pub password: Option<String>,
    /// A file with that user's password.
    #[schemars(example = &"/run/secrets/password")]
    pub password_file: Option<String>,
    /// Instead of a user: a token that is sent as `Authorization: Bearer`.
    #[schemars(example = &"${TOKEN}")]
    pub token: Option<String>,
    /// A file with that token.
    #[schemars(example = &"/run/secrets/token")]
    pub token_file: Option<String>,
    /// Address of the player script that the page loads for browsers without HLS of their own; hls.js at a public
    /// address if absent, empty for none.
    #[schemars(example = &"https://cdn.jsdelivr.net/npm/hls.js@1")]
    pub player: Option<String>,
    /// Origins whose pages may play the stream; all if absent.
    #[schemars(example = &["https://news.example"])]
    pub cors: Option<Vec<String>>,
    /// How long those who watch are served the rest, at most, once the stream has ended; 30s if absent.
    #[schemars(example = &"30s")]
    pub linger: Option<Written<Duration>>,
}

/// What is logged, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// The least grave messages that are logged.
    pub level: Option<Level>,
    /// How a message is written.
    pub format: Option<LogFormat>,
    /// The file that is written to; "-" for standard output, standard error if absent.
    #[schemars(example = &"segcast.log")]
    pub file: Option<PathBuf>,
}

/// How grave a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// What ends something.
    Error,
    /// What is wrong but goes on.
    Warn,
    /// What is worth knowing.
    Info,
    /// What helps to find a fault.
    Debug,
    /// Everything.
    Trace,
}

/// How a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}
