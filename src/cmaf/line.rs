//! Where frames of sound stand: counted at their own rate, held against their timestamps.

use crate::time::Ticks;

/// Timestamps that are farther off are believed when two of them agree.
const SUSPICIOUS_S: i64 = 1;
/// Timestamps that lie farther ahead of their segment's start are damaged.
const HORIZON: Ticks = Ticks::new(600 * Ticks::PER_SECOND);

/// One stream's timeline, in samples.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    rate_hz: i64,
    /// Where the next frame stands.
    next: Option<i64>,
    /// Behind the last frame that was kept.
    end: Option<i64>,
    /// How far off the last timestamp was that was not believed.
    suspect: Option<i64>,
    /// Where the first frame stands that it was not believed for.
    doubtful: i64,
    /// Frames that were placed there or later, and by how much they have to be moved.
    moved: Option<(i64, i64)>,
    /// Whether frames may be missing before the next timestamp.
    has_loss: bool,
    /// How far off the last timestamps were, within a frame, and how many of them in a row by the same.
    drift: (i64, u32),
}

impl Line {
    pub fn new(rate_hz: u32) -> Self {
        Self {
            rate_hz: i64::from(rate_hz.max(1)),
            next: None,
            end: None,
            suspect: None,
            doubtful: 0,
            moved: None,
            has_loss: false,
            drift: (0, 0),
        }
    }

    /// The same timeline, counted at another rate from the next timestamp on.
    pub fn at_rate(&self, rate_hz: u32) -> Self {
        let line = Self::new(rate_hz);
        // One more, so that no rounding lets a frame begin before the end of the last.
        let end = self.end.map(|end| line.samples(self.ticks(end)).saturating_add(1));
        Self { end, ..line }
    }

    /// Another timeline begins.
    pub const fn restart(&mut self) {
        (self.next, self.end, self.suspect, self.moved) = (None, None, None, None);
    }

    /// Frames may be missing: the next timestamp counts, however little it is off.
    pub const fn lose(&mut self) {
        self.has_loss = true;
    }

    /// Behind the last frame that was kept.
    pub const fn end(&self) -> Option<i64> {
        self.end
    }

