//! A segment under way, in all tracks.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Event;
use super::entry::Entry;
use super::fragment::{Fragment, Whole, write};
use super::generation::Generation;
use super::init::{Described, Init};
use super::line::Line;
use super::reach::{Gap, ROUNDING};
use super::stream::{Media, Place};
use super::track::Role;
use crate::segment::{Extent, Head, Part};
use crate::time::Ticks;

/// A segment that is not whole.
#[derive(Debug)]
pub struct Draft {
    pub ordinal: u64,
    pub head: Head,
    pub place: Place,
    /// For each stream the samples that are not written yet.
    pub fragments: Vec<Fragment>,
    outputs: Vec<Output>,
    /// The cutter's promise, once it has made a part.
    part_limit: Option<Duration>,
    /// Parts that wait until the segment is the oldest that is not whole.
    marks: Vec<Mark>,
    /// Events that wait for the segment before to become whole.
    pub queue: Vec<Event>,
    /// Events that come when it is whole.
    pub behind: Vec<Event>,
    /// Whether the gaps at the end of the timeline before it have been told.
    has_left: bool,
}

/// What was written of one track.
#[derive(Debug, Default)]
struct Output {
    slices: Vec<Bytes>,
    parts: u32,
    /// When its first sample is decoded, on the cutter's line; once it is open.
    start: Option<Ticks>,
    /// Whether the gap before its first sample has been looked for.
    is_placed: bool,
    /// Whether something of this segment has been told already: the timeline breaks before that.
    has_begun: bool,
    /// When what follows its last sample is.
    end: Option<Ticks>,
    /// What its fragments are described by; fixed with the first of them.
    init: Option<Vec<(u32, Arc<Entry>)>>,
    /// Parts that wait until all streams of the track can be described.
    waiting: Vec<(Taken, Part)>,
}

/// Where a part of the cutter's ends.
#[derive(Debug)]
struct Mark {
    part: Part,
    /// For each stream how many samples of the segment lie before it, and up to when they last.
    ends: Vec<(usize, i64)>,
}

/// Samples of a track that are to be written.
#[derive(Debug)]
struct Taken {
    fragments: Vec<(u32, Whole)>,
    start: Ticks,
    end: Ticks,
}

impl Draft {
    pub fn new(ordinal: u64, head: Head, place: Place, generation: &Generation) -> Self {
        let fragments = generation.streams.iter();
        let mut draft = Self {
            ordinal,
            head,
            place,
            fragments: fragments
                .map(|stream| Fragment { expected: stream.expected, ..Fragment::default() })
                .collect(),
            outputs: generation.tracks.iter().map(|_| Output::default()).collect(),
            part_limit: None,
            marks: Vec::new(),
            queue: Vec::new(),
            behind: Vec::new(),
            has_left: false,
        };
        for (track, _) in generation.tracks.iter().enumerate().filter(|(_, track)| track.role != Role::Audio)
        {
            draft.open_track(track, head);
        }
        draft
    }

    fn open_track(&mut self, track: usize, head: Head) {
        if self.outputs[track].start.is_none() {
            self.outputs[track].start = Some(head.start);
            let is_discontinuity = head.is_discontinuity && !self.outputs[track].has_begun;
            let head = Head { is_discontinuity, ..head };
            self.queue.push(Event::Open { track, ordinal: self.ordinal, head });
        }
    }

    /// Opens a track of sound, once the first sample of its stream is there.
    pub fn open_sound(&mut self, generation: &Generation, at: usize) {
        let stream = &generation.streams[at];
        let is_sound = generation.tracks[stream.track].role == Role::Audio;
        if !is_sound || self.outputs[stream.track].start.is_some() {
            return;
        }
        let Fragment { entry, samples, .. } = &self.fragments[at];
        if let Some((entry, first)) = entry.as_ref().zip(samples.first()) {
            let start = Line::new(entry.timescale).ticks(first.decode) - self.place.shift;
            self.open_track(stream.track, sound_head(&self.head, start));
        }
    }

    /// All segments before are whole: tells the gaps at the end of the timeline before, and those before first samples.
    pub fn tell_gaps(&mut self, generation: &mut Generation) {
        if self.head.is_discontinuity && !std::mem::replace(&mut self.has_left, true) {
            let gaps = (0..self.outputs.len()).flat_map(|track| generation.finish(track, self.ordinal));
            self.queue.splice(..0, gaps.collect::<Vec<_>>());
        }
        for track in 0..self.outputs.len() {
            if let Some(start) = self.outputs[track].start
                && !std::mem::replace(&mut self.outputs[track].is_placed, true)
                && let Some(gap) = generation.states[track].reach.open(self.head.start, start)
            {
                self.tell_gap_before(generation, track, gap);
            }
        }
    }

