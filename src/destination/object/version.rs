//! Which version of an object a put replaces. A put that was given up may still be on its way, and must not come over
//! the one after it: so each says what it expects to be there (RFC 9110 §13.1), and the late one finds something else.

use std::collections::HashMap;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use object_store::path::Path;
use object_store::{Attributes, ObjectStoreExt, PutMode, PutPayload, PutResult, UpdateVersion};
use tokio::sync::Mutex as AsyncMutex;

use super::store::Store;
use super::wire::Failure;
use crate::destination::is_playlist;

/// How often an object is put when somebody else was faster.
const ATTEMPTS: usize = 4;

/// An object to be put.
#[derive(Debug)]
pub(super) struct Object {
    pub path: Path,
    pub payload: PutPayload,
    pub attributes: Attributes,
}

/// The versions of a bucket's playlists. They change under their name; of everything else we expect that it is new.
#[derive(Debug)]
pub(super) struct Versions {
    playlists: Mutex<HashMap<Path, Arc<AsyncMutex<Known>>>>,
    /// Whether the service has conditional puts, as far as we know.
    is_conditional: AtomicBool,
}

/// What we know of the version that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Known {
    /// Nothing: it was never looked at, or a put may yet arrive.
    #[default]
    Unknown,
    Absent,
    There(UpdateVersion),
}

/// What the service made of a conditional put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Another version is there.
    Changed,
    /// Another put is under way.
    Busy,
    /// It has no conditional puts.
    Unable,
    /// It failed otherwise.
    Failed,
}

impl Default for Versions {
    fn default() -> Self {
        Self { playlists: Mutex::default(), is_conditional: AtomicBool::new(true) }
    }
}

impl Versions {
    /// Puts `object` over what is there now.
    pub async fn put(&self, store: &Store, object: &Object) -> object_store::Result<()> {
        if !self.is_conditional.load(Ordering::Relaxed) {
            return store.put(object, PutMode::Overwrite).await.map(drop);
        }
        if !is_playlist(object.path.as_ref()) {
            return self.put_over(Known::Absent, store, object).await.map(drop);
        }
        let slot = self.slot(&object.path);
        let mut known = slot.lock().await;
        // It stays unknown if this put fails, or is given up.
        let before = mem::take(&mut *known);
        *known = self.put_over(before, store, object).await?;
        Ok(())
    }

    /// Puts `object` over `known`, or whatever else turns out to be there. What is there then.
    async fn put_over(&self, known: Known, store: &Store, object: &Object) -> object_store::Result<Known> {
        let mut known = known;
        let mut refuted = None;
        for attempt in 1.. {
            if known == Known::Unknown {
                known = match look(store, &object.path).await {
                    Ok(found) => found,
                    // Who may not list a bucket is told so of what is absent, too: the put will tell.
                    Err(error) if is_refused(&error) && refuted.is_none() => Known::Absent,
                    Err(error) if is_refused(&error) => {
                        store.put(object, PutMode::Overwrite).await?;
                        return Ok(Known::Unknown);
                    }
                    Err(error) => return Err(error),
                };
            }
            if refuted.as_ref() == Some(&known) && known != Known::Absent {
                return self.overwrite(store, object, "what it says of versions does not hold").await;
            }
            let Some(mode) = mode(store, &known) else {
                return self.overwrite(store, object, "it does not tell versions").await;
            };
            let error = match store.put(object, mode).await {
                Ok(result) => return Ok(version(result)),
                Err(error) => error,
            };
            match verdict(&error, &known) {
                Verdict::Changed if attempt < ATTEMPTS => refuted = Some(mem::take(&mut known)),
                Verdict::Busy if attempt < ATTEMPTS => known = Known::Unknown,
                Verdict::Unable => return self.overwrite(store, object, "it has no conditional puts").await,
                _ => return Err(error),
            }
        }
        Ok(Known::Unknown)
    }

    /// Puts `object` without a condition, and all others from now on: so is the service, or what we may do there.
    async fn overwrite(&self, store: &Store, object: &Object, why: &str) -> object_store::Result<Known> {
        store.put(object, PutMode::Overwrite).await?;
        if self.is_conditional.swap(false, Ordering::Relaxed) {
            tracing::warn!("objects are put without a condition at {}: {why}", store.reader);
        }
        Ok(Known::Unknown)
    }

