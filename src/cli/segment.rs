//! `segcast segment`: cuts an existing transport stream into HLS.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::{Args as Arguments, ValueEnum};

use super::earlier::is_output_of;
use super::feed::{End, Feed, Next};
use super::folder::Settings;
use super::input;
use super::tell;
use super::writer::{self, Writer};
use crate::cmaf::{self, Layout};
use crate::live::Kind;
use crate::segment::{Cutter, OnMissingRandomAccess, Options};
use crate::ts::{AnomalyKind, Selection};

/// Bytes without a program's table after which an endless input is given up; tables come twice a second or so.
const PATIENCE_BYTES: usize = 16 << 20;

/// Cut an existing transport stream into HLS.
#[derive(Debug, Arguments)]
#[command(after_help = "\
Examples:
  segcast segment movie.ts --output vod                     a whole file: VOD
  ffmpeg -re -i movie.mp4 -c copy -f mpegts - | segcast segment - --output live
  segcast segment movie.ts --output vod --segment 4s --prefix movie --program 2
  segcast segment movie.ts --output vod --format cmaf       fragmented MP4

Writes index.m3u8 and PREFIX-00001.ts, PREFIX-00002.ts, … In CMAF index.m3u8 leads to video.m3u8, audio-1.m3u8, …;
with a lone track, or --muxed, it names PREFIX-00001.m4s, … itself. Files appear only when they are whole.")]
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
    /// Segments in a live playlist, at least.
    #[arg(short, long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u16).range(3..))]
    window: u16,
    /// What segments are made of.
    #[arg(short, long, value_name = "FORMAT", default_value = "ts")]
    format: Format,
    /// CMAF with pictures and sound in the same segments.
    #[arg(long)]
    muxed: bool,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Transport stream segments: what came, as it came.
    Ts,
    /// Fragmented MP4, a playlist for each track.
    Cmaf,
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
    let format = format(args)?;
    let input = input::open(&args.input)?;
    refuse_own_output(args)?;
    let playlist = args.playlist.unwrap_or(if input.len.is_some() { Playlist::Vod } else { Playlist::Live });
    let name = input.name.clone();
    let began = Instant::now();
    let settings = Settings {
        directory: args.output.clone(),
        kind: match playlist {
            Playlist::Vod => Kind::Vod,
            Playlist::Event => Kind::Event,
            Playlist::Live => Kind::Live { window: usize::from(args.window) },
        },
        target: args.segment,
        prefix: args.prefix.clone(),
        is_quiet: args.quiet,
    };
    let mut writer = Writer::new(settings, format);
    let selection = args.program.map_or(Selection::First, Selection::Number);
    let options = Options {
        target: args.segment,
        program: selection,
        on_missing: match playlist {
            Playlist::Vod => OnMissingRandomAccess::Extend,
            Playlist::Event | Playlist::Live => OnMissingRandomAccess::Cut,
        },
        part: None,
    };
    let mut cutter = Cutter::with_programs(&options, input.late_programs(selection));
    let is_endless = input.len.is_none();
    let mut feed = Feed::start(input, args.quiet)?;
    let mut without_program = 0;
    let rest = loop {
        match feed.next(&cutter) {
            Next::Chunk(chunk) => {
                without_program = if cutter.program().is_some() { 0 } else { without_program + chunk.len() };
                for event in cutter.push(chunk) {
                    writer.take(event)?;
                }
                writer.flush()?;
                if is_endless && without_program > PATIENCE_BYTES {
                    return Err(still_no_program(&name, args.program));
                }
            }
            Next::Stop => break None,
            Next::End(end) => break Some(end),
        }
    };
    feed.clear();
    let has_media = cutter.has_access_units();
    for event in cutter.finish() {
        writer.take(event)?;
    }
    if let Some(End { input, error }) = rest {
        match error {
            Some(error) if writer.segments() == 0 => return Err(error),
            Some(error) => tell(format_args!("{error:#}; what came before is kept")),
            None if !writer.has_program() => {
                let advice = "`segcast inspect` lists the programs that there are";
                return Err(input.refusal(writer.garbage_bytes(), args.program, advice));
            }
            None if writer.segments() == 0 => return Err(no_segment(&name, &writer, has_media)),
            None => {}
        }
    }
    writer.finish()?;
    if writer.segments() > 0 && !writer.has_playlist() {
        return Err(no_segment(&name, &writer, has_media));
    }
    if !args.quiet {
        tell(format_args!("{}", writer.describe(began.elapsed())));
    }
    Ok(())
}

fn format(args: &Args) -> anyhow::Result<writer::Format> {
    match (args.format, args.muxed) {
        (Format::Ts, false) => Ok(writer::Format::Ts),
        (Format::Ts, true) => bail!("--muxed is for --format cmaf: transport stream segments always are"),
        (Format::Cmaf, false) => Ok(writer::Format::Cmaf(Layout::Demuxed)),
        (Format::Cmaf, true) => Ok(writer::Format::Cmaf(Layout::Muxed)),
    }
}

/// A segment must not be written over the input.
fn refuse_own_output(args: &Args) -> anyhow::Result<()> {
    let (Ok(input), Ok(folder)) = (fs::canonicalize(&args.input), fs::canonicalize(&args.output)) else {
        return Ok(());
    };
    let name = input.file_name().unwrap_or_default().to_string_lossy();
    if input.parent() == Some(&folder) && is_output_of(&name, &args.prefix) {
        bail!(
            "{}: would be written over by a segment; choose another --output or --prefix",
            args.input.display()
        );
    }
    Ok(())
}

fn still_no_program(name: &str, number: Option<u16>) -> anyhow::Error {
    let which = number.map_or_else(|| "a program".to_owned(), |number| format!("program {number}"));
    let mib = PATIENCE_BYTES >> 20;
    anyhow::anyhow!("{name}: {mib} MiB and still no table (PMT) of {which}; is it encrypted as a whole?")
}

/// Why a program gave nothing that can be played.
fn no_segment(name: &str, writer: &Writer, has_media: bool) -> anyhow::Error {
    let anomalies = writer.describe_anomalies();
    if let Some(why) = writer.unplayable() {
        return anyhow::anyhow!("{name}: {why}");
    }
    let why = if writer.has(AnomalyKind::Scrambled.name()) {
        "nothing to begin a segment with: its streams are scrambled; descramble it first"
    } else if writer.has(cmaf::AnomalyKind::ParameterSets.name()) {
        "nothing describes its video: the SPS or PPS is missing or cannot be read; encode it anew, or try --format ts"
    } else if writer.segments() > 0 {
        "there is no playlist to open: a track that its tables list never arrives"
    } else if !has_media {
        "nothing to begin a segment with: its tables list streams of which no packet arrives"
    } else {
        "nothing to begin a segment with: no random access point was found"
    };
    anyhow::anyhow!("{name}: {why}{anomalies}")
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
}
