//! Whole channels replayed in virtual time, over destinations in memory that fail as told by a seed. Each destination
//! checks, operation by operation, what a viewer relies on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::{Delivery, Entrance, Options, Segment, Spool, Store, farthest, look};
use crate::chunks::Chunks;
use crate::destination::{Destination, Error, Kind, Pending, Target, copy};
use crate::live::viewer::Viewer;
use crate::live::{self, Presentation, Step};
use crate::playlist::{LowLatency, Media, Multivariant};
use crate::segment::{Extent, Head, Part};
use crate::time::Ticks;

const FOUR: Duration = Duration::from_secs(4);
const WINDOW: usize = 6;
const NAMES: [&str; 3] = ["high", "mid", "low"];
const SEGMENT_BYTES: usize = 1000;

/// Numbers from a seed: splitmix64.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn has_luck(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// How a destination behaves for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weather {
    Fair,
    /// Every operation takes so long.
    Slow(Duration),
    /// So many in a hundred fail.
    Shaky(u64),
    /// So many in a hundred are done and their answers lost.
    Deaf(u64),
    /// Nothing answers.
    BlackHole,
    /// Everything is refused at once.
    Down(Kind),
}

/// A destination in memory, and every rule that its viewers rely on.
#[derive(Debug)]
struct Place {
    objects: BTreeMap<String, Bytes>,
    media: BTreeMap<String, Media>,
    /// Segments that viewers have been told of, and until when they must stay.
    told: BTreeMap<String, Told>,
    weather: Weather,
    dice: Dice,
    began: Instant,
    most_objects: usize,
    gaps: BTreeSet<String>,
    /// Maps that viewers have been told of, and how many have gone again.
    told_maps: BTreeSet<String>,
    deleted_maps: u64,
}

#[derive(Debug)]
struct Told {
    body: Bytes,
    duration: Duration,
    longest: Duration,
    /// By when it left the playlist.
    removed: Option<Duration>,
}

#[derive(Clone, Debug)]
struct Memory(Arc<Mutex<Place>>);

impl Memory {
    fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Place {
            objects: BTreeMap::new(),
            media: BTreeMap::new(),
            told: BTreeMap::new(),
            weather: Weather::Fair,
            dice: Dice(seed),
            began: Instant::now(),
            most_objects: 0,
            gaps: BTreeSet::new(),
            told_maps: BTreeSet::new(),
            deleted_maps: 0,
        })))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Place> {
        self.0.lock().unwrap()
    }

    /// Lives through the weather, around `operation`.
    async fn act<T>(&self, operation: impl FnOnce(&mut Place) -> T) -> Result<T, Error> {
        let fail = |kind, why: &str| Err(Error::new(kind, "do it", why.into()));
        let (weather, takes, is_unlucky) = {
            let place = &mut *self.lock();
            let percent = match place.weather {
                Weather::Shaky(percent) | Weather::Deaf(percent) => percent,
                _ => 0,
            };
            (place.weather, place.dice.below(150), place.dice.has_luck(percent))
        };
        sleep(Duration::from_millis(5 + takes)).await;
        match weather {
            Weather::BlackHole => std::future::pending().await,
            Weather::Down(kind) => return fail(kind, "down"),
            Weather::Slow(takes) => sleep(takes).await,
            Weather::Shaky(_) if is_unlucky => return fail(Kind::Transient, "bad luck"),
            Weather::Deaf(_) if is_unlucky => {
                operation(&mut self.lock());
                return fail(Kind::Transient, "no answer");
            }
            _ => {}
        }
        Ok(operation(&mut self.lock()))
    }
}

impl Destination for Memory {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    fn put(&self, key: &str, body: Chunks) -> Pending<'_, ()> {
        let key = key.to_owned();
        Box::pin(self.act(move |place| place.put(key, body.to_bytes())))
    }

    fn delete(&self, key: &str) -> Pending<'_, ()> {
        let key = key.to_owned();
        Box::pin(self.act(move |place| place.delete(&key)))
    }

    fn get(&self, key: &str) -> Pending<'_, Option<Bytes>> {
        let key = key.to_owned();
        Box::pin(self.act(move |place| place.objects.get(&key).cloned()))
    }
}

fn resolve(key: &str, uri: &str) -> String {
    key.rsplit_once('/').map_or_else(|| uri.to_owned(), |(folder, _)| format!("{folder}/{uri}"))
}

