//! FTP and FTPS: vsftpd, pyftpdlib and ProFTPD.

pub mod daemon;

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::RangeInclusive;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use segcast::chunks::Chunks;
use segcast::destination::ftp::{Options, Security};
use segcast::destination::{Destination, Error, Kind, Secret, Target};

use super::conformance::{View, conforms, said, text, withstands};
use super::proxy::Proxy;
use super::server::free_port;
use daemon::{Certificates, Daemon, Ftpd};

/// How long something may take that needs no time at all.
const SOON: Duration = Duration::from_secs(20);
/// Ports for data connections behind a proxy.
const PASSIVE: u16 = 40;

fn open(options: Options) -> Box<dyn Destination> {
    Target::Ftp(options).open().unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Ports for data connections that nobody listens on just now, below those that the system gives to clients.
pub fn free_ports() -> RangeInclusive<u16> {
    const LOWEST: u16 = 16_384;
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok();
    // Each test begins somewhere else, at ports that are no server's.
    let starts =
        std::iter::repeat_with(|| LOWEST + free_port().wrapping_mul(PASSIVE + 1) % (LOWEST - PASSIVE));
    let mut ranges = starts.take(1000).map(|start| start..=start + PASSIVE);
    ranges.find(|range| range.clone().all(|port| is_free(&port))).expect("there are so many ports free")
}

async fn is_conformant(kind: Daemon, is_tls: bool) {
    let ftpd = Ftpd::start(kind, is_tls, &[]);
    conforms(&Target::Ftp(ftpd.options()), &View::of_folder(ftpd.live())).await;
}

async fn is_steadfast(kind: Daemon, is_tls: bool) {
    let passive = free_ports();
    let (first, last) = (passive.start().to_string(), passive.end().to_string());
    let arguments = match kind {
        Daemon::Vsftpd => vec![format!("pasv_min_port={first}"), format!("pasv_max_port={last}")],
        Daemon::Pyftpdlib => vec!["--passive".to_owned(), first, last],
        Daemon::Proftpd => vec![format!("PassivePorts {first} {last}")],
    };
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let ftpd = Ftpd::start(kind, is_tls, &arguments);
    let proxy = Arc::new(Proxy::before_ftp(ftpd.server.as_ref().unwrap().address(), passive));
    let (host, port) = (proxy.address().ip().to_string(), proxy.address().port());
    let through = Target::Ftp(Options { host, port, ..ftpd.options() });
    withstands(&proxy, &through, &Target::Ftp(ftpd.options()), &View::of_folder(ftpd.live())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vsftpd_conforms() {
    is_conformant(Daemon::Vsftpd, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vsftpd_with_tls_conforms() {
    is_conformant(Daemon::Vsftpd, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pyftpdlib_conforms() {
    is_conformant(Daemon::Pyftpdlib, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pyftpdlib_with_tls_conforms() {
    is_conformant(Daemon::Pyftpdlib, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vsftpd_behind_a_bad_network_is_withstood() {
    is_steadfast(Daemon::Vsftpd, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vsftpd_with_tls_behind_a_bad_network_is_withstood() {
    is_steadfast(Daemon::Vsftpd, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pyftpdlib_behind_a_bad_network_is_withstood() {
    is_steadfast(Daemon::Pyftpdlib, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pyftpdlib_with_tls_behind_a_bad_network_is_withstood() {
    is_steadfast(Daemon::Pyftpdlib, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn proftpd_conforms() {
    is_conformant(Daemon::Proftpd, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn proftpd_with_tls_conforms() {
    is_conformant(Daemon::Proftpd, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn proftpd_behind_a_bad_network_is_withstood() {
    is_steadfast(Daemon::Proftpd, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn proftpd_with_tls_behind_a_bad_network_is_withstood() {
    is_steadfast(Daemon::Proftpd, true).await;
}

const EVERY: [(Daemon, bool); 6] = [
    (Daemon::Vsftpd, false),
    (Daemon::Vsftpd, true),
    (Daemon::Pyftpdlib, false),
    (Daemon::Pyftpdlib, true),
    (Daemon::Proftpd, false),
    (Daemon::Proftpd, true),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_can_be_got_and_deleted() {
    for (kind, is_tls) in EVERY {
        let ftpd = Ftpd::start(kind, is_tls, &[]);
        let destination = ftpd.open();
        for round in 0..20 {
            let body = format!("{kind:?} {is_tls} {round}");
            let key = format!("a b/ü {}.ts", round % 3);
            destination.put(&key, text(&body)).await.unwrap_or_else(|error| panic!("{}", said(&error)));
            assert_eq!(destination.get(&key).await.unwrap().as_deref(), Some(body.as_bytes()), "{body}");
        }
        assert_eq!(names(&ftpd.live().join("a b")), ["ü 0.ts", "ü 1.ts", "ü 2.ts"]);
        destination.put("empty", Chunks::default()).await.unwrap();
        assert_eq!(destination.get("empty").await.unwrap().as_deref(), Some(&b""[..]));
        destination.delete("a b/ü 0.ts").await.unwrap();
        destination.delete("a b/ü 0.ts").await.unwrap();
        destination.delete("nowhere/x").await.unwrap();
        assert_eq!(destination.get("a b/ü 0.ts").await.unwrap(), None);
        assert_eq!(destination.get("nowhere/x").await.unwrap(), None);
    }
}

/// Sessions are resumed in another way than with TLS 1.3, and vsftpd demands it all the same.
#[tokio::test(flavor = "multi_thread")]
async fn tls_1_2_is_spoken_as_well() {
    let mut ftpd = Ftpd::new(Daemon::Vsftpd, true, &["debug_ssl=YES", "xferlog_enable=YES"]);
    ftpd.arguments
        .push(format!("vsftpd_log_file={}", ftpd.certificates.as_ref().unwrap().path("log").display()));
    ftpd.openssl = Some("openssl_conf=a\n[a]\nssl_conf=b\n[b]\nsystem_default=c\n[c]\nMaxProtocol=TLSv1.2\n");
    ftpd.restart();
    let destination = ftpd.open();
    for round in 0..10 {
        let key = format!("{round}.ts");
        destination.put(&key, text("x")).await.unwrap_or_else(|error| panic!("{}", said(&error)));
    }
    let log = fs::read_to_string(ftpd.certificates.as_ref().unwrap().path("log")).unwrap();
    assert!(log.contains("SSL version: TLSv1.2") && !log.contains("TLSv1.3"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_slices_arrive_in_order() {
    for (kind, is_tls) in EVERY {
        let ftpd = Ftpd::start(kind, is_tls, &[]);
        let buffer: Bytes = (0..4_000_000_u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
        let mut rest = buffer.clone();
        let mut parts = Vec::new();
        for length in [1, 188, 7, 65536, 1316, 3].into_iter().cycle() {
            parts.push(rest.split_to(rest.len().min(length)));
            if rest.is_empty() {
                break;
            }
        }
        let body: Chunks = parts.into_iter().collect();
        ftpd.open().put("many.ts", body).await.unwrap();
        assert_eq!(fs::read(ftpd.live().join("many.ts")).unwrap(), buffer, "{kind:?} {is_tls}");
    }
}

/// A task that has done much lately is told by the runtime that nothing is ready, so that others have their turn. A
/// command that is written just then stayed behind in the TLS session, and its answer was waited for in vain.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_task_sends_its_commands() {
    /// What a task may do before others have their turn.
    const TURN: usize = 128;
    let ftpd = Ftpd::tls(Daemon::Vsftpd);
    let destination = ftpd.open();
    for left in 0..24 {
        tokio::task::yield_now().await;
        for _ in left..TURN {
            tokio::task::coop::consume_budget().await;
        }
        let put = tokio::time::timeout(SOON / 2, destination.put("a.ts", text("x"))).await;
        let put = put.unwrap_or_else(|_| panic!("{left} left: no answer"));
        put.unwrap_or_else(|error| panic!("{left} left: {}", said(&error)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_refused_and_not_told() {
    for (kind, is_tls) in EVERY {
        let ftpd = Ftpd::start(kind, is_tls, &[]);
        let destination = open(Options { password: Secret::new("hunter2"), ..ftpd.options() });
        let error = destination.put("a", text("x")).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Refused, "{}", said(&error));
        let told = said(&error);
        assert!(told.contains("530") && told.contains("password right?"), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_authority_is_refused_with_a_hint() {
    for kind in [Daemon::Vsftpd, Daemon::Pyftpdlib, Daemon::Proftpd] {
        let ftpd = Ftpd::tls(kind);
        let other = Certificates::new();
        let strange = |ca| Options { security: Security::Tls { ca, is_insecure: false }, ..ftpd.options() };
        for options in [strange(Some(other.path("ca.pem"))), strange(None)] {
            let Ok(destination) = Target::Ftp(options).open() else {
                // A system without authorities.
                continue;
            };
            let error = destination.put("a", text("x")).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Refused, "{}", said(&error));
            assert!(said(&error).contains("ca = \"…pem\""), "{}", said(&error));
        }
        let insecure = Security::Tls { ca: None, is_insecure: true };
        open(Options { security: insecure, ..ftpd.options() }).put("a", text("x")).await.unwrap();
        // The server's own certificate will do as well.
        let itself = Security::Tls {
            ca: Some(ftpd.certificates.as_ref().unwrap().path("server.crt")),
            is_insecure: false,
        };
        open(Options { security: itself, ..ftpd.options() })
            .put("a", text("x"))
            .await
            .unwrap_or_else(|error| panic!("{}", said(&error)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_where_tls_is_wanted_is_refused_with_a_hint() {
    for kind in [Daemon::Vsftpd, Daemon::Pyftpdlib, Daemon::Proftpd] {
        let ftpd = Ftpd::tls(kind);
        let error = open(Options { security: Security::Plain, ..ftpd.options() })
            .put("a", text("x"))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Refused, "{}", said(&error));
        assert!(said(&error).contains("write ftps://"), "{}", said(&error));

        let plain = Ftpd::plain(kind);
        let security = Security::Tls { ca: None, is_insecure: true };
        let error = open(Options { security, ..plain.options() }).put("a", text("x")).await.unwrap_err();
        assert!(matches!(error.kind(), Kind::Refused | Kind::Invalid), "{}", said(&error));
        assert!(said(&error).contains("offers no TLS"), "{}", said(&error));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_there_is_said() {
    let ftpd = Ftpd::plain(Daemon::Pyftpdlib);
    let unknown = Options { host: "nowhere.invalid".to_owned(), ..ftpd.options() };
    let error = open(unknown).put("a", text("x")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Transient);
    assert!(said(&error).contains("nowhere.invalid does not resolve"), "{}", said(&error));

    let silent = Options { port: free_port(), ..ftpd.options() };
    let error = open(silent).put("a", text("x")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Transient);
    assert!(said(&error).contains("does the server run there"), "{}", said(&error));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_server_is_found_again() {
    for (kind, is_tls) in EVERY {
        let mut ftpd = Ftpd::start(kind, is_tls, &[]);
        let destination = ftpd.open();
        // Two connections are idle afterwards.
        let (one, two) = tokio::join!(destination.put("a", text("1")), destination.put("b", text("1")));
        one.and(two).unwrap();
        ftpd.restart();
        destination.put("a", text("2")).await.unwrap_or_else(|error| panic!("{kind:?}: {}", said(&error)));
        assert_eq!(fs::read(ftpd.live().join("a")).unwrap(), b"2");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_that_the_server_closed_is_replaced() {
    for kind in [Daemon::Vsftpd, Daemon::Pyftpdlib, Daemon::Proftpd] {
        let idle: &[&str] = match kind {
            Daemon::Vsftpd => &["idle_session_timeout=4"],
            Daemon::Pyftpdlib => &["--idle", "4"],
            Daemon::Proftpd => &["TimeoutIdle 4"],
        };
        let ftpd = Ftpd::start(kind, false, idle);
        let destination = ftpd.open();
        destination.put("a", text("1")).await.unwrap();
        let told = || format!("{kind:?}, {:?}: {}", connections_to(ftpd.port), ftpd.output());
        within(SOON, || connections_to(ftpd.port).is_empty(), told).await;
        destination.put("a", text("2")).await.unwrap_or_else(|error| panic!("{}", said(&error)));
        assert_eq!(fs::read(ftpd.live().join("a")).unwrap(), b"2");
    }
}

/// TCP connections to `port` on loopback that neither end has closed.
fn connections_to(port: u16) -> Vec<String> {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let remote = format!("0100007F:{port:04X}");
    let is_open = |line: &&str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        fields.get(2) == Some(&remote.as_str()) && fields.get(3) == Some(&"01")
    };
    table.lines().filter(is_open).map(str::to_owned).collect()
}

async fn until(holds: impl Fn() -> bool) {
    within(SOON, holds, String::new).await;
}

async fn within(limit: Duration, holds: impl Fn() -> bool, told: impl Fn() -> String) {
    let deadline = Instant::now() + limit;
    while !holds() {
        assert!(Instant::now() < deadline, "it does not come true: {}", told());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_used_again() {
    let ftpd = Ftpd::plain(Daemon::Pyftpdlib);
    let destination = ftpd.open();
    for round in 0..10 {
        destination.put(&format!("{round}.ts"), text("x")).await.unwrap();
    }
    assert_eq!(ftpd.output().matches("USER 'deploy' logged in").count(), 1, "{}", ftpd.output());
    drop(destination);
    until(|| connections_to(ftpd.port).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_hears_of_an_idle_connection() {
    let ftpd = Ftpd::plain(Daemon::Pyftpdlib);
    let destination = ftpd.open();
    destination.put("a", text("1")).await.unwrap();
    // Twice 25 seconds would be too late.
    within(Duration::from_secs(45), || ftpd.output().contains("NOOP"), || ftpd.output()).await;
    destination.put("a", text("2")).await.unwrap();
    // It may still be hearing of it; then another is made.
    assert!(ftpd.output().matches("USER 'deploy' logged in").count() <= 2, "{}", ftpd.output());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_from_the_root_or_from_the_login_folder() {
    let ftpd = Ftpd::start(Daemon::Pyftpdlib, false, &["--login-folder", "/home"]);
    let cases =
        [("/var/www", "var/www"), ("live", "home/live"), ("a b/c", "home/a b/c"), ("", "home"), ("/", "")];
    for (directory, place) in cases {
        let destination = open(Options { directory: directory.to_owned(), ..ftpd.options() });
        destination
            .put("deep/a.ts", text(directory))
            .await
            .unwrap_or_else(|error| panic!("{}", said(&error)));
        destination.put("a.ts", text(directory)).await.unwrap();
        for key in ["deep/a.ts", "a.ts"] {
            let path = ftpd.files.path().join(place).join(key);
            assert_eq!(fs::read(&path).unwrap(), directory.as_bytes(), "{}", path.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_was_taken_away_is_made_again() {
    for kind in [Daemon::Vsftpd, Daemon::Pyftpdlib, Daemon::Proftpd] {
        let ftpd = Ftpd::plain(kind);
        let destination = ftpd.open();
        destination.put("hd/a.ts", text("1")).await.unwrap();
        fs::remove_dir_all(ftpd.live()).unwrap();
        destination.put("hd/a.ts", text("2")).await.unwrap();
        assert_eq!(fs::read(ftpd.live().join("hd/a.ts")).unwrap(), b"2");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_be_written_is_refused() {
    let ftpd = Ftpd::start(Daemon::Vsftpd, false, &["anon_upload_enable=NO"]);
    let error = ftpd.open().put("a", text("x")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused, "{}", said(&error));
    assert!(said(&error).contains("may this user write there?"), "{}", said(&error));

    let ftpd = Ftpd::plain(Daemon::Vsftpd);
    let destination = open(Options { directory: "/forbidden".to_owned(), ..ftpd.options() });
    let error = destination.put("a", text("x")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused, "{}", said(&error));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_lead_outside_are_refused() {
    let ftpd = Ftpd::plain(Daemon::Pyftpdlib);
    let destination = ftpd.open();
    for key in ["", "/a", "a/../b", "..", "a//b", "a\r\nDELE b"] {
        assert_eq!(destination.put(key, text("x")).await.unwrap_err().kind(), Kind::Invalid, "{key:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_upload_leaves_nothing_under_the_name() {
    for (kind, is_tls) in EVERY {
        let ftpd = Ftpd::start(kind, is_tls, &[]);
        let destination = ftpd.open();
        destination.put("a.ts", text("before")).await.unwrap();
        let big: Chunks = std::iter::repeat_n(Bytes::from(vec![7; 1 << 20]), 400).collect();
        let is_begun = || names(&ftpd.live()).iter().any(|name| name.ends_with(".segcast-part"));
        tokio::select! {
            result = destination.put("a.ts", big) => panic!("it was not dropped in time: {result:?}"),
            () = until(is_begun) => {}
        }
        assert_eq!(fs::read(ftpd.live().join("a.ts")).unwrap(), b"before");
        destination.put("a.ts", text("after")).await.unwrap_or_else(|error| panic!("{}", said(&error)));
        assert_eq!(fs::read(ftpd.live().join("a.ts")).unwrap(), b"after");
        assert_eq!(names(&ftpd.live()), ["a.ts"], "{kind:?} {is_tls}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_run_left_is_swept() {
    for kind in [Daemon::Vsftpd, Daemon::Pyftpdlib, Daemon::Proftpd] {
        let ftpd = Ftpd::plain(kind);
        let folder = ftpd.live();
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
        for (name, seconds) in
            [(".old one.ts.1.segcast-part", 3600), (".young.ts.2.segcast-part", 0), ("b.ts", 3600)]
        {
            let file = fs::File::create(folder.join(name)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
        }
        ftpd.open().put("a.ts", text("x")).await.unwrap();
        assert_eq!(names(&folder), [".young.ts.2.segcast-part", "a.ts", "b.ts"], "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_without_new_commands_will_do() {
    let without = ["--without", "EPSV", "MLSD", "SIZE", "OPTS"];
    // The address that it tells is somebody else's.
    let ftpd =
        Ftpd::start(Daemon::Pyftpdlib, false, &[&without[..], &["--masquerade", "192.0.2.1"]].concat());
    let destination = ftpd.open();
    destination.put("a.ts", text("1")).await.unwrap_or_else(|error| panic!("{}", said(&error)));
    destination.put("a.ts", text("2")).await.unwrap();
    assert_eq!(destination.get("a.ts").await.unwrap().as_deref(), Some(&b"2"[..]));
    assert_eq!(destination.get("b.ts").await.unwrap(), None);
    destination.delete("b.ts").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_rename_over_nothing_will_do() {
    let ftpd = Ftpd::start(Daemon::Pyftpdlib, false, &["--renames-over-nothing"]);
    let destination = ftpd.open();
    for round in ["1", "2", "3"] {
        destination.put("a.ts", text(round)).await.unwrap_or_else(|error| panic!("{}", said(&error)));
        assert_eq!(fs::read(ftpd.live().join("a.ts")).unwrap(), round.as_bytes());
    }
    assert_eq!(names(&ftpd.live()), ["a.ts"]);
}

/// Servers that know no RNFR (500, 502) or no DELE, and those that know them and allow them to nobody (550).
const WITHOUT_RENAME: [&[&str]; 4] = [
    &["--without", "RNFR"],
    &["--without", "RNFR", "DELE", "SIZE"],
    &["--permissions", "elradmwMT"],
    &["--permissions", "elramwMT"],
];

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_refuse_rename_get_files_in_place() {
    let pyftpdlib = WITHOUT_RENAME.map(|arguments| (Daemon::Pyftpdlib, arguments));
    let others: [(Daemon, &[&str]); 3] = [
        (Daemon::Vsftpd, &["cmds_denied=RNFR,DELE"]),
        (Daemon::Proftpd, &["<Limit RNFR DELE>", "DenyAll", "</Limit>"]),
        // It renames new files, and puts none in the place of another.
        (Daemon::Pyftpdlib, &["--renames-over-nothing", "--permissions", "elrafmwMT"]),
    ];
    for (kind, arguments) in pyftpdlib.into_iter().chain(others) {
        let ftpd = Ftpd::start(kind, false, arguments);
        let destination = ftpd.open();
        for round in ["a long first text", "2", "3"] {
            let put = destination.put("hd/a.ts", text(round)).await;
            put.unwrap_or_else(|error| panic!("{kind:?} {arguments:?}: {}", said(&error)));
            assert_eq!(destination.get("hd/a.ts").await.unwrap().as_deref(), Some(round.as_bytes()));
        }
        let names = names(&ftpd.live().join("hd"));
        // Only where the second rename is the first to be refused, and delete as well, a file has to stay.
        let stays = usize::from(arguments.contains(&"--renames-over-nothing"));
        assert_eq!(names.len(), 1 + stays, "{kind:?} {arguments:?}: {names:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_renamed_before_is_not_written_to_in_place() {
    let mut ftpd = Ftpd::plain(Daemon::Pyftpdlib);
    let destination = ftpd.open();
    destination.put("a.ts", text("1")).await.unwrap();
    ftpd.arguments = vec!["--permissions".to_owned(), "elradmwMT".to_owned()];
    ftpd.restart();
    let error = destination.put("a.ts", text("2")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused, "{}", said(&error));
    assert_eq!(fs::read(ftpd.live().join("a.ts")).unwrap(), b"1");
    assert_eq!(names(&ftpd.live()), ["a.ts"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_delete_says_so_and_only_so() {
    for arguments in [&["--without", "DELE"][..], &["--permissions", "elrafmwMT"]] {
        let ftpd = Ftpd::start(Daemon::Pyftpdlib, false, arguments);
        let destination = ftpd.open();
        destination.put("a.ts", text("1")).await.unwrap_or_else(|error| panic!("{}", said(&error)));
        let error = destination.delete("a.ts").await.unwrap_err();
        assert_eq!(error.kind(), Kind::Refused, "{}", said(&error));
        assert_eq!(names(&ftpd.live()), ["a.ts"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_run_at_the_same_time() {
    for (kind, is_tls) in EVERY {
        let ftpd = Ftpd::start(kind, is_tls, &[]);
        let destination: Arc<dyn Destination> = ftpd.open().into();
        let puts: Vec<_> = (0..8)
            .map(|n| {
                let destination = destination.clone();
                tokio::spawn(async move {
                    for round in 0..10 {
                        destination.put(&format!("{n}/{round}.ts"), text(&format!("{n} {round}"))).await?;
                    }
                    Ok::<_, Error>(())
                })
            })
            .collect();
        for put in puts {
            put.await.unwrap().unwrap_or_else(|error| panic!("{kind:?} {is_tls}: {}", said(&error)));
        }
        for n in 0..8 {
            assert_eq!(names(&ftpd.live().join(n.to_string())).len(), 10);
        }
    }
}

#[tokio::test]
async fn its_name_is_its_url() {
    let ftpd = Ftpd::plain(Daemon::Pyftpdlib);
    let address = SocketAddr::from(([127, 0, 0, 1], ftpd.port));
    assert_eq!(ftpd.open().name(), format!("ftp://deploy@{address}/home/live"));
}
