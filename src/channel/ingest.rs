//! One rendition's bytes, read and cut.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};

use super::{MAX_BYTES_WITHOUT_PACKETS, MAX_BYTES_WITHOUT_PROGRAM, MAX_SEGMENT_BYTES};
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
    /// Nothing more will come.
    End(Ending),
}

/// How a rendition's stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// After a stream.
    Stream,
    /// Without one: what came instead. Its encoder's death is a better reason, if it died.
    Nothing(String),
    /// It is not read on, for what comes is no stream; its encoder dies of that.
    Hopeless(String),
}

/// Anchors kept for renditions that lag behind.
const ANCHORS: usize = 16;

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
        for (timeline, anchor) in anchors.iter() {
            cutter.share_anchor(*timeline, *anchor);
        }
    }

    fn take_from(&self, cutter: &Cutter) {
        if let Some((timeline, anchor)) = cutter.anchor() {
            let mut anchors = self.anchors.lock().unwrap_or_else(PoisonError::into_inner);
            anchors.entry(timeline).or_insert(anchor);
            // Of a source that loops there is no end of timelines.
            while anchors.len() > ANCHORS {
                anchors.pop_first();
            }
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
    let mut stream = Stream {
        segmenter: Segmenter::new(&options),
        formats: Formats::default(),
        received: 0,
        since_segment: 0,
    };
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
    /// Bytes received since a segment was whole.
    since_segment: u64,
}

impl Stream {
    fn push(&mut self, chunk: bytes::Bytes, arrived: SystemTime) -> Vec<Item> {
        self.received += chunk.len() as u64;
        self.since_segment += chunk.len() as u64;
        let formats = &mut self.formats;
        let items: Vec<_> =
            self.segmenter.push(chunk).filter_map(|output| item(output, arrived, formats)).collect();
        if items.iter().any(|item| matches!(item, Item::Segment(_))) {
            self.since_segment = 0;
        }
        items
    }

    /// Whether the open segment has grown beyond what is held in memory: nothing in the stream ends it.
    fn is_endless(&self) -> bool {
        self.since_segment > MAX_SEGMENT_BYTES
    }

    fn is_hopeless(&mut self) -> bool {
        let cutter = self.segmenter.cutter();
        (self.received > MAX_BYTES_WITHOUT_PACKETS && !cutter.has_packets())
            || (self.received > MAX_BYTES_WITHOUT_PROGRAM && cutter.program().is_none())
            || self.is_endless()
    }

    fn finish(mut self) -> Vec<Item> {
        let (is_hopeless, is_endless) = (self.is_hopeless(), self.is_endless());
        let cutter = self.segmenter.cutter();
        let what = match (self.received, cutter.has_packets(), cutter.program()) {
            (0, ..) => Some("its encoder gave no bytes"),
            (_, false, _) => {
                Some("its encoder's output is no MPEG transport stream: does its command end in -f mpegts -?")
            }
            (_, true, None) => Some("there is no program in its transport stream"),
            _ if is_endless => Some(
                "no segment came to its end in 512 MiB of its stream: is it scrambled, or without timestamps?",
            ),
            _ => None,
        };
        let ending = match what.map(str::to_owned) {
            None => Ending::Stream,
            Some(what) if is_hopeless => Ending::Hopeless(what),
            Some(what) => Ending::Nothing(what),
        };
        let mut formats = self.formats;
        let now = SystemTime::now();
        let last = self.segmenter.finish().filter_map(|output| item(output, now, &mut formats));
        last.collect::<Vec<_>>().into_iter().chain([Item::End(ending)]).collect()
    }
}

fn item(output: Output, arrived: SystemTime, formats: &mut Formats) -> Option<Item> {
    match output {
        Output::Open(head) => Some(Item::Open(head, arrived)),
        Output::Segment(segment) => Some(Item::Segment(segment)),
        Output::Anomaly(anomaly) => Some(Item::Anomaly(anomaly)),
        Output::Program(program) => formats.program(&program).map(Item::Formats),
        Output::Format { pid, format } => formats.take(pid, format).map(Item::Formats),
        Output::Part { .. } => None,
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::codec::{Audio, Codec};

    fn program(streams: &[(u16, Codec)]) -> Program {
        let streams = streams.iter().map(|&(pid, codec)| crate::ts::Stream {
            pid: Pid::new(pid),
            stream_type: 0,
            codec,
            language: None,
            descriptors: Bytes::new(),
        });
        Program {
            number: 1,
            transport_stream_id: 1,
            pmt_pid: Pid::new(0x1000),
            pcr_pid: Pid::new(0x100),
            version: 0,
            streams: streams.collect(),
            section: Bytes::new(),
        }
    }

    fn sound(channels: u8) -> Format {
        Format::Audio(Audio {
            codec: Codec::AacAdts,
            rfc6381: Some("mp4a.40.2".to_owned()),
            sample_rate_hz: 48_000,
            channels,
            samples_per_frame: 1024,
        })
    }

    #[test]
    fn formats_are_told_when_all_are_known_and_again_when_one_changes() {
        let mut formats = Formats::default();
        let (first, second) = (Pid::new(0x101), Pid::new(0x102));
        assert_eq!(formats.take(first, sound(2)), None, "no program yet");
        assert_eq!(formats.program(&program(&[(0x101, Codec::AacAdts), (0x102, Codec::AacAdts)])), None);
        assert_eq!(formats.take(second, sound(1)), None);
        assert_eq!(formats.take(first, sound(2)), Some(vec![sound(2), sound(1)]));
        assert_eq!(formats.take(second, sound(6)), Some(vec![sound(2), sound(6)]));
    }

    #[test]
    fn a_stream_that_leaves_the_program_is_told_no_more_and_data_never_is() {
        let mut formats = Formats::default();
        formats.program(&program(&[(0x101, Codec::AacAdts), (0x102, Codec::AacAdts), (0x103, Codec::Id3)]));
        formats.take(Pid::new(0x101), sound(2));
        formats.take(Pid::new(0x102), sound(1));
        assert_eq!(formats.program(&program(&[(0x102, Codec::AacAdts)])), Some(vec![sound(1)]));
        assert_eq!(formats.program(&program(&[(0x103, Codec::Id3)])), None);
    }

    fn end_of(bytes: &[u8]) -> Ending {
        let mut stream = Stream {
            segmenter: Segmenter::new(&Options::default()),
            formats: Formats::default(),
            received: 0,
            since_segment: 0,
        };
        for chunk in bytes.chunks(10_000) {
            stream.push(Bytes::copy_from_slice(chunk), SystemTime::UNIX_EPOCH);
        }
        match stream.finish().pop() {
            Some(Item::End(ending)) => ending,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_no_stream_is_told_and_given_up_early() {
        assert_eq!(end_of(b""), Ending::Nothing("its encoder gave no bytes".to_owned()));
        assert!(
            matches!(end_of(&[0; 5000]), Ending::Nothing(what) if what.contains("no MPEG transport stream"))
        );
        assert!(matches!(end_of(&vec![0; 300 << 10]), Ending::Hopeless(_)));
        let null = [&[0x47, 0x1f, 0xff, 0x10][..], &[0xff; 184]].concat();
        assert!(matches!(end_of(&null.repeat(100)), Ending::Nothing(what) if what.contains("no program")));
    }
}
