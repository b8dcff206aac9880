//! PES packet headers (§2.4.3.6).

use crate::time::Stamp;

/// What stands in a PES packet's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// stream_id.
    pub stream_id: u8,
    /// Bytes of the whole PES packet with its header; none if it is unbounded, as video may be.
    pub len: Option<usize>,
    /// Presentation time stamp.
    pub pts: Option<Stamp>,
    /// Decoding time stamp, where it is not the PTS.
    pub dts: Option<Stamp>,
    /// Where the payload begins, in bytes from the first of the header.
    pub payload_at: usize,
    /// data_alignment_indicator: the payload begins with an access unit.
    pub is_aligned: bool,
}

/// What came of reading a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A header.
    Header(Header),
    /// Too few bytes to tell; at least so many are needed.
    NeedsMore(usize),
    /// No PES packet begins here, or one that cannot be read.
    Malformed,
}

/// The longest stretch that [`parse`] asks for: up to the end of a DTS.
pub const MAX_NEEDED: usize = 19;

/// Reads the header that `bytes` begin with. Marker bits are not checked: some multiplexers never set them, and the
/// start code is evidence enough.
pub fn parse(bytes: &[u8]) -> Parsed {
    let prefix = &[0, 0, 1][..bytes.len().min(3)];
    if !bytes.starts_with(prefix) {
        return Parsed::Malformed;
    }
    let &[_, _, _, stream_id, high, low, ref rest @ ..] = bytes else {
        return Parsed::NeedsMore(6);
    };
    let len = match u16::from_be_bytes([high, low]) {
        0 => None,
        len => Some(6 + usize::from(len)),
    };
    let bare = Header { stream_id, len, pts: None, dts: None, payload_at: 6, is_aligned: false };
    if !has_fields(stream_id) {
        return Parsed::Header(bare);
    }
    let &[marker, flags, header_len, ref fields @ ..] = rest else {
        return Parsed::NeedsMore(9);
    };
    let stamps_len = match flags >> 6 {
        0b10 => 5,
        0b11 => 10,
        _ => 0,
    };
    // Stamps for which the header has no room are not there.
    let stamps_len = if stamps_len > usize::from(header_len) { 0 } else { stamps_len };
    let payload_at = 9 + usize::from(header_len);
    let Some(stamps) = fields.get(..stamps_len) else {
        return Parsed::NeedsMore(9 + stamps_len);
    };
    let pts = stamps.get(..5).and_then(stamp);
    let dts = stamps.get(5..10).and_then(stamp);
    // A length that ends within the header says nothing.
    let len = len.filter(|len| *len >= payload_at);
    let is_aligned = marker & 0x04 != 0;
    Parsed::Header(Header { len, pts, dts, payload_at, is_aligned, ..bare })
}

/// Whether packets of this stream_id have flags and a header length: all but the few of table 2-21's list.
const fn has_fields(stream_id: u8) -> bool {
    // program_stream_map, padding, private_stream_2, ECM, EMM, DSMCC, H.222.1 type E, directory.
    !matches!(stream_id, 0xbc | 0xbe | 0xbf | 0xf0 | 0xf1 | 0xf2 | 0xf8 | 0xff)
}

/// A stamp from its five bytes, whatever their marker bits.
fn stamp(bytes: &[u8]) -> Option<Stamp> {
    let &[a, b, c, d, e] = bytes else { return None };
    let high = u64::from(a >> 1 & 0x07) << 30;
    let middle = u64::from(u16::from_be_bytes([b, c]) >> 1) << 15;
    let low = u64::from(u16::from_be_bytes([d, e]) >> 1);
    Some(Stamp::new(high | middle | low))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [u8; 20] = [
        0, 0, 1, 0xe0, 0, 0, 0x84, 0xc0, 10, 0x31, 0x00, 0x07, 0xd8, 0x61, 0x11, 0x00, 0x07, 0xa9, 0x75, 0xaa,
    ];

    fn header(bytes: &[u8]) -> Header {
        match parse(bytes) {
            Parsed::Header(header) => header,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn both_stamps_are_read() {
        let header = header(&BOTH);
        assert_eq!(header.pts.map(Stamp::bits), Some(126_000));
        assert_eq!(header.dts.map(Stamp::bits), Some(120_000 - 6));
        assert_eq!((header.len, header.payload_at, header.is_aligned), (None, 19, true));
    }

    #[test]
    fn a_header_that_is_cut_short_says_what_it_needs() {
        for len in 0..MAX_NEEDED {
            match parse(&BOTH[..len]) {
                Parsed::NeedsMore(needed) => assert!(needed > len && needed <= MAX_NEEDED),
                other => panic!("{len}: {other:?}"),
            }
        }
    }

    #[test]
    fn marker_bits_make_no_difference() {
        let mut bytes = BOTH;
        for marker in [9, 11, 13, 14, 16, 18] {
            bytes[marker] ^= 1;
        }
        assert_eq!(header(&bytes), header(&BOTH));
        for bits in [0x00, 0x40, 0xc0] {
            bytes[6] = bits | 0x04;
            assert_eq!(header(&bytes), header(&BOTH));
        }
        bytes[9] &= 0x0f;
        assert_eq!(header(&bytes), header(&BOTH));
    }

    #[test]
    fn a_length_or_room_that_cannot_be_is_passed_over() {
        let short = header(&[0, 0, 1, 0xc0, 0, 1, 0x80, 0, 0]);
        assert_eq!((short.len, short.payload_at), (None, 9));
        let narrow = header(&[0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 4, 0x21, 0, 1, 0, 1]);
        assert_eq!((narrow.pts, narrow.payload_at), (None, 13));
    }

    #[test]
    fn padding_has_no_fields() {
        assert_eq!(header(&[0, 0, 1, 0xbe, 0, 4, 0xff]).payload_at, 6);
    }

    #[test]
    fn what_is_no_header_is_refused() {
        assert_eq!(parse(&[0, 0, 2]), Parsed::Malformed);
        assert_eq!(parse(&[0, 1, 1, 0xe0]), Parsed::Malformed);
    }
}
