//! How an earlier run's playlists are taken up.
//!
//! Playlists come from outside and may hold anything: nothing in them is deleted unless its name is one that
//! this rendition itself would give, and numbers that make no sense are gone on from all the same.

use std::collections::BTreeSet;
use std::time::Duration;

use super::window::{Entry, Window};
use super::{Kind, Options, Rendition, naming, target};
use crate::playlist;

/// How far renditions' discontinuity sequence numbers may lie apart and still be brought together segment by
/// segment; further apart, the ones behind begin with an empty playlist.
const APART: u64 = 8;

/// The fewest target durations that a full playlist may last: three stay when a segment is removed.
const FULL: u32 = 4;

/// The most segments that an earlier run is believed to have left behind.
const LEFTOVER: u64 = 1000;

/// Where a channel begins.
pub(super) struct Start {
    pub(super) renditions: Vec<Beginning>,
    /// Breaks that each rendition is to have passed once its first segments are out.
    pub(super) breaks: u64,
    /// The target duration that a playlist gone on with is bound to.
    pub(super) target: Option<Duration>,
    /// What playlists gone on with say of stretches of time.
    pub(super) date_ranges: Vec<playlist::DateRange>,
}

/// Where one rendition begins.
pub(super) struct Beginning {
    /// The number of its next segment.
    pub(super) next: u64,
    /// Breaks passed, those in the window included.
    pub(super) breaks: u64,
    /// What is still shown.
    pub(super) window: Window,
}

/// What one earlier playlist says, if there is one.
pub(super) struct Earlier<'a> {
    rendition: &'a Rendition,
    media: Option<&'a playlist::Media>,
    /// Above every number found.
    next: u64,
    /// All breaks up to its end.
    breaks: u64,
}

/// Reads the earlier playlists, in the order of the renditions; none at all is a fresh channel.
pub(super) fn start(options: &Options, earlier: &[Option<playlist::Media>]) -> Start {
    let media = earlier.iter().map(Option::as_ref).chain(std::iter::repeat(None));
    let earlier: Vec<Earlier<'_>> = options
        .renditions
        .iter()
        .zip(media)
        .map(|(rendition, media)| Earlier::new(rendition, media))
        .collect();
    let has_earlier = earlier.iter().any(|one| one.media.is_some());
    let next = earlier.iter().map(|one| one.next).max().unwrap_or(1);
    let ends = earlier.iter().filter(|one| one.media.is_some()).map(|one| one.breaks).max();
    // What comes now does not continue what was: that is a break for all.
    let breaks = ends.map_or(0, |ends| ends.saturating_add(u64::from(has_earlier)));

    let (mut target, mut date_ranges) = (None, Vec::new());
    let renditions = earlier.iter().map(|one| match one.media {
        Some(media) if one.is_shown(options.kind, breaks) => {
            target = target.max(Some(bound(media)));
            date_ranges.extend_from_slice(&media.date_ranges);
            one.go_on(options, media)
        }
        _ => Beginning { next, breaks, window: Window::new(next, breaks) },
    });
    let renditions = renditions.collect();
    Start { renditions, breaks, target, date_ranges }
}

/// A fresh channel whose segments are numbered from `first` on, and whose breaks behind `breaks`.
pub(super) fn start_from(options: &Options, first: u64, breaks: u64) -> Start {
    let renditions = options.renditions.iter();
    let renditions =
        renditions.map(|_| Beginning { next: first, breaks, window: Window::new(first, breaks) });
    Start { renditions: renditions.collect(), breaks, target: None, date_ranges: Vec::new() }
}

/// The numbers of the segments that `media`, found as the playlist of `rendition`, shows; the oldest first.
pub fn numbers(options: &Options, rendition: usize, media: &playlist::Media) -> Vec<u64> {
    let Some(names) = options.renditions.get(rendition) else { return Vec::new() };
    let number = |(at, segment): (u64, &playlist::Segment)| {
        naming::number(names, &segment.uri).unwrap_or(media.media_sequence.saturating_add(at))
    };
    (0..).zip(&media.segments).map(number).collect()
}

