//! What is done before the first byte: do destinations take files, and what did an earlier run leave there?

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::deliver::Delivery;
use super::{Error, Options, chain};
use crate::chunks::Chunks;
use crate::delivery;
use crate::destination::{self, Destination, Kind};
use crate::live::{self, Presentation};
use crate::playlist;

/// What the file begins with by which it is seen whether a destination takes files.
const PROBE: &str = ".segcast-probe";

/// How long a destination may take to show that it takes files.
const PROBE_LIMIT: Duration = Duration::from_secs(10);

/// The renditions' playlists at one destination, as an earlier run left them.
type Found = Vec<Option<playlist::Media>>;

/// Sees that destinations take files, and goes on where an earlier run left off. One that does not is said and
/// left out; if none does, that is an error. Whether one was left out comes with it.
pub async fn prepare(
    options: &Options,
    ended: &mpsc::UnboundedSender<()>,
) -> Result<(Presentation, Vec<Delivery>, Option<Error>), Error> {
    let mut found = Vec::new();
    let mut deliveries = Vec::new();
    let mut refused = None;
    // All at the same time: one that does not answer holds up nobody for longer than the limit.
    let looking: Vec<_> = options.destinations.iter().map(|served| look(served, options)).collect();
    for (name, looked) in looking {
        match looked.await.unwrap_or_else(|join| Err(broken(&name, join.into()))) {
            Ok((earlier, destination)) => {
                found.push(earlier);
                deliveries.push(Delivery::start(destination, options.presentation.entry(), ended.clone()));
            }
            Err(source) => {
                let error = Error::Destination { name, source };
                if options.destinations.len() > 1 {
                    tracing::error!("{}", chain(&error));
                }
                refused.get_or_insert(error);
            }
        }
    }
    match refused {
        Some(error) if deliveries.is_empty() => Err(error),
        refused => {
            let presentation = Presentation::resume(options.presentation.clone(), &agreed(found));
            Ok((presentation, deliveries, refused))
        }
    }
}

type Looked = Result<(Found, Box<dyn Destination>), destination::Error>;

/// Begins to look at one destination.
fn look(served: &delivery::Options, options: &Options) -> (String, JoinHandle<Looked>) {
    let name = served.target.to_string();
    let target = served.target.clone();
    let (said, presentation) = (name.clone(), options.presentation.clone());
    let looked = tokio::spawn(async move {
        let destination = target.open()?;
        match timeout(PROBE_LIMIT, probe(destination.as_ref(), &presentation)).await {
            Ok(found) => found.map(|found| (found, destination)),
            Err(_) => Err(broken(&said, format!("no answer within {} s", PROBE_LIMIT.as_secs()).into())),
        }
    });
    (name, looked)
}

fn broken(name: &str, source: Box<dyn std::error::Error + Send + Sync>) -> destination::Error {
    destination::Error::new(Kind::Transient, format!("put anything at {name}"), source)
}

/// Puts and deletes a small file, and claims the playlists; what an earlier run's say.
async fn probe(destination: &dyn Destination, options: &live::Options) -> Result<Found, destination::Error> {
    // Another channel may be put in the same folder under other names, and look at the same time.
    let own = options.renditions.first().map_or("", |first| &first.playlist).replace('/', "-");
    let key = format!("{PROBE}-{own}");
    destination.put(&key, Chunks::from("segcast\n".to_owned())).await?;
    destination.delete(&key).await?;
    if let Some(multivariant) = &options.multivariant {
        destination.claim(multivariant).await?;
    }
    let mut found = Vec::new();
    for rendition in &options.renditions {
        destination.claim(&rendition.playlist).await?;
        let text = destination.get(&rendition.playlist).await?;
        found.push(text.and_then(|text| read(&rendition.playlist, &text)));
    }
    Ok(found)
}

fn read(key: &str, text: &[u8]) -> Option<playlist::Media> {
    let parsed = playlist::Media::parse(&String::from_utf8_lossy(text));
    parsed.inspect_err(|error| tracing::warn!("{key} is not gone on with: {error}")).ok()
}

/// What all destinations have. Where they differ, the longest-running one's numbers are gone on with and nothing
/// old is shown, so that no playlist names what is not there and no name comes twice.
fn agreed(found: Vec<Found>) -> Found {
    let is_same = found.windows(2).all(|pair| pair[0] == pair[1]);
    let end = |media: &playlist::Media| media.media_sequence.saturating_add(media.segments.len() as u64);
    let reach = |found: &Found| found.iter().flatten().map(end).max();
    let mut longest = found.into_iter().max_by_key(reach).unwrap_or_default();
    if !is_same {
        longest.iter_mut().flatten().for_each(|media| media.is_ended = true);
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn earlier(media_sequence: u64) -> Found {
        let text = format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:{media_sequence}\n#EXTINF:4,\n{media_sequence:05}.ts\n"
        );
        vec![read("index.m3u8", text.as_bytes())]
    }

    #[test]
    fn destinations_that_agree_are_gone_on_with() {
        assert_eq!(agreed(vec![earlier(7), earlier(7)]), earlier(7));
        assert_eq!(agreed(vec![]), Found::new());
    }

    #[test]
    fn where_destinations_differ_numbers_go_on_above_all_and_nothing_old_is_shown() {
        for found in
            [vec![earlier(7), earlier(9)], vec![earlier(9), vec![None]], vec![vec![None], earlier(9)]]
        {
            let agreed = agreed(found);
            let media = agreed[0].as_ref().unwrap();
            assert!(media.is_ended && media.media_sequence == 9);
        }
    }

    #[test]
    fn what_is_no_playlist_is_not_gone_on_with() {
        assert_eq!(read("index.m3u8", b"\xff\0garbage"), None);
    }
}
