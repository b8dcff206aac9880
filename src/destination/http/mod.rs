//! A web server that takes PUT and DELETE, WebDAV among them.
//!
//! - A file is put by one PUT: servers show it when it is whole.
//! - WebDAV's collections (folders) are made when the server says that they are missing (RFC 4918 §9.7.1).
//! - The server that the URL names is asked, over HTTP/1.1: no proxy of the environment, and no redirection.

mod answer;
mod body;
mod client;
mod unsettled;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};

use self::answer::Answer;
use self::client::Client;
use self::unsettled::Unsettled;
use super::key::check_key;
use super::{Destination, Error, Headers, Kind, Pending, Secret, content_type};
use crate::chunks::Chunks;
use crate::playlist::encode_path;

/// Playlists are watched for what may come over them; names of larger objects are never used for other content.
const WATCHED_BYTES: u64 = 1 << 20;
/// How often it is looked whether something has, and how long it is waited between two looks.
const LOOKS: u32 = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(150);

/// A web server, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `http://` or `https://`, host, port, path: no secrets, and no slash at the end.
    pub url: String,
    /// Who we are.
    pub auth: Option<Auth>,
    /// A PEM file of certificates to trust beside the system's authorities (https): authorities', or the server's own.
    pub ca: Option<PathBuf>,
    /// Whether any certificate is taken. It is warned of.
    pub is_insecure: bool,
    /// What is said of the objects.
    pub headers: Headers,
}

/// Who we are to a web server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// A name and its password (RFC 7617).
    Basic(String, Secret),
    /// A token (RFC 6750).
    Bearer(Secret),
}

pub(super) fn open(options: &Options) -> Result<Box<dyn Destination>, Error> {
    let invalid = |why: String| Error::new(Kind::Invalid, format!("use {}", options.url), why.into());
    let url = Url::parse(&options.url).map_err(|error| invalid(format!("it is no URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("expected http:// or https://".to_owned()));
    }
    let client = Client::new(options, &url)?;
    Ok(Box::new(Http {
        name: options.url.clone(),
        url,
        client,
        headers: options.headers.clone(),
        collections: Mutex::default(),
        making: tokio::sync::Mutex::default(),
        unsettled: Unsettled::default(),
    }))
}

/// A web server.
struct Http {
    name: String,
    url: Url,
    client: Client,
    headers: Headers,
    collections: Mutex<Collections>,
    /// Held by the one who makes collections; the others wait for what it makes.
    making: tokio::sync::Mutex<()>,
    unsettled: Unsettled,
}

impl Http {
    fn url_of(&self, key: &str) -> Url {
        let mut url = self.url.clone();
        // As playlists name it: `Url` leaves out some control characters where it encodes a path itself.
        url.set_path(&format!("{}/{}", self.url.path().trim_end_matches('/'), encode_path(key)));
        url
    }

    async fn put_now(&self, key: &str, body: &Chunks) -> Result<(), Error> {
        let what = format!("put {}/{key}", self.name);
        check_key(&what, key)?;
        let is_unsettled = self.unsettled.begin(key);
        self.put_once(&what, key, body).await?;
        if is_unsettled && body.size_bytes() <= WATCHED_BYTES {
            self.watch(&what, key, body).await?;
        }
        self.unsettled.settle(key);
        Ok(())
    }

    /// `body` has been put at `key`. What was sent before, and not answered, may come over it just now: then it is put
    /// again.
    async fn watch(&self, what: &str, key: &str, body: &Chunks) -> Result<(), Error> {
        let expected = body.to_bytes();
        let mut looks = 0;
        while looks < LOOKS {
            let is_replaced = match self.get_now(key).await {
                Ok(there) => there.as_ref() != Some(&expected),
                // It is far larger than what was put.
                Err(error) if error.kind() == Kind::Invalid => true,
                // Nothing can be read here.
                Err(_) => return Ok(()),
            };
            if is_replaced {
                self.put_once(what, key, body).await?;
                looks = 0;
            }
            looks += 1;
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        Ok(())
    }

    async fn put_once(&self, what: &str, key: &str, body: &Chunks) -> Result<(), Error> {
        let (url, headers) = (self.url_of(key), self.headers_of(what, key)?);
        let folder = folder(url.path());
        let known = self.known().get(folder);
        let put = async || {
            let response = self.client.ask(what, &Method::PUT, &url, &headers, Some(body)).await?;
            Ok::<_, Error>(Client::head(response).await)
        };
        let mut answer = put().await?;
        let mut refused = String::new();
        if may_lack_collection(&answer, known.is_some()) {
            let made = self.make_collections(what, &url, known).await?;
            if made.is_new || answer.kind() == Kind::Missing {
                answer = put().await?;
            }
            refused = made.refused;
        }
        if !answer.is_success() {
            return Err(answer.error(what, &Method::PUT, &refused));
        }
        self.known().insert(folder);
        Ok(())
    }

    /// What is said of the object at `key`.
    fn headers_of(&self, what: &str, key: &str) -> Result<HeaderMap, Error> {
        let cache = HeaderValue::from_str(self.headers.cache_control(key)).map_err(|_| {
            let source = "its Cache-Control is nothing that a header can have";
            Error::new(Kind::Invalid, what, source.into())
        })?;
        let kind = HeaderValue::from_static(content_type(key));
        Ok(HeaderMap::from_iter([(CONTENT_TYPE, kind), (CACHE_CONTROL, cache)]))
    }

    /// Makes the collections above `url` that are not there; its own one was `known` before. It begins with the
    /// innermost, and goes outwards as long as the server says that there is nothing to make it in: outer ones are
    /// often somebody else's.
    async fn make_collections(&self, what: &str, url: &Url, known: Option<u64>) -> Result<Made, Error> {
        let _making = self.making.lock().await;
        let mut made = Made { is_new: self.known().get(folder(url.path())) != known, refused: String::new() };
        if made.is_new {
            return Ok(made);
        }
        let paths: Vec<&str> = collections(url.path()).collect();
        let mut missing = Vec::new();
        for path in paths.into_iter().rev() {
            let answer = self.make_collection(what, url, path, &mut made).await?;
            if answer.is_success() || is_there(&answer) {
                break;
            }
            made.refused = format!("; MKCOL {path} gave {}", answer.status);
            if !may_lack_outer(&answer) {
                return Ok(made);
            }
            missing.push((path, answer));
        }
        for (path, before) in missing.into_iter().rev() {
            let answer =
                if made.is_new { self.make_collection(what, url, path, &mut made).await? } else { before };
            if answer.is_success() || is_there(&answer) {
                made.refused.clear();
            } else if answer.kind() == Kind::Transient {
                return Err(answer.error(what, &mkcol(), &format!(" (MKCOL {path})")));
            } else {
                made.refused = format!("; MKCOL {path} gave {}", answer.status);
                break;
            }
        }
        Ok(made)
    }

    async fn make_collection(
        &self,
        what: &str,
        url: &Url,
        path: &str,
        made: &mut Made,
    ) -> Result<Answer, Error> {
        let mut url = url.clone();
        url.set_path(path);
        let response = self.client.ask(what, &mkcol(), &url, &HeaderMap::new(), None).await?;
        let answer = Client::head(response).await;
        if answer.is_success() {
            made.is_new = true;
            self.known().renew(path);
        } else if is_there(&answer) {
            self.known().insert(path);
        } else if answer.kind() == Kind::Transient && !may_lack_outer(&answer) {
            return Err(answer.error(what, &mkcol(), &format!(" (MKCOL {path})")));
        }
        Ok(answer)
    }

    async fn delete_now(&self, key: &str) -> Result<(), Error> {
        let what = format!("delete {}/{key}", self.name);
        check_key(&what, key)?;
        let url = self.url_of(key);
        let response = self.client.ask(&what, &Method::DELETE, &url, &HeaderMap::new(), None).await?;
        let answer = Client::head(response).await;
        let is_gone = answer.is_success() || answer.is_absent();
        if is_gone { Ok(()) } else { Err(answer.error(&what, &Method::DELETE, "")) }
    }

    async fn get_now(&self, key: &str) -> Result<Option<Bytes>, Error> {
        let what = format!("get {}/{key}", self.name);
        check_key(&what, key)?;
        // What a cache on the way has kept may be older.
        let headers = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static("no-cache"))]);
        let response = self.client.ask(&what, &Method::GET, &self.url_of(key), &headers, None).await?;
        if response.status().is_success() {
            return self.client.body(&what, response).await.map(Some);
        }
        let answer = Client::head(response).await;
        if answer.is_absent() { Ok(None) } else { Err(answer.error(&what, &Method::GET, "")) }
    }

    fn known(&self) -> MutexGuard<'_, Collections> {
        self.collections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Destination for Http {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn put(&self, key: &str, body: Chunks) -> Pending<'_, ()> {
        let key = key.to_owned();
        Box::pin(async move { self.put_now(&key, &body).await })
    }

    fn delete(&self, key: &str) -> Pending<'_, ()> {
        let key = key.to_owned();
        Box::pin(async move { self.delete_now(&key).await })
    }

    fn get(&self, key: &str) -> Pending<'_, Option<Bytes>> {
        let key = key.to_owned();
        Box::pin(async move { self.get_now(&key).await })
    }
}