impl Place {
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn put(&mut self, key: String, body: Bytes) {
        if key.ends_with(".m3u8") && !key.contains('/') {
            let listed = Multivariant::parse(std::str::from_utf8(&body).unwrap()).unwrap();
            let sound = listed.audio.iter().filter_map(|sound| sound.uri.as_ref());
            for uri in listed.variants.iter().map(|variant| &variant.uri).chain(sound) {
                assert!(self.objects.contains_key(uri), "{key} names {uri}");
            }
        } else if key.ends_with(".m3u8") {
            self.show(&key, Media::parse(std::str::from_utf8(&body).unwrap()).unwrap());
        } else if let Some(told) = self.told.get(&key) {
            assert_eq!(told.body, body, "{key} is another segment");
        }
        self.objects.insert(key, body);
        self.most_objects = self.most_objects.max(self.objects.len());
    }

    fn show(&mut self, key: &str, media: Media) {
        let now = self.now();
        if let Some(before) = self.media.get(key) {
            assert!(media.media_sequence >= before.media_sequence, "{key} goes back");
            let breaks = |media: &Media| media.discontinuity_sequence;
            assert!(breaks(&media) >= breaks(before), "{key} goes back from {before:#?} to {media:#?}");
            let end = |media: &Media| media.media_sequence + media.segments.len() as u64;
            assert!(end(&media) >= end(before), "{key} goes back");
            assert!(end(&media) > end(before) || media.is_ended || !before.is_ended, "{key} has ended");
        }
        assert_eq!(media.low_latency, LowLatency::default());
        let total = media.duration();
        let mut named = BTreeSet::new();
        for segment in &media.segments {
            let name = resolve(key, &segment.uri);
            if segment.is_gap {
                self.gaps.insert(name);
                continue;
            }
            assert!(segment.parts.is_empty());
            if let Some(map) = segment.map.as_ref().map(|map| resolve(key, map)) {
                assert!(self.objects.contains_key(&map), "{key} names {map}");
                self.told_maps.insert(map);
            }
            let body = self.objects.get(&name).unwrap_or_else(|| panic!("{key} names {name}")).clone();
            let told = self.told.entry(name.clone()).or_insert(Told {
                body,
                duration: segment.duration,
                longest: total,
                removed: None,
            });
            assert_eq!(told.removed, None, "{name} is shown again");
            told.longest = told.longest.max(total);
            named.insert(name);
        }
        let folder = resolve(key, "");
        for (name, told) in self.told.iter_mut().filter(|(name, _)| name.starts_with(&folder)) {
            if !named.contains(name) {
                told.removed.get_or_insert(now);
            }
        }
        self.media.insert(key.to_owned(), media);
    }

    fn delete(&mut self, key: &str) {
        let maps = |(list, media): (&String, &Media)| {
            let there = media.segments.iter().filter(|segment| !segment.is_gap);
            there.filter_map(|segment| segment.map.as_ref()).map(|map| resolve(list, map)).collect::<Vec<_>>()
        };
        assert!(self.media.iter().flat_map(maps).all(|map| map != key), "{key} is deleted while it is named");
        self.deleted_maps += u64::from(self.told_maps.remove(key));
        if let Some(told) = self.told.get(key) {
            let removed = told.removed.unwrap_or_else(|| panic!("{key} is deleted while it is shown"));
            assert!(self.now() >= removed + told.duration + told.longest, "{key} is deleted early");
        }
        self.objects.remove(key);
    }

    /// Segments there that no playlist names.
    fn unnamed(&self) -> Vec<&String> {
        let segments = self.objects.keys().filter(|key| key.ends_with(".ts") || key.ends_with(".m4s"));
        segments.filter(|key| self.told.get(*key).is_none_or(|told| told.removed.is_some())).collect()
    }
}

/// Half of a segment.
fn part(index: u32) -> Part {
    Part {
        index,
        decode_start: Ticks::ZERO,
        decode_end: Ticks::ZERO,
        duration: FOUR / 2,
        is_independent: index == 0,
        longest: FOUR / 2,
    }
}

