//! A stream of pictures: PES packets become samples.

use std::collections::VecDeque;
use std::sync::Arc;

use super::annex_b::{AnnexB, Kept, LENGTH, Whole};
use super::entry::Entry;
use super::fragment::{Fragment, MAX_BYTES};
use super::sample::{Dependency, Sample};
use super::sets::Sets;
use super::syntax::{Syntax, Unit};
use crate::codec::access::{AccessUnits, Place};
use crate::codec::{Format, RandomAccess};
use crate::time::Ticks;

/// Bytes of one picture at most; what is more is not taken.
const MAX_PICTURE: usize = 64 << 20;

/// Puts samples of pictures into fragments.
#[derive(Debug)]
pub struct Pictures {
    annex_b: AnnexB,
    reader: Reader,
}

#[derive(Debug)]
struct Reader {
    syntax: Syntax,
    format: Option<Format>,
    sets: Sets,
    entry: Option<Arc<Entry>>,
    picture: Option<InHand>,
    access_units: AccessUnits,
    /// The times of PES packets in which no access unit has begun yet, by their numbers.
    stamps: VecDeque<(u64, Stamp)>,
    /// The times of the last access unit.
    last: Option<Stamp>,
    /// Of the last sample, in this timeline.
    last_decode: Option<i64>,
    timeline: u64,
    /// Packets are missing: what the next PES packet begins with is no part of the picture in hand.
    has_gap: bool,
    /// Whether pictures were left out because nothing describes them, since it was asked last.
    has_left_out: bool,
}

/// When an access unit is decoded and presented.
#[derive(Clone, Copy, Debug)]
struct Stamp {
    decode: i64,
    offset: i32,
}

/// PES packets kept in mind in which nothing begins.
const MAX_STAMPS: usize = 64;

/// The access unit under way.
#[derive(Clone, Copy, Debug)]
struct InHand {
    /// Where its bytes begin.
    at: usize,
    /// The PES packet that it begins in.
    pes: u64,
    stamp: Stamp,
    has_slice: bool,
    is_disposable: bool,
    random_access: Option<RandomAccess>,
    is_unstamped: bool,
}

impl Pictures {
    pub fn new(syntax: Syntax) -> Self {
        Self {
            annex_b: AnnexB::default(),
            reader: Reader {
                syntax,
                format: None,
                sets: Sets::default(),
                entry: None,
                picture: None,
                access_units: AccessUnits::default(),
                stamps: VecDeque::new(),
                last: None,
                last_decode: None,
                timeline: 0,
                has_gap: false,
                has_left_out: false,
            },
        }
    }

    /// The newest sample entry.
    pub const fn entry(&self) -> Option<&Arc<Entry>> {
        self.reader.entry.as_ref()
    }

    /// Whether pictures were left out since the last call because no parameter sets describe them.
    pub const fn take_left_out(&mut self) -> bool {
        std::mem::replace(&mut self.reader.has_left_out, false)
    }

    /// A PES packet begins; the first access unit that begins in it is decoded and presented at these times, if it has
    /// any.
    pub fn begin(&mut self, times: Option<(Ticks, Ticks)>, timeline: u64, fragment: &mut Fragment) {
        let pes = self.annex_b.begin_pes();
        if std::mem::take(&mut self.reader.has_gap) || self.reader.timeline != timeline {
            self.end(fragment);
        }
        fragment.prepare();
        let reader = &mut self.reader;
        if std::mem::replace(&mut reader.timeline, timeline) != timeline {
            reader.last_decode = None;
            reader.last = None;
            reader.stamps.clear();
        }
        let Some((decode, present)) = times else { return };
        let decode = decode.count();
        let offset = present.count().saturating_sub(decode).clamp(i32::MIN.into(), i32::MAX.into()) as i32;
        if reader.stamps.len() == MAX_STAMPS {
            reader.stamps.pop_front();
        }
        reader.stamps.push_back((pes, Stamp { decode, offset }));
    }

