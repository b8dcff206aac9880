//! The target duration: one for all playlists of a channel, told once.

use std::time::Duration;

use super::Kind;
use crate::segment::Extent;

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

    /// Takes a segment's duration and promise into account; gives the duration that EXTINF may tell.
    pub(super) fn admit(&mut self, extent: &Extent, kind: Kind) -> Duration {
        match self.fixed {
            Some(fixed) => extent.duration.min(fixed),
            None => {
                let promise = if kind == Kind::Vod { Duration::ZERO } else { extent.longest };
                self.needed = self.needed.max(whole_seconds(promise.max(extent.duration)));
                extent.duration
            }
        }
    }

    /// Fixes it; gives both if what was inherited is too short.
    pub(super) fn fix(&mut self) -> Option<(Duration, Duration)> {
        let needed = self.needed.max(Duration::from_secs(1));
        let fixed = self.inherited.map_or(needed, |inherited| inherited.max(needed));
        self.fixed = Some(fixed);
        self.inherited.filter(|inherited| *inherited < fixed).map(|inherited| (inherited, fixed))
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
    fn what_is_told_once_bounds_all_that_comes() {
        let mut target = Target::new(None);
        target.admit(&extent(4000, 4), LIVE);
        target.fix();
        assert_eq!(target.admit(&extent(4001, 5), LIVE), Duration::from_secs(4));
        assert_eq!(target.fixed(), Some(Duration::from_secs(4)));
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
