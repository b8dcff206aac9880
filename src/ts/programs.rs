//! Which programs a stream has, and which of them are followed.

use std::sync::Arc;

use super::Pid;
use super::psi::{Pat, Program};

/// Which programs are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// One: the first in the PAT with video; if none has, the first with any stream.
    #[default]
    First,
    /// The one with this program_number.
    Number(u16),
    /// Every one.
    All,
}

/// How often the PAT comes round before programs whose PMT is missing are given up.
const PATIENCE: u32 = 8;
/// Programs followed at most: a PAT may list over a thousand, a table of hostile bytes too.
const MAX_PROGRAMS: usize = 64;

#[derive(Debug)]
struct Listed {
    number: u16,
    pmt_pid: Pid,
    program: Option<Arc<Program>>,
}

/// The tables' state.
#[derive(Debug)]
pub struct Programs {
    selection: Selection,
    transport_stream_id: u16,
    sections: Vec<Pat>,
    listed: Vec<Listed>,
    chosen: Option<u16>,
    rounds: u32,
}

impl Programs {
    /// Nothing known yet.
    pub const fn new(selection: Selection) -> Self {
        Self {
            selection,
            transport_stream_id: 0,
            sections: Vec::new(),
            listed: Vec::new(),
            chosen: None,
            rounds: 0,
        }
    }

    /// Takes a PAT section. True if the list of programs or the choice changed.
    pub fn take_pat(&mut self, pat: Pat) -> bool {
        if self.sections.contains(&pat) {
            self.rounds = self.rounds.saturating_add(1);
            return self.choose();
        }
        self.rounds = 0;
        self.transport_stream_id = pat.transport_stream_id;
        self.sections.retain(|old| {
            old.version == pat.version
                && old.transport_stream_id == pat.transport_stream_id
                && old.section.1 == pat.section.1
                && old.section.0 != pat.section.0
        });
        self.sections.push(pat);
        self.sections.sort_by_key(|pat| pat.section.0);
        self.list();
        self.choose();
        true
    }

    fn list(&mut self) {
        let mut known = std::mem::take(&mut self.listed);
        let selection = self.selection;
        let is_wanted =
            |(number, _): &&(u16, Pid)| !matches!(selection, Selection::Number(one) if one != *number);
        let all = self.sections.iter().flat_map(|pat| &pat.programs);
        for &(number, pmt_pid) in all.filter(is_wanted).take(MAX_PROGRAMS) {
            let is_it = |listed: &Listed| listed.number == number && listed.pmt_pid == pmt_pid;
            let program = known.iter().position(is_it).and_then(|index| known.swap_remove(index).program);
            self.listed.push(Listed { number, pmt_pid, program });
        }
        if self.chosen.is_some_and(|number| self.listed.iter().all(|listed| listed.number != number)) {
            self.chosen = None;
        }
    }

    /// Takes a PMT section of `pid`. The program, if it is followed and new or changed. None also for a section
    /// that is no PMT of a listed program.
    pub fn take_pmt(&mut self, section: &[u8], pid: Pid) -> bool {
        let Some(program) = Program::parse(section, self.transport_stream_id, pid) else { return false };
        let is_it = |listed: &&mut Listed| listed.number == program.number && listed.pmt_pid == pid;
        let Some(listed) = self.listed.iter_mut().find(is_it) else { return false };
        if listed.program.as_ref().is_some_and(|known| known.section == program.section) {
            return false;
        }
        let number = program.number;
        listed.program = Some(Arc::new(program));
        self.choose() || self.is_followed(number)
    }

