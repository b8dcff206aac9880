//! The arguments of one ffmpeg that makes one or several renditions. Pure.

use std::path::Path;
use std::time::Duration;

use super::ladder::{Audio, Input, Ladder, Latency, Rendition, Tracks, Video};
use crate::time::Rate;

/// The descriptor of the first output: 0 is for media or `q`, 1 for progress, 2 for messages.
pub(super) const FIRST_DESCRIPTOR: usize = 3;

/// The built-in pattern's size and rate where no rendition says otherwise.
const PATTERN_SIZE: (u32, u32) = (1280, 720);
const PATTERN_FPS: u32 = 30;

/// Puts every output on one timeline. By default the muxer moves each output by that output's own encoder
/// delay, so that the same picture has other timestamps in a rendition with B-pictures than in one without.
/// Ten seconds keep the first decoding times above zero.
const TIMELINE: [&str; 4] = ["-avoid_negative_ts", "disabled", "-output_ts_offset", "10"];

/// Writes each packet when it comes. The muxer otherwise gathers frames of sound until they fill 2930 bytes, which
/// at 64 kbit/s is a third of a second.
const AT_ONCE: [&str; 4] = ["-flush_packets", "1", "-pes_payload_size", "0"];

/// Everything behind `ffmpeg`. `group` names the renditions by their place in the ladder.
pub(super) fn of_group(ladder: &Ladder, group: &[usize], clock_font: Option<&Path>) -> Vec<String> {
    let renditions: Vec<&Rendition> = group.iter().filter_map(|&n| ladder.renditions.get(n)).collect();
    let has_video = renditions.iter().any(|rendition| rendition.video.is_some());
    let has_audio = renditions.iter().any(|rendition| rendition.audio.is_some());
    let mut line = Line::default();
    line.words(&["-hide_banner", "-loglevel", "level+info", "-nostats", "-progress", "pipe:1"]);
    match &ladder.input {
        Input::Test { args } => {
            let realtime = if is_paced(args) { &[][..] } else { &["-re"][..] };
            if has_video {
                line.words(realtime)
                    .own(args)
                    .words(&["-f", "lavfi", "-i"])
                    .add(pattern(&renditions, clock_font));
            }
            if has_audio {
                line.words(realtime).own(args).words(&["-f", "lavfi", "-i"]).add(TONE.to_owned());
            }
        }
        Input::Url { url, args } => {
            line.words(&jump_correction(&renditions, args)).own(args).words(&["-i", url]);
        }
        Input::Stdin { args } | Input::Command { args, .. } => {
            line.words(&jump_correction(&renditions, args)).own(args).words(&["-i", "pipe:0"]);
        }
    }
    let audio_source = match &ladder.input {
        Input::Test { .. } if has_video => "1:a",
        _ => "0:a",
    };
    let scaled = Scaled::of(&renditions);
    line.own(&scaled.graph());
    for (n, rendition) in renditions.iter().enumerate() {
        if let Some(video) = &rendition.video {
            line.own(&scaled.source(n)).own(&video_arguments(video, ladder));
        }
        if let Some(audio) = &rendition.audio {
            let tracks = match audio.tracks {
                Tracks::First => ":0?",
                Tracks::All => "?",
            };
            line.words(&["-map", &format!("{audio_source}{tracks}")]).own(&audio_arguments(audio));
        }
        line.own(&rendition.args).words(&TIMELINE).words(&["-f", "mpegts"]);
        if ladder.latency == Latency::Low {
            line.words(&AT_ONCE);
        }
        line.add(format!("pipe:{}", FIRST_DESCRIPTOR + n));
    }
    line.arguments
}

#[derive(Default)]
struct Line {
    arguments: Vec<String>,
}

impl Line {
    fn words(&mut self, words: &[&str]) -> &mut Self {
        self.arguments.extend(words.iter().map(|&word| word.to_owned()));
        self
    }

    fn own(&mut self, words: &[String]) -> &mut Self {
        self.arguments.extend_from_slice(words);
        self
    }

    fn add(&mut self, word: String) -> &mut Self {
        self.arguments.push(word);
        self
    }
}

/// ffmpeg takes a step of one track's timestamps by more than 10 s for a jump of the clock and shifts all tracks by it:
/// after a gap in the video, audio and video lie as far apart as the gap was long. Tracks that are copied keep their
/// timestamps, whose jumps the segmenter knows better. Where something is encoded, frames are repeated over the gap, and
/// where ffmpeg reads no faster than timestamps go on, it sleeps over a jump: a limit remains for both.
fn jump_correction(renditions: &[&Rendition], args: &[String]) -> [&'static str; 2] {
    const OPTION: &str = "-dts_delta_threshold";
    let is_copied = |rendition: &&Rendition| {
        let video = rendition.video.as_ref().is_none_or(|video| video.codec == "copy");
        video && rendition.audio.as_ref().is_none_or(|audio| audio.codec == "copy")
    };
    [OPTION, if renditions.iter().all(is_copied) && !is_paced(args) { "1000000" } else { "60" }]
}

