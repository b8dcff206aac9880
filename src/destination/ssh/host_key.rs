//! Whether a host is the one that it was: files of known hosts (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ring::hmac;
use russh::Preferred;
use russh::keys::ssh_key::known_hosts::{Entry, HostPatterns, Marker};
use russh::keys::{Algorithm, HashAlg, PublicKey};

use super::failure::Failure;
use super::{HostKey, Options};
use crate::destination::Kind;

/// The file of known hosts that all users of a machine share.
const SHARED: &str = "/etc/ssh/ssh_known_hosts";

/// What is known of one host.
#[derive(Clone, Debug)]
pub(super) struct KnownHost {
    host: String,
    port: u16,
    policy: HostKey,
    /// The user's file, or the one that is configured; new keys go there.
    file: PathBuf,
    keys: Vec<Known>,
}

/// One line.
#[derive(Clone, Debug)]
struct Known {
    file: PathBuf,
    line: usize,
    is_revoked: bool,
    /// Whether the line names the host without its port, which is not the usual one.
    is_of_other_port: bool,
    key: PublicKey,
}

impl KnownHost {
    /// Reads what is known. It blocks.
    pub fn read(options: &Options) -> Result<Self, Failure> {
        let file = match &options.known_hosts {
            Some(file) => file.clone(),
            None => super::home()?.join(".ssh/known_hosts"),
        };
        let host = options.host.to_ascii_lowercase();
        let mut known = Self { host, port: options.port, policy: options.host_key, file, keys: Vec::new() };
        known.read_files()?;
        Ok(known)
    }

