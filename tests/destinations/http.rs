//! HTTP: nginx with DAV, and a server that answers what it is told to.

mod script;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use segcast::chunks::Chunks;
use segcast::destination::http::{Auth, Options};
use segcast::destination::{Error, Headers, Kind, Secret, Target};
use tempfile::TempDir;

use self::script::{Reply, Script};
use crate::conformance::{View, body, conforms, open, said, text};
use crate::server::{Server, free_port, system};

/// How long something may take that takes no time as a rule.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn nginx_conforms_and_needs_its_collections_made() {
    let server = nginx("");
    conforms(&Target::Http(options(&server, "http")), &View::of_folder(files(&server))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_conforms_with_tls_and_a_password() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path(), "ca");
    password_file(folder.path());
    let server = start(folder, free_port(), "create_full_put_path on;", TLS_AND_PASSWORD);
    let target = Target::Http(Options {
        auth: Some(Auth::Basic("live".to_owned(), Secret::new("hunter2 ü"))),
        ca: Some(server.folder.path().join("ca.pem")),
        ..options(&server, "https")
    });
    conforms(&target, &View::of_folder(files(&server))).await;
}

#[tokio::test]
async fn a_folder_that_was_taken_away_is_made_again() {
    let server = nginx("");
    let destination = open(&Target::Http(Options {
        url: format!("http://{}/on/demand", server.address()),
        ..options(&server, "http")
    }));
    for round in 0..3 {
        for name in ["a/b/1.ts", "a/b/2.ts", "a/3.ts", "4.ts"] {
            destination.put(name, text(name)).await.unwrap();
            assert_eq!(std::fs::read_to_string(files(&server).join("on/demand").join(name)).unwrap(), name);
        }
        let gone = ["on/demand/a/b", "on/demand", "on"][round];
        std::fs::remove_dir_all(files(&server).join(gone)).unwrap();
    }
}

#[tokio::test]
async fn a_message_says_all_that_is_to_be_said() {
    let script = Script::new(|_| Reply::new("201 Created"));
    let mut options = script.options();
    options.url += "/live%20here";
    options.auth = Some(Auth::Bearer(Secret::new("t0ken")));
    options.headers.extra = vec![("X-Ring".to_owned(), "7".to_owned())];
    let destination = open(&Target::Http(options));
    let slices = body(5, 500_000, 1316);
    destination.put("ü/100% #1?.ts", slices.clone()).await.unwrap();
    destination.put("index.m3u8", Chunks::default()).await.unwrap();
    let heard = script.heard();
    assert_eq!(heard[0].line(), "PUT /live%20here/%C3%BC/100%25%20%231%3F.ts HTTP/1.1");
    assert_eq!(heard[0].body, slices.to_bytes());
    for (name, value) in [
        ("content-length", "500000"),
        ("content-type", "video/mp2t"),
        ("cache-control", "public, max-age=31536000, immutable"),
        ("authorization", "Bearer t0ken"),
        ("x-ring", "7"),
        ("user-agent", concat!("segcast/", env!("CARGO_PKG_VERSION"))),
    ] {
        assert_eq!(heard[0].header(name), Some(value), "{name}");
    }
    assert_eq!(heard[0].header("transfer-encoding"), None);
    assert_eq!(heard[1].header("content-length"), Some("0"));
    assert_eq!(heard[1].header("content-type"), Some("application/vnd.apple.mpegurl"));
    assert_eq!(heard[1].header("cache-control"), Some("public, max-age=1"));
    assert_eq!(heard[1].connection, 0, "the connection was not kept");
}

#[tokio::test]
async fn one_connection_serves_one_after_another() {
    let script = Script::new(|heard| match heard.method() {
        "GET" => Reply::new("200 OK").with_body("here it is"),
        "DELETE" => Reply::new("404 Not Found").with_body(&"nothing here ".repeat(1000)),
        _ => Reply::new("201 Created").with_body("<html>made</html>"),
    });
    let destination = open(&script.target());
    for n in 0..20 {
        destination.put(&format!("{n}.ts"), body(n, 100_000, 8000)).await.unwrap();
        assert_eq!(destination.get("a").await.unwrap().as_deref(), Some(&b"here it is"[..]));
        destination.delete("a").await.unwrap();
    }
    assert!(script.heard().iter().all(|heard| heard.connection == 0));
}

