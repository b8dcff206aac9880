//! Azure's request to delete one blob. The crate below has only the one to delete many, in which emulators and accounts
//! differ, and whose answer hides why one was refused.

use object_store::azure::{AzureAuthorizer, AzureCredentialProvider};
use object_store::client::{HttpClient, HttpRequest, HttpRequestBody};
use object_store::path::Path;
use reqwest::{Method, Url};

/// The blobs of one container.
pub(super) struct Blobs {
    client: HttpClient,
    account: String,
    /// The container's address.
    url: Url,
    credentials: AzureCredentialProvider,
}

impl Blobs {
    /// The blobs of `container` at `service`, the account's address.
    ///
    /// # Errors
    /// If the address is none.
    pub fn new(
        client: HttpClient,
        account: &str,
        service: &str,
        container: &str,
        credentials: AzureCredentialProvider,
    ) -> object_store::Result<Self> {
        let mut url = Url::parse(service).map_err(generic)?;
        extend(&mut url, [container]);
        Ok(Self { client, account: account.to_owned(), url, credentials })
    }

    /// Deletes the blob at `path`.
    pub async fn delete(&self, path: &Path) -> object_store::Result<()> {
        let mut url = self.url.clone();
        extend(&mut url, path.as_ref().split('/'));
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = Method::DELETE;
        *request.uri_mut() = url.as_str().parse().map_err(|_| generic("a key that no URL can hold"))?;
        let credential = self.credentials.get_credential().await?;
        AzureAuthorizer::new(&credential, &self.account).try_authorize(&mut request)?;
        self.client.execute(request).await.map(drop).map_err(generic)
    }
}

/// Adds `segments` to the path of `url`, escaped as they need to be.
fn extend<'a>(url: &mut Url, segments: impl IntoIterator<Item = &'a str>) {
    // Only URLs without a host have no path, and no one can be reached there.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
}

fn generic(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> object_store::Error {
    object_store::Error::Generic { store: "Azure", source: source.into() }
}