    /// Packets are missing: the unit in hand ends here, and what follows up to the next start code is part of another,
    /// perhaps of another picture.
    pub fn lose(&mut self, fragment: &mut Fragment) {
        let Fragment { media, samples, entry, .. } = fragment;
        let mut target = Target { samples, entry };
        self.annex_b
            .end(media, &mut |media: &mut Vec<u8>, whole| self.reader.take_unit(media, whole, &mut target));
        self.reader.has_gap = true;
    }

    /// Payload of the PES packet.
    pub fn push(&mut self, payload: &[u8], fragment: &mut Fragment) {
        let begun = self.reader.picture.map_or(fragment.media.len(), |picture| picture.at);
        if fragment.media.len().saturating_sub(begun) > MAX_PICTURE || fragment.media.len() > MAX_BYTES {
            return;
        }
        let Fragment { media, samples, entry, .. } = fragment;
        let mut target = Target { samples, entry };
        self.annex_b.push(payload, media, &mut |media: &mut Vec<u8>, whole| {
            self.reader.take_unit(media, whole, &mut target)
        });
    }

    /// The access unit under way is whole.
    pub fn end(&mut self, fragment: &mut Fragment) {
        let Fragment { media, samples, entry, .. } = fragment;
        let mut target = Target { samples, entry };
        self.annex_b
            .end(media, &mut |media: &mut Vec<u8>, whole| self.reader.take_unit(media, whole, &mut target));
        let end = media.len();
        self.reader.end_picture(media, end, &mut target);
    }
}

/// Where samples go.
struct Target<'a> {
    samples: &'a mut Vec<Sample>,
    entry: &'a mut Option<Arc<Entry>>,
}

impl Reader {
    /// An access unit begins at `at`, in this PES packet. One that never had times of its own has those of the last.
    /// A zero before its start code may be of an earlier one: it is its first byte, if that one's times are still due.
    fn begin(&mut self, at: usize, zero_pes: u64, pes: u64, target: &Target<'_>) {
        while self.stamps.front().is_some_and(|(of, _)| *of < zero_pes) {
            self.stamps.pop_front();
        }
        let is_own = self.stamps.front().is_some_and(|(of, _)| *of <= pes);
        let own = if is_own { self.stamps.pop_front() } else { None };
        let own = own.map(|(_, stamp)| self.go_on(stamp));
        let Some(stamp) = own.or(self.last) else { return };
        self.last = Some(stamp);
        if target.entry.is_none() {
            self.sets.begin_segment();
        }
        self.syntax.reset();
        self.picture = Some(InHand::new(at, pes, stamp, own.is_none()));
    }

    /// Decoding times that run back a little, as those of some encoders do, are taken to stand still.
    fn go_on(&mut self, Stamp { decode, offset }: Stamp) -> Stamp {
        let least = self.last_decode.map_or(i64::MIN, |last| last.saturating_add(1));
        let at = decode.max(least);
        self.last_decode = Some(at);
        let late = at.saturating_sub(decode).clamp(0, i32::MAX.into()) as i32;
        Stamp { decode: at, offset: offset.saturating_sub(late) }
    }

    /// Takes a unit, the last of `media`. Where it stands then, if it stays.
    fn take_unit(
        &mut self,
        media: &mut Vec<u8>,
        Whole { mut at, pes, zero_pes }: Whole,
        target: &mut Target<'_>,
    ) -> Kept {
        let mut place = self.syntax.place(media.get(at + LENGTH..).unwrap_or_default());
        if place == Place::FirstSlice && self.may_be_field(pes) {
            place = Place::Slice;
        }
        if self.access_units.take(place) || self.picture.is_none() {
            at -= self.end_picture(media, at, target);
            self.begin(at, zero_pes, pes, target);
        }
        let unit = media.get(at + LENGTH..).unwrap_or_default();
        let stays = self.picture.take().is_some_and(|mut picture| {
            let stays = self.read_unit(unit, &mut picture, target);
            self.picture = Some(picture);
            stays
        });
        if !stays {
            media.truncate(at);
        }
        stays.then_some(at)
    }

