//! The original's transfer profiles.

use std::path::PathBuf;

use super::error::suggest;
use super::ground::Must;
use super::place::{self, Address};
use super::reader::{Reader, Table};
use super::shape::{join, quoted};
use crate::destination::object::{self, S3, Service};
use crate::destination::{Headers, Secret, Target, copy, ftp, ssh};

const TYPES: [&str; 4] = ["copy", "ftp", "scp", "s3"];

/// Where the profile in `table` puts files; none, and told, if something is wrong with it.
pub(super) fn target(reader: &mut Reader, table: Table) -> Option<Target> {
    let before = reader.mistakes.list.len();
    let kind = reader.required(table, "transfer_type");
    let target = match kind.as_str() {
        "copy" => copy(reader, table),
        "ftp" => ftp(reader, table),
        "scp" => scp(reader, table),
        "s3" => s3(reader, table),
        "" => return None,
        "cf" => {
            let hint =
                "Swift's S3 interface takes a profile with `transfer_type: s3` and an `endpoint`".to_owned();
            let message = "Rackspace Cloud Files, as it was, has closed down";
            reader.mistakes.add(&join(table.name, "transfer_type"), message, hint);
            return None;
        }
        other => {
            let message = format!("expected one of {}, came {}", TYPES.join(", "), quoted(other));
            let hint = suggest(other, "types", TYPES);
            reader.mistakes.add(&join(table.name, "transfer_type"), message, hint);
            return None;
        }
    };
    (reader.mistakes.list.len() == before).then_some(target)
}

fn copy(reader: &mut Reader, table: Table) -> Target {
    reader.pass_over(table, &["transfer_type", "directory"]);
    let directory = PathBuf::from(reader.required(table, "directory"));
    reader.need(&join(table.name, "directory"), directory.clone(), Must::MakeFolder);
    Target::Copy(copy::Options::new(directory))
}

fn ftp(reader: &mut Reader, table: Table) -> Target {
    reader.pass_over(table, &["transfer_type", "remote_host", "user_name", "password", "directory"]);
    let Address { host, port } = host(reader, table, "remote_host");
    Target::Ftp(ftp::Options {
        host,
        port: port.unwrap_or(place::FTP_PORT),
        directory: directory(reader, table),
        user: reader.required(table, "user_name"),
        password: secret(reader, table, "password"),
        security: ftp::Security::Plain,
    })
}

/// The keys of an scp profile; those behind `directory` the original did not have.
const SCP: [&str; 9] = [
    "transfer_type",
    "remote_host",
    "user_name",
    "password",
    "directory",
    "private_key",
    "passphrase",
    "known_hosts",
    "host_key",
];

fn scp(reader: &mut Reader, table: Table) -> Target {
    reader.pass_over(table, &SCP);
    let Address { host, port } = host(reader, table, "remote_host");
    let host_key = host_key(reader, table);
    Target::Ssh(ssh::Options {
        protocol: ssh::Protocol::Scp,
        host,
        port: port.unwrap_or(place::SSH_PORT),
        directory: directory(reader, table),
        user: reader.required(table, "user_name"),
        // Without a password it takes a key that was generated before.
        password: optional_secret(reader, table, "password"),
        private_key: path(reader, table, "private_key", Must::Read),
        passphrase: optional_secret(reader, table, "passphrase"),
        known_hosts: path(reader, table, "known_hosts", place::must_know(host_key)),
        host_key,
    })
}

fn host_key(reader: &mut Reader, table: Table) -> ssh::HostKey {
    let Some(word) = reader.text(table, "host_key") else {
        reader.notes.push(format!(
            "{}: the host's key must be known now: connect once with ssh, or add `host_key: accept-new` to the profile",
            table.name
        ));
        return ssh::HostKey::Strict;
    };
    place::host_key(&word).unwrap_or_else(|| {
        let message = format!("expected one of strict, accept-new, came {}", quoted(&word));
        reader.mistakes.add(&join(table.name, "host_key"), message, None);
        ssh::HostKey::Strict
    })
}

/// The keys of an s3 profile; those behind `aws_api_secret` the original did not have.
const S3_KEYS: [&str; 8] = [
    "transfer_type",
    "bucket_name",
    "key_prefix",
    "aws_api_key",
    "aws_api_secret",
    "region",
    "endpoint",
    "acl",
];

