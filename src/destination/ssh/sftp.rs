//! Files by SFTP.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::Place;
use super::attempt::is_temporary;
use super::client::Sftp;
use super::failure::Failure;
use super::packet::Status;
use super::path::{folder_of, join};
use crate::chunks::Chunks;
use crate::destination::Kind;

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
    if place.set_ready(folder) {
        sweep(sftp, folder).await;
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
    let mut gone = Vec::new();
    for left in place.attempts.left(path) {
        let status = sftp.remove(&left).await?;
        if status.is_ok() {
            gone.push(left);
        } else if !status.is_absent() {
            return Err(status.failure(&format!("delete {left}")));
        }
    }
    place.attempts.forget(path, &gone);
    Ok(())
}

/// Deletes a file, and what attempts to put it have left.
pub(super) async fn delete(sftp: &mut Sftp, place: &Place, path: &str) -> Result<(), Failure> {
    remove_left(sftp, place, path).await?;
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

/// Deletes what a run that was killed left half-written in `folder`. Nothing depends on it.
async fn sweep(sftp: &mut Sftp, folder: &str) {
    let listed = sftp.list(if folder.is_empty() { "." } else { folder }).await;
    let Ok(Ok(names)) = listed else { return };
    // The server's clock: one file was written just now.
    let now = names.iter().filter_map(|name| name.attributes.modified).max().unwrap_or_default();
    for name in names.iter().filter(|name| is_temporary(&name.name)) {
        let is_old = name.attributes.modified.is_some_and(|at| now.saturating_sub(at) >= ABANDONED);
        if let (true, Ok(name)) = (is_old, std::str::from_utf8(&name.name))
            && sftp.remove(&join(folder, name)).await.is_err()
        {
            return;
        }
    }
}
