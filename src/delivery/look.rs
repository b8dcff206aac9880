//! Whether a destination takes files, and what an earlier run left there.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::chain;
use crate::chunks::Chunks;
use crate::destination::{Destination, Error, Kind};
use crate::{live, playlist};

/// What the file begins with by which it is seen whether a destination takes files.
const PROBE: &str = ".segcast-probe";

/// Bytes of the file by which it is seen how fast.
const PROBE_BYTES: usize = 64 << 10;

/// How long it may take to delete that file where a step failed for good.
const CLEAN_UP: Duration = Duration::from_secs(2);

/// The renditions' playlists at one destination, as an earlier run left them.
pub type Found = Vec<Option<playlist::Media>>;

/// What a destination is like before anything of the channel is put there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// What an earlier run left.
    pub found: Found,
    /// Whether it refuses to delete: expired segments stay.
    pub refuses_delete: bool,
}

/// A look at one destination: a file is put and deleted, which tells how fast that goes, playlists are claimed, and those
/// of an earlier run are read. Where a step fails, the next [`run`](Self::run) repeats that step and none before it.
#[derive(Debug, Default)]
pub struct Look {
    /// How long a small file took.
    latency: Option<Duration>,
    /// Megabytes a second of a large one.
    rate: Option<f64>,
    /// Playlists claimed, the multivariant ones first.
    claimed: usize,
    /// Playlists read.
    found: Found,
}

impl Look {
    /// Takes the steps that are left. With `keeps` nothing will ever be deleted there.
    ///
    /// # Errors
    /// What the destination does not do, or that another process writes those playlists.
    pub async fn run(
        &mut self,
        destination: &dyn Destination,
        options: &live::Options,
        keeps: bool,
    ) -> Result<Looked, Error> {
        let probe = probe(options);
        self.prepare(destination, options, &probe).await?;
        let refuses_delete = is_delete_refused(destination, &probe, keeps).await?;
        let (name, latency) = (destination.name(), self.latency.unwrap_or_default());
        let (latency_ms, rate) = (latency.as_secs_f64() * 1e3, self.rate.unwrap_or_default());
        tracing::info!(
            "{name}: takes files, a small one in {latency_ms:.1} ms, a large one at {rate:.1} MB/s"
        );
        Ok(Looked { found: std::mem::take(&mut self.found), refuses_delete })
    }

    /// Deletes what the steps so far have left, where nobody looks again. Why that is so says more than whether it works.
    pub(super) async fn clean_up(&self, destination: &dyn Destination, options: &live::Options) {
        if self.latency.is_some() {
            let _ = timeout(CLEAN_UP, destination.delete(&probe(options))).await;
        }
    }

    /// All that is done while the file at `probe` is there.
    async fn prepare(
        &mut self,
        destination: &dyn Destination,
        options: &live::Options,
        probe: &str,
    ) -> Result<(), Error> {
        if self.latency.is_none() {
            let began = Instant::now();
            destination.put(probe, Chunks::from("segcast\n".to_owned())).await?;
            self.latency = Some(began.elapsed());
        }
        if self.rate.is_none() {
            let began = Instant::now();
            destination.put(probe, Chunks::from(Bytes::from(vec![0; PROBE_BYTES]))).await?;
            self.rate = Some(PROBE_BYTES as f64 / began.elapsed().as_secs_f64().max(1e-6) / 1e6);
        }
        let listings = options.multivariants.iter().map(|listing| &listing.key);
        let playlists = || options.renditions.iter().map(|rendition| &rendition.playlist);
        for key in listings.chain(playlists()).skip(self.claimed) {
            destination.claim(key).await?;
            self.claimed += 1;
        }
        for key in playlists().skip(self.found.len()) {
            let text = match destination.get(key).await {
                Err(error) if error.kind() == Kind::Refused => {
                    can_get(destination, probe, error).await?;
                    None
                }
                got => got?,
            };
            self.found.push(text.and_then(|text| read(key, &text)));
        }
        Ok(())
    }
}

/// The name of the probe's file: another channel may be put in the same folder under other names, and look at the same
/// time.
fn probe(options: &live::Options) -> String {
    let own = options.renditions.first().map_or("", |first| &first.playlist).replace(['/', '.'], "-");
    format!("{PROBE}-{own}")
}

