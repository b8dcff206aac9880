//! A channel made by hand, and the origin that shows it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use segcast::live::{self, Listing, Presentation};
use segcast::origin::{Limits, Options, Origin, Stage};
use segcast::segment::{Extent, Head, Part};
use segcast::time::Ticks;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Duration of each segment.
pub const SEGMENT: Duration = Duration::from_secs(1);
/// Parts in each segment.
pub const PARTS: u32 = 4;

/// An origin at a free port of this machine.
pub fn options() -> Options {
    Options { listen: (Ipv4Addr::LOCALHOST, 0).into(), ..Options::default() }
}

/// An origin with these limits.
pub fn limited(limits: Limits) -> Options {
    Options { limits, ..options() }
}

/// A running server. It ends when it is dropped.
pub struct Server {
    pub address: SocketAddr,
    pub end: Option<oneshot::Sender<()>>,
    pub task: JoinHandle<()>,
}

impl Server {
    pub fn run(origin: Origin) -> Self {
        let address = origin.address();
        let (end, ended) = oneshot::channel();
        let task = tokio::spawn(origin.run(async { drop(ended.await) }));
        Self { address, end: Some(end), task }
    }
}

/// A channel whose segments are made here.
pub struct Channel {
    pub stage: Stage,
    pub presentation: Presentation,
    /// Segments closed, by rendition.
    pub closed: Vec<u64>,
    /// Parts of the open one, by rendition.
    parts: Vec<u32>,
    pub now: Duration,
}

/// How the channels here present themselves.
pub fn presentation(renditions: &[&str], has_parts: bool) -> live::Options {
    let rendition = |name: &&str| live::Rendition {
        name: (*name).to_owned(),
        playlist: format!("{name}/index.m3u8"),
        segment_prefix: format!("{name}/"),
        bandwidth_bps: Some(1_000_000),
        ..live::Rendition::default()
    };
    live::Options {
        kind: live::Kind::Live { window: 6 },
        target: SEGMENT,
        multivariants: vec![Listing { key: "index.m3u8".to_owned(), ..Listing::default() }],
        url_prefix: String::new(),
        has_date_time: true,
        has_parts,
        renditions: renditions.iter().map(rendition).collect(),
    }
}

impl Channel {
    /// A server with a channel of these renditions that has shown nothing yet.
    pub fn serve(options: Options, renditions: &[&str], has_parts: bool) -> (Self, Server) {
        Self::present(options, presentation(renditions, has_parts))
    }

    /// A server with a channel that presents itself like this, and has shown nothing yet.
    pub fn present(options: Options, presentation: live::Options) -> (Self, Server) {
        let renditions = presentation.renditions.len();
        let mut origin = Origin::bind(options).unwrap();
        let presentation = Presentation::new(presentation);
        let stage = origin.stage("test", presentation.options());
        let (closed, parts) = (vec![0; renditions], vec![0; renditions]);
        let channel = Self { stage, presentation, closed, parts, now: Duration::ZERO };
        (channel, Server::run(origin))
    }

    fn head(&self, rendition: usize) -> Head {
        let start = Ticks::new(self.closed[rendition] as i64 * 90_000);
        Head { start, decode_start: start, is_discontinuity: false, is_independent: true }
    }

    /// Opens a segment.
    pub fn open(&mut self, rendition: usize) {
        let arrived = SystemTime::UNIX_EPOCH + Duration::from_secs(self.closed[rendition]);
        self.presentation.open(rendition, &self.head(rendition), arrived);
        self.parts[rendition] = 0;
    }

    /// A part of the open segment is whole; gives its key.
    pub fn part(&mut self, rendition: usize) -> String {
        let key = self.part_unshown(rendition);
        self.show();
        key
    }

    /// The same, as with a segment's last part: it is shown when the segment is.
    pub fn part_unshown(&mut self, rendition: usize) -> String {
        let index = self.parts[rendition];
        self.parts[rendition] += 1;
        let duration = SEGMENT / PARTS;
        let start = Ticks::new(self.closed[rendition] as i64 * 90_000 + i64::from(index) * 22_500);
        let part = Part {
            index,
            decode_start: start,
            decode_end: start + Ticks::new(22_500),
            duration,
            is_independent: index == 0,
            longest: duration,
        };
        let number = self.presentation.next_number(rendition);
        let key = self.presentation.options().renditions[rendition].part_key(number, index.into());
        self.stage.put_part(&key, Bytes::from(key.clone()).into());
        self.presentation.part(rendition, &part);
        key
    }

    /// The open segment is whole, and its bytes are these; gives its key.
    pub fn close(&mut self, rendition: usize, body: Bytes) -> String {
        let head = self.head(rendition);
        let number = self.presentation.next_number(rendition);
        let key = self.presentation.options().renditions[rendition].segment_key(number);
        let size_bytes = body.len() as u64;
        self.stage.put(&key, body.into());
        let decode_end = head.decode_start + Ticks::from(SEGMENT);
        let extent = Extent { head, duration: SEGMENT, size_bytes, longest: SEGMENT, decode_end };
        self.presentation.close(rendition, &extent);
        self.closed[rendition] += 1;
        self.now = self.now.max(SEGMENT * u32::try_from(self.closed[rendition]).unwrap());
        self.show();
        key
    }

    /// A whole segment with all its parts.
    pub fn segment(&mut self, rendition: usize, body: Bytes) -> String {
        self.open(rendition);
        if self.presentation.options().has_parts {
            (0..PARTS).for_each(|_| drop(self.part(rendition)));
        }
        self.close(rendition, body)
    }

    /// Nothing more comes.
    pub fn end(&mut self) {
        for rendition in 0..self.closed.len() {
            self.presentation.end(rendition);
        }
        self.show();
    }

    pub fn show(&mut self) {
        let snapshot = self.presentation.snapshot();
        self.stage.show(&Arc::clone(&snapshot), self.now);
    }
}

/// A segment's bytes, of slices that differ.
pub fn body(size: usize) -> Bytes {
    (0..size).map(|n| (n % 251) as u8).collect()
}
