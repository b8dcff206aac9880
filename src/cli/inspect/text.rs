//! An inspection as text for people.

use std::fmt::Write;
use std::time::Duration;

use super::{Inspection, languages};
use crate::codec::{Codec, Format};
use crate::survey::{Points, Program, Stream, Tally};
use crate::ts::Pid;

/// Spans nearer to each other than this look the same.
const SAME: Duration = Duration::from_micros(500);

/// Some lines on the whole, a table for each program, then what is wrong.
pub fn render(inspection: &Inspection) -> String {
    let report = &inspection.report;
    let mut out = format!(
        "{}: {}, {}, {} bytes in {} packets of {}\n",
        inspection.name,
        span(report.duration),
        rate(inspection.rate_bps()),
        grouped(inspection.size_bytes),
        grouped(inspection.packets()),
        inspection.packet_distance,
    );
    for program in &report.programs {
        out.push('\n');
        add_program(&mut out, program);
    }
    out.push('\n');
    add_anomalies(&mut out, &report.anomalies);
    out
}

fn add_program(out: &mut String, program: &Program) {
    let pcr = match program.pcr_pid {
        Pid::NULL => "no PCR".into(),
        pid => format!("PCR {pid}"),
    };
    let tables = match program.tables {
        0 | 1 => String::new(),
        tables => format!(", {tables} different tables"),
    };
    let (number, pmt, span) = (program.number, program.pmt_pid, span(program.duration));
    // Writing into a `String` cannot fail.
    let _ = writeln!(out, "Program {number}: {span}, PMT {pmt}, {pcr}{tables}");
    add_table(out, program);
    for stream in &program.streams {
        if let Some(points) = stream.random_access {
            let _ = writeln!(out, "  Random access on {}: {}", stream.pid, random_access(points));
        }
    }
}

const TITLES: [&str; 10] =
    ["PID", "CODEC", "RFC 6381", "FORMAT", "LANG", "RATE", "BYTES", "DURATION", "FIRST PTS", "PES PACKETS"];
/// Columns of numbers, which stand to the right.
const RIGHT: [bool; 10] = [false, false, false, false, false, true, true, true, true, true];

