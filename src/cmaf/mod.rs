//! temporary
#![allow(missing_docs)]
use crate::{chunks::Chunks, codec::Format, segment};
use bytes::Bytes;
use std::sync::Arc;
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Layout {
    #[default]
    Demuxed,
    Muxed,
}
#[derive(Clone, Debug)]
pub struct Options {
    pub layout: Layout,
}
#[derive(Debug)]
pub struct Fragmenter;
#[derive(Clone, Debug)]
pub struct Anomaly {
    pub kind: K,
}
#[derive(Clone, Debug)]
pub struct K;
impl K {
    pub fn name(&self) -> &'static str {
        ""
    }
}
impl std::fmt::Display for Anomaly {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}
#[derive(Clone, Debug)]
pub struct Init {
    pub bytes: Bytes,
    pub digest: u64,
    pub formats: Vec<Format>,
}
#[derive(Clone, Debug)]
pub struct Track {
    pub language: Option<String>,
}
pub enum Event {
    Tracks(Arc<[Track]>),
    Open { track: usize, ordinal: u64, head: segment::Head },
    Init { track: usize, ordinal: u64, init: Init },
    Part { track: usize, ordinal: u64, part: segment::Part, body: Chunks },
    Segment { track: usize, ordinal: u64, extent: segment::Extent, body: Chunks },
    Anomaly(Anomaly),
}
impl Fragmenter {
    pub fn new(_: &Options) -> Self {
        Self
    }
    pub fn push(&mut self, _: &segment::Event) -> impl Iterator<Item = Event> + use<> {
        std::iter::empty()
    }
    pub fn finish(self) -> impl Iterator<Item = Event> {
        std::iter::empty()
    }
}
