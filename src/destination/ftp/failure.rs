//! Why a command came to nothing, and what to do about it.

use std::io;
use std::time::Duration;

use suppaftp::types::Response;
use suppaftp::{FtpError, Status};

use super::super::Kind;
use super::super::tls::OWN_AUTHORITY;
use super::super::words::one_line;

/// What to do where TLS is wanted.
const WANTS_TLS: &str = ": write ftps:// in its URL";
/// What to do where there is none.
const NO_TLS: &str = ": it offers no TLS; ftp:// goes without, but then the password can be read on the way";

/// Why a command came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The server answered, but not as was hoped for.
    #[error("{command} was answered with \"{text}\"{}", verdict(.command, *.code, .text).1)]
    Reply {
        /// The command's first word.
        command: &'static str,
        /// RFC 959 §4.2.
        code: u32,
        /// The whole answer, on one line.
        text: String,
    },
    /// The connection ended in the middle.
    #[error("the connection was lost at {command}")]
    Lost {
        /// The command's first word.
        command: &'static str,
        /// How it ended.
        source: io::Error,
    },
    /// No answer came.
    #[error("{command} was not answered within {}", humantime::format_duration(*.limit))]
    Silent {
        /// The command's first word.
        command: &'static str,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The server says that all is well, and has kept less than was sent.
    #[error("the upload was cut off on its way: {kept_bytes} of {sent_bytes} bytes arrived")]
    Cut {
        /// Bytes that were sent.
        sent_bytes: u64,
        /// Bytes that are there.
        kept_bytes: u64,
    },
    /// A connection was not made.
    #[error("no connection to {address}: {hint}")]
    Unreachable {
        /// Where it was to go.
        address: String,
        /// What to look at.
        hint: &'static str,
        /// Why it was not made.
        source: io::Error,
    },
    /// The host's name has no address.
    #[error("{host} does not resolve: is it written right?")]
    Unresolved {
        /// The name.
        host: String,
        /// What the resolver says.
        source: io::Error,
    },
    /// TLS was not agreed on.
    #[error("TLS at {command}: {text}{}", tls_hint(.text))]
    Tls {
        /// The command's first word.
        command: &'static str,
        /// What was wrong with it.
        text: String,
    },
    /// What was asked for can never go well.
    #[error("{0}")]
    Invalid(String),
}

impl Failure {
    /// What `error` says of `command`.
    pub fn new(command: &'static str, error: FtpError) -> Self {
        match error {
            FtpError::UnexpectedResponse(response) => {
                Self::Reply { command, code: code(&response), text: text(&response) }
            }
            FtpError::ConnectionError(source) if source.kind() == io::ErrorKind::InvalidInput => {
                Self::Invalid(format!("{command}: {source}"))
            }
            FtpError::ConnectionError(source) => Self::Lost { command, source },
            // It names itself first, and may do so twice.
            FtpError::SecureError(text) => {
                Self::Tls { command, text: text.trim_start_matches("Secure error: ").to_owned() }
            }
            other => Self::Lost { command, source: io::Error::new(io::ErrorKind::InvalidData, other) },
        }
    }

    /// What to do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Reply { command, code, text } => verdict(command, *code, text).0,
            Self::Lost { .. }
            | Self::Silent { .. }
            | Self::Cut { .. }
            | Self::Unreachable { .. }
            | Self::Unresolved { .. } => Kind::Transient,
            Self::Tls { text, .. } if text.contains("certificate") || text.contains("alert") => Kind::Refused,
            Self::Tls { .. } => Kind::Transient,
            Self::Invalid(_) => Kind::Invalid,
        }
    }

    /// Whether the server answered, and the connection goes on.
    pub fn is_answer(&self) -> bool {
        match self {
            Self::Reply { code, .. } => *code != 421,
            Self::Cut { .. } => true,
            _ => false,
        }
    }

    /// The command that was answered, if there was an answer.
    pub fn command(&self) -> Option<&'static str> {
        match self {
            Self::Reply { command, .. } => Some(command),
            _ => None,
        }
    }

    /// The answer's code, if there was an answer.
    pub fn code(&self) -> Option<u32> {
        match self {
            Self::Reply { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the server does not know the command, or has it switched off.
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Reply { code: 500 | 502 | 504, text, .. } if !text.contains("OOPS"))
    }

    /// Whether the answer speaks of rights.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Reply { text, .. } if is_denied(text))
    }
}

/// What is said of an answer to `command` that came as `bytes`.
pub(in crate::destination) fn answer(command: &'static str, bytes: &[u8]) -> String {
    let digits = bytes.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
    let status = digits.and_then(|digits| digits.parse::<u32>().ok()).map_or(Status::Unknown, Status::from);
    let failure = Failure::new(command, FtpError::UnexpectedResponse(Response::new(status, bytes.into())));
    format!("{failure} {:?} {}", failure.kind(), failure.is_answer())
}

