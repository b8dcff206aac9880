//! What can be wrong with a stream that is read all the same.

use std::fmt;

use super::Pid;

/// Something wrong in a stream: where it is, and what was done about it. The stream goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// Offset of the packet (or of the first skipped byte) from the start of the stream, in bytes.
    pub at: u64,
    /// The PID, where it is one stream's trouble.
    pub pid: Option<Pid>,
    /// What it is.
    pub kind: AnomalyKind,
}

/// The kinds of [`Anomaly`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnomalyKind {
    /// Bytes that are no transport packets were skipped.
    Garbage {
        /// How many.
        bytes: u64,
    },
    /// The stream ended in mid-packet.
    TruncatedPacket {
        /// Bytes of it that were there.
        bytes: usize,
    },
    /// transport_error_indicator is set; the packet was left out.
    TransportError,
    /// Payloads are scrambled from here on: passed through, not looked into.
    Scrambled,
    /// adaptation_field_control has its reserved value; the packet was left out.
    ReservedAdaptationControl,
    /// The adaptation field is longer than the packet; the packet was passed through, not looked into.
    AdaptationField,
    /// Packets are missing.
    ContinuityGap {
        /// The counter that should have come.
        expected: u8,
        /// The counter that came.
        found: u8,
    },
    /// The packet before was sent once more; the copy was left out.
    Duplicate,
    /// A section whose CRC does not hold was dropped.
    SectionCrc,
    /// A section that cannot be read was dropped.
    Section,
    /// Packets that arrived before the tables of a program, and further back than is kept, were dropped.
    BeforeTables {
        /// Their bytes.
        bytes: u64,
    },
    /// More streams than are followed at once; the rest were left out.
    TooManyStreams,
    /// A payload unit starts without a PES header that can be read.
    PesHeader,
    /// A PES packet is shorter than it said.
    PesTruncated {
        /// Bytes missing.
        missing: u64,
    },
    /// The bitstream and random_access_indicator do not agree; the bitstream was believed.
    RandomAccess {
        /// What the indicator said.
        indicated: bool,
    },
    /// A random access point comes without the parameter sets that a decoder needs.
    ParameterSetsAbsent,
    /// Pictures before the first random access point, which nothing can decode, were left out.
    Undecodable {
        /// Their packets.
        packets: u64,
    },
    /// No random access point came in time: the segment was cut at another picture.
    RandomAccessMissing,
    /// Random access points lie too far apart for segments as short as asked for.
    SparseRandomAccess {
        /// Their distance, in milliseconds.
        spacing_ms: u32,
        /// The duration asked for, in milliseconds.
        target_ms: u32,
    },
    /// A segment lasts longer than the target duration allows: pictures were away for so long.
    SegmentTooLong {
        /// Its duration, in milliseconds.
        duration_ms: u32,
        /// EXT-X-TARGETDURATION.
        target_duration_s: u32,
    },
    /// Video does not arrive, or stopped, while audio does: segments follow the audio clock from here on.
    VideoMissing,
    /// Video arrives again.
    VideoResumed,
    /// A picture arrived so late that its segment had ended long before; it was left out.
    LatePicture,
    /// Timestamps jumped.
    TimestampJump {
        /// By so many ticks of 90 kHz.
        by: i64,
    },
    /// A PES packet did not end for so long that the segment it began in could not wait for it.
    PesTooLong,
    /// One access unit lasts longer than a part is to last.
    PartTooLong,
}

impl AnomalyKind {
    /// What it amounts to, and in which unit, where kinds of it can be added up.
    pub const fn amount(&self) -> Option<(u64, &'static str)> {
        match self {
            Self::Garbage { bytes } | Self::BeforeTables { bytes } => Some((*bytes, "bytes")),
            Self::PesTruncated { missing } => Some((*missing, "bytes")),
            Self::Undecodable { packets } => Some((*packets, "packets")),
            Self::ContinuityGap { expected, found } => {
                Some(((found.wrapping_sub(*expected) & 0x0f) as u64, "packets at least"))
            }
            _ => None,
        }
    }

    /// A short name, the same for all anomalies of a kind: for counting.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Garbage { .. } => "garbage",
            Self::TruncatedPacket { .. } => "truncated packet",
            Self::TransportError => "transport error",
            Self::Scrambled => "scrambled",
            Self::ReservedAdaptationControl => "reserved adaptation control",
            Self::AdaptationField => "adaptation field",
            Self::ContinuityGap { .. } => "continuity gap",
            Self::Duplicate => "duplicate packet",
            Self::SectionCrc => "section crc",
            Self::Section => "section",
            Self::BeforeTables { .. } => "before the tables",
            Self::TooManyStreams => "too many streams",
            Self::PesHeader => "pes header",
            Self::PesTruncated { .. } => "pes truncated",
            Self::RandomAccess { .. } => "random access indicator",
            Self::ParameterSetsAbsent => "parameter sets absent",
            Self::Undecodable { .. } => "undecodable lead",
            Self::RandomAccessMissing => "random access point missing",
            Self::SparseRandomAccess { .. } => "keyframes too far apart",
            Self::SegmentTooLong { .. } => "segment too long",
            Self::VideoMissing => "video missing",
            Self::VideoResumed => "video resumed",
            Self::LatePicture => "late picture left out",
            Self::TimestampJump { .. } => "timestamp jump",
            Self::PesTooLong => "pes too long",
            Self::PartTooLong => "part too long",
        }
    }
}

impl fmt::Display for AnomalyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Garbage { bytes } => write!(f, "{bytes} bytes that are no transport packets"),
            Self::BeforeTables { bytes } => {
                write!(f, "{bytes} bytes dropped that arrived too long before PAT and PMT")
            }
            Self::TruncatedPacket { bytes } => write!(f, "the stream ends {bytes} bytes into a packet"),
            Self::ContinuityGap { expected, found } => {
                write!(f, "continuity counter {found} where {expected} was due")
            }
            Self::PesTruncated { missing } => write!(f, "PES packet {missing} bytes shorter than it said"),
            Self::RandomAccess { indicated: true } => {
                f.write_str("random_access_indicator set where none is in the bitstream")
            }
            Self::RandomAccess { indicated: false } => {
                f.write_str("random access point without random_access_indicator")
            }
            Self::Undecodable { packets } => {
                write!(f, "{packets} packets before the first random access point left out")
            }
            Self::SparseRandomAccess { spacing_ms, target_ms } => {
                let [every, wanted] = [spacing_ms, target_ms].map(|ms| f64::from(*ms) / 1000.0);
                write!(
                    f,
                    "keyframes every {every:.1} s: set the encoder's GOP to {wanted:.1} s, or segment = {every:.0}s"
                )
            }
            Self::SegmentTooLong { duration_ms, target_duration_s } => {
                let duration = f64::from(*duration_ms) / 1000.0;
                write!(
                    f,
                    "segment of {duration:.3} s exceeds the target duration of {target_duration_s} s: no keyframe in time"
                )
            }
            Self::VideoMissing => {
                f.write_str("no video arrives while audio does: segments follow the audio clock")
            }
            Self::TimestampJump { by } => write!(f, "timestamps jumped by {:.3} s", *by as f64 / 90_000.0),
            other => f.write_str(other.name()),
        }
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "byte {}, PID {pid}: {}", self.at, self.kind),
            None => write!(f, "byte {}: {}", self.at, self.kind),
        }
    }
}
