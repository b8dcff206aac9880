//! Connections to one web server.

use std::error::Error as StdError;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use reqwest::{Body, Method, Request, Response, Url, redirect};
use rustls::ClientConfig;

use super::answer::Answer;
use super::body::Upload;
use super::{Auth, Options};
use crate::chunks::Chunks;
use crate::destination::{Error, Kind, MOST_GOT_BYTES, TOO_LARGE, tls};

const USER_AGENT: &str = concat!("segcast/", env!("CARGO_PKG_VERSION"));
/// How long a connection may take to be there, TLS included.
const CONNECT: Duration = Duration::from_secs(10);
/// Idle connections are closed after this, before most servers do (nginx: 75 s).
const IDLE: Duration = Duration::from_secs(60);
/// How long the server may leave bytes unacknowledged. The system gives the connection up then, and what is still in
/// its buffers with it: an upload that was abandoned must not arrive long after.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(15);
/// The most that is read of an answer that nobody wants, for the sake of the connection.
const DRAIN_BYTES: usize = 64 * 1024;
/// Headers that say how a message is sent.
const OURS: [HeaderName; 4] = [CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION, EXPECT];

/// Asks one web server, over connections that are kept. No proxy is used, and no redirection followed.
pub struct Client {
    pooled: reqwest::Client,
    /// Opens a connection for each request.
    fresh: reqwest::Client,
    /// On every request: who we are, and what is configured further.
    headers: HeaderMap,
    /// Whether there may be connections that were used before.
    has_answered: AtomicBool,
    host: String,
    /// The host and the port.
    address: String,
}

impl Client {
    /// Nothing is connected yet.
    pub fn new(options: &Options, url: &Url) -> Result<Self, Error> {
        tls::provider();
        let headers = headers(options, url)?;
        let config = match url.scheme() {
            "https" => Some(tls::config(&options.url, options.ca.as_deref(), options.is_insecure)?),
            _ => None,
        };
        let build = |idle| {
            let client = builder(config.clone()).pool_max_idle_per_host(idle).build();
            client.map_err(|error| unusable(options, format!("no TLS: {}", root(&error))))
        };
        let host = url.host_str().unwrap_or_default().to_owned();
        let address = match url.port_or_known_default() {
            Some(port) => format!("{host}:{port}"),
            None => host.clone(),
        };
        Ok(Self {
            pooled: build(usize::MAX)?,
            fresh: build(0)?,
            headers,
            has_answered: AtomicBool::new(false),
            host,
            address,
        })
    }

    /// Asks, once more on a fresh connection if one that was idle turns out dead. All that is asked here can be asked
    /// twice (RFC 9110 §9.2.2).
    pub async fn ask(
        &self,
        what: &str,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
        body: Option<&Chunks>,
    ) -> Result<Response, Error> {
        let request = || self.request(method, url, headers, body);
        let response = match self.pooled.execute(request()).await {
            Err(error) if self.may_have_been_dead(&error) => self.fresh.execute(request()).await,
            response => response,
        };
        let response = response.map_err(|error| self.failed(what, &error))?;
        self.has_answered.store(true, Ordering::Relaxed);
        Ok(response)
    }

    fn request(&self, method: &Method, url: &Url, headers: &HeaderMap, body: Option<&Chunks>) -> Request {
        let mut request = Request::new(method.clone(), url.clone());
        let all = request.headers_mut();
        headers.iter().chain(&self.headers).for_each(|(name, value)| drop(all.insert(name, value.clone())));
        if let Some(chunks) = body {
            // Said of an empty one too, which would be sent without.
            all.insert(CONTENT_LENGTH, chunks.size_bytes().into());
            *request.body_mut() = Some(Body::wrap(Upload::new(chunks.clone())));
        }
        request
    }

    /// Whether a connection broke that may have been idle before.
    fn may_have_been_dead(&self, error: &reqwest::Error) -> bool {
        error.is_request()
            && !error.is_connect()
            && !error.is_timeout()
            && self.has_answered.load(Ordering::Relaxed)
    }

    /// The head of a response. Its body is read, as far as that is worth it: only then is the connection kept.
    pub async fn head(mut response: Response) -> Answer {
        let mut rest = DRAIN_BYTES;
        while let Ok(Some(bytes)) = response.chunk().await {
            match rest.checked_sub(bytes.len()) {
                Some(left) => rest = left,
                None => break,
            }
        }
        Answer { status: response.status(), headers: std::mem::take(response.headers_mut()) }
    }

    /// The body of a response, if it is no larger than what is got.
    pub async fn body(&self, what: &str, mut response: Response) -> Result<Bytes, Error> {
        let mut body = Vec::new();
        while let Some(bytes) = response.chunk().await.map_err(|error| self.failed(what, &error))? {
            if body.len() + bytes.len() > MOST_GOT_BYTES {
                return Err(Error::new(Kind::Invalid, what, TOO_LARGE.into()));
            }
            body.extend_from_slice(&bytes);
        }
        Ok(body.into())
    }

