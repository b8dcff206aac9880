//! Whether a destination takes files, and what an earlier run left there.

use bytes::Bytes;
use tokio::time::Instant;

use super::chain;
use crate::chunks::Chunks;
use crate::destination::{Destination, Error, Kind};
use crate::{live, playlist};

/// What the file begins with by which it is seen whether a destination takes files.
const PROBE: &str = ".segcast-probe";

/// Bytes of the file by which it is seen how fast.
const PROBE_BYTES: usize = 64 << 10;

/// The renditions' playlists at one destination, as an earlier run left them.
pub type Found = Vec<Option<playlist::Media>>;

/// Puts a file and deletes it, which tells how fast that goes, and claims the playlists; what an earlier run's say. With
/// `keeps` nothing will ever be deleted there, so a destination that refuses it is good enough.
///
/// # Errors
/// What the destination does not do, or that another process writes those playlists.
pub async fn look(
    destination: &dyn Destination,
    options: &live::Options,
    keeps: bool,
) -> Result<Found, Error> {
    // Another channel may be put in the same folder under other names, and look at the same time.
    let own = options.renditions.first().map_or("", |first| &first.playlist).replace(['/', '.'], "-");
    let key = format!("{PROBE}-{own}");
    let began = Instant::now();
    destination.put(&key, Chunks::from("segcast\n".to_owned())).await?;
    let latency = began.elapsed();
    let began = Instant::now();
    destination.put(&key, Chunks::from(Bytes::from(vec![0; PROBE_BYTES]))).await?;
    let rate = PROBE_BYTES as f64 / began.elapsed().as_secs_f64().max(1e-6) / 1e6;
    let found = take_over(destination, options, &key).await;
    match destination.delete(&key).await {
        Err(error) if keeps => tracing::info!(
            "delete refused, which keep = true does not need destination={} error={}",
            destination.name(),
            chain(&error)
        ),
        deleted => deleted?,
    }
    let (name, latency_ms) = (destination.name(), latency.as_secs_f64() * 1e3);
    tracing::info!("{name}: takes files, a small one in {latency_ms:.1} ms, a large one at {rate:.1} MB/s");
    found
}

/// Claims the playlists. Returns what an earlier run's say, while the file at `probe` is there.
async fn take_over(
    destination: &dyn Destination,
    options: &live::Options,
    probe: &str,
) -> Result<Found, Error> {
    for listing in &options.multivariants {
        destination.claim(&listing.key).await?;
    }
    let mut found = Vec::new();
    for rendition in &options.renditions {
        destination.claim(&rendition.playlist).await?;
        let text = match destination.get(&rendition.playlist).await {
            Err(error) if error.kind() == Kind::Refused => {
                can_get(destination, probe, error).await?;
                None
            }
            got => got?,
        };
        found.push(text.and_then(|text| read(&rendition.playlist, &text)));
    }
    Ok(found)
}

/// S3 answers 403 for what is not there to those who may not list the bucket. Who gets the probe's file back may get
/// what is there, so what was `refused` is absent.
async fn can_get(destination: &dyn Destination, probe: &str, refused: Error) -> Result<(), Error> {
    match destination.get(probe).await {
        Ok(Some(_)) => {
            tracing::warn!(
                "get refused, taken for absent: allow to list the bucket (s3:ListBucket) to tell the two apart \
                 destination={} error={}",
                destination.name(),
                chain(&refused)
            );
            Ok(())
        }
        _ => Err(refused),
    }
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
    use std::collections::BTreeMap;
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;
    use crate::destination::Pending;

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

    /// A destination that refuses to delete, or to get what is not there.
    #[derive(Default)]
    struct Strict {
        files: Mutex<BTreeMap<String, Bytes>>,
        refuses_delete: bool,
        refuses_absent: bool,
    }

    fn refused<T>() -> Result<T, Error> {
        Err(Error::new(Kind::Refused, "do it", "403".into()))
    }

    impl Destination for Strict {
        fn name(&self) -> String {
            "strict".to_owned()
        }

        fn put(&self, key: &str, body: Chunks) -> Pending<'_, ()> {
            self.files.lock().unwrap().insert(key.to_owned(), body.to_bytes());
            Box::pin(async { Ok(()) })
        }

        fn delete(&self, key: &str) -> Pending<'_, ()> {
            if self.refuses_delete {
                return Box::pin(async { refused() });
            }
            self.files.lock().unwrap().remove(key);
            Box::pin(async { Ok(()) })
        }

        fn get(&self, key: &str) -> Pending<'_, Option<Bytes>> {
            let found = self.files.lock().unwrap().get(key).cloned();
            let refuses = self.refuses_absent && found.is_none();
            Box::pin(async move { if refuses { refused() } else { Ok(found) } })
        }
    }

    fn options() -> live::Options {
        live::Options {
            kind: live::Kind::Event,
            target: Duration::from_secs(4),
            multivariants: vec![],
            url_prefix: String::new(),
            has_date_time: false,
            has_parts: false,
            renditions: vec![live::Rendition { playlist: "index.m3u8".to_owned(), ..Default::default() }],
        }
    }

    #[tokio::test]
    async fn who_may_not_list_is_told_403_of_what_is_absent() {
        let strict = Strict { refuses_absent: true, ..Strict::default() };
        assert_eq!(look(&strict, &options(), false).await.unwrap(), vec![None]);
        assert!(strict.files.lock().unwrap().is_empty(), "the probe leaves nothing behind");
    }

    #[tokio::test]
    async fn delete_is_needed_only_where_something_is_to_be_deleted() {
        let strict = Strict { refuses_delete: true, ..Strict::default() };
        assert_eq!(look(&strict, &options(), true).await.unwrap(), vec![None]);
        assert_eq!(look(&strict, &options(), false).await.unwrap_err().kind(), Kind::Refused);
    }
}
