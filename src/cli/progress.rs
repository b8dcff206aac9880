//! The bar on a terminal while a long input is read.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressStyle};

use super::input::Input;

/// A bar with rate and time left; a counter where the length is not known; nothing where nobody watches.
pub fn bar(input: &Input, is_quiet: bool) -> ProgressBar {
    if is_quiet || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match input.len {
        Some(len) => (ProgressBar::new(len), "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta} left"),
        None => (ProgressBar::no_length(), "{spinner} {bytes} {bytes_per_sec} {elapsed}"),
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style)
}
