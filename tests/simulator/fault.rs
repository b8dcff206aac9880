//! What can be wrong with a stream. A fault is of the source (frames and their timestamps: [`Fault::strike`]), of the
//! multiplexer (how frames are packed, what tables say) or of the way to us (packets lost or repeated); `mux` does
//! the latter two.

use super::bitstream::{Coding, Video};
use super::model::{Frame, Model, SECOND};
use super::rng::Rng;

/// Which tracks a fault is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    All,
    Track(usize),
}

impl Of {
    pub fn has(self, track: usize) -> bool {
        self == Self::All || self == Self::Track(track)
    }
}

/// Times and distances are in ticks, by the source's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Frames are missing; the clock goes on.
    Gap { of: Of, at: i64, len: i64 },
    /// A track ends before the others.
    Stop { track: usize, at: i64 },
    /// A track starts later than the others.
    Late { track: usize, until: i64 },
    /// The PMT lists a track that never arrives.
    Absent { track: usize },
    /// Each timestamp is off by up to `by`, either way.
    Jitter { of: Of, from: i64, by: i64 },
    /// Timestamps of a stretch are early or late by as much.
    Shift { track: usize, from: i64, to: i64, by: i64 },
    /// The clock jumps and goes on from there.
    Jump { of: Of, at: i64, by: i64 },
    /// The 33-bit clock wraps.
    Wrap { at: i64 },
    /// Another resolution, from the next keyframe on.
    Resolution { at: i64 },
    /// Another video codec, from the next keyframe on, and another PMT.
    Codec { at: i64 },
    /// At the next keyframe all timestamps start again from the first one.
    Loop { at: i64 },
    /// Before the next keyframe a frame is lost, and timestamps go on without a gap: the seam of a loop.
    Seam { at: i64 },
    /// The last bytes of each video frame are in the next PES packet.
    Tails { bytes: usize, at_keys: bool },
    /// Several video frames in each PES packet.
    Several { frames: usize },
    /// Audio PES packets of a fixed size.
    Unaligned { track: usize, bytes: usize },
    /// Packets are lost, at a thousandth of the stream.
    Loss { at: usize, packets: usize },
    /// Each so many packets one is sent twice.
    Duplicates { every: usize },
    /// No PAT and PMT before this.
    LateTables { until: i64 },
    /// No PAT and PMT in this time.
    NoTables { from: i64, to: i64 },
    /// The PAT lists a program whose PMT never arrives, before or after the real one.
    Ghost { is_first: bool },
}