    /// The PIDs whose sections are wanted.
    pub fn pmt_pids(&self) -> impl Iterator<Item = Pid> + '_ {
        self.listed.iter().map(|listed| listed.pmt_pid)
    }

    /// The programs followed, as far as their tables are known.
    pub fn followed(&self) -> impl Iterator<Item = &Arc<Program>> {
        self.listed
            .iter()
            .filter(|listed| self.is_followed(listed.number))
            .filter_map(|listed| listed.program.as_ref())
    }

    fn is_followed(&self, number: u16) -> bool {
        self.selection == Selection::All || self.chosen == Some(number)
    }

    /// Chooses once enough is known. True if the choice changed.
    fn choose(&mut self) -> bool {
        if self.chosen.is_some() {
            return false;
        }
        self.chosen = match self.selection {
            Selection::All => None,
            Selection::Number(number) => {
                self.listed.iter().any(|listed| listed.number == number).then_some(number)
            }
            Selection::First => self.first(),
        };
        self.chosen.is_some()
    }

    fn first(&self) -> Option<u16> {
        for listed in &self.listed {
            match &listed.program {
                Some(program) if program.has_video() => return Some(listed.number),
                None if self.rounds < PATIENCE => return None,
                _ => {}
            }
        }
        let known = || self.listed.iter().filter_map(|listed| listed.program.as_ref());
        let has_sound = |program: &&Arc<Program>| program.streams.iter().any(|s| s.codec.is_audio());
        let some = known().find(has_sound).or_else(|| known().find(|program| !program.streams.is_empty()));
        some.map(|program| program.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ts::psi::tests::pmt_of;

    fn pat(programs: &[(u16, u16)]) -> Pat {
        let programs = programs.iter().map(|(number, pid)| (*number, Pid::new(*pid))).collect();
        Pat { transport_stream_id: 1, version: 0, section: (0, 0), programs }
    }

    const VIDEO: (u8, u16, &[u8]) = (0x1b, 0x100, &[]);
    const AUDIO: (u8, u16, &[u8]) = (0x0f, 0x101, &[]);

    fn chosen(programs: &Programs) -> Vec<u16> {
        programs.followed().map(|program| program.number).collect()
    }

    #[test]
    fn the_first_with_video_is_chosen_whatever_comes_first() {
        let mut programs = Programs::new(Selection::First);
        programs.take_pat(pat(&[(1, 0x1000), (2, 0x1001)]));
        assert!(!programs.take_pmt(&pmt_of(2, 0, &[VIDEO]), Pid::new(0x1001)));
        assert!(chosen(&programs).is_empty());
        assert!(programs.take_pmt(&pmt_of(1, 0, &[AUDIO]), Pid::new(0x1000)));
        assert_eq!(chosen(&programs), [2]);
    }

    #[test]
    fn a_missing_table_is_given_up_in_the_end() {
        let mut programs = Programs::new(Selection::First);
        programs.take_pat(pat(&[(1, 0x1000), (2, 0x1001)]));
        programs.take_pmt(&pmt_of(2, 0, &[AUDIO]), Pid::new(0x1001));
        let rounds = (0..20).take_while(|_| !programs.take_pat(pat(&[(1, 0x1000), (2, 0x1001)]))).count();
        assert_eq!(rounds as u32, PATIENCE - 1);
        assert_eq!(chosen(&programs), [2]);
    }

    #[test]
    fn a_new_version_of_a_followed_table_is_told_and_a_repeated_one_is_not() {
        let mut programs = Programs::new(Selection::Number(1));
        programs.take_pat(pat(&[(1, 0x1000)]));
        assert!(programs.take_pmt(&pmt_of(1, 0, &[AUDIO]), Pid::new(0x1000)));
        assert!(!programs.take_pmt(&pmt_of(1, 0, &[AUDIO]), Pid::new(0x1000)));
        assert!(programs.take_pmt(&pmt_of(1, 1, &[AUDIO, VIDEO]), Pid::new(0x1000)));
    }

    #[test]
    fn the_one_asked_for_is_found_however_many_there_are() {
        let many: Vec<_> = (1..=200).map(|number| (number, 0x1000 + number)).collect();
        let mut programs = Programs::new(Selection::Number(150));
        programs.take_pat(pat(&many));
        assert!(programs.take_pmt(&pmt_of(150, 0, &[VIDEO]), Pid::new(0x1000 + 150)));
        assert_eq!(chosen(&programs), [150]);
    }

    #[test]
    fn a_program_that_leaves_the_table_is_let_go() {
        let mut programs = Programs::new(Selection::First);
        programs.take_pat(pat(&[(1, 0x1000)]));
        programs.take_pmt(&pmt_of(1, 0, &[VIDEO]), Pid::new(0x1000));
        programs.take_pat(Pat { version: 1, ..pat(&[(2, 0x1001)]) });
        assert!(chosen(&programs).is_empty());
        programs.take_pmt(&pmt_of(2, 0, &[VIDEO]), Pid::new(0x1001));
        assert_eq!(chosen(&programs), [2]);
    }
}