    /// Tells a gap before the track's segment opens, which therefore breaks nothing.
    fn tell_gap_before(&mut self, generation: &Generation, track: usize, gap: Gap) {
        let longest = generation.states[track].reach.longest();
        let gaps = self.gap(generation, track, gap, longest, false);
        let is_opening = |event: &Event| matches!(event, Event::Open { track: of, .. } if *of == track);
        let at = self.queue.iter().position(is_opening).unwrap_or(self.queue.len());
        if let Some(Event::Open { head, .. }) = self.queue.get_mut(at) {
            head.is_discontinuity = false;
        }
        self.queue.splice(at..at, gaps);
    }

    /// The events of a gap, which stands for the whole segment if `is_whole`.
    fn gap(
        &mut self,
        generation: &Generation,
        track: usize,
        gap: Gap,
        longest: Duration,
        is_whole: bool,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        for Gap { start, end } in generation.states[track].reach.entries(gap) {
            let output = &mut self.outputs[track];
            let is_discontinuity = self.head.is_discontinuity && !output.has_begun && output.end.is_none();
            output.has_begun |= start < end;
            let head = Head { is_discontinuity, ..sound_head(&self.head, start) };
            let extent = gap_extent(head, end, longest);
            let is_whole = is_whole && end == gap.end;
            events.push(Event::Gap { track, ordinal: self.ordinal, extent, is_whole });
        }
        events
    }

    /// A part of the cutter's is whole.
    pub fn part(&mut self, generation: &mut Generation, part: &Part) {
        self.part_limit = Some(part.longest);
        let ends = self.ends(generation, part.decode_end);
        self.marks.push(Mark { part: *part, ends });
    }

    /// Where the samples that are there end; pictures at `decode_end`.
    fn ends(&mut self, generation: &mut Generation, decode_end: Ticks) -> Vec<(usize, i64)> {
        let mut ends = Vec::with_capacity(self.fragments.len());
        for (stream, fragment) in generation.streams.iter_mut().zip(&mut self.fragments) {
            if stream.ordinal == Some(self.ordinal) {
                stream.end_unit(&self.place, fragment);
            }
            let end = match &stream.media {
                Media::Pictures(_) => (decode_end + self.place.shift).count(),
                Media::Sounds(_) => fragment.end,
            };
            ends.push((fragment.taken + fragment.samples.len(), end));
        }
        ends
    }

    /// All segments before are whole: writes the parts that are, one of each track that is not of sound alone for each
    /// of the cutter's, and those of sound that are due.
    pub fn write_parts(&mut self, generation: &mut Generation) {
        for Mark { part, ends } in std::mem::take(&mut self.marks) {
            for track in 0..self.outputs.len() {
                if generation.tracks[track].role != Role::Audio
                    && let Some(taken) = self.take(generation, track, &ends)
                {
                    self.outputs[track].waiting.push((taken, part));
                    if self.is_described(generation, track) {
                        self.write_waiting(generation, track);
                    }
                }
            }
        }
        for at in 0..self.fragments.len() {
            self.part_sound(generation, at);
        }
    }

    /// Whether the segment's initialization is fixed or can be: before the first one, a track waits for all its streams.
    fn is_described(&self, generation: &Generation, track: usize) -> bool {
        let is_known = |at: usize| generation.streams[at].entry().is_some();
        generation.states[track].digest.is_some() || generation.of_track(track).into_iter().all(is_known)
    }

    fn write_waiting(&mut self, generation: &mut Generation, track: usize) {
        for (taken, part) in std::mem::take(&mut self.outputs[track].waiting) {
            self.write_part(generation, track, taken, Some(&part));
        }
    }

    /// Writes the parts of a stream that is a track of sound that no further frame fits into.
    pub fn part_sound(&mut self, generation: &mut Generation, at: usize) {
        let Some(limit) = self.part_limit else { return };
        let track = generation.streams[at].track;
        let Some(entry) = self.fragments[at].entry.as_ref() else { return };
        if generation.tracks[track].role != Role::Audio {
            return;
        }
        let limit = Line::new(entry.timescale).samples(Ticks::from(limit));
        while let Some((count, until)) = self.fragments[at].due(limit) {
            let stream = &mut generation.streams[at];
            let Some(whole) = stream.take_samples(&self.place, &mut self.fragments[at], count, until) else {
                return;
            };
            let (start, end) = whole.span();
            let taken = Taken { fragments: vec![(1, whole)], start, end };
            let reach = &generation.states[track].reach;
            if let (Some(most), Some(first)) = (reach.limit(), self.outputs[track].start)
                && end - self.place.shift - first > most
            {
                let longest = reach.longest();
                self.tell_gaps(generation);
                self.close_piece(generation, track, longest);
            }
            self.write_part(generation, track, taken, None);
        }
    }