fn presentation(kind: live::Kind) -> live::Options {
    let rendition = |name: &&str| live::Rendition {
        name: (*name).to_owned(),
        playlist: format!("{name}/index.m3u8"),
        segment_prefix: format!("{name}/"),
        ..live::Rendition::default()
    };
    live::Options {
        kind,
        target: FOUR,
        multivariants: vec![live::Listing { key: "index.m3u8".to_owned(), ..live::Listing::default() }],
        url_prefix: String::new(),
        has_date_time: true,
        has_parts: false,
        renditions: NAMES.iter().map(rendition).collect(),
    }
}

/// With a lone transport stream, and of CMAF a variant and its sound; in parts.
fn mixed(kind: live::Kind) -> live::Options {
    let mut options = presentation(kind);
    options.renditions[1..].iter_mut().for_each(|rendition| rendition.container = live::Container::Cmaf);
    options.renditions[1].role = live::Role::Variant { audio: Some("sound".to_owned()) };
    options.renditions[2].role =
        live::Role::Audio { group: "sound".to_owned(), name: "Ton".to_owned(), is_default: true };
    let container = live::Container::Cmaf;
    options.multivariants.push(live::Listing { key: "cmaf.m3u8".to_owned(), container });
    live::Options { has_parts: true, ..options }
}

/// A channel over some destinations, from its start to its end or its death.
struct Channel {
    presentation: Presentation,
    deliveries: Vec<Delivery>,
    store: Store,
    /// Makes the bodies of one life differ from another's.
    life: u64,
    segments: u64,
    viewer: Viewer,
}

impl Channel {
    async fn start(options: live::Options, places: &[Memory], spool: Spool, life: u64) -> Self {
        let served = |target| Options { timeout: Duration::from_secs(10), ..Options::new(target) };
        Self::serve(options, places, spool, life, served).await
    }

    async fn serve(
        options: live::Options,
        places: &[Memory],
        spool: Spool,
        life: u64,
        served: impl Fn(Target) -> Options,
    ) -> Self {
        let mut found = Vec::new();
        for place in places {
            found.push(look(place, &options).await.unwrap());
        }
        let shown = Arc::new(farthest(&found.iter().collect::<Vec<_>>()));
        let presentation = Presentation::resume(options.clone(), &shown);
        let began = Instant::now();
        let deliveries = places.iter().zip(found).map(|(place, found)| {
            let target = Target::Copy(copy::Options::new("memory"));
            let served = served(target);
            let entrance = Entrance::Open(Arc::new(place.clone()), found);
            let (ended, _) = mpsc::unbounded_channel();
            Delivery::start_seeded(&served, &options, entrance, &shown, began, ended, life)
        });
        Self {
            deliveries: deliveries.collect(),
            presentation,
            store: Store::new(spool),
            life,
            segments: 0,
            viewer: Viewer::default(),
        }
    }

    /// Four seconds of all renditions, which end a little one after the other.
    async fn round(&mut self) {
        for rendition in 0..NAMES.len() {
            sleep(Duration::from_millis(100)).await;
            let start = Ticks::new(self.segments as i64 * 4 * Ticks::PER_SECOND);
            let head = Head { start, decode_start: start, is_discontinuity: false, is_independent: true };
            self.presentation.open(rendition, &head, UNIX_EPOCH);
            let map = self.map(rendition);
            for index in 0..2 {
                let plan = self.presentation.part(rendition, &part(index));
                assert!(plan.is_empty() && plan.anomalies().is_empty());
                self.viewer.see(&self.presentation.snapshot(), rendition);
                self.show();
            }
            let extent = Extent {
                head,
                duration: FOUR,
                size_bytes: SEGMENT_BYTES as u64,
                longest: FOUR,
                decode_end: start + Ticks::from(FOUR),
            };
            let plan = self.presentation.close(rendition, &extent);
            let Some(Step::PutSegment { number, key, .. }) = plan.steps().first() else { panic!("{plan:?}") };
            let text = format!("{key} of life {:<width$}", self.life, width = SEGMENT_BYTES);
            let body = self.store.hold(Chunks::from(text));
            let (number, key) = (*number, key.clone());
            let segment = Segment { rendition, number, key, duration: FOUR, body, map };
            self.deliveries.iter_mut().for_each(|delivery| delivery.put(segment.clone()));
            self.show();
        }
        self.segments += 1;
        sleep(FOUR - Duration::from_millis(300)).await;
    }

