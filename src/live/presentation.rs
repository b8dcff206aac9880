//! When what is put.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::date_ranges::DateRanges;
use super::multivariant::{Index, Renewal, configured_bps, peak_bps};
use super::run::{Map, Opened, Run};
use super::snapshot::Snapshot;
use super::target::{PartTarget, Target, whole_seconds};
use super::timeline::Timeline;
use super::window::Entry;
use super::{Anomaly, Kind, Options, Plan, Step, low_latency, naming, resume};
use crate::codec::Format;
use crate::playlist;
use crate::segment::{self, Extent, Head};
use crate::time::{Rate, Ticks};
use crate::ts::Service;

/// Once a rendition has closed so many segments, the first playlists wait no longer for one that has none.
const PATIENCE: u64 = 3;

/// A channel's playlists, from its first segment to its end.
///
/// Methods that take a rendition panic if the options hold none with that index.
#[derive(Debug)]
pub struct Presentation {
    options: Arc<Options>,
    runs: Vec<Run>,
    timeline: Timeline,
    target: Target,
    part_target: PartTarget,
    indexes: Vec<Index>,
    /// Whether something that they say may have changed.
    is_index_due: bool,
    /// When the last segment began to come, or something was said of a stretch of time.
    now: SystemTime,
    snapshot: Arc<Snapshot>,
}

impl Presentation {
    /// A fresh channel: segments are numbered from 1.
    pub fn new(options: Options) -> Self {
        Self::resume(options, &[])
    }

    /// A fresh channel whose segments are numbered from `first` on, and before which `breaks` discontinuities count as
    /// passed: where nothing is stored from which it could be known what an earlier run had come to, and numbers are not
    /// to go back all the same.
    pub fn resume_from(options: Options, first: u64, breaks: u64) -> Self {
        let start = resume::start_from(&options, first, breaks);
        Self::begin_at(options, start)
    }

    /// Goes on after an earlier run, of which each rendition's playlist was found at the destination.
    ///
    /// Numbers go on, above every number found. A playlist without EXT-X-ENDLIST keeps its segments, with a
    /// discontinuity after them; one with it begins anew.
    pub fn resume(options: Options, earlier: &[Option<playlist::Media>]) -> Self {
        let start = resume::start(&options, earlier);
        Self::begin_at(options, start)
    }

    fn begin_at(options: Options, start: resume::Start) -> Self {
        let passed: Vec<u64> = start.renditions.iter().map(|one| one.breaks).collect();
        let runs: Vec<Run> = start.renditions.into_iter().map(Run::new).collect();
        let options = Arc::new(options);
        let snapshot = Snapshot {
            options: Arc::clone(&options),
            views: vec![None; runs.len()],
            edges: runs.iter().map(|run| run.edge(options.has_date_time)).collect(),
            multivariants: vec![None; options.multivariants.len()],
            part_target: None,
            date_ranges: Arc::new(DateRanges::resume(&start.date_ranges)),
        };
        Self {
            timeline: Timeline::new(&passed, start.breaks, options.target),
            target: Target::new(start.target),
            part_target: PartTarget::default(),
            indexes: options.multivariants.iter().cloned().map(Index::new).collect(),
            is_index_due: false,
            now: SystemTime::UNIX_EPOCH,
            snapshot: Arc::new(snapshot),
            runs,
            options,
        }
    }

    /// The wall clock was set forward by so many milliseconds, or back if that is negative. Segments to come have dates by
    /// the new time, all renditions' from the same segment on. Arrivals are still those of a clock that does not step.
    pub fn step_clock(&mut self, by_ms: i64) {
        self.timeline.step_clock(by_ms);
    }

    /// A segment of `rendition` begins; its first bytes came at `arrived`.
    pub fn open(&mut self, rendition: usize, head: &Head, arrived: SystemTime) {
        self.now = self.now.max(self.timeline.wall(arrived));
        if !self.runs[rendition].is_ended {
            self.begin(rendition, head, Some(arrived));
            self.show_edge(rendition);
        }
    }

    /// Says something of a stretch of time at `now`, in place of what was said of the same ID. Playlists of low latency
    /// tell it at once, others when they change next; where no dates are told, none does (RFC 8216 §4.3.2.7). It goes
    /// when it ends before the first segment of all playlists.
    pub fn date_range(&mut self, range: playlist::DateRange, now: SystemTime) {
        self.now = self.now.max(now);
        let snapshot = Arc::make_mut(&mut self.snapshot);
        Arc::make_mut(&mut snapshot.date_ranges).tell(range, self.now);
    }

