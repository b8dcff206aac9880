//! Keys, and the URIs that lead to them.

use super::run::Map;
use super::{Container, Options, Rendition};
use crate::playlist;

/// The URI by which the playlist at key `from` names what is at key `to`.
pub(super) fn reference(url_prefix: &str, from: &str, to: &str) -> String {
    if url_prefix.is_empty() {
        relative(from, to)
    } else {
        format!("{url_prefix}{}", playlist::encode_path(to))
    }
}

fn relative(from: &str, to: &str) -> String {
    let folders: Vec<&str> = folder(from).split('/').filter(|name| !name.is_empty()).collect();
    let names: Vec<&str> = to.split('/').collect();
    // The last name is the file's: it is never shared with a folder.
    let shared = folders.iter().zip(&names[..names.len() - 1]).take_while(|(a, b)| a == b).count();
    let up = "../".repeat(folders.len() - shared);
    up + &playlist::encode_path(&names[shared..].join("/"))
}

/// The key that `uri`, found in the playlist at key `from`, leads to; none if it leads elsewhere.
pub(super) fn key(url_prefix: &str, from: &str, uri: &str) -> Option<String> {
    if !url_prefix.is_empty() {
        return playlist::decode_path(uri.strip_prefix(&*playlist::escape(url_prefix))?);
    }
    let mut names: Vec<String> =
        folder(from).split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    for name in uri.split('/') {
        if name == ".." {
            names.pop()?;
        } else {
            names.push(playlist::decode_path(name)?);
        }
    }
    Some(names.join("/"))
}

/// The key that `uri`, found in a playlist of `rendition`, leads to, if that is one that the rendition would give, in
/// whichever container.
pub(super) fn own_key(options: &Options, rendition: &Rendition, uri: &str) -> Option<String> {
    let number = number(rendition, uri)?;
    let is_own =
        |key: &String| Container::ALL.iter().any(|one| *key == rendition.segment_key_as(number, *one));
    key(&options.url_prefix, &rendition.playlist, uri).filter(is_own)
}

/// The number in a segment's name, wherever it is said to lie, and whatever the segment is made of.
pub(super) fn number(rendition: &Rendition, uri: &str) -> Option<u64> {
    let name = playlist::decode_path(file(uri))?;
    let rest = name.strip_prefix(file(&rendition.segment_prefix))?;
    let digits = Container::ALL.iter().find_map(|container| rest.strip_suffix(container.extension()))?;
    let number = digits.parse().ok()?;
    (format!("{number:05}") == digits).then_some(number)
}

/// The map that `uri`, found in a playlist of `rendition`, names; its key only if the rendition would give it.
pub(super) fn map(options: &Options, rendition: &Rendition, uri: &str) -> Map {
    let key = key(&options.url_prefix, &rendition.playlist, uri).filter(|key| {
        let rest = file(key).strip_prefix(file(&rendition.segment_prefix));
        let digits = rest.and_then(|rest| rest.strip_prefix("init-")?.strip_suffix(".mp4"));
        let digest = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        digest.is_some_and(|digest| *key == rendition.init_key(digest))
    });
    Map { key, uri: uri.to_owned() }
}

/// What stands before the last slash.
fn folder(key: &str) -> &str {
    key.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// What stands after the last slash.
fn file(key: &str) -> &str {
    key.rsplit_once('/').map_or(key, |(_, file)| file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_relative_to_the_playlist() {
        let cases = [
            ("720p/index.m3u8", "720p/00001.ts", "00001.ts"),
            ("index.m3u8", "720p/index.m3u8", "720p/index.m3u8"),
            ("lists/a.m3u8", "media/a b/1.ts", "../media/a%20b/1.ts"),
            ("a/b/c.m3u8", "a/1.ts", "../1.ts"),
            ("a.m3u8", "#1:2.ts", "%231%3A2.ts"),
        ];
        for (from, to, uri) in cases {
            assert_eq!(reference("", from, to), uri);
            assert_eq!(key("", from, uri).as_deref(), Some(to));
        }
    }

    #[test]
    fn a_prefix_stands_before_the_key() {
        let prefix = "http://host/my clips/";
        assert_eq!(reference(prefix, "x.m3u8", "a 1.ts"), "http://host/my clips/a%201.ts");
        assert_eq!(key(prefix, "x.m3u8", "http://host/my%20clips/a%201.ts").as_deref(), Some("a 1.ts"));
        assert_eq!(key(prefix, "x.m3u8", "http://elsewhere/a.ts"), None);
    }

    #[test]
    fn nothing_leads_above_the_root() {
        assert_eq!(key("", "720p/index.m3u8", "../../etc/passwd"), None);
    }

    #[test]
    fn maps_of_ours_have_keys() {
        let mut options = super::super::replay::options(super::super::Kind::Event, &["high"]);
        options.renditions[0].container = Container::Cmaf;
        let own = options.renditions[0].clone();
        let key = |uri: &str| map(&options, &own, uri).key;
        assert_eq!(key("init-00000000000000ab.mp4"), Some(own.init_key(0xab)));
        for foreign in [
            "init-ab.mp4",
            "../init-00000000000000ab.mp4",
            "http://h/init-00000000000000ab.mp4",
            "init-+0000000000000ab.mp4",
        ] {
            assert_eq!(key(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn numbers_are_read_from_our_names_only() {
        let rendition = Rendition { segment_prefix: "live/high-".to_owned(), ..Rendition::default() };
        assert_eq!(number(&rendition, &rendition.segment_key(7)), Some(7));
        assert_eq!(number(&rendition, "http://old/prefix/high-123456.ts"), Some(123_456));
        assert_eq!(number(&rendition, "high-00009.m4s"), Some(9));
        for foreign in
            ["high-7.ts", "low-00007.ts", "high-+0007.ts", "high-.ts", "high-99999999999999999999.ts"]
        {
            assert_eq!(number(&rendition, foreign), None, "{foreign}");
        }
    }
}
