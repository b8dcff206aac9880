//! How something that is there is answered: conditions, ranges, codings, caching.

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};

use super::body::Body;
use super::media_type::TEXT;
use super::range::{Span, Wanted, wanted};
use super::validator;

/// For what never changes under its name: a year, which is as long as anybody keeps anything. Nothing is "public":
/// where authorization is needed, caches that many share keep nothing (RFC 9111 §3.5).
pub const IMMUTABLE: HeaderValue = HeaderValue::from_static("max-age=31536000, immutable");
/// For what may be other the next time: it may be kept, but is asked for before it is used again.
pub const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");
/// For what is true at this moment alone.
pub const NEVER: HeaderValue = HeaderValue::from_static("no-store");

/// What is said of an object that is answered with.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    pub media_type: &'static str,
    pub tag: Option<&'a HeaderValue>,
    pub cache: HeaderValue,
    pub size_bytes: u64,
    /// Whether it is compressed by gzip.
    pub is_gzip: bool,
    /// Whether another client may get another coding of it.
    pub is_varying: bool,
    /// Whether parts of it may be asked for.
    pub has_ranges: bool,
}

impl<'a> Facts<'a> {
    /// Of something that never changes and comes in one coding.
    pub const fn immutable(media_type: &'static str, tag: &'a HeaderValue, size_bytes: u64) -> Self {
        Self {
            media_type,
            tag: Some(tag),
            cache: IMMUTABLE,
            size_bytes,
            is_gzip: false,
            is_varying: false,
            has_ranges: true,
        }
    }
}

/// The answer to a GET with these headers; `body` gives the bytes that are wanted.
pub fn found(asked: &HeaderMap, facts: &Facts<'_>, body: impl FnOnce(Span) -> Body) -> Response<Body> {
    let is_known =
        |tag| asked.get_all(header::IF_NONE_MATCH).iter().any(|one| validator::names(one.as_bytes(), tag));
    if facts.tag.is_some_and(is_known) {
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        describe(answer.headers_mut(), facts);
        return answer;
    }
    let whole = Span::whole(facts.size_bytes);
    let (status, span) = match range(asked, facts) {
        Wanted::Whole => (StatusCode::OK, whole),
        Wanted::Part(span) => (StatusCode::PARTIAL_CONTENT, span),
        Wanted::Nothing => return beyond(facts.size_bytes),
    };
    let mut answer = Response::new(body(span));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    describe(headers, facts);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(facts.media_type));
    if facts.is_gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if status == StatusCode::PARTIAL_CONTENT {
        headers.insert(
            header::CONTENT_RANGE,
            written(format!("bytes {}-{}/{}", span.first, span.last, facts.size_bytes)),
        );
    }
    answer
}

fn range(asked: &HeaderMap, facts: &Facts<'_>) -> Wanted {
    let Some(range) = asked.get(header::RANGE).filter(|_| facts.has_ranges) else { return Wanted::Whole };
    // Dates are never what we gave: with one, the whole is sent (RFC 9110 §13.1.5).
    let is_same = |condition: &HeaderValue| facts.tag.is_some_and(|tag| condition == tag);
    match asked.get(header::IF_RANGE) {
        Some(condition) if !is_same(condition) => Wanted::Whole,
        _ => wanted(range.as_bytes(), facts.size_bytes),
    }
}

/// What a 304 says too (RFC 9110 §15.4.5).
fn describe(headers: &mut HeaderMap, facts: &Facts<'_>) {
    headers.insert(header::CACHE_CONTROL, facts.cache.clone());
    if let Some(tag) = facts.tag {
        headers.insert(header::ETAG, tag.clone());
    }
    if facts.is_varying {
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    if facts.has_ranges {
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    }
}

fn beyond(size_bytes: u64) -> Response<Body> {
    let mut answer = said(StatusCode::RANGE_NOT_SATISFIABLE, "there are no such bytes");
    answer.headers_mut().insert(header::CONTENT_RANGE, written(format!("bytes */{size_bytes}")));
    answer
}

/// A status with a line of text that is true at this moment alone.
pub fn said(status: StatusCode, line: &'static str) -> Response<Body> {
    text(status, TEXT, format!("{line}\n"))
}

/// A text that is true at this moment alone.
pub fn text(status: StatusCode, media_type: &'static str, text: String) -> Response<Body> {
    let span = Span::whole(text.len() as u64);
    let mut answer = Response::new(Body::slices(text.into(), span));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer.headers_mut().insert(header::CACHE_CONTROL, NEVER);
    answer
}

/// As a HEAD is answered: all headers, no body.
pub fn without_body(answer: Response<Body>) -> Response<Body> {
    let (mut parts, body) = answer.into_parts();
    if !matches!(parts.status, StatusCode::NOT_MODIFIED | StatusCode::NO_CONTENT) {
        parts.headers.insert(header::CONTENT_LENGTH, body.len().into());
    }
    Response::from_parts(parts, Body::empty())
}

/// A header's value of our own digits and words.
pub fn written(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(asked: &[(header::HeaderName, &'static str)]) -> Response<Body> {
        let asked =
            asked.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        let tag = HeaderValue::from_static("\"a\"");
        let facts = Facts::immutable("video/mp2t", &tag, 10);
        found(&asked, &facts, |span| Body::slices(bytes::Bytes::from_static(&[7; 10]).into(), span))
    }

    #[test]
    fn conditions_come_before_ranges() {
        use header::{IF_NONE_MATCH, IF_RANGE, RANGE};
        let status = |asked: &[_]| answer(asked).status().as_u16();
        assert_eq!(status(&[]), 200);
        assert_eq!(status(&[(IF_NONE_MATCH, "\"a\""), (RANGE, "bytes=0-1")]), 304);
        assert_eq!(status(&[(RANGE, "bytes=0-1")]), 206);
        assert_eq!(status(&[(RANGE, "bytes=0-1"), (IF_RANGE, "\"a\"")]), 206);
        assert_eq!(status(&[(RANGE, "bytes=0-1"), (IF_RANGE, "\"b\"")]), 200);
        assert_eq!(status(&[(RANGE, "bytes=10-")]), 416);
    }

    #[test]
    fn a_head_tells_the_length_without_the_body() {
        let head = without_body(answer(&[(header::RANGE, "bytes=2-4")]));
        assert_eq!(head.headers()[header::CONTENT_LENGTH], "3");
        assert_eq!(head.headers()[header::CONTENT_RANGE], "bytes 2-4/10");
        assert_eq!(head.body().len(), 0);
    }
}
