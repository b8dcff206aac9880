//! SFTP and SCP: OpenSSH.
//!
//! The user of the tests logs in with keys. What takes root is left out where the tests are not run by root: logging
//! in with a password, and an account that may use SFTP only. That is the account `segcast-test`, which
//! `tests/servers.sh` makes; these tests give it a random password.

mod daemon;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use segcast::chunks::Chunks;
use segcast::destination::ssh::{HostKey, Options, Protocol};
use segcast::destination::{Error, Kind, Secret, Target};
use tempfile::TempDir;

pub use self::daemon::Sshd;
use self::daemon::{keygen, whoami};
use crate::conformance::{View, conforms, open, said, text};

/// The account of the tests, and what it finds when it is logged in.
const ACCOUNT: &str = "segcast-test";
const ACCOUNT_ROOT: &str = "/var/lib/segcast-test";
const BOTH: [Protocol; 2] = [Protocol::Sftp, Protocol::Scp];

async fn put(options: Options) -> Result<(), Error> {
    open(&Target::Ssh(options)).put("a.ts", text("a")).await
}

/// It is refused, with all of `words` in the message.
#[track_caller]
fn check_refused(result: Result<(), Error>, words: &[&str]) {
    let error = result.unwrap_err();
    let said = said(&error);
    println!("{said}");
    assert_eq!(error.kind(), Kind::Refused, "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sftp_conforms() {
    let sshd = Sshd::start();
    let directory = sshd.files.path().join("a new/folder");
    let options = Options { directory: directory.display().to_string(), ..sshd.options(Protocol::Sftp) };
    conforms(&Target::Ssh(options), &View::of_folder(directory)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scp_conforms() {
    let sshd = Sshd::start();
    let directory = sshd.files.path().join("it's a/folder");
    let options = Options { directory: directory.display().to_string(), ..sshd.options(Protocol::Scp) };
    conforms(&Target::Ssh(options), &View::of_folder(directory)).await;
}

#[tokio::test]
async fn keys_of_every_kind_log_in() {
    let sshd = Sshd::start();
    for (name, kind) in [("ecdsa", "ecdsa"), ("rsa", "rsa")] {
        keygen(sshd.path(name).to_str().unwrap(), kind, "");
        fs::write(sshd.path("authorized_keys"), sshd.public(name)).unwrap();
        put(Options { private_key: Some(sshd.path(name)), ..sshd.options(Protocol::Sftp) }).await.unwrap();
    }
}

#[tokio::test]
async fn a_locked_key_takes_its_passphrase() {
    let sshd = Sshd::start();
    keygen(sshd.path("locked").to_str().unwrap(), "ed25519", "open sesame");
    fs::write(sshd.path("authorized_keys"), sshd.public("locked")).unwrap();
    let options = |passphrase: Option<&str>| Options {
        private_key: Some(sshd.path("locked")),
        passphrase: passphrase.map(Secret::new),
        ..sshd.options(Protocol::Sftp)
    };
    put(options(Some("open sesame"))).await.unwrap();
    check_refused(put(options(Some("hunter2"))).await, &["locked is not unlocked by the passphrase"]);
    check_refused(put(options(None)).await, &["is locked: give its passphrase"]);
    let absent = Options { private_key: Some("/no/key".into()), ..options(None) };
    check_refused(put(absent).await, &["cannot read the private key /no/key", "No such file"]);
}

#[tokio::test]
async fn a_refused_login_names_what_was_tried() {
    let sshd = Sshd::start();
    keygen(sshd.path("other").to_str().unwrap(), "ed25519", "");
    let options = Options { private_key: Some(sshd.path("other")), ..sshd.options(Protocol::Sftp) };
    check_refused(put(options).await, &["login of", "tried: the key", "other", "takes: publickey"]);
}

#[tokio::test]
async fn an_unknown_host_is_refused_or_written_down() {
    let sshd = Sshd::start();
    let known_hosts = sshd.path("new/known_hosts");
    let options = Options { known_hosts: Some(known_hosts.clone()), ..sshd.options(Protocol::Sftp) };
    let port = sshd.port.to_string();
    check_refused(put(options.clone()).await, &["ssh-keyscan -p", &port, "accept-new", "SHA256:"]);
    assert!(!known_hosts.exists());
    put(Options { host_key: HostKey::AcceptNew, ..options.clone() }).await.unwrap();
    let mode = fs::metadata(&known_hosts).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    put(options).await.unwrap();
    // As OpenSSH itself reads it.
    let mut keygen = Command::new("ssh-keygen");
    let found = keygen.args(["-F", &format!("[127.0.0.1]:{port}"), "-f"]).arg(&known_hosts).output().unwrap();
    assert!(found.status.success());
}

#[tokio::test]
async fn a_hashed_known_host_is_known() {
    let sshd = Sshd::start();
    let status = Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(sshd.path("known_hosts")).status();
    assert!(status.unwrap().success());
    let text = fs::read_to_string(sshd.path("known_hosts")).unwrap();
    assert!(text.starts_with("|1|"), "{text}");
    put(sshd.options(Protocol::Sftp)).await.unwrap();
}

#[tokio::test]
async fn a_changed_host_key_is_always_refused() {
    let sshd = Sshd::start();
    let known = format!("# a comment\n[127.0.0.1]:{} {}", sshd.port, sshd.public("user"));
    fs::write(sshd.path("known_hosts"), known).unwrap();
    for host_key in [HostKey::Strict, HostKey::AcceptNew] {
        let options = Options { host_key, ..sshd.options(Protocol::Sftp) };
        let file = sshd.path("known_hosts").display().to_string();
        check_refused(put(options).await, &["has changed", "line 2 of", &file, "ssh-keygen -R"]);
    }
}

#[tokio::test]
async fn folders_are_from_the_login_folder_too() {
    let sshd = Sshd::start();
    for protocol in BOTH {
        let folder = tempfile::tempdir_in(std::env::home_dir().unwrap()).unwrap();
        let name = folder.path().file_name().unwrap().to_str().unwrap();
        let directory = format!("{name}/live");
        put(Options { directory, ..sshd.options(protocol) }).await.unwrap();
        assert_eq!(fs::read(folder.path().join("live/a.ts")).unwrap(), b"a");
    }
}

#[tokio::test]
async fn a_server_that_was_restarted_is_no_error() {
    let mut sshd = Sshd::start();
    for protocol in BOTH {
        let destination = open(&Target::Ssh(sshd.options(protocol)));
        destination.put("a.ts", text("a")).await.unwrap();
        sshd.stop();
        let error = destination.put("a.ts", text("b")).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Transient, "{}", said(&error));
        sshd.run();
        destination.put("a.ts", text("c")).await.unwrap();
        sshd.stop();
        sshd.run();
        destination.put("a.ts", text("d")).await.unwrap();
        assert_eq!(fs::read(sshd.files.path().join("a.ts")).unwrap(), b"d");
    }
}

#[tokio::test]
async fn a_folder_that_was_taken_away_is_made_again() {
    let sshd = Sshd::start();
    for protocol in BOTH {
        let destination = open(&Target::Ssh(sshd.options(protocol)));
        destination.put("x/a.ts", text("a")).await.unwrap();
        fs::remove_dir_all(sshd.files.path().join("x")).unwrap();
        destination.put("x/a.ts", text("a")).await.unwrap();
        assert!(sshd.files.path().join("x/a.ts").exists());
    }
}

#[tokio::test]
async fn what_a_killed_run_left_is_swept() {
    let sshd = Sshd::start();
    for protocol in BOTH {
        let path = |name: &str| sshd.files.path().join(name);
        for (name, age) in [(".old.ts.0.segcast-part", 300), (".young.ts.0.segcast-part", 1), (".old", 300)] {
            let file = fs::File::create(path(name)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
        put(sshd.options(protocol)).await.unwrap();
        assert!(!path(".old.ts.0.segcast-part").exists(), "{protocol:?}");
        assert!(path(".young.ts.0.segcast-part").exists() && path(".old").exists(), "{protocol:?}");
    }
}

#[tokio::test]
async fn a_server_without_posix_rename_replaces_all_the_same() {
    let sshd = Sshd::with("Subsystem sftp internal-sftp -P posix-rename\n");
    let destination = open(&Target::Ssh(sshd.options(Protocol::Sftp)));
    for body in ["one", "two"] {
        destination.put("a.m3u8", text(body)).await.unwrap();
        assert_eq!(destination.get("a.m3u8").await.unwrap().as_deref(), Some(body.as_bytes()));
    }
    assert_eq!(fs::read_dir(sshd.files.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_file_in_the_way_of_a_folder_is_said() {
    let sshd = Sshd::start();
    fs::write(sshd.files.path().join("file"), "x").unwrap();
    for protocol in BOTH {
        let destination = open(&Target::Ssh(sshd.options(protocol)));
        let error = destination.put("file/a.ts", text("a")).await.unwrap_err();
        println!("{}", said(&error));
        assert!(said(&error).contains("file"), "{}", said(&error));
    }
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_said() {
    let sshd = Sshd::start();
    let error = put(Options { host: "nowhere.invalid".into(), ..sshd.options(Protocol::Sftp) }).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), Kind::Transient);
    assert!(said(&error).contains("does not resolve"), "{}", said(&error));
}

#[tokio::test]
async fn a_server_without_sftp_is_said() {
    let sshd = Sshd::with("");
    check_refused(put(sshd.options(Protocol::Sftp)).await, &["offers no SFTP", "scp://"]);
    put(sshd.options(Protocol::Scp)).await.unwrap();
}

/// What the environment says is seen in a process of its own: this test again, with it.
fn in_environment(sshd: &Sshd, variables: &[(&str, &Path)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "ssh::with_what_the_user_has", "--ignored", "--nocapture"]);
    command.env_remove("SSH_AUTH_SOCK").env("TEST_PORT", sshd.port.to_string());
    command.env("TEST_DIRECTORY", sshd.files.path()).env("HOME", sshd.folder.path());
    let output = command.envs(variables.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
#[ignore = "run by other tests, in an environment of theirs"]
async fn with_what_the_user_has() {
    let Ok(port) = std::env::var("TEST_PORT") else { return };
    let options = Options {
        protocol: Protocol::Sftp,
        host: "127.0.0.1".into(),
        port: port.parse().unwrap(),
        directory: std::env::var("TEST_DIRECTORY").unwrap(),
        user: whoami(),
        password: None,
        private_key: None,
        passphrase: None,
        known_hosts: None,
        host_key: HostKey::AcceptNew,
    };
    match put(options).await {
        Ok(()) => println!("put"),
        Err(error) => println!("{:?}: {}", error.kind(), said(&error)),
    }
}

#[test]
fn the_users_own_keys_are_tried() {
    let sshd = Sshd::start();
    let said = in_environment(&sshd, &[]);
    assert!(said.contains("Refused") && said.contains("no agent") && said.contains("no key in"), "{said}");
    // The same file is used by all that follow.
    assert!(sshd.path(".ssh/known_hosts").exists());
    fs::copy(sshd.path("user"), sshd.path(".ssh/id_ed25519")).unwrap();
    let said = in_environment(&sshd, &[]);
    assert!(said.contains("\nput\n"), "{said}");
}

#[test]
fn the_agent_is_asked() {
    let sshd = Sshd::start();
    let socket = sshd.path("agent");
    let said = in_environment(&sshd, &[("SSH_AUTH_SOCK", &socket)]);
    assert!(said.contains("Transient") && said.contains("the agent ("), "it may be there later: {said}");
    let mut agent = Command::new("ssh-agent").args(["-D", "-a"]).arg(&socket).spawn().unwrap();
    let add = || {
        let mut command = Command::new("ssh-add");
        command.arg(sshd.path("user")).env("SSH_AUTH_SOCK", &socket).status().unwrap().success()
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while !add() {
        assert!(Instant::now() < deadline, "the agent does not answer");
        std::thread::sleep(Duration::from_millis(50));
    }
    let said = in_environment(&sshd, &[("SSH_AUTH_SOCK", &socket)]);
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert!(said.contains("\nput\n"), "{said}");
}

#[tokio::test]
async fn what_was_given_up_is_cleaned_up_with_the_next_files() {
    let sshd = Sshd::start();
    let big: Chunks = std::iter::repeat_n(Bytes::from(vec![7; 1 << 20]), 200).collect();
    for protocol in BOTH {
        let destination = open(&Target::Ssh(sshd.options(protocol)));
        let names = || fs::read_dir(sshd.files.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let parts = || names().filter(|name| name.to_string_lossy().ends_with(".segcast-part")).count();
        for key in ["1.ts", "2.ts"] {
            let before = parts();
            let deadline = Instant::now() + Duration::from_secs(20);
            let begun = async {
                while parts() == before {
                    assert!(Instant::now() < deadline, "nothing is sent");
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::select! {
                result = destination.put(key, big.clone()) => panic!("it was not dropped in time: {result:?}"),
                () = begun => {}
            }
            if protocol == Protocol::Scp {
                break;
            }
        }
        // Neither their keys nor their folder come again.
        let deadline = Instant::now() + Duration::from_secs(20);
        for n in 0.. {
            destination.put(&format!("other/{n}.ts"), text("x")).await.unwrap();
            destination.delete(&format!("other/{n}.ts")).await.unwrap();
            if parts() == 0 {
                break;
            }
            assert!(Instant::now() < deadline, "{protocol:?}: {:?}", names().collect::<Vec<_>>());
        }
    }
}

#[tokio::test]
async fn a_servers_clock_may_stand_anywhere() {
    let sshd = Sshd::start();
    let path = |name: &str| sshd.files.path().join(name);
    // One that was copied there from a machine that is ahead.
    for (name, ahead) in [(".young.ts.0.segcast-part", false), ("copied.ts", true)] {
        let file = fs::File::create(path(name)).unwrap();
        let hour = Duration::from_secs(3600);
        file.set_modified(if ahead { SystemTime::now() + hour } else { SystemTime::now() }).unwrap();
    }
    put(sshd.options(Protocol::Sftp)).await.unwrap();
    assert!(path(".young.ts.0.segcast-part").exists());
}

/// The account's new password; none if we are not root.
fn password() -> Option<&'static str> {
    static PASSWORD: OnceLock<Option<String>> = OnceLock::new();
    let begin = || {
        if whoami() != "root" {
            println!("left out: it takes root");
            return None;
        }
        assert!(Path::new(ACCOUNT_ROOT).exists(), "no account {ACCOUNT}: run tests/servers.sh first");
        let mut random = [0; 16];
        std::io::Read::read_exact(&mut fs::File::open("/dev/urandom").unwrap(), &mut random).unwrap();
        let password: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let line = format!("echo '{ACCOUNT}:{password}' | chpasswd -c SHA256");
        assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
        Some(password)
    };
    PASSWORD.get_or_init(begin).as_deref()
}

/// A new folder that the account may write in, and what it calls it when it is locked into its root.
fn folder_of_account() -> (TempDir, String) {
    let folder = tempfile::tempdir_in(Path::new(ACCOUNT_ROOT).join("files")).unwrap();
    assert!(Command::new("chown").arg(ACCOUNT).arg(folder.path()).status().unwrap().success());
    let locked = format!("/{}", folder.path().strip_prefix(ACCOUNT_ROOT).unwrap().display());
    (folder, locked)
}

#[tokio::test]
async fn a_password_logs_in() {
    let Some(password) = password() else { return };
    let (folder, _) = folder_of_account();
    for (config, methods) in [
        ("PasswordAuthentication yes\n", "password"),
        ("UsePAM yes\nKbdInteractiveAuthentication yes\n", "keyboard-interactive"),
    ] {
        // The first line of a kind holds.
        let sshd = Sshd::with("Subsystem sftp internal-sftp\n");
        let text = fs::read_to_string(sshd.path("config")).unwrap();
        let mut sshd = sshd;
        sshd.stop();
        let text = text.replace("UsePAM no\n", "").replace("PasswordAuthentication no\n", "");
        let unless = if config.contains("PasswordA") { "UsePAM no\n" } else { "PasswordAuthentication no\n" };
        fs::write(sshd.path("config"), format!("{config}{unless}{text}")).unwrap();
        sshd.run();
        let options = |password: &str| Options {
            user: ACCOUNT.into(),
            password: Some(Secret::new(password)),
            private_key: None,
            directory: folder.path().display().to_string(),
            ..sshd.options(Protocol::Sftp)
        };
        put(options(password)).await.unwrap_or_else(|error| panic!("{methods}: {}", said(&error)));
        put(Options { protocol: Protocol::Scp, ..options(password) }).await.unwrap();
        let refused = put(options("hunter2")).await;
        assert!(!said(refused.as_ref().unwrap_err()).contains("hunter2"));
        check_refused(refused, &["tried: the password", methods]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_for_sftp_only_is_told_from_one_for_scp() {
    let Some(password) = password() else { return };
    let (folder, locked) = folder_of_account();
    let sshd = Sshd::with(&format!(
        "Subsystem sftp internal-sftp\nMatch User {ACCOUNT}\n  PasswordAuthentication yes\n  ForceCommand \
         internal-sftp\n  ChrootDirectory {ACCOUNT_ROOT}\n"
    ));
    let options = |protocol| Options {
        user: ACCOUNT.into(),
        password: Some(Secret::new(password)),
        private_key: None,
        directory: locked.clone(),
        ..sshd.options(protocol)
    };
    check_refused(put(options(Protocol::Scp)).await, &["may not use SCP", "sftp://"]);
    let denied = Options { directory: "/elsewhere".into(), ..options(Protocol::Sftp) };
    check_refused(put(denied).await, &["create the folder /elsewhere", "denied"]);
    conforms(&Target::Ssh(options(Protocol::Sftp)), &View::of_folder(folder.path())).await;
}
