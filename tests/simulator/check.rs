//! What must hold of every output.

use super::fault::{Fault, Of};
use super::model::{Fate, Frame, Model, SECOND};
use super::output::{Playlist, Rule, Seen};

/// A stream, what is wrong with it, and its frames with what became of them.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    pub model: &'a Model,
    pub faults: &'a [Fault],
    pub tracks: &'a [Vec<Frame>],
}

/// Checks one playlist, which carries these tracks. The first of them is the one that is cut by.
pub fn check(case: Case<'_>, playlist: &mut Playlist, carried: &[usize]) {
    for track in carried {
        frames(case, playlist, *track);
        timestamps(case, playlist, *track);
    }
    let main = carried[0];
    if main == 0 {
        sync(case, playlist);
        keyframes(case, playlist);
        grid(case, playlist);
    }
    durations(case, playlist, main);
    shapes(case, playlist, main);
}

impl Case<'_> {
    /// The tracks that any frame was sent of.
    pub fn sent(&self) -> Vec<usize> {
        (0..self.tracks.len()).filter(|track| !self.tracks[*track].is_empty()).collect()
    }

    fn frame(&self, seen: &Seen) -> &Frame {
        let frames = &self.tracks[seen.track];
        &frames[frames.partition_point(|frame| frame.id < seen.id)]
    }

    fn has(&self, kinds: &[&str]) -> bool {
        self.faults.iter().any(|fault| kinds.contains(&fault.kind()))
    }

    /// By how much timestamps of a track are off.
    fn jitter(&self, track: usize) -> i64 {
        let off = |fault: &Fault| match *fault {
            Fault::Jitter { of, by, .. } if of.has(track) => by,
            Fault::Shift { track: of, by, .. } if of == track => by.abs(),
            Fault::Jump { of: Of::Track(of), .. } if of == track => SECOND / 50,
            _ => 0,
        };
        self.faults.iter().map(off).sum()
    }
}

/// Numbers as ranges, the first few of them.
fn ranges(ids: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for id in ids {
        match ranges.last_mut() {
            Some((_, end)) if *end + 1 == *id => *end = *id,
            _ => ranges.push((*id, *id)),
        }
    }
    let few: Vec<_> = ranges.iter().take(5).map(|(from, to)| format!("{from}–{to}")).collect();
    format!("{} ({} of them)", few.join(", "), ids.len())
}

fn frames(case: Case<'_>, playlist: &mut Playlist, track: usize) {
    let seen: Vec<Seen> = playlist.of(track).cloned().collect();
    let frames = &case.tracks[track];
    let disordered: Vec<_> =
        seen.windows(2).filter(|pair| pair[1].id <= pair[0].id).map(|pair| pair[1].id).collect();
    if !disordered.is_empty() {
        playlist.fail(Rule::Frames, format!("track {track}: twice or out of order: {}", ranges(&disordered)));
    }
    let altered = |seen: &&Seen| !seen.is_exact && case.frame(seen).fate != Fate::Damaged;
    let altered: Vec<_> = seen.iter().filter(altered).map(|seen| seen.id).collect();
    if !altered.is_empty() {
        playlist.fail(Rule::Frames, format!("track {track}: altered: {}", ranges(&altered)));
    }
    let there: std::collections::HashSet<u32> = seen.iter().map(|seen| seen.id).collect();
    let missing = frames.iter().filter(|frame| frame.fate == Fate::Intact && !there.contains(&frame.id));
    let missing: Vec<_> = missing.map(|frame| frame.id).collect();
    // MP4 has no place for audio that runs back over what is there.
    let may_overlap = |fault: &Fault| match *fault {
        Fault::Shift { track: of, by, .. } if of == track && track > 0 => {
            by.unsigned_abs() as usize / 1500 + 1
        }
        Fault::Seam { .. } if track > 0 => 2,
        _ => 0,
    };
    let is_mp4 = playlist.name.starts_with("cmaf");
    let most: usize = if is_mp4 { case.faults.iter().map(may_overlap).sum() } else { 0 };
    if missing.len() > most {
        let count = frames.len();
        playlist.fail(Rule::Frames, format!("track {track}: missing: {} of {count}", ranges(&missing)));
    }
}

