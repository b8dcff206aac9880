//! What an elementary stream says of itself.
//!
//! An [`Examiner`] is fed the payload of each PES packet of one stream. From as few bytes as will do it tells
//! whether a random access point begins there ([`AccessUnit`]) and what the stream is ([`Format`]).

use crate::time::Rate;

/// The coding of an elementary stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// H.264 / AVC video.
    H264,
    /// H.265 / HEVC video.
    Hevc,
    /// MPEG-2 (and MPEG-1) video.
    Mpeg2Video,
    /// AAC in ADTS frames.
    AacAdts,
    /// AAC in LATM/LOAS frames.
    AacLatm,
    /// MPEG-1/2 audio, layers I to III.
    MpegAudio,
    /// AC-3.
    Ac3,
    /// Enhanced AC-3.
    Eac3,
    /// Opus.
    Opus,
    /// Timed ID3 metadata.
    Id3,
    /// SCTE-35 splice information.
    Scte35,
    /// DVB subtitles.
    DvbSubtitle,
    /// EBU teletext.
    Teletext,
    /// KLV metadata (SMPTE ST 336).
    Klv,
    /// Anything else: passed through untouched.
    Other,
}

/// How a decoder may begin at a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RandomAccess {
    /// Nothing after it refers to anything before it: IDR, BLA without leading pictures, a closed GOP.
    Closed,
    /// Itself whole, but pictures that are shown before it may refer to earlier ones: CRA, BLA with leading
    /// pictures, a recovery point of zero frames, an open GOP.
    Open,
    /// Decoding begins here and is whole after so many frames (recovery point of an intra-refresh stream).
    Gradual {
        /// Frames until the picture is whole.
        frames: u32,
    },
}

/// What the first access unit of a PES packet showed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccessUnit {
    /// Set if a decoder can begin here.
    pub random_access: Option<RandomAccess>,
    /// Whether the parameter sets that a decoder needs stand in it. True for codings that have none.
    pub has_parameter_sets: bool,
    /// Whether the stream's format became known or became another one with this access unit.
    pub is_new_format: bool,
}

/// What is known of a stream from its own headers.
#[derive(Clone, Debug, PartialEq)]
pub enum Format {
    /// Pictures.
    Video(Video),
    /// Sound.
    Audio(Audio),
}

/// A video stream's format.
#[derive(Clone, Debug, PartialEq)]
pub struct Video {
    /// Its coding.
    pub codec: Codec,
    /// The `CODECS` string (RFC 6381), such as `avc1.64001f`. None where the coding has none.
    pub rfc6381: Option<String>,
    /// Width in pixels, after cropping.
    pub width: u32,
    /// Height in pixels, after cropping.
    pub height: u32,
    /// Pictures a second, where the stream says so.
    pub frame_rate: Option<Rate>,
    /// Whether pictures may be coded as fields.
    pub is_interlaced: bool,
}

/// An audio stream's format.
#[derive(Clone, Debug, PartialEq)]
pub struct Audio {
    /// Its coding.
    pub codec: Codec,
    /// The `CODECS` string (RFC 6381), such as `mp4a.40.2`.
    pub rfc6381: Option<String>,
    /// Samples a second.
    pub sample_rate_hz: u32,
    /// Channels, the low-frequency one counted.
    pub channels: u8,
    /// Samples in one frame, per channel.
    pub samples_per_frame: u32,
}
