//! Sections gathered from the packets of one PID (§2.4.4).

/// The longest section there is: 12 bits of length behind three bytes.
pub const MAX_SECTION_LEN: usize = 3 + 4095;

/// What gathering came upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gathered {
    /// A whole section, CRC checked where it has one.
    Section(Vec<u8>),
    /// A section whose CRC does not hold.
    BadCrc(Vec<u8>),
    /// A pointer or a length that cannot be.
    Malformed,
}

/// Gathers sections; holds at most [`MAX_SECTION_LEN`] bytes and one packet.
#[derive(Clone, Debug, Default)]
pub struct Gatherer {
    partial: Vec<u8>,
    is_gathering: bool,
}

impl Gatherer {
    /// Forgets a section begun, after packets were lost.
    pub fn reset(&mut self) {
        self.partial.clear();
        self.is_gathering = false;
    }

    /// Whether a section has begun that is not whole.
    pub const fn is_gathering(&self) -> bool {
        self.is_gathering
    }

    /// Takes one packet's payload and hands every section that it completes to `found`.
    pub fn push(&mut self, payload: &[u8], is_unit_start: bool, mut found: impl FnMut(Gathered)) {
        if !is_unit_start {
            self.extend(payload, &mut found);
            return;
        }
        let Some((&pointer, rest)) = payload.split_first() else {
            return found(Gathered::Malformed);
        };
        let Some((tail, head)) = rest.split_at_checked(usize::from(pointer)) else {
            self.reset();
            return found(Gathered::Malformed);
        };
        self.extend(tail, &mut found);
        self.partial.clear();
        self.is_gathering = true;
        self.extend(head, &mut found);
    }

    fn extend(&mut self, bytes: &[u8], found: &mut impl FnMut(Gathered)) {
        if !self.is_gathering {
            return;
        }
        self.partial.extend_from_slice(bytes);
        let mut start = 0;
        while let Some(len) = section_len(&self.partial[start..]) {
            let Some(section) = self.partial.get(start..start + len) else { break };
            found(check(section));
            start += len;
        }
        // table_id 0xff is stuffing up to the end of the packet.
        if self.partial.get(start) == Some(&0xff) {
            self.reset();
        } else {
            self.partial.drain(..start);
            self.is_gathering = !self.partial.is_empty() || start == 0;
        }
    }
}

/// The length of the section that `bytes` begin with, if enough of it is there to tell.
fn section_len(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [0xff, ..] => None,
        [_, high, low, ..] => Some(3 + usize::from(u16::from_be_bytes([high & 0x0f, *low]))),
        _ => None,
    }
}

fn check(section: &[u8]) -> Gathered {
    let has_crc = section[1] & 0x80 != 0;
    if has_crc && section.len() < 12 {
        Gathered::Malformed
    } else if has_crc && crc32(section) != 0 {
        Gathered::BadCrc(section.to_vec())
    } else {
        Gathered::Section(section.to_vec())
    }
}

/// Gives a section the CRC that its bytes have.
pub fn repair_crc(section: &mut [u8]) {
    if let Some((body, crc)) = section.split_last_chunk_mut::<4>() {
        *crc = crc32(body).to_be_bytes();
    }
}

/// The CRC of annex A: over a section with its own CRC at the end it is zero.
pub fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = crc_table();
    bytes.iter().fold(0xffff_ffff, |crc, byte| (crc << 8) ^ TABLE[((crc >> 24) as u8 ^ byte) as usize])
}

const fn crc_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut n = 0;
    while n < 256 {
        let mut crc = (n as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000_0000 != 0 { (crc << 1) ^ 0x04c1_1db7 } else { crc << 1 };
            bit += 1;
        }
        table[n] = crc;
        n += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(table_id: u8, body: &[u8]) -> Vec<u8> {
        let len = body.len() + 4;
        let mut section = vec![table_id, 0xb0 | (len >> 8) as u8, len as u8];
        section.extend_from_slice(body);
        let crc = crc32(&section);
        section.extend_from_slice(&crc.to_be_bytes());
        section
    }

    fn gather(packets: &[(&[u8], bool)]) -> Vec<Gathered> {
        let mut gatherer = Gatherer::default();
        let mut out = Vec::new();
        for (payload, start) in packets {
            gatherer.push(payload, *start, |found| out.push(found));
        }
        out
    }

    #[test]
    fn the_crc_of_a_section_with_its_crc_is_zero() {
        assert_eq!(crc32(&section(0, &[1, 2, 3, 4, 5])), 0);
        assert_eq!(crc32(b"123456789"), 0x0376_e6e7);
    }

    #[test]
    fn a_section_over_three_packets_comes_out_whole() {
        let long = section(2, &[7; 400]);
        let mut first = vec![0];
        first.extend_from_slice(&long[..183]);
        let found = gather(&[(&first, true), (&long[183..367], false), (&long[367..], false)]);
        assert_eq!(found, [Gathered::Section(long)]);
    }

    #[test]
    fn two_sections_in_a_packet_and_the_tail_of_a_third_come_out() {
        let (a, b) = (section(2, &[1; 20]), section(2, &[2; 20]));
        let mut last = vec![(b.len() - 5) as u8];
        last.extend_from_slice(&b[5..]);
        last.extend_from_slice(&a);
        last.extend_from_slice(&[0xff; 30]);
        let mut first = vec![0];
        first.extend_from_slice(&a);
        first.extend_from_slice(&b[..5]);
        let found = gather(&[(&first, true), (&last, true)]);
        assert_eq!(found, [Gathered::Section(a.clone()), Gathered::Section(b), Gathered::Section(a)]);
    }

    #[test]
    fn damage_is_said_and_forgotten() {
        let mut bad = vec![0];
        bad.extend_from_slice(&section(2, &[1; 20]));
        bad[10] ^= 1;
        let mut mended = bad[1..].to_vec();
        assert_eq!(gather(&[(&bad, true)]), [Gathered::BadCrc(mended.clone())]);
        repair_crc(&mut mended);
        assert_eq!(crc32(&mended), 0);
        assert_eq!(gather(&[(&[200, 1, 2], true)]), [Gathered::Malformed]);
        assert_eq!(gather(&[(&[], true), (&[1; 184], false)]), [Gathered::Malformed]);
        assert_eq!(gather(&[(&[0, 2, 0x80, 1, 9], true)]), [Gathered::Malformed]);
    }
}
