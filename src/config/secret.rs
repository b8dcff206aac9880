//! Secrets: kept apart from what may be printed, and taken from the environment by `${NAME}`.

use std::fmt;

use super::Environment;

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one who has to send it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Replaces each `${NAME}` in `text` by that environment variable; `$$` stands for one `$`.
///
/// # Errors
/// What is wrong with the text, or which variable is not set.
pub(super) fn expand(text: &str, environment: &Environment) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let Some((name, after)) = after.split_once('}') else {
                return Err("expected `}` behind `${`".into());
            };
            match environment.get(name) {
                Some(value) => out.push_str(value),
                None => return Err(format!("the environment variable {name:?} is not set")),
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    Ok(out + rest)
}

/// The inverse of [`expand`] for a text without variables.
pub(super) fn escape(text: &str) -> String {
    text.replace('$', "$$")
}

/// Query parameters of URLs that carry secrets.
const PARAMETERS: [&str; 7] = ["passphrase", "password", "pass", "token", "secret", "signature", "key"];

/// `text` with the passwords of its URLs put out of sight: what stands between the user and the host, and the
/// values of query parameters such as SRT's `passphrase`.
pub fn hide(text: &str) -> String {
    hide_parameters(&hide_logins(text))
}

/// Whether `c` cannot belong to a URL's login or query as it stands in a command line.
fn is_end(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\'' | '"' | '|' | '<' | '>' | '`')
}

fn hide_logins(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        out.push_str(head);
        let end = tail.find(|c| is_end(c) || matches!(c, '/' | '?' | '#')).unwrap_or(tail.len());
        let login = tail[..end].rfind('@').map_or("", |at| &tail[..at]);
        match login.split_once(':') {
            Some((user, _)) => out.push_str(&format!("{user}:***")),
            None => out.push_str(login),
        }
        rest = &tail[login.len()..];
    }
    out + rest
}

fn hide_parameters(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['?', '&']) {
        let (head, tail) = rest.split_at(at + 1);
        out.push_str(head);
        rest = tail;
        let Some((name, value)) = tail.split_once('=') else { continue };
        let word = name.to_lowercase();
        if !PARAMETERS.iter().any(|known| word == *known || word.ends_with(&format!("-{known}"))) {
            continue;
        }
        out.push_str(name);
        out.push_str("=***");
        rest = &value[value.find(|c| is_end(c) || matches!(c, '&' | '#')).unwrap_or(value.len())..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn variables_are_replaced() {
        let environment = Environment::from([("A".to_owned(), "1".to_owned())]);
        assert_eq!(expand("x${A}y$$z$", &environment), Ok("x1y$z$".into()));
        assert_eq!(expand("${B}", &environment), Err("the environment variable \"B\" is not set".into()));
        assert_eq!(expand("${A", &environment), Err("expected `}` behind `${`".into()));
        assert_eq!(expand(&escape("a$b${A}$$"), &environment), Ok("a$b${A}$$".into()));
    }

    #[test]
    fn passwords_in_urls_are_hidden_and_nothing_else() {
        for (text, hidden) in [
            ("ffmpeg -i rtsp://me:pa:ss@cam/1 -", "ffmpeg -i rtsp://me:***@cam/1 -"),
            ("ftp://me@host/a ftp://host/a@b:c", "ftp://me@host/a ftp://host/a@b:c"),
            ("'srt://h:1?mode=caller&passphrase=abc&x=1'", "'srt://h:1?mode=caller&passphrase=***&x=1'"),
            ("https://h/a?X-Amz-Signature=ab 'c'", "https://h/a?X-Amz-Signature=*** 'c'"),
            ("a && b=c | d?e", "a && b=c | d?e"),
            ("é://ü:ö@", "é://ü:***@"),
        ] {
            assert_eq!(hide(text), hidden);
        }
    }
}
