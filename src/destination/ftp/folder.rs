//! Folders at the server: made as needed, swept when they are first used.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use suppaftp::Status;

use super::attempt::is_temporary;
use super::connection::{Connection, answered};
use super::failure::Failure;

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
        let is_first = {
            let mut known = self.lock();
            known.there.insert(folder.to_owned());
            known.swept.insert(folder.to_owned())
        };
        if !is_first {
            return Ok(());
        }
        match sweep(connection, folder).await {
            // Nothing depends on it.
            Err(Failure::Invalid(why)) => {
                tracing::debug!("{folder} is not swept: {why}");
                Ok(())
            }
            swept => swept,
        }
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

/// Deletes what runs that were killed left half-sent in the folder that we are in, `folder`. What is young may be
/// another channel's, just being sent; it is left alone, as is everything where the server does not tell the age.
async fn sweep(connection: &mut Connection, folder: &str) -> Result<(), Failure> {
    let old = match answered(connection.fetch("MLSD", "", MAX_LISTING).await)? {
        Some(listing) => aged_facts(&String::from_utf8_lossy(&listing), SystemTime::now()),
        // Names that begin with a dot are shown by some servers only so.
        None => match answered(connection.fetch("NLST", "-a", MAX_LISTING).await)? {
            Some(listing) => aged(connection, folder, &String::from_utf8_lossy(&listing)).await?,
            None => return Ok(()),
        },
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
fn aged_facts(listing: &str, now: SystemTime) -> Vec<String> {
    let old = listing.lines().filter_map(|line| {
        let (facts, name) = line.split_once(' ')?;
        let modified = facts.split(';').find_map(|fact| {
            let (key, value) = fact.split_once('=')?;
            key.eq_ignore_ascii_case("modify").then_some(value)
        })?;
        (is_temporary(name) && is_old(modified, now)).then(|| name.to_owned())
    });
    old.collect()
}

/// The old half-sent files among `names`, by what MDTM tells of each.
async fn aged(connection: &mut Connection, folder: &str, names: &str) -> Result<Vec<String>, Failure> {
    let mut old = Vec::new();
    for name in names.lines().map(|line| line.rsplit('/').next().unwrap_or(line)) {
        if !is_temporary(name) {
            continue;
        }
        let told = connection.command("MDTM", &format!("{folder}/{name}"), &[Status::File]).await;
        let Some(told) = answered(told)? else { continue };
        let text = told.as_string().unwrap_or_default();
        if text.split_whitespace().nth(1).is_some_and(|modified| is_old(modified, SystemTime::now())) {
            old.push(name.to_owned());
        }
    }
    Ok(old)
}

/// Whether `modified`, a time-val of RFC 3659 §2.3, is long before `now`.
fn is_old(modified: &str, now: SystemTime) -> bool {
    let part = |from: usize, to: usize| modified.get(from..to);
    let written = || {
        let (date, time) =
            ((part(0, 4)?, part(4, 6)?, part(6, 8)?), (part(8, 10)?, part(10, 12)?, part(12, 14)?));
        let text = format!("{}-{}-{}T{}:{}:{}Z", date.0, date.1, date.2, time.0, time.1, time.2);
        humantime::parse_rfc3339(&text).ok()
    };
    written().is_some_and(|at| now.duration_since(at).is_ok_and(|age| age >= ABANDONED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_files_of_ours_are_swept() {
        let now = humantime::parse_rfc3339("2026-11-23T20:00:00Z").unwrap();
        let listing = "type=file;size=3;modify=20261123195800;perm=r; .a b.ts.1.segcast-part\r\n\
                       Type=file;Modify=20261123195800.123;Size=3; .c.2.segcast-part\r\n\
                       type=file;modify=20261123195930; .young.ts.3.segcast-part\r\n\
                       type=file;modify=20261123185800; whole.ts\r\n\
                       type=file;modify=soon; .d.4.segcast-part\r\n\
                       type=file;modify=2026é; .e.5.segcast-part\r\n\
                       nonsense\r\n";
        assert_eq!(aged_facts(listing, now), [".a b.ts.1.segcast-part", ".c.2.segcast-part"]);
    }
}
