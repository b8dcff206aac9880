//! What playlists, initializations and messages say of a stream, against streams that ffmpeg makes.
#![cfg(feature = "cli")]
// What the tests share is test code too.
#![allow(clippy::unwrap_used)]

mod support {
    pub mod command;
}

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::command::{Ended, run, segcast};

const VIDEO: &str = "-f lavfi -i testsrc2=s=160x90:r=25:d=4";
const TONE: &str = "-f lavfi -i sine=r=48000:d=4";
const X264: &str = "-c:v libx264 -preset ultrafast -g 50 -threads 1 -pix_fmt yuv420p";

/// A folder with a stream in it, and what becomes of that.
struct Made {
    folder: tempfile::TempDir,
    input: PathBuf,
}

impl Made {
    /// Of ffmpeg with these arguments, words between spaces.
    fn new(arguments: &str, name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join(name);
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-nostdin", "-v", "error"]).args(arguments.split(' ').filter(|word| !word.is_empty()));
        let ended = ffmpeg.arg(&input).output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        Self { folder, input }
    }

    fn output(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn cmaf(&self) -> Ended {
        let mut command = segcast(["segment", "--segment", "2s", "--format", "cmaf", "--output"]);
        run(command.arg(self.output()).arg(&self.input))
    }

    fn inspect(&self) -> String {
        run(segcast(["inspect"]).arg(&self.input)).good().stdout
    }

    /// A channel of it, to its end.
    fn channel(&self, format: &str, rendition: &str) -> Ended {
        let text = format!(
            "[input]\nurl = {:?}\n[output]\ndirectory = {:?}\nsegment = \"2s\"\nformat = {format:?}\nplaylist = \
             \"event\"\n[[rendition]]\nname = \"v\"\n{rendition}\n",
            self.input,
            self.output()
        );
        let configuration = self.folder.path().join("channel.toml");
        fs::write(&configuration, text).unwrap();
        run(segcast(["run"]).arg(configuration))
    }

    /// Attributes of the lines that begin so in the playlist that viewers open.
    fn lines(&self, tag: &str) -> Vec<String> {
        let text = fs::read_to_string(self.output().join("index.m3u8")).unwrap();
        text.lines().filter(|line| line.starts_with(tag)).map(str::to_owned).collect()
    }

    #[track_caller]
    fn assert_variant(&self, attributes: &[&str]) {
        let variants = self.lines("#EXT-X-STREAM-INF");
        assert_eq!(variants.len(), 1);
        for attribute in attributes {
            assert!(variants[0].contains(attribute), "{attribute}: {}", variants[0]);
        }
    }
}

fn has(folder: &Path, ending: &str, bytes: &[u8]) -> bool {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files = files.filter(|path| path.to_string_lossy().ends_with(ending));
    files.any(|path| memchr::memmem::find(&fs::read(path).unwrap(), bytes).is_some())
}

#[test]
fn a_clock_for_a_frame_rate_is_not_believed() {
    let ticks = "-bsf:v h264_metadata=tick_rate=2000000:fixed_frame_rate_flag=0";
    let made = Made::new(&format!("{VIDEO} {TONE} {X264} {ticks} -c:a aac"), "ticks.ts");
    made.cmaf().good();
    made.assert_variant(&["FRAME-RATE=25.000"]);
    assert!(made.inspect().contains("160x90, 25 fps"));
}

#[test]
fn high_dynamic_range_is_declared_and_described() {
    let colours = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc";
    let x265 = format!("-c:v libx265 -pix_fmt yuv420p10le -x265-params log-level=error:keyint=50:{colours}");
    let made = Made::new(&format!("{VIDEO} {TONE} {x265} -c:a aac"), "pq.ts");
    made.cmaf().good();
    made.assert_variant(&["VIDEO-RANGE=PQ", "FRAME-RATE=25.000"]);
    assert!(has(&made.output(), ".mp4", b"colrnclx\0\x09\0\x10\0\x09"));
    fs::remove_dir_all(made.output()).unwrap();
    made.channel("ts", "video = { codec = \"copy\" }\naudio = { codec = \"copy\" }").good();
    made.assert_variant(&["VIDEO-RANGE=PQ", "FRAME-RATE=25.000"]);
}

#[test]
fn samples_that_are_not_square_are_described() {
    let made = Made::new(
        &format!("{VIDEO} {X264} -vf setsar=4/3 -colorspace bt709 -color_trc bt709 -color_primaries bt709"),
        "wide.ts",
    );
    made.cmaf().good();
    assert!(has(&made.output(), ".mp4", b"pasp\0\0\0\x04\0\0\0\x03"));
}

#[test]
fn audio_description_says_so_and_is_not_the_default() {
    let audio = "-map 0 -map 1 -map 2 -c:a aac -disposition:a:0 visual_impaired -disposition:a:1 default";
    let made = Made::new(&format!("{VIDEO} {TONE} {TONE} {X264} {audio}"), "described.ts");
    made.cmaf().good();
    let media = made.lines("#EXT-X-MEDIA");
    assert!(media[0].contains("NAME=\"Audio 1 (audio description)\",DEFAULT=NO"), "{media:?}");
    assert!(media[0].contains("CHARACTERISTICS=\"public.accessibility.describes-video\""));
    assert!(media[1].contains("NAME=\"Audio 2\",DEFAULT=YES"), "{media:?}");
    assert!(!media[1].contains("CHARACTERISTICS"));
}

#[test]
fn two_audio_tracks_alone_can_both_be_chosen() {
    let languages = "-metadata:s:a:0 language=eng -metadata:s:a:1 language=fra";
    let made = Made::new(&format!("{TONE} {TONE} -map 0 -map 1 -c:a aac {languages}"), "two.ts");
    let check = |made: &Made| {
        let media = made.lines("#EXT-X-MEDIA");
        assert_eq!(media.len(), 2, "{media:?}");
        assert!(
            media[0].contains("NAME=\"Audio 1\",LANGUAGE=\"en\",DEFAULT=YES") && !media[0].contains("URI=")
        );
        assert!(
            media[1].contains("NAME=\"Audio 2\",LANGUAGE=\"fr\",DEFAULT=NO") && media[1].contains("URI=")
        );
    };
    made.cmaf().good();
    check(&made);
    fs::remove_dir_all(made.output()).unwrap();
    made.channel("cmaf", "audio = { codec = \"copy\", tracks = \"all\" }").good();
    check(&made);
}

#[test]
fn audio_that_fragments_do_not_carry_is_named() {
    let dts = "-c:a dca -strict experimental -b:a 256k";
    let alone = Made::new(&format!("{TONE} {dts}"), "alone.ts");
    let ended = alone.cmaf();
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("none of it can be carried in CMAF: DTS on PID 0x0100"),
        "{}",
        ended.stderr
    );
    assert!(!ended.stderr.contains("random access"), "{}", ended.stderr);
    assert!(alone.inspect().contains("  DTS"));
    let ended = alone.channel("cmaf", "audio = { codec = \"copy\" }");
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("nothing in its stream can be played, which is DTS on PID"),
        "{}",
        ended.stderr
    );
    assert!(!alone.output().join("index.m3u8").exists());
    let both = Made::new(&format!("{VIDEO} {TONE} {X264} {dts}"), "both.ts");
    let said = both.cmaf().good().stderr;
    assert!(said.contains("DTS cannot be carried in CMAF here and is left out"), "{said}");
    assert!(both.output().join("index.m3u8").exists());
}

