//! What a key may be.

use super::{Error, Kind};

/// Whether `key` is a relative path that leads nowhere else. `what` is to be done with it, as in [`Error::new`].
///
/// # Errors
/// [`Kind::Invalid`] if it is not.
pub(super) fn check_key(what: &str, key: &str) -> Result<(), Error> {
    if is_inside(key) {
        return Ok(());
    }
    let source = format!("expected a relative path without empty parts, \".\" and \"..\", came {key:?}");
    Err(Error::new(Kind::Invalid, what, source.into()))
}

/// Whether `key` is a relative path that leads nowhere else.
pub(super) fn is_inside(key: &str) -> bool {
    key.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_leads_nowhere_else() {
        for key in ["a", "a/b.ts", ".a", "a..b/...", "a b/ü%2e"] {
            assert!(check_key("put it", key).is_ok(), "{key}");
        }
        for key in ["", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b"] {
            assert_eq!(check_key("put it", key).unwrap_err().kind(), Kind::Invalid, "{key}");
        }
    }
}
