//! Plans replayed in virtual time, over a directory that knows what must never be seen in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;

use super::viewer::Viewer;
use super::{
    Container, Kind, Listing, Options, Plan, Presentation, Rendition, Retention, Role, Snapshot, Step,
};
use crate::playlist::{Media, Multivariant};
use crate::segment::{Extent, Head, Part};
use crate::time::{Rate, Ticks};

const TARGET: Duration = Duration::from_secs(4);
const LONGEST: Duration = Duration::from_secs(5);
const WINDOW: usize = 6;

/// What a destination holds, and every rule that a viewer relies on.
#[derive(Default)]
pub(super) struct Directory {
    /// Each segment there, and since when how long it must stay.
    segments: HashMap<String, Object>,
    /// Each map there, and since when no playlist names it, if one did.
    maps: HashMap<String, Option<Duration>>,
    pub(super) media: BTreeMap<String, Media>,
    pub(super) multivariant: Option<String>,
    /// The highest number put, by rendition.
    highest: HashMap<usize, u64>,
    pub(super) most_segments: usize,
    /// Durations of all segments that were ever shown, by playlist.
    pub(super) shown: HashMap<String, Duration>,
    pub(super) multivariant_puts: usize,
    retention: Retention,
}

#[derive(Default)]
struct Object {
    duration: Duration,
    longest: Duration,
    /// Set while it is out of its playlist.
    removed: Option<Duration>,
}

/// The key of what `uri` names in the playlist at `key`; names here are plain.
fn resolve(key: &str, uri: &str) -> String {
    key.rsplit_once('/').map_or_else(|| uri.to_owned(), |(folder, _)| format!("{folder}/{uri}"))
}

impl Directory {
    /// Does what `plan` says, which leads to `snapshot`, and deletes what may go.
    pub(super) fn perform(&mut self, plan: Plan, snapshot: &Snapshot, now: Duration) {
        for step in plan {
            match step {
                Step::PutSegment { rendition, number, key } => {
                    let before = self.highest.insert(rendition, number);
                    assert!(before.is_none_or(|before| number > before), "{key}: name used again");
                    assert!(self.segments.insert(key, Object::default()).is_none());
                    self.most_segments = self.most_segments.max(self.segments.len());
                }
                Step::PutPlaylist { key, text } if !key.contains('/') => {
                    let listed = Multivariant::parse(&text).unwrap();
                    let sound = listed.audio.iter().filter_map(|sound| sound.uri.as_ref());
                    for uri in listed.variants.iter().map(|variant| &variant.uri).chain(sound) {
                        assert!(self.media.contains_key(&resolve(&key, uri)), "{key}: {uri}");
                    }
                    for group in listed.variants.iter().filter_map(|variant| variant.audio.as_ref()) {
                        assert!(listed.audio.iter().any(|sound| sound.group == *group), "{key}: {group}");
                    }
                    self.multivariant = Some(text);
                    self.multivariant_puts += 1;
                }
                Step::PutPlaylist { key, text } => self.put_media(key, Media::parse(&text).unwrap(), now),
            }
        }
        for rendition in 0..snapshot.renditions() {
            snapshot.view(rendition).into_iter().for_each(|view| self.retention.show(rendition, view, now));
        }
        self.delete_due(now);
    }

    fn delete_due(&mut self, now: Duration) {
        while let Some(key) = self.retention.take(now) {
            self.delete(&key, now);
        }
    }