    /// Deletes the object at `path`.
    pub async fn delete(&self, store: &Store, path: &Path) -> object_store::Result<()> {
        if !is_playlist(path.as_ref()) {
            return store.delete(path).await;
        }
        let slot = self.slot(path);
        let mut known = slot.lock().await;
        *known = Known::Unknown;
        store.delete(path).await
    }

    fn slot(&self, path: &Path) -> Arc<AsyncMutex<Known>> {
        let mut playlists = self.playlists.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(playlists.entry(path.clone()).or_default())
    }
}

/// Asks which version is there.
async fn look(store: &Store, path: &Path) -> object_store::Result<Known> {
    match store.reader.head(path).await {
        Ok(meta) => Ok(Known::There(UpdateVersion { e_tag: meta.e_tag, version: meta.version })),
        // Whether the bucket is there is seen when something is put: this answer has no body that would tell.
        Err(error) if Failure::answer(&error).is_some_and(|answer| answer.status == 404) => Ok(Known::Absent),
        Err(error) => Err(error),
    }
}

fn is_refused(error: &object_store::Error) -> bool {
    Failure::answer(error).is_some_and(|answer| answer.status == 403)
}

fn version(result: PutResult) -> Known {
    Known::There(UpdateVersion { e_tag: result.e_tag, version: result.version })
}

/// How to put over `known`; none if the service did not say what is needed for that.
fn mode(store: &Store, known: &Known) -> Option<PutMode> {
    match known {
        Known::Unknown => None,
        Known::Absent => Some(PutMode::Create),
        Known::There(version) => {
            let name = if store.is_numbered { &version.version } else { &version.e_tag };
            name.is_some().then(|| PutMode::Update(version.clone()))
        }
    }
}

fn verdict(error: &object_store::Error, before: &Known) -> Verdict {
    if matches!(error, object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. })
    {
        return Verdict::Unable;
    }
    let Some(answer) = Failure::answer(error) else { return Verdict::Failed };
    match (answer.status, answer.code.as_str()) {
        (501, _) | (_, "NotImplemented" | "NotSupported") => Verdict::Unable,
        // What some say to a header that they do not know.
        (400, "InvalidArgument" | "InvalidRequest" | "UnsupportedHeader") => Verdict::Unable,
        (409, "BlobAlreadyExists") | (304 | 412, _) => Verdict::Changed,
        (409, _) => Verdict::Busy,
        // It was there, and is no more.
        (404, "NoSuchKey" | "BlobNotFound") if matches!(before, Known::There(_)) => Verdict::Changed,
        _ => Verdict::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::object::wire::Answer;

    fn there(e_tag: &str) -> Known {
        Known::There(UpdateVersion { e_tag: Some(e_tag.to_owned()), version: None })
    }

    #[test]
    fn an_answer_tells_what_became_of_the_condition() {
        for (status, code, known, expected) in [
            (412, "PreconditionFailed", there("a"), Verdict::Changed),
            (412, "", Known::Absent, Verdict::Changed),
            (409, "BlobAlreadyExists", Known::Absent, Verdict::Changed),
            (409, "ConditionalRequestConflict", there("a"), Verdict::Busy),
            (404, "NoSuchKey", there("a"), Verdict::Changed),
            (404, "NoSuchKey", Known::Absent, Verdict::Failed),
            (404, "NoSuchBucket", there("a"), Verdict::Failed),
            (501, "NotImplemented", Known::Absent, Verdict::Unable),
            (400, "InvalidArgument", Known::Absent, Verdict::Unable),
            (400, "RequestTimeout", Known::Absent, Verdict::Failed),
            (503, "SlowDown", Known::Absent, Verdict::Failed),
        ] {
            let answer = Answer { status, code: code.to_owned(), ..Answer::default() };
            let error =
                object_store::Error::Generic { store: "S3", source: Failure::Answered(answer).into() };
            assert_eq!(verdict(&error, &known), expected, "{status} {code} {known:?}");
        }
    }
}
