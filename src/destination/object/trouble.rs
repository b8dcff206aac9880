//! What went wrong with a bucket, and what to do about it.

use std::error::Error as StdError;
use std::io;

use super::wire::{Answer, Failure, Reason, Unreached, causes};
use super::{Options, Service};
use crate::destination::{Error, Kind, Secret};

/// A secret that is shorter stands in too many words by chance.
const SECRET_CHARS: usize = 4;
/// A word in a file of Google's that is shorter is no key.
const WORD_CHARS: usize = 32;

/// Puts failures into words for one bucket.
#[derive(Debug)]
pub(super) struct Troubles {
    url: String,
    /// What nobody may read: secrets, and parts of them.
    secrets: Vec<Secret>,
    terms: Terms,
    /// Whether the credentials were given, and are what they are.
    is_static: bool,
}

/// A service's words for what people have to check.
#[derive(Clone, Copy, Debug)]
struct Terms {
    bucket: &'static str,
    credentials: &'static str,
    none: &'static str,
}

const S3: Terms = Terms {
    bucket: "bucket",
    credentials: "check access_key_id and secret_access_key",
    none: "set access_key_id and secret_access_key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the \
           environment, or run where a web identity (AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN) or an instance role \
           gives them",
};
const GCS: Terms = Terms {
    bucket: "bucket",
    credentials: "check the service account's key in credentials",
    none: "set credentials to the file of a service account's key, or GOOGLE_APPLICATION_CREDENTIALS in the \
           environment, or run where an instance gives them",
};
const AZURE: Terms = Terms {
    bucket: "container",
    credentials: "check the account's name, and its key or shared access signature",
    none: "set the account's key or a shared access signature, or AZURE_STORAGE_ACCOUNT_KEY in the environment, or \
           run where a managed identity gives them",
};

impl Troubles {
    pub fn new(options: &Options) -> Self {
        let (terms, secrets) = match &options.service {
            Service::S3(s3) => (S3, vec![&s3.secret_access_key, &s3.session_token, &s3.access_key_id]),
            Service::Gcs(gcs) => (GCS, vec![&gcs.credentials]),
            Service::Azure(azure) => (AZURE, vec![&azure.access_key, &azure.sas_token]),
        };
        let is_static = secrets.iter().any(|secret| secret.is_some());
        let secrets =
            secrets.into_iter().flatten().flat_map(|secret| parts(options, secret.expose())).collect();
        Self { url: options.url(), secrets, terms, is_static }
    }

    /// What to say of an operation on the object at `key`; `verb` completes "cannot …".
    pub fn about(&self, verb: &str, key: &str, error: &object_store::Error) -> Error {
        let what = format!("{verb} {}/{key}", self.url);
        match Failure::of(error) {
            Some(Failure::Answered(answer)) => {
                let (kind, hint) = self.judge(answer);
                let colon = if hint.is_empty() { "" } else { ": " };
                let error = self.error(kind, what, format!("{answer}{colon}{hint}"));
                answer.retry_after.into_iter().fold(error, Error::after)
            }
            Some(Failure::Unreached(unreached)) => {
                self.error(kind_of(unreached), what, unreached.to_string())
            }
            None => self.error(Kind::Transient, what, spoken(error)),
        }
    }

    /// What to say when nobody told who we are. Once somebody has, it can only be a passing trouble.
    pub fn about_login(&self, error: &object_store::Error, was_known: bool) -> Error {
        let what = format!("log in at {}", self.url);
        let none = self.terms.none;
        let (kind, text) = match Failure::of(error) {
            Some(Failure::Unreached(unreached)) if unreached.is_metadata() => {
                (Kind::Refused, format!("there are no credentials: {none}"))
            }
            Some(Failure::Unreached(unreached)) => (kind_of(unreached), unreached.to_string()),
            Some(Failure::Answered(answer)) if answer.status >= 500 || answer.status == 429 => {
                (Kind::Transient, answer.to_string())
            }
            Some(Failure::Answered(answer)) => {
                (Kind::Refused, format!("no credentials were given, {answer}: {none}"))
            }
            None => (Kind::Refused, format!("{}: {none}", spoken(error))),
        };
        self.error(if was_known { Kind::Transient } else { kind }, what, text)
    }

