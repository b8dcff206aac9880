//! EXT-X-PROGRAM-DATE-TIME's text: RFC 3339, written in UTC with milliseconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second that a year of four digits has.
const LAST_SECOND: u64 = 253_402_300_799;

/// `2026-01-31T12:00:00.000Z`; what lies outside 1970 to 9999 is written as the nearest end of that.
pub(super) fn render(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default().min(Duration::from_secs(LAST_SECOND));
    humantime::format_rfc3339_millis(UNIX_EPOCH + since).to_string()
}

/// Reads `Z`, `+01:00`, `-0500`, or no zone, which counts as UTC.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    let (local, zone) = match text.find('T').and_then(|t| text[t..].find(['Z', 'z', '+', '-']).map(|z| t + z))
    {
        Some(at) => text.split_at(at),
        None => (text, "Z"),
    };
    // The reader looks at fixed places: only plain characters get that far.
    let at = local.is_ascii().then(|| humantime::parse_rfc3339_weak(local).ok())??;
    let (sign, digits) = match zone.strip_prefix(['Z', 'z']) {
        Some("") => return Some(at),
        Some(_) => return None,
        None => zone.split_at_checked(1)?,
    };
    let digits: String = digits.chars().filter(|&c| c != ':').collect();
    if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let offset: u64 = digits.parse().ok()?;
    let offset = Duration::from_secs((offset / 100 * 60 + offset % 100) * 60);
    // Local time is ahead of UTC where the offset is positive.
    if sign == "+" { at.checked_sub(offset) } else { at.checked_add(offset) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn zones_are_read() {
        let noon = parse("2026-01-31T12:00:00.250Z").unwrap();
        assert_eq!(render(noon), "2026-01-31T12:00:00.250Z");
        for text in
            ["2026-01-31T13:00:00.25+01:00", "2026-01-31T07:00:00.250-0500", "2026-01-31T12:00:00.250"]
        {
            assert_eq!(parse(text), Some(noon), "{text}");
        }
        for text in ["", "noon", "2026-01-31", "2026-01-31T12:00:00Zulu", "2026-01-31T12:00:00+1", "T+é"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_ends_of_time_are_written() {
        assert_eq!(render(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00.000Z");
        assert_eq!(render(UNIX_EPOCH + Duration::from_secs(1 << 50)), "9999-12-31T23:59:59.000Z");
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC*", tail in "[0-9TZ:.+-]{0,30}") {
            parse(&text);
            parse(&format!("2026-01-31T{tail}"));
        }

        #[test]
        fn milliseconds_come_back(ms in 0..LAST_SECOND * 1000) {
            let at = UNIX_EPOCH + Duration::from_millis(ms);
            prop_assert_eq!(parse(&render(at)), Some(at));
        }
    }
}
