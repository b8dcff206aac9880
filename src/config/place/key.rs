//! The keys of destinations.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::super::value::{Kind, Mode};
use super::Destination;
use crate::destination::ssh::HostKey;

/// Destinations that take the same keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Folder,
    S3,
    Gs,
    Az,
    Http,
    Ftp,
    Ssh,
}

use Family::{Az, Folder, Ftp, Gs, Http, S3, Ssh};

impl Family {
    /// Whether it is a bucket: no user, no port.
    pub(super) const fn is_bucket(self) -> bool {
        matches!(self, S3 | Gs | Az)
    }
}

/// What a URL begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scheme {
    pub(super) name: &'static str,
    pub(super) family: Family,
}

impl Scheme {
    /// Every one.
    pub(super) const ALL: [Self; 10] = [
        Self { name: "s3", family: S3 },
        Self { name: "gs", family: Gs },
        Self { name: "az", family: Az },
        Self { name: "http", family: Http },
        Self { name: "https", family: Http },
        Self { name: "ftp", family: Ftp },
        Self { name: "ftps", family: Ftp },
        Self { name: "sftp", family: Ssh },
        Self { name: "scp", family: Ssh },
        Self { name: "file", family: Folder },
    ];

    /// The one of this name, however it is capitalised.
    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| name.eq_ignore_ascii_case(scheme.name))
    }
}

/// What stands behind a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Text,
    /// A text that is never shown, or under `<key>_file` the file that it is read from.
    Secret,
    Words(&'static [&'static str]),
    Flag,
    /// A whole number from 1 to this.
    Count(u64),
    Span,
    Mode,
    Headers,
}

/// A key of a destination.
#[derive(Debug)]
struct Key {
    name: &'static str,
    takes: Takes,
    families: &'static [Family],
    about: &'static str,
}

const fn key(name: &'static str, takes: Takes, families: &'static [Family], about: &'static str) -> Key {
    Key { name, takes, families, about }
}

const ALL: &[Family] = &[Folder, S3, Gs, Az, Http, Ftp, Ssh];
const WITH_HEADERS: &[Family] = &[S3, Gs, Az, Http];

/// The words of `encryption`.
pub(super) const ENCRYPTIONS: [&str; 2] = ["AES256", "aws:kms"];
/// The words of `host_key`.
pub(super) const HOST_KEYS: [&str; 2] = ["strict", "accept-new"];

/// What is done with unknown hosts, by its word.
pub(crate) fn host_key(word: &str) -> Option<HostKey> {
    match word {
        "strict" => Some(HostKey::Strict),
        "accept-new" => Some(HostKey::AcceptNew),
        _ => None,
    }
}

/// Every key of a destination, `url` first.
const KEYS: [Key; 36] = [
    key(
        "url",
        Takes::Text,
        ALL,
        "A folder, or a URL: s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, \
         https://host/path, ftp://user@host/path (ftps:// with TLS), sftp://user@host/path, \
         scp://user@host/path. Behind a host of ftp a path is taken from the login folder, and from \
         the root with a second slash; behind one of sftp and scp from the root, and behind /~/ from \
         the login folder. Keys without secrets may stand in a URL's query.",
    ),
    key("user", Takes::Text, &[Http, Ftp, Ssh], "The user's name; it may stand in the URL instead."),
    key("password", Takes::Secret, &[Http, Ftp, Ssh], "The user's password."),
    key("token", Takes::Secret, &[Http], "A bearer token, instead of user and password."),
    key(
        "private_key",
        Takes::Text,
        &[Ssh],
        "The file of the private key; without it and without a password, the agent and the user's own \
         keys are tried.",
    ),
    key("passphrase", Takes::Secret, &[Ssh], "What the private key is locked with."),
    key("known_hosts", Takes::Text, &[Ssh], "The file of known hosts; if absent, the user's own."),
    key(
        "host_key",
        Takes::Words(&HOST_KEYS),
        &[Ssh],
        "What is done with a host that is not known: \"strict\" refuses it, \"accept-new\" writes its \
         key down. One whose key has changed is always refused.",
    ),
    key(
        "ca",
        Takes::Text,
        &[Http, Ftp],
        "A PEM file of certificates to trust beside the system's authorities; with TLS only.",
    ),
    key(
        "insecure",
        Takes::Flag,
        &[Http, Ftp],
        "Whether any certificate is taken; with TLS only. Whoever stands in between can then read and \
         change everything.",
    ),
    key(
        "access_key_id",
        Takes::Secret,
        &[S3],
        "The access key's name; if absent, AWS's usual places are asked: environment, web identity, \
         instance.",
    ),
    key("secret_access_key", Takes::Secret, &[S3], "The access key itself."),
    key("session_token", Takes::Secret, &[S3], "The token that belongs to a temporary access key."),
    key("region", Takes::Text, &[S3], "The bucket's region."),
    key("endpoint", Takes::Text, &[S3, Gs, Az], "The service's URL, where it is not the usual one."),
    key(
        "virtual_hosted",
        Takes::Flag,
        &[S3],
        "Whether the bucket stands in the host's name instead of the path.",
    ),
    key(
        "encryption",
        Takes::Words(&ENCRYPTIONS),
        &[S3],
        "How objects are encrypted there: \"AES256\" with keys that S3 keeps, \"aws:kms\" with those of \
         the key service.",
    ),
    key("kms_key", Takes::Text, &[S3], "The key of the key service; if absent, the account's own."),
    key(
        "acl",
        Takes::Text,
        &[S3, Gs],
        "The canned access list of every object, such as \"public-read\" (s3) or \"publicRead\" (gs); \
         none if absent.",
    ),
    key(
        "storage_class",
        Takes::Text,
        &[S3, Gs],
        "The objects' storage class, such as \"STANDARD_IA\" (s3) or \"NEARLINE\" (gs).",
    ),
    key(
        "credentials",
        Takes::Secret,
        &[Gs, Az],
        "The service account's key: its JSON, or the file of it (gs); another name for access_key (az). \
         without it, Google's usual places are asked (gs).",
    ),
    key("account", Takes::Text, &[Az], "The storage account."),
    key(
        "access_key",
        Takes::Secret,
        &[Az],
        "The account's key; without it and without a token, Azure's usual places are asked.",
    ),
    key("sas_token", Takes::Secret, &[Az], "A shared access signature, instead of the key."),
    key("access_tier", Takes::Text, &[Az], "The objects' access tier, such as \"Cool\"."),
    key(
        "playlist_cache_control",
        Takes::Text,
        WITH_HEADERS,
        "Cache-Control of playlists; \"public, max-age=1\" if absent.",
    ),
    key(
        "segment_cache_control",
        Takes::Text,
        WITH_HEADERS,
        "Cache-Control of segments; \"public, max-age=31536000, immutable\" if absent.",
    ),
    key(
        "headers",
        Takes::Headers,
        WITH_HEADERS,
        "Further headers of every object, as in { \"X-Name\" = \"value\" }.",
    ),
    key("fsync", Takes::Flag, &[Folder], "Whether each file is brought to the disk before it gets its name."),
    key("file_mode", Takes::Mode, &[Folder], "Permissions of files."),
    key("folder_mode", Takes::Mode, &[Folder], "Permissions of folders that are created."),
    key(
        "required",
        Takes::Flag,
        ALL,
        "Whether the channel ends when this destination fails for good; otherwise the others go on.",
    ),
    key("keep", Takes::Flag, ALL, "Whether segments stay when they have left the playlist."),
    key(
        "concurrency",
        Takes::Count(super::MOST_UPLOADS),
        ALL,
        "Uploads at the same time; as the kind of destination likes it if absent.",
    ),
    key("timeout", Takes::Span, ALL, "How long one attempt to put an object may take; 15s if absent."),
    key(
        "deadline",
        Takes::Span,
        ALL,
        "How long after its end a segment is still put; then it is a gap in the playlist. If absent, as long as \
         the playlist's window holds the segment; in an event's, as long as the spool does.",
    ),
];

