//! Which programs a stream has, and which of them are followed.

use std::sync::Arc;

use super::Pid;
use super::packet::{Packet, Pcr};
use super::psi::{Pat, Program};
use crate::codec::Codec;

/// Which programs are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// One: the first in the PAT with video; if none has, the first with any stream. A program whose PMT or media do
    /// not arrive is passed over.
    #[default]
    First,
    /// The one with this program_number.
    Number(u16),
    /// Every one.
    All,
}

/// How often the PAT is repeated before programs whose PMT is missing are given up.
const PATIENCE_ROUNDS: u32 = 8;
/// How long, by a program's own PCR, programs that the PAT lists before it are waited for: a PMT is repeated at least
/// twice a second.
const SHORT_WAIT: u64 = PCR_HZ / 2;
/// How long a program without video waits for one with video.
const LONG_WAIT: u64 = 2 * PCR_HZ;
/// How long a program that no PAT lists waits for a PAT.
const UNLISTED_WAIT: u64 = 5 * PCR_HZ;
const PCR_HZ: u64 = 27_000_000;
/// Programs followed at most: a PAT may list over a thousand, a table of hostile bytes too.
const MAX_PROGRAMS: usize = 64;

#[derive(Debug)]
struct Listed {
    number: u16,
    pmt_pid: Pid,
    program: Option<Arc<Program>>,
    /// False for a PMT that no PAT lists, and for the chosen program after the PAT no longer lists it.
    is_in_pat: bool,
    clock: Clock,
}

/// Time since a program's PMT arrived, by its own PCR.
#[derive(Clone, Copy, Debug, Default)]
struct Clock {
    last: Option<u64>,
    elapsed: u64,
}

impl Clock {
    /// A step further than this is a jump and does not count.
    const MAX_STEP: u64 = 10 * PCR_HZ;

    fn take(&mut self, pcr: Pcr) {
        let step = self.last.map_or(0, |last| pcr.count().saturating_sub(last));
        if step <= Self::MAX_STEP {
            self.elapsed += step;
        }
        self.last = Some(pcr.count());
    }
}

impl Listed {
    const fn new(number: u16, pmt_pid: Pid, is_in_pat: bool) -> Self {
        Self { number, pmt_pid, program: None, is_in_pat, clock: Clock { last: None, elapsed: 0 } }
    }

    const fn key(&self) -> (u16, Pid) {
        (self.number, self.pmt_pid)
    }
}

