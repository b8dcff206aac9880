//! Files by SFTP.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::Place;
use super::client::Sftp;
use super::failure::Failure;
use super::packet::{Name, Status};
use super::path::{folder_of, join};
use crate::chunks::Chunks;
use crate::destination::Kind;
use crate::destination::attempt::{ON_ITS_WAY, is_temporary};

/// Files under a temporary name that nobody has written to for so many seconds are nobody's.
const ABANDONED: u32 = 60;

/// Puts a file.
pub(super) async fn put(sftp: &mut Sftp, place: &Place, path: &str, body: &Chunks) -> Result<(), Failure> {
    let folder = folder_of(path).unwrap_or_default();
    let is_first = !place.is_ready(folder);
    if is_first {
        make_folder(sftp, folder).await?;
    }
    let attempt = place.attempts.begin(path);
    let mut written = sftp.create(attempt.path(), body).await?;
    if written.as_ref().is_err_and(Status::is_absent) && !is_first {
        // The folder was taken away.
        place.forget_ready();
        make_folder(sftp, folder).await?;
        written = sftp.create(attempt.path(), body).await?;
    }
    let result = match written {
        Ok(()) => finish(sftp, place, attempt.path(), path).await,
        Err(status) => Err(status.failure(&format!("write {}", attempt.path()))),
    };
    match result {
        Ok(()) => attempt.done(),
        Err(failure) if failure.is_lost() => return Err(failure),
        Err(failure) => {
            let status = sftp.remove(attempt.path()).await?;
            if status.is_ok() || status.is_absent() {
                attempt.done();
            }
            return Err(failure);
        }
    }
    tidy(sftp, place).await?;
    if place.set_ready(folder) {
        sweep(sftp, folder, path).await;
    }
    Ok(())
}

/// Gives the file at `temporary` its name. What earlier attempts have sent goes first: one of their renames may still
/// be on its way.
async fn finish(sftp: &mut Sftp, place: &Place, temporary: &str, path: &str) -> Result<(), Failure> {
    remove_left(sftp, place, path).await?;
    let status = sftp.rename(temporary, path).await?;
    if status.is_ok() {
        return Ok(());
    }
    let failure = status.failure(&format!("rename {temporary} to {path}"));
    if sftp.has_posix_rename() {
        return Err(failure);
    }
    // Without posix-rename, a rename does not replace: SFTP's draft has it so.
    if !sftp.remove(path).await?.is_ok() {
        return Err(failure);
    }
    static WARNED: AtomicBool = AtomicBool::new(false);
    if !WARNED.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            "the SFTP server cannot replace a file in one step: players may find a playlist missing"
        );
    }
    let status = sftp.rename(temporary, path).await?;
    if status.is_ok() { Ok(()) } else { Err(status.failure(&format!("rename {temporary} to {path}"))) }
}

async fn remove_left(sftp: &mut Sftp, place: &Place, path: &str) -> Result<(), Failure> {
    for left in place.attempts.left(path) {
        let status = remove_temporary(sftp, place, &left).await?;
        if !status.is_ok() && !status.is_absent() {
            return Err(status.failure(&format!("delete {left}")));
        }
    }
    Ok(())
}

/// Deletes one file that an earlier attempt left, if there is any: it may be of a segment that was given up. Nothing
/// depends on it.
async fn tidy(sftp: &mut Sftp, place: &Place) -> Result<(), Failure> {
    match place.attempts.next_left() {
        Some(left) => remove_temporary(sftp, place, &left).await.map(drop),
        None => Ok(()),
    }
}

async fn remove_temporary(sftp: &mut Sftp, place: &Place, path: &str) -> Result<Status, Failure> {
    let status = sftp.remove(path).await?;
    if status.is_ok() {
        place.attempts.deleted(path);
    } else if status.is_absent() {
        place.attempts.absent_for(path, ON_ITS_WAY);
    }
    Ok(status)
}

