//! Parameter sets: those that the sample entry describes, and those that came too late for it.

/// Which parameter set: nal_unit_type and its own number. One with the same key takes the place of another.
pub type Key = (u8, u32);

/// NAL units of parameter sets at most, and the size of each, that fit into a decoder configuration record.
const MAX_COUNT: usize = 64;
const MAX_SIZE: usize = 0xffff;

/// The parameter sets of one stream.
#[derive(Debug, Default)]
pub struct Sets {
    known: Vec<(Key, Vec<u8>)>,
    /// Those that came in mid-segment; they are described from the next on.
    late: Vec<(Key, Vec<u8>)>,
    has_changed: bool,
}

impl Sets {
    /// Takes a set. Whether it has to stay among the samples: it comes in mid-segment, and is another one than before.
    pub fn take(&mut self, key: Key, unit: &[u8], is_beginning: bool) -> bool {
        if self.known.iter().any(|(known, set)| *known == key && set == unit) {
            self.late.retain(|(late, _)| *late != key);
            return false;
        }
        if unit.len() > MAX_SIZE || self.known.len().max(self.late.len()) >= MAX_COUNT {
            return true;
        }
        if is_beginning {
            self.has_changed = true;
            put(&mut self.known, key, unit.to_vec());
        } else {
            put(&mut self.late, key, unit.to_vec());
        }
        !is_beginning
    }

    /// A segment begins: what came too late for the one before is described now.
    pub fn begin_segment(&mut self) {
        for (key, unit) in self.late.drain(..) {
            self.has_changed = true;
            put(&mut self.known, key, unit);
        }
    }

    /// Whether there are others than at the last call.
    pub fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.has_changed)
    }

    /// Those of one nal_unit_type.
    pub fn of(&self, kind: u8) -> Vec<Vec<u8>> {
        self.known.iter().filter(|((of, _), _)| *of == kind).map(|(_, unit)| unit.clone()).collect()
    }
}

fn put(sets: &mut Vec<(Key, Vec<u8>)>, key: Key, unit: Vec<u8>) {
    match sets.iter_mut().find(|(known, _)| *known == key) {
        Some((_, set)) => *set = unit,
        None => sets.push((key, unit)),
    }
    sets.sort_by_key(|(key, _)| *key);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_that_is_described_need_not_stay() {
        let mut sets = Sets::default();
        assert!(!sets.take((7, 0), &[1], true) && sets.take_change());
        assert!(!sets.take((7, 0), &[1], false) && !sets.take_change());
    }

    #[test]
    fn a_set_that_changes_in_mid_segment_stays_and_is_described_from_the_next_on() {
        let mut sets = Sets::default();
        sets.take((8, 0), &[1], true);
        assert!(sets.take((8, 0), &[2], false) && sets.take((8, 0), &[2], false));
        assert_eq!(sets.of(8), [[1]]);
        sets.begin_segment();
        assert_eq!(sets.of(8), [[2]]);
    }

    #[test]
    fn sets_with_other_numbers_stand_side_by_side() {
        let mut sets = Sets::default();
        for (key, byte) in [((8, 1), 1), ((8, 0), 2), ((7, 0), 3), ((8, 1), 4)] {
            sets.take(key, &[byte], true);
        }
        assert_eq!(sets.of(8), [[2], [4]]);
    }
}
