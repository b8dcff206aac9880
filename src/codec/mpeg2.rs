//! MPEG-2 video (H.262), and MPEG-1 video (ISO/IEC 11172-2): sequence headers, groups of pictures, pictures.

use super::bits::Bits;
use super::picture::{Coding, Picture, rate};
use super::{Codec, Format, RandomAccess, Video};

/// Start code values (H.262 table 6-1).
mod code {
    pub(super) const PICTURE: u8 = 0x00;
    pub(super) const FIRST_SLICE: u8 = 0x01;
    pub(super) const LAST_SLICE: u8 = 0xaf;
    pub(super) const SEQUENCE_HEADER: u8 = 0xb3;
    pub(super) const EXTENSION: u8 = 0xb5;
    pub(super) const GROUP: u8 = 0xb8;
}

/// The bytes of a sequence header before its quantiser matrices.
const HEADER: usize = 8;
/// The bytes of a sequence extension.
const EXTENSION: usize = 6;

/// What one access unit shows, up to its picture header.
#[derive(Debug, Default)]
pub(super) struct Mpeg2 {
    header: Option<[u8; HEADER]>,
    extension: Option<[u8; EXTENSION]>,
    is_closed_group: bool,
    /// What is in force.
    known: Option<([u8; HEADER], Option<[u8; EXTENSION]>)>,
}

impl Coding for Mpeg2 {
    /// The code, then temporal_reference and picture_coding_type.
    const LOOKAHEAD: usize = 3;

    fn reset(&mut self) {
        self.header = None;
        self.extension = None;
        self.is_closed_group = false;
    }

    fn began(&mut self, head: &[u8]) -> Option<Picture> {
        const INTRA: u8 = 1;
        let random_access = match head {
            [code::PICTURE, _, second, ..] if self.header.is_some() && second >> 3 & 7 == INTRA => {
                Some(if self.is_closed_group { RandomAccess::Closed } else { RandomAccess::Open })
            }
            // A slice without its picture's header: the PES packet begins in mid-picture.
            [code::PICTURE | code::FIRST_SLICE..=code::LAST_SLICE, ..] => None,
            _ => return None,
        };
        Some(Picture { random_access })
    }

    fn ended(&mut self, unit: &[u8]) {
        match unit {
            [code::SEQUENCE_HEADER, header @ ..] => {
                self.header = header.first_chunk().copied();
                self.extension = None;
            }
            [code::EXTENSION, extension @ ..] if extension.first().is_some_and(|byte| byte >> 4 == 1) => {
                self.extension = extension.first_chunk().copied();
            }
            // 25 bits of time code, then closed_gop.
            [code::GROUP, _, _, _, flags, ..] => self.is_closed_group = flags & 0x40 != 0,
            _ => {}
        }
    }

    fn has_parameter_sets(&self) -> bool {
        self.header.is_some()
    }

    fn renew(&mut self, format: &mut Option<Format>) -> bool {
        let Some(header) = self.header else { return false };
        if self.known == Some((header, self.extension)) {
            return false;
        }
        let Some(video) = video(&header, self.extension.as_ref()) else { return false };
        self.known = Some((header, self.extension));
        // The header holds the bit rate too, which may change from one to the next.
        let video = Some(Format::Video(video));
        let is_new = *format != video;
        *format = video;
        is_new
    }
}

/// H.262 §6.2.2.1, §6.2.2.3.
fn video(header: &[u8; HEADER], extension: Option<&[u8; EXTENSION]>) -> Option<Video> {
    let mut bits = Bits::new(header);
    let width = bits.number(12)?;
    let height = bits.number(12)?;
    let is_aspect_valid = bits.number(4)? != 0;
    let (count, seconds) = frame_rate(bits.number(4)?)?;
    bits.skip(18)?;
    let has_marker = bits.flag()?;
    let extension = match extension {
        Some(extension) => self::extension(extension)?,
        None => Extension::default(),
    };
    let (width, height) = (extension.width_high << 12 | width, extension.height_high << 12 | height);
    if width == 0 || height == 0 || !is_aspect_valid || !has_marker {
        return None;
    }
    Some(Video {
        codec: Codec::Mpeg2Video,
        rfc6381: extension.object_type.map(|object_type| format!("mp4v.{object_type:X}")),
        width,
        height,
        frame_rate: rate(count * (extension.rate_count + 1), seconds * (extension.rate_seconds + 1)),
        is_interlaced: extension.is_interlaced,
        colour: None,
        sample_aspect: None,
    })
}

/// frame_rate_code (H.262 table 6-4): a count of frames, and how many seconds they take.
const fn frame_rate(code: u32) -> Option<(u64, u64)> {
    Some(match code {
        1 => (24_000, 1001),
        2 => (24, 1),
        3 => (25, 1),
        4 => (30_000, 1001),
        5 => (30, 1),
        6 => (50, 1),
        7 => (60_000, 1001),
        8 => (60, 1),
        _ => return None,
    })
}

