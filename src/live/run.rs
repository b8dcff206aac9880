//! One rendition on its way.

use std::sync::Arc;

use super::edge::Edge;
use super::resume::Beginning;
use super::timeline::Mark;
use super::variant::Profile;
use super::window::Window;
use crate::playlist;
use crate::time::Ticks;

/// One rendition on its way.
#[derive(Debug)]
pub(super) struct Run {
    /// The number of the next segment.
    pub(super) next: u64,
    /// Segments closed since this run began: the next one's position in the timeline.
    pub(super) closed: u64,
    pub(super) opened: Option<Opened>,
    /// The map of the segments from the open one on.
    pub(super) map: Option<Map>,
    pub(super) window: Window,
    pub(super) profile: Profile,
    /// Whether its playlist has been put in this run.
    pub(super) is_out: bool,
    pub(super) is_ended: bool,
}

/// The segment that is not whole yet.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) start: Ticks,
    /// Whether the rendition breaks off before it: its own PTS jumped, or its map is another.
    pub(super) has_jumped: bool,
    /// What has been told of it with its first part, and holds.
    pub(super) mark: Option<Mark>,
    pub(super) parts: Vec<playlist::Part>,
}

/// A Media Initialization Section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Map {
    /// Where it lies; none if an earlier run's name leads nowhere that is ours.
    pub(super) key: Option<String>,
    /// As the playlist names it.
    pub(super) uri: String,
}

impl Opened {
    /// Whether the timeline has been broken for it.
    pub(super) fn is_break(&self) -> bool {
        self.has_jumped || self.mark.is_some_and(|mark| mark.is_discontinuity)
    }
}

impl Run {
    pub(super) fn new(beginning: Beginning) -> Self {
        Self {
            next: beginning.next,
            closed: 0,
            opened: None,
            map: beginning.window.last_map(),
            window: beginning.window,
            profile: Profile::default(),
            is_out: false,
            is_ended: false,
        }
    }

    /// What is shown of the segment that is not whole yet.
    pub(super) fn edge(&self, has_date_time: bool) -> Option<Arc<Edge>> {
        if self.is_ended {
            return None;
        }
        let mut open = playlist::Open::default();
        if let Some(opened) = &self.opened {
            let mark = opened.mark.unwrap_or_default();
            open.is_discontinuity = mark.is_discontinuity;
            open.date_time = mark.date_time.filter(|_| has_date_time);
            open.map = self.map.as_ref().map(|map| map.uri.clone());
            open.parts.clone_from(&opened.parts);
        }
        Some(Arc::new(Edge { media_sequence: self.window.end(), number: self.next, open }))
    }

    /// Whether the map has become another one than that of the segment before the open one.
    pub(super) fn has_other_map(&self) -> bool {
        let before = self.window.last_map();
        before.is_some() && before != self.map
    }

    /// Whether it ended before there was anything to show.
    pub(super) const fn is_absent(&self) -> bool {
        self.is_ended && !self.is_out
    }

    /// Whether it was dropped, `behind` segments before the others are now: its variant would only lead new viewers to
    /// its end.
    pub(super) const fn is_left_behind(&self, most_closed: u64, behind: u64) -> bool {
        self.is_ended && most_closed >= self.closed.saturating_add(behind)
    }
}
