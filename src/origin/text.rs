//! A text, ready to be sent.

use bytes::Bytes;
use hyper::header::HeaderValue;

use super::{coding, validator};

/// A text as it is, and compressed where that is smaller; each with its entity tag.
#[derive(Clone, Debug)]
pub struct Text {
    pub plain: (Bytes, HeaderValue),
    pub gzip: Option<(Bytes, HeaderValue)>,
}

impl Text {
    /// Makes `text` ready.
    pub fn new(text: impl Into<Bytes>) -> Self {
        let plain = text.into();
        let packed = coding::gzip(&plain);
        let gzip = packed.map(|packed| (packed, validator::of_text(&plain, "gzip")));
        let tag = validator::of_text(&plain, "");
        Self { plain: (plain, tag), gzip }
    }
}
