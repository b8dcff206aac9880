//! What an answer means (RFC 9110 §15, RFC 4918 §11).

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};

use crate::destination::{Error, Kind};

/// The longest wait that is believed: what asks for more is asked again after a day.
const MAX_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// The head of an answer.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
}

impl Answer {
    /// Whether it was done.
    pub fn is_success(&self) -> bool {
        self.status.is_success()
    }

    /// Whether what was asked for is not there (any more).
    pub fn is_absent(&self) -> bool {
        matches!(self.status, StatusCode::NOT_FOUND | StatusCode::GONE)
    }

    /// What to do about it, if it was not done.
    pub fn kind(&self) -> Kind {
        match self.status.as_u16() {
            // What leads elsewhere may be a notice of maintenance.
            300..=399 | 401 | 403 | 407 => Kind::Refused,
            404 | 409 | 410 => Kind::Missing,
            408 | 421 | 423 | 425 | 429 => Kind::Transient,
            501 | 505 => Kind::Invalid,
            500..=599 => Kind::Transient,
            _ => Kind::Invalid,
        }
    }

    /// It was not done: `what`, as in [`Error::new`], by `method`. `more` is known beside it.
    pub fn error(&self, what: &str, method: &Method, more: &str) -> Error {
        let hint = self.hint(method);
        let separator = if hint.is_empty() { "" } else { ": " };
        let error = Error::new(self.kind(), what, format!("{}{separator}{hint}{more}", self.status).into());
        match self.retry_after() {
            Some(wait) => error.after(wait),
            None => error,
        }
    }

    /// What it means here, and what to do.
    fn hint(&self, method: &Method) -> String {
        let hint = match self.status.as_u16() {
            300..=399 => return self.elsewhere(),
            401 => "the server wants other credentials: check `user` and `password`, or `token`",
            403 => {
                return format!("the server does not allow {method} here: check who may write, and the path");
            }
            404 | 409 | 410 => "the folder is not there and cannot be made: check the path",
            405 | 501 => {
                return format!("the server takes no {method} here: is WebDAV on, and the path right?");
            }
            407 => "a proxy wants credentials",
            411 => "the server wants a length, which was sent: what is between us and it?",
            413 => "it is too large for the server: raise its limit (client_max_body_size in nginx)",
            423 => "somebody has locked it",
            507 => "the server's disk is full",
            _ => "",
        };
        hint.to_owned()
    }

    /// Where a redirection leads. What may be secret in there is left out.
    fn elsewhere(&self) -> String {
        let Some(location) = self.text(&LOCATION) else { return "it is elsewhere".to_owned() };
        let location = location.split(['?', '#']).next().unwrap_or_default();
        let location = match Url::parse(location) {
            Ok(mut url) => {
                // Both fail only where there is nothing to take away.
                let _ = url.set_password(None);
                let _ = url.set_username("");
                url.to_string()
            }
            Err(_) => location.to_owned(),
        };
        format!("it is at {location}: if that is right, put it into the URL")
    }

    /// When to come back: in seconds, or a date, which is compared with the server's own clock where it tells that.
    fn retry_after(&self) -> Option<Duration> {
        let text = self.text(&RETRY_AFTER)?.trim();
        let wait = match text.parse() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => {
                let now = self.text(&DATE).and_then(date).unwrap_or_else(SystemTime::now);
                date(text)?.duration_since(now).unwrap_or_default()
            }
        };
        Some(wait.min(MAX_WAIT))
    }

    fn text(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A date as servers write it since 1994: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
fn date(text: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.trim().split_once(", ")?.1.split(' ');
    let (day, month, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    if words.next()? != "GMT" || words.next().is_some() || !text.is_ascii() {
        return None;
    }
    humantime::parse_rfc3339(&format!("{year}-{month:02}-{day}T{time}Z")).ok()
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use proptest::prelude::*;
    use reqwest::header::HeaderValue;

    use super::*;

    fn answer(status: u16, headers: &[(HeaderName, &'static str)]) -> Answer {
        let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        Answer { status: StatusCode::from_u16(status).unwrap(), headers: headers.collect() }
    }

    fn source(answer: &Answer) -> String {
        answer.error("put it", &Method::PUT, "").source().unwrap().to_string()
    }

    #[test]
    fn what_may_go_well_another_time_is_transient() {
        let kinds = [
            (Kind::Transient, &[408, 423, 425, 429, 500, 502, 503, 504, 507, 599][..]),
            (Kind::Refused, &[301, 304, 308, 401, 403, 407]),
            (Kind::Missing, &[404, 409, 410]),
            (Kind::Invalid, &[400, 405, 411, 413, 414, 415, 501, 505, 999]),
        ];
        for (kind, statuses) in kinds {
            for status in statuses {
                assert_eq!(answer(*status, &[]).kind(), kind, "{status}");
            }
        }
    }

    #[test]
    fn the_server_tells_when_to_come_back() {
        let wait = |headers: &[(HeaderName, &'static str)]| {
            let error = answer(503, headers).error("put it", &Method::PUT, "");
            error.retry_after().map(|wait| wait.as_secs())
        };
        let now = (DATE, "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(wait(&[]), None);
        assert_eq!(wait(&[(RETRY_AFTER, "120")]), Some(120));
        assert_eq!(wait(&[(RETRY_AFTER, "18446744073709551615")]), Some(MAX_WAIT.as_secs()));
        assert_eq!(wait(&[(RETRY_AFTER, "-1")]), None);
        assert_eq!(wait(&[(RETRY_AFTER, "Sun, 06 Nov 1994 08:50:07 GMT"), now.clone()]), Some(30));
        assert_eq!(wait(&[(RETRY_AFTER, "Sun, 06 Nov 1994 08:00:00 GMT"), now]), Some(0));
        assert_eq!(wait(&[(RETRY_AFTER, "Sun, 06 Nov 1994 08:00:00 GMT")]), Some(0));
        assert_eq!(wait(&[(RETRY_AFTER, "soon")]), None);
    }

    #[test]
    fn a_redirection_is_named_without_its_secrets() {
        let text = |location| source(&answer(301, &[(LOCATION, location)]));
        let expected =
            "301 Moved Permanently: it is at https://h/live/: if that is right, put it into the URL";
        assert_eq!(text("https://u:secret@h/live/?token=secret"), expected);
        assert_eq!(text("https://h/live/#part"), expected);
        assert!(text("/live/?token=secret").contains(" at /live/: "));
        assert_eq!(source(&answer(302, &[])), "302 Found: it is elsewhere");
    }

    #[test]
    fn a_limit_is_said_with_where_to_raise_it() {
        assert!(source(&answer(413, &[])).contains("client_max_body_size"));
        assert!(source(&answer(405, &[])).contains("takes no PUT here: is WebDAV on"));
        assert_eq!(source(&answer(503, &[])), "503 Service Unavailable");
    }

    proptest! {
        #[test]
        fn any_date_is_survived(text in "\\PC*", tail in "[0-9A-Za-zé :]{0,30}") {
            date(&text);
            date(&format!("Sun, 06 Nov {tail}"));
        }
    }
}
