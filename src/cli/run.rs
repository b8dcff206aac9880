//! `segcast run`: live channels.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args as Arguments;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::Instrument;

use super::configuration::Overrides;
use super::signals::Signals;
use super::{logging, open_files, serve};
use crate::channel::{self, Stop};
use crate::destination::Target;
use crate::encoder::launcher;
use crate::{config, delivery, live};

/// Run live channels from their configuration files.
#[derive(Debug, Arguments)]
#[command(after_help = "\
Examples:
  segcast run live.toml
  segcast run live.toml --output /var/www/live --set output.window=10
  segcast run live.toml --listen 8080        watch it at http://127.0.0.1:8080/
  segcast run sports.toml news.toml          two channels in one process
  segcast run old.yml                        a file of the original streamer, as it is
  SEGCAST_OUTPUT__SEGMENT=2s segcast run live.toml

SIGINT (Ctrl-C), SIGTERM or SIGHUP: encoders finish, the last segments are written, playlists get EXT-X-ENDLIST. A second \
signal ends at once. With log.file, SIGHUP opens the log file again instead.")]
pub struct Args {
    /// Configuration files, one for each channel.
    #[arg(required = true, value_name = "CONFIG")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
    /// Serve the stream to players here, with a page at /; the same as --set origin.listen=ADDR.
    #[arg(long, value_name = "ADDR", value_parser = serve::address)]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    log: logging::Flags,
}

/// Runs the channels to their ends.
///
/// # Errors
/// If a file is wrong, or a channel ended otherwise than by its source's end or by being asked to.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let mut overrides = args.overrides.pairs();
    overrides.extend(args.listen.map(|listen| ("origin.listen".to_owned(), listen.to_string())));
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
        options.push(checked.options);
    }
    refuse_shared_folders(&options)?;
    refuse_shared_ports(&options)?;
    open_files::raise();
    launcher::install();
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let result = runtime.block_on(run_all(options));
    // What is left are reads and writes that nobody waits for.
    runtime.shutdown_background();
    result
}

/// Two channels that would write over each other.
#[derive(Debug, thiserror::Error)]
#[error("{one} and {other} would both write {what} in {folder}: give each a folder or names of its own")]
pub struct SharedFolder {
    one: String,
    other: String,
    what: String,
    folder: String,
}

/// Channels may share a folder as long as their names differ.
fn refuse_shared_folders(options: &[channel::Options]) -> Result<(), SharedFolder> {
    for (n, other) in options.iter().enumerate() {
        for one in &options[..n] {
            let folders: Vec<_> = one.destinations.iter().map(place).collect();
            let shared = other.destinations.iter().map(place).find(|folder| folders.contains(folder));
            let names = names(&one.presentation);
            let what = names.into_iter().find(|name| self::names(&other.presentation).contains(name));
            if let (Some(folder), Some(what)) = (shared, what) {
                let (one, other, folder) = (one.name.clone(), other.name.clone(), folder);
                return Err(SharedFolder { one, other, what, folder });
            }
        }
    }
    Ok(())
}

/// Two channels that would listen at the same port.
#[derive(Debug, thiserror::Error)]
#[error("{one} and {other} would both listen on {listen}: give each a port of its own")]
pub struct SharedPort {
    one: String,
    other: String,
    listen: SocketAddr,
}

fn refuse_shared_ports(options: &[channel::Options]) -> Result<(), SharedPort> {
    let mut known: BTreeMap<SocketAddr, &str> = BTreeMap::new();
    for channel in options {
        // The system finds a free port for each that asks for none.
        let Some(origin) = channel.origin.as_ref().filter(|origin| origin.listen.port() != 0) else {
            continue;
        };
        if let Some(one) = known.insert(origin.listen, &channel.name) {
            let (one, other) = (one.to_owned(), channel.name.clone());
            return Err(SharedPort { one, other, listen: origin.listen });
        }
    }
    Ok(())
}

/// Where a destination really is, as far as that can be told from here.
fn place(served: &delivery::Options) -> String {
    match &served.target {
        Target::Copy(options) => real(&options.directory).display().to_string(),
        other => config::identity(other),
    }
}

/// Where a folder really is, as far as it is there yet.
fn real(directory: &Path) -> PathBuf {
    let path = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let known = path.ancestors().find_map(|there| Some((there, there.canonicalize().ok()?)));
    match known.and_then(|(there, real)| Some(real.join(path.strip_prefix(there).ok()?))) {
        // What is joined may be empty, and leaves a slash behind.
        Some(real) => real.components().collect(),
        None => path,
    }
}

/// All names that a channel gives; of segments what stands before the number.
fn names(presentation: &live::Options) -> Vec<String> {
    let of_each = presentation.renditions.iter().flat_map(|one| [one.playlist.clone(), one.segment_key(1)]);
    presentation.multivariants.iter().map(|listing| listing.key.clone()).chain(of_each).collect()
}

async fn run_all(channels: Vec<channel::Options>) -> anyhow::Result<()> {
    let (stop, stopped) = watch::channel(Stop::No);
    let signals = Signals::take().and_then(Signals::reopening_log).context("cannot take signals")?;
    tokio::spawn(signals.pass_on(stop));
    let mut running = JoinSet::new();
    let is_one = channels.len() == 1;
    for options in channels {
        let stopped = stopped.clone();
        let span =
            if is_one { tracing::Span::none() } else { tracing::info_span!("channel", name = options.name) };
        running.spawn(
            async move {
                for served in &options.destinations {
                    let target = &served.target;
                    tracing::info!("{}: to {target}/{}", options.name, options.presentation.entry());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Format;

    fn channel(name: &str, directory: &str) -> channel::Options {
        let text = format!(
            "input.url = \"test\"\noutput.directory = \"{directory}\"\n[[rendition]]\nname = \"a\"\nvideo.codec = \"h264\"\n"
        );
        let checked = config::parse_str(Format::Toml, name, &text, &config::Environment::new(), &[]);
        checked.unwrap().options
    }

    #[test]
    fn the_same_folder_is_seen_however_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().display();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("link")).unwrap();
        for other in [format!("{base}/live/"), format!("{base}/./live"), format!("{base}/link/live")] {
            let options = [channel("one.toml", &format!("{base}/live")), channel("two.toml", &other)];
            let error = refuse_shared_folders(&options).unwrap_err();
            assert!(error.to_string().starts_with("one and two would both write "), "{error}");
        }
        let apart =
            [channel("one.toml", &format!("{base}/one")), channel("two.toml", &format!("{base}/two"))];
        refuse_shared_folders(&apart).unwrap();
    }
}
