//! A folder that HLS is written to: whole files, playlists behind what they name, and nothing that is out of date.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::bail;
use bytes::Bytes;

use super::earlier::Earlier;
use super::tell;
use crate::destination::{Claim, Staged, sweep};
use crate::live::{self, Kind, Plan, Presentation, Rendition, Retention, Step};

/// The playlist that viewers open.
pub const PLAYLIST: &str = "index.m3u8";

/// What is to be written, and where.
pub struct Settings {
    /// Created with the first segment.
    pub directory: PathBuf,
    /// The kind of playlist.
    pub kind: Kind,
    /// The segment duration aimed at.
    pub target: Duration,
    /// First part of the segments' names.
    pub prefix: String,
    /// Whether warnings are kept back.
    pub is_quiet: bool,
}

/// A folder that is being written to.
pub struct Folder {
    directory: PathBuf,
    is_vod: bool,
    is_quiet: bool,
    /// What stands in the playlists.
    pub presentation: Presentation,
    retention: Retention,
    /// What an earlier run left in this folder, to be deleted once a VOD has taken its place.
    stale: BTreeSet<String>,
    /// Whether a segment of this run is there.
    has_segments: bool,
    /// That nobody else writes here.
    _claim: Claim,
    began: Instant,
}

impl Folder {
    /// The first segment begins: now, and not before, the folder is touched, and looked at. Several renditions get a
    /// multivariant playlist.
    ///
    /// # Errors
    /// If it cannot be written, or another writes there; so it is with all that writes.
    pub fn open(settings: &Settings, renditions: Vec<Rendition>) -> anyhow::Result<Self> {
        let directory = settings.directory.clone();
        fs::create_dir_all(&directory).map_err(|error| cannot("create the folder", &directory, &error))?;
        sweep(&directory).map_err(|error| cannot("write in", &directory, &error))?;
        let playlist = directory.join(PLAYLIST);
        let claim = Claim::take(&playlist).map_err(|error| cannot("write in", &directory, &error))?;
        let Some(claim) = claim else {
            bail!(
                "cannot write {}: another segcast is writing it; end that one, or choose another folder",
                playlist.display()
            );
        };
        let is_vod = settings.kind == Kind::Vod;
        let earlier = Earlier::read(&directory, &settings.prefix)?;
        let mut folder = Self {
            directory,
            is_vod,
            is_quiet: settings.is_quiet,
            presentation: Presentation::new(options(settings, renditions)),
            retention: Retention::default(),
            stale: BTreeSet::new(),
            has_segments: false,
            _claim: claim,
            began: Instant::now(),
        };
        folder.take_up(earlier);
        Ok(folder)
    }

    /// Goes on where an earlier run left off. Nobody else writes there any more.
    fn take_up(&mut self, mut earlier: Earlier) {
        let options = self.presentation.options().clone();
        // A file's names are always the same; a live stream's are never used again.
        if self.is_vod {
            let expired = options.renditions.iter().flat_map(|rendition| earlier.expired(rendition));
            self.stale = expired.collect();
            self.stale.append(&mut earlier.named);
            return;
        }
        let mut shown = Duration::ZERO;
        for media in earlier.media.values() {
            shown = shown.max(media.duration() + media.target_duration);
        }
        let playlists = options.renditions.iter().map(|rendition| earlier.media.remove(&rendition.playlist));
        let playlists: Vec<_> = playlists.collect();
        for (rendition, media) in playlists.iter().enumerate() {
            if let Some(media) = media {
                self.retention.take_up(&options, rendition, media, Duration::ZERO);
            }
        }
        // What lies there in another layout is not gone on with.
        for name in earlier.named {
            let is_ours = options.renditions.iter().any(|rendition| rendition.playlist == name);
            if !is_ours && !self.retention.is_named(&name) {
                self.retention.expire(name, shown);
            }
        }
        self.presentation = Presentation::resume(options, &playlists);
    }

    /// Begins a file.
    pub fn stage(&self, key: &str) -> anyhow::Result<Staged> {
        let path = self.directory.join(key);
        Staged::create(&path).map_err(|error| cannot("write", &path, &error))
    }

