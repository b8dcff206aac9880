//! What the kinds of destination that speak TLS have in common.

use std::io;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::{Error, Kind};

/// Makes ring this process's cryptography for TLS, unless it has one already.
pub(super) fn provider() {
    // One that is there already stays: whoever embeds us has chosen it.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The authorities in the PEM file at `path`: one at least.
///
/// # Errors
/// If the file cannot be read, or something in it is no authority's certificate.
pub(super) fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
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
        let read = authorities(&path).map(|certificates| certificates.len());
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
        let error = authorities(Path::new("/nowhere/ca.pem")).unwrap_err();
        assert_eq!(error.kind(), Kind::Missing);
        assert_eq!(error.to_string(), "cannot read the certificate authorities in /nowhere/ca.pem");
    }
}
