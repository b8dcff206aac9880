//! What codings of sound share: frames, each with a header that tells the format, one behind the other.

use std::fmt::Debug;

use memchr::memchr;

use super::examiner::Reader;
use super::{AccessUnit, Audio, Codec, Format, RandomAccess};

/// A coding of sound.
pub(crate) trait Coding: Debug + Send + Sync {
    /// The first byte of each frame.
    const SYNC: u8;

    /// Looks for a frame at the start of `bytes`. More bytes behind them change nothing but `Look::More`.
    fn look(&self, bytes: &[u8]) -> Look;
}

/// What a look for a frame showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// It takes more bytes to tell.
    More,
    /// No frame begins here.
    Nothing,
    /// A frame of this many bytes. It may leave the format to an earlier one.
    Frame(usize, Option<Sound>),
}

/// A format, as a frame's header tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sound {
    pub(crate) codec: Codec,
    pub(crate) name: Name,
    pub(crate) sample_rate_hz: u32,
    /// 0 where the header does not tell.
    pub(crate) channels: u8,
    pub(crate) samples_per_frame: u32,
}

/// A `CODECS` string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// An audio object type of ISO/IEC 14496-3 table 1.17.
    ObjectType(u8),
    /// The same for all streams of the coding.
    Fixed(&'static str),
}

impl Sound {
    pub(crate) fn format(self) -> Format {
        Format::Audio(Audio {
            codec: self.codec,
            rfc6381: Some(match self.name {
                Name::ObjectType(object_type) => format!("mp4a.40.{object_type}"),
                Name::Fixed(name) => name.to_owned(),
            }),
            sample_rate_hz: self.sample_rate_hz,
            channels: self.channels,
            samples_per_frame: self.samples_per_frame,
        })
    }
}

/// Reads sound of one coding.
#[derive(Debug)]
pub(crate) struct Sounds<C> {
    coding: C,
    search: Search,
    known: Option<Sound>,
    /// Another format that the PES packet before showed. It takes two to make a change.
    other: Option<Sound>,
    format: Option<Format>,
}

/// Where in the payload the next frame is looked for.
#[derive(Clone, Copy, Debug, Default)]
struct Search {
    at: usize,
    /// Where a frame is due, if one is.
    due: Option<usize>,
    /// Whether the first frame that was met left the format to an earlier one.
    has_frame_without_format: bool,
}

impl Search {
    const START: Self = Self { at: 0, due: Some(0), has_frame_without_format: false };
}

impl<C: Coding> Sounds<C> {
    pub(crate) fn new(coding: C) -> Self {
        Self { coding, search: Search::default(), known: None, other: None, format: None }
    }

    /// Looks on for a frame. None: it takes more bytes, or there are no more.
    fn next_frame(&mut self, head: &[u8], is_end: bool) -> Option<Met> {
        loop {
            let bytes = head.get(self.search.at..)?;
            match self.coding.look(bytes) {
                Look::More => return None,
                Look::Nothing => self.look_after(bytes, C::SYNC),
                Look::Frame(len, sound) => {
                    let end = self.search.at + len;
                    let is_due = self.search.due == Some(self.search.at);
                    let next = || self.coding.look(head.get(end..).unwrap_or_default());
                    match if is_due { Look::Frame(len, sound) } else { next() } {
                        Look::Nothing => self.look_after(bytes, C::SYNC),
                        Look::More if !is_end => return None,
                        Look::More => return Some(Met { end, sound, is_sure: false }),
                        Look::Frame(..) => return Some(Met { end, sound, is_sure: true }),
                    }
                }
            }
        }
    }

    /// Goes on to the next byte that may begin a frame, in `bytes` where none began at the first.
    fn look_after(&mut self, bytes: &[u8], sync: u8) {
        let behind = bytes.get(1..).unwrap_or_default();
        self.search.at += 1 + memchr(sync, behind).unwrap_or(behind.len());
    }

