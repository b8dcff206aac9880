//! SFTP and SCP.
//!
//! - [`Options`]: a host, and how it is reached.
//! - `session`, `login`, `host_key`, `pool`: connections to it, and who is at both ends.
//! - `sftp` says what is done with files, on the `client` of the protocol and its `packet`s; `scp` does the same with
//!   commands.

mod client;
mod failure;
mod host_key;
mod login;
mod packet;
mod path;
mod pool;
mod scp;
mod session;
mod sftp;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use self::failure::Failure;
pub(super) use self::host_key::known_lines;
pub(super) use self::packet::answers;
use self::pool::Pool;
use self::session::Session;
use super::attempt::Attempts;
use super::key::check_key;
use super::{Destination, Error, Kind, Pending, Secret, Target};
use crate::chunks::Chunks;

/// A host with sshd, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How files are sent.
    pub protocol: Protocol,
    /// Its name or address.
    pub host: String,
    /// Its port, 22 as a rule.
    pub port: u16,
    /// The folder: from the root if it begins with a slash, else from the one that one is in after logging in.
    pub directory: String,
    /// The user's name.
    pub user: String,
    /// The user's password.
    pub password: Option<Secret>,
    /// The file of the private key. Without it and without a password, the agent and the user's own keys are tried.
    pub private_key: Option<PathBuf>,
    /// What the private key is locked with.
    pub passphrase: Option<Secret>,
    /// The file of known hosts; the user's own if none is given.
    pub known_hosts: Option<PathBuf>,
    /// What is done with a host that is not known.
    pub host_key: HostKey,
}

/// How files are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// SFTP, version 3.
    Sftp,
    /// SCP; the shell of the host does the rest.
    Scp,
}

/// What is done with a host that is not known. One whose key has changed is always refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostKey {
    /// It is refused.
    #[default]
    Strict,
    /// Its key is written to the file of known hosts.
    AcceptNew,
}

pub(super) fn open(options: &Options) -> Result<Box<dyn Destination>, Error> {
    let place = Place {
        directory: options.directory.clone(),
        ready: Mutex::default(),
        attempts: Attempts::default(),
    };
    Ok(Box::new(Ssh {
        name: Target::Ssh(options.clone()).to_string(),
        protocol: options.protocol,
        place,
        pool: Pool::new(options.clone()),
    }))
}

/// A host that is reached by SFTP or SCP.
struct Ssh {
    name: String,
    protocol: Protocol,
    place: Place,
    pool: Pool,
}

/// What is done with a file.
#[derive(Clone, Copy)]
enum Task<'a> {
    Put(&'a Chunks),
    Delete,
    Get,
}

/// The folder there, and what is known of it.
struct Place {
    directory: String,
    /// Folders that are known to be there, and have no old temporary files.
    ready: Mutex<HashSet<String>>,
    attempts: Attempts,
}

impl Place {
    fn is_ready(&self, folder: &str) -> bool {
        self.ready().contains(folder)
    }

    /// Whether it was not ready before.
    fn set_ready(&self, folder: &str) -> bool {
        self.ready().insert(folder.to_owned())
    }

    fn forget_ready(&self) {
        self.ready().clear();
    }

    fn ready(&self) -> MutexGuard<'_, HashSet<String>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ssh {
    /// What is done, completing "cannot …", and the path of `key`.
    fn locate(&self, verb: &str, key: &str) -> Result<(String, String), Error> {
        let what = format!("{verb} {}/{key}", self.name.trim_end_matches('/'));
        check_key(&what, key)?;
        if key.contains('\0') {
            let source = "expected a name, came one with a zero byte".into();
            return Err(Error::new(Kind::Invalid, what, source));
        }
        Ok((what, path::join(&self.place.directory, key)))
    }

    /// Does it on a session. One that was idle and turns out to be dead is replaced once. If this is dropped, the
    /// session is closed.
    async fn run(&self, task: Task<'_>, path: &str) -> Result<Option<Bytes>, Failure> {
        if let Some(mut session) = self.pool.take() {
            let result = self.perform(&mut session, task, path).await;
            if !result.as_ref().is_err_and(Failure::is_lost) {
                self.pool.keep(session);
                return result;
            }
            // The others are as old as this one, or older: the server has gone away since.
            self.pool.clear();
        }
        let mut session = self.pool.open().await?;
        let result = self.perform(&mut session, task, path).await;
        if !result.as_ref().is_err_and(Failure::is_lost) {
            self.pool.keep(session);
        }
        result
    }

    async fn perform(
        &self,
        session: &mut Session,
        task: Task<'_>,
        path: &str,
    ) -> Result<Option<Bytes>, Failure> {
        let place = &self.place;
        match (self.protocol, task) {
            (Protocol::Sftp, Task::Put(body)) => sftp::put(session.sftp().await?, place, path, body).await?,
            (Protocol::Sftp, Task::Delete) => sftp::delete(session.sftp().await?, place, path).await?,
            (Protocol::Sftp, Task::Get) => return sftp::get(session.sftp().await?, path).await,
            (Protocol::Scp, Task::Put(body)) => scp::put(session, place, path, body).await?,
            (Protocol::Scp, Task::Delete) => scp::delete(session, place, path).await?,
            (Protocol::Scp, Task::Get) => return scp::get(session, path).await,
        }
        Ok(None)
    }
}

impl Destination for Ssh {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn put(&self, key: &str, body: Chunks) -> Pending<'_, ()> {
        let located = self.locate("put", key);
        Box::pin(async move {
            let (what, path) = located?;
            self.run(Task::Put(&body), &path).await.map(drop).map_err(|failure| failure.during(what))
        })
    }

    fn delete(&self, key: &str) -> Pending<'_, ()> {
        let located = self.locate("delete", key);
        Box::pin(async move {
            let (what, path) = located?;
            self.run(Task::Delete, &path).await.map(drop).map_err(|failure| failure.during(what))
        })
    }

    fn get(&self, key: &str) -> Pending<'_, Option<Bytes>> {
        let located = self.locate("get", key);
        Box::pin(async move {
            let (what, path) = located?;
            self.run(Task::Get, &path).await.map_err(|failure| failure.during(what))
        })
    }
}

/// The user's own folder on this machine.
fn home() -> Result<PathBuf, Failure> {
    let unknown =
        || Failure::said(Kind::Refused, "HOME is not set: where are the user's keys and known hosts?");
    std::env::home_dir().filter(|home| !home.as_os_str().is_empty()).ok_or_else(unknown)
}
