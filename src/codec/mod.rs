//! What an elementary stream says of itself.
//!
//! An [`Examiner`] is fed the payload of each PES packet of one stream. From as few bytes as will do it tells
//! whether a random access point begins there ([`AccessUnit`]) and what the stream is ([`Format`]). It reads
//! headers and parameter sets only; pictures and sound are never decoded, and nothing is kept of them.
//!
//! One file for each coding; `picture` and `sound` hold what codings of pictures and of sound share.
//!
//! ```
//! use segcast::codec::{Codec, Examiner, RandomAccess};
//!
//! let mut examiner = Examiner::new(Codec::MpegAudio);
//! examiner.begin();
//! let unit = examiner.push(&[0xff, 0xfd, 0xa4, 0x00]).expect("a frame header stands here");
//! assert_eq!(unit.random_access, Some(RandomAccess::Closed));
//! assert_eq!(examiner.format().and_then(|format| format.rfc6381()), Some("mp4a.40.33"));
//! ```
//!
//! Editions: ITU-T H.262 (02/2012), H.264 (08/2021), H.265 (08/2021), ISO/IEC 14496-3:2009, 14496-15:2022.

pub(crate) mod aac;
pub(crate) mod ac3;
pub(crate) mod access;
pub(crate) mod bits;
mod colour;
mod examiner;
mod frame_rate;
pub(crate) mod frames;
pub(crate) mod h264;
pub(crate) mod hevc;
pub(crate) mod latm;
mod mpeg2;
pub(crate) mod mpeg_audio;
pub(crate) mod opus;
pub(crate) mod parameter_sets;
pub(crate) mod picture;
pub(crate) mod record;
pub(crate) mod sound;
pub(crate) mod start_code;
#[cfg(test)]
mod testing;

pub use colour::Colour;
pub use examiner::Examiner;
pub use frame_rate::FrameRate;

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
    /// MPEG-4 part 2 video. Like those below that name no reader, it is known by name alone.
    Mpeg4Video,
    /// H.266 / VVC video; by name alone.
    Vvc,
    /// AV1 video; by name alone.
    Av1,
    /// VP9 video; by name alone.
    Vp9,
    /// VC-1 video; by name alone.
    Vc1,
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
    /// DTS, DTS-HD, DTS-UHD; by name alone.
    Dts,
    /// AC-4; by name alone.
    Ac4,
    /// MPEG-H 3D audio; by name alone.
    MpegH,
    /// Dolby TrueHD; by name alone.
    TrueHd,
    /// Linear PCM; by name alone.
    Lpcm,
    /// G.711, A-law or µ-law; by name alone.
    G711,
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

impl Codec {
    /// Whether it codes pictures.
    pub const fn is_video(self) -> bool {
        matches!(
            self,
            Self::H264
                | Self::Hevc
                | Self::Mpeg2Video
                | Self::Mpeg4Video
                | Self::Vvc
                | Self::Av1
                | Self::Vp9
                | Self::Vc1
        )
    }

    /// Whether it codes sound.
    pub const fn is_audio(self) -> bool {
        matches!(
            self,
            Self::AacAdts
                | Self::AacLatm
                | Self::MpegAudio
                | Self::Ac3
                | Self::Eac3
                | Self::Opus
                | Self::Dts
                | Self::Ac4
                | Self::MpegH
                | Self::TrueHd
                | Self::Lpcm
                | Self::G711
        )
    }

    /// Whether an [`Examiner`] reads its headers: then streams have a [`Format`], and random access points are known
    /// from the bitstream.
    pub const fn is_read(self) -> bool {
        matches!(
            self,
            Self::H264
                | Self::Hevc
                | Self::Mpeg2Video
                | Self::AacAdts
                | Self::AacLatm
                | Self::MpegAudio
                | Self::Ac3
                | Self::Eac3
                | Self::Opus
        )
    }

