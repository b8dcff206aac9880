//! What a client is answered.

use std::io::Read as _;

use segcast::origin::{Cors, Options};

use super::channel::{Channel, Server, body, options};
use super::client::{ask, curl, get, raw};

fn served() -> (Channel, Server) {
    let (mut channel, server) = Channel::serve(options(), &["hd", "sd"], false);
    for _ in 0..3 {
        channel.segment(0, body(100_000));
        channel.segment(1, body(10_000));
    }
    (channel, server)
}

#[tokio::test]
async fn the_stream_is_served_with_its_types_and_caching() {
    let (_channel, server) = served();
    let entry = get(server.address, "/index.m3u8").await;
    assert_eq!(entry.status, 200);
    assert_eq!(entry.header("content-type"), "application/vnd.apple.mpegurl");
    assert_eq!(entry.header("cache-control"), "no-cache");
    assert!(entry.text().contains("hd/index.m3u8") && entry.text().contains("sd/index.m3u8"));
    let media = get(server.address, "/hd/index.m3u8").await;
    assert!(
        media.text().contains("00003.ts") && media.text().contains("CAN-BLOCK-RELOAD=YES"),
        "{}",
        media.text()
    );
    let segment = get(server.address, "/hd/00003.ts?token=x").await;
    assert_eq!((segment.status, segment.header("content-type")), (200, "video/mp2t"));
    assert_eq!(segment.header("cache-control"), "max-age=31536000, immutable");
    assert_eq!(segment.body, body(100_000));
    assert!(!segment.header("date").is_empty());
}

#[tokio::test]
async fn what_is_known_is_not_sent_again() {
    let (mut channel, server) = served();
    for path in ["/index.m3u8", "/hd/index.m3u8", "/hd/00001.ts", "/"] {
        let first = get(server.address, path).await;
        let tag = first.header("etag").to_owned();
        let again = ask(server.address, "GET", path, &format!("If-None-Match: \"x\", W/{tag}\r\n")).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        assert_eq!(again.header("etag"), tag);
        assert_eq!(again.header("cache-control"), first.header("cache-control"));
        let other = ask(server.address, "GET", path, "If-None-Match: \"x\"\r\n").await;
        assert_eq!(other.status, 200);
    }
    let tag = get(server.address, "/hd/index.m3u8").await.header("etag").to_owned();
    channel.segment(0, body(10));
    let changed = ask(server.address, "GET", "/hd/index.m3u8", &format!("If-None-Match: {tag}\r\n")).await;
    assert_eq!(changed.status, 200);
}

#[tokio::test]
async fn parts_of_a_segment_are_sent_and_absurd_ranges_refused() {
    let (_channel, server) = served();
    let whole = body(10_000);
    let part =
        async |range: &str| ask(server.address, "GET", "/sd/00001.ts", &format!("Range: {range}\r\n")).await;
    for (range, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=9000-", 9000, 9999),
        ("bytes=-1", 9999, 9999),
        ("bytes=5-99999999999999999999999", 5, 9999),
    ] {
        let answer = part(range).await;
        assert_eq!(answer.status, 206, "{range}");
        assert_eq!(answer.header("content-range"), format!("bytes {first}-{last}/10000"));
        assert_eq!(answer.body, whole[first..=last]);
    }
    for range in ["bytes=10000-", "bytes=99999999999999999999999-", "bytes=2-1", "bytes=-0"] {
        let answer = part(range).await;
        assert_eq!((answer.status, answer.header("content-range")), (416, "bytes */10000"), "{range}");
    }
    for range in ["bytes=a-b", "chapters=1-2", "bytes=0-1,5-6"] {
        assert_eq!(part(range).await.status, 200, "{range}");
    }
    let url = format!("http://{}/sd/00001.ts", server.address);
    let answer = curl(&["-r", "10-19", &url]).await;
    assert_eq!((answer.status, &answer.body[..]), (206, &whole[10..20]));
}

#[tokio::test]
async fn head_tells_what_get_would() {
    let (_channel, server) = served();
    for path in ["/", "/index.m3u8", "/hd/index.m3u8", "/hd/00001.ts", "/status", "/none", "/healthz"] {
        let (head, get) = (ask(server.address, "HEAD", path, "").await, get(server.address, path).await);
        assert_eq!((head.status, head.body.len()), (get.status, 0), "{path}");
        for name in ["content-type", "etag", "cache-control", "accept-ranges"] {
            assert_eq!(head.header(name), get.header(name), "{path}");
        }
        if path != "/status" {
            assert_eq!(head.header("content-length"), get.body.len().to_string(), "{path}");
        }
    }
    let head = curl(&["-I", &format!("http://{}/hd/00001.ts", server.address)]).await;
    assert_eq!((head.status, head.header("content-length")), (200, "100000"));
}

#[tokio::test]
async fn playlists_are_compressed_for_those_who_take_it() {
    let (_channel, server) = served();
    for path in ["/hd/index.m3u8", "/", "/.segcast/page.js"] {
        let plain = get(server.address, path).await;
        let packed = ask(server.address, "GET", path, "Accept-Encoding: br, gzip\r\n").await;
        assert_eq!(packed.header("content-encoding"), "gzip", "{path}");
        assert_eq!(packed.header("vary"), "Accept-Encoding");
        assert_eq!(plain.header("vary"), "Accept-Encoding");
        assert_ne!(packed.header("etag"), plain.header("etag"));
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&packed.body[..]).read_to_end(&mut text).unwrap();
        assert_eq!(text, plain.body);
        let refused = ask(server.address, "GET", path, "Accept-Encoding: gzip;q=0\r\n").await;
        assert_eq!(refused.header("content-encoding"), "");
    }
    let segment = ask(server.address, "GET", "/hd/00001.ts", "Accept-Encoding: gzip\r\n").await;
    assert_eq!(segment.header("content-encoding"), "");
}

