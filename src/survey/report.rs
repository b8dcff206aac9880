//! What a survey found, as plain values.

use std::time::Duration;

use crate::codec::{Codec, Format};
use crate::time::Ticks;
use crate::ts::{Anomaly, Pid};

/// What a stream is made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Its programs, in the order in which their tables came.
    pub programs: Vec<Program>,
    /// The longest program's duration.
    pub duration: Duration,
    /// What was wrong, by kind, in the order in which the kinds first came.
    pub anomalies: Vec<Tally>,
    /// Bytes that are no transport packets.
    pub garbage_bytes: u64,
}

/// One program.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// program_number.
    pub number: u16,
    /// The PID of its PMT.
    pub pmt_pid: Pid,
    /// The PID that carries its PCR; [`Pid::NULL`] if none does.
    pub pcr_pid: Pid,
    /// Different PMTs that it has had.
    pub tables: u64,
    /// How long it lasts: from its first PTS to the end of the last. Where timestamps jump, the sum of the
    /// stretches between the jumps, by the stream that cuts are made by.
    pub duration: Duration,
    /// Its streams, in the tables' order. A PID whose stream_type changes stands here once for each.
    pub streams: Vec<Stream>,
}

/// One elementary stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// Its PID.
    pub pid: Pid,
    /// stream_type.
    pub stream_type: u8,
    /// Its coding: by its own headers, else by the PMT.
    pub codec: Codec,
    /// ISO 639 language codes that its descriptors give: of audio, of subtitles, of teletext pages.
    pub languages: Vec<[u8; 3]>,
    /// Its different formats, in their order; the first eight. Frame rates are those of timestamps, where those
    /// contradict the headers.
    pub formats: Vec<Format>,
    /// PES packets.
    pub pes_packets: u64,
    /// Transport packets, without those left out: sent twice, or with an error.
    pub packets: u64,
    /// The first PTS, on the unwrapped line.
    pub first_pts: Option<Ticks>,
    /// The latest PTS since the last jump.
    pub last_pts: Option<Ticks>,
    /// How long it lasts: the sum of the stretches between jumps, each to the end of its last PES packet.
    pub duration: Duration,
    /// The rate of its transport packets, headers included, in bits a second: pictures and sound over their own
    /// duration, anything else (and what is scrambled) over the program's.
    pub rate_bps: Option<u64>,
    /// Where decoding may begin; only of video, for sound it may anywhere.
    pub random_access: Option<Points>,
}

impl Stream {
    /// Bytes of its transport packets.
    pub const fn size_bytes(&self) -> u64 {
        self.packets * crate::ts::PACKET_LEN as u64
    }
}

/// The random access points of a video stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Points {
    /// Those where nothing after refers to anything before.
    pub closed: u64,
    /// Those followed by pictures shown earlier that refer to what was before.
    pub open: u64,
    /// Those from which pictures become whole bit by bit.
    pub gradual: u64,
    /// The time from one to the next, jumps left out; none if there are not two.
    pub spacing: Option<Spacing>,
}

impl Points {
    /// All of them.
    pub const fn count(&self) -> u64 {
        self.closed + self.open + self.gradual
    }
}

/// The least, the middle and the largest of many spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spacing {
    /// The least.
    pub min: Duration,
    /// The lower median: exact while there are at most 1024 different spans, else too small by less than a
    /// hundredth of the largest.
    pub median: Duration,
    /// The largest.
    pub max: Duration,
}

/// The anomalies of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// The kind's name ([`AnomalyKind::name`](crate::ts::AnomalyKind::name)).
    pub name: &'static str,
    /// How many there are.
    pub count: u64,
    /// The first three.
    pub first: Vec<Anomaly>,
}

/// The rate of so many bytes over a span, in bits a second; none over no time.
pub fn rate_bps(bytes: u64, span: Duration) -> Option<u64> {
    let bits = u128::from(bytes) * 8 * 1_000_000;
    u64::try_from(bits.checked_div(span.as_micros())?).ok()
}
