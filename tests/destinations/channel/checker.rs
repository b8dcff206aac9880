//! What a viewer's log must hold to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use segcast::playlist::{Media, Multivariant};

use super::viewer::{Log, Operation, PLAYLISTS, Seen};

/// A segment that is asked for so shortly before it may be deleted tells that it was not deleted early.
const SHORTLY: Duration = Duration::from_secs(1);

/// What was seen at a destination in all, where nothing was wrong.
#[derive(Debug, Default)]
pub struct Seeing {
    /// What the media playlists said last, `hi` first.
    pub last: Vec<Media>,
    /// Size and hash of every segment that was named.
    pub bodies: BTreeMap<String, (usize, u64)>,
    /// Gaps that were named.
    pub gaps: BTreeSet<String>,
    /// Segments that were still there shortly before they could be deleted.
    pub stayed: usize,
    /// Playlists that were seen.
    pub playlists: usize,
}

impl Seeing {
    /// The media sequence numbers behind the last segments.
    pub fn ends(&self) -> Vec<u64> {
        self.last.iter().map(|media| media.media_sequence + media.segments.len() as u64).collect()
    }

    /// Gaps in what is shown last.
    pub fn last_gaps(&self) -> usize {
        self.last.iter().flat_map(|media| &media.segments).filter(|segment| segment.is_gap).count()
    }
}

/// Replays a log.
///
/// At no moment may a playlist that is seen name what is absent; gaps are no names. Numbers and ends must not go back.
/// A playlist that was seen must not be gone. A segment must stay for its duration and that of the longest playlist
/// that named it. One name must stand for one content.
pub fn check(log: &Log) -> Seeing {
    replay(log).unwrap_or_else(|wrong| panic!("{}: {wrong}\n{:#?}", log.name, log.failures))
}

/// What was seen, or what is wrong with it.
fn replay(log: &Log) -> Result<Seeing, String> {
    let mut checker =
        Checker { log, media: BTreeMap::new(), told: BTreeMap::new(), seeing: Seeing::default() };
    for operation in &log.operations {
        match &operation.seen {
            Seen::Playlist(text) if operation.key == PLAYLISTS[0] => checker.list(operation, text)?,
            Seen::Playlist(text) => checker.show(operation, text)?,
            Seen::Segment { size_bytes, hash } => checker.meet(operation, (*size_bytes, *hash))?,
            Seen::Nothing => checker.miss(operation)?,
        }
    }
    checker.end()
}

/// The same names must stand for the same bytes everywhere.
pub fn check_alike(all: &[Seeing]) {
    let mut bodies = BTreeMap::new();
    for (key, body) in all.iter().flat_map(|seeing| &seeing.bodies) {
        let first = *bodies.entry(key).or_insert(body);
        assert_eq!(first, body, "{key} is not the same everywhere");
    }
}

struct Checker<'a> {
    log: &'a Log,
    media: BTreeMap<&'a str, Media>,
    told: BTreeMap<String, Told>,
    seeing: Seeing,
}

/// A segment that a playlist has named.
#[derive(Debug)]
struct Told {
    duration: Duration,
    longest: Duration,
    /// When a playlist that names it was asked for last, once there is one without it.
    removed: Option<Duration>,
}

impl Told {
    /// Until when it must stay; none if it is named.
    fn stays(&self) -> Option<Duration> {
        Some(self.removed? + self.duration + self.longest)
    }
}

impl<'a> Checker<'a> {
    fn wrong(&self, operation: &Operation, what: &str) -> String {
        let Operation { key, answered, .. } = operation;
        format!("at {answered:?}: {key}: {what}\n{:#?}", self.media)
    }

    fn list(&mut self, operation: &Operation, text: &str) -> Result<(), String> {
        self.seeing.playlists += 1;
        for variant in Multivariant::parse(text).unwrap().variants {
            let is_variant = PLAYLISTS[1..].contains(&variant.uri.as_str());
            let is_absent = self.log.operations.iter().any(|other| {
                let is_later = other.asked >= operation.answered;
                other.key == variant.uri && other.seen == Seen::Nothing && is_later
            });
            if !is_variant || is_absent {
                return Err(self.wrong(operation, &format!("names {}, which is absent", variant.uri)));
            }
        }
        Ok(())
    }

    fn show(&mut self, operation: &'a Operation, text: &str) -> Result<(), String> {
        let media = Media::parse(text).unwrap();
        let key = operation.key.as_str();
        let end = |media: &Media| media.media_sequence + media.segments.len() as u64;
        let before = self.media.remove(key);
        if let Some(before) = &before {
            let is_back = media.media_sequence < before.media_sequence
                || media.discontinuity_sequence < before.discontinuity_sequence
                || end(&media) < end(before)
                || before.is_ended && !media.is_ended && end(&media) == end(before);
            if is_back {
                return Err(self.wrong(operation, &format!("goes back: {before:#?}\n{media:#?}")));
            }
        }
        let folder = key.split_once('/').unwrap().0;
        let (mut named, total) = (BTreeSet::new(), media.duration());
        for segment in &media.segments {
            let name = format!("{folder}/{}", segment.uri);
            if segment.is_gap {
                self.seeing.gaps.insert(name);
                continue;
            }
            let new = Told { duration: segment.duration, longest: total, removed: None };
            let told = self.told.entry(name.clone()).or_insert(new);
            told.longest = told.longest.max(total);
            if told.removed.is_some() {
                return Err(self.wrong(operation, &format!("{name} is named again")));
            }
            named.insert(name);
        }
        let of_this = |name: &str| name.split_once('/').is_some_and(|(own, _)| own == folder);
        let last_named = self.last_asked(operation);
        for (name, told) in self.told.iter_mut().filter(|(name, _)| of_this(name)) {
            if !named.contains(name) {
                told.removed = told.removed.or(last_named);
            }
        }
        self.seeing.playlists += 1;
        self.media.insert(key, media);
        Ok(())
    }

