//! What a rendition is, and what its files are called.

/// What segments are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Container {
    /// MPEG transport stream: `.ts`.
    #[default]
    Ts,
    /// Fragmented MP4 with a Media Initialization Section: `.m4s`, `.mp4`.
    Cmaf,
}

/// What a rendition is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// A variant: an entry of its own in the multivariant playlist.
    Variant {
        /// The group that its sound is chosen from; none if its sound is in its own segments, or it has none.
        audio: Option<String>,
    },
    /// Sound that variants share.
    Audio {
        /// The group that it belongs to.
        group: String,
        /// What people call it; no two of a group have the same.
        name: String,
        /// Whether it is played if nothing speaks for another.
        is_default: bool,
    },
}

/// One rendition's names and declared numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendition {
    /// Its name, for people.
    pub name: String,
    /// Key of its media playlist, such as `720p/index.m3u8`.
    pub playlist: String,
    /// What stands before the number in a segment's key, such as `720p/` or `sample_high-`.
    pub segment_prefix: String,
    /// Peak bits per second as configured, of everything that plays with a variant: declared unless more is measured.
    pub bandwidth_bps: Option<u64>,
    /// What its segments are made of.
    pub container: Container,
    /// What it is for.
    pub role: Role,
}

impl Container {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Ts, Self::Cmaf];

    /// What segments' names end with.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Ts => ".ts",
            Self::Cmaf => ".m4s",
        }
    }
}

impl Default for Role {
    fn default() -> Self {
        Self::Variant { audio: None }
    }
}

impl Role {
    /// Whether it is sound that variants share.
    pub const fn is_audio(&self) -> bool {
        matches!(self, Self::Audio { .. })
    }
}

impl Rendition {
    /// The key of segment `number`: the prefix, five digits or more, `.ts` or `.m4s`.
    pub fn segment_key(&self, number: u64) -> String {
        self.segment_key_as(number, self.container)
    }

    /// The key of part `index`, counted from 0, of segment `number`, such as `720p/00007.2.m4s`.
    pub fn part_key(&self, number: u64, index: u64) -> String {
        format!("{}{number:05}.{index}{}", self.segment_prefix, self.container.extension())
    }

    /// The key of the Media Initialization Section with this digest, beside the segments and named after them: no other
    /// rendition's, even if it is of the same content, since each keeps its own as long as its own playlist needs it.
    pub fn init_key(&self, digest: u64) -> String {
        format!("{}init-{digest:016x}.mp4", self.segment_prefix)
    }

    pub(super) fn segment_key_as(&self, number: u64, container: Container) -> String {
        format!("{}{number:05}{}", self.segment_prefix, container.extension())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_the_container() {
        let mut rendition = Rendition { segment_prefix: "720p/720p-".to_owned(), ..Rendition::default() };
        assert_eq!(rendition.segment_key(7), "720p/720p-00007.ts");
        assert_eq!(rendition.part_key(7, 2), "720p/720p-00007.2.ts");
        rendition.container = Container::Cmaf;
        assert_eq!(rendition.segment_key(123_456), "720p/720p-123456.m4s");
        assert_eq!(rendition.part_key(7, 2), "720p/720p-00007.2.m4s");
        assert_eq!(rendition.init_key(0xab), "720p/720p-init-00000000000000ab.mp4");
        rendition.segment_prefix = "high-".to_owned();
        assert_eq!(rendition.init_key(1), "high-init-0000000000000001.mp4");
    }
}
