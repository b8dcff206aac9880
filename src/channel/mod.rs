//! One running live channel.
use crate::{destination, encoder, live};

/// Everything a channel needs to run, checked.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its name in logs.
    pub name: String,
    /// What is encoded, and how.
    pub ladder: encoder::ladder::Ladder,
    /// How it presents itself; its renditions stand in the ladder's order.
    pub presentation: live::Options,
    /// Where it is put.
    pub destinations: Vec<destination::Target>,
}