    /// The open segment of `rendition`, and those after it, are decoded with the Media Initialization Section of this
    /// digest. Where that is another than the segment before had, the timeline breaks. It is told before the segment's
    /// first part; of a segment that has been shown in part it is told too late, and the next one breaks.
    pub fn map(&mut self, rendition: usize, digest: u64) {
        let names = &self.options.renditions[rendition];
        let key = names.init_key(digest);
        let uri = naming::reference(&self.options.url_prefix, &names.playlist, &key);
        self.runs[rendition].map = Some(Map { key: Some(key), uri });
        self.take_map(rendition);
    }

    /// The next part of the open segment of `rendition` is whole, and shown from now on. The plan says what is wrong
    /// with it; there is nothing to put at destinations, which get whole segments.
    pub fn part(&mut self, rendition: usize, part: &segment::Part) -> Plan {
        let mut plan = Plan::default();
        let run = &mut self.runs[rendition];
        let Some(opened) = run.opened.as_mut().filter(|_| self.options.has_parts && !run.is_ended) else {
            return plan;
        };
        // What is told of a segment with its first part holds: others' breaks come with the next one.
        let mark = || self.timeline.close(rendition, run.closed, opened.start, opened.has_jumped);
        opened.mark = Some(opened.mark.unwrap_or_else(mark));
        let duration = self.part_target.admit(part);
        if self.target.fixed().is_some() {
            self.part_target.fix();
        }
        if duration < part.duration {
            let (number, index, target) = (run.next, part.index, duration);
            plan.report(Anomaly::PartLongerThanTarget {
                rendition,
                number,
                index,
                duration: part.duration,
                target,
            });
        }
        let names = &self.options.renditions[rendition];
        let key = names.part_key(run.next, opened.parts.len() as u64);
        opened.parts.push(playlist::Part {
            uri: naming::reference(&self.options.url_prefix, &names.playlist, &key),
            duration,
            is_independent: part.is_independent,
            is_gap: false,
        });
        self.show_edge(rendition);
        plan
    }

    /// The segment of `rendition` that was opened last is complete.
    ///
    /// After [`end`](Self::end) it is too late: such a segment is not put.
    pub fn close(&mut self, rendition: usize, extent: &Extent) -> Plan {
        let mut plan = Plan::default();
        if !self.runs[rendition].is_ended {
            self.append(rendition, extent, &mut plan);
            self.publish(rendition, &mut plan);
        }
        plan
    }

    /// Nothing of `rendition` came for the time of `extent`: its playlist shows EXT-X-GAP there, and nothing is put
    /// (rfc8216bis §4.4.4.7). A rendition that has had nothing else so far has no playlist yet, and nothing waits for it.
    ///
    /// `is_whole` says whether the gap stands for a segment that other renditions have, and not for a time before or after
    /// its frames. One without duration is counted and not shown.
    pub fn gap(&mut self, rendition: usize, extent: &Extent, is_whole: bool) -> Plan {
        let mut plan = Plan::default();
        if self.runs[rendition].is_ended {
            return plan;
        }
        if !extent.duration.is_zero() {
            self.append_gap(rendition, extent, &mut plan);
        }
        self.runs[rendition].closed += u64::from(is_whole);
        self.publish(rendition, &mut plan);
        self.show_edge(rendition);
        plan
    }

    /// The formats of all streams of `rendition` are known, or have become others.
    pub fn format(&mut self, rendition: usize, formats: &[Format]) {
        let known = &mut self.runs[rendition].profile.formats;
        if *known != formats {
            *known = formats.to_vec();
            self.is_index_due = true;
        }
    }

    /// How many frames of `rendition` come in a second, as timestamps show it: it wins over what its formats say.
    pub fn frame_rate(&mut self, rendition: usize, rate: Rate) {
        let known = &mut self.runs[rendition].profile.frame_rate;
        self.is_index_due |= known.replace(rate) != Some(rate);
    }

    /// Whom the sound of `rendition` is for.
    pub fn service(&mut self, rendition: usize, service: Service) {
        let known = &mut self.runs[rendition].profile.service;
        self.is_index_due |= std::mem::replace(known, service) != service;
    }

    /// What is spoken in `rendition`, as BCP 47 writes it.
    pub fn language(&mut self, rendition: usize, language: &str) {
        let known = &mut self.runs[rendition].profile.language;
        if known.as_deref() != Some(language) {
            *known = Some(language.to_owned());
            self.is_index_due = true;
        }
    }

