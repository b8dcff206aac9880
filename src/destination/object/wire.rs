//! HTTP as object storage speaks it: one request, one answer, and in plain words why there was none.

use std::error::Error as StdError;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::time::Duration;

use http_body::Body;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use object_store::{ClientConfigKey, ClientOptions, HeaderMap};
use reqwest::{Client, Method, header};

/// How long a connection may take to come about.
pub(super) const CONNECT: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read to learn what went wrong; services send some hundreds.
const ANSWER_BYTES: usize = 16 << 10;
/// Characters of a service's own words that are worth showing.
const MESSAGE_CHARS: usize = 240;

/// Why a request came to nothing. It holds no URL: one may carry a signature.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The service said no.
    #[error(transparent)]
    Answered(#[from] Answer),
    /// The service was not reached, or the connection broke.
    #[error(transparent)]
    Unreached(#[from] Unreached),
}

impl Failure {
    /// The one that `error` comes from, if it comes from one.
    pub fn of(error: &object_store::Error) -> Option<&Self> {
        causes(error).find_map(|cause| cause.downcast_ref())
    }

    /// The status of the answer that `error` comes from, and the service's own word for it.
    pub fn answer(error: &object_store::Error) -> Option<&Answer> {
        match Self::of(error) {
            Some(Self::Answered(answer)) => Some(answer),
            _ => None,
        }
    }
}

/// An answer that says no.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub status: u16,
    /// The service's word for it, such as `NoSuchBucket`; may be empty.
    pub code: String,
    /// The service's explanation; may be empty.
    pub message: String,
    pub retry_after: Option<Duration>,
    /// The region that the bucket is in, where S3 says that it is another one.
    pub region: Option<String>,
}

impl StdError for Answer {}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the service answered {}", self.status)?;
        if !self.code.is_empty() {
            write!(f, " {}", self.code)?;
        }
        if !self.message.is_empty() {
            write!(f, " ({})", self.message)?;
        }
        Ok(())
    }
}

/// A service that was not reached.
#[derive(Debug)]
pub(super) struct Unreached {
    /// Host, and port if it is not the usual one.
    pub authority: String,
    pub reason: Reason,
    text: String,
}

impl StdError for Unreached {}

/// What kept us from the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// Its name does not resolve.
    Name,
    /// Its certificate is not to be trusted.
    Certificate,
    /// Anything else of the network.
    Network,
}

impl Unreached {
    fn new(authority: String, source: &HttpError) -> Self {
        let last = causes(source).last().map(ToString::to_string).unwrap_or_default();
        let (reason, text) = if causes(source).any(|cause| cause.to_string() == "dns error") {
            (Reason::Name, last)
        } else if let Some(trouble) = causes(source).find_map(certificate_trouble) {
            (Reason::Certificate, trouble.to_string())
        } else if source.kind() == HttpErrorKind::Timeout {
            (Reason::Network, "it does not answer in time".to_owned())
        } else {
            (Reason::Network, last)
        };
        Self { authority, reason, text }
    }

    /// Whether it is where clouds give credentials to their own machines, and nobody answers elsewhere.
    pub fn is_metadata(&self) -> bool {
        ["169.254.", "metadata", "[fd00:ec2::"].iter().any(|start| self.authority.starts_with(start))
    }
}

impl std::fmt::Display for Unreached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { authority, text, .. } = self;
        match self.reason {
            Reason::Name => {
                write!(f, "the name of {authority} does not resolve ({text}): check it, and the network")
            }
            Reason::Certificate => write!(
                f,
                "the certificate of {authority} is not trusted ({text}): add its authority to the system's, \
                 or name a file of authorities in SSL_CERT_FILE"
            ),
            Reason::Network => write!(f, "no answer from {authority}: {text}"),
        }
    }
}

/// TLS's own word on a certificate, where that is what `error` is about.
fn certificate_trouble<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    // Errors of input and output skip what they hold when they are asked what they come from.
    let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    match (held, error.downcast_ref()) {
        (Some(held), _) => certificate_trouble(held),
        (None, Some(tls @ rustls::Error::InvalidCertificate(_))) => Some(tls),
        _ => None,
    }
}

/// `error`, and what it comes from.
pub(super) fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// Gives every part of a store the same connections.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    client: Client,
    /// Set on every PUT, after it was signed.
    extra: HeaderMap,
}

impl Connector {
    pub fn new(extra: HeaderMap) -> Result<Self, reqwest::Error> {
        Ok(Self { client: client(CONNECT)?, extra })
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        // Where credentials are asked for, less patience is wanted than where objects are put.
        let asked = options.get_config_value(&ClientConfigKey::ConnectTimeout);
        let client = match asked.and_then(|text| humantime::parse_duration(&text).ok()) {
            Some(timeout) if timeout != CONNECT => {
                let to_error = |source: reqwest::Error| object_store::Error::Generic {
                    store: "HTTP",
                    source: source.without_url().into(),
                };
                client(timeout).map_err(to_error)?
            }
            _ => self.client.clone(),
        };
        Ok(HttpClient::new(Wire { client, extra: self.extra.clone() }))
    }
}

