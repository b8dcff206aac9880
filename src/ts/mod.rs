//! MPEG-2 transport streams (ISO/IEC 13818-1:2019, whose clauses are meant by a bare § here): bytes in any
//! chunking become packets, tables, PES packets and the access units at their heads.
//!
//! - [`Demuxer`]: bytes in, [`Event`]s out; the way in for everybody who follows a stream.
//! - [`Packet`], [`packets`]: transport packets seen in place.
//! - [`Program`], [`Stream`]: what a PMT says; [`packetize`] and [`pat_section`] write tables.
//! - [`Anomaly`]: what was wrong, where. Nothing here logs, and no bytes make it panic.
//!
//! Cutting is not done here but in [`segment`](crate::segment).

mod anomaly;
mod demux;
mod early;
mod event;
mod framing;
mod inside;
mod packet;
pub mod pes;
mod programs;
mod psi;
pub mod section;
mod split;
mod table;
mod track;

pub use anomaly::{Anomaly, AnomalyKind};
pub use demux::{Demuxer, Events};
pub use event::{Event, Inside, PesStart, Run};
pub use packet::{AdaptationField, PACKET_LEN, Packet, Pcr, Pid, SYNC_BYTE, packets};
pub use programs::Selection;
pub use psi::{Pat, Program, Service, Stream, find, packetize, pat_section};
pub(crate) use split::{insert, split};

/// Why bytes are not what they were read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Too few bytes.
    #[error("expected {needed} bytes, found {found}")]
    Short {
        /// Bytes that it takes.
        needed: usize,
        /// Bytes that there were.
        found: usize,
    },
    /// No sync byte.
    #[error("expected the sync byte 0x47, found {found:#04x}")]
    Sync {
        /// The byte in its place.
        found: u8,
    },
    /// An adaptation field longer than its packet.
    #[error("adaptation field of {len} bytes runs over the packet")]
    AdaptationField {
        /// Its length byte.
        len: u8,
    },
}