/// Names of secrets in the original's format.
const ORIGINAL_SECRETS: [&str; 3] = ["aws_api_key", "aws_api_secret", "api_key"];

/// Whether the key of this name carries a secret.
pub(crate) fn is_secret(name: &str) -> bool {
    KEYS.iter().any(|key| key.takes == Takes::Secret && key.name == name) || ORIGINAL_SECRETS.contains(&name)
}

/// The keys that destinations of a family take, without the files of secrets.
pub(super) fn known(family: Family) -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter(move |key| key.families.contains(&family)).map(|key| key.name)
}

/// Whether destinations of a family take the key of this name.
pub(super) fn is_known(family: Family, name: &str) -> bool {
    let secret = name.strip_suffix("_file").filter(|name| is_secret(name));
    known(family).any(|known| known == name || Some(known) == secret)
}

/// Where a key stands in the table: the order in which keys are shown.
pub(super) fn rank(name: &str) -> usize {
    KEYS.iter().position(|key| key.name == name).unwrap_or(KEYS.len())
}

impl Key {
    /// Its name and schema; for a secret also those of the file.
    fn properties(&self) -> impl Iterator<Item = (String, Value)> {
        let names: Vec<&str> = SCHEMES_OF
            .iter()
            .filter(|(family, _)| self.families.contains(family))
            .map(|(_, name)| *name)
            .collect();
        let of = if self.families == ALL { String::new() } else { format!(" ({})", names.join(", ")) };
        let mut node = self.takes.schema();
        node["description"] = format!("{}{of}", self.about).into();
        let file = (self.takes == Takes::Secret).then(|| {
            let about =
                format!("The file that `{}` is read from, without the end of its line{of}.", self.name);
            (format!("{}_file", self.name), json!({ "type": "string", "description": about }))
        });
        [(self.name.to_owned(), node)].into_iter().chain(file)
    }
}

/// What descriptions call the families.
const SCHEMES_OF: [(Family, &str); 7] = [
    (Folder, "folders"),
    (S3, "s3"),
    (Gs, "gs"),
    (Az, "az"),
    (Http, "http, https"),
    (Ftp, "ftp, ftps"),
    (Ssh, "sftp, scp"),
];

impl Takes {
    fn schema(self) -> Value {
        fn written<T: Kind>(types: &[&str]) -> Value {
            json!({ "type": types, "pattern": T::PATTERN, "x-kind": T::NAME })
        }
        match self {
            Self::Text | Self::Secret => json!({ "type": "string" }),
            Self::Words(words) => json!({ "type": "string", "enum": words }),
            Self::Flag => json!({ "type": "boolean" }),
            Self::Count(most) => json!({ "type": "integer", "minimum": 1, "maximum": most }),
            Self::Span => written::<Duration>(&["string", "number"]),
            Self::Mode => written::<Mode>(&["string"]),
            Self::Headers => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        }
    }
}

impl JsonSchema for Destination {
    fn schema_name() -> Cow<'static, str> {
        "Destination".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let properties: serde_json::Map<_, _> = KEYS.iter().flat_map(Key::properties).collect();
        json_schema!({
            "description": "One place to put the stream. \"${NAME}\" in a text is that environment variable.",
            "type": "object",
            "properties": properties,
            "required": ["url"],
            "additionalProperties": false,
        })
    }
}
