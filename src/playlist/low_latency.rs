//! What low latency adds to a media playlist as a whole (rfc8216bis §4.4.3.7, §4.4.3.8, §4.4.5).

use std::fmt::{self, Write};
use std::time::Duration;

use super::{Error, Hint, Open, Report, ServerControl, attribute, line};

/// What low latency adds to a media playlist; parts of whole segments stand with those.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LowLatency {
    /// How it may be asked for (EXT-X-SERVER-CONTROL).
    pub control: Option<ServerControl>,
    /// No part is longer (EXT-X-PART-INF, rfc8216bis §4.4.3.7).
    pub part_target: Option<Duration>,
    /// How many segments a delta update leaves out at its beginning; 0 is a whole playlist (EXT-X-SKIP,
    /// rfc8216bis §4.4.5.2).
    pub skipped_segments: u64,
    /// In a delta update that leaves out date ranges too: the IDs of those that went of late, without tabs in them
    /// (RECENTLY-REMOVED-DATERANGES).
    pub removed_date_ranges: Option<Vec<String>>,
    /// The segment that is not whole yet.
    pub open: Option<Open>,
    /// What will be there soon (EXT-X-PRELOAD-HINT).
    pub hints: Vec<Hint>,
    /// How far the other renditions have come (EXT-X-RENDITION-REPORT).
    pub reports: Vec<Report>,
}

impl LowLatency {
    pub(super) fn write_head(&self, out: &mut String) -> fmt::Result {
        if let Some(control) = &self.control {
            control.write(out)?;
        }
        match self.part_target {
            Some(target) => writeln!(out, "#EXT-X-PART-INF:PART-TARGET={}", line::decimal_text(target)),
            None => Ok(()),
        }
    }

    pub(super) fn write_skip(&self, out: &mut String) -> fmt::Result {
        match (self.skipped_segments, &self.removed_date_ranges) {
            (0, None) => Ok(()),
            (count, None) => writeln!(out, "#EXT-X-SKIP:SKIPPED-SEGMENTS={count}"),
            (count, Some(removed)) => {
                let removed: Vec<_> = removed.iter().map(|id| attribute::plain(id)).collect();
                let removed = removed.join("\t");
                writeln!(
                    out,
                    "#EXT-X-SKIP:SKIPPED-SEGMENTS={count},RECENTLY-REMOVED-DATERANGES=\"{removed}\""
                )
            }
        }
    }

    pub(super) fn write_tail(&self, out: &mut String) -> fmt::Result {
        self.hints.iter().try_for_each(|hint| hint.write(out))?;
        self.reports.iter().try_for_each(|report| report.write(out))
    }

    /// Takes a tag if it is one of these.
    pub(super) fn read(&mut self, at: usize, name: &str, value: &str) -> Result<bool, Error> {
        match name {
            "#EXT-X-SERVER-CONTROL" => self.control = Some(ServerControl::read(at, value)?),
            "#EXT-X-PART-INF" => {
                let missing = || Error::new(at, "a PART-TARGET attribute", value);
                let target = attribute::List::parse(at, value)?.seconds("PART-TARGET")?;
                self.part_target = Some(target.ok_or_else(missing)?);
            }
            "#EXT-X-SKIP" => {
                let missing = || Error::new(at, "a SKIPPED-SEGMENTS attribute", value);
                let list = attribute::List::parse(at, value)?;
                self.skipped_segments = list.integer("SKIPPED-SEGMENTS")?.ok_or_else(missing)?;
                let ids =
                    |list: &str| list.split('\t').map(attribute::plain).filter(|id| !id.is_empty()).collect();
                self.removed_date_ranges = list.get("RECENTLY-REMOVED-DATERANGES").map(ids);
            }
            "#EXT-X-PRELOAD-HINT" => self.hints.extend(Hint::read(at, value)?),
            "#EXT-X-RENDITION-REPORT" => self.reports.push(Report::read(at, value)?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}