    /// The cutter's segment is whole.
    pub fn close(&mut self, generation: &mut Generation, extent: &Extent) {
        self.write_parts(generation);
        let ends = self.ends(generation, extent.decode_end);
        for track in 0..self.outputs.len() {
            self.write_waiting(generation, track);
            self.divide(generation, track, extent);
            if let Some(taken) = self.take(generation, track, &ends) {
                if self.part_limit.is_some() {
                    self.write_part(generation, track, taken, None);
                } else {
                    self.write(generation, track, taken);
                }
            }
            self.close_track(generation, track, extent);
        }
    }

    /// Audio that was late may be more than a segment's: the frames that should have come before are a segment of their
    /// own, so that none is longer than the target duration allows.
    fn divide(&mut self, generation: &mut Generation, track: usize, extent: &Extent) {
        // Segments of a file may be longer than promised.
        let is_kept = Ticks::from(extent.duration) <= Ticks::from(extent.longest) + ROUNDING;
        let longest = if is_kept { extent.longest } else { extent.duration };
        generation.states[track].reach.promise(longest);
        let Some(limit) = generation.states[track].reach.limit() else { return };
        let [at] = generation.of_track(track)[..] else { return };
        if generation.tracks[track].role != Role::Audio || self.part_limit.is_some() {
            return;
        }
        while let Some(entry) = self.fragments[at].entry.clone() {
            let line = Line::new(entry.timescale);
            let begin = line.samples(self.head.start + self.place.shift);
            let Some((count, until)) = self.fragments[at].beyond(line.samples(limit), begin) else { return };
            let stream = &mut generation.streams[at];
            let Some(whole) = stream.take_samples(&self.place, &mut self.fragments[at], count, until) else {
                return;
            };
            let (start, end) = whole.span();
            let taken = Taken { fragments: vec![(stream.track_id, whole)], start, end };
            self.write(generation, track, taken);
            self.tell_gaps(generation);
            self.close_piece(generation, track, longest);
        }
    }

    /// What was written of a track so far is a segment, and more of it follows.
    fn close_piece(&mut self, generation: &mut Generation, track: usize, longest: Duration) {
        let output = &mut self.outputs[track];
        let (Some(start), Some(end)) = (output.start.take(), output.end.take()) else { return };
        let body: crate::chunks::Chunks = std::mem::take(&mut output.slices).into_iter().collect();
        let mut head = sound_head(&self.head, start);
        head.is_discontinuity &= !std::mem::replace(&mut output.has_begun, true);
        output.parts = 0;
        let extent = Extent { size_bytes: body.size_bytes(), ..gap_extent(head, end, longest) };
        self.queue.push(Event::Segment { track, ordinal: self.ordinal, extent, body });
        generation.states[track].reach.extend(extent.duration, end);
    }

    fn close_track(&mut self, generation: &mut Generation, track: usize, extent: &Extent) {
        self.tell_gaps(generation);
        let until = self.head.start + Ticks::from(extent.duration);
        let longest = extent.longest;
        let Some(end) = self.outputs[track].end else {
            let gap = generation.states[track].reach.pass(self.head.start, until, longest);
            let gaps = self.gap(generation, track, gap, longest, true);
            self.queue.extend(gaps);
            return;
        };
        let output = &mut self.outputs[track];
        let body: crate::chunks::Chunks = std::mem::take(&mut output.slices).into_iter().collect();
        let mut extent = Extent { size_bytes: body.size_bytes(), ..*extent };
        extent.head.is_discontinuity &= !output.has_begun;
        let mut end_of_frames = until;
        if generation.tracks[track].role == Role::Audio
            && let Some(start) = output.start
        {
            extent.head = sound_head(&extent.head, start);
            extent.duration = start.until(end);
            extent.decode_end = end;
            end_of_frames = end;
        }
        for at in generation.of_track(track) {
            let rate = generation.streams[at].new_frame_rate();
            self.queue.extend(rate.map(|rate| Event::FrameRate { track, rate }));
        }
        self.queue.push(Event::Segment { track, ordinal: self.ordinal, extent, body });
        let reach = &mut generation.states[track].reach;
        if let Some(gap) = reach.close(extent.duration, end_of_frames, until, longest) {
            let gaps = self.gap(generation, track, gap, longest, false);
            self.queue.extend(gaps);
        }
    }

