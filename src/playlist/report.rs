//! How far another rendition has come (rfc8216bis §4.4.5.4).

use std::fmt::{self, Write};

use super::{Error, attribute, uri};

/// EXT-X-RENDITION-REPORT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Where that rendition's playlist is, from this one.
    pub uri: String,
    /// The media sequence number of its last segment, whole or not.
    pub last_msn: u64,
    /// The index of that segment's last part, where it has parts.
    pub last_part: Option<u64>,
}

impl Report {
    pub(super) fn write(&self, out: &mut String) -> fmt::Result {
        let uri = attribute::quoted(&uri::escape(&self.uri));
        write!(out, "#EXT-X-RENDITION-REPORT:URI={uri},LAST-MSN={}", self.last_msn)?;
        if let Some(part) = self.last_part {
            write!(out, ",LAST-PART={part}")?;
        }
        out.push('\n');
        Ok(())
    }

    pub(super) fn read(at: usize, text: &str) -> Result<Self, Error> {
        let list = attribute::List::parse(at, text)?;
        let missing = || Error::new(at, "a LAST-MSN attribute", text);
        Ok(Self {
            uri: list.required("URI", "a URI attribute")?,
            last_msn: list.integer("LAST-MSN")?.ok_or_else(missing)?,
            last_part: list.integer("LAST-PART")?,
        })
    }
}
