//! What is done before the first byte: do destinations take files, and what did an earlier run leave there?

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::{Error, Options};
use crate::delivery::{self, Delivery, Entrance, Found, chain};
use crate::destination::{self, Kind};
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
        looking.spawn(async move {
            let silent =
                |_| Err(broken(&name, format!("no answer within {} s", PROBE_LIMIT.as_secs()).into()));
            (n, timeout(PROBE_LIMIT, entering).await.unwrap_or_else(silent))
        });
    }
    let mut looked: Vec<_> = looking.join_all().await;
    looked.sort_by_key(|(n, _)| *n);

    let found = looked.iter().filter_map(|(_, looked)| looked.as_ref().ok());
    let shown = Arc::new(agreed(found.map(|(_, found)| found)));
    let is_any_open = looked.iter().any(|(_, looked)| looked.is_ok());
    let mut prepared = Prepared {
        presentation: Presentation::resume(options.presentation.clone(), &shown),
        deliveries: Vec::new(),
        refused: None,
    };
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
        Some(error) if prepared.deliveries.is_empty() => Err(error),
        refused => Ok(Prepared { refused, ..prepared }),
    }
}

fn broken(name: &str, source: Box<dyn std::error::Error + Send + Sync>) -> destination::Error {
    destination::Error::new(Kind::Transient, format!("put anything at {name}"), source)
}

/// What the channel goes on with: the playlists that reach farthest, so that no number comes twice. Destinations that
/// lack some of it show gaps there.
fn agreed<'a>(found: impl Iterator<Item = &'a Found>) -> Found {
    let end = |media: &playlist::Media| media.media_sequence.saturating_add(media.segments.len() as u64);
    let reach = |found: &&Found| found.iter().flatten().map(end).max();
    found.max_by_key(reach).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn earlier(media_sequence: u64) -> Found {
        let text = format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:{media_sequence}\n#EXTINF:4,\n{media_sequence:05}.ts\n"
        );
        vec![Some(playlist::Media::parse(&text).unwrap())]
    }

    #[test]
    fn the_playlists_that_reach_farthest_are_gone_on_with() {
        let (short, long) = (earlier(7), earlier(9));
        assert_eq!(agreed([&short, &long, &vec![None]].into_iter()), long);
        assert_eq!(agreed([&long, &short].into_iter()), long);
        assert_eq!(agreed([].into_iter()), Found::new());
    }
}
