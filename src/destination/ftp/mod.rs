//! FTP, plain or with explicit TLS.
//!
//! - [`Options`]: what is configured.
//! - `pool`: connections, kept and used again; `connection`: one of them, with the commands that we use.
//! - `upload`: a file under a temporary name, then renamed; in place where the server refuses to rename.
//! - `folder`: folders made as needed.
//! - `tls`: the session that a control connection and its data connections share.
//! - `failure`: what an answer means.
//!
//! Commands are RFC 959's, those of TLS RFC 4217's, EPSV RFC 2428's, SIZE, MDTM and MLSD RFC 3659's.

mod connection;
mod failure;
mod folder;
mod pool;
mod tls;
mod upload;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8};

use bytes::Bytes;
use suppaftp::Status;

use self::connection::Connection;
use self::failure::Failure;
pub(super) use self::failure::answer;
use self::folder::Folders;
pub(super) use self::folder::aged_facts;
use self::pool::Pool;
use super::attempt::Attempts;
use super::key::is_inside;
use super::tls::config;
use super::{Destination, Error, MOST_GOT_BYTES, Pending, Secret, TOO_LARGE, Target};
use crate::chunks::Chunks;

/// Answers to a command that has changed files.
const DONE: [Status; 2] = [Status::RequestedFileActionOk, Status::CommandOk];

/// An FTP server, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Its name or address.
    pub host: String,
    /// Its port, 21 as a rule.
    pub port: u16,
    /// The folder: from the root if it begins with a slash, else from the one that one is in after logging in.
    pub directory: String,
    /// The user's name.
    pub user: String,
    /// The user's password.
    pub password: Secret,
    /// How the connection is secured.
    pub security: Security,
}

/// How a connection is secured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Security {
    /// Not at all: the password can be read on the way.
    Plain,
    /// By TLS, asked for with AUTH TLS (RFC 4217).
    Tls {
        /// A PEM file of certificates to trust beside the system's authorities: authorities', or the server's own.
        ca: Option<PathBuf>,
        /// Whether any certificate is taken. It is warned of.
        is_insecure: bool,
    },
}

/// The destination. Nothing is connected yet.
pub(super) fn open(options: &Options) -> Result<Box<dyn Destination>, Error> {
    let name = Target::Ftp(options.clone()).to_string();
    let tls = match &options.security {
        Security::Plain => None,
        Security::Tls { ca, is_insecure } => Some(config(&name, ca.as_deref(), *is_insecure)?),
    };
    let remote = Remote {
        name,
        directory: options.directory.clone(),
        deletes_first: AtomicBool::new(false),
        renames: AtomicU8::new(upload::UNKNOWN),
        folders: Folders::default(),
        attempts: Attempts::default(),
    };
    Ok(Box::new(Ftp { pool: Pool::new(options.clone(), tls), remote }))
}

/// An FTP server.
#[derive(Debug)]
struct Ftp {
    pool: Pool,
    remote: Remote,
}

/// What is known of the server, whatever the connection.
#[derive(Debug)]
struct Remote {
    name: String,
    directory: String,
    /// Whether a file is deleted before another one takes its name.
    deletes_first: AtomicBool,
    /// Whether it renames files, as far as that is known: [`upload::UNKNOWN`] and what follows it.
    renames: AtomicU8,
    folders: Folders,
    attempts: Attempts,
}

impl Remote {
    /// The path of the file at `key`, from the root.
    async fn path(&self, connection: &mut Connection, key: &str) -> Result<String, Failure> {
        let directory = self.directory.trim_end_matches('/');
        if self.directory.starts_with('/') {
            return Ok(format!("{directory}/{key}"));
        }
        let login = connection.login_folder().await?;
        let login = login.trim_end_matches('/');
        Ok(if directory.is_empty() { format!("{login}/{key}") } else { format!("{login}/{directory}/{key}") })
    }

