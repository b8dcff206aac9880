//! TLS for the control connection and for the data connections that continue its session.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue, WebPkiServerVerifier,
};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, NamedGroup, RootCertStore,
    SignatureScheme,
};
use rustls_platform_verifier::Verifier;
use suppaftp::tokio::AsyncRustlsConnector;
use suppaftp::tokio_rustls::TlsConnector;

use super::super::{Error, Kind, tls};
use super::Options;

/// Tickets of one control connection that are kept.
const MAX_TICKETS: usize = 8;

/// How the server of `options` is known to be the right one: by the authorities in the file `ca`, by the system's
/// without one, or not at all.
pub(super) fn config(
    options: &Options,
    ca: Option<&std::path::Path>,
    is_insecure: bool,
) -> Result<ClientConfig, Error> {
    tls::provider();
    let verifier = if is_insecure {
        tracing::warn!("{}@{}: any certificate is taken, whoever's it is", options.user, options.host);
        Ok(Arc::new(Anyone(cryptography())) as Arc<dyn ServerCertVerifier>)
    } else if let Some(path) = ca {
        Known::new(tls::authorities(path)?).map(|known| Arc::new(known) as _)
    } else {
        Verifier::new(cryptography()).map(|system| Arc::new(system) as _).map_err(Into::into)
    };
    let verifier =
        verifier.map_err(|source| Error::new(Kind::Invalid, "find certificate authorities", source))?;
    Ok(ClientConfig::builder().dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// What one control connection and its data connections are secured with. They share a session that nobody else has:
/// vsftpd and ProFTPD refuse a data connection that does not resume its control connection's.
pub(super) fn connector(config: &ClientConfig) -> (AsyncRustlsConnector, Arc<Session>) {
    let mut config = config.clone();
    let session = Arc::new(Session::default());
    config.resumption = Resumption::store(Arc::clone(&session) as _);
    (TlsConnector::from(Arc::new(config)).into(), session)
}

fn cryptography() -> Arc<CryptoProvider> {
    CryptoProvider::get_default()
        .map_or_else(|| Arc::new(rustls::crypto::ring::default_provider()), Arc::clone)
}

/// The session of one control connection. TLS 1.2 resumes it as often as one likes, TLS 1.3 once with each ticket
/// (RFC 8446 §4.6.1); servers hand out a new one with each data connection, as a rule.
#[derive(Default)]
pub(super) struct Session(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    group: Option<NamedGroup>,
    tls12: Option<Tls12ClientSessionValue>,
    tickets: Vec<Tls13ClientSessionValue>,
    had_tickets: bool,
}

impl Session {
    /// Whether all tickets that the server has handed out are used up.
    pub fn is_used_up(&self) -> bool {
        self.with(|kept| kept.had_tickets && kept.tickets.is_empty())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Kept) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

impl ClientSessionStore for Session {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.with(|kept| kept.group = Some(group));
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.with(|kept| kept.group)
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.with(|kept| kept.tls12 = Some(value));
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.with(|kept| kept.tls12.clone())
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.with(|kept| kept.tls12 = None);
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.with(|kept| {
            if kept.tickets.len() == MAX_TICKETS {
                kept.tickets.remove(0);
            }
            kept.tickets.push(value);
            kept.had_tickets = true;
        });
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.with(|kept| kept.tickets.pop())
    }
}

/// Takes what the given authorities vouch for, and the given certificates themselves: many an FTP server's has no
/// authority but itself.
#[derive(Debug)]
struct Known {
    authorities: Arc<WebPkiServerVerifier>,
    certificates: Vec<CertificateDer<'static>>,
}

impl Known {
    fn new(
        certificates: Vec<CertificateDer<'static>>,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots.add(certificate.clone())?;
        }
        let authorities =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), cryptography()).build()?;
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
