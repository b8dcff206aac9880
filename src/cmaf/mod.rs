//! Fragmented MP4 from what the [`Cutter`](crate::segment::Cutter) gives: CMAF tracks, segment for segment.
//!
//! - [`Fragmenter`]: cutter's events in, [`Event`]s out: what tracks there are, their initializations, segments and
//!   parts.
//! - [`Layout`]: each stream a track of its own, or all in one.
//! - [`Anomaly`]: what of the stream is not carried.
//!
//! Segment n of each track comes of the cutter's segment n. Pictures keep their timestamps, on the unwrapped 90 kHz
//! line; sound is counted in samples from its first timestamp on. One file for each noun: `init` is ftyp and moov,
//! `fragment` is moof and mdat; `pictures` and `sounds` make samples of PES packets.
//!
//! ```
//! use segcast::cmaf::{Event, Fragmenter, Options};
//! use segcast::segment::{self, Cutter};
//!
//! # let chunks: Vec<bytes::Bytes> = vec![];
//! let mut cutter = Cutter::new(&segment::Options::default());
//! let mut fragmenter = Fragmenter::new(&Options::default());
//! for chunk in chunks {
//!     for event in cutter.push(chunk) {
//!         for event in fragmenter.push(&event) {
//!             match event {
//!                 Event::Init { track, init, .. } => println!("{track}: {} bytes of moov", init.bytes.len()),
//!                 Event::Segment { track, ordinal, body, .. } => {
//!                     println!("{track}: segment {ordinal}, {} bytes", body.size_bytes());
//!                 }
//!                 _ => {}
//!             }
//!         }
//!     }
//! }
//! ```
//!
//! Editions: ISO/IEC 14496-12:2022, 14496-15:2022, 23000-19:2024.

mod annex_b;
mod anomaly;
mod assembly;
mod avc;
mod draft;
mod entry;
mod fragment;
mod fragmenter;
mod generation;
mod hevc;
mod init;
mod language;
mod line;
mod pictures;
mod reach;
mod reference;
mod sample;
mod sets;
mod sound;
mod sounds;
mod stream;
mod substream;
mod syntax;
mod track;

use std::sync::Arc;

pub use anomaly::{Anomaly, AnomalyKind};
pub use fragmenter::Fragmenter;
pub use init::Init;
pub use track::{Role, Track};

use crate::chunks::Chunks;
use crate::codec::Codec;
use crate::segment::{Extent, Head, Part};
use crate::time::Rate;

/// Whether fragments carry streams of this coding.
pub const fn is_carried(codec: Codec) -> bool {
    matches!(codec, Codec::H264 | Codec::Hevc) || sound::is_supported(codec)
}

/// How streams become tracks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// One track for each, or one for all.
    pub layout: Layout,
}

/// Which streams lie in one track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Each has a track of its own.
    #[default]
    Demuxed,
    /// All are in one.
    Muxed,
}

/// What fragmenting gives. The events of one segment come in this order: of each track Open, Init, Parts, Segment;
/// and none of a segment before those of the one before it. A track without a frame in a segment has a Gap instead.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The tracks that there will be: as soon as the program is known, and again if they become others. Tracks are
    /// told by their places in this list. Track 0 has the pictures, where there are any.
    Tracks(Arc<[Track]>),
    /// A segment of a track begins.
    Open {
        /// The track.
        track: usize,
        /// The cutter's segment.
        ordinal: u64,
        /// Its head; sound has one of its own.
        head: Head,
    },
    /// What the track's next parts and segments need; again only if its content differs, or the tracks became others.
    Init {
        /// The track.
        track: usize,
        /// The first segment that needs it.
        ordinal: u64,
        /// The initialization.
        init: Init,
    },
    /// How many frames of a track's video come in a second, as their times show it: before its first segment is whole,
    /// and again where it becomes another.
    FrameRate {
        /// The track.
        track: usize,
        /// Frames a second.
        rate: Rate,
    },
    /// A part of the open segment: a fragment. Only where the cutter makes parts; those of sound are its own, as many
    /// whole frames as fit into what the cutter's parts promise.
    Part {
        /// The track.
        track: usize,
        /// Its segment.
        ordinal: u64,
        /// Its numbers.
        part: Part,
        /// moof and mdat.
        body: Chunks,
    },
    /// A segment is whole: its parts, or one fragment.
    Segment {
        /// The track.
        track: usize,
        /// The cutter's segment.
        ordinal: u64,
        /// Its numbers; sound has its own.
        extent: Extent,
        /// Its bytes.
        body: Chunks,
    },
    /// A time in which the track has no frames. Gaps come in the order of the track's segments; together they last as
    /// long as the cutter's segments. A segment that was opened may turn out to be a gap.
    Gap {
        /// The track.
        track: usize,
        /// The cutter's segment.
        ordinal: u64,
        /// Its numbers, of no bytes. The duration is zero where frames may only be late.
        extent: Extent,
        /// Whether it stands for the cutter's segment, of which the track has no frame. Otherwise it lies before or after
        /// the frames, or is only the first part of such a gap.
        is_whole: bool,
    },
    /// Something of the stream is left out.
    Anomaly(Anomaly),
}
