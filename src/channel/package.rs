//! What is made of one encoder's stream: segments of one or several playlists, all of one cut.

use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::formats::Formats;
use crate::chunks::Chunks;
use crate::cmaf::{self, Fragmenter, Init, Track};
use crate::codec::Format;
use crate::segment::{self, Cutter, Extent, Gatherer, Head, Output, Part, Segment};
use crate::time::Rate;
use crate::ts::{Anomaly, Service};

/// Which of the presentation's renditions are made of one encoder's stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineup {
    /// The one that carries the stream as it is, in transport stream segments.
    pub ts: Option<usize>,
    /// Those in CMAF.
    pub cmaf: Option<Cmaf>,
}

/// The renditions in CMAF that are made of one encoder's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cmaf {
    /// Whether pictures and sound stand in one rendition.
    pub layout: cmaf::Layout,
    /// Of the first track: pictures, or pictures and sound, or sound alone.
    pub main: usize,
    /// Of the audio tracks behind it. Those that the stream lacks get no playlist.
    pub audio: Vec<usize>,
    /// Whether the sound is that of another encoder's stream, and this stream's own is not needed.
    pub has_sound_elsewhere: bool,
    /// Whether fragments tell when they were made (prft).
    pub has_prft: bool,
}

impl Lineup {
    /// Transport stream segments alone, as rendition `n`.
    pub const fn ts(n: usize) -> Self {
        Self { ts: Some(n), cmaf: None }
    }

    /// All renditions, in their order.
    pub fn renditions(&self) -> impl Iterator<Item = usize> + '_ {
        let cmaf = self.cmaf.iter().flat_map(Cmaf::renditions);
        self.ts.into_iter().chain(cmaf)
    }

    /// Whether nothing is made of the stream's sound.
    pub fn needs_no_sound(&self) -> bool {
        self.ts.is_none() && self.cmaf.as_ref().is_some_and(|cmaf| cmaf.has_sound_elsewhere)
    }

    /// The rendition that stands for the stream in what people are told.
    pub fn first(&self) -> usize {
        self.renditions().next().unwrap_or(0)
    }
}

impl Cmaf {
    fn renditions(&self) -> impl Iterator<Item = usize> + '_ {
        std::iter::once(self.main).chain(self.audio.iter().copied())
    }
}

/// What came of one rendition.
#[derive(Debug)]
pub enum Item {
    /// A segment begins; its first bytes came at this time.
    Open(Head, SystemTime),
    /// The open segment needs this to be decoded.
    Map(Init),
    /// A part of the open segment is whole.
    Part(Part, Chunks),
    /// A segment is whole.
    Segment(Segment),
    /// A time in which nothing of it came, and whether it stands for a segment.
    Gap(Extent, bool),
    /// All its formats are known, or have become others.
    Formats(Vec<Format>),
    /// How many frames of its video come in a second, as timestamps show it.
    FrameRate(Rate),
    /// The language that is spoken in it.
    Language(String),
    /// Whom its sound is for.
    Service(Service),
    /// The stream has no track for it now.
    Absent,
    /// Something is wrong with the stream.
    Anomaly(Anomaly),
    /// Something in the stream is not carried over into CMAF.
    Unfit(cmaf::Anomaly),
}

/// Cuts one encoder's stream, and makes of it what its line-up says.
#[derive(Debug)]
pub struct Packager {
    cutter: Cutter,
    first: usize,
    whole: Option<Whole>,
    fragments: Option<Fragments>,
    /// Whether anything that can be played was listed so far.
    is_playable: bool,
    /// How far the wall clock is ahead of the clock that arrivals are timed by.
    ahead_ms: i64,
}

/// What came, by rendition.
type Items = Vec<(usize, Item)>;

impl Packager {
    pub fn new(lineup: &Lineup, options: &segment::Options) -> Self {
        Self {
            cutter: Cutter::new(options),
            first: lineup.first(),
            whole: lineup.ts.map(Whole::new),
            fragments: lineup.cmaf.clone().map(Fragments::new),
            is_playable: false,
            ahead_ms: 0,
        }
    }

