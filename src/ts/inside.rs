//! Access units that begin inside PES packets: PES packets begin and end anywhere in them (§2.4.3.7).
//!
//! A clean stream begins each PES packet with an access unit and holds one in it: there nothing but heads is looked at.
//! [`Inside`] looks through whole payloads at the very start of a stream, and as long as PES packets begin with the rest
//! of an access unit, hold several, or last longer than others.

use memchr::memmem::Finder;

use crate::codec::access::{AccessUnits, Place, place};
use crate::codec::frames::{Coder, Frames};
use crate::codec::{Codec, Format};
use crate::time::Ticks;

/// PES packets of a video stream that are looked into at its start, one less, and bytes of each.
const PROBED: u32 = 3;
const PROBED_BYTES: usize = 8 << 10;
/// PES packets that are looked through since the last that was not one access unit.
const WATCHED: u32 = 32;

/// What stands before each unit.
const CODE: [u8; 3] = [0, 0, 1];
/// Bytes of a unit that tell its place.
const HEAD: usize = 3;

/// Where an access unit begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begin {
    /// Offset of its packet.
    pub at: u64,
    /// Which byte of that packet's payload is its first.
    pub offset: usize,
    /// How far back its first byte lies from the end of what was looked at.
    pub back: usize,
    /// Whether its first bytes are the last ones of the PES packet before.
    pub is_split: bool,
}

/// What the payload of a packet shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Access units that begin inside the PES packet.
    pub begins: Vec<Begin>,
    /// Set once per PES packet: whether it begins with an access unit.
    pub is_aligned: Option<bool>,
    /// Whether its last bytes may be the beginning of one.
    pub is_open: bool,
}

/// A stretch of payload: offset of its packet, where in that packet's payload it begins, and how long it is.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    at: u64,
    offset: usize,
    len: usize,
}

#[derive(Debug)]
enum Media {
    Video {
        codec: Codec,
        units: AccessUnits,
        /// Bytes that are looked at: those that were left open, then the payload.
        bytes: Vec<u8>,
        stretches: Vec<Stretch>,
        /// Bytes of them that are of an earlier PES packet.
        earlier: usize,
        /// Bytes of them that are done with.
        done: usize,
        finder: Box<Finder<'static>>,
    },
    Audio {
        frames: Frames<()>,
        /// Bytes of the PES packet so far.
        position: usize,
    },
}

/// Looks for access units that begin inside PES packets of one stream.
#[derive(Debug)]
pub struct Inside {
    media: Media,
    /// PES packets that are still looked through.
    left: u32,
    /// Bytes that are looked at until it ends, unless they show something.
    probe: Option<usize>,
    is_head_known: bool,
    has_begun: bool,
    /// Whether the times of the PES packet before belong to no access unit yet.
    is_due_before: bool,
    step: Step,
}

/// From one access unit to the next, in decoding order.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    /// DTS of the last access unit that had its own.
    stated: Option<Ticks>,
    /// DTS of the last one, and PTS.
    last: Option<(Ticks, Ticks)>,
    /// Access units since the last that had its own.
    count: i64,
    /// By timestamps.
    measured: Option<Ticks>,
    /// The shortest from one PES packet to the next.
    shortest: Option<Ticks>,
}

impl Inside {
    /// None for streams that are not looked into.
    pub fn new(codec: Codec, opus_channels: Option<u8>) -> Option<Box<Self>> {
        let is_video = matches!(codec, Codec::H264 | Codec::Hevc | Codec::Mpeg2Video);
        let media = if is_video {
            let units = AccessUnits::default();
            Media::Video {
                codec,
                units,
                bytes: Vec::new(),
                stretches: Vec::new(),
                earlier: 0,
                done: 0,
                finder: Box::new(Finder::new(&CODE)),
            }
        } else {
            let coder = Coder::new(codec, opus_channels)?;
            Media::Audio { frames: Frames::new(coder), position: 0 }
        };
        let mut inside = Self {
            media,
            left: if is_video { PROBED } else { 0 },
            probe: is_video.then_some(PROBED_BYTES),
            is_head_known: false,
            has_begun: false,
            is_due_before: false,
            step: Step::default(),
        };
        inside.rest();
        Some(Box::new(inside))
    }

