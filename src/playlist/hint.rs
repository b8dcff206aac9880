//! What will be there soon (rfc8216bis §4.4.5.3).

use std::fmt::{self, Write};

use super::{Error, attribute, uri};

/// EXT-X-PRELOAD-HINT: what clients may ask for before it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// The next part, by its URI.
    Part(String),
    /// The next Media Initialization Section, by its URI.
    Map(String),
}

impl Hint {
    pub(super) fn write(&self, out: &mut String) -> fmt::Result {
        let (kind, uri) = match self {
            Self::Part(uri) => ("PART", uri),
            Self::Map(uri) => ("MAP", uri),
        };
        writeln!(out, "#EXT-X-PRELOAD-HINT:TYPE={kind},URI={}", attribute::quoted(&uri::escape(uri)))
    }

    /// None for a type that it does not know, as clients are to do.
    pub(super) fn read(at: usize, text: &str) -> Result<Option<Self>, Error> {
        let list = attribute::List::parse(at, text)?;
        let uri = list.required("URI", "a URI attribute")?;
        Ok(match list.get("TYPE") {
            Some("PART") => Some(Self::Part(uri)),
            Some("MAP") => Some(Self::Map(uri)),
            Some(_) => None,
            None => return Err(Error::new(at, "a TYPE attribute", text)),
        })
    }
}
