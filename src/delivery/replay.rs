//! Whole channels replayed in virtual time, over destinations in memory that fail as told by a seed. Each destination
//! checks, operation by operation, what a viewer relies on.

mod memory;

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use self::memory::{Dice, Memory, Weather};
use super::{Delivery, Entrance, Look, Options, Segment, Spool, Store, farthest};
use crate::chunks::Chunks;
use crate::destination::{Kind, Target, copy};
use crate::live::viewer::Viewer;
use crate::live::{self, Presentation, Step};
use crate::segment::{Extent, Head, Part};
use crate::time::Ticks;

const FOUR: Duration = Duration::from_secs(4);
const WINDOW: usize = 6;
const NAMES: [&str; 3] = ["high", "mid", "low"];
const SEGMENT_BYTES: usize = 1000;

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
        let mut looked = Vec::new();
        for place in places {
            looked.push(Look::default().run(place, &options, false).await.unwrap());
        }
        let shown = Arc::new(farthest(&looked.iter().map(|looked| &looked.found).collect::<Vec<_>>()));
        let presentation = Presentation::resume(options.clone(), &shown);
        let began = Instant::now();
        let deliveries = places.iter().zip(looked).map(|(place, looked)| {
            let target = Target::Copy(copy::Options::new("memory"));
            let served = served(target);
            let entrance = Entrance::Open(Arc::new(place.clone()), looked);
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
