//! The playlist of one who follows closely: parts, and all that goes with them (rfc8216bis).

use std::time::{Duration, SystemTime};

use super::{Snapshot, View, naming};
use crate::playlist::{self, Hint, Report, ServerControl};

/// Parts are told of as long as no more than so many target durations lie behind their segment (rfc8216bis
/// §6.2.2).
pub(super) const PARTS: u32 = 3;
/// PART-HOLD-BACK in part targets, and HOLD-BACK in target durations (rfc8216bis §4.4.3.8).
const HOLD_BACK: u32 = 3;
/// CAN-SKIP-UNTIL in target durations (rfc8216bis §4.4.3.8).
const SKIP_UNTIL: u32 = 6;

/// What of a playlist is asked for (`_HLS_skip`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Skip {
    /// All of it.
    #[default]
    No,
    /// A delta update: without the segments that whoever has an earlier one knows.
    Segments,
    /// A delta update at `now`: without the date ranges either that were told of long before.
    DateRangesToo {
        /// What time it is.
        now: SystemTime,
    },
}

/// The playlist of `rendition` as the origin serves it; none if it has not been published.
///
/// With parts, each segment tells its date. Without parts it is the ordinary playlist, which may be asked for before it
/// is there.
pub fn low_latency(snapshot: &Snapshot, rendition: usize, skip: Skip) -> Option<String> {
    let view = snapshot.view(rendition)?;
    let mut media = view.media().clone();
    let Some(part_target) = snapshot.part_target() else {
        media.low_latency.control =
            Some(ServerControl { can_block_reload: true, ..ServerControl::default() });
        return Some(media.render());
    };
    let target = media.target_duration;
    // Without dates there is nothing that they could be held against (RFC 8216 §4.3.2.7).
    let has_date_ranges = snapshot.options.has_date_time && snapshot.date_ranges.is_used();
    media.low_latency.control = Some(ServerControl {
        can_block_reload: true,
        can_skip_until: Some(target * SKIP_UNTIL),
        can_skip_date_ranges: has_date_ranges,
        hold_back: Some(target * HOLD_BACK),
        part_hold_back: Some(part_target * HOLD_BACK),
    });
    media.low_latency.part_target = Some(part_target);
    show_parts(&mut media, view, snapshot, rendition);
    if media.is_ended {
        // Nothing is left out of it (rfc8216bis §6.2.5.1), and it stays as it is.
        return Some(media.render());
    }
    if has_date_ranges {
        media.date_ranges = snapshot.date_ranges.all();
    }
    match skip {
        Skip::No => {}
        Skip::Segments => leave_out(&mut media),
        Skip::DateRangesToo { now } => {
            leave_out(&mut media);
            if has_date_ranges {
                leave_out_date_ranges(&mut media, snapshot, now);
            }
        }
    }
    Some(media.render())
}

fn show_parts(media: &mut playlist::Media, view: &View, snapshot: &Snapshot, rendition: usize) {
    if let Some(edge) = snapshot.edge(rendition).filter(|_| !media.is_ended) {
        media.low_latency.open = Some(edge.open.clone()).filter(|open| !open.parts.is_empty());
        // After a gap nobody knows whether the next segment has parts.
        if media.low_latency.open.is_some() || media.segments.last().is_none_or(|last| !last.is_gap) {
            media.low_latency.hints = hints(snapshot, rendition);
        }
        media.low_latency.reports = reports(snapshot, rendition);
    }
    let mut behind = open_duration(media);
    for (segment, entry) in media.segments.iter_mut().zip(&view.entries).rev() {
        segment.date_time = entry.date_time;
        if !segment.is_gap && behind < media.target_duration * PARTS {
            segment.parts = entry.parts.to_vec();
        }
        behind += segment.duration;
    }
}

fn open_duration(media: &playlist::Media) -> Duration {
    let parts = media.low_latency.open.iter().flat_map(|open| &open.parts);
    parts.map(|part| part.duration).sum()
}

/// The part that comes next; after a segment's last part, which nothing marks, that is a part of the segment behind it
/// once the segment is whole.
fn hints(snapshot: &Snapshot, rendition: usize) -> Vec<Hint> {
    let (Some(names), Some(edge)) = (snapshot.names(rendition), snapshot.edge(rendition)) else {
        return Vec::new();
    };
    let key = names.part_key(edge.number(), edge.next_part());
    vec![Hint::Part(naming::reference(&snapshot.options.url_prefix, &names.playlist, &key))]
}

/// How far each other rendition of the same container has come that goes on.
fn reports(snapshot: &Snapshot, rendition: usize) -> Vec<Report> {
    let Some(own) = snapshot.names(rendition) else { return Vec::new() };
    let others = snapshot.options.renditions.iter().enumerate();
    let others = others.filter(|(other, names)| *other != rendition && names.container == own.container);
    let report = |(other, names): (usize, &super::Rendition)| {
        let (view, edge) = (snapshot.view(other)?, snapshot.edge(other)?);
        let last_whole = view.end().saturating_sub(1);
        let (last_msn, parts) = match edge.parts().len() {
            0 => (last_whole, view.parts_of(last_whole)),
            count => (edge.media_sequence(), count),
        };
        let last_part = (parts as u64).checked_sub(1);
        let uri = naming::reference(&snapshot.options.url_prefix, &own.playlist, &names.playlist);
        Some(Report { uri, last_msn, last_part })
    };
    others.filter_map(report).collect()
}

/// Leaves out the date ranges that were told of before the skip boundary, and tells which went since (rfc8216bis
/// §6.2.5.1). When they went is known to a segment or two. Where no segment is left out, no range is: players take a delta
/// that skips none for the whole.
fn leave_out_date_ranges(media: &mut playlist::Media, snapshot: &Snapshot, now: SystemTime) {
    let boundary = now.checked_sub(media.target_duration * SKIP_UNTIL).unwrap_or(SystemTime::UNIX_EPOCH);
    let earlier = boundary.checked_sub(media.target_duration * 2).unwrap_or(SystemTime::UNIX_EPOCH);
    if media.low_latency.skipped_segments == 0 {
        return;
    }
    media.date_ranges = snapshot.date_ranges.told_since(boundary);
    media.low_latency.removed_date_ranges = Some(snapshot.date_ranges.gone_since(earlier));
}

/// Leaves out the segments that end before the skip boundary; what they tell of their map holds on.
fn leave_out(media: &mut playlist::Media) {
    let boundary = media.target_duration * SKIP_UNTIL;
    let mut behind = open_duration(media);
    let is_near = |segment: &playlist::Segment| {
        let is_near = behind <= boundary;
        behind += segment.duration;
        is_near
    };
    let near = media.segments.iter().rev().map(is_near).take_while(|is_near| *is_near).count();
    let skipped: Vec<_> = media.segments.drain(..media.segments.len() - near).collect();
    media.low_latency.skipped_segments = skipped.len() as u64;
    let Some(known) = skipped.into_iter().rev().find_map(|segment| segment.map) else { return };
    let maps = media.segments.iter_mut().map(|segment| &mut segment.map);
    let maps = maps.chain(media.low_latency.open.iter_mut().map(|open| &mut open.map));
    maps.take_while(|map| map.as_ref().is_none_or(|map| *map == known)).for_each(|map| *map = None);
}