/// The access list that the original gave every object.
const ACL: &str = "public-read";

fn s3(reader: &mut Reader, table: Table) -> Target {
    reader.pass_over(table, &S3_KEYS);
    let Address { host: bucket, port } = host(reader, table, "bucket_name");
    if port.is_some() {
        let hint = "the address of a service goes into `endpoint`".to_owned();
        let message = "expected a name alone";
        reader.mistakes.add(&join(table.name, "bucket_name"), message, hint);
    }
    let prefix = reader.text(table, "key_prefix").unwrap_or_default().trim_matches('/').to_owned();
    if !prefix.is_empty() && !super::lineup::is_key(&prefix) {
        let message = "expected a path without `.`, `..`, backslashes and empty parts";
        reader.mistakes.add(&join(table.name, "key_prefix"), message, None);
    }
    let access_key_id = Some(secret(reader, table, "aws_api_key"));
    let secret_access_key = Some(secret(reader, table, "aws_api_secret"));
    let acl = reader.text(table, "acl").unwrap_or_else(|| {
        reader.notes.push(format!(
            "{}: objects are readable by anyone ({ACL}), as they always were: `acl: private` in the profile changes it",
            table.name
        ));
        ACL.to_owned()
    });
    let region = reader.text(table, "region");
    let service = S3 { access_key_id, secret_access_key, region, acl: Some(acl), ..S3::default() };
    let endpoint = reader.text(table, "endpoint");
    if let Some(Err((message, hint))) = endpoint.as_deref().map(place::check_endpoint) {
        let hint = Some(hint.to_owned()).filter(|hint| !hint.is_empty());
        reader.mistakes.add(&join(table.name, "endpoint"), message, hint);
    }
    Target::Object(object::Options {
        service: Service::S3(service),
        bucket,
        prefix,
        endpoint: endpoint.map(|url| url.trim_end_matches('/').to_owned()),
        headers: Headers::default(),
    })
}

/// A folder from the root, or from the one that one is in after logging in.
fn directory(reader: &mut Reader, table: Table) -> String {
    let directory = reader.text(table, "directory").unwrap_or_default();
    if directory.contains(char::is_control) {
        let message = format!("expected a folder's path, came {}", quoted(&directory));
        reader.mistakes.add(&join(table.name, "directory"), message, None);
    }
    place::from_login(&directory)
}

/// A host or a bucket; a host may have a port.
fn host(reader: &mut Reader, table: Table, key: &str) -> Address {
    let text = reader.required(table, key);
    Address::parse(&text).unwrap_or_else(|hint| {
        if !text.trim().is_empty() {
            // It may hold a password.
            let message = "expected a name alone";
            reader.mistakes.add(&join(table.name, key), message, hint.to_owned());
        }
        Address { host: text, port: None }
    })
}

fn path(reader: &mut Reader, table: Table, key: &str, must: Must) -> Option<PathBuf> {
    let text = reader.text(table, key)?;
    let at = join(table.name, key);
    match reader.outside.path(&text) {
        Ok(path) => {
            reader.need(&at, path.clone(), must);
            Some(path)
        }
        Err(message) => {
            reader.mistakes.add(&at, message, None);
            None
        }
    }
}

fn optional_secret(reader: &mut Reader, table: Table, key: &str) -> Option<Secret> {
    let is_there = reader.text(table, key).is_some_and(|text| !text.is_empty());
    is_there.then(|| secret(reader, table, key))
}

/// A secret that must be there. Only a value that is `${NAME}` and nothing else is taken from the environment:
/// any other is as it always was, dollars included.
fn secret(reader: &mut Reader, table: Table, key: &str) -> Secret {
    let text = reader.required(table, key);
    let variable = text.strip_prefix("${").and_then(|text| text.strip_suffix('}'));
    match variable.map(|name| (name, reader.outside.environment.get(name))) {
        None => Secret::new(text),
        Some((_, Some(value))) => Secret::new(value),
        Some((name, None)) => {
            let message = format!("the environment variable {name:?} is not set");
            reader.mistakes.add(&join(table.name, key), message, None);
            Secret::new("")
        }
    }
}
