//! Whether a destination takes files, and how fast.

use std::future::Future;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use crate::chunks::Chunks;
use crate::destination::{Destination, Error, Kind};

/// What the probe's object begins with.
pub const PREFIX: &str = ".segcast-probe-";

/// Small objects that are put for the latency.
const ROUNDS: usize = 5;
/// Bytes of one piece of the large object.
const PIECE_BYTES: usize = 64 << 10;

/// How a destination is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long each step with a small object may take.
    pub step: Duration,
    /// How long the large object may take.
    pub upload: Duration,
    /// Bytes of the large object.
    pub size_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { step: Duration::from_secs(10), upload: super::Options::TIMEOUT, size_bytes: 1 << 20 }
    }
}

/// What a destination is able to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How long it took to put a small object: the median of a few, on a connection that is there already.
    pub latency: Duration,
    /// How long it took to put the large object.
    pub upload: Duration,
    /// Bytes of the large object.
    pub size_bytes: u64,
    /// How it refuses to delete, if it does: the object is left, as expired segments will be.
    pub delete_refused: Option<String>,
}

impl Report {
    /// Bytes a second while the large object was put.
    pub fn throughput_bytes_per_s(&self) -> f64 {
        self.size_bytes as f64 / self.upload.as_secs_f64().max(1e-9)
    }
}

/// Puts a small object, gets it back, puts it again a few times, puts a large one over it, and deletes it. `on_step`
/// is told what is done next. The object is deleted also where a step failed, and where `stop` came first; not where
/// the future is dropped.
///
/// # Errors
/// The first step that failed, but for a delete that was refused, or took too long; [`Kind::Closed`] where `stop` came first.
pub async fn probe(
    destination: &dyn Destination,
    options: &Options,
    on_step: impl Fn(&str),
    stop: impl Future<Output = ()>,
) -> Result<Report, Error> {
    let probe = Probe { destination, options, on_step, key: key() };
    let measured = tokio::select! {
        measured = probe.measure() => measured,
        () = stop => Err(probe.error("measure", Kind::Closed, "it was asked to end".into())),
    };
    (probe.on_step)("deleting");
    let deleted = probe.delete().await;
    let report = measured?;
    match deleted {
        Err(error) if matches!(error.kind(), Kind::Refused | Kind::Missing | Kind::Invalid) => {
            Ok(Report { delete_refused: Some(super::chain(&error)), ..report })
        }
        deleted => deleted.map(|()| report),
    }
}

/// A name that no other probe has.
fn key() -> String {
    let nanos = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos());
    format!("{PREFIX}{}-{nanos:x}", std::process::id())
}

struct Probe<'a, F> {
    destination: &'a dyn Destination,
    options: &'a Options,
    on_step: F,
    key: String,
}

