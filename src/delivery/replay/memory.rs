//! A destination in memory that fails as told by a seed, and checks what is done there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use crate::chunks::Chunks;
use crate::destination::{Destination, Error, Kind, Pending};
use crate::playlist::{LowLatency, Media, Multivariant};

/// Numbers from a seed: splitmix64.
#[derive(Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn has_luck(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// How a destination behaves for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weather {
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
pub(super) struct Place {
    pub(super) objects: BTreeMap<String, Bytes>,
    pub(super) media: BTreeMap<String, Media>,
    /// Segments that viewers have been told of, and until when they must stay.
    told: BTreeMap<String, Told>,
    pub(super) weather: Weather,
    dice: Dice,
    began: Instant,
    pub(super) most_objects: usize,
    pub(super) gaps: BTreeSet<String>,
    /// Maps that viewers have been told of, and how many have gone again.
    told_maps: BTreeSet<String>,
    pub(super) deleted_maps: u64,
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
pub(super) struct Memory(Arc<Mutex<Place>>);

impl Memory {
    pub(super) fn new(seed: u64) -> Self {
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

    pub(super) fn lock(&self) -> MutexGuard<'_, Place> {
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
    pub(super) fn unnamed(&self) -> Vec<&String> {
        let segments = self.objects.keys().filter(|key| key.ends_with(".ts") || key.ends_with(".m4s"));
        segments.filter(|key| self.told.get(*key).is_none_or(|told| told.removed.is_some())).collect()
    }
}
