//! The origin's certificate.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::Error;

/// Where a certificate is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// PEM: the certificate, then those between it and an authority.
    pub certificate: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
}

impl Tls {
    /// Reads both and sees that they belong together.
    pub(super) fn config(&self) -> Result<Arc<ServerConfig>, Error> {
        let pem = read("certificate", &self.certificate)?;
        let chain: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let chain = chain.map_err(|why| fault("certificate", &self.certificate, why))?;
        if chain.is_empty() {
            return Err(fault(
                "certificate",
                &self.certificate,
                "expected PEM with -----BEGIN CERTIFICATE-----, came none",
            ));
        }
        let key = PrivateKeyDer::from_pem_slice(&read("key", &self.key)?)
            .map_err(|why| fault("key", &self.key, format!("expected PEM with a private key: {why}")))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
        let mut config = config.map_err(|why| {
            fault(
                "key",
                &self.key,
                format!("it does not go with the certificate in {}: {why}", self.certificate.display()),
            )
        })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|why| fault(what, path, why))
}

fn fault(what: &'static str, path: &Path, why: impl ToString) -> Error {
    Error::Tls { what, path: path.to_owned(), why: why.to_string() }
}
