//! Reads the original's values as leniently as Ruby did: numbers may be written as text, and the reverse.

use std::path::PathBuf;

use figment::value::{Dict, Value};

use super::error::{nearest, suggest};
use super::ground::{Must, Need};
use super::original::KEYS;
use super::outside::Outside;
use super::shape::{Mistakes, join, quoted, shown};

/// Reads values leniently and gathers what is wrong.
pub(super) struct Reader<'a> {
    pub(super) root: &'a Dict,
    pub(super) outside: &'a Outside<'a>,
    pub(super) mistakes: Mistakes<'a>,
    pub(super) needs: Vec<Need>,
    pub(super) notes: Vec<String>,
}

/// One table, and the dotted name of it.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    pub(super) name: &'a str,
    pub(super) dict: &'a Dict,
}

impl<'a> Reader<'a> {
    /// The names at `key`, and whether they are written as a list.
    pub(super) fn names(&mut self, top: Table, key: &str) -> (Vec<String>, bool) {
        let Some(Value::Array(_, items)) = top.dict.get(key) else {
            let name = self.required(top, key);
            return (Some(name).filter(|name| !name.is_empty()).into_iter().collect(), false);
        };
        let mut names = Vec::new();
        for (n, item) in items.iter().enumerate() {
            let at = format!("{key}[{n}]");
            match scalar(item) {
                Some(name) if names.contains(&name) => {
                    self.mistakes.add(&at, format!("{} is named twice", quoted(&name)), None);
                }
                Some(name) => names.push(name),
                None => self.mistakes.expected(&at, "a profile's name", item),
            }
        }
        if items.is_empty() {
            self.mistakes.add(key, "expected at least one profile's name, came an empty list", None);
        }
        (names, true)
    }

    /// The table of a profile, all of which have the key `mark`.
    pub(super) fn profile<'n>(&mut self, key: &str, name: &'n str, mark: &str) -> Option<Table<'n>>
    where
        'a: 'n,
    {
        let root: &'a Dict = self.root;
        if let Some(Value::Dict(_, dict)) = root.get(name) {
            return Some(Table { name, dict });
        }
        let is_profile = |value: &Value| value.as_dict().is_some_and(|dict| dict.contains_key(mark));
        let known = root.iter().filter(|(_, value)| is_profile(value)).map(|(name, _)| name.as_str());
        let hint = suggest(name, "profiles", known);
        self.mistakes.add(key, format!("there is no profile {} in this file", quoted(name)), hint);
        None
    }

    /// Tells the keys that nobody reads. Tables at the top are profiles, used or not.
    pub(super) fn pass_over(&mut self, table: Table, known: &[&str]) {
        for (key, value) in table.dict {
            let is_profile = table.name.is_empty() && matches!(value, Value::Dict(..));
            if is_profile || known.contains(&key.as_str()) {
                continue;
            }
            let near = nearest(key, known.iter().copied());
            let near = near.map(|near| format!(": did you mean `{near}`?")).unwrap_or_default();
            self.notes.push(format!("{} is not used{near}", join(table.name, key)));
        }
    }

    pub(super) fn need(&mut self, key: &str, path: PathBuf, must: Must) {
        if !path.as_os_str().is_empty() {
            self.needs.push(self.mistakes.need(key, path, must));
        }
    }

    /// A text, or anything that can be read as one; none if it is absent.
    pub(super) fn text(&mut self, table: Table, key: &str) -> Option<String> {
        let value = table.dict.get(key)?;
        let text = scalar(value);
        if text.is_none() {
            self.mistakes.expected(&join(table.name, key), "a text", value);
        }
        text
    }

    /// A text that must be there; empty, and told, if it is not.
    pub(super) fn required(&mut self, table: Table, key: &str) -> String {
        if table.dict.contains_key(key) {
            let before = self.mistakes.list.len();
            let text = self.text(table, key).unwrap_or_default();
            if text.trim().is_empty() && self.mistakes.list.len() == before {
                self.mistakes.add(&join(table.name, key), "expected a text, came \"\"", None);
            }
            return text;
        }
        let strangers = table.dict.keys().map(String::as_str).filter(|name| !KEYS.contains(name));
        let hint = nearest(key, strangers).map(|name| format!("is it meant by `{name}`?"));
        self.mistakes.add(&join(table.name, key), "is missing", hint);
        String::new()
    }

    pub(super) fn required_number(&mut self, table: Table, key: &str) -> Option<f64> {
        if table.dict.contains_key(key) {
            return self.number(table, key);
        }
        self.required(table, key);
        None
    }

    /// A number, or a text that is one.
    pub(super) fn number(&mut self, table: Table, key: &str) -> Option<f64> {
        let value = table.dict.get(key)?;
        let number = match value {
            Value::Num(..) | Value::String(..) => scalar(value).and_then(|text| text.trim().parse().ok()),
            _ => None,
        };
        let number = number.filter(|number: &f64| number.is_finite());
        if number.is_none() {
            let at = join(table.name, key);
            self.mistakes.add(&at, format!("expected a number, came {}", shown(&at, value)), None);
        }
        number
    }
}

/// A value that is not a list or a table, as text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(text.clone()),
        Value::Dict(..) | Value::Array(..) | Value::Empty(..) => None,
        other => Some(shown("", other)),
    }
}
