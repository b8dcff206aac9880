//! Whole segments.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::{Cutter, Event, Extent, Head, Options};
use crate::chunks::Chunks;
use crate::codec::Format;
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
    /// A segment begins; the one before is whole by then.
    Open(Head),
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
    gathering: Gathering,
}

/// Segments that are not whole yet: two at most, the second not told of before the first is whole.
#[derive(Debug, Default)]
struct Gathering(VecDeque<Draft>);

#[derive(Debug)]
struct Draft {
    ordinal: u64,
    head: Head,
    slices: Vec<Bytes>,
}

impl Segmenter {
    /// Cuts as `options` say.
    pub fn new(options: &Options) -> Self {
        Self { cutter: Cutter::new(options), gathering: Gathering::default() }
    }

    /// Takes the next bytes. What comes of them is drawn from the iterator; what is not drawn is lost with it.
    pub fn push(&mut self, chunk: Bytes) -> impl Iterator<Item = Output> {
        let gathering = &mut self.gathering;
        self.cutter.push(chunk).flat_map(|event| gathering.take(event).into_iter().flatten())
    }

    /// The stream is over: its last segments.
    pub fn finish(self) -> impl Iterator<Item = Output> {
        let mut gathering = self.gathering;
        self.cutter.finish().flat_map(move |event| gathering.take(event).into_iter().flatten())
    }

    /// The cutter underneath, for its questions and limits.
    pub const fn cutter(&mut self) -> &mut Cutter {
        &mut self.cutter
    }
}

impl Gathering {
    fn take(&mut self, event: Event) -> [Option<Output>; 2] {
        let output = match event {
            Event::Program(program) => Output::Program(program),
            Event::Format { pid, format } => Output::Format { pid, format },
            Event::Anomaly(anomaly) => Output::Anomaly(anomaly),
            Event::Open { ordinal, head } => {
                self.0.push_back(Draft { ordinal, head, slices: Vec::new() });
                return [(self.0.len() == 1).then_some(Output::Open(head)), None];
            }
            Event::Data { ordinal, bytes } => {
                if let Some(draft) = self.0.iter_mut().find(|draft| draft.ordinal == ordinal) {
                    draft.slices.push(bytes);
                }
                return [None, None];
            }
            Event::Close { extent, .. } => return self.close(extent),
        };
        [Some(output), None]
    }

    /// Segments become whole in their order: it is the first.
    fn close(&mut self, extent: Extent) -> [Option<Output>; 2] {
        let whole = self.0.pop_front().map(|draft| {
            let chunks = draft.slices.into_iter().collect();
            Output::Segment(Segment { ordinal: draft.ordinal, extent, chunks })
        });
        [whole, self.0.front().map(|draft| Output::Open(draft.head))]
    }
}
