//! AC-3 and E-AC-3 (ETSI TS 102 366 and its annex E): both have the same syncword, and bsid tells them apart.

use super::Codec;
use super::aac::may_begin;
use super::bits::Bits;
use super::sound::{Coding, Look, Name, Sound};

/// AC-3 and E-AC-3. The channels are those of the first independent substream: what dependent substreams add
/// (7.1 and beyond) is not counted.
#[derive(Debug)]
pub(crate) struct Ac3;

/// The bytes that hold all that is read here, of either kind.
const HEADER: usize = 8;

impl Coding for Ac3 {
    const SYNC: u8 = 0x0b;

    fn look(&self, bytes: &[u8]) -> Look {
        if !may_begin(bytes, [(0xff, 0x0b), (0xff, 0x77)]) {
            return Look::Nothing;
        }
        let Some(header) = bytes.first_chunk::<HEADER>() else { return Look::More };
        let frame = match header[5] >> 3 {
            bsid @ 0..=10 => plain(header, bsid),
            11..=16 => enhanced(header),
            _ => None,
        };
        frame.map_or(Look::Nothing, |(len, sound)| Look::Frame(len, Some(sound)))
    }
}

/// fscod.
const RATES: [u32; 3] = [48_000, 44_100, 32_000];
/// Samples in an audio block.
const BLOCK: u32 = 256;

/// Channels of an acmod, with the low-frequency one.
fn channels(acmod: u8, has_low_frequency: bool) -> Option<u8> {
    let full = [2, 1, 2, 3, 3, 4, 4, 5].get(usize::from(acmod))?;
    Some(full + u8::from(has_low_frequency))
}

fn plain(header: &[u8; HEADER], bsid: u8) -> Option<(usize, Sound)> {
    /// frmsizecod / 2, as thousands of bits a second.
    const BIT_RATES: [u32; 19] =
        [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];
    let mut bits = Bits::new(header);
    bits.skip(16 + 16)?;
    let rate = *RATES.get(bits.number(2)? as usize)?;
    let size_code = bits.number(6)?;
    let bit_rate = *BIT_RATES.get(size_code as usize / 2)?;
    bits.skip(5 + 3)?;
    let acmod = bits.small(3)?;
    let has_centre_level = acmod & 1 != 0 && acmod != 1;
    let has_surround_level = acmod & 4 != 0;
    let is_stereo = acmod == 2;
    let levels =
        [has_centre_level, has_surround_level, is_stereo].into_iter().filter(|is_there| *is_there).count();
    bits.skip(2 * levels)?;
    let has_low_frequency = bits.flag()?;
    // In 16-bit words; a frame is 1536 samples long, at 44.1 kHz a word more or less to come out even.
    let words = match rate {
        44_100 => bit_rate * 320 / 147 + (size_code & 1),
        _ => bit_rate * 96_000 / rate,
    };
    let sound = Sound {
        codec: Codec::Ac3,
        name: Name::Fixed("ac-3"),
        sample_rate_hz: rate >> bsid.saturating_sub(8),
        channels: channels(acmod, has_low_frequency)?,
        samples_per_frame: 6 * BLOCK,
    };
    Some((words as usize * 2, sound))
}

fn enhanced(header: &[u8; HEADER]) -> Option<(usize, Sound)> {
    let mut bits = Bits::new(header);
    bits.skip(16)?;
    const RESERVED: u32 = 3;
    if bits.number(2)? == RESERVED {
        return None;
    }
    bits.skip(3)?;
    let len = (bits.number(11)? as usize + 1) * 2;
    let rate_code = bits.number(2)? as usize;
    let code = bits.number(2)? as usize;
    let (rate, blocks) = match RATES.get(rate_code) {
        Some(rate) => (*rate, *[1, 2, 3, 6].get(code)?),
        None => (RATES.get(code)? / 2, 6),
    };
    let acmod = bits.small(3)?;
    let has_low_frequency = bits.flag()?;
    let sound = Sound {
        codec: Codec::Eac3,
        name: Name::Fixed("ec-3"),
        sample_rate_hz: rate,
        channels: channels(acmod, has_low_frequency)?,
        samples_per_frame: blocks * BLOCK,
    };
    Some((len, sound))
}

#[cfg(test)]
mod tests {
    use super::super::Examiner;
    use super::super::testing::{audio, examine, sound, stream};
    use super::*;

    #[test]
    fn a_header_tells_rate_and_channels() {
        let plain = |stream| sound(Codec::Ac3, stream);
        assert_eq!(plain(stream!("surround.ac3")), ("ac-3".into(), 48_000, 6, 1536));
        assert_eq!(plain(stream!("stereo.ac3")), ("ac-3".into(), 44_100, 2, 1536));
        assert_eq!(sound(Codec::Eac3, stream!("surround.eac3")), ("ec-3".into(), 48_000, 6, 1536));
    }

    #[test]
    fn frames_follow_each_other() {
        for stream in [stream!("surround.ac3"), stream!("stereo.ac3"), stream!("surround.eac3")] {
            let Look::Frame(len, Some(first)) = Ac3.look(stream) else { panic!("no frame") };
            let Look::Frame(_, Some(second)) = Ac3.look(&stream[len..]) else { panic!("no second frame") };
            assert_eq!(first, second);
        }
    }

    #[test]
    fn the_bitstream_knows_better_than_the_pmt() {
        let mut examiner = Examiner::new(Codec::Ac3);
        examine(&mut examiner, stream!("surround.eac3"));
        assert_eq!(audio(&examiner).codec, Codec::Eac3);
    }
}
