//! The channel's side.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;
use tokio::sync::watch;

use super::media_type::{self, AUDIO_MP4};
use super::metric::Durations;
use super::playlist::Playlist;
use super::scene::{Promise, Scene};
use super::status::Status;
use super::tally::Class;
use crate::chunks::Chunks;
use crate::live::{self, Container, Retention, Snapshot, View};

/// Target durations after which an object goes that no playlist has ever named.
const UNNAMED_TARGETS: u32 = 10;
/// Target durations behind the end of a playlist after which it names no parts (rfc8216bis §6.2.2), and as many for
/// which they stay from then on.
const PART_TARGETS: u32 = 3;

/// One channel's content, the writer's side. What readers do is nothing to it.
#[derive(Debug)]
pub struct Stage {
    options: live::Options,
    scene: Scene,
    scenes: watch::Sender<Arc<Scene>>,
    status: watch::Sender<Arc<Status>>,
    retention: Retention,
    /// Keys that were put since something was shown.
    fresh: Vec<String>,
    /// Keys that no playlist has named yet, and when they go if none ever does. From the first playlist that names one on,
    /// [`Retention`] alone says when it goes.
    unnamed: BTreeMap<String, Duration>,
    fresh_parts: Vec<String>,
    /// Keys of parts by rendition and by the number of their segment.
    parts: BTreeMap<(usize, u64), Vec<String>>,
    /// Of each rendition.
    meters: Vec<Meter>,
    /// What keys of sound alone begin with.
    audio_prefixes: Vec<String>,
}

/// Durations of what one rendition has shown.
#[derive(Debug)]
struct Meter {
    segments: Histogram,
    parts: Histogram,
}

impl Stage {
    pub(super) fn new(
        name: &str,
        options: &live::Options,
        scenes: watch::Sender<Arc<Scene>>,
        status: watch::Sender<Arc<Status>>,
        durations: &Durations,
    ) -> Self {
        let scene = Scene {
            name: name.into(),
            entry: options.entry().into(),
            promises: promises(options),
            patience: 3 * options.target,
            ..Scene::default()
        };
        let meter = |one: &live::Rendition| Meter {
            segments: durations.of_segments(&one.name),
            parts: durations.of_parts(&one.name),
        };
        scenes.send_replace(Arc::new(scene.clone()));
        Self {
            meters: options.renditions.iter().map(meter).collect(),
            audio_prefixes: audio_prefixes(options),
            options: options.clone(),
            scene,
            scenes,
            status,
            retention: Retention::default(),
            fresh: Vec::new(),
            unnamed: BTreeMap::new(),
            fresh_parts: Vec::new(),
            parts: BTreeMap::new(),
        }
    }

    /// Puts a whole segment, or what initialises segments, ahead of the snapshot that names it.
    pub fn put(&mut self, key: &str, body: Chunks) {
        let class = if key.ends_with(".mp4") { Class::Init } else { Class::Segment };
        self.scene.shelf.put(key, body, self.media_type(key), class);
        self.fresh.push(key.to_owned());
    }

    /// Puts a part, ahead of the snapshot that names it.
    pub fn put_part(&mut self, key: &str, body: Chunks) {
        self.scene.shelf.put(key, body, self.media_type(key), Class::Part);
        self.fresh_parts.push(key.to_owned());
    }