    /// Each map is one of three, and changes now and then.
    fn map(&mut self, rendition: usize) -> Option<(String, Bytes)> {
        let names = self.presentation.options().renditions[rendition].clone();
        if names.container == live::Container::Ts {
            return None;
        }
        let digest = (self.life + (self.segments + rendition as u64) / 17) % 3;
        self.presentation.map(rendition, digest);
        let key = names.init_key(digest);
        Some((key.clone(), Bytes::from(key)))
    }

    fn show(&mut self) {
        let snapshot = self.presentation.snapshot();
        self.deliveries.iter_mut().for_each(|delivery| delivery.show(&snapshot));
    }

    async fn end(mut self) -> Vec<super::Status> {
        for rendition in 0..NAMES.len() {
            self.presentation.end(rendition);
            self.show();
        }
        let mut statuses = Vec::new();
        for delivery in self.deliveries {
            let (status, result) = delivery.finish(Duration::from_secs(30)).await;
            result.unwrap();
            statuses.push(status);
        }
        statuses
    }
}

fn weather(dice: &mut Dice) -> (Weather, u64) {
    let weather = match dice.below(8) {
        0 | 1 => Weather::Fair,
        2 => Weather::Slow(Duration::from_millis(500 + dice.below(9000))),
        3 => Weather::Shaky(5 + dice.below(90)),
        4 => Weather::Deaf(5 + dice.below(90)),
        5 => Weather::BlackHole,
        6 => Weather::Down(Kind::Transient),
        _ => Weather::Down(Kind::Refused),
    };
    (weather, 1 + dice.below(25))
}

/// Many lives of a channel in changing weather.
async fn live_through(
    seed: u64,
    rounds: u64,
    options: &live::Options,
    memory_bytes: u64,
) -> (Vec<Memory>, u64, usize) {
    let mut dice = Dice(seed);
    let places: Vec<_> = (0..3).map(|n| Memory::new(seed ^ n)).collect();
    let mut left = rounds;
    let mut lost = 0;
    let mut life = 0;
    loop {
        life += 1;
        // Whoever looks at destinations that do not answer is tested elsewhere.
        places.iter().for_each(|place| place.lock().weather = Weather::Fair);
        let spool = Spool { memory_bytes, directory: None, disk_bytes: 0 };
        let mut channel = Channel::start(options.clone(), &places, spool, life).await;
        let mut until = vec![0; places.len()];
        for round in 0..left.min(50 + dice.below(300)) {
            // One place always has fair weather: nothing may be lost there.
            for (place, until) in places.iter().zip(&mut until).skip(1) {
                if *until == round {
                    let (weather, lasts) = weather(&mut dice);
                    place.lock().weather = weather;
                    *until = round + lasts;
                }
            }
            channel.round().await;
            left -= 1;
        }
        assert_eq!(channel.deliveries[0].status().lost, 0);
        let statuses = channel.deliveries.iter().map(Delivery::status);
        lost += statuses.map(|status| status.lost + status.passed_over).sum::<u64>();
        if left == 0 {
            places.iter().for_each(|place| place.lock().weather = Weather::Fair);
            for _ in 0..30 {
                channel.round().await;
            }
            channel.end().await;
            break;
        }
        if dice.has_luck(50) {
            places.iter().for_each(|place| place.lock().weather = Weather::Fair);
            channel.end().await;
        }
    }
    (places, lost, life as usize)
}

