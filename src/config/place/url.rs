//! A destination's URL, taken apart (RFC 3986), and what does not belong into it.

use std::net::Ipv6Addr;

use super::key::{Family, Scheme};

/// A URL behind its scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) scheme: Scheme,
    pub(super) user: Option<String>,
    /// The bucket or the host; an IPv6 address without its brackets.
    pub(super) host: String,
    pub(super) port: Option<u16>,
    /// As it was written: empty, or from its first slash on.
    pub(super) path: String,
    /// Names and values, decoded.
    pub(super) query: Vec<(String, String)>,
}

/// What is wrong with a URL. Nothing of it is quoted: it may hold a secret where none was expected.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Fault {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()).filter(|hint| !hint.is_empty()) }
    }
}

impl Url {
    /// Takes `rest`, which stands behind `://`, apart.
    pub(super) fn parse(scheme: Scheme, rest: &str) -> Result<Self, Fault> {
        let form = || format!("expected {}", form(scheme));
        if rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(Fault::new(form(), "a space is written %20"));
        }
        if rest.contains('#') {
            return Err(Fault::new(form(), "a # is written %23"));
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = place.split_at(place.find('/').unwrap_or(place.len()));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        if user.is_some_and(|user| scheme.family.is_bucket() || user.contains(':')) {
            return Err(Fault::new("secrets do not belong into the URL", keys_of_secrets(scheme.family)));
        }
        // Whoever wrote a password with a slash in it meant what stands before the last @.
        if authority[user.map_or(0, str::len)..].contains(':') && rest[authority.len()..].contains('@') {
            let hint =
                format!("an @ of the path is written %40; for secrets: {}", keys_of_secrets(scheme.family));
            return Err(Fault::new("an @ stands behind the path's first slash", hint));
        }
        let Address { host, port } = Address::parse(host).map_err(|hint| Fault::new(form(), hint))?;
        if scheme.family.is_bucket() && port.is_some() {
            return Err(Fault::new(form(), "the address of a service goes into `endpoint`"));
        }
        let escaped = |what: &str| Fault::new(form(), format!("a % in {what} is written %25"));
        let user = user.map(|user| decode(user).ok_or_else(|| escaped("the user's name"))).transpose()?;
        if user.as_deref() == Some("") {
            return Err(Fault::new("expected a user's name before the @", ""));
        }
        decode(path).ok_or_else(|| escaped("the path"))?;
        let query = pairs(query).ok_or_else(|| {
            Fault::new("expected `key=value` behind the ?", "a ? of the path is written %3F")
        })?;
        Ok(Self { scheme, user, host, port, path: path.to_owned(), query })
    }

    /// The path, decoded.
    pub(super) fn decoded_path(&self) -> String {
        // It was seen to be good when the URL was read.
        decode(&self.path).unwrap_or_default()
    }
}

/// A host, and its port if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// An IPv6 address stands here without its brackets.
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
}

impl Address {
    /// Reads `host`, `host:port`, `[address]` or `[address]:port`.
    ///
    /// # Errors
    /// A hint at what was expected; nothing is quoted.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let (host, port) = match text.strip_prefix('[') {
            Some(text) => {
                let (host, behind) = text.split_once(']').ok_or("expected a ] behind the address")?;
                host.parse::<Ipv6Addr>().map_err(|_| "expected an IPv6 address in the brackets")?;
                (host, behind)
            }
            None => {
                let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
                if port.matches(':').count() > 1 {
                    return Err("an IPv6 address stands in brackets, as in [::1]");
                }
                let is_good = |c: char| c.is_alphanumeric() || "-._$".contains(c);
                if host.is_empty() || !host.chars().all(is_good) {
                    return Err("expected letters, digits, `-`, `.` and `_` in its name");
                }
                (host, port)
            }
        };
        let port = match port.strip_prefix(':') {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|port| *port > 0)
            }
            None if port.is_empty() => return Ok(Self { host: host.to_owned(), port: None }),
            _ => None,
        };
        let port = port.ok_or("expected a port from 1 to 65535 behind the colon")?;
        Ok(Self { host: host.to_owned(), port: Some(port) })
    }
}

/// How a URL of this scheme is written.
fn form(scheme: Scheme) -> String {
    let what = match scheme.family {
        Family::S3 | Family::Gs => "bucket",
        Family::Az => "container",
        Family::Folder | Family::Http => "host",
        Family::Ftp | Family::Ssh => "user@host",
    };
    format!("{}://{what}/path, without spaces", scheme.name)
}

/// Where secrets belong instead.
fn keys_of_secrets(family: Family) -> &'static str {
    match family {
        Family::S3 => "write them as `access_key_id` and `secret_access_key`, best as \"${NAME}\"",
        Family::Gs => "write them as `credentials`, best as \"${NAME}\"",
        Family::Az => "write them as `access_key` or `sas_token`, best as \"${NAME}\"",
        Family::Http => "write them as `user` and `password`, or `token`, best as \"${NAME}\"",
        Family::Folder | Family::Ftp | Family::Ssh => "write it as `password`, best as \"${NAME}\"",
    }
}

