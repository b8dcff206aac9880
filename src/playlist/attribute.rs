//! Attribute lists (RFC 8216 §4.2).

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Error, line};

/// A tag's attributes; of those with the same name the last one counts.
pub(super) struct List<'a> {
    line: usize,
    text: &'a str,
    pairs: Vec<Pair<'a>>,
}

/// A name and its value, without its quotation marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    pub(super) is_quoted: bool,
}

impl<'a> List<'a> {
    pub(super) fn parse(line: usize, text: &'a str) -> Result<Self, Error> {
        Ok(Self { line, text, pairs: parse(line, text)? })
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.pairs.iter().rev().find(|pair| pair.name == name).map(|pair| pair.value)
    }

    /// The pair that counts of each name, in order.
    pub(super) fn last_of_each(&self) -> impl Iterator<Item = &Pair<'a>> {
        let mut known = BTreeSet::new();
        let last: Vec<_> = self.pairs.iter().rev().filter(|pair| known.insert(pair.name)).collect();
        last.into_iter().rev()
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
pub(super) fn parse(line: usize, text: &str) -> Result<Vec<Pair<'_>>, Error> {
    let mut pairs = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, value) = rest.split_once('=').ok_or_else(|| Error::new(line, "NAME=value", rest))?;
        let quoted = value.strip_prefix('"');
        let (value, after) = match quoted {
            Some(quoted) => {
                quoted.split_once('"').ok_or_else(|| Error::new(line, "a closing quotation mark", value))?
            }
            None => value.find(',').map_or((value, ""), |comma| value.split_at(comma)),
        };
        pairs.push(Pair { name: name.trim(), value: value.trim(), is_quoted: quoted.is_some() });
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
        let pairs: Vec<_> = pairs.iter().map(|pair| (pair.name, pair.value, pair.is_quoted)).collect();
        let expected =
            [("BANDWIDTH", "1", false), ("CODECS", "a,b", true), ("X", "", true), ("Y", "1x2", false)];
        assert_eq!(pairs, expected);
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