/// Collections that are known to be there.
#[derive(Default)]
struct Collections {
    /// When each became known, by its path.
    known: HashMap<String, u64>,
    next: u64,
}

impl Collections {
    fn get(&self, path: &str) -> Option<u64> {
        self.known.get(path).copied()
    }

    fn insert(&mut self, path: &str) {
        if !self.known.contains_key(path) {
            self.renew(path);
        }
    }

    /// It was not there, or not any more.
    fn renew(&mut self, path: &str) {
        self.known.insert(path.to_owned(), self.next);
        self.next += 1;
    }
}

/// What came of making collections.
struct Made {
    /// Whether there is one that was not there before.
    is_new: bool,
    /// What was refused, to be said if PUT fails all the same: an outer one may be none of ours, and the server may
    /// know no collections.
    refused: String,
}

/// Whether a PUT may have failed because its folder is not there. 409 says so (RFC 4918 §9.7.1); nginx gives 500,
/// and 404 and 403 are seen too, the latter only where the folder was not known to be there.
fn may_lack_collection(answer: &Answer, is_known: bool) -> bool {
    match answer.status.as_u16() {
        404 | 409 | 500 => true,
        403 => !is_known,
        _ => false,
    }
}

/// Whether the collection to be made is there already (RFC 4918 §9.3.1).
fn is_there(answer: &Answer) -> bool {
    answer.status.as_u16() == 405
}

/// Whether a collection may not have been made because there is none to make it in. 409 says so (RFC 4918 §9.3.1); the
/// others are what servers say that do not tell it apart.
fn may_lack_outer(answer: &Answer) -> bool {
    matches!(answer.status.as_u16(), 403 | 404 | 409 | 500)
}

fn mkcol() -> Method {
    Method::from_bytes(b"MKCOL").expect("MKCOL is a token")
}

/// The collection that `path` is in, with the slash at its end.
fn folder(path: &str) -> &str {
    path.rfind('/').map_or("/", |slash| &path[..=slash])
}

/// The collections above `path`, the outermost first, without the root.
fn collections(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').skip(1).map(|(slash, _)| &path[..=slash])
}
