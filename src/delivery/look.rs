//! Whether a destination takes files, and what an earlier run left there.

use crate::chunks::Chunks;
use crate::destination::{Destination, Error};
use crate::{live, playlist};

/// What the file begins with by which it is seen whether a destination takes files.
const PROBE: &str = ".segcast-probe";

/// The renditions' playlists at one destination, as an earlier run left them.
pub type Found = Vec<Option<playlist::Media>>;

/// Puts and deletes a small file, and claims the playlists; what an earlier run's say.
///
/// # Errors
/// What the destination does not do, or that another process writes those playlists.
pub async fn look(destination: &dyn Destination, options: &live::Options) -> Result<Found, Error> {
    // Another channel may be put in the same folder under other names, and look at the same time.
    let own = options.renditions.first().map_or("", |first| &first.playlist).replace(['/', '.'], "-");
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

/// What a channel goes on with: of each rendition the playlist that reaches farthest, so that no number comes twice.
/// Destinations that lack some of it show gaps there.
pub fn farthest<'a>(found: impl IntoIterator<Item = &'a Found>) -> Found {
    let mut farthest = Found::new();
    for here in found {
        farthest.resize(farthest.len().max(here.len()), None);
        for (most, media) in farthest.iter_mut().zip(here) {
            if reach(media.as_ref()) > reach(most.as_ref()) {
                most.clone_from(media);
            }
        }
    }
    farthest
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
        assert_eq!(farthest([&one, &other, &vec![None, None]]), [earlier(8), earlier(9)]);
        assert_eq!(farthest([]), Found::new());
    }

    #[test]
    fn what_is_no_playlist_is_not_gone_on_with() {
        assert_eq!(read("index.m3u8", b"\xff\0garbage"), None);
    }
}
