//! What a clean stream is: a program of video and up to two audio tracks, as frames with times.

use super::bitstream::{self, Audio, Coded, Coding, Video};
use super::fault::Fault;
use super::rng::Rng;
use std::ops::Range;

pub const SECOND: i64 = 90_000;

/// One access unit or audio frame.
#[derive(Clone, Debug)]
pub struct Frame {
    pub id: u32,
    /// 0 is the video, where there is any.
    pub track: usize,
    /// When it is sent by the source's clock, from its start: no fault moves this.
    pub sent: i64,
    /// When it is shown by that clock.
    pub shown: i64,
    /// As the stream says, before it is cut to 33 bits.
    pub pts: i64,
    pub dts: i64,
    pub duration: i64,
    pub is_key: bool,
    pub bytes: Vec<u8>,
    /// Where its slices' NAL units are; of an audio frame what MP4 carries.
    pub payload: Vec<Range<usize>>,
    /// Where its name is.
    pub name_at: usize,
    pub fate: Fate,
    /// Whether the stream says its timestamps: it has its own, or follows from one that has.
    pub is_stated: bool,
    /// The PES packet that it begins in.
    pub unit: usize,
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It has to be in the output.
    Intact,
    /// It may be there or not: nothing before it lets a decoder begin, or a fault reached it.
    Exempt,
    /// A fault took bytes of it, or of the PES packet that it is in.
    Damaged,
}

/// How a track is put into PES packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// So many whole frames in each.
    Whole(usize),
    /// The last bytes of each frame are in the next one; if not `at_keys`, not before keyframes.
    Tails { bytes: usize, at_keys: bool },
    /// So many bytes in each.
    Fixed(usize),
}

#[derive(Clone, Debug)]
pub struct Track<T> {
    pub coding: T,
    pub packing: Packing,
    /// Frames' sizes, about.
    pub bytes: i64,
}

/// A clean stream's parameters.
#[derive(Clone, Debug)]
pub struct Model {
    pub seed: u64,
    pub video: Option<Track<Coding>>,
    pub audio: Vec<Track<Audio>>,
    /// Ticks of a video frame.
    pub frame: i64,
    /// Video frames from one keyframe to the next.
    pub gop: i64,
    /// B-frames between two others.
    pub b_frames: i64,
    pub is_open: bool,
    /// Length.
    pub length: i64,
    pub first_pts: i64,
    /// Audio starts so much after the video.
    pub audio_offset: i64,
    /// From one PAT and PMT to the next.
    pub tables: i64,
    /// The target duration.
    pub target_s: i64,
    /// The PMT lists audio that never comes.
    pub chunk: Chunking,
}

/// How a stream is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunking {
    Fixed(usize),
    /// Sizes up to this from a seed.
    Random(usize),
}

impl Model {
    /// Draws a stream.
    pub fn draw(seed: u64, rng: &mut Rng) -> Self {
        let frame = rng.pick(&[3600, 3600, 3600, 3000, 3003, 1800]);
        let b_frames = rng.pick(&[0, 0, 1, 2]);
        let target_s = rng.pick(&[2, 2, 2, 4, 1]);
        // Frames of a half, one, two and 1.6 seconds; whole mini-GOPs.
        let gop = rng.pick(&[SECOND / 2, SECOND, 2 * SECOND, 2 * SECOND, SECOND * 8 / 5]) / frame;
        let gop = gop - gop % (b_frames + 1);
        let video = rng.pick(&[Video::H264, Video::H264, Video::Hevc]);
        let timing = rng.chance(60).then_some((frame as u32, 180_000));
        let coding = Coding {
            video,
            size: (20, 12),
            has_delimiters: rng.chance(70),
            slices: rng.pick(&[1, 1, 2, 3]),
            timing,
        };
        let codings = [Audio::Aac(48_000), Audio::Aac(48_000), Audio::Aac(44_100), Audio::Mp2, Audio::Ac3];
        let mut audio = Vec::new();
        for _ in 0..rng.pick(&[0, 1, 1, 1, 1, 2]) {
            let packing = Packing::Whole(rng.pick(&[1, 1, 2, 5]));
            audio.push(Track { coding: rng.pick(&codings), packing, bytes: rng.within(40..200) });
        }
        let packing = Packing::Whole(1);
        Self {
            seed,
            video: Some(Track { coding, packing, bytes: rng.within(60..400) }),
            audio,
            frame,
            gop,
            b_frames,
            is_open: b_frames > 0 && rng.chance(30),
            length: rng.within(8..14) * SECOND,
            first_pts: rng.pick(&[126_000, 0, 900_000, 5_000_000_000]),
            audio_offset: rng.pick(&[0, 0, 1000, -2000, 9000]),
            tables: rng.pick(&[9000, 9000, 3600, 45_000]),
            target_s,
            chunk: rng.pick(&[
                Chunking::Fixed(65_536),
                Chunking::Fixed(188 * 7),
                Chunking::Random(5000),
                Chunking::Fixed(1000),
            ]),
        }
    }

