//! Streams cut and fragmented in one pass, and what others read of them.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use segcast::cmaf::{self, Anomaly, Event, Fragmenter, Init, Layout, Track};
use segcast::segment::{self, Cutter, Extent, Head, Part};

/// Where the test media are; the first to ask makes them.
pub static MEDIA: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let made = Command::new(folder.join("make.sh")).output().expect("testdata/make.sh can be started");
    assert!(made.status.success(), "testdata/make.sh: {}", String::from_utf8_lossy(&made.stderr));
    folder.join("media")
});

pub fn path(name: &str) -> PathBuf {
    MEDIA.join(name)
}

pub fn read(name: &str) -> Bytes {
    std::fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}")).into()
}

/// All that cutting and fragmenting a stream gave.
#[derive(Debug, Default)]
pub struct Made {
    /// The cutter's segments: head, bytes, extent.
    pub segments: Vec<(Head, Vec<u8>, Option<Extent>)>,
    pub tracks: Vec<Track>,
    /// How often tracks were told.
    pub tellings: usize,
    /// By track.
    pub fragmented: Vec<Fragmented>,
    pub anomalies: Vec<Anomaly>,
}

/// What came of one track.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fragmented {
    pub heads: Vec<Head>,
    /// Each with the segment that first needs it.
    pub inits: Vec<(u64, Init)>,
    pub parts: Vec<Vec<(Part, Bytes)>>,
    pub segments: Vec<(Extent, Bytes)>,
    /// Each with the segment it belongs to, and whether it stands for it.
    pub gaps: Vec<(u64, Extent, bool)>,
}

pub fn make(stream: &Bytes, chunk: usize, layout: Layout, part: Option<Duration>) -> Made {
    make_of(std::slice::from_ref(stream), chunk, layout, part)
}

/// Of streams that follow one another, each of which breaks off.
pub fn make_of(streams: &[Bytes], chunk: usize, layout: Layout, part: Option<Duration>) -> Made {
    let options = segment::Options { target: Duration::from_secs(2), part, ..segment::Options::default() };
    let mut cutter = Cutter::new(&options);
    let mut fragmenter = Fragmenter::new(&cmaf::Options { layout });
    let mut made = Made::default();
    for stream in streams {
        for at in (0..stream.len()).step_by(chunk) {
            for event in cutter.push(stream.slice(at..stream.len().min(at + chunk))) {
                made.take(&event, &mut fragmenter);
            }
        }
        for event in cutter.break_off() {
            made.take(&event, &mut fragmenter);
        }
        fragmenter.break_off().for_each(|event| made.keep(event));
    }
    fragmenter.finish().for_each(|event| made.keep(event));
    made
}

impl Made {
    fn take(&mut self, event: &segment::Event, fragmenter: &mut Fragmenter) {
        match event {
            segment::Event::Open { head, .. } => self.segments.push((*head, Vec::new(), None)),
            segment::Event::Data { ordinal, bytes } => {
                self.segments[*ordinal as usize].1.extend_from_slice(bytes);
            }
            segment::Event::Close { ordinal, extent } => self.segments[*ordinal as usize].2 = Some(*extent),
            _ => {}
        }
        let events: Vec<_> = fragmenter.push(event).collect();
        events.into_iter().for_each(|event| self.keep(event));
    }

    fn keep(&mut self, event: Event) {
        match event {
            Event::Tracks(tracks) => {
                self.tellings += 1;
                self.tracks = tracks.to_vec();
                self.fragmented.resize(self.fragmented.len().max(tracks.len()), Fragmented::default());
            }
            Event::Open { track, ordinal, head } => {
                let it = &mut self.fragmented[track];
                assert_eq!(
                    it.heads.len(),
                    it.segments.len(),
                    "track {track}: segment {ordinal} opens too early"
                );
                it.heads.push(head);
                it.parts.push(Vec::new());
            }
            Event::Init { track, ordinal, init } => {
                let it = &mut self.fragmented[track];
                assert!(it.heads.len() > it.segments.len() && it.parts.last().unwrap().is_empty());
                it.inits.push((ordinal, init));
            }
            Event::Part { track, part, body, .. } => {
                self.fragmented[track].parts.last_mut().unwrap().push((part, body.to_bytes()));
            }
            Event::Segment { track, extent, body, .. } => {
                let it = &mut self.fragmented[track];
                it.segments.push((extent, body.to_bytes()));
                assert_eq!(it.heads.len(), it.segments.len());
                assert_eq!(it.heads.last(), Some(&extent.head));
            }
            Event::Gap { track, ordinal, extent, is_whole } => {
                self.fragmented[track].gaps.push((ordinal, extent, is_whole));
            }
            Event::Anomaly(anomaly) => self.anomalies.push(anomaly),
            _ => {}
        }
    }

    /// The cutter's segments, one behind the other.
    pub fn ts(&self) -> Vec<u8> {
        self.segments.iter().flat_map(|(_, bytes, _)| bytes.iter().copied()).collect()
    }

    /// The first initialization of a track and all its segments.
    pub fn joined(&self, track: usize) -> Vec<u8> {
        let Fragmented { inits, segments, .. } = &self.fragmented[track];
        let init = inits.first().map(|(_, init)| init.bytes.clone()).unwrap_or_default();
        [init]
            .iter()
            .chain(segments.iter().map(|(_, body)| body))
            .flat_map(|bytes| bytes.iter().copied())
            .collect()
    }
}

/// The PTS of each packet of a stream, in seconds, as ffprobe reads them.
pub fn packets(file: &Path, stream: &str) -> Vec<f64> {
    let mut command = Command::new("ffprobe");
    command.args([
        "-v",
        "error",
        "-select_streams",
        stream,
        "-show_entries",
        "packet=pts_time",
        "-of",
        "csv=p=0",
    ]);
    let output = command.arg(file).output().expect("ffprobe can be started");
    let text = String::from_utf8_lossy(&output.stdout);
    let stamp = |line: &str| line.trim_end_matches(',').parse().unwrap_or(f64::NAN);
    text.lines().filter(|line| !line.is_empty()).map(stamp).collect()
}

/// Which packets of a stream are keyframes, as ffprobe reads them.
pub fn keyframes(file: &Path, stream: &str) -> Vec<bool> {
    let mut command = Command::new("ffprobe");
    command.args([
        "-v",
        "error",
        "-select_streams",
        stream,
        "-show_entries",
        "packet=flags",
        "-of",
        "csv=p=0",
    ]);
    let output = command.arg(file).output().expect("ffprobe can be started");
    let text = String::from_utf8_lossy(&output.stdout);
    // Side data are lines of their own.
    let flags = text.lines().filter(|line| line.starts_with(['K', '_']));
    flags.map(|line| line.starts_with('K')).collect()
}

/// What ffmpeg complains about when it decodes `file`.
pub fn complaints(file: &Path) -> String {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-i"]).arg(file).args(["-f", "null", "-"]);
    let output = command.output().expect("ffmpeg can be started");
    String::from_utf8_lossy(&output.stderr).into_owned()
}