    fn read_files(&mut self) -> Result<(), Failure> {
        self.keys.clear();
        for file in [self.file.clone(), PathBuf::from(SHARED)] {
            let text = match fs::read(&file) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(unusable(&file, error)),
            };
            let known = text.lines().zip(1..).filter_map(|(text, line)| self.line(&file, line, text));
            let known: Vec<_> = known.collect();
            self.keys.extend(known);
        }
        Ok(())
    }

    /// What a line says of this host. Lines that cannot be read say nothing, as for OpenSSH.
    fn line(&self, file: &Path, line: usize, text: &str) -> Option<Known> {
        let text = text.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        let entry: Entry = (!text.starts_with('#')).then(|| text.parse().ok())??;
        let is_revoked = match entry.marker() {
            None => false,
            Some(Marker::Revoked) => true,
            // Certificates are not asked for.
            Some(Marker::CertAuthority) => return None,
        };
        let is_named = matches(entry.host_patterns(), &self.name());
        if !is_named && !matches(entry.host_patterns(), &self.host) {
            return None;
        }
        let key = entry.public_key().clone();
        Some(Known { file: file.to_owned(), line, is_revoked, is_of_other_port: !is_named, key })
    }

    /// The host as files of known hosts name it.
    fn name(&self) -> String {
        if self.port == 22 { self.host.clone() } else { format!("[{}]:{}", self.host, self.port) }
    }

    /// The algorithms of host keys to ask for. Those of the known keys come first: a server has several keys, and gives
    /// the one that we like best.
    pub fn algorithms(&self) -> Vec<Algorithm> {
        let mut algorithms = Preferred::DEFAULT.key.to_vec();
        // SHA-1.
        algorithms.retain(|algorithm| *algorithm != Algorithm::Rsa { hash: None });
        algorithms.sort_by_key(|algorithm| {
            let plain = match algorithm {
                Algorithm::Rsa { hash: Some(HashAlg::Sha512 | HashAlg::Sha256) } => {
                    Algorithm::Rsa { hash: None }
                }
                other => other.clone(),
            };
            !self.keys.iter().any(|known| !known.is_revoked && known.key.algorithm() == plain)
        });
        algorithms
    }

    /// Whether the host may have this key. One that is not known is written down if that is wished. It blocks.
    pub fn check(&mut self, key: &PublicKey) -> Result<(), Failure> {
        if self.judge(key)? {
            return Ok(());
        }
        if self.policy == HostKey::Strict {
            return Err(self.unknown(key));
        }
        static LEARNING: Mutex<()> = Mutex::new(());
        let _learning = LEARNING.lock().unwrap_or_else(PoisonError::into_inner);
        // Another session may have met the host meanwhile.
        self.read_files()?;
        if !self.judge(key)? {
            self.learn(key).map_err(|error| unusable(&self.file, error))?;
            tracing::info!(host = self.name(), key = fingerprint(key), file = %self.file.display(), "new host key");
        }
        Ok(())
    }

    /// Whether the key is known.
    fn judge(&self, key: &PublicKey) -> Result<bool, Failure> {
        let is_same = |known: &&Known| known.key.key_data() == key.key_data();
        if let Some(revoked) = self.keys.iter().filter(|known| known.is_revoked).find(is_same) {
            let (file, line) = (revoked.file.display(), revoked.line);
            let text = format!("the host key of {} is revoked in {file}, line {line}", self.name());
            return Err(Failure::said(Kind::Refused, text));
        }
        let mut known = self.keys.iter().filter(|known| !known.is_revoked);
        if known.clone().any(|known| is_same(&known)) {
            return Ok(true);
        }
        match known.find(|known| !known.is_of_other_port) {
            Some(known) => Err(self.changed(known, key)),
            None => Ok(false),
        }
    }

    fn changed(&self, known: &Known, key: &PublicKey) -> Failure {
        let (name, file, line) = (self.name(), known.file.display(), known.line);
        let text = format!(
            "the host key of {name} has changed: now it is {}, known is {} from line {line} of {file}; somebody may be \
             in between. If the change is right, remove that line: ssh-keygen -R '{name}' -f {file}",
            fingerprint(key),
            fingerprint(&known.key),
        );
        Failure::said(Kind::Refused, text)
    }

    fn unknown(&self, key: &PublicKey) -> Failure {
        let (host, port, file) = (&self.host, self.port, self.file.display());
        let text = format!(
            "the host key of {}, {}, is not in {file}: compare it with the server's own, then add it with \
             `ssh-keyscan -p {port} {host} >> {file}`, or set host_key = \"accept-new\"",
            self.name(),
            fingerprint(key),
        );
        Failure::said(Kind::Refused, text)
    }

    fn learn(&self, key: &PublicKey) -> io::Result<()> {
        if let Some(folder) = self.file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            create_private_folder(folder)?;
        }
        let text = fs::read(&self.file).unwrap_or_default();
        let mut options = fs::OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let key = key.to_openssh().map_err(io::Error::other)?;
        let mut words = key.split(' ');
        let (kind, base64) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let lines_end = if text.last().is_some_and(|last| *last != b'\n') { "\n" } else { "" };
        let line = format!("{lines_end}{} {kind} {base64}\n", self.name());
        options.open(&self.file)?.write_all(line.as_bytes())
    }
}

/// Lines of a file of known hosts of which each says something of `host`.
pub(in crate::destination) fn known_lines(text: &str, host: &str, port: u16) -> usize {
    let known = KnownHost {
        host: host.to_owned(),
        port,
        policy: HostKey::Strict,
        file: PathBuf::new(),
        keys: Vec::new(),
    };
    text.lines().zip(1..).filter_map(|(text, line)| known.line(&known.file, line, text)).count()
}

fn create_private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn unusable(file: &Path, error: io::Error) -> Failure {
    Failure::from(Kind::Refused, format!("cannot use {} as the file of known hosts", file.display()), error)
}

fn fingerprint(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
}

fn matches(patterns: &HostPatterns, name: &str) -> bool {
    match patterns {
        HostPatterns::HashedName { salt, hash } => {
            let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
            hmac::verify(&key, name.as_bytes(), hash).is_ok()
        }
        HostPatterns::Patterns(patterns) => {
            let is_like = |pattern: &str| is_like(pattern.to_ascii_lowercase().as_bytes(), name.as_bytes());
            let is_excluded = patterns.iter().filter_map(|pattern| pattern.strip_prefix('!')).any(is_like);
            !is_excluded && patterns.iter().any(|pattern| is_like(pattern))
        }
    }
}