    /// Samples up to a point in time, rounded.
    pub fn samples(&self, at: Ticks) -> i64 {
        let (count, per_second) = (i128::from(at.count()), i128::from(Ticks::PER_SECOND));
        let samples = (count * i128::from(self.rate_hz) + per_second / 2).div_euclid(per_second);
        samples.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    /// The point in time behind so many samples.
    pub fn ticks(&self, samples: i64) -> Ticks {
        let rate = i128::from(self.rate_hz);
        let ticks = (i128::from(samples) * i128::from(Ticks::PER_SECOND) + rate / 2).div_euclid(rate);
        Ticks::new(ticks.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
    }

    /// A frame of so many samples comes, in a segment that begins at `start`: where it stands. None: it has no place,
    /// because nothing tells it or because another frame is there.
    ///
    /// Frames follow each other without a gap, and timestamps only count where they disagree by more than a frame,
    /// or by as much again and again. One
    /// that is far off counts if it lies nearer to the segment than the frames so far, which then ended early; another one
    /// counts when the next agrees with it.
    pub fn place(&mut self, stamp: Option<Ticks>, samples: u32, start: Ticks) -> Option<i64> {
        self.skip(stamp, samples, start);
        let at = self.next?.saturating_sub(samples.into());
        let is_taken = self.end.is_some_and(|end| at < end);
        if is_taken || at < 0 {
            return None;
        }
        self.end = self.next;
        Some(at)
    }

    /// A frame of so many samples comes that is not kept.
    pub fn skip(&mut self, stamp: Option<Ticks>, samples: u32, start: Ticks) {
        if let Some(stamp) = stamp.filter(|stamp| *stamp - start <= HORIZON) {
            self.hold_against(self.samples(stamp), i64::from(samples), self.samples(start));
        }
        self.next = self.next.map(|next| next.saturating_add(i64::from(samples)));
    }

    /// Returns from where on the frames of this timeline have to be moved, and by how much, because the timestamp before
    /// was right.
    pub const fn take_move(&mut self) -> Option<(i64, i64)> {
        self.moved.take()
    }

    fn hold_against(&mut self, stamp: i64, frame: i64, start: i64) {
        let Some(next) = self.next else {
            self.next = Some(stamp);
            return;
        };
        let off = stamp.saturating_sub(next);
        let has_loss = std::mem::take(&mut self.has_loss);
        if off.abs() <= frame {
            self.suspect = None;
            if has_loss && off > frame / 2 || self.is_persistent(off, frame) {
                self.next = Some(stamp);
                self.drift = (0, 0);
            }
            return;
        }
        let agrees = self.suspect.is_some_and(|suspect| off.saturating_sub(suspect).abs() <= frame);
        let behind = start.saturating_sub(next);
        let is_resumed = behind > SUSPICIOUS_S * self.rate_hz && stamp.saturating_sub(start).abs() < behind;
        if agrees && off > 0 {
            self.moved = Some((self.doubtful, off));
        }
        if off.abs() <= SUSPICIOUS_S * self.rate_hz || agrees || is_resumed {
            self.next = Some(stamp);
            self.suspect = None;
        } else {
            self.suspect = Some(off);
            self.doubtful = next;
        }
    }

    /// Whether timestamps have been off by the same for long, and by more than rounding and jitter explain: a frame
    /// went missing that nothing reported.
    fn is_persistent(&mut self, off: i64, frame: i64) -> bool {
        const ENOUGH: u32 = 8;
        let (before, count) = self.drift;
        let is_same = off.abs() > frame / 2 && off.saturating_sub(before).abs() <= frame / 16;
        self.drift = if off.abs() <= frame / 2 { (0, 0) } else { (off, if is_same { count + 1 } else { 1 }) };
        self.drift.1 >= ENOUGH
    }

    /// The last frame ends so many samples earlier: they are not to be heard.
    pub const fn trim(&mut self, samples: u16) {
        if let Some(end) = self.end {
            self.end = Some(end - samples as i64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Ticks = Ticks::new(90_000);

    fn place(line: &mut Line, at: i64) -> Option<i64> {
        line.place(Some(Ticks::new(at)), 1024, START)
    }

    #[test]
    fn rounded_stamps_make_no_gaps() {
        let mut line = Line::new(44_100);
        let places: Vec<_> =
            (0..1000).map(|n: i64| place(&mut line, 90_000 + n * 1024 * 90_000 / 44_100).unwrap()).collect();
        assert!(places.windows(2).all(|pair| pair[1] - pair[0] == 1024));
        assert_eq!(line.ticks(places[0]), START);
    }

    #[test]
    fn a_gap_is_kept_and_what_comes_twice_is_not() {
        let mut line = Line::new(48_000);
        assert_eq!(place(&mut line, 90_000), Some(48_000));
        assert_eq!(place(&mut line, 90_000 + 9000), Some(48_000 + 4800));
        assert_eq!(place(&mut line, 90_000), None);
        assert_eq!(line.place(None, 1024, START), None);
        assert_eq!(place(&mut line, 90_000 + 9000 + 1920), Some(48_000 + 4800 + 1024));
    }

    #[test]
    fn one_missing_frame_leaves_its_gap() {
        let mut line = Line::new(48_000);
        place(&mut line, 90_000);
        line.lose();
        assert_eq!(place(&mut line, 90_000 + 2 * 1920), Some(48_000 + 2 * 1024));
        // Nothing reports the next one, but for the timestamps.
        let places: Vec<_> = (4..14).map(|n| place(&mut line, 90_000 + n * 1920).unwrap()).collect();
        assert_eq!(places[0], 48_000 + 3 * 1024);
        assert_eq!(places[9], 48_000 + 13 * 1024);
    }

    #[test]
    fn one_damaged_stamp_moves_nothing_and_two_do() {
        let mut line = Line::new(48_000);
        place(&mut line, 90_000);
        assert_eq!(place(&mut line, 900_000), Some(48_000 + 1024));
        assert_eq!(place(&mut line, 90_000 + 2 * 1920), Some(48_000 + 2 * 1024));
        assert_eq!(place(&mut line, 900_000), Some(48_000 + 3 * 1024));
        assert_eq!(place(&mut line, 901_920), Some(481_024));
        assert_eq!(place(&mut line, i64::MAX), Some(482_048));
    }

    #[test]
    fn the_first_frame_after_a_gap_stands_at_its_own_time() {
        let mut line = Line::new(48_000);
        place(&mut line, 90_000);
        let later = Ticks::new(18 * 90_000);
        assert_eq!(line.place(Some(Ticks::new(19 * 90_000)), 1024, later), Some(19 * 48_000));
        assert_eq!(line.place(None, 1024, later), Some(19 * 48_000 + 1024));
        assert_eq!(line.take_move(), None);
        // Within a segment it is known with the next timestamp.
        assert_eq!(line.place(Some(Ticks::new(22 * 90_000)), 1024, later), Some(19 * 48_000 + 2048));
        assert_eq!(line.place(None, 1024, later), Some(19 * 48_000 + 3072));
        assert_eq!(line.place(Some(Ticks::new(22 * 90_000 + 3840)), 1024, later), Some(22 * 48_000 + 2048));
        assert_eq!(line.take_move(), Some((19 * 48_000 + 2048, 3 * 48_000 - 2048)));
        assert_eq!(line.take_move(), None);
    }

    #[test]
    fn nothing_stands_before_the_line_begins() {
        let mut line = Line::new(48_000);
        assert_eq!(line.place(None, 1024, START), None);
        assert_eq!(line.place(Some(Ticks::new(-1000)), 1024, START), None);
        assert_eq!(line.place(None, 1024, START), Some(491));
    }
}
