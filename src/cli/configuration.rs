//! `segcast config`: what a configuration file comes to.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::{self, Stdio};

use clap::{Args, Subcommand};

use super::print;
use crate::encoder::ladder::Ladder;
use crate::{config, encoder};

pub const EXAMPLES: &str = "\
Examples:
  segcast config check live.toml             what would run, without running it
  segcast config convert old.yml > live.toml
  segcast config schema > segcast.schema.json";

/// Check, convert or describe configuration files.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check a file and print what would run: command lines, files, destinations; secrets hidden.
    #[command(after_help = "\
Examples:
  segcast config check live.toml
  segcast config check live.toml --set output.segment=2s --set output.window=10
  SEGCAST_OUTPUT__DIRECTORY=/srv/live segcast config check live.toml")]
    Check {
        /// The configuration: .toml, .yml, .yaml or .json, or the original streamer's .yml.
        file: PathBuf,
        #[command(flatten)]
        overrides: Overrides,
    },
    /// Print the TOML for a file of the original streamer.
    #[command(after_help = "\
Examples:
  segcast config convert old.yml
  segcast config convert old.yml > live.toml && segcast config check live.toml")]
    Convert {
        /// The original's YAML file.
        file: PathBuf,
    },
    /// Print the JSON Schema of our configuration files.
    #[command(after_help = "\
Examples:
  segcast config schema > segcast.schema.json    for editors that complete and check by it")]
    Schema,
}

/// Keys that win over a configuration file's.
#[derive(Debug, Args)]
pub struct Overrides {
    /// Set a key of the file, such as output.segment=2s; may be given several times. Entries of lists cannot be set.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = pair)]
    pairs: Vec<(String, String)>,
    /// The folder that the stream is put in; the same as --set output.directory=DIR.
    #[arg(short, long, value_name = "DIR")]
    output: Option<String>,
}

impl Overrides {
    /// The keys and their values as text.
    pub fn pairs(&self) -> Vec<(String, String)> {
        let output = self.output.iter().map(|directory| ("output.directory".to_owned(), directory.clone()));
        self.pairs.iter().cloned().chain(output).collect()
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE, such as output.segment=2s")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// Does what the command says.
///
/// # Errors
/// If the file is wrong, or output cannot be written.
pub fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Check { file, overrides } => {
            let checked = config::load(file, &overrides.pairs())?;
            let ladder = &checked.options.ladder;
            let font = encoder::clock_font(&ladder.ffmpeg);
            let commands = encoder::commands(ladder, font.as_deref())?;
            print(checked.describe(&commands).as_bytes())?;
            Ok(expect_ffmpeg(ladder)?)
        }
        Command::Convert { file } => print(config::convert(file)?.as_bytes()),
        Command::Schema => print(format!("{:#}\n", config::schema()).as_bytes()),
    }
}

/// What would run must be there, unless every rendition has a command of its own.
fn expect_ffmpeg(ladder: &Ladder) -> Result<(), encoder::Error> {
    let mut version = process::Command::new(&ladder.ffmpeg);
    version.arg("-version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let is_wanted = ladder.renditions.iter().any(|rendition| rendition.command.is_none());
    match version.status() {
        Err(error) if is_wanted && error.kind() == ErrorKind::NotFound => {
            Err(encoder::Error::Missing { program: ladder.ffmpeg.clone() })
        }
        _ => Ok(()),
    }
}