/// The streams. A column in which nothing would stand is left out.
fn add_table(out: &mut String, program: &Program) {
    let rows: Vec<_> = program.streams.iter().flat_map(rows).collect();
    let width = |column: usize| {
        let widest = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        (widest > 0).then(|| widest.max(TITLES[column].len()))
    };
    let widths: Vec<_> = (0..TITLES.len()).map(width).collect();
    for row in std::iter::once(&TITLES.map(String::from)).chain(&rows) {
        let mut line = String::new();
        for ((cell, width), is_right) in row.iter().zip(&widths).zip(RIGHT) {
            let _ = match (width, is_right) {
                (None, _) => Ok(()),
                (Some(width), true) => write!(line, "  {cell:>width$}"),
                (Some(width), false) => write!(line, "  {cell:<width$}"),
            };
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

/// A stream's row, and one for each format that it took later.
fn rows(stream: &Stream) -> Vec<[String; 10]> {
    let first = stream.formats.first();
    let mut rows = vec![[
        stream.pid.to_string(),
        match stream.codec {
            Codec::Other => format!("type {:#04x}", stream.stream_type),
            codec => codec.name().into(),
        },
        first.and_then(Format::rfc6381).unwrap_or_default().into(),
        first.map(format_text).unwrap_or_default(),
        languages(&stream.languages).join(", "),
        stream.rate_bps.map(|bps| rate(Some(bps))).unwrap_or_default(),
        grouped(stream.size_bytes()),
        stream.first_pts.map(|_| span(stream.duration)).unwrap_or_default(),
        stream.first_pts.map(|pts| pts.to_string()).unwrap_or_default(),
        grouped(stream.pes_packets),
    ]];
    for format in stream.formats.iter().skip(1) {
        let mut row = <[String; 10]>::default();
        row[1] = format!("then {}", format.codec().name());
        row[2] = format.rfc6381().unwrap_or_default().into();
        row[3] = format_text(format);
        rows.push(row);
    }
    rows
}

fn format_text(format: &Format) -> String {
    match format {
        Format::Video(video) => {
            let rate = video.frame_rate.map(|rate| format!(", {} fps", short(rate.per_second())));
            let interlaced = if video.is_interlaced { ", interlaced" } else { "" };
            format!("{}x{}{}{interlaced}", video.width, video.height, rate.unwrap_or_default())
        }
        Format::Audio(audio) => {
            let channels = match audio.channels {
                0 => String::new(),
                1 => "mono, ".into(),
                2 => "stereo, ".into(),
                count => format!("{count} channels, "),
            };
            format!("{channels}{} kHz", short(f64::from(audio.sample_rate_hz) / 1000.0))
        }
    }
}

fn random_access(points: Points) -> String {
    let kinds = [(points.closed, "closed"), (points.open, "open"), (points.gradual, "gradual")];
    let kinds: Vec<_> = kinds
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, kind)| match *count == points.count() {
            true => (*kind).into(),
            false => format!("{} {kind}", grouped(*count)),
        })
        .collect();
    let points_text = match points.count() {
        0 => return "none found".into(),
        1 => format!("1 point ({})", kinds.join(", ")),
        count => format!("{} points ({})", grouped(count), kinds.join(", ")),
    };
    match points.spacing {
        None => points_text,
        Some(spacing) if spacing.max - spacing.min < SAME => {
            format!("{points_text}, {} apart", span(spacing.median))
        }
        Some(spacing) => format!(
            "{points_text}, {} to {} apart, median {}",
            span(spacing.min),
            span(spacing.max),
            span(spacing.median)
        ),
    }
}

fn add_anomalies(out: &mut String, tallies: &[Tally]) {
    if tallies.is_empty() {
        out.push_str("Anomalies: none\n");
        return;
    }
    out.push_str("Anomalies\n");
    for tally in tallies {
        let _ = writeln!(out, "  {}: {}", tally.name, grouped(tally.count));
        for anomaly in &tally.first {
            let _ = writeln!(out, "    {anomaly}");
        }
        if tally.count > tally.first.len() as u64 {
            out.push_str("    …\n");
        }
    }
}

/// Seconds up to a minute, then hours, minutes and seconds.
fn span(span: Duration) -> String {
    let millis = (span.as_micros() + 500) / 1000;
    let (seconds, rest) = (millis / 1000, millis % 1000);
    match seconds {
        0..60 => format!("{seconds}.{rest:03} s"),
        _ => format!("{}:{:02}:{:02}.{rest:03}", seconds / 3600, seconds / 60 % 60, seconds % 60),
    }
}

fn rate(bps: Option<u64>) -> String {
    match bps {
        None => "no rate".into(),
        Some(bps @ ..1_000) => format!("{bps} bit/s"),
        Some(bps @ ..1_000_000) => format!("{:.1} kbit/s", bps as f64 / 1e3),
        Some(bps) => format!("{:.2} Mbit/s", bps as f64 / 1e6),
    }
}

/// Three decimals at most.
fn short(number: f64) -> String {
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').into()
}

/// With a comma at each thousand.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([25.0, 30_000.0 / 1001.0, 0.5].map(short), ["25", "29.97", "0.5"]);
        let spans = [0, 59_999_499, 59_999_500, 3_723_004_000].map(Duration::from_micros);
        assert_eq!(spans.map(span), ["0.000 s", "59.999 s", "0:01:00.000", "1:02:03.004"]);
        let rates = [None, Some(999), Some(64_123), Some(8_123_456)];
        assert_eq!(rates.map(rate), ["no rate", "999 bit/s", "64.1 kbit/s", "8.12 Mbit/s"]);
    }
}
