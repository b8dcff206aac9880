//! A file that appears under its name only when it is whole.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;

use super::attempt::{PREFIX, SUFFIX, is_temporary};

/// Slices given to one vectored write.
const MAX_SLICES: usize = 64;
/// Half-written files that nobody has written to for so long are nobody's.
pub(super) const ABANDONED: Duration = Duration::from_secs(60);
/// Permissions of a new file if none are given, before the process's mask.
const USUAL_MODE: u32 = 0o666;

/// A file being written beside its place, under a temporary name; [`Staged::commit`] renames it. Dropped
/// before that, it leaves nothing behind.
#[derive(Debug)]
pub struct Staged {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
    is_committed: bool,
}

impl Staged {
    /// Begins the file that is to be `target`. Its folder must be there, and nobody else may write the same file:
    /// what was left of it half-written is begun anew.
    ///
    /// # Errors
    /// As the file system gives them.
    pub fn create(target: &Path) -> io::Result<Self> {
        Self::begin(target, "", None)
    }

    /// The same where others may be at the same file: the temporary name is no other attempt's, and no other
    /// process's. The file has permissions `mode`, if they are given, whatever the process's mask.
    pub(super) fn attempt(target: &Path, mode: Option<u32>) -> io::Result<Self> {
        // Process ids are the same in many containers.
        let own = RandomState::new().hash_one(std::process::id());
        Self::begin(target, &format!(".{own:016x}"), mode)
    }

    fn begin(target: &Path, own: &str, mode: Option<u32>) -> io::Result<Self> {
        let name = target.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
        let temporary: OsString =
            [PREFIX.as_ref(), name, own.as_ref(), SUFFIX.as_ref()].into_iter().collect();
        let temporary = target.with_file_name(temporary);
        let mut options = File::options();
        options
            .write(true)
            .create(true)
            .create_new(!own.is_empty())
            .truncate(own.is_empty())
            .mode(mode.unwrap_or(USUAL_MODE));
        let file = options.open(&temporary)?;
        let staged = Self { file, temporary, target: target.to_owned(), is_committed: false };
        if let Some(mode) = mode {
            staged.file.set_permissions(Permissions::from_mode(mode))?;
        }
        Ok(staged)
    }

    /// Appends `slices`, in as few writes as they fit in, without joining them.
    ///
    /// # Errors
    /// As the file system gives them; the file is then to be dropped.
    pub fn write(&mut self, slices: &[Bytes]) -> io::Result<()> {
        for batch in slices.chunks(MAX_SLICES) {
            let mut io: Vec<_> = batch.iter().map(|slice| IoSlice::new(slice)).collect();
            let mut rest = io.as_mut_slice();
            IoSlice::advance_slices(&mut rest, 0);
            while !rest.is_empty() {
                match self.file.write_vectored(rest) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(count) => IoSlice::advance_slices(&mut rest, count),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Brings what is written to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Puts the file in its place, over one that is there, in one step.
    ///
    /// # Errors
    /// As the file system gives them; what was there stays.
    pub fn commit(mut self) -> io::Result<()> {
        fs::rename(&self.temporary, &self.target)?;
        self.is_committed = true;
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.is_committed {
            // It may be gone with its folder; there is nobody to tell.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Removes what a run that was killed left half-written in `directory`. How many files it were. Young ones may be
/// another channel's, just being written; they are left alone.
///
/// # Errors
/// As the file system gives them.
pub fn sweep(directory: &Path) -> io::Result<usize> {
    let mut swept = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if is_temporary(entry.file_name().as_encoded_bytes()) && is_old(&entry) {
            match fs::remove_file(entry.path()) {
                Ok(()) => swept += 1,
                // Whoever else sweeps here was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(swept)
}

/// Whether nobody has written to it for a while; one that is gone meanwhile is nobody's to remove.
fn is_old(entry: &fs::DirEntry) -> bool {
    let written = entry.metadata().and_then(|metadata| metadata.modified());
    written.is_ok_and(|at| at.elapsed().is_ok_and(|age| age >= ABANDONED))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.ts");
        let mut staged = Staged::create(&path).unwrap();
        let slices: Vec<_> = (0..200_u8).map(|n| Bytes::from(vec![n; 10])).collect();
        staged.write(&slices).unwrap();
        assert!(!path.exists());
        staged.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), slices.concat());

        let mut dropped = Staged::create(&path).unwrap();
        dropped.write(&[Bytes::from_static(b"half")]).unwrap();
        drop(dropped);
        assert_eq!(fs::read(&path).unwrap().len(), 2000);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn two_attempts_at_a_file_do_not_meet() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.ts");
        let mut attempts = [1, 2].map(|_| Staged::attempt(&path, None).unwrap());
        attempts[0].write(&[Bytes::from_static(b"first, and longer")]).unwrap();
        attempts[1].write(&[Bytes::from_static(b"second")]).unwrap();
        for (attempt, text) in attempts.into_iter().zip(["first, and longer", "second"]) {
            attempt.commit().unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn permissions_are_as_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.ts");
        for mode in [0o600, 0o666, 0o444] {
            Staged::attempt(&path, Some(mode)).unwrap().commit().unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode);
        }
    }

    #[test]
    fn what_a_killed_run_left_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let begun = ["old.ts", "young.ts"].map(|name| Staged::create(&folder.path().join(name)).unwrap());
        begun[0].file.set_modified(SystemTime::now() - 2 * ABANDONED).unwrap();
        begun.into_iter().for_each(std::mem::forget);
        // As they were called before each had a name of its own.
        let older = File::create(folder.path().join(".older.ts.segcast-part")).unwrap();
        older.set_modified(SystemTime::now() - 2 * ABANDONED).unwrap();
        fs::write(folder.path().join("b.ts"), "whole").unwrap();
        assert_eq!(sweep(folder.path()).unwrap(), 2);
        assert!(folder.path().join("b.ts").exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "the young one may still be written");
    }

    #[test]
    fn empty_slices_are_no_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let mut staged = Staged::create(&path).unwrap();
        staged.write(&[Bytes::new(), Bytes::from_static(b"x"), Bytes::new()]).unwrap();
        staged.write(&[]).unwrap();
        staged.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"x");
    }
}
