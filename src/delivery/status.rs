//! How one destination is doing.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// Latencies that are remembered.
const REMEMBERED: usize = 1024;

/// How one destination is doing, and what it has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// What people call it; without secrets.
    pub name: String,
    /// Segments that wait for it.
    pub queued_segments: usize,
    /// Their bytes.
    pub queued_bytes: u64,
    /// Segments put.
    pub segments: u64,
    /// Bytes put, of segments.
    pub size_bytes: u64,
    /// Playlists put.
    pub playlists: u64,
    /// Attempts that failed and were made again.
    pub retries: u64,
    /// Segments given up: gaps in its playlists.
    pub lost: u64,
    /// Segments that had left the playlist before they could be sent.
    pub passed_over: u64,
    /// Objects deleted.
    pub deleted: u64,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// Since when nothing goes well, in time since the channel's start.
    pub in_trouble_since: Option<Duration>,
    /// Upload times as shares of segment durations.
    pub load: Load,
    /// From a segment's end to a playlist that shows it.
    pub latency: Latency,
}

/// Upload times as shares of segment durations: at 1, a destination only just keeps up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// The latest, in thousandths.
    pub last_permille: u32,
    /// The highest, in thousandths.
    pub worst_permille: u32,
}

/// From a segment's end to a playlist that shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    recent: VecDeque<Duration>,
    worst: Duration,
}

impl Load {
    pub(super) fn note(&mut self, took: Duration, duration: Duration) {
        let permille = took.as_millis().saturating_mul(1000) / duration.as_millis().max(1);
        self.last_permille = u32::try_from(permille).unwrap_or(u32::MAX);
        self.worst_permille = self.worst_permille.max(self.last_permille);
    }
}

impl Latency {
    pub(super) fn note(&mut self, latency: Duration) {
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(latency);
        self.worst = self.worst.max(latency);
    }

    /// The one that half of the recent ones do not exceed; none before the first.
    pub fn median(&self) -> Option<Duration> {
        let mut sorted: Vec<_> = self.recent.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len().saturating_sub(1) / 2).copied()
    }

    /// The latest `count` of them, the oldest first.
    pub fn recent(&self, count: usize) -> impl Iterator<Item = Duration> {
        self.recent.iter().skip(self.recent.len().saturating_sub(count)).copied()
    }

    /// The longest of all.
    pub const fn worst(&self) -> Duration {
        self.worst
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        write!(f, "{}: {} segment{}", self.name, self.segments, plural(self.segments))?;
        write!(f, ", {:.2} MB", self.size_bytes as f64 / 1e6)?;
        if let Some(median) = self.latency.median() {
            let (median, worst) = (median.as_secs_f64(), self.latency.worst.as_secs_f64());
            write!(f, ", shown {median:.3} s after their end (at most {worst:.3} s)")?;
        }
        let load = f64::from(self.load.worst_permille) / 1000.0;
        write!(f, ", upload time up to {load:.2} of their duration")?;
        if self.retries > 0 {
            write!(f, ", {} attempt{} made again", self.retries, plural(self.retries))?;
        }
        if self.lost > 0 {
            write!(f, ", {} lost", self.lost)?;
        }
        if self.passed_over > 0 {
            write!(f, ", {} passed over", self.passed_over)?;
        }
        if self.queued_segments > 0 {
            let megabytes = self.queued_bytes as f64 / 1e6;
            write!(f, ", {} still waiting ({megabytes:.2} MB)", self.queued_segments)?;
        }
        if let (Some(error), true) = (&self.last_error, self.in_trouble_since.is_some()) {
            write!(f, ", in trouble: {error}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_told_in_a_line() {
        let mut status = Status { name: "ftp://me@h/live".to_owned(), segments: 1, ..Status::default() };
        status.size_bytes = 1_500_000;
        [3, 1, 2].iter().for_each(|seconds| status.latency.note(Duration::from_secs(*seconds)));
        status.load.note(Duration::from_secs(1), Duration::from_secs(4));
        let expected = "ftp://me@h/live: 1 segment, 1.50 MB, shown 2.000 s after their end (at most 3.000 s), \
                        upload time up to 0.25 of their duration";
        assert_eq!(status.to_string(), expected);
        (status.retries, status.lost, status.queued_segments) = (2, 3, 1);
        status.last_error = Some("connection refused".to_owned());
        status.in_trouble_since = Some(Duration::ZERO);
        let more =
            ", 2 attempts made again, 3 lost, 1 still waiting (0.00 MB), in trouble: connection refused";
        assert_eq!(status.to_string(), format!("{expected}{more}"));
    }
}
