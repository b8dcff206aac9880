//! When what a place no longer shows may be deleted there (RFC 8216 §6.2.2).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::resume::{self, Earlier};
use super::view::View;
use super::{Options, naming};
use crate::playlist;

/// What one place shows, and what of it may be deleted when.
///
/// A segment stays for its own duration and that of the longest playlist that named it, counted from the moment at
/// which that place shows a playlist without it. Places differ in that moment: each has a retention of its own.
#[derive(Debug, Default)]
pub struct Retention {
    /// By rendition, and by key.
    named: Vec<BTreeMap<String, Named>>,
    // The count keeps keys with the same time apart, and in order.
    due: BTreeMap<(Duration, u64), String>,
    count: u64,
}

/// A segment that a playlist names, or may name.
#[derive(Debug)]
struct Named {
    duration: Duration,
    /// The duration of the longest playlist that it was in.
    longest: Duration,
}

impl Retention {
    /// Takes up what an earlier run has left here: `media` was found as the playlist of `rendition`.
    ///
    /// What it names stays until another playlist is shown. What that run took out of its playlist and had no time
    /// to delete goes from `now` on, as late as any of it may be needed.
    pub fn take_up(&mut self, options: &Options, rendition: usize, media: &playlist::Media, now: Duration) {
        let Some(names) = options.renditions.get(rendition) else { return };
        let total = media.duration();
        for segment in &media.segments {
            if let Some(key) = naming::own_key(options, names, &segment.uri) {
                self.name(rendition, key, segment.duration, total);
            }
        }
        for key in resume::maps(options, rendition, media) {
            self.name_map(rendition, key, media.target_duration, total);
        }
        let leftover = Earlier::new(names, Some(media)).leftover(options.kind);
        for (key, keep) in leftover {
            self.expire(key, now.saturating_add(keep));
        }
    }

    /// `view` may be seen as the playlist of `rendition` from now on: it is on its way.
    pub fn offer(&mut self, rendition: usize, view: &View) {
        let total = view.media().duration();
        for (key, duration) in view.named() {
            self.name(rendition, key.to_owned(), duration, total);
        }
        for key in view.maps() {
            self.name_map(rendition, key.to_owned(), view.media().target_duration, total);
        }
    }

    /// `view` is seen as the playlist of `rendition`, and nothing before it any more: what it does not name may be
    /// deleted in time.
    pub fn show(&mut self, rendition: usize, view: &View, now: Duration) {
        self.offer(rendition, view);
        if self.named.len() <= rendition {
            return;
        }
        let mut shown: BTreeSet<&str> = view.named().map(|(key, _)| key).collect();
        shown.extend(view.maps());
        let named = std::mem::take(&mut self.named[rendition]);
        for (key, one) in named {
            if shown.contains(key.as_str()) {
                self.named[rendition].insert(key, one);
            } else if !self.is_named(&key) {
                self.expire(key, now.saturating_add(one.duration).saturating_add(one.longest));
            }
        }
    }

    /// What is at `key` may be deleted at `at`.
    pub fn expire(&mut self, key: String, at: Duration) {
        self.due.insert((at, self.count), key);
        self.count += 1;
    }

    /// The time at which the next key may go.
    pub fn next(&self) -> Option<Duration> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes one key whose time has come.
    pub fn take(&mut self, now: Duration) -> Option<String> {
        let first = self.due.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }

    /// Whether a playlist that is shown, or on its way, names what is at `key`.
    pub fn is_named(&self, key: &str) -> bool {
        self.named.iter().any(|named| named.contains_key(key))
    }

    /// A map may be named again when it was not for a while, and by several renditions: it goes with the last.
    fn name_map(&mut self, rendition: usize, key: String, duration: Duration, total: Duration) {
        if !self.is_named(&key) {
            self.due.retain(|_, due| *due != key);
        }
        self.name(rendition, key, duration, total);
    }

    fn name(&mut self, rendition: usize, key: String, duration: Duration, total: Duration) {
        if self.named.len() <= rendition {
            self.named.resize_with(rendition + 1, BTreeMap::new);
        }
        let named = self.named[rendition].entry(key).or_insert(Named { duration, longest: Duration::ZERO });
        named.longest = named.longest.max(total);
    }
}

#[cfg(test)]
mod tests {
    use super::super::replay;
    use super::super::{Kind, Presentation};
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_removed_segment_goes_after_its_own_and_its_longest_playlists_duration() {
        let mut presentation = Presentation::new(replay::options(Kind::Live { window: 3 }, &["high"]));
        let mut retention = Retention::default();
        for now in [4, 8, 12, 16] {
            replay::segment(&mut presentation, 0);
            retention.show(0, presentation.snapshot().view(0).unwrap(), seconds(now));
        }
        // 00001.ts leaves at 16 s, after playlists of 12 s: it stays until 32 s.
        assert_eq!(retention.next(), Some(seconds(32)));
        assert_eq!(retention.take(seconds(31)), None);
        assert_eq!(retention.take(seconds(32)).as_deref(), Some("high/00001.ts"));
    }

    #[test]
    fn a_map_goes_with_the_last_that_names_it_and_stays_when_it_is_named_again() {
        let text = |uris: &[(&str, &str)]| {
            let lines =
                uris.iter().map(|(map, uri)| format!("#EXT-X-MAP:URI=\"{map}\"\n#EXTINF:4,\n{uri}\n"));
            format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n{}", lines.collect::<String>())
        };
        let (one, two) = ("init-0000000000000001.mp4", "init-0000000000000002.mp4");
        // Two renditions that share a folder, and so a map.
        let mut options = replay::options(Kind::Live { window: 3 }, &["a", "a"]);
        options
            .renditions
            .iter_mut()
            .for_each(|rendition| rendition.container = super::super::Container::Cmaf);
        let view = |uris: &[(&str, &str)]| {
            let media = playlist::Media::parse(&text(uris)).unwrap();
            let mut presentation = Presentation::resume(options.clone(), &[Some(media)]);
            presentation.end(1);
            presentation.end(0);
            presentation.snapshot().view(0).cloned()
        };
        let mut retention = Retention::default();
        for rendition in [0, 1] {
            let media = playlist::Media::parse(&text(&[(one, "00001.m4s")])).unwrap();
            retention.take_up(&options, rendition, &media, Duration::ZERO);
        }
        assert!(retention.is_named(&format!("a/{one}")));
        let other = view(&[(two, "00002.m4s")]).unwrap();
        retention.show(0, &other, seconds(4));
        assert!(retention.is_named(&format!("a/{one}")), "the other one names it");
        retention.show(1, &other, seconds(8));
        assert!(!retention.is_named(&format!("a/{one}")));
        let again = view(&[(one, "00003.m4s")]).unwrap();
        retention.show(0, &again, seconds(9));
        let gone: Vec<_> = std::iter::from_fn(|| retention.take(seconds(1000))).collect();
        assert!(!gone.contains(&format!("a/{one}")), "{gone:?}");
        assert!(!gone.contains(&format!("a/{two}")), "{gone:?}");
    }

    #[test]
    fn keys_go_when_their_time_has_come_and_not_before() {
        let mut retention = Retention::default();
        for (at, key) in [(9, "b"), (5, "a"), (9, "c")] {
            retention.expire(key.to_owned(), seconds(at));
        }
        assert_eq!(retention.take(Duration::from_millis(4999)), None);
        assert_eq!(retention.next(), Some(seconds(5)));
        let gone: Vec<_> = std::iter::from_fn(|| retention.take(seconds(9))).collect();
        assert_eq!(gone, ["a", "b", "c"]);
        assert_eq!(retention.next(), None);
    }
}