/// What the sequence extension adds.
struct Extension {
    object_type: Option<u8>,
    is_interlaced: bool,
    width_high: u32,
    height_high: u32,
    rate_count: u64,
    rate_seconds: u64,
}

impl Default for Extension {
    /// MPEG-1 has none.
    fn default() -> Self {
        const MPEG_1: u8 = 0x6a;
        Self {
            object_type: Some(MPEG_1),
            is_interlaced: false,
            width_high: 0,
            height_high: 0,
            rate_count: 0,
            rate_seconds: 0,
        }
    }
}

fn extension(bytes: &[u8; EXTENSION]) -> Option<Extension> {
    let mut bits = Bits::new(bytes);
    bits.skip(4)?;
    let is_escaped = bits.flag()?;
    let profile = bits.number(3)?;
    bits.skip(4)?;
    let is_progressive = bits.flag()?;
    bits.skip(2)?;
    let width_high = bits.number(2)?;
    let height_high = bits.number(2)?;
    bits.skip(12)?;
    if !bits.flag()? {
        return None;
    }
    bits.skip(8 + 1)?;
    let rate_count = bits.number(2)?.into();
    let rate_seconds = bits.number(5)?.into();
    Some(Extension {
        object_type: object_type(is_escaped, profile),
        is_interlaced: !is_progressive,
        width_high,
        height_high,
        rate_count,
        rate_seconds,
    })
}

/// objectTypeIndication (ISO/IEC 14496-1) of a profile (H.262 table 8-2).
const fn object_type(is_escaped: bool, profile: u32) -> Option<u8> {
    Some(match profile {
        // The one profile behind the escape that is in use is 4:2:2.
        _ if is_escaped => 0x65,
        5 => 0x60,
        4 => 0x61,
        3 => 0x62,
        2 => 0x63,
        1 => 0x64,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::Examiner;
    use super::super::testing::{cut_before, examine, random_access, stream, video};
    use super::*;
    use crate::time::Rate;

    const SEQUENCE: &[u8] = &[0, 0, 1, code::SEQUENCE_HEADER];

    #[test]
    fn a_closed_group_is_a_closed_point() {
        let groups = cut_before(stream!("closed.m2v"), SEQUENCE);
        assert_eq!(random_access(Codec::Mpeg2Video, &groups), [Some(RandomAccess::Closed); 2]);
    }

    #[test]
    fn an_open_group_is_an_open_point() {
        let groups = cut_before(stream!("open.m2v"), SEQUENCE);
        let points = random_access(Codec::Mpeg2Video, &groups);
        assert!(points.len() > 1);
        assert_eq!(points[1], Some(RandomAccess::Open));
    }

    #[test]
    fn a_group_that_tells_nothing_of_itself_is_open() {
        let header = [0, 0, 1, 0xb3, 4, 0, 0x30, 0x13, 0xff, 0xff, 0xe0, 0x18];
        let intra = [0, 0, 1, 0, 0, 0x0f, 0xff];
        let predicted = [0, 0, 1, 0, 0, 0x17, 0xff];
        let points = random_access(
            Codec::Mpeg2Video,
            &[
                &[&header[..], &intra].concat(),
                &intra,
                &[&header[..], &predicted].concat(),
                &[0, 0, 1, 2, 0x13],
            ],
        );
        assert_eq!(points, [Some(RandomAccess::Open), None, None, None]);
    }

    #[test]
    fn the_format_comes_from_header_and_extension() {
        let mut examiner = Examiner::new(Codec::Mpeg2Video);
        let unit = examine(&mut examiner, stream!("closed.m2v"));
        assert!(unit.has_parameter_sets && unit.is_new_format);
        let expected = Video {
            codec: Codec::Mpeg2Video,
            rfc6381: Some("mp4v.61".into()),
            width: 64,
            height: 48,
            frame_rate: Rate::new(30_000, 1001),
            is_interlaced: false,
            colour: None,
            sample_aspect: None,
        };
        assert_eq!(video(&examiner), expected);
        examine(&mut examiner, stream!("open.m2v"));
        let video = video(&examiner);
        assert!(video.is_interlaced);
        assert_eq!(video.frame_rate, Rate::new(25, 1));
    }

    #[test]
    fn mpeg_1_has_no_extension() {
        let mut examiner = Examiner::new(Codec::Mpeg2Video);
        examine(&mut examiner, stream!("one.m1v"));
        let video = video(&examiner);
        assert_eq!((video.rfc6381.as_deref(), video.is_interlaced), (Some("mp4v.6A"), false));
        assert_eq!((video.width, video.height, video.frame_rate), (64, 48, Rate::new(24, 1)));
    }

    #[test]
    fn another_bit_rate_is_no_new_format() {
        let stream = stream!("closed.m2v");
        let mut examiner = Examiner::new(Codec::Mpeg2Video);
        assert!(examine(&mut examiner, stream).is_new_format);
        let mut slower = stream.to_vec();
        slower[8] ^= 0x10;
        assert!(!examine(&mut examiner, &slower).is_new_format);
        slower[5] ^= 0x20;
        assert!(examine(&mut examiner, &slower).is_new_format);
    }
}
