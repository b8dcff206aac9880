//! Destinations as they stand in a file: folders, and places that are reached over the network.
//!
//! One table says which keys there are, which kind of destination takes which, and which are secret.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::Environment;
use super::error::{nearest, suggest};
use super::expand::expand;
use super::shape::{Mistakes, join, quoted};
use crate::destination::Secret;

/// One `[[destination]]`: its keys, all of them text.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Destination(pub(super) BTreeMap<String, String>);

/// A key of a destination.
struct Key {
    name: &'static str,
    is_secret: bool,
    about: &'static str,
}

const fn key(name: &'static str, is_secret: bool, about: &'static str) -> Key {
    Key { name, is_secret, about }
}

/// Every key of a destination.
const KEYS: [Key; 11] = [
    key(
        "url",
        false,
        "A folder, or a URL: s3://bucket/prefix, gs://, az://, https://, ftp://, ftps://, sftp://, \
         scp://. Behind a host of ftp, sftp and scp, /~/ is the folder one is in after logging in.",
    ),
    key("user", false, "The user's name (http, ftp, sftp, scp)."),
    key("password", true, "The user's password; \"${NAME}\" takes it from the environment."),
    key("private_key", false, "The file of the private key (sftp, scp)."),
    key("access_key_id", true, "The access key's name (s3); if absent, AWS's usual places are asked."),
    key("secret_access_key", true, "The access key itself (s3); \"${NAME}\" takes it from the environment."),
    key("region", false, "The bucket's region (s3)."),
    key("endpoint", false, "The service's URL, for services with S3's interface (s3)."),
    key("acl", false, "The canned access list of every object, such as \"public-read\" (s3)."),
    key("account", false, "The storage account (az)."),
    key("credentials", true, "The account's key (az), or the file of the service account's key (gs)."),
];

/// Names of secrets in the original's format.
const ORIGINAL_SECRETS: [&str; 3] = ["aws_api_key", "aws_api_secret", "api_key"];

/// Whether the key of this name carries a secret.
pub(super) fn is_secret(name: &str) -> bool {
    KEYS.iter().any(|key| key.is_secret && key.name == name) || ORIGINAL_SECRETS.contains(&name)
}

impl JsonSchema for Destination {
    fn schema_name() -> Cow<'static, str> {
        "Destination".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let properties: serde_json::Map<_, _> = KEYS
            .iter()
            .map(|key| {
                (key.name.to_owned(), serde_json::json!({ "type": "string", "description": key.about }))
            })
            .collect();
        json_schema!({
            "description": "One place to put the stream.",
            "type": "object",
            "properties": properties,
            "required": ["url"],
            "additionalProperties": false,
        })
    }
}

/// How a destination is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheme {
    /// Amazon S3, or a service with its interface.
    S3,
    /// Google Cloud Storage.
    Gs,
    /// Azure Blob Storage.
    Az,
    /// HTTP PUT.
    Http,
    /// HTTP PUT over TLS.
    Https,
    /// FTP.
    Ftp,
    /// FTP over TLS.
    Ftps,
    /// SFTP.
    Sftp,
    /// SCP.
    Scp,
}

/// What each scheme takes: its name, the keys it must have, the keys it may have.
type Terms = (Scheme, &'static str, &'static [&'static str], &'static [&'static str]);

const LOGIN: &[&str] = &["user", "password"];
const SSH: &[&str] = &["password", "private_key"];
const S3: &[&str] = &["access_key_id", "secret_access_key", "region", "endpoint", "acl"];
const SCHEMES: [Terms; 9] = [
    (Scheme::S3, "s3", &[], S3),
    (Scheme::Gs, "gs", &[], &["credentials"]),
    (Scheme::Az, "az", &["account"], &["credentials"]),
    (Scheme::Http, "http", &[], LOGIN),
    (Scheme::Https, "https", &[], LOGIN),
    (Scheme::Ftp, "ftp", LOGIN, &[]),
    (Scheme::Ftps, "ftps", LOGIN, &[]),
    (Scheme::Sftp, "sftp", &["user"], SSH),
    (Scheme::Scp, "scp", &["user"], SSH),
];

impl Scheme {
    fn terms(self) -> &'static Terms {
        SCHEMES.iter().find(|terms| terms.0 == self).expect("every scheme has its terms")
    }

    /// As it stands in a URL.
    pub fn name(self) -> &'static str {
        self.terms().1
    }
}

/// A destination that is reached over the network: parsed and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// How it is reached.
    pub scheme: Scheme,
    /// The bucket, the container, or the host with its port.
    pub host: String,
    /// The path there, without a slash at either end; `~` first for the folder one is in after logging in.
    pub path: String,
    /// Its other keys, as in our files: `user`, `password`, `region` and so on.
    pub settings: BTreeMap<String, Secret>,
}

