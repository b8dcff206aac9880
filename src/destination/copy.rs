//! A local folder.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::claim::Claim;
use super::staged::{Staged, sweep};
use super::{Destination, Error, Kind, Pending};
use crate::chunks::Chunks;

/// A folder, and how files are written there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Created if it is not there.
    pub directory: PathBuf,
    /// Whether each file is brought to the disk (fsync) before it gets its name, and its name before the next one is.
    pub is_synced: bool,
    /// Permissions of files, such as 0o644; the process's usual ones if none are given.
    pub file_mode: Option<u32>,
    /// Permissions of folders that are created here.
    pub folder_mode: Option<u32>,
}

impl Options {
    /// The folder at `directory`, as usual.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), ..Self::default() }
    }
}

/// A local folder. Each file appears under its name only when it is whole.
#[derive(Clone, Debug)]
pub struct Copy {
    directory: Arc<Path>,
    /// Folders that are known to be there.
    ready: Arc<Mutex<HashSet<PathBuf>>>,
    claims: Arc<Mutex<Vec<Claim>>>,
}

impl Copy {
    /// The folder; it is created with the first file.
    pub fn new(options: Options) -> Self {
        Self { directory: options.directory.into(), ready: Arc::default(), claims: Arc::default() }
    }

    fn path(&self, key: &str) -> Result<PathBuf, Error> {
        let is_inside = key.split('/').all(|part| !matches!(part, "" | "." | ".."));
        let path = self.directory.join(key);
        if is_inside { Ok(path) } else { Err(error("use", &path, io::ErrorKind::InvalidFilename.into())) }
    }

    /// Makes the folder of `path`, the first time that something is put there.
    fn make_ready(&self, path: &Path) -> Result<(), Error> {
        let folder = self.folder_of(path);
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if !ready.contains(folder) {
            std::fs::create_dir_all(folder).map_err(|source| error("create", folder, source))?;
            sweep(folder).map_err(|source| error("write in", folder, source))?;
            ready.insert(folder.to_owned());
        }
        Ok(())
    }

    fn put_now(&self, key: &str, body: &Chunks) -> Result<(), Error> {
        let path = self.path(key)?;
        self.make_ready(&path)?;
        let write = || {
            let mut staged = Staged::create(&path)?;
            staged.write(body.slices())?;
            staged.commit()
        };
        let result = write();
        if result.is_err() {
            // The folder may have been taken away: the next put looks again.
            self.ready.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        result.map_err(|source| error("write", &path, source))
    }

    fn claim_now(&self, key: &str) -> Result<(), Error> {
        let path = self.path(key)?;
        self.make_ready(&path)?;
        let claim = Claim::take(&path).map_err(|source| error("write in", self.folder_of(&path), source))?;
        let Some(claim) = claim else {
            let source = "another segcast is writing it: end that one, or choose another folder".into();
            return Err(Error::new(Kind::Refused, format!("write {}", path.display()), source));
        };
        self.claims.lock().unwrap_or_else(PoisonError::into_inner).push(claim);
        Ok(())
    }

    fn folder_of<'a>(&'a self, path: &'a Path) -> &'a Path {
        path.parent().unwrap_or(&self.directory)
    }

    fn delete_now(&self, key: &str) -> Result<(), Error> {
        let path = self.path(key)?;
        absent_is_none(std::fs::remove_file(&path)).map_err(|source| error("delete", &path, source)).map(drop)
    }

    fn get_now(&self, key: &str) -> Result<Option<Bytes>, Error> {
        let path = self.path(key)?;
        let read = absent_is_none(std::fs::read(&path)).map_err(|source| error("read", &path, source))?;
        Ok(read.map(Bytes::from))
    }

    /// Runs `work` where blocking does no harm.
    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Error> + Send + 'static,
    ) -> Pending<'static, T> {
        let this = self.clone();
        Box::pin(async move {
            match tokio::task::spawn_blocking(move || work(&this)).await {
                Ok(result) => result,
                Err(join) => Err(Error::new(Kind::Closed, "finish a file operation", join.into())),
            }
        })
    }
}

impl Destination for Copy {
    fn name(&self) -> String {
        self.directory.display().to_string()
    }

    fn claim(&self, key: &str) -> Pending<'_, ()> {
        let key = key.to_owned();
        self.blocking(move |this| this.claim_now(&key))
    }

    fn put(&self, key: &str, body: Chunks) -> Pending<'_, ()> {
        let key = key.to_owned();
        self.blocking(move |this| this.put_now(&key, &body))
    }

    fn delete(&self, key: &str) -> Pending<'_, ()> {
        let key = key.to_owned();
        self.blocking(move |this| this.delete_now(&key))
    }

    fn get(&self, key: &str) -> Pending<'_, Option<Bytes>> {
        let key = key.to_owned();
        self.blocking(move |this| this.get_now(&key))
    }
}

fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn error(what: &str, path: &Path, source: io::Error) -> Error {
    use io::ErrorKind as Io;
    let kind = match source.kind() {
        Io::PermissionDenied | Io::ReadOnlyFilesystem => Kind::Refused,
        Io::NotFound => Kind::Missing,
        Io::InvalidFilename | Io::InvalidInput | Io::NotADirectory | Io::IsADirectory => Kind::Invalid,
        _ => Kind::Transient,
    };
    Error::new(kind, format!("{what} {}", path.display()), source.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Chunks {
        Chunks::from(text.to_owned())
    }

    #[tokio::test]
    async fn what_is_put_can_be_got_and_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let copy = Copy::new(Options::new(folder.path().join("made/on demand")));
        copy.put("a/ü 1.ts", text("one")).await.unwrap();
        copy.put("a/ü 1.ts", text("two")).await.unwrap();
        assert_eq!(copy.get("a/ü 1.ts").await.unwrap().as_deref(), Some(&b"two"[..]));
        copy.delete("a/ü 1.ts").await.unwrap();
        copy.delete("a/ü 1.ts").await.unwrap();
        assert_eq!(copy.get("a/ü 1.ts").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_playlist_has_one_writer() {
        let folder = tempfile::tempdir().unwrap();
        let first = Copy::new(Options::new(folder.path()));
        first.claim("a/index.m3u8").await.unwrap();
        let second = Copy::new(Options::new(folder.path()));
        assert_eq!(second.claim("a/index.m3u8").await.unwrap_err().kind(), Kind::Refused);
        second.claim("b/index.m3u8").await.unwrap();
        drop(first);
        second.claim("a/index.m3u8").await.unwrap();
    }

    #[tokio::test]
    async fn keys_that_lead_outside_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let copy = Copy::new(Options::new(folder.path()));
        for key in ["../x", "a/../../x", "/etc/x", "", "a//b"] {
            assert_eq!(copy.put(key, text("x")).await.unwrap_err().kind(), Kind::Invalid, "{key}");
        }
    }

    #[tokio::test]
    async fn a_folder_that_was_taken_away_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let copy = Copy::new(Options::new(folder.path().join("live")));
        copy.put("a.ts", text("one")).await.unwrap();
        std::fs::remove_dir_all(folder.path().join("live")).unwrap();
        assert_eq!(copy.put("b.ts", text("two")).await.unwrap_err().kind(), Kind::Missing);
        copy.put("b.ts", text("two")).await.unwrap();
    }

    #[tokio::test]
    async fn a_file_where_the_folder_should_be_is_said() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("live"), "").unwrap();
        let error =
            Copy::new(Options::new(folder.path().join("live"))).put("a.ts", text("x")).await.unwrap_err();
        assert!(error.to_string().starts_with("cannot create "), "{error}");
    }
}