    /// Takes notice of what a frame tells. Gives whether the stream is another one from here on.
    fn notice(&mut self, mut sound: Sound, is_sure: bool) -> bool {
        if let Some(known) = self.known
            && sound.channels == 0
        {
            sound.channels = known.channels;
        }
        if self.known == Some(sound) {
            self.other = None;
            return false;
        }
        if self.other != Some(sound) && (self.known.is_some() || !is_sure) {
            self.other = Some(sound);
            return false;
        }
        self.other = None;
        self.known = Some(sound);
        self.format = Some(sound.format());
        true
    }
}

/// A frame that was met.
#[derive(Clone, Copy, Debug)]
struct Met {
    end: usize,
    sound: Option<Sound>,
    /// Whether it stood where one was due, or was followed by another.
    is_sure: bool,
}

impl<C: Coding> Reader for Sounds<C> {
    fn begin(&mut self) {
        self.search = Search::START;
    }

    fn read(&mut self, head: &[u8], is_end: bool) -> Option<AccessUnit> {
        while let Some(met) = self.next_frame(head, is_end) {
            if let Some(sound) = met.sound {
                return Some(AccessUnit {
                    random_access: Some(RandomAccess::Closed),
                    has_parameter_sets: !self.search.has_frame_without_format,
                    is_new_format: self.notice(sound, met.is_sure),
                });
            }
            self.search = Search { at: met.end, due: Some(met.end), has_frame_without_format: true };
            if self.known.is_some() {
                return Some(LEFT_TO_EARLIER);
            }
        }
        match is_end {
            true if self.search.has_frame_without_format => Some(LEFT_TO_EARLIER),
            true => Some(AccessUnit { has_parameter_sets: true, ..AccessUnit::default() }),
            false => None,
        }
    }

    fn format(&self) -> Option<&Format> {
        self.format.as_ref()
    }
}

/// The verdict on a frame that can be decoded by those alone who saw an earlier one's configuration.
const LEFT_TO_EARLIER: AccessUnit =
    AccessUnit { random_access: Some(RandomAccess::Closed), has_parameter_sets: false, is_new_format: false };

#[cfg(test)]
mod tests {
    use super::super::testing::{audio, examine, stream};
    use super::super::{Codec, Examiner, RandomAccess};

    const STEREO: &[u8] = stream!("stereo.mp2");
    const OTHER: &[u8] = stream!("stereo.mp3");

    #[test]
    fn a_change_counts_when_two_packets_agree() {
        let mut examiner = Examiner::new(Codec::MpegAudio);
        let packets = [STEREO, OTHER, STEREO, OTHER, OTHER, OTHER];
        let news = packets.map(|payload| examine(&mut examiner, payload).is_new_format);
        assert_eq!(news, [true, false, false, false, true, false]);
        assert_eq!(audio(&examiner).rfc6381.as_deref(), Some("mp4a.40.34"));
    }

    #[test]
    fn a_frame_is_found_behind_the_rest_of_another() {
        let mut examiner = Examiner::new(Codec::MpegAudio);
        // The rest holds what looks like a header, behind which no frame follows.
        let rest = [0, 0xff, 0xfd, 0x14, 0x00, 0xff, 1, 2, 3];
        let unit = examine(&mut examiner, &[&rest[..], STEREO].concat());
        assert_eq!(unit.random_access, Some(RandomAccess::Closed));
        assert!(unit.is_new_format);
        assert_eq!(audio(&examiner).sample_rate_hz, 48_000);
    }

    #[test]
    fn a_lone_frame_in_mid_packet_has_to_be_seen_twice() {
        let mut examiner = Examiner::new(Codec::MpegAudio);
        let packet = [&[0; 10], &STEREO[..192]].concat();
        assert!(!examine(&mut examiner, &packet).is_new_format);
        assert!(examiner.format().is_none());
        assert!(examine(&mut examiner, &packet).is_new_format);
    }
}
