//! Secrets that stand in URLs and options are not shown.

use std::borrow::Cow;

/// What stands in a secret's place.
pub(super) const HIDDEN: &str = "***";

/// Query parameters whose values are secret.
const PARAMETERS: [&str; 9] =
    ["passphrase", "password", "passwd", "pass", "token", "key", "secret", "signature", "sig"];

/// Schemes where what stands before the host is a user's name alone, and no secret.
const LOGIN_SCHEMES: [&str; 4] = ["ftp://", "ftps://", "sftp://", "scp://"];

/// ffmpeg options whose values are secret.
const OPTIONS: [&str; 7] =
    ["-headers", "-cookies", "-passphrase", "-password", "-decryption_key", "-cryptokey", "-srtp_in_params"];

/// Whether the value after this ffmpeg option is secret.
pub(super) fn is_option(option: &str) -> bool {
    OPTIONS.contains(&option)
}

/// `text` without the passwords of the URLs in it (`rtmp://user:***@host`) and without the values of query
/// parameters such as `passphrase`.
pub fn hide(text: &str) -> Cow<'_, str> {
    if !text.contains("://") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, url) = rest.split_at(at + 3);
        out.push_str(before);
        let end = url.find(ends_url).unwrap_or(url.len());
        let (url, after) = url.split_at(end);
        let is_user_public = LOGIN_SCHEMES.iter().any(|scheme| before.ends_with(scheme));
        hide_in_url(url, is_user_public, &mut out);
        rest = after;
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn ends_url(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\'' | '"' | '|' | '<' | '>' | '`')
}

/// Appends what follows a URL's `://`.
fn hide_in_url(url: &str, is_user_public: bool, out: &mut String) {
    let (authority, tail) = url.split_at(url.find(['/', '?', '#']).unwrap_or(url.len()));
    match authority.rsplit_once('@') {
        Some((userinfo, host)) => {
            match userinfo.split_once(':') {
                Some((user, _)) => {
                    out.push_str(user);
                    out.push(':');
                    out.push_str(HIDDEN);
                }
                None if is_user_public => out.push_str(userinfo),
                // A token, as some services have it.
                None => out.push_str(HIDDEN),
            }
            out.push('@');
            out.push_str(host);
        }
        None => out.push_str(authority),
    }
    let mut first = true;
    for part in tail.split_inclusive(['?', '&']) {
        let (pair, separator) = match part.strip_suffix(['?', '&']) {
            Some(pair) => (pair, &part[pair.len()..]),
            None => (part, ""),
        };
        match pair.split_once('=') {
            Some((name, _)) if !first && is_secret(name) => {
                out.push_str(name);
                out.push('=');
                out.push_str(HIDDEN);
            }
            _ => out.push_str(pair),
        }
        out.push_str(separator);
        first = false;
    }
}

/// Whether a query parameter is a secret by its name, or by the last word of it, as `X-Amz-Signature` is.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let word = name.rsplit('-').next().unwrap_or_default();
    PARAMETERS.contains(&name.as_str()) || PARAMETERS.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_hidden() {
        assert_eq!(hide("rtsp://me:s3c@ret@cam/1: refused"), "rtsp://me:***@cam/1: refused");
        assert_eq!(hide("ffmpeg -i 'https://token@h/x' -f null -"), "ffmpeg -i 'https://***@h/x' -f null -");
        assert_eq!(hide("sftp://me@host/a"), "sftp://me@host/a");
        assert_eq!(hide("a://u:p@h b://v:q@i"), "a://u:***@h b://v:***@i");
    }

    #[test]
    fn secret_parameters_are_hidden() {
        assert_eq!(
            hide("srt://h:9?mode=caller&passphrase=abcdefghij&latency=2"),
            "srt://h:9?mode=caller&passphrase=***&latency=2"
        );
        assert_eq!(hide("https://h/key=1?Token=x"), "https://h/key=1?Token=***");
        assert_eq!(hide("https://h/a?X-Amz-Signature=ab 'c'"), "https://h/a?X-Amz-Signature=*** 'c'");
    }

    #[test]
    fn other_text_stays_as_it_is() {
        for text in ["me@host:/file", "udp://239.0.0.1:1234?fifo_size=1", "://", "a:// b", "http://h/é?ü&"]
        {
            assert_eq!(hide(text), text);
        }
    }
}
