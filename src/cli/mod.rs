//! The command line: what people type, and what they are told.
//!
//! One file for each command; [`main`] parses, runs, prints the one error there may be, and gives the exit code.
//! Output goes to standard output, all else to standard error.

mod configuration;
mod feed;
pub mod input;
mod logging;
mod progress;
mod run;
mod segment;
mod signals;

use std::io;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::{channel, config};

/// The command could not do its work.
const FAILED: u8 = 1;
/// The command line or a configuration file is wrong; as clap has it.
const MISUSED: u8 = 2;
/// Ended at once by a second signal: 128 and the number of SIGINT.
const INTERRUPTED: u8 = 130;

const EXAMPLES: &str = "\
Examples:
  segcast run live.toml                      a live channel: encoders, playlists, destinations
  segcast segment movie.ts --output vod      cut a transport stream into HLS
  ffmpeg … -f mpegts - | segcast segment - --output live
  segcast inspect movie.ts                   what is in a transport stream
  segcast config check live.toml             what would run, without running it

Exit codes:
  0    done; for a channel also when it was asked to end by SIGINT or SIGTERM
  1    failed: input, encoder, stream or destination
  2    wrong command line or configuration
  130  ended at once by a second signal";

/// Live HTTP Live Streaming from an encoder's pipe to wherever viewers are.
#[derive(Debug, Parser)]
#[command(name = "segcast", version, after_help = EXAMPLES, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run live channels from their configuration files.
    Run(run::Args),
    /// Cut an existing transport stream into HLS.
    Segment(segment::Args),
    /// Check, convert or describe configuration files.
    #[command(subcommand)]
    Config(configuration::Command),
    /// Print a completion script for a shell.
    #[command(after_help = "Example:\n  segcast completions bash > /etc/bash_completion.d/segcast")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Does what the process's arguments say.
pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Segment(args) => segment::run(&args),
        Command::Config(command) => configuration::run(&command),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "segcast", &mut io::stdout());
            Ok(())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            logging::tell(&error);
            ExitCode::from(exit_code(&error))
        }
    }
}

/// Whoever read our output has seen enough, as `head` does.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<config::Error>() || error.is::<run::SharedFolder>() {
        MISUSED
    } else if let Some(channel::Error::StoppedNow) = error.downcast_ref() {
        INTERRUPTED
    } else {
        FAILED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_second_signal_has_an_exit_code_of_its_own() {
        assert_eq!(exit_code(&channel::Error::StoppedNow.into()), INTERRUPTED);
        assert_eq!(exit_code(&anyhow::anyhow!("x")), FAILED);
    }
}
