//! A folder that HLS is written to piece by piece: segments as their bytes come, the playlist behind them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::bail;
use bytes::Bytes;

use super::tell;
use crate::destination::{Claim, Staged, sweep};
use crate::live::{self, Kind, Plan, Presentation, Retention, Step};
use crate::playlist::{self, Media};
use crate::segment::{Event, Extent, Head};

/// The playlist's name.
const PLAYLIST: &str = "index.m3u8";

/// The most segments that a live stream is believed to have left behind its playlist.
const MOST_EXPIRED: u64 = 1000;

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

/// Writes segments as their bytes come, and the playlist behind them.
pub struct Writer {
    directory: PathBuf,
    is_vod: bool,
    presentation: Presentation,
    retention: Retention,
    /// In their order; two at most.
    drafts: VecDeque<Draft>,
    /// Segments of what an earlier run left in this folder, to be deleted once a VOD has taken its place.
    stale: BTreeSet<String>,
    is_quiet: bool,
    /// That nobody else writes here; held from the first segment on.
    claim: Option<Claim>,
    began: Instant,
    /// Written so far.
    pub segments: u64,
    duration: Duration,
    anomalies: BTreeMap<&'static str, (u64, String)>,
}

impl Writer {
    /// Nothing is touched yet, nor looked at: another may still be writing there.
    pub fn new(settings: Settings) -> Self {
        let Settings { directory, kind, target, prefix, is_quiet } = settings;
        let is_vod = kind == Kind::Vod;
        let rendition = live::Rendition {
            playlist: PLAYLIST.to_owned(),
            segment_prefix: format!("{prefix}-"),
            name: prefix,
            ..live::Rendition::default()
        };
        let options = live::Options {
            kind,
            target,
            multivariants: Vec::new(),
            url_prefix: String::new(),
            has_date_time: !is_vod,
            has_parts: false,
            renditions: vec![rendition],
        };
        Self {
            directory,
            is_vod,
            presentation: Presentation::new(options),
            retention: Retention::default(),
            drafts: VecDeque::new(),
            stale: BTreeSet::new(),
            is_quiet,
            claim: None,
            began: Instant::now(),
            segments: 0,
            duration: Duration::ZERO,
            anomalies: BTreeMap::new(),
        }
    }

    /// Takes what the cutter says. Bytes are written by [`Writer::flush`].
    ///
    /// # Errors
    /// If the folder cannot be written; [`Writer::flush`] and [`Writer::finish`] too.
    pub fn take(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Open { ordinal, head } => self.open(ordinal, head)?,
            Event::Data { ordinal, bytes } => {
                if let Some(draft) = self.drafts.iter_mut().find(|draft| draft.ordinal == ordinal) {
                    draft.slices.push(bytes);
                }
            }
            Event::Close { extent, .. } => self.close(&extent)?,
            Event::Anomaly(anomaly) => {
                let first = || (0, anomaly.to_string());
                self.anomalies.entry(anomaly.kind.name()).or_insert_with(first).0 += 1;
            }
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, ordinal: u64, head: Head) -> anyhow::Result<()> {
        if ordinal == 0 {
            self.make_ready()?;
        }
        let number = self.presentation.next_number(0) + self.drafts.len() as u64;
        let key = self.presentation.options().renditions[0].segment_key(number);
        let path = self.directory.join(&key);
        let file = Staged::create(&path).map_err(|error| cannot("write", &path, &error))?;
        let arrived = SystemTime::now();
        self.drafts.push_back(Draft { ordinal, head, arrived, file, key, slices: Vec::new() });
        Ok(())
    }

    /// The first segment begins: now, and not before, the folder is touched.
    fn make_ready(&mut self) -> anyhow::Result<()> {
        let folder = &self.directory;
        fs::create_dir_all(folder).map_err(|error| cannot("create the folder", folder, &error))?;
        sweep(folder).map_err(|error| cannot("write in", folder, &error))?;
        let playlist = folder.join(PLAYLIST);
        let claim = Claim::take(&playlist).map_err(|error| cannot("write in", folder, &error))?;
        if claim.is_none() {
            bail!(
                "cannot write {}: another segcast is writing it; end that one, or choose another folder",
                playlist.display()
            );
        }
        self.claim = claim;
        self.take_up()
    }

    /// Goes on where an earlier run left off. Nobody else writes there any more.
    fn take_up(&mut self) -> anyhow::Result<()> {
        let Some(media) = earlier(&self.directory)? else { return Ok(()) };
        let options = self.presentation.options().clone();
        // A file's names are always the same; a live stream's are never used again.
        if self.is_vod {
            self.stale = stale(&media, &options.renditions[0]);
        } else {
            self.retention.take_up(&options, 0, &media, self.began.elapsed());
            self.presentation = Presentation::resume(options, &[Some(media)]);
        }
        Ok(())
    }

