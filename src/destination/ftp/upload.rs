//! Putting a file: under a temporary name first, renamed once it is whole; in place where the server refuses to rename.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use suppaftp::Status;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::connection::{Connection, Transfer, answered};
use super::failure::Failure;
use super::{DONE, Remote};
use crate::chunks::Chunks;
use crate::destination::attempt::Attempt;

/// How long the server may take to close a data connection that we have closed, before its word is waited for alone.
const CLOSING: Duration = Duration::from_millis(500);
/// How long a file may come after its connection was closed. Longer on a bad network; but each further upload asks for it
/// until then, and what comes later is swept another time.
const JUST_SENT: Duration = Duration::from_secs(2);

/// Whether the server renames is not known yet.
pub(super) const UNKNOWN: u8 = 0;
/// It has renamed a file.
const RENAMES: u8 = 1;
/// It refuses to, or refuses to put a new file in an old one's place: files are written where they are to be.
const IN_PLACE: u8 = 2;

/// Puts `body` at `path`, over what is there.
pub(super) async fn put(
    remote: &Remote,
    connection: &mut Connection,
    path: &str,
    body: &Chunks,
) -> Result<(), Failure> {
    clear_away(remote, connection, path).await?;
    let attempt = remote.attempts.begin(path);
    let refused = match remote.renames.load(Ordering::Relaxed) {
        UNKNOWN => refused_rename(connection, attempt.path()).await,
        _ => Ok(None),
    };
    if !matches!(refused, Ok(None)) || remote.renames.load(Ordering::Relaxed) == IN_PLACE {
        // Nothing has been sent under the temporary name.
        attempt.done();
        return put_in_place(remote, connection, path, body, refused?).await;
    }
    let transfer = open(remote, connection, path, attempt.path()).await?;
    let placed = async {
        send(connection, transfer, body).await?;
        verify(connection, attempt.path(), body.size_bytes()).await?;
        place(remote, connection, attempt.path(), path).await
    };
    let refused = match placed.await {
        Ok(refused) => refused,
        Err(failure) => {
            if failure.is_answer() && connection.is_good_for_more() {
                // What is half-sent may be what fills the disk.
                discard(connection, attempt).await?;
            }
            return Err(failure);
        }
    };
    if refused.is_some() {
        discard(connection, attempt).await?;
        return put_in_place(remote, connection, path, body, refused).await;
    }
    attempt.done();
    // One that was just found not to replace files stays so for those that run at the same time.
    let _ = remote.renames.compare_exchange(UNKNOWN, RENAMES, Ordering::Relaxed, Ordering::Relaxed);
    tidy(remote, connection).await?;
    remote.folders.sweep(connection, path).await
}

/// Deletes what `attempt` has sent.
async fn discard(connection: &mut Connection, attempt: Attempt<'_>) -> Result<(), Failure> {
    let deleted = connection.command("DELE", attempt.path(), &DONE).await;
    if answered(deleted)?.is_some() {
        attempt.done();
    }
    Ok(())
}

/// How the server refuses to rename at all, if it does. It is asked ahead of the first upload, with a name that is not
/// there: where nothing is renamed or deleted, a file under a temporary name would stay.
async fn refused_rename(connection: &mut Connection, temporary: &str) -> Result<Option<Failure>, Failure> {
    match connection.command("RNFR", temporary, &[Status::RequestFilePending]).await {
        Err(failure) if failure.is_unsupported() || failure.is_denied() => Ok(Some(failure)),
        asked => answered(asked).map(|_| None),
    }
}

/// Writes `body` to `path` itself: until all of it is there, readers get a part of it. `refused` is how the server has
/// just refused to rename.
async fn put_in_place(
    remote: &Remote,
    connection: &mut Connection,
    path: &str,
    body: &Chunks,
    refused: Option<Failure>,
) -> Result<(), Failure> {
    let transfer = open(remote, connection, path, path).await?;
    send(connection, transfer, body).await?;
    verify(connection, path, body.size_bytes()).await?;
    if let Some(refused) = refused
        && remote.renames.swap(IN_PLACE, Ordering::Relaxed) != IN_PLACE
    {
        tracing::warn!(
            "rename refused, files are written in place: a viewer may get half a file destination={} \
             error={refused}",
            remote.name
        );
    }
    remote.folders.sweep(connection, path).await
}

/// Deletes what earlier attempts left: those for `path`, which could still be renamed over what we put.
pub(super) async fn clear_away(
    remote: &Remote,
    connection: &mut Connection,
    path: &str,
) -> Result<(), Failure> {
    for temporary in remote.attempts.left(path) {
        delete_temporary(remote, connection, &temporary).await?;
    }
    Ok(())
}

/// Deletes one file that an earlier attempt left, if there is any; nothing depends on it.
async fn tidy(remote: &Remote, connection: &mut Connection) -> Result<(), Failure> {
    match remote.attempts.next_left() {
        Some(temporary) => delete_temporary(remote, connection, &temporary).await,
        None => Ok(()),
    }
}

