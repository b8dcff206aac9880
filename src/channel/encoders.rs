//! What becomes of a channel as its encoders begin, fail, end and begin again.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use super::absence::Absence;
use super::ingest::Ending;
use super::lives::{Lives, Telling};
use super::outcome::Outcome;
use super::pace::Pace;
use super::package::{Lineup, Packager};
use super::run::Channel;
use super::{Error, Options};
use crate::delivery::chain;
use crate::encoder::ladder::Feed;
use crate::encoder::{self, Control};
use crate::live;

/// A channel's encoders, and what is known of each rung of the ladder.
#[derive(Debug)]
pub struct Encoders {
    pub control: Control,
    pub lives: Lives,
    /// Of video that is missing; none where it is no reason to restart.
    absence: Option<Absence>,
    /// What each rung is called.
    rungs: Vec<String>,
    /// The renditions that are made of each rung's stream.
    lineups: Vec<Lineup>,
    outcomes: Vec<Outcome>,
    /// Streams that have ended and may go on in another life, by rung.
    ended: BTreeMap<usize, Box<Packager>>,
    /// Streams that are being read.
    reading: usize,
    /// Renditions of which segments have come in this life.
    given: BTreeSet<usize>,
    is_fan_out: bool,
    /// Of encoders, by the first of their rungs.
    paces: BTreeMap<usize, Pace>,
}

impl Encoders {
    /// Those of `options` have just begun.
    pub fn new(options: &Options, control: Control) -> Self {
        let ladder = &options.ladder;
        Self {
            control,
            lives: Lives::new(options.restart()),
            absence: options.restarts_without_video().then(Absence::new),
            rungs: ladder.renditions.iter().map(|rung| rung.name.clone()).collect(),
            lineups: options.lineups.clone(),
            outcomes: vec![Outcome::default(); ladder.renditions.len()],
            ended: BTreeMap::new(),
            reading: ladder.renditions.len(),
            given: BTreeSet::new(),
            is_fan_out: ladder.feed == Feed::FanOut,
            paces: BTreeMap::new(),
        }
    }

    fn renditions(&self, rungs: &[usize]) -> impl Iterator<Item = usize> {
        rungs.iter().flat_map(|&rung| self.lineups[rung].renditions())
    }

    /// A segment of this rendition has come.
    pub fn give(&mut self, rendition: usize) {
        self.given.insert(rendition);
        self.absence.iter_mut().for_each(|absence| absence.segment(Instant::now()));
        if let Some(silent) = self.lives.recover() {
            tracing::info!(
                "the stream goes on: its encoders had been away for {:.1} s",
                silent.as_secs_f64()
            );
        }
    }

    /// How the end of this life is logged: a source that is down is logged once, then at most once a minute.
    fn telling(&mut self) -> Telling {
        self.lives.telling(!self.given.is_empty())
    }

    /// Logs why this life ends.
    fn tell(&mut self, error: &dyn std::error::Error) {
        match self.telling() {
            Telling::Quiet => tracing::debug!("{}", chain(error)),
            telling => tracing::error!("{}{}", chain(error), telling.repeated()),
        }
    }

    /// Video of a rendition stopped arriving, or arrives again.
    pub fn video(&mut self, rendition: usize, is_missing: bool) {
        let Some(absence) = &mut self.absence else { return };
        if is_missing { absence.begin(rendition, Instant::now()) } else { absence.end(rendition) }
    }

    fn all(&self) -> Vec<usize> {
        (0..self.rungs.len()).collect()
    }

    fn all_renditions(&self) -> Vec<usize> {
        self.lineups.iter().flat_map(Lineup::renditions).collect()
    }
}

impl Channel {
    /// Whether streams are still read, or the next life of the encoders is waited for.
    pub fn is_at_work(&self) -> bool {
        self.encoders.reading > 0 || self.encoders.lives.next().is_some()
    }

    /// Nothing is left of this life: waits for the next one, or settles that there is to be none.
    pub fn await_next_life(&mut self) -> bool {
        let may_begin_again = self.may_begin_again(&self.encoders.all());
        let wait = may_begin_again.then(|| self.encoders.lives.end(!self.encoders.given.is_empty()));
        let Some(wait) = wait.flatten() else {
            self.settle();
            return false;
        };
        for rendition in self.encoders.all_renditions() {
            self.reporter.wait(rendition);
        }
        self.report();
        let (telling, is_broken) = (self.encoders.telling(), self.encoders.lives.is_broken());
        let repeated = if is_broken { String::new() } else { telling.repeated() };
        let text = format!("the encoders begin again in {} s{repeated}", wait.as_secs());
        match telling {
            // The reason was logged again just now, with a count.
            Telling::Aloud { untold: 1.. } if is_broken => tracing::debug!("{text}"),
            Telling::Aloud { .. } => tracing::warn!("{text}"),
            Telling::Quiet => tracing::debug!("{text}"),
        }
        true
    }

