//! The part of a file of ours that says how the stream is presented: kind, durations, multivariant playlists.

use std::time::Duration;

use super::check::Checker;
use super::file::{self, File, Playlist};
use super::formats;
use super::shape::quoted;
use super::value::Kind as _;
use crate::channel::Lineup;
use crate::live::{self, Container};

/// Segments outside of these are not worth serving.
const SHORTEST_SEGMENT: Duration = Duration::from_millis(500);
const LONGEST_SEGMENT: Duration = Duration::from_secs(3600);

/// Shorter parts are mostly headers.
const SHORTEST_PART: Duration = Duration::from_millis(100);

/// Playlists shorter than this stall players (RFC 8216 §6.2.2 asks for three target durations).
pub(super) const LEAST_WINDOW: u32 = 3;
/// Longer playlists are an EVENT's business.
pub(super) const MOST_WINDOW: u32 = 100_000;
/// Segments in a live playlist, if nothing is said.
pub(super) const WINDOW: u32 = 6;

impl Checker<'_> {
    /// How the stream is presented, and which renditions are made of each rung's stream.
    pub(super) fn presentation(&mut self, file: &File) -> (live::Options, Vec<Lineup>) {
        let output = &file.output;
        let target = output.segment.0;
        if !(SHORTEST_SEGMENT..=LONGEST_SEGMENT).contains(&target) {
            let message = format!("expected from 500ms to 1h, came {}", target.write());
            self.mistakes.add("output.segment", message, None);
        }
        self.part(file);
        if output.muxed && !output.format.0.contains(&Container::Cmaf) {
            self.notes.push("output.muxed is not used: transport streams always are".into());
        }
        if output.prft && !output.format.0.contains(&Container::Cmaf) {
            self.notes.push("output.prft is not used: it stands in CMAF alone".into());
        }
        let (renditions, lineups) = self.renditions(file);
        let multivariants = self.multivariants(output, &renditions);
        self.no_controls("output.url_prefix", &output.url_prefix);
        if let Some(name) = &file.name {
            self.no_controls("name", name);
        }
        let options = live::Options {
            kind: self.kind(output),
            target,
            multivariants,
            url_prefix: output.url_prefix.clone(),
            has_date_time: output.program_date_time,
            has_parts: output.part.is_some(),
            renditions,
        };
        (options, lineups)
    }

    /// Parts are for players that pull a live stream from us.
    fn part(&mut self, file: &File) {
        let output = &file.output;
        let Some(part) = output.part else { return };
        let most = output.segment.0 / 2;
        if !(SHORTEST_PART..=most.max(SHORTEST_PART)).contains(&part.0) {
            let (least, most) = (SHORTEST_PART.write(), most.write());
            let message = format!("expected from {least} to {most}, half a segment, came {}", part.0.write());
            self.mistakes.add("output.part", message, None);
        }
        if output.playlist == Playlist::Vod {
            self.mistakes.add("output.part", "is for live streams: a VOD's playlist comes at the end", None);
        }
        if file.origin.is_none() {
            let hint = "add `[origin] listen = \"127.0.0.1:8080\"`, or leave `part` out".to_owned();
            self.mistakes.add("output.part", "needs an origin: only it serves with low latency", hint);
        }
    }

    /// The multivariant playlists: of the first container what viewers open, of the other one beside it.
    fn multivariants(&mut self, output: &file::Output, renditions: &[live::Rendition]) -> Vec<live::Listing> {
        let name = &output.multivariant;
        let is_needed = renditions.len() > 1;
        if !name.is_empty() {
            self.key("output.multivariant", name);
        } else if is_needed {
            let message = format!("expected a file's name, as there are {} renditions", renditions.len());
            self.mistakes.add("output.multivariant", message, None);
        }
        if name.is_empty() {
            return Vec::new();
        }
        let listing = |(n, &container): (usize, &Container)| {
            let key = if n == 0 { name.clone() } else { beside(name, formats::name(container)) };
            live::Listing { key, container }
        };
        output.format.0.iter().enumerate().map(listing).collect()
    }

    fn kind(&mut self, output: &file::Output) -> live::Kind {
        let window = output.window.unwrap_or(WINDOW);
        if !(LEAST_WINDOW..=MOST_WINDOW).contains(&window) {
            let message = format!("expected from {LEAST_WINDOW} to {MOST_WINDOW} segments, came {window}");
            self.mistakes.add("output.window", message, None);
        }
        if output.window.is_some() && output.playlist != Playlist::Live {
            self.notes.push("output.window is not used: it belongs to live playlists".into());
        }
        match output.playlist {
            Playlist::Live => live::Kind::Live { window: window as usize },
            Playlist::Event => live::Kind::Event,
            Playlist::Vod => live::Kind::Vod,
        }
    }

    pub(super) fn no_controls(&mut self, key: &str, text: &str) {
        if text.contains(char::is_control) {
            self.mistakes.add(key, format!("expected one line of plain text, came {}", quoted(text)), None);
        }
    }
}

/// The name of a playlist that lies beside the one called `name`: `index-cmaf.m3u8` beside `index.m3u8`.
pub(super) fn beside(name: &str, what: &str) -> String {
    let file = name.rfind('/').map_or(0, |slash| slash + 1);
    match name[file..].rfind('.') {
        Some(dot) => format!("{}-{what}{}", &name[..file + dot], &name[file + dot..]),
        None => format!("{name}-{what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_playlist_beside_another_keeps_its_folder_and_ending() {
        assert_eq!(beside("index.m3u8", "cmaf"), "index-cmaf.m3u8");
        assert_eq!(beside("a.b/index.m3u8", "audio-1"), "a.b/index-audio-1.m3u8");
        assert_eq!(beside("a.b/index", "ts"), "a.b/index-ts");
    }
}
