//! A destination's URL and keys, as they would stand in a file of ours: the inverse of reading.

use super::super::value::{Kind as _, Mode};
use super::key;
use super::server::{FTP_PORT, SSH_PORT, host_and_port};
use super::url::encode;
use crate::delivery;
use crate::destination::object::{Encryption, Service};
use crate::destination::ssh::{HostKey, Protocol};
use crate::destination::{Headers, Secret, Target, copy, ftp, http, object, ssh};

/// A destination's URL and its other keys, in the order of the table of keys.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) url: String,
    pub(crate) keys: Vec<(String, Word)>,
}

/// The value of a key.
#[derive(Debug)]
pub(crate) enum Word {
    Text(String),
    Secret(Secret),
    Count(u64),
    /// A flag that is set; one that is not is left out.
    Yes,
}

impl Entry {
    /// What would stand in a file for `served`.
    pub(crate) fn of(served: &delivery::Options) -> Self {
        let mut entry = Self { url: String::new(), keys: Vec::new() };
        entry.url = match &served.target {
            Target::Copy(options) => entry.copy(options),
            Target::Object(options) => entry.object(options),
            Target::Http(options) => entry.http(options),
            Target::Ftp(options) => entry.ftp(options),
            Target::Ssh(options) => entry.ssh(options),
        };
        entry.flag("required", served.is_required);
        entry.flag("keep", served.keeps_expired);
        entry.keys.extend(served.concurrency.map(|n| ("concurrency".to_owned(), Word::Count(n as u64))));
        if served.timeout != delivery::Options::TIMEOUT {
            entry.text("timeout", Some(served.timeout.write()));
        }
        entry.text("deadline", served.deadline.map(|deadline| deadline.write()));
        // Headers have no rank of their own; what is equal stays in order.
        entry.keys.sort_by_key(|(name, _)| key::rank(name.split('.').next().unwrap_or(name)));
        entry
    }

    fn text(&mut self, name: &str, text: Option<impl ToString>) {
        self.keys.extend(text.map(|text| (name.to_owned(), Word::Text(text.to_string()))));
    }

    fn secret(&mut self, name: &str, secret: Option<&Secret>) {
        self.keys.extend(secret.map(|secret| (name.to_owned(), Word::Secret(secret.clone()))));
    }

    fn flag(&mut self, name: &str, is: bool) {
        self.keys.extend(is.then(|| (name.to_owned(), Word::Yes)));
    }

    fn headers(&mut self, headers: &Headers) {
        let usual = Headers::default();
        for (name, text, usual) in [
            ("playlist_cache_control", &headers.playlist_cache_control, usual.playlist_cache_control),
            ("segment_cache_control", &headers.segment_cache_control, usual.segment_cache_control),
        ] {
            self.text(name, Some(text).filter(|text| **text != usual));
        }
        for (name, value) in &headers.extra {
            // Some services take keys in headers.
            self.secret(&format!("headers.{name}"), Some(&Secret::new(value)));
        }
    }

    fn copy(&mut self, options: &copy::Options) -> String {
        self.flag("fsync", options.is_synced);
        self.text("file_mode", options.file_mode.map(|mode| Mode(mode).write()));
        self.text("folder_mode", options.folder_mode.map(|mode| Mode(mode).write()));
        let path = options.directory.display().to_string();
        // What looks like a URL is none.
        if path.contains("://") && !path.starts_with(['/', '.']) { format!("./{path}") } else { path }
    }

    fn object(&mut self, options: &object::Options) -> String {
        let scheme = match &options.service {
            Service::S3(s3) => {
                self.s3(s3);
                "s3"
            }
            Service::Gcs(gcs) => {
                self.secret("credentials", gcs.credentials.as_ref());
                self.text("storage_class", gcs.storage_class.as_ref());
                self.text("acl", gcs.acl.as_ref());
                "gs"
            }
            Service::Azure(azure) => {
                self.text("account", Some(&azure.account));
                self.secret("access_key", azure.access_key.as_ref());
                self.secret("sas_token", azure.sas_token.as_ref());
                self.text("access_tier", azure.access_tier.as_ref());
                "az"
            }
        };
        self.text("endpoint", options.endpoint.as_ref());
        self.headers(&options.headers);
        let slash = if options.prefix.is_empty() { "" } else { "/" };
        format!("{scheme}://{}{slash}{}", options.bucket, encode(&options.prefix))
    }

    fn s3(&mut self, s3: &object::S3) {
        self.secret("access_key_id", s3.access_key_id.as_ref());
        self.secret("secret_access_key", s3.secret_access_key.as_ref());
        self.secret("session_token", s3.session_token.as_ref());
        self.text("region", s3.region.as_ref());
        self.flag("virtual_hosted", s3.is_virtual_hosted);
        self.text("storage_class", s3.storage_class.as_ref());
        self.text("acl", s3.acl.as_ref());
        match &s3.encryption {
            Some(Encryption::S3) => self.text("encryption", Some("AES256")),
            Some(Encryption::Kms(key)) => {
                self.text("encryption", Some("aws:kms"));
                self.text("kms_key", key.as_ref());
            }
            None => {}
        }
    }

    fn http(&mut self, options: &http::Options) -> String {
        match &options.auth {
            Some(http::Auth::Basic(user, password)) => {
                self.text("user", Some(user));
                self.secret("password", Some(password));
            }
            Some(http::Auth::Bearer(token)) => self.secret("token", Some(token)),
            None => {}
        }
        self.text("ca", options.ca.as_ref().map(|path| path.display()));
        self.flag("insecure", options.is_insecure);
        self.headers(&options.headers);
        options.url.clone()
    }

    fn ftp(&mut self, options: &ftp::Options) -> String {
        self.secret("password", Some(&options.password));
        let scheme = match &options.security {
            ftp::Security::Plain => "ftp",
            ftp::Security::Tls { ca, is_insecure } => {
                self.text("ca", ca.as_ref().map(|path| path.display()));
                self.flag("insecure", *is_insecure);
                "ftps"
            }
        };
        let host = login(&options.user, &options.host, options.port, FTP_PORT);
        format!("{scheme}://{host}/{}", encode(&options.directory))
    }

    fn ssh(&mut self, options: &ssh::Options) -> String {
        self.secret("password", options.password.as_ref());
        self.text("private_key", options.private_key.as_ref().map(|path| path.display()));
        self.secret("passphrase", options.passphrase.as_ref());
        self.text("known_hosts", options.known_hosts.as_ref().map(|path| path.display()));
        self.text("host_key", (options.host_key == HostKey::AcceptNew).then_some("accept-new"));
        let scheme = match options.protocol {
            Protocol::Sftp => "sftp",
            Protocol::Scp => "scp",
        };
        let host = login(&options.user, &options.host, options.port, SSH_PORT);
        let start = if options.directory.starts_with('/') { "" } else { "/~/" };
        format!("{scheme}://{host}{start}{}", encode(&options.directory))
    }
}

fn login(user: &str, host: &str, port: u16, usual: u16) -> String {
    let user = encode(user).replace('/', "%2F").replace(':', "%3A");
    format!("{user}@{}", host_and_port(host, Some(port).filter(|port| *port != usual)))
}

/// The name of an environment variable for a secret of the n-th destination, as `convert` writes it.
pub(crate) fn variable(n: usize, name: &str) -> String {
    let name = name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    format!("DESTINATION_{n}_{}", name.to_uppercase())
}
