//! The audio clock: shows that time passes while no picture arrives.

use super::cadence::Cadence;
use super::timing::Picture;
use crate::time::{Rate, Ticks};

/// Audio without a picture beside it that is never taken for a stall, whatever the interleaving.
const LEAST_PATIENCE: Ticks = Ticks::new(Ticks::PER_SECOND / 2);
/// What the stall of a stream must exceed the audio that usually arrives between two of its pictures by.
const MARGIN: Ticks = Ticks::new(Ticks::PER_SECOND / 4);
/// The most audio between two pictures that is taken for usual: slower pictures are waited for no longer than that.
const MOST_USUAL: Ticks = Ticks::new(2 * Ticks::PER_SECOND);
/// Audio after which pictures are known to be away, whether or not the open segment has to end.
const LEAST_ABSENCE: Ticks = Ticks::new(Ticks::PER_SECOND / 2 * 3);
/// A longer step, or one back, begins another run of the audio.
const RUN_STEP: Ticks = Ticks::new(3 * Ticks::PER_SECOND);
/// A longer step is a hole in the audio, however it is multiplexed.
const STEADY_STEP: Ticks = Ticks::new(Ticks::PER_SECOND);
/// What one PES packet of audio adds to the silence at most: after a gap of its own, audio does not show that pictures
/// were away.
const MOST_STEP: Ticks = Ticks::new(Ticks::PER_SECOND / 2);
/// Audio and video that are sent at the same time are presented at most this far apart.
const INTERLEAVE: Ticks = Ticks::new(3 * Ticks::PER_SECOND);
/// Steps back that are no jump.
const BACK_TOLERANCE: Ticks = Ticks::new(Ticks::PER_SECOND / 2);

/// The clock of one audio stream, read against the pictures that arrive.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// The first audio that no segment has taken.
    first: Option<Ticks>,
    last: Option<Ticks>,
    /// By which the end of the last audio is estimated.
    cadence: Cadence,
    /// Since when the audio runs on without a gap.
    run_start: Ticks,
    /// Since when it runs on without even a short one.
    steady_since: Ticks,
    /// Audio since the last picture.
    silence: Ticks,
    /// Audio that usually arrives between two pictures.
    usual: Ticks,
    /// The same without the time from one picture to the next: what the multiplex holds back.
    held: Ticks,
}

impl Clock {
    /// The audio has this many frames a second.
    pub fn set_sound(&mut self, frames: Rate) {
        self.cadence.set_sound(frames);
    }

    /// Goes on to a PES packet of audio. Returns whether the clock jumped: back, or forward by more than `limit`.
    pub fn go_on_to(&mut self, audio: &Picture, limit: Ticks) -> bool {
        let at = audio.pts;
        self.cadence.measure(audio);
        self.cadence.go_on_to(audio);
        self.first.get_or_insert(at);
        let Some(last) = self.last.replace(at) else {
            self.run_start = at;
            self.steady_since = at;
            return false;
        };
        let step = at - last;
        let has_jumped = step < Ticks::ZERO - BACK_TOLERANCE || step > limit;
        if has_jumped || step > STEADY_STEP {
            self.steady_since = at;
        }
        if has_jumped || step > RUN_STEP {
            self.run_start = at;
            self.cadence.restart();
            self.cadence.go_on_to(audio);
        }
        if !has_jumped && step > Ticks::ZERO {
            self.silence = self.silence + step.min(MOST_STEP);
        }
        has_jumped
    }

    /// How far the next audio, at `at`, is from the last.
    pub fn step_to(&self, at: Ticks) -> Option<Ticks> {
        self.last.map(|last| at - last)
    }

    /// A picture arrived, which is presented `step` after the ones before.
    pub fn picture(&mut self, step: Ticks) {
        let decayed = |usual: Ticks| usual - Ticks::new(usual.count() / 32);
        self.usual = decayed(self.usual).max(self.silence.min(MOST_USUAL));
        self.held = decayed(self.held).max((self.silence - step.max(Ticks::ZERO)).min(MOST_USUAL));
        self.silence = Ticks::ZERO;
    }

    /// A segment took the audio up to here.
    pub const fn settle(&mut self) {
        self.first = None;
    }

    /// The first audio that no segment has taken.
    pub const fn first(&self) -> Option<Ticks> {
        self.first
    }

    /// How much audio arrived since the last picture.
    pub const fn silence(&self) -> Ticks {
        self.silence
    }

    /// Since when the audio runs on without a gap.
    pub const fn run_start(&self) -> Ticks {
        self.run_start
    }

