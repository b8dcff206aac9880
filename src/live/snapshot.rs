//! What is shown at one moment, for readers.

use std::sync::Arc;

use super::view::View;
use crate::playlist;

/// What the presentation shows at one moment. It never changes: readers and destinations hold it as long as
/// they like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub(super) views: Vec<Option<Arc<View>>>,
    pub(super) multivariant: Option<Arc<str>>,
}

impl Snapshot {
    /// The media playlist of `rendition`; none if it has not been published.
    pub fn media(&self, rendition: usize) -> Option<&playlist::Media> {
        Some(&self.views.get(rendition)?.as_ref()?.media)
    }

    /// The playlist of `rendition` with what it names; none if it has not been published.
    pub fn view(&self, rendition: usize) -> Option<&Arc<View>> {
        self.views.get(rendition)?.as_ref()
    }

    /// How many renditions there are, published or not.
    pub fn renditions(&self) -> usize {
        self.views.len()
    }

    /// The multivariant playlist's text; none if there is none yet.
    pub fn multivariant(&self) -> Option<&str> {
        self.multivariant.as_deref()
    }
}
