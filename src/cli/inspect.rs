//! `segcast inspect`: what is in a transport stream.

mod json;
mod text;

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;

use super::input::{self, Input};
use super::progress;
use crate::survey::{Report, Survey};
use crate::ts::{Demuxer, PACKET_LEN, Selection};

const EXAMPLES: &str = "\
Examples:
  segcast inspect recording.ts
  segcast inspect --program 2 multiplex.ts
  curl -s https://example.com/segment.ts | segcast inspect
  segcast inspect --json recording.ts | jq '.programs[].streams[].rfc6381'";

const JSON_HELP: &str = "\
Print JSON instead of text

Names end in their unit: _bytes, _seconds, _bps (bits a second), _hz. What is not known is null. PIDs and \
stream_type are numbers. Of each program: number, pmt_pid, pcr_pid, tables (different PMTs), duration_seconds, \
streams. Of each stream: pid, stream_type, kind (video, audio, data), codec, rfc6381, width, height, \
frame_rate_hz, interlaced, sample_rate_hz, channels, language, languages, pes_packets, packets, size_bytes, rate_bps, \
first_pts_seconds, last_pts_seconds, duration_seconds, random_access (count, closed, open, gradual, \
spacing_min_seconds, spacing_median_seconds, spacing_max_seconds), later_formats. Of each kind of anomaly: kind, \
count, first (at_byte, pid, message).";

/// Tell what is in a transport stream: programs, streams, rates, random access points, and what is wrong with it.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The transport stream; - is standard input
    #[arg(default_value = "-", value_hint = clap::ValueHint::FilePath)]
    pub input: PathBuf,

    /// Print JSON instead of text
    #[arg(long, long_help = JSON_HELP)]
    pub json: bool,

    /// Look at the program with this number only
    #[arg(long, value_name = "N")]
    pub program: Option<u16>,
}

/// An input and what was found in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    /// What the input is called.
    pub name: String,
    /// All its bytes.
    pub size_bytes: u64,
    /// From one packet to the next, in bytes: 188, 192 or 204.
    pub packet_distance: usize,
    /// What is in it.
    pub report: Report,
}

/// Reads the input and prints what is in it.
///
/// # Errors
/// If the input cannot be read, is no transport stream or has no program.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let mut input = input::open(&args.input)?;
    let bar = progress::bar(&input, false);
    let inspection = inspect(&mut input, args.program, |bytes| bar.set_position(bytes));
    bar.finish_and_clear();
    let inspection = inspection?;
    let text = if args.json { inspection.to_json() } else { inspection.to_text() };
    io::stdout().lock().write_all(text.as_bytes()).context("standard output: cannot be written")
}

/// Reads the input to its end; `progress` is told how many bytes were read. Follows all programs, or one.
///
/// # Errors
/// If the input cannot be read, is no transport stream or has no program.
pub fn inspect(
    input: &mut Input,
    program: Option<u16>,
    progress: impl Fn(u64),
) -> anyhow::Result<Inspection> {
    let selection = program.map_or(Selection::All, Selection::Number);
    let mut demuxer = Demuxer::with_programs(selection, input.late_programs(selection));
    let mut survey = Survey::new();
    while let Some(chunk) = next_chunk(input)? {
        demuxer.push(chunk).for_each(|event| survey.take(&event));
        progress(input.read_bytes());
        if !demuxer.has_packets() {
            input.expect_packets()?;
        }
    }
    demuxer.end().for_each(|event| survey.take(&event));
    let packet_distance = demuxer.packet_distance().unwrap_or(PACKET_LEN);
    let report = survey.report();
    if report.programs.is_empty() {
        return Err(input.refusal(
            report.garbage_bytes,
            program,
            "leave out --program to see which ones there are",
        ));
    }
    Ok(Inspection { name: input.name.clone(), size_bytes: input.read_bytes(), packet_distance, report })
}

fn next_chunk(input: &mut Input) -> anyhow::Result<Option<bytes::Bytes>> {
    input
        .read_chunk()
        .with_context(|| format!("{}: cannot be read on at byte {}", input.name, input.read_bytes()))
}

impl Inspection {
    /// Transport packets of all PIDs, stuffing and tables too.
    pub fn packets(&self) -> u64 {
        let distance = self.packet_distance.max(1) as u64;
        self.size_bytes.saturating_sub(self.report.garbage_bytes).div_ceil(distance)
    }

    /// The rate of the whole, in bits a second.
    pub fn rate_bps(&self) -> Option<u64> {
        crate::survey::rate_bps(self.size_bytes, self.report.duration)
    }

    /// For people.
    pub fn to_text(&self) -> String {
        text::render(self)
    }

    /// For programs: one JSON object.
    pub fn to_json(&self) -> String {
        json::render(self)
    }
}

/// Seconds with their microseconds.
fn seconds(span: Duration) -> f64 {
    span.as_micros() as f64 / 1e6
}

/// Language codes, those that are: bytes of a stream go to a terminal.
fn languages(codes: &[[u8; 3]]) -> Vec<String> {
    let codes = codes.iter().filter(|code| code.iter().all(u8::is_ascii_alphabetic));
    codes.map(|code| code.iter().copied().map(char::from).collect()).collect()
}