    /// Takes the samples of a track up to `ends`.
    fn take(&mut self, generation: &mut Generation, track: usize, ends: &[(usize, i64)]) -> Option<Taken> {
        let mut fragments = Vec::new();
        let mut span: Option<(Ticks, Ticks)> = None;
        for at in generation.of_track(track) {
            let stream = &mut generation.streams[at];
            let fragment = &mut self.fragments[at];
            let (count, end) = ends[at];
            let count = count.saturating_sub(fragment.taken);
            if count == 0 {
                continue;
            }
            let Some(whole) = stream.take_samples(&self.place, fragment, count, end) else { continue };
            span = span.or(Some(whole.span()));
            fragments.push((stream.track_id, whole));
        }
        span.map(|(start, end)| Taken { fragments, start, end })
    }

    fn write_part(&mut self, generation: &mut Generation, track: usize, taken: Taken, part: Option<&Part>) {
        let (start, end) = (taken.start - self.place.shift, taken.end - self.place.shift);
        let slices = self.write(generation, track, taken);
        if slices.is_empty() {
            return;
        }
        let limit = self.part_limit.unwrap_or_default();
        let output = &mut self.outputs[track];
        let index = output.parts;
        output.parts += 1;
        let own = Part {
            index,
            decode_start: start,
            decode_end: end,
            duration: start.until(end),
            is_independent: true,
            longest: limit,
        };
        let part = part.map_or(own, |part| Part { index, ..*part });
        self.queue.push(Event::Part {
            track,
            ordinal: self.ordinal,
            part,
            body: slices.into_iter().collect(),
        });
    }

    /// Writes a fragment, behind the initialization and the head of the segment where they are due.
    fn write(&mut self, generation: &mut Generation, track: usize, mut taken: Taken) -> Vec<Bytes> {
        // Only a track of which nothing came is not open yet.
        self.open_track(track, sound_head(&self.head, taken.start - self.place.shift));
        if generation.tracks[track].role == Role::Audio {
            self.begin_later(track, taken.start - self.place.shift);
        }
        self.describe(generation, track);
        let described = self.outputs[track].init.as_deref().unwrap_or_default();
        taken.fragments.retain(|(id, whole)| {
            described.iter().any(|(of, entry)| of == id && Arc::ptr_eq(entry, &whole.entry))
        });
        if taken.fragments.is_empty() {
            return Vec::new();
        }
        let end = taken.end - self.place.shift;
        let output = &mut self.outputs[track];
        output.end = Some(end);
        let state = &mut generation.states[track];
        state.sequence = state.sequence.wrapping_add(1);
        let slices = write(state.sequence, taken.fragments, generation.now);
        output.slices.extend_from_slice(&slices);
        slices
    }

    /// The first sample of a track of sound is at `start`: what opened the track may have been a frame that was never
    /// whole.
    fn begin_later(&mut self, track: usize, start: Ticks) {
        let output = &mut self.outputs[track];
        if output.end.is_some() || output.start.is_none_or(|opened| opened >= start) {
            return;
        }
        output.start = Some(start);
        output.is_placed = false;
        let head = self.queue.iter_mut().find_map(|event| match event {
            Event::Open { track: of, head, .. } if *of == track => Some(head),
            _ => None,
        });
        if let Some(head) = head {
            *head = sound_head(head, start);
        }
    }

    /// Fixes what the segment's fragments are described by, and tells it if it is another than before.
    fn describe(&mut self, generation: &mut Generation, track: usize) {
        if self.outputs[track].init.is_some() {
            return;
        }
        let mut streams = Vec::new();
        for at in generation.of_track(track) {
            let stream = &generation.streams[at];
            let fragment = &mut self.fragments[at];
            if fragment.entry.is_none() {
                fragment.entry = stream.entry().cloned();
            }
            if let Some(entry) = &fragment.entry {
                streams.push(Described {
                    track_id: stream.track_id,
                    entry: Arc::clone(entry),
                    language: stream.language,
                });
            }
        }
        let Some(init) = Init::new(&streams) else { return };
        let entries = streams.into_iter().map(|stream| (stream.track_id, stream.entry));
        self.outputs[track].init = Some(entries.collect());
        let state = &mut generation.states[track];
        if state.digest.replace(init.digest) != Some(init.digest) {
            self.queue.push(Event::Init { track, ordinal: self.ordinal, init });
        }
    }
}

/// The numbers of a gap up to `end`.
pub fn gap_extent(head: Head, end: Ticks, longest: Duration) -> Extent {
    Extent { head, duration: head.start.until(end), size_bytes: 0, longest, decode_end: end }
}

/// The head of a segment of sound that begins at `start`.
const fn sound_head(head: &Head, start: Ticks) -> Head {
    Head { start, decode_start: start, is_independent: true, ..*head }
}
