//! Alternative sound (RFC 8216 §4.3.4.1).

use std::fmt::{self, Write};

use super::{Error, attribute, uri};

/// EXT-X-MEDIA with TYPE=AUDIO: one choice of sound for the variants that name its group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendition {
    /// The group that it belongs to (GROUP-ID).
    pub group: String,
    /// What people call it; no two of a group have the same (NAME).
    pub name: String,
    /// What is spoken, as BCP 47 writes it (LANGUAGE).
    pub language: Option<String>,
    /// Whether it is played if nothing speaks for another (DEFAULT).
    pub is_default: bool,
    /// Whether players may choose it on their own, by language (AUTOSELECT); a default one says so always.
    pub is_autoselect: bool,
    /// How many channels there are, such as `2` (CHANNELS).
    pub channels: Option<String>,
    /// What sets it apart, as Uniform Type Identifiers with commas between them (CHARACTERISTICS).
    pub characteristics: Option<String>,
    /// Where its media playlist is; none if the sound is in the variants' own.
    pub uri: Option<String>,
}

impl Rendition {
    pub(super) fn write(&self, out: &mut String) -> fmt::Result {
        let (group, name) = (attribute::quoted(&self.group), attribute::quoted(&self.name));
        write!(out, "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID={group},NAME={name}")?;
        if let Some(language) = &self.language {
            write!(out, ",LANGUAGE={}", attribute::quoted(language))?;
        }
        let is_autoselect = self.is_autoselect || self.is_default;
        for (name, is_set) in [("DEFAULT", self.is_default), ("AUTOSELECT", is_autoselect)] {
            write!(out, ",{name}={}", if is_set { "YES" } else { "NO" })?;
        }
        if let Some(channels) = &self.channels {
            write!(out, ",CHANNELS={}", attribute::quoted(channels))?;
        }
        if let Some(characteristics) = &self.characteristics {
            write!(out, ",CHARACTERISTICS={}", attribute::quoted(characteristics))?;
        }
        if let Some(uri) = &self.uri {
            write!(out, ",URI={}", attribute::quoted(&uri::escape(uri)))?;
        }
        out.push('\n');
        Ok(())
    }

    /// None if it is something else than sound.
    pub(super) fn read(at: usize, text: &str) -> Result<Option<Self>, Error> {
        let list = attribute::List::parse(at, text)?;
        match list.get("TYPE") {
            Some("AUDIO") => {}
            Some(_) => return Ok(None),
            None => return Err(Error::new(at, "a TYPE attribute", text)),
        }
        let is_default = list.is_yes("DEFAULT")?;
        Ok(Some(Self {
            group: list.required("GROUP-ID", "a GROUP-ID attribute")?,
            name: list.required("NAME", "a NAME attribute")?,
            language: list.text("LANGUAGE"),
            is_default,
            is_autoselect: list.is_yes("AUTOSELECT")? || is_default,
            channels: list.text("CHANNELS"),
            characteristics: list.text("CHARACTERISTICS"),
            uri: list.text("URI"),
        }))
    }
}
