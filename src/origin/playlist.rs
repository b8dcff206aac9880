//! A playlist, and its text for those who ask.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use super::reload;
use super::text::Text;
use crate::live::{Skip, Snapshot, low_latency};

/// A playlist at one moment. Its text is made when it is first asked for: what nobody reads costs nothing, and it is
/// never the channel that waits for it.
#[derive(Debug)]
pub struct Playlist {
    says: Says,
    /// Key of the part that is hinted at (EXT-X-PRELOAD-HINT).
    hint: Option<String>,
    whole: OnceLock<Text>,
    delta: OnceLock<Text>,
    smaller_delta: OnceLock<Text>,
}

#[derive(Debug)]
enum Says {
    /// This.
    Text(String),
    /// What this rendition shows.
    Rendition(Arc<Snapshot>, usize),
}

impl Playlist {
    /// One that says `text` to everybody.
    pub fn of_text(text: &str) -> Self {
        Self::new(Says::Text(text.to_owned()), None)
    }

    /// That of a rendition which has been published.
    pub fn of_rendition(snapshot: &Arc<Snapshot>, rendition: usize) -> Self {
        let edge = snapshot.edge(rendition).filter(|_| snapshot.part_target().is_some());
        let hint = edge
            .zip(snapshot.names(rendition))
            .map(|(edge, names)| names.part_key(edge.number(), edge.next_part()));
        Self::new(Says::Rendition(Arc::clone(snapshot), rendition), hint)
    }

    fn new(says: Says, hint: Option<String>) -> Self {
        let [whole, delta, smaller_delta] = Default::default();
        Self { says, hint, whole, delta, smaller_delta }
    }

    /// Whether it hints at `key`.
    pub fn hints_at(&self, key: &str) -> bool {
        self.hint.as_deref() == Some(key)
    }

    /// What it says to who knows as much as `skip` tells.
    pub fn text(&self, skip: Option<reload::Skip>) -> &Text {
        let skip = skip.filter(|_| matches!(self.says, Says::Rendition(..)));
        let (place, skip) = match skip {
            None => (&self.whole, Skip::No),
            Some(reload::Skip::Segments) => (&self.delta, Skip::Segments),
            Some(reload::Skip::DateRangesToo) => {
                (&self.smaller_delta, Skip::DateRangesToo { now: SystemTime::now() })
            }
        };
        place.get_or_init(|| match &self.says {
            Says::Text(text) => Text::new(text.clone()),
            Says::Rendition(snapshot, rendition) => {
                Text::new(low_latency(snapshot, *rendition, skip).unwrap_or_default())
            }
        })
    }
}
