//! One encoder's bytes, read and cut.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::clock::Clock;
use super::package::{Item, Packager};
use super::{MAX_BYTES_UNPLAYABLE, MAX_BYTES_WITHOUT_PACKETS, MAX_BYTES_WITHOUT_PROGRAM, MAX_SEGMENT_BYTES};
use crate::encoder;
use crate::segment::Cutter;
use crate::time::Ticks;

/// What encoders gave that may wait for the loop.
const QUEUE: usize = 64;

/// What one encoder's stream gave.
#[derive(Debug)]
pub enum Given {
    /// What came of its renditions, in order.
    Items(Vec<(usize, Item)>),
    /// Nothing more will come of it. The packager can take up another stream where this one broke off.
    End(Ending, Box<Packager>),
    /// It is not read any more: the task that did it has panicked.
    Lost,
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
struct Shared {
    /// The anchor of each timeline's grid: that of the rendition which began it.
    anchors: Arc<Mutex<BTreeMap<u32, Ticks>>>,
    /// The target duration, once it is out there.
    longest: watch::Receiver<Option<Duration>>,
    clock: Arc<Clock>,
}

impl Shared {
    fn new(longest: watch::Receiver<Option<Duration>>, clock: Arc<Clock>) -> Self {
        Self { anchors: Arc::default(), longest, clock }
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

/// The tasks that read encoders' pipes, each with the place of its rung in the ladder.
#[derive(Debug)]
pub struct Readers {
    tasks: JoinSet<()>,
    shared: Shared,
    given: mpsc::Sender<(usize, Given)>,
}

impl Readers {
    /// None yet; what they will give comes with the other half.
    pub fn new(
        longest: watch::Receiver<Option<Duration>>,
        clock: Arc<Clock>,
    ) -> (Self, mpsc::Receiver<(usize, Given)>) {
        let (given, received) = mpsc::channel(QUEUE);
        (Self { tasks: JoinSet::new(), shared: Shared::new(longest, clock), given }, received)
    }

    /// Reads all outputs, each with the packager of its rung.
    pub fn read(&mut self, running: &mut encoder::Running, mut packagers: BTreeMap<usize, Box<Packager>>) {
        // Those before have ended, and what they shared with them: timelines begin anew.
        while self.tasks.try_join_next().is_some() {}
        self.shared.anchors.lock().unwrap_or_else(PoisonError::into_inner).clear();
        for output in running.outputs.drain(..) {
            if let Some(packager) = packagers.remove(&output.rendition()) {
                let (rung, given) = (output.rendition(), self.given.clone());
                let task = tokio::spawn(ingest(output, packager, self.shared.clone(), given.clone()));
                self.tasks.spawn(async move {
                    if task.await.is_err() {
                        // Whoever does not listen any more has ended.
                        let _ = given.send((rung, Given::Lost)).await;
                    }
                });
            }
        }
    }
}

/// Reads `output` to its end. What comes of it is told with the place of its encoder's rung in the ladder.
async fn ingest(
    mut output: encoder::Output,
    packager: Box<Packager>,
    mut shared: Shared,
    given: mpsc::Sender<(usize, Given)>,
) {
    let rung = output.rendition();
    let mut stream = Stream { packager, received: 0, since_segment: 0 };
    loop {
        let chunk = match output.read().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break,
            Err(error) => {
                tracing::warn!(rung, "cannot read the encoder's pipe: {error}");
                break;
            }
        };
        let arrived = shared.clock.steady();
        stream.packager.set_ahead_ms(shared.clock.ahead_ms());
        shared.bring_to(stream.packager.cutter());
        let items = stream.push(chunk, arrived);
        shared.take_from(stream.packager.cutter());
        if !items.is_empty() && given.send((rung, Given::Items(items))).await.is_err() {
            return;
        }
        if stream.is_hopeless() {
            break;
        }
    }
    let (items, ending) = stream.end(shared.clock.steady());
    if given.send((rung, Given::Items(items))).await.is_ok() {
        // Whoever does not listen any more has ended.
        let _ = given.send((rung, Given::End(ending, stream.packager))).await;
    }
}

struct Stream {
    packager: Box<Packager>,
    received: u64,
    /// Bytes received since a segment was whole.
    since_segment: u64,
}

impl Stream {
    fn push(&mut self, chunk: bytes::Bytes, arrived: SystemTime) -> Vec<(usize, Item)> {
        self.received += chunk.len() as u64;
        self.since_segment += chunk.len() as u64;
        let items = self.packager.push(chunk, arrived);
        if items.iter().any(|(_, item)| matches!(item, Item::Segment(_))) {
            self.since_segment = 0;
        }
        items
    }

    /// Whether the open segment has grown beyond what is held in memory: nothing in the stream ends it.
    fn is_endless(&self) -> bool {
        self.since_segment > MAX_SEGMENT_BYTES
    }

    fn is_hopeless(&mut self) -> bool {
        let cutter = self.packager.cutter();
        (self.received > MAX_BYTES_WITHOUT_PACKETS && !cutter.has_packets())
            || (self.received > MAX_BYTES_WITHOUT_PROGRAM && cutter.program().is_none())
            || (self.received > MAX_BYTES_UNPLAYABLE && self.packager.unplayable().is_some())
            || self.is_endless()
    }

    fn end(&mut self, now: SystemTime) -> (Vec<(usize, Item)>, Ending) {
        let (is_hopeless, is_endless) = (self.is_hopeless(), self.is_endless());
        let unplayable = self.packager.unplayable();
        let cutter = self.packager.cutter();
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
        let unplayable = unplayable.map(|contents| {
            format!(
                "nothing in its stream can be played, which is {contents}: encode it, as in \
                 video = {{ codec = \"h264\" }}, audio = {{ codec = \"aac\" }}"
            )
        });
        let ending = match what.map(str::to_owned).or(unplayable) {
            None => Ending::Stream,
            Some(what) if is_hopeless => Ending::Hopeless(what),
            Some(what) => Ending::Nothing(what),
        };
        (self.packager.break_off(now), ending)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::channel::package::Lineup;
    use crate::segment::Options;

    fn end_of(bytes: &[u8]) -> Ending {
        let packager = Box::new(Packager::new(&Lineup::ts(0), &Options::default()));
        let mut stream = Stream { packager, received: 0, since_segment: 0 };
        for chunk in bytes.chunks(10_000) {
            stream.push(Bytes::copy_from_slice(chunk), SystemTime::UNIX_EPOCH);
        }
        stream.end(SystemTime::UNIX_EPOCH).1
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
