//! Folders at the server: made as needed, swept when the first file is there.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use suppaftp::Status;

use super::connection::{Connection, answered};
use super::failure::Failure;
use crate::destination::attempt::is_temporary;

/// Half-sent files that nobody has written to for so long are nobody's.
const ABANDONED: Duration = Duration::from_secs(60);
/// Bytes of a listing that are read.
const MAX_LISTING: usize = 16 << 20;
/// Answers to CWD and DELE.
const DONE: [Status; 2] = [Status::RequestedFileActionOk, Status::CommandOk];

/// Folders that are known to be there.
#[derive(Debug, Default)]
pub(super) struct Folders(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    there: HashSet<String>,
    swept: HashSet<String>,
}

impl Folders {
    /// Makes the folder at the absolute path `folder`, the first time that something is put there.
    pub async fn make_ready(&self, connection: &mut Connection, folder: &str) -> Result<(), Failure> {
        if self.lock().there.contains(folder) {
            return Ok(());
        }
        make(connection, folder).await?;
        self.lock().there.insert(folder.to_owned());
        Ok(())
    }

    /// Deletes what runs that were killed left half-sent beside the file at `path`, which was put there just now; once
    /// in each folder.
    pub async fn sweep(&self, connection: &mut Connection, path: &str) -> Result<(), Failure> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if !self.lock().swept.insert(folder.to_owned()) {
            return Ok(());
        }
        sweep(connection, folder, name).await
    }

    /// Looks again the next time; whether there was anything known of `folder`.
    pub fn forget(&self, folder: &str) -> bool {
        let mut known = self.lock();
        let was_known = known.there.contains(folder);
        known.there.clear();
        was_known
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes `folder` and those above it where they are not there, and goes there.
async fn make(connection: &mut Connection, folder: &str) -> Result<(), Failure> {
    if answered(enter(connection, folder).await)?.is_some() {
        return Ok(());
    }
    let mut refused = None;
    let ends = folder.match_indices('/').map(|(at, _)| at).skip(1).chain([folder.len()]);
    for end in ends {
        // What is said of one that is there differs from server to server; so only the last word counts.
        let made = connection.command("MKD", &folder[..end], &[Status::PathCreated, Status::CommandOk]).await;
        refused = made.err();
        if let Some(failure) = refused.take_if(|failure| !failure.is_answer()) {
            return Err(failure);
        }
    }
    match answered(enter(connection, folder).await)? {
        Some(()) => Ok(()),
        None => Err(refused.unwrap_or_else(|| Failure::Invalid(format!("{folder} is no folder")))),
    }
}

async fn enter(connection: &mut Connection, folder: &str) -> Result<(), Failure> {
    connection.command("CWD", folder, &DONE).await.map(drop)
}

/// Deletes what runs that were killed left half-sent in `folder`. What is young may be another channel's, just being
/// sent; it is left alone, as is everything where the server does not tell the age. How late it is there is known from
/// the file `just_put`.
async fn sweep(connection: &mut Connection, folder: &str, just_put: &str) -> Result<(), Failure> {
    // Another connection may have made it.
    if answered(enter(connection, folder).await)?.is_none() {
        return Ok(());
    }
    let old = match answered(connection.fetch("MLSD", "", MAX_LISTING).await)? {
        Some(Some(listing)) => aged_facts(&String::from_utf8_lossy(&listing), just_put),
        // Names that begin with a dot are shown by some servers only so.
        None => match answered(connection.fetch("NLST", "-a", MAX_LISTING).await)? {
            Some(Some(listing)) => {
                aged(connection, folder, &String::from_utf8_lossy(&listing), just_put).await?
            }
            _ => return Ok(()),
        },
        Some(None) => return Ok(()),
    };
    for name in old {
        let deleted = connection.command("DELE", &format!("{folder}/{name}"), &DONE).await;
        if answered(deleted)?.is_some() {
            tracing::info!("deleted {folder}/{name}, which a run that was killed has left");
        }
    }
    Ok(())
}

/// The old half-sent files among what MLSD tells (RFC 3659 §7.2).
pub(in crate::destination) fn aged_facts(listing: &str, just_put: &str) -> Vec<String> {
    let files = listing.lines().filter_map(|line| {
        let (facts, name) = line.split_once(' ')?;
        let modified = facts.split(';').find_map(|fact| {
            let (key, value) = fact.split_once('=')?;
            key.eq_ignore_ascii_case("modify").then(|| time(value))?
        })?;
        Some((name, modified))
    });
    let now = files.clone().find_map(|(name, modified)| (name == just_put).then_some(modified));
    let is_old = |modified| now.is_some_and(|now| is_old(modified, now));
    let old = files.filter(|(name, modified)| is_temporary(name.as_bytes()) && is_old(*modified));
    old.map(|(name, _)| name.to_owned()).collect()
}

/// The old half-sent files among `names`, by what MDTM tells of each.
async fn aged(
    connection: &mut Connection,
    folder: &str,
    names: &str,
    just_put: &str,
) -> Result<Vec<String>, Failure> {
    let mut old = Vec::new();
    let Some(now) = modified(connection, &format!("{folder}/{just_put}")).await? else { return Ok(old) };
    for name in names.lines().map(|line| line.rsplit('/').next().unwrap_or(line)) {
        if is_temporary(name.as_bytes())
            && let Some(modified) = modified(connection, &format!("{folder}/{name}")).await?
            && is_old(modified, now)
        {
            old.push(name.to_owned());
        }
    }
    Ok(old)
}

/// When the file at `path` was written last, if the server tells it.
async fn modified(connection: &mut Connection, path: &str) -> Result<Option<SystemTime>, Failure> {
    let told = answered(connection.command("MDTM", path, &[Status::File]).await)?;
    let text = told.and_then(|told| told.as_string().ok()).unwrap_or_default();
    Ok(text.split_whitespace().nth(1).and_then(time))
}

/// A time-val of RFC 3659 §2.3.
fn time(text: &str) -> Option<SystemTime> {
    let part = |from: usize, to: usize| text.get(from..to);
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
    humantime::parse_rfc3339(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z")).ok()
}

/// Whether `modified` is long before `now`, by the same clock.
fn is_old(modified: SystemTime, now: SystemTime) -> bool {
    now.duration_since(modified).is_ok_and(|age| age >= ABANDONED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_files_of_ours_are_swept() {
        // By the server's own clock, wherever that stands.
        let listing = "type=file;modify=20261123200000; a.ts\r\n\
                       type=file;modify=20991231235959; copied.ts\r\n\
                       type=file;size=3;modify=20261123195800;perm=r; .a b.ts.1.segcast-part\r\n\
                       Type=file;Modify=20261123195800.123;Size=3; .c.2.segcast-part\r\n\
                       type=file;modify=20261123195930; .young.ts.3.segcast-part\r\n\
                       type=file;modify=20261123185800; whole.ts\r\n\
                       type=file;modify=soon; .d.4.segcast-part\r\n\
                       type=file;modify=2026é; .e.5.segcast-part\r\n\
                       nonsense\r\n";
        assert_eq!(aged_facts(listing, "a.ts"), [".a b.ts.1.segcast-part", ".c.2.segcast-part"]);
        assert!(aged_facts(listing, "b.ts").is_empty(), "nobody knows how late it is");
    }
}
