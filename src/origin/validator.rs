//! What tells one content from another (RFC 9110 §8.8).

use std::hash::{DefaultHasher, Hash, Hasher as _};

use hyper::header::HeaderValue;

/// The tag of something that never changes under its name.
pub fn of_name(name: &str, size_bytes: u64) -> HeaderValue {
    tag(&(name, size_bytes), "")
}

/// The tag of a text as it is, or in a coding of that name.
pub fn of_text(text: &[u8], coding: &str) -> HeaderValue {
    tag(&text, coding)
}

/// The tag of a file that was last changed then.
pub fn of_file(size_bytes: u64, changed: (i64, i64), inode: u64) -> HeaderValue {
    tag(&(size_bytes, changed, inode), "")
}

fn tag(content: &impl Hash, coding: &str) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    let dash = if coding.is_empty() { "" } else { "-" };
    let text = format!("\"{:016x}{dash}{coding}\"", hasher.finish());
    HeaderValue::try_from(text).expect("hexadecimal digits and a word are a header's value")
}

/// Whether an If-None-Match header's value names `tag`. It is compared weakly, as it shall be (§13.1.2).
pub fn names(value: &[u8], tag: &HeaderValue) -> bool {
    let Ok(text) = std::str::from_utf8(value) else { return false };
    text.split(',')
        .map(str::trim)
        .any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one).as_bytes() == tag.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_tell_contents_apart() {
        let (one, other, packed) = (of_text(b"a", ""), of_text(b"b", ""), of_text(b"a", "gzip"));
        assert_ne!(one, other);
        assert_ne!(one, packed);
        assert_eq!(one, of_text(b"a", ""));
        let text = one.to_str().unwrap();
        assert!(names(format!("\"x\", W/{text}").as_bytes(), &one) && names(b"*", &one));
        assert!(!names(b"\"x\"", &one) && !names(b"", &one) && !names(&[0xff], &one));
    }
}
