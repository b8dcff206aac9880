//! Buckets of S3, Google Cloud Storage and Azure.

use super::super::ground::Must;
use super::key::{ENCRYPTIONS, Family};
use super::settings::Settings;
use super::url::{Address, Url};
use crate::destination::object::{Azure, Encryption, Gcs, Options, S3, Service};
use crate::destination::{Secret, Target};

/// Reads a bucket; none, and told, if something is missing.
pub(super) fn read(url: &Url, settings: &mut Settings) -> Option<Target> {
    let prefix = url.decoded_path().trim_matches('/').to_owned();
    if !prefix.is_empty() && !super::super::lineup::is_key(&prefix) {
        let message = "expected a path without `.`, `..`, backslashes and empty parts";
        settings.mistake("url", message, None);
    }
    let service = match url.scheme.family {
        Family::Gs => Service::Gcs(gcs(settings)),
        Family::Az => Service::Azure(azure(settings)?),
        _ => Service::S3(s3(settings)),
    };
    let endpoint = endpoint(settings);
    let headers = settings.headers();
    Some(Target::Object(Options { service, bucket: url.host.clone(), prefix, endpoint, headers }))
}

fn s3(settings: &mut Settings) -> S3 {
    let pair = ["access_key_id", "secret_access_key"];
    for (one, other) in [(pair[0], pair[1]), (pair[1], pair[0])] {
        if settings.has(one) && !settings.has(other) {
            settings.mistake(other, format!("is missing beside `{one}`"), None);
        }
    }
    if settings.has("session_token") && !pair.iter().any(|name| settings.has(name)) {
        settings.mistake("session_token", "belongs to an `access_key_id`, which is missing", None);
    }
    S3 {
        access_key_id: settings.secret(pair[0]),
        secret_access_key: settings.secret(pair[1]),
        session_token: settings.secret("session_token"),
        region: settings.header_text("region"),
        is_virtual_hosted: settings.is("virtual_hosted"),
        storage_class: settings.header_text("storage_class"),
        encryption: encryption(settings),
        acl: settings.header_text("acl"),
    }
}

fn encryption(settings: &mut Settings) -> Option<Encryption> {
    let word = settings.word("encryption", &ENCRYPTIONS);
    let key = settings.header_text("kms_key");
    if word.as_deref() == Some("aws:kms") {
        return Some(Encryption::Kms(key));
    }
    if key.is_some() {
        let hint = "write `encryption = \"aws:kms\"`".to_owned();
        settings.mistake("kms_key", "has no effect without the key service's encryption", hint);
    }
    word.map(|_| Encryption::S3)
}

fn gcs(settings: &mut Settings) -> Gcs {
    Gcs {
        credentials: google_credentials(settings),
        storage_class: settings.header_text("storage_class"),
        acl: settings.header_text("acl"),
    }
}

/// The JSON of a service account's key, or the path of its file.
fn google_credentials(settings: &mut Settings) -> Option<Secret> {
    let secret = settings.secret("credentials")?;
    let text = secret.expose();
    if text.trim_start().starts_with('{') {
        return Some(secret);
    }
    let is_path =
        text.ends_with(".json") || ["/", "./", "../", "~/"].iter().any(|start| text.starts_with(start));
    if !is_path || text.contains(char::is_control) {
        let message = "expected the JSON of a service account's key, or the path of its file";
        settings.mistake("credentials", message, "as in \"/etc/segcast/gcs.json\"".to_owned());
        return None;
    }
    let path = settings.resolve("credentials", text, Must::Read)?;
    Some(Secret::new(path.to_string_lossy()))
}

/// None if it has no account.
fn azure(settings: &mut Settings) -> Option<Azure> {
    let names = ["access_key", "credentials", "sas_token"].map(|name| (name, settings.has(name)));
    let there: Vec<&str> = names.iter().filter(|(_, is_there)| *is_there).map(|(name, _)| *name).collect();
    if let [one, other, ..] = there.as_slice() {
        settings.mistake(other, format!("has no place beside `{one}`"), None);
    }
    if !settings.has("account") {
        settings.mistake("account", "is missing, as az needs it", None);
    }
    let account = settings.text("account");
    let access_key = settings.secret("access_key").or(settings.secret("credentials"));
    let sas_token = settings.secret("sas_token");
    let access_tier = settings.header_text("access_tier");
    let account = account?;
    if !account.chars().all(|c| c.is_ascii_alphanumeric()) {
        settings.mistake("account", "expected letters and digits alone", None);
    }
    Some(Azure { account, access_key, sas_token, access_tier })
}