    /// Nothing more of `rendition` will come: it is finished, or was dropped. Its playlist gets its end; when
    /// all renditions have ended, everything there is has been written. One that ends before anything of it was shown is
    /// not there: nothing waits for it, and nothing names it.
    pub fn end(&mut self, rendition: usize) -> Plan {
        let mut plan = Plan::default();
        if !self.runs[rendition].is_ended {
            self.runs[rendition].is_ended = true;
            self.timeline.leave(rendition);
            self.is_index_due = true;
            self.show_edge(rendition);
            self.publish(rendition, &mut plan);
        }
        plan
    }

    /// The number that the next segment of `rendition` gets, or the open one has.
    pub fn next_number(&self, rendition: usize) -> u64 {
        self.runs[rendition].next
    }

    /// EXT-X-TARGETDURATION; none before the first playlist was put.
    pub const fn target_duration(&self) -> Option<Duration> {
        self.target.fixed()
    }

    /// Whether all renditions have ended.
    pub fn is_ended(&self) -> bool {
        self.runs.iter().all(|run| run.is_ended)
    }

    /// How the channel presents itself.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// What is shown now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }

    fn begin(&mut self, rendition: usize, head: &Head, arrived: Option<SystemTime>) {
        self.runs[rendition].end_silence(head);
        self.begin_without_map(rendition, head, arrived);
        self.take_map(rendition);
    }

    fn begin_without_map(&mut self, rendition: usize, head: &Head, arrived: Option<SystemTime>) {
        let run = &mut self.runs[rendition];
        // The first segment of all breaks nothing.
        let has_jumped = head.is_discontinuity && !run.window.is_empty();
        self.timeline.open(rendition, run.closed, head.start, has_jumped, arrived);
        // An open segment that never closed leaves its jump to this one.
        let has_jumped = has_jumped || run.opened.as_ref().is_some_and(Opened::is_break);
        run.opened = Some(Opened { start: head.start, has_jumped, map: None, mark: None, parts: Vec::new() });
    }

    /// Gives the open segment its map, and breaks the timeline where the segment before it had another.
    fn take_map(&mut self, rendition: usize) {
        let run = &mut self.runs[rendition];
        let is_other = run.has_other_map();
        let Some(opened) = run.opened.as_mut().filter(|opened| opened.mark.is_none()) else {
            return;
        };
        opened.map.clone_from(&run.map);
        if is_other && !opened.has_jumped {
            opened.has_jumped = true;
            self.timeline.split(rendition, run.closed, opened.start);
        }
    }

    /// Puts the segment and appends it to its rendition's window.
    fn append(&mut self, rendition: usize, extent: &Extent, plan: &mut Plan) {
        if self.runs[rendition].opened.is_none() {
            self.begin(rendition, &extent.head, None);
        }
        let run = &mut self.runs[rendition];
        let Some(opened) = run.opened.take() else { return };
        let mark = || self.timeline.close(rendition, run.closed, extent.head.start, opened.has_jumped);
        let mark = opened.mark.unwrap_or_else(mark);
        let names = &self.options.renditions[rendition];
        let (number, key) = (run.next, names.segment_key(run.next));
        plan.push(Step::PutSegment { rendition, number, key: key.clone() });

        self.target.admit(extent, self.options.kind);
        let duration = extent.duration;
        if let Some(target) = self.target.exceeded_by(duration) {
            plan.report(Anomaly::LongerThanTarget { rendition, number, duration, target });
        }
        let segment = playlist::Segment {
            uri: naming::reference(&self.options.url_prefix, &names.playlist, &key),
            duration,
            is_discontinuity: mark.is_discontinuity,
            date_time: mark.date_time,
            ..playlist::Segment::default()
        };
        if mark.has_stepped {
            run.window.restate_date();
        }
        let was_independent = run.window.is_independent();
        let entry = Entry::new(number, Some(key), segment).with_map(opened.map).with_parts(opened.parts);
        run.window.push(entry, extent.head.is_independent);
        self.is_index_due |= was_independent != run.window.is_independent();
        if duration < extent.duration {
            run.window.restate_date();
        }
        let target = self.target.fixed().unwrap_or(whole_seconds(self.options.target));
        run.profile.meter.add(extent.duration, extent.size_bytes, target);
        run.next = run.next.saturating_add(1);
        run.closed += 1;
        run.has_media = true;
    }

