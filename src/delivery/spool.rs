//! Where segments wait that a destination has not taken yet: in memory, then in a folder, within bounds.
//!
//! All destinations of a channel share one [`Store`], and each segment in it is held once for all of them. The oldest
//! ones go to the folder first, and are given up first.

use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;

use crate::chunks::Chunks;
use crate::destination::Claim;

/// What folders of ours begin with in the system's one for temporary files.
const PREFIX: &str = "segcast-spool-";
/// What is claimed in such a folder as long as its process lives.
const CLAIMED: &str = "spool";
/// A folder so young may just be being made by another process.
const YOUNG: Duration = Duration::from_secs(10);
/// The system's folder for temporary files that are large.
const LARGE_TEMPORARY: &str = "/var/tmp";

/// Bounds of what waits; shared by all destinations of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spool {
    /// Bytes that may wait in memory. From half of it on, the oldest segments move to the folder.
    pub memory_bytes: u64,
    /// The folder for what is beyond that. Without one, it is a folder of our own below `TMPDIR` or `/var/tmp`.
    pub directory: Option<PathBuf>,
    /// Bytes that may wait in that folder; 0 uses none.
    pub disk_bytes: u64,
}

impl Default for Spool {
    fn default() -> Self {
        Self { memory_bytes: 256 << 20, directory: None, disk_bytes: 2 << 30 }
    }
}

/// Nobody sweeps what another is just making.
static CREATING: Mutex<()> = Mutex::new(());

/// Segments that wait.
#[derive(Clone, Debug)]
pub struct Store(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bounds: Spool,
    state: Mutex<State>,
    names: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    memory_bytes: u64,
    disk_bytes: u64,
    /// The most that there were at once.
    #[cfg(test)]
    most_memory_bytes: u64,
    /// The oldest first.
    held: VecDeque<Weak<Held>>,
    folder: Option<Folder>,
    /// What the folder said when it failed; it is not used again.
    broken: Option<String>,
}

/// A folder of ours, removed with all that is in it.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    _claim: Option<Claim>,
}

/// One segment's bytes, wherever they are. They are let go with the last one who holds them.
#[derive(Debug)]
pub struct Held {
    size_bytes: u64,
    place: Mutex<Place>,
    store: Arc<Shared>,
}

#[derive(Debug)]
enum Place {
    Memory(Chunks),
    /// In memory, and being written to the folder.
    Moving(Chunks),
    Disk(PathBuf),
    Gone,
}

impl Store {
    /// An empty one.
    pub fn new(bounds: Spool) -> Self {
        Self(Arc::new(Shared { bounds, state: Mutex::default(), names: AtomicU64::new(0) }))
    }

    /// Holds a segment. Where that is too much, the oldest ones move to the folder or are given up. Must be called
    /// within a tokio runtime.
    pub fn hold(&self, body: Chunks) -> Arc<Held> {
        let size_bytes = body.size_bytes();
        let held =
            Arc::new(Held { size_bytes, place: Mutex::new(Place::Memory(body)), store: Arc::clone(&self.0) });
        let mut state = self.0.lock();
        state.memory_bytes += size_bytes;
        // Dropped only when the lock is not held any more: the last one to hold it asks for the lock.
        let (gone, older): (Vec<_>, Vec<_>) =
            state.held.iter().filter_map(Weak::upgrade).partition(|held| held.is_gone());
        state.held = older.iter().map(Arc::downgrade).collect();
        state.held.push_back(Arc::downgrade(&held));
        self.0.give_up_beyond_memory(&mut state, &older);
        #[cfg(test)]
        {
            state.most_memory_bytes = state.most_memory_bytes.max(state.memory_bytes);
        }
        let moving = self.0.choose_for_folder(&mut state, &older);
        drop(state);
        drop(gone);
        for one in moving {
            self.0.clone().move_to_folder(one);
        }
        held
    }

    /// The bytes that wait now, in memory and in the folder.
    pub fn waiting_bytes(&self) -> (u64, u64) {
        let state = self.0.lock();
        (state.memory_bytes, state.disk_bytes)
    }

