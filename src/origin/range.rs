//! Which bytes of an object are asked for (RFC 9110 §14).

/// Bytes of an object, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub first: u64,
    pub last: u64,
}

impl Span {
    /// How many bytes.
    pub const fn len(self) -> u64 {
        // An empty object's whole has its end before its beginning.
        self.last.wrapping_sub(self.first).wrapping_add(1)
    }

    /// All of an object.
    pub const fn whole(size_bytes: u64) -> Self {
        Self { first: 0, last: size_bytes.wrapping_sub(1) }
    }
}

/// What a Range header comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of it: there is no range in it that we know, or several.
    Whole,
    /// A part of it.
    Part(Span),
    /// Nothing that is there.
    Nothing,
}

/// Reads a Range header's value for an object of `size_bytes`. Numbers too large for us are larger than any object.
pub fn wanted(value: &[u8], size_bytes: u64) -> Wanted {
    let text = std::str::from_utf8(value).unwrap_or_default().trim();
    let Some((unit, ranges)) = text.split_once('=') else { return Wanted::Whole };
    let Some((first, last)) = ranges.split_once('-') else { return Wanted::Whole };
    // Several ranges may be answered with the whole (§14.2).
    if !unit.trim().eq_ignore_ascii_case("bytes") || ranges.contains(',') {
        return Wanted::Whole;
    }
    let (first, last) = (first.trim(), last.trim());
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(first) || !is_number(last) || (first.is_empty() && last.is_empty()) {
        return Wanted::Whole;
    }
    let number = |text: &str| text.parse().unwrap_or(u64::MAX);
    let end = size_bytes.saturating_sub(1);
    let span = match (first, last) {
        ("", count) => Span { first: size_bytes.saturating_sub(number(count)), last: end },
        (first, "") => Span { first: number(first), last: end },
        (first, last) => Span { first: number(first), last: number(last) },
    };
    if span.first >= size_bytes || span.first > span.last {
        return Wanted::Nothing;
    }
    Wanted::Part(Span { last: span.last.min(end), ..span })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part(first: u64, last: u64) -> Wanted {
        Wanted::Part(Span { first, last })
    }

    #[test]
    fn single_ranges_are_read() {
        let of_ten = |text: &str| wanted(text.as_bytes(), 10);
        assert_eq!(of_ten("bytes=0-0"), part(0, 0));
        assert_eq!(of_ten("bytes=2-"), part(2, 9));
        assert_eq!(of_ten("Bytes = 2 - 4"), part(2, 4));
        assert_eq!(of_ten("bytes=-3"), part(7, 9));
        assert_eq!(of_ten("bytes=-99"), part(0, 9));
        assert_eq!(of_ten("bytes=5-99999999999999999999999999"), part(5, 9));
    }

    #[test]
    fn what_is_not_there_is_nothing() {
        for text in ["bytes=10-", "bytes=99999999999999999999999-", "bytes=5-2", "bytes=-0", "bytes=10-20"] {
            assert_eq!(wanted(text.as_bytes(), 10), Wanted::Nothing, "{text}");
        }
        assert_eq!(wanted(b"bytes=0-", 0), Wanted::Nothing);
        assert_eq!(wanted(b"bytes=-1", 0), Wanted::Nothing);
    }

    #[test]
    fn what_is_no_range_is_passed_over() {
        for text in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=+1-2",
            "items=0-1",
            "bytes=0-1,3-4",
            "\u{fffd}",
        ] {
            assert_eq!(wanted(text.as_bytes(), 10), Wanted::Whole, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_object(text in "bytes=[0-9]{0,22}-[0-9]{0,22}", size: u64) {
            if let Wanted::Part(span) = wanted(text.as_bytes(), size) {
                prop_assert!(span.first <= span.last && span.last < size && span.len() <= size);
            }
        }
    }
}
