//! The original's transfer profiles.

use std::collections::BTreeMap;

use super::error::suggest;
use super::reader::{Reader, Table};
use super::remote::{Place, Remote, Scheme};
use super::shape::{join, quoted};
use crate::destination::Secret;

const TYPES: [&str; 4] = ["copy", "ftp", "scp", "s3"];

/// Where the profile in `table` puts files.
pub(super) fn place(reader: &mut Reader, table: Table) -> Option<Place> {
    let before = reader.mistakes.list.len();
    let kind = reader.required(table, "transfer_type");
    let place = match kind.as_str() {
        "copy" => {
            reader.pass_over(table, &["transfer_type", "directory"]);
            Place::Folder(reader.required(table, "directory").into())
        }
        "ftp" => Place::Remote(login(reader, table, Scheme::Ftp)),
        "scp" => Place::Remote(login(reader, table, Scheme::Scp)),
        "s3" => Place::Remote(s3(reader, table)),
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
    (reader.mistakes.list.len() == before).then_some(place)
}

fn login(reader: &mut Reader, table: Table, scheme: Scheme) -> Remote {
    let known = ["transfer_type", "remote_host", "user_name", "password", "directory"];
    reader.pass_over(table, &known);
    let host = reader.required(table, "remote_host");
    check_host(reader, table, "remote_host", &host);
    let mut settings =
        BTreeMap::from([("user".to_owned(), Secret::new(reader.required(table, "user_name")))]);
    // Without a password, scp takes a key that was generated before.
    if scheme == Scheme::Ftp || reader.text(table, "password").is_some_and(|text| !text.is_empty()) {
        settings.insert("password".into(), secret(reader, table, "password"));
    }
    let directory = reader.text(table, "directory").unwrap_or_default();
    let path = match directory.strip_prefix('/') {
        Some(path) => path.to_owned(),
        None if directory == "~" || directory.starts_with("~/") => directory.clone(),
        None => format!("~/{directory}"),
    };
    Remote { scheme, host, path: path.trim_matches('/').into(), settings }
}

fn s3(reader: &mut Reader, table: Table) -> Remote {
    let known =
        ["transfer_type", "bucket_name", "key_prefix", "aws_api_key", "aws_api_secret", "region", "endpoint"];
    reader.pass_over(table, &known);
    let host = reader.required(table, "bucket_name");
    check_host(reader, table, "bucket_name", &host);
    let path = reader.text(table, "key_prefix").unwrap_or_default();
    let mut settings = BTreeMap::from([
        ("access_key_id".to_owned(), secret(reader, table, "aws_api_key")),
        ("secret_access_key".to_owned(), secret(reader, table, "aws_api_secret")),
        ("acl".to_owned(), Secret::new("public-read")),
    ]);
    for key in ["region", "endpoint"] {
        settings.extend(reader.text(table, key).map(|text| (key.to_owned(), Secret::new(text))));
    }
    Remote { scheme: Scheme::S3, host, path: path.trim_matches('/').into(), settings }
}

fn check_host(reader: &mut Reader, table: Table, key: &str, host: &str) {
    if host.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '@')) {
        let message = format!("expected a name alone, came {}", quoted(host));
        reader.mistakes.add(&join(table.name, key), message, None);
    }
}

/// A secret that must be there. Only a value that is `${NAME}` and nothing else is taken from the environment:
/// any other is as it always was, dollars included.
fn secret(reader: &mut Reader, table: Table, key: &str) -> Secret {
    let text = reader.required(table, key);
    let variable = text.strip_prefix("${").and_then(|text| text.strip_suffix('}'));
    match variable.map(|name| (name, reader.environment.get(name))) {
        None => Secret::new(text),
        Some((_, Some(value))) => Secret::new(value),
        Some((name, None)) => {
            let message = format!("the environment variable {name:?} is not set");
            reader.mistakes.add(&join(table.name, key), message, None);
            Secret::new("")
        }
    }
}
