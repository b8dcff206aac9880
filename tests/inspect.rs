//! What `segcast inspect` tells of a stream: whole texts of streams made up in memory, figures of real ones beside
//! ffprobe's.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used)]

mod support {
    pub mod media;
    pub mod synth;
}

use std::io::{self, Read};
use std::path::Path;
use std::process::Command;

use segcast::cli::input::{self, Input};
use segcast::cli::inspect::{Inspection, inspect};
use serde_json::Value;
use support::synth::Synth;

/// Gives so many bytes at once.
struct Pieces(io::Cursor<Vec<u8>>, usize);

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(self.1);
        self.0.read(&mut buffer[..len])
    }
}

fn look(bytes: &[u8], piece: usize) -> anyhow::Result<Inspection> {
    let reader = Pieces(io::Cursor::new(bytes.to_vec()), piece);
    inspect(&mut Input::new("made.ts".into(), reader), None, |_| {})
}

fn refusal(bytes: &[u8]) -> String {
    look(bytes, usize::MAX).unwrap_err().to_string()
}

fn of_media(name: &str) -> Inspection {
    inspect(&mut input::open(&support::media::path(name)).unwrap(), None, |_| {}).unwrap()
}

/// Ten seconds of which two packets are lost and some bytes are put between.
fn damaged() -> Vec<u8> {
    let mut bytes = Synth { picture_bytes: 600, ..Synth::default() }.bytes();
    bytes.drain(188 * 100..188 * 101);
    bytes.drain(188 * 900..188 * 901);
    bytes.splice(188 * 500..188 * 500, [0; 77]);
    bytes
}

#[test]
fn the_text_is_this() {
    assert_eq!(look(&Synth::default().bytes(), usize::MAX).unwrap().to_text(), TEXT);
    assert_eq!(look(&damaged(), usize::MAX).unwrap().to_text(), TEXT_DAMAGED);
}

#[test]
fn the_json_is_this() {
    let short = Synth { pictures: 50, ..Synth::default() };
    let inspection = look(&short.bytes(), usize::MAX).unwrap();
    assert_eq!(inspection.to_json(), JSON);
}

#[test]
fn it_does_not_matter_how_the_bytes_come() {
    let bytes = damaged();
    let whole = look(&bytes, usize::MAX).unwrap();
    for piece in [1, 187, 188, 1000, 65_535] {
        assert_eq!(look(&bytes, piece).unwrap(), whole, "pieces of {piece}");
    }
}

