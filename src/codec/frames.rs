//! Audio frames of an elementary stream, found wherever PES packets cut them.
//!
//! A PES packet's timestamp belongs to the first frame that begins in it (ISO/IEC 13818-1 §2.4.3.7). [`Frames`] takes
//! payload with these timestamps and gives whole frames, each with the timestamp that is its own. In front of the first
//! frame, and after a loss, bytes that look like a header are a frame only if another of the same kind follows it; no
//! byte is dropped that may still begin one.

use std::collections::VecDeque;

use memchr::memchr;

use super::Codec;
use super::aac::AdtsOrMpeg;
use super::ac3::Ac3;
use super::latm::Latm;
use super::opus::Opus;
use super::sound::{Coding, Look, Sound};

/// Bytes kept at most while no frame is whole.
const MAX_HELD: usize = 64 << 10;

/// How frames of one coding are found.
#[derive(Debug)]
pub(crate) enum Coder {
    /// AAC in ADTS or MPEG audio, whichever the PMT says.
    Mpeg,
    Latm,
    Ac3,
    Opus(Opus),
}

impl Coder {
    /// None for codings whose frames are not looked for. `channels` are those that the PMT states for Opus.
    pub(crate) fn new(codec: Codec, channels: Option<u8>) -> Option<Self> {
        Some(match codec {
            Codec::AacAdts | Codec::MpegAudio => Self::Mpeg,
            Codec::AacLatm => Self::Latm,
            Codec::Ac3 | Codec::Eac3 => Self::Ac3,
            Codec::Opus => Self::Opus(channels.map_or_else(Opus::default, Opus::new)),
            _ => return None,
        })
    }

    pub(crate) fn look(&self, bytes: &[u8]) -> Look {
        match self {
            Self::Mpeg => AdtsOrMpeg.look(bytes),
            Self::Latm => Latm.look(bytes),
            Self::Ac3 => Ac3.look(bytes),
            Self::Opus(coding) => coding.look(bytes),
        }
    }

    pub(crate) const fn sync(&self) -> u8 {
        match self {
            Self::Mpeg => AdtsOrMpeg::SYNC,
            Self::Latm => Latm::SYNC,
            Self::Ac3 => Ac3::SYNC,
            Self::Opus(_) => Opus::SYNC,
        }
    }
}

/// A whole frame at the front of what is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) len: usize,
    /// What its header states.
    pub(crate) sound: Option<Sound>,
}

/// Finds the frames of one stream. `M` is what PES packets are marked with, such as their PTS.
#[derive(Debug)]
pub(crate) struct Frames<M> {
    coder: Coder,
    /// Bytes of which no frame was taken yet.
    held: Vec<u8>,
    /// How many of them, from the front, are no longer needed.
    at: usize,
    /// Where in them PES packets' payloads begin, and their marks.
    marks: VecDeque<(usize, M)>,
    /// Whether a frame is due at the front.
    is_synced: bool,
}

impl<M: Copy> Frames<M> {
    pub(crate) const fn new(coder: Coder) -> Self {
        Self { coder, held: Vec::new(), at: 0, marks: VecDeque::new(), is_synced: false }
    }

    pub(crate) const fn coder(&self) -> &Coder {
        &self.coder
    }

    /// A PES packet begins, marked if it has a timestamp.
    pub(crate) fn begin(&mut self, mark: Option<M>) {
        if let Some(mark) = mark {
            self.marks.push_back((self.held.len(), mark));
        }
    }

    /// Takes payload of the PES packet.
    pub(crate) fn push(&mut self, payload: &[u8]) {
        if self.at > 0 {
            self.held.drain(..self.at);
            self.marks.iter_mut().for_each(|(mark, _)| *mark = mark.saturating_sub(self.at));
            self.at = 0;
        }
        self.held.extend_from_slice(payload);
    }

    /// Packets are missing: so is the rest of the frame in hand.
    pub(crate) fn lose(&mut self) {
        self.held.clear();
        self.marks.clear();
        self.at = 0;
        self.is_synced = false;
    }

