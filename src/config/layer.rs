//! The layers of a configuration, merged by figment: the file, above it the environment, above that the flags.
//! Each value keeps the mark of the layer that it came from, so that a mistake can say where it was written.

use figment::error::Kind as Fault;
use figment::providers::{Format as _, Json, Toml, Yaml, YamlExtended};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::error::{Error, Mistake, suggest};
use super::{Environment, Format, original, schema};

/// What environment variables of ours begin with.
pub const PREFIX: &str = "SEGCAST_";

/// The names of the layers above the file.
const ENVIRONMENT: &str = "environment";
const FLAG: &str = "command line";

/// What is told to who wants another folder for a file of the original.
const NO_OUTPUT: &str = "a file of the original names folders in its transfer profiles: \
                         --set PROFILE.directory=DIR sets one";

/// No key of ours stands deeper than this.
const DEEPEST: usize = 8;

/// What flags set: dotted keys and values, such as `("output.segment", "2s")`.
pub type Overrides = [(String, String)];

/// The merged layers.
pub(super) struct Layers {
    pub(super) file: String,
    pub(super) root: Dict,
    /// Environment variables of ours that no key answers to.
    pub(super) unused: Vec<String>,
    figment: Figment,
}

/// A file alone, before anything is laid above it.
pub(super) fn parse(format: Format, name: &str, text: &str) -> Result<Dict, Error> {
    let read = match format {
        Format::Toml => top(Figment::from(Toml::string(text))),
        Format::Yaml => top(Figment::from(YamlExtended::string(text))),
        Format::Json => top(Figment::from(Json::string(text))),
    };
    let error = match read {
        Ok(dict) => return Ok(dict),
        Err(error) => error,
    };
    // Ruby took keys that are numbers, and the last of keys that stand twice; only its files may have them.
    let lenient = (format == Format::Yaml).then(|| top(Figment::from(Yaml::string(text))).ok()).flatten();
    lenient.filter(original::is_original).ok_or_else(|| syntax(format, name, &error))
}

fn top(figment: Figment) -> Result<Dict, Fault> {
    let value = figment.find_value("").map_err(|error| error.kind)?;
    Ok(without_nulls(value.into_dict().unwrap_or_default()))
}

/// What a parser says, without the line that it quotes: a secret may stand there.
fn syntax(format: Format, name: &str, fault: &Fault) -> Error {
    let top = || Error::whole(name, "expected keys at the top of the file", None);
    let Fault::Message(said) = fault else { return top() };
    // Such a message would show a value, perhaps the whole text of a file that is not what it should be.
    let strange = said.strip_prefix("invalid type: ").and_then(|said| said.rsplit_once(", expected "));
    match strange {
        Some((_, expected)) if expected.starts_with("a map") => return top(),
        Some((_, expected)) => {
            return Error::whole(name, format!("is {format} of an unknown kind: expected {expected}"), None);
        }
        None => {}
    }
    let is_quote =
        |line: &&str| line.trim_start_matches(|c: char| c == ' ' || c.is_ascii_digit()).starts_with('|');
    let lines: Vec<&str> = said.lines().filter(|line| !is_quote(line)).map(str::trim).collect();
    Error::whole(name, format!("is not {format}: {}", lines.join(": ")), None)
}

/// A key without a value is a key left out.
fn without_nulls(dict: Dict) -> Dict {
    let keep = |(key, value)| match value {
        Value::Empty(..) => None,
        Value::Dict(tag, dict) => Some((key, Value::Dict(tag, without_nulls(dict)))),
        Value::Array(tag, items) => {
            let items = items.into_iter().map(|item| match item {
                Value::Dict(tag, dict) => Value::Dict(tag, without_nulls(dict)),
                other => other,
            });
            Some((key, Value::Array(tag, items.collect())))
        }
        other => Some((key, other)),
    };
    dict.into_iter().filter_map(keep).collect()
}

