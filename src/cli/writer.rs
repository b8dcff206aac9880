//! Writes a cut stream into a folder, and says what came of it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use super::folder::{Folder, PLAYLIST, Settings};
use super::fragments::Fragments;
use super::whole::Whole;
use crate::cmaf::Layout;
use crate::segment::{Event, Extent};

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
    anomalies: BTreeMap<&'static str, (u64, String)>,
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
            self.tally.note(anomaly.kind.name(), anomaly);
            return Ok(());
        }
        match &mut self.body {
            Body::Whole(whole) => whole.take(event, &self.settings, &mut self.tally),
            Body::Fragments(fragments) => fragments.take(&event, &self.settings, &mut self.tally),
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
        let line = |(kind, (count, first)): (&&str, &(u64, String))| {
            format!("\n  {count} × {kind}; first at {first}")
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
    pub fn note(&mut self, kind: &'static str, anomaly: &dyn Display) {
        self.anomalies.entry(kind).or_insert_with(|| (0, anomaly.to_string())).0 += 1;
    }
}
