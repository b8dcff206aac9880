//! What a child writes to its standard error: lines, their levels, and the last of them.

use std::collections::VecDeque;
use std::fmt;

use super::secret;

/// Longer lines are cut; ffmpeg's own limit is of this size.
const LINE_LIMIT_BYTES: usize = 1024;
/// Lines kept for the error when the child dies.
const KEPT_LINES: usize = 20;
/// Lines shown in an error's message; the others are in [`LastWords::lines`].
const SHOWN_LINES: usize = 6;

/// How serious a line is, in ffmpeg's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// `verbose`, `debug`, `trace`.
    Trace,
    /// `info`: much of it at each start, little of use.
    Info,
    /// No level was given.
    Unknown,
    /// `warning`.
    Warning,
    /// `error`, `fatal`, `panic`.
    Error,
}

/// One line, decoded and without its level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) level: Level,
    pub(super) text: String,
}

impl Line {
    /// Reads a line as ffmpeg writes it with `-loglevel level+…`: `[libx264 @ 0x55d0] [info] profile High`.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let text: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let text = secret::hide(&text);
        let Some((before, level, after)) = split_level(&text) else {
            // How far a shell command's own ffmpeg has come, twice a second.
            let is_status = text.starts_with("frame=") || text.starts_with("size=");
            let level = if is_status { Level::Trace } else { Level::Unknown };
            return Self { level, text: text.into_owned() };
        };
        let who = before.trim().trim_start_matches('[').trim_end_matches(']');
        let who = who.split(" @ 0x").next().unwrap_or_default().trim();
        let after = after.trim_start_matches(':').trim();
        let text = if who.is_empty() { after.to_owned() } else { format!("{who}: {after}") };
        Self { level, text }
    }
}

/// Splits at the first `[level]`.
fn split_level(text: &str) -> Option<(&str, Level, &str)> {
    let mut from = 0;
    while let Some(open) = text[from..].find('[').map(|at| from + at) {
        let close = open + text[open..].find(']')?;
        let level = match &text[open + 1..close] {
            "panic" | "fatal" | "error" => Some(Level::Error),
            "warning" => Some(Level::Warning),
            "info" => Some(Level::Info),
            "verbose" | "debug" | "trace" => Some(Level::Trace),
            _ => None,
        };
        if let Some(level) = level {
            return Some((&text[..open], level, &text[close + 1..]));
        }
        from = open + 1;
    }
    None
}

/// Cuts bytes into lines at `\n` and `\r`; of a line beyond the limit only the head is kept.
#[derive(Debug, Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Takes bytes as they come; gives each line that is not blank.
    pub(super) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        let mut start = 0;
        for end in memchr::memchr2_iter(b'\n', b'\r', bytes) {
            self.extend(&bytes[start..end]);
            self.flush(&mut each);
            start = end + 1;
        }
        self.extend(&bytes[start..]);
    }

    /// Gives what stands behind the last line end.
    pub(super) fn finish(&mut self, mut each: impl FnMut(&[u8])) {
        self.flush(&mut each);
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = LINE_LIMIT_BYTES - self.partial.len();
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn flush(&mut self, each: &mut impl FnMut(&[u8])) {
        if !self.partial.trim_ascii().is_empty() {
            each(&self.partial);
        }
        self.partial.clear();
    }
}

/// The last lines that a child wrote to its standard error.
#[derive(Clone, Debug, Default)]
pub struct LastWords {
    lines: VecDeque<Line>,
}

impl LastWords {
    pub(super) fn push(&mut self, line: Line) {
        if self.lines.len() == KEPT_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// The lines, oldest first, secrets hidden.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = (Level, &str)> {
        self.lines.iter().map(|line| (line.level, line.text.as_str()))
    }

    /// Whether there was none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

impl fmt::Display for LastWords {
    /// The last errors among the lines; where there is none, the last lines that are not mere information.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_error = self.lines().any(|(level, _)| level == Level::Error);
        let least = if has_error { Level::Error } else { Level::Unknown };
        let shown: Vec<_> = self.lines().filter(|(level, _)| *level >= least).map(|(_, text)| text).collect();
        for (n, text) in shown[shown.len().saturating_sub(SHOWN_LINES)..].iter().enumerate() {
            write!(f, "{}{text}", if n == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(level: Level, text: &str) -> Line {
        Line { level, text: text.to_owned() }
    }

    #[test]
    fn levels_are_read_from_ffmpegs_tags() {
        let parse = |text: &str| Line::parse(text.as_bytes());
        assert_eq!(
            parse("[libx264 @ 0x56256788b380] [info] using SAR=1/1"),
            line(Level::Info, "libx264: using SAR=1/1")
        );
        assert_eq!(parse("[fatal] Unknown encoder 'x'"), line(Level::Error, "Unknown encoder 'x'"));
        assert_eq!(
            parse("x265 [warning]: Source height < 720p"),
            line(Level::Warning, "x265: Source height < 720p")
        );
        assert_eq!(
            parse("[h264 @ 0x1] [concat @ 0x2] [error] non-existing PPS"),
            line(Level::Error, "h264: non-existing PPS")
        );
        assert_eq!(parse("sh: 1: nope: not found"), line(Level::Unknown, "sh: 1: nope: not found"));
        let status =
            "frame=  100 fps= 25 q=28.0 size=     256kB time=00:00:04.00 bitrate= 524.3kbits/s speed=1x";
        assert_eq!(parse(status), line(Level::Trace, status));
        assert_eq!(parse("[unfinished"), line(Level::Unknown, "[unfinished"));
    }

    #[test]
    fn secrets_and_control_characters_are_not_shown() {
        let parsed = Line::parse(b"[error] rtsp://u:p@h/\x1b[31m: \xff refused");
        assert_eq!(parsed, line(Level::Error, "rtsp://u:***@h/ [31m: \u{fffd} refused"));
    }

    #[test]
    fn lines_are_the_same_in_any_chunking_and_never_longer_than_the_limit() {
        let mut text = b"one\r\ntwo\rthree\n\n   \n".to_vec();
        text.extend(vec![b'x'; 5000]);
        text.extend(b"\nlast");
        let read = |size: usize| {
            let (mut lines, mut out) = (Lines::default(), Vec::new());
            for piece in text.chunks(size) {
                lines.push(piece, |line| out.push(line.to_vec()));
            }
            lines.finish(|line| out.push(line.to_vec()));
            out
        };
        let whole = read(text.len());
        assert_eq!(whole.len(), 5);
        assert_eq!(whole[3].len(), LINE_LIMIT_BYTES);
        assert_eq!(whole[4], b"last");
        for size in [1, 2, 3, 7, 1000, 1024, 1025] {
            assert_eq!(read(size), whole);
        }
    }

    #[test]
    fn last_words_name_the_errors_first() {
        let mut words = LastWords::default();
        for n in 0..50 {
            words.push(line(Level::Info, &format!("chatter {n}")));
        }
        assert_eq!(words.lines().count(), KEPT_LINES);
        assert_eq!(words.to_string(), "");
        words.push(line(Level::Unknown, "some command's words"));
        assert_eq!(words.to_string(), "some command's words");
        words.push(line(Level::Error, "first"));
        words.push(line(Level::Info, "Conversion failed!"));
        words.push(line(Level::Error, "second"));
        assert_eq!(words.to_string(), "first; second");
    }
}
