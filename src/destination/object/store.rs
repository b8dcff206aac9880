//! A bucket made ready: whose it is, who we are there, and what is said of its objects.

use std::str::FromStr;
use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredentialProvider};
use object_store::azure::{AzureConfigKey, AzureCredentialProvider, MicrosoftAzureBuilder};
use object_store::client::{HttpConnector, StaticCredentialProvider};
use object_store::gcp::{GcpCredential, GcpCredentialProvider, GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::path::Path;
use object_store::{
    ClientOptions, HeaderMap, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutResult, RetryConfig,
};

use super::blob::Blobs;
use super::describe::Described;
use super::version::Object;
use super::wire::{CONNECT, Connector};
use super::{Azure, Encryption, Gcs, Options, S3, Service};

/// Where AWS's credentials are, in the environment or by it, and the region.
const AWS: [&str; 14] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_ENDPOINT_URL_STS",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_METADATA_ENDPOINT",
    "AWS_IMDSV1_FALLBACK",
];
/// Where Google's are.
const GOOGLE: [&str; 3] =
    ["GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_KEY"];
/// Where Azure's are.
const AZURE: [&str; 12] = [
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_TOKEN",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_TENANT_ID",
    "AZURE_AUTHORITY_HOST",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_MSI_ENDPOINT",
    "AZURE_USE_AZURE_CLI",
    "IDENTITY_ENDPOINT",
    "MSI_ENDPOINT",
];
/// The region of services that have none.
const REGION: &str = "us-east-1";

/// A bucket.
pub(super) struct Store {
    /// Sets headers of its own on what it puts.
    writer: Arc<dyn ObjectStore>,
    /// Gets, looks and deletes.
    pub reader: Arc<dyn ObjectStore>,
    login: Login,
    /// Deletes where the reader does not.
    blobs: Option<Blobs>,
    /// Whether a version is known by its number (Google) instead of its ETag.
    pub is_numbered: bool,
}

/// Who we are there.
enum Login {
    S3(AwsCredentialProvider),
    Gcs(GcpCredentialProvider),
    Azure(AzureCredentialProvider),
    Nobody,
}

impl Store {
    /// The bucket of `options`, whose objects get the headers in `described`.
    pub fn new(options: &Options, described: &Described) -> Result<Self, object_store::Error> {
        match &options.service {
            Service::S3(s3) => Self::s3(options, s3, &described.headers),
            Service::Gcs(gcs) => Self::gcs(options, gcs, &described.headers),
            Service::Azure(azure) => Self::azure(options, azure, &described.headers),
        }
    }

    fn s3(options: &Options, s3: &S3, headers: &HeaderMap) -> Result<Self, object_store::Error> {
        let client = client(options);
        let builder = s3_builder(options, s3, connector(HeaderMap::new())?);
        let reader = builder.clone().with_client_options(client.clone()).build()?;
        let credentials = Arc::clone(reader.credentials());
        let builder = builder.with_credentials(Arc::clone(&credentials));
        // These are signed, so they are set before the request is sent.
        let writer = builder.with_client_options(client.with_default_headers(headers.clone())).build()?;
        let (writer, reader) = (Arc::new(writer), Arc::new(reader));
        Ok(Self { writer, reader, login: Login::S3(credentials), blobs: None, is_numbered: false })
    }

