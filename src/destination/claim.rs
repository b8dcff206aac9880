//! One writer for each playlist.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// The right to write one playlist in a local folder, against other processes. It is given back when it is dropped,
/// or with the process however that ends.
#[derive(Debug)]
pub struct Claim {
    /// Holds the lock as long as it is open.
    _file: File,
    path: PathBuf,
}

impl Claim {
    /// Claims the playlist at `playlist`, whose folder must be there. None if another has claimed it.
    ///
    /// # Errors
    /// As the file system gives them. One that has no locks lets everybody have it.
    pub fn take(playlist: &Path) -> io::Result<Option<Self>> {
        let name = playlist.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
        let name: OsString = [".".as_ref(), name, ".segcast-lock".as_ref()].into_iter().collect();
        let path = playlist.with_file_name(name);
        loop {
            let file = File::options().create(true).append(true).open(&path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOLCK | Errno::NOSYS) => {}
                Err(Errno::WOULDBLOCK) => return Ok(None),
                Err(errno) => return Err(errno.into()),
            }
            // Whoever had it before may have removed the file between our opening and locking it.
            match fs::metadata(&path) {
                Ok(there) if there.ino() == file.metadata()?.ino() => {
                    return Ok(Some(Self { _file: file, path }));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // While it is still locked. It may be gone with its folder; there is nobody to tell.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_it_until_it_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let playlist = folder.path().join("index.m3u8");
        let claim = Claim::take(&playlist).unwrap().unwrap();
        assert!(Claim::take(&playlist).unwrap().is_none());
        assert!(Claim::take(&folder.path().join("other.m3u8")).unwrap().is_some());
        drop(claim);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(Claim::take(&playlist).unwrap().is_some());
    }
}
