//! What every kind of destination must do, whatever it is: [`conforms`], against a real server.
//!
//! ```ignore
//! conforms(&target, &View::of_folder(server.folder.path().join("files"))).await;
//! ```
//!
//! Each check is a function here, named by what must hold, with a folder of its own at the destination. Checks of what
//! a reader sees while files are replaced and uploads are cut stand in [`atomic`]. What the network may do to a
//! destination is asked by [`withstands`].

mod atomic;
mod faults;

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use segcast::chunks::Chunks;
use segcast::destination::{Destination, Headers, Kind, Target, content_type};
use tokio::task::JoinSet;

use faults::Way;
pub use faults::withstands;

/// How long one check may take, over the slowest server on a busy machine.
const LIMIT: Duration = Duration::from_secs(180);

/// An object's headers as a server gives them to a player; names in any case.
pub type Served = Vec<(String, String)>;
/// Asks a server for something of the object at a key.
type Asks<T> = Arc<dyn Fn(&str) -> T + Send + Sync>;

/// What can be seen of the files otherwise than through the destination. It may be nothing.
#[derive(Clone, Default)]
pub struct View {
    /// The folder in which the server keeps the files, each under its key.
    pub folder: Option<PathBuf>,
    /// The headers of the object at a key, as served. It may block.
    pub headers: Option<Asks<Served>>,
    /// The object at a key, as served. It may block. What is large is seen only so, where there is no folder.
    pub object: Option<Asks<Bytes>>,
    /// Checks that this server cannot pass whatever we do, by name. Say why where it is set.
    pub except: &'static [&'static str],
}

impl View {
    /// The server keeps its files in `folder`.
    pub fn of_folder(folder: impl Into<PathBuf>) -> Self {
        Self { folder: Some(folder.into()), ..Self::default() }
    }

    /// Everybody can read the objects below `place`, a URL of plain HTTP. Keys asked for need no escapes.
    pub fn of_web(place: String) -> Self {
        let at = place.clone();
        Self {
            headers: Some(Arc::new(move |key| head(&format!("{at}/{key}")))),
            object: Some(Arc::new(move |key| fetch(&format!("{place}/{key}")))),
            ..Self::default()
        }
    }
}

/// Runs every check against `target`, which must be empty. Panics with the name of the check and what was seen.
///
/// Any tokio runtime will do; one with several threads makes the races of the checks sharper.
pub async fn conforms(target: &Target, view: &View) {
    macro_rules! run {
        ($($check:path),* $(,)?) => {
            $(run(stringify!($check), target, view, None, |case| Box::pin($check(case))).await;)*
        };
    }
    run!(
        it_is_called_as_configured,
        what_is_put_can_be_got_replaced_and_deleted,
        what_is_absent_is_none_and_can_be_deleted,
        keys_that_lead_outside_are_invalid,
        names_are_kept_to_the_letter,
        folders_are_made_by_many_at_once,
        an_empty_object_is_an_object,
        many_small_slices_arrive_in_order,
        headers_are_served,
        fifty_megabytes_arrive,
        a_thousand_small_ones_come_and_go,
        atomic::a_reader_never_meets_a_playlist_that_is_partial_missing_or_older,
        atomic::a_dropped_put_is_never_seen,
    );
}

type Check = for<'a> fn(&'a Case) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

async fn run(name: &'static str, target: &Target, view: &View, way: Option<&Way>, check: Check) {
    let name = name.rsplit(':').next().unwrap().trim();
    if view.except.contains(&name) {
        println!("{target}: {name}: left out");
        return;
    }
    let begun = Instant::now();
    let case = Case {
        target: target.clone(),
        view: view.clone(),
        destination: open(target),
        folder: name,
        way: way.cloned(),
    };
    let in_time = tokio::time::timeout(LIMIT, check(&case)).await;
    assert!(in_time.is_ok(), "{target}: {name}: not done after {LIMIT:?}");
    println!("{target}: {name}: {:.2} s", begun.elapsed().as_secs_f64());
}

/// One check at one destination.
struct Case {
    target: Target,
    view: View,
    destination: Arc<dyn Destination>,
    folder: &'static str,
    /// Where there are faults to be withstood.
    way: Option<Way>,
}