    fn media_type(&self, key: &str) -> &'static str {
        let is_audio = self.audio_prefixes.iter().any(|prefix| key.starts_with(prefix));
        if is_audio { AUDIO_MP4 } else { media_type::of(key) }
    }

    /// Shows `snapshot` to readers from `now` on, which is time since the channel's start. What no playlist names any
    /// more goes when its time has come (RFC 8216 §6.2.2).
    pub fn show(&mut self, snapshot: &Arc<Snapshot>, now: Duration) {
        self.sort_parts(snapshot);
        let before = self.scene.snapshot.replace(Arc::clone(snapshot));
        for rendition in 0..self.options.renditions.len() {
            self.show_rendition(before.as_deref(), snapshot, rendition, now);
        }
        for listing in &self.options.multivariants {
            let text = snapshot.multivariant(&listing.key);
            if let Some(text) =
                text.filter(|_| before.as_ref().and_then(|one| one.multivariant(&listing.key)) != text)
            {
                let playlist = Playlist::of_text(text);
                self.scene.playlists.insert(listing.key.as_str().into(), Arc::new(playlist));
            }
        }
        self.let_go(now);
        self.scenes.send_replace(Arc::new(self.scene.clone()));
    }

    fn show_rendition(
        &mut self,
        before: Option<&Snapshot>,
        snapshot: &Arc<Snapshot>,
        rendition: usize,
        now: Duration,
    ) {
        let Some(view) = snapshot.view(rendition) else { return };
        let old = before.and_then(|before| before.view(rendition));
        let is_same_view = old.is_some_and(|old| Arc::ptr_eq(old, view));
        // What a snapshot shares with the one before it is the same, at the same place.
        let edge = |snapshot: &Snapshot| snapshot.edge(rendition).map(std::ptr::from_ref);
        // Of the others' progress it tells as of its own: that is as new as it has to be.
        let has_same_end =
            |before: &Snapshot| edge(before) == edge(snapshot) && snapshot.has_same_date_ranges(before);
        if is_same_view && before.is_some_and(has_same_end) {
            return;
        }
        if !is_same_view {
            self.meters[rendition].note(old.map(|old| old.end()), view);
            self.retention.show(rendition, view, now);
            self.let_parts_go(rendition, view, now);
            self.scene.patience = PART_TARGETS * view.media().target_duration;
        }
        let key = self.options.renditions[rendition].playlist.as_str().into();
        self.scene.playlists.insert(key, Arc::new(Playlist::of_rendition(snapshot, rendition)));
    }

    /// Finds out which segments the parts belong to that were put.
    fn sort_parts(&mut self, snapshot: &Snapshot) {
        for key in std::mem::take(&mut self.fresh_parts) {
            let owner = (0..self.options.renditions.len()).find_map(|rendition| {
                let rest = key.strip_prefix(&self.options.renditions[rendition].segment_prefix)?;
                let (number, rest) = rest.split_once('.')?;
                Some((rendition, number.parse::<u64>().ok()?, rest.split_once('.')?.0.parse::<usize>().ok()?))
            });
            let Some((rendition, number, index)) = owner else {
                self.fresh.push(key);
                continue;
            };
            if let Some(part) = snapshot.parts(rendition, number).get(index) {
                self.meters[rendition].parts.observe(part.duration.as_secs_f64());
            }
            self.parts.entry((rendition, number)).or_default().push(key);
        }
    }

    /// Parts of segments that lie so far behind are named no more.
    fn let_parts_go(&mut self, rendition: usize, view: &View, now: Duration) {
        let span = PART_TARGETS * view.media().target_duration;
        let mut behind = Duration::ZERO;
        let far = view.media().segments.iter().rev().zip(view.numbers().rev()).find(|(segment, _)| {
            let is_far = behind >= span;
            behind += segment.duration;
            is_far
        });
        let Some((_, last)) = far else { return };
        let gone: Vec<_> =
            self.parts.range((rendition, 0)..=(rendition, last)).map(|(owner, _)| *owner).collect();
        for key in gone.into_iter().filter_map(|owner| self.parts.remove(&owner)).flatten() {
            self.retention.expire(key, now.saturating_add(span));
        }
    }

    /// Lets go what no playlist has named for long enough.
    fn let_go(&mut self, now: Duration) {
        let late = now.saturating_add(UNNAMED_TARGETS * self.options.target);
        self.unnamed.extend(std::mem::take(&mut self.fresh).into_iter().map(|key| (key, late)));
        let mut unnamed = std::mem::take(&mut self.unnamed);
        unnamed.retain(|key, late| {
            let is_waiting = !self.is_named(key);
            if is_waiting && *late <= now {
                self.scene.shelf.remove(key);
            }
            is_waiting && *late > now
        });
        self.unnamed = unnamed;
        while let Some(key) = self.retention.take(now) {
            if !self.is_named(&key) {
                self.scene.shelf.remove(&key);
            }
        }
    }

    fn is_named(&self, key: &str) -> bool {
        let Some(snapshot) = &self.scene.snapshot else { return false };
        let mut views = (0..snapshot.renditions()).filter_map(|rendition| snapshot.view(rendition));
        views.any(|view| view.named().any(|(named, _)| named == key) || view.maps().contains(key))
    }

    /// Whether viewers can open it: the playlist that they begin with is out.
    pub fn is_ready(&self) -> bool {
        self.scene.is_ready()
    }

    /// Tells how the channel is doing.
    pub fn status(&self, status: Status) {
        self.status.send_replace(Arc::new(status));
    }

    /// Objects that are held, and their bytes.
    pub const fn held(&self) -> (usize, u64) {
        self.scene.held()
    }
}

impl Drop for Stage {
    /// Nothing more will come: nobody waits for it.
    fn drop(&mut self) {
        self.scene.is_over = true;
        self.scenes.send_replace(Arc::new(std::mem::take(&mut self.scene)));
    }
}

impl Meter {
    /// Takes the segments of `view` from media sequence number `known` on.
    fn note(&self, known: Option<u64>, view: &View) {
        let media = view.media();
        let new = view.end().saturating_sub(known.unwrap_or(media.media_sequence)) as usize;
        let new = media.segments.iter().rev().take(new);
        new.for_each(|segment| self.segments.observe(segment.duration.as_secs_f64()));
    }
}

fn promises(options: &live::Options) -> Arc<[Promise]> {
    let multivariants =
        options.multivariants.iter().map(|one| Promise { key: one.key.clone(), rendition: None });
    let of_each = options.renditions.iter().enumerate();
    let of_each = of_each.map(|(at, one)| Promise { key: one.playlist.clone(), rendition: Some(at) });
    multivariants.chain(of_each).collect()
}

