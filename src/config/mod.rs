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
pub mod file;
mod ground;
mod layer;
mod media;
mod original;
mod printf;
mod reader;
mod remote;
mod schema;
mod secret;
mod shape;
mod transfer;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

pub use convert::{convert, convert_str};
pub use error::{Error, Mistake};
pub use layer::{Overrides, PREFIX};
pub use remote::{Destination, Remote, Scheme};
pub use schema::schema;
pub use secret::{Secret, hide};
pub use value::{Bitrate, Kind, Size, Written};

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
    /// Destinations that are well written but cannot be used yet.
    pub later: Vec<Remote>,
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

    /// The options to run with.
    ///
    /// # Errors
    /// If there is no destination among those that can be used yet.
    pub fn into_options(self) -> Result<channel::Options, Error> {
        if !self.options.destinations.is_empty() {
            return Ok(self.options);
        }
        let names: Vec<String> = self.later.iter().map(Remote::url).collect();
        let message =
            format!("nowhere to put the stream: {} cannot be used before the next release", names.join(", "));
        let hint = match self.dialect {
            Dialect::Ours => "until then add a folder: `directory = \"live\"` below [output]",
            Dialect::Original => "until then name a profile with `transfer_type: copy` in `transfer_profile`",
        };
        Err(Error::whole(&self.file, message, Some(hint.to_owned())))
    }
}

/// Reads and checks a file, with the environment and `overrides` above it, and looks at this machine.
///
/// # Errors
/// Every mistake that was found.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Checked, Error> {
    let format = Format::of(path)?;
    let name = path.display().to_string();
    let checked = parse_str(format, &name, &read(path)?, &environment(), overrides)?;
    checked.check_ground()?;
    Ok(checked)
}

/// A file's text.
fn read(path: &Path) -> Result<String, Error> {
    let name = path.display().to_string();
    let bytes =
        std::fs::read(path).map_err(|error| Error::whole(&name, format!("cannot be read: {error}"), None))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Error::whole(&name, format!("expected UTF-8 text, but byte {at} begins no character"), None)
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
/// Every mistake that was found.
pub fn parse_str(
    format: Format,
    name: &str,
    text: &str,
    environment: &Environment,
    overrides: &Overrides,
) -> Result<Checked, Error> {
    // A mark that some editors put before UTF-8 text.
    let dict = layer::parse(format, name, text.strip_prefix('\u{feff}').unwrap_or(text))?;
    let is_original = original::is_original(&dict);
    let (shape, known) =
        if is_original { (None, original::KEYS.to_vec()) } else { (Some(schema()), own_keys()) };
    let layers = layer::Layers::new(name, dict, environment, overrides, shape, &known)?;
    let mut checked = if is_original {
        original::check(&layers, environment)?
    } else {
        check::check(&layers, environment)?
    };
    for remote in &checked.later {
        checked.notes.push(format!(
            "{} is not used yet: this kind of destination arrives with the next release",
            remote.url()
        ));
    }
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