    /// When the playlist before this one was asked for last.
    fn last_asked(&self, operation: &Operation) -> Option<Duration> {
        let earlier = self.log.operations.iter().take_while(|other| !std::ptr::eq(*other, operation));
        earlier.filter(|other| other.key == operation.key).last().map(|other| other.asked)
    }

    fn meet(&mut self, operation: &Operation, body: (usize, u64)) -> Result<(), String> {
        if body.0 == 0 || !body.0.is_multiple_of(188) {
            return Err(self.wrong(operation, &format!("{} bytes are no transport packets", body.0)));
        }
        if *self.seeing.bodies.entry(operation.key.clone()).or_insert(body) != body {
            return Err(self.wrong(operation, "is another segment than before"));
        }
        let ends = self.told.get(&operation.key).and_then(Told::stays);
        if ends.is_some_and(|ends| operation.asked < ends && ends < operation.asked + SHORTLY) {
            self.seeing.stayed += 1;
        }
        Ok(())
    }

    fn miss(&mut self, operation: &Operation) -> Result<(), String> {
        if self.media.contains_key(operation.key.as_str()) {
            return Err(self.wrong(operation, "is gone"));
        }
        let Some(told) = self.told.get(&operation.key) else { return Ok(()) };
        match told.stays() {
            None => Err(self.wrong(operation, "is named, and absent")),
            Some(ends) if operation.answered < ends => {
                Err(self.wrong(operation, &format!("is deleted early, it must stay until {ends:?}")))
            }
            // It was asked for too late.
            Some(_) => Ok(()),
        }
    }

    fn end(mut self) -> Result<Seeing, String> {
        for key in &PLAYLISTS[1..] {
            let Some(media) = self.media.remove(key) else {
                return Err(format!("{key} was never seen"));
            };
            self.seeing.last.push(media);
        }
        Ok(self.seeing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A playlist of segments of one second.
    fn playlist(first: u64, count: u64) -> Seen {
        let head = format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
        let segments = (first..first + count).map(|n| format!("#EXTINF:1,\n{n}.ts\n"));
        Seen::Playlist(head + &segments.collect::<String>())
    }

    fn segment(n: usize) -> Seen {
        Seen::Segment { size_bytes: 188 * (n + 1), hash: n as u64 }
    }

    /// What is wrong with these; times in tenths of a second.
    fn verdict(operations: &[(u64, &str, Seen)]) -> Result<Seeing, String> {
        let tenths = |n: u64| Duration::from_millis(n * 100);
        let operation = |(at, key, seen): &(u64, &str, Seen)| Operation {
            key: (*key).to_owned(),
            answered: tenths(*at),
            asked: tenths(*at),
            seen: seen.clone(),
        };
        let lo = (0, "lo/index.m3u8", playlist(0, 1));
        let operations = std::iter::once(&lo).chain(operations).map(operation).collect();
        let log = Log { operations, ..Log::default() };
        replay(&log)
    }

    const HI: &str = "hi/index.m3u8";

    #[test]
    fn what_is_right_is_left_in_peace() {
        let seeing = verdict(&[
            (1, HI, playlist(0, 3)),
            (1, "hi/0.ts", segment(0)),
            (20, HI, playlist(1, 3)),
            (35, "hi/0.ts", segment(0)),
            (42, "hi/0.ts", Seen::Nothing),
        ]);
        let seeing = seeing.unwrap();
        assert_eq!((seeing.stayed, seeing.ends(), seeing.bodies.len()), (1, vec![4, 1], 1));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let named = (1, HI, playlist(0, 3));
        let cases = [
            (vec![named.clone(), (1, "hi/0.ts", Seen::Nothing)], "is named, and absent"),
            (
                vec![named.clone(), (2, HI, playlist(1, 3)), (40, "hi/0.ts", Seen::Nothing)],
                "is deleted early",
            ),
            (vec![named.clone(), (2, HI, Seen::Nothing)], "is gone"),
            (vec![(1, HI, playlist(1, 3)), (2, HI, playlist(0, 4))], "goes back"),
            (vec![named.clone(), (2, HI, playlist(0, 2))], "goes back"),
            (vec![named.clone(), (2, "hi/0.ts", segment(0)), (3, "hi/0.ts", segment(1))], "another segment"),
        ];
        for (operations, what) in cases {
            let said = verdict(&operations).unwrap_err();
            assert!(said.contains(what), "expected {what}: {said}");
        }
    }
}
