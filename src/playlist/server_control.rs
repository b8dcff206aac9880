//! How a playlist may be asked for (rfc8216bis §4.4.3.8).

use std::fmt;
use std::time::Duration;

use super::{Error, attribute, line};

/// EXT-X-SERVER-CONTROL. Without any of it there is no tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerControl {
    /// Whether a playlist that is not there yet may be asked for (CAN-BLOCK-RELOAD).
    pub can_block_reload: bool,
    /// How far from the end segments stand that a delta update may leave out (CAN-SKIP-UNTIL); at least six target
    /// durations.
    pub can_skip_until: Option<Duration>,
    /// Whether a delta update may leave out date ranges that were told so long ago too (CAN-SKIP-DATERANGES); of no
    /// meaning without the span above.
    pub can_skip_date_ranges: bool,
    /// How far from the end players should stay that load whole segments (HOLD-BACK); at least three target
    /// durations.
    pub hold_back: Option<Duration>,
    /// How far from the end players should stay that load parts (PART-HOLD-BACK); at least twice the part target, and
    /// better three times.
    pub part_hold_back: Option<Duration>,
}

impl ServerControl {
    pub(super) fn write(&self, out: &mut String) -> fmt::Result {
        let seconds =
            |name: &str, span: Option<Duration>| Some(format!("{name}={}", line::decimal_text(span?)));
        let attributes = [
            self.can_block_reload.then(|| "CAN-BLOCK-RELOAD=YES".to_owned()),
            seconds("CAN-SKIP-UNTIL", self.can_skip_until),
            self.can_skip_date_ranges.then(|| "CAN-SKIP-DATERANGES=YES".to_owned()),
            seconds("HOLD-BACK", self.hold_back),
            seconds("PART-HOLD-BACK", self.part_hold_back),
        ];
        let attributes: Vec<String> = attributes.into_iter().flatten().collect();
        if !attributes.is_empty() {
            fmt::Write::write_fmt(out, format_args!("#EXT-X-SERVER-CONTROL:{}\n", attributes.join(",")))?;
        }
        Ok(())
    }

    pub(super) fn read(at: usize, text: &str) -> Result<Self, Error> {
        let list = attribute::List::parse(at, text)?;
        Ok(Self {
            can_block_reload: list.is_yes("CAN-BLOCK-RELOAD")?,
            can_skip_until: list.seconds("CAN-SKIP-UNTIL")?,
            can_skip_date_ranges: list.is_yes("CAN-SKIP-DATERANGES")?,
            hold_back: list.seconds("HOLD-BACK")?,
            part_hold_back: list.seconds("PART-HOLD-BACK")?,
        })
    }
}
