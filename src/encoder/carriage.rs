//! What ffmpeg puts into a transport stream although nothing can play it there.

/// Codecs of video that ffmpeg's muxer knows no stream_type for. It packs them as private data, and says so.
const VIDEO: [&str; 24] = [
    "av1",
    "vp8",
    "vp9",
    "mjpeg",
    "theora",
    "prores",
    "dnxhd",
    "ffv1",
    "huffyuv",
    "h261",
    "h263",
    "flv1",
    "vp6",
    "vp6f",
    "rawvideo",
    "png",
    "gif",
    "webp",
    "svq3",
    "rv40",
    "wmv2",
    "wmv3",
    "msmpeg4v3",
    "jpegxs",
];
/// Codecs of audio of which the same is true, and the beginnings of families of them.
const AUDIO: [&str; 14] = [
    "pcm_",
    "adpcm_",
    "vorbis",
    "flac",
    "alac",
    "wma",
    "amr_",
    "speex",
    "gsm",
    "g723_1",
    "g729",
    "nellymoser",
    "atrac",
    "cook",
];

/// A stream that players will not find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unplayable {
    Video(String),
    Audio(String),
}

impl Unplayable {
    /// What a line of ffmpeg's says: `Stream 0, codec av1, is muxed as a private data stream and may not be recognized
    /// upon reading.`
    pub(super) fn read(line: &str) -> Option<Self> {
        let (before, _) = line.split_once(" is muxed as a private data stream")?;
        let (_, codec) = before.trim_end_matches(',').rsplit_once("codec ")?;
        if VIDEO.contains(&codec) {
            Some(Self::Video(name(codec)))
        } else if AUDIO.iter().any(|family| codec.starts_with(family)) {
            Some(Self::Audio(name(codec)))
        } else {
            None
        }
    }
}

/// A codec as people call it, with ffmpeg's name where that is another.
fn name(codec: &str) -> String {
    match codec {
        "pcm_alaw" => "G.711 A-law (pcm_alaw)".to_owned(),
        "pcm_mulaw" => "G.711 µ-law (pcm_mulaw)".to_owned(),
        "av1" | "vp8" | "vp9" | "mjpeg" | "flac" | "alac" => codec.to_uppercase(),
        codec => codec.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_as_private_data_is_named() {
        let line = |codec| {
            format!(
                "mpegts: Stream 0, codec {codec}, is muxed as a private data stream and may not be recognized upon \
                 reading."
            )
        };
        assert_eq!(Unplayable::read(&line("av1")), Some(Unplayable::Video("AV1".to_owned())));
        assert_eq!(
            Unplayable::read(&line("pcm_alaw")),
            Some(Unplayable::Audio("G.711 A-law (pcm_alaw)".to_owned()))
        );
        assert_eq!(Unplayable::read(&line("bin_data")), None);
        assert_eq!(Unplayable::read("mpegts: frame size not set"), None);
    }
}
