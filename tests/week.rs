//! A week of stream, from bytes to playlists, in virtual time: timestamps wrap, the source jumps, we die and come back.
#![allow(missing_docs, clippy::unwrap_used)]

mod support {
    pub mod synth;
}

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use segcast::live::{self, Kind, Plan, Presentation, Reload, Retention, Skip, Snapshot, Step, low_latency};
use segcast::playlist::Media;
use segcast::segment::{Extent, Head, Options, Output, Part, Segmenter};
use segcast::time::Ticks;
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

/// Of a low-latency channel: four parts a segment.
const LONG: Duration = Duration::from_secs(6);
const PART: Duration = Duration::from_millis(1500);
const PICTURES: usize = 0;
const SOUND: usize = 1;

/// A low-latency channel of CMAF, its sound apart, in virtual time.
struct Close {
    presentation: Presentation,
    /// Segments begun, and parts of the last one that are there.
    segments: u32,
    parts: u32,
    /// The map of the pictures.
    digest: u64,
}

impl Close {
    fn new() -> Self {
        let rendition = |name: &str, role| live::Rendition {
            name: name.to_owned(),
            playlist: format!("{name}/index.m3u8"),
            segment_prefix: format!("{name}/"),
            container: live::Container::Cmaf,
            role,
            ..live::Rendition::default()
        };
        let (group, name) = ("sound".to_owned(), "Sound".to_owned());
        let pictures = rendition("high", live::Role::Variant { audio: Some(group.clone()) });
        let sound = rendition("sound", live::Role::Audio { group, name, is_default: true });
        let presentation = Presentation::new(live::Options {
            kind: Kind::Live { window: 8 },
            target: LONG,
            multivariants: vec![live::Listing { key: PLAYLIST.to_owned(), container: live::Container::Cmaf }],
            url_prefix: String::new(),
            has_date_time: true,
            has_parts: true,
            renditions: vec![pictures, sound],
        });
        Self { presentation, segments: 0, parts: 0, digest: 1 }
    }

    /// Pictures first, then sound: opens a segment if none is, and gives its next part.
    fn part(&mut self) {
        for rendition in [PICTURES, SOUND] {
            if self.parts == 0 {
                let at = LONG * self.segments;
                self.presentation.open(rendition, &self.head(), UNIX_EPOCH + at);
                self.presentation.map(rendition, if rendition == PICTURES { self.digest } else { 9 });
            }
            let index = self.parts;
            let at = |index: u32| Ticks::from(LONG * self.segments + PART * index);
            let plan = self.presentation.part(
                rendition,
                &Part {
                    index,
                    decode_start: at(index),
                    decode_end: at(index + 1),
                    duration: PART,
                    is_independent: index == 0 || rendition == SOUND,
                    longest: PART,
                },
            );
            assert!(plan.is_empty() && plan.anomalies().is_empty());
        }
        self.parts += 1;
    }

    fn head(&self) -> Head {
        let start = Ticks::from(LONG * self.segments);
        Head { start, decode_start: start, is_discontinuity: false, is_independent: true }
    }

    fn close(&mut self) {
        let head = self.head();
        for rendition in [PICTURES, SOUND] {
            let decode_end = head.decode_start + Ticks::from(LONG);
            let extent = Extent { head, duration: LONG, size_bytes: 1_000_000, longest: LONG, decode_end };
            assert!(self.presentation.close(rendition, &extent).anomalies().is_empty());
        }
        (self.segments, self.parts) = (self.segments + 1, 0);
    }

    fn segment(&mut self) {
        while self.parts < 4 {
            self.part();
        }
        self.close();
    }

    fn text(&self, rendition: usize, skip: Skip) -> String {
        low_latency(&self.presentation.snapshot(), rendition, skip).unwrap()
    }
}

/// The beginning of a playlist, and the map of its first segment.
fn beginning(version: u32, numbers: &str, map: Option<u64>) -> String {
    let map = map.map(|digest| format!("#EXT-X-MAP:URI=\"init-{digest:016x}.mp4\"\n")).unwrap_or_default();
    format!(
        "#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:6\n\
        #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=36.0,HOLD-BACK=18.0,PART-HOLD-BACK=4.5\n\
        #EXT-X-PART-INF:PART-TARGET=1.5\n{numbers}{map}"
    )
}

/// A segment's date and the first of its parts.
fn parts(number: u32, count: u32) -> String {
    let at = humantime::format_rfc3339_millis(UNIX_EPOCH + LONG * (number - 1));
    let part = |index: u32| {
        let independent = if index == 0 { ",INDEPENDENT=YES" } else { "" };
        format!("#EXT-X-PART:DURATION=1.5,URI=\"{number:05}.{index}.m4s\"{independent}\n")
    };
    format!("#EXT-X-PROGRAM-DATE-TIME:{at}\n{}", (0..count).map(part).collect::<String>())
}

fn whole(number: u32, count: u32) -> String {
    format!("{}#EXTINF:6.000000,\n{number:05}.m4s\n", parts(number, count))
}