#[tokio::test]
async fn what_the_server_answers_is_understood() {
    let cases = [
        (
            "301 Moved Permanently\r\nLocation: https://u:pw@h/x?sig=s",
            Kind::Refused,
            "it is at https://h/x: ",
        ),
        ("401 Unauthorized", Kind::Refused, "check `user` and `password`, or `token`"),
        ("403 Forbidden", Kind::Refused, "does not allow PUT here"),
        ("404 Not Found", Kind::Missing, "MKCOL /live/ gave 404 Not Found"),
        ("405 Method Not Allowed", Kind::Invalid, "takes no PUT here: is WebDAV on"),
        ("413 Content Too Large", Kind::Invalid, "client_max_body_size"),
        ("429 Too Many Requests\r\nRetry-After: 7", Kind::Transient, "429"),
        ("501 Not Implemented", Kind::Invalid, "is WebDAV on"),
        ("503 Service Unavailable", Kind::Transient, "503 Service Unavailable"),
        ("507 Insufficient Storage", Kind::Transient, "disk is full"),
    ];
    for (status, kind, part) in cases {
        let script = Script::new(move |_| Reply::new(status));
        let mut options = script.options();
        options.url += "/live";
        let error = open(&Target::Http(options)).put("a.ts", text("x")).await.unwrap_err();
        let said = said(&error);
        assert_eq!(error.kind(), kind, "{said}");
        assert!(
            said.starts_with(&format!("cannot put http://127.0.0.1:{}/live/a.ts: ", script.port)),
            "{said}"
        );
        assert!(said.contains(part) && !said.contains("pw@") && !said.contains("sig="), "{said}");
        assert_eq!(error.retry_after(), status.contains("Retry").then(|| Duration::from_secs(7)));
    }
}

#[tokio::test]
async fn collections_are_made_from_the_innermost_on_and_outer_ones_left_alone() {
    for (there, lacks, asked) in [
        // The outermost may not be ours to ask for.
        (vec!["/live/", "/live/hd/"], "409 Conflict", vec!["/live/hd/x/"]),
        (vec!["/live/"], "409 Conflict", vec!["/live/hd/x/", "/live/hd/", "/live/hd/x/"]),
        (vec!["/live/"], "500 Internal Server Error", vec!["/live/hd/x/", "/live/hd/", "/live/hd/x/"]),
        (vec![], "403 Forbidden", vec!["/live/hd/x/", "/live/hd/", "/live/", "/live/hd/", "/live/hd/x/"]),
    ] {
        let there = std::sync::Mutex::new(there.into_iter().map(str::to_owned).collect::<Vec<_>>());
        let script = Script::new(move |heard| {
            let line = heard.line();
            let path = line.split(' ').nth(1).unwrap();
            let outer = &path[..=path.trim_end_matches('/').rfind('/').unwrap()];
            let mut there = there.lock().unwrap();
            let is_made = outer == "/" || there.iter().any(|one| one == outer);
            match heard.method() {
                "MKCOL" if there.iter().any(|one| one == path) => Reply::new("405 Method Not Allowed"),
                _ if !is_made => Reply::new(lacks),
                "MKCOL" => {
                    there.push(path.to_owned());
                    Reply::new("201 Created")
                }
                _ => Reply::new("201 Created"),
            }
        });
        let mut options = script.options();
        options.url += "/live";
        open(&Target::Http(options)).put("hd/x/a.ts", text("x")).await.unwrap();
        let heard = script.heard();
        let made = heard.iter().filter(|heard| heard.method() == "MKCOL");
        let made: Vec<_> = made.map(|heard| heard.line().split(' ').nth(1).unwrap()).collect();
        assert_eq!(made, asked, "{lacks}");
    }
}

#[tokio::test]
async fn a_server_without_collections_is_no_trouble() {
    let script = Script::new(|heard| match heard.method() {
        "MKCOL" => Reply::new("501 Not Implemented"),
        _ => Reply::new("200 OK"),
    });
    open(&script.target()).put("a/b/c.ts", text("x")).await.unwrap();
    assert_eq!(script.heard().len(), 1);
}

