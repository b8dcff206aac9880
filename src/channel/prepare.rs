//! What is done before the first byte: do destinations take files, and what did an earlier run leave there?

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::{Error, Options};
use crate::delivery::{self, Delivery, Entrance, Look, chain};
use crate::destination::{self, Destination, Kind};
use crate::live::{self, Presentation};
use crate::playlist;

/// How long a destination may take to show that it takes files before the others begin without it.
const PROBE_LIMIT: Duration = Duration::from_secs(10);

/// How long the first to answer waits for the others that were away with it.
const COMPANY: Duration = Duration::from_secs(5);

/// Where nothing tells of earlier runs, discontinuities are counted by the hour from the beginning of 2026 on. Counting
/// faster would be safer for two starts in an hour, but hls.js 1.7 steps through all numbers up to this one at each
/// reload: a number as large as a segment's keeps it busy for ever.
const BREAKS_SINCE: Duration = Duration::from_secs(1_767_225_600);

/// What a channel begins with.
pub struct Prepared {
    pub presentation: Presentation,
    pub deliveries: Vec<Delivery>,
    /// A destination that was left out.
    pub refused: Option<Error>,
}

/// The presentation goes on after `shown`. Where the origin is the only place that is there, nothing tells of earlier
/// runs: numbers begin so that they are above all of them.
fn presentation(options: &Options, shown: Option<&[Option<playlist::Media>]>) -> Presentation {
    let presentation = options.presentation.clone();
    if let Some(shown) = shown {
        return Presentation::resume(presentation, shown);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let first = now.as_millis() / presentation.target.as_millis().max(1);
    let breaks = now.saturating_sub(BREAKS_SINCE).as_secs() / 3600;
    Presentation::resume_from(presentation, u64::try_from(first).unwrap_or(1), breaks)
}

/// The search for places to begin at.
pub struct Search<'a> {
    pub options: &'a Options,
    began: Instant,
    ended: mpsc::UnboundedSender<()>,
    /// Whether nobody has answered so far, and somebody is waited for.
    is_waiting: bool,
    /// What was said of each destination, and when.
    said: BTreeMap<usize, (Kind, Instant)>,
    /// Destinations that did not answer, for the next search to go on with.
    late: BTreeMap<usize, Begun>,
}

/// A destination, and what is known of it so far.
type Begun = (Arc<dyn Destination>, Look);

/// Why there is no place to begin at.
pub enum Nowhere {
    /// Another search would find none either.
    Refused(Error),
    /// Nobody answers; somebody may yet.
    Silent(Error),
}

impl<'a> Search<'a> {
    /// Delivery is timed from `began`, and `ended` hears of each that gives up.
    pub const fn new(options: &'a Options, began: Instant, ended: mpsc::UnboundedSender<()>) -> Self {
        Self { options, began, ended, is_waiting: false, said: BTreeMap::new(), late: BTreeMap::new() }
    }

    /// Sees that destinations take files, and goes on where an earlier run left off.
    ///
    /// One that refuses is said and left out; one that does not answer is looked at again while the others, or the
    /// origin, begin.
    ///
    /// # Errors
    /// [`Nowhere`]; [`Nowhere::Refused`] also if a destination refuses that is required.
    pub async fn prepare(&mut self) -> Result<Prepared, Nowhere> {
        let options = self.options;
        let mut looked = look_at_all(options, std::mem::take(&mut self.late), BTreeMap::new()).await;
        let is = |one: fn(&Entrance) -> bool| looked.iter().flatten().any(one);
        if self.is_waiting
            && is(|one| matches!(one, Entrance::Open(..)))
            && is(|one| matches!(one, Entrance::Late(..)))
        {
            // Those that were away together come back together: what all of them show is gone on with, not the first's.
            let (mut late, mut open) = (BTreeMap::new(), BTreeMap::new());
            for (n, looked) in looked.into_iter().enumerate() {
                match looked {
                    Ok(Entrance::Late(destination, look, _)) => drop(late.insert(n, (destination, look))),
                    Ok(entrance) => drop(open.insert(n, entrance)),
                    Err(_) => {}
                }
            }
            sleep(COMPANY).await;
            looked = look_at_all(options, late, open).await;
        }
        let open = looked.iter().filter_map(|looked| match looked {
            Ok(Entrance::Open(_, looked)) => Some(&looked.found),
            _ => None,
        });
        let open: Vec<_> = open.collect();
        let shown = Arc::new(delivery::farthest(&open));
        let has_place = !open.is_empty() || options.origin.is_some();
        let told = (!open.is_empty()).then_some(shown.as_slice());
        let (mut deliveries, mut refused, mut silent) = (Vec::new(), None, None);
        for (n, (served, looked)) in options.destinations.iter().zip(looked).enumerate() {
            match looked {
                Ok(Entrance::Late(destination, look, source)) if !has_place => {
                    silent.get_or_insert(self.say(n, source));
                    self.late.insert(n, (destination, look));
                }
                Ok(entrance) => {
                    let (began, ended) = (self.began, self.ended.clone());
                    let delivery =
                        Delivery::start(served, &options.presentation, entrance, &shown, began, ended);
                    deliveries.push(delivery);
                }
                Err(source) if served.is_required => return Err(Nowhere::Refused(self.error(n, source))),
                Err(source) => {
                    refused.get_or_insert(self.say(n, source));
                }
            }
        }
        match (silent, refused) {
            (Some(silent), _) => Err(Nowhere::Silent(silent)),
            (None, Some(refused)) if !has_place => Err(Nowhere::Refused(refused)),
            (None, refused) => {
                Ok(Prepared { presentation: presentation(options, told), deliveries, refused })
            }
        }
    }

