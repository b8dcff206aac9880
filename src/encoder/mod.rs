//! ffmpeg children.
pub mod ladder;