    /// The most bytes that were in memory at once.
    #[cfg(test)]
    fn most_memory_bytes(&self) -> u64 {
        self.0.lock().most_memory_bytes
    }

    /// Why the folder cannot be used, if so; told once.
    pub fn take_trouble(&self) -> Option<String> {
        let mut state = self.0.lock();
        let broken = state.broken.as_mut()?;
        Some(std::mem::take(broken)).filter(|text| !text.is_empty())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_up_beyond_memory(&self, state: &mut State, older: &[Arc<Held>]) {
        for held in older {
            if state.memory_bytes <= self.bounds.memory_bytes {
                break;
            }
            if matches!(*held.place(), Place::Memory(_) | Place::Moving(_)) {
                held.give_up(state);
            }
        }
    }

    /// The oldest segments in memory that make it half empty again, with room made for them in the folder.
    fn choose_for_folder(&self, state: &mut State, older: &[Arc<Held>]) -> Vec<Arc<Held>> {
        let mut chosen = Vec::new();
        if state.broken.is_some() {
            return chosen;
        }
        let is_moving = |held: &&Arc<Held>| matches!(*held.place(), Place::Moving(_));
        let moving: u64 = older.iter().filter(is_moving).map(|held| held.size_bytes).sum();
        let mut staying = state.memory_bytes - moving.min(state.memory_bytes);
        for held in older {
            if staying <= self.bounds.memory_bytes / 2 || held.size_bytes > self.bounds.disk_bytes {
                break;
            }
            let Some(body) = held.unmoved() else { continue };
            self.make_room(state, older, held.size_bytes);
            if state.disk_bytes + held.size_bytes > self.bounds.disk_bytes {
                break;
            }
            state.disk_bytes += held.size_bytes;
            staying -= held.size_bytes;
            *held.place() = Place::Moving(body);
            chosen.push(Arc::clone(held));
        }
        chosen
    }

    /// Gives up the oldest in the folder until `size_bytes` more fit into it.
    fn make_room(&self, state: &mut State, older: &[Arc<Held>], size_bytes: u64) {
        for held in older {
            if state.disk_bytes + size_bytes <= self.bounds.disk_bytes {
                break;
            }
            if matches!(*held.place(), Place::Disk(_)) {
                held.give_up(state);
            }
        }
    }

    fn move_to_folder(self: Arc<Self>, held: Arc<Held>) {
        let Some(body) = held.moving() else { return };
        // While it is written, only those who wait for it keep it.
        let held = Arc::downgrade(&held);
        tokio::task::spawn_blocking(move || {
            let written = self.write(&body);
            drop(body);
            self.moved(held.upgrade(), written);
        });
    }

    fn write(&self, body: &Chunks) -> io::Result<PathBuf> {
        let folder = self.folder()?;
        let path = folder.join(format!("{}.ts", self.names.fetch_add(1, Ordering::Relaxed)));
        let mut file = std::fs::File::create_new(&path)?;
        let result = body.slices().iter().try_for_each(|slice| io::Write::write_all(&mut file, slice));
        result.map(|()| path.clone()).inspect_err(|_| drop(std::fs::remove_file(&path)))
    }

    /// A segment has been written to the folder, or could not be.
    fn moved(&self, held: Option<Arc<Held>>, written: io::Result<PathBuf>) {
        let mut state = self.lock();
        match (held.as_ref().map(|held| (held, held.place())), written) {
            (Some((held, mut place)), Ok(path)) if matches!(*place, Place::Moving(_)) => {
                *place = Place::Disk(path);
                state.memory_bytes -= held.size_bytes;
            }
            (Some((held, mut place)), Err(error)) => {
                if let Place::Moving(body) = std::mem::replace(&mut *place, Place::Gone) {
                    *place = Place::Memory(body);
                    state.disk_bytes -= held.size_bytes;
                }
                let folder = self.base().display().to_string();
                state.broken.get_or_insert(format!("cannot spool to {folder}: {error}"));
            }
            // Nobody waits for it any more.
            (_, Ok(path)) => drop(std::fs::remove_file(path)),
            (None, Err(_)) => {}
        }
        drop(state);
        drop(held);
    }

    fn base(&self) -> PathBuf {
        let usual = || std::env::var_os("TMPDIR").map_or_else(|| LARGE_TEMPORARY.into(), PathBuf::from);
        self.bounds.directory.clone().unwrap_or_else(usual)
    }

    /// Our folder, made the first time that it is needed.
    fn folder(&self) -> io::Result<PathBuf> {
        let _one_at_a_time = CREATING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = &self.lock().folder {
            return Ok(folder.path.clone());
        }
        let made = Folder::create(&self.base())?;
        let mut state = self.lock();
        Ok(state.folder.get_or_insert(made).path.clone())
    }
}

impl Folder {
    /// A folder that nobody else uses, below `base`. What killed processes left there is removed.
    fn create(base: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(base)?;
        sweep(base);
        for n in 0.. {
            let path = base.join(format!("{PREFIX}{}-{n}", std::process::id()));
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {
                    let claim = Claim::take(&path.join(CLAIMED))?;
                    return Ok(Self { path, _claim: claim });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Whoever comes next sweeps it.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Removes the folders of processes of this user that were killed.
fn sweep(base: &Path) {
    let entries = std::fs::read_dir(base).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    for entry in ours.filter(is_left) {
        if let Ok(Some(claim)) = Claim::take(&entry.path().join(CLAIMED)) {
            let _ = std::fs::remove_dir_all(entry.path());
            drop(claim);
        }
    }
}

/// Whether a folder is this user's, and was not just made.
fn is_left(entry: &std::fs::DirEntry) -> bool {
    let Ok(metadata) = entry.metadata() else { return false };
    let is_old = metadata.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age >= YOUNG));
    metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw() && is_old
}

impl Held {
    /// How many they are.
    pub const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Whether it was given up.
    pub fn is_gone(&self) -> bool {
        matches!(*self.place(), Place::Gone)
    }

    /// Its bytes; none if it was given up.
    ///
    /// # Errors
    /// If the folder does not give back what was put there.
    pub async fn load(self: &Arc<Self>) -> io::Result<Option<Chunks>> {
        let path = match &*self.place() {
            Place::Memory(body) | Place::Moving(body) => return Ok(Some(body.clone())),
            Place::Disk(path) => path.clone(),
            Place::Gone => return Ok(None),
        };
        let read = tokio::task::spawn_blocking(move || std::fs::read(path)).await?;
        match read {
            Ok(bytes) => Ok(Some(Chunks::from(Bytes::from(bytes)))),
            Err(_) if matches!(*self.place(), Place::Gone) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unmoved(&self) -> Option<Chunks> {
        if let Place::Memory(body) = &*self.place() { Some(body.clone()) } else { None }
    }

    fn moving(&self) -> Option<Chunks> {
        if let Place::Moving(body) = &*self.place() { Some(body.clone()) } else { None }
    }

    fn give_up(&self, state: &mut State) {
        let place = std::mem::replace(&mut *self.place(), Place::Gone);
        self.let_go(place, state);
    }

    fn let_go(&self, place: Place, state: &mut State) {
        if matches!(place, Place::Memory(_) | Place::Moving(_)) {
            state.memory_bytes -= self.size_bytes;
        }
        if matches!(place, Place::Disk(_) | Place::Moving(_)) {
            state.disk_bytes -= self.size_bytes;
        }
        if let Place::Disk(path) = place {
            // It goes with its folder at the latest.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let place = std::mem::replace(&mut *self.place(), Place::Gone);
        let store = Arc::clone(&self.store);
        let mut state = store.lock();
        self.let_go(place, &mut state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn body(n: u8) -> Chunks {
        Chunks::from(Bytes::from(vec![n; MIB as usize]))
    }

    fn store(memory: u64, disk: u64, base: &Path) -> Store {
        let directory = Some(base.to_owned());
        Store::new(Spool { memory_bytes: memory * MIB, directory, disk_bytes: disk * MIB })
    }

    fn held(store: &Store) -> (u64, u64) {
        let state = store.0.lock();
        (state.memory_bytes / MIB, state.disk_bytes / MIB)
    }

    async fn until(what: impl Fn() -> bool) {
        let wait = async {
            while !what() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait).await.expect("it comes");
    }

    #[tokio::test]
    async fn what_is_beyond_half_of_the_memory_moves_to_the_folder_and_comes_back() {
        let base = tempfile::tempdir().unwrap();
        let store = store(4, 10, base.path());
        let mut all = Vec::new();
        for n in 0..8 {
            all.push((n, store.hold(body(n))));
            until(|| held(&store).0 <= 2).await;
        }
        assert_eq!(held(&store), (2, 6));
        for (n, one) in &all {
            match one.load().await.unwrap() {
                Some(bytes) => assert_eq!(bytes.to_bytes(), body(*n).to_bytes()),
                None => panic!("{n} is lost"),
            }
        }
        drop(all);
        until(|| held(&store) == (0, 0)).await;
        drop(store);
        until(|| std::fs::read_dir(base.path()).unwrap().count() == 0).await;
    }

    #[tokio::test]
    async fn beyond_both_bounds_the_oldest_is_given_up_and_the_newest_stays() {
        let base = tempfile::tempdir().unwrap();
        let store = store(4, 3, base.path());
        let mut all = Vec::new();
        for n in 0..20 {
            all.push(store.hold(body(n)));
            until(|| held(&store).0 <= 3).await;
            let (memory, disk) = held(&store);
            assert!(memory <= 4 && disk <= 3, "{memory} MiB, {disk} MiB");
        }
        assert!(store.most_memory_bytes() <= 4 * MIB);
        let mut there = Vec::new();
        for one in &all {
            there.push(one.load().await.unwrap().is_some());
        }
        let lost = there.iter().take_while(|is_there| !**is_there).count();
        assert!(there[lost..].iter().all(|is_there| *is_there), "{there:?}");
        assert!((13..=16).contains(&lost), "{there:?}");
    }

    #[tokio::test]
    async fn without_a_folder_memory_alone_is_the_bound() {
        let base = tempfile::tempdir().unwrap();
        let store = store(3, 0, base.path());
        let all: Vec<_> = (0..5).map(|n| store.hold(body(n))).collect();
        assert_eq!(held(&store), (3, 0));
        assert!(all[1].load().await.unwrap().is_none() && all[2].load().await.unwrap().is_some());
        // One larger than all that may wait still has its chance.
        let large = store.hold(Chunks::from(Bytes::from(vec![0; 4 * MIB as usize])));
        assert!(large.load().await.unwrap().is_some() && all[4].load().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_used_is_told_once_and_memory_goes_on() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join("file");
        std::fs::write(&file, "").unwrap();
        let store = store(4, 10, &file);
        let all: Vec<_> = (0..4).map(|n| store.hold(body(n))).collect();
        until(|| store.0.lock().broken.is_some()).await;
        assert!(store.take_trouble().unwrap().starts_with("cannot spool to "));
        assert_eq!(store.take_trouble(), None);
        assert!(all[0].load().await.unwrap().is_some());
    }

    #[test]
    fn folders_of_killed_processes_are_swept() {
        let base = tempfile::tempdir().unwrap();
        let living = Folder::create(base.path()).unwrap();
        let dead = base.path().join(format!("{PREFIX}1-0"));
        std::fs::create_dir(&dead).unwrap();
        std::fs::write(dead.join("0.ts"), "x").unwrap();
        let young = base.path().join(format!("{PREFIX}2-0"));
        std::fs::create_dir(&young).unwrap();
        let long_ago = std::time::SystemTime::now() - 2 * YOUNG;
        std::fs::File::open(&dead).unwrap().set_modified(long_ago).unwrap();
        let other = Folder::create(base.path()).unwrap();
        assert!(living.path.exists() && other.path.exists() && young.exists() && !dead.exists());
    }
}
