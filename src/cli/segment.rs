//! `segcast segment`: cuts an existing transport stream into HLS.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::bail;
use bytes::Bytes;
use clap::{Args as Arguments, ValueEnum};

use super::feed::{Feed, Next};
use super::input::{self, Input};
use super::tell;
use crate::destination::{Staged, sweep};
use crate::live::{self, Kind, Plan, Presentation, Step};
use crate::playlist::{self, Media};
use crate::segment::{Cutter, Event, Extent, Head, OnMissingRandomAccess, Options};
use crate::ts::Selection;

/// The playlist's name.
const PLAYLIST: &str = "index.m3u8";

/// Bytes without a program's table after which an endless input is given up; tables come twice a second or so.
const PATIENCE_BYTES: usize = 16 << 20;

/// The most segments that a live stream is believed to have left behind its playlist.
const MOST_EXPIRED: u64 = 1000;

/// Cut an existing transport stream into HLS.
#[derive(Debug, Arguments)]
#[command(after_help = "\
Examples:
  segcast segment movie.ts --output vod                     a whole file: VOD
  ffmpeg -re -i movie.mp4 -c copy -f mpegts - | segcast segment - --output live
  segcast segment movie.ts --output vod --segment 4s --prefix movie --program 2

Writes index.m3u8 and PREFIX-00001.ts, PREFIX-00002.ts, … Files appear only when they are whole.")]
pub struct Args {
    /// A transport stream (188, 192 or 204 bytes a packet); - is standard input.
    #[arg(default_value = "-", value_name = "INPUT")]
    input: PathBuf,
    /// The folder that is written to; it is created.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Duration aimed at: boundaries are the first random access points behind multiples of it.
    #[arg(short, long, value_name = "DURATION", default_value = "6s", value_parser = duration)]
    segment: Duration,
    /// vod for a regular file, live otherwise, unless told.
    #[arg(short, long, value_name = "KIND")]
    playlist: Option<Playlist>,
    /// Segments in a live playlist.
    #[arg(short, long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u16).range(3..))]
    window: u16,
    /// The program's number; the first with video, unless told.
    #[arg(long, value_name = "N")]
    program: Option<u16>,
    /// First part of the segments' names.
    #[arg(long, value_name = "NAME", default_value = "segment", value_parser = prefix)]
    prefix: String,
    /// Print nothing but errors.
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Playlist {
    /// Everything, written once at the end.
    Vod,
    /// Everything, growing.
    Event,
    /// A sliding window; expired segments are deleted.
    Live,
}

fn duration(text: &str) -> Result<Duration, String> {
    let bare = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let duration = bare.or_else(|| humantime::parse_duration(text).ok());
    let expected = "expected a duration from 500ms to 1h, such as 6s";
    duration
        .filter(|duration| (Duration::from_millis(500)..=Duration::from_secs(3600)).contains(duration))
        .ok_or_else(|| expected.to_owned())
}

fn prefix(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty() && !text.starts_with('.') && !text.contains(['/', '\\']);
    if is_name && !text.contains(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err("expected the beginning of a file name".to_owned())
    }
}

/// Cuts the input.
///
/// # Errors
/// If it cannot be read, is no transport stream, or output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let input = input::open(&args.input)?;
    refuse_own_output(args)?;
    let playlist = args.playlist.unwrap_or(if input.len.is_some() { Playlist::Vod } else { Playlist::Live });
    let name = input.name.clone();
    let began = Instant::now();
    let mut writer = Writer::new(args, playlist)?;
    let mut cutter = Cutter::new(&Options {
        target: args.segment,
        program: args.program.map_or(Selection::First, Selection::Number),
        on_missing: match playlist {
            Playlist::Vod => OnMissingRandomAccess::Extend,
            Playlist::Event | Playlist::Live => OnMissingRandomAccess::Cut,
        },
    });
    let is_endless = input.len.is_none();
    let mut feed = Feed::start(input, args.quiet)?;
    let mut is_stopped = false;
    let mut without_program = 0;
    let rest = loop {
        match feed.next(&cutter) {
            Next::Chunk(chunk) => {
                without_program += chunk.len();
                for event in cutter.push(chunk) {
                    writer.take(event)?;
                }
                writer.flush()?;
                if cutter.program().is_some() {
                    without_program = 0;
                } else if is_endless && without_program > PATIENCE_BYTES {
                    let which = args
                        .program
                        .map_or_else(|| "a program".to_owned(), |number| format!("program {number}"));
                    bail!(
                        "{name}: {} MiB and still no table (PMT) of {which}; is it encrypted as a whole?",
                        PATIENCE_BYTES >> 20
                    );
                }
            }
            Next::Stop => {
                is_stopped = true;
                break None;
            }
            Next::End(input) => break Some(input?),
        }
    };
    feed.clear();
    let (has_packets, program) = (cutter.has_packets(), cutter.program().cloned());
    for event in cutter.finish() {
        writer.take(event)?;
    }
    match (rest, program) {
        (Some(input), _) if !has_packets => return Err(input.not_a_transport_stream()),
        (Some(input), None) => return Err(no_program(&input, args.program)),
        (_, Some(_)) if writer.segments == 0 && !is_stopped => bail!(
            "{name}: nothing to begin a segment with: no random access point was found{}",
            writer.describe_anomalies()
        ),
        _ => {}
    }
    writer.finish()?;
    if !args.quiet {
        tell(format_args!("{}", writer.describe(began.elapsed())));
    }
    Ok(())
}

