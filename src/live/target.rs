//! The target durations, of segments and of parts: one for all playlists of a channel, told once.

use std::time::Duration;

use super::Kind;
use crate::segment::{Extent, Part};

/// What EXTINF may exceed the target duration by: it is rounded to the nearest integer before they are compared
/// (§4.3.3.1).
const ROUNDING: Duration = Duration::from_micros(499_999);

/// The target duration, one for the whole channel (§6.2.4).
#[derive(Debug, Default)]
pub(super) struct Target {
    /// Published, and unchangeable from then on.
    fixed: Option<Duration>,
    /// What all segments so far were or promised to stay within.
    needed: Duration,
    /// What an earlier run's playlists are bound to.
    inherited: Option<Duration>,
}

impl Target {
    /// Not yet fixed; `inherited` is what an earlier run's playlists that are gone on with are bound to.
    pub(super) fn new(inherited: Option<Duration>) -> Self {
        Self { inherited, ..Self::default() }
    }

    /// None before the first playlist is put.
    pub(super) const fn fixed(&self) -> Option<Duration> {
        self.fixed
    }

    /// Takes a segment's duration and promise into account, before the target duration is fixed.
    pub(super) fn admit(&mut self, extent: &Extent, kind: Kind) {
        if self.fixed.is_none() {
            let promise = if kind == Kind::Vod { Duration::ZERO } else { extent.longest };
            self.needed = self.needed.max(whole_seconds(promise)).max(seconds_for(extent.duration));
        }
    }

    /// Returns the target duration, if it is fixed and EXTINF of `duration` exceeds it.
    pub(super) fn exceeded_by(&self, duration: Duration) -> Option<Duration> {
        self.fixed.filter(|fixed| duration > *fixed + ROUNDING)
    }

    /// Fixes it; gives both if what was inherited is too short.
    pub(super) fn fix(&mut self) -> Option<(Duration, Duration)> {
        let needed = self.needed.max(Duration::from_secs(1));
        let fixed = self.inherited.map_or(needed, |inherited| inherited.max(needed));
        self.fixed = Some(fixed);
        self.inherited.filter(|inherited| *inherited < fixed).map(|inherited| (inherited, fixed))
    }
}

/// Returns the shortest target duration that a segment of this duration keeps.
pub(super) fn seconds_for(duration: Duration) -> Duration {
    whole_seconds(duration.saturating_sub(ROUNDING))
}

/// The part target, one for the whole channel, so that parts of all renditions are as long (rfc8216bis §4.4.3.7).
///
/// It is what the renditions promise by the time the first playlists go out, and holds from then on: players plan by it.
/// A rendition that comes later and needs a larger one has its parts told as no longer than that, while its segments
/// tell their real durations: a player that believes a part to be shorter than it is asks for the next one early and
/// waits, and knows better as soon as the segment is whole. The other way, a part that is told to be longer than the
/// part target, is what players may refuse.
#[derive(Debug, Default)]
pub(super) struct PartTarget {
    fixed: Option<Duration>,
    needed: Duration,
}

impl PartTarget {
    pub(super) const fn fixed(&self) -> Option<Duration> {
        self.fixed
    }

    /// Takes a part's duration and promise into account; gives the duration that EXT-X-PART may tell.
    pub(super) fn admit(&mut self, part: &Part) -> Duration {
        match self.fixed {
            Some(fixed) => part.duration.min(fixed),
            None => {
                self.needed = self.needed.max(part.longest).max(part.duration);
                part.duration
            }
        }
    }

    /// Fixes it, if there has been a part.
    pub(super) fn fix(&mut self) {
        self.fixed = self.fixed.or(Some(self.needed).filter(|needed| !needed.is_zero()));
    }
}

/// In whole seconds, rounded up, as EXT-X-TARGETDURATION tells it.
pub(super) fn whole_seconds(span: Duration) -> Duration {
    Duration::from_secs(span.as_secs() + u64::from(span.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::Head;
    use crate::time::Ticks;

    fn extent(millis: u64, longest: u64) -> Extent {
        Extent {
            head: Head {
                start: Ticks::ZERO,
                decode_start: Ticks::ZERO,
                is_discontinuity: false,
                is_independent: true,
            },
            duration: Duration::from_millis(millis),
            size_bytes: 0,
            longest: Duration::from_secs(longest),
            decode_end: Ticks::ZERO,
        }
    }

    const LIVE: Kind = Kind::Live { window: 3 };

    #[test]
    fn durations_are_rounded_before_they_are_compared() {
        let mut target = Target::new(None);
        target.admit(&extent(4021, 4), LIVE);
        target.fix();
        assert_eq!(target.fixed(), Some(Duration::from_secs(4)));
        let exceeded = |millis| target.exceeded_by(Duration::from_millis(millis)).is_some();
        assert_eq!([4499, 4500, 8000].map(exceeded), [false, true, true]);
        assert_eq!(seconds_for(Duration::from_millis(4500)).as_secs(), 5);
    }

    #[test]
    fn the_part_target_is_what_was_promised_first() {
        let part = |millis, longest| Part {
            index: 0,
            decode_start: Ticks::ZERO,
            decode_end: Ticks::ZERO,
            duration: Duration::from_millis(millis),
            is_independent: true,
            longest: Duration::from_millis(longest),
        };
        let mut target = PartTarget::default();
        target.fix();
        assert_eq!(target.fixed(), None);
        assert_eq!(target.admit(&part(300, 333)).as_millis(), 300);
        target.fix();
        assert_eq!(target.admit(&part(400, 500)).as_millis(), 333);
        assert_eq!(target.fixed(), Some(Duration::from_millis(333)));
    }

    #[test]
    fn promises_count_for_live_and_real_durations_for_vod() {
        let mut live = Target::new(None);
        let mut vod = Target::new(None);
        for (millis, longest) in [(3900, 5), (4100, 4)] {
            live.admit(&extent(millis, longest), LIVE);
            vod.admit(&extent(millis - 200, longest), Kind::Vod);
        }
        assert_eq!((live.fix(), vod.fix()), (None, None));
        assert_eq!(live.fixed(), Some(Duration::from_secs(5)));
        assert_eq!(vod.fixed(), Some(Duration::from_secs(4)));
    }

    #[test]
    fn an_inherited_one_is_kept_unless_it_is_too_short() {
        let (four, six) = (Duration::from_secs(4), Duration::from_secs(6));
        let mut long = Target::new(Some(six));
        let mut short = Target::new(Some(four));
        for target in [&mut long, &mut short] {
            target.admit(&extent(5000, 6), LIVE);
        }
        assert_eq!((long.fix(), long.fixed()), (None, Some(six)));
        assert_eq!((short.fix(), short.fixed()), (Some((four, six)), Some(six)));
    }
}