/// The tables' state.
#[derive(Debug)]
pub struct Programs {
    selection: Selection,
    transport_stream_id: u16,
    sections: Vec<Pat>,
    listed: Vec<Listed>,
    /// Programs whose PMT arrived on a PID that no PAT lists for them.
    unlisted: Vec<Listed>,
    /// program_number and PMT PID.
    chosen: Option<(u16, Pid)>,
    /// With [`Selection::All`]: whether the wait for the listed programs is over.
    is_open: bool,
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
            unlisted: Vec::new(),
            chosen: None,
            is_open: false,
            rounds: 0,
        }
    }

    /// Follows these programs, which are known from elsewhere. The first alone unless all are selected.
    pub fn with_known(selection: Selection, known: impl IntoIterator<Item = Arc<Program>>) -> Self {
        let mut programs = Self::new(selection);
        for program in known.into_iter().take(MAX_PROGRAMS) {
            let listed = Listed::new(program.number, program.pmt_pid, true);
            programs.listed.push(Listed { program: Some(program), ..listed });
        }
        if selection == Selection::All {
            programs.is_open = !programs.listed.is_empty();
        } else {
            programs.chosen = programs.listed.first().map(Listed::key);
        }
        programs
    }

    /// Takes a PAT section. Returns whether the list of programs changed.
    pub fn take_pat(&mut self, pat: Pat) -> bool {
        if self.sections.contains(&pat) {
            self.take_pat_again();
            return false;
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
        true
    }

    /// A PAT section that is known came again.
    pub fn take_pat_again(&mut self) {
        self.rounds = self.rounds.saturating_add(1);
    }

    fn list(&mut self) {
        let mut known = std::mem::take(&mut self.listed);
        known.append(&mut self.unlisted);
        let selection = self.selection;
        let is_wanted =
            |(number, _): &&(u16, Pid)| !matches!(selection, Selection::Number(one) if one != *number);
        let all = self.sections.iter().flat_map(|pat| &pat.programs);
        for &(number, pmt_pid) in all.filter(is_wanted).take(MAX_PROGRAMS) {
            let kept = known.iter().position(|listed| listed.key() == (number, pmt_pid));
            let kept = kept.map(|index| known.swap_remove(index));
            let listed = kept.unwrap_or_else(|| Listed::new(number, pmt_pid, true));
            self.listed.push(Listed { is_in_pat: true, ..listed });
        }
        // A program that is followed goes on until another one can be, whatever the PAT lists.
        let room = MAX_PROGRAMS.saturating_sub(self.listed.len());
        let followed = known.iter_mut().filter(|listed| listed.program.is_some());
        let followed = followed.filter(|listed| self.is_open || Some(listed.key()) == self.chosen).take(room);
        let orphans: Vec<_> = followed
            .map(|listed| {
                let orphan = Listed::new(listed.number, listed.pmt_pid, false);
                Listed { program: listed.program.take(), ..orphan }
            })
            .collect();
        self.listed.extend(orphans);
        if self.chosen.is_some_and(|key| self.listed.iter().all(|listed| listed.key() != key)) {
            self.chosen = None;
        }
        known.retain(|listed| !listed.is_in_pat && listed.program.is_some());
        self.unlisted = known;
    }

    /// Takes a PMT section of `pid`. Returns whether it is new or changed. One that no PAT lists is only remembered.
    pub fn take_pmt(&mut self, section: &[u8], pid: Pid) -> bool {
        let Some(program) = Program::parse(section, self.transport_stream_id, pid) else { return false };
        let key = (program.number, pid);
        let Some(listed) = self.listed.iter_mut().find(|listed| listed.key() == key) else {
            return self.take_unlisted(program);
        };
        if listed.program.as_ref().is_some_and(|known| known.section == program.section) {
            return false;
        }
        listed.program = Some(Arc::new(program));
        true
    }

    /// Keeps a program that no PAT lists, in case that none ever does.
    fn take_unlisted(&mut self, program: Program) -> bool {
        let is_wanted = match self.selection {
            Selection::Number(number) => number == program.number,
            Selection::First | Selection::All => true,
        };
        let is_real = program.streams.iter().all(|stream| (0x10..0x1fff).contains(&stream.pid.bits()));
        if !is_wanted || !is_real || program.streams.is_empty() {
            return false;
        }
        let key = (program.number, program.pmt_pid);
        if let Some(listed) = self.unlisted.iter_mut().find(|listed| listed.key() == key) {
            let is_known = listed.program.as_ref().is_some_and(|known| known.section == program.section);
            listed.program = Some(Arc::new(program));
            return !is_known;
        }
        let has_room = self.unlisted.len() < MAX_PROGRAMS;
        if has_room {
            let listed = Listed::new(key.0, key.1, false);
            self.unlisted.push(Listed { program: Some(Arc::new(program)), ..listed });
        }
        has_room
    }

    /// Takes a PCR. Returns whether it belongs to a program that may still have to wait.
    pub fn take_pcr(&mut self, pid: Pid, pcr: Pcr) -> bool {
        let mut is_known = false;
        for listed in self.listed.iter_mut().chain(&mut self.unlisted) {
            if listed.program.as_ref().is_some_and(|program| program.pcr_pid == pid) {
                listed.clock.take(pcr);
                is_known = true;
            }
        }
        is_known
    }

    /// The PIDs whose sections are wanted.
    pub fn pmt_pids(&self) -> impl Iterator<Item = Pid> + '_ {
        self.listed.iter().map(|listed| listed.pmt_pid)
    }

    /// The programs followed, as far as their tables are known.
    pub fn followed(&self) -> impl Iterator<Item = &Arc<Program>> {
        self.listed
            .iter()
            .filter(|listed| match self.selection {
                Selection::All => self.is_open,
                _ => self.chosen == Some(listed.key()),
            })
            .filter_map(|listed| listed.program.as_ref())
    }

    /// Whether no program has been chosen yet.
    pub fn is_waiting(&self) -> bool {
        match self.selection {
            Selection::All => !self.is_open,
            _ => self.chosen.is_none(),
        }
    }

    /// Whether the PMT of at least one program has arrived.
    pub fn has_candidate(&self) -> bool {
        self.listed.iter().chain(&self.unlisted).any(|listed| listed.program.is_some())
    }

    /// Chooses once enough is known: with `is_over`, of what there is. Without `seen`, all media count as seen. Returns
    /// whether the choice changed.
    pub fn choose(&mut self, seen: Option<&Seen>, is_over: bool) -> bool {
        let is_settled = self
            .chosen
            .is_some_and(|key| self.listed.iter().any(|listed| listed.key() == key && listed.is_in_pat));
        if self.is_open && self.selection == Selection::All {
            return self.let_go();
        }
        if is_settled {
            return false;
        }
        let waited = |list: &[Listed]| list.iter().map(|listed| listed.clock.elapsed).max().unwrap_or(0);
        let (listed, unlisted) = (waited(&self.listed), waited(&self.unlisted));
        let has_come_round = is_over || self.rounds >= PATIENCE_ROUNDS;
        let patience = Patience {
            short: has_come_round || listed >= SHORT_WAIT,
            long: has_come_round || listed >= LONG_WAIT,
        };
        if self.selection == Selection::All {
            return self.open(patience.long, is_over || unlisted >= UNLISTED_WAIT);
        }
        let best = match self.selection {
            Selection::Number(_) => self.in_pat().find(|listed| listed.program.is_some()).map(Listed::key),
            _ => self.first(seen, patience),
        };
        if let Some(key) = best {
            self.chosen = Some(key);
            self.listed.retain(|listed| listed.is_in_pat);
            return true;
        }
        self.chosen.is_none() && (is_over || unlisted >= UNLISTED_WAIT) && self.adopt()
    }

    /// Lets go of programs that the PAT no longer lists, once those are known that it does. Returns whether there were
    /// any.
    fn let_go(&mut self) -> bool {
        let is_known = self.in_pat().all(|listed| listed.program.is_some()) && self.in_pat().next().is_some();
        let before = self.listed.len();
        if is_known {
            self.listed.retain(|listed| listed.is_in_pat);
        }
        self.listed.len() < before
    }

    fn in_pat(&self) -> impl Iterator<Item = &Listed> {
        self.listed.iter().filter(|listed| listed.is_in_pat)
    }

    /// Opens all programs, once they are known or have been waited for.
    fn open(&mut self, has_waited: bool, has_waited_for_pat: bool) -> bool {
        let is_whole = !self.listed.is_empty() && self.listed.iter().all(|listed| listed.program.is_some());
        let is_some = self.listed.iter().any(|listed| listed.program.is_some());
        if !is_some && has_waited_for_pat {
            self.listed.append(&mut self.unlisted);
        }
        self.is_open = is_whole || self.has_candidate() && has_waited && (is_some || has_waited_for_pat);
        self.is_open
    }

    /// Chooses the best of the programs that no PAT lists.
    fn adopt(&mut self) -> bool {
        let has_video = |listed: &Listed| listed.program.as_ref().is_some_and(|program| program.has_video());
        let best = self.unlisted.iter().position(has_video).unwrap_or(0);
        if self.unlisted.is_empty() {
            return false;
        }
        let listed = self.unlisted.swap_remove(best);
        self.chosen = Some(listed.key());
        self.listed.push(listed);
        true
    }

    /// The first program in the PAT with video. Where there are several, one counts only once its media arrive, and
    /// those listed before it are waited for, so that the choice does not depend on where the stream was joined.
    fn first(&self, seen: Option<&Seen>, patience: Patience) -> Option<(u16, Pid)> {
        let has = |program: &Program, is_kind| seen.is_none_or(|seen| seen.has(program, is_kind));
        let is_alone = self.in_pat().count() == 1;
        let mut is_whole = true;
        for listed in self.in_pat() {
            match &listed.program {
                Some(program) if program.has_video() && (is_alone || has(program, Codec::is_video)) => {
                    return Some(listed.key());
                }
                Some(program) if !program.has_video() => {}
                _ if !patience.short => return None,
                _ => is_whole = false,
            }
        }
        if !is_whole && !patience.long {
            return None;
        }
        let has_audio = |program: &Program| program.streams.iter().any(|stream| stream.codec.is_audio());
        let known = || self.in_pat().filter_map(|listed| Some((listed.key(), listed.program.as_ref()?)));
        let heard = known().find(|(_, program)| has_audio(program) && has(program, Codec::is_audio));
        if heard.is_none() && !is_alone && !patience.short {
            return None;
        }
        let best = heard
            .or_else(|| known().find(|(_, program)| program.has_video()))
            .or_else(|| known().find(|(_, program)| has_audio(program)))
            .or_else(|| known().find(|(_, program)| !program.streams.is_empty()));
        best.map(|(key, _)| key)
    }
}

