//! One fragment under way: samples of one stream, then moof and mdat.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mp4_atom::{Encode, FourCC, Mfhd, Moof, Tfdt, Tfhd, Traf, Trun, TrunEntry, TrunSamples};

use super::entry::Entry;
use super::line::Line;
use super::reference::prft;
use super::sample::Sample;
use crate::time::Ticks;

/// The media of a fragment at most: sizes and offsets are 32 bits.
pub const MAX_BYTES: usize = 1 << 30;

/// Samples of one stream that are not written yet.
#[derive(Debug, Default)]
pub struct Fragment {
    /// What they are described by; fixed for a segment with its first sample.
    pub entry: Option<Arc<Entry>>,
    /// Their bytes, and those of one under way.
    pub media: Vec<u8>,
    pub samples: Vec<Sample>,
    /// Where the last sample of sound ends.
    pub end: i64,
    /// How large the one before was.
    pub expected: usize,
    /// Whether the last sample may become longer yet.
    pub is_growing: bool,
    /// How many samples of the segment have been taken out.
    pub taken: usize,
}

/// A fragment whose end is known.
#[derive(Debug)]
pub struct Whole {
    pub entry: Arc<Entry>,
    media: Vec<u8>,
    samples: Vec<Sample>,
    /// When what follows is decoded.
    pub end: i64,
}

impl Fragment {
    /// Makes room as it was needed last time.
    pub fn prepare(&mut self) {
        if self.media.capacity() == 0 {
            self.media.reserve(self.expected + self.expected / 8);
        }
    }

    /// Delays the samples from `from` on: their timestamp was right.
    pub fn delay(&mut self, from: i64, by: i64) {
        let late = self.samples.iter_mut().rev().take_while(|sample| sample.decode >= from);
        late.for_each(|sample| sample.decode = sample.decode.saturating_add(by));
    }

    /// How many of the first samples, up to when, make a part: as many as last no longer than `limit`, once the next
    /// one, should it last as long as the last, would not fit.
    pub fn due(&self, limit: i64) -> Option<(usize, i64)> {
        let end = self.end;
        let (first, last) = self.samples.first().zip(self.samples.last())?;
        if end + (end - last.decode) - first.decode <= limit {
            return None;
        }
        let ends = self.samples.iter().skip(1).map(|sample| sample.decode).chain([end]);
        let fitting = ends.clone().take_while(|end| end - first.decode <= limit).count().max(1);
        if self.is_growing && fitting == self.samples.len() {
            return None;
        }
        ends.clone().nth(fitting - 1).map(|until| (fitting, until))
    }

    /// How many of the first samples, up to when, are taken out if all last longer than `limit`: those that end by `begin`,
    /// or as many as fit.
    pub fn beyond(&self, limit: i64, begin: i64) -> Option<(usize, i64)> {
        let first = self.samples.first().filter(|first| self.end - first.decode > limit)?.decode;
        let ends: Vec<i64> = self.samples.iter().skip(1).map(|sample| sample.decode).collect();
        let early = ends.iter().take_while(|end| **end <= begin && **end - first <= limit).count();
        let fitting = ends.iter().take_while(|end| **end - first <= limit).count();
        let count = if early > 0 { early } else { fitting.max(1) };
        Some((count, *ends.get(count - 1)?))
    }

    /// The first `count` samples, none of which begins before `start` or an earlier one; the last lasts until `end`.
    /// The rest, and bytes of one under way, stay.
    pub fn take(&mut self, count: usize, start: i64, end: i64) -> Option<Whole> {
        let entry = self.entry.clone()?;
        let later = self.samples.split_off(count.min(self.samples.len()));
        let mut samples = std::mem::replace(&mut self.samples, later);
        let size: usize = samples.iter().map(|sample| sample.size_bytes as usize).sum();
        let rest = self.media.split_off(size.min(self.media.len()));
        self.expected = size;
        self.taken += samples.len();
        let media = std::mem::replace(&mut self.media, rest);
        let end = samples.iter().fold(start, |latest, sample| latest.max(sample.decode)).max(end);
        spread(&mut samples, end);
        hold(&mut samples, start);
        Some(Whole { entry, media, samples, end })
    }
}

/// Gives samples that share the times of one PES packet times of their own, evenly.
fn spread(samples: &mut [Sample], end: i64) {
    let mut first = 0;
    while first < samples.len() {
        let count = samples[first + 1..].iter().take_while(|sample| sample.is_unstamped).count() + 1;
        let from = samples[first].decode;
        let to = samples.get(first + count).map_or(end, |next| next.decode);
        for (n, sample) in (0_i64..).zip(&mut samples[first..first + count]) {
            sample.decode = from + (to - from).max(0) * n / count as i64;
        }
        first += count;
    }
}

