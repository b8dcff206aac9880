//! From the cutter's events to tracks.

use std::collections::VecDeque;
use std::time::Duration;

use super::draft::Draft;
use super::generation::Generation;
use super::stream::{Place, Stream};
use super::{Event, Layout, Options};
use crate::segment::{self, Extent, Head, Part};
use crate::time::{Stamp, Ticks};
use crate::ts::{Packet, Program, packets};

/// Makes fragments of a cut stream. It holds the segments that are not whole, two at most, in one copy.
#[derive(Debug)]
pub struct Fragmenter {
    layout: Layout,
    /// The newest is what segments that open are made of; an older one ends with its last segment.
    generations: VecDeque<Generation>,
    /// Each with the number of generations that have ended before its own.
    drafts: VecDeque<(u64, Draft)>,
    ended: u64,
    /// The segment that was closed last.
    last: u64,
    shift: Ticks,
    timeline: u64,
    now: Option<Duration>,
    queue: VecDeque<Event>,
}

impl Fragmenter {
    /// Fragments as `options` say.
    pub fn new(options: &Options) -> Self {
        Self {
            layout: options.layout,
            generations: VecDeque::new(),
            drafts: VecDeque::new(),
            ended: 0,
            last: 0,
            shift: Ticks::ZERO,
            timeline: 0,
            now: None,
            queue: VecDeque::new(),
        }
    }

    /// What time it is by the wall clock, since 1970. Fragments that are made from now on tell it, each that has samples
    /// in a prft ahead of its moof, by which players measure how far they are behind. With none they do not, as at first.
    pub fn set_now(&mut self, now: Option<Duration>) {
        self.now = now;
        self.generations.iter_mut().for_each(|generation| generation.now = now);
    }

    /// Takes the cutter's next event. What comes of it is drawn from the iterator; what is not drawn is lost with it.
    pub fn push(&mut self, event: &segment::Event) -> impl Iterator<Item = Event> {
        match event {
            segment::Event::Program(program) => self.take_program(program),
            segment::Event::Open { ordinal, head } => self.open(*ordinal, *head),
            segment::Event::Data { ordinal, bytes } => self.take_packets(*ordinal, bytes),
            segment::Event::Part { ordinal, part } => self.part(*ordinal, part),
            segment::Event::Close { ordinal, extent } => self.close(*ordinal, extent),
            _ => {}
        }
        self.queue.drain(..)
    }

    /// The cutter has broken off: nothing of what comes next belongs to what has come. To be called behind the last of
    /// [`Cutter::break_off`](segment::Cutter::break_off)'s events. Returns the gaps of tracks that ended before the others.
    pub fn break_off(&mut self) -> impl Iterator<Item = Event> {
        let streams = self.generations.iter_mut().flat_map(|generation| &mut generation.streams);
        streams.for_each(Stream::break_off);
        self.leave();
        self.queue.drain(..)
    }

    /// The stream is over. The cutter has closed its segments by then, so that nothing is left but what it did not
    /// close, and the gaps of tracks that ended before the others.
    pub fn finish(mut self) -> impl Iterator<Item = Event> {
        self.leave();
        self.queue.into_iter()
    }

    /// Tells the gaps at the end of the timeline.
    fn leave(&mut self) {
        if let Some(generation) = self.generations.back_mut() {
            let ordinal = self.last;
            let gaps = (0..generation.tracks.len()).flat_map(|track| generation.finish(track, ordinal));
            self.queue.extend(gaps.collect::<Vec<_>>());
        }
    }

    fn take_program(&mut self, program: &Program) {
        if self.generations.back().is_some_and(|newest| newest.is_of(program)) {
            return;
        }
        let (mut generation, anomalies) = Generation::new(program, self.layout);
        generation.now = self.now;
        let told = std::iter::once(Event::Tracks(generation.tracks.clone()));
        let told = told.chain(anomalies.into_iter().map(Event::Anomaly));
        match self.drafts.back_mut() {
            Some((_, draft)) => draft.behind.extend(told),
            None => self.queue.extend(told),
        }
        self.generations.push_back(generation);
        self.forget();
    }