    /// Nobody has answered: somebody is waited for.
    pub const fn wait(&mut self) {
        self.is_waiting = true;
    }

    /// Says why a destination is left out: once, and now and then while somebody is waited for. Of the only one our
    /// caller is told first.
    fn say(&mut self, n: usize, source: destination::Error) -> Error {
        let (kind, now) = (source.kind(), Instant::now());
        let error = self.error(n, source);
        let is_told = |&(told, at): &(Kind, Instant)| told == kind && now - at < delivery::REMINDERS;
        if !self.said.get(&n).is_some_and(is_told) {
            self.said.insert(n, (kind, now));
            if self.options.destinations.len() > 1 || self.options.origin.is_some() || self.is_waiting {
                tracing::error!("{}", chain(&error));
            }
        }
        error
    }

    fn error(&self, n: usize, source: destination::Error) -> Error {
        Error::Destination { name: self.options.destinations[n].target.to_string(), source }
    }
}

/// Looks at all at the same time, so that one that does not answer holds up nobody for longer than the limit. Goes on with
/// the looks that are `late`, and leaves alone those that are `open`.
async fn look_at_all(
    options: &Options,
    mut late: BTreeMap<usize, Begun>,
    mut open: BTreeMap<usize, Entrance>,
) -> Vec<Result<Entrance, destination::Error>> {
    let mut looking = JoinSet::new();
    for (n, served) in options.destinations.iter().enumerate() {
        if let Some(entrance) = open.remove(&n) {
            looking.spawn(async move { (n, Ok(entrance)) });
            continue;
        }
        let begun = match late.remove(&n) {
            Some(begun) => Ok(begun),
            None => served.target.open().map(|opened| (Arc::from(opened), Look::default())),
        };
        let presentation = options.presentation.clone();
        // Where there is no other place, nobody waits for it.
        let is_alone = options.destinations.len() == 1 && options.origin.is_none();
        let most = if is_alone { served.timeout } else { PROBE_LIMIT };
        let limit = served.timeout.min(most);
        let keeps = served.keeps_expired;
        looking.spawn(async move { (n, look(begun, presentation, keeps, limit).await) });
    }
    let mut looked = looking.join_all().await;
    looked.sort_by_key(|(n, _)| *n);
    looked.into_iter().map(|(_, looked)| looked).collect()
}

/// Looks at a destination. What may go well another time is no error.
async fn look(
    begun: Result<Begun, destination::Error>,
    presentation: live::Options,
    keeps: bool,
    limit: Duration,
) -> Result<Entrance, destination::Error> {
    let (destination, look) = begun?;
    match delivery::enter(Arc::clone(&destination), look, presentation, keeps, limit).await {
        (_, Ok(looked)) => Ok(Entrance::Open(destination, looked)),
        (look, Err(error)) if error.kind() == Kind::Transient => Ok(Entrance::Late(destination, look, error)),
        (_, Err(error)) => Err(error),
    }
}
