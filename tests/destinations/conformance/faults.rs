//! What every kind of destination must do when the network fails: [`withstands`], through a [`Proxy`].
//!
//! ```ignore
//! let proxy = Arc::new(Proxy::before(server.address()));
//! let through = target_at(proxy.address());
//! withstands(&proxy, &through, &target_at(server.address()), &View::of_folder(files)).await;
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use segcast::chunks::Chunks;
use segcast::destination::{Destination, Error, Kind, Target};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::atomic::{WATCH, newer, version, watch, watch_file};
use super::{Case, View, body, open, run, said, text};
use crate::proxy::{Fault, Proxy, Schedule};

/// How long it may take until it is known that a connection is refused or reset: an answer that was lost with it is waited
/// for as long as any, 20 s at most.
const KNOWN: Duration = Duration::from_secs(30);
/// How long one attempt may take under random faults, of which some last longer.
const ATTEMPT: Duration = Duration::from_millis(700);
/// How long a random fault lasts at most.
const LONGEST: Duration = Duration::from_secs(1);
/// How long random faults are suffered.
const SUFFERED: Duration = Duration::from_secs(12);
/// The seed of random faults, unless TEST_SEED says another.
const SEED: u64 = 7;

/// Runs every check with faults against the target that is reached by way of `proxy` as `through`, and past it as
/// `direct`. Panics with the name of the check and what was seen. Checks that are left out are named in `view.except`.
pub async fn withstands(proxy: &Arc<Proxy>, through: &Target, direct: &Target, view: &View) {
    let way = Way { proxy: proxy.clone(), through: through.clone() };
    macro_rules! run {
        ($($check:path),* $(,)?) => {
            $(
                proxy.heal();
                run(stringify!($check), direct, view, Some(&way), |case| Box::pin($check(case))).await;
            )*
        };
    }
    run!(
        idle_connections_that_are_gone_are_replaced_in_silence,
        a_refused_connection_is_transient,
        an_upload_that_is_reset_is_transient_and_never_seen,
        what_was_dropped_in_a_black_hole_stays_dropped,
        random_faults_never_show_a_playlist_that_is_partial_missing_or_older,
    );
}

/// The way to the destination that faults lie on.
#[derive(Clone)]
pub struct Way {
    proxy: Arc<Proxy>,
    through: Target,
}

impl Case {
    fn way(&self) -> &Way {
        self.way.as_ref().unwrap()
    }

    /// The destination by way of the proxy, opened anew.
    fn through(&self) -> Arc<dyn Destination> {
        open(&self.way().through)
    }
}

/// A server closes idle connections, and is started again: nobody need hear of it.
async fn idle_connections_that_are_gone_are_replaced_in_silence(case: &Case) {
    let (proxy, destination) = (&case.way().proxy, case.through());
    let mut puts = JoinSet::new();
    for n in 0..4 {
        let (destination, key) = (destination.clone(), case.key(&format!("{n}.ts")));
        puts.spawn(async move { destination.put(&key, text("x")).await });
    }
    while let Some(put) = puts.join_next().await {
        put.unwrap().unwrap_or_else(|error| case.fail(&said(&error)));
    }
    let key = case.key("next.ts");
    let operations: [&str; 4] = ["put", "get", "delete", "put again"];
    for operation in operations {
        proxy.cut();
        let done = match operation {
            "get" => destination.get(&key).await.map(drop),
            "delete" => destination.delete(&key).await,
            _ => destination.put(&key, text("next")).await,
        };
        done.unwrap_or_else(|error| case.fail(&format!("{operation}: {}", said(&error))));
    }
    case.expect(&key, &text("next")).await;
}

async fn a_refused_connection_is_transient(case: &Case) {
    let (proxy, destination) = (&case.way().proxy, case.through());
    let key = case.key("a.ts");
    destination.put(&key, text("old")).await.unwrap_or_else(|error| case.fail(&said(&error)));
    proxy.set(Fault::Refuse);
    for destination in [&destination, &case.through()] {
        expect_transient(case, timeout(KNOWN, destination.put(&key, text("new"))).await);
        expect_transient(case, timeout(KNOWN, destination.delete(&key)).await);
        expect_transient(case, timeout(KNOWN, destination.get(&key)).await.map(|got| got.map(drop)));
    }
    proxy.heal();
    case.expect(&key, &text("old")).await;
    destination.put(&key, text("new")).await.unwrap_or_else(|error| case.fail(&said(&error)));
    case.expect(&key, &text("new")).await;
}

fn expect_transient(case: &Case, done: Result<Result<(), Error>, tokio::time::error::Elapsed>) {
    match done {
        Ok(Err(error)) if error.kind() == Kind::Transient => {}
        Ok(Err(error)) => case.fail(&format!("{:?}: {}", error.kind(), said(&error))),
        Ok(Ok(())) => case.fail("what was cut off is said to have gone well"),
        Err(_) => case.fail(&format!("no error within {KNOWN:?}")),
    }
}