impl Case {
    /// The key of `name` in the folder of this check.
    fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }

    async fn put(&self, key: &str, body: impl Into<Chunks>) {
        self.destination.put(key, body.into()).await.unwrap_or_else(|error| self.fail(&said(&error)));
    }

    async fn delete(&self, key: &str) {
        self.destination.delete(key).await.unwrap_or_else(|error| self.fail(&said(&error)));
    }

    async fn get(&self, key: &str) -> Option<Bytes> {
        self.destination.get(key).await.unwrap_or_else(|error| self.fail(&said(&error)))
    }

    /// What is there: in the server's folder, if there is one to look in; else as the destination says.
    async fn seen(&self, key: &str) -> Option<Bytes> {
        match &self.view.folder {
            Some(folder) => std::fs::read(folder.join(key)).ok().map(Bytes::from),
            None => self.get(key).await,
        }
    }

    async fn expect(&self, key: &str, body: &Chunks) {
        let wanted = body.to_bytes();
        let Some(seen) = self.seen(key).await else { self.fail(&format!("{key} is not there")) };
        if seen != wanted {
            let at = seen.iter().zip(&wanted).position(|(a, b)| a != b);
            self.fail(&format!(
                "{key} has {} bytes of {}, the first wrong one at {at:?}",
                seen.len(),
                wanted.len()
            ));
        }
    }

    #[track_caller]
    fn fail(&self, what: &str) -> ! {
        panic!("{}: {}: {what}", self.target, self.folder)
    }

    #[track_caller]
    fn check(&self, holds: bool, what: &str) {
        if !holds {
            self.fail(what);
        }
    }
}

async fn it_is_called_as_configured(case: &Case) {
    assert_eq!(case.destination.name(), case.target.to_string());
}

async fn what_is_put_can_be_got_replaced_and_deleted(case: &Case) {
    let key = case.key("index.m3u8");
    case.put(&key, text("one")).await;
    assert_eq!(case.get(&key).await.as_deref(), Some(&b"one"[..]));
    case.put(&key, text("two, which is longer")).await;
    assert_eq!(case.get(&key).await.as_deref(), Some(&b"two, which is longer"[..]));
    case.put(&key, text("3")).await;
    assert_eq!(case.get(&key).await.as_deref(), Some(&b"3"[..]), "the longer one before it shines through");
    let other = open(&case.target);
    assert_eq!(other.get(&key).await.unwrap().as_deref(), Some(&b"3"[..]), "only the one who put it sees it");
    case.expect(&key, &text("3")).await;
    case.delete(&key).await;
    assert_eq!(case.get(&key).await, None);
    assert_eq!(other.get(&key).await.unwrap(), None, "it is deleted only for the one who did");
    case.check(case.seen(&key).await.is_none(), "it is still there after it was deleted");
}

async fn what_is_absent_is_none_and_can_be_deleted(case: &Case) {
    case.put(&case.key("there.ts"), text("there")).await;
    for name in ["absent.ts", "no folder/absent.ts", "no/folder/at/all/absent.ts"] {
        let key = case.key(name);
        assert_eq!(case.get(&key).await, None, "{key}");
        case.delete(&key).await;
        case.delete(&key).await;
    }
    case.expect(&case.key("there.ts"), &text("there")).await;
}

async fn keys_that_lead_outside_are_invalid(case: &Case) {
    let destination = &case.destination;
    for key in ["", "/", ".", "..", "../x", "a/../x", "a/../../x", "/etc/x", "a//b", "a/", "a/./b", "./a"] {
        let kinds = [
            destination.put(key, text("x")).await.map(drop).map_err(|error| error.kind()),
            destination.delete(key).await.map_err(|error| error.kind()),
            destination.get(key).await.map(drop).map_err(|error| error.kind()),
        ];
        for (kind, what) in kinds.into_iter().zip(["put", "delete", "get"]) {
            case.check(kind == Err(Kind::Invalid), &format!("{what} {key:?} gave {kind:?}, not Invalid"));
        }
    }
}