    /// Whether a first slice in this PES packet may be that of a frame's second field, which goes with the first.
    fn may_be_field(&self, pes: u64) -> bool {
        let is_interlaced = matches!(&self.format, Some(Format::Video(video)) if video.is_interlaced);
        is_interlaced && self.picture.is_some_and(|picture| picture.has_slice && picture.pes == pes)
    }

    /// Reads a unit of the picture in hand. Whether it stays among the samples.
    fn read_unit(&mut self, unit: &[u8], picture: &mut InHand, target: &Target<'_>) -> bool {
        match self.syntax.unit(unit) {
            Unit::Filler | Unit::Delimiter => false,
            Unit::Set(key) => {
                if !picture.has_slice {
                    self.syntax.ended(unit);
                }
                self.sets.take(key, unit, target.entry.is_none())
            }
            Unit::Slice { is_disposable } => {
                if !picture.has_slice {
                    picture.random_access = self.syntax.began(unit).and_then(|first| first.random_access);
                    picture.is_disposable = true;
                }
                picture.has_slice = true;
                picture.is_disposable &= is_disposable;
                true
            }
            Unit::Other => {
                if !picture.has_slice {
                    self.syntax.ended(unit);
                }
                true
            }
        }
    }

    /// The picture's bytes go up to `end`. How many bytes before `end` are left out with it.
    fn end_picture(&mut self, media: &mut Vec<u8>, end: usize, target: &mut Target<'_>) -> usize {
        let Some(picture) = self.picture.take() else { return 0 };
        if end == media.len() {
            self.access_units.end();
        }
        self.syntax.renew(&mut self.format);
        let size = end.saturating_sub(picture.at);
        let size_bytes = u32::try_from(size).ok().filter(|size| *size > 0 && picture.has_slice);
        let (Some(size_bytes), true) = (size_bytes, self.describe(target.entry)) else {
            self.has_left_out |= size_bytes.is_some();
            media.drain(picture.at.min(end)..end);
            return size;
        };
        target.samples.push(Sample {
            decode: picture.stamp.decode,
            offset: picture.stamp.offset,
            size_bytes,
            dependency: picture.dependency(),
            is_unstamped: picture.is_unstamped && !target.samples.is_empty(),
        });
        0
    }

    /// Sees to it that the fragment's samples are described. Whether they are.
    fn describe(&mut self, entry: &mut Option<Arc<Entry>>) -> bool {
        if entry.is_none() {
            if self.entry.is_none() || self.sets.take_change() {
                self.entry = self.new_entry().map(Arc::new).or(self.entry.take());
            }
            entry.clone_from(&self.entry);
        }
        entry.is_some()
    }

    fn new_entry(&self) -> Option<Entry> {
        let Some(Format::Video(video)) = &self.format else { return None };
        let codec = self.syntax.entry(&self.sets, video)?;
        let format = Format::Video(video.clone());
        Some(Entry { codec, timescale: Ticks::PER_SECOND as u32, format })
    }
}

impl InHand {
    const fn new(at: usize, pes: u64, stamp: Stamp, is_unstamped: bool) -> Self {
        Self { at, pes, stamp, has_slice: false, is_disposable: false, random_access: None, is_unstamped }
    }

