//! What is wrong in a configuration: every mistake that was found, not just the first.

use std::fmt;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where it was written: a file, an environment variable, a flag.
    pub file: String,
    /// The dotted key, such as `rendition[0].video.size`; empty for the file as a whole.
    pub key: String,
    /// What was expected and what came.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for Mistake {
    /// `file: key: message`, and the hint on a line of its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  {hint}"),
            None => Ok(()),
        }
    }
}

/// All the mistakes that were found; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    mistakes: Vec<Mistake>,
}

impl Error {
    /// The mistakes, in the order in which they were found.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    /// `value`, unless there are mistakes.
    pub(super) fn unless<T>(mistakes: Vec<Mistake>, value: T) -> Result<T, Self> {
        if mistakes.is_empty() { Ok(value) } else { Err(Self { mistakes }) }
    }

    /// One mistake that concerns a whole file.
    pub(super) fn whole(file: &str, message: impl Into<String>, hint: Option<String>) -> Self {
        let mistake = Mistake { file: file.into(), key: String::new(), message: message.into(), hint };
        Self { mistakes: vec![mistake] }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, mistake) in self.mistakes.iter().enumerate() {
            let end = if n == 0 { "" } else { "\n" };
            write!(f, "{end}{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// The known word that `word` was probably meant to be.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let farthest = (lower.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= farthest)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// The hint for a word that is not among the known ones: the nearest, or else all of them.
pub(super) fn suggest<'a>(
    word: &str,
    what: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(word, known.iter().copied()) {
        Some(name) => Some(format!("did you mean `{name}`?")),
        None if known.is_empty() => None,
        None => Some(format!("known {what}: {}", known.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_and_a_far_one_is_not() {
        let known = ["segment", "window", "playlist"];
        assert_eq!(nearest("segmnt", known), Some("segment"));
        assert_eq!(nearest("Windwo", known), Some("window"));
        assert_eq!(nearest("bitrate", known), None);
    }

    #[test]
    fn a_word_near_to_none_gets_the_whole_list() {
        assert_eq!(suggest("x", "keys", ["url", "args"]).as_deref(), Some("known keys: url, args"));
        assert_eq!(suggest("x", "keys", []), None);
    }

    #[test]
    fn mistakes_are_told_line_by_line() {
        let mistake = |key: &str, hint: Option<&str>| Mistake {
            file: "live.toml".into(),
            key: key.into(),
            message: "is wrong".into(),
            hint: hint.map(Into::into),
        };
        let error = Error { mistakes: vec![mistake("a.b", Some("write c")), mistake("", None)] };
        assert_eq!(error.to_string(), "live.toml: a.b: is wrong\n  write c\nlive.toml: is wrong");
    }
}
