//! m3u8: media and multivariant playlist values ⇄ text.