    /// Whether the PES packet in hand is looked through.
    pub const fn is_on(&self) -> bool {
        self.left > 0
    }

    /// Whether it is known what the PES packet in hand begins with.
    pub const fn is_head_known(&self) -> bool {
        self.is_head_known
    }

    /// A PES packet begins; `dts` is its DTS. With `is_carried` it goes on with an access unit that has no slice yet; with
    /// `is_due` the one before has times, and nothing that began in it.
    pub fn begin(&mut self, dts: Option<Ticks>, is_carried: bool, is_due: bool, format: Option<&Format>) {
        self.is_due_before = is_due;
        self.probe = self.probe.filter(|_| self.left > 1).map(|_| PROBED_BYTES);
        self.is_head_known = false;
        self.has_begun = false;
        let is_long = dts.is_some_and(|dts| self.step.is_long(dts, format));
        match &mut self.media {
            Media::Video { bytes, stretches, earlier, done, units, .. } => {
                // What was left open is at the head of this one, if anything begins there.
                bytes.drain(..std::mem::take(done));
                stretches.clear();
                *earlier = bytes.len();
                let was_on = self.left > 0;
                self.left = self.left.saturating_sub(1).max(if is_long { 2 } else { 0 });
                if is_carried {
                    self.probe = None;
                    self.left = WATCHED;
                    units.end();
                }
                if self.left == 0 || !was_on && !is_carried {
                    self.rest();
                }
            }
            Media::Audio { frames, position, .. } => {
                *position = 0;
                self.left = self.left.saturating_sub(1);
                if self.left == 0 {
                    frames.lose();
                }
            }
        }
    }

    /// Looks at the first payload bytes of a PES packet that is not looked through. Returns whether it is to be.
    pub fn look_at_head(&mut self, head: &[u8]) -> bool {
        let is_odd = match &self.media {
            Media::Video { codec, .. } => !may_begin(*codec, head),
            Media::Audio { frames, .. } => head.first().is_some_and(|first| *first != frames.coder().sync()),
        };
        if is_odd {
            self.left = WATCHED;
            self.rest();
        }
        is_odd
    }

    /// Whether enough of the PES packet in hand was looked at, in which nothing is out of the ordinary.
    pub fn is_done(&self) -> bool {
        self.probe == Some(0)
    }

    /// Packets are missing.
    pub fn lose(&mut self) {
        self.rest();
    }

    fn rest(&mut self) {
        match &mut self.media {
            Media::Video { units, bytes, stretches, earlier, done, .. } => {
                *done = 0;
                // Whatever comes first in an access unit begins one.
                *units = AccessUnits::default();
                units.take(Place::Slice);
                bytes.clear();
                stretches.clear();
                *earlier = 0;
            }
            Media::Audio { frames, .. } => frames.lose(),
        }
    }

    /// Looks at payload of the PES packet in hand: that of the packet at `at` from its byte `offset` on.
    pub fn push(&mut self, payload: &[u8], at: u64, offset: usize, is_interlaced: bool) -> Shown {
        let shown = match &mut self.media {
            Media::Video { .. } => self.push_video(payload, at, offset, is_interlaced),
            Media::Audio { .. } => self.push_audio(payload, at, offset),
        };
        if !shown.begins.is_empty() || shown.is_aligned == Some(false) {
            self.left = WATCHED;
            self.probe = None;
        }
        self.probe = self.probe.map(|left| left.saturating_sub(payload.len()));
        shown
    }

