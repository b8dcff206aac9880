//! A week of stream, from bytes to playlists, in virtual time: timestamps wrap, the source jumps, we die and come back.
#![allow(missing_docs, clippy::unwrap_used)]

mod support {
    pub mod synth;
}

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use segcast::live::{self, Kind, Plan, Presentation, Retention, Snapshot, Step};
use segcast::playlist::Media;
use segcast::segment::{Options, Output, Segmenter};
use segcast::ts::AnomalyKind;
use support::synth::Synth;

const TARGET: Duration = Duration::from_secs(4);
/// Not a whole number of anything; a random access point every 1.602 s.
const FRAME: u64 = 72_072;
/// Before we are killed and come back, the source jumps once.
const STRETCH: Duration = Duration::from_secs(6 * 3600);
const LIVES: u64 = 14;
const PLAYLIST: &str = "index.m3u8";

/// What viewers find, and what they have ever been shown.
#[derive(Default)]
struct Folder {
    segments: BTreeMap<String, Duration>,
    media: Option<Media>,
    /// By number, for ever.
    shown: BTreeMap<u64, Duration>,
    retention: Retention,
}

impl Folder {
    fn perform(&mut self, plan: Plan, snapshot: &Snapshot, now: Duration) {
        for step in plan {
            match step {
                Step::PutSegment { key, .. } => {
                    self.segments.insert(key, now);
                }
                Step::PutPlaylist { text, .. } => self.show(Media::parse(&text).unwrap()),
            }
        }
        if let Some(view) = snapshot.view(0) {
            self.retention.show(0, view, now);
        }
        while let Some(key) = self.retention.take(now) {
            self.segments.remove(&key);
        }
    }

    fn show(&mut self, media: Media) {
        if let Some(before) = &self.media {
            assert!(media.media_sequence >= before.media_sequence);
            assert!(media.discontinuity_sequence >= before.discontinuity_sequence);
            assert_eq!(media.target_duration, before.target_duration);
        }
        for (number, segment) in (media.media_sequence..).zip(&media.segments) {
            assert!(self.segments.contains_key(&segment.uri), "{} is not there", segment.uri);
            assert!(segment.duration <= media.target_duration);
            let told = *self.shown.entry(number).or_insert(segment.duration);
            assert_eq!(told, segment.duration, "number {number} was another segment");
        }
        self.media = Some(media);
    }

    fn breaks(&self) -> u64 {
        let media = self.media.as_ref().unwrap();
        let tags = media.segments.iter().filter(|segment| segment.is_discontinuity).count() as u64;
        media.discontinuity_sequence + tags
    }
}

fn options() -> live::Options {
    let rendition = live::Rendition { playlist: PLAYLIST.to_owned(), ..live::Rendition::default() };
    live::Options {
        kind: Kind::Live { window: 6 },
        target: TARGET,
        multivariants: Vec::new(),
        url_prefix: String::new(),
        has_date_time: true,
        has_parts: false,
        renditions: vec![rendition],
    }
}

/// Two stretches that do not follow each other, the second from `first_pts` on backwards in time.
fn stream(first_pts: u64, pictures: usize) -> Vec<u8> {
    let stretch = |first_pts| Synth {
        pictures,
        gop: 2,
        picture_bytes: 0,
        audio_bytes: None,
        first_pts,
        frame: FRAME,
        ..Synth::default()
    };
    [stretch(first_pts).bytes(), stretch(first_pts - 1_000_000_000).bytes()].concat()
}

#[test]
fn a_week_of_wraps_jumps_and_restarts_loses_no_time_and_no_number() {
    let pictures = usize::try_from(STRETCH.as_secs() * 90_000 / FRAME).unwrap();
    let (mut folder, mut now, mut wraps) = (Folder::default(), Duration::ZERO, 0);
    for life in 0..LIVES {
        // Close enough below the wrap that each life's first stretch runs over it.
        let first_pts = (1 << 33) - (life + 1) * 90_000 * 1000;
        let found = folder.media.clone();
        folder.retention = Retention::default();
        found.iter().for_each(|media| folder.retention.take_up(&options(), 0, media, now));
        let mut presentation = Presentation::resume(options(), &[found]);
        let mut segmenter = Segmenter::new(&Options { target: TARGET, ..Options::default() });
        let (mut spans, mut last) = (Duration::ZERO, None);
        let mut take = |output, now: &mut Duration, presentation: &mut Presentation| match output {
            Output::Open(head) => presentation.open(0, &head, UNIX_EPOCH + *now),
            Output::Segment(segment) => {
                *now += segment.extent.duration;
                spans += segment.extent.duration;
                wraps += u64::from(
                    last.is_some_and(|last| last < 1 << 33) && segment.extent.head.start.count() >= 1 << 33,
                );
                last = Some(segment.extent.head.start.count());
                let plan = presentation.close(0, &segment.extent);
                assert!(plan.anomalies().is_empty());
                folder.perform(plan, &presentation.snapshot(), *now);
            }
            Output::Anomaly(anomaly) => {
                let is_jump = matches!(anomaly.kind, AnomalyKind::TimestampJump { .. });
                assert!(is_jump || matches!(anomaly.kind, AnomalyKind::ContinuityGap { .. }), "{anomaly}");
            }
            _ => {}
        };
        let mut bytes = Bytes::from(stream(first_pts, pictures));
        while !bytes.is_empty() {
            let chunk = bytes.split_to(bytes.len().min(64 << 10));
            for output in segmenter.push(chunk) {
                take(output, &mut now, &mut presentation);
            }
        }
        for output in segmenter.finish() {
            take(output, &mut now, &mut presentation);
        }
        let span = Duration::from_micros(2 * pictures as u64 * FRAME * 100 / 9);
        // Only how long the last picture of each stretch lasts is not told by the next.
        assert!(
            spans.abs_diff(span) < Duration::from_secs_f64(2.0 * FRAME as f64 / 90_000.0),
            "{spans:?} of {span:?}"
        );
        assert_eq!(folder.breaks(), 2 * life + 1, "a jump in each life, and one between two");
    }
    assert!(now > Duration::from_secs(7 * 24 * 3600 - 60) && wraps >= LIVES, "{now:?}, {wraps} wraps");
    assert_eq!(folder.shown.values().sum::<Duration>(), now);
    assert!(folder.segments.len() < 20, "{} segments", folder.segments.len());
    let last = *folder.shown.keys().last().unwrap();
    assert_eq!(folder.shown.len() as u64, last, "no number is left out");
}
