//! From a request's path to a key.

use std::borrow::Cow;

/// A path that leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It cannot be read: a percent sign without two digits behind it, or no UTF-8.
    Unreadable,
    /// It can, but nothing is ever there: it goes up, or holds control characters.
    Outside,
}

/// The key that `path` leads to: without the slash before it, percent-decoded, and empty for `/`.
///
/// # Errors
/// [`Wrong`]; a key never goes up and never begins with a slash, encoded or not.
pub fn key(path: &str) -> Result<Cow<'_, str>, Wrong> {
    let path = path.strip_prefix('/').ok_or(Wrong::Outside)?;
    let key = decoded(path)?;
    let is_bad = |part: &str| matches!(part, "" | "." | "..");
    if key.contains(|c: char| c.is_control() || c == '\\') {
        return Err(Wrong::Outside);
    }
    if !key.is_empty() && key.split('/').any(is_bad) {
        return Err(Wrong::Outside);
    }
    Ok(key)
}

fn decoded(path: &str) -> Result<Cow<'_, str>, Wrong> {
    if !path.contains('%') {
        return Ok(path.into());
    }
    let mut out = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
        let (high, low) = (digit().ok_or(Wrong::Unreadable)?, digit().ok_or(Wrong::Unreadable)?);
        out.push((high << 4 | low) as u8);
    }
    String::from_utf8(out).map(Cow::from).map_err(|_| Wrong::Unreadable)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_become_keys() {
        assert_eq!(key("/").unwrap(), "");
        assert_eq!(key("/720p/720p-00001.ts").unwrap(), "720p/720p-00001.ts");
        assert_eq!(key("/a%20b/%C3%A4.ts").unwrap(), "a b/ä.ts");
        assert_eq!(key("/a..b/...ts").unwrap(), "a..b/...ts");
    }

    #[test]
    fn nothing_leads_out() {
        let outside = [
            "/../x",
            "/a/../x",
            "/%2e%2e/x",
            "/a/%2E./x",
            "/..%2fx",
            "/%2Fetc/passwd",
            "//etc/passwd",
            "/a//b",
            "/./a",
            "/a/",
            "/a%5c..%5cb",
            "/a%00.ts",
            "/a%0d%0aX:y",
            "",
            "*",
        ];
        for path in outside {
            assert_eq!(key(path), Err(Wrong::Outside), "{path}");
        }
        for path in ["/%", "/%4", "/%zz", "/%ff", "/%c0%ae%c0%ae/x"] {
            assert_eq!(key(path), Err(Wrong::Unreadable), "{path}");
        }
        // Decoded once alone.
        assert_eq!(key("/%252e%252e/x").unwrap(), "%2e%2e/x");
    }

    proptest! {
        #[test]
        fn a_key_stays_below(path in "(/|%2e|%2f|%5c|\\.|[a-z%])*") {
            if let Ok(key) = key(&path) {
                prop_assert!(!key.starts_with('/') && key.split('/').all(|part| part != ".." && part != "."));
            }
        }
    }
}
