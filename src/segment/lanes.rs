//! To which segment each PID's packets go.

use crate::time::Ticks;
use crate::ts::{Pid, Program};

/// Where packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Nowhere: nothing could decode them.
    Nobody,
    /// To the segment that opens next.
    Next,
    /// To the segment with this ordinal.
    Segment(u64),
}

/// One PID's way.
#[derive(Clone, Debug)]
pub struct Lane {
    pid: Pid,
    is_pes: bool,
    /// Where its packets go now.
    pub owner: Owner,
    /// Whether a PES packet of it is under way.
    pub is_in_pes: bool,
    /// PTS of the PES packet under way, or of the last.
    pub pts: Option<Ticks>,
    /// Whether its timestamps have jumped ahead of the reference stream's.
    pub is_ahead: bool,
}

/// All PIDs of the program that is cut.
#[derive(Clone, Debug, Default)]
pub struct Lanes {
    lanes: Vec<Lane>,
}

impl Lanes {
    /// Makes them those of `program`; a PID that stays keeps its state.
    pub fn arrange(&mut self, program: &Program) {
        let mut old = std::mem::take(&mut self.lanes);
        let streams = program.streams.iter().map(|stream| (stream.pid, stream.is_pes()));
        for (pid, is_pes) in streams.chain([(program.pcr_pid, false)]) {
            if self.get(pid).is_some() {
                continue;
            }
            let kept = old.iter().position(|lane| lane.pid == pid).map(|index| old.swap_remove(index));
            let new = Lane {
                pid,
                is_pes,
                owner: if is_pes { Owner::Nobody } else { Owner::Next },
                is_in_pes: false,
                pts: None,
                is_ahead: false,
            };
            self.lanes.push(Lane { is_pes, ..kept.unwrap_or(new) });
        }
    }

    /// The lane of `pid`.
    #[inline]
    pub fn get(&mut self, pid: Pid) -> Option<&mut Lane> {
        self.lanes.iter_mut().find(|lane| lane.pid == pid)
    }

    /// Whether a PES packet of segment `ordinal` is still under way.
    pub fn is_awaited(&self, ordinal: u64) -> bool {
        self.lanes.iter().any(|lane| lane.is_in_pes && lane.owner == Owner::Segment(ordinal))
    }

    /// A segment was opened: what is not in mid-PES goes there. With a break in the timeline, timestamps start anew.
    pub fn opened(&mut self, ordinal: u64, is_discontinuity: bool) {
        for lane in &mut self.lanes {
            if lane.owner == Owner::Next || !lane.is_pes {
                lane.owner = Owner::Segment(ordinal);
            }
            lane.is_ahead = false;
            if is_discontinuity {
                lane.pts = None;
            }
        }
    }

    /// Segment `ordinal` takes nothing new: what is in no PES packet waits for the next.
    pub fn closed(&mut self, ordinal: u64) {
        for lane in &mut self.lanes {
            if !lane.is_pes || (!lane.is_in_pes && lane.owner == Owner::Segment(ordinal)) {
                lane.owner = Owner::Next;
            }
        }
    }

    /// What still goes to segment `from` goes to `to`. Whether there was such.
    pub fn hand_over(&mut self, from: u64, to: Owner) -> bool {
        let mut any = false;
        for lane in self.lanes.iter_mut().filter(|lane| lane.owner == Owner::Segment(from)) {
            any |= lane.is_in_pes;
            lane.owner = to;
        }
        any
    }
}
