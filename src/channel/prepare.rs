//! What is done before the first byte: do destinations take files, and what did an earlier run leave there?

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

/// Sees that destinations take files, and goes on where an earlier run left off.
///
/// One that refuses is said and left out; one that does not answer is looked at again while the others, or the origin,
/// begin. If there is no place to begin at, or one that is required refuses, that is an error.
pub async fn prepare(
    options: &Options,
    began: Instant,
    ended: &mpsc::UnboundedSender<()>,
) -> Result<Prepared, Error> {
    // All at the same time: one that does not answer holds up nobody for longer than the limit.
    let mut looking = JoinSet::new();
    for (n, served) in options.destinations.iter().enumerate() {
        let opened = served.target.open().map(Arc::from);
        let presentation = options.presentation.clone();
        // Where there is no other, nobody waits for it.
        let most = if options.destinations.len() == 1 { served.timeout } else { PROBE_LIMIT };
        let limit = served.timeout.min(most);
        looking.spawn(async move { (n, look(opened, presentation, limit).await) });
    }
    let mut looked: Vec<_> = looking.join_all().await;
    looked.sort_by_key(|(n, _)| *n);

    let open = looked.iter().filter_map(|(_, looked)| match looked {
        Ok(Entrance::Open(_, found)) => Some(found),
        _ => None,
    });
    let open: Vec<_> = open.collect();
    let shown = Arc::new(delivery::farthest(&open));
    let has_place = !open.is_empty() || options.origin.is_some();
    let told = (!open.is_empty()).then_some(shown.as_slice());
    let mut prepared =
        Prepared { presentation: presentation(options, told), deliveries: Vec::new(), refused: None };
    for (served, (_, looked)) in options.destinations.iter().zip(looked) {
        let entrance = match looked {
            Ok(Entrance::Late(_, source)) if !has_place => Err(source),
            looked => looked,
        };
        let entrance = match entrance {
            Ok(entrance) => entrance,
            Err(source) => {
                let error = Error::Destination { name: served.target.to_string(), source };
                if served.is_required {
                    return Err(error);
                }
                if options.destinations.len() > 1 || options.origin.is_some() {
                    tracing::error!("{}", chain(&error));
                }
                prepared.refused.get_or_insert(error);
                continue;
            }
        };
        let delivery = Delivery::start(served, &options.presentation, entrance, &shown, began, ended.clone());
        prepared.deliveries.push(delivery);
    }
    match prepared.refused {
        // Where there is an origin, the channel has a place to be.
        Some(error) if prepared.deliveries.is_empty() && options.origin.is_none() => Err(error),
        refused => Ok(Prepared { refused, ..prepared }),
    }
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
