//! A segment and the tags that belong to it.

use std::fmt::{self, Write};
use std::time::{Duration, SystemTime};

use super::line::{self};
use super::{Error, Part, attribute, date, uri};

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
    /// The URI of its Media Initialization Section, EXT-X-MAP (§4.3.2.5). It is written where it differs from the one
    /// before, and read for every segment up to the next one: none says nothing, and cannot take it back.
    pub map: Option<String>,
    /// The parts it is made of, as long as they are told of (rfc8216bis §4.4.4.9).
    pub parts: Vec<Part>,
}

impl Segment {
    /// Writes it behind segments whose map is `map`, which becomes its own.
    pub(super) fn write<'a>(&'a self, map: &mut Option<&'a str>, out: &mut String) -> fmt::Result {
        write_break(self.is_discontinuity, out);
        write_map(self.map.as_deref(), map, out)?;
        write_date(self.date_time, out)?;
        self.parts.iter().try_for_each(|part| part.write(out))?;
        if self.is_gap {
            out.push_str("#EXT-X-GAP\n");
        }
        writeln!(out, "#EXTINF:{}.{:06},", self.duration.as_secs(), self.duration.subsec_micros())?;
        writeln!(out, "{}", uri::escape(&self.uri))
    }
}

pub(super) fn write_break(is_discontinuity: bool, out: &mut String) {
    if is_discontinuity {
        out.push_str("#EXT-X-DISCONTINUITY\n");
    }
}

pub(super) fn write_map<'a>(
    own: Option<&'a str>,
    before: &mut Option<&'a str>,
    out: &mut String,
) -> fmt::Result {
    match own {
        Some(uri) if *before != own => {
            *before = own;
            writeln!(out, "#EXT-X-MAP:URI={}", attribute::quoted(&uri::escape(uri)))
        }
        _ => Ok(()),
    }
}

pub(super) fn write_date(date_time: Option<SystemTime>, out: &mut String) -> fmt::Result {
    match date_time {
        Some(at) => writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", date::render(at)),
        None => Ok(()),
    }
}

/// The tags read since the last URI: they belong to the next one. A map is kept for all that follow.
#[derive(Default)]
pub(super) struct Next {
    duration: Option<Duration>,
    pub(super) tags: Segment,
}

impl Next {
    /// Takes a tag if it belongs to a segment.
    pub(super) fn read(&mut self, at: usize, name: &str, value: &str) -> Result<bool, Error> {
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
            "#EXT-X-MAP" => {
                let list = attribute::List::parse(at, value)?;
                self.tags.map = Some(list.required("URI", "a URI attribute")?);
            }
            "#EXT-X-PART" => self.tags.parts.push(Part::read(at, value)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    pub(super) fn take(&mut self, at: usize, uri: &str) -> Result<Segment, Error> {
        let next = std::mem::take(self);
        let duration = next.duration.ok_or_else(|| Error::new(at, "#EXTINF before a segment", uri))?;
        self.tags.map.clone_from(&next.tags.map);
        Ok(Segment { uri: uri.to_owned(), duration, ..next.tags })
    }
}