    /// The cutter, for its questions and limits.
    pub const fn cutter(&mut self) -> &mut Cutter {
        &mut self.cutter
    }

    /// The wall clock is so far ahead of the clock that arrivals are timed by.
    pub const fn set_ahead_ms(&mut self, ahead_ms: i64) {
        self.ahead_ms = ahead_ms;
    }

    /// The streams that are there, while none of them can be played: nothing is made of them.
    pub fn unplayable(&mut self) -> Option<String> {
        let program = self.cutter.program().filter(|_| !self.is_playable)?;
        self.is_playable = match self.whole {
            Some(_) => program.is_playable(),
            None => program.streams.iter().any(|stream| cmaf::is_carried(stream.codec)),
        };
        (!self.is_playable).then(|| program.contents())
    }

    /// Takes the next bytes, which came at `arrived`.
    pub fn push(&mut self, chunk: Bytes, arrived: SystemTime) -> Items {
        let mut items = Items::new();
        if let Some(fragments) = &mut self.fragments {
            fragments.set_now(arrived, self.ahead_ms);
        }
        for event in self.cutter.push(chunk) {
            take(event, &mut self.whole, &mut self.fragments, self.first, arrived, &mut items);
        }
        // Nothing is shown of a stream that nothing can play.
        if !items.is_empty() && self.unplayable().is_some() {
            items.retain(|(_, item)| matches!(item, Item::Anomaly(_) | Item::Unfit(_)));
        }
        items
    }

    /// The stream breaks off: what is left of it. What is pushed next is another stream.
    pub fn break_off(&mut self, now: SystemTime) -> Items {
        let mut items = Items::new();
        if let Some(fragments) = &mut self.fragments {
            fragments.set_now(now, self.ahead_ms);
        }
        let is_unplayable = self.unplayable().is_some();
        for event in self.cutter.break_off() {
            take(event, &mut self.whole, &mut self.fragments, self.first, now, &mut items);
        }
        if let Some(fragments) = &mut self.fragments {
            fragments.break_off(now, &mut items);
        }
        if is_unplayable {
            items.retain(|(_, item)| matches!(item, Item::Anomaly(_) | Item::Unfit(_)));
        }
        items
    }
}

fn take(
    event: segment::Event,
    whole: &mut Option<Whole>,
    fragments: &mut Option<Fragments>,
    first: usize,
    arrived: SystemTime,
    items: &mut Items,
) {
    if let segment::Event::Anomaly(anomaly) = event {
        items.push((first, Item::Anomaly(anomaly)));
        return;
    }
    if let Some(fragments) = fragments {
        fragments.take(&event, arrived, items);
    }
    if let Some(whole) = whole {
        whole.take(event, arrived, items);
    }
}

/// The stream as it is.
#[derive(Debug)]
struct Whole {
    rendition: usize,
    gatherer: Gatherer,
    formats: Formats,
}

impl Whole {
    fn new(rendition: usize) -> Self {
        Self { rendition, gatherer: Gatherer::default(), formats: Formats::default() }
    }

    fn take(&mut self, event: segment::Event, arrived: SystemTime, items: &mut Items) {
        self.gatherer.take(event);
        while let Some(output) = self.gatherer.pop() {
            let item = match output {
                Output::Open(head) => Some(Item::Open(head, arrived)),
                Output::Part { part, chunks, .. } => Some(Item::Part(part, chunks)),
                Output::Segment(segment) => Some(Item::Segment(segment)),
                Output::Anomaly(anomaly) => Some(Item::Anomaly(anomaly)),
                Output::Program(program) => self.formats.program(&program).map(Item::Formats),
                Output::Format { pid, format } => self.formats.take(pid, format).map(Item::Formats),
                Output::FrameRate { rate, .. } => Some(Item::FrameRate(rate)),
            };
            items.extend(item.map(|item| (self.rendition, item)));
        }
    }
}

/// The stream in fragments, track by track.
#[derive(Debug)]
struct Fragments {
    slots: Slots,
    fragmenter: Fragmenter,
    has_prft: bool,
}

