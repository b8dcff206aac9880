//! Writes a cut stream into a folder, and says what came of it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;

use super::folder::{Folder, PLAYLIST, Settings};
use super::fragments::Fragments;
use super::whole::Whole;
use crate::cmaf::{self, Layout};
use crate::codec::Codec;
use crate::segment::{Event, Extent};
use crate::ts::AnomalyKind;
use crate::ts::Program;

/// What segments are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The transport stream as it is.
    Ts,
    /// Fragmented MP4.
    Cmaf(Layout),
}

/// Writes segments, and the playlists behind them.
pub struct Writer {
    settings: Settings,
    tally: Tally,
    body: Body,
}

enum Body {
    Whole(Box<Whole>),
    Fragments(Box<Fragments>),
}

/// What was written, and what was wrong.
#[derive(Debug, Default)]
pub struct Tally {
    /// Segments of the first rendition.
    pub segments: u64,
    duration: Duration,
    /// Tracks, where each has a playlist.
    pub tracks: usize,
    anomalies: BTreeMap<&'static str, Noted>,
    /// The program that is cut.
    program: Option<Arc<Program>>,
    garbage_bytes: u64,
}

/// Anomalies of one kind.
#[derive(Debug)]
pub struct Noted {
    count: u64,
    /// What they amount to together, and its unit, where they have one.
    amount: Option<(u64, &'static str)>,
    first: String,
}

impl Writer {
    /// Nothing is touched yet, nor looked at: another may still be writing there.
    pub fn new(settings: Settings, format: Format) -> Self {
        let body = match format {
            Format::Ts => Body::Whole(Box::default()),
            Format::Cmaf(layout) => Body::Fragments(Box::new(Fragments::new(layout))),
        };
        Self { settings, tally: Tally::default(), body }
    }

    /// Takes what the cutter says. Bytes may wait for [`Writer::flush`].
    ///
    /// # Errors
    /// If the folder cannot be written; [`Writer::flush`] and [`Writer::finish`] too.
    pub fn take(&mut self, event: Event) -> anyhow::Result<()> {
        if let Event::Anomaly(anomaly) = &event {
            let noted = self.tally.note(anomaly.kind.name(), anomaly);
            if let Some((more, unit)) = anomaly.kind.amount() {
                noted.amount = Some((noted.amount.map_or(0, |(sum, _)| sum) + more, unit));
            }
            if let AnomalyKind::Garbage { bytes } = anomaly.kind {
                self.tally.garbage_bytes += bytes;
            }
            return Ok(());
        }
        if let Event::Program(program) = &event {
            self.take_program(program)?;
        }
        match &mut self.body {
            Body::Whole(whole) => whole.take(event, &self.settings, &mut self.tally),
            Body::Fragments(fragments) => fragments.take(&event, &self.settings, &mut self.tally),
        }
    }

    /// Says what of the program no player can play; nothing is written of one in which there is nothing else.
    fn take_program(&mut self, program: &Arc<Program>) -> anyhow::Result<()> {
        let is_new = self.tally.program.as_ref() != Some(program);
        self.tally.program = Some(Arc::clone(program));
        if !is_new || !matches!(self.body, Body::Whole(_)) {
            return Ok(());
        }
        for stream in program.streams.iter().filter(|stream| stream.codec.is_unplayable_in_ts()) {
            let (pid, codec) = (stream.pid, stream.codec.name());
            let what = format!("PID {pid}: no player knows {codec} in transport stream segments: convert it");
            self.tally.note("not for ts", &what);
        }
        let is_known = |codec: Codec| codec != Codec::Other && !codec.is_unplayable_in_ts();
        match self.unplayable() {
            Some(why)
                if self.tally.segments == 0 && !program.streams.iter().any(|one| is_known(one.codec)) =>
            {
                bail!("{why}; encode it first (ffmpeg -i IN -c:v libx264 -c:a aac -f mpegts OUT.ts)")
            }
            _ => Ok(()),
        }
    }