    /// When encoders are restarted whose video is missing, if they are.
    pub fn video_due(&self) -> Option<Instant> {
        let due = self.encoders.absence.as_ref()?.due()?;
        let may_restart = !self.encoders.lives.is_broken() && self.may_begin_again(&self.encoders.all());
        may_restart.then_some(due)
    }

    /// Restarts the encoders, because video has been missing for too long.
    pub fn restart_without_video(&mut self) {
        let verdict = self.encoders.absence.as_mut().and_then(|absence| absence.judge(Instant::now()));
        let Some(verdict) = verdict else { return };
        let patience_s = verdict.next.as_secs();
        for (rendition, missing) in verdict.missing {
            let name = self.summary.renditions[rendition].name.as_str();
            let missing_s = missing.as_secs();
            tracing::warn!(
                rendition = name,
                missing_s,
                patience_s,
                "video missing while audio continues, restarting the encoders"
            );
            self.reporter.note(rendition, format!("video missing for {missing_s} s, encoder restarted"));
            self.reporter.restart_without_video(rendition);
        }
        self.encoders.lives.break_down();
        self.encoders.control.finish();
    }

    /// The next life of the encoders begins: what each stream goes on with.
    pub fn begin_again(&mut self, control: Control) -> BTreeMap<usize, Box<Packager>> {
        for rendition in self.encoders.all_renditions() {
            self.reporter.begin_again(rendition);
        }
        let encoders = &mut self.encoders;
        encoders.control = control;
        encoders.lives.begin();
        encoders.absence.iter_mut().for_each(Absence::restart);
        encoders.outcomes.fill(Outcome::default());
        encoders.paces.clear();
        encoders.given.clear();
        encoders.reading = encoders.ended.len();
        std::mem::take(&mut encoders.ended)
    }

    /// The next life could not begin; another one may.
    pub fn fail_to_begin(&mut self, error: &encoder::Error) {
        self.encoders.tell(error);
        for rendition in self.encoders.all_renditions() {
            self.reporter.note(rendition, error.to_string());
        }
        self.encoders.lives.fail_to_begin();
    }

    /// There will be no other life: what waited for one is over.
    pub fn settle(&mut self) {
        self.encoders.lives.give_up();
        for rung in std::mem::take(&mut self.encoders.ended).into_keys() {
            self.leave_out_all(rung);
        }
    }

    fn leave_out_all(&mut self, rung: usize) {
        for rendition in self.encoders.lineups[rung].renditions().collect::<Vec<_>>() {
            self.leave_out(rendition);
        }
    }

    /// The task that reads a rung's stream has broken down.
    pub fn lose_reader(&mut self, rung: usize) {
        self.encoders.reading -= 1;
        self.leave_out_all(rung);
        let rendition = self.encoders.rungs[rung].clone();
        let what = "its reader broke down, which is a fault of segcast's: please report it".to_owned();
        self.fail(Error::Stream { rendition, what });
    }

    /// The stream of a rung has ended.
    pub fn end(&mut self, rung: usize, ending: Ending, packager: Box<Packager>) {
        self.encoders.reading -= 1;
        if self.encoders.lives.may_follow() {
            self.encoders.ended.insert(rung, packager);
        } else {
            self.leave_out_all(rung);
        }
        let what = self.encoders.outcomes[rung].ended(ending);
        self.judge(rung, what);
    }

    /// Whoever is asked to end may not have begun: no stream is no error then.
    fn judge(&mut self, rung: usize, what: Option<String>) {
        // Who is asked to finish early may have nothing to show yet.
        if let Some(what) = what.filter(|_| !self.is_finishing) {
            let rendition = self.encoders.rungs[rung].clone();
            if self.is_asked {
                tracing::warn!("rendition {rendition}: {what}");
                return;
            }
            self.lose(Error::Stream { rendition, what }, &[rung]);
        }
    }