async fn an_upload_that_is_reset_is_transient_and_never_seen(case: &Case) {
    let (proxy, destination) = (&case.way().proxy, case.through());
    let (fresh, there) = (case.key("fresh.ts"), case.key("there.ts"));
    case.put(&there, text("old")).await;
    let [small, large] = [300_000, 8 << 20].map(|size_bytes| body(4, size_bytes, 64 * 1024));
    // At once; where one logs in; on the way; and when the last byte has been sent, but has not arrived: some FTP
    // servers take a reset for the end of the file and say that all is well.
    let resets = [(&small, 0), (&small, 100), (&small, 10_000), (&small, 100_000), (&large, 3_000_000)];
    for (body, after) in resets.into_iter().cycle().take(4 * resets.len()) {
        proxy.set(Fault::ResetAfter(after));
        for key in [&fresh, &there] {
            let begun = Instant::now();
            let done = timeout(KNOWN, destination.put(key, body.clone())).await;
            if let (Ok(Err(error)), true) = (&done, begun.elapsed() > Duration::from_secs(5)) {
                println!("    reset after {after}: known after {:.1?}: {}", begun.elapsed(), said(error));
            }
            expect_transient(case, done);
        }
        case.check(case.seen(&fresh).await.is_none(), "a part of it is seen");
        case.expect(&there, &text("old")).await;
        proxy.heal();
    }
    for key in [&fresh, &there] {
        destination.put(key, large.clone()).await.unwrap_or_else(|error| case.fail(&said(&error)));
        case.expect(key, &large).await;
    }
}

/// What was sent into a black hole may arrive after what was sent later by another way.
async fn what_was_dropped_in_a_black_hole_stays_dropped(case: &Case) {
    let (proxy, destination) = (&case.way().proxy, case.through());
    let key = case.key("index.m3u8");
    for (round, dropped) in [text("dropped"), body(5, 4 << 20, 64 * 1024)].into_iter().enumerate() {
        destination.put(&key, text("first")).await.unwrap_or_else(|error| case.fail(&said(&error)));
        proxy.set(Fault::BlackHole);
        let put = timeout(Duration::from_millis(500), destination.put(&key, dropped)).await;
        case.check(put.is_err(), "it was put through a black hole");
        // Past the proxy, as another way might be free sooner.
        let next = text(&format!("next {round}"));
        case.put(&key, next.clone()).await;
        proxy.heal();
        let deadline = Instant::now() + WATCH;
        while Instant::now() < deadline {
            case.expect(&key, &next).await;
        }
    }
}

async fn random_faults_never_show_a_playlist_that_is_partial_missing_or_older(case: &Case) {
    let seed = std::env::var("TEST_SEED").map_or(SEED, |seed| seed.parse().unwrap());
    let key = case.key("index.m3u8");
    case.put(&key, version(0)).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let reader = if let Some(folder) = &case.view.folder {
        let (path, is_over) = (folder.join(&key), is_over.clone());
        tokio::task::spawn_blocking(move || watch_file(&path, &is_over))
    } else {
        let (destination, key, is_over) = (case.destination.clone(), key.clone(), is_over.clone());
        tokio::spawn(async move { watch(&*destination, &key, &is_over).await })
    };
    let writer = tokio::spawn(write(case.through(), case.folder, is_over.clone()));

    let (proxy, deadline) = (case.way().proxy.clone(), Instant::now() + SUFFERED);
    let suffering = move || proxy.suffer(Schedule::new(seed, LONGEST), || Instant::now() > deadline);
    tokio::task::spawn_blocking(suffering).await.unwrap();
    // All that may still come has come when a last one has been put, and watched.
    is_over.store(true, Ordering::Relaxed);
    let (versions, failed) = writer.await.unwrap().unwrap_or_else(|what| case.fail(&what));
    let reads = reader.await.unwrap().unwrap_or_else(|seen| case.fail(&format!("seed {seed}: {seen}")));
    println!("    seed {seed}: {versions} versions, {failed} attempts failed, {reads} reads");
    let last = case.get(&key).await.unwrap_or_default();
    newer(&last, versions).unwrap_or_else(|seen| case.fail(&format!("seed {seed}: {seen}")));
    case.check(versions > 3, "the faults were too many to tell");
    for n in 1..=versions {
        case.expect(&case.key(&format!("{n}.ts")), &segment(n)).await;
    }
}

/// Puts segments, and after each a playlist, again until each is taken. How many playlists; how many attempts failed.
async fn write(
    destination: Arc<dyn Destination>,
    folder: &str,
    is_over: Arc<AtomicBool>,
) -> Result<(u32, usize), String> {
    let mut failed = 0;
    for n in 1.. {
        let files = [(format!("{n}.ts"), segment(n)), ("index.m3u8".to_owned(), version(n))];
        for (name, body) in files {
            let key = format!("{folder}/{name}");
            while !attempt(&*destination, &key, &body).await? {
                failed += 1;
            }
        }
        if is_over.load(Ordering::Relaxed) {
            return Ok((n, failed));
        }
    }
    unreachable!("it was written forever")
}

fn segment(n: u32) -> Chunks {
    body(u64::from(n), 300_000, 64 * 1024)
}

/// Whether a file was put, or it may go well another time.
async fn attempt(destination: &dyn Destination, key: &str, body: &Chunks) -> Result<bool, String> {
    match timeout(ATTEMPT, destination.put(key, body.clone())).await {
        Ok(Ok(())) => Ok(true),
        Ok(Err(error)) if error.kind() == Kind::Transient => {
            // What is refused at once is not tried again at once.
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(false)
        }
        Ok(Err(error)) => Err(format!("{:?}: {}", error.kind(), said(&error))),
        Err(_) => Ok(false),
    }
}
