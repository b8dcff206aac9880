//! Where files are put.

/// One place that files are put to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A local folder.
    Copy {
        /// Created if it is not there.
        directory: std::path::PathBuf,
    },
}
