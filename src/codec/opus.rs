//! Opus in MPEG-2 systems: a control header before each Opus packet, which tells its own length (RFC 6716 §3.1).

use super::Codec;
use super::aac::may_begin;
use super::sound::{Coding, Look, Name, Sound};

/// Opus. Decoders put out whatever number of channels they are asked for; what the maker meant stands in the
/// PMT's descriptor alone.
#[derive(Debug)]
pub(crate) struct Opus {
    channels: u8,
}

impl Default for Opus {
    fn default() -> Self {
        Self::new(2)
    }
}

impl Opus {
    pub(crate) const fn new(channels: u8) -> Self {
        Self { channels }
    }
}

impl Coding for Opus {
    const SYNC: u8 = 0x7f;

    fn look(&self, bytes: &[u8]) -> Look {
        if !may_begin(bytes, [(0xff, 0x7f), (0xe0, 0xe0)]) {
            return Look::Nothing;
        }
        let Some((header, size)) = control_header(bytes) else { return Look::More };
        let Some(packet) = bytes.get(header..) else { return Look::More };
        match samples(packet, size) {
            Ok(samples_per_frame) => {
                let sound = Sound {
                    codec: Codec::Opus,
                    name: Name::Fixed("opus"),
                    sample_rate_hz: 48_000,
                    channels: self.channels,
                    samples_per_frame,
                };
                Look::Frame(header + size, Some(sound))
            }
            Err(look) => look,
        }
    }
}

/// Its length, and the packet's behind it. None: more bytes are needed.
fn control_header(bytes: &[u8]) -> Option<(usize, usize)> {
    let flags = bytes.get(1)?;
    let [has_start_trim, has_end_trim, has_extension] = [0x10, 0x08, 0x04].map(|mask| flags & mask != 0);
    let rest = bytes.get(2..)?;
    let full = rest.iter().take_while(|byte| **byte == 0xff).count();
    let size = full * 0xff + usize::from(*rest.get(full)?);
    let mut len = 2 + full + 1 + 2 * usize::from(has_start_trim) + 2 * usize::from(has_end_trim);
    if has_extension {
        len += 1 + usize::from(*bytes.get(len)?);
    }
    Some((len, size))
}

/// A control header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Control {
    /// Its own length in bytes.
    pub(crate) len: usize,
    /// Samples of the packet that are not to be heard: its first, its last.
    pub(crate) trims: (u16, u16),
}

/// The control header of a whole access unit.
pub(crate) fn control(unit: &[u8]) -> Option<Control> {
    let (len, _) = control_header(unit)?;
    let flags = unit.get(1)?;
    let size_bytes = unit.get(2..)?.iter().take_while(|byte| **byte == 0xff).count() + 1;
    let mut rest = unit.get(2 + size_bytes..)?;
    let mut trim = |mask| {
        if flags & mask == 0 {
            return Some(0);
        }
        let (trim, behind) = rest.split_first_chunk()?;
        rest = behind;
        Some(u16::from_be_bytes(*trim) & 0x1fff)
    };
    Some(Control { len, trims: (trim(0x10)?, trim(0x08)?) })
}

/// Samples at 48 kHz in an Opus packet of `size` bytes.
fn samples(packet: &[u8], size: usize) -> Result<u32, Look> {
    if size == 0 {
        return Err(Look::Nothing);
    }
    let table = packet.first().ok_or(Look::More)?;
    let config = table >> 3;
    let length = match config {
        0..=11 => [480, 960, 1920, 2880][usize::from(config & 3)],
        12..=15 => [480, 960][usize::from(config & 1)],
        _ => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match table & 3 {
        0 => 1,
        1 | 2 => 2,
        _ if size < 2 => return Err(Look::Nothing),
        _ => packet.get(1).ok_or(Look::More)? & 0x3f,
    };
    /// 120 ms, the most that a packet holds.
    const LONGEST: u32 = 5760;
    let samples = length * u32::from(frames);
    if (1..=LONGEST).contains(&samples) { Ok(samples) } else { Err(Look::Nothing) }
}

#[cfg(test)]
mod tests {
    use super::super::Examiner;
    use super::super::testing::{audio, examine, sound};
    use super::*;

    /// A packet of 74 bytes with a start trim, as ffmpeg writes it, cut behind its first bytes.
    const HEAD: [u8; 16] =
        [0x7f, 0xf0, 0x4a, 0x01, 0x38, 0x78, 0x81, 0xa7, 0x5d, 0x6c, 0x7e, 0x40, 0xe6, 0x00, 0x00, 0x0a];

    #[test]
    fn the_packet_tells_its_length_in_time() {
        assert_eq!(sound(Codec::Opus, &HEAD), ("opus".into(), 48_000, 2, 960));
        assert!(matches!(Opus::default().look(&HEAD), Look::Frame(79, Some(_))));
    }

    #[test]
    fn the_channels_are_those_of_the_descriptor() {
        let mut examiner = Examiner::with_opus_channels(6);
        examine(&mut examiner, &HEAD);
        assert_eq!(audio(&examiner).channels, 6);
    }

    #[test]
    fn a_control_header_ends_where_its_flags_say() {
        assert_eq!(control_header(&[0x7f, 0xe0, 0xff, 0xff, 0x02]), Some((5, 512)));
        assert_eq!(control_header(&[0x7f, 0xfc, 9, 0, 1, 0, 2, 3, 7, 7, 7]), Some((11, 9)));
        assert_eq!(control_header(&[0x7f, 0xe4, 9]), None);
        assert_eq!(control_header(&[0x7f, 0xe0, 0xff]), None);
    }

    #[test]
    fn trims_are_read() {
        assert_eq!(control(&HEAD), Some(Control { len: 5, trims: (0x138, 0) }));
        let both = [0x7f, 0xf8, 0xff, 0, 0x01, 0x38, 0, 2];
        assert_eq!(control(&both), Some(Control { len: 8, trims: (0x138, 2) }));
    }

    #[test]
    fn a_packet_holds_120_milliseconds_at_most() {
        assert_eq!(samples(&[0b0001_1011, 2], 9), Ok(5760));
        assert_eq!(samples(&[0b0001_1011, 3], 9), Err(Look::Nothing));
        assert_eq!(samples(&[0b0001_1011], 9), Err(Look::More));
        assert_eq!(samples(&[0b1000_0001], 9), Ok(240));
    }
}
