//! What is done before the first byte: do destinations take files, and what did an earlier run leave there?

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Error, Options};
use crate::delivery::{self, Delivery, Entrance, chain};
use crate::destination::{self, Destination, Kind};
use crate::live::{self, Presentation};
use crate::playlist;

/// How long a destination may take to show that it takes files before the others begin without it.
const PROBE_LIMIT: Duration = Duration::from_secs(10);

/// Where nothing tells of earlier runs, discontinuities are counted by the hour from the beginning of 2026 on. Counting
/// faster would be safer for two starts in an hour, but hls.js 1.7 steps through all numbers up to this one at each
/// reload: a number as large as a segment's keeps it busy for ever.
const BREAKS_SINCE: Duration = Duration::from_secs(1_767_225_600);

/// What a channel begins with.
pub struct Prepared {
    pub presentation: Presentation,
    pub deliveries: Vec<Delivery>,
    /// A destination that was left out.
    pub refused: Option<Error>,
}

/// The presentation goes on after `shown`. Where the origin is the only place that is there, nothing tells of earlier
/// runs: numbers begin so that they are above all of them.
fn presentation(options: &Options, shown: Option<&[Option<playlist::Media>]>) -> Presentation {
    let presentation = options.presentation.clone();
    if let Some(shown) = shown {
        return Presentation::resume(presentation, shown);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let first = now.as_millis() / presentation.target.as_millis().max(1);
    let breaks = now.saturating_sub(BREAKS_SINCE).as_secs() / 3600;
    Presentation::resume_from(presentation, u64::try_from(first).unwrap_or(1), breaks)
}

/// The search for places to begin at.
pub struct Search<'a> {
    options: &'a Options,
    began: Instant,
    ended: mpsc::UnboundedSender<()>,
    /// What has been said.
    said: BTreeSet<String>,
}

/// Why there is no place to begin at.
pub enum Nowhere {
    /// Another search would find none either.
    Refused(Error),
    /// Nobody answers; somebody may yet.
    Silent(Error),
}

impl<'a> Search<'a> {
    /// Delivery is timed from `began`, and `ended` hears of each that gives up.
    pub const fn new(options: &'a Options, began: Instant, ended: mpsc::UnboundedSender<()>) -> Self {
        Self { options, began, ended, said: BTreeSet::new() }
    }

    /// Sees that destinations take files, and goes on where an earlier run left off.
    ///
    /// One that refuses is said and left out; one that does not answer is looked at again while the others, or the
    /// origin, begin.
    ///
    /// # Errors
    /// [`Nowhere`]; [`Nowhere::Refused`] also if a destination refuses that is required.
    pub async fn prepare(&mut self) -> Result<Prepared, Nowhere> {
        let options = self.options;
        let looked = look_at_all(options).await;
        let open = looked.iter().filter_map(|looked| match looked {
            Ok(Entrance::Open(_, found)) => Some(found),
            _ => None,
        });
        let open: Vec<_> = open.collect();
        let shown = Arc::new(delivery::farthest(&open));
        let has_place = !open.is_empty() || options.origin.is_some();
        let told = (!open.is_empty()).then_some(shown.as_slice());
        let (mut deliveries, mut refused, mut silent) = (Vec::new(), None, None);
        for (served, looked) in options.destinations.iter().zip(looked) {
            let error = |source| Error::Destination { name: served.target.to_string(), source };
            match looked {
                Ok(Entrance::Late(_, source)) if !has_place => {
                    silent.get_or_insert(self.say(error(source)));
                }
                Ok(entrance) => {
                    let (began, ended) = (self.began, self.ended.clone());
                    let delivery =
                        Delivery::start(served, &options.presentation, entrance, &shown, began, ended);
                    deliveries.push(delivery);
                }
                Err(source) if served.is_required => return Err(Nowhere::Refused(error(source))),
                Err(source) => {
                    refused.get_or_insert(self.say(error(source)));
                }
            }
        }
        match (silent, refused) {
            (Some(silent), _) => Err(Nowhere::Silent(silent)),
            (None, Some(refused)) if !has_place => Err(Nowhere::Refused(refused)),
            (None, refused) => {
                Ok(Prepared { presentation: presentation(options, told), deliveries, refused })
            }
        }
    }

    /// Says why a destination is left out, once, where there are others. Of the only one our caller is told.
    fn say(&mut self, error: Error) -> Error {
        let is_one_of_many = self.options.destinations.len() > 1 || self.options.origin.is_some();
        let text = chain(&error);
        if is_one_of_many && self.said.insert(text.clone()) {
            tracing::error!("{text}");
        }
        error
    }
}

/// Looks at all at the same time, so that one that does not answer holds up nobody for longer than the limit.
async fn look_at_all(options: &Options) -> Vec<Result<Entrance, destination::Error>> {
    let mut looking = JoinSet::new();
    for (n, served) in options.destinations.iter().enumerate() {
        let opened = served.target.open().map(Arc::from);
        let presentation = options.presentation.clone();
        // Where there is no other, nobody waits for it.
        let most = if options.destinations.len() == 1 { served.timeout } else { PROBE_LIMIT };
        let limit = served.timeout.min(most);
        looking.spawn(async move { (n, look(opened, presentation, limit).await) });
    }
    let mut looked = looking.join_all().await;
    looked.sort_by_key(|(n, _)| *n);
    looked.into_iter().map(|(_, looked)| looked).collect()
}

/// Looks at a destination. What may go well another time is no error.
async fn look(
    opened: Result<Arc<dyn Destination>, destination::Error>,
    presentation: live::Options,
    limit: Duration,
) -> Result<Entrance, destination::Error> {
    let destination = opened?;
    match delivery::enter(Arc::clone(&destination), presentation, limit).await {
        Ok(found) => Ok(Entrance::Open(destination, found)),
        Err(error) if error.kind() == Kind::Transient => Ok(Entrance::Late(destination, error)),
        Err(error) => Err(error),
    }
}
