//! Feeds one elementary stream's PES packets to the reader of its coding.

use std::fmt::Debug;

use super::aac::AdtsOrMpeg;
use super::ac3::Ac3;
use super::h264::H264;
use super::hevc::Hevc;
use super::latm::Latm;
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
pub(super) trait Reader: Debug + Send + Sync {
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
            Codec::AacAdts | Codec::MpegAudio => Some(Box::new(Sounds::new(AdtsOrMpeg))),
            Codec::AacLatm => Some(Box::new(Sounds::new(Latm))),
            Codec::Ac3 | Codec::Eac3 => Some(Box::new(Sounds::new(Ac3))),
            Codec::Opus => Some(Box::new(Sounds::new(Opus::default()))),
            _ => None,
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

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    use super::super::testing::{examine, stream};
    use super::*;

    const STREAMS: [(Codec, &[u8]); 17] = [
        (Codec::H264, stream!("closed.h264")),
        (Codec::H264, stream!("open.h264")),
        (Codec::H264, stream!("refresh.h264")),
        (Codec::H264, stream!("interlaced.h264")),
        (Codec::Hevc, stream!("closed.hevc")),
        (Codec::Hevc, stream!("open.hevc")),
        (Codec::Mpeg2Video, stream!("closed.m2v")),
        (Codec::Mpeg2Video, stream!("open.m2v")),
        (Codec::Mpeg2Video, stream!("one.m1v")),
        (Codec::AacAdts, stream!("stereo.aac")),
        (Codec::AacLatm, stream!("stereo.latm")),
        (Codec::MpegAudio, stream!("stereo.mp3")),
        (Codec::MpegAudio, stream!("mono.mp3")),
        (Codec::MpegAudio, stream!("stereo.mp2")),
        (Codec::Ac3, stream!("stereo.ac3")),
        (Codec::Eac3, stream!("surround.eac3")),
        (Codec::Opus, &[0x7f, 0xf0, 3, 1, 0x38, 0x78, 0x81, 0xa7, 0x7f, 0xe0, 3, 0x78, 0x81]),
    ];

    /// Beginnings of what is parsed bit by bit.
    const HEADS: [(Codec, &[u8]); 5] = [
        (Codec::H264, &[0, 0, 1, 0x67, 0x64, 0, 0x1f]),
        (Codec::Hevc, &[0, 0, 1, 0x42, 1]),
        (Codec::Hevc, &[0, 0, 1, 0x40, 1]),
        (Codec::Mpeg2Video, &[0, 0, 1, 0xb3]),
        (Codec::AacLatm, &[0x56, 0xe0, 0x40, 0x20, 0x00]),
    ];

    /// Pushes the payload cut at `cuts`, and checks what holds for any: the verdict comes once, memory is bounded.
    fn examine_cut(examiner: &mut Examiner, payload: &[u8], cuts: &[Index]) -> AccessUnit {
        let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
        ends.push(payload.len());
        ends.sort_unstable();
        examiner.begin();
        let mut verdicts = Vec::new();
        let mut from = 0;
        for end in ends {
            verdicts.extend(examiner.push(&payload[from..end]));
            assert_eq!(examiner.is_decided(), !verdicts.is_empty());
            assert!(examiner.head.len() <= HEAD_BYTES_MAX);
            from = end;
        }
        verdicts.extend(examiner.finish());
        assert!(examiner.is_decided());
        assert_eq!(examiner.finish(), None);
        assert_eq!(verdicts.len(), 1);
        verdicts[0]
    }