#[tokio::test]
async fn an_idle_connection_that_was_closed_is_no_error() {
    // Closed at once, without a word of it before.
    let script = Script::new(|_| Reply::new("201 Created").then_close());
    let destination = open(&script.target());
    for n in 0..200 {
        destination.put(&format!("{n}.ts"), body(n, 50_000, 8000)).await.unwrap_or_else(|error| {
            panic!("{n}: {}", said(&error));
        });
        destination.delete(&format!("{n}.ts")).await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_that_turns_out_dead_is_replaced_once() {
    // The close crosses the request: it was heard, and never answered.
    let script = Script::new(|heard| match heard.connection {
        0 if heard.nth > 0 => Reply::hang_up(),
        _ => Reply::new("201 Created"),
    });
    let destination = open(&script.target());
    for n in 0..3 {
        destination.put(&format!("{n}.ts"), body(n, 3_000_000, 64_000)).await.unwrap();
    }
    let connections: Vec<_> = script.heard().iter().map(|heard| heard.connection).collect();
    assert_eq!(connections, [0, 0, 1, 2]);

    let script = Script::new(|_| Reply::hang_up());
    let error = open(&script.target()).put("a.ts", text("x")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Transient, "{}", said(&error));
    assert_eq!(script.heard().len(), 1, "a new connection is no dead one");
}

#[tokio::test]
async fn a_server_that_was_restarted_is_no_error() {
    let mut server = nginx("");
    let destination = open(&Target::Http(options(&server, "http")));
    for n in 0..3 {
        destination.put(&format!("{n}.ts"), body(n, 200_000, 8000)).await.unwrap();
        let port = server.port;
        drop(server);
        let error = destination.put("none.ts", text("x")).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Transient);
        assert!(said(&error).contains("is the server running?"), "{}", said(&error));
        server = start(tempfile::tempdir().unwrap(), port, "", "");
    }
    destination.put("a/b.ts", text("after all")).await.unwrap();
}

#[tokio::test]
async fn a_put_that_is_dropped_ends_with_its_connection() {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let destination = open(&Target::Http(bare(format!("http://127.0.0.1:{port}"))));
    let size_bytes = 64 << 20;
    let put = destination.put("a.ts", body(1, size_bytes, 64_000));
    let accepted = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut first = [0; 1000];
        tokio::io::AsyncReadExt::read(&mut stream, &mut first).await.unwrap();
        stream
    };
    let mut stream = tokio::select! {
        result = put => panic!("nobody has answered: {result:?}"),
        stream = accepted => stream,
    };
    let mut rest = Vec::new();
    // Reset or at its end: either way, it has not come whole.
    let read = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest);
    drop(tokio::time::timeout(SOON, read).await.expect("the connection is still open"));
    assert!(rest.len() < size_bytes / 2, "{} bytes came after it was dropped", rest.len());
}

