//! SFTP and SCP.

use std::path::PathBuf;

use super::{Destination, Error, Secret};

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
    let _ = options;
    todo!("SSH")
}
