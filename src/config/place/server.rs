//! Hosts: web servers, FTP servers, and those that are reached over SSH.

use super::super::ground::Must;
use super::key;
use super::settings::Settings;
use super::url::Url;
use crate::destination::ssh::HostKey;
use crate::destination::{Secret, Target, ftp, http, ssh};

/// The usual ports.
pub(crate) const FTP_PORT: u16 = 21;
pub(crate) const SSH_PORT: u16 = 22;

/// Who needs no password at an FTP server (RFC 1635), and what is sent in its place.
const ANONYMOUS: (&str, &str) = ("anonymous", "segcast@");

/// Reads a web server.
pub(super) fn http(url: &Url, settings: &mut Settings) -> Option<Target> {
    let is_https = url.scheme.name == "https";
    let auth = auth(url, settings);
    let (ca, is_insecure) = tls(settings, is_https, "https");
    let headers = settings.headers();
    let path = url.path.trim_end_matches('/');
    let url = format!("{}://{}{path}", url.scheme.name, host_and_port(&url.host, url.port));
    Some(Target::Http(http::Options { url, auth, ca, is_insecure, headers }))
}

fn auth(url: &Url, settings: &mut Settings) -> Option<http::Auth> {
    let user = user(url, settings);
    if let Some(token) = settings.secret("token") {
        if user.is_some() || settings.has("password") {
            settings.mistake("token", "has no place beside a user and a password", None);
        }
        return Some(http::Auth::Bearer(token));
    }
    match (&user, settings.has("password")) {
        (Some(_), false) => settings.missing_secret("password", "a user"),
        (None, true) => settings.mistake("user", "is missing beside `password`", None),
        _ => {}
    }
    let password = settings.secret("password");
    Some(http::Auth::Basic(user?, password?))
}

/// The file of authorities, and whether any certificate is taken.
fn tls(settings: &mut Settings, is_tls: bool, scheme: &str) -> (Option<std::path::PathBuf>, bool) {
    for name in ["ca", "insecure"] {
        if settings.has(name) && !is_tls {
            settings.mistake(name, format!("has no effect without TLS: it belongs to {scheme}://"), None);
        }
    }
    let ca = settings.path("ca", Must::Read);
    (ca, settings.is("insecure"))
}

/// Reads an FTP server; none, and told, if something is missing.
pub(super) fn ftp(url: &Url, settings: &mut Settings) -> Option<Target> {
    let is_tls = url.scheme.name == "ftps";
    let user = needed_user(url, settings);
    let password = if settings.has("password") {
        settings.secret("password")
    } else if user.as_deref() == Some(ANONYMOUS.0) {
        Some(Secret::new(ANONYMOUS.1))
    } else {
        settings.missing_secret("password", url.scheme.name);
        None
    };
    let (ca, is_insecure) = tls(settings, is_tls, "ftps");
    let security = if is_tls { ftp::Security::Tls { ca, is_insecure } } else { ftp::Security::Plain };
    Some(Target::Ftp(ftp::Options {
        host: url.host.clone(),
        port: url.port.unwrap_or(FTP_PORT),
        directory: from_login(url.decoded_path().strip_prefix('/').unwrap_or_default()),
        user: user?,
        password: password?,
        security,
    }))
}

/// Reads a host that is reached over SSH; none, and told, if something is missing.
pub(super) fn ssh(url: &Url, settings: &mut Settings) -> Option<Target> {
    let user = needed_user(url, settings);
    let host_key = settings.word("host_key", &key::HOST_KEYS).and_then(|word| key::host_key(&word));
    let host_key = host_key.unwrap_or_default();
    if settings.has("passphrase") && !settings.has("private_key") {
        settings.mistake("private_key", "is missing beside `passphrase`", None);
    }
    let path = url.decoded_path();
    // curl and OpenSSH's clients have it so: the login folder only on request.
    let directory = match path.strip_prefix("/~") {
        Some(below) if below.is_empty() || below.starts_with('/') => from_login(&path[1..]),
        _ => without_slash(&path),
    };
    Some(Target::Ssh(ssh::Options {
        protocol: if url.scheme.name == "scp" { ssh::Protocol::Scp } else { ssh::Protocol::Sftp },
        host: url.host.clone(),
        port: url.port.unwrap_or(SSH_PORT),
        directory,
        user: user?,
        password: settings.secret("password"),
        private_key: settings.path("private_key", Must::Read),
        passphrase: settings.secret("passphrase"),
        known_hosts: settings.path("known_hosts", must_know(host_key)),
        host_key,
    }))
}

/// What must hold of the file of known hosts.
pub(crate) const fn must_know(host_key: HostKey) -> Must {
    match host_key {
        HostKey::Strict => Must::Read,
        HostKey::AcceptNew => Must::MakeFile,
    }
}

/// The user's name, from the URL or from its key.
fn user(url: &Url, settings: &mut Settings) -> Option<String> {
    match (&url.user, settings.text("user")) {
        (Some(user), None) => Some(user.clone()),
        (Some(user), Some(_)) => {
            settings.mistake("user", "stands in the URL too", None);
            Some(user.clone())
        }
        (None, user) => user,
    }
}

fn needed_user(url: &Url, settings: &mut Settings) -> Option<String> {
    let user = user(url, settings);
    if user.is_none() {
        let scheme = url.scheme.name;
        let hint = format!("as in {scheme}://USER@{}{}", host_and_port(&url.host, url.port), url.path);
        settings.mistake("user", format!("is missing, as {scheme} needs it"), hint);
    }
    user
}

/// A folder that is taken from the login folder unless it begins with a slash; `~` is the login folder too.
pub(crate) fn from_login(path: &str) -> String {
    let path = match path.strip_prefix('~') {
        Some("") => "",
        Some(below) => below.strip_prefix('/').unwrap_or(path),
        None => path,
    };
    without_slash(path)
}

/// A folder without slashes at its end; the root is one alone.
fn without_slash(path: &str) -> String {
    match path.trim_end_matches('/') {
        "" if path.starts_with('/') => "/".to_owned(),
        path => path.to_owned(),
    }
}

/// As they stand in a URL.
pub(super) fn host_and_port(host: &str, port: Option<u16>) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    match port {
        Some(port) => format!("{host}:{port}"),
        None => host,
    }
}
