//! `segcast destination`: whether the places take files, before a channel depends on them.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch;

use super::configuration::Overrides;
use super::signals::Signals;
use super::{logging, print};
use crate::channel::Stop;
use crate::config::file::{Level, Log};
use crate::config::{self, Bytes, Kind as _};
use crate::delivery;
use crate::delivery::probe::{self, Report};
use crate::destination::{Error, Kind};

pub const EXAMPLES: &str = "\
Examples:
  segcast destination check live.toml        does each destination take files, and how fast?";

/// Look at destinations before a channel depends on them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Put an object at each destination, get it back and delete it; tell latency and throughput.
    #[command(after_help = "\
Examples:
  segcast destination check live.toml
  segcast destination check sports.toml news.toml --size 16MiB
  segcast destination check live.toml --log-level debug

One line for each destination: its name, how long it takes to put a small object (the median of five), how many bytes \
a second it takes of a larger one, and whether all went well. A step may take 10 seconds, or what `timeout` says.")]
    Check(Check),
}

/// What is probed, and how.
#[derive(Debug, Args)]
pub struct Check {
    /// Configuration files.
    #[arg(required = true, value_name = "CONFIG")]
    files: Vec<PathBuf>,
    /// The size of the object by which throughput is measured.
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = size)]
    size: u64,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    log: logging::Flags,
}

/// A larger object says no more, and is held in memory.
const LARGEST: u64 = 1 << 30;

fn size(text: &str) -> Result<u64, String> {
    let size = Bytes::from_text(text).map(|size| size.0).filter(|size| (1..=LARGEST).contains(size));
    size.ok_or_else(|| format!("expected from 1 byte to 1GiB, as {}", Bytes::EXPECTED))
}

/// Does what the command says.
///
/// # Errors
/// If a file is wrong, or a destination does not take files.
pub fn run(command: &Command) -> anyhow::Result<()> {
    let Command::Check(args) = command;
    let overrides = args.overrides.pairs();
    let mut destinations = Vec::new();
    for file in &args.files {
        destinations.extend(config::load(file, &overrides)?.options.destinations);
    }
    logging::start(&args.log, &Log { level: Some(Level::Warn), ..Log::default() })?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let result = runtime.block_on(check_until_asked(&destinations, args.size));
    // What is left are connections that nobody waits for.
    runtime.shutdown_background();
    result
}

/// The first signal asks for an end in order, the second ends at once.
async fn check_until_asked(destinations: &[delivery::Options], size_bytes: u64) -> anyhow::Result<()> {
    let (stop, stopped) = watch::channel(Stop::No);
    tokio::spawn(Signals::take().context("cannot take signals")?.pass_on(stop));
    tokio::select! {
        checked = check(destinations, size_bytes, &stopped) => checked,
        () = asked(&stopped, Stop::Now) => anyhow::bail!("stopped at once: an object of the probe may be left"),
    }
}

/// Waits until it is asked for `stop`, or for more.
async fn asked(stopped: &watch::Receiver<Stop>, stop: Stop) {
    let is_asked = |now: &Stop| *now == stop || *now == Stop::Now;
    if stopped.clone().wait_for(is_asked).await.is_err() {
        // Nobody is left to ask.
        std::future::pending::<()>().await;
    }
}

/// One after another, so that none slows down what is measured of the next.
async fn check(
    destinations: &[delivery::Options],
    size_bytes: u64,
    stopped: &watch::Receiver<Stop>,
) -> anyhow::Result<()> {
    let names: Vec<String> = destinations.iter().map(|served| served.target.to_string()).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    let mut failed = 0;
    for (served, name) in destinations.iter().zip(&names) {
        let line = match look(served, name, size_bytes, stopped).await {
            Ok(report) => told(&report),
            Err(error) if error.kind() == Kind::Closed => return Err(error.into()),
            Err(error) => {
                failed += 1;
                format!("{:#}", anyhow::Error::from(error))
            }
        };
        print(format!("{name:width$}  {line}\n").as_bytes())?;
    }
    match failed {
        0 => Ok(()),
        failed => anyhow::bail!("{failed} of {} destinations cannot be used", names.len()),
    }
}

async fn look(
    served: &delivery::Options,
    name: &str,
    size_bytes: u64,
    stopped: &watch::Receiver<Stop>,
) -> Result<Report, Error> {
    let usual = probe::Options::default();
    let is_usual = served.timeout == delivery::Options::TIMEOUT;
    let step = if is_usual { usual.step } else { served.timeout };
    let options = probe::Options { step, upload: served.timeout, size_bytes };
    let spinner = spinner(name);
    let destination = served.target.open()?;
    let on_step = |step: &str| spinner.set_message(step.to_owned());
    let stop = asked(stopped, Stop::Finish);
    let report = probe::probe(destination.as_ref(), &options, on_step, stop).await;
    spinner.finish_and_clear();
    report
}

/// What is done right now, where somebody watches.
fn spinner(name: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {prefix}: {msg}, {elapsed}");
    let spinner =
        ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner.with_prefix(name.to_owned())
}

fn told(report: &Report) -> String {
    let latency = report.latency.as_secs_f64() * 1e3;
    let throughput = report.throughput_bytes_per_s() / 1e6;
    let digits = |number: f64| if number < 10.0 { 1 } else { 0 };
    let refused = report.delete_refused.as_ref();
    let but = refused.map(|error| format!(", but delete is refused and expired segments stay: {error}"));
    format!(
        "latency {latency:.*} ms, {throughput:.*} MB/s, ok{}",
        digits(latency),
        digits(throughput),
        but.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_one_line() {
        let report = Report {
            latency: Duration::from_micros(1234),
            upload: Duration::from_millis(10),
            size_bytes: 1 << 20,
            delete_refused: None,
        };
        assert_eq!(told(&report), "latency 1.2 ms, 105 MB/s, ok");
        let report = Report { delete_refused: Some("cannot delete it: 403".to_owned()), ..report };
        let refused = "latency 1.2 ms, 105 MB/s, ok, but delete is refused and expired segments stay: cannot delete it: 403";
        assert_eq!(told(&report), refused);
    }

    #[test]
    fn sizes_are_bounded() {
        assert_eq!(size("16MiB"), Ok(16 << 20));
        for text in ["0", "2GiB", "x", "-1"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
