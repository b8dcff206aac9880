//! What a file of configuration may take from outside of itself: variables, the user's home, files with secrets.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::Environment;
use crate::destination::Secret;

/// A secret larger than this, in bytes, is something else.
const LARGEST_SECRET: u64 = 64 << 10;

/// The world around a file.
pub(super) struct Outside<'a> {
    pub(super) environment: &'a Environment,
    read: fn(&Path) -> io::Result<Vec<u8>>,
}

impl<'a> Outside<'a> {
    /// Variables alone: files with secrets cannot be read.
    pub(super) fn of_text(environment: &'a Environment) -> Self {
        let read = |_: &Path| Err(io::Error::other("only a file that is loaded may name others"));
        Self { environment, read }
    }

    /// This machine.
    pub(super) fn of_machine(environment: &'a Environment) -> Self {
        Self { environment, read: read_start }
    }

    /// `path`, where `~/` at its beginning is the user's home.
    ///
    /// # Errors
    /// If nobody knows where that is.
    pub(super) fn path(&self, path: &str) -> Result<PathBuf, String> {
        let Some(below) = path.strip_prefix("~/") else { return Ok(path.into()) };
        match self.environment.get("HOME").filter(|home| !home.is_empty()) {
            Some(home) => Ok(Path::new(home).join(below)),
            None => Err("`~/` is the user's home, but the environment variable \"HOME\" is not set".into()),
        }
    }

    /// The secret in a file, without the end of its last line.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn secret(&self, path: &Path) -> Result<Secret, String> {
        let name = format!("{:?}", path.display().to_string());
        let bytes = (self.read)(path).map_err(|error| format!("{name} cannot be read: {error}"))?;
        if bytes.len() as u64 > LARGEST_SECRET {
            return Err(format!("{name} is over 64 KiB, too large for a secret"));
        }
        let text = String::from_utf8(bytes).map_err(|_| format!("{name} is no UTF-8 text"))?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        match line.strip_suffix('\r').unwrap_or(line) {
            "" => Err(format!("{name} is empty")),
            secret => Ok(Secret::new(secret)),
        }
    }
}

/// A file's bytes, up to more than a secret may have.
fn read_start(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(LARGEST_SECRET + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_stands_at_the_beginning_alone() {
        let environment = Environment::from([("HOME".to_owned(), "/home/me".to_owned())]);
        let outside = Outside::of_text(&environment);
        assert_eq!(outside.path("~/.ssh/id"), Ok("/home/me/.ssh/id".into()));
        assert_eq!(outside.path("a/~/b"), Ok("a/~/b".into()));
        assert!(
            Outside::of_text(&Environment::new()).path("~/x").unwrap_err().contains("\"HOME\" is not set")
        );
    }

    #[test]
    fn a_secret_is_read_without_its_last_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let environment = Environment::new();
        let outside = Outside::of_machine(&environment);
        for (bytes, secret) in [(&b"a b\n"[..], "a b"), (b"a\r\n", "a"), (b" a\n\n", " a\n"), (b"a", "a")] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(outside.secret(&path).unwrap().expose(), secret);
        }
        let told = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            outside.secret(&path).unwrap_err()
        };
        assert!(told(b"\n").ends_with("is empty"));
        assert!(told(b"\xff").ends_with("is no UTF-8 text"));
        assert!(told(&vec![b'x'; 70_000]).ends_with("too large for a secret"));
        assert!(
            outside.secret(Path::new("/no/such")).unwrap_err().starts_with("\"/no/such\" cannot be read: ")
        );
        assert!(Outside::of_text(&environment).secret(&path).is_err());
    }
}