impl Remote {
    /// Its URL, which holds no secret.
    pub fn url(&self) -> String {
        let slash = if self.path.is_empty() { "" } else { "/" };
        format!("{}://{}{slash}{}", self.scheme.name(), self.host, self.path)
    }
}

impl fmt::Display for Remote {
    /// The URL and the settings, secrets hidden.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url())?;
        for (n, (name, value)) in self.settings.iter().enumerate() {
            let start = if n == 0 { " (" } else { ", " };
            let value = if is_secret(name) { "***" } else { value.expose() };
            write!(f, "{start}{name} {value}")?;
        }
        f.write_str(if self.settings.is_empty() { "" } else { ")" })
    }
}

/// Where a destination is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Folder(PathBuf),
    Remote(Remote),
}

/// Reads the destination that stands at `key`.
pub(super) fn place(
    key: &str,
    destination: &Destination,
    environment: &Environment,
    mistakes: &mut Mistakes,
) -> Option<Place> {
    let before = mistakes.list.len();
    let mut keys = BTreeMap::new();
    for (name, text) in &destination.0 {
        match expand(text, environment) {
            Ok(text) => drop(keys.insert(name.clone(), text)),
            Err(message) => mistakes.add(&join(key, name), message, None),
        }
    }
    if mistakes.list.len() > before {
        return None;
    }
    let url = keys.remove("url").unwrap_or_default();
    let at = join(key, "url");
    let place = match url.split_once("://") {
        None if url.is_empty() => {
            mistakes.add(&at, "expected a folder or a URL, came \"\"", None);
            None
        }
        None => folder(key, url, &keys, mistakes),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file") => match file_path(rest) {
            Some(path) => folder(key, path, &keys, mistakes),
            None => {
                let message = format!("expected file:// and a path from the root, came {}", quoted(&url));
                mistakes.add(&at, message, Some("as in file:///srv/live".to_owned()));
                None
            }
        },
        Some((scheme, rest)) => remote(key, scheme, rest, keys, mistakes),
    };
    place.filter(|_| mistakes.list.len() == before)
}

fn folder(
    key: &str,
    path: String,
    keys: &BTreeMap<String, String>,
    mistakes: &mut Mistakes,
) -> Option<Place> {
    for name in keys.keys() {
        mistakes.add(&join(key, name), "a folder takes no such key", None);
    }
    Some(Place::Folder(path.into()))
}