    /// There was no answer.
    fn failed(&self, what: &str, error: &reqwest::Error) -> Error {
        let Self { host, address, .. } = self;
        let root = root(error);
        let (kind, source) = match causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
            Some(tls) => explain(tls),
            None if error.is_builder() => (Kind::Invalid, root),
            None if error.is_dns() => (
                Kind::Transient,
                format!("the name {host} does not resolve: {root}: check it, and the network"),
            ),
            None if error.is_connect() && error.is_timeout() => {
                (Kind::Transient, format!("{address} does not answer within {} s", CONNECT.as_secs()))
            }
            None if error.is_connect() => {
                (Kind::Transient, format!("no connection to {address}: {root}: is the server running?"))
            }
            None => (Kind::Transient, format!("the connection to {address} broke: {root}")),
        };
        Error::new(kind, what, source.into())
    }
}

fn builder(tls: Option<ClientConfig>) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .http1_only()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .referer(false)
        .tcp_nodelay(true)
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE);
    #[cfg(target_os = "linux")]
    let builder = builder.tcp_user_timeout(UNACKNOWLEDGED);
    match tls {
        Some(tls) => builder.tls_backend_preconfigured(tls),
        // The system's authorities may not even be there.
        None => builder.tls_certs_only([]),
    }
}

/// What goes with every request.
fn headers(options: &Options, url: &Url) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    for (name, value) in &options.headers.extra {
        let invalid = |why| unusable(options, format!("the header {name:?} {why}"));
        let name: HeaderName = name.parse().map_err(|_| invalid("has no name that a header can have"))?;
        if OURS.contains(&name) {
            return Err(invalid("is not to be chosen"));
        }
        let value = HeaderValue::from_str(value);
        let mut value = value.map_err(|_| invalid("has a value that a header cannot have"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    if let Some(auth) = &options.auth {
        headers.insert(AUTHORIZATION, authorization(options, auth, url)?);
    }
    Ok(headers)
}

fn authorization(options: &Options, auth: &Auth, url: &Url) -> Result<HeaderValue, Error> {
    let request = reqwest::Client::builder().no_proxy().tls_certs_only([]).build();
    let request = request.map(|client| match auth {
        Auth::Basic(user, password) => client.get(url.clone()).basic_auth(user, Some(password.expose())),
        Auth::Bearer(token) => client.get(url.clone()).bearer_auth(token.expose()),
    });
    if matches!(auth, Auth::Basic(user, _) if user.contains(':')) {
        return Err(unusable(options, "the user's name has a colon in it".to_owned()));
    }
    // Its errors are not shown: they might quote what is secret.
    let value = request.and_then(reqwest::RequestBuilder::build).ok();
    let value = value.and_then(|mut request| request.headers_mut().remove(AUTHORIZATION));
    value.ok_or_else(|| unusable(options, "the token has characters that a header cannot have".to_owned()))
}

fn unusable(options: &Options, source: String) -> Error {
    Error::new(Kind::Invalid, format!("use {}", options.url), source.into())
}

/// Why TLS did not come about, and what to do.
fn explain(error: &rustls::Error) -> (Kind, String) {
    use rustls::{CertificateError as Certificate, Error as Tls};
    let hint = match error {
        Tls::InvalidCertificate(Certificate::UnknownIssuer) => {
            "nobody here knows who signed the server's certificate: if it can be trusted, name its authority by \
             ca = \"….pem\""
        }
        Tls::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        ) => "the server's certificate is for another name: check the URL",
        Tls::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "the server's certificate has expired: it must be renewed"
        }
        // rustls has no word of its own for it.
        Tls::InvalidCertificate(Certificate::Other(other))
            if format!("{other:?}").contains(tls::OWN_AUTHORITY) =>
        {
            let hint = "nobody but itself vouches for the server's certificate: if it can be trusted, name it by \
                        ca = \"….pem\"";
            return (Kind::Refused, hint.to_owned());
        }
        Tls::InvalidCertificate(_) => "the server's certificate cannot be trusted",
        Tls::AlertReceived(_) | Tls::PeerIncompatible(_) => "the server does not agree to TLS with us",
        Tls::InvalidMessage(_) => {
            return (Kind::Invalid, format!("the server speaks no TLS here: is it http://? ({error})"));
        }
        _ => return (Kind::Transient, format!("TLS failed: {error}")),
    };
    (Kind::Refused, format!("{hint} ({error})"))
}

/// What is at the bottom of `error`.
fn root(error: &reqwest::Error) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

/// `error` and what it comes from.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| cause(*error))
}

fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>() {
        // An io::Error's source is the source of what it wraps.
        Some(io) => io.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
        None => error.source(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{CertificateError, OtherError};

    use super::*;

    #[test]
    fn a_certificate_that_vouches_for_itself_is_told_without_rusts_words() {
        /// As webpki tells of it.
        #[derive(Debug, thiserror::Error)]
        #[error("CaUsedAsEndEntity")]
        struct CaUsedAsEndEntity;
        let other = CertificateError::Other(OtherError(Arc::new(CaUsedAsEndEntity)));
        let (kind, told) = explain(&rustls::Error::InvalidCertificate(other));
        assert_eq!(kind, Kind::Refused);
        assert!(told.contains("vouches for") && !told.contains("Other"), "{told}");
    }
}