#[test]
fn a_channel_of_video_that_nothing_can_play_ends_and_names_it() {
    let made = Made::new(&format!("{VIDEO} {TONE} -c:v mjpeg -c:a aac"), "pictures.mov");
    for format in ["ts", "cmaf"] {
        let ended = made.channel(format, "video = { codec = \"copy\" }\naudio = { codec = \"copy\" }");
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains("its input is MJPEG, which MPEG-TS cannot carry"), "{}", ended.stderr);
    }
    let silent = Made::new(&format!("{TONE} -c:a pcm_alaw"), "sound.wav");
    let ended = silent.channel("ts", "audio = { codec = \"copy\" }");
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("audio is G.711 A-law (pcm_alaw), which MPEG-TS cannot carry"),
        "{}",
        ended.stderr
    );
    assert!(!silent.output().join("index.m3u8").exists());
}

#[test]
fn a_sequence_parameter_set_that_cannot_be_read_is_the_reason() {
    let made = Made::new(&format!("{VIDEO} {X264} -bf 0"), "whole.ts");
    let mut stream = fs::read(&made.input).unwrap();
    let places: Vec<usize> = memchr::memmem::find_iter(&stream, &[0, 0, 0, 1, 0x67]).collect();
    assert!(!places.is_empty());
    // Behind profile, constraints and level.
    places.iter().for_each(|at| stream[at + 8..at + 14].fill(0));
    fs::write(&made.input, stream).unwrap();
    let ended = made.cmaf();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("nothing describes its video: the SPS or PPS"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("random access"), "{}", ended.stderr);
}

#[test]
fn a_configured_bandwidth_that_is_exceeded_is_raised_with_one_warning() {
    let made = Made::new(&format!("{VIDEO} {TONE} {X264} -c:a aac"), "plain.ts");
    let copy = "video = { codec = \"copy\" }\naudio = { codec = \"copy\" }";
    let said = made.channel("ts", &format!("{copy}\nbandwidth = \"100k\"")).good().stderr;
    assert_eq!(said.matches("more than the configured bandwidth of 100000 bit/s").count(), 1, "{said}");
    let variant = &made.lines("#EXT-X-STREAM-INF")[0];
    let bandwidth: u64 =
        variant.split("BANDWIDTH=").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
    let average: u64 =
        variant.split("AVERAGE-BANDWIDTH=").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
    assert!(bandwidth > 100_000 && bandwidth >= average, "{variant}");
    fs::remove_dir_all(made.output()).unwrap();
    let said = made.channel("ts", &format!("{copy}\nbandwidth = \"9M\"")).good().stderr;
    assert!(!said.contains("configured bandwidth"), "{said}");
    made.assert_variant(&["BANDWIDTH=9000000"]);
}