    fn push_video(&mut self, payload: &[u8], at: u64, offset: usize, is_interlaced: bool) -> Shown {
        let mut shown = Shown::default();
        let Media::Video { codec, units, bytes, stretches, earlier, done, finder } = &mut self.media else {
            return shown;
        };
        bytes.drain(..std::mem::take(done));
        bytes.extend_from_slice(payload);
        stretches.push(Stretch { at, offset, len: payload.len() });
        let mut searched = 0;
        let mut open = open_end(bytes);
        while let Some(found) = finder.find(&bytes[searched..]) {
            let code = searched + found;
            let head = bytes.get(code + CODE.len()..).unwrap_or_default();
            if head.len() < HEAD {
                // With the zero before it, if there is one.
                open = code - usize::from(code > 0 && bytes[code - 1] == 0);
                break;
            }
            let mut place = place(*codec, head);
            if place == Place::FirstSlice && is_interlaced && self.has_begun {
                // The second field of a frame goes with the first.
                place = Place::Slice;
            }
            let begins = units.take(place);
            let is_at_head =
                !self.is_head_known && bytes[*earlier..code.max(*earlier)].iter().all(|byte| *byte == 0);
            // A zero at the end of the PES packet before is the first byte of this access unit, or stuffing.
            let is_split =
                code < *earlier || code == *earlier && code > 0 && bytes[code - 1] == 0 && self.is_due_before;
            if !self.is_head_known {
                self.is_head_known = true;
                let is_aligned = is_at_head && begins && !is_split;
                shown.is_aligned = Some(is_aligned);
                self.has_begun |= is_aligned;
                if is_aligned {
                    searched = code + CODE.len();
                    continue;
                }
            }
            if begins {
                // The first start code of an access unit has a zero before it.
                let first = if code > 0 && bytes[code - 1] == 0 { code - 1 } else { code };
                shown.begins.extend(locate(stretches, *earlier, first, bytes.len()));
                self.has_begun = true;
            }
            searched = code + CODE.len();
        }
        if !self.is_head_known && bytes[*earlier..open.max(*earlier)].iter().any(|byte| *byte != 0) {
            // Bytes before the first unit are the rest of one.
            self.is_head_known = true;
            shown.is_aligned = Some(false);
        }
        shown.is_open = open < bytes.len();
        forget(stretches, earlier, open);
        *done = open;
        shown
    }

    fn push_audio(&mut self, payload: &[u8], at: u64, offset: usize) -> Shown {
        let mut shown = Shown::default();
        let Media::Audio { frames, position } = &mut self.media else { return shown };
        let begun = *position;
        frames.push(payload);
        *position += payload.len();
        let next = match frames.next_begin(*position) {
            None if frames.peek(false).is_some() => frames.next_begin(*position),
            next => next,
        };
        while let Some(frame) = frames.peek(false) {
            frames.take(&frame);
        }
        let is_head = !std::mem::replace(&mut self.is_head_known, true);
        let Some(next) = next else {
            if is_head {
                // Nothing is known yet of where frames begin: it stays whole.
                shown.is_aligned = Some(true);
                self.has_begun = true;
            }
            return shown;
        };
        if is_head {
            self.has_begun = next == Some(*position);
            shown.is_aligned = Some(self.has_begun);
        }
        if let Some(back) = next.filter(|back| !self.has_begun && *back <= *position - begun) {
            self.has_begun = true;
            shown.begins.push(Begin { at, offset: offset + payload.len() - back, back, is_split: false });
        }
        shown
    }

    /// What was looked at with the last push: the payload, behind what was left open before it.
    pub fn window<'a>(&'a self, payload: &'a [u8]) -> &'a [u8] {
        match &self.media {
            Media::Video { bytes, .. } => bytes,
            Media::Audio { .. } => payload,
        }
    }

    /// An access unit begins. Returns its PTS and DTS: its own, if it is the first to begin in its PES packet, or such as
    /// follow from the ones before.
    pub fn time(&mut self, own: Option<(Ticks, Ticks)>, format: Option<&Format>) -> Option<(Ticks, Ticks)> {
        self.step.time(own, format)
    }
}

impl Step {
    fn period(&self, format: Option<&Format>) -> Option<Ticks> {
        let stated = match format {
            Some(Format::Video(video)) => video.frame_rate.map(|rate| rate.period()),
            _ => None,
        };
        self.measured.or(stated)
    }