    /// A stream from somewhere on, with some of its bytes changed and noise put between.
    fn damaged() -> impl Strategy<Value = (Codec, Vec<u8>)> {
        let change = (any::<Index>(), any::<u8>());
        (select(&STREAMS[..]), any::<Index>(), vec(change, 0..4), any::<Index>(), vec(any::<u8>(), 0..40))
            .prop_map(|((codec, stream), from, changes, place, noise)| {
                let from = if from.index(2) == 0 { 0 } else { from.index(stream.len()) };
                let mut bytes = stream[from..].to_vec();
                for (index, value) in changes {
                    let index = index.index(bytes.len());
                    bytes[index] = value;
                }
                let place = place.index(bytes.len());
                bytes.splice(place..place, noise);
                (codec, bytes)
            })
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_verdict(packets in vec(damaged(), 1..4), cuts in vec(any::<Index>(), 0..6)) {
            let codec = packets[0].0;
            let [mut whole, mut cut] = [Examiner::new(codec), Examiner::new(codec)];
            for (_, payload) in &packets {
                let verdict = examine(&mut whole, payload);
                prop_assert_eq!(verdict, examine_cut(&mut cut, payload, &cuts));
                prop_assert_eq!(whole.format(), cut.format());
            }
        }

        #[test]
        fn single_bytes_give_the_same_verdict((codec, payload) in damaged()) {
            let [mut whole, mut single] = [Examiner::new(codec), Examiner::new(codec)];
            single.begin();
            let verdict = payload.chunks(1).find_map(|byte| single.push(byte)).or_else(|| single.finish());
            prop_assert_eq!(Some(examine(&mut whole, &payload)), verdict);
            prop_assert_eq!(whole.format(), single.format());
        }

        #[test]
        fn no_bytes_make_it_panic(
            (codec, _) in select(&STREAMS[..]),
            packets in vec(vec(select(&[0, 0, 0, 1, 1, 3, 0x67, 0x42, 0x56, 0x7f, 0x0b, 0x77, 0xff, 0xe0, 0x9a][..]), 0..200), 1..4),
        ) {
            let mut examiner = Examiner::new(codec);
            for payload in &packets {
                examine_cut(&mut examiner, payload, &[]);
            }
        }

        #[test]
        fn a_damaged_set_behind_a_good_header_makes_no_panic(
            (codec, head) in select(&HEADS[..]),
            rest in vec(any::<u8>(), 0..120),
        ) {
            let mut examiner = Examiner::new(codec);
            let payload = [head, &rest].concat();
            for _ in 0..2 {
                examine_cut(&mut examiner, &payload, &[]);
            }
            if let Some(Format::Video(video)) = examiner.format() {
                prop_assert!(video.width > 0 && video.height > 0);
            }
        }
    }

    #[test]
    fn a_verdict_comes_at_the_limit() {
        for (codec, _) in STREAMS {
            let mut examiner = Examiner::new(codec);
            examiner.begin();
            let piece = [0; 184];
            let pushes = (1..).find(|_| examiner.push(&piece).is_some());
            assert_eq!(pushes, Some(HEAD_BYTES_MAX.div_ceil(piece.len())), "{}", codec.name());
            assert!(examiner.head.capacity() <= 2 * HEAD_BYTES_MAX);
            assert_eq!(examine(&mut Examiner::new(codec), &vec![0; 1 << 20]).random_access, None);
        }
    }

    #[test]
    fn what_is_not_looked_into_stands_alone_at_once() {
        let mut examiner = Examiner::new(Codec::Scte35);
        assert!(examiner.is_decided());
        assert_eq!(examiner.push(&[1]), None);
        examiner.begin();
        assert_eq!(examiner.push(&[]), Some(UNREAD));
        assert_eq!(examiner.finish(), None);
        assert_eq!(examiner.format(), None);
        examiner.begin();
        assert_eq!(examiner.finish(), Some(UNREAD));
    }

    #[test]
    fn a_picture_in_the_first_piece_is_not_copied() {
        let mut examiner = Examiner::new(Codec::H264);
        examiner.begin();
        let piece = [0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 0x41, 0x9a, 0x21, 0x6c];
        assert!(examiner.push(&piece).is_some());
        assert_eq!(examiner.head.capacity(), 0);
    }
}