/// What has been waited for long enough.
#[derive(Clone, Copy, Debug)]
struct Patience {
    short: bool,
    long: bool,
}

/// Which PIDs have carried payload that is not scrambled.
#[derive(Debug)]
pub struct Seen(Box<[bool; Pid::COUNT]>);

impl Default for Seen {
    fn default() -> Self {
        Self(Box::new([false; Pid::COUNT]))
    }
}

impl Seen {
    /// Takes a packet. Returns whether it is the first of its PID with payload in the clear.
    pub fn take(&mut self, packet: Packet<'_>) -> bool {
        let is_clear = packet.has_payload() && !packet.is_scrambled() && !packet.is_in_error();
        is_clear && !std::mem::replace(&mut self.0[packet.pid().index()], true)
    }

    fn has(&self, program: &Program, is_kind: fn(Codec) -> bool) -> bool {
        program.streams.iter().any(|stream| is_kind(stream.codec) && self.0[stream.pid.index()])
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

    /// stream_type, PID, descriptors.
    type Listed<'a> = (u8, u16, &'a [u8]);

    /// The state after a PAT of these programs and PMTs of those that have streams.
    fn with_tables(tables: &[(u16, &[Listed<'_>])]) -> Programs {
        let mut programs = Programs::new(Selection::First);
        let listed: Vec<_> = tables.iter().map(|(number, _)| (*number, 0x1000 + number)).collect();
        programs.take_pat(pat(&listed));
        for (number, streams) in tables.iter().filter(|(_, streams)| !streams.is_empty()) {
            assert!(programs.take_pmt(&pmt_of(*number, 0, streams), Pid::new(0x1000 + number)));
        }
        programs
    }

    fn seen(pids: &[u16]) -> Seen {
        let mut seen = Seen::default();
        for pid in pids {
            let mut packet = [0xff; 188];
            packet[..4].copy_from_slice(&[0x47, (pid >> 8) as u8, *pid as u8, 0x10]);
            assert!(seen.take(Packet::parse(&packet).unwrap()));
        }
        seen
    }

    /// A PCR of PID 0x100, which all tables here name.
    fn pcr(programs: &mut Programs, seconds: f64) {
        let base = (seconds * 90_000.0) as u64;
        let mut packet = [0xff; 188];
        packet[..6].copy_from_slice(&[0x47, 1, 0, 0x20, 183, 0x10]);
        packet[6..10].copy_from_slice(&((base >> 1) as u32).to_be_bytes());
        packet[10..12].copy_from_slice(&[(base as u8 & 1) << 7 | 0x7e, 0]);
        let pcr = Packet::parse(&packet).unwrap().adaptation_field().unwrap().pcr().unwrap();
        programs.take_pcr(Pid::new(0x100), pcr);
    }

    const OTHER_VIDEO: (u8, u16, &[u8]) = (0x1b, 0x200, &[]);

    #[test]
    fn a_lone_program_is_chosen_as_soon_as_its_table_is_there() {
        let mut programs = with_tables(&[(1, &[AUDIO])]);
        assert!(programs.choose(Some(&seen(&[])), false));
        assert_eq!(chosen(&programs), [1]);
    }

    #[test]
    fn the_first_with_video_is_chosen_whatever_comes_first() {
        let mut programs = with_tables(&[(1, &[]), (2, &[OTHER_VIDEO])]);
        assert!(!programs.choose(Some(&seen(&[0x200])), false));
        programs.take_pmt(&pmt_of(1, 0, &[AUDIO]), Pid::new(0x1001));
        assert!(programs.choose(Some(&seen(&[0x200])), false));
        assert_eq!(chosen(&programs), [2]);
        let mut programs = with_tables(&[(1, &[VIDEO]), (2, &[OTHER_VIDEO])]);
        assert!(!programs.choose(Some(&seen(&[0x200])), false), "the first one's media may be about to come");
        assert!(programs.choose(Some(&seen(&[0x200, 0x100])), false));
        assert_eq!(chosen(&programs), [1]);
    }

    #[test]
    fn a_program_with_video_waits_half_a_second_for_those_before_it() {
        let mut programs = with_tables(&[(9, &[]), (1, &[VIDEO])]);
        for at in [100.0, 100.2, 100.4] {
            pcr(&mut programs, at);
            assert!(!programs.choose(Some(&seen(&[0x100])), false), "{at}");
        }
        pcr(&mut programs, 100.5);
        assert!(programs.choose(Some(&seen(&[0x100])), false));
        assert_eq!(chosen(&programs), [1]);
    }

    #[test]
    fn a_program_without_video_waits_two_seconds_for_one_with_video() {
        let mut programs = with_tables(&[(1, &[AUDIO]), (9, &[])]);
        for at in [100.0, 101.0, 101.9, 5000.0] {
            pcr(&mut programs, at);
            assert!(!programs.choose(Some(&seen(&[0x101])), false), "{at}");
        }
        pcr(&mut programs, 5000.1);
        assert!(programs.choose(Some(&seen(&[0x101])), false));
        assert_eq!(chosen(&programs), [1]);
    }

    #[test]
    fn a_program_whose_media_do_not_come_is_passed_over() {
        let mut programs = with_tables(&[(1, &[OTHER_VIDEO]), (2, &[VIDEO, AUDIO])]);
        assert!(!programs.choose(Some(&seen(&[0x100, 0x101])), false));
        assert!(programs.choose(Some(&seen(&[0x100, 0x101])), true));
        assert_eq!(chosen(&programs), [2]);
    }

    #[test]
    fn a_missing_table_is_given_up_in_the_end() {
        let listed = [(1, 0x1001), (2, 0x1002)];
        let mut programs = with_tables(&[(1, &[]), (2, &[AUDIO])]);
        let mut round = || {
            programs.take_pat(pat(&listed));
            programs.choose(Some(&seen(&[0x101])), false)
        };
        assert_eq!((0..20).take_while(|_| !round()).count() as u32, PATIENCE_ROUNDS - 1);
        assert_eq!(chosen(&programs), [2]);
    }

    #[test]
    fn the_end_chooses_of_what_there_is() {
        let mut programs = with_tables(&[(1, &[]), (2, &[AUDIO]), (3, &[])]);
        assert!(!programs.choose(Some(&seen(&[])), false));
        assert!(programs.choose(Some(&seen(&[])), true));
        assert_eq!(chosen(&programs), [2]);
    }

    #[test]
    fn a_table_that_no_pat_lists_is_used_when_nothing_else_comes() {
        let mut programs = Programs::new(Selection::First);
        assert!(programs.take_pmt(&pmt_of(1, 0, &[VIDEO]), Pid::new(0x1000)));
        assert!(!programs.take_pmt(&pmt_of(1, 0, &[VIDEO]), Pid::new(0x1000)), "it is known");
        assert!(!programs.choose(Some(&seen(&[])), false));
        pcr(&mut programs, 0.0);
        pcr(&mut programs, 5.0);
        assert!(programs.choose(Some(&seen(&[])), false));
        assert_eq!(chosen(&programs), [1]);
        // A PAT that says the same changes nothing; one that lists another program is believed once that is there.
        programs.take_pat(pat(&[(1, 0x1000)]));
        assert!(!programs.choose(None, false));
        programs.take_pat(pat(&[(2, 0x1001)]));
        assert!(!programs.choose(None, false));
        assert_eq!(chosen(&programs), [1]);
        programs.take_pmt(&pmt_of(2, 0, &[VIDEO]), Pid::new(0x1001));
        assert!(programs.choose(None, false));
        assert_eq!(chosen(&programs), [2]);
    }

    #[test]
    fn all_are_opened_together() {
        let mut programs = Programs::new(Selection::All);
        programs.take_pat(pat(&[(1, 0x1000), (2, 0x1001)]));
        programs.take_pmt(&pmt_of(1, 0, &[AUDIO]), Pid::new(0x1000));
        assert!(!programs.choose(Some(&seen(&[])), false) && chosen(&programs).is_empty());
        programs.take_pmt(&pmt_of(2, 0, &[VIDEO]), Pid::new(0x1001));
        assert!(programs.choose(Some(&seen(&[])), false));
        assert_eq!(chosen(&programs), [1, 2]);
    }

    #[test]
    fn a_new_version_of_a_followed_table_is_told_and_a_repeated_one_is_not() {
        let mut programs = Programs::new(Selection::Number(1));
        programs.take_pat(pat(&[(1, 0x1000)]));
        assert!(programs.take_pmt(&pmt_of(1, 0, &[AUDIO]), Pid::new(0x1000)));
        assert!(programs.choose(None, false));
        assert!(!programs.take_pmt(&pmt_of(1, 0, &[AUDIO]), Pid::new(0x1000)));
        assert!(programs.take_pmt(&pmt_of(1, 1, &[AUDIO, VIDEO]), Pid::new(0x1000)));
    }

    #[test]
    fn the_one_asked_for_is_found_however_many_there_are() {
        let many: Vec<_> = (1..=200).map(|number| (number, 0x1000 + number)).collect();
        let mut programs = Programs::new(Selection::Number(150));
        programs.take_pat(pat(&many));
        assert!(programs.take_pmt(&pmt_of(150, 0, &[VIDEO]), Pid::new(0x1000 + 150)));
        assert!(programs.choose(None, false));
        assert_eq!(chosen(&programs), [150]);
    }

    #[test]
    fn a_program_that_leaves_the_table_is_let_go_once_there_is_another() {
        let mut programs = with_tables(&[(1, &[VIDEO])]);
        programs.choose(None, false);
        programs.take_pat(Pat { version: 1, ..pat(&[(2, 0x1002)]) });
        assert!(!programs.choose(None, false));
        assert_eq!(chosen(&programs), [1]);
        programs.take_pmt(&pmt_of(2, 0, &[VIDEO]), Pid::new(0x1002));
        assert!(programs.choose(None, false));
        assert_eq!(chosen(&programs), [2]);
        assert_eq!(programs.pmt_pids().count(), 1);
    }
}
