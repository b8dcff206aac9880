//! vsftpd, pyftpdlib and ProFTPD, with files and certificates of their own.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use segcast::destination::ftp::{Options, Security};
use segcast::destination::{Destination, Secret};
use tempfile::TempDir;

use crate::server::{Server, free_port, installed, system};

/// A server with its files, certificates and way to be started again.
pub struct Ftpd {
    pub server: Option<Server>,
    pub kind: Daemon,
    pub arguments: Vec<String>,
    pub port: u16,
    /// What is below it is the server's root.
    pub files: TempDir,
    pub certificates: Option<Certificates>,
    /// What OpenSSL is told, beside what it is told anyway.
    pub openssl: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Daemon {
    Vsftpd,
    Pyftpdlib,
    Proftpd,
}

/// An authority and the certificate that it gave the server.
pub struct Certificates {
    folder: TempDir,
}

impl Certificates {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let openssl = |arguments: &str| {
            let words = arguments.split(' ');
            let output = Command::new("openssl").args(words).current_dir(folder.path()).output().unwrap();
            assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        };
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"));
        openssl(&format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"));
        fs::write(folder.path().join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:127.0.0.2")
            .unwrap();
        openssl(
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt",
        );
        let joined = ["server.crt", "server.key"].map(|name| fs::read(folder.path().join(name)).unwrap());
        fs::write(folder.path().join("server.pem"), joined.concat()).unwrap();
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Ftpd {
    pub fn start(kind: Daemon, is_tls: bool, arguments: &[&str]) -> Self {
        let mut this = Self::new(kind, is_tls, arguments);
        this.restart();
        this
    }

    pub fn new(kind: Daemon, is_tls: bool, arguments: &[&str]) -> Self {
        let files = tempfile::tempdir().unwrap();
        fs::set_permissions(files.path(), Permissions::from_mode(0o755)).unwrap();
        let home = files.path().join("home");
        fs::create_dir(&home).unwrap();
        fs::set_permissions(&home, Permissions::from_mode(0o777)).unwrap();
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let certificates = is_tls.then(Certificates::new);
        Self { server: None, kind, arguments, port: free_port(), files, certificates, openssl: None }
    }

    pub fn plain(kind: Daemon) -> Self {
        Self::start(kind, false, &[])
    }

    pub fn tls(kind: Daemon) -> Self {
        Self::start(kind, true, &[])
    }

    /// Stops it with all its connections, and starts it again at the same port.
    pub fn restart(&mut self) {
        self.hang_up();
        self.server = None;
        let folder = tempfile::tempdir().unwrap();
        let mut command = match self.kind {
            Daemon::Vsftpd => self.vsftpd(folder.path()),
            Daemon::Pyftpdlib => self.pyftpdlib(),
            Daemon::Proftpd => self.proftpd(folder.path()),
        };
        if let Some(openssl) = self.openssl {
            let file = folder.path().join("openssl.cnf");
            fs::write(&file, openssl).unwrap();
            command.env("OPENSSL_CONF", file);
        }
        self.server = Some(Server::start(command, self.port, folder));
    }

    /// vsftpd gives anonymous users a password of their own, which needs no account of the system's.
    fn vsftpd(&self, folder: &Path) -> Command {
        let passwords = folder.join("passwords");
        fs::write(&passwords, "secret\n").unwrap();
        let empty = folder.join("empty");
        fs::create_dir(&empty).unwrap();
        let root = self.files.path().display();
        let mut lines = vec![
            "listen=YES".to_owned(),
            "background=NO".to_owned(),
            "listen_address=127.0.0.1".to_owned(),
            format!("listen_port={}", self.port),
            "anonymous_enable=YES".to_owned(),
            "local_enable=NO".to_owned(),
            format!("anon_root={root}"),
            "secure_email_list_enable=YES".to_owned(),
            format!("email_password_file={}", passwords.display()),
            format!("secure_chroot_dir={}", empty.display()),
            "write_enable=YES".to_owned(),
            "anon_upload_enable=YES".to_owned(),
            "anon_mkdir_write_enable=YES".to_owned(),
            "anon_other_write_enable=YES".to_owned(),
            "anon_world_readable_only=NO".to_owned(),
            "anon_umask=022".to_owned(),
            "seccomp_sandbox=NO".to_owned(),
        ];
        if let Some(certificates) = &self.certificates {
            // require_ssl_reuse stays as it is: on.
            lines.extend(
                ["ssl_enable=YES", "allow_anon_ssl=YES", "force_anon_logins_ssl=YES"].map(str::to_owned),
            );
            lines.extend(["force_anon_data_ssl=YES".to_owned(), "ssl_ciphers=HIGH".to_owned()]);
            lines.push(format!("rsa_cert_file={}", certificates.path("server.pem").display()));
        }
        lines.extend(self.arguments.iter().cloned());
        let configuration = folder.join("vsftpd.conf");
        fs::write(&configuration, lines.join("\n") + "\n").unwrap();
        let mut command = Command::new(system("vsftpd"));
        command.arg(configuration);
        command
    }

    fn pyftpdlib(&self) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/destinations/ftp/server.py");
        let mut command = Command::new(installed("python"));
        command.arg(script).arg("--port").arg(self.port.to_string()).arg("--root").arg(self.files.path());
        if let Some(certificates) = &self.certificates {
            command.arg("--certificate").arg(certificates.path("server.pem"));
        }
        command.args(&self.arguments);
        command
    }

    /// ProFTPD with one user, who has no account of the system's. NoSessionReuseRequired stays as it is: not set.
    fn proftpd(&self, folder: &Path) -> Command {
        let path = |name: &str| folder.join(name).display().to_string();
        let unpacked = crate::server::folder().join("debian/usr/lib");
        let (user, group, ids) = if rustix::process::geteuid().is_root() {
            ("nobody".to_owned(), "nogroup".to_owned(), (65534, 65534))
        } else {
            let id = |what| {
                let output = Command::new("id").arg(what).output().unwrap().stdout;
                String::from_utf8(output).unwrap().trim().to_owned()
            };
            let ids = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
            (id("-un"), id("-gn"), ids)
        };
        let hash = Command::new("openssl").args(["passwd", "-5", "secret"]).output().unwrap().stdout;
        let hash = String::from_utf8(hash).unwrap();
        let home = self.files.path().join("home").display().to_string();
        let account = format!("deploy:{}:{}:{}::{home}:/bin/sh\n", hash.trim(), ids.0, ids.1);
        fs::write(path("users"), account).unwrap();
        fs::set_permissions(path("users"), Permissions::from_mode(0o600)).unwrap();
        let mut lines = vec![
            "ServerName tests".to_owned(),
            "ServerType standalone".to_owned(),
            "DefaultAddress 127.0.0.1".to_owned(),
            "UseIPv6 off".to_owned(),
            format!("Port {}", self.port),
            format!("User {user}"),
            format!("Group {group}"),
            format!("PidFile {}", path("pid")),
            format!("ScoreboardFile {}", path("scoreboard")),
            format!("ControlsSocket {}", path("controls")),
            "DelayEngine off".to_owned(),
            "UseReverseDNS off".to_owned(),
            "WtmpLog off".to_owned(),
            "TransferLog none".to_owned(),
            "AuthOrder mod_auth_file.c".to_owned(),
            format!("AuthUserFile {}", path("users")),
            "RequireValidShell off".to_owned(),
            "AllowOverwrite on".to_owned(),
            "Umask 022".to_owned(),
            "MaxInstances 200".to_owned(),
        ];
        if let Some(certificates) = &self.certificates {
            lines.push(format!("ModulePath {}", unpacked.join("proftpd").display()));
            lines.push("LoadModule mod_tls.c".to_owned());
            lines
                .extend(["TLSEngine on", "TLSRequired on", "TLSProtocol TLSv1.2 TLSv1.3"].map(str::to_owned));
            lines.push(format!("TLSECCertificateFile {}", certificates.path("server.crt").display()));
            lines.push(format!("TLSECCertificateKeyFile {}", certificates.path("server.key").display()));
            lines.push(format!("TLSLog {}", path("tls")));
        }
        lines.extend(self.arguments.iter().cloned());
        fs::write(path("proftpd.conf"), lines.join("\n") + "\n").unwrap();
        let mut command = Command::new(installed("proftpd"));
        command.args(["--nodaemon", "--config", &path("proftpd.conf")]);
        let libraries = fs::read_dir(&unpacked).unwrap().map(|entry| entry.unwrap().path());
        let libraries: Vec<_> =
            libraries.filter(|path| path.display().to_string().ends_with("-gnu")).collect();
        command.env("LD_LIBRARY_PATH", std::env::join_paths(libraries).unwrap());
        command
    }

    /// Ends the processes of vsftpd's and ProFTPD's that serve one connection each.
    fn hang_up(&self) {
        self.server.iter().for_each(Server::hang_up);
    }

    pub fn options(&self) -> Options {
        let (user, directory) = match self.kind {
            Daemon::Vsftpd => ("anonymous", "home/live"),
            Daemon::Pyftpdlib => ("deploy", "home/live"),
            // Only root could make it the root of what is seen.
            Daemon::Proftpd => ("deploy", "live"),
        };
        let security = match &self.certificates {
            None => Security::Plain,
            Some(certificates) => Security::Tls { ca: Some(certificates.path("ca.pem")), is_insecure: false },
        };
        Options {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            directory: directory.to_owned(),
            user: user.to_owned(),
            password: Secret::new("secret"),
            security,
        }
    }

    pub fn open(&self) -> Box<dyn Destination> {
        super::open(self.options())
    }

    /// Where the destination of [`Ftpd::options`] puts its files.
    pub fn live(&self) -> PathBuf {
        self.files.path().join("home/live")
    }

    pub fn output(&self) -> String {
        self.server.as_ref().unwrap().output()
    }
}

impl Drop for Ftpd {
    fn drop(&mut self) {
        self.hang_up();
    }
}
