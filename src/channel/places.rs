//! Where a channel's stream is put: every destination, and the origin.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use crate::chunks::Chunks;
use crate::delivery::{self, Delivery, Spool, Store};
use crate::live::Snapshot;
use crate::origin::Stage;
use crate::segment::Segment;

/// Every place where a channel is shown. What is put comes ahead of the snapshot that names it.
pub struct Places {
    pub deliveries: Vec<Delivery>,
    /// The origin's, if there is one.
    pub stage: Option<Stage>,
    /// Where people open what the origin shows, until they are told that they can.
    address: Option<String>,
    pub store: Store,
    /// What each rendition's segments are decoded with.
    maps: Vec<Option<Map>>,
    /// What the origin shows.
    at_edge: Option<Arc<Snapshot>>,
    began: Instant,
}

/// A Media Initialization Section.
#[derive(Clone)]
struct Map {
    key: String,
    bytes: Bytes,
}

impl Places {
    pub fn new(deliveries: Vec<Delivery>, spool: Spool, renditions: usize, began: Instant) -> Self {
        let maps = vec![None; renditions];
        Self { deliveries, stage: None, address: None, store: Store::new(spool), maps, at_edge: None, began }
    }

    /// Whether nobody can see the channel any more.
    pub fn is_nowhere(&self) -> bool {
        self.deliveries.is_empty() && self.stage.is_none()
    }

    /// An origin shows this too, where people open `address`.
    pub fn serve(&mut self, stage: Stage, address: String) {
        (self.stage, self.address) = (Some(stage), Some(address));
    }

    /// The segments of `rendition` that are put from now on need this.
    pub fn map(&mut self, rendition: usize, key: String, bytes: Bytes) {
        if let Some(stage) = &mut self.stage {
            stage.put(&key, Chunks::from(bytes.clone()));
        }
        self.maps[rendition] = Some(Map { key, bytes });
    }

    /// A part goes to the origin alone: destinations get whole segments.
    pub fn part(&mut self, key: &str, body: Chunks) {
        if let Some(stage) = &mut self.stage {
            stage.put_part(key, body);
        }
    }

    /// A segment goes everywhere.
    pub fn segment(&mut self, rendition: usize, number: u64, key: String, segment: Segment) {
        if let Some(stage) = &mut self.stage {
            stage.put(&key, segment.chunks.clone());
        }
        if self.deliveries.is_empty() {
            return;
        }
        let map = self.maps[rendition].clone().map(|map| (map.key, map.bytes));
        let (duration, body) = (segment.extent.duration, self.store.hold(segment.chunks));
        let segment = delivery::Segment { rendition, number, key, duration, body, map };
        self.deliveries.iter_mut().for_each(|delivery| delivery.put(segment.clone()));
        if let Some(trouble) = self.store.take_trouble() {
            tracing::warn!("{trouble}: segments wait in memory alone");
        }
    }

    /// Every destination shows this.
    pub fn show(&mut self, snapshot: &Arc<Snapshot>) {
        self.deliveries.iter_mut().for_each(|delivery| delivery.show(snapshot));
    }

    /// The origin shows this, if it is news.
    pub fn show_at_edge(&mut self, snapshot: &Arc<Snapshot>) {
        if let Some(stage) = &mut self.stage
            && self.at_edge.as_ref().is_none_or(|before| !Arc::ptr_eq(before, snapshot))
        {
            stage.show(snapshot, self.began.elapsed());
            self.at_edge = Some(Arc::clone(snapshot));
            if let Some(address) = self.address.take_if(|_| stage.is_ready()) {
                tracing::info!("on air: {address}");
            }
        }
    }
}
