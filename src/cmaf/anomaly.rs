//! What of a stream does not become fragments.

use std::fmt;

use crate::codec::Codec;
use crate::ts::Pid;

/// Something of a stream that was left out. The rest goes on. Each kind is told once for a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// The stream.
    pub pid: Pid,
    /// What it is.
    pub kind: AnomalyKind,
}

/// The kinds of [`Anomaly`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnomalyKind {
    /// Fragments do not carry this coding: the stream is left out.
    Unsupported(Codec),
    /// A second stream of pictures: left out.
    AnotherVideo,
    /// Frames whose decoder configuration nothing tells were left out.
    ConfigurationAbsent,
    /// Video whose parameter sets are missing, or cannot be read, was left out.
    ParameterSets,
    /// Frames of another format in mid-segment, which its initialization does not describe, were left out.
    LateFormat,
    /// ADTS frames with several blocks of sound, which cannot be told apart, were left out.
    CompoundFrame,
}

impl AnomalyKind {
    /// A short name, the same for all anomalies of a kind: for counting.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unsupported(_) => "not for cmaf",
            Self::AnotherVideo => "another video stream",
            Self::ConfigurationAbsent => "configuration absent",
            Self::ParameterSets => "parameter sets unreadable",
            Self::LateFormat => "late format",
            Self::CompoundFrame => "compound frame",
        }
    }
}

impl fmt::Display for AnomalyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported(codec) => {
                let other = if codec.is_video() { "H.264 or HEVC" } else { "AAC, AC-3, E-AC-3 or Opus" };
                write!(
                    f,
                    "{} cannot be carried in CMAF here and is left out: convert it to {other}, or use format ts",
                    codec.name()
                )
            }
            Self::AnotherVideo => f.write_str("a second video stream; left out"),
            Self::ParameterSets => f.write_str(
                "video frames left out: their SPS or PPS is missing or cannot be read, so that nothing describes them",
            ),
            Self::ConfigurationAbsent => f.write_str("frames without a decoder configuration left out"),
            Self::LateFormat => f.write_str("frames of another format in mid-segment left out"),
            Self::CompoundFrame => f.write_str("ADTS frames with several blocks left out"),
        }
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PID {}: {}", self.pid, self.kind)
    }
}
