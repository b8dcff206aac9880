//! The media playlist (RFC 8216 §4.3.3).

use std::fmt::{self, Write};
use std::time::Duration;

use super::line::{self, Line};
use super::low_latency::LowLatency;
use super::segment::{Next, Segment};
use super::{DateRange, Error, Open};

/// What one rendition's playlist says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Media {
    /// No segment is longer; whole seconds, rounded up where it is written (§4.3.3.1).
    pub target_duration: Duration,
    /// The media sequence number of the first segment (§4.3.3.2), skipped ones counted.
    pub media_sequence: u64,
    /// Discontinuities before the first segment and its own tag (§4.3.3.3).
    pub discontinuity_sequence: u64,
    /// Whether it only grows, or does not change at all; none for a sliding window (§4.3.3.5).
    pub kind: Option<Type>,
    /// Whether each segment can be decoded without any other (§4.3.5.1).
    pub is_independent: bool,
    /// What is said of stretches of its time, in the order in which it was said. There have to be dates too (§4.3.2.7).
    pub date_ranges: Vec<DateRange>,
    /// In order, the oldest first; those that a delta update skips are left out.
    pub segments: Vec<Segment>,
    /// Whether no segment will be added (§4.3.3.4).
    pub is_ended: bool,
    /// What low latency adds; nothing in an ordinary playlist.
    pub low_latency: LowLatency,
}

/// EXT-X-PLAYLIST-TYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Segments are only added.
    Event,
    /// Nothing changes any more.
    Vod,
}

impl Media {
    /// The lowest EXT-X-VERSION that the tags allow (§7, rfc8216bis §8): EXT-X-SKIP asks for 9, and for 10 where it
    /// stands for date ranges, EXT-X-MAP for 6, fractions of seconds in EXTINF for 3, none of the other tags written here
    /// for anything; parts neither.
    pub fn version(&self) -> u64 {
        let open = self.low_latency.open.as_ref().filter(|open| !open.parts.is_empty());
        if self.low_latency.removed_date_ranges.is_some() {
            10
        } else if self.low_latency.skipped_segments > 0 {
            9
        } else if self.segments.iter().any(|one| one.map.is_some())
            || open.is_some_and(|one| one.map.is_some())
        {
            6
        } else if self.segments.is_empty() {
            1
        } else {
            3
        }
    }

    /// The sum of all durations.
    pub fn duration(&self) -> Duration {
        self.segments.iter().map(|segment| segment.duration).sum()
    }

    /// As text, each line ended by a line feed.
    pub fn render(&self) -> String {
        // About what a segment's lines take; strings grow anyway.
        let mut out = String::with_capacity(160 + self.segments.len() * 48);
        // Writing to a String cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        out.push_str("#EXTM3U\n");
        if self.version() > 1 {
            writeln!(out, "#EXT-X-VERSION:{}", self.version())?;
        }
        writeln!(out, "#EXT-X-TARGETDURATION:{}", self.target_duration.as_nanos().div_ceil(1_000_000_000))?;
        self.low_latency.write_head(out)?;
        writeln!(out, "#EXT-X-MEDIA-SEQUENCE:{}", self.media_sequence)?;
        if self.discontinuity_sequence > 0 {
            writeln!(out, "#EXT-X-DISCONTINUITY-SEQUENCE:{}", self.discontinuity_sequence)?;
        }
        match self.kind {
            Some(Type::Event) => out.push_str("#EXT-X-PLAYLIST-TYPE:EVENT\n"),
            Some(Type::Vod) => out.push_str("#EXT-X-PLAYLIST-TYPE:VOD\n"),
            None => {}
        }
        if self.is_independent {
            out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
        self.low_latency.write_skip(out)?;
        self.date_ranges.iter().try_for_each(|range| range.write(out))?;
        let mut map = None;
        self.segments.iter().try_for_each(|segment| segment.write(&mut map, out))?;
        if let Some(open) = &self.low_latency.open {
            open.write(map, out)?;
        }
        self.low_latency.write_tail(out)?;
        if self.is_ended {
            out.push_str("#EXT-X-ENDLIST\n");
        }
        Ok(())
    }

    /// Reads a media playlist; tags it does not know are passed over.
    ///
    /// # Errors
    /// If it is no playlist, has no target duration, is a multivariant playlist, or a known tag's value cannot
    /// be read.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut media = Self::default();
        let mut target = None;
        let mut next = Next::default();
        for (at, line) in line::lines(text)? {
            match line {
                Line::Uri(uri) => media.segments.push(next.take(at, uri)?),
                Line::Tag("#EXT-X-TARGETDURATION", value) => target = Some(line::seconds(at, value)?),
                Line::Tag(name, value) => {
                    if !next.read(at, name, value)? && !media.low_latency.read(at, name, value)? {
                        media.read(at, name, value)?;
                    }
                }
            }
        }
        media.low_latency.open = Open::of(next);
        let missing = || Error::new(text.split('\n').count() + 1, "#EXT-X-TARGETDURATION", "");
        Ok(Self { target_duration: target.ok_or_else(missing)?, ..media })
    }