/// Whether the user says how fast the input is read.
fn is_paced(args: &[String]) -> bool {
    args.iter().any(|arg| arg == "-re" || arg == "-readrate")
}

/// A tone with a beep at each second.
const TONE: &str = "sine=frequency=220:beep_factor=4:sample_rate=48000";

/// The moving pattern, as large and as fast as the most demanding rendition, with a clock if there is a font.
fn pattern(renditions: &[&Rendition], clock_font: Option<&Path>) -> String {
    let videos = || renditions.iter().filter_map(|rendition| rendition.video.as_ref());
    let (width, height) = videos()
        .filter_map(|video| video.size)
        .max_by_key(|&(width, height)| u64::from(width) * u64::from(height))
        .unwrap_or(PATTERN_SIZE);
    let rate = videos()
        .filter_map(|video| video.fps)
        .max_by(|a, b| a.per_second().total_cmp(&b.per_second()))
        .map_or_else(|| PATTERN_FPS.to_string(), rate_text);
    let mut graph = format!("testsrc2=size={width}x{height}:rate={rate}");
    if let Some(font) = clock_font {
        let font = escape(&font.to_string_lossy());
        graph += &format!(
            ",drawtext=fontfile={font}:text=%{{localtime}}:fontsize=h/12:fontcolor=white\
             :box=1:boxcolor=black@0.5:boxborderw=8:x=(w-tw)/2:y=h-2*th"
        );
    }
    graph
}

/// Escapes an option's value in a filter graph: once for the filter, once for the graph.
fn escape(value: &str) -> String {
    let once = |text: &str, special: &str| {
        text.chars()
            .flat_map(|c| special.contains(c).then_some('\\').into_iter().chain([c]))
            .collect::<String>()
    };
    once(&once(value, "\\':"), "\\'[],;")
}

/// How each rendition's pictures are made of the decoded ones.
struct Scaled {
    /// For each rendition, the filters if it has a video that is encoded.
    filters: Vec<Option<Vec<String>>>,
}

impl Scaled {
    fn of(renditions: &[&Rendition]) -> Self {
        let encoded = |rendition: &&Rendition| {
            rendition.video.as_ref().filter(|video| video.codec != "copy").map(filters)
        };
        Self { filters: renditions.iter().map(encoded).collect() }
    }

    fn has_graph(&self) -> bool {
        self.filters.iter().flatten().count() > 1
    }

    /// One graph where pictures go more ways than one.
    fn graph(&self) -> Vec<String> {
        if !self.has_graph() {
            return vec![];
        }
        let (mut split, mut chains) = (String::new(), String::new());
        for (n, filters) in self.filters.iter().enumerate().filter_map(|(n, own)| Some((n, own.as_ref()?))) {
            if filters.is_empty() {
                split += &format!("[v{n}]");
            } else {
                split += &format!("[s{n}]");
                chains += &format!(";[s{n}]{}[v{n}]", filters.join(","));
            }
        }
        let ways = self.filters.iter().flatten().count();
        vec!["-filter_complex".to_owned(), format!("[0:v:0]split={ways}{split}{chains}")]
    }

    /// Where rendition `n` takes its pictures from.
    fn source(&self, n: usize) -> Vec<String> {
        match self.filters.get(n).and_then(Option::as_ref) {
            Some(_) if self.has_graph() => vec!["-map".to_owned(), format!("[v{n}]")],
            Some(filters) if !filters.is_empty() => {
                vec!["-map".to_owned(), "0:v:0".to_owned(), "-vf".to_owned(), filters.join(",")]
            }
            _ => vec!["-map".to_owned(), "0:v:0".to_owned()],
        }
    }
}

fn filters(video: &Video) -> Vec<String> {
    let fps = video.fps.map(|rate| format!("fps={}", rate_text(rate)));
    let scale = video.size.map(|(width, height)| format!("scale={width}:{height}"));
    fps.into_iter().chain(scale).collect()
}

fn video_arguments(video: &Video, ladder: &Ladder) -> Vec<String> {
    let mut line = Line::default();
    let encoder = match video.codec.as_str() {
        "h264" => "libx264",
        "hevc" => "libx265",
        "mpeg2" => "mpeg2video",
        other => other,
    };
    line.words(&["-c:v", encoder]);
    if encoder == "copy" {
        return line.arguments;
    }
    if let Some(preset) = &video.preset {
        line.words(&["-preset", preset]);
    }
    if ladder.latency == Latency::Low {
        line.words(low_latency_arguments(encoder));
    }
    if matches!(encoder, "libx264" | "libx265" | "mpeg2video") {
        line.words(&["-pix_fmt", "yuv420p"]);
    }
    if let Some(rate) = video.bitrate_bps {
        let (rate, buffer) = (rate_bps_text(rate), rate_bps_text(rate.saturating_mul(2)));
        line.words(&["-b:v", &rate, "-maxrate", &rate, "-bufsize", &buffer]);
    }
    line.own(&grid_arguments(video, encoder, ladder));
    line.arguments
}