/// The pairs of a query, decoded.
fn pairs(query: &str) -> Option<Vec<(String, String)>> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            Some((decode(name)?, decode(value)?))
        })
        .collect()
}

/// A text without its percent-escapes; none if one of them is broken, or what comes out is no text or has control
/// characters in it.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (*first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                bytes.push((digit(*high)? * 16 + digit(*low)?) as u8);
                rest = after;
            }
            (b'%', _) => return None,
            (byte, _) => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains(char::is_control))
}

/// The inverse of [`decode`] for a path: slashes stay.
pub(super) fn encode(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-._~/!,;=:+()'&*$".contains(c);
    let mut out = String::with_capacity(text.len());
    let mut bytes = [0; 4];
    for c in text.chars() {
        if is_plain(c) {
            out.push(c);
        } else {
            out.extend(c.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Result<Url, Fault> {
        let (scheme, rest) = text.split_once("://").unwrap();
        Url::parse(Scheme::of(scheme).unwrap(), rest)
    }

    #[test]
    fn a_url_is_taken_apart() {
        let read = url("sftp://de%40ploy@[::1]:2222/a%20b//ü?timeout=5s&x=%2F").unwrap();
        assert_eq!(read.user.as_deref(), Some("de@ploy"));
        assert_eq!((read.host.as_str(), read.port), ("::1", Some(2222)));
        assert_eq!((read.path.as_str(), read.decoded_path().as_str()), ("/a%20b//ü", "/a b//ü"));
        let pairs = [("timeout", "5s"), ("x", "/")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(read.query, pairs);
        let bare = url("https://h").unwrap();
        assert_eq!((bare.user, bare.port, bare.path.as_str(), bare.query.len()), (None, None, "", 0));
        assert_eq!(url("s3://b/a@b").unwrap().path, "/a@b");
        assert_eq!(url("az://$web/p").unwrap().host, "$web");
    }

    #[test]
    fn what_is_wrong_is_told_and_nothing_is_quoted() {
        let ftp = "expected ftp://user@host/path, without spaces";
        for (text, message, hint) in [
            ("ftp://h/a hush", ftp, "a space is written %20"),
            ("ftp://h/a#hush", ftp, "a # is written %23"),
            ("ftp://h:hush/a", ftp, "expected a port from 1 to 65535 behind the colon"),
            ("ftp://h:0/a", ftp, "expected a port from 1 to 65535 behind the colon"),
            ("ftp://h:65536/a", ftp, "expected a port from 1 to 65535 behind the colon"),
            ("ftp://h:+1/a", ftp, "expected a port from 1 to 65535 behind the colon"),
            ("ftp://::1/a", ftp, "an IPv6 address stands in brackets, as in [::1]"),
            ("ftp://[::1/a", ftp, "expected a ] behind the address"),
            ("ftp://[h]/a", ftp, "expected an IPv6 address in the brackets"),
            ("ftp://[::1]x/a", ftp, "expected a port from 1 to 65535 behind the colon"),
            ("ftp:///a", ftp, "expected letters, digits, `-`, `.` and `_` in its name"),
            ("ftp://h/%zz", ftp, "a % in the path is written %25"),
            ("ftp://h/%00", ftp, "a % in the path is written %25"),
            ("ftp://h/a?hush", "expected `key=value` behind the ?", "a ? of the path is written %3F"),
            (
                "ftp://u:hush@h/",
                "secrets do not belong into the URL",
                "write it as `password`, best as \"${NAME}\"",
            ),
            (
                "ftp://u:12/hush@h",
                "an @ stands behind the path's first slash",
                "an @ of the path is written %40; for secrets: write it as `password`, best as \"${NAME}\"",
            ),
            (
                "s3://hush@b/p",
                "secrets do not belong into the URL",
                "write them as `access_key_id` and `secret_access_key`, best as \"${NAME}\"",
            ),
            (
                "s3://h:8333/p",
                "expected s3://bucket/path, without spaces",
                "the address of a service goes into `endpoint`",
            ),
        ] {
            let fault = Fault { message: message.into(), hint: Some(hint.into()) };
            assert_eq!(url(text).unwrap_err(), fault, "{text}");
        }
        assert_eq!(url("ftp://@h/").unwrap_err().message, "expected a user's name before the @");
    }

    #[test]
    fn what_is_encoded_is_decoded_again() {
        for text in ["a b/ü/100%", "~/x?#@[]\\", "", "/a//b+c$d"] {
            assert_eq!(decode(&encode(text)).as_deref(), Some(text));
        }
        assert_eq!(encode("a b@c%"), "a%20b%40c%25");
    }
}
