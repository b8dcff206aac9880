//! Transport packets, seen in place.

use std::fmt;

use super::Error;

/// A packet's first byte.
pub const SYNC_BYTE: u8 = 0x47;
/// A transport packet's length in bytes.
pub const PACKET_LEN: usize = 188;

/// A packet identifier: 13 bits (§2.4.3.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(u16);

impl Pid {
    /// Where the program association table stands.
    pub const PAT: Self = Self(0);
    /// Stuffing.
    pub const NULL: Self = Self(0x1fff);
    /// How many there are.
    pub const COUNT: usize = 0x2000;

    /// The PID in the low 13 bits of `bits`.
    pub const fn new(bits: u16) -> Self {
        Self(bits & 0x1fff)
    }

    /// Its 13 bits.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// As an index into a table of [`Pid::COUNT`] entries.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

impl fmt::Debug for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One transport packet: 188 bytes beginning with the sync byte (§2.4.3.2).
#[derive(Clone, Copy)]
pub struct Packet<'a>(&'a [u8; PACKET_LEN]);

impl<'a> Packet<'a> {
    /// Looks at the first 188 of `bytes` as a packet.
    ///
    /// # Errors
    /// [`Error::Short`] if there are fewer, [`Error::Sync`] if the first is not the sync byte.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let packet: &[u8; PACKET_LEN] =
            bytes.first_chunk().ok_or(Error::Short { needed: PACKET_LEN, found: bytes.len() })?;
        if packet[0] != SYNC_BYTE {
            return Err(Error::Sync { found: packet[0] });
        }
        Ok(Self(packet))
    }

    /// All 188 bytes.
    pub const fn bytes(self) -> &'a [u8; PACKET_LEN] {
        self.0
    }

    /// The packet identifier.
    pub const fn pid(self) -> Pid {
        Pid::new(u16::from_be_bytes([self.0[1], self.0[2]]))
    }

    /// transport_error_indicator.
    pub const fn is_in_error(self) -> bool {
        self.0[1] & 0x80 != 0
    }

    /// payload_unit_start_indicator: a PES packet or a section begins in the payload.
    pub const fn is_unit_start(self) -> bool {
        self.0[1] & 0x40 != 0
    }

    /// Whether transport_scrambling_control says that the payload is scrambled.
    pub const fn is_scrambled(self) -> bool {
        self.0[3] & 0xc0 != 0
    }

    /// Whether there is an adaptation field.
    pub const fn has_adaptation_field(self) -> bool {
        self.0[3] & 0x20 != 0
    }

    /// Whether there is a payload.
    pub const fn has_payload(self) -> bool {
        self.0[3] & 0x10 != 0
    }

    /// continuity_counter, 0 to 15.
    pub const fn continuity_counter(self) -> u8 {
        self.0[3] & 0x0f
    }

    /// The adaptation field after its length byte, empty if there is none.
    ///
    /// # Errors
    /// [`Error::AdaptationField`] if its length runs over the packet.
    pub fn adaptation_field(self) -> Result<AdaptationField<'a>, Error> {
        if !self.has_adaptation_field() {
            return Ok(AdaptationField(&[]));
        }
        let len = usize::from(self.0[4]);
        self.0.get(5..5 + len).map(AdaptationField).ok_or(Error::AdaptationField { len: self.0[4] })
    }

    /// The payload, empty if there is none.
    ///
    /// # Errors
    /// [`Error::AdaptationField`] if the adaptation field runs over the packet.
    pub fn payload(self) -> Result<&'a [u8], Error> {
        if !self.has_payload() {
            return Ok(&[]);
        }
        if !self.has_adaptation_field() {
            return Ok(&self.0[4..]);
        }
        let len = usize::from(self.0[4]);
        self.0.get(5 + len..).ok_or(Error::AdaptationField { len: self.0[4] })
    }
}

