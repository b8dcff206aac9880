//! What a program's streams are.

use std::collections::BTreeMap;

use crate::codec::Format;
use crate::ts::{Pid, Program};

/// The formats of a program's video and audio, where they can be known.
#[derive(Debug, Default)]
pub struct Formats(BTreeMap<Pid, Option<Format>>);

impl Formats {
    /// The program is this one: its formats, if all are known already.
    pub fn program(&mut self, program: &Program) -> Option<Vec<Format>> {
        let streams = program.streams.iter().filter(|stream| stream.codec.is_read());
        self.0 = streams.map(|stream| (stream.pid, self.0.remove(&stream.pid).flatten())).collect();
        self.all()
    }

    /// The format of one stream: all of them, once all are known.
    pub fn take(&mut self, pid: Pid, format: Format) -> Option<Vec<Format>> {
        *self.0.get_mut(&pid)? = Some(format);
        self.all()
    }

    /// All of them, once all are known.
    fn all(&self) -> Option<Vec<Format>> {
        let all: Option<Vec<_>> = self.0.values().cloned().collect();
        all.filter(|formats| !formats.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::codec::{Audio, Codec};

    fn program(streams: &[(u16, Codec)]) -> Program {
        let streams = streams.iter().map(|&(pid, codec)| crate::ts::Stream {
            pid: Pid::new(pid),
            stream_type: 0,
            codec,
            language: None,
            descriptors: Bytes::new(),
        });
        Program {
            number: 1,
            transport_stream_id: 1,
            pmt_pid: Pid::new(0x1000),
            pcr_pid: Pid::new(0x100),
            version: 0,
            streams: streams.collect(),
            section: Bytes::new(),
        }
    }

    fn sound(channels: u8) -> Format {
        Format::Audio(Audio {
            codec: Codec::AacAdts,
            rfc6381: Some("mp4a.40.2".to_owned()),
            sample_rate_hz: 48_000,
            channels,
            samples_per_frame: 1024,
        })
    }

    #[test]
    fn formats_are_told_when_all_are_known_and_again_when_one_changes() {
        let mut formats = Formats::default();
        let (first, second) = (Pid::new(0x101), Pid::new(0x102));
        assert_eq!(formats.take(first, sound(2)), None, "no program yet");
        assert_eq!(formats.program(&program(&[(0x101, Codec::AacAdts), (0x102, Codec::AacAdts)])), None);
        assert_eq!(formats.take(second, sound(1)), None);
        assert_eq!(formats.take(first, sound(2)), Some(vec![sound(2), sound(1)]));
        assert_eq!(formats.take(second, sound(6)), Some(vec![sound(2), sound(6)]));
    }

    #[test]
    fn a_stream_that_leaves_the_program_is_told_no_more_and_data_never_is() {
        let mut formats = Formats::default();
        formats.program(&program(&[(0x101, Codec::AacAdts), (0x102, Codec::AacAdts), (0x103, Codec::Id3)]));
        formats.take(Pid::new(0x101), sound(2));
        formats.take(Pid::new(0x102), sound(1));
        assert_eq!(formats.program(&program(&[(0x102, Codec::AacAdts)])), Some(vec![sound(1)]));
        assert_eq!(formats.program(&program(&[(0x103, Codec::Id3)])), None);
    }
}
