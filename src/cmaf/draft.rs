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
use super::stream::{Media, Place};
use super::track::Role;
use crate::segment::{Extent, Head, Part};
use crate::time::Ticks;

/// How far sound lies behind the pictures that it is sent with at most.
const MAX_LAG: Ticks = Ticks::new(Ticks::PER_SECOND);

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
}

/// What was written of one track.
#[derive(Debug, Default)]
struct Output {
    slices: Vec<Bytes>,
    parts: u32,
    /// When its first sample is decoded, on the cutter's line; once it is open.
    start: Option<Ticks>,
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
            self.write_part(generation, track, taken, None);
        }
    }

    /// The cutter's segment is whole.
    pub fn close(&mut self, generation: &mut Generation, extent: &Extent) {
        self.write_parts(generation);
        let ends = self.ends(generation, extent.decode_end);
        for track in 0..self.outputs.len() {
            self.write_waiting(generation, track);
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

    fn close_track(&mut self, generation: &mut Generation, track: usize, extent: &Extent) {
        if self.outputs[track].end.is_none() {
            self.fill(generation, track, extent);
        }
        let output = &mut self.outputs[track];
        let body: crate::chunks::Chunks = std::mem::take(&mut output.slices).into_iter().collect();
        let mut extent = Extent { size_bytes: body.size_bytes(), ..*extent };
        if generation.tracks[track].role == Role::Audio
            && let (Some(start), Some(end)) = (output.start, output.end)
        {
            extent.head = sound_head(&self.head, start);
            extent.duration = start.until(end);
            extent.decode_end = end;
        }
        for at in generation.of_track(track) {
            let rate = generation.streams[at].new_frame_rate();
            self.queue.extend(rate.map(|rate| Event::FrameRate { track, rate }));
        }
        generation.states[track].end = Some(extent.decode_end);
        self.queue.push(Event::Segment { track, ordinal: self.ordinal, extent, body });
    }

    /// A track of which nothing came: a fragment without samples, if its description is known from before.
    fn fill(&mut self, generation: &mut Generation, track: usize, extent: &Extent) {
        let (start, end) = self.void(generation, track, extent);
        let mut fragments = Vec::new();
        for at in generation.of_track(track) {
            let stream = &mut generation.streams[at];
            let Some(entry) = stream.entry().cloned() else { continue };
            let since = match &stream.media {
                Media::Pictures(_) => self.head.decode_start,
                Media::Sounds(_) => start,
            };
            let known = stream.end(&self.place, entry.timescale);
            let point = known.unwrap_or_else(|| Line::new(entry.timescale).samples(since + self.place.shift));
            let mut empty = Fragment { entry: Some(entry), ..Fragment::default() };
            let whole = stream.take_samples(&self.place, &mut empty, 0, point);
            fragments.extend(whole.map(|whole| (stream.track_id, whole)));
        }
        if fragments.is_empty() {
            self.open_track(track, sound_head(&self.head, start));
            self.outputs[track].end = Some(end);
        } else {
            let shift = self.place.shift;
            self.write(generation, track, Taken { fragments, start: start + shift, end: end + shift });
        }
    }

    /// From when to when a track of which nothing came has nothing. Sound that is only late comes yet, behind the
    /// sound before it.
    fn void(&self, generation: &Generation, track: usize, extent: &Extent) -> (Ticks, Ticks) {
        let end = self.head.start + Ticks::from(extent.duration);
        match generation.states[track].end.filter(|_| !self.head.is_discontinuity) {
            Some(start) => (start, start.max(end - MAX_LAG)),
            None => (self.head.start, end),
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

/// The head of a segment of sound that begins at `start`.
const fn sound_head(head: &Head, start: Ticks) -> Head {
    Head { start, decode_start: start, is_independent: true, ..*head }
}