/// Whether `name` is like `pattern`, where `*` is anything and `?` is any one byte.
fn is_like(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut rest) = (0, 0);
    // Where to go on if what follows the last star does not fit.
    let mut again = None;
    while rest < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                again = Some((at + 1, rest));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[rest] => {
                at += 1;
                rest += 1;
            }
            _ => {
                let Some((after_star, from)) = again else { return false };
                again = Some((after_star, from + 1));
                (at, rest) = (after_star, from + 1);
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILIG2T/B0l0gaqj3puu510tu9N1OkQ4znY3LYuEm5zCF";

    fn known(file: &Path, host: &str, port: u16, policy: HostKey) -> KnownHost {
        let mut known =
            KnownHost { host: host.into(), port, policy, file: file.to_owned(), keys: Vec::new() };
        known.read_files().unwrap();
        known
    }

    fn key(text: &str) -> PublicKey {
        text.parse().unwrap()
    }

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("known_hosts");
        fs::write(&file, text).unwrap();
        (folder, file)
    }

    #[test]
    fn patterns_are_as_in_openssh() {
        let patterns = |text: &str| text.parse::<HostPatterns>().unwrap();
        assert!(matches(&patterns("*.example.com,!bad.example.com"), "web.example.com"));
        assert!(!matches(&patterns("*.example.com,!bad.example.com"), "bad.example.com"));
        assert!(matches(&patterns("[127.0.0.?]:*"), "[127.0.0.1]:2222"));
        assert!(matches(&patterns("a*b*c"), "axxbyybzzc") && !matches(&patterns("a*b*c"), "axxbyy"));
        let hashed = "|1|O33ESRMWPVkMYIwJ1Uw+n877jTo=|nuuC5vEqXlEZ/8BXQR7m619W6Ak=";
        assert!(matches(&patterns(hashed), "example.com") && !matches(&patterns(hashed), "example.org"));
    }

    #[test]
    fn a_changed_key_is_refused_with_its_line() {
        let (_folder, file) = file(&format!("# a comment\n\nnonsense\n[h]:2222\t{FIRST} comment\n"));
        let mut host = known(&file, "h", 2222, HostKey::AcceptNew);
        host.check(&key(FIRST)).unwrap();
        let refused = host.check(&key(OTHER)).unwrap_err();
        assert_eq!(refused.kind(), Kind::Refused);
        let text = refused.to_string();
        assert!(text.contains("line 4 of") && text.contains("ssh-keygen -R '[h]:2222' -f"), "{text}");
    }

    #[test]
    fn a_host_known_by_another_kind_of_key_is_not_new() {
        let rsa = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg=";
        let (_folder, file) = file(&format!("h {rsa}\n"));
        let mut host = known(&file, "h", 22, HostKey::AcceptNew);
        assert_eq!(host.algorithms()[0].to_string(), "ecdsa-sha2-nistp256");
        assert!(host.check(&key(FIRST)).unwrap_err().to_string().contains("has changed"));
    }

    #[test]
    fn a_new_key_is_written_down_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/known_hosts");
        let mut host = known(&file, "h", 2222, HostKey::AcceptNew);
        let mut other = host.clone();
        host.check(&key(FIRST)).unwrap();
        other.check(&key(FIRST)).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("[h]:2222 {FIRST}\n"));
        known(&file, "h", 2222, HostKey::Strict).check(&key(FIRST)).unwrap();
        let unknown = known(&file, "other", 22, HostKey::Strict).check(&key(FIRST)).unwrap_err();
        assert!(unknown.to_string().contains("accept-new"), "{unknown}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
        }
    }

    #[test]
    fn a_revoked_key_is_refused() {
        let (_folder, file) = file(&format!("@revoked * {FIRST}\nh {FIRST}\n"));
        let refused = known(&file, "h", 22, HostKey::AcceptNew).check(&key(FIRST)).unwrap_err();
        assert!(refused.to_string().contains("revoked"), "{refused}");
    }
}
