//! One stream's stretches of time: how long it lasts, whatever jumps its timestamps make.

use std::time::Duration;

use crate::time::Ticks;

/// Decoding times may run back by so much before it counts as a jump: some encoders restamp a frame or two.
const BACK_TOLERANCE: Ticks = Ticks::new(Ticks::PER_SECOND / 2);
/// A hole in the decoding times that counts as a jump.
const FORWARD_LIMIT: Ticks = Ticks::new(10 * Ticks::PER_SECOND);
/// The longest that one PES packet is believed to last.
const MAX_STEP: Ticks = Ticks::new(Ticks::PER_SECOND);

/// Whether no stream that runs on steps so far from one access unit to the next.
pub fn is_jump(step: Ticks) -> bool {
    step < Ticks::ZERO - BACK_TOLERANCE || step > FORWARD_LIMIT
}

/// The stretches between jumps; only the newest is known in detail.
#[derive(Clone, Copy, Debug, Default)]
pub struct Line {
    /// The sum of the stretches before.
    closed: Duration,
    /// Earliest and latest PTS of the newest stretch.
    open: Option<(Ticks, Ticks)>,
    /// What the PES packets of the newest stretch weigh, without its last.
    weight: u64,
    last_weight: u64,
    last_dts: Option<Ticks>,
}

impl Line {
    /// Takes the next PES packet's times. By how many ticks they jump, if they do. Packets of equal weight are
    /// believed to last equally long.
    pub fn take(&mut self, pts: Ticks, dts: Ticks, weight: u64) -> Option<i64> {
        let step = self.last_dts.map_or(Ticks::ZERO, |last| dts - last);
        self.last_dts = Some(dts);
        let jump = is_jump(step).then_some(step.count());
        if jump.is_some() {
            self.closed = self.duration();
            self.open = None;
            self.weight = 0;
            self.last_weight = 0;
        }
        let (earliest, latest) = self.open.unwrap_or((pts, pts));
        self.open = Some((earliest.min(pts), latest.max(pts)));
        self.weight = self.weight.saturating_add(self.last_weight);
        self.last_weight = weight;
        jump
    }

    /// Whether no timestamp came.
    pub const fn is_empty(&self) -> bool {
        self.open.is_none()
    }

    /// The decoding time that came last.
    pub const fn last_dts(&self) -> Option<Ticks> {
        self.last_dts
    }

    /// The sum of all stretches, each to the end of its last PES packet.
    pub fn duration(&self) -> Duration {
        self.closed.saturating_add(self.ends().map_or(Duration::ZERO, |(start, end)| start.until(end)))
    }

    /// From the first timestamp of any of these lines to the end of the last: for lines without jumps.
    pub fn hull(lines: &[&Self]) -> Duration {
        let start = lines.iter().filter_map(|line| line.ends()).map(|(start, _)| start).min();
        let end = lines.iter().filter_map(|line| line.ends()).map(|(_, end)| end).max();
        start.zip(end).map_or(Duration::ZERO, |(start, end)| start.until(end))
    }

    /// Where the newest stretch begins, and where it ends: its last PES packet is as long for its weight as the
    /// others are.
    fn ends(&self) -> Option<(Ticks, Ticks)> {
        let (earliest, latest) = self.open?;
        let others = i128::from((latest - earliest).count()) * i128::from(self.last_weight);
        let step = (others + i128::from(self.weight / 2)).checked_div(i128::from(self.weight)).unwrap_or(0);
        let step = i64::try_from(step).map_or(MAX_STEP, Ticks::new);
        Some((earliest, latest + step.min(MAX_STEP)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(line: &mut Line, from: i64, frames: i64) -> usize {
        (0..frames)
            .filter_map(|n| line.take(Ticks::new(from + n * 3600), Ticks::new(from + n * 3600), 1))
            .count()
    }

    #[test]
    fn a_stream_lasts_to_the_end_of_its_last_picture() {
        let mut line = Line::default();
        assert_eq!(taken(&mut line, 5000, 250), 0);
        assert_eq!(line.duration(), Duration::from_secs(10));
    }

    #[test]
    fn stretches_between_jumps_add_up() {
        let mut line = Line::default();
        let jumps = taken(&mut line, 0, 50) + taken(&mut line, 90_000_000, 25) + taken(&mut line, 0, 25);
        assert_eq!(jumps, 2);
        assert_eq!(line.duration(), Duration::from_secs(4));
    }

    #[test]
    fn a_last_packet_of_half_the_size_lasts_half_as_long() {
        let mut line = Line::default();
        for (pts, bytes) in [(0, 3000), (30_000, 3000), (60_000, 1500)] {
            line.take(Ticks::new(pts), Ticks::new(pts), bytes);
        }
        assert_eq!(line.duration(), Ticks::new(75_000).span());
    }

    #[test]
    fn reordered_pictures_are_no_jump() {
        let mut line = Line::default();
        for (pts, dts) in [(3, 0), (1, 1), (2, 2), (6, 3), (4, 4), (5, 5)] {
            assert_eq!(line.take(Ticks::new(pts * 3600), Ticks::new(dts * 3600), 1), None);
        }
        assert_eq!(line.duration(), Duration::from_millis(240));
    }

    #[test]
    fn the_ends_of_the_line_do_no_harm() {
        let mut line = Line::default();
        for ticks in [i64::MIN, i64::MAX, 0, i64::MAX, i64::MIN] {
            line.take(Ticks::new(ticks), Ticks::new(ticks), u64::MAX);
        }
        assert_eq!(line.duration(), Duration::ZERO);
    }
}