/// How far apart two times are on the 33-bit clock.
fn distance(a: i64, b: i64) -> i64 {
    let half = 1 << 32;
    ((a - b + half).rem_euclid(1 << 33) - half).abs()
}

fn timestamps(case: Case<'_>, playlist: &mut Playlist, track: usize) {
    let is_video = track == 0;
    let is_mp4 = playlist.name.starts_with("cmaf");
    // MP4 counts audio in samples; and of the frames of one PES packet the stream gives one timestamp.
    let tolerance = match (is_mp4, is_video) {
        (false, _) => 0,
        (true, true) if case.has(&["several", "tails"]) => case.jitter(track),
        (true, true) => 0,
        (true, false) => 2 * case.jitter(track) + 2,
    };
    // Audio whose clock alone jumps may stay with the video.
    if is_mp4 && !is_video && case.has(&["audio jump"]) {
        return;
    }
    let seam = if case.has(&["seam"]) && is_mp4 && !is_video { SECOND / 20 } else { 0 };
    let wrong = playlist.of(track).filter(|seen| {
        let frame = case.frame(seen);
        let is_off = |stamp: Option<i64>, own: i64, more: i64| {
            stamp.is_some_and(|stamp| distance(stamp, own) > tolerance + seam + more)
        };
        // Decoding times of MP4 do not run back, whatever the stream's do.
        let more = if is_mp4 && case.jitter(track) > 0 { i64::MAX / 2 } else { 0 };
        frame.fate != Fate::Damaged
            && frame.is_stated
            && (is_off(seen.pts, frame.pts, 0) || is_off(seen.dts, frame.dts, more))
    });
    let wrong: Vec<Seen> = wrong.cloned().collect();
    if let Some(first) = wrong.first() {
        let frame = case.frame(first);
        let off = first.pts.unwrap_or(0) - frame.pts.rem_euclid(1 << 33);
        let ids: Vec<_> = wrong.iter().map(|seen| seen.id).collect();
        let text = format!("track {track}: frames {}: the first one by {off} ticks", ranges(&ids));
        playlist.fail(Rule::Timestamps, text);
    }
}

fn sync(case: Case<'_>, playlist: &mut Playlist) {
    let is_wrong = |seen: &&Seen| {
        let frame = case.frame(seen);
        frame.fate != Fate::Damaged && seen.is_sync.is_some_and(|is_sync| is_sync != frame.is_key)
    };
    let wrong: Vec<_> = playlist.of(0).filter(is_wrong).map(|seen| seen.id).collect();
    if !wrong.is_empty() {
        playlist.fail(Rule::Sync, format!("wrong sync flags: frames {}", ranges(&wrong)));
    }
}

/// The first frame of the main track in each segment.
fn firsts(playlist: &Playlist, main: usize) -> Vec<Option<Seen>> {
    let mut firsts = vec![None; playlist.extents.len()];
    for seen in playlist.of(main).rev() {
        if let Some(first) = firsts.get_mut(seen.segment) {
            *first = Some(seen.clone());
        }
    }
    firsts
}

fn keyframes(case: Case<'_>, playlist: &mut Playlist) {
    let firsts = firsts(playlist, 0);
    let mut before: Option<(usize, &Frame)> = None;
    let mut wrong = Vec::new();
    for (number, first) in firsts.iter().enumerate() {
        let Some(first) = first else { continue };
        let frame = case.frame(first);
        let is_break = playlist.extents[number].head.is_discontinuity;
        if !frame.is_key && frame.fate != Fate::Damaged {
            let (since, longest) = match before {
                Some((of, start)) if !is_break => (start.pts, playlist.extents[of].longest.as_secs() as i64),
                _ => (frame.pts, case.model.target_s),
            };
            let reach = since + longest * SECOND + SECOND / 2;
            let later = case.tracks[0].iter().filter(|key| key.id > frame.id && key.is_key);
            let within = later.filter(|key| key.fate == Fate::Intact && (since..reach).contains(&key.pts));
            if let Some(key) = within.clone().next() {
                let after = (key.pts - since) as f64 / SECOND as f64;
                wrong.push(format!("segment {number} begins with frame {}, keyframe {} is {after:.3} s after the start before", frame.id, key.id));
            }
        }
        before = Some((number, frame));
    }
    if let Some(text) = wrong.first() {
        playlist.fail(Rule::Keyframe, format!("{text} ({} such segments)", wrong.len()));
    }
}