    /// Takes a tag that belongs to the whole playlist.
    fn read(&mut self, at: usize, name: &str, value: &str) -> Result<(), Error> {
        match name {
            "#EXT-X-MEDIA-SEQUENCE" => self.media_sequence = line::integer(at, value)?,
            "#EXT-X-DISCONTINUITY-SEQUENCE" => self.discontinuity_sequence = line::integer(at, value)?,
            "#EXT-X-PLAYLIST-TYPE" => {
                self.kind = Some(match value {
                    "EVENT" => Type::Event,
                    "VOD" => Type::Vod,
                    _ => return Err(Error::new(at, "EVENT or VOD", value)),
                });
            }
            // The stream is none the worse for one that cannot be read.
            "#EXT-X-DATERANGE" => self.date_ranges.extend(DateRange::read(at, value).ok()),
            "#EXT-X-INDEPENDENT-SEGMENTS" => self.is_independent = true,
            "#EXT-X-ENDLIST" => self.is_ended = true,
            "#EXT-X-STREAM-INF" => {
                return Err(Error::new(at, "a media playlist, not a multivariant playlist", name));
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::super::{Hint, Part, Report, ServerControl, Value};
    use super::*;

    fn sample() -> Media {
        let date_time = Some(UNIX_EPOCH + Duration::from_millis(1_769_860_800_250));
        let segment = |name: &str, micros| Segment {
            uri: name.to_owned(),
            duration: Duration::from_micros(micros),
            ..Segment::default()
        };
        Media {
            target_duration: Duration::from_secs(4),
            media_sequence: 17,
            discontinuity_sequence: 2,
            kind: None,
            is_independent: true,
            date_ranges: Vec::new(),
            segments: vec![
                Segment { date_time, ..segment("00017.ts", 4_000_000) },
                Segment { is_gap: true, ..segment("00018.ts", 3_966_667) },
                Segment { is_discontinuity: true, date_time, ..segment("#ä b.ts", 33_367) },
            ],
            is_ended: true,
            low_latency: LowLatency::default(),
        }
    }

    fn part(uri: &str, micros: u64) -> Part {
        Part { uri: uri.to_owned(), duration: Duration::from_micros(micros), ..Part::default() }
    }

    fn mapped(uri: &str, map: &str) -> Segment {
        Segment {
            uri: uri.to_owned(),
            duration: Duration::from_secs(2),
            map: Some(map.to_owned()),
            ..Segment::default()
        }
    }

    fn low_latency() -> Media {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let parts = vec![
            Part { is_independent: true, ..part("3.0.m4s", 1_001_000) },
            Part { is_gap: true, ..part("3.1.m4s", 999_000) },
        ];
        let open = Open {
            is_discontinuity: true,
            date_time: Some(UNIX_EPOCH),
            map: Some("b c.mp4".to_owned()),
            parts: vec![part("4.0.m4s", 1_000_000)],
        };
        Media {
            target_duration: Duration::from_secs(2),
            media_sequence: 1,
            segments: vec![mapped("2.m4s", "a.mp4"), Segment { parts, ..mapped("3.m4s", "a.mp4") }],
            low_latency: LowLatency {
                control: Some(ServerControl {
                    can_block_reload: true,
                    can_skip_until: seconds(12),
                    can_skip_date_ranges: true,
                    hold_back: seconds(6),
                    part_hold_back: Some(Duration::from_micros(3_003_000)),
                }),
                part_target: Some(Duration::from_micros(1_001_000)),
                skipped_segments: 1,
                removed_date_ranges: Some(vec!["a".to_owned(), "b c".to_owned()]),
                open: Some(open),
                hints: vec![Hint::Map("c.mp4".to_owned()), Hint::Part("4.1.m4s".to_owned())],
                reports: vec![
                    Report { uri: "../low/index.m3u8".to_owned(), last_msn: 4, last_part: Some(0) },
                    Report { uri: "../ton/index.m3u8".to_owned(), last_msn: 3, last_part: None },
                ],
            },
            ..Media::default()
        }
    }

    #[test]
    fn a_low_latency_playlist_is_written_and_read() {
        let text = "#EXTM3U\n#EXT-X-VERSION:10\n#EXT-X-TARGETDURATION:2\n\
            #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,CAN-SKIP-DATERANGES=YES,HOLD-BACK=6.0,PART-HOLD-BACK=3.003\n\
            #EXT-X-PART-INF:PART-TARGET=1.001\n#EXT-X-MEDIA-SEQUENCE:1\n\
            #EXT-X-SKIP:SKIPPED-SEGMENTS=1,RECENTLY-REMOVED-DATERANGES=\"a\tb c\"\n\
            #EXT-X-MAP:URI=\"a.mp4\"\n#EXTINF:2.000000,\n2.m4s\n\
            #EXT-X-PART:DURATION=1.001,URI=\"3.0.m4s\",INDEPENDENT=YES\n\
            #EXT-X-PART:DURATION=0.999,URI=\"3.1.m4s\",GAP=YES\n#EXTINF:2.000000,\n3.m4s\n\
            #EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"b%20c.mp4\"\n\
            #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:00.000Z\n#EXT-X-PART:DURATION=1.0,URI=\"4.0.m4s\"\n\
            #EXT-X-PRELOAD-HINT:TYPE=MAP,URI=\"c.mp4\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"4.1.m4s\"\n\
            #EXT-X-RENDITION-REPORT:URI=\"../low/index.m3u8\",LAST-MSN=4,LAST-PART=0\n\
            #EXT-X-RENDITION-REPORT:URI=\"../ton/index.m3u8\",LAST-MSN=3\n";
        let mut media = low_latency();
        assert_eq!(media.render(), text);
        media.low_latency.open.as_mut().unwrap().map = Some("b%20c.mp4".to_owned());
        assert_eq!(Media::parse(text), Ok(media));
    }

    #[test]
    fn the_version_is_the_lowest_that_the_tags_allow() {
        let mut media = low_latency();
        assert_eq!(media.version(), 10);
        media.low_latency.removed_date_ranges = None;
        assert_eq!(media.version(), 9);
        media.low_latency.skipped_segments = 0;
        assert_eq!(media.version(), 6);
        media.segments.iter_mut().for_each(|segment| segment.map = None);
        assert_eq!(media.version(), 6, "the open segment has a map");
        media.low_latency.open.as_mut().unwrap().map = None;
        assert_eq!(media.version(), 3, "parts ask for nothing");
        media.segments.clear();
        assert_eq!(media.version(), 1);
    }

    #[test]
    fn a_map_holds_until_the_next_one() {
        let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n1.ts\n#EXT-X-MAP:URI=\"a\"\n#EXTINF:2,\n2.m4s\n\
            #EXT-X-DISCONTINUITY\n#EXTINF:2,\n3.m4s\n#EXT-X-MAP:URI=\"b\"\n#EXTINF:2,\n4.m4s\n";
        let media = Media::parse(text).unwrap();
        let maps: Vec<_> = media.segments.iter().map(|segment| segment.map.as_deref()).collect();
        assert_eq!(maps, [None, Some("a"), Some("a"), Some("b")]);
        assert_eq!(media.render().matches("EXT-X-MAP").count(), 2);
        let theirs = m3u8_rs::parse_media_playlist_res(media.render().as_bytes()).unwrap();
        assert_eq!(theirs.version, Some(6));
        let maps: Vec<_> =
            theirs.segments.iter().map(|one| one.map.as_ref().map(|map| map.uri.as_str())).collect();
        assert_eq!(maps, [None, Some("a"), None, Some("b")]);
    }

    #[test]
    fn a_whole_playlist_is_written() {
        let text = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:17\n\
            #EXT-X-DISCONTINUITY-SEQUENCE:2\n#EXT-X-INDEPENDENT-SEGMENTS\n\
            #EXT-X-PROGRAM-DATE-TIME:2026-01-31T12:00:00.250Z\n#EXTINF:4.000000,\n00017.ts\n\
            #EXT-X-GAP\n#EXTINF:3.966667,\n00018.ts\n\
            #EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2026-01-31T12:00:00.250Z\n#EXTINF:0.033367,\n\
            %23%C3%A4%20b.ts\n#EXT-X-ENDLIST\n";
        assert_eq!(sample().render(), text);
    }

    #[test]
    fn a_short_playlist_is_written() {
        let media = Media {
            target_duration: Duration::from_millis(3500),
            media_sequence: 1,
            kind: Some(Type::Event),
            ..Media::default()
        };
        let text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:1\n#EXT-X-PLAYLIST-TYPE:EVENT\n";
        assert_eq!(media.render(), text);
    }

    #[test]
    fn foreign_text_is_read() {
        let text = "#EXTM3U\r\n#EXT-X-VERSION:3\r\n# a comment\r\n#EXT-X-UNKNOWN:x\r\n\r\n\
            #EXT-X-TARGETDURATION:10\r\n#EXTINF:9.009 , a title, with a comma\r\nhttp://host/a.ts?b#c\r\n\
            #EXTINF:3\r\n  b.ts";
        let media = Media::parse(text).unwrap();
        assert_eq!((media.media_sequence, media.is_ended, media.segments.len()), (0, false, 2));
        assert_eq!(media.segments[0].uri, "http://host/a.ts?b#c");
        assert_eq!(media.duration(), Duration::from_millis(12_009));
        assert_eq!(media.segments[1].uri, "b.ts");
    }

    #[test]
    fn errors_name_the_line_and_what_was_expected() {
        let error = |text| Media::parse(text).unwrap_err().to_string();
        assert_eq!(error(""), "line 1: expected #EXTM3U, found \"\"");
        assert_eq!(error("#EXTM3U\n"), "line 3: expected #EXT-X-TARGETDURATION, found \"\"");
        assert_eq!(error("#EXTM3U\na.ts"), "line 2: expected #EXTINF before a segment, found \"a.ts\"");
        assert_eq!(
            error("#EXTM3U\n\n#EXT-X-MEDIA-SEQUENCE:-1"),
            "line 3: expected a whole number, found \"-1\""
        );
        assert_eq!(error("#EXTM3U\n#EXTINF:x,"), "line 2: expected a number of seconds, found \"x\"");
        assert!(error("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1").contains("multivariant"));
        for (tag, expected) in [
            ("MAP:X=1", "a URI attribute"),
            ("PART:URI=\"a\"", "a DURATION attribute"),
            ("PART:URI=\"a\",DURATION=1,INDEPENDENT=1", "YES or NO"),
            ("PART-INF:X=1", "a PART-TARGET attribute"),
            ("SKIP:X=1", "a SKIPPED-SEGMENTS attribute"),
            ("PRELOAD-HINT:URI=\"a\"", "a TYPE attribute"),
            ("RENDITION-REPORT:URI=\"a\"", "a LAST-MSN attribute"),
        ] {
            let text = format!("#EXTM3U\n#EXT-X-{tag}");
            let error = Media::parse(&text).unwrap_err();
            assert_eq!((error.line, error.expected), (2, expected), "{tag}");
        }
        assert!(Media::parse(&"x".repeat(1000)).unwrap_err().found.len() < 100);
    }

    #[test]
    fn an_independent_reader_agrees() {
        let ours = sample();
        let text = ours.render();
        let theirs = m3u8_rs::parse_media_playlist_res(text.as_bytes()).unwrap();
        assert_eq!(theirs.version, Some(3));
        assert_eq!(theirs.target_duration, 4);
        assert_eq!(theirs.media_sequence, ours.media_sequence);
        assert_eq!(theirs.discontinuity_sequence, ours.discontinuity_sequence);
        assert!(theirs.independent_segments && theirs.end_list);
        for (theirs, ours) in theirs.segments.iter().zip(&ours.segments) {
            assert!((f64::from(theirs.duration) - ours.duration.as_secs_f64()).abs() < 1e-5);
            assert_eq!(theirs.discontinuity, ours.is_discontinuity);
            assert_eq!(theirs.program_date_time.is_some(), ours.date_time.is_some());
        }
        assert_eq!(theirs.segments[2].uri, "%23%C3%A4%20b.ts");
    }

    prop_compose! {
        fn segments()(
            uri in "[a-z0-9/._~-]([a-zA-Z0-9/._~%?#:@!$&'()*+,;=-]{0,20})",
            micros in 0..u64::from(u32::MAX) * 1_000_000,
            is_discontinuity: bool,
            is_gap: bool,
            ms in proptest::option::of(0_u64..200_000_000_000_000),
            map in proptest::option::of("[a-c]{1,2}"),
            parts in proptest::collection::vec(parts(), 0..3),
        ) -> Segment {
            let date_time = ms.map(|ms| UNIX_EPOCH + Duration::from_millis(ms));
            Segment { uri, duration: Duration::from_micros(micros), is_discontinuity, is_gap, date_time, map, parts }
        }
    }

    prop_compose! {
        fn parts()(
            uri in "[a-z0-9/.]{1,12}",
            micros in 0..u64::from(u32::MAX) * 1_000_000,
            is_independent: bool,
            is_gap: bool,
        ) -> Part {
            Part { uri, duration: Duration::from_micros(micros), is_independent, is_gap }
        }
    }

    fn spans() -> impl Strategy<Value = Option<Duration>> {
        proptest::option::of((0..u64::from(u32::MAX) * 1_000_000).prop_map(Duration::from_micros))
    }

    fn controls() -> impl Strategy<Value = Option<ServerControl>> {
        let any = (any::<[bool; 2]>(), spans(), spans(), spans());
        let control = any.prop_map(|(can, can_skip_until, hold_back, part_hold_back)| {
            let [can_block_reload, can_skip_date_ranges] = can;
            ServerControl {
                can_block_reload,
                can_skip_until,
                can_skip_date_ranges,
                hold_back,
                part_hold_back,
            }
        });
        proptest::option::of(control.prop_filter("no tag", |control| *control != ServerControl::default()))
    }

    prop_compose! {
        fn low_latencies()(
            control in controls(),
            part_target in spans(),
            skipped_segments: u64,
            removed_date_ranges in proptest::option::of(proptest::collection::vec("[a-z]{1,3}( [a-z])?", 0..3)),
            open in proptest::option::of((segments(), parts())),
            hints in proptest::collection::vec((any::<bool>(), "[a-z]{1,8}"), 0..3),
            reports in proptest::collection::vec(("[a-z/.]{1,8}", any::<u64>(), any::<Option<u64>>()), 0..3),
        ) -> LowLatency {
            let open = open.map(|(segment, part)| Open {
                is_discontinuity: segment.is_discontinuity,
                date_time: segment.date_time,
                map: segment.map,
                parts: segment.parts.into_iter().chain([part]).collect(),
            });
            let hint = |(is_map, uri)| if is_map { Hint::Map(uri) } else { Hint::Part(uri) };
            let report = |(uri, last_msn, last_part)| Report { uri, last_msn, last_part };
            LowLatency {
                control,
                part_target,
                skipped_segments,
                removed_date_ranges,
                open,
                hints: hints.into_iter().map(hint).collect(),
                reports: reports.into_iter().map(report).collect(),
            }
        }
    }

    prop_compose! {
        fn date_ranges()(
            id in "[a-z]{1,4}",
            class in proptest::option::of("[a-z.]{1,4}"),
            start in 0_u64..200_000_000_000_000,
            end in proptest::option::of(0_u64..200_000_000_000_000),
            duration in spans(),
            planned_duration in spans(),
            ends_on_next: bool,
            attributes in proptest::collection::btree_map(
                "X-[A-Z0-9-]{1,6}",
                prop_oneof![
                    "[a-z0-9, =]{0,6}".prop_map(|text| Value::Text(text.trim().to_owned())),
                    "(0x[0-9A-F]{1,6}|-?[0-9]{1,4}(\\.[0-9]{1,3})?)".prop_map(Value::Bare),
                ],
                0..3,
            ),
        ) -> DateRange {
            let at = |ms| UNIX_EPOCH + Duration::from_millis(ms);
            let attributes = attributes.into_iter().collect();
            let (start, end) = (at(start), end.map(at));
            let ends_on_next = ends_on_next && class.is_some() && end.is_none() && duration.is_none();
            DateRange { id, class, start, end, duration, planned_duration, ends_on_next, attributes }
        }
    }

    prop_compose! {
        fn playlists()(
            seconds: u32,
            media_sequence: u64,
            discontinuity_sequence: u64,
            kind in prop_oneof![Just(None), Just(Some(Type::Event)), Just(Some(Type::Vod))],
            is_independent: bool,
            date_ranges in proptest::collection::vec(date_ranges(), 0..3),
            mut segments in proptest::collection::vec(segments(), 0..8),
            is_ended: bool,
            mut low_latency in low_latencies(),
        ) -> Media {
            let target_duration = Duration::from_secs(u64::from(seconds));
            // A map holds for all that follow.
            let mut map = None;
            let maps = segments.iter_mut().map(|segment| &mut segment.map);
            for own in maps.chain(low_latency.open.iter_mut().map(|open| &mut open.map)) {
                map = own.take().or(map);
                own.clone_from(&map);
            }
            Media {
                target_duration,
                media_sequence,
                discontinuity_sequence,
                kind,
                is_independent,
                date_ranges,
                segments,
                is_ended,
                low_latency,
            }
        }
    }

    proptest! {
        #[test]
        fn playlists_come_back(media in playlists()) {
            prop_assert_eq!(Media::parse(&media.render()), Ok(media));
        }

        #[test]
        fn any_text_is_survived(text in "\\PC*", lines in proptest::collection::vec(
            "(#EXT(INF|-X-(TARGETDURATION|MEDIA-SEQUENCE|PROGRAM-DATE-TIME|GAP|SERVER-CONTROL|SKIP|DATERANGE)))?:?\
            (ID=\"[a\"]{0,2}\",START-DATE=\"1970-01-01T00:00:00Z\",|URI=\"[a é#]{0,4}\",|DURATION=|TYPE=MAP|LAST-MSN=|PART-TARGET=)?[0-9.,TZ:é-]{0,24}", 0..8))
        {
            let _ = Media::parse(&text);
            if let Ok(media) = Media::parse(&format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n{}", lines.join("\n"))) {
                prop_assert_eq!(Media::parse(&media.render()).map(|media| media.render()), Ok(media.render()));
            }
        }
    }
}
