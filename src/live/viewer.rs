//! One who follows low-latency playlists closely, and knows what must never be seen in them.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use super::{Reload, Skip, Snapshot, low_latency};
use crate::playlist::{Hint, Media, Part};

/// What was seen of each rendition.
#[derive(Debug, Default)]
pub(crate) struct Viewer {
    last: HashMap<usize, Media>,
    /// Parts seen, over all renditions.
    pub(crate) parts: u64,
    /// Delta updates seen.
    pub(crate) deltas: u64,
}

/// A segment, whole or not, as far as it may not change.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    is_discontinuity: bool,
    map: Option<String>,
    date_time: Option<SystemTime>,
    parts: Vec<Part>,
}

/// All segments by media sequence number, the open one last.
fn told(media: &Media) -> Vec<(u64, Told)> {
    let whole = media.segments.iter().map(|one| Told {
        is_discontinuity: one.is_discontinuity,
        map: one.map.clone(),
        date_time: one.date_time,
        parts: one.parts.clone(),
    });
    let open = media.low_latency.open.iter().map(|one| Told {
        is_discontinuity: one.is_discontinuity,
        map: one.map.clone(),
        date_time: one.date_time,
        parts: one.parts.clone(),
    });
    (media.media_sequence..).zip(whole.chain(open)).collect()
}

fn end(media: &Media) -> u64 {
    media.media_sequence + media.segments.len() as u64
}

impl Viewer {
    /// Another life of the channel begins: what low latency adds may be another, for nobody stores it.
    pub(crate) fn forget(&mut self) {
        self.last.clear();
    }

    /// Looks at a rendition.
    pub(crate) fn see(&mut self, snapshot: &Snapshot, rendition: usize) {
        let Some(text) = low_latency(snapshot, rendition, Skip::No) else { return };
        let media = Media::parse(&text).unwrap();
        assert_eq!(media.render(), text);
        check_rules(&media);
        check_reports(&media, snapshot, rendition);
        check_reloads(&media, snapshot, rendition);
        self.check_delta(&media, snapshot, rendition);
        if let Some(last) = self.last.insert(rendition, media.clone()) {
            self.parts += check_step(&last, &media);
        }
    }

    fn check_delta(&mut self, media: &Media, snapshot: &Snapshot, rendition: usize) {
        let text = low_latency(snapshot, rendition, Skip::Segments).unwrap();
        let mut delta = Media::parse(&text).unwrap();
        let skipped = std::mem::take(&mut delta.low_latency.skipped_segments) as usize;
        if skipped == 0 {
            assert_eq!(delta, *media);
            return;
        }
        self.deltas += 1;
        assert!(text.contains("#EXT-X-VERSION:9\n"));
        let behind: Duration = delta.segments.iter().map(|segment| segment.duration).sum();
        assert!(behind + open_duration(&delta) > media.target_duration * 6);
        // Whoever knows what was skipped has the whole again.
        let mut map = media.segments[skipped - 1].map.clone();
        for segment in &mut delta.segments {
            map = segment.map.take().or(map);
            segment.map.clone_from(&map);
        }
        if let Some(open) = &mut delta.low_latency.open {
            open.map = open.map.take().or(map);
        }
        delta.segments.splice(..0, media.segments[..skipped].iter().cloned());
        assert_eq!(delta, *media);
    }
}

fn open_duration(media: &Media) -> Duration {
    media.low_latency.open.iter().flat_map(|open| &open.parts).map(|part| part.duration).sum()
}

fn check_rules(media: &Media) {
    let control = media.low_latency.control.unwrap();
    assert!(control.can_block_reload);
    let Some(part_target) = media.low_latency.part_target else {
        assert!(told(media).iter().all(|(_, one)| one.parts.is_empty()));
        return;
    };
    assert!(control.part_hold_back.unwrap() >= part_target * 3);
    assert!(control.hold_back.unwrap() >= media.target_duration * 3);
    assert!(control.can_skip_until.unwrap() >= media.target_duration * 6);
    for (msn, one) in told(media) {
        assert!(
            one.parts.iter().all(|part| part.duration <= part_target),
            "{msn}: {one:?} of {part_target:?}"
        );
    }
    let mut behind = open_duration(media);
    for segment in media.segments.iter().rev() {
        assert!(segment.parts.is_empty() || behind < media.target_duration * 3, "{segment:?}");
        behind += segment.duration;
    }
    let pairs = told(media);
    for (before, after) in pairs.iter().zip(pairs.iter().skip(1)) {
        let is_other = before.1.map.is_some() && before.1.map != after.1.map;
        assert!(!is_other || after.1.is_discontinuity, "{before:?} {after:?}");
    }
    assert_eq!(media.low_latency.hints.len(), usize::from(!media.is_ended));
}