impl Layers {
    /// Lays the environment and the flags over a file. `shape` is the file's schema, if it has one; `known` are
    /// the keys that may stand at its top.
    pub(super) fn new(
        file: &str,
        dict: Dict,
        environment: &Environment,
        overrides: &Overrides,
        shape: Option<&'static serde_json::Value>,
        known: &[&str],
    ) -> Result<Self, Error> {
        let is_known = |key: &str| {
            let top = key.split('.').next().unwrap_or_default();
            (known.contains(&top) || dict.contains_key(top)) && key.split('.').count() <= DEEPEST
        };
        let mut unused = Vec::new();
        let mut above = Dict::new();
        for (variable, text) in environment.range(PREFIX.to_owned()..) {
            let Some(key) = variable.strip_prefix(PREFIX) else { break };
            let key = key.to_lowercase().replace("__", ".");
            if is_known(&key) {
                insert(&mut above, &key, value(shape, &key, text));
            } else {
                unused.push(variable.clone());
            }
        }
        let mut flags = Dict::new();
        let mut mistakes = Vec::new();
        for (key, text) in overrides {
            if is_known(key) {
                insert(&mut flags, key, value(shape, key, text));
            } else {
                let top = key.split('.').next().unwrap_or_default();
                let hint = match key.as_str() {
                    "output.directory" if !known.contains(&"output") => Some(NO_OUTPUT.into()),
                    _ => suggest(top, "keys", known.iter().copied()),
                };
                let message = "unknown key".into();
                mistakes.push(Mistake { file: FLAG.into(), key: key.clone(), message, hint });
            }
        }
        Error::unless(mistakes, ())?;
        let figment = Figment::new().merge(Layer("file", dict));
        let figment = figment.merge(Layer(ENVIRONMENT, above)).merge(Layer(FLAG, flags));
        Ok(Self {
            file: file.into(),
            root: figment.find_value("").ok().and_then(Value::into_dict).unwrap_or_default(),
            unused,
            figment,
        })
    }

    /// Where the value of `key` was written.
    pub(super) fn origin(&self, key: &str) -> String {
        let layer = self.find(key).and_then(|value| self.figment.get_metadata(value.tag()));
        match layer.map(|layer| layer.name.as_ref()) {
            Some(FLAG) => FLAG.into(),
            Some(ENVIRONMENT) => {
                format!("environment variable {PREFIX}{}", key.to_uppercase().replace('.', "__"))
            }
            _ => self.file.clone(),
        }
    }

    /// The value of a dotted key, with list items as in `rendition[0].name`.
    fn find(&self, key: &str) -> Option<&Value> {
        let mut steps = key.split(['.', '[']);
        let first = self.root.get(steps.next()?)?;
        steps.try_fold(first, |value, step| match value {
            Value::Dict(_, dict) => dict.get(step),
            Value::Array(_, items) => items.get(step.strip_suffix(']')?.parse::<usize>().ok()?),
            _ => None,
        })
    }
}

/// One layer; figment marks its values with a tag of their own.
struct Layer(&'static str, Dict);

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.0)
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Map::from([(Profile::Default, self.1.clone())]))
    }
}

/// Puts `value` at a dotted key, making the tables that lead there.
fn insert(dict: &mut Dict, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            dict.insert(key.into(), value);
        }
        Some((head, rest)) => {
            let mut below = dict.remove(head).and_then(Value::into_dict).unwrap_or_default();
            insert(&mut below, rest, value);
            dict.insert(head.into(), below.into());
        }
    }
}