    async fn perform(
        &self,
        connection: &mut Connection,
        key: &str,
        operation: &Operation,
    ) -> Result<Option<Bytes>, Failure> {
        let path = self.path(connection, key).await?;
        match operation {
            Operation::Put(body) => upload::put(self, connection, &path, body).await.map(|()| None),
            Operation::Delete => self.delete(connection, &path).await.map(|()| None),
            Operation::Get => self.get(connection, &path).await,
        }
    }

    async fn delete(&self, connection: &mut Connection, path: &str) -> Result<(), Failure> {
        upload::clear_away(self, connection, path).await?;
        match connection.command("DELE", path, &DONE).await {
            Ok(_) => Ok(()),
            Err(failure) => self.unless_absent(connection, path, failure).await,
        }
    }

    async fn get(&self, connection: &mut Connection, path: &str) -> Result<Option<Bytes>, Failure> {
        match connection.fetch("RETR", path, MOST_GOT_BYTES).await {
            Ok(Some(bytes)) => Ok(Some(bytes.into())),
            Ok(None) => Err(Failure::Invalid(TOO_LARGE.to_owned())),
            Err(failure) => self.unless_absent(connection, path, failure).await.map(|()| None),
        }
    }

    /// `failure`, unless it only says that no file is at `path`. The same code may say that it is not ours.
    async fn unless_absent(
        &self,
        connection: &mut Connection,
        path: &str,
        failure: Failure,
    ) -> Result<(), Failure> {
        if !matches!(failure.code(), Some(450 | 550 | 553)) {
            return Err(failure);
        }
        let is_absent = match connection.has_file(path).await? {
            Some(is_there) => !is_there,
            None => !failure.is_denied(),
        };
        if is_absent { Ok(()) } else { Err(failure) }
    }
}

/// What is done with a file.
#[derive(Debug)]
enum Operation {
    Put(Chunks),
    Delete,
    Get,
}

impl Operation {
    const fn verb(&self) -> &'static str {
        match self {
            Self::Put(_) => "put",
            Self::Delete => "delete",
            Self::Get => "get",
        }
    }
}

impl Ftp {
    async fn perform(&self, key: &str, operation: Operation) -> Result<Option<Bytes>, Error> {
        let result = self.attempt(key, &operation).await;
        result.map_err(|failure| {
            let slash = if self.remote.name.ends_with('/') { "" } else { "/" };
            let what = format!("{} {}{slash}{key}", operation.verb(), self.remote.name);
            Error::new(failure.kind(), what, failure.into())
        })
    }

    /// Performs it on a connection; one that was idle and turns out to be dead is replaced.
    async fn attempt(&self, key: &str, operation: &Operation) -> Result<Option<Bytes>, Failure> {
        check(key)?;
        if let Some(mut kept) = self.pool.kept() {
            let result = self.remote.perform(&mut kept, key, operation).await;
            if !kept.was_dead(&result) {
                self.pool.keep(kept, &result);
                return result;
            }
            // The others are as old, or older.
            self.pool.forget();
        }
        let mut fresh = self.pool.connect().await?;
        let result = self.remote.perform(&mut fresh, key, operation).await;
        self.pool.keep(fresh, &result);
        result
    }
}

impl Destination for Ftp {
    fn name(&self) -> String {
        self.remote.name.clone()
    }

    fn put(&self, key: &str, body: Chunks) -> Pending<'_, ()> {
        let key = key.to_owned();
        Box::pin(async move { self.perform(&key, Operation::Put(body)).await.map(drop) })
    }

    fn delete(&self, key: &str) -> Pending<'_, ()> {
        let key = key.to_owned();
        Box::pin(async move { self.perform(&key, Operation::Delete).await.map(drop) })
    }

    fn get(&self, key: &str) -> Pending<'_, Option<Bytes>> {
        let key = key.to_owned();
        Box::pin(async move { self.perform(&key, Operation::Get).await })
    }
}

/// Refuses keys that lead outside, and those that a command's line cannot hold.
fn check(key: &str) -> Result<(), Failure> {
    if is_inside(key) && !key.contains(char::is_control) {
        Ok(())
    } else {
        Err(Failure::Invalid(format!("expected names with / between them, came {key:?}")))
    }
}
