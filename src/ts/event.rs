//! What a stream gives.

use std::sync::Arc;

use bytes::Bytes;

use super::Pid;
use super::anomaly::Anomaly;
use super::packet::{Packet, Pcr};
use super::psi::Program;
use crate::codec::{AccessUnit, Format};
use crate::time::Ticks;

/// What a stream gives, in its order.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A followed program's table came, or changed.
    Program(Arc<Program>),
    /// A PES packet starts; the packets that carry it follow.
    Pes(PesStart),
    /// A stream's format became known, or another.
    Format {
        /// The stream.
        pid: Pid,
        /// What it is from here on.
        format: Format,
    },
    /// An access unit begins inside the PES packet in hand; the packet with its first byte follows. It is reported of
    /// streams whose PES packets are not one access unit each: of each access unit of video, and of the first audio frame
    /// that begins in a PES packet.
    Begin(PesStart),
    /// The PES packet in hand begins with the rest of an access unit that began in an earlier one. It comes in place of
    /// [`Event::AccessUnit`].
    Rest {
        /// The stream.
        pid: Pid,
    },
    /// What begins with the PES packet in hand or inside it; it comes as soon as the first bytes tell.
    AccessUnit {
        /// The stream.
        pid: Pid,
        /// What it is.
        unit: AccessUnit,
    },
    /// Packets of one followed PID, shared with the pushed chunk.
    Packets(Run),
    /// The PES packet in hand is whole.
    PesEnd {
        /// The stream.
        pid: Pid,
    },
    /// A program clock reference; the packet that carries it follows.
    Pcr {
        /// Where it came.
        pid: Pid,
        /// Offset of its packet, in bytes.
        at: u64,
        /// The clock.
        pcr: Pcr,
    },
    /// discontinuity_indicator: the packet that carries it follows.
    Discontinuity {
        /// Where it came.
        pid: Pid,
        /// Offset of its packet, in bytes.
        at: u64,
    },
    /// Something is wrong.
    Anomaly(Anomaly),
}

/// The start of a PES packet, or of an access unit inside one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PesStart {
    /// The stream.
    pub pid: Pid,
    /// Offset of its first transport packet, in bytes.
    pub at: u64,
    /// stream_id.
    pub stream_id: u8,
    /// When it is presented, on the unwrapped 90 kHz line.
    pub pts: Option<Ticks>,
    /// When it is decoded; the PTS where no DTS is given.
    pub dts: Option<Ticks>,
    /// Bytes of the whole PES packet, if it says so.
    pub len: Option<usize>,
    /// random_access_indicator.
    pub is_marked_random_access: bool,
    /// Where an access unit begins that begins inside a PES packet.
    pub inside: Option<Inside>,
}

/// Where an access unit begins inside a PES packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inside {
    /// Its first byte in the payload of the packet.
    pub offset: u8,
    /// Whether its times follow from those of access units before it: it has none of its own.
    pub is_estimated: bool,
}

/// Successive packets of one PID that lie back to back in one chunk. How a stretch is divided into runs depends
/// on how the stream was cut into chunks; nothing else does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The stream.
    pub pid: Pid,
    /// Offset of the first packet, in bytes.
    pub at: u64,
    /// Whole packets of 188 bytes.
    pub bytes: Bytes,
}

impl Run {
    /// The packets, seen in place.
    pub fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        super::packet::packets(&self.bytes)
    }
}
