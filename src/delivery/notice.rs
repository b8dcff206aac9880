//! What people should know of a destination.

use std::fmt;
use std::time::Duration;

/// Further failures, and further losses, are told of no oftener.
pub const REMINDERS: Duration = Duration::from_secs(60);

/// Something that people should know of a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// Viewers can open the playlist at this key.
    OnAir(String),
    /// A playlist is there; how long after the end of its last segment, if that is new.
    Shown { key: String, latency: Option<Duration> },
    /// Nothing goes well from now on.
    Trouble(String),
    /// It still does not, for another reason.
    StillInTrouble(String),
    /// All is well again.
    Recovered { after: Duration, waiting: usize, passed_over: u64 },
    /// Segments are lost; this is the first.
    Lost { key: String, count: usize },
    /// An object can never be put.
    Impossible(String),
    /// Objects cannot be deleted, and are left.
    Left(String),
    /// Somebody else deleted what is at this key.
    Deleted(String),
    /// Uploads take long.
    Busy { took: Duration, duration: Duration },
}

impl Notice {
    /// Whether something is wrong.
    pub(super) const fn is_warning(&self) -> bool {
        !matches!(self, Self::OnAir(_) | Self::Shown { .. } | Self::Recovered { .. })
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnAir(_) => f.write_str("on air"),
            Self::Shown { key, .. } => write!(f, "{key} is shown"),
            Self::Trouble(error) => write!(f, "{error}; it is tried again until it works"),
            Self::StillInTrouble(error) => write!(f, "{error}; it is still tried again"),
            Self::Recovered { after, waiting, passed_over } => {
                write!(f, "works again after {:.1} s", after.as_secs_f64())?;
                match waiting {
                    0 => {}
                    1 => f.write_str(", one segment waits")?,
                    _ => write!(f, ", {waiting} segments wait")?,
                }
                match passed_over {
                    0 => Ok(()),
                    1 => f.write_str(", one segment has left the playlist meanwhile and is passed over"),
                    _ => write!(
                        f,
                        ", {passed_over} segments have left the playlist meanwhile and are passed over"
                    ),
                }
            }
            Self::Lost { key, count: 1 } => write!(f, "{key} is given up: playlists there show a gap"),
            Self::Lost { key, count } => {
                write!(f, "{key} and {} more are given up: playlists there show gaps", count - 1)
            }
            Self::Impossible(error) => f.write_str(error),
            Self::Left(error) => write!(f, "{error}; nothing is deleted there any more"),
            Self::Deleted(key) => write!(f, "{key} was deleted by another process, writing it again"),
            Self::Busy { took, duration } => write!(
                f,
                "a segment of {:.1} s took {:.1} s to upload: lower bitrates, or a faster way there",
                duration.as_secs_f64(),
                took.as_secs_f64()
            ),
        }
    }
}