    fn gcs(options: &Options, gcs: &Gcs, headers: &HeaderMap) -> Result<Self, object_store::Error> {
        let mut builder = GoogleCloudStorageBuilder::new()
            .with_bucket_name(&options.bucket)
            .with_client_options(client(options))
            .with_retry(no_retries())
            .with_http_connector(connector(headers.clone())?);
        if let Some(endpoint) = &options.endpoint {
            builder = builder.with_base_url(endpoint.trim_end_matches('/'));
        }
        let is_nobody = gcs.credentials.is_none() && options.endpoint.is_some();
        builder = match &gcs.credentials {
            Some(secret) if secret.expose().trim_start().starts_with('{') => {
                builder.with_service_account_key(secret.expose())
            }
            Some(secret) => builder.with_service_account_path(secret.expose()),
            None if is_nobody => {
                let nobody = GcpCredential { bearer: String::new() };
                builder
                    .with_skip_signature(true)
                    .with_credentials(Arc::new(StaticCredentialProvider::new(nobody)))
            }
            None => environment::<GoogleConfigKey>(&GOOGLE)
                .fold(builder, |builder, (key, value)| builder.with_config(key, value)),
        };
        let store = Arc::new(builder.build()?);
        let login = if is_nobody { Login::Nobody } else { Login::Gcs(Arc::clone(store.credentials())) };
        Ok(Self { writer: Arc::clone(&store) as _, reader: store, login, blobs: None, is_numbered: true })
    }

    fn azure(options: &Options, azure: &Azure, headers: &HeaderMap) -> Result<Self, object_store::Error> {
        let mut builder = MicrosoftAzureBuilder::new();
        builder = match (&azure.access_key, &azure.sas_token) {
            (Some(key), _) => builder.with_access_key(key.expose()),
            (None, Some(token)) => builder.with_config(AzureConfigKey::SasKey, token.expose()),
            (None, None) => environment::<AzureConfigKey>(&AZURE)
                .fold(builder, |builder, (key, value)| builder.with_config(key, value)),
        };
        if let Some(endpoint) = &options.endpoint {
            builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned());
        }
        let connector = connector(headers.clone())?;
        let store = builder
            .with_account(&azure.account)
            .with_container_name(&options.bucket)
            .with_client_options(client(options))
            .with_retry(no_retries())
            .with_http_connector(connector.clone())
            .build()?;
        let credentials = Arc::clone(store.credentials());
        let usual = format!("https://{}.blob.core.windows.net", azure.account);
        let service = options.endpoint.as_deref().unwrap_or(&usual);
        let http = connector.connect(&client(options))?;
        let blobs = Blobs::new(http, &azure.account, service, &options.bucket, Arc::clone(&credentials))?;
        let (store, login) = (Arc::new(store), Login::Azure(credentials));
        Ok(Self {
            writer: Arc::clone(&store) as _,
            reader: store,
            login,
            blobs: Some(blobs),
            is_numbered: false,
        })
    }

    /// Finds out who we are, unless that is known.
    pub async fn log_in(&self) -> object_store::Result<()> {
        match &self.login {
            Login::S3(provider) => provider.get_credential().await.map(drop),
            Login::Gcs(provider) => provider.get_credential().await.map(drop),
            Login::Azure(provider) => provider.get_credential().await.map(drop),
            Login::Nobody => Ok(()),
        }
    }

    /// Puts an object, once.
    pub async fn put(&self, object: &Object, mode: PutMode) -> object_store::Result<PutResult> {
        let options = PutOptions { mode, attributes: object.attributes.clone(), ..PutOptions::default() };
        self.writer.put_opts(&object.path, object.payload.clone(), options).await
    }

    /// Deletes an object.
    pub async fn delete(&self, path: &Path) -> object_store::Result<()> {
        match &self.blobs {
            Some(blobs) => blobs.delete(path).await,
            None => self.reader.delete(path).await,
        }
    }
}