/// Faults that move, take or add no keyframe.
const KEEPS_KEYS: &[&str] = &[
    "wrap",
    "duplicates",
    "ghost",
    "late tables",
    "no tables",
    "tails",
    "several",
    "unaligned",
    "audio gap",
    "audio late",
    "audio stops",
    "audio absent",
    "audio shift",
    "jitter",
];

fn grid(case: Case<'_>, playlist: &mut Playlist) {
    if case.faults.iter().any(|fault| !KEEPS_KEYS.contains(&fault.kind())) {
        return;
    }
    let spacing = case.model.gop * case.model.frame;
    let target = case.model.target_s * SECOND;
    let slack = case.model.frame + case.jitter(0) * 2;
    let starts: Vec<i64> = firsts(playlist, 0).iter().flatten().map(|first| case.frame(first).pts).collect();
    let Some(anchor) = starts.first() else { return };
    for (number, start) in starts.iter().enumerate() {
        let off = (start - anchor + target / 2).rem_euclid(target) - target / 2;
        if off.abs() > spacing / 2 + slack && spacing <= target {
            let off = off as f64 / SECOND as f64;
            return playlist.fail(Rule::Grid, format!("segment {number} begins {off:+.3} s from its line"));
        }
        let length = starts.get(number + 1).map_or(0, |next| next - start);
        if length > target + spacing + slack {
            let length = length as f64 / SECOND as f64;
            return playlist.fail(Rule::Grid, format!("segment {number} lasts {length:.3} s"));
        }
    }
}

/// Faults that leave time without video.
const VIDEO_AWAY: &[&str] = &["gap", "video gap", "video stops", "video late", "loss"];

fn ticks(duration: std::time::Duration) -> i64 {
    (duration.as_micros() as i64 * 9 + 50) / 100
}

/// Durations between segments that begin with a frame of the main track are the distances of these frames; and at the
/// end of a timeline they reach to the end of its frames.
fn durations(case: Case<'_>, playlist: &mut Playlist, main: usize) {
    let firsts = firsts(playlist, main);
    let is_audio = main != 0;
    if is_audio && case.has(&["audio jump"]) {
        return;
    }
    let seam = if case.has(&["seam"]) { SECOND / 20 } else { 0 };
    let slack = if is_audio { 200 + 2 * case.jitter(main) + seam } else { 20 };
    let mut since: Option<(i64, i64, usize)> = None;
    let mut texts = Vec::new();
    let mut finish = |since: Option<(i64, i64, usize)>, until: usize| {
        let Some((start, sum, from)) = since else { return };
        let within = playlist.seen.iter().filter(|seen| (from..until).contains(&seen.segment));
        let end = |frame: &Frame| frame.pts + frame.duration;
        let ends = within.map(|seen| (seen.track, end(case.frame(seen))));
        let (mut least, mut most) = (start, start);
        for (track, end) in ends {
            least = if track == main { least.max(end) } else { least };
            most = most.max(end);
        }
        if sum < least - start - SECOND / 10 || sum > most - start + SECOND / 10 {
            let seconds = |ticks: i64| ticks as f64 / SECOND as f64;
            texts.push(format!(
                "segments {from} to {} last {:.3} s, their frames {:.3} to {:.3} s",
                until - 1,
                seconds(sum),
                seconds(least - start),
                seconds(most - start)
            ));
        }
    };
    let mut wrong = Vec::new();
    for (number, first) in firsts.iter().enumerate() {
        let extent = &playlist.extents[number];
        let duration = ticks(extent.duration);
        if extent.head.is_discontinuity {
            finish(since.take(), number);
        }
        // Where video is away, a segment begins with audio, and its first video frame is somewhere in it.
        let is_inside = |first: &&Seen| case.has(VIDEO_AWAY) && main == 0 && !case.frame(first).is_key;
        if let Some(first) = first.as_ref().filter(|first| !is_inside(first)) {
            let start = case.frame(first).pts;
            if let Some((before, sum, from)) = since
                && (start - before - sum).abs() > slack
                && case.frame(first).fate != Fate::Damaged
            {
                let off = (sum - (start - before)) as f64 / SECOND as f64;
                wrong.push(format!("segments {from} to {number}: durations are {off:+.4} s off"));
            }
            since = Some((start, duration, number));
        } else if let Some((_, sum, _)) = &mut since {
            *sum += duration;
        }
    }
    finish(since, firsts.len());
    for text in wrong.into_iter().chain(texts).take(2) {
        playlist.fail(Rule::Duration, text);
    }
}