/// Delays what would begin before `start` or an earlier sample; when it is presented stays the same.
fn hold(samples: &mut [Sample], start: i64) {
    let mut least = start;
    for sample in samples {
        let late = least.saturating_sub(sample.decode).max(0);
        sample.decode += late;
        sample.offset = sample.offset.saturating_sub(i32::try_from(late).unwrap_or(i32::MAX));
        least = sample.decode;
    }
}

impl Whole {
    /// The first sample's decoding time, or the end where there is none.
    fn start(&self) -> i64 {
        self.samples.first().map_or(self.end, |sample| sample.decode)
    }

    /// From when to when it lasts.
    pub fn span(&self) -> (Ticks, Ticks) {
        let line = Line::new(self.entry.timescale);
        (line.ticks(self.start()), line.ticks(self.end))
    }

    /// When each sample is presented.
    pub fn times(&self) -> impl Iterator<Item = Ticks> {
        let line = Line::new(self.entry.timescale);
        self.samples.iter().map(move |sample| line.ticks(sample.decode + i64::from(sample.offset)))
    }

    /// When the earliest sample is presented.
    fn presented(&self) -> Option<u64> {
        let times = self.samples.iter().map(|sample| sample.decode + i64::from(sample.offset));
        times.min().map(|time| u64::try_from(time).unwrap_or(0))
    }

    fn traf(&self, track_id: u32) -> Traf {
        let ends = self.samples.iter().skip(1).map(|sample| sample.decode).chain([self.end]);
        let spans: Vec<u32> =
            self.samples.iter().zip(ends).map(|(sample, end)| span(sample.decode, end)).collect();
        let flags: Vec<u32> = self.samples.iter().map(|sample| sample.dependency.flags()).collect();
        let duration = common(&spans);
        let (default_flags, own_flags) = spell_flags(&flags);
        let entries =
            self.samples.iter().zip(&spans).zip(own_flags).map(|((sample, span), flags)| TrunEntry {
                duration: if duration.is_some() { None } else { Some(*span) },
                size: Some(sample.size_bytes),
                flags,
                cts: Some(i64::from(sample.offset)),
            });
        let mut entries: Vec<_> = entries.collect();
        if entries.iter().all(|entry| entry.cts == Some(0)) {
            entries.iter_mut().for_each(|entry| entry.cts = None);
        }
        let runs = if entries.is_empty() {
            Vec::new()
        } else {
            vec![Trun { data_offset: Some(0), samples: TrunSamples::Explicit(entries) }]
        };
        Traf {
            tfhd: Tfhd {
                track_id,
                default_sample_duration: duration,
                default_sample_flags: default_flags,
                default_base_is_moof: true,
                ..Tfhd::default()
            },
            tfdt: Some(Tfdt { base_media_decode_time: u64::try_from(self.start()).unwrap_or(0) }),
            trun: runs,
            ..Traf::default()
        }
    }
}

fn span(from: i64, to: i64) -> u32 {
    u32::try_from((to - from).max(0)).unwrap_or(u32::MAX)
}

/// default_sample_flags, and the flags that each sample states itself (ISO/IEC 14496-12 §8.8.8): none where all are
/// alike, the first one's where it alone differs, otherwise everyone's. Either all samples behind the first state
/// theirs or none does: a trun has them for all, and no default fills in.
fn spell_flags(flags: &[u32]) -> (Option<u32>, Vec<Option<u32>>) {
    let Some((first, later)) = flags.split_first() else { return (None, Vec::new()) };
    let default = if later.is_empty() { Some(*first) } else { common(later) };
    let own = match default {
        None => flags.iter().copied().map(Some).collect(),
        Some(default) => {
            let mut own = vec![None; flags.len()];
            own[0] = Some(*first).filter(|first| *first != default);
            own
        }
    };
    (default, own)
}

/// The value that all are, if they are one.
fn common(values: &[u32]) -> Option<u32> {
    let first = values.first().copied()?;
    values.iter().all(|value| *value == first).then_some(first)
}

/// One moof with a traf for each, and the mdat behind it; ahead of them the time `now`, where it is told. Nothing, should
/// it not fit in 32 bits.
pub fn write(sequence: u32, fragments: Vec<(u32, Whole)>, now: Option<Duration>) -> Vec<Bytes> {
    let trafs = fragments.iter().map(|(track_id, whole)| whole.traf(*track_id)).collect();
    let mut moof = Moof { mfhd: Mfhd { sequence_number: sequence }, traf: trafs };
    let media: usize = fragments.iter().map(|(_, whole)| whole.media.len()).sum();
    let Some(head) = head(&mut moof, &fragments, media, now) else { return Vec::new() };
    let bodies = fragments.into_iter().map(|(_, whole)| Bytes::from(whole.media));
    std::iter::once(Bytes::from(head)).chain(bodies.filter(|body| !body.is_empty())).collect()
}

