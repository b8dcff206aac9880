//! The servers that channels put streams to, of every kind.

use std::fs;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

use segcast::destination::ssh::Protocol;
use tempfile::TempDir;

use crate::ftp::daemon::{Daemon, Ftpd};
use crate::ftp::free_ports;
use crate::http;
use crate::object::seaweed::{BUCKET, KEY, SECRET, Weed};
use crate::server::{Server, free_port};
use crate::ssh::Sshd;

/// Where files are put.
pub enum Host {
    Folder {
        path: PathBuf,
        _own: Option<TempDir>,
    },
    Nginx(Option<Server>),
    /// With a certificate that nobody knows.
    NginxWithTls(Server),
    Vsftpd {
        ftpd: Ftpd,
        passive: RangeInclusive<u16>,
    },
    Pyftpdlib(Ftpd),
    Sshd {
        sshd: Sshd,
        files: PathBuf,
    },
    Weed(Weed),
    /// One that is other places' too.
    Shared(Arc<Host>),
}

impl Host {
    pub fn folder() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::Folder { path: folder.path().to_owned(), _own: Some(folder) }
    }

    pub fn nginx() -> Self {
        Self::Nginx(Some(http::start(tempfile::tempdir().unwrap(), free_port(), "", "")))
    }

    pub fn nginx_with_tls() -> Self {
        let folder = tempfile::tempdir().unwrap();
        http::certify(folder.path(), "ca");
        Self::NginxWithTls(http::start(folder, free_port(), "", http::TLS))
    }

    pub fn vsftpd() -> Self {
        let passive = free_ports();
        let ports =
            [format!("pasv_min_port={}", passive.start()), format!("pasv_max_port={}", passive.end())];
        let ftpd = Ftpd::start(Daemon::Vsftpd, false, &ports.each_ref().map(String::as_str));
        Self::Vsftpd { ftpd, passive }
    }

    /// An FTP server with the ways of another one.
    pub fn pyftpdlib(arguments: &[&str]) -> Self {
        Self::Pyftpdlib(Ftpd::start(Daemon::Pyftpdlib, false, arguments))
    }

    pub fn sshd() -> Self {
        let sshd = sshd();
        let files = sshd.files.path().join("files");
        Self::Sshd { sshd, files }
    }

    /// An sshd that keeps files at `files`.
    pub fn sshd_with(files: PathBuf) -> Self {
        Self::Sshd { sshd: sshd(), files }
    }

    pub async fn weed() -> Self {
        Self::Weed(Weed::start().await)
    }

    /// Where it listens; none if it is a folder.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Folder { .. } => None,
            Self::Nginx(server) => Some(server.as_ref().unwrap().address()),
            Self::NginxWithTls(server) => Some(server.address()),
            Self::Vsftpd { ftpd, .. } | Self::Pyftpdlib(ftpd) => {
                Some(ftpd.server.as_ref().unwrap().address())
            }
            Self::Sshd { sshd, .. } => Some(([127, 0, 0, 1], sshd.port).into()),
            Self::Weed(weed) => Some(weed.server.address()),
            Self::Shared(host) => host.address(),
        }
    }

    /// The keys of a destination here that is reached at `address`.
    pub fn keys(&self, address: Option<SocketAddr>) -> String {
        let at = address.map(|address| address.to_string()).unwrap_or_default();
        match self {
            Self::Folder { path, .. } => format!("url = '{}/live'\n", path.display()),
            Self::Nginx(_) => format!("url = 'http://{at}/on/air'\n"),
            Self::NginxWithTls(_) => format!("url = 'https://{at}/on/air'\n"),
            Self::Vsftpd { .. } => format!("url = 'ftp://anonymous@{at}/home/live'\npassword = 'secret'\n"),
            Self::Pyftpdlib(_) => format!("url = 'ftp://deploy@{at}/home/live'\npassword = 'secret'\n"),
            Self::Sshd { sshd, files } => format!(
                "url = 'sftp://{}@{at}{}'\nprivate_key = '{}'\nknown_hosts = '{}'\n",
                sshd.options(Protocol::Sftp).user,
                files.join("live").display(),
                sshd.path("user").display(),
                known_hosts(sshd, address).display(),
            ),
            Self::Weed(_) => format!(
                "url = 's3://{BUCKET}/live?endpoint=http://{at}&region=us-east-1'\naccess_key_id = '{KEY}'\n\
                 secret_access_key = '{SECRET}'\n"
            ),
            Self::Shared(host) => host.keys(address),
        }
    }

    /// Lets sshd be known by another key than its own.
    pub fn change_host_key(&self) {
        let Self::Sshd { sshd, .. } = self else { panic!("no host of SSH") };
        fs::copy(sshd.path("user.pub"), sshd.path("known.pub")).unwrap();
    }

    /// Kills it, with the processes that serve its connections. Only nginx and sshd can.
    pub fn stop(&mut self) -> Stopped {
        match self {
            Self::Nginx(server) => {
                let mut server = server.take().unwrap();
                let folder = std::mem::replace(&mut server.folder, tempfile::tempdir().unwrap());
                Stopped { folder: Some(folder), port: server.port }
            }
            Self::Sshd { sshd, .. } => {
                sshd.stop();
                Stopped { folder: None, port: sshd.port }
            }
            _ => panic!("this one is not stopped"),
        }
    }

    /// Starts it again at the same port with the same files.
    pub fn start_again(&mut self, stopped: Stopped) {
        match (self, stopped.folder) {
            (Self::Nginx(server), Some(folder)) => {
                *server = Some(http::start(folder, stopped.port, "", ""));
            }
            (Self::Sshd { sshd, .. }, _) => sshd.run(),
            _ => panic!("this one is not stopped"),
        }
    }
}

/// What is left of a server that was stopped.
pub struct Stopped {
    folder: Option<TempDir>,
    port: u16,
}

/// An sshd that takes many logins at once.
fn sshd() -> Sshd {
    Sshd::with("MaxStartups 100\nSubsystem sftp internal-sftp\n")
}

/// A file with the key that the host is known by, for those who reach it at `address`.
fn known_hosts(sshd: &Sshd, address: Option<SocketAddr>) -> PathBuf {
    let (host, port) = address.map(|address| (address.ip(), address.port())).unwrap();
    let file = sshd.path(&format!("known_hosts_{port}"));
    let key = fs::read_to_string(sshd.path("known.pub")).unwrap_or_else(|_| sshd.public("host_ed25519"));
    fs::write(&file, format!("[{host}]:{port} {key}")).unwrap();
    file
}

/// Where `host` keeps the files of its destination, if in a folder.
pub fn files(host: &Host) -> Option<PathBuf> {
    match host {
        Host::Folder { path, .. } => Some(path.join("live")),
        Host::Nginx(server) => Some(http::files(server.as_ref()?).join("on/air")),
        Host::Vsftpd { ftpd, .. } | Host::Pyftpdlib(ftpd) => Some(ftpd.live()),
        Host::Sshd { files, .. } => Some(files.join("live")),
        Host::NginxWithTls(_) | Host::Weed(_) | Host::Shared(_) => None,
    }
}
