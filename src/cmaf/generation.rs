//! A program's streams and tracks, for as long as its table says the same.

use std::sync::Arc;
use std::time::Duration;

use super::anomaly::Anomaly;
use super::draft::gap_extent;
use super::reach::{Gap, Reach};
use super::stream::Stream;
use super::track::{Role, Track, tracks};
use super::{Event, Layout};
use crate::segment::Head;
use crate::ts::{self, Pid, Program};

/// The streams of a program, and what tracks they make.
#[derive(Debug)]
pub struct Generation {
    /// What it was made of.
    described: Vec<ts::Stream>,
    pub streams: Vec<Stream>,
    pub tracks: Arc<[Track]>,
    pub states: Vec<State>,
    /// The wall clock, if fragments are to tell it: since 1970.
    pub now: Option<Duration>,
}

/// What is remembered of a track from segment to segment.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Of the last fragment.
    pub sequence: u32,
    /// Of the last initialization.
    pub digest: Option<u64>,
    /// How far its segments and gaps reach.
    pub reach: Reach,
}

impl Generation {
    /// That of `program`, and what of it is left out.
    pub fn new(program: &Program, layout: Layout) -> (Self, Vec<Anomaly>) {
        let (tracks, anomalies) = tracks(program, layout);
        let place = |pid: Pid| {
            let at =
                |(index, track): (usize, &Track)| Some((index, track.pids.iter().position(|of| *of == pid)?));
            tracks.iter().enumerate().find_map(at)
        };
        let mut streams: Vec<Stream> = Vec::new();
        for stream in &program.streams {
            if let Some((track, at)) = place(stream.pid)
                && !streams.iter().any(|known| known.pid() == stream.pid)
            {
                streams.extend(Stream::new(stream, track, at as u32 + 1));
            }
        }
        let reach = |track: &Track| match track.role {
            Role::Audio => Reach::default(),
            Role::Video | Role::Muxed => Reach::of_video(),
        };
        let states = tracks.iter().map(|track| State { reach: reach(track), ..State::default() }).collect();
        let described = program.media().into_iter().cloned().collect();
        (Self { described, streams, tracks: tracks.into(), states, now: None }, anomalies)
    }

    /// Whether `program` has the same streams of video and audio.
    pub fn is_of(&self, program: &Program) -> bool {
        self.described.iter().eq(program.media())
    }

    /// The place of the stream with this PID.
    pub fn find(&self, pid: Pid) -> Option<usize> {
        self.streams.iter().position(|stream| stream.pid() == pid)
    }

    /// The timeline ends before segment `ordinal`: the gap at the end of a track, if it ended early.
    pub fn finish(&mut self, track: usize, ordinal: u64) -> Vec<Event> {
        let reach = &mut self.states[track].reach;
        let before = *reach;
        let Some(gap) = reach.finish() else { return Vec::new() };
        let longest = before.longest();
        let event = |Gap { start, end }: Gap| {
            let head = Head { start, decode_start: start, is_discontinuity: false, is_independent: true };
            Event::Gap { track, ordinal, extent: gap_extent(head, end, longest), is_whole: false }
        };
        before.entries(gap).map(event).collect()
    }

    /// The places of the streams of a track, in the order of their numbers there.
    pub fn of_track(&self, track: usize) -> Vec<usize> {
        let mut places: Vec<_> =
            (0..self.streams.len()).filter(|at| self.streams[*at].track == track).collect();
        places.sort_by_key(|at| self.streams[*at].track_id);
        places
    }
}
