//! The media playlist (RFC 8216 §4.3.3).

use std::fmt::{self, Write};
use std::time::{Duration, SystemTime};

use super::line::{self, Line};
use super::{Error, date, uri};

/// What one rendition's playlist says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Media {
    /// No segment is longer; whole seconds, rounded up where it is written (§4.3.3.1).
    pub target_duration: Duration,
    /// The media sequence number of the first segment (§4.3.3.2).
    pub media_sequence: u64,
    /// Discontinuities before the first segment and its own tag (§4.3.3.3).
    pub discontinuity_sequence: u64,
    /// Whether it only grows, or does not change at all; none for a sliding window (§4.3.3.5).
    pub kind: Option<Type>,
    /// Whether each segment can be decoded without any other (§4.3.5.1).
    pub is_independent: bool,
    /// In order, the oldest first.
    pub segments: Vec<Segment>,
    /// Whether no segment will be added (§4.3.3.4).
    pub is_ended: bool,
}

/// EXT-X-PLAYLIST-TYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Segments are only added.
    Event,
    /// Nothing changes any more.
    Vod,
}

/// A segment and the tags that belong to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Where it is, absolute or from the playlist. What no URI may hold is percent-encoded when it is written.
    pub uri: String,
    /// EXTINF, in whole microseconds.
    pub duration: Duration,
    /// Whether the timeline breaks before it.
    pub is_discontinuity: bool,
    /// Whether it is not there and clients shall not ask for it (rfc8216bis §4.4.4.7).
    pub is_gap: bool,
    /// When its first picture was taken, in whole milliseconds.
    pub date_time: Option<SystemTime>,
}

impl Media {
    /// The lowest EXT-X-VERSION that the tags allow (§7): fractions of seconds in EXTINF ask for 3, none of the
    /// other tags written here asks for anything.
    pub fn version(&self) -> u64 {
        if self.segments.is_empty() { 1 } else { 3 }
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
        self.segments.iter().try_for_each(|segment| segment.write(out))?;
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
                    if !next.read(at, name, value)? {
                        media.read(at, name, value)?;
                    }
                }
            }
        }
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

impl Segment {
    fn write(&self, out: &mut String) -> fmt::Result {
        if self.is_discontinuity {
            out.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if self.is_gap {
            out.push_str("#EXT-X-GAP\n");
        }
        if let Some(at) = self.date_time {
            writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", date::render(at))?;
        }
        writeln!(out, "#EXTINF:{}.{:06},", self.duration.as_secs(), self.duration.subsec_micros())?;
        writeln!(out, "{}", uri::escape(&self.uri))
    }
}

/// The tags read since the last URI: they belong to the next one.
#[derive(Default)]
struct Next {
    duration: Option<Duration>,
    tags: Segment,
}

impl Next {
    /// Takes a tag if it belongs to a segment.
    fn read(&mut self, at: usize, name: &str, value: &str) -> Result<bool, Error> {
        match name {
            "#EXTINF" => {
                let seconds = value.split(',').next().unwrap_or("").trim();
                self.duration = Some(line::seconds(at, seconds)?);
            }
            "#EXT-X-DISCONTINUITY" => self.tags.is_discontinuity = true,
            "#EXT-X-GAP" => self.tags.is_gap = true,
            "#EXT-X-PROGRAM-DATE-TIME" => {
                let wrong = || Error::new(at, "a date and time such as 2026-01-31T12:00:00.000Z", value);
                self.tags.date_time = Some(date::parse(value).ok_or_else(wrong)?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take(&mut self, at: usize, uri: &str) -> Result<Segment, Error> {
        let next = std::mem::take(self);
        let duration = next.duration.ok_or_else(|| Error::new(at, "#EXTINF before a segment", uri))?;
        Ok(Segment { uri: uri.to_owned(), duration, ..next.tags })
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

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
            segments: vec![
                Segment { date_time, ..segment("00017.ts", 4_000_000) },
                Segment { is_gap: true, ..segment("00018.ts", 3_966_667) },
                Segment { is_discontinuity: true, date_time, ..segment("#ä b.ts", 33_367) },
            ],
            is_ended: true,
        }
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
        ) -> Segment {
            let date_time = ms.map(|ms| UNIX_EPOCH + Duration::from_millis(ms));
            Segment { uri, duration: Duration::from_micros(micros), is_discontinuity, is_gap, date_time }
        }
    }

    prop_compose! {
        fn playlists()(
            seconds: u32,
            media_sequence: u64,
            discontinuity_sequence: u64,
            kind in prop_oneof![Just(None), Just(Some(Type::Event)), Just(Some(Type::Vod))],
            is_independent: bool,
            segments in proptest::collection::vec(segments(), 0..8),
            is_ended: bool,
        ) -> Media {
            let target_duration = Duration::from_secs(u64::from(seconds));
            Media {
                target_duration, media_sequence, discontinuity_sequence, kind, is_independent, segments, is_ended
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
            "(#EXT(INF|-X-(TARGETDURATION|MEDIA-SEQUENCE|PROGRAM-DATE-TIME|GAP)))?:?[0-9.,TZ:é-]{0,24}", 0..8))
        {
            let _ = Media::parse(&text);
            if let Ok(media) = Media::parse(&format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n{}", lines.join("\n"))) {
                prop_assert_eq!(Media::parse(&media.render()).map(|media| media.render()), Ok(media.render()));
            }
        }
    }
}