    /// Writes what lies in the chunk in hand.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        self.drafts.iter_mut().try_for_each(|draft| draft.flush(&self.directory))
    }

    fn close(&mut self, extent: &Extent) -> anyhow::Result<()> {
        let Some(mut draft) = self.drafts.pop_front() else { return Ok(()) };
        draft.flush(&self.directory)?;
        let path = self.directory.join(&draft.key);
        if self.is_vod && self.segments == 0 {
            // It names what is replaced from here on.
            remove(&self.directory.join(PLAYLIST))?;
        }
        draft.file.commit().map_err(|error| cannot("write", &path, &error))?;
        self.stale.remove(&draft.key);
        self.segments += 1;
        self.duration += extent.duration;
        self.presentation.open(0, &draft.head, draft.arrived);
        let plan = self.presentation.close(0, extent);
        self.perform(plan)
    }

    fn perform(&mut self, plan: Plan) -> anyhow::Result<()> {
        for anomaly in plan.anomalies().iter().filter(|_| !self.is_quiet) {
            tell(format_args!("warning: {anomaly}"));
        }
        for step in plan {
            match step {
                Step::PutSegment { .. } => {}
                Step::PutPlaylist { key, text } => {
                    let path = self.directory.join(key);
                    let put = || -> io::Result<()> {
                        let mut file = Staged::create(&path)?;
                        file.write(&[Bytes::from(text)])?;
                        file.commit()
                    };
                    put().map_err(|error| cannot("write", &path, &error))?;
                }
            }
        }
        let now = self.began.elapsed();
        if let Some(view) = self.presentation.snapshot().view(0).filter(|_| !self.is_vod) {
            self.retention.show(0, view, now);
        }
        while let Some(key) = self.retention.take(now) {
            remove(&self.directory.join(key))?;
        }
        Ok(())
    }

    /// Ends the playlist, and deletes what it has taken the place of.
    pub fn finish(&mut self) -> anyhow::Result<()> {
        let plan = self.presentation.end(0);
        self.perform(plan)?;
        std::mem::take(&mut self.stale).iter().try_for_each(|key| remove(&self.directory.join(key)))
    }

    /// What was written and what was wrong with the stream, for people.
    pub fn describe(&self, took: Duration) -> String {
        if self.segments == 0 {
            return format!("stopped before the first segment{}", self.describe_anomalies());
        }
        let plural = if self.segments == 1 { "" } else { "s" };
        format!(
            "{} segment{plural}, {:.3} s of stream, in {} ({:.2} s){}",
            self.segments,
            self.duration.as_secs_f64(),
            self.directory.join(PLAYLIST).display(),
            took.as_secs_f64(),
            self.describe_anomalies()
        )
    }

    /// What was wrong with the stream, a line for each kind.
    pub fn describe_anomalies(&self) -> String {
        let line = |(kind, (count, first)): (&&str, &(u64, String))| {
            format!("\n  {count} × {kind}; first at {first}")
        };
        self.anomalies.iter().map(line).collect()
    }
}

/// A segment that is being written.
struct Draft {
    ordinal: u64,
    head: Head,
    arrived: SystemTime,
    file: Staged,
    key: String,
    /// Not written yet: slices of the chunk in hand.
    slices: Vec<Bytes>,
}

impl Draft {
    fn flush(&mut self, directory: &Path) -> anyhow::Result<()> {
        let written = self.file.write(&self.slices);
        self.slices.clear();
        written.map_err(|error| cannot("write", &directory.join(&self.key), &error))
    }
}

/// The playlist that an earlier run left in `directory`.
fn earlier(directory: &Path) -> anyhow::Result<Option<Media>> {
    let path = directory.join(PLAYLIST);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Media::parse(&text).ok()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(cannot("read", &path, &error)),
    }
}

/// The segments that `media` names, and those that a live playlist named before, as far as they are called what this
/// command calls segments. There may be others of that name, which are somebody else's.
fn stale(media: &Media, rendition: &live::Rendition) -> BTreeSet<String> {
    let named = media.segments.iter().filter_map(|segment| playlist::decode_path(&segment.uri));
    let mut stale: BTreeSet<_> = named.filter(|name| is_segment_of(name, &rendition.name)).collect();
    if stale.contains(&rendition.segment_key(media.media_sequence)) {
        let oldest = media.media_sequence.saturating_sub(MOST_EXPIRED);
        stale.extend((oldest..media.media_sequence).map(|number| rendition.segment_key(number)));
    }
    stale
}

/// Whether `name` is one that this command gives to segments.
pub fn is_segment_of(name: &str, prefix: &str) -> bool {
    let number = name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-'));
    let digits = number.and_then(|rest| rest.strip_suffix(".ts"));
    digits.is_some_and(|digits| digits.len() >= 5 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(cannot("delete", path, &error)),
        _ => Ok(()),
    }
}

/// What could not be done with a file of the output, why, and what to do about it.
fn cannot(what: &str, path: &Path, error: &io::Error) -> anyhow::Error {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_stale() {
        assert!(is_segment_of("movie-00012.ts", "movie"));
        for other in ["movie-12.ts", "movie-0001x.ts", "../movie-00001.ts", "other-00001.ts"] {
            assert!(!is_segment_of(other, "movie"), "{other}");
        }
    }
}