    fn put_media(&mut self, key: String, media: Media, now: Duration) {
        let total = media.duration();
        let before = self.media.remove(&key);
        // Each segment is resolved once, when it is new; the others are compared with it.
        let mut known = 0;
        if let Some(before) = &before {
            assert!(media.media_sequence >= before.media_sequence, "{key}");
            assert!(media.discontinuity_sequence >= before.discontinuity_sequence, "{key}");
            let gone = ((media.media_sequence - before.media_sequence) as usize).min(before.segments.len());
            let (gone, kept) = before.segments.split_at(gone);
            if !before.is_ended {
                assert_eq!(media.target_duration, before.target_duration, "{key}");
                let tags = gone.iter().filter(|segment| segment.is_discontinuity).count() as u64;
                assert_eq!(media.discontinuity_sequence, before.discontinuity_sequence + tags, "{key}");
            }
            for (old, new) in kept.iter().zip(&media.segments) {
                assert_eq!((&old.uri, old.duration), (&new.uri, new.duration), "{key}");
                assert_eq!(old.is_discontinuity, new.is_discontinuity, "{key}");
            }
            for old in gone {
                self.segments.get_mut(&resolve(&key, &old.uri)).unwrap().removed = Some(now);
            }
            known = kept.len();
        }
        for (at, segment) in media.segments.iter().enumerate() {
            let slack = Duration::from_micros(if key.starts_with("ton/") { 499_999 } else { 0 });
            assert!(segment.duration <= media.target_duration + slack, "{key}: {segment:?}");
            if let Some(map) = segment.map.as_ref().map(|map| resolve(&key, map)) {
                assert!(self.maps.contains_key(&map), "{key} names {map}");
                let before = at.checked_sub(1).and_then(|at| media.segments[at].map.as_ref());
                let is_other = before.is_some_and(|before| resolve(&key, before) != map);
                assert!(!is_other || segment.is_discontinuity, "{key}: another map without a break");
            }
            let name = resolve(&key, &segment.uri);
            let object = self.segments.get_mut(&name).unwrap_or_else(|| panic!("{key} names {name}"));
            object.duration = segment.duration;
            object.longest = object.longest.max(total);
            assert_eq!(object.removed, None, "{name} is shown again");
            if at >= known {
                *self.shown.entry(key.clone()).or_default() += segment.duration;
            }
        }
        self.media.insert(key, media);
        let named: BTreeSet<String> = self.named_maps().collect();
        for (map, unnamed) in &mut self.maps {
            *unnamed = if named.contains(map) { None } else { unnamed.or(Some(now)) };
        }
    }

    fn named_maps(&self) -> impl Iterator<Item = String> {
        let maps = |(key, media): (&String, &Media)| {
            let maps: BTreeSet<_> =
                media.segments.iter().filter_map(|segment| segment.map.as_ref()).collect();
            maps.into_iter().map(|map| resolve(key, map)).collect::<Vec<_>>()
        };
        self.media.iter().flat_map(maps)
    }

    fn delete(&mut self, key: &str, now: Duration) {
        if let Some(unnamed) = self.maps.remove(key) {
            let since = unnamed.unwrap_or_else(|| panic!("{key} is deleted while it is named"));
            assert!(now >= since + TARGET, "{key} is deleted early");
        }
        let Some(object) = self.segments.remove(key) else { return };
        let removed = object.removed.unwrap_or_else(|| panic!("{key} is deleted while it is shown"));
        assert!(now >= removed + object.duration + object.longest, "{key} is deleted early");
    }

    /// Discontinuities up to the end of each playlist.
    fn breaks(&self) -> Vec<u64> {
        let tags =
            |media: &Media| media.segments.iter().filter(|segment| segment.is_discontinuity).count() as u64;
        self.media.values().map(|media| media.discontinuity_sequence + tags(media)).collect()
    }
}

pub(super) fn options(kind: Kind, names: &[&str]) -> Options {
    let rendition = |name: &&str| Rendition {
        name: (*name).to_owned(),
        playlist: format!("{name}/index.m3u8"),
        segment_prefix: format!("{name}/"),
        ..Rendition::default()
    };
    Options {
        kind,
        target: TARGET,
        multivariants: vec![Listing { key: "index.m3u8".to_owned(), ..Listing::default() }],
        url_prefix: String::new(),
        has_date_time: true,
        has_parts: false,
        renditions: names.iter().map(rendition).collect(),
    }
}

/// Two renditions of transport streams, and of CMAF a variant and its sound.
pub(super) fn mixed(kind: Kind, has_parts: bool) -> Options {
    let mut options = options(kind, &["high", "low", "mid", "ton"]);
    options.renditions[2..].iter_mut().for_each(|rendition| rendition.container = Container::Cmaf);
    options.renditions[2].role = Role::Variant { audio: Some("sound".to_owned()) };
    options.renditions[3].role =
        Role::Audio { group: "sound".to_owned(), name: "Ton".to_owned(), is_default: true };
    options.multivariants.push(Listing { key: "cmaf.m3u8".to_owned(), container: Container::Cmaf });
    Options { has_parts, ..options }
}

