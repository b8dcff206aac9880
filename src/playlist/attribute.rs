//! Attribute lists (RFC 8216 §4.2).

use std::time::Duration;

use super::{Error, line};

/// A tag's attributes; of those with the same name the last one counts.
pub(super) struct List<'a> {
    line: usize,
    text: &'a str,
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> List<'a> {
    pub(super) fn parse(line: usize, text: &'a str) -> Result<Self, Error> {
        Ok(Self { line, text, pairs: parse(line, text)? })
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.pairs.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// Without what no quoted text may hold (§4.2), and none is written with.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(plain)
    }

    /// # Errors
    /// If there is none; `expected` says what it should be.
    pub(super) fn required(&self, name: &str, expected: &'static str) -> Result<String, Error> {
        self.text(name).ok_or_else(|| Error::new(self.line, expected, self.text))
    }

    pub(super) fn integer(&self, name: &str) -> Result<Option<u64>, Error> {
        self.get(name).map(|value| line::integer(self.line, value)).transpose()
    }

    pub(super) fn seconds(&self, name: &str) -> Result<Option<Duration>, Error> {
        self.get(name).map(|value| line::seconds(self.line, value)).transpose()
    }

    /// Whether it is `YES`, and not `NO` or left out.
    pub(super) fn is_yes(&self, name: &str) -> Result<bool, Error> {
        match self.get(name) {
            Some("YES") => Ok(true),
            Some("NO") | None => Ok(false),
            Some(other) => Err(Error::new(self.line, "YES or NO", other)),
        }
    }
}

/// `value` as it may stand in quotation marks.
pub(super) fn plain(value: &str) -> String {
    let kept: String = value.chars().filter(|&c| c != '"' && !c.is_control()).collect();
    kept.trim().to_owned()
}

/// `NAME=value` pairs; quotes are taken off.
pub(super) fn parse(line: usize, text: &str) -> Result<Vec<(&str, &str)>, Error> {
    let mut pairs = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, value) = rest.split_once('=').ok_or_else(|| Error::new(line, "NAME=value", rest))?;
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => {
                quoted.split_once('"').ok_or_else(|| Error::new(line, "a closing quotation mark", value))?
            }
            None => value.find(',').map_or((value, ""), |comma| value.split_at(comma)),
        };
        pairs.push((name.trim(), value.trim()));
        rest = match after.trim_start().split_at_checked(1) {
            None => "",
            Some((",", next)) => next.trim_start(),
            Some(_) => return Err(Error::new(line, "a comma between attributes", after)),
        };
    }
    Ok(pairs)
}

/// `value` in quotation marks. There is no way to write a quotation mark or a line break between them, so these
/// are left out.
pub(super) fn quoted(value: &str) -> String {
    let kept = value.chars().filter(|&c| c != '"' && !c.is_control());
    std::iter::once('"').chain(kept).chain(std::iter::once('"')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn commas_in_quotes_part_nothing() {
        let pairs = parse(1, r#"BANDWIDTH=1, CODECS="a,b" ,X="",Y=1x2"#).unwrap();
        assert_eq!(pairs, [("BANDWIDTH", "1"), ("CODECS", "a,b"), ("X", ""), ("Y", "1x2")]);
    }

    #[test]
    fn broken_lists_say_what_was_expected() {
        assert_eq!(parse(3, "A").unwrap_err().expected, "NAME=value");
        assert_eq!(parse(3, "A=\"b").unwrap_err().expected, "a closing quotation mark");
        assert_eq!(parse(3, "A=\"b\"c").unwrap_err().expected, "a comma between attributes");
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[A-Z=\", é]{0,40}") {
            let _ = parse(1, &text);
        }
    }
}
