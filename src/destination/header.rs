//! What is said of an object beside its bytes.

use std::fmt;

/// Headers of the objects at one destination, where its protocol has them.
#[derive(Clone, PartialEq, Eq)]
pub struct Headers {
    /// Cache-Control of playlists.
    pub playlist_cache_control: String,
    /// Cache-Control of everything else: a name is never reused for other content.
    pub segment_cache_control: String,
    /// Further ones, on every object. Their values may be secret.
    pub extra: Vec<(String, String)>,
}

impl Default for Headers {
    fn default() -> Self {
        Self {
            playlist_cache_control: "public, max-age=1".to_owned(),
            segment_cache_control: "public, max-age=31536000, immutable".to_owned(),
            extra: Vec::new(),
        }
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.extra.iter().map(|(name, _)| name).collect();
        f.debug_struct("Headers")
            .field("playlist_cache_control", &self.playlist_cache_control)
            .field("segment_cache_control", &self.segment_cache_control)
            .field("extra", &names)
            .finish()
    }
}

impl Headers {
    /// Cache-Control of the object at `key`.
    pub fn cache_control(&self, key: &str) -> &str {
        if is_playlist(key) { &self.playlist_cache_control } else { &self.segment_cache_control }
    }
}

/// Whether the object at `key` is a playlist: one that changes under its name.
pub fn is_playlist(key: &str) -> bool {
    extension(key).eq_ignore_ascii_case("m3u8")
}

/// Content-Type of the object at `key`, by its extension (RFC 8216 §4, RFC 3555 §4.2.7 and those of the formats).
pub fn content_type(key: &str) -> &'static str {
    match extension(key).to_ascii_lowercase().as_str() {
        "m3u8" => "application/vnd.apple.mpegurl",
        "ts" => "video/mp2t",
        "mp4" | "m4v" | "m4s" => "video/mp4",
        "m4a" => "audio/mp4",
        "aac" => "audio/aac",
        "vtt" => "text/vtt",
        "html" => "text/html; charset=utf-8",
        "json" => "application/json",
        _ => "application/octet-stream",
    }
}

fn extension(key: &str) -> &str {
    let name = key.rsplit('/').next().unwrap_or(key);
    name.rsplit_once('.').map_or("", |(_, extension)| extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_type_and_lifetime() {
        assert_eq!(content_type("a.b/index.M3U8"), "application/vnd.apple.mpegurl");
        assert_eq!(content_type("hd/00001.ts"), "video/mp2t");
        assert_eq!(content_type("a.ts/probe"), "application/octet-stream");
        let mut headers = Headers::default();
        headers.extra.push(("X-Api-Key".to_owned(), "hunter2".to_owned()));
        assert!(format!("{headers:?}").contains("X-Api-Key") && !format!("{headers:?}").contains("hunter2"));
        assert_eq!(headers.cache_control("hd/index.m3u8"), "public, max-age=1");
        assert!(headers.cache_control("hd/00001.ts").contains("immutable"));
    }
}
