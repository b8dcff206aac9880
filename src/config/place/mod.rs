//! Destinations as they stand in a file: a folder or a URL, and keys beside it.
//!
//! - [`key`]: one table of the keys, which destinations take them, and which are secret; the schema follows it.
//! - [`url`]: a destination's URL, taken apart.
//! - [`settings`]: a destination's keys, read one by one.
//! - [`object`], [`server`]: from these to a [`Target`].
//! - [`entry`]: the way back, from a [`Target`] to its URL and keys.

mod entry;
mod key;
mod object;
mod server;
mod settings;
mod url;

use std::collections::BTreeMap;
use std::path::PathBuf;

use figment::value::Value;
use serde::Deserialize;

pub(super) use entry::{Entry, Word, variable};
pub(super) use key::{host_key, is_secret};
pub(super) use object::check_endpoint;
pub(super) use server::{FTP_PORT, SSH_PORT, from_login, must_know};
pub(super) use url::Address;

use self::key::{Family, Scheme};
use self::settings::Settings;
use self::url::{Fault, Url};
use super::error::{nearest, suggest};
use super::ground::{Must, Need};
use super::outside::Outside;
use super::shape::{Mistakes, quoted};
use crate::delivery;
use crate::destination::object::Service;
use crate::destination::{Target, copy};

/// One `[[destination]]`: its keys as they were written.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Destination(BTreeMap<String, Value>);

/// Uploads at the same time that one destination may have.
const MOST_UPLOADS: u64 = 64;

/// Reads the destination that stands at `key`; none, and told, if something is wrong with it.
pub(super) fn read(
    key: &str,
    destination: &Destination,
    outside: &Outside,
    mistakes: &mut Mistakes,
    needs: &mut Vec<Need>,
) -> Option<delivery::Options> {
    let before = mistakes.list.len();
    let mut settings = Settings::new(key, destination.0.clone(), outside, mistakes, needs)?;
    let url = settings.take_url();
    let target = target(&url, &mut settings);
    let served = target.map(|target| serve(target, &mut settings));
    served.filter(|_| mistakes.list.len() == before)
}

/// What is said of every kind of destination.
fn serve(target: Target, settings: &mut Settings) -> delivery::Options {
    let mut served = delivery::Options::new(target);
    served.concurrency = settings.count("concurrency", 1..=MOST_UPLOADS).map(|count| count as usize);
    served.timeout = settings.span("timeout").unwrap_or(served.timeout);
    served.deadline = settings.span("deadline");
    served.is_required = settings.is("required");
    served.keeps_expired = settings.is("keep");
    served
}

fn target(url: &str, settings: &mut Settings) -> Option<Target> {
    let Some((name, rest)) = url.split_once("://") else {
        if url.is_empty() {
            settings.mistake("url", "expected a folder or a URL, came \"\"", None);
            return None;
        }
        if looks_remote(url) {
            let hint =
                "as in s3://bucket/path or sftp://user@host/path; a folder of that name begins with ./";
            settings.mistake("url", "expected a folder or a URL with ://", hint.to_owned());
        }
        return folder(url.to_owned(), settings);
    };
    let Some(scheme) = Scheme::of(name) else {
        settings.mistake("url", format!("the scheme {} is not known", quoted(name)), other_scheme(name));
        return None;
    };
    if scheme.family == Family::Folder {
        let path = file_path(rest);
        if path.is_none() {
            // Nothing is quoted: it may hold a password.
            let message = "expected file:// and a path from the root";
            settings.mistake("url", message, Some("as in file:///srv/live".to_owned()));
        }
        return folder(path?, settings);
    }
    let mut url = match Url::parse(scheme, rest) {
        Ok(url) => url,
        Err(Fault { message, hint }) => {
            settings.mistake("url", message, hint);
            return None;
        }
    };
    settings.add_query(scheme, std::mem::take(&mut url.query));
    settings.refuse_strangers(scheme.family, scheme.name);
    match scheme.family {
        Family::Folder => None,
        Family::S3 | Family::Gs | Family::Az => object::read(&url, settings),
        Family::Http => server::http(&url, settings),
        Family::Ftp => server::ftp(&url, settings),
        Family::Ssh => server::ssh(&url, settings),
    }
}

/// Whether a path is more like `s3:bucket` or rsync's `user@host:path` than like a folder.
fn looks_remote(path: &str) -> bool {
    let start = path.split('/').next().unwrap_or_default();
    start.split_once(':').is_some_and(|(name, _)| Scheme::of(name).is_some() || name.contains('@'))
}

