//! The command line.

pub mod input;
pub mod inspect;