    /// Returns the frames of each track, in decoding order, with the faults of `faults` that are the source's.
    pub fn frames(&self, faults: &[Fault]) -> Vec<Vec<Frame>> {
        let mut tracks: Vec<Vec<Frame>> = Vec::new();
        tracks.extend(self.video.as_ref().map(|video| self.video_frames(video, faults)));
        for audio in &self.audio {
            tracks.push(self.audio_frames(audio, tracks.len()));
        }
        for fault in faults {
            fault.strike(self, &mut tracks);
        }
        tracks
    }

    fn video_frames(&self, video: &Track<Coding>, faults: &[Fault]) -> Vec<Frame> {
        let mut rng = Rng::new(self.seed ^ 0x0001_de00);
        let count = self.length / self.frame;
        let step = self.b_frames + 1;
        let is_key = |n: i64| n % self.gop == 0;
        let is_anchor =
            |n: i64| n % step == 0 || is_key(n) || !self.is_open && is_key(n + 1) || n + 1 == count;
        let delay = i64::from(self.b_frames > 0);
        let mut frames: Vec<Frame> = Vec::new();
        let mut coding = video.coding;
        let mut since = 0;
        let mut push = |n: i64, coded: Coded, frames: &mut Vec<Frame>| {
            let sent = (frames.len() as i64 - delay) * self.frame;
            if coded.is_key() {
                coding = Fault::coding_at(video.coding, faults, sent);
            }
            let bytes = rng.within(video.bytes / 2..video.bytes * 2) * if coded.is_key() { 3 } else { 1 };
            let id = frames.len() as u32;
            let (bytes, payload) = bitstream::access_unit(&coding, coded, id, bytes as usize);
            let name_at = bitstream::names(&bytes)[0].0;
            frames.push(Frame {
                id,
                track: 0,
                sent,
                shown: n * self.frame,
                pts: self.first_pts + n * self.frame,
                dts: self.first_pts + sent,
                duration: self.frame,
                is_key: coded.is_key(),
                bytes,
                payload,
                name_at,
                fate: Fate::Intact,
                is_stated: true,
                unit: 0,
            });
        };
        for n in (0..count).filter(|n| is_anchor(*n)) {
            let coded = match (is_key(n), self.is_open && n > 0) {
                (true, false) => Coded::Closed,
                (true, true) => Coded::Open,
                (false, _) => Coded::Predicted,
            };
            push(n, coded, &mut frames);
            for between in since..n {
                push(between, Coded::Disposable, &mut frames);
            }
            since = n + 1;
        }
        frames
    }

    fn audio_frames(&self, audio: &Track<Audio>, track: usize) -> Vec<Frame> {
        let Track { coding, bytes, .. } = audio;
        let mut rng = Rng::new(self.seed ^ 0x00a0_d100 ^ track as u64);
        let time = |n: i64| n * coding.samples() * SECOND / coding.rate();
        let count = (self.length - self.audio_offset) * coding.rate() / SECOND / coding.samples();
        let frame = |n: i64| {
            let id = n as u32;
            let bytes = bitstream::audio_frame(*coding, track, id, rng.within(bytes / 2..bytes * 2) as usize);
            let shown = time(n) + self.audio_offset;
            Frame {
                id,
                track,
                sent: shown,
                shown,
                pts: self.first_pts + shown,
                dts: self.first_pts + shown,
                duration: time(n + 1) - time(n),
                is_key: true,
                payload: std::iter::once(coding.stripped()..bytes.len()).collect(),
                name_at: bitstream::names(&bytes)[0].0,
                bytes,
                fate: Fate::Intact,
                is_stated: true,
                unit: 0,
            }
        };
        (0..count).map(frame).collect()
    }
}
