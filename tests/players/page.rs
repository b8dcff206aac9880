//! A page that plays a stream by itself, as it is found by a person. `preview.mjs` does the looking.

use std::path::Path;

use serde::Deserialize;

use crate::player::drive;

/// What was found.
#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "people read all of it where a test fails")]
pub struct Page {
    /// From the address to a moving picture; none if none moved.
    pub startup_s: Option<f64>,
    /// How far the stream went on while it was looked at.
    pub played_s: f64,
    /// Size of the picture that plays.
    pub width: u32,
    pub height: u32,
    pub title: String,
    /// Heading, term and value of each fact that is visible.
    pub facts: Vec<(String, String, String)>,
    pub plots: Vec<Plot>,
    /// By how much the page is wider than the screen.
    pub overflow_px: i32,
    /// Roles and names, as a screen reader has them.
    pub outline: String,
    /// Of WCAG 2.2 AA and what axe holds for good practice.
    pub violations: Vec<String>,
    /// Where the Tab key goes.
    pub stops: Vec<Stop>,
    pub fetched: Vec<String>,
    pub errors: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub struct Plot {
    pub name: String,
    pub points: u32,
}

#[derive(Debug, Deserialize)]
pub struct Stop {
    pub element: String,
    pub name: String,
    /// An outline shows where the focus is.
    pub is_seen: bool,
}

impl Page {
    /// Opens `url` and looks, with these options of `drive.mjs`.
    pub fn open(url: &str, options: &[&str]) -> Self {
        drive(&[&["page", url], options].concat())
    }

    /// The same, with a picture of it in `target/players/NAME.png`.
    pub fn open_and_keep(url: &str, name: &str, options: &[&str]) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/players");
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{name}.png")).display().to_string();
        Self::open(url, &[&["--screenshot", &file], options].concat())
    }

    /// The value of `term` under `heading`.
    #[track_caller]
    pub fn fact(&self, heading: &str, term: &str) -> &str {
        let is_it = |fact: &&(String, String, String)| fact.0 == heading && fact.1 == term;
        let Some((_, _, value)) = self.facts.iter().find(is_it) else {
            panic!("no {term} of {heading}: {self:#?}")
        };
        value
    }

    /// The number that the value begins with.
    #[track_caller]
    pub fn number(&self, heading: &str, term: &str) -> f64 {
        let value = self.fact(heading, term);
        let number = value.split(' ').next().and_then(|text| text.replace(',', "").parse().ok());
        number.unwrap_or_else(|| panic!("{term} of {heading} is {value:?}"))
    }
}