    /// Returns the frame at the front once it is whole, and goes on to it past what is none. With `is_end` nothing
    /// comes behind what is held.
    pub(crate) fn peek(&mut self, is_end: bool) -> Option<Frame> {
        loop {
            let bytes = self.held.get(self.at..).filter(|bytes| !bytes.is_empty())?;
            match self.look(bytes, is_end) {
                Look::Frame(len, sound) => {
                    self.is_synced = true;
                    return Some(Frame { len, sound });
                }
                Look::More if is_end && !self.is_synced => self.at += self.chain(bytes)?,
                Look::More if bytes.len() <= MAX_HELD => return None,
                Look::More | Look::Nothing => {
                    self.is_synced = false;
                    let behind = bytes.get(1..).unwrap_or_default();
                    self.at += 1 + memchr(self.coder.sync(), behind).unwrap_or(behind.len());
                }
            }
        }
    }

    /// How far before the end of what was pushed the first frame begins that begins in the last `len` bytes. Inside, none:
    /// none is known to. Outside: it is not known where frames begin.
    pub(crate) fn next_begin(&self, len: usize) -> Option<Option<usize>> {
        if !self.is_synced {
            return None;
        }
        let mut rest = self.bytes();
        while rest.len() > len {
            let Look::Frame(frame @ 1.., _) = self.coder.look(rest) else { return Some(None) };
            let Some(behind) = rest.get(frame..) else { return Some(None) };
            rest = behind;
        }
        Some(Some(rest.len()).filter(|len| *len > 0))
    }

    /// Where frames begin that follow each other up to the end: what looks like the start of a longer one in front of
    /// them is none.
    fn chain(&self, bytes: &[u8]) -> Option<usize> {
        let reaches_end = |mut at: usize| {
            let mut before = None;
            while at < bytes.len() {
                match self.coder.look(&bytes[at..]) {
                    Look::Frame(len @ 1.., sound) if is_alike(before.flatten(), sound) => {
                        (at, before) = (at + len, Some(sound));
                    }
                    _ => return false,
                }
            }
            at == bytes.len()
        };
        (1..bytes.len()).find(|at| bytes[*at] == self.coder.sync() && reaches_end(*at))
    }

    /// The bytes from the front on.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.held.get(self.at..).unwrap_or_default()
    }

    /// Takes the frame at the front. Returns the mark of the PES packet that it is the first to begin in.
    pub(crate) fn take(&mut self, frame: &Frame) -> Option<M> {
        let before = self.marks.iter().take_while(|(mark, _)| *mark <= self.at).count();
        let mark = self.marks.drain(..before).next_back().map(|(_, mark)| mark);
        self.at += frame.len;
        mark
    }

    /// The bytes of the frame that was taken last.
    pub(crate) fn taken(&self, frame: &Frame) -> &[u8] {
        self.held.get(self.at.saturating_sub(frame.len)..self.at).unwrap_or_default()
    }

    /// Looks for a whole frame at the front of `bytes`: one that was due, or that another of its kind follows.
    fn look(&self, bytes: &[u8], is_end: bool) -> Look {
        let found = self.coder.look(bytes);
        let Look::Frame(len, sound) = found else { return found };
        if len == 0 {
            return Look::Nothing;
        }
        let Some(behind) = bytes.get(len..) else { return Look::More };
        if self.is_synced {
            return found;
        }
        match self.coder.look(behind) {
            Look::Frame(_, next) if is_alike(sound, next) => found,
            Look::Frame(..) | Look::Nothing => Look::Nothing,
            Look::More if is_end && behind.is_empty() => found,
            Look::More => Look::More,
        }
    }
}