/// The code of an answer, those that the library has no name for among them.
fn code(response: &Response) -> u32 {
    let named = response.status.code();
    if named != 0 {
        return named;
    }
    let digits = response.body.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// An answer on one line.
fn text(response: &Response) -> String {
    one_line(&String::from_utf8_lossy(&response.body))
}

/// What an answer means (RFC 959 §4.2, RFC 4217 §15), and what to do about it, to be told after it.
fn verdict(command: &str, code: u32, text: &str) -> (Kind, &'static str) {
    let is_login = matches!(command, "USER" | "PASS");
    let is_change = matches!(command, "STOR" | "MKD" | "RNFR" | "RNTO" | "DELE");
    match code {
        // vsftpd without TLS wants a login first.
        500..=504 | 530 | 534 if command == "AUTH TLS" => (Kind::Refused, NO_TLS),
        // The code is that of an unknown command: its own configuration is wrong.
        500 if text.contains("OOPS") => (Kind::Refused, ""),
        530 if has(text, &["maximum", "too many"]) => (Kind::Transient, ""),
        503 | 521 | 530 | 533 | 534 | 550 if is_login && has(text, &["encrypt", "tls", "ssl"]) => {
            (Kind::Refused, WANTS_TLS)
        }
        533 | 534 => (Kind::Refused, WANTS_TLS),
        332 | 430 | 503 | 530 if is_login => (Kind::Refused, ": are user and password right?"),
        332 | 430 | 530 | 532 => (Kind::Refused, ""),
        522 if has(text, &["reuse"]) => (Kind::Refused, ": set require_ssl_reuse=NO in its vsftpd.conf"),
        521 | 522 | 536 => (Kind::Refused, ""),
        552 => (Kind::Transient, ""),
        550 | 553 if has(text, &["space", "quota", "disk full", "in use", "being used", "busy"]) => {
            (Kind::Transient, "")
        }
        550 | 553 if is_denied(text) || command == "MKD" => {
            (Kind::Refused, if is_change { ": may this user write there?" } else { "" })
        }
        // The file was there a moment ago, and vsftpd gives no reason.
        550 if matches!(command, "RNFR" | "RNTO") => (Kind::Transient, ""),
        550 => (Kind::Missing, ""),
        501 | 502 | 504 | 553 => (Kind::Invalid, ""),
        500..=599 => (Kind::Refused, ""),
        _ => (Kind::Transient, ""),
    }
}

fn is_denied(text: &str) -> bool {
    // "Could not create file" is vsftpd's, whatever the reason.
    let words = [
        "permission",
        "denied",
        "not allowed",
        "read-only",
        "not permitted",
        "could not create",
        "privilege",
    ];
    has(text, &words)
}

fn has(text: &str, words: &[&str]) -> bool {
    let text = text.to_lowercase();
    words.iter().any(|word| text.contains(word))
}

fn tls_hint(text: &str) -> &'static str {
    if ["UnknownIssuer", "BadSignature", OWN_AUTHORITY].iter().any(|word| text.contains(word)) {
        ": if the server is the right one, give its authority's certificate, ca = \"…pem\""
    } else if text.contains("not valid for name") {
        ": write the host as its certificate names it"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(command: &'static str, body: &str) -> Failure {
        let status = body[..3].parse::<u32>().map_or(Status::Unknown, Status::from);
        Failure::new(command, FtpError::UnexpectedResponse(Response::new(status, body.into())))
    }

    #[test]
    fn an_answer_tells_what_to_do() {
        let cases = [
            ("PASS", "530 Login incorrect.", Kind::Refused),
            ("PASS", "530 Sorry, the maximum number of clients (3) are connected", Kind::Transient),
            ("USER", "421 Too many connections", Kind::Transient),
            ("STOR", "452 Insufficient storage", Kind::Transient),
            ("STOR", "552 Quota exceeded", Kind::Transient),
            ("STOR", "550 No space left on device.", Kind::Transient),
            ("STOR", "550 Permission denied.", Kind::Refused),
            ("STOR", "553 Could not create file.", Kind::Refused),
            ("DELE", "550 Not enough privileges.", Kind::Refused),
            ("STOR", "553 That name is not good", Kind::Invalid),
            ("STOR", "550 No such file or directory", Kind::Missing),
            ("STOR", "533 Protection level denied", Kind::Refused),
            ("EPSV", "999 What", Kind::Transient),
        ];
        for (command, body, kind) in cases {
            assert_eq!(answered(command, body).kind(), kind, "{command} {body}");
        }
    }

    #[test]
    fn a_command_that_the_server_lacks_is_told_from_one_that_failed() {
        for body in ["500 Command \"RNFR\" not understood.", "502 RNFR not implemented", "504 No"] {
            assert!(answered("RNFR", body).is_unsupported(), "{body}");
        }
        for body in ["550 No such file", "500 OOPS: cannot change directory", "450 Busy", "501 Bad name"] {
            assert!(!answered("RNFR", body).is_unsupported(), "{body}");
        }
    }

    #[test]
    fn an_answer_is_told_on_one_line_with_a_hint() {
        let failure =
            answered("USER", "530-Not like\r\n this\r\n530 Non-anonymous sessions must use encryption.\r\n");
        assert_eq!(
            failure.to_string(),
            "USER was answered with \"530-Not like this 530 Non-anonymous sessions must use encryption.\": \
             write ftps:// in its URL"
        );
        let failure = answered("STOR", "522 SSL connection failed; session reuse required");
        assert_eq!(failure.code(), Some(522));
        assert!(failure.to_string().ends_with("set require_ssl_reuse=NO in its vsftpd.conf"), "{failure}");
    }

    #[test]
    fn a_strange_certificate_is_refused_with_a_hint() {
        let error = FtpError::SecureError("Secure error: invalid peer certificate: UnknownIssuer".to_owned());
        let failure = Failure::new("AUTH", error);
        assert_eq!(failure.kind(), Kind::Refused);
        assert!(failure.to_string().starts_with("TLS at AUTH: invalid peer certificate"), "{failure}");
        assert!(failure.to_string().contains("ca = \"…pem\""), "{failure}");
    }
}
