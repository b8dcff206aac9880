//! Checks a file's keys and types against the schema, and finds every mistake of that kind.

use figment::value::Value;

use super::error::{Mistake, suggest};
use super::ground::{Must, Need};
use super::layer::Layers;
use super::{place, schema, value};
use crate::encoder::hide_secrets;

/// Gathers mistakes, and knows where each was written.
pub(super) struct Mistakes<'a> {
    layers: &'a Layers,
    pub(super) list: Vec<Mistake>,
}

impl<'a> Mistakes<'a> {
    pub(super) fn new(layers: &'a Layers) -> Self {
        Self { layers, list: Vec::new() }
    }

    /// A mistake at `key`.
    pub(super) fn add(&mut self, key: &str, message: impl Into<String>, hint: impl Into<Option<String>>) {
        let (file, key) = (self.layers.origin(key), key.to_owned());
        self.list.push(Mistake { file, key, message: message.into(), hint: hint.into() });
    }

    /// What the value of `key` needs of this machine.
    pub(super) fn need(&self, key: &str, path: std::path::PathBuf, must: Must) -> Need {
        Need { file: self.layers.origin(key), key: key.to_owned(), path, must }
    }

    /// Something else than `expected` stands at `key`.
    pub(super) fn expected(&mut self, key: &str, expected: &str, came: &Value) {
        self.add(key, format!("expected {expected}, came {}", shown(key, came)), None);
    }

    /// A key that nobody knows.
    pub(super) fn unknown<'k>(&mut self, parent: &str, key: &str, known: impl IntoIterator<Item = &'k str>) {
        self.add(&join(parent, key), "unknown key", suggest(key, "keys", known));
    }
}

/// The dotted name of `key` below `parent`.
pub(super) fn join(parent: &str, key: &str) -> String {
    if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
}

/// The longest value that a message quotes whole, in characters.
const LONGEST_QUOTE: usize = 60;

/// A value as messages show it: its kind if it is a list or a table, nothing of it if it is a secret.
pub(super) fn shown(key: &str, value: &Value) -> String {
    let name = key.rsplit('.').next().unwrap_or(key);
    match value {
        Value::Dict(..) => "a table".into(),
        Value::Array(..) => "a list".into(),
        // Some services take keys in headers.
        _ if place::is_secret(name) || key.contains(".headers.") => "a secret".into(),
        // A list that is no list yet may have secrets in it.
        Value::String(..) if name == "destination" => "a text".into(),
        Value::String(_, text) => quoted(text),
        Value::Char(_, c) => quoted(&c.to_string()),
        Value::Bool(_, is) => is.to_string(),
        Value::Num(_, number) => match (number.to_i128_lossless(), number.to_f64()) {
            (Some(whole), _) => whole.to_string(),
            (None, Some(number)) => number.to_string(),
            (None, None) => "a number".into(),
        },
        Value::Empty(..) => "nothing".into(),
    }
}

/// A text as messages show it.
pub(super) fn quoted(text: &str) -> String {
    let text = hide_secrets(text);
    match text.char_indices().nth(LONGEST_QUOTE) {
        Some((end, _)) => format!("{:?}", format!("{}…", &text[..end])),
        None => format!("{text:?}"),
    }
}

/// Numbers of any width, if they are whole.
trait Whole {
    fn to_i128_lossless(&self) -> Option<i128>;
}

impl Whole for figment::value::Num {
    fn to_i128_lossless(&self) -> Option<i128> {
        self.to_i128().or_else(|| self.to_u128().and_then(|number| number.try_into().ok()))
    }
}

/// Checks `value` at `key` against its schema.
pub(super) fn check(key: &str, value: &Value, node: &serde_json::Value, mistakes: &mut Mistakes) {
    if let Some(words) = schema::words(node) {
        return check_word(key, value, &words, mistakes);
    }
    let is_table = matches!(value, Value::Dict(..)) && node.get("properties").is_some();
    if let Some(kind) = node.get("x-kind").and_then(serde_json::Value::as_str).filter(|_| !is_table) {
        if let Some(expected) = value::expected(kind, value) {
            mistakes.expected(key, expected, value);
        }
        return;
    }
    match (schema::types(node).first().copied(), value) {
        (Some("object"), Value::Dict(_, dict)) => check_table(key, dict, node, mistakes),
        (Some("array"), Value::Array(_, items)) => {
            let empty = serde_json::Value::Null;
            let node = node.get("items").unwrap_or(&empty);
            for (n, item) in items.iter().enumerate() {
                check(&format!("{key}[{n}]"), item, node, mistakes);
            }
        }
        (Some("string"), Value::String(..) | Value::Char(..)) | (Some("boolean"), Value::Bool(..)) => {}
        (Some("integer"), Value::Num(_, number)) if is_within(number, node) => {}
        (Some("number"), Value::Num(..)) => {}
        (Some(name), _) => mistakes.expected(key, &type_words(name, node), value),
        (None, _) => {}
    }
}

fn check_word(key: &str, value: &Value, words: &[&str], mistakes: &mut Mistakes) {
    match value.as_str() {
        Some(word) if words.contains(&word) => {}
        Some(word) => {
            let message = format!("expected one of {}, came {}", words.join(", "), shown(key, value));
            let near = super::error::nearest(word, words.iter().copied());
            mistakes.add(key, message, near.map(|name| format!("did you mean `{name}`?")));
        }
        None => mistakes.expected(key, &format!("one of {}", words.join(", ")), value),
    }
}

fn check_table(key: &str, dict: &figment::value::Dict, node: &serde_json::Value, mistakes: &mut Mistakes) {
    let Some(properties) = node.get("properties").and_then(serde_json::Value::as_object) else {
        let of_any = node.get("additionalProperties").into_iter();
        return of_any.for_each(|node| {
            dict.iter().for_each(|(name, value)| check(&join(key, name), value, node, mistakes))
        });
    };
    for (name, value) in dict {
        match properties.get(name) {
            Some(node) => check(&join(key, name), value, node, mistakes),
            None => mistakes.unknown(key, name, properties.keys().map(String::as_str)),
        }
    }
    let required = node.get("required").and_then(serde_json::Value::as_array);
    for name in required.into_iter().flatten().filter_map(serde_json::Value::as_str) {
        if !dict.contains_key(name) {
            let what = properties.get(name).and_then(|node| node.get("description")?.as_str());
            let what = what.map(|text| format!("it says: {}", text.replace('\n', " ")));
            mistakes.add(&join(key, name), "is missing", what);
        }
    }
}

/// Whether a whole number lies in the schema's range.
fn is_within(number: &figment::value::Num, node: &serde_json::Value) -> bool {
    let bound = |name: &str| node.get(name).and_then(serde_json::Value::as_i64).map(i128::from);
    let highest = bound("maximum").unwrap_or(i128::from(u32::MAX));
    number.to_i128_lossless().is_some_and(|n| (bound("minimum").unwrap_or(0)..=highest).contains(&n))
}

fn type_words(name: &str, node: &serde_json::Value) -> String {
    match name {
        "object" => "a table".into(),
        "array" => "a list".into(),
        "string" => "a text".into(),
        "boolean" => "true or false".into(),
        "integer" => match node.get("maximum").and_then(serde_json::Value::as_i64) {
            Some(highest) => {
                let lowest = node.get("minimum").and_then(serde_json::Value::as_i64).unwrap_or(0);
                format!("a whole number from {lowest} to {highest}")
            }
            None => "a whole number".into(),
        },
        _ => "a number".into(),
    }
}