/// Where the maps lie that `media`, found as the playlist of `rendition`, names, as far as they are ours; each once.
pub fn maps(options: &Options, rendition: usize, media: &playlist::Media) -> BTreeSet<String> {
    let Some(names) = options.renditions.get(rendition) else { return BTreeSet::new() };
    let there = media.segments.iter().filter(|segment| !segment.is_gap);
    let uris = there.filter_map(|segment| segment.map.as_deref());
    uris.filter_map(|uri| naming::map(options, names, uri).key).collect()
}

/// The target duration that `media` is bound to, which all that it shows must fit.
fn bound(media: &playlist::Media) -> Duration {
    let longest = media.segments.iter().map(|segment| segment.duration).max().unwrap_or_default();
    target::whole_seconds(media.target_duration).max(target::seconds_for(longest))
}

impl<'a> Earlier<'a> {
    pub(super) fn new(rendition: &'a Rendition, media: Option<&'a playlist::Media>) -> Self {
        let Some(found) = media else { return Self { rendition, media, next: 1, breaks: 0 } };
        let numbers = found.segments.iter().filter_map(|segment| naming::number(rendition, &segment.uri));
        let above = numbers.max().map_or(1, |highest| highest.saturating_add(1));
        let end = found.media_sequence.saturating_add(found.segments.len() as u64);
        let tags = found.segments.iter().filter(|segment| segment.is_discontinuity).count() as u64;
        Self {
            rendition,
            media,
            next: above.max(end),
            breaks: found.discontinuity_sequence.saturating_add(tags),
        }
    }

    /// Whether what was shown stays: the playlist has no end, and its discontinuities can be brought together
    /// with the others'.
    fn is_shown(&self, kind: Kind, breaks: u64) -> bool {
        let is_open = self.media.is_some_and(|media| !media.is_ended && !media.segments.is_empty());
        is_open && kind != Kind::Vod && breaks - self.breaks <= APART
    }

    fn go_on(&self, options: &Options, media: &playlist::Media) -> Beginning {
        Beginning { next: self.next, breaks: self.breaks, window: self.window(options, media) }
    }

    fn window(&self, options: &Options, media: &playlist::Media) -> Window {
        let mut window = Window::new(media.media_sequence, media.discontinuity_sequence);
        let mut date = None;
        for (at, segment) in (0..).zip(&media.segments) {
            let number = naming::number(self.rendition, &segment.uri);
            let key = naming::own_key(options, self.rendition, &segment.uri);
            date = segment.date_time.or(date);
            // What is not there needs no map, and its map may not be there either.
            let map = segment.map.as_deref().filter(|_| !segment.is_gap);
            let map = map.map(|uri| naming::map(options, self.rendition, uri));
            let segment = playlist::Segment { date_time: date, parts: Vec::new(), ..segment.clone() };
            date = date.and_then(|at| at.checked_add(segment.duration));
            let number = number.unwrap_or(media.media_sequence.saturating_add(at));
            window.push(Entry::new(number, key, segment).with_map(map), media.is_independent);
        }
        window
    }