/// Whether two headers may be of one stream.
fn is_alike(one: Option<Sound>, other: Option<Sound>) -> bool {
    one.zip(other).is_none_or(|(one, other)| {
        (one.codec, one.sample_rate_hz, one.samples_per_frame)
            == (other.codec, other.sample_rate_hz, other.samples_per_frame)
            || one.codec == Codec::Opus
            || one.codec == Codec::Eac3
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::mpeg_audio::MpegAudio;
    use super::super::testing::stream;
    use super::*;

    const STREAMS: [(Codec, &[u8]); 7] = [
        (Codec::AacAdts, stream!("stereo.aac")),
        (Codec::AacLatm, stream!("stereo.latm")),
        (Codec::MpegAudio, stream!("stereo.mp3")),
        (Codec::MpegAudio, stream!("mono.mp3")),
        (Codec::MpegAudio, stream!("stereo.mp2")),
        (Codec::Ac3, stream!("surround.ac3")),
        (Codec::Eac3, stream!("surround.eac3")),
    ];

    /// Where frames begin and how long they are, as each header states it.
    fn layout(codec: Codec, stream: &[u8]) -> Vec<(usize, usize)> {
        let coder = Coder::new(codec, None).unwrap();
        let (mut at, mut found) = (0, Vec::new());
        while let Look::Frame(len, _) = coder.look(&stream[at..]) {
            if at + len > stream.len() {
                break;
            }
            found.push((at, len));
            at += len;
            if at == stream.len() {
                break;
            }
        }
        assert!(found.len() > 1);
        found
    }

    /// Frames of PES packets with these payloads, each marked with the number of the first frame that begins in it.
    fn found(codec: Codec, stream: &[u8], from: usize, ends: &[usize]) -> Vec<(Vec<u8>, Option<usize>)> {
        let layout = layout(codec, stream);
        let mut frames = Frames::new(Coder::new(codec, None).unwrap());
        let (mut at, mut found) = (from, Vec::new());
        for (n, end) in ends.iter().enumerate() {
            let first = layout.iter().position(|(begin, _)| (at..*end).contains(begin));
            frames.begin(first);
            frames.push(&stream[at..*end]);
            at = *end;
            while let Some(frame) = frames.peek(n + 1 == ends.len()) {
                found.push((frames.bytes()[..frame.len].to_vec(), frames.take(&frame)));
            }
        }
        found
    }

    proptest! {
        #[test]
        fn any_pes_packets_give_the_same_frames_with_their_own_marks(
            pick in 0..STREAMS.len(),
            from in 0_usize..2000,
            sizes in proptest::collection::vec(1_usize..1500, 1..60),
        ) {
            let (codec, stream) = STREAMS[pick];
            let layout = layout(codec, stream);
            let from = from.min(layout[layout.len() - 2].0);
            let mut ends: Vec<usize> =
                sizes.iter().scan(from, |at, size| { *at += size; Some(*at) }).filter(|end| *end < stream.len()).collect();
            ends.push(stream.len());
            let expected: Vec<_> = layout.iter().enumerate().filter(|(_, (at, _))| *at >= from).map(|(n, (at, len))| {
                let pes = ends.iter().position(|end| at < end).unwrap();
                let begin = if pes == 0 { from } else { ends[pes - 1] };
                let is_first = layout.iter().position(|(other, _)| (begin..ends[pes]).contains(other)) == Some(n);
                (stream[*at..at + len].to_vec(), is_first.then_some(n))
            }).collect();
            prop_assert_eq!(found(codec, stream, from, &ends), expected);
        }
    }

    #[test]
    fn what_looks_like_a_header_of_another_kind_is_no_frame() {
        let stream = stream!("stereo.mp2");
        // A header of 32 kHz, with a frame of the stream just behind what it states as its length.
        let Look::Frame(len, _) = MpegAudio.look(&[0xff, 0xfd, 0x18, 0x00]) else { panic!() };
        let rest = [&[0xff, 0xfd, 0x18, 0x00][..], &vec![0; len - 4]].concat();
        let mut frames = Frames::new(Coder::Mpeg);
        frames.begin(Some(()));
        frames.push(&[&rest, stream].concat());
        let frame = frames.peek(false).unwrap();
        assert_eq!(frames.bytes()[..frame.len], stream[..frame.len]);
    }

    #[test]
    fn a_lone_frame_counts_at_the_end_only() {
        let (_, len) = layout(Codec::Ac3, stream!("surround.ac3"))[0];
        let mut frames = Frames::new(Coder::Ac3);
        frames.begin(Some(7));
        frames.push(&stream!("surround.ac3")[..len]);
        assert_eq!(frames.peek(false), None);
        let frame = frames.peek(true).unwrap();
        assert_eq!((frame.len, frames.take(&frame)), (len, Some(7)));
        assert_eq!(frames.peek(true), None);
    }
}