    fn dependency(&self) -> Dependency {
        Dependency {
            // A player that goes to a segment begins with its first sync sample: points where the picture becomes
            // whole only by and by are such, as without them an intra-refresh stream would have none.
            is_sync: self.random_access.is_some(),
            depends: !matches!(self.random_access, Some(RandomAccess::Closed | RandomAccess::Open)),
            is_disposable: self.is_disposable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;

    const CLOSED: &[u8] = include_bytes!("../../testdata/codec/closed.h264");

    fn pictures() -> Pictures {
        Pictures::new(Syntax::new(Codec::H264).unwrap())
    }

    fn push(pictures: &mut Pictures, at: i64, payload: &[u8], fragment: &mut Fragment) {
        begin(pictures, at, payload, fragment);
        pictures.end(fragment);
    }

    /// A PES packet, the end of which ends no access unit.
    fn begin(pictures: &mut Pictures, at: i64, payload: &[u8], fragment: &mut Fragment) {
        pictures.begin(Some((Ticks::new(at), Ticks::new(at + 3600))), 0, fragment);
        payload.chunks(184).for_each(|piece| pictures.push(piece, fragment));
    }

    #[test]
    fn access_units_are_the_same_wherever_pes_packets_begin() {
        let (mut whole, mut expected) = (pictures(), Fragment::default());
        for (at, unit) in (0..).zip(access_units()) {
            push(&mut whole, at * 3600, unit, &mut expected);
        }
        for tail in [1, 2, 3, 20, 150] {
            let (mut pictures, mut fragment) = (pictures(), Fragment::default());
            let mut rest = Vec::new();
            for (at, unit) in (0..).zip(access_units()) {
                let (head, behind) = unit.split_at(unit.len() - tail.min(unit.len() - 8));
                begin(&mut pictures, at * 3600, &[&rest, head].concat(), &mut fragment);
                rest = behind.to_vec();
            }
            begin(&mut pictures, 1 << 30, &rest, &mut fragment);
            pictures.end(&mut fragment);
            assert_eq!(fragment.samples, expected.samples, "{tail}");
            assert_eq!(fragment.media, expected.media, "{tail}");
        }
    }

    fn access_units() -> Vec<&'static [u8]> {
        let mut starts: Vec<_> = memchr::memmem::find_iter(CLOSED, &[0, 0, 0, 1, 9]).collect();
        starts.push(CLOSED.len());
        starts.windows(2).map(|pair| &CLOSED[pair[0]..pair[1]]).collect()
    }

    /// nal_unit_type of each unit.
    fn kinds(mut media: &[u8]) -> Vec<u8> {
        let mut kinds = Vec::new();
        while let Some((len, rest)) = media.split_first_chunk::<LENGTH>() {
            let (unit, behind) = rest.split_at(u32::from_be_bytes(*len) as usize);
            kinds.push(unit[0] & 0x1f);
            media = behind;
        }
        kinds
    }

    #[test]
    fn a_sample_is_an_access_unit_without_delimiter_and_parameter_sets() {
        let (mut pictures, mut fragment) = (pictures(), Fragment::default());
        for (at, unit) in (0..).zip(access_units()) {
            push(&mut pictures, at * 3600, unit, &mut fragment);
        }
        assert_eq!(fragment.samples.len(), access_units().len());
        assert!(kinds(&fragment.media).iter().all(|kind| [1, 5, 6].contains(kind)));
        assert!(fragment.samples[0].dependency.is_sync && !fragment.samples[1].dependency.is_sync);
        assert!(fragment.samples.iter().all(|sample| sample.offset == 3600));
        assert!(fragment.entry.is_some());
    }

    #[test]
    fn access_units_of_one_pes_packet_share_its_time() {
        let (mut pictures, mut fragment) = (pictures(), Fragment::default());
        push(&mut pictures, 0, CLOSED, &mut fragment);
        let count = access_units().len();
        assert_eq!(fragment.samples.len(), count);
        assert_eq!(fragment.samples.iter().filter(|sample| sample.is_unstamped).count(), count - 1);
    }

    #[test]
    fn pictures_that_nothing_describes_are_left_out() {
        let (mut pictures, mut fragment) = (pictures(), Fragment::default());
        push(&mut pictures, 0, access_units()[1], &mut fragment);
        assert!(fragment.samples.is_empty() && fragment.media.is_empty());
        push(&mut pictures, 3600, access_units()[0], &mut fragment);
        assert_eq!(fragment.samples.len(), 1);
    }

    #[test]
    fn decoding_times_do_not_run_back() {
        let (mut pictures, mut fragment) = (pictures(), Fragment::default());
        push(&mut pictures, 7200, access_units()[0], &mut fragment);
        push(&mut pictures, 3600, access_units()[1], &mut fragment);
        assert_eq!((fragment.samples[1].decode, fragment.samples[1].offset), (7201, -1));
    }
}