fn endpoint(settings: &mut Settings) -> Option<String> {
    let text = settings.text("endpoint")?;
    let url = text.trim_end_matches('/');
    if let Err((message, hint)) = check_endpoint(url) {
        settings.mistake("endpoint", message, Some(hint.to_owned()).filter(|hint| !hint.is_empty()));
    }
    Some(url.to_owned())
}

/// Whether `url` is a web server's URL; what is wrong with it, and a hint. Nothing of it is quoted.
pub(crate) fn check_endpoint(url: &str) -> Result<(), (&'static str, &'static str)> {
    let rest = url.strip_prefix("https://").or(url.strip_prefix("http://"));
    let rest = rest.ok_or(("expected a URL that begins with https:// or http://", ""))?;
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.contains('@') {
        return Err(("secrets do not belong into the URL", ""));
    }
    if rest.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#')) {
        return Err(("expected a URL without spaces, ? and #", ""));
    }
    Address::parse(authority).map(drop).map_err(|hint| ("expected a URL with a host", hint))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::tests::{ours, sample};
    use super::super::tests::{all, hidden, with};
    use super::*;
    use crate::delivery;
    use crate::destination::{Headers, object};

    #[test]
    fn buckets_are_read() {
        let found = all(&sample("destinations.toml")).unwrap();
        let bucket = |service, name: &str, prefix: &str, endpoint: Option<&str>| object::Options {
            service,
            bucket: name.into(),
            prefix: prefix.into(),
            endpoint: endpoint.map(Into::into),
            headers: Headers::default(),
        };
        let s3 = S3 {
            access_key_id: hidden("AK"),
            secret_access_key: hidden("hunter2"),
            session_token: hidden("hunter2"),
            region: Some("us-east-1".into()),
            is_virtual_hosted: true,
            storage_class: Some("STANDARD_IA".into()),
            encryption: Some(Encryption::Kms(Some("alias/live".into()))),
            acl: Some("public-read".into()),
        };
        let extra = [("X-Api-Key", "hunter2"), ("X-Name", "value")];
        let headers = Headers {
            playlist_cache_control: "no-cache".into(),
            segment_cache_control: "max-age=60".into(),
            extra: extra.map(|(name, value)| (name.into(), value.into())).into(),
        };
        let s3 = bucket(Service::S3(s3), "bucket", "live", Some("http://127.0.0.1:8333"));
        let s3 = delivery::Options {
            target: Target::Object(object::Options { headers, ..s3 }),
            concurrency: Some(8),
            timeout: Duration::from_secs(10),
            deadline: Some(Duration::from_secs(30)),
            is_required: true,
            keeps_expired: true,
        };
        assert_eq!(found[0], s3);
        let gcs = Gcs {
            credentials: hidden("/home/me/gcs.json"),
            storage_class: Some("NEARLINE".into()),
            acl: Some("publicRead".into()),
        };
        assert_eq!(found[1].target, Target::Object(bucket(Service::Gcs(gcs), "bucket", "a b", None)));
        let azure = |access_key, sas_token, access_tier: Option<&str>| {
            Service::Azure(Azure {
                account: "me".into(),
                access_key,
                sas_token,
                access_tier: access_tier.map(Into::into),
            })
        };
        let web = bucket(azure(hidden("hunter2"), None, Some("Cool")), "$web", "live", None);
        assert_eq!(found[2].target, Target::Object(web));
        let other = azure(None, hidden("hunter2"), None);
        let other = bucket(other, "other", "", Some("http://127.0.0.1:10000/me"));
        assert_eq!(found[3].target, Target::Object(other));
        assert!(
            !format!(
                "{:?}",
                ours(&with("url = 's3://b', access_key_id = 'hunter2', secret_access_key = 'hunter2'"))
            )
            .contains("hunter2")
        );
    }

    #[test]
    fn the_same_bucket_at_two_services_is_two_places() {
        let two = |one: &str, other: &str| {
            all(&with("url = 'x'").replace("{ url = 'x' }", &format!("{{ {one} }}, {{ {other} }}")))
        };
        let here = "url = 's3://b/p?endpoint=http://127.0.0.1:1/'";
        assert!(two(here, "url = 's3://b/p'").is_ok());
        let error = two(here, "url = 's3://b//p/', endpoint = 'http://127.0.0.1:1'").unwrap_err();
        assert_eq!(
            error.to_string(),
            "live.toml: destination[1].url: is the same place as destination[0].url"
        );
    }
}
