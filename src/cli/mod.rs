//! The command line: what people type, and what they are told.
//!
//! One file for each command; [`main`] parses, runs, prints the one error there may be, and gives the exit code.
//! Output goes to standard output, all else to standard error.

mod configuration;
mod destination;
mod earlier;
mod feed;
mod folder;
mod fragments;
pub mod input;
pub mod inspect;
mod logging;
mod open_files;
mod progress;
mod run;
mod segment;
mod serve;
mod signals;
mod whole;
mod writer;

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};

use crate::encoder::launcher;
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
  segcast serve vod                          watch a folder's stream in a browser
  segcast inspect movie.ts                   what is in a transport stream
  segcast config check live.toml             what would run, without running it
  segcast destination check live.toml        does each destination take files, and how fast?

Exit codes:
  0    done; for a channel also when it was asked to end by a signal
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
    /// Serve a folder with a stream in it over HTTP, with a page to watch it.
    Serve(serve::Args),
    /// Tell what is in a transport stream.
    Inspect(inspect::Args),
    /// Check, convert or describe configuration files.
    #[command(subcommand, after_help = configuration::EXAMPLES)]
    Config(configuration::Command),
    /// Look at destinations before a channel depends on them.
    #[command(subcommand, after_help = destination::EXAMPLES)]
    Destination(destination::Command),
    /// Print a completion script for a shell.
    #[command(after_help = "\
Examples:
  segcast completions bash > /etc/bash_completion.d/segcast
  segcast completions zsh > ~/.zfunc/_segcast
  segcast completions fish > ~/.config/fish/completions/segcast.fish")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Does what the process's arguments say.
pub fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == launcher::ARGUMENT) {
        return ExitCode::from(launcher::launch(arguments));
    }
    let result = match Arguments::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Segment(args) => segment::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Config(command) => configuration::run(&command),
        Command::Destination(command) => destination::run(&command),
        Command::Completions { shell } => print_completions(shell),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            logging::tell_error(&error);
            ExitCode::from(exit_code(&error))
        }
    }
}

/// A line on standard error. Whoever closed it does not want to know.
fn tell(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn print_completions(shell: clap_complete::Shell) -> anyhow::Result<()> {
    // Written in one piece, because the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "segcast", &mut script);
    print(&script)
}

/// Writes to standard output, all of it or an error.
fn print(text: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text).and_then(|()| out.flush()).context("standard output: cannot be written")
}

/// Whoever read our output has seen enough, as `head` does.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<config::Error>() || error.is::<run::SharedFolder>() || error.is::<run::SharedPort>() {
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
