//! Shell commands with blanks in them: the original's printf-style `%s`, and our own `{url}`.

/// A printf-style text, taken apart at its `%s`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    /// The text before, between and behind the blanks.
    pub(super) parts: Vec<String>,
}

impl Template {
    /// Takes `text` apart. `%%` stands for one `%`.
    ///
    /// # Errors
    /// Which other directive stands in it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = vec![String::new()];
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            let letter = if c == '%' { chars.next() } else { Some(c) };
            match (c, letter) {
                ('%', Some('s')) => parts.push(String::new()),
                ('%', Some('%')) => append(&mut parts, '%'),
                ('%', Some(other)) => return Err(format!("`%{other}` (a plain percent sign is `%%`)")),
                ('%', None) => return Err("`%` at the end (a plain percent sign is `%%`)".into()),
                _ => append(&mut parts, c),
            }
        }
        Ok(Self { parts })
    }

    /// How many `%s` there are.
    pub(super) fn blanks(&self) -> usize {
        self.parts.len() - 1
    }
}

fn append(parts: &mut [String], c: char) {
    if let Some(last) = parts.last_mut() {
        last.push(c);
    }
}

/// What a shell makes of the next character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quotes {
    None,
    Single,
    Double,
}

/// Where a shell stands behind `text`.
fn quotes_behind(text: &str) -> Quotes {
    let mut state = Quotes::None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        state = match (state, c) {
            (Quotes::None | Quotes::Double, '\\') => {
                chars.next();
                state
            }
            (Quotes::None, '\'') => Quotes::Single,
            (Quotes::None, '"') => Quotes::Double,
            (Quotes::Single, '\'') | (Quotes::Double, '"') => Quotes::None,
            _ => state,
        };
    }
    state
}

/// Puts `value` behind `text`, which is a shell command so far, so that the shell reads it as it is.
pub(super) fn push_value(text: &mut String, value: &str) {
    match quotes_behind(text) {
        Quotes::None => text.push_str(&quote(value)),
        Quotes::Single => text.push_str(&value.replace('\'', r"'\''")),
        Quotes::Double => {
            for c in value.chars() {
                if matches!(c, '\\' | '"' | '$' | '`') {
                    text.push('\\');
                }
                text.push(c);
            }
        }
    }
}

/// `value` as one word of a shell, quoted if it needs it.
pub(super) fn quote(value: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !value.is_empty() && value.chars().all(is_safe) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', r"'\''"))
    }
}

/// The blank for the input's URL in a command of ours.
const URL: &str = "{url}";

/// Where the next `{url}` stands; a shell's own `${url}` is none.
fn find_url(text: &str) -> Option<usize> {
    text.match_indices(URL).map(|(at, _)| at).find(|at| !text[..*at].ends_with('$'))
}

/// Whether `command` asks for the input's URL.
pub(super) fn has_url(command: &str) -> bool {
    find_url(command).is_some()
}

/// `command` with `url` in its blanks.
pub(super) fn fill_url(command: &str, url: &str) -> String {
    let mut out = String::new();
    let mut rest = command;
    while let Some(at) = find_url(rest) {
        out.push_str(&rest[..at]);
        push_value(&mut out, url);
        rest = &rest[at + URL.len()..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_taken_apart_at_its_blanks() {
        assert_eq!(Template::parse("a %s 100%% %s").unwrap().parts, ["a ", " 100% ", ""]);
        assert_eq!(Template::parse("").unwrap().blanks(), 0);
    }

    #[test]
    fn other_directives_are_refused() {
        for (text, said) in
            [("%d", "`%d`"), ("x %-5s", "`%-`"), ("50% of", "`% `"), ("%é", "`%é`"), ("5%", "`%` at")]
        {
            let error = Template::parse(text).unwrap_err();
            assert!(error.starts_with(said), "{error}");
        }
    }

    #[test]
    fn values_are_quoted_as_their_place_needs() {
        let filled = |text: &str, value: &str| {
            let mut text = text.to_owned();
            push_value(&mut text, value);
            text
        };
        assert_eq!(filled("-i ", "a/b-c.ts"), "-i a/b-c.ts");
        assert_eq!(filled("-i ", "http://h/?a=1&b=2"), "-i 'http://h/?a=1&b=2'");
        assert_eq!(filled("-i ", ""), "-i ''");
        assert_eq!(filled("-i ", "it's"), r"-i 'it'\''s'");
        assert_eq!(filled("-i '", "it's"), r"-i 'it'\''s");
        assert_eq!(filled("-i \"", "$a\"b"), "-i \"\\$a\\\"b");
        assert_eq!(filled(r"-x \' -i ", "a b"), r"-x \' -i 'a b'");
    }

    #[test]
    fn the_url_is_put_into_commands_but_not_into_a_shells_variable() {
        assert_eq!(fill_url("cat {url} '{url}'", "a b"), "cat 'a b' 'a b'");
        assert_eq!(fill_url("cat ${url}", "a"), "cat ${url}");
        assert!(!has_url("cat ${url}"));
        assert!(has_url("cat ${url} {url}"));
    }
}
