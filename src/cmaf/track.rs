//! What tracks a program has.

use crate::codec::Codec;
use crate::ts::{Pid, Program, Service, Stream};

use super::anomaly::{Anomaly, AnomalyKind};
use super::language::bcp_47;
use super::{Layout, sound};

/// One track: what one media playlist carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// What is in it.
    pub role: Role,
    /// The streams that it is made of; several only where it is muxed, the video first.
    pub pids: Vec<Pid>,
    /// The coding of its first stream, as the PMT says it.
    pub codec: Codec,
    /// Its language, a BCP 47 tag, where the PMT tells one.
    pub language: Option<String>,
    /// Whom its sound is for, as the PMT says it.
    pub service: Service,
}

/// What is in a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Pictures and sound.
    Muxed,
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

/// The tracks of a program, and what of it they leave out.
pub fn tracks(program: &Program, layout: Layout) -> (Vec<Track>, Vec<Anomaly>) {
    let mut anomalies = Vec::new();
    // The stream that cuts are made by: others' pictures need not end where parts do.
    let video = program.reference().filter(|stream| is_video(stream));
    let mut tracks: Vec<Track> = video.map(|stream| track(stream, Role::Video)).into_iter().collect();
    for stream in program.streams.iter().filter(|stream| stream.codec.is_video() || stream.codec.is_audio()) {
        let kind = match stream.codec {
            codec if sound::is_supported(codec) => {
                if !tracks.iter().any(|track| track.pids.contains(&stream.pid)) {
                    tracks.push(track(stream, Role::Audio));
                }
                continue;
            }
            _ if video.is_some_and(|video| video.pid == stream.pid) => continue,
            _ if is_video(stream) => AnomalyKind::AnotherVideo,
            codec => AnomalyKind::Unsupported(codec),
        };
        anomalies.push(Anomaly { pid: stream.pid, kind });
    }
    if layout == Layout::Muxed && !tracks.is_empty() {
        tracks = vec![muxed(&tracks)];
    }
    (tracks, anomalies)
}

const fn is_video(stream: &Stream) -> bool {
    matches!(stream.codec, Codec::H264 | Codec::Hevc)
}

fn track(stream: &Stream, role: Role) -> Track {
    let language = stream.language.and_then(bcp_47);
    Track { role, pids: vec![stream.pid], codec: stream.codec, language, service: stream.service() }
}

fn muxed(tracks: &[Track]) -> Track {
    let pids = tracks.iter().flat_map(|track| track.pids.iter().copied()).collect();
    let language = tracks.iter().find_map(|track| track.language.clone());
    let codec = tracks.first().map_or(Codec::Other, |track| track.codec);
    Track { role: Role::Muxed, pids, codec, language, service: Service::Main }
}