    /// Appends a gap to its rendition's window. It needs no map.
    fn append_gap(&mut self, rendition: usize, extent: &Extent, plan: &mut Plan) {
        if self.runs[rendition].opened.is_none() {
            self.begin_without_map(rendition, &extent.head, None);
        }
        let run = &mut self.runs[rendition];
        let Some(opened) = run.opened.take() else { return };
        let start = extent.head.start;
        let mark = || self.timeline.close(rendition, run.closed, start, opened.has_jumped);
        let mark = opened.mark.unwrap_or_else(mark);
        let names = &self.options.renditions[rendition];
        self.target.admit(extent, self.options.kind);
        let (number, duration) = (run.next, extent.duration);
        if let Some(target) = self.target.exceeded_by(duration) {
            plan.report(Anomaly::LongerThanTarget { rendition, number, duration, target });
        }
        let segment = playlist::Segment {
            uri: naming::reference(&self.options.url_prefix, &names.playlist, &names.segment_key(number)),
            duration,
            is_gap: true,
            is_discontinuity: mark.is_discontinuity,
            date_time: mark.date_time,
            ..playlist::Segment::default()
        };
        if mark.has_stepped {
            run.window.restate_date();
        }
        run.window.push(Entry::new(number, None, segment), true);
        run.next = run.next.saturating_add(1);
        if !run.has_media {
            run.gap_end = Some(start + Ticks::from(extent.duration));
        }
    }

    /// Puts what may be shown now that `rendition` has something new.
    fn publish(&mut self, rendition: usize, plan: &mut Plan) {
        if self.target.fixed().is_some() {
            self.put_playlist(rendition, plan);
        } else if self.is_ready() {
            self.fix_targets(plan);
            for rendition in 0..self.runs.len() {
                let run = &self.runs[rendition];
                if run.closed > 0 || run.is_ended {
                    self.put_playlist(rendition, plan);
                }
            }
        } else {
            return;
        }
        self.put_multivariants(plan);
    }

    /// Whether the target duration can be told: every rendition has promised one, or has been waited for long
    /// enough. VOD is told at the end, from the whole.
    fn is_ready(&self) -> bool {
        if self.runs.iter().all(|run| !run.is_shown()) {
            return false;
        }
        if self.options.kind == Kind::Vod {
            return self.is_ended();
        }
        let most_closed = self.runs.iter().map(|run| run.closed).max().unwrap_or(0);
        most_closed >= PATIENCE || self.runs.iter().all(|run| run.is_ended || run.closed > 0)
    }

    fn fix_targets(&mut self, plan: &mut Plan) {
        if let Some((from, to)) = self.target.fix() {
            plan.report(Anomaly::TargetRaised { from, to });
        }
        self.part_target.fix();
    }

    fn put_playlist(&mut self, rendition: usize, plan: &mut Plan) {
        let (Some(target), run) = (self.target.fixed(), &mut self.runs[rendition]) else { return };
        if run.window.is_empty() {
            return;
        }
        let is_shown = run.is_shown();
        if let Kind::Live { window } = self.options.kind {
            run.window.trim(window, target);
            if is_shown {
                self.leave_date_ranges(rendition);
            }
        }
        if !is_shown {
            return;
        }
        let run = &mut self.runs[rendition];
        run.window.forget_parts(target * low_latency::PARTS);
        let mut view = run.window.view(target, self.options.has_date_time);
        if self.options.has_date_time {
            view.media.date_ranges = self.snapshot.date_ranges.all();
        }
        view.media.is_ended = run.is_ended;
        view.media.kind = match self.options.kind {
            Kind::Live { .. } => None,
            Kind::Event => Some(playlist::Type::Event),
            Kind::Vod => Some(playlist::Type::Vod),
        };
        let key = self.options.renditions[rendition].playlist.clone();
        plan.push(Step::PutPlaylist { key, text: view.media.render() });
        self.is_index_due |= !run.is_out;
        run.is_out = true;
        Arc::make_mut(&mut self.snapshot).views[rendition] = Some(Arc::new(view));
        self.show_edge(rendition);
    }

    /// Tells no more of what ends before all playlists begin, where that of `rendition` is put. Those that have ended
    /// before stay as they are.
    fn leave_date_ranges(&mut self, rendition: usize) {
        if !self.snapshot.date_ranges.is_used() {
            return;
        }
        let goes_on = |at: usize, run: &Run| !run.window.is_empty() && (at == rendition || !run.is_ended);
        let runs = self.runs.iter().enumerate().filter(|(at, run)| goes_on(*at, run));
        let firsts = runs.map(|(_, run)| run.window.first_date());
        // Whoever knows no date may still show what others do not.
        let Some(first) = firsts.min().flatten() else { return };
        let mut ranges = self.snapshot.date_ranges.as_ref().clone();
        if ranges.leave_behind(first, self.now) {
            Arc::make_mut(&mut self.snapshot).date_ranges = Arc::new(ranges);
        }
    }

