//! What is to be encoded: an input, the renditions made of it, and how the encoders are fed.

use std::path::PathBuf;
use std::time::Duration;

use crate::time::Rate;

/// Everything that the encoders' command lines are made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Ladder {
    /// The ffmpeg binary; `ffmpeg` is looked up in `PATH`.
    pub ffmpeg: PathBuf,
    /// Where media come from.
    pub input: Input,
    /// How encoders are fed.
    pub feed: Feed,
    /// The segment grid on which key frames are forced.
    pub segment: Duration,
    /// What is made, best first or as configured.
    pub renditions: Vec<Rendition>,
    /// Whether encoders may look ahead.
    pub latency: Latency,
}

/// What an encoder may spend time on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Latency {
    /// As the encoder likes it: pictures wait for later ones, sound for full packets.
    #[default]
    Normal,
    /// Each picture and each frame of sound goes out as soon as it is encoded.
    Low,
}

/// Where media come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The built-in moving pattern with a clock and a tone.
    Test {
        /// Extra ffmpeg input options, such as `-re`.
        args: Vec<String>,
    },
    /// Anything that ffmpeg opens: a file, a device, a URL.
    Url {
        /// As ffmpeg takes it.
        url: String,
        /// Extra ffmpeg input options.
        args: Vec<String>,
    },
    /// Our own standard input.
    Stdin {
        /// Extra ffmpeg input options.
        args: Vec<String>,
    },
    /// A shell command that writes media to its standard output.
    Command {
        /// Run by `sh -c`.
        shell: String,
        /// Extra ffmpeg input options.
        args: Vec<String>,
    },
}

impl Input {
    /// Whether media come to the encoders by their standard input.
    pub fn is_piped(&self) -> bool {
        matches!(self, Self::Stdin { .. } | Self::Command { .. })
    }
}

/// How encoders are fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// One ffmpeg decodes once and encodes every rendition that has no command of its own.
    Shared,
    /// One ffmpeg for each rendition, each opening the input. For files and the built-in pattern: two that
    /// join a live input at different moments do not give the same picture the same timestamp.
    Each,
    /// The input is read once (a source command's output, or our standard input) and copied to every
    /// encoder's standard input; one that cannot keep up is dropped.
    FanOut,
}

/// One rung of the ladder.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendition {
    /// Its name, unique in the channel.
    pub name: String,
    /// Video settings; none for audio only.
    pub video: Option<Video>,
    /// Audio settings; none for video only.
    pub audio: Option<Audio>,
    /// Encoder options added behind ours.
    pub args: Vec<String>,
    /// A shell command that replaces ffmpeg's whole line: reads standard input (fan-out) or its own input,
    /// writes MPEG-TS to standard output.
    pub command: Option<String>,
}

/// Video settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Video {
    /// `h264`, `hevc`, `mpeg2`, `copy`, or an ffmpeg encoder's own name such as `h264_nvenc`.
    pub codec: String,
    /// Width and height in pixels; the input's if none.
    pub size: Option<(u32, u32)>,
    /// Bits per second.
    pub bitrate_bps: Option<u64>,
    /// The encoder's preset.
    pub preset: Option<String>,
    /// Frames a second; the input's if none.
    pub fps: Option<Rate>,
}

/// Audio settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Audio {
    /// `aac`, `mp3`, `ac3`, `copy`, or an ffmpeg encoder's own name.
    pub codec: String,
    /// Bits per second.
    pub bitrate_bps: Option<u64>,
    /// Channels; the input's if none.
    pub channels: Option<u8>,
    /// Samples a second; the input's if none.
    pub sample_rate_hz: Option<u32>,
    /// Which of the input's audio tracks are taken.
    pub tracks: Tracks,
}

/// Which of the input's audio tracks a rendition has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tracks {
    /// The first.
    #[default]
    First,
    /// All of them, in their order.
    All,
}
