//! What is done before the first byte: do destinations take files, and what did an earlier run leave there?

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::{Error, Options};
use crate::delivery::{self, Delivery, Entrance, chain};
use crate::destination::Kind;
use crate::live::Presentation;
use crate::playlist;

/// How long a destination may take to show that it takes files before the others begin without it.
const PROBE_LIMIT: Duration = Duration::from_secs(10);

/// What a channel begins with.
pub struct Prepared {
    pub presentation: Presentation,
    pub deliveries: Vec<Delivery>,
    /// A destination that was left out.
    pub refused: Option<Error>,
}

/// The presentation goes on after `shown`. Where an origin is the only place, nothing tells of earlier runs: numbers
/// begin so that they are above all of them.
fn presentation(options: &Options, shown: &[Option<playlist::Media>]) -> Presentation {
    let presentation = options.presentation.clone();
    if !options.destinations.is_empty() {
        return Presentation::resume(presentation, shown);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let first = now.as_millis() / presentation.target.as_millis().max(1);
    Presentation::resume_from(presentation, u64::try_from(first).unwrap_or(1))
}

/// Sees that destinations take files, and goes on where an earlier run left off.
///
/// One that refuses is said and left out; one that does not answer is looked at again while the others begin. If none
/// takes files, or one that is required refuses, that is an error.
pub async fn prepare(
    options: &Options,
    began: Instant,
    ended: &mpsc::UnboundedSender<()>,
) -> Result<Prepared, Error> {
    // All at the same time: one that does not answer holds up nobody for longer than the limit.
    let mut looking = JoinSet::new();
    for (n, served) in options.destinations.iter().enumerate() {
        let entering = delivery::enter(served.clone(), options.presentation.clone());
        let name = served.target.to_string();
        // Where there is no other, nobody waits for it.
        let limit = if options.destinations.len() == 1 { served.timeout } else { PROBE_LIMIT };
        looking.spawn(async move {
            let silent = |_| Err(delivery::silent("put anything at", &name, limit));
            (n, timeout(limit, entering).await.unwrap_or_else(silent))
        });
    }
    let mut looked: Vec<_> = looking.join_all().await;
    looked.sort_by_key(|(n, _)| *n);

    let found = looked.iter().filter_map(|(_, looked)| looked.as_ref().ok().map(|(_, found)| found));
    let shown = Arc::new(delivery::farthest(&found.collect::<Vec<_>>()));
    let is_any_open = looked.iter().any(|(_, looked)| looked.is_ok());
    let mut prepared =
        Prepared { presentation: presentation(options, &shown), deliveries: Vec::new(), refused: None };
    for (served, (_, looked)) in options.destinations.iter().zip(looked) {
        let entrance = match looked {
            Ok((destination, found)) => Entrance::Open(destination, found),
            Err(error) if is_any_open && error.kind() == Kind::Transient => Entrance::Late(error),
            Err(source) => {
                let error = Error::Destination { name: served.target.to_string(), source };
                if served.is_required {
                    return Err(error);
                }
                if options.destinations.len() > 1 {
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
