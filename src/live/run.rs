//! One rendition on its way.

use std::sync::Arc;

use super::edge::Edge;
use super::resume::Beginning;
use super::timeline::Mark;
use super::variant::Profile;
use super::window::Window;
use crate::playlist;
use crate::segment::Head;
use crate::time::Ticks;

/// One rendition on its way.
#[derive(Debug)]
pub(super) struct Run {
    /// The number of the next segment.
    pub(super) next: u64,
    /// Segments closed since this run began: the next one's position in the timeline.
    pub(super) closed: u64,
    pub(super) opened: Option<Opened>,
    /// The map of the segments that come.
    pub(super) map: Option<Map>,
    pub(super) window: Window,
    pub(super) profile: Profile,
    /// Whether a segment of it was put in this run, one that is no gap.
    pub(super) has_media: bool,
    /// Where its gaps end, as long as it has nothing else.
    pub(super) gap_end: Option<Ticks>,
    /// Whether its segments came to need more than the bandwidth that is configured.
    pub(super) is_exceeded: bool,
    /// Whether its playlist has been put in this run.
    pub(super) is_out: bool,
    pub(super) is_ended: bool,
}

/// The segment that is not whole yet.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) start: Ticks,
    /// Whether the rendition breaks off before it: its own PTS jumped, or its map is another.
    pub(super) has_jumped: bool,
    pub(super) map: Option<Map>,
    /// What has been told of it with its first part, and holds.
    pub(super) mark: Option<Mark>,
    pub(super) parts: Vec<playlist::Part>,
}

/// A Media Initialization Section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Map {
    /// Where it lies; none if an earlier run's name leads nowhere that is ours.
    pub(super) key: Option<String>,
    /// As the playlist names it.
    pub(super) uri: String,
}

impl Opened {
    /// Whether the timeline has been broken for it.
    pub(super) fn is_break(&self) -> bool {
        self.has_jumped || self.mark.is_some_and(|mark| mark.is_discontinuity)
    }
}

impl Run {
    pub(super) fn new(beginning: Beginning) -> Self {
        Self {
            next: beginning.next,
            closed: 0,
            opened: None,
            map: beginning.window.last_map(),
            window: beginning.window,
            profile: Profile::default(),
            has_media: false,
            gap_end: None,
            is_exceeded: false,
            is_out: false,
            is_ended: false,
        }
    }

    /// What is shown of the segment that is not whole yet.
    pub(super) fn edge(&self, has_date_time: bool) -> Option<Arc<Edge>> {
        if self.is_ended {
            return None;
        }
        let mut open = playlist::Open::default();
        if let Some(opened) = &self.opened {
            let mark = opened.mark.unwrap_or_default();
            open.is_discontinuity = mark.is_discontinuity;
            open.date_time = mark.date_time.filter(|_| has_date_time);
            open.map = opened.map.as_ref().map(|map| map.uri.clone());
            open.parts.clone_from(&opened.parts);
        }
        Some(Arc::new(Edge { media_sequence: self.window.end(), number: self.next, open }))
    }

    /// Whether the map has become another one than that of the segment before the open one.
    pub(super) fn has_other_map(&self) -> bool {
        let before = self.window.last_map();
        before.is_some() && before != self.map
    }

    /// Whether it has had nothing but gaps so far: it gets no playlist before its first segment, and is not waited for.
    pub(super) const fn is_silent(&self) -> bool {
        self.gap_end.is_some()
    }

    /// A first segment begins. Gaps before it in its timeline that reach further are shortened: nobody has seen them.
    pub(super) fn end_silence(&mut self, head: &Head) {
        if let Some(end) = self.gap_end.take().filter(|_| !self.is_out && !head.is_discontinuity) {
            let removed = self.window.shorten_gaps(head.start.until(end));
            self.next = self.next.saturating_sub(removed);
        }
    }

    /// Whether there is something to show: a segment of this run, or of an earlier one.
    pub(super) fn is_shown(&self) -> bool {
        self.has_media || self.window.has_media()
    }

