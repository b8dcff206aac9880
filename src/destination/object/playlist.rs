//! Playlists change under their name. A put that was given up may still be on its way, and must not come over a newer
//! one: so each says which version it replaces (RFC 9110 §13.1.1), and the late one finds that gone.

use std::collections::HashMap;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use object_store::path::Path;
use object_store::{Attributes, ObjectStoreExt, PutMode, PutPayload, PutResult, UpdateVersion};
use tokio::sync::Mutex as AsyncMutex;

use super::store::Store;
use super::wire::Failure;

/// How often a playlist is put when somebody else was faster.
const ATTEMPTS: usize = 3;

/// The playlists of a bucket.
#[derive(Debug)]
pub(super) struct Playlists {
    known: Mutex<HashMap<Path, Arc<AsyncMutex<Known>>>>,
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

impl Default for Playlists {
    fn default() -> Self {
        Self { known: Mutex::default(), is_conditional: AtomicBool::new(true) }
    }
}

impl Playlists {
    /// Puts the playlist at `path`, over the version that is there now.
    pub async fn put(
        &self,
        store: &Store,
        path: &Path,
        payload: &PutPayload,
        attributes: &Attributes,
    ) -> object_store::Result<()> {
        if !self.is_conditional.load(Ordering::Relaxed) {
            return store.put(path, payload, attributes, PutMode::Overwrite).await.map(drop);
        }
        let slot = self.slot(path);
        let mut known = slot.lock().await;
        let mut refuted = None;
        for attempt in 1.. {
            // It stays unknown if this put fails, or is given up.
            let before = match mem::take(&mut *known) {
                Known::Unknown => match look(store, path).await {
                    Ok(found) => found,
                    Err(error) if Failure::answer(&error).is_some_and(|answer| answer.status == 403) => {
                        return self
                            .overwrite(store, path, payload, attributes, "looking is not allowed")
                            .await;
                    }
                    Err(error) => return Err(error),
                },
                known => known,
            };
            if refuted.as_ref() == Some(&before) {
                return self
                    .overwrite(store, path, payload, attributes, "it tells versions apart wrongly")
                    .await;
            }
            let Some(mode) = mode(store, &before) else {
                return self.overwrite(store, path, payload, attributes, "it does not tell versions").await;
            };
            let error = match store.put(path, payload, attributes, mode).await {
                Ok(result) => {
                    *known = version(result);
                    return Ok(());
                }
                Err(error) => error,
            };
            match verdict(&error, &before) {
                Verdict::Changed if attempt < ATTEMPTS => refuted = Some(before),
                Verdict::Busy if attempt < ATTEMPTS => {}
                Verdict::Unable => {
                    return self
                        .overwrite(store, path, payload, attributes, "it has no conditional puts")
                        .await;
                }
                _ => return Err(error),
            }
        }
        Ok(())
    }

    /// Puts it without a condition, and all others from now on if that is how the service is.
    async fn overwrite(
        &self,
        store: &Store,
        path: &Path,
        payload: &PutPayload,
        attributes: &Attributes,
        why: &str,
    ) -> object_store::Result<()> {
        store.put(path, payload, attributes, PutMode::Overwrite).await?;
        if self.is_conditional.swap(false, Ordering::Relaxed) {
            tracing::debug!("playlists are put without a condition at {}: {why}", store.reader);
        }
        Ok(())
    }

    /// Deletes the playlist at `path`.
    pub async fn delete(&self, store: &Store, path: &Path) -> object_store::Result<()> {
        let slot = self.slot(path);
        let mut known = slot.lock().await;
        *known = Known::Unknown;
        store.reader.delete(path).await
    }

    fn slot(&self, path: &Path) -> Arc<AsyncMutex<Known>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(path.clone()).or_default())
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
        (409, "BlobAlreadyExists") | (304 | 412, _) => Verdict::Changed,
        (409, _) => Verdict::Busy,
        // It was there, and is no more.
        (404, "NoSuchKey" | "BlobNotFound") if matches!(before, Known::There(_)) => Verdict::Changed,
        _ => Verdict::Failed,
    }
}