    pub fn hear(&mut self, event: encoder::Event) {
        match event {
            encoder::Event::Progress { renditions: rungs, progress } => self.watch_speed(&rungs, &progress),
            encoder::Event::SourceEnded { result: Err(error) } => {
                let all = self.encoders.all();
                if self.encoders.lives.is_broken() || self.may_begin_again(&all) {
                    self.lose(error.into(), &all);
                } else {
                    self.fail(error.into());
                }
            }
            encoder::Event::Exited { renditions: rungs, result } => {
                for &rung in &rungs {
                    let what = self.encoders.outcomes[rung].exited(result.is_ok());
                    self.judge(rung, what);
                }
                let is_abandoned = rungs.iter().any(|&rung| self.encoders.outcomes[rung].is_abandoned());
                match result {
                    Err(error) if self.is_called_off(&rungs) => {
                        tracing::warn!("ended before its first segment: {}", chain(&error));
                    }
                    Err(error) if !is_abandoned => self.lose(error.into(), &rungs),
                    _ => {}
                }
            }
            // Begun again it would be as slow.
            encoder::Event::Dropped { reason, .. } => self.do_without(reason.into()),
            _ => {}
        }
    }

    /// Whether the channel was asked to end before anything had come of these rungs, now that they have begun: no failure
    /// then.
    fn is_called_off(&self, rungs: &[usize]) -> bool {
        let has_given =
            self.encoders.renditions(rungs).any(|rendition| self.encoders.given.contains(&rendition));
        self.is_finishing && self.failure.is_none() && !has_given
    }

    fn has_segments(&self, rungs: &[usize]) -> bool {
        self.encoders.renditions(rungs).any(|rendition| self.summary.renditions[rendition].segments > 0)
    }

    /// Whether a failure of these rungs is one that a new beginning may mend. Rungs of which nothing came wait for their
    /// source only if no others have it.
    fn may_begin_again(&self, rungs: &[usize]) -> bool {
        let lives = &self.encoders.lives;
        let is_awaited = || lives.may_follow_nothing() && !self.has_segments(&self.encoders.all());
        !self.is_finishing && lives.may_follow() && (self.has_segments(rungs) || is_awaited())
    }

    /// A rendition is gone. All begin again, or in a fan-out the others go on without it.
    fn lose(&mut self, error: Error, rungs: &[usize]) {
        // Another attempt would meet the same.
        let is_invalid = matches!(&error, Error::Encoder(error) if error.kind() == encoder::Kind::Invalid);
        if !is_invalid && !self.encoders.lives.is_broken() && self.may_begin_again(rungs) {
            self.break_down(error, rungs);
        } else {
            self.do_without(error);
        }
    }

    /// A rendition is gone, and will not come again: in a fan-out the others go on.
    fn do_without(&mut self, error: Error) {
        if self.encoders.lives.is_broken() {
            tracing::debug!("{}", chain(&error));
            return;
        }
        // What has ended is over: none but those that are still there could go on.
        self.settle();
        if self.encoders.is_fan_out && !self.is_finishing && !self.presentation.is_ended() {
            tracing::error!("{}; the others go on", chain(&error));
            self.failure.get_or_insert(error);
        } else {
            self.fail(error);
        }
    }

    /// These rungs have failed: all end, and begin again.
    fn break_down(&mut self, error: Error, rungs: &[usize]) {
        self.encoders.tell(&error);
        let told = match error {
            // The origin's page may be everybody's.
            Error::Encoder(error) => error.without_words().to_string(),
            error => error.to_string(),
        };
        let failed: Vec<usize> = self.encoders.renditions(rungs).collect();
        for rendition in failed {
            self.reporter.note(rendition, told.clone());
        }
        self.encoders.lives.break_down();
        self.encoders.control.finish();
    }

    fn watch_speed(&mut self, rungs: &[usize], progress: &encoder::Progress) {
        tracing::trace!(?progress, "encoder");
        let Some(&first) = rungs.first() else { return };
        let renditions: Vec<usize> = self.encoders.renditions(rungs).collect();
        for rendition in renditions {
            self.reporter.speed(rendition, progress.speed);
        }
        if self.presentation.options().kind == live::Kind::Vod {
            return;
        }
        let pace = self.encoders.paces.entry(first).or_default();
        if let Some(speed) = pace.take(progress.out_time, Instant::now()) {
            let names: Vec<&str> = rungs.iter().map(|&rung| self.encoders.rungs[rung].as_str()).collect();
            tracing::warn!(
                "the encoder of {} runs at {speed:.2} of real time: use lighter presets, smaller sizes, or fewer renditions",
                names.join(", ")
            );
        }
    }
}