    /// Goes on with a file that is called `key`.
    pub fn write(&self, key: &str, file: &mut Staged, slices: &[Bytes]) -> anyhow::Result<()> {
        file.write(slices).map_err(|error| cannot("write", &self.directory.join(key), &error))
    }

    /// A file is whole.
    pub fn commit(&mut self, key: &str, file: Staged) -> anyhow::Result<()> {
        file.commit().map_err(|error| cannot("write", &self.directory.join(key), &error))?;
        self.stale.remove(key);
        Ok(())
    }

    /// A segment is whole.
    pub fn commit_segment(&mut self, key: &str, file: Staged) -> anyhow::Result<()> {
        if self.is_vod && !self.has_segments {
            // It names what is replaced from here on.
            remove(&self.directory.join(PLAYLIST))?;
        }
        self.has_segments = true;
        self.commit(key, file)
    }

    /// Writes a file in one.
    pub fn put(&mut self, key: &str, slices: &[Bytes]) -> anyhow::Result<()> {
        let mut file = self.stage(key)?;
        self.write(key, &mut file, slices)?;
        self.commit(key, file)
    }

    /// Puts the playlists of a plan, whose segments are there, and deletes what has expired.
    pub fn perform(&mut self, plan: Plan) -> anyhow::Result<()> {
        for anomaly in plan.anomalies().iter().filter(|_| !self.is_quiet) {
            tell(format_args!("warning: {anomaly}"));
        }
        for step in plan {
            match step {
                Step::PutSegment { .. } => {}
                Step::PutPlaylist { key, text } => self.put(&key, &[Bytes::from(text)])?,
            }
        }
        let now = self.began.elapsed();
        let snapshot = self.presentation.snapshot();
        for rendition in (0..snapshot.renditions()).filter(|_| !self.is_vod) {
            if let Some(view) = snapshot.view(rendition) {
                self.retention.show(rendition, view, now);
            }
        }
        while let Some(key) = self.retention.take(now) {
            remove(&self.directory.join(key))?;
        }
        Ok(())
    }

    /// Ends all playlists, and deletes what they have taken the place of.
    pub fn finish(&mut self) -> anyhow::Result<()> {
        for rendition in 0..self.presentation.options().renditions.len() {
            let plan = self.presentation.end(rendition);
            self.perform(plan)?;
        }
        let stale = if self.has_segments { std::mem::take(&mut self.stale) } else { BTreeSet::new() };
        stale.iter().try_for_each(|key| remove(&self.directory.join(key)))
    }
}

fn options(settings: &Settings, renditions: Vec<Rendition>) -> live::Options {
    let container = renditions.first().map(|rendition| rendition.container).unwrap_or_default();
    let listing = live::Listing { key: PLAYLIST.to_owned(), container };
    live::Options {
        kind: settings.kind,
        target: settings.target,
        multivariants: if renditions.len() > 1 { vec![listing] } else { Vec::new() },
        url_prefix: String::new(),
        has_date_time: settings.kind != Kind::Vod,
        has_parts: false,
        renditions,
    }
}

fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(cannot("delete", path, &error)),
        _ => Ok(()),
    }
}

/// What could not be done with a file of the output, why, and what to do about it.
pub fn cannot(what: &str, path: &Path, error: &io::Error) -> anyhow::Error {
    use io::ErrorKind as Io;
    let advice = match error.kind() {
        Io::StorageFull | Io::QuotaExceeded => "; free some space, or choose a folder elsewhere by --output",
        Io::FileTooLarge => {
            "; the size of files is limited (ulimit -f): raise the limit, or cut shorter by --segment"
        }
        Io::PermissionDenied | Io::ReadOnlyFilesystem => "; choose a folder that can be written by --output",
        Io::AlreadyExists | Io::NotADirectory | Io::NotFound => "; choose another folder by --output",
        _ => "",
    };
    anyhow::anyhow!("cannot {what} {}: {error}{advice}", path.display())
}
