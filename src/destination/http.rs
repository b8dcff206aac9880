//! A web server that takes PUT and DELETE, WebDAV among them.

use std::path::PathBuf;

use super::{Destination, Error, Headers, Secret};

/// A web server, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `http://` or `https://`, host, port, path: no secrets, and no slash at the end.
    pub url: String,
    /// Who we are.
    pub auth: Option<Auth>,
    /// A PEM file of the authorities to trust beside the system's (https).
    pub ca: Option<PathBuf>,
    /// Whether any certificate is taken. It is warned of.
    pub is_insecure: bool,
    /// What is said of the objects.
    pub headers: Headers,
}

/// Who we are to a web server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// A name and its password (RFC 7617).
    Basic(String, Secret),
    /// A token (RFC 6750).
    Bearer(Secret),
}

pub(super) fn open(options: &Options) -> Result<Box<dyn Destination>, Error> {
    let _ = options;
    todo!("HTTP")
}
