//! The test media, what we make of them, and what ffmpeg makes of that.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use bytes::Bytes;
use segcast::codec::Format;
use segcast::segment::{Options, Output, Segment, Segmenter};
use segcast::ts::{Anomaly, Pid, Program};

/// As a file is read.
pub const CHUNK: usize = 64 * 1024;

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

/// All that cutting a stream gave.
#[derive(Debug, Default)]
pub struct Cut {
    pub has_packets: bool,
    pub programs: Vec<std::sync::Arc<Program>>,
    pub formats: Vec<(Pid, Format)>,
    pub segments: Vec<Segment>,
    pub anomalies: Vec<Anomaly>,
}

pub fn cut(stream: &Bytes, chunk: usize, options: &Options) -> Cut {
    let mut cut = Cut::default();
    let mut segmenter = Segmenter::new(options);
    for at in (0..stream.len()).step_by(chunk) {
        let outputs: Vec<_> = segmenter.push(stream.slice(at..stream.len().min(at + chunk))).collect();
        cut.take(outputs);
    }
    cut.has_packets = segmenter.cutter().has_packets();
    cut.take(segmenter.finish());
    cut
}

impl Cut {
    fn take(&mut self, outputs: impl IntoIterator<Item = Output>) {
        for output in outputs {
            match output {
                Output::Program(program) => self.programs.push(program),
                Output::Format { pid, format } => self.formats.push((pid, format)),
                Output::Segment(segment) => self.segments.push(segment),
                Output::Anomaly(anomaly) => self.anomalies.push(anomaly),
                _ => {}
            }
        }
    }

    /// How often each kind of anomaly came, by name.
    pub fn troubles(&self) -> String {
        let mut counts: BTreeMap<_, usize> = BTreeMap::new();
        for anomaly in &self.anomalies {
            *counts.entry(anomaly.kind.name()).or_default() += 1;
        }
        counts.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
    }

    pub fn joined(&self) -> Vec<u8> {
        self.segments.iter().flat_map(|segment| segment.chunks.to_bytes()).collect()
    }

    /// Durations in seconds, to three decimals; `!` stands before a discontinuity, `~` before a segment that is
    /// not independent.
    pub fn outline(&self) -> String {
        let each = self.segments.iter().map(|segment| {
            let head = segment.extent.head;
            let mark = |is: bool, mark| if is { mark } else { "" };
            let seconds = (segment.extent.duration.as_secs_f64() * 1000.0).round() / 1000.0;
            format!("{}{}{seconds}", mark(head.is_discontinuity, "!"), mark(!head.is_independent, "~"))
        });
        each.collect::<Vec<_>>().join(" ")
    }
}

/// What ffmpeg read of a file or of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// For each stream a CRC of each packet or frame.
    pub streams: Vec<Vec<String>>,
    /// For each stream its PTS, in its time base.
    pub pts: Vec<Vec<i64>>,
    /// What ffmpeg said of it.
    pub complaints: String,
}

impl Read {
    /// How much there is of each stream.
    pub fn counts(&self) -> Vec<usize> {
        self.streams.iter().map(Vec::len).collect()
    }
}

/// Every picture and every frame of sound in `file`, decoded.
pub fn decode(file: &Path) -> Read {
    ffmpeg(&[file], &["-map", "0:v?", "-map", "0:a?", "-autoscale", "0"])
}

/// The streams of these kinds (`v`, `a`) in each file, decoded each by a decoder that sees nothing else. The
/// streams come in the order of files and kinds.
pub fn decode_alone(files: &[(PathBuf, Vec<&str>)]) -> Read {
    let paths: Vec<_> = files.iter().map(|(file, _)| file.as_path()).collect();
    let of_file = |(n, (_, kinds)): (usize, &(_, Vec<&str>))| {
        kinds.iter().map(|kind| format!("{n}:{kind}")).collect::<Vec<_>>()
    };
    let maps: Vec<_> = files.iter().enumerate().flat_map(of_file).collect();
    let maps = maps.iter().flat_map(|map| ["-map", map]);
    ffmpeg(&paths, &maps.chain(["-autoscale", "0"]).collect::<Vec<_>>())
}

/// Every packet of every stream in `file`, as ffmpeg's demuxer gives it.
pub fn demux(file: &Path) -> Read {
    ffmpeg(&[file], &["-map", "0", "-c", "copy", "-copy_unknown"])
}

fn ffmpeg(files: &[&Path], options: &[&str]) -> Read {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostdin", "-v", "error", "-copyts"]);
    for file in files {
        command.args(["-threads", "1", "-i"]).arg(file);
    }
    let output = command
        .args(options)
        .args(["-vsync", "passthrough", "-f", "framecrc", "-"])
        .output()
        .expect("ffmpeg can be started");
    let (mut streams, mut pts): (Vec<Vec<_>>, Vec<Vec<_>>) = (Vec::new(), Vec::new());
    for line in String::from_utf8_lossy(&output.stdout).lines().filter(|line| !line.starts_with('#')) {
        // stream, dts, pts, duration, size, crc
        let fields: Vec<_> = line.split(',').map(str::trim).collect();
        let stream: usize = fields[0].parse().expect("a stream's index");
        streams.resize_with(streams.len().max(stream + 1), Vec::new);
        pts.resize_with(streams.len(), Vec::new);
        streams[stream].push(fields[5].to_owned());
        pts[stream].extend(fields[2].parse::<i64>());
    }
    Read { streams, pts, complaints: String::from_utf8_lossy(&output.stderr).into_owned() }
}

/// What ffprobe says of each stream: key and value.
pub fn probe(file: &Path) -> Vec<BTreeMap<String, String>> {
    let entries =
        "stream=id,codec_type,codec_name,profile,width,height,r_frame_rate,sample_rate,channels,level";
    let output = Command::new("ffprobe")
        .args(["-v", "quiet", "-show_entries", entries, "-of", "compact=p=0"])
        .arg(file)
        .output()
        .expect("ffprobe can be started");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut streams: Vec<BTreeMap<_, _>> = Vec::new();
    for line in text.lines() {
        let pairs = line.split('|').filter_map(|pair| pair.split_once('='));
        let stream: BTreeMap<_, _> = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        if !stream.is_empty() && !streams.contains(&stream) {
            streams.push(stream);
        }
    }
    streams
}

/// `f` of each, on as many threads as there are cores.
pub fn each<T: Sync, R: Send>(items: &[T], f: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some((index, item)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            items.get(index).map(|item| (index, item))
        } {
            done.push((index, f(item)));
        }
        done
    };
    let cores = thread::available_parallelism().map_or(2, usize::from);
    let mut done: Vec<(usize, R)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}