/// Part `index` of an open segment, of `count` that last as long together as four seconds.
pub(super) fn part(index: u32, count: u32) -> Part {
    let longest = Duration::from_micros(4_004_000_u64.div_ceil(count.into()));
    let at = |index: u32| Ticks::from(longest * index);
    Part {
        index,
        decode_start: at(index),
        decode_end: at(index + 1),
        duration: longest,
        is_independent: index == 0,
        longest,
    }
}

const HEAD: Head =
    Head { start: Ticks::ZERO, decode_start: Ticks::ZERO, is_discontinuity: false, is_independent: true };

/// Closes four seconds of `rendition`.
pub(super) fn segment(presentation: &mut Presentation, rendition: usize) -> Plan {
    presentation.open(rendition, &HEAD, UNIX_EPOCH);
    close(presentation, rendition)
}

/// Closes four seconds of `rendition` that begin at `start`, in seconds.
pub(super) fn segment_at(presentation: &mut Presentation, rendition: usize, start: i64) -> Plan {
    let start = Ticks::new(start * Ticks::PER_SECOND);
    let head = Head { start, decode_start: start, ..HEAD };
    presentation.open(rendition, &head, UNIX_EPOCH);
    let decode_end = start + Ticks::from(TARGET);
    presentation
        .close(rendition, &Extent { head, duration: TARGET, size_bytes: 1, longest: TARGET, decode_end })
}

/// Closes the open segment of `rendition` after four seconds.
pub(super) fn close(presentation: &mut Presentation, rendition: usize) -> Plan {
    presentation.close(rendition, &sized(1))
}

/// Four seconds of so many bytes.
pub(super) fn sized(size_bytes: u64) -> Extent {
    Extent { head: HEAD, duration: TARGET, size_bytes, longest: TARGET, decode_end: Ticks::ZERO }
}

/// A segment on the grid of a 30000/1001 stream that began at `origin`: the `position`th, `jump` ahead.
fn extent(origin: i64, position: u64, jump: i64, is_discontinuity: bool) -> Extent {
    let frame = Rate::new(30_000, 1001).unwrap().period().count();
    let line = |k: u64| (k as i64 * Ticks::from(TARGET).count() + frame - 1) / frame * frame;
    let (start, end) =
        (Ticks::new(origin + jump + line(position)), Ticks::new(origin + jump + line(position + 1)));
    Extent {
        head: Head { start, decode_start: start, is_discontinuity, is_independent: true },
        duration: start.until(end),
        size_bytes: 1_000_000 + position * 7919 % 100_000,
        longest: LONGEST,
        decode_end: end,
    }
}

