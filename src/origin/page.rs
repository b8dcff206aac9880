//! The page at `/`: the stream, and how the channel is doing.

use hyper::header::{self, HeaderMap, HeaderValue};

use super::reply::written;
use super::text::Text;

/// Where the page's own files are: no rendition is called so.
const STYLE: &str = ".segcast/page.css";
const SCRIPT: &str = ".segcast/page.js";

/// The page, ready to be sent.
#[derive(Debug)]
pub struct Page {
    html: Text,
    style: Text,
    script: Text,
    policy: HeaderValue,
}

impl Page {
    /// The page for a stream at `media_sites`, which is played by the script at `player` where need be.
    pub fn new(player: Option<&str>, media_sites: &[String]) -> Self {
        Self {
            html: Text::new(include_str!("page/index.html")),
            style: Text::new(include_str!("page/page.css")),
            script: Text::new(include_str!("page/page.js")),
            policy: written(policy(player, media_sites)),
        }
    }

    /// The file of the page at `key`, and its media type.
    pub fn file(&self, key: &str) -> Option<(&Text, &'static str)> {
        match key {
            "" => Some((&self.html, "text/html; charset=utf-8")),
            STYLE => Some((&self.style, "text/css; charset=utf-8")),
            SCRIPT => Some((&self.script, "text/javascript; charset=utf-8")),
            _ => None,
        }
    }

    /// Says what the page may do, and what other pages may do with it.
    pub fn guard(&self, headers: &mut HeaderMap) {
        headers.insert(header::CONTENT_SECURITY_POLICY, self.policy.clone());
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
}

/// What the page needs and no more: its own files, the player's script and worker, and the stream.
fn policy(player: Option<&str>, media_sites: &[String]) -> String {
    // What would end a directive has no place in an address.
    let is_plain = |text: &&str| !text.contains([';', ',', ' ', '\'', '"']) && text.is_ascii();
    let player = player.filter(is_plain).unwrap_or_default();
    let sites: String =
        media_sites.iter().filter(|site| is_plain(&site.as_str())).map(|site| format!(" {site}")).collect();
    format!(
        "default-src 'none'; script-src 'self' {player}; style-src 'self'; img-src 'self' data:; \
         connect-src 'self'{sites}; media-src 'self' blob:{sites}; worker-src blob:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'self'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_allows_the_player_and_nothing_that_breaks_out_of_it() {
        let text = policy(Some("https://player.example/hls.js@1"), &["https://cdn.example".to_owned()]);
        assert!(text.contains("script-src 'self' https://player.example/hls.js@1;"));
        assert!(text.contains("media-src 'self' blob: https://cdn.example;"));
        let text = policy(Some("https://x; script-src *"), &["a; b".to_owned()]);
        assert!(!text.contains('*') && !text.contains("a; b"));
    }

    #[test]
    fn the_page_asks_for_nothing_but_its_own_files() {
        let page = Page::new(None, &[]);
        let (html, _) = page.file("").unwrap();
        let html = std::str::from_utf8(&html.plain.0).unwrap();
        for file in [STYLE, SCRIPT] {
            assert!(html.contains(file) && page.file(file).is_some());
        }
        assert!(!html.contains("://") && !html.contains("style=") && !html.contains("onclick"));
    }
}
