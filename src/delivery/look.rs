//! Whether a destination takes files, and what an earlier run left there.

use bytes::Bytes;
use tokio::time::Instant;

use crate::chunks::Chunks;
use crate::destination::{Destination, Error};
use crate::{live, playlist};

/// What the file begins with by which it is seen whether a destination takes files.
const PROBE: &str = ".segcast-probe";

/// Bytes of the file by which it is seen how fast.
const PROBE_BYTES: usize = 64 << 10;

/// The renditions' playlists at one destination, as an earlier run left them.
pub type Found = Vec<Option<playlist::Media>>;

/// Puts a file and deletes it, which tells how fast that goes, and claims the playlists; what an earlier run's say.
///
/// # Errors
/// What the destination does not do, or that another process writes those playlists.
pub async fn look(destination: &dyn Destination, options: &live::Options) -> Result<Found, Error> {
    // Another channel may be put in the same folder under other names, and look at the same time.
    let own = options.renditions.first().map_or("", |first| &first.playlist).replace(['/', '.'], "-");
    let key = format!("{PROBE}-{own}");
    let began = Instant::now();
    destination.put(&key, Chunks::from("segcast\n".to_owned())).await?;
    let latency = began.elapsed();
    let began = Instant::now();
    destination.put(&key, Chunks::from(Bytes::from(vec![0; PROBE_BYTES]))).await?;
    let rate = PROBE_BYTES as f64 / began.elapsed().as_secs_f64().max(1e-6) / 1e6;
    destination.delete(&key).await?;
    for listing in &options.multivariants {
        destination.claim(&listing.key).await?;
    }
    let mut found = Vec::new();
    for rendition in &options.renditions {
        destination.claim(&rendition.playlist).await?;
        let text = destination.get(&rendition.playlist).await?;
        found.push(text.and_then(|text| read(&rendition.playlist, &text)));
    }
    let (name, latency_ms) = (destination.name(), latency.as_secs_f64() * 1e3);
    tracing::info!("{name}: takes files, a small one in {latency_ms:.1} ms, a large one at {rate:.1} MB/s");
    Ok(found)
}

/// What a channel goes on with: of each rendition the playlist that reaches farthest, so that no number comes twice.
/// Destinations that lack some of it show gaps there. Where another has passed more discontinuities, as many are added
/// for all, so that their number goes back nowhere.
pub fn farthest(found: &[&Found]) -> Found {
    let mut farthest = Found::new();
    let mut most_breaks = Vec::new();
    for here in found {
        most_breaks.resize(here.len().max(most_breaks.len()), 0);
        for (most, media) in most_breaks.iter_mut().zip(here.iter()) {
            *most = breaks(media.as_ref()).max(*most);
        }
        farthest.resize(farthest.len().max(here.len()), None);
        for (most, media) in farthest.iter_mut().zip(here.iter()) {
            if reach(media.as_ref()) > reach(most.as_ref()) {
                most.clone_from(media);
            }
        }
    }
    let lacks =
        farthest.iter().zip(most_breaks).map(|(media, most)| most.saturating_sub(breaks(media.as_ref())));
    let added = lacks.max().unwrap_or(0);
    for media in farthest.iter_mut().flatten() {
        media.discontinuity_sequence = media.discontinuity_sequence.saturating_add(added);
    }
    farthest
}

/// Discontinuities up to a playlist's end.
pub(super) fn breaks(media: Option<&playlist::Media>) -> u64 {
    media.map_or(0, |media| {
        let tags = media.segments.iter().filter(|segment| segment.is_discontinuity).count() as u64;
        media.discontinuity_sequence.saturating_add(tags)
    })
}

/// The media sequence number behind a playlist's last segment.
pub(super) fn reach(media: Option<&playlist::Media>) -> u64 {
    media.map_or(0, |media| media.media_sequence.saturating_add(media.segments.len() as u64))
}

fn read(key: &str, text: &[u8]) -> Option<playlist::Media> {
    let parsed = playlist::Media::parse(&String::from_utf8_lossy(text));
    parsed.inspect_err(|error| tracing::warn!("{key} is not gone on with: {error}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn earlier(media_sequence: u64) -> Option<playlist::Media> {
        let text = format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:{media_sequence}\n#EXTINF:4,\na.ts\n"
        );
        Some(playlist::Media::parse(&text).unwrap())
    }

    #[test]
    fn of_each_rendition_the_playlist_that_reaches_farthest_is_gone_on_with() {
        let (one, other) = (vec![earlier(7), earlier(9)], vec![earlier(8), None]);
        assert_eq!(farthest(&[&one, &other, &vec![None, None]]), [earlier(8), earlier(9)]);
        assert_eq!(farthest(&[]), Found::new());
        // A shorter playlist that has passed more discontinuities.
        let mut broken = earlier(3);
        broken.as_mut().unwrap().discontinuity_sequence = 5;
        let agreed = farthest(&[&one, &vec![broken, None]]);
        assert_eq!(agreed.iter().map(|media| breaks(media.as_ref())).collect::<Vec<_>>(), [5, 5]);
    }

    #[test]
    fn what_is_no_playlist_is_not_gone_on_with() {
        assert_eq!(read("index.m3u8", b"\xff\0garbage"), None);
    }
}
