//! Whole segments.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::{Cutter, Event, Extent, Head, Options, Part};
use crate::chunks::Chunks;
use crate::codec::Format;
use crate::time::Rate;
use crate::ts::{Anomaly, Pid, Program};

/// A whole segment: a stream that stands alone, in slices of what was pushed.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Counts up from 0.
    pub ordinal: u64,
    /// Its numbers.
    pub extent: Extent,
    /// Its bytes.
    pub chunks: Chunks,
}

/// What a [`Segmenter`] gives.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Output {
    /// The program's table came, or became another.
    Program(Arc<Program>),
    /// A stream's format became known, or another.
    Format {
        /// The stream.
        pid: Pid,
        /// What it is from here on.
        format: Format,
    },
    /// The frame rate of the video that cuts are made by, see [`Event::FrameRate`].
    FrameRate {
        /// The stream.
        pid: Pid,
        /// Frames a second.
        rate: Rate,
    },
    /// A segment begins; the one before is whole by then.
    Open(Head),
    /// A part of the open segment is whole; the last one comes just before the segment.
    Part {
        /// The segment.
        ordinal: u64,
        /// Its numbers.
        part: Part,
        /// Its bytes: the segment's since the part before.
        chunks: Chunks,
    },
    /// A segment is whole.
    Segment(Segment),
    /// Something is wrong with the stream.
    Anomaly(Anomaly),
}

/// Cuts a transport stream into whole segments, each held until it is complete: memory grows with the longest. A
/// stream that nothing ends a segment of, such as one that turns scrambled, is for its owner to give up; a
/// [`Cutter`] holds no segments.
///
/// ```
/// use segcast::segment::{Options, Output, Segmenter};
/// # let chunks: Vec<bytes::Bytes> = vec![];
/// let mut segmenter = Segmenter::new(&Options::default());
/// for chunk in chunks {
///     for output in segmenter.push(chunk) {
///         if let Output::Segment(segment) = output {
///             println!("{:.3} s, {} bytes", segment.extent.duration.as_secs_f64(), segment.chunks.size_bytes());
///         }
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Segmenter {
    cutter: Cutter,
    gatherer: Gatherer,
}

/// Puts a cutter's events together to whole segments, for those who drive a [`Cutter`] themselves. It holds two
/// segments at most, and does not tell of the second before the first is whole.
#[derive(Debug, Default)]
pub struct Gatherer {
    drafts: VecDeque<Draft>,
    queue: VecDeque<Output>,
}

#[derive(Debug)]
struct Draft {
    ordinal: u64,
    head: Head,
    slices: Vec<Bytes>,
    /// Its slices that are in no part yet begin here.
    part_at: usize,
    /// Parts that wait for the segment before to become whole.
    parts: Vec<Output>,
}

impl Segmenter {
    /// Cuts as `options` say.
    pub fn new(options: &Options) -> Self {
        Self { cutter: Cutter::new(options), gatherer: Gatherer::default() }
    }

    /// Takes the next bytes. What comes of them is drawn from the iterator; what is not drawn is lost with it.
    pub fn push(&mut self, chunk: Bytes) -> impl Iterator<Item = Output> {
        let gatherer = &mut self.gatherer;
        let mut events = self.cutter.push(chunk);
        std::iter::from_fn(move || gatherer.next(&mut events))
    }

    /// The stream breaks off: its last segments. What is pushed next is another stream, see [`Cutter::break_off`].
    pub fn break_off(&mut self) -> impl Iterator<Item = Output> {
        let gatherer = &mut self.gatherer;
        let mut events = self.cutter.break_off();
        std::iter::from_fn(move || gatherer.next(&mut events))
    }

    /// The stream is over: its last segments.
    pub fn finish(self) -> impl Iterator<Item = Output> {
        let mut gatherer = self.gatherer;
        let mut events = self.cutter.finish();
        std::iter::from_fn(move || gatherer.next(&mut events))
    }

    /// The cutter underneath, for its questions and limits.
    pub const fn cutter(&mut self) -> &mut Cutter {
        &mut self.cutter
    }
}

impl Gatherer {
    /// What has come of the events so far.
    pub fn pop(&mut self) -> Option<Output> {
        self.queue.pop_front()
    }

    /// What comes next of these events.
    fn next(&mut self, events: &mut impl Iterator<Item = Event>) -> Option<Output> {
        loop {
            if let Some(output) = self.pop() {
                return Some(output);
            }
            self.take(events.next()?);
        }
    }

    /// Takes the next event; what comes of it is drawn with [`pop`](Self::pop).
    pub fn take(&mut self, event: Event) {
        match event {
            Event::Program(program) => self.queue.push_back(Output::Program(program)),
            Event::Format { pid, format } => self.queue.push_back(Output::Format { pid, format }),
            Event::FrameRate { pid, rate } => self.queue.push_back(Output::FrameRate { pid, rate }),
            Event::Anomaly(anomaly) => self.queue.push_back(Output::Anomaly(anomaly)),
            Event::Open { ordinal, head } => self.open(ordinal, head),
            Event::Data { ordinal, bytes } => {
                if let Some(draft) = self.draft(ordinal) {
                    draft.slices.push(bytes);
                }
            }
            Event::Part { ordinal, part } => self.part(ordinal, part),
            Event::Close { extent, .. } => self.close(extent),
        }
    }

    fn draft(&mut self, ordinal: u64) -> Option<&mut Draft> {
        self.drafts.iter_mut().find(|draft| draft.ordinal == ordinal)
    }

    fn open(&mut self, ordinal: u64, head: Head) {
        if self.drafts.is_empty() {
            self.queue.push_back(Output::Open(head));
        }
        self.drafts.push_back(Draft { ordinal, head, slices: Vec::new(), part_at: 0, parts: Vec::new() });
    }

    fn part(&mut self, ordinal: u64, part: Part) {
        let is_first = self.drafts.front().is_some_and(|draft| draft.ordinal == ordinal);
        let Some(draft) = self.draft(ordinal) else { return };
        let chunks = draft.slices.iter().skip(draft.part_at).cloned().collect();
        draft.part_at = draft.slices.len();
        let output = Output::Part { ordinal, part, chunks };
        if is_first {
            self.queue.push_back(output);
        } else {
            draft.parts.push(output);
        }
    }

    /// Segments become whole in their order: it is the first.
    fn close(&mut self, extent: Extent) {
        if let Some(Draft { ordinal, slices, .. }) = self.drafts.pop_front() {
            let chunks = slices.into_iter().collect();
            self.queue.push_back(Output::Segment(Segment { ordinal, extent, chunks }));
        }
        if let Some(next) = self.drafts.front_mut() {
            self.queue.push_back(Output::Open(next.head));
            self.queue.extend(next.parts.drain(..));
        }
    }
}