#[tokio::test]
async fn wrong_passwords_are_refused_and_not_told() {
    let folder = tempfile::tempdir().unwrap();
    password_file(folder.path());
    let server = start(folder, free_port(), "", PASSWORD);
    let wrong = [
        None,
        Some(Auth::Basic("live".to_owned(), Secret::new("hunter3"))),
        Some(Auth::Bearer(Secret::new("hunter4"))),
    ];
    for auth in wrong {
        let options = Options { auth, ..options(&server, "http") };
        let debug = format!("{options:?}");
        let destination = open(&Target::Http(options));
        for error in [
            destination.put("a.ts", body(1, 5_000_000, 64_000)).await.unwrap_err(),
            destination.get("a.ts").await.map(drop).unwrap_err(),
            destination.delete("a.ts").await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), Kind::Refused, "{}", said(&error));
            let text = format!("{debug} {} {error:?}", said(&error));
            assert!(!text.contains("hunter") && text.contains("check `user`"), "{text}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_said_at_once() {
    let of = |change: &dyn Fn(&mut Options)| {
        let mut options = bare("https://127.0.0.1:1/x".to_owned());
        change(&mut options);
        match Target::Http(options).open() {
            Ok(_) => panic!("it was taken"),
            Err(error) => (error.kind(), said(&error)),
        }
    };
    let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let cases: [(Kind, &str, (Kind, String)); 8] = [
        (Kind::Invalid, "it is no URL", of(&|options| options.url = "nothing".to_owned())),
        (Kind::Invalid, "expected http:// or https://", of(&|options| options.url = "ftp://h".to_owned())),
        (
            Kind::Invalid,
            "the token has",
            of(&|options| options.auth = Some(Auth::Bearer(Secret::new("hunter\n")))),
        ),
        (
            Kind::Invalid,
            "colon",
            of(&|options| options.auth = Some(Auth::Basic("a:b".to_owned(), Secret::new("hunter")))),
        ),
        (
            Kind::Invalid,
            "a value that",
            of(&|options| options.headers.extra = header("x-key", "hunter\r\nx: y")),
        ),
        (Kind::Invalid, "no name that", of(&|options| options.headers.extra = header("x key", "hunter"))),
        (
            Kind::Invalid,
            "not to be chosen",
            of(&|options| options.headers.extra = header("Content-Length", "3")),
        ),
        (Kind::Missing, "/nowhere/ca.pem", of(&|options| options.ca = Some("/nowhere/ca.pem".into()))),
    ];
    for (kind, part, (seen, said)) in cases {
        assert_eq!(seen, kind, "{said}");
        assert!(said.contains(part) && !said.contains("hunter"), "{part}: {said}");
    }
}

#[tokio::test]
async fn an_unknown_authority_is_refused_unless_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path(), "other");
    std::fs::rename(folder.path().join("other.pem"), folder.path().join("stranger.pem")).unwrap();
    certify(folder.path(), "ca");
    let server = start(folder, free_port(), "", TLS);
    let ca = |name: &str| Some(server.folder.path().join(name));
    let put = async |change: &dyn Fn(&mut Options)| {
        let mut options = options(&server, "https");
        change(&mut options);
        open(&Target::Http(options))
            .put("a.ts", text("x"))
            .await
            .map_err(|error| (error.kind(), said(&error)))
    };
    for (kind, said) in
        [put(&|_| ()).await.unwrap_err(), put(&|o| o.ca = ca("stranger.pem")).await.unwrap_err()]
    {
        assert_eq!(kind, Kind::Refused, "{said}");
        assert!(said.contains("ca = \"….pem\""), "{said}");
    }
    put(&|options| options.ca = ca("ca.pem")).await.unwrap();
    put(&|options| options.is_insecure = true).await.unwrap();

    let (kind, said) = put(&|options| {
        options.ca = ca("ca.pem");
        options.url = format!("https://localhost:{}", server.port);
    })
    .await
    .unwrap_err();
    assert_eq!(kind, Kind::Refused, "{said}");
    assert!(said.contains("for another name"), "{said}");

    let (kind, said) =
        put(&|options| options.url = format!("http://{}", server.address())).await.unwrap_err();
    assert_eq!(kind, Kind::Invalid, "{said}");

    let plain = nginx("");
    let (kind, said) =
        put(&|options| options.url = format!("https://{}", plain.address())).await.unwrap_err();
    assert_eq!(kind, Kind::Invalid, "{said}");
    assert!(said.contains("is it http://?"), "{said}");
}

