//! Where access units begin, told from their units alone: PES packets begin and end anywhere in them
//! (ISO/IEC 13818-1 §2.4.3.7 binds a PES packet's timestamps to the first access unit that commences in it).

use super::Codec;

/// What a unit tells of the access unit that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The first slice of a picture.
    FirstSlice,
    /// Another slice.
    Slice,
    /// It comes before the first slice of its access unit only: a delimiter, a parameter set, a message.
    Lead,
    /// It may come anywhere.
    Any,
}

/// The place of a unit that begins with `head`, without its start code.
pub(crate) fn place(codec: Codec, head: &[u8]) -> Place {
    match codec {
        Codec::H264 => h264(head),
        Codec::Hevc => hevc(head),
        Codec::Mpeg2Video => mpeg2(head),
        _ => Place::Any,
    }
}

/// H.264 §7.4.1.2.3. In front of a slice's other fields stands first_mb_in_slice; zero is coded as a single 1.
fn h264(head: &[u8]) -> Place {
    let is_first = head.get(1).is_some_and(|byte| byte & 0x80 != 0);
    match head.first().map_or(0, |header| header & 0x1f) {
        1 | 2 | 5 if is_first => Place::FirstSlice,
        1..=5 => Place::Slice,
        6..=9 | 14..=18 => Place::Lead,
        _ => Place::Any,
    }
}

/// H.265 §7.4.2.4.4: first_slice_segment_in_pic_flag is the first bit behind the header. Units of other layers belong to
/// the access unit of their base layer.
fn hevc(head: &[u8]) -> Place {
    let &[first, second, ..] = head else { return Place::Any };
    let is_base = first & 1 == 0 && second >> 3 == 0;
    let is_first = is_base && head.get(2).is_some_and(|byte| byte & 0x80 != 0);
    match first >> 1 & 0x3f {
        0..=31 if is_first => Place::FirstSlice,
        0..=31 => Place::Slice,
        32..=35 | 39 | 41..=44 | 48..=55 if is_base => Place::Lead,
        _ => Place::Any,
    }
}

/// H.262 §6.2.2: a picture's header stands before its slices, the headers of sequence and group before that.
fn mpeg2(head: &[u8]) -> Place {
    match head.first() {
        Some(0x00) => Place::FirstSlice,
        Some(0x01..=0xaf) => Place::Slice,
        Some(0xb3 | 0xb8) => Place::Lead,
        _ => Place::Any,
    }
}

/// Follows the units of one stream.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AccessUnits {
    has_slice: bool,
}

impl AccessUnits {
    /// Takes the next unit. Returns whether an access unit begins with it, after one that has a picture.
    pub(crate) fn take(&mut self, place: Place) -> bool {
        let begins = self.has_slice && matches!(place, Place::FirstSlice | Place::Lead);
        self.has_slice = match place {
            Place::FirstSlice | Place::Slice => true,
            Place::Lead => false,
            Place::Any => self.has_slice,
        };
        begins
    }

    /// The access unit in hand is over.
    pub(crate) const fn end(&mut self) {
        self.has_slice = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begins(codec: Codec, units: &[&[u8]]) -> Vec<bool> {
        let mut access_units = AccessUnits::default();
        units.iter().map(|unit| access_units.take(place(codec, unit))).collect()
    }

    #[test]
    fn an_access_unit_begins_with_what_leads_it_or_with_its_first_slice() {
        let (delimiter, sps, sei): (&[u8], &[u8], &[u8]) = (&[9, 0x10], &[0x67, 66, 0], &[6, 5, 1]);
        let (first, later, filler): (&[u8], &[u8], &[u8]) = (&[0x41, 0x9a], &[0x41, 0x3a], &[12, 0xff]);
        let units = [delimiter, sps, sei, first, later, delimiter, first, first, filler, later, sps, first];
        let expected = [5, 7, 10];
        let found = begins(Codec::H264, &units);
        assert_eq!((0..units.len()).filter(|n| found[*n]).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn slices_of_other_layers_and_later_segments_begin_nothing() {
        let (first, later): (&[u8], &[u8]) = (&[2, 1, 0x80], &[2, 1, 0x20]);
        let (layer, suffix, sets): (&[u8], &[u8], &[u8]) = (&[2, 9, 0x80], &[80, 1, 5], &[64, 1, 0x0c]);
        let found = begins(Codec::Hevc, &[sets, first, later, layer, suffix, first, sets]);
        assert_eq!(found, [false, false, false, false, false, true, true]);
    }

    #[test]
    fn headers_before_a_picture_belong_to_it() {
        let found = begins(
            Codec::Mpeg2Video,
            &[&[0xb3], &[0xb5], &[0xb8], &[0, 0], &[1], &[2], &[0xb3], &[0], &[1], &[0]],
        );
        assert_eq!(found, [false, false, false, false, false, false, true, false, false, true]);
    }
}