#[test]
fn what_is_no_stream_is_refused_by_name() {
    let noise: Vec<u8> = (0..300_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let nothing_found = "made.ts: not a transport stream: \
        no packets of 188, 192 or 204 bytes that begin with 0x47 were found";
    assert_eq!(refusal(&noise), nothing_found);
    assert_eq!(
        refusal(&[0; 100_000]),
        "made.ts: not a transport stream: it begins with zeros only; was the recording written to the end?"
    );
    assert_eq!(refusal(b""), "made.ts: not a transport stream: it is empty");
    assert_eq!(refusal(b"G"), nothing_found);
    let mut input = input::open(&support::media::path("not-a-ts.mp4")).unwrap();
    let error = inspect(&mut input, None, |_| {}).unwrap_err().to_string();
    assert!(error.contains("not-a-ts.mp4: not a transport stream: it is an MP4; repack it"), "{error}");
}

#[test]
fn a_stream_without_the_program_is_refused() {
    let bytes = Synth { pictures: 20, ..Synth::default() }.bytes();
    let mut input = Input::new("made.ts".into(), io::Cursor::new(bytes.clone()));
    assert_eq!(
        inspect(&mut input, Some(7), |_| {}).unwrap_err().to_string(),
        "made.ts: no program 7 in it; leave out --program to see which ones there are"
    );
    let without_tables: Vec<u8> =
        bytes.chunks(188).filter(|packet| packet[1] & 0x1f == 1).flatten().copied().collect();
    assert!(refusal(&without_tables).starts_with("made.ts: no program in it: "));
}

#[test]
fn no_bytes_make_it_fail_otherwise() {
    let clean = Synth { pictures: 40, ..Synth::default() }.bytes();
    let mut state = 1_u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for _ in 0..100 {
        let mut bytes = clean.clone();
        for _ in 0..random(400) {
            let at = random(bytes.len());
            bytes[at] = random(256) as u8;
        }
        bytes.truncate(random(bytes.len()).max(188 * 50));
        if let Ok(inspection) = look(&bytes, 5000) {
            assert!(inspection.to_text().len() < 20_000);
            let json: Value = serde_json::from_str(&inspection.to_json()).unwrap();
            assert_eq!(json["size_bytes"], bytes.len());
        }
    }
}

#[test]
fn jumps_in_the_timestamps_do_not_lengthen_a_stream() {
    for name in ["jump-forward.ts", "jump-back.ts"] {
        let report = of_media(name).report;
        let seconds = report.duration.as_secs_f64();
        assert!((8.0..8.3).contains(&seconds), "{name}: {seconds} s");
        let jumps = report.anomalies.iter().find(|tally| tally.name == "timestamp jump").unwrap();
        assert_eq!(jumps.count, 2, "{name}: one for each stream");
    }
}

#[test]
fn a_stream_that_becomes_another_is_told_twice() {
    let report = of_media("pmt-change.ts").report;
    let codecs: Vec<_> = report.programs[0].streams.iter().map(|stream| stream.codec.name()).collect();
    assert_eq!((codecs, report.programs[0].tables), (vec!["H.264", "AAC", "MP3/MP2"], 2));
    let formats = of_media("size-change.ts").report.programs[0].streams[0].formats.len();
    assert_eq!(formats, 2);
}

#[test]
fn packets_of_other_lengths_are_counted() {
    for (name, distance, packets) in [("h264-aac-204.ts", 204, 1971), ("h264-aac.m2ts", 192, 1984)] {
        let inspection = of_media(name);
        assert_eq!((inspection.packet_distance, inspection.packets()), (distance, packets), "{name}");
    }
}

/// ffprobe's figures: duration of the whole in seconds, and of each stream its size, rate, packets, key frames.
#[test]
fn ffprobe_agrees() {
    const FILES: [&str; 12] = [
        "h264-aac.ts",
        "h264-ntsc.ts",
        "h264-open-gop.ts",
        "h264-irregular-gop.ts",
        "h264-interlaced.ts",
        "h264-ac3.ts",
        "hevc-aac.ts",
        "hevc-open-gop.ts",
        "mpeg2-mp2.ts",
        "two-programs.ts",
        "video-only.ts",
        "wrap.ts",
    ];
    for name in FILES {
        let theirs = probe(&support::media::path(name));
        let ours: Value = serde_json::from_str(&of_media(name).to_json()).unwrap();
        let number = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap();
        let (length, expected) =
            (ours["duration_seconds"].as_f64().unwrap(), number(&theirs["format"]["duration"]));
        assert!((length - expected).abs() < 0.05, "{name}: {length} s, ffprobe {expected} s");
        let programs = ours["programs"].as_array().unwrap();
        for stream in programs.iter().flat_map(|program| program["streams"].as_array().unwrap()) {
            compare(name, stream, &theirs);
        }
    }
}

fn probe(path: &Path) -> Value {
    let entries = "format=duration:stream=index,id,width,height,r_frame_rate,sample_rate,channels,codec_type\
        :packet=stream_index,flags";
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", entries, "-of", "json"])
        .arg(path)
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

fn compare(name: &str, ours: &Value, theirs: &Value) {
    let id = format!("{:#x}", ours["pid"].as_u64().unwrap());
    let streams = theirs["streams"].as_array().unwrap();
    let stream = streams.iter().find(|stream| stream["id"] == id.as_str()).unwrap();
    let at = format!("{name}, PID {id}");
    assert_eq!(ours["kind"], stream["codec_type"], "{at}");
    if ours["kind"] == "audio" {
        assert_eq!(ours["channels"], stream["channels"], "{at}");
        assert_eq!(ours["sample_rate_hz"].to_string(), stream["sample_rate"].as_str().unwrap(), "{at}");
        return;
    }
    assert_eq!((&ours["width"], &ours["height"]), (&stream["width"], &stream["height"]), "{at}");
    let (count, seconds) = stream["r_frame_rate"].as_str().unwrap().split_once('/').unwrap();
    let rate = count.parse::<f64>().unwrap() / seconds.parse::<f64>().unwrap();
    let ratio = ours["frame_rate_hz"].as_f64().unwrap() / rate;
    // ffprobe gives the rate of fields for some interlaced streams.
    let is_interlaced = ours["interlaced"].as_bool().unwrap();
    assert!((ratio - 1.0).abs() < 1e-3 || is_interlaced && (ratio - 0.5).abs() < 1e-3, "{at}: {rate} fps");
    let packets = theirs["packets"].as_array().unwrap();
    let of_it: Vec<_> = packets.iter().filter(|packet| packet["stream_index"] == stream["index"]).collect();
    let keys = of_it.iter().filter(|packet| packet["flags"].as_str().unwrap().starts_with('K')).count();
    assert_eq!(ours["pes_packets"], of_it.len(), "{at}: pictures");
    assert_eq!(ours["random_access"]["count"], keys, "{at}: key frames");
}

const TEXT: &str = "\
made.ts: 10.041 s, 1.18 Mbit/s, 1,485,388 bytes in 7,901 packets of 188

Program 1: 10.041 s, PMT 0x1000, PCR 0x0100
  PID     CODEC  RFC 6381     FORMAT                  RATE      BYTES  DURATION  FIRST PTS  PES PACKETS
  0x0100  H.264  avc1.42c00d  320x180, 25 fps  1.09 Mbit/s  1,359,804  10.000 s    1.400 s          250
  0x0101  AAC    mp4a.40.2    stereo, 48 kHz   75.2 kbit/s     94,000  10.000 s    1.441 s          125
  Random access on 0x0100: 10 points (closed), 1.000 s apart

Anomalies: none
";

const TEXT_DAMAGED: &str = "\
made.ts: 10.041 s, 288.1 kbit/s, 361,601 bytes in 1,923 packets of 188

Program 1: 10.041 s, PMT 0x1000, PCR 0x0100
  PID     CODEC  RFC 6381     FORMAT                   RATE    BYTES  DURATION  FIRST PTS  PES PACKETS
  0x0100  H.264  avc1.42c00d  320x180, 25 fps  188.8 kbit/s  235,940  10.000 s    1.400 s          250
  0x0101  AAC    mp4a.40.2    stereo, 48 kHz    75.2 kbit/s   94,000  10.000 s    1.441 s          125
  Random access on 0x0100: 10 points (closed), 1.000 s apart

Anomalies
  continuity gap: 2
    byte 18800, PID 0x0100: continuity counter 2 where 1 was due
    byte 169277, PID 0x0100: continuity counter 13 where 12 was due
  garbage: 1
    byte 94000: 77 bytes that are no transport packets
";

const JSON: &str = r#"{
  "name": "made.ts",
  "size_bytes": 296476,
  "packets": 1577,
  "packet_distance_bytes": 188,
  "duration_seconds": 2.041111,
  "rate_bps": 1162018,
  "garbage_bytes": 0,
  "programs": [
    {
      "number": 1,
      "pmt_pid": 4096,
      "pcr_pid": 256,
      "tables": 1,
      "duration_seconds": 2.041111,
      "streams": [
        {
          "pid": 256,
          "stream_type": 27,
          "kind": "video",
          "codec": "H.264",
          "rfc6381": "avc1.42c00d",
          "width": 320,
          "height": 180,
          "frame_rate_hz": 25.0,
          "interlaced": false,
          "sample_rate_hz": null,
          "channels": null,
          "language": null,
          "languages": [],
          "pes_packets": 50,
          "packets": 1443,
          "size_bytes": 271284,
          "rate_bps": 1085136,
          "first_pts_seconds": 1.4,
          "last_pts_seconds": 3.36,
          "duration_seconds": 2.0,
          "random_access": {
            "count": 2,
            "closed": 2,
            "open": 0,
            "gradual": 0,
            "spacing_min_seconds": 1.0,
            "spacing_median_seconds": 1.0,
            "spacing_max_seconds": 1.0
          },
          "later_formats": []
        },
        {
          "pid": 257,
          "stream_type": 15,
          "kind": "audio",
          "codec": "AAC",
          "rfc6381": "mp4a.40.2",
          "width": null,
          "height": null,
          "frame_rate_hz": null,
          "interlaced": null,
          "sample_rate_hz": 48000,
          "channels": 2,
          "language": null,
          "languages": [],
          "pes_packets": 25,
          "packets": 100,
          "size_bytes": 18800,
          "rate_bps": 75200,
          "first_pts_seconds": 1.441111,
          "last_pts_seconds": 3.361111,
          "duration_seconds": 2.0,
          "random_access": null,
          "later_formats": []
        }
      ]
    }
  ],
  "anomalies": []
}
"#;
