//! What the kinds of destination that speak TLS have in common: whom they trust.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};
use rustls_platform_verifier::Verifier;

use super::{Error, Kind};

/// How rustls tells of a certificate that vouches for itself; it has no value of its own for that.
pub(super) const OWN_AUTHORITY: &str = "CaUsedAsEndEntity";

/// Makes ring this process's cryptography for TLS, unless it has one already.
pub(super) fn provider() {
    // One that is there already stays: whoever embeds us has chosen it.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// How the server `name` is known to be the right one: by the system's authorities, and beside them by the
/// certificates in the file `ca`; or not at all, which is warned of.
///
/// # Errors
/// If there are no authorities.
pub(super) fn config(name: &str, ca: Option<&Path>, is_insecure: bool) -> Result<ClientConfig, Error> {
    provider();
    let verifier: Arc<dyn ServerCertVerifier> = if is_insecure {
        tracing::warn!("{name}: any certificate is taken: whoever is on the way can read and change all");
        Arc::new(Anyone(cryptography()))
    } else {
        let certificates = ca.map(certificates).transpose()?.unwrap_or_default();
        let known = Known::new(certificates).map_err(|source| {
            Error::new(Kind::Invalid, format!("find certificate authorities for {name}"), source.into())
        })?;
        Arc::new(known)
    };
    Ok(ClientConfig::builder().dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

fn cryptography() -> Arc<CryptoProvider> {
    CryptoProvider::get_default()
        .map_or_else(|| Arc::new(rustls::crypto::ring::default_provider()), Arc::clone)
}

/// The certificates in the PEM file at `path`: one at least.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let invalid = |source: String| error(path, Kind::Invalid, source.into());
    let pem = std::fs::read(path).map_err(|source| unreadable(path, source))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|source| invalid(format!("it is not PEM: {source}")))?;
    if certificates.is_empty() {
        return Err(invalid("expected PEM with -----BEGIN CERTIFICATE-----, came none".to_owned()));
    }
    let mut roots = RootCertStore::empty();
    for (index, certificate) in certificates.iter().enumerate() {
        let added = roots.add(certificate.clone());
        added.map_err(|source| invalid(format!("certificate {} is none: {source}", index + 1)))?;
    }
    Ok(certificates)
}

fn unreadable(path: &Path, source: io::Error) -> Error {
    let kind = match source.kind() {
        io::ErrorKind::NotFound => Kind::Missing,
        io::ErrorKind::PermissionDenied => Kind::Refused,
        _ => Kind::Invalid,
    };
    error(path, kind, source.into())
}

fn error(path: &Path, kind: Kind, source: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::new(kind, format!("read the certificate authorities in {}", path.display()), source)
}

/// Takes what the system's authorities and the given ones vouch for, and the given certificates themselves: many a
/// server's has no authority but itself.
#[derive(Debug)]
struct Known {
    authorities: Verifier,
    certificates: Vec<CertificateDer<'static>>,
}

impl Known {
    fn new(certificates: Vec<CertificateDer<'static>>) -> Result<Self, TlsError> {
        let authorities = Verifier::new_with_extra_roots(certificates.iter().cloned(), cryptography())?;
        Ok(Self { authorities, certificates })
    }
}

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let verified = self.authorities.verify_server_cert(end_entity, intermediates, name, ocsp, now);
        match verified {
            // That it vouches for itself, or nobody for it, is all that is wrong with it.
            Err(TlsError::InvalidCertificate(
                CertificateError::Other(_) | CertificateError::UnknownIssuer,
            )) if self.certificates.iter().any(|known| known == end_entity) => {
                let end_entity = rustls::server::ParsedCertificate::try_from(end_entity)?;
                rustls::client::verify_server_name(&end_entity, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.authorities.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.authorities.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

/// Takes any certificate.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    /// An authority's certificate, of no use to anyone.
    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBezCCASGgAwIBAgIUGkFVwtmiRyktyGBZsRK6hvp6mmswCgYIKoZIzj0EAwIw
EjEQMA4GA1UEAwwHc2VnY2FzdDAgFw0yNjExMjMxOTUyNDZaGA8yMTI2MTAzMDE5
NTI0NlowEjEQMA4GA1UEAwwHc2VnY2FzdDBZMBMGByqGSM49AgEGCCqGSM49AwEH
A0IABOcubCShAmIPni9Z0tfIFoSSfYTCpFfz0KeBdiC5rpFMrhZbjgBxfR6CD/Yi
/VuceJseaa03cj52vi6zg4OTg5CjUzBRMB0GA1UdDgQWBBT+mrI3UwtGJPTiFoi0
LfUgEFkzoDAfBgNVHSMEGDAWgBT+mrI3UwtGJPTiFoi0LfUgEFkzoDAPBgNVHRMB
Af8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQDOpiMyjZKD0UJonenXHoT6aQdV
rgVZmtYa9oYglSfsHgIgcxbsL/eZsIj8bVun8rcWmYSvpDEx43KkmCDYRq9pfpw=
-----END CERTIFICATE-----
";

    fn read(text: &str) -> Result<usize, (Kind, String)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, text).unwrap();
        let read = certificates(&path).map(|certificates| certificates.len());
        read.map_err(|error| (error.kind(), error.source().unwrap().to_string()))
    }

    #[test]
    fn every_certificate_of_a_file_is_read() {
        let private = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert_eq!(read(CERTIFICATE), Ok(1));
        assert_eq!(read(&[CERTIFICATE, "a comment\n", private, CERTIFICATE].concat()), Ok(2));
    }

    #[test]
    fn what_is_no_authority_is_said() {
        let none = "expected PEM with -----BEGIN CERTIFICATE-----, came none";
        for text in ["", "a text", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            assert_eq!(read(text), Err((Kind::Invalid, none.to_owned())), "{text}");
        }
        let cut = &CERTIFICATE[..CERTIFICATE.len() - 30];
        assert!(read(cut).unwrap_err().1.starts_with("it is not PEM: "), "{:?}", read(cut));
        let other = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(read(other).unwrap_err().1.starts_with("certificate 1 is none: "), "{:?}", read(other));
    }

    #[test]
    fn a_file_that_is_not_there_is_said() {
        let error = certificates(Path::new("/nowhere/ca.pem")).unwrap_err();
        assert_eq!(error.kind(), Kind::Missing);
        assert_eq!(error.to_string(), "cannot read the certificate authorities in /nowhere/ca.pem");
    }
}
