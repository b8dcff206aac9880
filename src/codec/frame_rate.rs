//! The frame rate that timestamps show, where headers do not say it or say it wrongly.

use super::{Codec, Video};
use crate::time::{Rate, Ticks};

/// Timestamps sorted at a time: a decoder holds at most 16 pictures back (H.264 §A.3.1, H.265 §A.4.2).
const REORDER: usize = 17;
/// Steps from which a rate is measured: enough to tell 24 from 24000/1001 Hz through timestamps of milliseconds.
const WINDOW: usize = 120;
/// A longer step is a gap, not the duration of a frame.
const MAX_STEP: i64 = 10 * Ticks::PER_SECOND;
/// How far a measured rate may be from an exact one on top of what rounding explains, as a fraction.
const TOLERANCE: f64 = 0.0004;
/// A rate has to be higher by this factor to replace the one before.
const RISE: f64 = 1.02;
/// More pictures a second than that from interlaced video are its fields.
const MAX_INTERLACED: f64 = 31.0;
/// An interlaced stream that says less than that does not say its frame rate.
const MIN_INTERLACED: f64 = 20.0;

/// Rates in use, each as (frames, seconds).
const COMMON: [(u32, u32); 20] = [
    (24_000, 1001),
    (24, 1),
    (25, 1),
    (30_000, 1001),
    (30, 1),
    (48_000, 1001),
    (48, 1),
    (50, 1),
    (60_000, 1001),
    (60, 1),
    (100, 1),
    (120_000, 1001),
    (120, 1),
    (12_000, 1001),
    (12, 1),
    (25, 2),
    (15_000, 1001),
    (15, 1),
    (10, 1),
    (5, 1),
];

/// Measures the frame rate of one video stream from presentation times.
///
/// A step is the time from one picture to the next in order of presentation. The rate is that of the usual step:
/// single pictures that are missing, late or early do not change it. Where the rate varies, it is the highest of
/// those that last for 120 pictures, as FRAME-RATE asks for the maximum (RFC 8216 §4.3.4.2).
#[derive(Clone, Debug, Default)]
pub struct FrameRate {
    /// Sorted, the earliest first.
    waiting: Vec<Ticks>,
    newest: Option<Ticks>,
    /// The latest that left `waiting`.
    last: Option<Ticks>,
    /// In ticks.
    steps: Vec<i64>,
    /// Of the windows that are full.
    highest: Option<Measure>,
    /// What [`news`](Self::news) gave last.
    told: Option<Rate>,
}

/// A measured rate.
#[derive(Clone, Copy, Debug)]
struct Measure {
    per_second: f64,
    /// By how much it may be wrong, as a fraction.
    tolerance: f64,
}

impl FrameRate {
    /// Takes the presentation time of the next picture, in decoding order.
    pub fn take(&mut self, pts: Ticks) {
        if self.newest.is_some_and(|newest| (pts - newest).count().abs() > MAX_STEP) {
            self.restart();
        }
        self.newest = Some(pts);
        if self.waiting.capacity() == 0 {
            self.waiting.reserve_exact(REORDER + 1);
            self.steps.reserve_exact(WINDOW);
        }
        // Most belong near the end.
        let at = self.waiting.iter().rposition(|waiting| *waiting <= pts).map_or(0, |before| before + 1);
        self.waiting.insert(at, pts);
        if self.waiting.len() > REORDER {
            let earliest = self.waiting.remove(0);
            self.step_to(earliest);
        }
    }

    /// The timestamps that follow have nothing to do with those before.
    pub fn restart(&mut self) {
        while let Some(pts) = self.waiting.first().copied() {
            self.waiting.remove(0);
            self.step_to(pts);
        }
        self.newest = None;
        self.last = None;
    }

    fn step_to(&mut self, pts: Ticks) {
        let step = self.last.map_or(0, |last| (pts - last).count());
        if step >= 0 {
            self.last = Some(pts);
        }
        if step > 0 && step <= MAX_STEP {
            self.steps.push(step);
        }
        if self.steps.len() >= WINDOW {
            let measure = measure(&mut self.steps);
            self.steps.clear();
            let before = self.highest.map_or(0.0, |highest| highest.per_second * RISE);
            self.highest = measure.filter(|new| new.per_second > before).or(self.highest);
        }
    }

