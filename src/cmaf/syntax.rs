//! What the two codings of pictures have in common here: NAL units, one of which is a picture's first.

use mp4_atom::Codec;

use super::sets::{Key, Sets};
use super::{avc, hevc};
use crate::codec::access::{Place, place};
use crate::codec::h264::H264;
use crate::codec::hevc::Hevc;
use crate::codec::picture::{Coding, Picture};
use crate::codec::{self, Format};

/// What a NAL unit is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Part of a picture.
    Slice {
        /// Whether no other picture refers to it.
        is_disposable: bool,
    },
    /// A parameter set: it goes to the sample entry.
    Set(Key),
    /// An access unit begins with it; left out.
    Delimiter,
    /// Left out.
    Filler,
    /// Kept as it is.
    Other,
}

/// The coding of a stream of pictures, with what its units have told.
#[derive(Debug)]
pub enum Syntax {
    Avc(H264),
    Hevc(Hevc),
}

impl Syntax {
    /// None for codings that fragments do not carry.
    pub fn new(codec: codec::Codec) -> Option<Self> {
        match codec {
            codec::Codec::H264 => Some(Self::Avc(H264::default())),
            codec::Codec::Hevc => Some(Self::Hevc(Hevc::default())),
            _ => None,
        }
    }

    pub fn unit(&self, unit: &[u8]) -> Unit {
        match self {
            Self::Avc(_) => avc::unit(unit),
            Self::Hevc(_) => hevc::unit(unit),
        }
    }

    /// Where in its access unit a unit stands.
    pub fn place(&self, unit: &[u8]) -> Place {
        match self {
            Self::Avc(_) => place(codec::Codec::H264, unit),
            Self::Hevc(_) => place(codec::Codec::Hevc, unit),
        }
    }

    pub fn entry(&self, sets: &Sets, video: &codec::Video) -> Option<Codec> {
        match self {
            Self::Avc(_) => avc::entry(sets, video),
            Self::Hevc(_) => hevc::entry(sets, video),
        }
    }

    /// An access unit begins.
    pub fn reset(&mut self) {
        match self {
            Self::Avc(coding) => coding.reset(),
            Self::Hevc(coding) => coding.reset(),
        }
    }

    /// A unit that is no slice came before the first slice.
    pub fn ended(&mut self, unit: &[u8]) {
        match self {
            Self::Avc(coding) => coding.ended(unit),
            Self::Hevc(coding) => coding.ended(unit),
        }
    }

    /// The first slice: how a decoder may begin there.
    pub fn began(&mut self, unit: &[u8]) -> Option<Picture> {
        match self {
            Self::Avc(coding) => coding.began(head(unit, H264::LOOKAHEAD)),
            Self::Hevc(coding) => coding.began(head(unit, Hevc::LOOKAHEAD)),
        }
    }

    /// What the sets of the access unit say, if they are others than before.
    pub fn renew(&mut self, format: &mut Option<Format>) -> bool {
        match self {
            Self::Avc(coding) => coding.renew(format),
            Self::Hevc(coding) => coding.renew(format),
        }
    }
}

fn head(unit: &[u8], len: usize) -> &[u8] {
    unit.get(..len).unwrap_or(unit)
}