/// Deletes the file at `probe`. Returns whether that is refused: viewers lose nothing by it.
async fn is_delete_refused(destination: &dyn Destination, probe: &str, keeps: bool) -> Result<bool, Error> {
    let Err(error) = destination.delete(probe).await else { return Ok(false) };
    let (name, text) = (destination.name(), chain(&error));
    match error.kind() {
        _ if keeps => {
            tracing::info!("delete refused, which keep = true does not need destination={name} error={text}");
        }
        Kind::Refused | Kind::Missing | Kind::Invalid => tracing::warn!(
            "delete refused, expired segments stay there: allow it and restart, or set keep = true \
             destination={name} error={text}"
        ),
        Kind::Transient | Kind::Closed => return Err(error),
    }
    Ok(true)
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

    async fn look(strict: &Strict, keeps: bool) -> Result<Looked, Error> {
        Look::default().run(strict, &options(), keeps).await
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
        assert_eq!(look(&strict, false).await.unwrap().found, vec![None]);
        assert!(strict.files.lock().unwrap().is_empty(), "the probe leaves nothing behind");
    }

    #[tokio::test]
    async fn a_destination_that_refuses_delete_is_good_enough() {
        let strict = Strict { refuses_delete: true, ..Strict::default() };
        for keeps in [true, false] {
            let looked = look(&strict, keeps).await.unwrap();
            assert_eq!(looked, Looked { found: vec![None], refuses_delete: true });
        }
    }

    /// A destination whose n-th operation fails.
    struct Faulty {
        fails: usize,
        kind: Kind,
        done: Mutex<Vec<String>>,
    }

    impl Faulty {
        fn step<T: Send + 'static>(&self, step: String, value: T) -> Pending<'_, T> {
            let mut done = self.done.lock().unwrap();
            done.push(step);
            let error = (done.len() == self.fails).then(|| Error::new(self.kind, "do it", "no".into()));
            Box::pin(async move { error.map_or(Ok(value), Err) })
        }
    }

    impl Destination for Faulty {
        fn name(&self) -> String {
            "faulty".to_owned()
        }

        fn claim(&self, key: &str) -> Pending<'_, ()> {
            self.step(format!("claim {key}"), ())
        }

        fn put(&self, _: &str, body: Chunks) -> Pending<'_, ()> {
            self.step(format!("put {} bytes", body.size_bytes()), ())
        }

        fn delete(&self, _: &str) -> Pending<'_, ()> {
            self.step("delete".to_owned(), ())
        }

        fn get(&self, key: &str) -> Pending<'_, Option<Bytes>> {
            self.step(format!("get {key}"), None)
        }
    }

    const STEPS: [&str; 8] = [
        "put 8 bytes",
        "put 65536 bytes",
        "claim index.m3u8",
        "claim a.m3u8",
        "claim b.m3u8",
        "get a.m3u8",
        "get b.m3u8",
        "delete",
    ];

    fn two_renditions() -> live::Options {
        let playlist = |name: &str| live::Rendition { playlist: name.to_owned(), ..Default::default() };
        let listing = live::Listing { key: "index.m3u8".to_owned(), ..Default::default() };
        live::Options {
            multivariants: vec![listing],
            renditions: vec![playlist("a.m3u8"), playlist("b.m3u8")],
            ..options()
        }
    }

    #[tokio::test]
    async fn a_step_that_passed_is_not_repeated_because_another_one_failed() {
        for fails in 1..=STEPS.len() {
            let faulty = Faulty { fails, kind: Kind::Transient, done: Mutex::default() };
            let mut look = Look::default();
            let error = look.run(&faulty, &two_renditions(), false).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Transient);
            let looked = look.run(&faulty, &two_renditions(), false).await.unwrap();
            assert_eq!(looked.found, vec![None, None]);
            let expected = [&STEPS[..fails], &STEPS[fails - 1..]].concat();
            assert_eq!(*faulty.done.lock().unwrap(), expected, "step {fails} failed");
        }
    }

    #[tokio::test]
    async fn what_fails_for_good_leaves_no_probe() {
        for fails in 1..STEPS.len() - 2 {
            let faulty = Faulty { fails, kind: Kind::Refused, done: Mutex::default() };
            let mut look = Look::default();
            let error = look.run(&faulty, &two_renditions(), false).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Refused);
            look.clean_up(&faulty, &two_renditions()).await;
            // Where not even the first file was taken, there is nothing to delete.
            let last: &[&str] = if fails == 1 { &[] } else { &["delete"] };
            assert_eq!(*faulty.done.lock().unwrap(), [&STEPS[..fails], last].concat());
        }
    }
}
