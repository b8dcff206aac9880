//! Where log lines go, and what they look like.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::Context;
use clap::{Args, ValueEnum};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::file::{Level, Log, LogFormat};

/// Whether standard error carries JSON, a value on each line.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// The log file, if there is one.
static LOG_FILE: OnceLock<LogFile> = OnceLock::new();

/// A file that log lines go to, and that can be replaced by a new one of the same name.
struct LogFile {
    path: PathBuf,
    file: Mutex<Arc<File>>,
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: Mutex::new(Arc::new(append(path)?)) })
    }

    fn current(&self) -> Arc<File> {
        Arc::clone(&self.file.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn reopen(&self) -> io::Result<()> {
        let file = Arc::new(append(&self.path)?);
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = file;
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Whether log lines go to a file that can be opened again.
pub fn has_file() -> bool {
    LOG_FILE.get().is_some()
}

/// Opens the log file again at its path, where it may have been renamed. Where that fails, the old one is kept.
pub fn reopen() {
    let Some(log) = LOG_FILE.get() else { return };
    match log.reopen() {
        Ok(()) => tracing::info!("log file reopened"),
        Err(error) => tracing::error!("cannot reopen the log file {}: {error}", log.path.display()),
    }
}

/// Flags about the log; they win over the file's `log` table.
#[derive(Debug, Args)]
#[command(next_help_heading = "Log")]
pub struct Flags {
    /// The least grave messages that are logged [default: info].
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<LevelFlag>,
    /// How a log line is written [default: text].
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<FormatFlag>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LevelFlag {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatFlag {
    Text,
    Json,
}

/// Starts logging.
///
/// # Errors
/// If the file cannot be written.
pub fn start(flags: &Flags, log: &Log) -> anyhow::Result<()> {
    let level = flags.log_level.map(LevelFlag::filter).or(log.level.map(filter)).unwrap_or(LevelFilter::INFO);
    let is_json = match flags.log_format {
        Some(format) => matches!(format, FormatFlag::Json),
        None => matches!(log.format, Some(LogFormat::Json)),
    };
    let log_file = log.file.as_deref();
    let (writer, is_terminal) = writer(log_file)?;
    let log = tracing_subscriber::fmt().with_max_level(level).with_writer(writer).with_ansi(is_terminal);
    // A reader of the log that has gone away, as `head` does, is no reason to break down.
    let log = log.log_internal_errors(false);
    // Its errors are ours as well, which say where it happened and what to do.
    let quiet = if level >= LevelFilter::DEBUG { level } else { LevelFilter::OFF };
    let levels = Targets::new().with_default(level).with_target("rustls_platform_verifier", quiet);
    if is_json {
        IS_JSON.store(log_file.is_none(), Ordering::Relaxed);
        log.json().finish().with(levels).init();
    } else {
        log.with_target(false).finish().with(levels).init();
    }
    Ok(())
}

/// Tells the one error that ended a command; as a log line where standard error carries JSON.
pub fn tell_error(error: &anyhow::Error) {
    if IS_JSON.load(Ordering::Relaxed) {
        tracing::error!("{error:#}");
    } else {
        super::tell(format_args!("segcast: {error:#}"));
    }
}

fn writer(file: Option<&Path>) -> anyhow::Result<(BoxMakeWriter, bool)> {
    match file {
        None => Ok((BoxMakeWriter::new(io::stderr), io::stderr().is_terminal())),
        Some(path) if path.as_os_str() == "-" => {
            Ok((BoxMakeWriter::new(io::stdout), io::stdout().is_terminal()))
        }
        Some(path) => {
            let opened = LogFile::open(path);
            let file = opened.with_context(|| format!("cannot write the log file {}", path.display()))?;
            let file = LOG_FILE.get_or_init(|| file);
            Ok((BoxMakeWriter::new(|| file.current()), false))
        }
    }
}

impl LevelFlag {
    const fn filter(self) -> LevelFilter {
        match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

const fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    }
}