    /// Generations of which no segment is under way have ended, but for the newest.
    fn forget(&mut self) {
        let needed = self.drafts.front().map(|(generation, _)| *generation);
        while self.generations.len() > 1 && needed.is_none_or(|needed| needed > self.ended) {
            self.generations.pop_front();
            self.ended += 1;
        }
    }

    fn open(&mut self, ordinal: u64, head: Head) {
        let number = self.ended + (self.generations.len() as u64).saturating_sub(1);
        let Some(generation) = self.generations.back() else { return };
        if head.is_discontinuity {
            self.timeline += 1;
        }
        // A line that is joined just before its origin, or runs back over it, is told from one turn of the clock later.
        while (head.decode_start + self.shift) < Ticks::ZERO && self.shift < Ticks::new(i64::MAX / 2) {
            self.shift = self.shift + Ticks::new(Stamp::COUNT as i64);
        }
        let place = Place { start: head.decode_start, shift: self.shift, timeline: self.timeline };
        self.drafts.push_back((number, Draft::new(ordinal, head, place, generation)));
    }

    fn take_packets(&mut self, ordinal: u64, bytes: &[u8]) {
        for packet in packets(bytes) {
            self.take_packet(ordinal, packet);
        }
        self.tell();
    }

    fn take_packet(&mut self, ordinal: u64, packet: Packet<'_>) {
        let Some(index) = self.drafts.iter().position(|(_, draft)| draft.ordinal == ordinal) else { return };
        let number = self.drafts[index].0;
        let Some(generation) = generation(&mut self.generations, self.ended, number) else { return };
        let Some(at) = generation.find(packet.pid()) else { return };
        let stream = &mut generation.streams[at];
        if let Some(before) = stream.ordinal.replace(ordinal).filter(|before| *before != ordinal)
            && let Some((_, draft)) =
                self.drafts.iter_mut().find(|(of, draft)| *of == number && draft.ordinal == before)
        {
            stream.end_picture(&mut draft.fragments[at]);
        }
        let (_, draft) = &mut self.drafts[index];
        stream.take(packet, &draft.place, &mut draft.fragments[at]);
        draft.queue.extend(stream.troubles().into_iter().map(Event::Anomaly));
        draft.open_sound(generation, at);
        if index == 0 {
            draft.part_sound(generation, at);
        }
    }

    fn part(&mut self, ordinal: u64, part: &Part) {
        if let Some((number, draft)) = self.drafts.iter_mut().find(|(_, draft)| draft.ordinal == ordinal)
            && let Some(generation) = generation(&mut self.generations, self.ended, *number)
        {
            draft.part(generation, part);
        }
        self.write_parts();
        self.tell();
    }

    /// Segments become whole in their order: it is the first.
    fn close(&mut self, ordinal: u64, extent: &Extent) {
        while let Some((number, mut draft)) = self.drafts.pop_front() {
            let is_it = draft.ordinal == ordinal;
            if is_it && let Some(generation) = generation(&mut self.generations, self.ended, number) {
                draft.close(generation, extent);
            }
            self.last = draft.ordinal;
            self.queue.extend(draft.queue.drain(..));
            self.queue.extend(draft.behind.drain(..));
            if is_it {
                break;
            }
        }
        self.forget();
        self.write_parts();
        self.tell();
    }

    /// Writes the parts of the oldest segment: those of the next are numbered and described behind them.
    fn write_parts(&mut self) {
        if let Some((number, draft)) = self.drafts.front_mut()
            && let Some(generation) = generation(&mut self.generations, self.ended, *number)
        {
            draft.write_parts(generation);
        }
    }

    /// Hands out what is told of the oldest segment.
    fn tell(&mut self) {
        if let Some((number, draft)) = self.drafts.front_mut() {
            if let Some(generation) = generation(&mut self.generations, self.ended, *number) {
                draft.tell_gaps(generation);
            }
            self.queue.extend(draft.queue.drain(..));
        }
    }
}

fn generation(generations: &mut VecDeque<Generation>, ended: u64, number: u64) -> Option<&mut Generation> {
    generations.get_mut(usize::try_from(number.checked_sub(ended)?).ok()?)
}
