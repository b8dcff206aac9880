//! Attribute lists (RFC 8216 §4.2).

use super::Error;

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