    /// Why nothing could be made of the program, where it is for the codings in it.
    pub fn unplayable(&self) -> Option<String> {
        let program = self.tally.program.as_ref()?;
        let contents = program.contents();
        match self.body {
            Body::Whole(_) => {
                (!program.is_playable()).then(|| format!("none of it can be played: {contents}"))
            }
            Body::Fragments(_) => {
                let is_carried = program.streams.iter().any(|stream| cmaf::is_carried(stream.codec));
                (!is_carried).then(|| {
                    format!(
                        "none of it can be carried in CMAF: {contents}; convert it (ffmpeg -i IN -c:v libx264 -c:a aac -f \
                         mpegts OUT.ts), or use --format ts"
                    )
                })
            }
        }
    }

    /// Writes what lies in the chunk in hand.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        match &mut self.body {
            Body::Whole(whole) => whole.flush(),
            Body::Fragments(_) => Ok(()),
        }
    }

    /// Ends the playlists, and deletes what they have taken the place of.
    pub fn finish(&mut self) -> anyhow::Result<()> {
        match &mut self.body {
            Body::Whole(whole) => whole.folder().map_or(Ok(()), Folder::finish),
            Body::Fragments(fragments) => fragments.finish(&self.settings, &mut self.tally),
        }
    }

    /// Whether the tables of a program have come.
    pub const fn has_program(&self) -> bool {
        self.tally.program.is_some()
    }

    /// Whether the playlist that viewers open is there.
    pub fn has_playlist(&self) -> bool {
        self.settings.directory.join(PLAYLIST).exists()
    }

    /// Bytes of the input that are no transport packets.
    pub const fn garbage_bytes(&self) -> u64 {
        self.tally.garbage_bytes
    }

    /// Whether anything of this kind was wrong.
    pub fn has(&self, kind: &str) -> bool {
        self.tally.anomalies.contains_key(kind)
    }

    /// Segments of the first rendition that were written so far.
    pub const fn segments(&self) -> u64 {
        self.tally.segments
    }

    /// What was written and what was wrong with the stream, for people.
    pub fn describe(&self, took: Duration) -> String {
        let Tally { segments, duration, tracks, .. } = &self.tally;
        if *segments == 0 {
            return format!("stopped before the first segment{}", self.describe_anomalies());
        }
        let plural = if *segments == 1 { "" } else { "s" };
        let each = if *tracks > 1 { format!(" of {tracks} tracks each") } else { String::new() };
        format!(
            "{segments} segment{plural}{each}, {:.3} s of stream, in {} ({:.2} s){}",
            duration.as_secs_f64(),
            self.settings.directory.join(PLAYLIST).display(),
            took.as_secs_f64(),
            self.describe_anomalies()
        )
    }

    /// What was wrong with the stream, a line for each kind.
    pub fn describe_anomalies(&self) -> String {
        let line = |(kind, noted): (&&str, &Noted)| {
            let Noted { count, amount, first } = noted;
            let total = amount.filter(|_| *count > 1);
            let total = total.map_or_else(String::new, |(amount, unit)| format!(", {amount} {unit} in all"));
            format!("\n  {count} × {kind}{total}; first at {first}")
        };
        self.tally.anomalies.iter().map(line).collect()
    }
}

impl Tally {
    /// A segment of the first rendition is there.
    pub fn add(&mut self, extent: &Extent) {
        self.segments += 1;
        self.duration += extent.duration;
    }

    /// Counts an anomaly by its kind, and keeps the first of each.
    pub fn note(&mut self, kind: &'static str, anomaly: &dyn Display) -> &mut Noted {
        let new = || Noted { count: 0, amount: None, first: anomaly.to_string() };
        let noted = self.anomalies.entry(kind).or_insert_with(new);
        noted.count += 1;
        noted
    }
}
