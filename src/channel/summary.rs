//! What a channel came to.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::{delivery, live};

/// What a channel came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The renditions, in the presentation's order.
    pub renditions: Vec<Rendition>,
    /// The destinations that took files.
    pub destinations: Vec<delivery::Status>,
}

/// What one rendition came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendition {
    /// Its name.
    pub name: String,
    /// What its segments are.
    pub container: live::Container,
    /// Whether it is there only if the stream has a track for it.
    pub is_optional: bool,
    /// Segments put.
    pub segments: u64,
    /// Their duration.
    pub duration: Duration,
    /// Their bytes.
    pub size_bytes: u64,
    /// What was wrong with its stream, counted by kind.
    pub anomalies: BTreeMap<&'static str, u64>,
}

impl Rendition {
    /// One of which there is nothing yet.
    fn new(rendition: &live::Rendition) -> Self {
        Self {
            name: rendition.name.clone(),
            container: rendition.container,
            is_optional: rendition.role.is_audio(),
            ..Self::default()
        }
    }
}

impl Summary {
    /// Of a channel that has done nothing yet.
    pub(super) fn new(presentation: &live::Options) -> Self {
        let renditions = presentation.renditions.iter().map(Rendition::new).collect();
        Self { renditions, destinations: Vec::new() }
    }

    /// Segments of all renditions.
    pub fn segments(&self) -> u64 {
        self.renditions.iter().map(|rendition| rendition.segments).sum()
    }
}

impl fmt::Display for Rendition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.segments == 1 { "" } else { "s" };
        let (seconds, megabytes) = (self.duration.as_secs_f64(), self.size_bytes as f64 / 1e6);
        let container = match self.container {
            live::Container::Ts => "",
            live::Container::Cmaf => " (CMAF)",
        };
        write!(
            f,
            "{}{container}: {} segment{plural}, {seconds:.3} s, {megabytes:.2} MB",
            self.name, self.segments
        )?;
        for (kind, count) in &self.anomalies {
            write!(f, ", {count} × {kind}")?;
        }
        Ok(())
    }
}
