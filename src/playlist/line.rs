//! A playlist's lines (RFC 8216 §4.1): tags, URIs, and what is passed over.

use std::time::Duration;

use super::Error;

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// A tag's name, `#` and all, and what stands after its colon.
    Tag(&'a str, &'a str),
    /// Anything that is not a tag, a comment or blank.
    Uri(&'a str),
}

/// The tags and URIs after the first line, each with its line number.
///
/// # Errors
/// If the first line is not `#EXTM3U`.
pub(super) fn lines(text: &str) -> Result<impl Iterator<Item = (usize, Line<'_>)>, Error> {
    let mut lines = text.strip_prefix('\u{feff}').unwrap_or(text).split('\n').enumerate();
    let first = lines.next().map_or("", |(_, line)| line.trim_ascii());
    if first != "#EXTM3U" {
        return Err(Error::new(1, "#EXTM3U", first));
    }
    Ok(lines.filter_map(|(at, line)| read(line.trim_ascii()).map(|line| (at + 1, line))))
}

fn read(line: &str) -> Option<Line<'_>> {
    if line.starts_with("#EXT") {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        return Some(Line::Tag(name, value.trim_ascii()));
    }
    (!line.is_empty() && !line.starts_with('#')).then_some(Line::Uri(line))
}

/// A decimal integer (RFC 8216 §4.2).
pub(super) fn integer(line: usize, text: &str) -> Result<u64, Error> {
    text.parse().map_err(|_| Error::new(line, "a whole number", text))
}

/// Seconds with or without a fraction, to the nearest microsecond.
pub(super) fn seconds(line: usize, text: &str) -> Result<Duration, Error> {
    decimal(text).ok_or_else(|| Error::new(line, "a number of seconds", text))
}

/// A number of seconds as short as it can be written, to the microsecond: `0.333667`, `12.0`.
pub(super) fn decimal_text(span: Duration) -> String {
    let text = format!("{}.{:06}", span.as_secs(), span.subsec_micros());
    let short = text.trim_end_matches('0');
    if short.ends_with('.') { format!("{short}0") } else { short.to_owned() }
}

fn decimal(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    // Seconds fit 32 bits, so that sums of durations from outside never overflow.
    let whole: u32 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(7);
    let tenths = digits.fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    Some(Duration::from_secs(u64::from(whole)) + Duration::from_micros((tenths + 5) / 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_written_short() {
        let text = |micros| decimal_text(Duration::from_micros(micros));
        assert_eq!([333_667, 12_000_000, 1_002_000, 0].map(text), ["0.333667", "12.0", "1.002", "0.0"]);
    }

    #[test]
    fn decimals_are_read_to_the_microsecond() {
        let micros = |text| decimal(text).map(|span| span.as_micros());
        assert_eq!(micros("4"), Some(4_000_000));
        assert_eq!(micros("4."), Some(4_000_000));
        assert_eq!(micros(".5"), Some(500_000));
        assert_eq!(micros("3.9666667999"), Some(3_966_667));
        assert_eq!(micros("3.9999999"), Some(4_000_000));
        for text in ["", ".", "-1", "+1", "1e3", "4294967296", "1.2.3", "4 "] {
            assert_eq!(micros(text), None, "{text}");
        }
    }
}
