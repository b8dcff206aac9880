//! The JSON Schema of our files, made from [`File`]'s types. Files are checked against this same schema, so
//! what it says is what is taken.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::file::File;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<File>().to_value();
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".into(), "segcast channel".into());
    }
    schema
});

/// The JSON Schema of a configuration file of ours.
pub fn schema() -> &'static Value {
    &SCHEMA
}

/// The schema of what stands at `path` below `node`.
pub(super) fn at<'a>(
    node: &'static Value,
    mut path: impl Iterator<Item = &'a str>,
) -> Option<&'static Value> {
    path.try_fold(node, |node, key| node.get("properties")?.get(key))
}

/// The types that `node` allows, null left out: a missing key is said by leaving it out.
pub(super) fn types(node: &Value) -> Vec<&str> {
    let types = match node.get("type") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    types.into_iter().filter(|name| *name != "null").collect()
}

/// The words that `node` allows, if it allows only some.
pub(super) fn words(node: &Value) -> Option<Vec<&str>> {
    let list = |key: &str| node.get(key).and_then(Value::as_array);
    if let Some(words) = list("enum") {
        return Some(words.iter().filter_map(Value::as_str).collect());
    }
    let choices = list("oneOf").or(list("anyOf"))?;
    let words = choices.iter().flat_map(|choice| match choice.get("const") {
        Some(word) => word.as_str().into_iter().collect(),
        None => words(choice).unwrap_or_default(),
    });
    Some(words.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls `visit` with the dotted name and the schema of every key.
    fn walk(name: &str, node: &Value, visit: &mut impl FnMut(&str, &Value)) {
        let node = node.get("items").unwrap_or(node);
        for (key, node) in node.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let name = format!("{name}.{key}");
            visit(&name, node);
            walk(&name, node, visit);
        }
    }

    #[test]
    fn every_key_is_described_and_has_a_type_or_words() {
        let mut count = 0;
        walk("", schema(), &mut |name, node| {
            count += 1;
            assert!(node.get("description").is_some(), "{name} has no description: {node}");
            assert!(!types(node).is_empty() || words(node).is_some(), "{name}: {node}");
        });
        assert!(count > 40, "{count}");
    }

    #[test]
    fn nothing_is_referred_to() {
        let text = schema().to_string();
        assert!(!text.contains("$ref"), "{text}");
        assert!(text.contains("https://json-schema.org/draft/2020-12/schema"));
    }

    #[test]
    fn words_are_found_behind_options_too() {
        let feed = at(schema(), ["feed"].into_iter()).unwrap();
        assert_eq!(words(feed), Some(vec!["shared", "each", "fan-out"]));
        let playlist = at(schema(), ["output", "playlist"].into_iter()).unwrap();
        assert_eq!(words(playlist), Some(vec!["live", "event", "vod"]));
    }
}
