//! Parts of segments (rfc8216bis §4.4.4.9).

use std::fmt::{self, Write};
use std::time::{Duration, SystemTime};

use super::segment::{Next, write_break, write_date, write_map};
use super::{Error, attribute, line, uri};

/// EXT-X-PART: a part of a segment, a resource of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Where it is, absolute or from the playlist.
    pub uri: String,
    /// In whole microseconds.
    pub duration: Duration,
    /// Whether it begins with a random access point (INDEPENDENT).
    pub is_independent: bool,
    /// Whether it is not there (GAP).
    pub is_gap: bool,
}

/// The segment that is not whole yet: the parts of it that are there, with the tags that stand before them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Open {
    /// Whether the timeline breaks before it.
    pub is_discontinuity: bool,
    /// When its first picture was taken, in whole milliseconds.
    pub date_time: Option<SystemTime>,
    /// The URI of its Media Initialization Section, as for a [`Segment`](super::Segment).
    pub map: Option<String>,
    /// In order. Without any there is nothing to write.
    pub parts: Vec<Part>,
}

impl Part {
    pub(super) fn write(&self, out: &mut String) -> fmt::Result {
        let uri = attribute::quoted(&uri::escape(&self.uri));
        write!(out, "#EXT-X-PART:DURATION={},URI={uri}", line::decimal_text(self.duration))?;
        if self.is_independent {
            out.push_str(",INDEPENDENT=YES");
        }
        if self.is_gap {
            out.push_str(",GAP=YES");
        }
        out.push('\n');
        Ok(())
    }

    pub(super) fn read(at: usize, text: &str) -> Result<Self, Error> {
        let list = attribute::List::parse(at, text)?;
        let missing = || Error::new(at, "a DURATION attribute", text);
        Ok(Self {
            uri: list.required("URI", "a URI attribute")?,
            duration: list.seconds("DURATION")?.ok_or_else(missing)?,
            is_independent: list.is_yes("INDEPENDENT")?,
            is_gap: list.is_yes("GAP")?,
        })
    }
}

impl Open {
    /// Writes it behind segments whose map is `map`.
    pub(super) fn write<'a>(&'a self, mut map: Option<&'a str>, out: &mut String) -> fmt::Result {
        if self.parts.is_empty() {
            return Ok(());
        }
        write_break(self.is_discontinuity, out);
        write_map(self.map.as_deref(), &mut map, out)?;
        write_date(self.date_time, out)?;
        self.parts.iter().try_for_each(|part| part.write(out))
    }

    /// What was read behind the last segment, if there are parts.
    pub(super) fn of(next: Next) -> Option<Self> {
        let tags = next.tags;
        (!tags.parts.is_empty()).then_some(Self {
            is_discontinuity: tags.is_discontinuity,
            date_time: tags.date_time,
            map: tags.map,
            parts: tags.parts,
        })
    }
}
