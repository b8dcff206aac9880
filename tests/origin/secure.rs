//! TLS, and who is let in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use segcast::destination::Secret;
use segcast::origin::{Auth, Options, Origin, Tls};
use segcast::playlist::Media;
use tempfile::TempDir;

use super::channel::{Channel, Server, body, options};
use super::client::{DEADLINE, ask, curl, get, written};

/// A certificate for localhost and its key, in a folder.
fn certificate(folder: &Path, name: &str) -> Tls {
    let (certificate, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Tls { certificate, key }
}

/// A channel behind TLS, and where the certificate stands that it is known by.
fn served_with_tls(folder: &Path) -> (String, Channel, Server) {
    let tls = certificate(folder, "one");
    let ca = tls.certificate.display().to_string();
    let (channel, server) = Channel::serve(Options { tls: Some(tls), ..options() }, &["hd"], true);
    (ca, channel, server)
}

#[tokio::test]
async fn https_speaks_both_versions() {
    let folder = TempDir::new().unwrap();
    let (ca, mut channel, server) = served_with_tls(folder.path());
    channel.segment(0, body(1_000_000));
    let url = |path: &str| format!("https://localhost:{}{path}", server.address.port());
    for version in ["--http1.1", "--http2"] {
        let answer = curl(&["--cacert", &ca, version, &url("/hd/00001.ts")]).await;
        assert_eq!((answer.status, answer.body.len()), (200, 1_000_000), "{version}");
    }
    let (one, other, format) = (url("/"), url("/hd/00001.ts"), "%{http_version} %{num_connects};");
    let spoken = ["--cacert", &ca, "-o", "/dev/null", "-o", "/dev/null", "-w", format, &one, &other];
    assert_eq!(written(&spoken).await, "2 1;2 0;", "ALPN, and one connection for both");
    // Who speaks in clear is not understood, and nobody else notices.
    let plain = super::client::raw(server.address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(!plain.starts_with(b"HTTP"));
    assert_eq!(curl(&["--cacert", &ca, &url("/healthz")]).await.status, 200);
}

/// As a cache before the origin asks.
#[tokio::test]
async fn held_requests_on_one_connection_are_all_answered() {
    let folder = TempDir::new().unwrap();
    let (ca, mut channel, server) = served_with_tls(folder.path());
    channel.segment(0, body(100_000));
    (0..2).for_each(|_| drop(channel.segment(0, body(10))));
    channel.open(0);
    let url = |path: &str| format!("https://localhost:{}{path}", server.address.port());
    let asked = url("/hd/index.m3u8?_HLS_msn=4&_HLS_part=0&n=[1-60]");
    let mut waiting = tokio::process::Command::new("curl");
    waiting.args(["-sS", "--fail", "--max-time", "20", "--cacert", &ca, "-Z", "--parallel-max", "100"]);
    waiting.args(["-w", "%{http_version} %{num_connects}\n", &asked, "-o"]).arg(folder.path().join("#1"));
    waiting.args([&url("/hd/00001.ts"), "-o"]).arg(folder.path().join("segment"));
    let waiting = tokio::spawn(async move { waiting.output().await.unwrap() });
    let deadline = Instant::now() + DEADLINE;
    while !curl(&["--cacert", &ca, &url("/metrics")]).await.text().contains("held_requests 60\n") {
        assert!(Instant::now() < deadline, "not all are held");
    }
    channel.part(0);
    let output = waiting.await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!((told.matches("2 0\n").count(), told.matches("2 1\n").count()), (60, 1), "{told}");
    for n in 1..=60 {
        let text = fs::read_to_string(folder.path().join(n.to_string())).unwrap();
        let media = Media::parse(&text).unwrap();
        assert_eq!(media.low_latency.open.unwrap().parts.len(), 1, "{text}");
    }
    assert_eq!(fs::metadata(folder.path().join("segment")).unwrap().len(), 100_000);
}

#[tokio::test]
async fn certificates_that_are_none_are_told() {
    let folder = TempDir::new().unwrap();
    let (one, other) = (certificate(folder.path(), "one"), certificate(folder.path(), "other"));
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let (empty, text) = (write("empty", ""), write("text", "hello"));
    let cut = fs::read_to_string(&one.certificate).unwrap();
    let cut = write("cut", &cut[..cut.len() / 2]);
    let none = folder.path().join("none");
    let told = |certificate: &PathBuf, key: &PathBuf| {
        let tls = Some(Tls { certificate: certificate.clone(), key: key.clone() });
        Origin::bind(Options { tls, ..options() }).unwrap_err().to_string()
    };
    for (certificate, key, what) in [
        (&none, &one.key, "cannot use the certificate in"),
        (&empty, &one.key, "expected PEM with -----BEGIN CERTIFICATE-----, came none"),
        (&text, &one.key, "expected PEM with -----BEGIN CERTIFICATE-----, came none"),
        (&cut, &one.key, "cannot use the certificate in"),
        (&one.key, &one.key, "expected PEM with -----BEGIN CERTIFICATE-----, came none"),
        (&one.certificate, &none, "cannot use the key in"),
        (&one.certificate, &text, "expected PEM with a private key"),
        (&one.certificate, &one.certificate, "expected PEM with a private key"),
        (&one.certificate, &other.key, "does not go with the certificate"),
    ] {
        let text = told(certificate, key);
        assert!(text.contains(what), "{text}");
    }
}

#[tokio::test]
async fn only_those_who_know_are_let_in() {
    let auth = Auth::Basic { user: "me".to_owned(), password: Secret::new("hunter2") };
    let (mut channel, server) = Channel::serve(Options { auth: Some(auth), ..options() }, &["hd"], false);
    channel.segment(0, body(10));
    for path in ["/", "/index.m3u8", "/hd/00001.ts", "/status", "/metrics", "/none"] {
        let answer = get(server.address, path).await;
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(answer.header("www-authenticate"), "Basic realm=\"segcast\", charset=\"UTF-8\"");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
    }
    // Whoever balances load.
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(server.address, path).await.status, 200, "{path}");
    }
    assert_eq!(get(server.address, "/healthz").await.status, 200);
    assert_eq!(ask(server.address, "OPTIONS", "/index.m3u8", "").await.status, 204);
    let url = format!("http://{}/hd/00001.ts", server.address);
    assert_eq!(curl(&["-u", "me:hunter2", &url]).await.status, 200);
    assert_eq!(curl(&["-u", "me:hunter3", &url]).await.status, 401);

    let auth = Auth::Bearer(Secret::new("t0ken"));
    let (mut channel, server) = Channel::serve(Options { auth: Some(auth), ..options() }, &["hd"], false);
    channel.segment(0, body(10));
    let with = async |token: &str| {
        ask(server.address, "GET", "/index.m3u8", &format!("Authorization: {token}\r\n")).await
    };
    assert_eq!(with("Bearer t0ken").await.status, 200);
    let refused = with("Bearer wrong").await;
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, "Bearer realm=\"segcast\""));
    assert!(!refused.text().contains("t0ken"));
}