    /// The frame rate of `video`, which these timestamps belong to: what its headers say where timestamps do not
    /// contradict them, else the measured one. Pictures that are single fields are counted as half a frame.
    pub fn rate(&self, video: &Video) -> Option<Rate> {
        let stated = video.frame_rate;
        let Some(measured) = self.highest.or_else(|| self.partial()) else { return stated };
        if video.is_interlaced && video.codec != Codec::Hevc {
            return interlaced(stated, measured);
        }
        Some(measured.exact(stated))
    }

    /// The same, if it is another than the last time.
    pub fn news(&mut self, video: &Video) -> Option<Rate> {
        let rate = self.rate(video).filter(|rate| self.told != Some(*rate))?;
        self.told = Some(rate);
        Some(rate)
    }

    /// What the pictures so far show, before there are enough to be sure.
    fn partial(&self) -> Option<Measure> {
        let ends = self.last.iter().chain(&self.waiting);
        let steps = ends.clone().zip(ends.skip(1)).map(|(from, to)| (*to - *from).count());
        let mut all = Vec::with_capacity(self.steps.len() + self.waiting.len());
        all.extend(self.steps.iter().copied().chain(steps).filter(|step| (1..=MAX_STEP).contains(step)));
        measure(&mut all)
    }
}

/// The mean step; one that is as long as several usual ones stands for so many, of which pictures are missing. None
/// without any.
fn measure(sorted: &mut [i64]) -> Option<Measure> {
    sorted.sort_unstable();
    let median = *sorted.get(sorted.len() / 2)?;
    let frames = |step: &i64| ((*step + median / 2) / median.max(1)).max(1);
    let usual = || sorted.iter().filter(|step| frames(step) == 1);
    let (least, most) = (usual().min()?, usual().max()?);
    let (count, sum) = (sorted.iter().map(frames).sum::<i64>(), sorted.iter().sum::<i64>() as f64);
    Some(Measure {
        per_second: count as f64 * Ticks::PER_SECOND as f64 / sum,
        tolerance: TOLERANCE + (most - least) as f64 / sum,
    })
}

impl Measure {
    fn is(self, rate: Rate) -> bool {
        (self.per_second / rate.per_second() - 1.0).abs() <= self.tolerance
    }

    /// The exact rate that this is a measurement of: the stated one, or one in use; else the measured figure.
    fn exact(self, stated: Option<Rate>) -> Rate {
        let off = |rate: &Rate| (self.per_second / rate.per_second() - 1.0).abs();
        let near = COMMON.iter().filter_map(|(count, seconds)| Rate::new(*count, *seconds));
        let near = near.filter(|rate| self.is(*rate)).min_by(|a, b| off(a).total_cmp(&off(b)));
        let measured = || Rate::new((self.per_second * 1000.0).round().clamp(1.0, 1e9) as u32, 1000);
        stated.filter(|rate| self.is(*rate)).or(near).or_else(measured).unwrap_or(ONE)
    }
}

const ONE: Rate = Rate { count: 1, seconds: std::num::NonZeroU32::MIN };

