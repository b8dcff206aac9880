//! OpenSSH's sshd, with keys and files of its own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use segcast::destination::ssh::{HostKey, Options, Protocol};
use tempfile::TempDir;

use crate::server::{Server, free_port, system};

/// An sshd with keys of its own.
pub struct Sshd {
    /// None while it is stopped.
    pub server: Option<Server>,
    pub port: u16,
    /// Keys and configuration.
    pub folder: TempDir,
    /// Where files are put.
    pub files: TempDir,
}

impl Sshd {
    pub fn start() -> Self {
        Self::with("Subsystem sftp internal-sftp\n")
    }

    /// With these lines added to its configuration.
    pub fn with(config: &str) -> Self {
        let (folder, files, port) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), free_port());
        let path = |name: &str| folder.path().join(name).display().to_string();
        for (name, kind) in [("host_ed25519", "ed25519"), ("host_ecdsa", "ecdsa"), ("user", "ed25519")] {
            keygen(&path(name), kind, "");
        }
        fs::copy(path("user.pub"), path("authorized_keys")).unwrap();
        // bash takes SHLVL for a shell above it, and does not run what the user's own .bashrc holds.
        let text = format!(
            "SetEnv SHLVL=2\nListenAddress 127.0.0.1:{port}\nHostKey {}\nHostKey {}\nPidFile none\nUsePAM no\nStrictModes no\n\
             PermitRootLogin yes\nAuthorizedKeysFile {}\nPasswordAuthentication no\nMaxSessions 20\nLogLevel VERBOSE\n{config}",
            path("host_ecdsa"),
            path("host_ed25519"),
            path("authorized_keys"),
        );
        fs::write(path("config"), text).unwrap();
        let mut sshd = Self { server: None, port, folder, files };
        sshd.run();
        let known = format!("[127.0.0.1]:{port} {}", sshd.public("host_ed25519"));
        fs::write(sshd.path("known_hosts"), known).unwrap();
        sshd
    }

    pub fn run(&mut self) {
        // sshd of root wants it; systemd makes it where there is systemd.
        let _ = fs::create_dir("/run/sshd");
        let mut command = Command::new(system("sshd"));
        command.args(["-D", "-e", "-f"]).arg(self.path("config"));
        self.server = Some(Server::start(command, self.port, tempfile::tempdir().unwrap()));
    }

    /// Stops it, and the processes that serve its connections.
    pub fn stop(&mut self) {
        self.server.iter().for_each(Server::hang_up);
        self.server = None;
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn public(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap()
    }

    /// Its folder of files, for the user of the tests with the right key.
    pub fn options(&self, protocol: Protocol) -> Options {
        Options {
            protocol,
            host: "127.0.0.1".into(),
            port: self.port,
            directory: self.files.path().display().to_string(),
            user: whoami(),
            password: None,
            private_key: Some(self.path("user")),
            passphrase: None,
            known_hosts: Some(self.path("known_hosts")),
            host_key: HostKey::Strict,
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.server.iter().for_each(Server::hang_up);
        if let (true, Some(server)) = (std::thread::panicking(), &self.server) {
            println!("sshd has said:\n{}", server.output());
        }
    }
}

pub fn keygen(path: &str, kind: &str, passphrase: &str) {
    let status = Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", passphrase, "-f", path]).status();
    assert!(status.unwrap().success());
}

pub fn whoami() -> String {
    let output = Command::new("id").arg("-un").output().unwrap().stdout;
    String::from_utf8(output).unwrap().trim().to_owned()
}
