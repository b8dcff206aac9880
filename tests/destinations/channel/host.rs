//! The servers that channels put streams to, of every kind.

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::RangeInclusive;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;

use crate::http;
use crate::object::seaweed::{BUCKET, KEY, SECRET, Weed};
use crate::server::{Server, free_port, system};

/// Ports for data connections of FTP behind a proxy.
const PASSIVE: u16 = 24;

/// Where files are put.
pub enum Host {
    Folder {
        path: PathBuf,
        _own: Option<TempDir>,
    },
    Nginx(Option<Server>),
    /// With a certificate that nobody knows.
    NginxWithTls(Server),
    Vsftpd(Ftpd),
    Sshd(Sshd),
    Weed(Weed),
    /// One that is other places' too.
    Shared(Arc<Host>),
}

/// vsftpd, with the password `secret` for its user `anonymous`.
pub struct Ftpd {
    server: Server,
    /// Readable by its users; they write to `home` in it.
    files: TempDir,
    pub passive: RangeInclusive<u16>,
}

/// An sshd that the tests' user logs in to.
pub struct Sshd {
    server: Option<Server>,
    port: u16,
    /// Keys and configuration.
    folder: TempDir,
    /// Where files are put.
    files: PathBuf,
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
        Self::Vsftpd(Ftpd::start())
    }

    pub fn sshd() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().join("files");
        Self::Sshd(Sshd::start(folder, files))
    }

    /// An sshd that keeps files at `files`.
    pub fn sshd_with(files: PathBuf) -> Self {
        Self::Sshd(Sshd::start(tempfile::tempdir().unwrap(), files))
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
            Self::Vsftpd(ftpd) => Some(ftpd.server.address()),
            Self::Sshd(sshd) => Some((Ipv4Addr::LOCALHOST, sshd.port).into()),
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
            Self::Vsftpd(_) => format!("url = 'ftp://anonymous@{at}/home/live'\npassword = 'secret'\n"),
            Self::Sshd(sshd) => format!(
                "url = 'sftp://{}@{at}{}'\nprivate_key = '{}'\nknown_hosts = '{}'\n",
                whoami(),
                sshd.files.join("live").display(),
                sshd.path("user").display(),
                sshd.known_hosts(address).display(),
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
        let Self::Sshd(sshd) = self else { panic!("no host of SSH") };
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
            Self::Sshd(sshd) => {
                let server = sshd.server.take().unwrap();
                kill_children(&server);
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
            (Self::Sshd(sshd), _) => sshd.run(),
            _ => panic!("this one is not stopped"),
        }
    }
}

/// What is left of a server that was stopped.
pub struct Stopped {
    folder: Option<TempDir>,
    port: u16,
}

impl Ftpd {
    fn start() -> Self {
        let (folder, files, port) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), free_port());
        let home = files.path().join("home");
        fs::create_dir(&home).unwrap();
        fs::set_permissions(files.path(), Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&home, Permissions::from_mode(0o777)).unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        fs::write(path("passwords"), "secret\n").unwrap();
        fs::create_dir(path("empty")).unwrap();
        let passive = free_ports();
        let text = format!(
            "listen=YES\nbackground=NO\nlisten_address=127.0.0.1\nlisten_port={port}\nanonymous_enable=YES\n\
             local_enable=NO\nanon_root={}\nsecure_email_list_enable=YES\nemail_password_file={}\n\
             secure_chroot_dir={}\nwrite_enable=YES\nanon_upload_enable=YES\nanon_mkdir_write_enable=YES\n\
             anon_other_write_enable=YES\nanon_world_readable_only=NO\nanon_umask=022\nseccomp_sandbox=NO\n\
             pasv_min_port={}\npasv_max_port={}\n",
            files.path().display(),
            path("passwords"),
            path("empty"),
            passive.start(),
            passive.end(),
        );
        fs::write(path("vsftpd.conf"), text).unwrap();
        let mut command = Command::new(system("vsftpd"));
        command.arg(path("vsftpd.conf"));
        Self { server: Server::start(command, port, folder), files, passive }
    }

    /// Where the files are.
    pub fn files(&self) -> PathBuf {
        self.files.path().join("home/live")
    }
}

/// Ports that nobody listens on just now.
fn free_ports() -> RangeInclusive<u16> {
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok();
    let ranges = std::iter::repeat_with(free_port).map(|port| port.saturating_sub(PASSIVE)..=port);
    ranges.take(1000).find(|range| range.clone().all(|port| is_free(&port))).unwrap()
}

impl Sshd {
    fn start(folder: TempDir, files: PathBuf) -> Self {
        let port = free_port();
        let path = |name: &str| folder.path().join(name).display().to_string();
        for name in ["host", "user"] {
            let mut keygen = Command::new("ssh-keygen");
            let status = keygen.args(["-q", "-t", "ed25519", "-N", "", "-f", &path(name)]).status();
            assert!(status.unwrap().success());
        }
        let text = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nPidFile none\nUsePAM no\nStrictModes no\n\
             PermitRootLogin yes\nAuthorizedKeysFile {}\nPasswordAuthentication no\nMaxStartups 100\n\
             Subsystem sftp internal-sftp\n",
            path("host"),
            path("user.pub"),
        );
        fs::write(path("config"), text).unwrap();
        fs::copy(path("host.pub"), path("known.pub")).unwrap();
        let mut sshd = Self { server: None, port, folder, files };
        sshd.run();
        sshd
    }

    fn run(&mut self) {
        // sshd of root wants it; systemd makes it where there is systemd.
        let _ = fs::create_dir("/run/sshd");
        let mut command = Command::new(system("sshd"));
        command.args(["-D", "-e", "-f"]).arg(self.path("config"));
        self.server = Some(Server::start(command, self.port, tempfile::tempdir().unwrap()));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file with its host key, for those who reach it at `address`.
    fn known_hosts(&self, address: Option<SocketAddr>) -> PathBuf {
        let (host, port) = address.map(|address| (address.ip(), address.port())).unwrap();
        let file = self.path(&format!("known_hosts_{port}"));
        let key = fs::read_to_string(self.path("known.pub")).unwrap();
        fs::write(&file, format!("[{host}]:{port} {key}")).unwrap();
        file
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.server.iter().for_each(kill_children);
    }
}

impl Drop for Ftpd {
    fn drop(&mut self) {
        kill_children(&self.server);
    }
}

/// Ends the processes that serve one connection each, and those below them.
fn kill_children(server: &Server) {
    fn below(id: u32) -> Vec<u32> {
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|child| child.parse().ok());
        children.flat_map(|child| std::iter::once(child).chain(below(child))).collect()
    }
    for id in below(server.id()) {
        // It may have ended already.
        let _ = Command::new("kill").args(["-9", &id.to_string()]).output();
    }
}

fn whoami() -> String {
    let output = Command::new("id").arg("-un").output().unwrap().stdout;
    String::from_utf8(output).unwrap().trim().to_owned()
}

/// Where `host` keeps the files of its destination, if in a folder.
pub fn files(host: &Host) -> Option<PathBuf> {
    match host {
        Host::Folder { path, .. } => Some(path.join("live")),
        Host::Nginx(server) => Some(http::files(server.as_ref()?).join("on/air")),
        Host::Vsftpd(ftpd) => Some(ftpd.files()),
        Host::Sshd(sshd) => Some(Path::new(&sshd.files).join("live")),
        Host::NginxWithTls(_) | Host::Weed(_) | Host::Shared(_) => None,
    }
}
