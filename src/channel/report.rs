//! How the channel is doing, for its origin.

use std::collections::VecDeque;
use std::time::Duration;

use crate::delivery;
use crate::live;
use crate::origin::{Rendition, State, Status};
use crate::segment::Extent;

/// Segments of each rendition whose durations are told.
const RECENT: usize = 60;
/// Segments from which the bitrate is taken.
const METERED: usize = 5;

/// Collects what the origin tells of each rendition.
#[derive(Debug)]
pub struct Reporter {
    renditions: Vec<Run>,
}

/// One rendition so far.
#[derive(Debug, Default)]
struct Run {
    told: Rendition,
    /// Durations and bytes of the latest segments.
    recent: VecDeque<(Duration, u64)>,
}

impl Reporter {
    /// Nothing so far.
    pub fn new(presentation: &live::Options) -> Self {
        let told = presentation.renditions.iter().map(|one| Rendition {
            name: one.name.clone(),
            playlist: one.playlist.clone(),
            ..Rendition::default()
        });
        Self { renditions: told.map(|told| Run { told, ..Run::default() }).collect() }
    }

    /// A segment is whole.
    pub fn segment(&mut self, rendition: usize, extent: &Extent) {
        let run = &mut self.renditions[rendition];
        run.told.state = State::Running;
        run.told.segments += 1;
        run.told.size_bytes += extent.size_bytes;
        if run.recent.len() == RECENT {
            run.recent.pop_front();
        }
        run.recent.push_back((extent.duration, extent.size_bytes));
    }

    /// Something is wrong with a rendition.
    pub fn note(&mut self, rendition: usize, what: String) {
        self.renditions[rendition].told.last_error = Some(what);
    }

    /// Video of a rendition stopped arriving, or arrives again.
    pub fn video(&mut self, rendition: usize, is_missing: bool) {
        self.renditions[rendition].told.is_video_missing = is_missing;
    }

    /// The encoder of a rendition is restarted because its video is missing.
    pub fn restart_without_video(&mut self, rendition: usize) {
        self.renditions[rendition].told.video_restarts += 1;
    }

    /// How fast an encoder is, in seconds of media a second.
    pub fn speed(&mut self, rendition: usize, speed: Option<f64>) {
        let permille = speed.map(|speed| (speed * 1000.0).clamp(0.0, 1e9) as u32);
        self.renditions[rendition].told.speed_permille = permille;
    }

    /// The encoder of a rendition is gone, and is to begin again.
    pub fn wait(&mut self, rendition: usize) {
        let told = &mut self.renditions[rendition].told;
        if told.state != State::Ended {
            told.state = State::Restarting;
            told.is_video_missing = false;
            told.speed_permille = None;
        }
    }

    /// The encoder of a rendition has begun again.
    pub fn begin_again(&mut self, rendition: usize) {
        let told = &mut self.renditions[rendition].told;
        if told.state != State::Ended {
            told.restarts += 1;
        }
    }

    /// Nothing more comes of a rendition.
    pub fn end(&mut self, rendition: usize) {
        let told = &mut self.renditions[rendition].told;
        told.state = State::Ended;
        told.is_video_missing = false;
    }

    /// All of it.
    pub fn status(
        &self,
        is_finishing: bool,
        has_failed: bool,
        destinations: Vec<delivery::Status>,
    ) -> Status {
        let renditions: Vec<Rendition> = self.renditions.iter().map(Run::rendition).collect();
        let is_all = |state| renditions.iter().all(|one| one.state == state);
        let state = match (is_finishing, has_failed) {
            (true, true) => State::Failed,
            _ if is_all(State::Ended) => State::Ended,
            (true, false) => State::Ending,
            _ if is_all(State::Starting) => State::Starting,
            _ if is_all(State::Restarting) => State::Restarting,
            _ => State::Running,
        };
        Status { state, renditions, destinations, ..Status::default() }
    }
}

impl Run {
    fn rendition(&self) -> Rendition {
        let latest = self.recent.iter().rev().take(METERED);
        let (duration, size_bytes) =
            latest.fold((Duration::ZERO, 0), |(time, bytes), one| (time + one.0, bytes + one.1));
        let rate = size_bytes as f64 * 8.0 / duration.as_secs_f64();
        Rendition {
            bitrate_bps: (!duration.is_zero()).then_some(rate as u64),
            recent: self.recent.iter().map(|(duration, _)| *duration).collect(),
            ..self.told.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::Head;
    use crate::time::Ticks;

    fn extent(millis: u64, size_bytes: u64) -> Extent {
        let (start, decode_start, decode_end) = (Ticks::ZERO, Ticks::ZERO, Ticks::ZERO);
        let head = Head { start, decode_start, is_discontinuity: false, is_independent: true };
        let duration = Duration::from_millis(millis);
        Extent { head, duration, size_bytes, longest: duration, decode_end }
    }

    #[test]
    fn bitrates_are_those_of_the_latest_segments() {
        let names = ["a", "b"].map(|name| live::Rendition { name: name.to_owned(), ..Default::default() });
        let mut reporter = Reporter::new(&live::Options {
            kind: live::Kind::Event,
            target: Duration::from_secs(4),
            multivariants: vec![],
            has_parts: false,
            url_prefix: String::new(),
            has_date_time: false,
            renditions: names.to_vec(),
        });
        assert_eq!(reporter.status(false, false, vec![]).state, State::Starting);
        (0..100).for_each(|n| reporter.segment(0, &extent(2000, n * 1000)));
        reporter.speed(0, Some(1.25));
        let status = reporter.status(false, false, vec![]);
        assert_eq!(status.state, State::Running);
        let told = &status.renditions[0];
        assert_eq!((told.segments, told.recent.len(), told.speed_permille), (100, RECENT, Some(1250)));
        assert_eq!(told.bitrate_bps, Some(97_000 * 8 / 2));
        assert_eq!((status.renditions[1].state, status.renditions[1].bitrate_bps), (State::Starting, None));
        reporter.end(0);
        reporter.end(1);
        assert_eq!(reporter.status(true, false, vec![]).state, State::Ended);
    }
}
