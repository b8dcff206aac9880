//! FTP, plain or with explicit TLS.

use std::path::PathBuf;

use super::{Destination, Error, Secret};

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
        /// A PEM file of the authorities to trust instead of the system's.
        ca: Option<PathBuf>,
        /// Whether any certificate is taken. It is warned of.
        is_insecure: bool,
    },
}

pub(super) fn open(options: &Options) -> Result<Box<dyn Destination>, Error> {
    let _ = options;
    todo!("FTP")
}
