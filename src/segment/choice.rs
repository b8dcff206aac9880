//! Which of several video streams cuts are made by: the one that is listed first, if it arrives.

use std::collections::HashMap;
use std::sync::Arc;

use crate::time::Ticks;
use crate::ts::{self, Pid, Program, Stream};

/// How much of any stream may arrive while the video that is listed first does not.
const PATIENCE: Ticks = Ticks::new(2 * Ticks::PER_SECOND);
/// Bytes held at most meanwhile.
const MAX_BYTES: usize = 4 << 20;

/// What arrives before it is known which video does.
#[derive(Debug)]
pub struct Choice {
    program: Arc<Program>,
    listed: Pid,
    /// The other video that arrived first.
    other: Option<Pid>,
    /// The first PTS of each stream.
    first: HashMap<Pid, Ticks>,
    held: Vec<ts::Event>,
    held_bytes: usize,
}

impl Choice {
    /// None where there is nothing to choose: `program` has one video, or none.
    pub fn of(program: &Arc<Program>) -> Option<Self> {
        let mut videos = program.streams.iter().filter(|stream| stream.codec.is_video());
        let (listed, _) = (videos.next()?.pid, videos.next()?);
        let (held, first) = (Vec::new(), HashMap::new());
        Some(Self { program: Arc::clone(program), listed, other: None, first, held, held_bytes: 0 })
    }

    /// Holds `event`. Returns whether the choice can be made.
    pub fn hold(&mut self, event: ts::Event) -> bool {
        let is_made = match &event {
            ts::Event::Pes(start) if start.pid == self.listed => true,
            ts::Event::Pes(start) => {
                let is_video = |stream: &Stream| stream.pid == start.pid && stream.codec.is_video();
                if self.program.streams.iter().any(is_video) {
                    self.other.get_or_insert(start.pid);
                }
                start.pts.is_some_and(|pts| {
                    let step = pts - *self.first.entry(start.pid).or_insert(pts);
                    step > PATIENCE || step < Ticks::ZERO - PATIENCE
                })
            }
            ts::Event::Packets(run) => {
                self.held_bytes += run.bytes.len();
                self.held_bytes > MAX_BYTES
            }
            // The table is another.
            ts::Event::Program(_) => true,
            _ => false,
        };
        self.held.push(event);
        is_made
    }

    /// Returns the program, with the video ahead that cuts are made by; the video that did not arrive, if another did; and
    /// all that was held.
    pub fn make(self) -> (Arc<Program>, Option<Absent>, Vec<ts::Event>) {
        let has_arrived =
            |event: &ts::Event| matches!(event, ts::Event::Pes(start) if start.pid == self.listed);
        let other = self.other.filter(|_| !self.held.iter().any(has_arrived));
        let absent = other.map(|instead| Absent { listed: self.listed, instead });
        let program = absent.and_then(|absent| absent.ahead(&self.program)).unwrap_or(self.program);
        (program, absent, self.held)
    }
}

/// A video stream that is listed first and did not arrive, and the one that did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Absent {
    listed: Pid,
    instead: Pid,
}

impl Absent {
    /// `program` with the stream that arrived ahead of the one that did not. None if that is not its reference.
    pub fn ahead(&self, program: &Program) -> Option<Arc<Program>> {
        let from = program.streams.iter().position(|stream| stream.pid == self.instead)?;
        let to = program.streams.iter().position(|stream| stream.pid == self.listed)?;
        let is_reference = program.reference().is_some_and(|stream| stream.pid == self.listed);
        if !is_reference || !program.streams[from].codec.is_video() || from < to {
            return None;
        }
        let mut program = program.clone();
        program.streams[to..=from].rotate_right(1);
        Some(Arc::new(program))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::codec::Codec;
    use crate::ts::{PesStart, Run};

    const FIRST: u16 = 0x100;
    const SECOND: u16 = 0x101;
    const AUDIO: u16 = 0x102;

    fn program(streams: &[(u16, Codec)]) -> Arc<Program> {
        let stream = |&(pid, codec): &(u16, Codec)| Stream {
            pid: Pid::new(pid),
            stream_type: 0,
            codec,
            language: None,
            descriptors: Bytes::new(),
        };
        Arc::new(Program {
            number: 1,
            transport_stream_id: 1,
            pmt_pid: Pid::new(0x1000),
            pcr_pid: Pid::new(FIRST),
            version: 0,
            streams: streams.iter().map(stream).collect(),
            section: Bytes::new(),
        })
    }

    fn two_videos() -> Choice {
        let streams = [(AUDIO, Codec::AacAdts), (FIRST, Codec::H264), (SECOND, Codec::Hevc)];
        Choice::of(&program(&streams)).unwrap()
    }

    fn pes(pid: u16, seconds: i64) -> ts::Event {
        let pts = Some(Ticks::new(seconds * Ticks::PER_SECOND));
        ts::Event::Pes(PesStart {
            pid: Pid::new(pid),
            at: 0,
            stream_id: 0xe0,
            pts,
            dts: pts,
            len: None,
            is_marked_random_access: false,
            inside: None,
        })
    }

    fn order(program: &Program) -> Vec<u16> {
        program.streams.iter().map(|stream| stream.pid.bits()).collect()
    }

    #[test]
    fn with_one_video_there_is_no_choice() {
        assert!(Choice::of(&program(&[(AUDIO, Codec::AacAdts), (FIRST, Codec::H264)])).is_none());
        assert!(Choice::of(&program(&[(AUDIO, Codec::AacAdts)])).is_none());
    }

    #[test]
    fn the_video_that_arrives_goes_ahead_of_the_one_that_does_not() {
        let mut choice = two_videos();
        assert!(!choice.hold(pes(AUDIO, 0)) && !choice.hold(pes(SECOND, 1)) && !choice.hold(pes(SECOND, 3)));
        assert!(choice.hold(pes(SECOND, 4)));
        let (program, absent, held) = choice.make();
        assert_eq!((order(&program), held.len()), (vec![AUDIO, SECOND, FIRST], 4));
        assert_eq!(program.reference().map(|stream| stream.pid.bits()), Some(SECOND));
        assert_eq!(absent.unwrap().ahead(&program), None, "it is ahead already");
    }

    #[test]
    fn the_first_video_is_waited_for_and_preferred() {
        let mut choice = two_videos();
        assert!(!choice.hold(pes(SECOND, 0)));
        assert!(choice.hold(pes(FIRST, 1)));
        let (program, absent, _) = choice.make();
        assert_eq!((order(&program), absent), (vec![AUDIO, FIRST, SECOND], None));
    }

    #[test]
    fn the_wait_is_bounded_in_time_and_bytes_and_by_another_table() {
        // Audio alone: it stays as it is listed.
        let mut choice = two_videos();
        assert!(!choice.hold(pes(AUDIO, 0)) && !choice.hold(pes(AUDIO, 2)) && choice.hold(pes(AUDIO, 3)));
        assert_eq!(choice.make().1, None);
        let mut choice = two_videos();
        assert!(!choice.hold(pes(AUDIO, 9)) && choice.hold(pes(AUDIO, 1)), "a jump back");
        let mut choice = two_videos();
        let bytes = Bytes::from(vec![0x47; 1 << 20]);
        let run = || ts::Event::Packets(Run { pid: Pid::new(SECOND), at: 0, bytes: bytes.clone() });
        assert_eq!(
            (0..5).map(|_| choice.hold(run())).collect::<Vec<_>>(),
            [false, false, false, false, true]
        );
        assert!(two_videos().hold(ts::Event::Program(program(&[(FIRST, Codec::H264)]))));
    }
}
