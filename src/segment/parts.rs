//! Where a segment is divided into parts: decided from the decoding times of one stream.

use std::time::Duration;

use super::Part;
use super::cadence::MAX_FRAME;
use super::timing::{Picture, is_jump};
use crate::codec::RandomAccess;
use crate::time::{Rate, Ticks};

/// Steps that differ by less are even: what rounding to the 90 kHz clock makes.
const ROUNDING: Ticks = Ticks::new(2);
/// Steps that differ by less are even, but for the clock of milliseconds that they went through.
const JITTER: Ticks = Ticks::new(270);
/// How much longer than a whole number of frames a stretch of jittered ones may be: each end is off by half a
/// millisecond, and the mean step as well.
const JITTER_SLACK: Ticks = Ticks::new(180);

/// Divides segments into parts of about the duration aimed at.
///
/// A part takes access units as long as it does not get longer than the longest, which is fixed with the first one:
/// the whole number of pictures that comes nearest to the aim. For sound, whose PES packets hold frames in uneven
/// numbers, it leaves them some room.
#[derive(Clone, Debug)]
pub struct Parts {
    aim: Ticks,
    stated: Stated,
    steps: Steps,
    /// In ticks, once it is promised.
    longest: Option<Ticks>,
    open: Option<Open>,
}

/// What the stream says of its frames.
#[derive(Clone, Copy, Debug)]
enum Stated {
    Nothing,
    Pictures(Rate),
    Sound(Rate),
}

/// How the decoding times have gone on so far.
#[derive(Clone, Copy, Debug, Default)]
struct Steps {
    last_dts: Option<Ticks>,
    last: Ticks,
    least: Ticks,
    most: Ticks,
    sum: Ticks,
    count: i64,
}

/// A part that is not whole.
#[derive(Clone, Copy, Debug)]
struct Open {
    index: u32,
    start: Ticks,
    is_independent: bool,
}

impl Parts {
    /// Parts that last about as long as `aim`.
    pub fn new(aim: Duration) -> Self {
        Self {
            aim: Ticks::from(aim).max(Ticks::new(1)),
            stated: Stated::Nothing,
            steps: Steps::default(),
            longest: None,
            open: None,
        }
    }

    /// Pictures follow each other at this rate, the stream says.
    pub const fn set_frame(&mut self, rate: Rate) {
        self.stated = Stated::Pictures(rate);
    }

    /// The stream is sound, of so many frames a second.
    pub const fn set_sound(&mut self, frames: Rate) {
        self.stated = Stated::Sound(frames);
    }

    /// Access units to come are those of another stream.
    pub fn follow_another(&mut self) {
        self.stated = Stated::Nothing;
        self.steps = Steps::default();
    }

    /// The next access unit, in decoding order, is decoded at `dts`.
    pub fn measure(&mut self, dts: Ticks) {
        self.steps.go_on_to(dts, self.longest.is_none());
    }

    /// Whether it takes the decoding time of the access unit behind the one at `dts` to tell if that one lies in the
    /// open part.
    pub fn needs_next(&self, dts: Ticks) -> bool {
        self.open.is_some_and(|open| !self.is_full(&open, dts))
    }

    /// A segment begins with `picture`.
    pub fn begin(&mut self, picture: &Picture) {
        self.open = Some(Open::new(0, picture));
    }

    /// The segment goes on with `picture`, behind which one at `next` follows, if that is known. The part that ends
    /// before it, if one does.
    pub fn go_on(&mut self, picture: &Picture, next: Option<Ticks>) -> Option<Part> {
        let open = self.open?;
        let end = next.filter(|next| *next > picture.dts && !is_jump(*next - picture.dts));
        if let Some(end) = end {
            self.measure(end);
        }
        let is_too_long = end.is_some_and(|end| end - open.start > self.longest());
        if !is_too_long && !self.is_full(&open, picture.dts) {
            return None;
        }
        let part = self.end(picture.dts);
        self.open = Some(Open::new(open.index.saturating_add(1), picture));
        part
    }

    /// The segment ends at `dts`: its last part.
    pub fn end(&mut self, dts: Ticks) -> Option<Part> {
        let open = self.open.take()?;
        let longest = *self.longest.insert(self.longest());
        Some(Part {
            index: open.index,
            decode_start: open.start,
            decode_end: dts,
            duration: open.start.until(dts),
            is_independent: open.is_independent,
            longest: rounded_up(longest),
        })
    }

    /// Whether the part cannot take an access unit at `dts`, if that one lasts as long as others.
    fn is_full(&self, open: &Open, dts: Ticks) -> bool {
        dts - open.start + self.least_span() > self.longest()
    }

    /// How long the next access unit lasts at the least, as far as is known.
    fn least_span(&self) -> Ticks {
        let last = if self.steps.count > 0 { self.steps.last } else { Ticks::new(1) };
        match self.stated {
            Stated::Pictures(rate) => last.min(rate.period()),
            Stated::Sound(_) => last,
            Stated::Nothing => last.min(self.steps.least.max(Ticks::new(1))),
        }
    }