    fn time(&mut self, own: Option<(Ticks, Ticks)>, format: Option<&Format>) -> Option<(Ticks, Ticks)> {
        const LONGEST: Ticks = Ticks::new(Ticks::PER_SECOND);
        if let Some((pts, dts)) = own {
            let count = std::mem::replace(&mut self.count, 1);
            if let Some(before) = self.stated.replace(dts)
                && count > 0
                && dts > before
                && dts - before <= LONGEST
            {
                self.measured = Some(Ticks::new((dts - before).count() / count));
            }
            self.last = Some((pts, dts));
            return own;
        }
        self.count += 1;
        let (pts, dts) = self.last?;
        let period = self.period(format)?;
        self.last = Some((pts + period, dts + period));
        self.last
    }

    /// Whether a PES packet that begins at `dts` comes so late behind the one before that more than one access unit may
    /// have been in it.
    fn is_long(&mut self, dts: Ticks, format: Option<&Format>) -> bool {
        let Some(before) = self.stated.filter(|before| dts > *before) else { return false };
        let step = dts - before;
        let usual = self.period(format).into_iter().chain(self.shortest).min();
        self.shortest = self.shortest.into_iter().chain([step]).min();
        usual.is_some_and(|usual| step.count() * 2 >= usual.count() * 3)
    }
}

/// Whether a PES packet with such a head may begin with an access unit.
fn may_begin(codec: Codec, head: &[u8]) -> bool {
    let zeros = head.iter().take_while(|byte| **byte == 0).count();
    match head.get(zeros..) {
        // Too short to tell.
        None | Some([]) => true,
        Some([1, unit @ ..]) if zeros >= 2 => unit.len() < HEAD || place(codec, unit) != Place::Slice,
        Some(_) => false,
    }
}

/// From where on the last bytes may be the beginning of a start code and of what follows it.
fn open_end(bytes: &[u8]) -> usize {
    let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count().min(CODE.len());
    bytes.len() - zeros
}

/// Which packet byte `first` is in, of `len` bytes that end with the last stretch; behind those of an earlier PES packet.
fn locate(stretches: &[Stretch], earlier: usize, first: usize, len: usize) -> Option<Begin> {
    let mut from = earlier;
    for stretch in stretches {
        if first < from + stretch.len {
            let offset = stretch.offset + first.saturating_sub(from);
            let is_split = first < earlier;
            return Some(Begin { at: stretch.at, offset, back: len - first, is_split });
        }
        from += stretch.len;
    }
    None
}