fn other_scheme(name: &str) -> Option<String> {
    let names = || Scheme::ALL.iter().map(|scheme| scheme.name);
    let near = nearest(name, names()).map(|name| format!("did you mean `{name}://`?"));
    near.or_else(|| suggest(name, "schemes", names()))
}

fn folder(path: String, settings: &mut Settings) -> Option<Target> {
    settings.refuse_strangers(Family::Folder, "a folder");
    let directory = PathBuf::from(path);
    settings.need("url", directory.clone(), Must::MakeFolder);
    Some(Target::Copy(copy::Options {
        directory,
        is_synced: settings.is("fsync"),
        file_mode: settings.mode("file_mode"),
        folder_mode: settings.mode("folder_mode"),
    }))
}

/// The path of a file URL behind its slashes.
fn file_path(rest: &str) -> Option<String> {
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if path.starts_with('/') { url::decode(path) } else { None }
}

/// What tells one place from another: its name, and the service or account behind it where the name leaves it out.
pub(crate) fn identity(target: &Target) -> String {
    match target {
        Target::Copy(options) => options.directory.components().collect::<PathBuf>().display().to_string(),
        Target::Object(options) => {
            let account = match &options.service {
                Service::Azure(azure) => azure.account.as_str(),
                _ => "",
            };
            format!("{target} {account} {}", options.endpoint.as_deref().unwrap_or_default())
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{environment, sample};
    use super::super::{Format, parse_str};
    use super::*;
    use crate::destination::Secret;

    const VARIABLES: [(&str, &str); 5] = [
        ("S3_KEY", "AK"),
        ("S3_SECRET", "hunter2"),
        ("FTP_PASSWORD", "hunter3"),
        ("EMPTY", ""),
        ("HOME", "/home/me"),
    ];

    /// A file with one destination, in TOML's short form.
    pub(super) fn with(destination: &str) -> String {
        format!(
            "input.url = 'test'\nrendition = [{{ name = 'a', audio = {{}} }}]\ndestination = [{{ {destination} }}]"
        )
    }

    pub(super) fn all(text: &str) -> Result<Vec<delivery::Options>, super::super::Error> {
        let checked = parse_str(Format::Toml, "live.toml", text, &environment(&VARIABLES), &[]);
        checked.map(|checked| checked.options.destinations)
    }

    pub(super) fn one(destination: &str) -> delivery::Options {
        all(&with(destination)).unwrap_or_else(|error| panic!("{error}")).remove(0)
    }

    fn told(destination: &str) -> String {
        all(&with(destination)).unwrap_err().to_string()
    }

    pub(super) fn hidden(text: &str) -> Option<Secret> {
        Some(Secret::new(text))
    }

    #[test]
    fn folders_are_read() {
        let found = all(&sample("destinations.toml")).unwrap();
        let modes = copy::Options {
            directory: "/var/www/live".into(),
            is_synced: true,
            file_mode: Some(0o644),
            folder_mode: Some(0o2755),
        };
        assert_eq!(found[10].target, Target::Copy(modes));
        for (url, path) in
            [("file:///srv/a%20b", "/srv/a b"), ("FILE://localhost/x", "/x"), ("a/b?c", "a/b?c")]
        {
            let served = one(&format!("url = '{url}'"));
            assert_eq!(served, delivery::Options::new(Target::Copy(copy::Options::new(path))));
        }
        for url in ["file://host/x", "file:///a%2", "file:///a%zz", "file:///%ff", "file:///%00"] {
            let told = told(&format!("url = '{url}'"));
            let message = "destination[0].url: expected file:// and a path from the root";
            assert!(told.starts_with(&format!("live.toml: {message}")), "{told}");
        }
    }

    #[test]
    fn the_examples_work_as_they_are_written() {
        let text = with("url = 'x'").split("destination").next().unwrap().to_owned()
            + r#"
[[destination]]
url = "s3://bucket/live?endpoint=http://127.0.0.1:8333&region=us-east-1"
access_key_id = "${S3_KEY}"
secret_access_key = "${S3_SECRET}"

[[destination]]
url = "ftp://deploy@web1/live"              # relative to the login folder; ftps:// for explicit TLS (ca = "…pem")
password = "${FTP_PASSWORD}"

[[destination]]
url = "sftp://deploy@web1:2222/var/www/live" # absolute; scp:// likewise
private_key = "/etc/segcast/id_ed25519"
known_hosts = "/etc/segcast/known_hosts"

[[destination]]
url = "/var/www/live"                        # copy; also file:///…, gs://, az://, http(s)://
"#;
        let names: Vec<String> = all(&text).unwrap().iter().map(|served| served.target.to_string()).collect();
        let expected = [
            "s3://bucket/live",
            "ftp://deploy@web1/live",
            "sftp://deploy@web1:2222/var/www/live",
            "/var/www/live",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn secrets_may_stand_in_files() {
        let folder = tempfile::tempdir().unwrap();
        let (secret, empty) = (folder.path().join("secret"), folder.path().join("empty"));
        std::fs::write(&secret, "hunter2\n").unwrap();
        std::fs::write(&empty, "\n").unwrap();
        let path = folder.path().join("live.toml");
        let load = |destination: &str| {
            std::fs::write(&path, with(destination)).unwrap();
            super::super::load(&path, &[])
        };
        let checked = load(&format!("url = 'ftp://u@h', password_file = {secret:?}")).unwrap();
        let Target::Ftp(options) = &checked.options.destinations[0].target else { panic!() };
        assert_eq!(options.password.expose(), "hunter2");
        assert!(!checked.describe::<&str>(&[]).contains("hunter2"));
        for (keys, message) in [
            (format!("password_file = {empty:?}"), format!("password_file: {empty:?} is empty")),
            (
                "password_file = '/no/such'".to_owned(),
                "password_file: \"/no/such\" cannot be read: No such file or directory (os error 2)".into(),
            ),
            (
                format!("password_file = {secret:?}, password = 'x'"),
                "password_file: has no place beside `password`".into(),
            ),
        ] {
            let error = load(&format!("url = 'ftp://u@h', {keys}")).unwrap_err().to_string();
            assert_eq!(error, format!("{}: destination[0].{message}", path.display()));
        }
        let text = told("url = 'ftp://u@h', password_file = '/no/such'");
        assert!(text.ends_with("cannot be read: only a file that is loaded may name others"), "{text}");
    }

    #[test]
    fn what_is_needed_of_this_machine_is_looked_at() {
        let needs = |destination: &str| {
            let checked =
                parse_str(Format::Toml, "live.toml", &with(destination), &environment(&VARIABLES), &[])
                    .unwrap();
            let error = checked.check_ground().err();
            error.map(|error| error.mistakes()[0].key.replace("destination[0].", ""))
        };
        let ssh = "url = 'sftp://u@h'";
        for name in ["private_key", "known_hosts"] {
            assert_eq!(needs(&format!("{ssh}, {name} = '/no/such'")).as_deref(), Some(name));
        }
        assert_eq!(needs(&format!("{ssh}, known_hosts = 'new', host_key = 'accept-new'")), None);
        assert_eq!(needs("url = 'https://h', ca = '/no/such.pem'").as_deref(), Some("ca"));
        assert_eq!(needs("url = 'gs://b', credentials = '/no/such.json'").as_deref(), Some("credentials"));
        assert_eq!(needs("url = 'gs://b', credentials = '{}'"), None);
        assert_eq!(needs("url = '/dev/null/x'").as_deref(), Some("url"));
    }

    #[test]
    fn mistakes_are_told_without_secrets() {
        let ftp_keys =
            "its keys: url, user, password, ca, insecure, required, keep, concurrency, timeout, deadline";
        let in_url = "url: secrets do not belong into the URL\n  ";
        for (destination, message) in [
            ("url = ''", "url: expected a folder or a URL, came \"\"".to_owned()),
            (
                "url = 's3:/b/p'",
                "url: expected a folder or a URL with ://\n  as in s3://bucket/path or sftp://user@host/path; a folder \
                 of that name begins with ./"
                    .into(),
            ),
            (
                "url = 'u@h:/p'",
                "url: expected a folder or a URL with ://\n  as in s3://bucket/path or sftp://user@host/path; a folder \
                 of that name begins with ./"
                    .into(),
            ),
            (
                "url = 'live', user = 'u'",
                "user: a folder takes no such key\n  its keys: url, fsync, file_mode, folder_mode, required, \
                 keep, concurrency, timeout, deadline"
                    .into(),
            ),
            ("url = 's4://b/p'", "url: the scheme \"s4\" is not known\n  did you mean `s3://`?".into()),
            (
                "url = 'gopher://h'",
                "url: the scheme \"gopher\" is not known\n  \
                 known schemes: s3, gs, az, http, https, ftp, ftps, sftp, scp, file"
                    .into(),
            ),
            (
                "url = 'ftp://u:hunter2@h/p', user = 'u', password = 'x'",
                format!("{in_url}write it as `password`, best as \"${{NAME}}\""),
            ),
            (
                "url = 's3://b?secret_access_key=hunter2'",
                format!("{in_url}write it as `secret_access_key` beside the URL, best as \"${{NAME}}\""),
            ),
            ("url = 'ftp://u@h/p?hunter2=1', password = 'x'", format!("url: ftp takes no such key in its query\n  {ftp_keys}")),
            (
                "url = 's3://b?region=a', region = 'b'",
                "region: stands in the URL too".into(),
            ),
            ("url = 's3:///p'", "url: expected s3://bucket/path, without spaces\n  expected letters, digits, `-`, `.` and `_` in its name".into()),
            ("url = 's3://b/a/../c'", "url: expected a path without `.`, `..`, backslashes and empty parts".into()),
            (
                "url = 'ftp://h:2121/p', password = 'x'",
                "user: is missing, as ftp needs it\n  as in ftp://USER@h:2121/p".into(),
            ),
            (
                "url = 'ftp://u@h/p'",
                "password: is missing, as ftp needs it\n  as in password = \"${NAME}\", or password_file = \
                 \"/run/secrets/password\""
                    .into(),
            ),
            ("url = 'ftp://u@h/p', password = '${EMPTY}'", "password: expected a secret, came \"\"".into()),
            ("url = 'ftp://u@h/p', password = 'x', user = 'u'", "user: stands in the URL too".into()),
            ("url = 'ftp://u@h/p', password = 'x', ca = 'x.pem'", "ca: has no effect without TLS: it belongs to ftps://".into()),
            ("url = 'http://h/p', insecure = true", "insecure: has no effect without TLS: it belongs to https://".into()),
            ("url = 'az://c'", "account: is missing, as az needs it".into()),
            ("url = 'az://c', account = 'a-b'", "account: expected letters and digits alone".into()),
            (
                "url = 'az://c', account = 'a', access_key = 'x', credentials = 'y'",
                "credentials: has no place beside `access_key`".into(),
            ),
            (
                "url = 's3://b', secret_access_key = 'x'",
                "access_key_id: is missing beside `secret_access_key`".into(),
            ),
            ("url = 's3://b', session_token = 'x'", "session_token: belongs to an `access_key_id`, which is missing".into()),
            (
                "url = 's3://b', kms_key = 'x'",
                "kms_key: has no effect without the key service's encryption\n  write `encryption = \"aws:kms\"`".into(),
            ),
            ("url = 's3://b?encryption=no'", "encryption: expected one of AES256, aws:kms, came \"no\"".into()),
            ("url = 's3://b?endpoint=h:1'", "endpoint: expected a URL that begins with https:// or http://".into()),
            ("url = 's3://b', endpoint = 'http://u:hunter2@h'", "endpoint: secrets do not belong into the URL".into()),
            ("url = 's3://b?concurrency=0'", "concurrency: expected a whole number from 1 to 64, came \"0\"".into()),
            ("url = 's3://b?keep=maybe'", "keep: expected true or false, came \"maybe\"".into()),
            ("url = 's3://b', timeout = 0", "timeout: expected more than 0s".into()),
            ("url = 's3://b', region = ''", "region: expected a text, came \"\"".into()),
            ("url = 's3://b', acl = 'ä'", "acl: expected a header's value, came \"ä\"".into()),
            ("url = 's3://b', headers = { 'a b' = 'x' }", "headers: expected a header's name, came \"a b\"".into()),
            (
                "url = 's3://b', headers = { Cache-Control = 'x' }",
                "headers.Cache-Control: is written by segcast\n  use `playlist_cache_control` and `segment_cache_control`".into(),
            ),
            ("url = 's3://b', headers = { X = \"hunter2\\n\" }", "headers.X: expected plain text, without ends of lines".into()),
            (
                "url = 'gs://b', credentials = 'hunter2'",
                "credentials: expected the JSON of a service account's key, or the path of its file\n  as in \
                 \"/etc/segcast/gcs.json\""
                    .into(),
            ),
            ("url = 'http://h', password = 'x'", "user: is missing beside `password`".into()),
            (
                "url = 'http://u@h'",
                "password: is missing, as a user needs it\n  as in password = \"${NAME}\", or password_file = \
                 \"/run/secrets/password\""
                    .into(),
            ),
            ("url = 'http://u@h', password = 'x', token = 'y'", "token: has no place beside a user and a password".into()),
            ("url = 'scp://u@h', passphrase = 'x'", "private_key: is missing beside `passphrase`".into()),
            ("url = 'scp://u@h', private_key = \"-----BEGIN\\nhunter2\"", "private_key: expected one line of plain text".into()),
            (
                "url = 'http://h', user = 'u', password = '${NOPE}'",
                "password: the environment variable \"NOPE\" is not set".into(),
            ),
            ("url = 's3://b', headers = { X = '${NOPE}' }", "headers.X: the environment variable \"NOPE\" is not set".into()),
            ("url = 'a${'", "url: expected `}` behind `${`".into()),
        ] {
            assert_eq!(told(destination), format!("live.toml: destination[0].{message}"));
        }
    }
}