impl Fault {
    /// Its kind, for tables. Which track it is in makes a kind of its own.
    pub const fn kind(&self) -> &'static str {
        use Of::{All, Track};
        match self {
            Self::Gap { of: All, .. } => "gap",
            Self::Gap { of: Track(0), .. } => "video gap",
            Self::Gap { .. } => "audio gap",
            Self::Stop { track: 0, .. } => "video stops",
            Self::Stop { .. } => "audio stops",
            Self::Late { track: 0, .. } => "video late",
            Self::Late { .. } => "audio late",
            Self::Absent { track: 0 } => "video absent",
            Self::Absent { .. } => "audio absent",
            Self::Jitter { .. } => "jitter",
            Self::Shift { track: 0, .. } => "video shift",
            Self::Shift { .. } => "audio shift",
            Self::Jump { of: All, .. } => "jump",
            Self::Jump { of: Track(0), .. } => "video jump",
            Self::Jump { .. } => "audio jump",
            Self::Wrap { .. } => "wrap",
            Self::Resolution { .. } => "resolution",
            Self::Codec { .. } => "codec",
            Self::Loop { .. } => "loop",
            Self::Seam { .. } => "seam",
            Self::Tails { .. } => "tails",
            Self::Several { .. } => "several",
            Self::Unaligned { .. } => "unaligned",
            Self::Loss { .. } => "loss",
            Self::Duplicates { .. } => "duplicates",
            Self::LateTables { .. } => "late tables",
            Self::NoTables { .. } => "no tables",
            Self::Ghost { .. } => "ghost",
        }
    }

    /// Draws a fault that `model` can have.
    pub fn draw(model: &Model, rng: &mut Rng) -> Self {
        let at = rng.within(model.length / 5..model.length * 4 / 5);
        let track = rng.within(0..model.audio.len() as i64 + 1) as usize;
        let audio = (!model.audio.is_empty()).then(|| 1 + rng.within(0..model.audio.len() as i64) as usize);
        let of = if rng.chance(40) { Of::All } else { Of::Track(track) };
        let sign = rng.pick(&[-1, 1]);
        match rng.within(0..20) {
            0 => Self::Gap { of, at, len: rng.within(model.frame..5 * SECOND) },
            1 => Self::Stop { track, at },
            2 => Self::Late { track, until: at },
            3 => Self::Absent { track },
            // Up to 12 ms, and never so much that frames change places.
            4 => Self::Jitter { of, from: at, by: rng.within(90..1080).min(model.frame / 3) },
            5 => Self::Shift {
                track,
                from: at,
                to: at + rng.within(1..SECOND),
                by: sign * rng.within(90..4500),
            },
            6 => Self::Jump { of, at, by: sign * rng.within(15 * SECOND..100_000 * SECOND) },
            7 => Self::Wrap { at },
            8 => Self::Resolution { at },
            9 => Self::Codec { at },
            10 => Self::Loop { at },
            11 => Self::Seam { at },
            12 => Self::Tails { bytes: rng.within(1..60) as usize, at_keys: rng.chance(50) },
            13 => Self::Several { frames: rng.within(2..5) as usize },
            14 => match audio {
                Some(track) => Self::Unaligned { track, bytes: rng.within(100..1500) as usize },
                None => Self::Wrap { at },
            },
            15 => Self::Loss { at: rng.within(0..1000) as usize, packets: rng.within(1..30) as usize },
            16 => Self::Duplicates { every: rng.within(2..300) as usize },
            17 => Self::LateTables { until: rng.within(SECOND / 10..2 * SECOND) },
            18 => Self::NoTables { from: at, to: at + rng.within(SECOND..6 * SECOND) },
            _ => Self::Ghost { is_first: rng.chance(70) },
        }
    }

    /// The coding of a keyframe sent at this time.
    pub fn coding_at(coding: Coding, faults: &[Self], sent: i64) -> Coding {
        let mut coding = coding;
        for fault in faults {
            match fault {
                Self::Resolution { at } if sent >= *at => {
                    coding.size = (coding.size.0 * 2, coding.size.1 * 2 - 2)
                }
                Self::Codec { at } if sent >= *at => {
                    coding.video = match coding.video {
                        Video::H264 => Video::Hevc,
                        Video::Hevc => Video::H264,
                    };
                }
                _ => {}
            }
        }
        coding
    }

    /// Changes the source's frames.
    pub fn strike(&self, model: &Model, tracks: &mut [Vec<Frame>]) {
        match *self {
            Self::Gap { of, at, len } => remove(tracks, of, at..at + len),
            Self::Stop { track, at } => remove(tracks, Of::Track(track), at..i64::MAX),
            Self::Late { track, until } => remove(tracks, Of::Track(track), i64::MIN..until),
            Self::Absent { track } => remove(tracks, Of::Track(track), i64::MIN..i64::MAX),
            Self::Jitter { of, from, by } => {
                let mut rng = Rng::new(model.seed & 0xffff_ffff ^ 0x0011_77e5);
                each(tracks, of, from..i64::MAX, |frame| {
                    let off = rng.within(-by..by + 1);
                    // A frame without reordering has one timestamp.
                    frame.pts += off;
                    frame.dts += off;
                });
            }
            Self::Shift { track, from, to, by } => each(tracks, Of::Track(track), from..to, |frame| {
                frame.pts += by;
                frame.dts += by;
            }),
            Self::Jump { of, at, by } => each(tracks, of, at..i64::MAX, |frame| {
                frame.pts += by;
                frame.dts += by;
            }),
            Self::Wrap { at } => {
                let by = (1 << 33) - model.first_pts - at;
                each(tracks, Of::All, i64::MIN..i64::MAX, |frame| {
                    frame.pts += by;
                    frame.dts += by;
                });
            }
            Self::Loop { at } => {
                if let Some((index, shown)) = key_at(model, tracks, at) {
                    begin_at(tracks, index, shown, -shown);
                }
            }
            // With an open GOP the frame before a keyframe is decoded after it: no seam is there.
            Self::Seam { at } if !model.is_open => {
                if let Some((_, shown)) = key_at(model, tracks, at) {
                    let lost = shown - model.frame..shown;
                    // What is decoded after the lost frame moves up.
                    let since = tracks[0].iter().position(|frame| lost.contains(&frame.shown));
                    tracks[0].iter_mut().skip(since.unwrap_or(usize::MAX)).for_each(|frame| {
                        frame.dts -= if frame.shown < shown { model.frame } else { 0 };
                    });
                    for track in tracks.iter_mut() {
                        track.retain(|frame| !lost.contains(&frame.shown));
                    }
                    if let Some((index, shown)) = key_at(model, tracks, at) {
                        begin_at(tracks, index, shown, -model.frame);
                    }
                }
            }
            _ => {}
        }
    }
}

fn remove(tracks: &mut [Vec<Frame>], of: Of, when: std::ops::Range<i64>) {
    for track in tracks {
        track.retain(|frame| !of.has(frame.track) || !when.contains(&frame.sent));
    }
}

fn each(tracks: &mut [Vec<Frame>], of: Of, when: std::ops::Range<i64>, mut change: impl FnMut(&mut Frame)) {
    for frame in tracks.iter_mut().flatten() {
        if of.has(frame.track) && when.contains(&frame.sent) {
            change(frame);
        }
    }
}

/// The first keyframe sent at or after this time: its place in the video and when it is shown.
fn key_at(model: &Model, tracks: &[Vec<Frame>], at: i64) -> Option<(usize, i64)> {
    let video = model.video.as_ref().and(tracks.first())?;
    let index = video.iter().position(|frame| frame.is_key && frame.sent >= at)?;
    Some((index, video[index].shown))
}

/// Moves the timestamps of the video from `index` on, and of the audio shown from then on.
fn begin_at(tracks: &mut [Vec<Frame>], index: usize, shown: i64, by: i64) {
    for (track, frames) in tracks.iter_mut().enumerate() {
        for (n, frame) in frames.iter_mut().enumerate() {
            if if track == 0 { n >= index } else { frame.shown >= shown } {
                frame.pts += by;
                frame.dts += by;
            }
        }
    }
}