/// What keeps an encoder from holding pictures back: no look-ahead, no pictures out of order.
fn low_latency_arguments(encoder: &str) -> &'static [&'static str] {
    match encoder {
        "libx264" | "libx265" => &["-tune", "zerolatency"],
        name if name.ends_with("_nvenc") => &["-bf", "0", "-delay", "0"],
        name if name.ends_with("_qsv") => &["-bf", "0", "-async_depth", "1"],
        _ => &["-bf", "0"],
    }
}

/// What puts closed random access points on the grid, and nowhere else.
fn grid_arguments(video: &Video, encoder: &str, ladder: &Ladder) -> Vec<String> {
    let mut line = Line::default();
    let test_rate = match ladder.input {
        Input::Test { .. } => Rate::new(PATTERN_FPS, 1),
        _ => None,
    };
    if let Some(rate) = video.fps.or(test_rate) {
        line.words(&["-g", &pictures_in(ladder.segment, rate).to_string()]);
    }
    line.words(match encoder {
        "libx264" => &["-sc_threshold", "0"],
        "libx265" => &["-forced-idr", "1", "-x265-params", "scenecut=0:open-gop=0:log-level=error"],
        // The encoder refuses closed GOPs unless its scene change detection is off in just this way.
        "mpeg2video" => &["-flags", "+cgop", "-sc_threshold", "1000000000"],
        name if name.ends_with("_nvenc") => &["-forced-idr", "1"],
        name if name.ends_with("_qsv") => &["-forced_idr", "1"],
        _ => &[][..],
    });
    line.words(&["-force_key_frames", &on_grid(ladder.segment)]);
    line.arguments
}

/// True at the first picture at or after each line of the grid. Unlike `gte(t,n_forced*4)` it does not force
/// one picture after the other to catch up when the source's time has jumped.
fn on_grid(segment: Duration) -> String {
    // The millionth part stands against a quotient just below a whole number.
    let segment = segment.as_secs_f64();
    format!("expr:isnan(prev_forced_t)+gt(floor(t/{segment}+1e-6),floor(prev_forced_t/{segment}+1e-6))")
}

/// Pictures in a segment, rounded up: the encoder's own interval never ends before the forced one.
fn pictures_in(segment: Duration, rate: Rate) -> u64 {
    let nanos = segment.as_nanos() * u128::from(rate.count);
    u64::try_from(nanos.div_ceil(u128::from(rate.seconds.get()) * 1_000_000_000)).unwrap_or(u64::MAX)
}

fn audio_arguments(audio: &Audio) -> Vec<String> {
    let mut line = Line::default();
    let encoder = match audio.codec.as_str() {
        "mp3" => "libmp3lame",
        other => other,
    };
    line.words(&["-c:a", encoder]);
    if let Some(rate) = audio.bitrate_bps {
        line.words(&["-b:a", &rate_bps_text(rate)]);
    }
    if let Some(channels) = audio.channels {
        line.words(&["-ac", &channels.to_string()]);
    }
    if let Some(rate) = audio.sample_rate_hz {
        line.words(&["-ar", &rate.to_string()]);
    }
    line.arguments
}

fn rate_bps_text(rate_bps: u64) -> String {
    match rate_bps {
        whole if whole % 1000 == 0 && whole > 0 => format!("{}k", whole / 1000),
        odd => odd.to_string(),
    }
}

fn rate_text(rate: Rate) -> String {
    match rate.seconds.get() {
        1 => rate.count.to_string(),
        seconds => format!("{}/{seconds}", rate.count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_escapes_whatever_a_path_holds() {
        assert_eq!(escape("/a b'c:d,[e];.ttf"), r"/a b\\\'c\\:d\,\[e\]\;.ttf");
        assert_eq!(escape(r"C:\f"), r"C\\:\\\\f");
    }

    #[test]
    fn the_encoders_own_interval_is_never_shorter_than_the_grids() {
        let pal = Rate::new(25, 1).unwrap();
        let ntsc = Rate::new(30_000, 1001).unwrap();
        assert_eq!(pictures_in(Duration::from_secs(4), pal), 100);
        assert_eq!(pictures_in(Duration::from_secs(4), ntsc), 120);
        assert_eq!(pictures_in(Duration::from_millis(1001), ntsc), 30);
    }

    #[test]
    fn numbers_are_written_as_people_write_them() {
        assert_eq!(rate_bps_text(2_800_000), "2800k");
        assert_eq!(rate_bps_text(64_001), "64001");
        assert_eq!(rate_text(Rate::new(30_000, 1001).unwrap()), "30000/1001");
        assert!(on_grid(Duration::from_millis(2500)).contains("floor(t/2.5+1e-6)"));
    }
}
