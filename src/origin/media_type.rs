//! What an object is, by its name.

/// A media playlist or multivariant playlist (RFC 8216 §4).
pub const PLAYLIST: &str = "application/vnd.apple.mpegurl";
/// Sound alone in MP4.
pub const AUDIO_MP4: &str = "audio/mp4";
/// JSON.
pub const JSON: &str = "application/json";
/// Plain text.
pub const TEXT: &str = "text/plain; charset=utf-8";

/// The media type of what is at `key`.
pub fn of(key: &str) -> &'static str {
    let extension = key.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "m3u8" | "m3u" => PLAYLIST,
        "ts" => "video/mp2t",
        "mp4" | "m4s" | "m4v" | "cmfv" => "video/mp4",
        "m4a" | "cmfa" => AUDIO_MP4,
        "aac" => "audio/aac",
        "ac3" => "audio/ac3",
        "ec3" => "audio/eac3",
        "mp3" => "audio/mpeg",
        "vtt" => "text/vtt; charset=utf-8",
        "mpd" => "application/dash+xml",
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "json" => JSON,
        "txt" => TEXT,
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        _ => "application/octet-stream",
    }
}

/// Whether what is at `key` is a playlist: it changes, and is worth compressing.
pub fn is_playlist(key: &str) -> bool {
    of(key) == PLAYLIST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_type() {
        assert_eq!(of("720p/index.m3u8"), "application/vnd.apple.mpegurl");
        assert_eq!(of("a/b.c/7.TS"), "video/mp2t");
        assert_eq!(of("7.m4s"), "video/mp4");
        assert_eq!(of("nothing"), "application/octet-stream");
        assert!(is_playlist("a.m3u8") && !is_playlist("m3u8"));
    }
}