#[test]
fn a_week_of_stream_keeps_every_rule() {
    const SEGMENTS: u64 = 7 * 24 * 3600 / 4;
    // A day's jump, and a start just before the clock's first wrap: the line runs far past 2³⁴.
    const JUMP_EVERY: u64 = 24 * 3600 / 4;
    const JUMP: i64 = 1000 * Ticks::PER_SECOND;
    let origin = (1 << 33) - 10 * Ticks::PER_SECOND;
    let mut presentation = Presentation::new(options(Kind::Live { window: WINDOW }, &["high", "low", "mid"]));
    let mut directory = Directory::default();
    let mut spans = Duration::ZERO;
    // The wall clock is an hour late until the second day.
    const STEP_AT: u64 = JUMP_EVERY + 100;
    const STEP_MS: i64 = 3_600_000;
    for position in 0..SEGMENTS {
        if position == STEP_AT {
            presentation.step_clock(STEP_MS);
        }
        let jumps = position / JUMP_EVERY;
        let extent =
            extent(origin, position, jumps as i64 * JUMP, position > 0 && position % JUMP_EVERY == 0);
        let opened = Duration::from_micros(extent.head.start.micros() as u64);
        for rendition in 0..3 {
            let skew = Duration::from_millis(rendition as u64 * 150);
            presentation.open(rendition, &extent.head, UNIX_EPOCH + opened + skew);
            let now = TARGET * (position as u32 + 1) + skew;
            let plan = presentation.close(rendition, &extent);
            assert!(plan.anomalies().is_empty());
            directory.perform(plan, &presentation.snapshot(), now);
        }
        spans += extent.duration;
        if position % 1000 == 7 {
            let first: Vec<_> = directory.media.values().map(|media| media.segments[0].date_time).collect();
            assert!(first[0].is_some() && first.iter().all(|date| *date == first[0]));
            let date = first[0].unwrap().duration_since(UNIX_EPOCH).unwrap();
            let steady = opened.saturating_sub(TARGET * (WINDOW as u32 - 1));
            let ahead =
                if position > STEP_AT { Duration::from_millis(STEP_MS as u64) } else { Duration::ZERO };
            assert!(date.abs_diff(steady + ahead) < TARGET, "{date:?} for {steady:?} at {position}");
            assert_eq!(directory.breaks(), [jumps; 3]);
        }
    }
    assert!(directory.most_segments <= 3 * 16, "{} segments", directory.most_segments);
    assert!(directory.multivariant_puts < 20, "{} puts", directory.multivariant_puts);
    for (key, shown) in &directory.shown {
        assert!(shown.abs_diff(spans) < Duration::from_millis(34), "{key}: {shown:?} of {spans:?}");
    }
    for media in directory.media.values() {
        assert_eq!((media.target_duration, media.segments.len()), (LONGEST, WINDOW));
        assert_eq!(media.media_sequence, SEGMENTS - WINDOW as u64 + 1);
    }
}

/// What may happen to a channel.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// One rendition closes its next segment.
    Segment(usize),
    /// All do.
    Round,
    /// The source jumps: each rendition meets it at its next segment.
    Jump,
    /// One rendition's encoder starts anew.
    OwnJump(usize),
    /// We die and come back.
    Crash,
    /// One rendition's parameter sets become others.
    NewMap(usize),
    /// All end well, and we come back.
    Restart,
    /// Nothing comes for a while.
    Pause(u32),
    /// The wall clock is set, by so many milliseconds.
    ClockStep(i64),
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        10 => (0..RENDITIONS).prop_map(Event::Segment),
        20 => Just(Event::Round),
        2 => Just(Event::Jump),
        2 => (0..RENDITIONS).prop_map(Event::OwnJump),
        3 => (2..RENDITIONS).prop_map(Event::NewMap),
        1 => Just(Event::Crash),
        1 => Just(Event::Restart),
        2 => (0..60_u32).prop_map(Event::Pause),
        2 => (-4_000_000..4_000_000_i64).prop_map(Event::ClockStep),
    ]
}

const RENDITIONS: usize = 4;

/// A channel over a directory, through several lives.
struct World {
    presentation: Presentation,
    directory: Directory,
    options: Options,
    now: Duration,
    /// How often we came back.
    lives: usize,
    /// By rendition: segments in this life, PTS offset, whether a jump waits.
    feeds: [(u64, i64, bool); RENDITIONS],
    /// By rendition: which of few maps it has.
    digests: [u64; RENDITIONS],
    viewer: Viewer,
    /// Whether somebody looks at each part.
    is_seen: bool,
}

impl World {
    fn new(kind: Kind, has_parts: bool) -> Self {
        let options = mixed(kind, has_parts);
        Self {
            presentation: Presentation::new(options.clone()),
            directory: Directory::default(),
            options,
            now: Duration::ZERO,
            lives: 0,
            feeds: Default::default(),
            digests: [1; RENDITIONS],
            viewer: Viewer::default(),
            is_seen: true,
        }
    }

    fn wall(&self) -> SystemTime {
        UNIX_EPOCH + self.now
    }

    fn segment(&mut self, rendition: usize) {
        let (position, offset, jumps) = self.feeds[rendition];
        let extent = extent(0, position, offset, jumps);
        self.feeds[rendition] = (position + 1, offset, false);
        self.presentation.open(rendition, &extent.head, self.wall());
        let names = &self.options.renditions[rendition];
        if names.container == Container::Cmaf {
            let digest = self.digests[rendition];
            self.presentation.map(rendition, digest);
            self.directory.maps.entry(names.init_key(digest)).or_insert(None);
        }
        for index in 0..3 {
            let plan = self.presentation.part(rendition, &part(index, 3));
            assert!(plan.is_empty() && plan.anomalies().is_empty());
            self.see(rendition);
        }
        self.now += Duration::from_millis(10);
        let plan = self.presentation.close(rendition, &extent);
        self.directory.perform(plan, &self.presentation.snapshot(), self.now);
        self.see(rendition);
    }

