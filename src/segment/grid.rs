//! The lines that boundaries are taken at.

use crate::time::Ticks;

/// How far before its line any boundary may lie: encoders round timestamps, and half a picture at 100 pictures a
/// second is 5 ms.
const TOLERANCE: Ticks = Ticks::new(450);

/// How far before a shared line a rendition's first picture may lie and still be the one that the others begin with:
/// encoders with more reordering than others give the same picture a later time.
const SKEW: Ticks = Ticks::new(Ticks::PER_SECOND / 4);

/// Lines at anchor + k × target. Boundaries taken by them never drift, however uneven they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    anchor: Ticks,
    target: Ticks,
    next_line: Ticks,
}

impl Grid {
    /// The lines of `target` (at least one tick) through `anchor`; the next one is the first behind `start`.
    pub fn new(anchor: Ticks, target: Ticks, start: Ticks) -> Self {
        let target = target.max(Ticks::new(1));
        let mut grid = Self { anchor, target, next_line: start };
        grid.pass(start, Ticks::ZERO);
        grid
    }

    /// The point that all lines are counted from.
    pub const fn anchor(&self) -> Ticks {
        self.anchor
    }

    /// Returns whether a boundary at `pts` belongs to the next line or a later one; it may be early by `tolerance`.
    pub fn is_due(&self, pts: Ticks, tolerance: Ticks) -> bool {
        pts + tolerance.max(TOLERANCE) >= self.next_line
    }

    /// Takes a boundary at `pts`, which may be early by `tolerance`: the next line is the first that it does not belong
    /// to.
    pub fn pass(&mut self, pts: Ticks, tolerance: Ticks) {
        let from_anchor = (pts + tolerance.max(TOLERANCE) - self.anchor).count();
        let lines = from_anchor.div_euclid(self.target.count()) + 1;
        self.next_line = self.anchor + Ticks::new(lines.saturating_mul(self.target.count()));
    }
}

/// What another rendition's lines are counted from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Anchors {
    /// In this timeline.
    pub here: Option<Ticks>,
    /// In the next.
    pub next: Option<Ticks>,
}

impl Anchors {
    /// The next timeline begins.
    pub fn turn(&mut self) {
        self.here = self.next.take();
    }

    /// The lines for a stream that begins with a picture at `start`.
    pub fn grid(&self, target: Ticks, start: Ticks) -> Grid {
        let anchor = self.here.filter(|anchor| !is_just_before(start, *anchor, target));
        Grid::new(anchor.unwrap_or(start), target, start)
    }
}

/// Whether `pts` lies a little before a line of anchor + k × target.
fn is_just_before(pts: Ticks, anchor: Ticks, target: Ticks) -> bool {
    let ahead = (anchor - pts).count().rem_euclid(target.count().max(1));
    ahead > 0 && ahead <= SKEW.count().min(target.count() / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = Ticks::PER_SECOND;

    #[test]
    fn a_week_of_uneven_boundaries_does_not_drift() {
        let gop = 2 * 3003 * 30 / 2; // 3.003 s
        let mut grid = Grid::new(Ticks::ZERO, Ticks::new(6 * SECOND), Ticks::ZERO);
        let mut boundaries = 0;
        let week = 7 * 86_400 * SECOND;
        for pts in (gop..week).step_by(gop as usize).map(Ticks::new) {
            if grid.is_due(pts, Ticks::ZERO) {
                grid.pass(pts, Ticks::ZERO);
                boundaries += 1;
            }
        }
        assert_eq!(boundaries, 7 * 86_400 / 6 - 1);
    }

    #[test]
    fn a_late_comer_takes_the_same_lines() {
        let grid = Grid::new(Ticks::new(100), Ticks::new(4 * SECOND), Ticks::new(100 + 9 * SECOND));
        assert!(!grid.is_due(Ticks::new(100 + 11 * SECOND), Ticks::ZERO));
        assert!(grid.is_due(Ticks::new(100 + 12 * SECOND - 2), Ticks::ZERO));
    }

    #[test]
    fn a_line_that_was_jumped_over_is_not_made_up_for() {
        let mut grid = Grid::new(Ticks::ZERO, Ticks::new(4 * SECOND), Ticks::ZERO);
        grid.pass(Ticks::new(13 * SECOND), Ticks::ZERO);
        assert!(!grid.is_due(Ticks::new(15 * SECOND), Ticks::ZERO));
        assert!(grid.is_due(Ticks::new(16 * SECOND), Ticks::ZERO));
    }
}