    /// Returns when the audio that arrived ends; how long its last PES packet lasts is estimated by its size.
    pub fn end(&self) -> Option<Ticks> {
        self.cadence.end()
    }

    /// Returns whether a picture at `pts` was held up while audio went on: it does not show that pictures arrive.
    pub fn is_stale(&self, pts: Ticks) -> bool {
        self.last.is_some_and(|last| last - pts > INTERLEAVE)
    }

    /// Returns whether the next picture cannot be expected among the audio that arrived, unless it is one of a slow series:
    /// a segment that has to end is not kept open for that.
    pub fn is_over(&self) -> bool {
        self.silence > patience(self.held)
    }

    /// Returns whether pictures are away for so long that it is no matter of interleaving or of a low frame rate.
    pub fn is_absent(&self) -> bool {
        self.silence > self.patience().max(LEAST_ABSENCE)
    }

    /// Returns whether more audio arrived since the last picture than usually does between two.
    pub fn is_stalled(&self) -> bool {
        self.silence > self.patience()
    }

    /// Returns whether pictures stall once the audio at `at` has been taken.
    pub fn would_stall(&self, at: Ticks) -> bool {
        let ahead = self.last.map_or(Ticks::ZERO, |last| (at - last).max(Ticks::ZERO));
        self.silence + ahead > self.patience()
    }

    /// Returns whether the audio ran on from about `from` to about `to`.
    pub fn has_run(&self, from: Ticks, to: Ticks) -> bool {
        self.last.is_some_and(|last| self.run_start <= from + INTERLEAVE && last + INTERLEAVE >= to)
    }

    /// Returns whether audio is there from about `from` to about `to`, without a hole.
    pub fn is_steady(&self, from: Ticks, to: Ticks) -> bool {
        let slack = STEADY_STEP + STEADY_STEP;
        self.last.is_some_and(|last| self.steady_since <= from + STEADY_STEP && last + slack >= to)
    }

    fn patience(&self) -> Ticks {
        patience(self.usual)
    }
}

/// How much audio without a picture is no stall, where so much is usual.
fn patience(usual: Ticks) -> Ticks {
    (usual + Ticks::new(usual.count() / 2)).max(usual + MARGIN).max(LEAST_PATIENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = Ticks::PER_SECOND;
    const LIMIT: Ticks = Ticks::new(10 * SECOND);

    fn audio(at: i64) -> Picture {
        let at = Ticks::new(at);
        Picture {
            pts: at,
            dts: at,
            random_access: None,
            has_parameter_sets: false,
            is_new_format: false,
            size_bytes: None,
        }
    }

    fn ticks(clock: &mut Clock, from: i64, to: i64) {
        for at in (from..to).step_by(SECOND as usize / 10) {
            clock.go_on_to(&audio(at), LIMIT);
        }
    }

    #[test]
    fn pictures_stall_when_more_audio_than_usual_arrives() {
        let mut clock = Clock::default();
        ticks(&mut clock, 0, SECOND / 2);
        assert!(!clock.is_stalled());
        ticks(&mut clock, SECOND / 2, SECOND);
        assert!(clock.is_stalled());
        clock.picture(Ticks::ZERO);
        ticks(&mut clock, SECOND, 2 * SECOND);
        assert!(!clock.is_stalled(), "as much as before the last picture");
    }

    #[test]
    fn a_jump_of_the_audio_is_no_silence() {
        let mut clock = Clock::default();
        clock.go_on_to(&audio(0), LIMIT);
        assert!(clock.go_on_to(&audio(100 * SECOND), LIMIT));
        assert!(!clock.is_stalled());
        assert!(clock.go_on_to(&audio(0), LIMIT));
    }

    #[test]
    fn a_gap_of_the_audio_is_no_silence() {
        let mut clock = Clock::default();
        ticks(&mut clock, 0, SECOND);
        clock.picture(Ticks::ZERO);
        clock.go_on_to(&audio(6 * SECOND), LIMIT);
        assert!(!clock.is_absent());
    }

    #[test]
    fn audio_that_ran_beside_a_gap_shows_that_it_is_none_of_the_clock() {
        let mut clock = Clock::default();
        ticks(&mut clock, 0, 20 * SECOND);
        assert!(clock.has_run(Ticks::new(5 * SECOND), Ticks::new(20 * SECOND)));
        assert!(!clock.has_run(Ticks::new(5 * SECOND), Ticks::new(50 * SECOND)));
        ticks(&mut clock, 60 * SECOND, 62 * SECOND);
        assert!(!clock.has_run(Ticks::new(20 * SECOND), Ticks::new(61 * SECOND)), "the audio jumped as well");
    }
}