impl<F: Fn(&str)> Probe<'_, F> {
    async fn measure(&self) -> Result<Report, Error> {
        let text = format!("segcast {}\n", self.key);
        (self.on_step)("putting a small object");
        // The first one also connects, and makes folders.
        self.put_small(&text).await?;
        (self.on_step)("getting it back");
        self.expect_back(text.as_bytes()).await?;
        (self.on_step)("measuring latency");
        let mut times = [Duration::ZERO; ROUNDS];
        for time in &mut times {
            *time = self.put_small(&text).await?;
        }
        times.sort_unstable();
        (self.on_step)("measuring throughput");
        let body = large(self.options.size_bytes);
        let upload = self.timed("put", self.options.upload, self.destination.put(&self.key, body)).await?.0;
        let (latency, size_bytes) = (times[ROUNDS / 2], self.options.size_bytes);
        Ok(Report { latency, upload, size_bytes, delete_refused: None })
    }

    async fn put_small(&self, text: &str) -> Result<Duration, Error> {
        let body = Chunks::from(text.to_owned());
        Ok(self.timed("put", self.options.step, self.destination.put(&self.key, body)).await?.0)
    }

    async fn expect_back(&self, text: &[u8]) -> Result<(), Error> {
        match self.timed("get", self.options.step, self.destination.get(&self.key)).await?.1 {
            Some(bytes) if bytes == text => Ok(()),
            Some(_) => Err(self.error("get", Kind::Invalid, "what comes back is not what was put".into())),
            None => Err(self.error("get", Kind::Missing, "it was put, and it is not there".into())),
        }
    }

    async fn delete(&self) -> Result<(), Error> {
        self.timed("delete", self.options.step, self.destination.delete(&self.key)).await.map(drop)
    }

    /// What a step comes to within its limit, and how long it took.
    async fn timed<T>(
        &self,
        what: &str,
        limit: Duration,
        step: impl Future<Output = Result<T, Error>>,
    ) -> Result<(Duration, T), Error> {
        let began = Instant::now();
        match timeout(limit, step).await {
            Ok(done) => Ok((began.elapsed(), done?)),
            Err(_) => {
                let source = format!(
                    "it took longer than {} s: is the address right, does a firewall let it through, and is \
                     `timeout` long enough?",
                    limit.as_secs_f64()
                );
                Err(self.error(what, Kind::Transient, source))
            }
        }
    }

    fn error(&self, what: &str, kind: Kind, source: String) -> Error {
        Error::new(kind, format!("{what} {}/{}", self.destination.name(), self.key), source.into())
    }
}

