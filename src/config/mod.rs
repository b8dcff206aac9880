//! Configuration files.
//!
//! Our own are TOML, YAML or JSON, with environment variables and flags above them; the original's YAML is
//! taken as it is. Either becomes a [`Checked`]: a channel's options, and what people should know. Every
//! mistake in a file is told at once, with its file, its key, what was expected and what came.
//!
//! - [`load`] reads a file and looks at this machine; [`parse_str`] only reads, and touches nothing.
//! - [`convert`] writes our TOML for a file of the original; [`schema`](fn@schema) is the JSON Schema of ours.
//! - Paths in files are taken from the current directory.
//!
//! ```
//! use segcast::config::{Environment, Format, parse_str};
//!
//! let text = "input = { url = 'test' }\n[output]\ndirectory = 'live'\n[[rendition]]\nname = 'a'\naudio = {}";
//! let checked = parse_str(Format::Toml, "live.toml", text, &Environment::new(), &[])?;
//! assert_eq!(checked.options.presentation.renditions[0].playlist, "a/index.m3u8");
//! # Ok::<(), segcast::config::Error>(())
//! ```

mod check;
mod convert;
mod describe;
mod error;
mod expand;
pub mod file;
mod formats;
mod ground;
mod layer;
mod lineup;
mod media;
mod origin;
mod original;
mod outside;
mod place;
mod presentation;
mod printf;
mod reader;
mod schema;
mod shape;
mod transfer;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::path::Path;

pub use convert::{convert, convert_str};
pub use error::{Error, Mistake};
pub use layer::{Overrides, PREFIX};
pub use place::Destination;
pub(crate) use place::identity;
pub use schema::schema;
pub use value::{Address, Bitrate, Bytes, Kind, Mode, Size, Written};

use self::outside::Outside;
use crate::channel;

/// The environment: names and values.
pub type Environment = BTreeMap<String, String>;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// TOML.
    Toml,
    /// YAML.
    Yaml,
    /// JSON.
    Json,
}

impl Format {
    /// The format that a file's extension tells.
    ///
    /// # Errors
    /// If it tells none of ours.
    pub fn of(path: &Path) -> Result<Self, Error> {
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        match extension.as_str() {
            "toml" => Ok(Self::Toml),
            "yml" | "yaml" => Ok(Self::Yaml),
            "json" => Ok(Self::Json),
            _ => {
                let message = "is no configuration file by its name";
                let hint = "expected a name that ends in .toml, .yml, .yaml or .json".to_owned();
                Err(Error::whole(&path.display().to_string(), message, Some(hint)))
            }
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Toml => "TOML",
            Self::Yaml => "YAML",
            Self::Json => "JSON",
        })
    }
}

/// Whose keys a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Our own.
    Ours,
    /// Those of the Ruby script that this project re-imagines.
    Original,
}

/// A configuration that was read and found good.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What the channel runs with.
    pub options: channel::Options,
    /// What is logged, and where.
    pub log: file::Log,
    /// What people should know.
    pub notes: Vec<String>,
    /// Whose keys the file has.
    pub dialect: Dialect,
    /// The file's name.
    pub file: String,
    needs: Vec<ground::Need>,
}

impl Checked {
    /// Looks at this machine: whether what is to be read is there, and what is to be written can be.
    ///
    /// # Errors
    /// Everything that is not so.
    pub fn check_ground(&self) -> Result<(), Error> {
        Error::unless(self.needs.iter().filter_map(ground::Need::check).collect(), ())
    }
}

/// Reads and checks a file, with the environment and `overrides` above it, and looks at this machine.
///
/// # Errors
/// Every mistake that was found.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Checked, Error> {
    let format = Format::of(path)?;
    let name = path.display().to_string();
    let environment = environment();
    let checked = parse(format, &name, &read(path)?, &Outside::of_machine(&environment), overrides)?;
    checked.check_ground()?;
    Ok(checked)
}

/// A configuration larger than this, in bytes, is something else.
const LARGEST_FILE: u64 = 1 << 20;

/// A file's text.
fn read(path: &Path) -> Result<String, Error> {
    let fault = |message: String| Error::whole(&path.display().to_string(), message, None);
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| fault(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(fault("is over 1 MiB, too large for a configuration".into()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        fault(format!("expected UTF-8 text, but byte {at} begins no character"))
    })
}

/// This process's environment, as far as it is UTF-8.
fn environment() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Reads and checks a configuration from its text alone: no file, no environment but the one given.
///
/// # Errors
/// Every mistake that was found; a secret that stands in another file is one.
pub fn parse_str(
    format: Format,
    name: &str,
    text: &str,
    environment: &Environment,
    overrides: &Overrides,
) -> Result<Checked, Error> {
    parse(format, name, text, &Outside::of_text(environment), overrides)
}

fn parse(
    format: Format,
    name: &str,
    text: &str,
    outside: &Outside,
    overrides: &Overrides,
) -> Result<Checked, Error> {
    // A mark that some editors put before UTF-8 text.
    let dict = layer::parse(format, name, text.strip_prefix('\u{feff}').unwrap_or(text))?;
    let is_original = original::is_original(&dict);
    let (shape, known) =
        if is_original { (None, original::KEYS.to_vec()) } else { (Some(schema()), own_keys()) };
    let layers = layer::Layers::new(name, dict, outside.environment, overrides, shape, &known)?;
    let mut checked =
        if is_original { original::check(&layers, outside)? } else { check::check(&layers, outside)? };
    for variable in &layers.unused {
        checked.notes.push(format!("the environment variable {variable} is not used: no key answers to it"));
    }
    Ok(checked)
}

/// The keys that may stand at the top of a file of ours.
fn own_keys() -> Vec<&'static str> {
    let keys = schema().get("properties").and_then(serde_json::Value::as_object);
    keys.into_iter().flat_map(|keys| keys.keys()).map(String::as_str).collect()
}

