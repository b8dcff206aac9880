//! What servers answer, read as destinations read it, without a server: for those who look for answers that nobody
//! expects.

use super::{ftp, ssh};

/// What was made of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// What people would be told.
    pub told: Vec<String>,
    /// Bytes of it that are kept.
    pub kept_bytes: usize,
}

/// Replies of SFTP, one behind the other.
pub fn sftp(bytes: &[u8]) -> Heard {
    let (told, kept_bytes) = ssh::answers(bytes);
    Heard { told, kept_bytes }
}

/// An answer of FTP to each of the commands to which answers differ, and what a listing tells of old files.
pub fn ftp(bytes: &[u8]) -> Heard {
    let commands = ["AUTH TLS", "PASS", "STOR", "RNTO", "DELE", "EPSV"];
    let old = ftp::aged_facts(&String::from_utf8_lossy(bytes), "a.ts");
    Heard {
        told: commands.map(|command| ftp::answer(command, bytes)).into(),
        kept_bytes: old.iter().map(String::len).sum(),
    }
}

/// How many lines of a file of known hosts say something of `host`.
pub fn known_hosts(text: &str, host: &str, port: u16) -> usize {
    ssh::known_lines(text, host, port)
}
