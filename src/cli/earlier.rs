//! What an earlier run of `segcast segment` left in a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use super::folder::{PLAYLIST, cannot};
use crate::live::{Container, Rendition};
use crate::playlist::{self, Media, Multivariant};

/// The most segments that a live stream is believed to have left behind its playlist.
const MOST_EXPIRED: u64 = 1000;

/// The playlists of an earlier run, and what they lead to.
#[derive(Debug, Default)]
pub struct Earlier {
    /// By their names.
    pub media: BTreeMap<String, Media>,
    /// What is called as this command calls segments and initializations, and the playlists of single tracks. There may
    /// be others of such names, which are somebody else's: these are named by a playlist.
    pub named: BTreeSet<String>,
}

impl Earlier {
    /// Reads what lies in `directory`, whose files are named after `prefix`.
    ///
    /// # Errors
    /// If something is there that cannot be read.
    pub fn read(directory: &Path, prefix: &str) -> anyhow::Result<Self> {
        let mut earlier = Self::default();
        let Some(text) = text(directory, PLAYLIST)? else { return Ok(earlier) };
        if let Ok(media) = Media::parse(&text) {
            earlier.add(PLAYLIST, media, prefix);
        } else if let Ok(multivariant) = Multivariant::parse(&text) {
            let variants = multivariant.variants.iter().map(|variant| &variant.uri);
            let sound = multivariant.audio.iter().filter_map(|rendition| rendition.uri.as_ref());
            let names = variants.chain(sound).filter_map(|uri| playlist::decode_path(uri));
            for name in names.filter(|name| is_playlist_of_track(name)) {
                if let Some(media) = self::text(directory, &name)?.and_then(|text| Media::parse(&text).ok()) {
                    earlier.add(&name, media, prefix);
                }
                earlier.named.insert(name);
            }
        }
        Ok(earlier)
    }

    fn add(&mut self, name: &str, media: Media, prefix: &str) {
        let maps = media.segments.iter().filter_map(|segment| segment.map.as_ref());
        let uris = media.segments.iter().map(|segment| &segment.uri).chain(maps);
        let names = uris.filter_map(|uri| playlist::decode_path(uri));
        self.named.extend(names.filter(|name| is_output_of(name, prefix)));
        self.media.insert(name.to_owned(), media);
    }

    /// What a live stream whose files are named as those of `rendition` had taken out of its playlist.
    pub fn expired(&self, rendition: &Rendition) -> BTreeSet<String> {
        let Some(media) = self.media.get(&rendition.playlist) else { return BTreeSet::new() };
        let names = Container::ALL.map(|container| Rendition { container, ..rendition.clone() });
        let is_shown = |names: &&Rendition| self.named.contains(&names.segment_key(media.media_sequence));
        let Some(names) = names.iter().find(is_shown) else { return BTreeSet::new() };
        let oldest = media.media_sequence.saturating_sub(MOST_EXPIRED);
        (oldest..media.media_sequence).map(|number| names.segment_key(number)).collect()
    }
}

/// The text of a playlist, if it is there.
fn text(directory: &Path, name: &str) -> anyhow::Result<Option<String>> {
    let path = directory.join(name);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(cannot("read", &path, &error)),
    }
}

/// Whether `name` is one that this command gives to the playlist of a track beside others.
fn is_playlist_of_track(name: &str) -> bool {
    let track = name.strip_suffix(".m3u8").unwrap_or_default();
    track == "video" || track.strip_prefix("audio-").is_some_and(is_number)
}

/// Whether `name` is one that this command gives to segments and initializations.
pub fn is_output_of(name: &str, prefix: &str) -> bool {
    let Some(rest) = name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-')) else { return false };
    let sound = rest.strip_prefix("audio-").and_then(|rest| rest.split_once('-'));
    let sound = sound.filter(|(number, _)| is_number(number)).map(|(_, rest)| rest);
    let rest = sound.or_else(|| rest.strip_prefix("video-")).unwrap_or(rest);
    if let Some(digest) = rest.strip_prefix("init-").and_then(|rest| rest.strip_suffix(".mp4")) {
        return digest.len() == 16 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    }
    let digits = Container::ALL.iter().find_map(|container| rest.strip_suffix(container.extension()));
    digits.is_some_and(|digits| digits.len() >= 5 && is_number(digits))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_ours() {
        let ours = [
            "movie-00012.ts",
            "movie-00012.m4s",
            "movie-video-00001.m4s",
            "movie-audio-12-123456.m4s",
            "movie-init-0123456789abcdef.mp4",
            "movie-audio-1-init-0123456789abcdef.mp4",
        ];
        for name in ours {
            assert!(is_output_of(name, "movie"), "{name}");
        }
        let others = [
            "movie-12.ts",
            "movie-0001x.ts",
            "../movie-00001.ts",
            "other-00001.ts",
            "movie-audio-x-00001.m4s",
            "movie-00001.mp4",
            "movie-init-0123.mp4",
        ];
        for name in others {
            assert!(!is_output_of(name, "movie"), "{name}");
        }
        assert!(is_playlist_of_track("video.m3u8") && is_playlist_of_track("audio-2.m3u8"));
        assert!(!is_playlist_of_track("audio-.m3u8") && !is_playlist_of_track("other.m3u8"));
    }
}
