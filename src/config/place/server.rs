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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::tests::sample;
    use super::super::Entry;
    use super::super::tests::{all, hidden, one};
    use super::*;
    use crate::delivery;
    use crate::destination::Headers;
    use crate::destination::ssh::Protocol;

    #[test]
    fn hosts_are_read() {
        let found = all(&sample("destinations.toml")).unwrap();
        let web = |url: &str, auth| http::Options {
            url: url.into(),
            auth: Some(auth),
            ca: None,
            is_insecure: false,
            headers: Headers::default(),
        };
        let basic = http::Auth::Basic("deploy".into(), Secret::new("hunter2"));
        let basic = web("https://[::1]:8443/live/ü%20x", basic);
        let basic = http::Options { ca: Some("/etc/segcast/ca.pem".into()), is_insecure: true, ..basic };
        assert_eq!(found[4].target, Target::Http(basic));
        let bearer = web("http://origin/live", http::Auth::Bearer(Secret::new("hunter2")));
        assert_eq!(found[5].target, Target::Http(bearer));
        assert_eq!(found[5].timeout, Duration::from_millis(2500));
        let plain = ftp::Options {
            host: "web1".into(),
            port: 21,
            directory: "live".into(),
            user: "deploy".into(),
            password: Secret::new("hunter3"),
            security: ftp::Security::Plain,
        };
        assert_eq!(found[6].target, Target::Ftp(plain.clone()));
        let secured = ftp::Options {
            port: 2121,
            directory: "/srv/live".into(),
            user: "de@ploy".into(),
            security: ftp::Security::Tls { ca: Some("/etc/segcast/ca.pem".into()), is_insecure: true },
            ..plain
        };
        assert_eq!(found[7].target, Target::Ftp(secured));
        let sftp = ssh::Options {
            protocol: Protocol::Sftp,
            host: "web1".into(),
            port: 2222,
            directory: "/var/www/live".into(),
            user: "deploy".into(),
            password: None,
            private_key: Some("/etc/segcast/id_ed25519".into()),
            passphrase: hidden("hunter2"),
            known_hosts: Some("/etc/segcast/known_hosts".into()),
            host_key: HostKey::Strict,
        };
        assert_eq!(found[8].target, Target::Ssh(sftp.clone()));
        let scp = ssh::Options {
            protocol: Protocol::Scp,
            host: "2001:db8::7".into(),
            port: 22,
            directory: "live".into(),
            password: hidden("hunter3"),
            private_key: None,
            passphrase: None,
            known_hosts: None,
            host_key: HostKey::AcceptNew,
            ..sftp
        };
        assert_eq!(found[9].target, Target::Ssh(scp));
    }

    #[test]
    fn folders_of_servers_are_taken_from_the_login_folder_or_the_root() {
        for (url, directory) in [
            ("ftp://u@h", ""),
            ("ftp://u@h/", ""),
            ("ftp://u@h/~/live/", "live"),
            ("ftp://u@h//", "/"),
            ("ftp://u@h/%2Fsrv/live", "/srv/live"),
            ("ftp://u@h/a%20%C3%BC", "a ü"),
            ("sftp://u@h", ""),
            ("sftp://u@h/", "/"),
            ("sftp://u@h/~", ""),
            ("sftp://u@h/~/live/", "live"),
            ("sftp://u@h/~you/live", "/~you/live"),
        ] {
            let directory_of = |target: &Target| match target {
                Target::Ftp(options) => options.directory.clone(),
                Target::Ssh(options) => options.directory.clone(),
                _ => panic!(),
            };
            let target = one(&format!("url = '{url}', password = 'x'")).target;
            assert_eq!(directory_of(&target), directory, "{url}");
            let again = Entry::of(&delivery::Options::new(target)).url;
            assert_eq!(
                directory_of(&one(&format!("url = '{again}', password = 'x'")).target),
                directory,
                "{again}"
            );
        }
    }

    #[test]
    fn an_anonymous_user_needs_no_password() {
        let Target::Ftp(options) = one("url = 'ftp://anonymous@h/in'").target else { panic!() };
        assert_eq!((options.user.as_str(), options.password.expose()), ("anonymous", "segcast@"));
    }
}
