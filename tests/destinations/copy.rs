//! A local folder.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use segcast::destination::copy::Options;
use segcast::destination::{Copy, Destination, Kind, Target};
use tempfile::TempDir;

use crate::conformance::{View, body, conforms, said, text};

/// How long a thread may take to notice that nobody waits for it.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("live");
    conforms(&Target::Copy(Options::new(&directory)), &View::of_folder(&directory)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_conforms_that_is_brought_to_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("live");
    let options = Options {
        is_synced: true,
        file_mode: Some(0o640),
        folder_mode: Some(0o2750),
        ..Options::new(&directory)
    };
    conforms(&Target::Copy(options), &View::of_folder(&directory)).await;
}

#[tokio::test]
async fn permissions_are_as_given() {
    let folder = tempfile::tempdir().unwrap();
    let mode = |path: &str| fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o7777;
    let before = mode("");
    let options = Options {
        file_mode: Some(0o664),
        folder_mode: Some(0o2775),
        ..Options::new(folder.path().join("live"))
    };
    Copy::new(options).put("a/b/1.ts", text("x")).await.unwrap();
    for made in ["live", "live/a", "live/a/b"] {
        assert_eq!(mode(made), 0o2775, "{made}");
    }
    assert_eq!(mode("live/a/b/1.ts"), 0o664);
    assert_eq!(mode(""), before, "it was there before");
}

#[tokio::test]
async fn what_was_dropped_comes_over_nothing_later() {
    let folder = tempfile::tempdir().unwrap();
    let copy = Copy::new(Options::new(folder.path()));
    let large = body(1, 64 << 20, 64 * 1024);
    for n in 0..20 {
        let begun = Duration::from_millis(n * 3);
        // It may be done by then: that is as well.
        let _ = tokio::time::timeout(begun, copy.put("a.ts", large.clone())).await;
        copy.delete("a.ts").await.unwrap();
        let _ = tokio::time::timeout(begun, copy.delete("b.ts")).await;
        copy.put("b.ts", text("stays")).await.unwrap();
    }
    // Until every thread has cleared its own away.
    let deadline = Instant::now() + SOON;
    while names(folder.path()) != ["b.ts"] {
        assert!(!folder.path().join("a.ts").exists(), "it came back after it was deleted");
        assert!(Instant::now() < deadline, "{:?}", names(folder.path()));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_full_disk_is_waited_for() {
    let Some(disk) = Disk::mount() else { return };
    let copy = Copy::new(Options { is_synced: true, ..Options::new(disk.path()) });
    copy.put("hd/index.m3u8", text("before")).await.unwrap();
    fs::write(disk.path().join("filler"), vec![0; 900_000]).unwrap();
    for _ in 0..2 {
        let error = copy.put("hd/index.m3u8", body(1, 500_000, 8000)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Transient, "{}", said(&error));
        assert!(said(&error).contains("the disk is full: free some space"), "{}", said(&error));
        assert_eq!(copy.get("hd/index.m3u8").await.unwrap().as_deref(), Some(&b"before"[..]));
        assert_eq!(names(&disk.path().join("hd")), ["index.m3u8"], "the part that there was room for stays");
    }
    fs::remove_file(disk.path().join("filler")).unwrap();
    copy.put("hd/index.m3u8", body(1, 500_000, 8000)).await.unwrap();
}

#[tokio::test]
async fn a_folder_that_may_not_be_written_any_more_is_refused_until_it_may() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("live");
    fs::create_dir(&place).unwrap();
    let forbid = |mode| fs::set_permissions(&place, Permissions::from_mode(mode)).unwrap();
    forbid(0o555);
    let binds = fs::write(place.join("probe"), "").is_err();
    forbid(0o755);
    if binds {
        refused_until_it_may(&place, || forbid(0o555), || forbid(0o755)).await;
    } else if let Some(disk) = Disk::mount() {
        // Permissions do not bind root; a disk that is read-only does.
        refused_until_it_may(disk.path(), || disk.remount("ro"), || disk.remount("rw")).await;
    }
}

async fn refused_until_it_may(place: &Path, forbid: impl Fn(), allow: impl Fn()) {
    let copy = Copy::new(Options::new(place));
    copy.put("a.ts", text("before")).await.unwrap();
    forbid();
    let errors = [copy.put("a.ts", text("after")).await.unwrap_err(), copy.delete("a.ts").await.unwrap_err()];
    assert_eq!(copy.get("a.ts").await.unwrap().as_deref(), Some(&b"before"[..]));
    allow();
    for error in errors {
        assert_eq!(error.kind(), Kind::Refused, "{}", said(&error));
        assert!(said(&error).contains("or choose another folder"), "{}", said(&error));
    }
    copy.put("a.ts", text("after")).await.unwrap();
    copy.put("b/c.ts", text("after")).await.unwrap();
    copy.delete("a.ts").await.unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

/// A disk of 1 MB of its own; it is gone when it is dropped.
pub struct Disk {
    folder: TempDir,
}

impl Disk {
    /// None where disks cannot be mounted, which is said.
    pub fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = run("mount", &["-t", "tmpfs", "-o", "size=1m", "segcast-test"], folder.path());
        if let Err(error) = mounted {
            eprintln!("left out: no disk can be mounted here ({error}): run it as root");
            return None;
        }
        Some(Self { folder })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn remount(&self, how: &str) {
        run("mount", &["-o", &format!("remount,{how}")], self.path()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: whatever a test that failed has left open there.
        let _ = run("umount", &["-l"], self.path());
    }
}

fn run(program: &str, arguments: &[&str], path: &Path) -> io::Result<()> {
    let mut command = Command::new(program);
    let output = command.args(arguments).arg(path).stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(io::Error::other(said.trim().to_owned())) }
}