    /// No part is to be longer: promised, or by what is known now.
    fn longest(&self) -> Ticks {
        self.longest.unwrap_or_else(|| match self.stated {
            Stated::Pictures(rate) if self.is_believed(rate) => {
                span(self.nearest_count(rate.period()), rate) + self.jitter_slack()
            }
            Stated::Sound(rate) if self.steps.count > 0 => self.longest_of_sound(rate),
            Stated::Sound(_) => self.aim,
            _ => self.longest_of_measured(),
        })
    }

    /// A rate is not believed where pictures follow each other at another: fields in PES packets of their own,
    /// headers that were left as they were.
    fn is_believed(&self, rate: Rate) -> bool {
        let off = (self.steps.least - rate.period()).count().abs();
        let most = if self.steps.spread() > ROUNDING { JITTER } else { ROUNDING };
        self.steps.count == 0 || off <= most.count()
    }

    fn longest_of_measured(&self) -> Ticks {
        let Steps { least, sum, count, .. } = self.steps;
        if count == 0 {
            return self.aim;
        }
        if self.steps.spread() > JITTER {
            return Ticks::new(self.nearest_count(least) * least.count());
        }
        let pictures = self.nearest_count(Ticks::new(sum.count() / count));
        Ticks::new((pictures * sum.count() + count - 1) / count)
            + self.jitter_slack().max(self.steps.spread().min(ROUNDING))
    }

    /// PES packets of sound with more than one frame differ: by an eighth and a frame, say.
    fn longest_of_sound(&self, rate: Rate) -> Ticks {
        let frame = rate.period().max(Ticks::new(1));
        let step = Ticks::new(self.steps.sum.count() / self.steps.count);
        let packets = self.nearest_count(step);
        if self.steps.most - frame <= ROUNDING {
            return span(packets, rate);
        }
        let frames = packets * step.count() * 9 / (8 * frame.count()) + 1;
        span(frames, rate)
    }

    /// How many spans come nearest to the aim; one at the least.
    fn nearest_count(&self, span: Ticks) -> i64 {
        let span = span.count().max(1);
        ((self.aim.count() + span / 2) / span).max(1)
    }

    fn jitter_slack(&self) -> Ticks {
        let spread = self.steps.spread();
        if spread > ROUNDING && spread <= JITTER { JITTER_SLACK } else { Ticks::ZERO }
    }
}

impl Steps {
    /// Goes on to `dts`. What all steps tell is gathered until nothing depends on it any more.
    fn go_on_to(&mut self, dts: Ticks, is_gathering: bool) {
        let Some(last) = self.last_dts.replace(dts) else { return };
        let step = dts - last;
        if step <= Ticks::ZERO || step > MAX_FRAME {
            return;
        }
        self.last = step;
        if !is_gathering && self.count > 0 {
            return;
        }
        self.least = if self.count == 0 { step } else { self.least.min(step) };
        self.most = self.most.max(step);
        self.sum = self.sum + step;
        self.count += 1;
    }

    fn spread(&self) -> Ticks {
        self.most - self.least
    }
}

impl Open {
    fn new(index: u32, picture: &Picture) -> Self {
        let is_access = matches!(picture.random_access, Some(RandomAccess::Closed | RandomAccess::Open));
        Self { index, start: picture.dts, is_independent: is_access && picture.has_parameter_sets }
    }
}

/// What `count` events at this rate take, rounded up.
fn span(count: i64, rate: Rate) -> Ticks {
    let events = i64::from(rate.count);
    let ticks = count.saturating_mul(i64::from(rate.seconds.get()) * Ticks::PER_SECOND);
    Ticks::new(ticks.saturating_add(events - 1) / events)
}

