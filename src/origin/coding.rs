//! gzip, and who takes it (RFC 9110 §12.5.3).

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Whether an Accept-Encoding header's value takes gzip.
pub fn takes_gzip(value: &[u8]) -> bool {
    let text = std::str::from_utf8(value).unwrap_or_default();
    let weight = |coding: &str| {
        let mut codings = text.split(',').map(|one| one.split(';').map(str::trim));
        codings.find_map(|mut one| {
            let is_it = one.next().is_some_and(|name| name.eq_ignore_ascii_case(coding));
            let q = one.find_map(|parameter| parameter.strip_prefix("q=").or(parameter.strip_prefix("Q=")));
            is_it.then(|| q.map_or(1.0, |q| q.parse().unwrap_or(0.0)))
        })
    };
    let all = || weight("*").unwrap_or(0.0);
    weight("gzip").or_else(|| weight("x-gzip")).unwrap_or_else(all) > 0.0
}

/// `text` compressed; none if that does not make it smaller.
pub fn gzip(text: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 2), Compression::fast());
    encoder.write_all(text).ok()?;
    let compressed = encoder.finish().ok()?;
    (compressed.len() < text.len()).then(|| compressed.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_takes_gzip_gets_it() {
        for yes in ["gzip", "deflate, gzip;q=0.5", "br;q=1.0,GZIP", "*", "x-gzip", "identity, *;q=0.1"] {
            assert!(takes_gzip(yes.as_bytes()), "{yes}");
        }
        for no in ["", "identity", "gzip;q=0", "*, gzip;q=0", "gzip;q=0.000", "br", "gzippy", "*;q=0"] {
            assert!(!takes_gzip(no.as_bytes()), "{no}");
        }
    }

    #[test]
    fn what_grows_is_left_alone() {
        assert!(gzip(b"x").is_none());
        assert!(gzip(&[b'x'; 1000]).unwrap().len() < 100);
    }
}