/// The first `count` bytes are no longer looked at.
fn forget(stretches: &mut Vec<Stretch>, earlier: &mut usize, mut count: usize) {
    let of_earlier = count.min(*earlier);
    *earlier -= of_earlier;
    count -= of_earlier;
    stretches.retain_mut(|stretch| {
        let gone = count.min(stretch.len);
        stretch.offset += gone;
        stretch.len -= gone;
        count -= gone;
        stretch.len > 0
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELIMITER: [u8; 6] = [0, 0, 0, 1, 9, 0xf0];
    const FIRST: [u8; 8] = [0, 0, 1, 0x41, 0x9a, 5, 6, 7];
    const LATER: [u8; 8] = [0, 0, 1, 0x41, 0x3a, 5, 6, 7];

    fn video() -> Box<Inside> {
        let mut inside = Inside::new(Codec::H264, None).unwrap();
        inside.begin(None, false, false, None);
        inside
    }

    fn offsets(shown: &Shown) -> Vec<(u64, usize)> {
        shown.begins.iter().map(|begin| (begin.at, begin.offset)).collect()
    }

    #[test]
    fn the_rest_of_an_access_unit_is_no_beginning_and_what_follows_is() {
        let mut inside = video();
        let shown = inside.push(
            &[&[5, 6, 7], &DELIMITER[..], &FIRST, &LATER, &DELIMITER, &FIRST].concat(),
            188,
            14,
            false,
        );
        assert_eq!((shown.is_aligned, offsets(&shown)), (Some(false), vec![(188, 17), (188, 39)]));
    }

    #[test]
    fn slices_of_the_access_unit_before_at_the_head_are_its_rest() {
        let mut inside = video();
        inside.push(&[&DELIMITER[..], &FIRST].concat(), 0, 14, false);
        inside.begin(None, false, false, None);
        let shown = inside.push(&[&LATER[..], &FIRST].concat(), 188, 14, false);
        assert_eq!((shown.is_aligned, offsets(&shown)), (Some(false), vec![(188, 22)]));
    }

    #[test]
    fn a_start_code_in_two_packets_is_where_it_begins() {
        let stream = [&DELIMITER[..], &FIRST, &DELIMITER, &FIRST].concat();
        for cut in 1..stream.len() {
            let mut inside = video();
            let first = inside.push(&stream[..cut], 0, 14, false);
            let second = inside.push(&stream[cut..], 188, 0, false);
            assert_eq!(first.is_aligned.or(second.is_aligned), Some(true), "{cut}");
            let at = if cut <= 14 { (188, 14 - cut) } else { (0, 28) };
            assert_eq!([offsets(&first), offsets(&second)].concat(), [at], "{cut}");
            assert!(second.begins.is_empty() || cut <= 14 || first.is_open, "{cut}");
        }
    }

    #[test]
    fn fields_of_one_frame_are_one_access_unit() {
        let stream = [&DELIMITER[..], &FIRST, &FIRST].concat();
        assert_eq!(offsets(&video().push(&stream, 0, 14, true)), []);
        assert_eq!(offsets(&video().push(&stream, 0, 14, false)), [(0, 28)]);
    }

    #[test]
    fn zeros_at_the_end_of_a_pes_packet_are_stuffing_unless_its_times_are_due() {
        for (is_due, expected) in [(false, Some(true)), (true, Some(false))] {
            let mut inside = video();
            inside.push(&[&DELIMITER[..], &FIRST, &[0]].concat(), 0, 14, false);
            inside.begin(None, false, is_due, None);
            let shown = inside.push(&[&[0, 0, 1, 9, 0xf0][..], &FIRST].concat(), 188, 14, false);
            assert_eq!(shown.is_aligned, expected);
            assert_eq!(shown.begins.iter().any(|begin| begin.is_split), is_due);
        }
    }

    #[test]
    fn the_first_frame_that_begins_in_a_pes_packet_is_found_once_frames_are_known() {
        let frame = [&[0x0b, 0x77, 0, 0, 0x00, 0x40, 0x40, 0x40][..], &[1; 120]].concat();
        let stream = frame.repeat(8);
        let mut inside = Inside::new(Codec::Ac3, None).unwrap();
        let mut found = Vec::new();
        for (n, payload) in (0..).zip(stream[50..].chunks(100)) {
            inside.begin(None, false, false, None);
            assert!(inside.is_on() || inside.look_at_head(payload));
            let shown = inside.push(payload, n * 188, 14, false);
            found.push((shown.is_aligned.unwrap(), offsets(&shown)));
        }
        // Frames begin at 78, 206, 334, 462, 590, 718 and 846. What is found first is found when the second begins.
        assert_eq!(found[0], (true, vec![]));
        let expected = [(3, 34), (4, 62), (5, 90), (7, 18), (8, 46)];
        for (n, at) in expected {
            assert_eq!(found[n], (false, vec![(n as u64 * 188, 14 + at)]), "{n}");
        }
        assert_eq!(found[6], (false, vec![]));
    }

    #[test]
    fn times_of_those_without_follow_at_the_distance_that_was_measured() {
        let mut step = Step::default();
        let at = |time| Some((Ticks::new(time + 10), Ticks::new(time)));
        assert_eq!(step.time(at(0), None), at(0));
        assert_eq!(step.time(None, None), None);
        assert_eq!(step.time(None, None), None);
        assert_eq!(step.time(at(3000), None), at(3000));
        assert_eq!([step.time(None, None), step.time(None, None)], [at(4000), at(5000)]);
        assert!(step.is_long(Ticks::new(6000), None));
    }
}