/// Bytes without a pattern, so that nothing on the way makes them fewer.
fn large(size_bytes: u64) -> Chunks {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let pieces = (0..size_bytes).step_by(PIECE_BYTES).map(|at| {
        let len = (size_bytes - at).min(PIECE_BYTES as u64) as usize;
        let words = std::iter::repeat_with(|| {
            // xorshift64.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        });
        words.flatten().take(len).collect::<Bytes>()
    });
    pieces.collect()
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Mutex;

    use super::*;
    use crate::destination::{Copy, Pending, copy};

    /// A folder whose n-th operation goes wrong.
    struct Faulty {
        folder: Copy,
        fails: usize,
        how: Fault,
        done: Mutex<Vec<&'static str>>,
    }

    #[derive(Clone, Copy)]
    enum Fault {
        Fails,
        Hangs,
    }

    impl Faulty {
        fn new(folder: &std::path::Path, fails: usize, how: Fault) -> Self {
            Self { folder: Copy::new(copy::Options::new(folder)), fails, how, done: Mutex::default() }
        }

        async fn step(&self, what: &'static str) -> Result<(), Error> {
            let count = {
                let mut done = self.done.lock().unwrap();
                done.push(what);
                done.len()
            };
            match self.how {
                _ if count != self.fails => Ok(()),
                Fault::Fails => Err(Error::new(Kind::Refused, "do it", "no".into())),
                Fault::Hangs => pending().await,
            }
        }
    }

    impl Destination for Faulty {
        fn name(&self) -> String {
            "faulty".into()
        }

        fn put(&self, key: &str, body: Chunks) -> Pending<'_, ()> {
            let key = key.to_owned();
            Box::pin(async move {
                // What is cut off may still be there.
                self.folder.put(&key, body).await?;
                self.step("put").await
            })
        }

        fn delete(&self, key: &str) -> Pending<'_, ()> {
            let key = key.to_owned();
            Box::pin(async move {
                self.step("delete").await?;
                self.folder.delete(&key).await
            })
        }

        fn get(&self, key: &str) -> Pending<'_, Option<Bytes>> {
            let key = key.to_owned();
            Box::pin(async move {
                self.step("get").await?;
                self.folder.get(&key).await
            })
        }
    }

    const STEPS: [&str; 9] = ["put", "get", "put", "put", "put", "put", "put", "put", "delete"];

    fn names(folder: &std::path::Path) -> usize {
        std::fs::read_dir(folder).unwrap().count()
    }

    #[tokio::test]
    async fn a_folder_is_probed_and_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let destination = Faulty::new(folder.path(), 0, Fault::Fails);
        let options = Options { size_bytes: 100_001, ..Options::default() };
        let report = probe(&destination, &options, |_| {}, pending()).await.unwrap();
        assert_eq!(report.size_bytes, 100_001);
        assert!(report.latency > Duration::ZERO && report.throughput_bytes_per_s() > 0.0);
        assert_eq!(*destination.done.lock().unwrap(), STEPS);
        assert_eq!(names(folder.path()), 0);
    }

    #[tokio::test]
    async fn each_step_that_fails_is_told_and_nothing_is_left() {
        for fails in 1..=STEPS.len() {
            let folder = tempfile::tempdir().unwrap();
            let destination = Faulty::new(folder.path(), fails, Fault::Fails);
            let report = probe(&destination, &Options::default(), |_| {}, pending()).await;
            if fails == STEPS.len() {
                // The channel would run.
                assert_eq!(report.unwrap().delete_refused.as_deref(), Some("cannot do it: no"));
            } else {
                assert_eq!(report.unwrap_err().kind(), Kind::Refused);
            }
            let done = destination.done.lock().unwrap();
            assert_eq!(done[..fails], STEPS[..fails]);
            assert_eq!(done.last(), Some(&"delete"));
            // Where deletion itself fails, nobody can help it.
            assert_eq!(names(folder.path()), usize::from(fails == STEPS.len()), "{fails}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_hangs_ends_after_its_limit() {
        for (fails, said) in [
            (1, "cannot put faulty/.segcast-probe-"),
            (2, "cannot get faulty/.segcast-probe-"),
            (8, "cannot put faulty/.segcast-probe-"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let destination = Faulty::new(folder.path(), fails, Fault::Hangs);
            let error = probe(&destination, &Options::default(), |_| {}, pending()).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Transient);
            assert!(error.to_string().starts_with(said), "{error}");
            assert_eq!(names(folder.path()), 0);
        }
    }

    #[tokio::test]
    async fn nothing_is_left_where_it_is_asked_to_end() {
        let folder = tempfile::tempdir().unwrap();
        let destination = Faulty::new(folder.path(), 3, Fault::Hangs);
        let is_hanging = async {
            while destination.done.lock().unwrap().len() < 3 {
                tokio::task::yield_now().await;
            }
        };
        let error = probe(&destination, &Options::default(), |_| {}, is_hanging).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Closed);
        assert_eq!(names(folder.path()), 0);
    }

    #[tokio::test]
    async fn an_object_that_does_not_come_back_is_told() {
        /// Takes everything and keeps nothing.
        struct Void(Option<&'static [u8]>);

        impl Destination for Void {
            fn name(&self) -> String {
                "void".into()
            }

            fn put(&self, _: &str, _: Chunks) -> Pending<'_, ()> {
                Box::pin(async { Ok(()) })
            }

            fn delete(&self, _: &str) -> Pending<'_, ()> {
                Box::pin(async { Ok(()) })
            }

            fn get(&self, _: &str) -> Pending<'_, Option<Bytes>> {
                Box::pin(async { Ok(self.0.map(Bytes::from_static)) })
            }
        }

        for (back, kind) in [(None, Kind::Missing), (Some(&b"other"[..]), Kind::Invalid)] {
            let error = probe(&Void(back), &Options::default(), |_| {}, pending()).await.unwrap_err();
            assert_eq!(error.kind(), kind);
        }
    }

    #[test]
    fn the_large_object_has_its_size_and_no_pattern() {
        for size in [0, 1, 65_536, 65_537, 1 << 20] {
            assert_eq!(large(size).size_bytes(), size);
        }
        let bytes = large(1 << 16).to_bytes();
        let windows: std::collections::HashSet<&[u8]> = bytes.chunks(8).collect();
        assert_eq!(windows.len(), 1 << 13);
    }
}
