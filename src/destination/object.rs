//! Object storage: S3 and what speaks its language, Google Cloud Storage, Azure Blob Storage.

use super::{Destination, Error, Headers, Secret};

/// A bucket, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whose it is.
    pub service: Service,
    /// The bucket or container.
    pub bucket: String,
    /// What keys begin with there, without a slash at either end; may be empty.
    pub prefix: String,
    /// The service's URL, where it is not the usual one.
    pub endpoint: Option<String>,
    /// What is said of the objects.
    pub headers: Headers,
}

/// A service for objects, and what only it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// Amazon S3, or a service with its interface.
    S3(S3),
    /// Google Cloud Storage.
    Gcs(Gcs),
    /// Azure Blob Storage.
    Azure(Azure),
}

/// What is S3's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct S3 {
    /// The access key's name; without one, AWS's usual places are asked: environment, web identity, instance.
    pub access_key_id: Option<Secret>,
    /// The access key.
    pub secret_access_key: Option<Secret>,
    /// The token that belongs to a temporary key.
    pub session_token: Option<Secret>,
    /// The bucket's region.
    pub region: Option<String>,
    /// Whether the bucket stands in the host's name instead of the path.
    pub is_virtual_hosted: bool,
    /// The objects' storage class, such as `STANDARD_IA`.
    pub storage_class: Option<String>,
    /// How objects are encrypted there.
    pub encryption: Option<Encryption>,
    /// The canned access list of every object. Never set unless asked for.
    pub acl: Option<String>,
}

/// Server-side encryption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// With keys that S3 keeps (`AES256`).
    S3,
    /// With a key of the key service (`aws:kms`): this one, or the account's own.
    Kms(Option<String>),
}

/// What is Google's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gcs {
    /// The service account's key: the file of it, or the JSON itself. Without one, Google's usual places are asked.
    pub credentials: Option<Secret>,
    /// The objects' storage class, such as `NEARLINE`.
    pub storage_class: Option<String>,
    /// The predefined access list of every object. Never set unless asked for.
    pub acl: Option<String>,
}

/// What is Azure's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Azure {
    /// The storage account.
    pub account: String,
    /// Its key; without one and without a token, Azure's usual places are asked.
    pub access_key: Option<Secret>,
    /// A shared access signature, instead of the key.
    pub sas_token: Option<Secret>,
    /// The objects' access tier, such as `Cool`.
    pub access_tier: Option<String>,
}

pub(super) fn open(options: &Options) -> Result<Box<dyn Destination>, Error> {
    let _ = options;
    todo!("object storage")
}