/// The moof, once its length told where the media begin, what stands ahead of it, and the head of the mdat.
fn head(moof: &mut Moof, fragments: &[(u32, Whole)], media: usize, now: Option<Duration>) -> Option<Vec<u8>> {
    const MDAT_HEAD: usize = 8;
    let mut head = Vec::with_capacity(256);
    moof.encode(&mut head).ok()?;
    let mut at = head.len() + MDAT_HEAD;
    for (traf, (_, whole)) in moof.traf.iter_mut().zip(fragments) {
        if let Some(run) = traf.trun.first_mut() {
            run.data_offset = Some(i32::try_from(at).ok()?);
        }
        at += whole.media.len();
    }
    head.clear();
    let earliest = fragments.iter().find_map(|(track_id, whole)| Some((*track_id, whole.presented()?)));
    if let Some((now, (track_id, at))) = now.zip(earliest) {
        prft(track_id, now, at).encode(&mut head).ok()?;
    }
    moof.encode(&mut head).ok()?;
    u32::try_from(MDAT_HEAD + media).ok()?.encode(&mut head).ok()?;
    FourCC::new(b"mdat").encode(&mut head).ok()?;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::super::sample::Dependency;
    use super::*;
    use crate::codec::{Audio, Codec, Format};

    fn sample(decode: i64) -> Sample {
        Sample { decode, offset: 20, size_bytes: 1, dependency: Dependency::ALONE, is_unstamped: false }
    }

    fn whole() -> Whole {
        let format = Format::Audio(Audio {
            codec: Codec::AacAdts,
            rfc6381: None,
            sample_rate_hz: 48_000,
            channels: 2,
            samples_per_frame: 1024,
        });
        let codec = mp4_atom::Codec::Unknown(FourCC::new(b"none"), Vec::new());
        let entry = Arc::new(Entry { codec, timescale: 48_000, format });
        Whole { entry, media: vec![1], samples: vec![sample(10)], end: 20 }
    }

    #[test]
    fn the_time_stands_ahead_of_the_fragment_if_it_is_told() {
        let [without, with] =
            [None, Some(Duration::from_secs(1))].map(|now| write(1, vec![(1, whole())], now).concat());
        let mut reference = Vec::new();
        prft(1, Duration::from_secs(1), 30).encode(&mut reference).unwrap();
        assert_eq!(with, [reference, without].concat());
    }

    #[test]
    fn each_sample_has_its_own_flags_whichever_differ() {
        use mp4_atom::Decode;
        let key = Dependency { is_sync: true, depends: false, is_disposable: false };
        let other = Dependency { is_sync: false, depends: true, is_disposable: false };
        let spare = Dependency { is_disposable: true, ..other };
        let cases: [&[Dependency]; 9] = [
            &[key],
            &[other],
            &[key, key, key],
            &[key, other],
            &[key, other, other],
            &[other, key, key],
            &[key, other, spare],
            &[key, other, key, other],
            &[other, other, key],
        ];
        for case in cases {
            let samples = (0..)
                .zip(case)
                .map(|(decode, dependency)| Sample { dependency: *dependency, ..sample(decode) });
            let whole = Whole { samples: samples.collect(), end: case.len() as i64, ..whole() };
            let bytes = write(1, vec![(1, whole)], None).concat();
            let moof = Moof::decode(&mut bytes.as_slice()).unwrap();
            let [traf] = &moof.traf[..] else { panic!("{moof:?}") };
            let default = traf.tfhd.default_sample_flags;
            let found: Vec<_> =
                traf.trun[0].samples.iter().map(|entry| entry.flags.or(default).unwrap()).collect();
            let expected: Vec<_> = case.iter().map(|dependency| dependency.flags()).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn what_would_begin_before_its_fragment_is_delayed_and_presented_as_before() {
        let mut samples = [10, 5, 30, 20].map(sample);
        hold(&mut samples, 8);
        let times = samples.map(|sample| (sample.decode, sample.decode + i64::from(sample.offset)));
        assert_eq!(times, [(10, 30), (10, 25), (30, 50), (30, 40)]);
        hold(&mut samples, 15);
        assert_eq!(samples.map(|sample| sample.decode), [15, 15, 30, 30]);
    }
}