/// A segment must not be written over the input.
fn refuse_own_output(args: &Args) -> anyhow::Result<()> {
    let (Ok(input), Ok(folder)) = (fs::canonicalize(&args.input), fs::canonicalize(&args.output)) else {
        return Ok(());
    };
    let name = input.file_name().unwrap_or_default().to_string_lossy();
    if input.parent() == Some(&folder) && is_segment_of(&name, &args.prefix) {
        bail!(
            "{}: would be written over by a segment; choose another --output or --prefix",
            args.input.display()
        );
    }
    Ok(())
}

fn no_program(input: &Input, number: Option<u16>) -> anyhow::Error {
    match number {
        Some(number) => anyhow::anyhow!(
            "{}: no program {number} in it; `segcast inspect` lists the programs that there are",
            input.name
        ),
        None => input.no_program(),
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

/// Writes segments as their bytes come, and the playlist behind them.
struct Writer {
    directory: PathBuf,
    is_vod: bool,
    presentation: Presentation,
    /// In their order; two at most.
    drafts: VecDeque<Draft>,
    /// Segments of what an earlier run left in this folder, to be deleted once a VOD has taken its place.
    stale: BTreeSet<String>,
    is_quiet: bool,
    began: Instant,
    segments: u64,
    duration: Duration,
    anomalies: BTreeMap<&'static str, (u64, String)>,
}

impl Writer {
    fn new(args: &Args, playlist: Playlist) -> anyhow::Result<Self> {
        let earlier = earlier(&args.output)?;
        let options = live::Options {
            kind: match playlist {
                Playlist::Vod => Kind::Vod,
                Playlist::Event => Kind::Event,
                Playlist::Live => Kind::Live { window: usize::from(args.window) },
            },
            target: args.segment,
            multivariant: None,
            url_prefix: String::new(),
            has_date_time: playlist != Playlist::Vod,
            renditions: vec![live::Rendition {
                name: args.prefix.clone(),
                playlist: PLAYLIST.to_owned(),
                segment_prefix: format!("{}-", args.prefix),
                bandwidth_bps: None,
            }],
        };
        let is_vod = playlist == Playlist::Vod;
        let stale = match &earlier {
            Some(media) if is_vod => stale(media, &options.renditions[0], &args.prefix),
            _ => BTreeSet::new(),
        };
        // A file's names are always the same; a live stream's are never used again.
        let presentation =
            if is_vod { Presentation::new(options) } else { Presentation::resume(options, &[earlier]) };
        Ok(Self {
            directory: args.output.clone(),
            is_vod,
            presentation,
            drafts: VecDeque::new(),
            stale,
            is_quiet: args.quiet,
            began: Instant::now(),
            segments: 0,
            duration: Duration::ZERO,
            anomalies: BTreeMap::new(),
        })
    }

    fn take(&mut self, event: Event) -> anyhow::Result<()> {
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
        sweep(folder).map_err(|error| cannot("write in", folder, &error)).map(drop)
    }

    /// Writes what lies in the chunk in hand.
    fn flush(&mut self) -> anyhow::Result<()> {
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
        let plan = self.presentation.close(0, extent, self.began.elapsed());
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
                Step::Delete { key } => remove(&self.directory.join(key))?,
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        let plan = self.presentation.end(0, self.began.elapsed());
        self.perform(plan)?;
        std::mem::take(&mut self.stale).iter().try_for_each(|key| remove(&self.directory.join(key)))
    }

    fn describe(&self, took: Duration) -> String {
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

    fn describe_anomalies(&self) -> String {
        let line = |(kind, (count, first)): (&&str, &(u64, String))| {
            format!("\n  {count} × {kind}; first at {first}")
        };
        self.anomalies.iter().map(line).collect()
    }
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
fn stale(media: &Media, rendition: &live::Rendition, prefix: &str) -> BTreeSet<String> {
    let named = media.segments.iter().filter_map(|segment| playlist::decode_path(&segment.uri));
    let mut stale: BTreeSet<_> = named.filter(|name| is_segment_of(name, prefix)).collect();
    if stale.contains(&rendition.segment_key(media.media_sequence)) {
        let oldest = media.media_sequence.saturating_sub(MOST_EXPIRED);
        stale.extend((oldest..media.media_sequence).map(|number| rendition.segment_key(number)));
    }
    stale
}

/// Whether `name` is one that this command gives to segments.
fn is_segment_of(name: &str, prefix: &str) -> bool {
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
    fn durations_are_text_or_seconds() {
        assert_eq!(duration("4s"), Ok(Duration::from_secs(4)));
        assert_eq!(duration("2.5"), Ok(Duration::from_millis(2500)));
        assert!(duration("0").is_err() && duration("soon").is_err() && duration("-1").is_err());
    }

    #[test]
    fn only_our_own_names_are_stale() {
        assert!(is_segment_of("movie-00012.ts", "movie"));
        for other in ["movie-12.ts", "movie-0001x.ts", "../movie-00001.ts", "other-00001.ts"] {
            assert!(!is_segment_of(other, "movie"), "{other}");
        }
    }
}