    /// What the earlier run had taken out of its window and had no time to delete, each with how long it is to stay:
    /// never more than about another window. How long the playlists were that held it is not known any more, so they
    /// count as full ones.
    pub(super) fn leftover(&self, kind: Kind) -> Vec<(String, Duration)> {
        let Some(media) = self.media else { return Vec::new() };
        let first = media.segments.first().and_then(|segment| naming::number(self.rendition, &segment.uri));
        if media.kind.is_some() || first != Some(media.media_sequence) {
            return Vec::new();
        }
        let window = match kind {
            Kind::Live { window } => u32::try_from(window).unwrap_or(u32::MAX).max(FULL),
            Kind::Event | Kind::Vod => FULL,
        };
        let longest = media.duration().max(media.target_duration.saturating_mul(window));
        let keep = longest.saturating_add(media.target_duration);
        let count = u64::from(window).max(media.segments.len() as u64).saturating_mul(2).min(LEFTOVER);
        let numbers = media.media_sequence.saturating_sub(count).max(1)..media.media_sequence;
        numbers.map(|number| (self.rendition.segment_key(number), keep)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use proptest::prelude::*;

    use super::super::replay::segment as close;
    use super::super::{Plan, Presentation, Retention, Step, replay};
    use super::*;

    const LIVE: Kind = Kind::Live { window: 3 };
    const FOUR: Duration = Duration::from_secs(4);

    fn media(text: &str) -> Option<playlist::Media> {
        Some(playlist::Media::parse(&format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n{text}")).unwrap())
    }

    fn segments(numbers: std::ops::Range<u64>) -> String {
        numbers.map(|number| format!("#EXTINF:4,\n{number:05}.ts\n")).collect()
    }

    /// The media playlist put at `high/index.m3u8`.
    fn shown(plan: &Plan) -> playlist::Media {
        let texts = plan.steps().iter().filter_map(|step| match step {
            Step::PutPlaylist { key, text } if key == "high/index.m3u8" => Some(text),
            _ => None,
        });
        playlist::Media::parse(texts.collect::<Vec<_>>().last().unwrap()).unwrap()
    }

    /// A lone rendition that goes on after `earlier`, and what of it stays at the place where that was found.
    fn resumed(earlier: Option<playlist::Media>) -> (Presentation, Retention) {
        let options = replay::options(LIVE, &["high"]);
        let mut retention = Retention::default();
        earlier.iter().for_each(|media| retention.take_up(&options, 0, media, Duration::ZERO));
        (Presentation::resume(options, &[earlier]), retention)
    }

    fn deleted(retention: &mut Retention, seconds: u64) -> Vec<String> {
        std::iter::from_fn(|| retention.take(Duration::from_secs(seconds))).collect()
    }

    #[test]
    fn a_playlist_without_an_end_goes_on_after_a_discontinuity() {
        let earlier = media(&format!(
            "#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-DISCONTINUITY-SEQUENCE:2\n#EXT-X-DISCONTINUITY\n{}",
            segments(7..10)
        ));
        let (mut presentation, mut retention) = resumed(earlier);
        assert_eq!(presentation.next_number(0), 10);
        let media = shown(&close(&mut presentation, 0));
        assert_eq!((media.media_sequence, media.discontinuity_sequence), (8, 3));
        let uris: Vec<_> =
            media.segments.iter().map(|one| (one.uri.as_str(), one.is_discontinuity)).collect();
        assert_eq!(uris, [("00008.ts", false), ("00009.ts", false), ("00010.ts", true)]);
        assert!(!media.is_independent, "the earlier playlist did not say so");
        // What the earlier run had taken out and left behind goes too, in time.
        assert_eq!(deleted(&mut retention, 15), [""; 0]);
        let left = [1, 2, 3, 4, 5, 6].map(|number| format!("high/{number:05}.ts"));
        assert_eq!(deleted(&mut retention, 20), left);
        retention.show(0, presentation.snapshot().view(0).unwrap(), FOUR);
        assert_eq!(deleted(&mut retention, 100), ["high/00007.ts"]);
    }

    #[test]
    fn a_restart_raises_the_discontinuity_sequence() {
        let earlier = media(&format!(
            "#EXT-X-MEDIA-SEQUENCE:1\n#EXT-X-DISCONTINUITY-SEQUENCE:2\n{}#EXT-X-ENDLIST\n",
            segments(1..4)
        ));
        let (mut presentation, mut retention) = resumed(earlier);
        let media = shown(&close(&mut presentation, 0));
        assert_eq!((media.media_sequence, media.discontinuity_sequence), (4, 3));
        assert_eq!(media.segments.len(), 1);
        assert!(!media.segments[0].is_discontinuity && media.is_independent);
        // Out at 4 s; each stays 4 s and the 12 s of the playlist longer.
        assert_eq!(retention.next(), None);
        retention.show(0, presentation.snapshot().view(0).unwrap(), FOUR);
        assert_eq!(deleted(&mut retention, 19), [""; 0]);
        assert_eq!(deleted(&mut retention, 20), ["high/00001.ts", "high/00002.ts", "high/00003.ts"]);
    }

    #[test]
    fn all_renditions_begin_anew_with_equal_numbers() {
        let options = replay::options(LIVE, &["high", "low", "new"]);
        let high = media(&format!("#EXT-X-MEDIA-SEQUENCE:5\n{}#EXT-X-ENDLIST\n", segments(5..9)));
        let low = media(&format!("#EXT-X-MEDIA-SEQUENCE:4\n{}#EXT-X-ENDLIST\n", segments(4..7)));
        let presentation = Presentation::resume(options, &[high, low]);
        assert_eq!([0, 1, 2].map(|rendition| presentation.next_number(rendition)), [9; 3]);
    }

    #[test]
    fn numbers_go_on_above_the_highest_name_found() {
        let options = replay::options(LIVE, &["high"]);
        let earlier = media(&format!("#EXT-X-MEDIA-SEQUENCE:2\n{}", segments(50..52)));
        let mut presentation = Presentation::resume(options, &[earlier]);
        let media = shown(&close(&mut presentation, 0));
        assert_eq!(media.media_sequence, 2);
        assert_eq!(media.segments[2].uri, "00052.ts");
    }

    #[test]
    fn names_that_are_not_ours_are_shown_and_never_deleted() {
        let foreign =
            "#EXTINF:4,\n../../etc/passwd\n#EXTINF:4,\nhttp://h/a.ts\n#EXTINF:4,\n../low/00001.ts\n";
        let (mut presentation, mut retention) = resumed(media(foreign));
        let media = shown(&close(&mut presentation, 0));
        assert_eq!(media.segments[0].uri, "http://h/a.ts");
        for _ in 2..9 {
            close(&mut presentation, 0);
            retention.show(0, presentation.snapshot().view(0).unwrap(), FOUR);
        }
        let deleted = deleted(&mut retention, 1000);
        assert!(deleted.len() > 3 && deleted.iter().all(|key| key.starts_with("high/")), "{deleted:?}");
    }

    #[test]
    fn a_target_duration_is_kept_over_a_restart() {
        let options = replay::options(LIVE, &["high"]);
        let earlier = media("#EXT-X-TARGETDURATION:9\n#EXTINF:8.5,\n00001.ts\n");
        let mut presentation = Presentation::resume(options, &[earlier]);
        assert_eq!(shown(&close(&mut presentation, 0)).target_duration, Duration::from_secs(9));
    }

    prop_compose! {
        fn playlists()(
            media_sequence in prop_oneof![0..20_u64, any::<u64>(), Just(u64::MAX)],
            discontinuity_sequence in prop_oneof![0..20_u64, any::<u64>(), Just(u64::MAX)],
            seconds: u32,
            segments in proptest::collection::vec(
                ("([0-9]{5}|99999999999999999999|[a-z./%]{1,6})(\\.ts)?", any::<u32>(), any::<bool>()), 0..5),
            is_ended: bool,
            has_date: bool,
        ) -> playlist::Media {
            let date_time = has_date.then_some(SystemTime::UNIX_EPOCH);
            let segment = |(uri, seconds, is_discontinuity): (String, u32, bool)| playlist::Segment {
                uri, duration: Duration::from_secs(seconds.into()), is_discontinuity, date_time, ..playlist::Segment::default()
            };
            playlist::Media {
                date_ranges: Vec::new(),
                target_duration: Duration::from_secs(seconds.into()),
                media_sequence,
                discontinuity_sequence,
                kind: None,
                is_independent: true,
                segments: segments.into_iter().map(segment).collect(),
                is_ended,
                low_latency: playlist::LowLatency::default(),
            }
        }
    }

    proptest! {
        #[test]
        fn any_earlier_playlists_are_survived(
            earlier in proptest::collection::vec(proptest::option::of(playlists()), 0..4),
        ) {
            let options = replay::options(LIVE, &["high", "low"]);
            let mut presentation = Presentation::resume(options.clone(), &earlier);
            let mut retention = Retention::default();
            for (rendition, media) in earlier.iter().enumerate() {
                media.iter().for_each(|media| retention.take_up(&options, rendition, media, Duration::ZERO));
            }
            for _ in 1..12 {
                for rendition in [0, 1] {
                    let before = presentation.next_number(rendition);
                    close(&mut presentation, rendition);
                    let snapshot = presentation.snapshot();
                    snapshot.view(rendition).into_iter().for_each(|view| retention.show(rendition, view, FOUR));
                    prop_assert!(presentation.next_number(rendition) > before || before == u64::MAX);
                }
            }
            while retention.take(Duration::MAX).is_some() {}
        }
    }
}