    /// What to say when the bucket cannot even be thought of.
    pub fn about_options(&self, error: &object_store::Error) -> Error {
        let is_absent = |cause: &(dyn StdError + 'static)| {
            cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        let kind = if causes(error).any(is_absent) { Kind::Missing } else { Kind::Invalid };
        let text = format!("{}: {}", spoken(error), self.terms.credentials);
        self.error(kind, format!("use {}", self.url), text)
    }

    fn error(&self, kind: Kind, what: String, text: String) -> Error {
        Error::new(kind, what, self.clean(text).into())
    }

    /// The kind of an answer that says no, and what to do about it.
    fn judge(&self, answer: &Answer) -> (Kind, String) {
        let Terms { bucket, credentials, .. } = self.terms;
        let said = |hint: String| (Kind::Refused, hint);
        match (answer.status, answer.code.as_str()) {
            (_, "NoSuchBucket" | "ContainerNotFound") => {
                (Kind::Missing, format!("create the {bucket}, or name another in the URL"))
            }
            // A machine that has just started may not have asked for the time yet.
            (_, "RequestTimeTooSkewed") => (Kind::Transient, "set this machine's clock".to_owned()),
            (_, "ExpiredToken" | "TokenRefreshRequired") if !self.is_static => {
                (Kind::Transient, String::new())
            }
            (_, "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired") => {
                said("the token of the access key is no longer valid: give a new one".to_owned())
            }
            (_, "AuthorizationHeaderMalformed" | "PermanentRedirect" | "IncorrectEndpoint")
            | (301 | 307 | 308, _) => {
                let region = answer.region.as_deref().map(|region| format!(", which is {region}"));
                let hint = format!(
                    "set region to the bucket's{}, or check the endpoint",
                    region.unwrap_or_default()
                );
                (Kind::Invalid, hint)
            }
            (_, "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "AuthenticationFailed") | (401, _) => {
                said(credentials.to_owned())
            }
            (403, "AccessDenied" | "AuthorizationPermissionMismatch" | "InsufficientAccountPermissions") => {
                said(format!(
                    "these credentials must be allowed to put, get and delete objects in this {bucket}"
                ))
            }
            (403, _) => {
                said(format!("{credentials}, and that they may put, get and delete objects in this {bucket}"))
            }
            (404, _) => (Kind::Missing, format!("check the {bucket}'s name and the endpoint")),
            (400, "RequestTimeout" | "BadDigest" | "IncompleteBody" | "Throttling") => {
                (Kind::Transient, String::new())
            }
            (501 | 505, _) => (Kind::Invalid, String::new()),
            (408 | 409 | 412 | 425 | 429 | 500.., _) => (Kind::Transient, String::new()),
            _ => (Kind::Invalid, String::new()),
        }
    }

    /// `text` without what nobody may read.
    fn clean(&self, text: String) -> String {
        self.secrets.iter().fold(text, |text, secret| text.replace(secret.expose(), "***"))
    }
}

/// What of `secret` is secret: a key as a whole, the signature in a token, the long words of a key of Google's. The path
/// of that key's file is not.
fn parts(options: &Options, secret: &str) -> Vec<Secret> {
    let is_google = matches!(options.service, Service::Gcs(_));
    let is_json = secret.trim_start().starts_with('{');
    let whole = (is_json || !is_google) && secret.len() >= SECRET_CHARS;
    let words = secret.split('"').filter(|word| is_json && word.len() >= WORD_CHARS);
    let signature = secret.split('&').find_map(|pair| pair.trim_start_matches('?').strip_prefix("sig="));
    whole.then_some(secret).into_iter().chain(words).chain(signature).map(Secret::new).collect()
}

fn kind_of(unreached: &Unreached) -> Kind {
    match unreached.reason {
        Reason::Certificate => Kind::Refused,
        Reason::Name | Reason::Network => Kind::Transient,
    }
}

/// What the crate says, without the queries of URLs: there are signatures in some.
fn spoken(error: &object_store::Error) -> String {
    let text = match error {
        object_store::Error::Generic { source, .. } => source.to_string(),
        other => other.to_string(),
    };
    let words = text.trim_end_matches('.').split(' ').map(|word| match word.split_once('?') {
        Some((url, _)) if url.contains("://") => url,
        _ => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::destination::Headers;
    use crate::destination::object::{Azure, Gcs, S3};

    fn troubles(service: Service) -> Troubles {
        let (bucket, prefix) = ("b".to_owned(), "p".to_owned());
        Troubles::new(&Options { service, bucket, prefix, endpoint: None, headers: Headers::default() })
    }

    fn answered(answer: Answer) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: Failure::Answered(answer).into() }
    }

    #[test]
    fn an_answer_says_whether_to_come_back() {
        let troubles = troubles(Service::S3(S3::default()));
        for (status, code, kind) in [
            (301, "PermanentRedirect", Kind::Invalid),
            (400, "AuthorizationHeaderMalformed", Kind::Invalid),
            (400, "InvalidArgument", Kind::Invalid),
            (400, "RequestTimeout", Kind::Transient),
            (400, "ExpiredToken", Kind::Transient),
            (401, "", Kind::Refused),
            (403, "AccessDenied", Kind::Refused),
            (404, "NoSuchBucket", Kind::Missing),
            (404, "", Kind::Missing),
            (408, "", Kind::Transient),
            (409, "OperationAborted", Kind::Transient),
            (429, "TooManyRequests", Kind::Transient),
            (500, "InternalError", Kind::Transient),
            (501, "NotImplemented", Kind::Invalid),
            (503, "SlowDown", Kind::Transient),
            (507, "", Kind::Transient),
        ] {
            let answer = Answer { status, code: code.to_owned(), ..Answer::default() };
            assert_eq!(troubles.about("put", "k", &answered(answer)).kind(), kind, "{status} {code}");
        }
    }

    #[test]
    fn a_token_that_was_given_is_over_when_it_is() {
        let s3 = S3 { session_token: Some(Secret::new("a token")), ..S3::default() };
        let answer = Answer { status: 400, code: "ExpiredToken".to_owned(), ..Answer::default() };
        assert_eq!(troubles(Service::S3(s3)).about("put", "k", &answered(answer)).kind(), Kind::Refused);
    }

    #[test]
    fn the_bucket_s_own_region_is_told() {
        let region = Some("eu-central-1".to_owned());
        let answer =
            Answer { status: 301, code: "PermanentRedirect".to_owned(), region, ..Answer::default() };
        let error = troubles(Service::S3(S3::default())).about("put", "k", &answered(answer));
        let source = error.source().unwrap().to_string();
        assert_eq!(error.to_string(), "cannot put s3://b/p/k");
        let said = "the service answered 301 PermanentRedirect: set region to the bucket's, which is eu-central-1, \
                    or check the endpoint";
        assert_eq!(source, said);
    }

    #[test]
    fn it_is_told_when_to_come_back() {
        let answer = Answer { status: 503, retry_after: Some(Duration::from_secs(7)), ..Answer::default() };
        let error = troubles(Service::Gcs(Gcs::default())).about("put", "k", &answered(answer));
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    }

    #[test]
    fn no_secret_is_told() {
        let token = "?sv=2019-12-12&sig=a%2Fsecret%3D&sp=rw";
        let sas_token = Some(Secret::new(token));
        let azure = Azure { account: "me".to_owned(), access_key: None, sas_token, access_tier: None };
        let source = "GET https://h/c?sv=1&sig=another failed with a%2Fsecret%3D".into();
        let error = object_store::Error::Generic { store: "Azure", source };
        let error = troubles(Service::Azure(azure)).about("get", "k", &error);
        assert_eq!(error.source().unwrap().to_string(), "GET https://h/c failed with ***");
    }
}
