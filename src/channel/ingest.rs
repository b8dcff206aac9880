//! One rendition's bytes, read and cut.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};

use super::MAX_BYTES_WITHOUT_PROGRAM;
use crate::codec::Format;
use crate::encoder;
use crate::segment::{Cutter, Head, Options, Output, Segment, Segmenter};
use crate::time::Ticks;
use crate::ts::{Anomaly, Pid, Program};

/// What one rendition's stream gave.
#[derive(Debug)]
pub enum Item {
    /// A segment begins; its first bytes came at this time.
    Open(Head, SystemTime),
    /// A segment is whole.
    Segment(Segment),
    /// All its formats are known, or have become others.
    Formats(Vec<Format>),
    /// Something is wrong.
    Anomaly(Anomaly),
    /// Nothing more will come; with the reason, if what came was no stream.
    End(Result<(), String>),
}

/// What the renditions of a channel share, so that they cut at the same pictures.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The anchor of each timeline's grid: that of the rendition which began it.
    anchors: Arc<Mutex<BTreeMap<u32, Ticks>>>,
    /// The target duration, once it is out there.
    longest: watch::Receiver<Option<Duration>>,
}

impl Shared {
    /// Nothing shared yet.
    pub fn new(longest: watch::Receiver<Option<Duration>>) -> Self {
        Self { anchors: Arc::default(), longest }
    }

    fn bring_to(&mut self, cutter: &mut Cutter) {
        if let Some(longest) = *self.longest.borrow_and_update() {
            cutter.limit_to(longest);
        }
        let anchors = self.anchors.lock().unwrap_or_else(PoisonError::into_inner);
        for (timeline, anchor) in anchors.iter().rev().take(2) {
            cutter.share_anchor(*timeline, *anchor);
        }
    }

    fn take_from(&self, cutter: &Cutter) {
        if let Some((timeline, anchor)) = cutter.anchor() {
            let mut anchors = self.anchors.lock().unwrap_or_else(PoisonError::into_inner);
            anchors.entry(timeline).or_insert(anchor);
        }
    }
}

/// Reads `output` to its end.
pub async fn ingest(
    mut output: encoder::Output,
    options: Options,
    mut shared: Shared,
    items: mpsc::Sender<(usize, Item)>,
) {
    let rendition = output.rendition();
    let mut stream = Stream { segmenter: Segmenter::new(&options), formats: Formats::default(), received: 0 };
    loop {
        let chunk = match output.read().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break,
            Err(error) => {
                tracing::warn!(rendition, "cannot read the encoder's pipe: {error}");
                break;
            }
        };
        let arrived = SystemTime::now();
        shared.bring_to(stream.segmenter.cutter());
        let out = stream.push(chunk, arrived);
        shared.take_from(stream.segmenter.cutter());
        for item in out {
            if items.send((rendition, item)).await.is_err() {
                return;
            }
        }
        if stream.is_hopeless() {
            break;
        }
    }
    for item in stream.finish() {
        if items.send((rendition, item)).await.is_err() {
            return;
        }
    }
}

struct Stream {
    segmenter: Segmenter,
    formats: Formats,
    received: u64,
}

impl Stream {
    fn push(&mut self, chunk: bytes::Bytes, arrived: SystemTime) -> Vec<Item> {
        self.received += chunk.len() as u64;
        let formats = &mut self.formats;
        self.segmenter.push(chunk).filter_map(|output| item(output, arrived, formats)).collect()
    }

    fn is_hopeless(&mut self) -> bool {
        self.received > MAX_BYTES_WITHOUT_PROGRAM && self.segmenter.cutter().program().is_none()
    }

    fn finish(mut self) -> Vec<Item> {
        let cutter = self.segmenter.cutter();
        let what = match (self.received, cutter.has_packets(), cutter.program()) {
            (0, ..) => Err("its encoder gave no bytes".to_owned()),
            (_, false, _) => {
                Err("its encoder's output is no MPEG transport stream: does its command end in -f mpegts -?"
                    .into())
            }
            (_, true, None) => Err("there is no program in its transport stream".to_owned()),
            _ => Ok(()),
        };
        let mut formats = self.formats;
        let now = SystemTime::now();
        let last = self.segmenter.finish().filter_map(|output| item(output, now, &mut formats));
        last.collect::<Vec<_>>().into_iter().chain([Item::End(what)]).collect()
    }
}

fn item(output: Output, arrived: SystemTime, formats: &mut Formats) -> Option<Item> {
    match output {
        Output::Open(head) => Some(Item::Open(head, arrived)),
        Output::Segment(segment) => Some(Item::Segment(segment)),
        Output::Anomaly(anomaly) => Some(Item::Anomaly(anomaly)),
        Output::Program(program) => formats.program(&program).map(Item::Formats),
        Output::Format { pid, format } => formats.take(pid, format).map(Item::Formats),
    }
}

/// The formats of a program's pictures and sound.
#[derive(Debug, Default)]
struct Formats(BTreeMap<Pid, Option<Format>>);

impl Formats {
    fn program(&mut self, program: &Program) -> Option<Vec<Format>> {
        let streams =
            program.streams.iter().filter(|stream| stream.codec.is_video() || stream.codec.is_audio());
        self.0 = streams.map(|stream| (stream.pid, self.0.remove(&stream.pid).flatten())).collect();
        self.all()
    }

    fn take(&mut self, pid: Pid, format: Format) -> Option<Vec<Format>> {
        *self.0.get_mut(&pid)? = Some(format);
        self.all()
    }

    /// All of them, once all are known.
    fn all(&self) -> Option<Vec<Format>> {
        let all: Option<Vec<_>> = self.0.values().cloned().collect();
        all.filter(|formats| !formats.is_empty())
    }
}