/// Deletes a file, and what attempts to put it have left.
pub(super) async fn delete(sftp: &mut Sftp, place: &Place, path: &str) -> Result<(), Failure> {
    remove_left(sftp, place, path).await?;
    tidy(sftp, place).await?;
    let status = sftp.remove(path).await?;
    if status.is_ok() || status.is_absent() { Ok(()) } else { Err(status.failure(&format!("delete {path}"))) }
}

/// Gets a file.
pub(super) async fn get(sftp: &mut Sftp, path: &str) -> Result<Option<Bytes>, Failure> {
    match sftp.read(path).await? {
        Ok(bytes) => Ok(Some(bytes)),
        Err(status) if status.is_absent() => Ok(None),
        Err(status) => Err(status.failure(&format!("read {path}"))),
    }
}

/// Makes a folder and those above it, as far as they are not there.
async fn make_folder(sftp: &mut Sftp, folder: &str) -> Result<(), Failure> {
    let mut missing = Vec::new();
    let mut at = Some(folder).filter(|folder| !folder.is_empty());
    while let Some(folder) = at {
        match sftp.is_folder(folder).await? {
            Ok(true) => break,
            Ok(false) => {
                return Err(Failure::said(Kind::Missing, format!("{folder} is there, but is no folder")));
            }
            Err(status) if status.is_absent() => missing.push(folder),
            Err(status) => return Err(status.failure(&format!("look at the folder {folder}"))),
        }
        at = folder_of(folder);
    }
    for folder in missing.into_iter().rev() {
        let status = sftp.make_folder(folder).await?;
        // Somebody else may have made it meanwhile.
        if !status.is_ok() && sftp.is_folder(folder).await? != Ok(true) {
            return Err(status.failure(&format!("create the folder {folder}")));
        }
    }
    Ok(())
}

/// Deletes what a run that was killed left half-written in `folder`, by the server's clock: the file at `path` was put
/// there just now. Nothing depends on it.
async fn sweep(sftp: &mut Sftp, folder: &str, path: &str) {
    let listed = sftp.list(if folder.is_empty() { "." } else { folder }).await;
    let Ok(Ok(names)) = listed else { return };
    let just_put = path.rsplit('/').next().unwrap_or(path);
    for name in abandoned(&names, just_put.as_bytes()) {
        if sftp.remove(&join(folder, name)).await.is_err() {
            return;
        }
    }
}

/// Those of `names` that are temporary and old. How late it is there is known from the file `just_put`.
fn abandoned<'a>(names: &'a [Name], just_put: &[u8]) -> impl Iterator<Item = &'a str> {
    let now = names.iter().find(|name| name.name == just_put).and_then(|name| name.attributes.modified);
    names.iter().filter_map(move |name| {
        let is_old = now?.saturating_sub(name.attributes.modified?) >= ABANDONED;
        (is_old && is_temporary(&name.name)).then(|| std::str::from_utf8(&name.name).ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::super::packet::Attributes;
    use super::*;

    #[test]
    fn what_is_old_is_told_by_the_servers_own_clock() {
        let file = |name: &'static str, modified| Name {
            name: Bytes::from_static(name.as_bytes()),
            attributes: Attributes { mode: None, modified },
        };
        // It is 1970 there; another file comes from a machine whose clock is right.
        let names = [
            file(".old.ts.0.segcast-part", Some(100)),
            file(".young.ts.0.segcast-part", Some(101)),
            file(".ahead.ts.0.segcast-part", Some(u32::MAX)),
            file(".untold.ts.0.segcast-part", None),
            file(".old", Some(1)),
            file("copied.ts", Some(2_000_000_000)),
            file("a.ts", Some(160)),
        ];
        let found = |just_put: &[u8]| abandoned(&names, just_put).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(found(b"a.ts"), [".old.ts.0.segcast-part"]);
        assert!(found(b"b.ts").is_empty(), "nobody knows how late it is");
    }
}
