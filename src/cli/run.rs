//! `segcast run`: live channels.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args as Arguments;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::Instrument;

use super::configuration::Overrides;
use super::logging;
use super::signals::Signals;
use crate::channel::{self, Stop};
use crate::config;

/// Run live channels from their configuration files.
#[derive(Debug, Arguments)]
#[command(after_help = "\
Examples:
  segcast run live.toml
  segcast run live.toml --output /var/www/live --set output.window=10
  segcast run sports.toml news.toml          two channels in one process
  segcast run old.yml                        a file of the original streamer, as it is
  SEGCAST_OUTPUT__SEGMENT=2s segcast run live.toml

SIGINT (Ctrl-C) or SIGTERM: encoders finish, the last segments are written, playlists get EXT-X-ENDLIST. A second \
signal ends at once.")]
pub struct Args {
    /// Configuration files, one for each channel.
    #[arg(required = true, value_name = "CONFIG")]
    files: Vec<PathBuf>,
    /// The folder that the stream is put in; the same as --set output.directory=DIR.
    #[arg(long, value_name = "DIR")]
    output: Option<String>,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    log: logging::Flags,
}

/// Runs the channels to their ends.
///
/// # Errors
/// If a file is wrong, or a channel ended otherwise than by its source's end or by being asked to.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let mut overrides = args.overrides.pairs().to_vec();
    overrides.extend(args.output.iter().map(|directory| ("output.directory".to_owned(), directory.clone())));
    let mut channels = Vec::new();
    for file in &args.files {
        channels.push(config::load(file, &overrides)?);
    }
    if let Some(first) = channels.first() {
        logging::start(&args.log, &first.log)?;
    }
    let mut options = Vec::new();
    for checked in channels {
        for note in &checked.notes {
            tracing::warn!("{}: {note}", checked.file);
        }
        options.push(checked.into_options()?);
    }
    refuse_shared_folders(&options)?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let result = runtime.block_on(run_all(options));
    // What is left are reads and writes that nobody waits for.
    runtime.shutdown_background();
    result
}

/// Two channels in one folder would write over each other.
fn refuse_shared_folders(options: &[channel::Options]) -> anyhow::Result<()> {
    for (n, one) in options.iter().enumerate() {
        for other in &options[..n] {
            if let Some(shared) = one.destinations.iter().find(|target| other.destinations.contains(target)) {
                let name = shared.open().name();
                anyhow::bail!(
                    "{} and {} are both put in {name}: give each a folder of its own",
                    other.name,
                    one.name
                );
            }
        }
    }
    Ok(())
}

async fn run_all(channels: Vec<channel::Options>) -> anyhow::Result<()> {
    let (stop, stopped) = watch::channel(Stop::No);
    let signals = Signals::take().context("cannot take signals")?;
    tokio::spawn(signals.pass_on(stop));
    let mut running = JoinSet::new();
    let is_one = channels.len() == 1;
    for options in channels {
        let stopped = stopped.clone();
        let span =
            if is_one { tracing::Span::none() } else { tracing::info_span!("channel", name = options.name) };
        running.spawn(
            async move {
                for target in &options.destinations {
                    let target = target.open().name();
                    let first = options.presentation.multivariant.as_deref();
                    let first =
                        first.or(options.presentation.renditions.first().map(|one| one.playlist.as_str()));
                    tracing::info!("{}: to {target}/{}", options.name, first.unwrap_or_default());
                }
                let name = options.name.clone();
                channel::run(&options, stopped).await.map(drop).with_context(|| name)
            }
            .instrument(span),
        );
    }
    let mut result = Ok(());
    while let Some(joined) = running.join_next().await {
        let ended = joined.context("a channel broke down").and_then(|ended| ended);
        // The others go on; the first error gives the exit code.
        result = result.and(ended);
    }
    result
}