#[test]
fn a_week_in_parts_is_told_as_the_specification_wants_it() {
    const DAY: u32 = 24 * 3600 / 6;
    let mut channel = Close::new();
    channel.part();
    assert_eq!(low_latency(&channel.presentation.snapshot(), PICTURES, Skip::No), None);
    channel.segment();
    channel.part();
    channel.part();
    let start = "#EXT-X-MEDIA-SEQUENCE:1\n#EXT-X-INDEPENDENT-SEGMENTS\n";
    let expected = format!(
        "{}{}{}#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"00002.2.m4s\"\n\
        #EXT-X-RENDITION-REPORT:URI=\"../sound/index.m3u8\",LAST-MSN=2,LAST-PART=1\n",
        beginning(6, start, Some(1)),
        whole(1, 4),
        parts(2, 2)
    );
    assert_eq!(channel.text(PICTURES, Skip::No), expected);
    assert_eq!(channel.text(PICTURES, Skip::Segments), expected, "there is nothing to skip");

    while channel.segments < 7 * DAY {
        // New parameter sets each day: another map, and a break for the sound too.
        channel.digest = u64::from(channel.segments / DAY) + 1;
        channel.segment();
        if channel.segments == 3 * DAY + 1 {
            over_a_change_of_segments(&mut channel);
        }
    }
    let expected = "#EXTM3U\n#EXT-X-INDEPENDENT-SEGMENTS\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound\",NAME=\"Sound\",DEFAULT=YES,AUTOSELECT=YES,URI=\"sound/index.m3u8\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=3334000,AVERAGE-BANDWIDTH=2666668,AUDIO=\"sound\"\nhigh/index.m3u8\n";
    assert_eq!(channel.presentation.snapshot().multivariant(PLAYLIST), Some(expected));
    let ordinary = channel.presentation.snapshot().media(PICTURES).unwrap().render();
    assert!(!ordinary.contains("PART") && ordinary.contains("#EXT-X-MAP"), "{ordinary}");

    channel.part();
    channel.presentation.end(SOUND);
    let text = channel.text(PICTURES, Skip::No);
    assert!(text.ends_with("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"100801.1.m4s\"\n"), "{text}");
    channel.presentation.end(PICTURES);
    let numbers =
        "#EXT-X-MEDIA-SEQUENCE:100793\n#EXT-X-DISCONTINUITY-SEQUENCE:6\n#EXT-X-INDEPENDENT-SEGMENTS\n";
    let expected = format!(
        "{}{}{}#EXT-X-ENDLIST\n",
        beginning(6, numbers, Some(7)),
        (100_793..=100_797).map(|number| whole(number, 0)).collect::<String>(),
        (100_798..=100_800).map(|number| whole(number, 4)).collect::<String>(),
    );
    assert_eq!(channel.text(PICTURES, Skip::No), expected);
    assert_eq!(channel.presentation.snapshot().answers(PICTURES, 200_000, Some(0)), Reload::Ready);
}

/// The segment with the fourth map was just closed.
fn over_a_change_of_segments(channel: &mut Close) {
    let numbers =
        "#EXT-X-MEDIA-SEQUENCE:43194\n#EXT-X-DISCONTINUITY-SEQUENCE:2\n#EXT-X-INDEPENDENT-SEGMENTS\n";
    let plain = |from: u32| (from..=43_198).map(|number| whole(number, 0)).collect::<String>();
    let last = format!(
        "{}{}#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init-0000000000000004.mp4\"\n{}",
        whole(43_199, 4),
        whole(43_200, 4),
        whole(43_201, 4)
    );
    let report = |msn, part| {
        format!("#EXT-X-RENDITION-REPORT:URI=\"../sound/index.m3u8\",LAST-MSN={msn},LAST-PART={part}\n")
    };
    let head = beginning(6, numbers, Some(3));
    let tail = format!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"43202.0.m4s\"\n{}", report(43_201, 3));
    assert_eq!(channel.text(PICTURES, Skip::No), format!("{head}{}{last}{tail}", plain(43_194)));
    let sound = channel.text(SOUND, Skip::No);
    assert!(
        sound.contains("#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:1970-01-04T00:00:00.000Z\n"),
        "{sound}"
    );

    channel.part();
    let tail = format!(
        "{}#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"43202.1.m4s\"\n{}",
        parts(43_202, 1),
        report(43_202, 0)
    );
    assert_eq!(channel.text(PICTURES, Skip::No), format!("{head}{}{last}{tail}", plain(43_194)));
    let skip = format!("{numbers}#EXT-X-SKIP:SKIPPED-SEGMENTS=2\n");
    let delta = format!("{}{}{last}{tail}", beginning(9, &skip, None), plain(43_196));
    assert_eq!(channel.text(PICTURES, Skip::Segments), delta);
    let answers = |part| channel.presentation.snapshot().answers(PICTURES, 43_202, Some(part));
    assert_eq!([0, 1, 3, 4].map(answers), [Reload::Ready, Reload::Wait, Reload::Wait, Reload::TooFar]);
}