    fn see(&mut self, rendition: usize) {
        if self.is_seen {
            self.viewer.see(&self.presentation.snapshot(), rendition);
        }
    }

    fn come_back(&mut self) {
        let found: Vec<_> = self
            .options
            .renditions
            .iter()
            .map(|names| self.directory.media.get(&names.playlist).map(|media| media.render()))
            .map(|text| text.map(|text| Media::parse(&text).unwrap()))
            .collect();
        self.directory.retention = Retention::default();
        for (rendition, media) in found.iter().enumerate() {
            let retention = &mut self.directory.retention;
            media.iter().for_each(|media| retention.take_up(&self.options, rendition, media, self.now));
        }
        self.lives += 1;
        self.viewer.forget();
        self.presentation = Presentation::resume(self.options.clone(), &found);
        self.feeds = Default::default();
        // Segments that no playlist named yet are lost with the life that put them: their names come again.
        let named: Vec<String> = self
            .directory
            .media
            .iter()
            .flat_map(|(key, media)| media.segments.iter().map(|segment| resolve(key, &segment.uri)))
            .collect();
        self.directory.segments.retain(|key, object| object.removed.is_some() || named.contains(key));
        for rendition in 0..RENDITIONS {
            let next = self.presentation.next_number(rendition);
            let highest = self.directory.highest.entry(rendition).or_default();
            *highest = (*highest).min(next - 1);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Segment(rendition) => self.segment(rendition),
            Event::Round => {
                (0..RENDITIONS).for_each(|rendition| self.segment(rendition));
                self.now += TARGET;
            }
            Event::Jump => self.feeds.iter_mut().for_each(|feed| *feed = (feed.0, feed.1 + 90_000_000, true)),
            Event::OwnJump(rendition) => {
                self.feeds[rendition].1 -= 50_000_000;
                self.feeds[rendition].2 = true;
            }
            Event::ClockStep(by_ms) => self.presentation.step_clock(by_ms),
            Event::NewMap(rendition) => self.digests[rendition] = 1 + self.digests[rendition] % 3,
            Event::Crash => self.come_back(),
            Event::Restart => {
                for rendition in 0..RENDITIONS {
                    let plan = self.presentation.end(rendition);
                    self.directory.perform(plan, &self.presentation.snapshot(), self.now);
                    self.see(rendition);
                }
                assert!(self.directory.media.values().all(|media| media.is_ended));
                self.come_back();
            }
            Event::Pause(seconds) => {
                self.now += Duration::from_secs(seconds.into());
                self.directory.delete_due(self.now);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_happens_every_rule_is_kept(
        is_event: bool,
        has_parts: bool,
        happenings in proptest::collection::vec(events(), 0..80),
    ) {
        let kind = if is_event { Kind::Event } else { Kind::Live { window: WINDOW } };
        let mut world = World::new(kind, has_parts);
        for event in happenings {
            world.happen(event);
        }
        // Left alone, the renditions' discontinuities come together, and what is out of the window goes.
        for round in 0..90 {
            world.is_seen = round < 10;
            world.happen(Event::Round);
        }
        let breaks = world.directory.breaks();
        prop_assert!(breaks.iter().all(|count| *count == breaks[0]), "{:?}", breaks);
        if !is_event {
            // Lives that follow each other at once, with renditions far apart, may leave a window behind each.
            let most = RENDITIONS * (16 + world.lives * WINDOW);
            prop_assert!(world.directory.segments.len() <= most, "{} segments", world.directory.segments.len());
            // What the last life has named goes too, but for what is shown.
            let kept = world.directory.named_maps().count();
            let most = kept + world.lives * 2 * 3;
            prop_assert!(world.directory.maps.len() <= most, "{:?}", world.directory.maps);
        }
        prop_assert_eq!(world.viewer.parts > 0, has_parts);
    }
}
