//! Why encoding did not begin or came to its end.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use super::stderr::LastWords;

/// Why encoding did not begin or came to its end.
///
/// `process` says whose end it was: `encoder of 720p, 360p` or `source command`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The ladder cannot be run as it is.
    #[error("{what}")]
    Invalid {
        /// What is wrong and what to do.
        what: String,
    },
    /// The ffmpeg binary is not there.
    #[error("{} not found: install ffmpeg (Debian, Ubuntu: apt-get install ffmpeg; macOS: brew install ffmpeg) \
             or name the path of its binary", .program.display())]
    Missing {
        /// As it was looked for.
        program: PathBuf,
    },
    /// The system could not start a process, or lost it.
    #[error("cannot run the {process}")]
    System {
        /// Which one.
        process: String,
        /// What the system says.
        source: io::Error,
    },
    /// A process ended by itself, not as one that has done its work.
    #[error("{process} died with {}{}", describe(*.status), said(.words))]
    Died {
        /// Which one.
        process: String,
        /// How.
        status: ExitStatus,
        /// Its last lines on standard error.
        words: LastWords,
    },
    /// A process ran, but nothing came from it; it was killed.
    #[error("{process} gave nothing{} for {} s{}", of(.rendition), .after.as_secs_f64(), said(.words))]
    Stalled {
        /// Which one; or `standard input`.
        process: String,
        /// The rendition that nothing came of, if it is an encoder's.
        rendition: Option<String>,
        /// How long it was waited for.
        after: Duration,
        /// Its last lines on standard error.
        words: LastWords,
    },
    /// What it was to pass on unchanged has no place in a transport stream; it was killed.
    #[error(
        "{process}: its input is {codec}, which MPEG-TS cannot carry so that players know it: encode it, as in \
             video = {{ codec = \"h264\" }}"
    )]
    NotCarried {
        /// Which one.
        process: String,
        /// The codec of the video.
        codec: String,
    },
    /// An encoder in a fan-out read more slowly than the source gave; it was killed so that the others go on.
    #[error("{process} did not keep up with the source and was dropped: give it a lighter preset or a smaller size{}", said(.words))]
    Slow {
        /// Which one.
        process: String,
        /// Its last lines on standard error.
        words: LastWords,
    },
    /// A process was asked to finish, did not, and was killed.
    #[error("{process} did not end within {} s of being asked and was killed{}", .after.as_secs_f64(), said(.words))]
    Unfinished {
        /// Which one.
        process: String,
        /// How long it was waited for.
        after: Duration,
        /// Its last lines on standard error.
        words: LastWords,
    },
    /// A process was killed because we were told to end at once.
    #[error("{process} was stopped at once")]
    Killed {
        /// Which one.
        process: String,
    },
    /// Our own standard input could not be read.
    #[error("cannot read standard input")]
    Input {
        /// What the system says.
        source: io::Error,
    },
}

/// What to do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It may go well another time.
    Transient,
    /// The system does not let us.
    Refused,
    /// A program is not there.
    Missing,
    /// What was asked for makes no sense.
    Invalid,
    /// We ended it ourselves.
    Closed,
}

impl Error {
    /// What to do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Invalid { .. } | Self::NotCarried { .. } => Kind::Invalid,
            Self::Missing { .. } => Kind::Missing,
            Self::System { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => Kind::Refused,
            Self::Killed { .. } => Kind::Closed,
            _ => Kind::Transient,
        }
    }

    /// The same without the process's own words, in which the address of its input may stand.
    #[must_use]
    pub fn without_words(mut self) -> Self {
        if let Self::Died { words, .. }
        | Self::Stalled { words, .. }
        | Self::Slow { words, .. }
        | Self::Unfinished { words, .. } = &mut self
        {
            *words = LastWords::default();
        }
        self
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

fn of(rendition: &Option<String>) -> String {
    rendition.as_ref().map(|name| format!(" of rendition {name}")).unwrap_or_default()
}

fn said(words: &LastWords) -> String {
    let words = words.to_string();
    if words.is_empty() { words } else { format!(": {words}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::stderr::Line;

    #[test]
    fn messages_say_who_how_and_ffmpegs_own_words() {
        let mut words = LastWords::default();
        words.push(Line::parse(b"[fatal] Unknown encoder 'libfoo'"));
        let process = "encoder of 720p".to_owned();
        let died = Error::Died { process: process.clone(), status: ExitStatus::from_raw(256), words };
        assert_eq!(died.to_string(), "encoder of 720p died with exit status 1: Unknown encoder 'libfoo'");
        let status = ExitStatus::from_raw(9);
        assert_eq!(died.without_words().to_string(), "encoder of 720p died with exit status 1");
        let killed = Error::Died { process, status, words: LastWords::default() };
        assert_eq!(killed.to_string(), "encoder of 720p died with signal 9");
        assert_eq!(killed.kind(), Kind::Transient);
        let process = "encoder of v".to_owned();
        let not_carried = Error::NotCarried { process, codec: "AV1".to_owned() };
        assert!(not_carried.to_string().starts_with("encoder of v: its input is AV1, which MPEG-TS cannot"));
        assert_eq!(not_carried.kind(), Kind::Invalid);
        assert!(
            Error::Missing { program: "/x/ffmpeg".into() }.to_string().starts_with("/x/ffmpeg not found: ")
        );
    }
}