/// An adaptation field (§2.4.3.4), without its length byte.
#[derive(Clone, Copy, Debug)]
pub struct AdaptationField<'a>(&'a [u8]);

impl AdaptationField<'_> {
    const fn flags(self) -> u8 {
        if self.0.is_empty() { 0 } else { self.0[0] }
    }

    /// discontinuity_indicator.
    pub const fn is_discontinuity(self) -> bool {
        self.flags() & 0x80 != 0
    }

    /// random_access_indicator.
    pub const fn is_random_access(self) -> bool {
        self.flags() & 0x40 != 0
    }

    /// The program clock reference.
    pub fn pcr(self) -> Option<Pcr> {
        if self.flags() & 0x10 == 0 {
            return None;
        }
        let field: &[u8; 6] = self.0.get(1..)?.first_chunk()?;
        let base = u64::from(u32::from_be_bytes([field[0], field[1], field[2], field[3]])) << 1
            | u64::from(field[4] >> 7);
        let extension = u64::from(field[4] & 1) << 8 | u64::from(field[5]);
        Some(Pcr(base * 300 + extension))
    }
}

/// A program clock reference: a count of the 27 MHz clock that wraps with the 33 bits of its base (§2.4.3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pcr(u64);

impl Pcr {
    /// Ticks of the 27 MHz clock.
    pub const fn count(self) -> u64 {
        self.0
    }
}

/// The packets in `bytes`, which must begin with one; it ends before the first that is not one.
pub fn packets(bytes: &[u8]) -> impl Iterator<Item = Packet<'_>> {
    bytes.chunks_exact(PACKET_LEN).map_while(|packet| Packet::parse(packet).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(head: &[u8]) -> [u8; PACKET_LEN] {
        let mut bytes = [0xff; PACKET_LEN];
        bytes[..head.len()].copy_from_slice(head);
        bytes
    }

    #[test]
    fn a_header_reads_as_it_stands() {
        let bytes = packet(&[0x47, 0x41, 0x00, 0x37, 7, 0x50, 0x00, 0x00, 0x00, 0x01, 0x80, 0x05, 0xaa]);
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.pid(), Pid::new(0x100));
        assert!(packet.is_unit_start() && !packet.is_in_error() && !packet.is_scrambled());
        assert_eq!(packet.continuity_counter(), 7);
        let field = packet.adaptation_field().unwrap();
        assert!(field.is_random_access() && !field.is_discontinuity());
        assert_eq!(field.pcr().map(Pcr::count), Some(3 * 300 + 5));
        assert_eq!(packet.payload().unwrap()[0], 0xaa);
        assert_eq!(packet.payload().unwrap().len(), 176);
    }

    #[test]
    fn an_adaptation_field_longer_than_the_packet_is_an_error() {
        let bytes = packet(&[0x47, 0x01, 0x00, 0x30, 184]);
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.payload(), Err(Error::AdaptationField { len: 184 }));
        assert!(packet.adaptation_field().is_err());
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        assert_eq!(Packet::parse(&[0x47; 10]).err(), Some(Error::Short { needed: 188, found: 10 }));
        assert_eq!(Packet::parse(&[0; 188]).err(), Some(Error::Sync { found: 0 }));
    }

    #[test]
    fn headers_agree_with_another_reader() {
        let mut seed = 1_u32;
        for _ in 0..2000 {
            let mut bytes = packet(&[0x47]);
            for byte in &mut bytes[1..24] {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = (seed >> 24) as u8;
            }
            bytes[4] %= 183;
            let ours = Packet::parse(&bytes).unwrap();
            let theirs = mpeg2ts_reader::packet::Packet::new(&bytes);
            assert_eq!(ours.pid().bits(), u16::from(theirs.pid()));
            assert_eq!(ours.is_unit_start(), theirs.payload_unit_start_indicator());
            assert_eq!(ours.continuity_counter(), theirs.continuity_counter().count());
            assert_eq!(ours.is_in_error(), theirs.transport_error_indicator());
        }
    }
}