/// HTTP/1.1: a connection for each upload at the same time, kept for the next one.
fn client(connect: Duration) -> Result<Client, reqwest::Error> {
    Client::builder()
        .user_agent(concat!("segcast/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .tcp_nodelay(true)
        .connect_timeout(connect)
        // A request is signed for one host: it cannot be sent to another.
        .redirect(reqwest::redirect::Policy::none())
        .build()
}

#[derive(Debug)]
struct Wire {
    client: Client,
    extra: HeaderMap,
}

impl Wire {
    /// Sends `request`; once more if its connection breaks. It may have been idle for too long, and only this tells.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let again = request.clone();
        match HttpService::call(&self.client, request).await {
            Err(error) if matches!(error.kind(), HttpErrorKind::Request | HttpErrorKind::Interrupted) => {
                HttpService::call(&self.client, again).await
            }
            result => result,
        }
    }

    async fn ask(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if request.method() == Method::PUT {
            request.headers_mut().extend(self.extra.clone());
        }
        let authority = authority(&request);
        let response = self.send(request).await.map_err(|error| {
            HttpError::new(error.kind(), Failure::Unreached(Unreached::new(authority, &error)))
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(HttpError::new(HttpErrorKind::Unknown, Failure::Answered(Answer::read(response).await)))
    }
}

/// The host that `request` goes to, and the port if it is said.
fn authority(request: &HttpRequest) -> String {
    let host = request.uri().host().unwrap_or_default();
    request.uri().port_u16().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

impl HttpService for Wire {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(self.ask(request))
    }
}

impl Answer {
    async fn read(response: HttpResponse) -> Self {
        let (parts, body) = response.into_parts();
        let text = |name: &str| {
            parts.headers.get(name).and_then(|value| value.to_str().ok()).map(|value| value.trim().to_owned())
        };
        let seconds = text(header::RETRY_AFTER.as_str()).and_then(|value| value.parse().ok());
        let region = text("x-amz-bucket-region");
        let body = beginning(body).await;
        let (code, message) = explanation(&String::from_utf8_lossy(&body));
        // An answer to HEAD has no body; Azure says its code in a header too.
        let code = if code.is_empty() { text("x-ms-error-code").unwrap_or_default() } else { code };
        let retry_after = seconds.map(Duration::from_secs);
        Self { status: parts.status.as_u16(), code: plain(&code), message, retry_after, region }
    }
}

/// The first bytes of `body`, as many as came.
async fn beginning(mut body: HttpResponseBody) -> Vec<u8> {
    let mut read = Vec::new();
    while read.len() < ANSWER_BYTES
        && let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
    {
        if let Some(data) = frame.data_ref() {
            read.extend_from_slice(data);
        }
    }
    read
}

/// Code and message in the text of an answer: XML as the three services write it, or else the text as it is.
fn explanation(text: &str) -> (String, String) {
    let element = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        rest.split_once("</").map(|(inner, _)| inner.to_owned())
    };
    match (element("Code"), element("Message")) {
        (None, None) if text.trim_start().starts_with('<') => Default::default(),
        (None, None) => (String::new(), plain(text)),
        (code, message) => (code.unwrap_or_default(), plain(&message.unwrap_or_default())),
    }
}

/// The first line of `text`, short and printable.
fn plain(text: &str) -> String {
    let text =
        text.replace("&apos;", "'").replace("&#39;", "'").replace("&quot;", "\"").replace("&amp;", "&");
    let line = text.trim().lines().next().unwrap_or_default().trim_end_matches(['.', ' ']);
    line.chars().filter(|c| !c.is_control()).take(MESSAGE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_explains_itself() {
        let xml = "<?xml version=\"1.0\"?>\n<Error><Code>NoSuchKey</Code><Message>It isn&apos;t there.\nTime: \
                   x</Message><Key>k</Key></Error>";
        assert_eq!(explanation(xml), ("NoSuchKey".to_owned(), "It isn't there".to_owned()));
        assert_eq!(explanation("<html><body>Oh no</body></html>"), Default::default());
        assert_eq!(explanation("quota\u{7} exceeded\n"), (String::new(), "quota exceeded".to_owned()));
        assert_eq!(explanation("<Code>X").1, "");
        assert_eq!(explanation(&"x".repeat(1000)).1.len(), MESSAGE_CHARS);
    }

    #[test]
    fn an_answer_reads_as_people_read() {
        let mut answer = Answer { status: 503, ..Answer::default() };
        assert_eq!(answer.to_string(), "the service answered 503");
        answer.code = "SlowDown".to_owned();
        answer.message = "Reduce your request rate".to_owned();
        assert_eq!(answer.to_string(), "the service answered 503 SlowDown (Reduce your request rate)");
    }

    #[test]
    fn clouds_give_credentials_at_their_own_addresses() {
        for (authority, is_metadata) in
            [("169.254.169.254", true), ("metadata.google.internal", true), ("sts.amazonaws.com", false)]
        {
            let unreached =
                Unreached { authority: authority.to_owned(), reason: Reason::Network, text: String::new() };
            assert_eq!(unreached.is_metadata(), is_metadata, "{authority}");
        }
    }
}
