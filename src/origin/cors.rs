//! Which pages of other sites may read the stream (the Fetch standard's CORS protocol).

use hyper::header::{self, HeaderMap, HeaderValue};

/// Which pages of other sites may read the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cors {
    /// All.
    #[default]
    Any,
    /// Those of these origins, such as `https://news.example`; they may send credentials.
    Of(Vec<String>),
}

/// What a page may read of an answer beyond what every page may.
const EXPOSED: &str = "Content-Length, Content-Range, Date, ETag";
/// What a page may send with a request.
const ALLOWED: &str = "Authorization, Range, If-None-Match, If-Range, Cache-Control";

impl Cors {
    /// Adds what a browser looks for, to the answer of a request that has `asked`.
    pub fn mark(&self, asked: &HeaderMap, answer: &mut HeaderMap) {
        match self {
            Self::Any => {
                answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            }
            Self::Of(origins) => {
                answer.append(header::VARY, HeaderValue::from_static("Origin"));
                let known =
                    asked.get(header::ORIGIN).filter(|came| origins.iter().any(|one| *came == one.as_str()));
                let Some(origin) = known else { return };
                answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                answer.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            }
        }
        answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }

    /// Adds what a browser asks for before a request.
    pub fn allow(answer: &mut HeaderMap) {
        answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD"));
        answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED));
        answer.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(cors: &Cors, origin: &'static str) -> Option<String> {
        let asked = HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_static(origin))]);
        let mut answer = HeaderMap::new();
        cors.mark(&asked, &mut answer);
        Some(answer.get(header::ACCESS_CONTROL_ALLOW_ORIGIN)?.to_str().ok()?.to_owned())
    }

    #[test]
    fn only_origins_that_were_named_may_read() {
        assert_eq!(marked(&Cors::Any, "https://a.example").as_deref(), Some("*"));
        let one = Cors::Of(vec!["https://a.example".to_owned()]);
        assert_eq!(marked(&one, "https://a.example").as_deref(), Some("https://a.example"));
        assert_eq!(marked(&one, "https://b.example"), None);
    }
}
