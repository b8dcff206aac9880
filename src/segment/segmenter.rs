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
    /// A segment begins.
    Open(Head),
    /// A segment is whole.
    Segment(Segment),
    /// Something is wrong with the stream.
    Anomaly(Anomaly),
}

/// Cuts a transport stream into whole segments, each held until it is complete.
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

/// Slices of the segments that are not whole yet: two at most.
#[derive(Debug, Default)]
struct Gathering(VecDeque<(u64, Vec<Bytes>)>);

impl Segmenter {
    /// Cuts as `options` say.
    pub fn new(options: &Options) -> Self {
        Self { cutter: Cutter::new(options), gathering: Gathering::default() }
    }

    /// Takes the next bytes. What comes of them is drawn from the iterator; what is not drawn is lost with it.
    pub fn push(&mut self, chunk: Bytes) -> impl Iterator<Item = Output> {
        let gathering = &mut self.gathering;
        self.cutter.push(chunk).filter_map(|event| gathering.take(event))
    }

    /// The stream is over: its last segments.
    pub fn finish(self) -> impl Iterator<Item = Output> {
        let mut gathering = self.gathering;
        self.cutter.finish().filter_map(move |event| gathering.take(event))
    }

    /// The cutter underneath, for its questions and limits.
    pub const fn cutter(&mut self) -> &mut Cutter {
        &mut self.cutter
    }
}

impl Gathering {
    fn take(&mut self, event: Event) -> Option<Output> {
        match event {
            Event::Program(program) => Some(Output::Program(program)),
            Event::Format { pid, format } => Some(Output::Format { pid, format }),
            Event::Anomaly(anomaly) => Some(Output::Anomaly(anomaly)),
            Event::Open { ordinal, head } => {
                self.0.push_back((ordinal, Vec::new()));
                Some(Output::Open(head))
            }
            Event::Data { ordinal, bytes } => {
                let (_, slices) = self.0.iter_mut().find(|(of, _)| *of == ordinal)?;
                slices.push(bytes);
                None
            }
            Event::Close { ordinal, extent } => {
                let index = self.0.iter().position(|(of, _)| *of == ordinal)?;
                let (_, slices) = self.0.remove(index)?;
                Some(Output::Segment(Segment { ordinal, extent, chunks: slices.into_iter().collect() }))
            }
        }
    }
}
