//! What a server says, as it may stand in a message.

/// Characters that are told of it; servers may send pages.
const MOST_CHARS: usize = 300;

/// `text` on one line, without control characters, and no longer than a message may be.
pub(super) fn one_line(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    let line = words.join(" ");
    let mut plain = line.chars().filter(|c| !c.is_control());
    let mut told: String = plain.by_ref().take(MOST_CHARS).collect();
    if plain.next().is_some() {
        told.push('…');
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_fits_on_a_line_of_a_terminal() {
        assert_eq!(one_line(" two\r\n  lines\t\u{7}\u{1b}[31mred\u{9b}\0 "), "two lines [31mred");
        let long = one_line(&"ü".repeat(5000));
        assert_eq!((long.chars().count(), long.ends_with("ü…")), (MOST_CHARS + 1, true));
    }
}
