//! A local folder.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::claim::Claim;
use super::key::check_key;
use super::staged::{ABANDONED, Staged, sweep};
use super::{Destination, Error, Kind, MOST_GOT_BYTES, Pending, TOO_LARGE};
use crate::chunks::Chunks;

/// Slices between two looks whether anybody still wants the file.
const STEP: usize = 64;

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
    options: Arc<Options>,
    /// Folders that are known to be there; and when each was swept, if that is to be done again.
    ready: Arc<Mutex<HashMap<PathBuf, Option<Instant>>>>,
    /// By the playlist's key.
    claims: Arc<Mutex<HashMap<String, Claim>>>,
    /// Held while a name is given or taken away.
    naming: Arc<Mutex<()>>,
    /// Threads that may be at work here: where the file system hangs, no more of them hang with it.
    threads: Arc<Semaphore>,
    /// Whoever begins goes through here. Work that was given up and still runs keeps it shut: while the file system
    /// hangs, what is tried one after the other has one thread hanging, and nothing of it is in the way later.
    gate: Arc<Semaphore>,
}

/// Operations at the same time in one folder.
const THREADS: usize = 8;

impl Copy {
    /// The folder; it is created with the first file.
    pub fn new(options: Options) -> Self {
        Self {
            options: options.into(),
            ready: Arc::default(),
            claims: Arc::default(),
            naming: Arc::default(),
            threads: Arc::new(Semaphore::new(THREADS)),
            gate: Arc::new(Semaphore::new(1)),
        }
    }

    fn path(&self, what: &str, key: &str) -> Result<PathBuf, Error> {
        let path = self.options.directory.join(key);
        check_key(&format!("{what} {}", path.display()), key)?;
        Ok(path)
    }

    /// Makes the folder of `path`, the first time that something is put there. What an earlier run left half-written
    /// is swept away then, and once more when what was young then must be old.
    fn make_ready(&self, path: &Path) -> Result<(), Error> {
        let folder = self.folder_of(path);
        let mut ready = lock(&self.ready);
        let next = match ready.get(folder) {
            Some(Some(swept)) if swept.elapsed() > ABANDONED => None,
            Some(_) => return Ok(()),
            None => Some(Instant::now()),
        };
        self.make_folder(folder).map_err(|source| error("create", folder, source))?;
        // Nothing depends on it, and what is not ours may be in the way.
        if let Err(source) = sweep(folder) {
            tracing::debug!("{} is not swept: {source}", folder.display());
        }
        ready.insert(folder.to_owned(), next);
        Ok(())
    }

    /// Makes `folder` and those that it is in, as far as they are not there.
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        let outer = folder.parent().filter(|outer| !outer.as_os_str().is_empty());
        match DirBuilder::new().create(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make_folder(outer.ok_or(error)?)?;
                return self.make_folder(folder);
            }
            made => made?,
        }
        if let Some(mode) = self.options.folder_mode {
            fs::set_permissions(folder, Permissions::from_mode(mode))?;
        }
        if self.options.is_synced { sync_folder(outer.unwrap_or(Path::new("."))) } else { Ok(()) }
    }

    fn put_now(&self, key: &str, body: &Chunks, wish: &Wish) -> Result<(), Error> {
        let path = self.path("write", key)?;
        self.make_ready(&path)?;
        let mut result = self.write(&path, body, wish);
        if result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            // The folder was taken away since.
            lock(&self.ready).clear();
            self.make_ready(&path)?;
            result = self.write(&path, body, wish);
        }
        if result.is_err() {
            lock(&self.ready).clear();
        }
        result.map_err(|source| error("write", &path, source))
    }

    fn write(&self, path: &Path, body: &Chunks, wish: &Wish) -> io::Result<()> {
        let mut staged = Staged::attempt(path, self.options.file_mode)?;
        for slices in body.slices().chunks(STEP) {
            wish.check()?;
            staged.write(slices)?;
        }
        if self.options.is_synced {
            staged.sync()?;
        }
        let naming = lock(&self.naming);
        wish.check()?;
        staged.commit()?;
        drop(naming);
        if self.options.is_synced { sync_folder(self.folder_of(path)) } else { Ok(()) }
    }

    fn claim_now(&self, key: &str) -> Result<(), Error> {
        let path = self.path("write", key)?;
        if lock(&self.claims).contains_key(key) {
            return Ok(());
        }
        self.make_ready(&path)?;
        let claim = Claim::take(&path).map_err(|source| error("write in", self.folder_of(&path), source))?;
        let Some(claim) = claim else {
            let source = "another segcast is writing it: end that one, or choose another folder".into();
            return Err(Error::new(Kind::Refused, format!("write {}", path.display()), source));
        };
        lock(&self.claims).insert(key.to_owned(), claim);
        Ok(())
    }

    fn folder_of<'a>(&'a self, path: &'a Path) -> &'a Path {
        path.parent().unwrap_or(&self.options.directory)
    }

    fn delete_now(&self, key: &str, wish: &Wish) -> Result<(), Error> {
        let path = self.path("delete", key)?;
        let _naming = lock(&self.naming);
        let deleted = wish.check().and_then(|()| absent_is_none(fs::remove_file(&path)));
        deleted.map_err(|source| error("delete", &path, source)).map(drop)
    }

    fn get_now(&self, key: &str) -> Result<Option<Bytes>, Error> {
        let path = self.path("read", key)?;
        let read = absent_is_none(read(&path)).map_err(|source| error("read", &path, source))?;
        match read {
            Some(bytes) if bytes.len() > MOST_GOT_BYTES => {
                Err(Error::new(Kind::Invalid, format!("read {}", path.display()), TOO_LARGE.into()))
            }
            read => Ok(read.map(Bytes::from)),
        }
    }

    /// Runs `work` where blocking does no harm. There it goes on when the future is dropped, until it asks its wish.
    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self, &Wish) -> Result<T, Error> + Send + 'static,
    ) -> Pending<'static, T> {
        let this = self.clone();
        Box::pin(async move {
            // Neither is ever closed.
            drop(this.gate.acquire().await);
            let permit = Arc::clone(&this.threads).acquire_owned().await;
            let wish = Wish::default();
            let _waiting = Waiting { wish: wish.clone(), gate: Arc::clone(&this.gate) };
            let blocking = tokio::task::spawn_blocking(move || {
                let done = work(&this, &wish);
                // However long ago the future was dropped; only then do others come in.
                drop((this, permit, wish));
                done
            });
            match blocking.await {
                Ok(result) => result,
                Err(join) => Err(Error::new(Kind::Closed, "finish a file operation", join.into())),
            }
        })
    }
}

