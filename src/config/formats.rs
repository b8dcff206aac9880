//! What segments are made of, as files say it: one word, or a list of them.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

use crate::live::Container;

/// One or two containers, no one twice; the first is what viewers open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Formats(pub Vec<Container>);

impl Formats {
    /// Its name in the schema.
    pub(super) const NAME: &'static str = "formats";
    /// What one should have written.
    pub(super) const EXPECTED: &'static str = "\"ts\", \"cmaf\" or a list of both";
}

impl Default for Formats {
    fn default() -> Self {
        Self(vec![Container::Ts])
    }
}

/// What a container is called in files.
pub(super) const fn name(container: Container) -> &'static str {
    match container {
        Container::Ts => "ts",
        Container::Cmaf => "cmaf",
    }
}

fn container(text: &str) -> Option<Container> {
    Container::ALL.into_iter().find(|&container| name(container) == text)
}

impl<'de> Deserialize<'de> for Formats {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Formats;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Formats::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        let one = container(text).map(|one| Formats(vec![one]));
        one.ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(text) = list.next_element::<Cow<'_, str>>()? {
            match container(&text).filter(|one| !all.contains(one)) {
                Some(one) => all.push(one),
                None => return Err(de::Error::invalid_value(de::Unexpected::Str(&text), &self)),
            }
        }
        if all.is_empty() { Err(de::Error::invalid_length(0, &self)) } else { Ok(Formats(all)) }
    }
}

impl JsonSchema for Formats {
    fn schema_name() -> Cow<'static, str> {
        "Formats".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words = Container::ALL.map(name);
        json_schema!({
            "type": ["string", "array"],
            "pattern": format!("^({})$", words.join("|")),
            "items": { "enum": words },
            "minItems": 1,
            "uniqueItems": true,
            "x-kind": Self::NAME,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_or_a_list_will_do_and_nothing_twice() {
        let read = |json: &str| serde_json::from_str::<Formats>(json).ok().map(|formats| formats.0);
        assert_eq!(read("\"cmaf\""), Some(vec![Container::Cmaf]));
        assert_eq!(read("[\"ts\", \"cmaf\"]"), Some(vec![Container::Ts, Container::Cmaf]));
        for wrong in ["\"mp4\"", "[]", "[\"ts\", \"ts\"]", "[1]", "1"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