#[tokio::test(start_paused = true)]
async fn thousands_of_segments_in_any_weather_leave_nothing_dangling() {
    for seed in 0..5 {
        let kind = live::Kind::Live { window: WINDOW };
        let options = if seed % 2 == 0 { mixed(kind) } else { presentation(kind) };
        let (places, lost, lives) = live_through(seed, 700, &options, 256 << 20).await;
        assert!(lost > 0, "seed {seed}: weather too fair to be worth it");
        for place in &places {
            let place = place.lock();
            assert!(place.media.values().all(|media| media.is_ended && media.segments.len() >= WINDOW));
            let gaps = place.media.values().flat_map(|media| &media.segments).filter(|one| one.is_gap);
            assert_eq!(gaps.count(), 0, "seed {seed}: all has recovered");
            assert_eq!(place.deleted_maps > 0, options.has_parts, "seed {seed}");
            assert!(place.objects.keys().filter(|key| key.contains("init-")).count() <= 2 * 3);
            let left = place.unnamed();
            // A life that ends soon after an outage may leave what was not shown for long.
            assert!(
                left.len() <= NAMES.len() * (20 + lives * 2 * WINDOW),
                "seed {seed}: {} are left, {left:?}",
                left.len()
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_spool_that_is_too_small_makes_gaps_where_it_must_and_nowhere_else() {
    let kind = live::Kind::Event;
    let (places, lost, _) = live_through(99, 300, &mixed(kind), 30 * SEGMENT_BYTES as u64).await;
    assert!(lost > 0);
    assert!(places[0].lock().gaps.is_empty());
    assert!(places[1..].iter().any(|place| !place.lock().gaps.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_only_what_is_still_in_the_window_is_sent() {
    let place = Memory::new(1);
    let kind = live::Kind::Live { window: WINDOW };
    let mut channel =
        Channel::start(presentation(kind), std::slice::from_ref(&place), Spool::default(), 0).await;
    for _ in 0..10 {
        channel.round().await;
    }
    place.lock().weather = Weather::BlackHole;
    for _ in 0..100 {
        channel.round().await;
    }
    let status = channel.deliveries[0].status();
    assert!(status.queued_segments <= 3 * (WINDOW + 1), "{status}");
    assert!(status.in_trouble_since.is_some());
    place.lock().weather = Weather::Fair;
    for _ in 0..12 {
        channel.round().await;
    }
    let status = channel.deliveries[0].status();
    assert!(status.in_trouble_since.is_none() && status.queued_segments <= 3, "{status}");
    assert!(status.segments >= 3 * 20 && status.segments <= 3 * 30, "{status}");
    let media = place.lock().media.values().next().unwrap().clone();
    assert!(media.media_sequence > 100 && media.segments.iter().all(|segment| !segment.is_gap));
    channel.end().await;
}

#[tokio::test(start_paused = true)]
async fn where_uploads_are_too_slow_the_playlist_goes_on_with_gaps() {
    let place = Memory::new(1);
    let kind = live::Kind::Live { window: WINDOW };
    let mut channel =
        Channel::start(presentation(kind), std::slice::from_ref(&place), Spool::default(), 0).await;
    // Two uploads of a rendition at once, each as long as ten seconds of stream.
    place.lock().weather = Weather::Slow(Duration::from_millis(9500));
    for _ in 0..100 {
        channel.round().await;
    }
    let media = place.lock().media.values().next().unwrap().clone();
    let end = media.media_sequence + media.segments.len() as u64;
    assert!(end > 100 - 2 * WINDOW as u64, "it ends at {end}");
    assert!(media.segments.iter().any(|segment| !segment.is_gap));
    assert!(!place.lock().gaps.is_empty());
    assert!(channel.deliveries[0].status().load.worst_permille > 1000);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_bounds_how_long_an_outage_is_made_up_for() {
    let place = Memory::new(1);
    let options = |target| Options {
        timeout: Duration::from_secs(10),
        deadline: Some(Duration::from_secs(30)),
        ..Options::new(target)
    };
    // Nothing leaves this playlist: without a deadline all of the outage would be sent.
    let places = std::slice::from_ref(&place);
    let mut channel =
        Channel::serve(presentation(live::Kind::Event), places, Spool::default(), 0, options).await;
    for _ in 0..10 {
        channel.round().await;
    }
    place.lock().weather = Weather::BlackHole;
    for _ in 0..20 {
        channel.round().await;
    }
    let status = channel.deliveries[0].status();
    assert!(status.queued_segments <= 3 * 9, "{status}");
    place.lock().weather = Weather::Fair;
    for _ in 0..10 {
        channel.round().await;
    }
    assert_eq!(place.lock().unnamed().len(), 0, "what was given up is not left there");
    channel.end().await;
    let place = place.lock();
    for media in place.media.values() {
        assert!(media.is_ended && media.segments.len() == 40);
        let gaps: Vec<usize> = (0..40).filter(|at| media.segments[*at].is_gap).collect();
        assert!(gaps.iter().all(|at| (9..30).contains(at)) && (10..=21).contains(&gaps.len()), "{gaps:?}");
        assert_eq!(gaps.last().unwrap() - gaps[0] + 1, gaps.len(), "in one piece: {gaps:?}");
    }
}