/// So many ticks, in microseconds rounded up.
fn rounded_up(ticks: Ticks) -> Duration {
    let micros = ticks.count().max(0).saturating_mul(100).saturating_add(8) / 9;
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(dts: i64, is_access: bool) -> Picture {
        Picture {
            pts: Ticks::new(dts),
            dts: Ticks::new(dts),
            random_access: is_access.then_some(RandomAccess::Closed),
            has_parameter_sets: true,
            is_new_format: false,
            size_bytes: None,
        }
    }

    /// The parts of one segment that begins at the first of these times and ends at the last.
    fn divide(parts: &mut Parts, times: &[i64]) -> Vec<Part> {
        let mut divided = Vec::new();
        let (end, times) = times.split_last().unwrap();
        for (n, dts) in times.iter().enumerate() {
            let picture = picture(*dts, n == 0);
            parts.measure(picture.dts);
            if n == 0 {
                parts.begin(&picture);
            } else {
                let next =
                    parts.needs_next(picture.dts).then(|| Ticks::new(*times.get(n + 1).unwrap_or(end)));
                divided.extend(parts.go_on(&picture, next));
            }
        }
        divided.extend(parts.end(Ticks::new(*end)));
        divided
    }

    fn regular(aim_ms: u64, rate: (u32, u32), is_stated: bool, pictures: i64) -> Vec<Part> {
        let rate = Rate::new(rate.0, rate.1).unwrap();
        let mut parts = Parts::new(Duration::from_millis(aim_ms));
        if is_stated {
            parts.set_frame(rate);
        }
        let at = |n: i64| n * 90_000 * i64::from(rate.seconds.get()) / i64::from(rate.count);
        divide(&mut parts, &(0..=pictures).map(at).collect::<Vec<_>>())
    }

    #[test]
    fn a_part_is_the_number_of_pictures_that_comes_nearest_to_the_aim() {
        let cases = [
            (330, (25, 1), 8, 320_000),
            (200, (25, 1), 5, 200_000),
            (333, (30_000, 1001), 10, 333_667),
            (333, (24, 1), 8, 333_334),
            (333, (60_000, 1001), 20, 333_667),
            (10, (25, 1), 1, 40_000),
        ];
        for (aim, rate, count, longest) in cases {
            for is_stated in [true, false] {
                let parts = regular(aim, rate, is_stated, 3 * count + count / 2 + 1);
                // Measured, a step is known to a tick.
                let more = if is_stated { 0 } else { 12 };
                let promised = longest..=longest + more;
                assert!(parts.iter().all(|part| promised.contains(&part.longest.as_micros())), "{rate:?}");
                let period = Duration::from_secs(rate.1.into()) / rate.0;
                let counts: Vec<_> = parts
                    .iter()
                    .map(|part| (part.duration.as_secs_f64() / period.as_secs_f64()).round())
                    .collect();
                assert_eq!(counts[..3], [count as f64; 3], "{rate:?}");
            }
        }
    }

    #[test]
    fn parts_touch_and_count_up_and_only_the_first_is_independent() {
        let parts = regular(330, (25, 1), true, 50);
        assert_eq!(parts.iter().map(|part| part.index).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6]);
        assert!(parts.windows(2).all(|pair| pair[0].decode_end == pair[1].decode_start));
        assert_eq!(parts.iter().map(|part| part.duration).sum::<Duration>(), Duration::from_secs(2));
        assert!(parts.iter().all(|part| part.is_independent == (part.index == 0)));
    }

    #[test]
    fn a_segment_that_ends_with_a_whole_part_has_no_empty_one_behind_it() {
        assert_eq!(regular(200, (25, 1), true, 50).len(), 10);
    }

    #[test]
    fn milliseconds_of_another_container_make_no_shorter_parts() {
        let times: Vec<i64> = (0..=90).map(|n: i64| (n * 1000 + 15) / 30 * 90).collect();
        for rate in [Rate::new(30, 1), None] {
            let mut parts = Parts::new(Duration::from_millis(200));
            rate.into_iter().for_each(|rate| parts.set_frame(rate));
            let divided = divide(&mut parts, &times);
            assert_eq!(divided.len(), 15, "{divided:?}");
            assert!(divided.iter().all(|part| part.duration <= part.longest));
        }
    }

    #[test]
    fn pictures_that_come_unevenly_make_no_part_longer() {
        let mut parts = Parts::new(Duration::from_millis(320));
        parts.set_frame(Rate::new(25, 1).unwrap());
        let mut times = vec![0];
        for n in 0..300_i64 {
            times.push(times[n as usize] + 3600 * (1 + (n * 7919 % 13) / 5));
        }
        let divided = divide(&mut parts, &times);
        assert!(divided.iter().all(|part| part.duration <= part.longest), "{divided:?}");
        assert!(divided.windows(2).all(|pair| pair[0].decode_end == pair[1].decode_start));
    }

    #[test]
    fn a_picture_that_lasts_longer_is_a_part_alone() {
        let mut parts = Parts::new(Duration::from_millis(320));
        parts.set_frame(Rate::new(25, 1).unwrap());
        let divided = divide(&mut parts, &[0, 3600, 7200, 90_000, 93_600]);
        let durations: Vec<_> = divided.iter().map(|part| part.duration.as_millis()).collect();
        assert_eq!(durations, [80, 920, 40]);
    }

    #[test]
    fn sound_in_uneven_packets_stays_within_what_was_promised() {
        let mut parts = Parts::new(Duration::from_millis(400));
        parts.set_sound(Rate::new(48_000, 1024).unwrap());
        let mut times = vec![0];
        for n in 0..100_usize {
            times.push(times[n] + 1920 * [8, 8, 7, 8, 9, 8][n % 6]);
        }
        let divided = divide(&mut parts, &times);
        assert!(divided.iter().all(|part| part.duration <= part.longest), "{divided:?}");
        assert!(divided.len() <= 50);
    }
}