    /// Whether HTTP Live Streaming has no way to carry it in transport stream segments: nothing plays it there.
    pub const fn is_unplayable_in_ts(self) -> bool {
        matches!(self, Self::Av1 | Self::Vp9 | Self::G711 | Self::Lpcm)
    }

    /// Its name, for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::H264 => "H.264",
            Self::Hevc => "HEVC",
            Self::Mpeg2Video => "MPEG-2 video",
            Self::Mpeg4Video => "MPEG-4 part 2 video",
            Self::Vvc => "VVC",
            Self::Av1 => "AV1",
            Self::Vp9 => "VP9",
            Self::Vc1 => "VC-1",
            Self::AacAdts => "AAC",
            Self::AacLatm => "AAC (LATM)",
            Self::MpegAudio => "MP3/MP2",
            Self::Ac3 => "AC-3",
            Self::Eac3 => "E-AC-3",
            Self::Opus => "Opus",
            Self::Dts => "DTS",
            Self::Ac4 => "AC-4",
            Self::MpegH => "MPEG-H",
            Self::TrueHd => "TrueHD",
            Self::Lpcm => "LPCM",
            Self::G711 => "G.711",
            Self::Id3 => "ID3",
            Self::Scte35 => "SCTE-35",
            Self::DvbSubtitle => "DVB subtitles",
            Self::Teletext => "teletext",
            Self::Klv => "KLV",
            Self::Other => "other",
        }
    }
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

impl RandomAccess {
    /// Whether everything from here on can be decoded without anything before it.
    pub const fn is_independent(self) -> bool {
        matches!(self, Self::Closed)
    }
}

/// What the first access unit of a PES packet showed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccessUnit {
    /// Set if a decoder can begin here.
    pub random_access: Option<RandomAccess>,
    /// Whether the parameter sets that a decoder needs stand in it: SPS and PPS, with HEVC the VPS too; the
    /// sequence header; LATM's StreamMuxConfig. True for codings that have none.
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

impl Format {
    /// The `CODECS` string (RFC 6381), where the coding has one.
    pub fn rfc6381(&self) -> Option<&str> {
        match self {
            Self::Video(video) => video.rfc6381.as_deref(),
            Self::Audio(audio) => audio.rfc6381.as_deref(),
        }
    }

    /// The coding. Where the bitstream contradicts what the PMT said (E-AC-3 called AC-3), the bitstream's.
    pub const fn codec(&self) -> Codec {
        match self {
            Self::Video(video) => video.codec,
            Self::Audio(audio) => audio.codec,
        }
    }
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
    /// Frames a second, where the stream says so; fields, where each picture is one field (HEVC's field_seq).
    /// A header may be wrong about it: [`FrameRate`] measures.
    pub frame_rate: Option<Rate>,
    /// Whether pictures may be coded as fields.
    pub is_interlaced: bool,
    /// How its samples stand for colours, where the stream says so.
    pub colour: Option<Colour>,
    /// Width and height of a sample (SAR), where the stream says so.
    pub sample_aspect: Option<(u16, u16)>,
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
    /// Channels, the low-frequency one counted; 0 where the stream does not say.
    pub channels: u8,
    /// Samples in one frame, per channel.
    pub samples_per_frame: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_closed_point_is_independent() {
        assert!(RandomAccess::Closed.is_independent());
        assert!(!RandomAccess::Open.is_independent());
        assert!(!RandomAccess::Gradual { frames: 3 }.is_independent());
    }

    #[test]
    fn a_coding_is_of_pictures_or_of_sound_or_of_neither() {
        assert!(Codec::Hevc.is_video() && !Codec::Hevc.is_audio());
        assert!(Codec::Opus.is_audio() && !Codec::Opus.is_video());
        assert!(Codec::Dts.is_audio() && !Codec::Dts.is_read());
        assert!(Codec::Av1.is_video() && !Codec::Av1.is_audio());
        assert!(!Codec::Scte35.is_audio() && !Codec::Scte35.is_video());
    }
}