/// What keys begin with that hold sound alone, in MP4.
fn audio_prefixes(options: &live::Options) -> Vec<String> {
    let is_sound = |one: &&live::Rendition| one.role.is_audio() && one.container == Container::Cmaf;
    options.renditions.iter().filter(is_sound).map(|one| one.segment_prefix.clone()).collect()
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::live::{Kind, Listing, Presentation, Rendition, Step};
    use crate::segment::{Extent, Head};
    use crate::time::Ticks;

    const TARGET: Duration = Duration::from_secs(4);

    fn options() -> live::Options {
        let rendition = |name: &str| Rendition {
            name: name.to_owned(),
            playlist: format!("{name}/index.m3u8"),
            segment_prefix: format!("{name}/{name}-"),
            ..Rendition::default()
        };
        live::Options {
            kind: Kind::Live { window: 6 },
            target: TARGET,
            multivariants: vec![Listing { key: "index.m3u8".to_owned(), ..Listing::default() }],
            url_prefix: String::new(),
            has_date_time: false,
            has_parts: false,
            renditions: vec![rendition("hi"), rendition("lo")],
        }
    }

    /// What a viewer knows of a segment.
    #[derive(Default)]
    struct Seen {
        duration: Duration,
        /// The duration of the longest playlist that named it.
        longest: Duration,
        left: Option<Duration>,
    }

    /// An origin in virtual time, and when each of its segments may go by RFC 8216 §6.2.2.
    struct Run {
        presentation: Presentation,
        stage: Stage,
        now: Duration,
        seen: BTreeMap<String, Seen>,
    }

    impl Run {
        fn new() -> Self {
            let (scenes, _) = watch::channel(Arc::default());
            let (status, _) = watch::channel(Arc::default());
            let stage = Stage::new("test", &options(), scenes, status, &Durations::default());
            let presentation = Presentation::new(options());
            Self { presentation, stage, now: Duration::ZERO, seen: BTreeMap::new() }
        }

        /// Closes a segment of each rendition. What is shown before the second one is closed may name neither.
        fn segment(&mut self, duration: Duration) {
            self.now += duration;
            let start = Ticks::from(self.now);
            let head = Head { start, decode_start: start, is_discontinuity: false, is_independent: true };
            let decode_end = start + Ticks::from(duration);
            let extent = Extent { head, duration, size_bytes: 1, longest: TARGET, decode_end };
            (0..2).for_each(|rendition| self.presentation.open(rendition, &head, UNIX_EPOCH));
            for rendition in 0..2 {
                let before = self.presentation.snapshot();
                let plan = self.presentation.close(rendition, &extent);
                let put = plan.steps().iter().find_map(|step| match step {
                    Step::PutSegment { key, .. } => Some(key.clone()),
                    Step::PutPlaylist { .. } => None,
                });
                self.stage.put(&put.unwrap(), Chunks::from("x".to_owned()));
                self.stage.show(&before, self.now);
                let after = self.presentation.snapshot();
                self.stage.show(&after, self.now);
                self.see(&after);
            }
        }

        fn see(&mut self, snapshot: &Snapshot) {
            for rendition in 0..2 {
                let Some(view) = snapshot.view(rendition) else { continue };
                let named: BTreeMap<_, _> = view.named().collect();
                for (key, duration) in &named {
                    let seen = self.seen.entry((*key).to_owned()).or_default();
                    (seen.duration, seen.longest) = (*duration, seen.longest.max(view.media().duration()));
                }
                let prefix = &options().renditions[rendition].segment_prefix;
                let own = self.seen.iter_mut().filter(|(key, _)| key.starts_with(prefix));
                for (_, seen) in own.filter(|(key, _)| !named.contains_key(key.as_str())) {
                    seen.left.get_or_insert(self.now);
                }
            }
            for (key, Seen { duration, longest, left }) in &self.seen {
                let is_due = left.is_some_and(|left| left + *duration + *longest <= self.now);
                let is_held = self.stage.scene.shelf.object(key).is_some();
                assert_eq!(is_held, !is_due, "{key} at {:?}: left at {left:?}, {longest:?}", self.now);
            }
        }
    }

    #[test]
    fn every_segment_stays_as_long_as_a_viewer_may_need_it_from_the_first_one_on() {
        let mut run = Run::new();
        // The playlist grows in segments first, then in seconds, then shrinks.
        for duration in [2, 2, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4, 4, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2] {
            run.segment(Duration::from_secs(duration));
        }
        (0..20).for_each(|_| run.segment(TARGET));
        let gone = |name: &str| run.seen[&format!("{name}/{name}-00001.ts")].left;
        assert_eq!(gone("hi"), gone("lo"));
        assert!(gone("hi").is_some());
    }

    #[test]
    fn what_no_playlist_ever_names_goes_in_time() {
        let mut run = Run::new();
        run.stage.put("hi/stray.ts", Chunks::from("x".to_owned()));
        (0..10).for_each(|_| run.segment(TARGET));
        assert!(run.stage.scene.shelf.object("hi/stray.ts").is_some());
        run.segment(TARGET);
        assert!(run.stage.scene.shelf.object("hi/stray.ts").is_none());
    }
}
