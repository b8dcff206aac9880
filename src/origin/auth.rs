//! Who is let in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;
use subtle::ConstantTimeEq as _;

use crate::destination::Secret;

/// What clients must know to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// A user and a password (RFC 7617).
    Basic {
        /// The user.
        user: String,
        /// Its password.
        password: Secret,
    },
    /// A token (RFC 6750).
    Bearer(Secret),
}

impl Auth {
    /// Whether an Authorization header's value is the right one. How long that takes tells nothing but its length.
    pub fn is_met(&self, value: &[u8]) -> bool {
        let (scheme, credentials) = match value.iter().position(|byte| *byte == b' ') {
            Some(at) => (&value[..at], value[at..].trim_ascii()),
            None => (value, &[][..]),
        };
        match self {
            Self::Bearer(token) => {
                scheme.eq_ignore_ascii_case(b"bearer") && is_same(credentials, token.expose().as_bytes())
            }
            Self::Basic { user, password } => {
                let expected = format!("{user}:{}", password.expose());
                let came = STANDARD.decode(credentials).unwrap_or_default();
                scheme.eq_ignore_ascii_case(b"basic") && is_same(&came, expected.as_bytes())
            }
        }
    }

    /// What a client is asked for.
    pub const fn challenge(&self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Basic { .. } => "Basic realm=\"segcast\", charset=\"UTF-8\"",
            Self::Bearer(_) => "Bearer realm=\"segcast\"",
        })
    }
}

fn is_same(came: &[u8], expected: &[u8]) -> bool {
    came.ct_eq(expected).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_words_are_let_in() {
        let basic = Auth::Basic { user: "me".to_owned(), password: Secret::new("p:ä") };
        let right = format!("basic {}", STANDARD.encode("me:p:ä"));
        assert!(basic.is_met(right.as_bytes()));
        for wrong in ["", "Basic", "Basic !", "Bearer p:ä", "Basic bWU6cA=="] {
            assert!(!basic.is_met(wrong.as_bytes()), "{wrong}");
        }
        let bearer = Auth::Bearer(Secret::new("t0ken"));
        assert!(bearer.is_met(b"Bearer t0ken") && bearer.is_met(b"BEARER  t0ken "));
        assert!(
            !bearer.is_met(b"Bearer t0ke") && !bearer.is_met(b"Basic t0ken") && !bearer.is_met(b"Bearer ")
        );
        assert!(!format!("{basic:?}{bearer:?}").contains("t0ken"));
    }
}
