//! Feeds one elementary stream's PES packets to the reader of its coding.

use std::fmt::Debug;

use super::aac::Adts;
use super::ac3::Ac3;
use super::h264::H264;
use super::hevc::Hevc;
use super::latm::Latm;
use super::mpeg_audio::MpegAudio;
use super::mpeg2::Mpeg2;
use super::opus::Opus;
use super::picture::Pictures;
use super::sound::Sounds;
use super::{AccessUnit, Codec, Format, RandomAccess};

/// How much of a PES packet is looked at. The headers before a picture take a few hundred bytes, captions and
/// other messages some thousand; a verdict that was not reached by then is given from what there was.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Watches one elementary stream: at each PES packet it tells what the first access unit in it shows.
///
/// [`begin`](Self::begin) at each PES packet, then [`push`](Self::push) its payload piece by piece, then
/// [`finish`](Self::finish). How the payload is cut into pieces makes no difference to the verdict. At most
/// 64 KiB of a PES packet are kept, in a buffer that is used again; where the first piece suffices, which is
/// the rule, none.
#[derive(Debug)]
pub struct Examiner {
    codec: Codec,
    /// None for codings that are not looked into.
    reader: Option<Box<dyn Reader>>,
    /// The payload so far, if its first piece did not suffice.
    head: Vec<u8>,
    is_decided: bool,
}

/// Reads the head of each PES packet of one coding.
pub(super) trait Reader: Debug + Send {
    /// A PES packet begins.
    fn begin(&mut self);

    /// Looks at the payload so far: each call has the bytes of the one before, and more. Gives the verdict as
    /// soon as there is one, and in any case if `is_end`; it is not called again before `begin`.
    fn read(&mut self, head: &[u8], is_end: bool) -> Option<AccessUnit>;

    fn format(&self) -> Option<&Format>;
}

impl Examiner {
    /// An examiner of a stream of this coding. It waits for the first [`begin`](Self::begin).
    pub fn new(codec: Codec) -> Self {
        let reader: Option<Box<dyn Reader>> = match codec {
            Codec::H264 => Some(Box::new(Pictures::<H264>::default())),
            Codec::Hevc => Some(Box::new(Pictures::<Hevc>::default())),
            Codec::Mpeg2Video => Some(Box::new(Pictures::<Mpeg2>::default())),
            Codec::AacAdts => Some(Box::new(Sounds::new(Adts))),
            Codec::AacLatm => Some(Box::new(Sounds::new(Latm))),
            Codec::MpegAudio => Some(Box::new(Sounds::new(MpegAudio))),
            Codec::Ac3 | Codec::Eac3 => Some(Box::new(Sounds::new(Ac3))),
            Codec::Opus => Some(Box::new(Sounds::new(Opus::default()))),
            Codec::Id3 | Codec::Scte35 | Codec::DvbSubtitle | Codec::Teletext | Codec::Klv | Codec::Other => {
                None
            }
        };
        Self { codec, reader, head: Vec::new(), is_decided: true }
    }

    /// An examiner of Opus whose channels the PMT's descriptor told: the stream itself does not.
    pub fn with_opus_channels(channels: u8) -> Self {
        Self { reader: Some(Box::new(Sounds::new(Opus::new(channels)))), ..Self::new(Codec::Opus) }
    }

    /// The coding it was made for.
    pub const fn codec(&self) -> Codec {
        self.codec
    }

    /// A PES packet's payload begins. What was undecided before stays so.
    pub fn begin(&mut self) {
        self.head.clear();
        self.is_decided = false;
        if let Some(reader) = &mut self.reader {
            reader.begin();
        }
    }

    /// The payload goes on with these bytes. Gives the verdict as soon as there is one, once for each PES packet.
    pub fn push(&mut self, payload: &[u8]) -> Option<AccessUnit> {
        if self.is_decided {
            return None;
        }
        let room = HEAD_BYTES_MAX - self.head.len();
        let payload = payload.get(..room).unwrap_or(payload);
        let is_full = payload.len() == room;
        let unit = match &mut self.reader {
            None => Some(UNREAD),
            Some(reader) if self.head.is_empty() => {
                let unit = reader.read(payload, is_full);
                if unit.is_none() {
                    self.head.extend_from_slice(payload);
                }
                unit
            }
            Some(reader) => {
                self.head.extend_from_slice(payload);
                reader.read(&self.head, is_full)
            }
        };
        self.is_decided = unit.is_some();
        unit
    }

    /// The PES packet has ended. Gives the verdict from what there was, if none was given yet.
    pub fn finish(&mut self) -> Option<AccessUnit> {
        if self.is_decided {
            return None;
        }
        self.is_decided = true;
        match &mut self.reader {
            None => Some(UNREAD),
            Some(reader) => reader.read(&self.head, true),
        }
    }

    /// Whether it waits for the next [`begin`](Self::begin): this PES packet's verdict was given, or none began.
    pub const fn is_decided(&self) -> bool {
        self.is_decided
    }

    /// What the stream is, by its newest valid headers.
    pub fn format(&self) -> Option<&Format> {
        self.reader.as_ref().and_then(|reader| reader.format())
    }
}

/// The verdict on codings that are not looked into: each PES packet stands alone.
const UNREAD: AccessUnit =
    AccessUnit { random_access: Some(RandomAccess::Closed), has_parameter_sets: true, is_new_format: false };