    /// Shows how far the open segment of `rendition` has come.
    fn show_edge(&mut self, rendition: usize) {
        let snapshot = Arc::make_mut(&mut self.snapshot);
        snapshot.edges[rendition] = self.runs[rendition].edge(self.options.has_date_time);
        snapshot.part_target = self.part_target.fixed();
    }

    /// Looks for renditions that need more than the bandwidth that is configured.
    fn compare_bandwidths(&mut self, plan: &mut Plan) {
        for rendition in 0..self.runs.len() {
            let configured = configured_bps(&self.runs[rendition], &self.options.renditions[rendition]);
            let measured = peak_bps(&self.options, &self.runs, rendition);
            if let (Some(configured_bps), Some(measured_bps)) = (configured, measured)
                && measured_bps > configured_bps
            {
                self.runs[rendition].is_exceeded = true;
                self.is_index_due = true;
                plan.report(Anomaly::BandwidthExceeded { rendition, measured_bps, configured_bps });
            }
        }
    }

    /// Puts each multivariant playlist that says something new, if all that it names is out.
    fn put_multivariants(&mut self, plan: &mut Plan) {
        self.compare_bandwidths(plan);
        let all = self.runs.iter().zip(&self.options.renditions);
        let is_stale = all.into_iter().any(|(run, names)| run.profile.is_stale(configured_bps(run, names)));
        if is_stale {
            // VOD is complete by now: nothing higher will come.
            let has_headroom = self.options.kind != Kind::Vod;
            self.runs.iter_mut().for_each(|run| run.profile.declare(has_headroom));
        }
        let is_any_ended = self.runs.iter().any(|run| run.is_ended);
        if !(is_stale || is_any_ended || self.is_index_due) {
            return;
        }
        self.is_index_due = false;
        for (at, index) in self.indexes.iter_mut().enumerate() {
            match index.renew(&self.options, &self.runs) {
                Renewal::Waits => self.is_index_due = true,
                Renewal::Same => {}
                Renewal::New(text) => {
                    Arc::make_mut(&mut self.snapshot).multivariants[at] = Some(text.as_str().into());
                    plan.push(Step::PutPlaylist { key: index.key().to_owned(), text });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::UNIX_EPOCH;

    use super::super::replay;
    use super::*;
    use crate::codec::{Audio, Codec, Video};
    use crate::time::Rate;

    const LIVE: Kind = Kind::Live { window: 3 };

    /// Drives a presentation with segments of `seconds`, one after the other on each rendition's line.
    struct Feed {
        presentation: Presentation,
        starts: Vec<i64>,
        now: Duration,
    }

    impl Feed {
        fn new(options: Options) -> Self {
            let starts = vec![0; options.renditions.len()];
            Self { presentation: Presentation::new(options), starts, now: Duration::ZERO }
        }

        fn lone(kind: Kind) -> Self {
            let rendition =
                super::super::Rendition { playlist: "index.m3u8".to_owned(), ..Default::default() };
            let options = replay::options(kind, &[]);
            Self::new(Options { multivariants: Vec::new(), renditions: vec![rendition], ..options })
        }

        fn ladder(kind: Kind) -> Self {
            Self::new(replay::options(kind, &["high", "low"]))
        }

        fn head(&self, rendition: usize) -> Head {
            let start = Ticks::new(self.starts[rendition] * Ticks::PER_SECOND);
            Head { start, decode_start: start, is_discontinuity: false, is_independent: true }
        }

        fn close(&mut self, rendition: usize, head: Head, seconds: i64) -> Plan {
            self.starts[rendition] = head.start.count() / Ticks::PER_SECOND + seconds;
            self.presentation.open(rendition, &head, UNIX_EPOCH + self.now);
            let duration = Duration::from_secs(seconds as u64);
            self.now += duration;
            let longest = Duration::from_secs(4);
            let extent = Extent {
                head,
                duration,
                size_bytes: seconds as u64 * 125_000,
                longest,
                decode_end: head.start,
            };
            self.presentation.close(rendition, &extent)
        }

        fn segment(&mut self, rendition: usize) -> Plan {
            self.close(rendition, self.head(rendition), 4)
        }

        fn jump(&mut self, rendition: usize, to: i64) -> Plan {
            let start = Ticks::new(to * Ticks::PER_SECOND);
            self.close(
                rendition,
                Head { start, decode_start: start, is_discontinuity: true, is_independent: true },
                4,
            )
        }

        fn end(&mut self, rendition: usize) -> Plan {
            self.presentation.end(rendition)
        }
    }

    fn keys(plan: &Plan) -> Vec<&str> {
        fn key(step: &Step) -> &str {
            match step {
                Step::PutSegment { key, .. } | Step::PutPlaylist { key, .. } => key,
            }
        }
        plan.into_iter().map(key).collect()
    }

    /// The text put at `key`, if any.
    fn text<'a>(plan: &'a Plan, at: &str) -> Option<&'a str> {
        plan.into_iter().find_map(|step| match step {
            Step::PutPlaylist { key, text } if key == at => Some(text.as_str()),
            _ => None,
        })
    }

    #[test]
    fn a_window_slides_and_dates_stand_where_they_must() {
        let mut feed = Feed::lone(LIVE);
        feed.segment(0);
        feed.segment(0);
        feed.jump(0, 1000);
        feed.segment(0);
        let head = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:4\n";
        let plan = feed.segment(0);
        let expected = format!(
            "{head}#EXT-X-MEDIA-SEQUENCE:3\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-DISCONTINUITY\n\
            #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:08.000Z\n#EXTINF:4.000000,\n00003.ts\n\
            #EXTINF:4.000000,\n00004.ts\n#EXTINF:4.000000,\n00005.ts\n"
        );
        assert_eq!(text(&plan, "index.m3u8"), Some(expected.as_str()));
        feed.segment(0);
        let plan = feed.end(0);
        let expected = format!(
            "{head}#EXT-X-MEDIA-SEQUENCE:4\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n#EXT-X-INDEPENDENT-SEGMENTS\n\
            #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:12.000Z\n#EXTINF:4.000000,\n00004.ts\n\
            #EXTINF:4.000000,\n00005.ts\n#EXTINF:4.000000,\n00006.ts\n#EXT-X-ENDLIST\n"
        );
        assert_eq!(text(&plan, "index.m3u8"), Some(expected.as_str()));
        assert!(feed.end(0).is_empty() && feed.segment(0).is_empty());
    }

    #[test]
    fn what_is_said_of_a_stretch_of_time_is_told_until_it_lies_behind_also_over_a_restart() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let mut feed = Feed::lone(LIVE);
        feed.segment(0);
        let advert = playlist::DateRange { end: Some(at(10)), ..playlist::DateRange::new("ad", at(5)) };
        feed.presentation.date_range(advert.clone(), at(5));
        let plan = feed.segment(0);
        assert!(text(&plan, "index.m3u8").unwrap().contains("#EXT-X-DATERANGE:ID=\"ad\","), "{plan:?}");
        let found = feed.presentation.snapshot().media(0).cloned();
        let options = feed.presentation.options().clone();
        feed.presentation = Presentation::resume(options, &[found]);
        feed.segment(0);
        assert_eq!(feed.presentation.snapshot().media(0).unwrap().date_ranges, [advert]);
        (0..3).for_each(|_| drop(feed.segment(0)));
        let media = feed.presentation.snapshot().media(0).unwrap().clone();
        assert!(media.segments[0].date_time > Some(at(10)) && media.date_ranges.is_empty(), "{media:?}");
    }

    #[test]
    fn no_playlist_is_put_before_each_rendition_told_its_longest() {
        let mut feed = Feed::ladder(LIVE);
        assert_eq!(keys(&feed.segment(0)), ["high/00001.ts"]);
        assert_eq!(
            keys(&feed.segment(1)),
            ["low/00001.ts", "high/index.m3u8", "low/index.m3u8", "index.m3u8"]
        );
        assert_eq!(keys(&feed.segment(0)), ["high/00002.ts", "high/index.m3u8"]);
    }

    #[test]
    fn a_rendition_that_does_not_come_is_not_waited_for_longer_than_three_segments() {
        let mut feed = Feed::ladder(LIVE);
        feed.segment(0);
        assert_eq!(keys(&feed.segment(0)), ["high/00002.ts"]);
        assert_eq!(keys(&feed.segment(0)), ["high/00003.ts", "high/index.m3u8"]);
        // The multivariant playlist does wait.
        assert_eq!(keys(&feed.segment(1)), ["low/00001.ts", "low/index.m3u8", "index.m3u8"]);
    }

    #[test]
    fn vod_is_told_at_the_end_from_the_whole() {
        let mut feed = Feed::ladder(Kind::Vod);
        for (rendition, seconds) in [(0, 4), (1, 4), (0, 7), (1, 3)] {
            let plan = feed.close(rendition, feed.head(rendition), seconds);
            assert_eq!(keys(&plan).len(), 1);
            assert!(plan.anomalies().is_empty());
        }
        assert!(feed.end(0).is_empty());
        let plan = feed.end(1);
        assert_eq!(keys(&plan), ["high/index.m3u8", "low/index.m3u8", "index.m3u8"]);
        let expected = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:7\n#EXT-X-MEDIA-SEQUENCE:1\n\
            #EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEPENDENT-SEGMENTS\n\
            #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:00.000Z\n#EXTINF:4.000000,\n00001.ts\n\
            #EXTINF:7.000000,\n00002.ts\n#EXT-X-ENDLIST\n";
        assert_eq!(text(&plan, "high/index.m3u8"), Some(expected));
        // All is known: no headroom.
        let expected = "#EXTM3U\n#EXT-X-INDEPENDENT-SEGMENTS\n\
            #EXT-X-STREAM-INF:BANDWIDTH=1000000,AVERAGE-BANDWIDTH=1000000\nhigh/index.m3u8\n\
            #EXT-X-STREAM-INF:BANDWIDTH=1000000,AVERAGE-BANDWIDTH=1000000\nlow/index.m3u8\n";
        assert_eq!(text(&plan, "index.m3u8"), Some(expected));
    }

    #[test]
    fn nothing_leaves_an_event() {
        let mut feed = Feed::lone(Kind::Event);
        (0..20).for_each(|_| drop(feed.segment(0)));
        let plan = feed.segment(0);
        let text = text(&plan, "index.m3u8").unwrap();
        assert!(text.contains("#EXT-X-PLAYLIST-TYPE:EVENT\n") && text.contains("\n00001.ts\n"));
    }

    #[test]
    fn a_segment_longer_than_the_target_is_reported_and_tells_its_real_duration() {
        let mut feed = Feed::lone(LIVE);
        feed.segment(0);
        let plan = feed.close(0, feed.head(0), 6);
        let (duration, target) = (Duration::from_secs(6), Duration::from_secs(4));
        assert_eq!(
            plan.anomalies(),
            [Anomaly::LongerThanTarget { rendition: 0, number: 2, duration, target }]
        );
        let plan = feed.segment(0);
        let lines = "#EXTINF:6.000000,\n00002.ts\n#EXTINF:4.000000,\n00003.ts\n";
        assert!(text(&plan, "index.m3u8").unwrap().ends_with(lines));
    }

    #[test]
    fn a_discontinuity_of_one_rendition_is_one_of_all() {
        let mut feed = Feed::ladder(LIVE);
        for rendition in [0, 1] {
            feed.segment(rendition);
        }
        feed.jump(0, 500);
        let plan = feed.segment(1);
        assert!(text(&plan, "low/index.m3u8").unwrap().contains("#EXT-X-DISCONTINUITY\n"));
        for rendition in [0, 1, 0, 1, 0, 1, 0, 1] {
            feed.segment(rendition);
        }
        let snapshot = feed.presentation.snapshot();
        let sequences = [0, 1].map(|rendition| snapshot.media(rendition).unwrap().discontinuity_sequence);
        assert_eq!(sequences, [1, 1]);
    }

    #[test]
    fn equal_timestamps_have_equal_dates_in_all_renditions() {
        let mut feed = Feed::ladder(LIVE);
        for rendition in [0, 1, 0, 1] {
            feed.segment(rendition);
        }
        let snapshot = feed.presentation.snapshot();
        let dates = [0, 1].map(|rendition| snapshot.media(rendition).unwrap().segments[0].date_time);
        assert_eq!(dates, [Some(UNIX_EPOCH); 2]);
    }

    fn formats() -> [Format; 2] {
        [
            Format::Video(Video {
                codec: Codec::H264,
                rfc6381: Some("avc1.64001f".to_owned()),
                width: 1280,
                height: 720,
                frame_rate: Rate::new(30_000, 1001),
                is_interlaced: false,
                colour: None,
                sample_aspect: None,
            }),
            Format::Audio(Audio {
                codec: Codec::AacAdts,
                rfc6381: Some("mp4a.40.2".to_owned()),
                sample_rate_hz: 48_000,
                channels: 2,
                samples_per_frame: 1024,
            }),
        ]
    }

    #[test]
    fn the_multivariant_playlist_is_put_again_only_when_it_says_something_new() {
        let mut feed = Feed::ladder(LIVE);
        feed.presentation.format(0, &formats());
        feed.segment(0);
        let plan = feed.segment(1);
        let high = "#EXTM3U\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-STREAM-INF:BANDWIDTH=1250000,\
            AVERAGE-BANDWIDTH=1000000,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,FRAME-RATE=29.970\n\
            high/index.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=1250000,AVERAGE-BANDWIDTH=1000000";
        assert_eq!(text(&plan, "index.m3u8"), Some(format!("{high}\nlow/index.m3u8\n").as_str()));
        assert_eq!(text(&feed.segment(0), "index.m3u8"), None);
        feed.presentation.format(1, &formats()[1..]);
        feed.presentation.format(0, &formats());
        let expected = format!("{high},CODECS=\"mp4a.40.2\"\nlow/index.m3u8\n");
        assert_eq!(text(&feed.segment(1), "index.m3u8"), Some(expected.as_str()));
        assert_eq!(feed.presentation.snapshot().multivariant("index.m3u8"), Some(expected.as_str()));
        // A segment that is not independent takes the tag away, once and for all.
        let head = Head { is_independent: false, ..feed.head(1) };
        let plan = feed.close(1, head, 4);
        assert!(!text(&plan, "index.m3u8").unwrap().contains("INDEPENDENT"));
        assert!((0..9).all(|_| text(&feed.segment(1), "index.m3u8").is_none()));
    }

    #[test]
    fn a_variant_that_was_dropped_is_offered_no_more() {
        let mut feed = Feed::ladder(LIVE);
        for rendition in [0, 1] {
            feed.segment(rendition);
        }
        let plan = feed.end(1);
        assert!(text(&plan, "low/index.m3u8").unwrap().ends_with("#EXT-X-ENDLIST\n"));
        assert_eq!(text(&feed.segment(0), "index.m3u8"), None);
        assert_eq!(text(&feed.segment(0), "index.m3u8"), None);
        let plan = feed.segment(0);
        assert!(!text(&plan, "index.m3u8").unwrap().contains("low/"));
    }

    #[test]
    fn a_rendition_that_never_came_holds_nothing_up() {
        let mut feed = Feed::ladder(LIVE);
        feed.segment(0);
        assert_eq!(keys(&feed.end(1)), ["high/index.m3u8", "index.m3u8"]);
        assert_eq!(keys(&feed.end(0)), ["high/index.m3u8"]);
        assert!(feed.presentation.is_ended());
    }

    #[test]
    fn names_have_the_prefix_that_is_asked_for() {
        let mut options = replay::options(LIVE, &["high"]);
        options.url_prefix = "https://cdn.example/live/".to_owned();
        options.has_date_time = false;
        let mut feed = Feed::new(options);
        let plan = feed.segment(0);
        let media = text(&plan, "high/index.m3u8").unwrap();
        assert!(media.ends_with("#EXTINF:4.000000,\nhttps://cdn.example/live/high/00001.ts\n"));
        assert!(!media.contains("DATE-TIME"));
        let multivariant = text(&plan, "index.m3u8").unwrap();
        assert!(multivariant.ends_with("\nhttps://cdn.example/live/high/index.m3u8\n"));
    }

    #[test]
    fn each_place_shows_what_it_lacks_as_gaps() {
        let mut feed = Feed::lone(LIVE);
        feed.segment(0);
        let plan = feed.segment(0);
        let snapshot = feed.presentation.snapshot();
        feed.segment(0);
        let view = snapshot.view(0).unwrap();
        assert_eq!(Some(view.media().render().as_str()), text(&plan, "index.m3u8"));
        let with_gaps = view.with_gaps(&BTreeSet::from([2, 3]));
        assert!(with_gaps.media().render().ends_with("#EXT-X-GAP\n#EXTINF:4.000000,\n00002.ts\n"));
        assert_eq!(with_gaps.named().map(|(key, _)| key).collect::<Vec<_>>(), ["00001.ts"]);
        assert_eq!(view.truncated(1).numbers().collect::<Vec<_>>(), [1]);
        assert_eq!((view.end(), view.truncated(1).end()), (3, 2));
        assert!(snapshot.view(1).is_none());
    }
}