/// Fields may come one by one, in pairs, or both in turn (PAFF): then the headers' rate is that of the frames.
fn interlaced(stated: Option<Rate>, measured: Measure) -> Option<Rate> {
    match stated {
        Some(rate) if rate.per_second() >= MIN_INTERLACED => {
            let ratio = measured.per_second / rate.per_second();
            let is_frames_or_fields = (0.98..=2.02).contains(&ratio);
            Some(if is_frames_or_fields { rate } else { measured.exact(None) })
        }
        _ if measured.per_second > MAX_INTERLACED => {
            Some(Measure { per_second: measured.per_second / 2.0, ..measured }.exact(None))
        }
        _ => Some(measured.exact(stated)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video(frame_rate: Option<Rate>, is_interlaced: bool) -> Video {
        Video {
            codec: Codec::H264,
            rfc6381: None,
            width: 16,
            height: 16,
            frame_rate,
            is_interlaced,
            colour: None,
            sample_aspect: None,
        }
    }

    fn taken(times: impl IntoIterator<Item = i64>) -> FrameRate {
        let mut rate = FrameRate::default();
        times.into_iter().for_each(|pts| rate.take(Ticks::new(pts)));
        rate
    }

    /// `count` pictures at `rate`, in decoding order with two B-frames in each mini-GOP.
    fn reordered(count: i64, rate: (i64, i64)) -> impl Iterator<Item = i64> {
        let order = (0..count / 3).flat_map(|n| [3 * n + 2, 3 * n, 3 * n + 1]);
        order.map(move |n| 500_000 + n * 90_000 * rate.1 / rate.0)
    }

    #[test]
    fn timestamps_win_where_headers_contradict_them_or_say_nothing() {
        let rate = taken(reordered(300, (25, 1)));
        for stated in [None, Rate::new(50, 1), Rate::new(25, 2), Rate::new(25, 1), Rate::new(30, 1)] {
            assert_eq!(rate.rate(&video(stated, false)), Rate::new(25, 1), "{stated:?}");
        }
        assert_eq!(FrameRate::default().rate(&video(Rate::new(30, 1), false)), Rate::new(30, 1));
        assert_eq!(FrameRate::default().rate(&video(None, false)), None);
    }

    #[test]
    fn rates_of_ntsc_are_exact_also_through_timestamps_of_milliseconds() {
        for (count, seconds) in [(24_000, 1001), (24, 1), (30_000, 1001), (30, 1), (60_000, 1001), (60, 1)] {
            let exact = taken(reordered(240, (count, seconds)));
            let expected = Rate::new(count as u32, seconds as u32);
            assert_eq!(exact.rate(&video(None, false)), expected);
            let millis = taken((0..240).map(|n| n * 1000 * seconds / count * 90));
            assert_eq!(millis.rate(&video(None, false)), expected, "milliseconds");
        }
    }

    #[test]
    fn a_few_pictures_are_enough_to_begin_with() {
        assert_eq!(taken([0, 3600]).rate(&video(None, false)), Rate::new(25, 1));
        assert_eq!(taken([0]).rate(&video(None, false)), None);
        assert_eq!(taken([7200, 0, 3600, 14_400, 10_800]).rate(&video(None, false)), Rate::new(25, 1));
    }

    #[test]
    fn fields_are_not_counted_as_frames() {
        let fields = taken((0..300).map(|n| n * 1800));
        let paff = taken(
            (0..300).flat_map(|n| if n % 3 == 0 { vec![n * 3600, n * 3600 + 1800] } else { vec![n * 3600] }),
        );
        for rate in [&fields, &paff] {
            assert_eq!(rate.rate(&video(Rate::new(25, 1), true)), Rate::new(25, 1));
        }
        assert_eq!(fields.rate(&video(None, true)), Rate::new(25, 1));
        assert_eq!(
            fields.rate(&video(Rate::new(50, 1), true)),
            Rate::new(50, 1),
            "frames flagged interlaced"
        );
        assert_eq!(fields.rate(&video(None, false)), Rate::new(50, 1));
    }

    #[test]
    fn jitter_and_missing_pictures_do_not_change_the_rate() {
        let jitter = [0, 900, -900, 450, -450, 700, -800];
        let jittered = taken((0..400_usize).map(|n| n as i64 * 3600 + jitter[n % 7]));
        assert_eq!(jittered.rate(&video(Rate::new(25, 1), false)), Rate::new(25, 1));
        let lossy = taken((0..400).filter(|n| n % 7 != 3).map(|n| n * 3600));
        assert_eq!(lossy.rate(&video(None, false)), Rate::new(25, 1));
    }

    #[test]
    fn a_rate_that_varies_is_the_highest_that_lasts() {
        let slow_then_fast = (0..200).map(|n| n * 9000).chain((0..300).map(|n| 1_800_000 + n * 1800));
        let fast_then_slow = (0..300).map(|n| n * 1800).chain((0..200).map(|n| 540_000 + n * 108_000));
        assert_eq!(taken(slow_then_fast).rate(&video(None, false)), Rate::new(50, 1));
        assert_eq!(taken(fast_then_slow).rate(&video(Rate::new(25, 1), false)), Rate::new(50, 1));
    }

    #[test]
    fn jumps_slides_and_odd_timestamps_do_no_harm() {
        let looped = (0..3).flat_map(|_| (0..100).map(|n| n * 3600));
        assert_eq!(taken(looped).rate(&video(None, false)), Rate::new(25, 1));
        assert_eq!(taken((0..10).map(|n| n * 720_000)).rate(&video(None, false)), Rate::new(125, 1000));
        let ends = taken([i64::MIN, i64::MAX, 0, i64::MAX, 5, 5, 5]);
        assert!(ends.waiting.len() <= REORDER);
        let _ = ends.rate(&video(None, false));
    }
}