/// The value of `text`: itself where only text is taken, else as TOML, else itself again.
fn value(shape: Option<&'static serde_json::Value>, key: &str, text: &str) -> Value {
    let node = shape.and_then(|shape| schema::at(shape, key.split('.')));
    let is_text = match (shape, node) {
        (Some(_), Some(node)) => schema::words(node).is_some() || schema::types(node) == ["string"],
        (Some(_), None) => false,
        (None, _) => !text.starts_with('['),
    };
    let parsed = (!is_text).then(|| text.parse::<toml::Value>().ok()).flatten();
    match parsed {
        Some(parsed) if !matches!(parsed, toml::Value::Datetime(_)) => {
            Value::serialize(parsed).unwrap_or_else(|_| text.into())
        }
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "name = \"a\"\n[output]\nwindow = 5\n[[rendition]]\nname = \"x\"\n";

    fn layers(environment: &[(&str, &str)], overrides: &[(&str, &str)]) -> Result<Layers, Error> {
        let owned = |(a, b): &(&str, &str)| (a.to_string(), b.to_string());
        let environment = environment.iter().map(owned).collect();
        let overrides: Vec<_> = overrides.iter().map(owned).collect();
        let dict = parse(Format::Toml, "a.toml", FILE)?;
        let known = ["name", "output", "rendition"];
        Layers::new("a.toml", dict, &environment, &overrides, Some(schema::schema()), &known)
    }

    #[test]
    fn the_environment_lies_above_the_file_and_flags_above_both() {
        let environment = [("SEGCAST_OUTPUT__WINDOW", "7"), ("SEGCAST_NAME", "b"), ("PATH", "x")];
        let layers = layers(&environment, &[("output.window", "9"), ("output.segment", "2s")]).unwrap();
        assert_eq!(layers.find("name").unwrap().as_str(), Some("b"));
        assert_eq!(layers.find("output.window").unwrap().to_i128(), Some(9));
        assert_eq!(layers.find("output.segment").unwrap().as_str(), Some("2s"));
        assert_eq!(layers.origin("name"), "environment variable SEGCAST_NAME");
        assert_eq!(layers.origin("output.window"), "command line");
        assert_eq!(layers.origin("rendition[0].name"), "a.toml");
        assert_eq!(layers.origin("rendition[1].name"), "a.toml");
    }

    #[test]
    fn text_stays_text_where_only_text_is_taken() {
        let layers =
            layers(&[("SEGCAST_NAME", "1.10")], &[("input.args", "[\"-re\"]"), ("output.directory", "7")]);
        assert_eq!(
            layers.err().unwrap().to_string(),
            "command line: input.args: unknown key\n  known keys: name, output, rendition"
        );
        let layers = self::layers(&[("SEGCAST_NAME", "1.10")], &[("output.directory", "7")]).unwrap();
        assert_eq!(layers.find("name").unwrap().as_str(), Some("1.10"));
        assert_eq!(layers.find("output.directory").unwrap().as_str(), Some("7"));
    }

    #[test]
    fn variables_that_no_key_answers_to_are_told() {
        let layers = layers(&[("SEGCAST_SERVICE_HOST", "10.0.0.1")], &[]).unwrap();
        assert_eq!(layers.unused, ["SEGCAST_SERVICE_HOST"]);
    }

    #[test]
    fn syntax_errors_name_the_place_and_quote_nothing() {
        for (format, text, said) in [
            (
                Format::Toml,
                "a = 1\npassword = \"hunter2",
                "x: is not TOML: TOML parse error at line 2, column 20: ",
            ),
            (Format::Yaml, "a: 1\npassword: \"hunter2", "x: is not YAML: "),
            (
                Format::Json,
                "{\"password\": \"hunter2",
                "x: is not JSON: EOF while parsing a string at line 1",
            ),
            (Format::Yaml, "hunter2", "x: expected keys at the top of the file"),
            (Format::Json, "[1]", "x: expected keys at the top of the file"),
        ] {
            let error = parse(format, "x", text).unwrap_err().to_string();
            assert!(error.starts_with(said), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn deep_keys_are_refused_not_followed() {
        let deep = "output.".repeat(100_000);
        assert!(layers(&[], &[(&deep, "1")]).is_err());
        assert_eq!(layers(&[(&format!("SEGCAST_{deep}"), "1")], &[]).unwrap().unused.len(), 1);
    }
}