/// The rendition of each track that there may be, and how many tracks there are.
#[derive(Debug)]
struct Slots {
    all: Vec<usize>,
    /// None before they are known.
    tracks: Option<usize>,
    /// Whether tracks beyond these are not needed.
    is_enough: bool,
}

impl Fragments {
    fn new(cmaf: Cmaf) -> Self {
        let all = cmaf.renditions().collect();
        let slots = Slots { all, tracks: None, is_enough: cmaf.has_sound_elsewhere };
        let fragmenter = Fragmenter::new(&cmaf::Options { layout: cmaf.layout });
        Self { slots, fragmenter, has_prft: cmaf.has_prft }
    }

    fn set_now(&mut self, steady: SystemTime, ahead_ms: i64) {
        if self.has_prft {
            let ahead = Duration::from_millis(ahead_ms.unsigned_abs());
            let now = if ahead_ms < 0 { steady.checked_sub(ahead) } else { steady.checked_add(ahead) };
            self.fragmenter.set_now(now.and_then(|now| now.duration_since(SystemTime::UNIX_EPOCH).ok()));
        }
    }

    fn take(&mut self, event: &segment::Event, arrived: SystemTime, items: &mut Items) {
        for event in self.fragmenter.push(event) {
            self.slots.told(event, arrived, items);
        }
    }

    fn break_off(&mut self, now: SystemTime, items: &mut Items) {
        for event in self.fragmenter.break_off() {
            self.slots.told(event, now, items);
        }
    }
}

impl Slots {
    fn told(&mut self, event: cmaf::Event, arrived: SystemTime, items: &mut Items) {
        let mut whole = None;
        let (track, item) = match event {
            cmaf::Event::Tracks(tracks) => return self.introduce(&tracks, items),
            cmaf::Event::Open { track, head, .. } => (track, Item::Open(head, arrived)),
            cmaf::Event::Init { track, init, .. } => {
                if let Some(rendition) = self.all.get(track) {
                    items.push((*rendition, Item::Formats(init.formats.clone())));
                }
                (track, Item::Map(init))
            }
            cmaf::Event::FrameRate { track, rate } => (track, Item::FrameRate(rate)),
            cmaf::Event::Part { track, part, body, .. } => (track, Item::Part(part, body)),
            cmaf::Event::Segment { track, ordinal, extent, body } => {
                whole = Some(extent);
                (track, Item::Segment(Segment { ordinal, extent, chunks: body }))
            }
            cmaf::Event::Gap { track, extent, is_whole, .. } => {
                whole = Some(extent).filter(|_| is_whole);
                (track, Item::Gap(extent, is_whole))
            }
            cmaf::Event::Anomaly(anomaly) => (0, Item::Unfit(anomaly)),
        };
        // A track without a rendition has no playlist.
        if let Some(rendition) = self.all.get(track) {
            items.push((*rendition, item));
        }
        if let Some(extent) = whole.filter(|_| track == 0) {
            self.leave_gaps(&extent, items);
        }
    }

    /// The first track has come to the end of a segment. Renditions without a track have a gap there: so they keep step
    /// with the others, and a track that comes later goes on from there.
    fn leave_gaps(&self, extent: &Extent, items: &mut Items) {
        let extent = Extent { size_bytes: 0, ..*extent };
        let absent = self.all.iter().skip(self.tracks.unwrap_or(0));
        items.extend(absent.map(|rendition| (*rendition, Item::Gap(extent, true))));
    }

    /// Says which renditions there are.
    fn introduce(&mut self, tracks: &[Track], items: &mut Items) {
        for (rendition, track) in self.all.iter().zip(tracks) {
            items.extend(track.language.clone().map(|name| (*rendition, Item::Language(name))));
            items.push((*rendition, Item::Service(track.service)));
        }
        let known = self.tracks.replace(tracks.len()).unwrap_or(self.all.len());
        for rendition in self.all.iter().take(known).skip(tracks.len()) {
            items.push((*rendition, Item::Absent));
        }
        let left_out = tracks.len().saturating_sub(self.all.len());
        if left_out > 0 && !self.is_enough {
            tracing::warn!("{left_out} of the stream's tracks are left out: there is no playlist for them");
        }
    }
}
