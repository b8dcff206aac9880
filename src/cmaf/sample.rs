//! What a fragment says of each sample (ISO/IEC 14496-12 §8.8.3.1 for the flags).

/// One access unit or frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When it is decoded, in the track's timescale.
    pub decode: i64,
    /// How much later it is presented.
    pub offset: i32,
    pub size_bytes: u32,
    pub dependency: Dependency,
    /// Whether it came in one PES packet with the sample before, whose times are all that is known.
    pub is_unstamped: bool,
}

/// What a sample needs of others, and they of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// Whether a decoder may begin with it.
    pub is_sync: bool,
    /// Whether it needs others to be decoded.
    pub depends: bool,
    /// Whether no other needs it.
    pub is_disposable: bool,
}

impl Dependency {
    /// A frame that stands alone: all sound does.
    pub const ALONE: Self = Self { is_sync: true, depends: false, is_disposable: false };

    /// sample_depends_on, sample_is_depended_on and sample_is_non_sync_sample in their places.
    pub const fn flags(self) -> u32 {
        let depends_on = if self.depends { 1 } else { 2 };
        let is_depended_on = if self.is_disposable { 2 } else { 0 };
        let is_non_sync = if self.is_sync { 0 } else { 1 };
        depends_on << 24 | is_depended_on << 22 | is_non_sync << 16
    }
}
