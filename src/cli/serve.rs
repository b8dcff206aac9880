//! `segcast serve`: a folder over HTTP.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args as Arguments;

use super::signals::Signals;
use super::{logging, open_files, print};
use crate::config::{Address, Kind as _, file};
use crate::destination::Secret;
use crate::origin::{Auth, Cors, Options, Origin, Tls};

/// Serve a folder with a stream in it over HTTP, with a page to watch it.
#[derive(Debug, Arguments)]
#[command(after_help = "\
Examples:
  segcast serve vod                               open http://127.0.0.1:8080/
  segcast serve live --listen 9000                another port of this machine
  segcast serve live --listen 0.0.0.0:8080        for everybody who can reach this machine
  segcast serve live --certificate fullchain.pem --key privkey.pem --listen 0.0.0.0:443
  segcast serve live --user viewer --password-file /run/secrets/password

Hidden files and what links lead to outside of the folder are not served; folders are not listed. SIGINT (Ctrl-C), \
SIGTERM or SIGHUP ends it.")]
pub struct Args {
    /// The folder.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Where clients come in; a port alone is one that only this machine can reach.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = address)]
    listen: SocketAddr,
    /// For https: a PEM file with the certificate, and those between it and an authority.
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// A PEM file with the certificate's private key.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// Who is let in; everybody without it.
    #[arg(long, value_name = "NAME", requires = "password_file")]
    user: Option<String>,
    /// A file with that user's password.
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// Instead of a user: a file with a token that is sent as `Authorization: Bearer`.
    #[arg(long, value_name = "FILE", conflicts_with = "user")]
    token_file: Option<PathBuf>,
    /// An origin whose pages may play the stream, such as https://news.example; all without it.
    #[arg(long, value_name = "ORIGIN")]
    cors: Vec<String>,
    /// Address of the player script that the page loads for browsers without HLS of their own; empty for none.
    #[arg(long, value_name = "URL", default_value = Options::PLAYER)]
    player: String,
    #[command(flatten)]
    log: logging::Flags,
}

/// Reads where a server listens.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    Address::from_text(text).map(|address| address.0).ok_or_else(|| format!("expected {}", Address::EXPECTED))
}

/// Serves until a signal comes.
///
/// # Errors
/// If the folder, the certificate or a secret cannot be read, or the port is not ours.
pub fn run(args: &Args) -> anyhow::Result<()> {
    logging::start(&args.log, &file::Log::default())?;
    let options = options(args)?;
    open_files::raise();
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let result = runtime.block_on(serve(args, options));
    runtime.shutdown_background();
    result
}

async fn serve(args: &Args, options: Options) -> anyhow::Result<()> {
    let mut signals = Signals::take().context("cannot take signals")?;
    let mut origin = Origin::bind(options)?;
    origin.folder(&args.directory)?;
    print(format!("serving {} at {}\n", args.directory.display(), origin.url()).as_bytes())?;
    origin.run(async move { signals.next().await }).await;
    Ok(())
}

fn options(args: &Args) -> anyhow::Result<Options> {
    let pair = args.certificate.clone().zip(args.key.clone());
    let is_any = args.cors.is_empty() || args.cors.iter().any(|one| one == "*");
    Ok(Options {
        listen: args.listen,
        tls: pair.map(|(certificate, key)| Tls { certificate, key }),
        auth: auth(args)?,
        player: Some(args.player.clone()).filter(|player| !player.is_empty()),
        cors: if is_any { Cors::Any } else { Cors::Of(args.cors.clone()) },
        ..Options::default()
    })
}

fn auth(args: &Args) -> anyhow::Result<Option<Auth>> {
    if let Some(file) = &args.token_file {
        return Ok(Some(Auth::Bearer(secret(file)?)));
    }
    match (&args.user, &args.password_file) {
        (Some(user), Some(file)) => Ok(Some(Auth::Basic { user: user.clone(), password: secret(file)? })),
        _ => Ok(None),
    }
}

/// The secret in a file, without the end of its last line.
fn secret(path: &PathBuf) -> anyhow::Result<Secret> {
    let name = || path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| format!("{}: cannot be read", name()))?;
    let secret = text.trim_end_matches(['\n', '\r']);
    anyhow::ensure!(!secret.is_empty(), "{} is empty: expected a secret", name());
    Ok(Secret::new(secret))
}