impl Destination for Copy {
    fn name(&self) -> String {
        self.options.directory.display().to_string()
    }

    fn claim(&self, key: &str) -> Pending<'_, ()> {
        let key = key.to_owned();
        self.blocking(move |this, _| this.claim_now(&key))
    }

    fn put(&self, key: &str, body: Chunks) -> Pending<'_, ()> {
        let key = key.to_owned();
        self.blocking(move |this, wish| this.put_now(&key, &body, wish))
    }

    fn delete(&self, key: &str) -> Pending<'_, ()> {
        let key = key.to_owned();
        self.blocking(move |this, wish| this.delete_now(&key, wish))
    }

    fn get(&self, key: &str) -> Pending<'_, Option<Bytes>> {
        let key = key.to_owned();
        self.blocking(move |this, _| this.get_now(&key))
    }
}

/// Whether anybody still wants what is being done. Asked while `naming` is held, it settles whose name comes last:
/// whoever was dropped before another began gives no name after it.
#[derive(Clone, Debug, Default)]
struct Wish(Arc<Wanted>);

#[derive(Debug, Default)]
struct Wanted {
    is_dropped: AtomicBool,
    /// The gate, kept shut until the work that was given up is over.
    shut: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Wish {
    fn check(&self) -> io::Result<()> {
        if self.0.is_dropped.load(Ordering::SeqCst) {
            Err(io::Error::other("it was given up"))
        } else {
            Ok(())
        }
    }
}

/// The future that waits; the wish ends with it.
struct Waiting {
    wish: Wish,
    gate: Arc<Semaphore>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Wanted { is_dropped, shut } = &*self.wish.0;
        is_dropped.store(true, Ordering::SeqCst);
        // It opens with the last who holds the wish: the thread, if that is still at work.
        *lock(shut) = Arc::clone(&self.gate).try_acquire_owned().ok();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is in a file, and of one that is too large a byte too much.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST_GOT_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Brings the names in `folder` to the disk.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
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
    let (kind, advice) = match source.kind() {
        Io::StorageFull => (Kind::Transient, ": the disk is full: free some space there"),
        Io::QuotaExceeded => {
            (Kind::Transient, ": the user's quota is used up: free some space there, or raise it")
        }
        Io::PermissionDenied => (Kind::Refused, ": let this user write there, or choose another folder"),
        Io::ReadOnlyFilesystem => (Kind::Refused, ": mount it for writing, or choose another folder"),
        Io::FileTooLarge => (Kind::Invalid, ": the size of files is limited (ulimit -f): raise the limit"),
        Io::NotFound => (Kind::Missing, ""),
        Io::InvalidFilename | Io::InvalidInput | Io::NotADirectory | Io::IsADirectory => (Kind::Invalid, ""),
        _ => (Kind::Transient, ""),
    };
    let what = format!("{what} {}", path.display());
    if advice.is_empty() {
        return Error::new(kind, what, source.into());
    }
    Error::new(kind, what, format!("{source}{advice}").into())
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
    async fn a_file_that_is_no_playlist_is_not_read_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create(folder.path().join("index.m3u8")).unwrap();
        let copy = Copy::new(Options::new(folder.path()));
        file.set_len(MOST_GOT_BYTES as u64).unwrap();
        assert_eq!(copy.get("index.m3u8").await.unwrap().map(|bytes| bytes.len()), Some(MOST_GOT_BYTES));
        file.set_len(1 << 40).unwrap();
        assert_eq!(copy.get("index.m3u8").await.unwrap_err().kind(), Kind::Invalid);
    }

    #[tokio::test]
    async fn where_it_hangs_one_thread_hangs_and_is_in_nobodys_way_later() {
        let folder = tempfile::tempdir().unwrap();
        let copy = Copy::new(Options::new(folder.path()));
        // What reads from a pipe hangs until there is a writer.
        let pipe = folder.path().join("index.m3u8");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        copy.claim("index.m3u8").await.unwrap();
        for key in ["index.m3u8", "a", "b"] {
            let soon = std::time::Duration::from_millis(50);
            assert!(tokio::time::timeout(soon, copy.get(key)).await.is_err(), "{key}");
        }
        assert_eq!(copy.threads.available_permits(), THREADS - 1);
        drop(File::options().write(true).open(&pipe).unwrap());
        copy.claim("index.m3u8").await.unwrap_or_else(|error| panic!("by ourselves: {error}"));
        assert_eq!(copy.get("a").await.unwrap(), None);
        assert_eq!(copy.threads.available_permits(), THREADS);
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
        copy.put("b.ts", text("two")).await.unwrap();
        assert_eq!(copy.get("b.ts").await.unwrap().as_deref(), Some(&b"two"[..]));
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