async fn names_are_kept_to_the_letter(case: &Case) {
    let names = [
        "two words.ts",
        " leading and trailing .ts ",
        "Größe/日本語 🎬.ts",
        "100%.ts",
        "%41%2F%20.ts",
        "a#b.ts",
        "a?b=c&d.ts",
        "a+b.ts",
        "it's \"quoted\" `here` $HOME; (really).ts",
        "-rf.ts",
        "~/[a-z]*{1,2}!.ts",
        "@:=,.ts",
    ];
    for name in names {
        case.put(&case.key(name), text(name)).await;
    }
    for name in names {
        let key = case.key(name);
        assert_eq!(case.get(&key).await.as_deref(), Some(name.as_bytes()), "{key}");
        // Where the server keeps it is where a player looks for it.
        case.expect(&key, &text(name)).await;
    }
    for name in names {
        case.delete(&case.key(name)).await;
        case.check(case.seen(&case.key(name)).await.is_none(), &format!("{name:?} was not deleted"));
    }
    control_characters_are_refused_or_kept(case).await;
}

/// A line break in a name must not become a command of its own.
async fn control_characters_are_refused_or_kept(case: &Case) {
    for name in ["line\nbreak.ts", "a\r\nDELE there.ts", "nul\0.ts", "tab\t.ts"] {
        let key = case.key(name);
        match case.destination.put(&key, text("x")).await {
            Ok(()) => {
                case.expect(&key, &text("x")).await;
                case.delete(&key).await;
                assert_eq!(case.get(&key).await, None, "{key:?}");
            }
            Err(error) => {
                case.check(error.kind() == Kind::Invalid, &format!("{key:?} is no lasting error: {error}"))
            }
        }
    }
}

async fn folders_are_made_by_many_at_once(case: &Case) {
    let names: Vec<_> = (0..16).map(|n| format!("new/very new/{}/brand new/{n}.ts", n % 4)).collect();
    let mut puts = JoinSet::new();
    for name in &names {
        let (destination, key, body) = (case.destination.clone(), case.key(name), text(name));
        puts.spawn(async move { destination.put(&key, body).await });
    }
    while let Some(put) = puts.join_next().await {
        put.unwrap().unwrap_or_else(|error| case.fail(&said(&error)));
    }
    for name in &names {
        case.expect(&case.key(name), &text(name)).await;
    }
}

async fn an_empty_object_is_an_object(case: &Case) {
    let key = case.key("empty.ts");
    for body in ["", "something", ""] {
        case.put(&key, text(body)).await;
        assert_eq!(case.get(&key).await.as_deref(), Some(body.as_bytes()));
        case.expect(&key, &text(body)).await;
    }
}

async fn many_small_slices_arrive_in_order(case: &Case) {
    let body = body(1, 3 << 20, 7 * 188);
    let key = case.key("slices.ts");
    case.put(&key, body.clone()).await;
    case.expect(&key, &body).await;
    // Of all lengths, the last one odd.
    let whole = body.to_bytes();
    let mut rest = whole.clone();
    let uneven: Chunks =
        (0..).map_while(|n| (!rest.is_empty()).then(|| rest.split_to((n * n + 1).min(rest.len())))).collect();
    case.put(&key, uneven.clone()).await;
    case.expect(&key, &uneven).await;
}

async fn headers_are_served(case: &Case) {
    let (Some(served), Some(headers)) = (case.view.headers.clone(), headers(&case.target)) else { return };
    for name in ["index.m3u8", "00001.ts", "init.mp4", "captions.vtt"] {
        let key = case.key(name);
        case.put(&key, text("something")).await;
        let seen = {
            let (served, key) = (served.clone(), key.clone());
            tokio::task::spawn_blocking(move || served(&key)).await.unwrap()
        };
        let usual = [("content-type", content_type(&key)), ("cache-control", headers.cache_control(&key))];
        let extra = headers.extra.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (header, wanted) in usual.into_iter().chain(extra) {
            let value = seen.iter().find(|(name, _)| name.eq_ignore_ascii_case(header));
            let value = value.map(|(_, value)| value.as_str());
            case.check(value == Some(wanted), &format!("{header} of {key} is {value:?}, not {wanted:?}"));
        }
    }
}