fn shapes(case: Case<'_>, playlist: &mut Playlist, main: usize) {
    let extents = playlist.extents.clone();
    if extents.is_empty() && case.tracks.iter().flatten().any(|frame| frame.fate == Fate::Intact) {
        playlist.fail(Rule::Empty, "no segment at all");
    }
    let breaks = |number: usize| extents.get(number).is_none_or(|extent| extent.head.is_discontinuity);
    for (number, extent) in extents.iter().enumerate() {
        let seconds = extent.duration.as_secs_f64();
        if seconds < 0.0005 || seconds < 0.1 && !breaks(number + 1) && number + 1 < extents.len() {
            playlist.fail(Rule::Short, format!("segment {number} of {} lasts {seconds:.3} s", extents.len()));
        }
        let of_main = playlist.of(main).any(|seen| seen.segment == number);
        if !playlist.seen.iter().any(|seen| seen.segment == number) && !case.has(&["loss"]) {
            playlist.fail(Rule::Empty, format!("segment {number} has no frame"));
        } else if main == 0 && !of_main && !case.has(VIDEO_AWAY) {
            playlist.fail(Rule::Empty, format!("segment {number} has no video"));
        }
    }
    let causes = [
        "jump",
        "video jump",
        "audio jump",
        "resolution",
        "codec",
        "loop",
        "gap",
        "video stops",
        "video late",
    ];
    let causes = case.faults.iter().filter(|fault| causes.contains(&fault.kind())).count();
    let count = extents.iter().skip(1).filter(|extent| extent.head.is_discontinuity).count();
    if count > causes {
        playlist.fail(Rule::Discontinuity, format!("{count} discontinuities, {causes} causes"));
    }
}

/// Whether the parts of a segment are it.
///
/// The duration of parts is of decoding: a first frame with leading frames before it is decoded earlier than others.
pub fn check_parts(playlist: &mut Playlist, case: Case<'_>, segments: &[super::drive::Segment]) {
    let model = case.model;
    let jitter = case.sent().into_iter().map(|track| case.jitter(track)).max().unwrap_or(0);
    let slack = 1000
        + jitter * 200 / 9
        + if model.is_open { model.frame * (model.b_frames + 1) * 100 / 9 } else { 0 };
    for (number, segment) in segments.iter().enumerate().filter(|(_, segment)| !segment.parts.is_empty()) {
        let joined = segment.parts.iter().map(|(_, bytes)| &bytes[..]).collect::<Vec<_>>().concat();
        if joined[..] != segment.bytes[..] {
            playlist.fail(Rule::Parts, format!("segment {number} is not its parts"));
        }
        let sum: i64 = segment.parts.iter().map(|(part, _)| part.duration.as_micros() as i64).sum();
        let off = sum - segment.extent.duration.as_micros() as i64;
        if off.abs() > slack {
            playlist.fail(Rule::Parts, format!("parts of segment {number} are {off:+} µs off"));
        }
        for (index, (part, bytes)) in segment.parts.iter().enumerate() {
            if bytes.is_empty() || part.duration.is_zero() || part.index as usize != index {
                playlist.fail(Rule::Parts, format!("part {index} of segment {number}: {part:?}"));
            }
        }
    }
}
