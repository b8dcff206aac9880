//! Which audio stream is the audio clock.

use super::timing::is_jump;
use crate::time::Ticks;
use crate::ts::{PesStart, Pid, Program};

/// The audio streams beside the pictures, one of which is the audio clock.
#[derive(Debug, Default)]
pub struct AudioPids {
    all: Vec<Pid>,
    /// The one whose clock counts.
    pub pid: Option<Pid>,
    /// Its last PTS.
    last: Option<Ticks>,
}

/// How far another audio stream has to be ahead of the one whose clock counts to take its place.
const CLOCK_LEAD: Ticks = Ticks::new(Ticks::PER_SECOND);

impl AudioPids {
    /// Those of `program`; none where segments begin with audio anyway.
    pub fn of(program: &Program, reference: Option<Pid>) -> Self {
        let streams = || program.streams.iter();
        let has_video = streams().any(|stream| Some(stream.pid) == reference && stream.codec.is_video());
        let audio = streams().filter(|stream| has_video && stream.codec.is_audio());
        Self { all: audio.map(|stream| stream.pid).collect(), pid: None, last: None }
    }

    /// The table is another; the stream whose clock counts stays, if it is still listed.
    pub fn arrange(&mut self, program: &Program, reference: Option<Pid>) {
        let Self { all, .. } = Self::of(program, reference);
        if self.pid.is_some_and(|pid| !all.contains(&pid)) {
            self.pid = None;
            self.last = None;
        }
        self.all = all;
    }

    /// Returns whether `start` is of the stream whose clock counts.
    pub fn is_of(&self, start: &PesStart) -> bool {
        self.all.contains(&start.pid)
            && (self.pid.is_none_or(|pid| pid == start.pid)
                || start
                    .pts
                    .zip(self.last)
                    .is_some_and(|(pts, last)| pts - last > CLOCK_LEAD && !is_jump(pts - last)))
    }

    /// Goes on to `start`, whose stream is the clock from here on.
    pub fn go_on_to(&mut self, start: &PesStart) {
        self.pid = Some(start.pid);
        self.last = start.pts.or(self.last);
    }
}
