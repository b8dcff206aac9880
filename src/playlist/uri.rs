//! Percent-encoding, as far as playlists need it (RFC 3986 §2.1).

use std::borrow::Cow;
use std::fmt::Write;

/// A URI reference as it may stand on a line of its own: what no URI may hold is percent-encoded, and so is a
/// leading `#`, which would make it a comment. Escapes already there stay as they are.
pub fn escape(uri: &str) -> Cow<'_, str> {
    if !uri.starts_with('#') && uri.bytes().all(is_uri_byte) {
        return Cow::Borrowed(uri);
    }
    let mut out = String::with_capacity(uri.len() + 8);
    for (at, byte) in uri.bytes().enumerate() {
        push(&mut out, byte, is_uri_byte(byte) && !(at == 0 && byte == b'#'));
    }
    Cow::Owned(out)
}

/// A path of plain names as a relative URI reference: `my clips/50%.ts` becomes `my%20clips/50%25.ts`.
pub fn encode_path(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        push(&mut out, byte, is_path_byte(byte));
    }
    out
}

/// The plain names in a relative URI reference; none if it has a query, a fragment, or escapes that are not
/// UTF-8 text.
pub fn decode_path(uri: &str) -> Option<String> {
    let mut out = Vec::with_capacity(uri.len());
    let mut bytes = uri.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            b'?' | b'#' => return None,
            _ => byte,
        });
    }
    String::from_utf8(out).ok()
}

fn push(out: &mut String, byte: u8, is_plain: bool) {
    if is_plain {
        out.push(char::from(byte));
    } else {
        // Writing to a String cannot fail.
        let _ = write!(out, "%{byte:02X}");
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Whether a URI may hold this byte somewhere (RFC 3986 §2.2, §2.3), `%` included.
const fn is_uri_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
}

/// Whether a byte of a name may stand in a relative path as it is. A colon may not: in the first name it would
/// make a scheme of what stands before it (RFC 3986 §4.2).
const fn is_path_byte(byte: u8) -> bool {
    is_uri_byte(byte) && !matches!(byte, b'%' | b'?' | b'#' | b':' | b'[' | b']')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_no_uri_may_hold_is_encoded() {
        assert_eq!(escape("a b/ü.ts"), "a%20b/%C3%BC.ts");
        assert_eq!(escape("#1.ts"), "%231.ts");
        assert_eq!(escape("http://h/a?b=c#d"), "http://h/a?b=c#d");
    }

    #[test]
    fn a_name_that_looks_like_syntax_stays_a_name() {
        assert_eq!(encode_path("a:b/50%?#.ts"), "a%3Ab/50%25%3F%23.ts");
        assert_eq!(decode_path("a%3Ab/50%25%3F%23.ts").as_deref(), Some("a:b/50%?#.ts"));
    }

    #[test]
    fn broken_escapes_decode_to_nothing() {
        for uri in ["%", "%4", "%zz", "%ff", "a?b"] {
            assert_eq!(decode_path(uri), None, "{uri}");
        }
    }

    proptest! {
        #[test]
        fn paths_come_back(path in ".*") {
            let encoded = encode_path(&path);
            prop_assert_eq!(&escape(&encoded), &encoded);
            prop_assert_eq!(decode_path(&encoded), Some(path));
        }

        #[test]
        fn escaping_twice_is_escaping_once(uri in ".*") {
            let once = escape(&uri).into_owned();
            prop_assert_eq!(escape(&once), once.clone());
        }
    }
}
