//! What is shown at one moment, for readers.

use std::sync::Arc;
use std::time::Duration;

use super::date_ranges::DateRanges;
use super::edge::Edge;
use super::view::View;
use super::{Options, Rendition};
use crate::playlist;

/// What the presentation shows at one moment. It never changes: readers and destinations hold it as long as
/// they like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub(super) options: Arc<Options>,
    pub(super) views: Vec<Option<Arc<View>>>,
    /// None once a rendition has ended.
    pub(super) edges: Vec<Option<Arc<Edge>>>,
    /// In the order of the options.
    pub(super) multivariants: Vec<Option<Arc<str>>>,
    pub(super) part_target: Option<Duration>,
    pub(super) date_ranges: Arc<DateRanges>,
}

impl Snapshot {
    /// The media playlist of `rendition`, of whole segments; none if it has not been published.
    pub fn media(&self, rendition: usize) -> Option<&playlist::Media> {
        Some(&self.views.get(rendition)?.as_ref()?.media)
    }

    /// The playlist of `rendition` with what it names; none if it has not been published.
    pub fn view(&self, rendition: usize) -> Option<&Arc<View>> {
        self.views.get(rendition)?.as_ref()
    }

    /// The segment of `rendition` that is not whole yet; none if there is no such rendition, or it has ended.
    pub fn edge(&self, rendition: usize) -> Option<&Edge> {
        self.edges.get(rendition)?.as_deref()
    }

    /// The parts of the segment of `rendition` with this number in its name, whole or not, as long as they are told of.
    pub fn parts(&self, rendition: usize, number: u64) -> &[playlist::Part] {
        match self.edge(rendition).filter(|edge| edge.number() == number) {
            Some(edge) => edge.parts(),
            None => self.view(rendition).map_or(&[], |view| view.parts(number)),
        }
    }

    /// How many renditions there are, published or not.
    pub fn renditions(&self) -> usize {
        self.views.len()
    }

    /// The names of `rendition`.
    pub fn names(&self, rendition: usize) -> Option<&Rendition> {
        self.options.renditions.get(rendition)
    }

    /// How the channel presents itself.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Whether `rendition` ended before there was anything to show, or never was: it is not there, and will not be.
    pub fn is_absent(&self, rendition: usize) -> bool {
        self.view(rendition).is_none() && self.edge(rendition).is_none()
    }

    /// PART-TARGET: no part of any rendition is longer. None before the first playlists are out, and without parts.
    pub const fn part_target(&self) -> Option<Duration> {
        self.part_target
    }

    /// Whether it says the same of stretches of time as the snapshot `before`, which led to it.
    pub fn has_same_date_ranges(&self, before: &Self) -> bool {
        Arc::ptr_eq(&self.date_ranges, &before.date_ranges)
    }

    /// Whether there is a playlist for viewers to open: a multivariant one, or where there is to be none, the lone
    /// rendition's.
    pub fn has_entry(&self) -> bool {
        match self.options.multivariants.is_empty() {
            true => self.views.iter().any(Option::is_some),
            false => self.multivariants.iter().any(Option::is_some),
        }
    }

    /// The text of the multivariant playlist at `key`; none if there is none yet.
    pub fn multivariant(&self, key: &str) -> Option<&str> {
        let at = self.options.multivariants.iter().position(|listing| listing.key == key)?;
        self.multivariants.get(at)?.as_deref()
    }
}
