//! A web server that takes PUT and DELETE, WebDAV among them.
//!
//! - A file is put by one PUT: servers show it when it is whole.
//! - WebDAV's collections (folders) are made when the server says that they are missing (RFC 4918 §9.7.1).
//! - The server that the URL names is asked, over HTTP/1.1: no proxy of the environment, and no redirection.

mod answer;
mod body;
mod client;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use reqwest::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};

use self::answer::Answer;
use self::client::Client;
use super::key::check_key;
use super::{Destination, Error, Headers, Kind, Pending, Secret, content_type};
use crate::chunks::Chunks;

/// The most that is got: a playlist is far smaller.
const GET_LIMIT_BYTES: usize = 16 << 20;

/// A web server, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `http://` or `https://`, host, port, path: no secrets, and no slash at the end.
    pub url: String,
    /// Who we are.
    pub auth: Option<Auth>,
    /// A PEM file of the authorities to trust beside the system's (https).
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
    }))
}

/// A web server.
struct Http {
    name: String,
    url: Url,
    client: Client,
    headers: Headers,
    /// Those that are known to be there, by their paths.
    collections: Mutex<HashSet<String>>,
    /// Held by the one who makes collections; the others wait for what it makes.
    making: tokio::sync::Mutex<()>,
}

impl Http {
    fn url_of(&self, key: &str) -> Url {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(key.split('/'));
        }
        url
    }

    async fn put_now(&self, key: &str, body: &Chunks) -> Result<(), Error> {
        let what = format!("put {}/{key}", self.name);
        check_key(&what, key)?;
        let (url, headers) = (self.url_of(key), self.headers_of(&what, key)?);
        let folder = folder(url.path());
        let was_there = self.is_known(folder);
        let put = async || {
            let response = self.client.ask(&what, &Method::PUT, &url, &headers, Some(body)).await?;
            Ok::<_, Error>(Client::head(response).await)
        };
        let mut answer = put().await?;
        let mut more = String::new();
        if lacks_collection(&answer, was_there) {
            more = self.make_collections(&what, &url, was_there).await?;
            answer = put().await?;
        }
        if !answer.is_success() {
            return Err(answer.error(&what, &Method::PUT, &more));
        }
        if !was_there {
            self.known().insert(folder.to_owned());
        }
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

    /// Makes the collections above `url`, from the outermost on. What was refused, to be said if PUT fails all the
    /// same: an outer one may be none of ours, and the server may know no collections.
    async fn make_collections(&self, what: &str, url: &Url, was_there: bool) -> Result<String, Error> {
        let method = mkcol();
        let _making = self.making.lock().await;
        if was_there {
            // Somebody has taken it away, and who knows which of the outer ones.
            self.known().clear();
        }
        let mut refused = String::new();
        for path in collections(url.path()) {
            if self.is_known(path) {
                continue;
            }
            let mut url = url.clone();
            url.set_path(path);
            let response = self.client.ask(what, &method, &url, &HeaderMap::new(), None).await?;
            let answer = Client::head(response).await;
            // 405: it is there already (RFC 4918 §9.3.1).
            if answer.is_success() || answer.status.as_u16() == 405 {
                self.known().insert(path.to_owned());
            } else if answer.kind() == Kind::Transient {
                return Err(answer.error(what, &method, &format!(" (MKCOL {path})")));
            } else {
                refused = format!("; MKCOL {path} gave {}", answer.status);
            }
        }
        Ok(refused)
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
            return self.client.body(&what, response, GET_LIMIT_BYTES).await.map(Some);
        }
        let answer = Client::head(response).await;
        if answer.is_absent() { Ok(None) } else { Err(answer.error(&what, &Method::GET, "")) }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.collections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_known(&self, path: &str) -> bool {
        self.known().contains(path)
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

/// Whether a PUT may have failed because its folder is not there: 409 says so; 404 and 403 are seen too, the latter
/// only where the folder was not known to be there.
fn lacks_collection(answer: &Answer, was_there: bool) -> bool {
    match answer.status.as_u16() {
        404 | 409 => true,
        403 => !was_there,
        _ => false,
    }
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
