//! Who asks for a playlist before it is there, and what they are answered (rfc8216bis §6.2.5.2).

use std::time::Duration;

use super::Snapshot;

/// What is done with one who asks for a playlist with a certain segment or part in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// The playlist as it is has it, or has come to its end: it is sent.
    Ready,
    /// The playlist will have it: what comes next is waited for.
    Wait,
    /// It is so far ahead that the one who asks is wrong.
    TooFar,
    /// There is no such playlist, and there will be none.
    Gone,
}

/// How far ahead whole segments may be asked for, from the last one that is there.
const ADVANCE_SEGMENTS: u64 = 2;
/// How far ahead parts may be asked for: so long, and so many where they are longer than a second.
const ADVANCE: Duration = Duration::from_secs(3);
const ADVANCE_PARTS: u64 = 3;

impl Snapshot {
    /// Whether the playlist of `rendition` has the segment with media sequence number `msn`, or part `part` of it.
    ///
    /// A part beyond the last of a segment that is whole means the first part of the next segment. In a channel without
    /// parts `part` says nothing.
    pub fn answers(&self, rendition: usize, msn: u64, part: Option<u64>) -> Reload {
        let Some(view) = self.view(rendition) else {
            return if self.is_absent(rendition) { Reload::Gone } else { Reload::Wait };
        };
        let Some(edge) = self.edge(rendition).filter(|_| !view.media().is_ended) else {
            return Reload::Ready;
        };
        let (end, part) = (view.end(), part.filter(|_| self.part_target.is_some()));
        let is_whole = msn < end;
        let Some(part) = part.filter(|part| !is_whole || view.lacks_part(msn, *part)) else {
            return match msn {
                _ if is_whole => Reload::Ready,
                _ if msn < end.saturating_add(ADVANCE_SEGMENTS) => Reload::Wait,
                _ => Reload::TooFar,
            };
        };
        let (msn, part) = if is_whole { (msn + 1, 0) } else { (msn, part) };
        let there = edge.next_part();
        let limit = self.advance_parts();
        match msn.checked_sub(end) {
            None => Reload::Ready,
            Some(0) if part < there => Reload::Ready,
            Some(0) if part < there.saturating_add(limit) => Reload::Wait,
            Some(1) if part < limit => Reload::Wait,
            Some(_) => Reload::TooFar,
        }
    }

    /// The Advance Part Limit.
    fn advance_parts(&self) -> u64 {
        match self.part_target {
            Some(target) if target < Duration::from_secs(1) && !target.is_zero() => {
                let count = ADVANCE.as_micros().div_ceil(target.as_micros().max(1));
                u64::try_from(count).unwrap_or(u64::MAX)
            }
            _ => ADVANCE_PARTS,
        }
    }
}
