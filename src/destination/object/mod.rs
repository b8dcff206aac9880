//! Object storage: S3 and what speaks its language, Google Cloud Storage, Azure Blob Storage.
//!
//! - [`Options`]: a bucket as it is configured.
//! - `store`: the bucket made ready, with credentials that are refreshed as they expire; `blob`: what Azure wants else.
//! - `describe`: Content-Type, Cache-Control, storage class, access list and further headers.
//! - `version`: conditional puts, of which a late one never comes over the one after it.
//! - `wire`: HTTP requests, and why one came to nothing; `trouble`: what to do about it.
//!
//! An object is put in one request, so it is seen whole or not at all. Nothing is tried again here but a request whose
//! connection was closed while it was idle.

mod blob;
mod describe;
mod store;
mod trouble;
mod version;
mod wire;

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use describe::Described;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use store::Store;
use trouble::Troubles;
use version::Versions;
use wire::Failure;

use super::key::check_key;
use super::{Destination, Error, Headers, Kind, MOST_GOT_BYTES, Pending, Secret, TOO_LARGE, Target, tls};
use crate::chunks::Chunks;

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

impl Options {
    /// What people call it; without secrets.
    fn url(&self) -> String {
        Target::Object(self.clone()).to_string()
    }
}

pub(super) fn open(options: &Options) -> Result<Box<dyn Destination>, Error> {
    tls::provider();
    let described = Described::new(options)?;
    let troubles = Troubles::new(options);
    let store = Store::new(options, &described).map_err(|error| troubles.about_options(&error))?;
    let bucket = Bucket {
        options: options.clone(),
        described,
        store,
        versions: Versions::default(),
        troubles,
        is_known: AtomicBool::new(false),
    };
    Ok(Box::new(bucket))
}

/// A bucket.
struct Bucket {
    options: Options,
    described: Described,
    store: Store,
    versions: Versions,
    troubles: Troubles,
    /// Whether we have known who we are there.
    is_known: AtomicBool,
}

impl Bucket {
    /// Where the object at `key` is.
    fn path(&self, key: &str) -> Result<Path, Error> {
        let what = format!("use {}/{key}", self.options.url());
        check_key(&what, key)?;
        let slash = if self.options.prefix.is_empty() { "" } else { "/" };
        // Taken as it is: what a URL cannot hold is escaped when it is sent.
        Path::parse(format!("{}{slash}{key}", self.options.prefix))
            .map_err(|error| Error::new(Kind::Invalid, what, error.into()))
    }

    /// Where the object at `key` is, once we know who we are.
    async fn ready(&self, key: &str) -> Result<Path, Error> {
        let path = self.path(key)?;
        match self.store.log_in().await {
            Ok(()) => {
                self.is_known.store(true, Ordering::Relaxed);
                Ok(path)
            }
            Err(error) => Err(self.troubles.about_login(&error, self.is_known.load(Ordering::Relaxed))),
        }
    }

    async fn put_now(&self, key: &str, body: Chunks) -> Result<(), Error> {
        let path = self.ready(key).await?;
        let payload = body.slices().iter().cloned().collect();
        let attributes = self.described.of(&self.options, key);
        let put = self.versions.put(&self.store, &version::Object { path, payload, attributes }).await;
        put.map_err(|error| self.troubles.about("put", key, &error))
    }

    async fn delete_now(&self, key: &str) -> Result<(), Error> {
        let path = self.ready(key).await?;
        let deleted = self.versions.delete(&self.store, &path).await;
        let deleted = deleted.or_else(|error| if is_absent(&error) { Ok(()) } else { Err(error) });
        deleted.map_err(|error| self.troubles.about("delete", key, &error))
    }

    async fn get_now(&self, key: &str) -> Result<Option<Bytes>, Error> {
        let path = self.ready(key).await?;
        let got = async {
            let got = self.store.reader.get(&path).await?;
            // The length is the answer's own: there is no more of it to come.
            if got.meta.size > MOST_GOT_BYTES as u64 { Ok(None) } else { got.bytes().await.map(Some) }
        };
        match got.await {
            Ok(Some(bytes)) => Ok(Some(bytes)),
            Ok(None) => {
                let what = format!("get {}/{key}", self.options.url());
                Err(Error::new(Kind::Invalid, what, TOO_LARGE.into()))
            }
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(self.troubles.about("get", key, &error)),
        }
    }
}

/// Whether the object is not there, while its bucket is as far as the service says.
fn is_absent(error: &object_store::Error) -> bool {
    match Failure::answer(error) {
        Some(answer) => {
            answer.status == 404 && !matches!(answer.code.as_str(), "NoSuchBucket" | "ContainerNotFound")
        }
        None => matches!(error, object_store::Error::NotFound { .. }),
    }
}

impl Destination for Bucket {
    fn name(&self) -> String {
        self.options.url()
    }

    fn put(&self, key: &str, body: Chunks) -> Pending<'_, ()> {
        let key = key.to_owned();
        Box::pin(async move { self.put_now(&key, body).await })
    }

    fn delete(&self, key: &str) -> Pending<'_, ()> {
        let key = key.to_owned();
        Box::pin(async move { self.delete_now(&key).await })
    }

    fn get(&self, key: &str) -> Pending<'_, Option<Bytes>> {
        let key = key.to_owned();
        Box::pin(async move { self.get_now(&key).await })
    }
}