/// A file's name without folders and extension.
fn stem(name: &str) -> String {
    Path::new(name).file_stem().map_or_else(|| "channel".into(), |stem| stem.to_string_lossy().into_owned())
}

/// What the tests of these modules share.
#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn environment(pairs: &[(&str, &str)]) -> Environment {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// A file of ours from its text alone.
    pub(super) fn ours(text: &str) -> Result<Checked, Error> {
        parse_str(Format::Toml, "live.toml", text, &environment(&[("KEY_ID", "AK"), ("KEY", "hunter2")]), &[])
    }

    /// A file below `testdata/config`.
    pub(super) fn sample(name: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/config").join(name);
        std::fs::read_to_string(path).unwrap()
    }

    /// All the mistakes in a file of ours, as people read them.
    pub(super) fn mistakes(text: &str) -> String {
        ours(text).unwrap_err().to_string()
    }

    #[test]
    fn the_extension_tells_the_format() {
        assert_eq!(Format::of(Path::new("a/b.TOML")), Ok(Format::Toml));
        assert_eq!(Format::of(Path::new("b.yml")), Ok(Format::Yaml));
        assert_eq!(Format::of(Path::new("b.yaml")), Ok(Format::Yaml));
        assert_eq!(Format::of(Path::new("b.json")), Ok(Format::Json));
        let error = Format::of(Path::new("live.conf")).unwrap_err().to_string();
        let expected = "live.conf: is no configuration file by its name\n  \
                        expected a name that ends in .toml, .yml, .yaml or .json";
        assert_eq!(error, expected);
    }

    #[test]
    fn toml_yaml_and_json_say_the_same() {
        let environment = environment(&[("KEY_ID", "AK"), ("KEY", "hunter2")]);
        let all =
            [(Format::Toml, "ladder.toml"), (Format::Yaml, "ladder.yml"), (Format::Json, "ladder.json")];
        let read = all.map(|(format, name)| {
            let checked = parse_str(format, "ladder", &sample(name), &environment, &[]).unwrap();
            (format!("{:?}", checked.options), checked.log, checked.notes)
        });
        assert_eq!(read[0], read[1]);
        assert_eq!(read[0], read[2]);
        assert!(!format!("{read:?}").contains("hunter2"));
    }

    #[test]
    fn a_file_is_loaded_and_this_machine_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("live.toml");
        let text = format!(
            "input.url = {0:?}\noutput.directory = {0:?}\nrendition = [{{ name = 'a', audio = {{}} }}]",
            path
        );
        std::fs::write(&path, text).unwrap();
        let error = load(&path, &[]).unwrap_err();
        assert_eq!(error.mistakes().len(), 1);
        assert_eq!(error.mistakes()[0].key, "output.directory");
        assert!(error.mistakes()[0].message.ends_with("is not a folder"));

        let directory = folder.path().join("live").display().to_string();
        let loaded = load(&path, &[("output.directory".into(), directory.clone())]).unwrap();
        assert_eq!(loaded.options.name, "live");
        assert!(!Path::new(&directory).exists(), "checking writes nothing");
    }

    #[test]
    fn files_that_are_no_text_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        let told = |path: &Path| load(path, &[]).unwrap_err().mistakes()[0].message.clone();
        assert!(told(&path).starts_with("cannot be read: "));
        std::fs::write(&path, b"a = \xff").unwrap();
        assert_eq!(told(&path), "expected UTF-8 text, but byte 4 begins no character");
        std::fs::write(&path, vec![b'#'; 2 << 20]).unwrap();
        assert_eq!(told(&path), "is over 1 MiB, too large for a configuration");
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        assert!(ours(&format!("\u{feff}{}", sample("ladder.toml"))).is_ok());
    }

    #[test]
    fn deep_and_swelling_files_are_refused() {
        let deep = "[".repeat(5_000);
        let swelling = (1..20).fold("a0: &a0 [x]\n".to_owned(), |text, n| {
            text + &format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(","))
        });
        for (format, text) in [
            (Format::Toml, format!("a = {deep}")),
            (Format::Yaml, deep.clone()),
            (Format::Yaml, swelling),
            (Format::Json, format!("{{\"a\": {deep}")),
        ] {
            assert!(parse_str(format, "x", &text, &Environment::new(), &[]).is_err());
        }
        let overrides = [("input.args".to_owned(), deep)];
        assert!(parse_str(Format::Toml, "x", "", &Environment::new(), &overrides).is_err());
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,200}", cut in 0usize..2000, key in "[a-z_.\\[\\]0-9]{0,20}") {
            let all = [
                (Format::Toml, "ladder.toml"),
                (Format::Toml, "destinations.toml"),
                (Format::Yaml, "multirate-copy.yml"),
                (Format::Yaml, "uploads.yml"),
                (Format::Json, "ladder.json"),
            ];
            for (format, name) in all {
                let good = sample(name);
                let at = (0..=cut.min(good.len())).rev().find(|at| good.is_char_boundary(*at)).unwrap();
                let spoiled = format!("{}{text}{}", &good[..at], &good[at..]);
                for text in [&text, &spoiled, &good] {
                    let overrides = [(key.clone(), spoiled.clone())];
                    if let Ok(checked) = parse_str(format, "x", text, &Environment::new(), &overrides) {
                        checked.describe::<String>(&[]);
                    }
                    let _ = convert_str(format, "x", text);
                }
            }
        }
    }
}
