//! The keys of one destination, read one by one.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use figment::value::Value;

use super::super::expand::expand;
use super::super::ground::{Must, Need};
use super::super::outside::Outside;
use super::super::shape::{Mistakes, join, quoted};
use super::super::value::{Kind, Mode, Written};
use super::key::{self, Family, Scheme};
use crate::destination::{Headers, Secret};

/// The keys of one destination that are not read yet, and what is found to be wrong.
pub(super) struct Settings<'r, 'm> {
    at: &'r str,
    values: BTreeMap<String, Value>,
    outside: &'r Outside<'r>,
    mistakes: &'r mut Mistakes<'m>,
    needs: &'r mut Vec<Need>,
}

impl<'r, 'm> Settings<'r, 'm> {
    /// The keys at `at`, with variables in their places; none, and told, if one is missing.
    pub(super) fn new(
        at: &'r str,
        values: BTreeMap<String, Value>,
        outside: &'r Outside,
        mistakes: &'r mut Mistakes<'m>,
        needs: &'r mut Vec<Need>,
    ) -> Option<Self> {
        let before = mistakes.list.len();
        let expanded = values.into_iter().map(|(name, value)| {
            let at = join(at, &name);
            let value = with_variables(&at, value, outside, mistakes);
            (name, value)
        });
        let values = expanded.collect();
        (mistakes.list.len() == before).then_some(Self { at, values, outside, mistakes, needs })
    }

    /// A mistake at the key of this name.
    pub(super) fn mistake(
        &mut self,
        name: &str,
        message: impl Into<String>,
        hint: impl Into<Option<String>>,
    ) {
        self.mistakes.add(&join(self.at, name), message, hint);
    }

    /// What the key of this name needs of this machine.
    pub(super) fn need(&mut self, name: &str, path: PathBuf, must: Must) {
        self.needs.push(self.mistakes.need(&join(self.at, name), path, must));
    }

    /// The URL, variables in their places.
    pub(super) fn take_url(&mut self) -> String {
        let url = self.values.remove("url").and_then(Value::into_string);
        url.unwrap_or_default()
    }

    /// Takes the keys of a URL's query for keys that stand beside it.
    pub(super) fn add_query(&mut self, scheme: Scheme, query: Vec<(String, String)>) {
        for (name, text) in query {
            if key::is_secret(&name) {
                let hint = format!("write it as `{name}` beside the URL, best as \"${{NAME}}\"");
                self.mistake("url", "secrets do not belong into the URL", hint);
            } else if matches!(name.as_str(), "url" | "headers") || !key::is_known(scheme.family, &name) {
                // Nothing of it is quoted: it may be the rest of a password with a ? in it.
                let message = format!("{} takes no such key in its query", scheme.name);
                self.mistake("url", message, known(scheme.family));
            } else if self.values.insert(name.clone(), text.into()).is_some() {
                self.mistake(&name, "stands in the URL too", None);
            }
        }
    }

    /// Tells the keys that destinations of this family do not take; `who` takes them not.
    pub(super) fn refuse_strangers(&mut self, family: Family, who: &str) {
        let strangers: Vec<String> =
            self.values.keys().filter(|name| !key::is_known(family, name)).cloned().collect();
        for name in strangers {
            self.values.remove(&name);
            self.mistake(&name, format!("{who} takes no such key"), known(family));
        }
    }