async fn fifty_megabytes_arrive(case: &Case) {
    let body = body(2, 50_000_000, 256 * 1024);
    let key = case.key("large.ts");
    case.put(&key, body.clone()).await;
    match (&case.view.folder, case.view.object.clone()) {
        (None, Some(object)) => {
            let key = key.clone();
            let seen = tokio::task::spawn_blocking(move || object(&key)).await.unwrap();
            case.check(seen == body.to_bytes(), "other bytes are served");
        }
        _ => case.expect(&key, &body).await,
    }
    // It is no playlist: that is found out before all of it is in memory.
    let got = case.destination.get(&key).await.map(|got| got.map(|bytes| bytes.len()));
    let Err(error) = got else { case.fail(&format!("get gave {got:?}")) };
    case.check(error.kind() == Kind::Invalid && said(&error).contains("larger than 16 MiB"), &said(&error));
    case.put(&case.key("small.ts"), text("small")).await;
    assert_eq!(case.get(&case.key("small.ts")).await.as_deref(), Some(&b"small"[..]));
    case.delete(&key).await;
}

async fn a_thousand_small_ones_come_and_go(case: &Case) {
    let key = |n: usize| case.key(&format!("{}/{n:05}.ts", n % 3));
    let keys: Arc<[String]> = (0..1000).map(key).collect();
    each(case, &keys, |destination, key| {
        Box::pin(async move { destination.put(key, text(key)).await.map_err(|error| said(&error)) })
    })
    .await;
    for key in keys.iter().step_by(7) {
        case.expect(key, &text(key)).await;
    }
    each(case, &keys, |destination, key| {
        Box::pin(async move { destination.delete(key).await.map_err(|error| said(&error)) })
    })
    .await;
    for key in keys.iter().step_by(7) {
        case.check(case.seen(key).await.is_none(), &format!("{key} is still there"));
    }
}

type Work =
    for<'a> fn(&'a dyn Destination, &'a str) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// Does `work` for each of `keys`, eight at a time.
async fn each(case: &Case, keys: &Arc<[String]>, work: Work) {
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..8 {
        let (destination, keys, next) = (case.destination.clone(), keys.clone(), next.clone());
        workers.spawn(async move {
            while let Some(key) = keys.get(next.fetch_add(1, Ordering::Relaxed)) {
                work(&*destination, key).await?;
            }
            Ok::<_, String>(())
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker.unwrap().unwrap_or_else(|error| case.fail(&error));
    }
}

/// The target, opened anew.
pub fn open(target: &Target) -> Arc<dyn Destination> {
    target.open().unwrap_or_else(|error| panic!("{target}: {}", said(&error))).into()
}

/// The error and what it comes from, as people read it.
pub fn said(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |said, source| format!("{said}: {source}"))
}

/// What the target says of objects, where its protocol has words for it.
fn headers(target: &Target) -> Option<&Headers> {
    match target {
        Target::Http(options) => Some(&options.headers),
        Target::Object(options) => Some(&options.headers),
        _ => None,
    }
}

/// A small body.
pub fn text(text: &str) -> Chunks {
    Chunks::from(text.to_owned())
}

/// `size_bytes` bytes, none like its neighbours, in slices of `slice_bytes`. Other seeds give other bytes.
pub fn body(seed: u64, size_bytes: usize, slice_bytes: usize) -> Chunks {
    let words = (0_u64..).map(|n| (n ^ (seed << 48)).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    let mut bytes = Vec::with_capacity(size_bytes + 8);
    words.take(size_bytes.div_ceil(8)).for_each(|word| bytes.extend_from_slice(&word));
    bytes.truncate(size_bytes);
    let mut rest = Bytes::from(bytes);
    std::iter::from_fn(|| (!rest.is_empty()).then(|| rest.split_to(slice_bytes.min(rest.len())))).collect()
}

/// The headers of what a web server has at `url`, asked with HEAD.
fn head(url: &str) -> Served {
    ask("HEAD", url).0
}

/// What a web server has at `url`.
fn fetch(url: &str) -> Bytes {
    ask("GET", url).1
}

/// Plain HTTP only.
fn ask(method: &str, url: &str) -> (Served, Bytes) {
    use std::io::{Read, Write};

    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    write!(stream, "{method} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let text = String::from_utf8_lossy(&answer[..end]);
    assert!(text.starts_with("HTTP/1.1 200 "), "{method} {url}: {text}");
    let lines = text.lines().skip(1).filter_map(|line| line.split_once(':'));
    let served = lines.map(|(a, b)| (a.trim().to_owned(), b.trim().to_owned())).collect();
    (served, Bytes::from(answer).slice(end + 4..))
}
