//! What a channel needs on this machine before it starts: files to read, folders and files to write.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::io::Errno;

use super::error::Mistake;

/// What must hold of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Must {
    /// Something that can be read: a file, a pipe, a device.
    Read,
    /// A folder that is there and can be written to.
    WriteInto,
    /// A folder that can be written to, or made.
    MakeFolder,
    /// A file that can be written to, or made.
    MakeFile,
}

/// One thing that a channel needs, and where that was written.
#[derive(Clone, Debug)]
pub(super) struct Need {
    pub(super) file: String,
    pub(super) key: String,
    pub(super) path: PathBuf,
    pub(super) must: Must,
}

impl Need {
    /// What is wrong on this machine, if anything.
    pub(super) fn check(&self) -> Option<Mistake> {
        let (message, hint) = fault(&self.path, self.must)?;
        let message = format!("{:?} {message}", self.path.display().to_string());
        Some(Mistake { file: self.file.clone(), key: self.key.clone(), message, hint: hint.map(Into::into) })
    }
}

type Fault = (&'static str, Option<&'static str>);

fn fault(path: &Path, must: Must) -> Option<Fault> {
    let is_there = path.symlink_metadata().is_ok();
    let may = |what: Access| access(path, what).is_ok();
    match must {
        Must::Read if !is_there && path.is_absolute() => Some(("is not there", None)),
        Must::Read if !is_there => Some(("is not there", Some("paths are taken from the current directory"))),
        Must::Read if path.is_dir() => Some(("is a folder, not a file", None)),
        Must::Read if !may(Access::READ_OK) => Some(("cannot be read by this user", None)),
        Must::WriteInto if !is_there => Some(("is not there", Some("make the folder, or name another"))),
        Must::WriteInto | Must::MakeFolder if is_there && !path.is_dir() => Some(("is not a folder", None)),
        Must::MakeFile if path.is_dir() => Some(("is a folder, not a file", None)),
        Must::MakeFolder | Must::MakeFile if !is_there => fault_above(path, must),
        Must::WriteInto | Must::MakeFolder => writing(path, Access::WRITE_OK | Access::EXEC_OK),
        Must::MakeFile => writing(path, Access::WRITE_OK),
        _ => None,
    }
}

fn writing(path: &Path, what: Access) -> Option<Fault> {
    access(path, what).err().map(|errno| (cannot_write(errno), None))
}

const fn cannot_write(errno: Errno) -> &'static str {
    match errno {
        Errno::ROFS => "cannot be written to: the file system is read-only",
        _ => "cannot be written to by this user",
    }
}

const fn cannot_make(errno: Errno) -> &'static str {
    match errno {
        Errno::ROFS => "cannot be made: the file system is read-only",
        _ => "cannot be made: this user may not write to the folder above it",
    }
}

/// What stands in the way of making `path`. Folders are made where they are missing, but not for a file.
fn fault_above(path: &Path, must: Must) -> Option<Fault> {
    let above =
        path.parent().map(|above| if above.as_os_str().is_empty() { Path::new(".") } else { above })?;
    let is_there = above.symlink_metadata().is_ok();
    match must {
        Must::MakeFolder if !is_there => fault_above(above, must),
        _ if !above.is_dir() => Some(("cannot be made: there is no such folder above it", None)),
        _ => {
            let errno = access(above, Access::WRITE_OK | Access::EXEC_OK).err()?;
            Some((cannot_make(errno), None))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_only_file_system_is_named() {
        assert_eq!(cannot_make(Errno::ROFS), "cannot be made: the file system is read-only");
        assert_eq!(cannot_write(Errno::ROFS), "cannot be written to: the file system is read-only");
        assert!(cannot_make(Errno::ACCESS).contains("this user may not write"));
        assert_eq!(cannot_write(Errno::ACCESS), "cannot be written to by this user");
        // Where there is one to look at.
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
        let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let is_read_only = |fields: &Vec<&str>| fields[3].split(',').any(|option| option == "ro");
        for fields in fields.filter(is_read_only) {
            let path = Path::new(fields[1]);
            if path.is_dir() && access(path, Access::WRITE_OK) == Err(Errno::ROFS) {
                let (below, above) = (path.join("new/live"), fault(path, Must::WriteInto));
                assert_eq!(above, Some((cannot_write(Errno::ROFS), None)));
                assert_eq!(fault(&below, Must::MakeFolder), Some((cannot_make(Errno::ROFS), None)));
            }
        }
    }

    #[test]
    fn each_need_is_met_or_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.ts");
        std::fs::write(&file, "").unwrap();
        let at = |name: &str| folder.path().join(name);
        let told = |path: &Path, must| fault(path, must).map(|fault| fault.0);

        assert_eq!(told(&file, Must::Read), None);
        assert_eq!(told(Path::new("/dev/null"), Must::Read), None);
        assert_eq!(told(&at("none"), Must::Read), Some("is not there"));
        assert_eq!(told(folder.path(), Must::Read), Some("is a folder, not a file"));

        assert_eq!(told(folder.path(), Must::WriteInto), None);
        assert_eq!(told(&at("none"), Must::WriteInto), Some("is not there"));
        assert_eq!(told(&file, Must::WriteInto), Some("is not a folder"));

        assert_eq!(told(&at("x/y/z"), Must::MakeFolder), None);
        assert_eq!(told(Path::new("live"), Must::MakeFolder), None);
        assert_eq!(told(&file, Must::MakeFolder), Some("is not a folder"));
        let below = Some("cannot be made: there is no such folder above it");
        assert_eq!(told(&at("a.ts/x"), Must::MakeFolder), below);

        assert_eq!(told(&at("x.log"), Must::MakeFile), None);
        assert_eq!(told(&file, Must::MakeFile), None);
        assert_eq!(told(folder.path(), Must::MakeFile), Some("is a folder, not a file"));
        assert_eq!(told(&at("x/y.log"), Must::MakeFile), below);
    }

    #[test]
    fn a_mistake_names_the_file_the_key_and_the_path() {
        let need = Need {
            file: "a.toml".into(),
            key: "input.url".into(),
            path: "no/such.ts".into(),
            must: Must::Read,
        };
        let told = need.check().unwrap().to_string();
        let expected =
            "a.toml: input.url: \"no/such.ts\" is not there\n  paths are taken from the current directory";
        assert_eq!(told, expected);
    }
}