    /// Whether the key, or the file of its secret, is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.values.contains_key(name) || self.values.contains_key(&format!("{name}_file"))
    }

    /// A text, which is not empty.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let text = self.values.remove(name)?.into_string().unwrap_or_default();
        if text.is_empty() {
            self.mistake(name, "expected a text, came \"\"", None);
        } else if text.contains(char::is_control) {
            // It may be the secret itself where its file was asked for.
            self.mistake(name, "expected one line of plain text", None);
        }
        Some(text)
    }

    /// One of a few words.
    pub(super) fn word(&mut self, name: &str, words: &[&str]) -> Option<String> {
        let word = self.text(name)?;
        if !words.contains(&word.as_str()) {
            let message = format!("expected one of {}, came {}", words.join(", "), quoted(&word));
            self.mistake(name, message, None);
        }
        Some(word)
    }

    /// A file's path.
    pub(super) fn path(&mut self, name: &str, must: Must) -> Option<PathBuf> {
        let text = self.text(name)?;
        self.resolve(name, &text, must)
    }

    /// The path that `text` at this key means, and what must hold of it.
    pub(super) fn resolve(&mut self, name: &str, text: &str, must: Must) -> Option<PathBuf> {
        let path = self.outside.path(text).map_err(|message| self.mistake(name, message, None)).ok()?;
        self.need(name, path.clone(), must);
        Some(path)
    }

    /// Tells that there is no such secret, which `who` needs.
    pub(super) fn missing_secret(&mut self, name: &str, who: &str) {
        let hint = format!("as in {name} = \"${{NAME}}\", or {name}_file = \"/run/secrets/{name}\"");
        self.mistake(name, format!("is missing, as {who} needs it"), hint);
    }

    /// A secret, from the key of this name or from the file that `<name>_file` names.
    pub(super) fn secret(&mut self, name: &str) -> Option<Secret> {
        let in_file = format!("{name}_file");
        let text = self.values.remove(name).map(|value| value.into_string().unwrap_or_default());
        if let Some(path) = self.text(&in_file) {
            if text.is_some() {
                self.mistake(&in_file, format!("has no place beside `{name}`"), None);
            }
            let read = self.outside.path(&path).and_then(|path| self.outside.secret(&path));
            return read.map_err(|message| self.mistake(&in_file, message, None)).ok();
        }
        let text = text?;
        if text.is_empty() {
            self.mistake(name, "expected a secret, came \"\"", None);
        }
        Some(Secret::new(text))
    }

    /// A flag; false if it is absent.
    pub(super) fn is(&mut self, name: &str) -> bool {
        let Some(value) = self.values.remove(name) else { return false };
        match (value.to_bool(), value.as_str()) {
            (Some(is), _) => is,
            (None, Some("true")) => true,
            (None, Some("false")) => false,
            (None, _) => {
                self.mistakes.expected(&join(self.at, name), "true or false", &value);
                false
            }
        }
    }

    /// A whole number.
    pub(super) fn count(&mut self, name: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let value = self.values.remove(name)?;
        let count = match value.as_str() {
            Some(text) => text.parse().ok(),
            None => value.deserialize().ok(),
        };
        let count = count.filter(|count| range.contains(count));
        if count.is_none() {
            let expected = format!("a whole number from {} to {}", range.start(), range.end());
            self.mistakes.expected(&join(self.at, name), &expected, &value);
        }
        count
    }

    /// A span of time, which is not empty.
    pub(super) fn span(&mut self, name: &str) -> Option<Duration> {
        let span: Duration = self.written(name)?;
        if span.is_zero() {
            self.mistake(name, "expected more than 0s", None);
        }
        Some(span)
    }

    /// Permissions.
    pub(super) fn mode(&mut self, name: &str) -> Option<u32> {
        self.written(name).map(|Mode(mode)| mode)
    }

    fn written<T: Kind>(&mut self, name: &str) -> Option<T> {
        let value = self.values.remove(name)?;
        let written = value.deserialize::<Written<T>>();
        written
            .map_err(|_| self.mistakes.expected(&join(self.at, name), T::EXPECTED, &value))
            .ok()
            .map(|it| it.0)
    }

    /// A text that can stand in a header's value.
    pub(super) fn header_text(&mut self, name: &str) -> Option<String> {
        let text = self.text(name)?;
        if !is_header_value(&text) {
            self.mistake(name, format!("expected a header's value, came {}", quoted(&text)), None);
        }
        Some(text)
    }

    /// What is said of objects.
    pub(super) fn headers(&mut self) -> Headers {
        let mut headers = Headers::default();
        if let Some(text) = self.header_text("playlist_cache_control") {
            headers.playlist_cache_control = text;
        }
        if let Some(text) = self.header_text("segment_cache_control") {
            headers.segment_cache_control = text;
        }
        let extra = self.values.remove("headers").and_then(Value::into_dict).unwrap_or_default();
        for (name, value) in extra {
            let value = value.into_string().unwrap_or_default();
            self.check_header(&name, &value);
            headers.extra.push((name, value));
        }
        headers
    }

    fn check_header(&mut self, name: &str, value: &str) {
        let at = format!("headers.{name}");
        // RFC 9110 §5.6.2.
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(is_token) {
            self.mistake("headers", format!("expected a header's name, came {}", quoted(name)), None);
        } else if let Some((_, instead)) = OURS.iter().find(|(ours, _)| name.eq_ignore_ascii_case(ours)) {
            self.mistake(
                &at,
                "is written by segcast",
                Some((*instead).to_owned()).filter(|hint| !hint.is_empty()),
            );
        } else if !is_header_value(value) {
            self.mistake(&at, "expected plain text, without ends of lines", None);
        }
    }
}

/// Headers that are not to be set by hand, and what to do instead.
const OURS: [(&str, &str); 6] = [
    ("authorization", "use `user` and `password`, `token`, or the service's own keys"),
    ("cache-control", "use `playlist_cache_control` and `segment_cache_control`"),
    ("content-length", ""),
    ("content-type", "it follows from the file's name"),
    ("host", "it follows from the URL"),
    ("transfer-encoding", ""),
];

/// Whether a header can carry this text as its value (RFC 9110 §5.5).
fn is_header_value(text: &str) -> bool {
    text.trim() == text && text.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte))
}

/// The hint for a key that is not taken.
fn known(family: Family) -> String {
    format!("its keys: {}", key::known(family).collect::<Vec<_>>().join(", "))
}

/// A value with variables in their places, in tables too.
fn with_variables(at: &str, value: Value, outside: &Outside, mistakes: &mut Mistakes) -> Value {
    match value {
        Value::String(tag, text) => match expand(&text, outside.environment) {
            Ok(text) => Value::String(tag, text),
            Err(message) => {
                mistakes.add(at, message, None);
                Value::String(tag, text)
            }
        },
        Value::Dict(tag, dict) => {
            let below = dict.into_iter().map(|(name, value)| {
                let value = with_variables(&join(at, &name), value, outside, mistakes);
                (name, value)
            });
            Value::Dict(tag, below.collect())
        }
        other => other,
    }
}