#[tokio::test]
async fn a_limit_of_the_server_is_said() {
    let server = nginx("client_max_body_size 100k;");
    let destination = open(&Target::Http(options(&server, "http")));
    destination.put("small.ts", body(1, 90_000, 8000)).await.unwrap();
    for size_bytes in [200_000, 20_000_000] {
        let error = destination.put("a.ts", body(1, size_bytes, 64_000)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{size_bytes}: {}", said(&error));
        assert!(said(&error).contains("client_max_body_size"), "{}", said(&error));
    }
}

#[tokio::test]
async fn what_is_got_has_a_limit() {
    let server = nginx("");
    let destination = open(&Target::Http(options(&server, "http")));
    let file = |size| std::fs::write(files(&server).join("index.m3u8"), vec![b'#'; size]).unwrap();
    file(16 << 20);
    assert_eq!(destination.get("index.m3u8").await.unwrap().unwrap().len(), 16 << 20);
    file((16 << 20) + 1);
    let error = destination.get("index.m3u8").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(said(&error).ends_with("it is larger than 16 MiB"), "{}", said(&error));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said() {
    let put = async |url: &str| -> Error {
        open(&Target::Http(bare(url.to_owned()))).put("a.ts", text("x")).await.unwrap_err()
    };
    let error = put("http://nowhere.invalid/live").await;
    assert_eq!(error.kind(), Kind::Transient);
    let expected = "cannot put http://nowhere.invalid/live/a.ts: the name nowhere.invalid does not resolve: ";
    assert!(said(&error).starts_with(expected), "{}", said(&error));

    let address = format!("127.0.0.1:{}", free_port());
    let error = put(&format!("http://{address}")).await;
    assert_eq!(error.kind(), Kind::Transient);
    assert!(said(&error).contains(&format!("no connection to {address}: ")), "{}", said(&error));
}

/// nginx with DAV and `more` in its location; it makes no collections by itself.
fn nginx(more: &str) -> Server {
    start(tempfile::tempdir().unwrap(), free_port(), more, "")
}

const PASSWORD: &str = "auth_basic live; auth_basic_user_file passwords;";
pub const TLS: &str = "ssl_certificate server.pem; ssl_certificate_key server.key;";
const TLS_AND_PASSWORD: &str = "ssl_certificate server.pem; ssl_certificate_key server.key; \
                                auth_basic live; auth_basic_user_file passwords;";

/// nginx in `folder`, with `location` and `server` in the blocks of these names.
pub fn start(folder: TempDir, port: u16, location: &str, server: &str) -> Server {
    let path = folder.path();
    std::fs::create_dir_all(path.join("files")).unwrap();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary: String =
        temporary.iter().map(|name| format!("{name}_temp_path temporary/{name};\n")).collect();
    std::fs::create_dir_all(path.join("temporary")).unwrap();
    let ssl = if server.contains("ssl_") { "ssl" } else { "" };
    // A single process: it is the one that is killed, and it serves as whoever runs the test.
    let configuration = format!(
        "daemon off;
        master_process off;
        pid nginx.pid;
        error_log stderr;
        events {{ worker_connections 512; }}
        http {{
            access_log off;
            {temporary}
            types {{ application/vnd.apple.mpegurl m3u8; video/mp2t ts; }}
            client_max_body_size 0;
            server {{
                listen 127.0.0.1:{port} {ssl};
                root files;
                {server}
                location / {{ dav_methods PUT DELETE MKCOL COPY MOVE; {location} }}
            }}
        }}"
    );
    std::fs::write(path.join("nginx.conf"), configuration).unwrap();
    let mut command = Command::new(system("nginx"));
    command.args(["-e", "stderr", "-c", "nginx.conf", "-p"]).arg(path);
    Server::start(command, port, folder)
}

/// Where `server` keeps what is put.
pub fn files(server: &Server) -> PathBuf {
    server.folder.path().join("files")
}

fn options(server: &Server, scheme: &str) -> Options {
    bare(format!("{scheme}://{}", server.address()))
}

fn bare(url: String) -> Options {
    Options { url, auth: None, ca: None, is_insecure: false, headers: Headers::default() }
}

/// The user `live` with the password `hunter2 ü`.
fn password_file(folder: &Path) {
    std::fs::write(folder.join("passwords"), "live:{PLAIN}hunter2 ü\n").unwrap();
}

/// Makes an authority, `name`.pem, and a certificate for 127.0.0.1 by it.
pub fn certify(folder: &Path, name: &str) {
    let openssl = |arguments: &str| {
        let mut command = Command::new("openssl");
        command.args(arguments.split(' ')).current_dir(folder).stdin(Stdio::null());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    std::fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n").unwrap();
    openssl(&format!("req -x509 {key} -keyout {name}.key -out {name}.pem -subj /CN=segcast-{name} -days 2"));
    openssl(&format!("req {key} -keyout server.key -out server.csr -subj /CN=segcast-server"));
    openssl(&format!(
        "x509 -req -in server.csr -CA {name}.pem -CAkey {name}.key -CAcreateserial -out server.pem -days 2 \
         -extfile names"
    ));
}