/// What was told holds; how many parts are new.
fn check_step(last: &Media, media: &Media) -> u64 {
    assert!(media.media_sequence >= last.media_sequence && end(media) >= end(last));
    assert!(media.discontinuity_sequence >= last.discontinuity_sequence);
    assert_eq!(media.target_duration, last.target_duration);
    let target = |media: &Media| media.low_latency.part_target;
    assert!(target(last).is_none() || target(last) == target(media));
    let before: HashMap<u64, Told> = told(last).into_iter().collect();
    let mut added = Vec::new();
    for (msn, now) in told(media) {
        let Some(before) = before.get(&msn) else {
            added.extend(now.parts);
            continue;
        };
        assert_eq!(now.is_discontinuity, before.is_discontinuity, "{msn}: {before:?} {now:?}");
        // Without parts a date stands where it must.
        let is_same = now.date_time == before.date_time;
        assert!(
            is_same
                || target(media).is_none()
                    && now.date_time.or(before.date_time) == before.date_time.or(now.date_time)
        );
        // A gap needs no map, and what is not told any more is the same.
        assert!(now.map == before.map || now.map.is_none(), "{msn}");
        let is_forgotten = now.parts.is_empty() && msn < end(last);
        assert!(is_forgotten || now.parts.starts_with(&before.parts), "{msn}: {before:?} {now:?}");
        added.extend(now.parts.into_iter().skip(before.parts.len()));
    }
    if let (Some(first), Some(Hint::Part(hint))) = (added.first(), last.low_latency.hints.first()) {
        let is_new_segment = end(media) > end(last) && first.uri.contains(".0.");
        assert!(first.uri == *hint || is_new_segment, "{hint} was told, {} came", first.uri);
    }
    added.len() as u64
}

fn check_reports(media: &Media, snapshot: &Snapshot, rendition: usize) {
    let own = snapshot.names(rendition).unwrap();
    let others = (0..snapshot.renditions()).filter(|other| {
        let names = snapshot.names(*other).unwrap();
        *other != rendition && names.container == own.container && snapshot.edge(*other).is_some()
    });
    let others: Vec<_> = others.filter(|other| snapshot.view(*other).is_some()).collect();
    if media.is_ended || media.low_latency.part_target.is_none() {
        assert!(media.low_latency.reports.is_empty());
        return;
    }
    assert_eq!(media.low_latency.reports.len(), others.len());
    for (report, other) in media.low_latency.reports.iter().zip(others) {
        let edge = snapshot.edge(other).unwrap();
        let expected = match edge.parts().len() as u64 {
            0 => (snapshot.view(other).unwrap().end() - 1, report.last_part),
            count => (edge.media_sequence(), Some(count - 1)),
        };
        assert_eq!((report.last_msn, report.last_part), expected);
    }
}

fn check_reloads(media: &Media, snapshot: &Snapshot, rendition: usize) {
    let answer = |msn, part| snapshot.answers(rendition, msn, part);
    let end = end(media);
    let far = if media.is_ended { Reload::Ready } else { Reload::TooFar };
    let next = if media.is_ended { Reload::Ready } else { Reload::Wait };
    assert_eq!((answer(end - 1, None), answer(end, None)), (Reload::Ready, next));
    assert_eq!((answer(end + 1, None), answer(end + 2, None)), (next, far));
    assert_eq!((answer(0, Some(0)), answer(u64::MAX, Some(u64::MAX))), (Reload::Ready, far));
    if media.low_latency.part_target.is_none() {
        return;
    }
    let there = media.low_latency.open.as_ref().map_or(0, |open| open.parts.len() as u64);
    assert_eq!((answer(end, Some(there)), answer(end, Some(there + 1000))), (next, far));
    if let Some(last) = there.checked_sub(1) {
        assert_eq!(answer(end, Some(last)), Reload::Ready);
    }
    let whole = media.segments.last().unwrap().parts.len() as u64;
    if let Some(last) = whole.checked_sub(1) {
        let beyond = if there > 0 { Reload::Ready } else { next };
        assert_eq!((answer(end - 1, Some(last)), answer(end - 1, Some(whole))), (Reload::Ready, beyond));
    }
}