#[tokio::test]
async fn pages_of_other_sites_may_read_it_if_they_may() {
    let (_channel, server) = served();
    let answer = ask(server.address, "GET", "/index.m3u8", "Origin: https://a.example\r\n").await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let asked = "Origin: https://a.example\r\nAccess-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: range\r\n";
    let before = ask(server.address, "OPTIONS", "/hd/00001.ts", asked).await;
    assert_eq!(before.status, 204);
    assert!(before.header("access-control-allow-methods").contains("GET"));
    assert!(before.header("access-control-allow-headers").contains("Range"));

    let cors = Cors::Of(vec!["https://a.example".to_owned()]);
    let (_channel, server) = Channel::serve(Options { cors, ..options() }, &["hd"], false);
    for (origin, allowed) in [("https://a.example", "https://a.example"), ("https://b.example", "")] {
        let answer = ask(server.address, "GET", "/healthz", &format!("Origin: {origin}\r\n")).await;
        assert_eq!(answer.header("access-control-allow-origin"), allowed);
        assert!(answer.header("vary").contains("Origin"));
    }
}

#[tokio::test]
async fn nothing_else_is_here_and_nothing_leads_out() {
    let (_channel, server) = served();
    for path in [
        "/none",
        "/hd",
        "/hd/",
        "/hd/00009.ts",
        "/../Cargo.toml",
        "/hd/../index.m3u8",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc/passwd",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/hd/%00",
        "/hd%5c..%5c00001.ts",
        "/./index.m3u8",
    ] {
        assert_eq!(get(server.address, path).await.status, 404, "{path}");
    }
    for path in ["/%", "/%zz", "/%ff.ts"] {
        assert_eq!(get(server.address, path).await.status, 400, "{path}");
    }
    assert_eq!(get(server.address, "/hd%2F00001.ts").await.status, 200, "the same name, written otherwise");
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"] {
        let answer = ask(server.address, method, "/index.m3u8", "Content-Length: 0\r\n").await;
        assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD, OPTIONS"), "{method}");
    }
    let garbage = raw(server.address, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await;
    assert!(garbage.is_empty() || garbage.starts_with(b"HTTP/1.1 400"), "{garbage:?}");
}

#[tokio::test]
async fn http2_is_spoken_without_asking() {
    let (_channel, server) = served();
    let url = |path: &str| format!("http://{}{path}", server.address);
    let answer = curl(&["--http2-prior-knowledge", &url("/hd/00001.ts")]).await;
    assert_eq!((answer.status, answer.body.len()), (200, 100_000));
    let head = curl(&["--http2-prior-knowledge", "-I", &url("/hd/00001.ts")]).await;
    assert_eq!((head.status, head.header("content-length")), (200, "100000"));
}

#[tokio::test]
async fn a_client_that_keeps_its_connection_is_served_on_it() {
    let (_channel, server) = served();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for path in ["index.m3u8", "hd/index.m3u8", "hd/00001.ts", "none", "hd/00002.ts"] {
        let answer = client.get(format!("http://{}/{path}", server.address)).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), if path == "none" { 404 } else { 200 });
        answer.bytes().await.unwrap();
    }
    let metrics = get(server.address, "/metrics").await.text();
    let line = metrics.lines().find(|line| line.starts_with("segcast_origin_connections ")).unwrap();
    // The client's one and this request's own.
    assert_eq!(line, "segcast_origin_connections 2");
}

#[tokio::test]
async fn the_page_is_at_the_root_and_may_do_only_what_it_needs() {
    let (_channel, server) = served();
    let page = get(server.address, "/").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains(Options::PLAYER), "{policy}");
    assert!(!policy.contains("unsafe"));
    for (path, kind) in [("/.segcast/page.css", "text/css"), ("/.segcast/page.js", "text/javascript")] {
        let file = get(server.address, path).await;
        assert_eq!(file.status, 200);
        assert!(file.header("content-type").starts_with(kind));
    }
}

#[tokio::test]
async fn what_has_left_the_playlist_goes_in_time_and_memory_with_it() {
    let (mut channel, server) = Channel::serve(options(), &["hd"], true);
    let mut most = 0;
    for n in 0..100 {
        channel.segment(0, body(1000));
        let (count, _) = channel.stage.held();
        most = most.max(count);
        if n == 30 {
            // Six are in the playlist; those before stay for their own second and the playlist's six.
            assert_eq!(get(server.address, "/hd/00025.ts").await.status, 200);
            assert_eq!(get(server.address, "/hd/00020.ts").await.status, 200);
            assert_eq!(get(server.address, "/hd/00010.ts").await.status, 404);
            assert_eq!(get(server.address, "/hd/00031.0.ts").await.status, 200);
            assert_eq!(get(server.address, "/hd/00010.0.ts").await.status, 404);
        }
    }
    assert!(most <= 15 + 4 * 9, "{most} objects were held");
}
