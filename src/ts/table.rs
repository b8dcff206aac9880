//! One PID that carries a PAT or PMT.

use super::anomaly::AnomalyKind;
use super::packet::{Packet, Pid};
use super::section::{Gathered, Gatherer, repair_crc};

/// Sections with a wrong CRC after which one is believed all the same, if none had a right one.
const MAX_WRONG_CRCS: u8 = 10;

/// The sections of one PID.
#[derive(Debug)]
pub(super) struct Table {
    pid: Pid,
    gatherer: Gatherer,
    counter: Option<u8>,
    has_right_crc: bool,
    wrong_crcs: u8,
    /// The last section with a wrong CRC, while none had a right one.
    doubtful: Option<Vec<u8>>,
    /// The payload of the last packet, if it was one whole section whose CRC was right: tables come again and again.
    last: Vec<u8>,
}

/// What a packet of a table brings.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The same section as the packet before.
    Again,
    /// A section to be taken.
    Section(Vec<u8>),
    /// Something is wrong.
    Wrong(AnomalyKind),
}

impl Table {
    pub(super) fn new(pid: Pid) -> Self {
        Self {
            pid,
            gatherer: Gatherer::default(),
            counter: None,
            has_right_crc: false,
            wrong_crcs: 0,
            doubtful: None,
            last: Vec::new(),
        }
    }

    pub(super) const fn pid(&self) -> Pid {
        self.pid
    }

    /// Takes the next packet and hands on what it brings.
    pub(super) fn take(&mut self, packet: Packet<'_>, mut found: impl FnMut(Found)) {
        if packet.is_in_error() || packet.is_scrambled() || !packet.has_payload() {
            return;
        }
        let counter = packet.continuity_counter();
        let expected = self.counter.map_or(counter, |last| (last + 1) & 0x0f);
        // Some multiplexers never count: a section that begins anew is read, sent twice or not.
        if self.counter == Some(counter) && !packet.is_unit_start() {
            return;
        }
        if counter != expected {
            self.gatherer.reset();
            if self.counter != Some(counter) {
                found(Found::Wrong(AnomalyKind::ContinuityGap { expected, found: counter }));
            }
        }
        self.counter = Some(counter);
        let payload = packet.payload().unwrap_or_default();
        if packet.is_unit_start() && payload == self.last && !payload.is_empty() {
            self.gatherer.reset();
            return found(Found::Again);
        }
        self.last.clear();
        let mut gathered = Vec::new();
        self.gatherer.push(payload, packet.is_unit_start(), |one| gathered.push(one));
        if let ([Gathered::Section(_)], Some(0)) = (gathered.as_slice(), payload.first())
            && packet.is_unit_start()
            && !self.gatherer.is_gathering()
        {
            self.last.extend_from_slice(payload);
        }
        gathered.into_iter().for_each(|one| self.judge(one, &mut found));
    }

    /// The same section may say something else now.
    pub(super) fn forget(&mut self) {
        self.last.clear();
    }

    /// Hands on a section. One with a wrong CRC is taken only if there has been no other for long.
    fn judge(&mut self, gathered: Gathered, found: &mut impl FnMut(Found)) {
        let kind = match gathered {
            Gathered::Section(section) => {
                self.has_right_crc = true;
                self.doubtful = None;
                return found(Found::Section(section));
            }
            Gathered::BadCrc(section) => {
                if !self.has_right_crc {
                    self.wrong_crcs = self.wrong_crcs.saturating_add(1);
                    self.doubtful = Some(section);
                }
                if self.wrong_crcs > MAX_WRONG_CRCS
                    && let Some(section) = self.take_doubtful()
                {
                    found(Found::Section(section));
                }
                AnomalyKind::SectionCrc
            }
            Gathered::Malformed => AnomalyKind::Section,
        };
        found(Found::Wrong(kind));
    }

    /// Returns the last section whose CRC is wrong, with the right one, if no section had that.
    pub(super) fn take_doubtful(&mut self) -> Option<Vec<u8>> {
        let mut section = self.doubtful.take()?;
        repair_crc(&mut section);
        Some(section)
    }
}

#[cfg(test)]
mod tests {
    use super::super::packet::PACKET_LEN;
    use super::super::section::crc32;
    use super::*;

    fn section(body: &[u8]) -> Vec<u8> {
        let mut section = vec![2, 0xb0, body.len() as u8 + 4];
        section.extend_from_slice(body);
        let crc = crc32(&section);
        section.extend_from_slice(&crc.to_be_bytes());
        section
    }

    fn packet(counter: u8, payload: &[u8]) -> [u8; PACKET_LEN] {
        let mut packet = [0xff; PACKET_LEN];
        packet[..4].copy_from_slice(&[0x47, 0x41, 0, 0x10 | counter]);
        packet[4..4 + payload.len()].copy_from_slice(payload);
        packet
    }

    fn take(table: &mut Table, counter: u8, section: &[u8]) -> Vec<Found> {
        let mut found = Vec::new();
        let bytes = packet(counter, &[&[0], section].concat());
        table.take(Packet::parse(&bytes).unwrap(), |one| found.push(one));
        found
    }

    #[test]
    fn a_section_that_comes_again_is_not_read_again() {
        let mut table = Table::new(Pid::new(0x100));
        let (one, other) = (section(&[1; 9]), section(&[2; 9]));
        assert_eq!(take(&mut table, 0, &one), [Found::Section(one.clone())]);
        assert_eq!(take(&mut table, 1, &one), [Found::Again]);
        assert_eq!(take(&mut table, 2, &other), [Found::Section(other.clone())]);
        assert_eq!(take(&mut table, 3, &one), [Found::Section(one.clone())]);
        table.forget();
        assert_eq!(take(&mut table, 4, &one), [Found::Section(one.clone())]);
        let gap = Found::Wrong(AnomalyKind::ContinuityGap { expected: 5, found: 9 });
        assert_eq!(take(&mut table, 9, &one), [gap, Found::Again]);
    }

    #[test]
    fn a_wrong_crc_is_believed_where_no_section_has_a_right_one() {
        let mut table = Table::new(Pid::new(0x100));
        let right = section(&[1; 9]);
        let mut wrong = right.clone();
        *wrong.last_mut().unwrap() ^= 1;
        for n in 0..MAX_WRONG_CRCS {
            assert_eq!(take(&mut table, n, &wrong), [Found::Wrong(AnomalyKind::SectionCrc)]);
        }
        let believed = [Found::Section(right.clone()), Found::Wrong(AnomalyKind::SectionCrc)];
        assert_eq!(take(&mut table, MAX_WRONG_CRCS, &wrong), believed);
        assert_eq!(table.take_doubtful(), None);
        take(&mut table, 11, &right);
        assert_eq!(take(&mut table, 12, &wrong), [Found::Wrong(AnomalyKind::SectionCrc)]);
        assert_eq!(table.take_doubtful(), None);
    }
}