async fn delete_temporary(
    remote: &Remote,
    connection: &mut Connection,
    temporary: &str,
) -> Result<(), Failure> {
    match connection.command("DELE", temporary, &DONE).await {
        Ok(_) => remote.attempts.deleted(temporary),
        Err(failure) if failure.code() == Some(550) && !failure.is_denied() => {
            remote.attempts.absent_for(temporary, JUST_SENT);
            remote.attempts.set_aside(temporary);
        }
        // It would be asked for in vain before each upload.
        Err(failure) if failure.is_unsupported() || failure.is_denied() => remote.attempts.deleted(temporary),
        Err(failure) if failure.is_answer() => {}
        Err(failure) => return Err(failure),
    }
    Ok(())
}

/// Opens the data connection for `temporary`, in a folder that is there.
async fn open(
    remote: &Remote,
    connection: &mut Connection,
    path: &str,
    temporary: &str,
) -> Result<Transfer, Failure> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    remote.folders.make_ready(connection, folder).await?;
    let refused = match connection.store(temporary).await {
        Err(failure) if matches!(failure.code(), Some(450 | 550 | 553)) => failure,
        result => return result,
    };
    if !remote.folders.forget(folder) {
        return Err(refused);
    }
    // The folder may have been taken away since.
    remote.folders.make_ready(connection, folder).await?;
    connection.store(temporary).await
}

/// Sends `body` slice by slice, and hears that it has arrived.
async fn send(connection: &mut Connection, mut transfer: Transfer, body: &Chunks) -> Result<(), Failure> {
    for slice in body.slices() {
        if let Err(source) = transfer.write_all(slice).await {
            return Err(connection.why("STOR", source).await);
        }
    }
    match close(&mut transfer).await {
        Ok(()) => connection.complete("STOR", transfer).await,
        Err(source) => connection.complete_at_once("STOR", transfer, source).await,
    }
}

/// Ends the sending, and waits for the server to close its side, as it does when it has everything. A connection that
/// was reset tells so here; the server may never have seen it, and would wait for another as we for its word.
async fn close(transfer: &mut Transfer) -> io::Result<()> {
    transfer.shutdown().await?;
    let drained = timeout(CLOSING, async {
        let mut rest = [0; 64];
        while transfer.read(&mut rest).await? > 0 {}
        Ok::<_, io::Error>(())
    });
    match drained.await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => Err(error),
        // Not every server closes TLS as it should, or before it says that it is done. The library waits for that too.
        _ => Ok(()),
    }
}

/// Sees that all of the file is there: some servers take a data connection that was reset for the end of the file.
async fn verify(connection: &mut Connection, temporary: &str, sent_bytes: u64) -> Result<(), Failure> {
    match connection.size_bytes(temporary).await? {
        Some(kept_bytes) if kept_bytes != sent_bytes => Err(Failure::Cut { sent_bytes, kept_bytes }),
        _ => Ok(()),
    }
}

/// Gives the file at `temporary` its name, over one that is there. Returns the answer if the server refuses for good.
async fn place(
    remote: &Remote,
    connection: &mut Connection,
    temporary: &str,
    path: &str,
) -> Result<Option<Failure>, Failure> {
    if remote.deletes_first.load(Ordering::Relaxed) {
        answered(connection.command("DELE", path, &DONE).await)?;
        return rename(connection, temporary, path).await.map(|()| None);
    }
    // What worked before may be refused by mistake.
    let may_refuse = remote.renames.load(Ordering::Relaxed) == UNKNOWN;
    let refused = match rename(connection, temporary, path).await {
        Err(failure) if may_refuse && (failure.is_unsupported() || failure.is_denied()) => {
            return Ok(Some(failure));
        }
        Err(failure) if may_refuse && failure.command() == Some("RNFR") && failure.code() == Some(550) => {
            let is_there = connection.has_file(temporary).await? == Some(true);
            return if is_there { Ok(Some(failure)) } else { Err(failure) };
        }
        // Where it was RNFR, what is there must not go: there is nothing to put in its place.
        Err(failure)
            if failure.command() == Some("RNTO") && matches!(failure.code(), Some(450 | 550 | 553)) =>
        {
            failure
        }
        result => return result.map(|()| None),
    };
    if refused.is_denied() || connection.has_file(path).await? != Some(true) {
        return Err(refused);
    }
    // Some servers on Windows rename over nothing.
    if let Err(failure) = connection.command("DELE", path, &DONE).await {
        return match failure {
            lost if !lost.is_answer() => Err(lost),
            denied if denied.is_unsupported() || denied.is_denied() => Ok(Some(refused)),
            _ => Err(refused),
        };
    }
    rename(connection, temporary, path).await?;
    if !remote.deletes_first.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            "{}: it renames over no file, so each is deleted before the new one has its name: \
             for a moment there is none ({refused})",
            remote.name
        );
    }
    Ok(None)
}

async fn rename(connection: &mut Connection, from: &str, to: &str) -> Result<(), Failure> {
    connection.command("RNFR", from, &[Status::RequestFilePending]).await?;
    connection.command("RNTO", to, &DONE).await.map(drop)
}