/// The path of a file URL behind its slashes.
fn file_path(rest: &str) -> Option<String> {
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if !path.starts_with('/') {
        return None;
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
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
    String::from_utf8(bytes).ok().filter(|path| !path.contains('\0'))
}

fn remote(
    key: &str,
    scheme: &str,
    rest: &str,
    keys: BTreeMap<String, String>,
    mistakes: &mut Mistakes,
) -> Option<Place> {
    let at = join(key, "url");
    let names = || SCHEMES.iter().map(|terms| terms.1).chain(["file"]);
    let Some((scheme, ..)) = SCHEMES.iter().find(|terms| scheme.eq_ignore_ascii_case(terms.1)) else {
        let near = nearest(scheme, names()).map(|name| format!("did you mean `{name}://`?"));
        let hint = near.or_else(|| suggest(scheme, "schemes", names()));
        mistakes.add(&at, format!("the scheme {} is not known", quoted(scheme)), hint);
        return None;
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    if host.contains('@') {
        let hint = "write them as `user` and `password`, the password best as \"${NAME}\"".to_owned();
        mistakes.add(&at, "names and passwords do not belong into the URL", hint);
    } else if host.is_empty() || rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
        let what = match scheme {
            Scheme::S3 | Scheme::Gs => "bucket",
            Scheme::Az => "container",
            _ => "host",
        };
        let message = format!("expected {}://{what}/path, without spaces", scheme.name());
        mistakes.add(&at, message, None);
    }
    let settings = keys.into_iter().map(|(name, text)| (name, Secret::new(text))).collect();
    let remote = Remote { scheme: *scheme, host: host.into(), path: path.trim_matches('/').into(), settings };
    check_keys(key, &remote, mistakes);
    Some(Place::Remote(remote))
}

fn check_keys(key: &str, remote: &Remote, mistakes: &mut Mistakes) {
    let (_, name, required, optional) = remote.scheme.terms();
    let has = |name: &str| remote.settings.get(name).is_some_and(|value| !value.expose().is_empty());
    for missing in required.iter().filter(|name| !has(name)) {
        mistakes.add(&join(key, missing), format!("is missing, as {name} needs it"), None);
    }
    let known = || ["url"].into_iter().chain(required.iter().chain(*optional).copied());
    for unknown in remote.settings.keys().filter(|name| !known().any(|known| known == name.as_str())) {
        let message = format!("{name} takes no such key");
        let hint = format!("its keys: {}", known().collect::<Vec<_>>().join(", "));
        mistakes.add(&join(key, unknown), message, hint);
    }
    for (one, other) in [("access_key_id", "secret_access_key"), ("secret_access_key", "access_key_id")] {
        if has(one) && !has(other) {
            mistakes.add(&join(key, other), format!("is missing beside `{one}`"), None);
        }
    }
    if remote.scheme.terms().3 == LOGIN && has("password") && !has("user") {
        mistakes.add(&join(key, "user"), "is missing beside `password`", None);
    }
}

/// The name of an environment variable for a secret of the n-th destination, as `convert` writes it.
pub(super) fn variable(n: usize, name: &str) -> String {
    format!("DESTINATION_{n}_{}", name.to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{mistakes, ours};

    fn with(destination: &str) -> String {
        format!(
            "input.url = 'test'\nrendition = [{{ name = 'a', audio = {{}} }}]\ndestination = [{{ {destination} }}]"
        )
    }

    #[test]
    fn every_kind_of_destination_is_read_and_its_secrets_hidden() {
        for (text, shown) in [
            ("url = 's3://b/p/', endpoint = 'https://s3.example'", "s3://b/p (endpoint https://s3.example)"),
            ("url = 'GS://b'", "gs://b"),
            ("url = 'az://c/p', account = 'me', credentials = 'x'", "az://c/p (account me, credentials ***)"),
            ("url = 'https://h:8080/p'", "https://h:8080/p"),
            ("url = 'http://h', user = 'u', password = '${KEY}'", "http://h (password ***, user u)"),
            ("url = 'ftp://h/~/p', user = 'u', password = 'x'", "ftp://h/~/p (password ***, user u)"),
            ("url = 'ftps://h/p', user = 'u', password = 'x'", "ftps://h/p (password ***, user u)"),
            ("url = 'sftp://h/p', user = 'u', private_key = 'id'", "sftp://h/p (private_key id, user u)"),
            ("url = 'scp://h/p', user = 'u'", "scp://h/p (user u)"),
        ] {
            let checked = ours(&with(text)).unwrap();
            assert_eq!(checked.later.len(), 1);
            assert_eq!(checked.later[0].to_string(), shown);
            assert!(!format!("{checked:?}").contains("hunter2"));
        }
    }

    #[test]
    fn file_urls_are_folders() {
        for (url, path) in [("file:///srv/a%20b", "/srv/a b"), ("FILE://localhost/x", "/x"), ("a/b", "a/b")] {
            let targets = ours(&with(&format!("url = '{url}'"))).unwrap().options.destinations;
            assert_eq!(
                targets,
                [crate::delivery::Options::new(crate::destination::Target::Copy(
                    crate::destination::copy::Options::new(path)
                ))]
            );
        }
        for url in ["file://host/x", "file:///a%2", "file:///a%zz", "file:///%ff", "file:///%00"] {
            let told = mistakes(&with(&format!("url = '{url}'")));
            let message = "destination[0].url: expected file:// and a path from the root, came";
            assert!(told.starts_with(&format!("live.toml: {message}")), "{told}");
        }
    }

    #[test]
    fn mistakes_in_destinations_are_told_without_secrets() {
        for (destination, told) in [
            ("url = ''", "url: expected a folder or a URL, came \"\""),
            ("url = 'live', user = 'u'", "user: a folder takes no such key"),
            ("url = 's4://b/p'", "url: the scheme \"s4\" is not known\n  did you mean `s3://`?"),
            (
                "url = 'gopher://h'",
                "url: the scheme \"gopher\" is not known\n  \
                 known schemes: s3, gs, az, http, https, ftp, ftps, sftp, scp, file",
            ),
            (
                "url = 'ftp://u:hunter2@h/p', user = 'u', password = 'x'",
                "url: names and passwords do not belong into the URL\n  \
                 write them as `user` and `password`, the password best as \"${NAME}\"",
            ),
            ("url = 's3:///p'", "url: expected s3://bucket/path, without spaces"),
            ("url = 'https://h/a b'", "url: expected https://host/path, without spaces"),
            ("url = 'ftp://h/p', user = 'u'", "password: is missing, as ftp needs it"),
            ("url = 'az://c'", "account: is missing, as az needs it"),
            (
                "url = 's3://b', secret_access_key = 'x'",
                "access_key_id: is missing beside `secret_access_key`",
            ),
            ("url = 'http://h', password = 'x'", "user: is missing beside `password`"),
            ("url = 'gs://b', user = 'u'", "user: gs takes no such key\n  its keys: url, credentials"),
            (
                "url = 'http://h', user = 'u', password = '${NOPE}'",
                "password: the environment variable \"NOPE\" is not set",
            ),
            ("url = 'a${'", "url: expected `}` behind `${`"),
        ] {
            assert_eq!(mistakes(&with(destination)), format!("live.toml: destination[0].{told}"));
        }
    }
}
