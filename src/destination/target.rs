//! A place as it is configured.

use std::borrow::Cow;
use std::fmt;

use super::object::Service;
use super::{Copy, Destination, Error, copy, ftp, http, object, ssh};

/// A place that files are put to, as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// A local folder.
    Copy(copy::Options),
    /// A bucket of S3, Google Cloud Storage or Azure.
    Object(object::Options),
    /// A web server.
    Http(http::Options),
    /// An FTP server.
    Ftp(ftp::Options),
    /// A host that is reached by SFTP or SCP.
    Ssh(ssh::Options),
}

impl Target {
    /// The place itself. Nothing is connected yet. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If what it is configured with cannot be used: a file of keys that is not there, an address that is none.
    pub fn open(&self) -> Result<Box<dyn Destination>, Error> {
        match self {
            Self::Copy(options) => Ok(Box::new(Copy::new(options.clone()))),
            Self::Object(options) => object::open(options),
            Self::Http(options) => http::open(options),
            Self::Ftp(options) => ftp::open(options),
            Self::Ssh(options) => ssh::open(options),
        }
    }
}

impl fmt::Display for Target {
    /// A folder's path, or a URL; without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Copy(options) => options.directory.display().fmt(f),
            Self::Object(options) => {
                let scheme = match options.service {
                    Service::S3(_) => "s3",
                    Service::Gcs(_) => "gs",
                    Service::Azure(_) => "az",
                };
                let slash = if options.prefix.is_empty() { "" } else { "/" };
                write!(f, "{scheme}://{}{slash}{}", options.bucket, options.prefix)
            }
            Self::Http(options) => f.write_str(&options.url),
            Self::Ftp(options) => {
                let (scheme, usual) = match options.security {
                    ftp::Security::Plain => ("ftp", 21),
                    ftp::Security::Tls { .. } => ("ftps", 21),
                };
                write!(f, "{scheme}://{}@{}", options.user, bracketed(&options.host))?;
                // In an ftp URL, what is behind the first slash is taken from the login folder (RFC 1738 §3.2.2).
                write_place(f, options.port, usual, &options.directory)
            }
            Self::Ssh(options) => {
                let scheme = match options.protocol {
                    ssh::Protocol::Sftp => "sftp",
                    ssh::Protocol::Scp => "scp",
                };
                write!(f, "{scheme}://{}@{}", options.user, bracketed(&options.host))?;
                match options.directory.strip_prefix('/') {
                    Some(path) => write_place(f, options.port, 22, path),
                    None => write_place(f, options.port, 22, &format!("~/{}", options.directory)),
                }
            }
        }
    }
}

/// A host as it stands in a URL: an IPv6 address in brackets (RFC 3986 §3.2.2).
fn bracketed(host: &str) -> Cow<'_, str> {
    if host.contains(':') { format!("[{host}]").into() } else { host.into() }
}

fn write_place(f: &mut fmt::Formatter<'_>, port: u16, usual: u16, path: &str) -> fmt::Result {
    if port != usual {
        write!(f, ":{port}")?;
    }
    write!(f, "/{path}")
}