    /// Whether it ended before there was anything to show.
    pub(super) const fn is_absent(&self) -> bool {
        self.is_ended && !self.is_out
    }

    /// Whether it was dropped, `behind` segments before the others are now: its variant would only lead new viewers to
    /// its end.
    pub(super) const fn is_left_behind(&self, most_closed: u64, behind: u64) -> bool {
        self.is_ended && most_closed >= self.closed.saturating_add(behind)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::super::{Anomaly, Kind, Plan, Presentation, Skip, Step, low_latency, replay};
    use crate::playlist::Media;
    use crate::segment::{Extent, Head, Part};
    use crate::time::Ticks;

    const LIVE: Kind = Kind::Live { window: 6 };
    const HIGH: usize = 0;
    const MID: usize = 2;
    const TON: usize = 3;

    /// Begins a segment in parts.
    fn begin(presentation: &mut Presentation, rendition: usize) {
        let start = Ticks::ZERO;
        let head = Head { start, decode_start: start, is_discontinuity: false, is_independent: true };
        presentation.open(rendition, &head, UNIX_EPOCH);
    }

    fn round(presentation: &mut Presentation) {
        (0..4).for_each(|rendition| drop(replay::segment(presentation, rendition)));
    }

    fn breaks(presentation: &Presentation, rendition: usize) -> Vec<bool> {
        let media = presentation.snapshot().media(rendition).unwrap().clone();
        media.segments.iter().map(|segment| segment.is_discontinuity).collect()
    }

    #[test]
    fn another_map_is_a_break_for_all() {
        let mut presentation = Presentation::new(replay::mixed(LIVE, false));
        for digest in [1, 1, 2, 2] {
            presentation.map(MID, digest);
            round(&mut presentation);
        }
        for (rendition, at) in [(0, 3), (1, 3), (2, 2), (3, 2)] {
            // Those that were closed before it was known break with their next segment.
            let expected: Vec<_> = (0..4).map(|position| position == at).collect();
            assert_eq!(breaks(&presentation, rendition), expected, "{rendition}");
        }
        let view = presentation.snapshot().view(MID).unwrap().clone();
        assert_eq!(view.media().segments[3].map.as_deref(), Some("init-0000000000000002.mp4"));
        let keys = ["mid/init-0000000000000001.mp4", "mid/init-0000000000000002.mp4"];
        assert!(view.maps().into_iter().eq(keys));
    }

    #[test]
    fn what_was_told_with_a_part_holds() {
        let mut presentation = Presentation::new(replay::mixed(LIVE, true));
        presentation.map(MID, 1);
        round(&mut presentation);
        for rendition in [HIGH, MID] {
            begin(&mut presentation, rendition);
            presentation.part(rendition, &replay::part(0, 4));
        }
        // Too late for the open segment of either.
        presentation.map(MID, 2);
        for rendition in [HIGH, MID] {
            replay::close(&mut presentation, rendition);
        }
        assert_eq!(breaks(&presentation, MID), [false, false]);
        for rendition in [MID, HIGH, MID] {
            replay::segment(&mut presentation, rendition);
        }
        assert_eq!(breaks(&presentation, MID), [false, false, true, false]);
        assert_eq!(breaks(&presentation, HIGH), [false, false, true]);
        let view = presentation.snapshot().view(MID).unwrap().clone();
        let maps: Vec<_> =
            view.media().segments.iter().filter_map(|segment| segment.map.as_deref()).collect();
        assert_eq!(maps.iter().map(|map| &map[20..21]).collect::<String>(), "1122");
    }

    #[test]
    fn a_part_that_is_too_long_is_told_as_the_part_target() {
        let mut presentation = Presentation::new(replay::mixed(LIVE, true));
        begin(&mut presentation, HIGH);
        presentation.part(HIGH, &replay::part(0, 4));
        round(&mut presentation);
        begin(&mut presentation, HIGH);
        let (long, target) = (Duration::from_millis(1500), Duration::from_millis(1001));
        let plan = presentation.part(HIGH, &Part { duration: long, longest: long, ..replay::part(0, 4) });
        let expected =
            Anomaly::PartLongerThanTarget { rendition: 0, number: 2, index: 0, duration: long, target };
        assert_eq!(plan.anomalies(), [expected]);
        let media = Media::parse(&low_latency(&presentation.snapshot(), HIGH, Skip::No).unwrap()).unwrap();
        assert_eq!(media.low_latency.part_target, Some(target));
        assert_eq!(media.low_latency.open.unwrap().parts[0].duration, target);
    }

    /// Nothing comes of `rendition` for four seconds, from `start` on.
    fn gap(presentation: &mut Presentation, rendition: usize, start: i64) -> Plan {
        let start = Ticks::new(start * Ticks::PER_SECOND);
        let head = Head { start, decode_start: start, is_discontinuity: false, is_independent: true };
        let four = Duration::from_secs(4);
        let decode_end = start + Ticks::from(four);
        let extent = Extent { head, duration: four, size_bytes: 0, longest: four, decode_end };
        presentation.gap(rendition, &extent, true)
    }

    fn puts(plan: &Plan) -> Vec<&str> {
        fn key(step: &Step) -> &str {
            match step {
                Step::PutSegment { key, .. } | Step::PutPlaylist { key, .. } => key,
            }
        }
        plan.into_iter().map(key).collect()
    }

    #[test]
    fn a_track_that_comes_late_gets_its_playlist_with_its_first_segment() {
        let mut presentation = Presentation::new(replay::mixed(LIVE, false));
        for start in [0, 4] {
            (0..3).for_each(|rendition| drop(replay::segment(&mut presentation, rendition)));
            let plan = gap(&mut presentation, TON, start);
            assert!(!puts(&plan).contains(&"ton/index.m3u8"), "{plan:?}");
        }
        let snapshot = presentation.snapshot();
        assert!(
            snapshot.view(TON).is_none() && !snapshot.multivariant("cmaf.m3u8").unwrap().contains("ton/")
        );
        presentation.map(TON, 7);
        let plan = replay::segment_at(&mut presentation, TON, 8);
        assert_eq!(puts(&plan), ["ton/00003.m4s", "ton/index.m3u8", "cmaf.m3u8"]);
        let snapshot = presentation.snapshot();
        assert!(snapshot.multivariant("cmaf.m3u8").unwrap().contains("URI=\"ton/index.m3u8\""));
        let text = snapshot.media(TON).unwrap().render();
        let lines = "#EXT-X-GAP\n#EXTINF:4.000000,\n00001.m4s\n#EXT-X-GAP\n#EXTINF:4.000000,\n00002.m4s\n\
            #EXT-X-MAP:URI=\"init-0000000000000007.mp4\"\n#EXTINF:4.000000,\n00003.m4s\n";
        assert!(text.ends_with(lines), "{text}");
        assert_eq!(snapshot.view(TON).unwrap().named().count(), 1);
    }

    #[test]
    fn gaps_before_a_first_segment_end_where_it_begins() {
        let mut presentation = Presentation::new(replay::mixed(LIVE, false));
        (0..3).for_each(|rendition| drop(replay::segment(&mut presentation, rendition)));
        for start in [0, 4] {
            gap(&mut presentation, TON, start);
        }
        // It was late in the multiplex by more than a segment.
        replay::segment_at(&mut presentation, TON, 3);
        let media = presentation.snapshot().media(TON).unwrap().clone();
        let each: Vec<_> = media.segments.iter().map(|one| (one.is_gap, one.duration.as_secs())).collect();
        assert_eq!(each, [(true, 3), (false, 4)]);
        assert_eq!((media.segments[1].uri.as_str(), presentation.next_number(TON)), ("00002.m4s", 3));
    }

    #[test]
    fn a_track_that_never_comes_ends_without_a_playlist() {
        let mut presentation = Presentation::new(replay::mixed(Kind::Event, false));
        (0..3).for_each(|rendition| drop(replay::segment(&mut presentation, rendition)));
        gap(&mut presentation, TON, 0);
        let plans: Vec<_> = (0..4).map(|rendition| presentation.end(rendition)).collect();
        assert!(plans.iter().all(|plan| !puts(plan).contains(&"ton/index.m3u8")));
        assert!(presentation.snapshot().is_absent(TON));
    }

    #[test]
    fn after_a_gap_no_part_is_hinted_at_before_there_is_one() {
        let mut presentation = Presentation::new(replay::mixed(LIVE, true));
        let hints = |presentation: &Presentation| {
            let text = low_latency(&presentation.snapshot(), TON, Skip::No).unwrap();
            Media::parse(&text).unwrap().low_latency.hints.len()
        };
        begin(&mut presentation, TON);
        presentation.part(TON, &replay::part(0, 4));
        round(&mut presentation);
        assert_eq!(hints(&presentation), 1);
        gap(&mut presentation, TON, 4);
        assert_eq!(hints(&presentation), 0);
        let text = low_latency(&presentation.snapshot(), TON, Skip::No).unwrap();
        assert!(text.contains("#EXT-X-GAP\n#EXTINF:4.000000,\n00002.m4s\n"), "{text}");
        begin(&mut presentation, TON);
        presentation.part(TON, &replay::part(0, 4));
        assert_eq!(hints(&presentation), 1);
    }

    #[test]
    fn gaps_keep_step_with_breaks_and_numbers() {
        let mut presentation = Presentation::new(replay::mixed(LIVE, false));
        round(&mut presentation);
        for digest in [1, 2] {
            presentation.map(MID, digest);
            (0..3).for_each(|rendition| drop(replay::segment(&mut presentation, rendition)));
            gap(&mut presentation, TON, 4);
        }
        assert_eq!(breaks(&presentation, MID), [false, false, true]);
        assert_eq!(breaks(&presentation, TON), [false, false, true]);
        let media =
            [MID, TON].map(|rendition| presentation.snapshot().media(rendition).unwrap().media_sequence);
        assert_eq!(media, [1, 1]);
    }

    #[test]
    fn maps_of_an_earlier_run_are_kept() {
        let mut presentation = Presentation::new(replay::mixed(LIVE, false));
        presentation.map(MID, 1);
        (0..2).for_each(|_| round(&mut presentation));
        let found: Vec<_> = (0..4)
            .map(|rendition| {
                presentation.snapshot().media(rendition).map(|media| Media::parse(&media.render()).unwrap())
            })
            .collect();
        let mut presentation = Presentation::resume(replay::mixed(LIVE, false), &found);
        presentation.map(MID, 1);
        round(&mut presentation);
        assert_eq!(breaks(&presentation, MID), [false, false, true], "one break, not two");
        let media = presentation.snapshot().media(MID).unwrap().clone();
        assert_eq!(media.render().matches("#EXT-X-MAP").count(), 1);
        assert_eq!(media.segments[2].uri, "00003.m4s");
        assert_eq!(presentation.snapshot().view(MID).unwrap().maps().len(), 1);
    }

    #[test]
    fn a_channel_of_which_nothing_is_stored_begins_where_it_is_told() {
        let mut presentation = Presentation::resume_from(replay::mixed(LIVE, false), 1000, 7);
        round(&mut presentation);
        let media = presentation.snapshot().media(HIGH).unwrap().clone();
        assert_eq!((media.media_sequence, media.discontinuity_sequence), (1000, 7));
        assert_eq!((media.segments[0].uri.as_str(), media.segments[0].is_discontinuity), ("01000.ts", false));
        assert_eq!(presentation.snapshot().edge(HIGH).map(super::Edge::media_sequence), Some(1001));
    }
}
