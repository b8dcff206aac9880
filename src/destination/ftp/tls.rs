//! The TLS session that a control connection and its data connections share.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, NamedGroup};
use suppaftp::tokio::AsyncRustlsConnector;
use suppaftp::tokio_rustls::TlsConnector;

/// Tickets of one control connection that are kept.
const MAX_TICKETS: usize = 8;

/// What one control connection and its data connections are secured with. They share a session that nobody else has:
/// vsftpd and ProFTPD refuse a data connection that does not resume its control connection's.
pub(super) fn connector(config: &ClientConfig) -> (AsyncRustlsConnector, Arc<Session>) {
    let mut config = config.clone();
    let session = Arc::new(Session::default());
    config.resumption = Resumption::store(Arc::clone(&session) as _);
    (TlsConnector::from(Arc::new(config)).into(), session)
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
