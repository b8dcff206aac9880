//! What is shown at one moment, for readers.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::playlist;

/// What the presentation shows at one moment. It never changes: readers and destinations hold it as long as
/// they like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub(super) views: Vec<Option<Arc<View>>>,
    pub(super) multivariant: Option<Arc<str>>,
}

/// One rendition's playlist, and the numbers in its segments' names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) media: playlist::Media,
    pub(super) numbers: Vec<u64>,
}

impl Snapshot {
    /// The media playlist of `rendition`; none if it has not been published.
    pub fn media(&self, rendition: usize) -> Option<&playlist::Media> {
        Some(&self.views.get(rendition)?.as_ref()?.media)
    }

    /// The numbers of the segments that `rendition`'s playlist names, the oldest first.
    pub fn numbers(&self, rendition: usize) -> &[u64] {
        let view = self.views.get(rendition).and_then(Option::as_ref);
        view.map_or(&[], |view| &view.numbers)
    }

    /// The multivariant playlist's text; none if there is none yet.
    pub fn multivariant(&self) -> Option<&str> {
        self.multivariant.as_deref()
    }

    /// The playlist of `rendition` as a place shows it that lacks the segments numbered `missing`: those are
    /// marked EXT-X-GAP. None if the playlist has not been published.
    pub fn render(&self, rendition: usize, missing: &BTreeSet<u64>) -> Option<String> {
        let view = self.views.get(rendition)?.as_ref()?;
        if view.numbers.iter().all(|number| !missing.contains(number)) {
            return Some(view.media.render());
        }
        let mut media = view.media.clone();
        for (segment, number) in media.segments.iter_mut().zip(&view.numbers) {
            segment.is_gap |= missing.contains(number);
        }
        Some(media.render())
    }
}