fn s3_builder(options: &Options, s3: &S3, connector: Connector) -> AmazonS3Builder {
    let mut builder = AmazonS3Builder::new();
    let given = [
        (AmazonS3ConfigKey::AccessKeyId, &s3.access_key_id),
        (AmazonS3ConfigKey::SecretAccessKey, &s3.secret_access_key),
        (AmazonS3ConfigKey::Token, &s3.session_token),
    ];
    if s3.access_key_id.is_none() && s3.secret_access_key.is_none() {
        builder = environment::<AmazonS3ConfigKey>(&AWS)
            .fold(builder, |builder, (key, value)| builder.with_config(key, value));
    }
    for (key, secret) in given {
        if let Some(secret) = secret {
            builder = builder.with_config(key, secret.expose());
        }
    }
    if let Some(region) = s3.region.as_deref().or(options.endpoint.is_some().then_some(REGION)) {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_endpoint(endpoint_of(endpoint, &options.bucket, s3.is_virtual_hosted));
    }
    builder = encrypted(builder, s3.encryption.as_ref());
    builder
        .with_bucket_name(&options.bucket)
        .with_virtual_hosted_style_request(s3.is_virtual_hosted || stands_in_host(options))
        // TLS guards the bytes on their way. To sign them too, each would have to be read once more.
        .with_unsigned_payload(!is_plain(options))
        // One object at a time: not every service with S3's interface knows the request for many.
        .with_disable_bulk_delete(true)
        .with_retry(no_retries())
        .with_http_connector(connector)
}

fn encrypted(builder: AmazonS3Builder, encryption: Option<&Encryption>) -> AmazonS3Builder {
    let set = |builder: AmazonS3Builder, name: &str, value: &str| match name.parse() {
        Ok(key) => builder.with_config(key, value),
        Err(_) => builder,
    };
    match encryption {
        None => builder,
        Some(Encryption::S3) => set(builder, "aws_server_side_encryption", "AES256"),
        Some(Encryption::Kms(key)) => {
            let builder = set(builder, "aws_server_side_encryption", "aws:kms");
            match key {
                Some(key) => set(builder, "aws_sse_kms_key_id", key),
                None => builder,
            }
        }
    }
}

/// Where requests go: with the bucket before the host's name, if it stands there.
fn endpoint_of(endpoint: &str, bucket: &str, is_virtual_hosted: bool) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    match endpoint.split_once("://") {
        Some((scheme, host)) if is_virtual_hosted && !host.starts_with(&format!("{bucket}.")) => {
            format!("{scheme}://{bucket}.{host}")
        }
        _ => endpoint.to_owned(),
    }
}

/// Whether the bucket stands in the host's name without being asked to: at AWS itself, if the certificate covers it.
fn stands_in_host(options: &Options) -> bool {
    let is_label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    options.endpoint.is_none() && options.bucket.chars().all(is_label)
}

fn connector(headers: HeaderMap) -> Result<Connector, object_store::Error> {
    Connector::new(headers)
        .map_err(|source| object_store::Error::Generic { store: "HTTP", source: source.into() })
}

fn client(options: &Options) -> ClientOptions {
    // The caller knows how long an attempt may take.
    ClientOptions::new()
        .with_timeout_disabled()
        .with_connect_timeout(CONNECT)
        .with_allow_http(is_plain(options))
}

fn is_plain(options: &Options) -> bool {
    options.endpoint.as_ref().is_some_and(|url| url.to_ascii_lowercase().starts_with("http://"))
}

/// Whoever calls us tries again, and knows why.
fn no_retries() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

/// What the environment says under `names`.
fn environment<K: FromStr>(names: &[&str]) -> impl Iterator<Item = (K, String)> {
    names.iter().filter_map(|name| {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty())?;
        Some((name.to_ascii_lowercase().parse().ok()?, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_in_the_environment_is_known() {
        assert!(AWS.iter().all(|name| name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>().is_ok()));
        assert!(GOOGLE.iter().all(|name| name.to_ascii_lowercase().parse::<GoogleConfigKey>().is_ok()));
        assert!(AZURE.iter().all(|name| name.to_ascii_lowercase().parse::<AzureConfigKey>().is_ok()));
    }

    #[test]
    fn the_bucket_stands_where_it_is_wanted() {
        assert_eq!(endpoint_of("http://h:1/", "b", false), "http://h:1");
        assert_eq!(endpoint_of("http://h:1", "b", true), "http://b.h:1");
        assert_eq!(endpoint_of("https://b.h", "b", true), "https://b.h");
    }
}
