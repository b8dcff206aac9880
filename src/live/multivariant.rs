//! The multivariant playlists: one for each container.

use super::run::Run;
use super::{Kind, Listing, Options, Rendition, Role, naming};
use crate::playlist::{self, Multivariant};

/// A variant that ended so many segments before the others is offered no more.
const BEHIND: u64 = 3;

/// A multivariant playlist as it was put last.
#[derive(Debug)]
pub(super) struct Index {
    listing: Listing,
    last: Option<Multivariant>,
}

/// What has become of a multivariant playlist.
pub(super) enum Renewal {
    /// Something that it would name is not out yet.
    Waits,
    /// It says what it said.
    Same,
    /// Its new text.
    New(String),
}

impl Index {
    pub(super) const fn new(listing: Listing) -> Self {
        Self { listing, last: None }
    }

    pub(super) fn key(&self) -> &str {
        &self.listing.key
    }

    /// Looks at it again.
    pub(super) fn renew(&mut self, options: &Options, runs: &[Run]) -> Renewal {
        match list(options, runs, &self.listing) {
            None => Renewal::Waits,
            Some(listing) if listing.variants.is_empty() || self.last.as_ref() == Some(&listing) => {
                Renewal::Same
            }
            Some(listing) => {
                let text = listing.render();
                self.last = Some(listing);
                Renewal::New(text)
            }
        }
    }
}

/// Whether a playlist is among those that are offered.
fn is_offered(options: &Options, run: &Run, most_closed: u64) -> bool {
    !run.is_absent()
        && !run.is_silent()
        && (options.kind == Kind::Vod || !run.is_left_behind(most_closed, BEHIND))
}

/// Whether there is enough to tell of it.
fn is_known(run: &Run, names: &Rendition) -> bool {
    run.is_out && (names.bandwidth_bps.is_some() || run.profile.is_declared())
}

/// The variants that are offered; none while one of them, or some of its sound, cannot be told yet.
fn list(options: &Options, runs: &[Run], of: &Listing) -> Option<Multivariant> {
    let most_closed = runs.iter().map(|run| run.closed).max().unwrap_or(0);
    let all = runs.iter().zip(&options.renditions).filter(|(_, names)| names.container == of.container);
    let offered: Vec<(&Run, &Rendition)> =
        all.filter(|(run, _)| is_offered(options, run, most_closed)).collect();
    let mut listing = Multivariant { is_independent: true, ..Multivariant::default() };
    for &(run, names) in &offered {
        if !is_known(run, names) {
            // It ended before there was anything to tell of it.
            if run.is_ended { continue } else { return None }
        }
        listing.is_independent &= run.window.is_independent();
        let uri = naming::reference(&options.url_prefix, &of.key, &names.playlist);
        match &names.role {
            Role::Audio { group, name, is_default } => listing.audio.push(playlist::Rendition {
                group: group.clone(),
                name: name.clone(),
                language: run.profile.language.clone(),
                is_default: *is_default,
                is_autoselect: true,
                channels: run.profile.channels().map(|channels| channels.to_string()),
                uri: Some(uri),
            }),
            Role::Variant { audio } => {
                let group = group(&offered, audio.as_deref());
                let profiles: Vec<_> = group.iter().map(|run| &run.profile).collect();
                let mut variant = run.profile.variant(uri, names.bandwidth_bps, &profiles)?;
                variant.audio = audio.clone().filter(|_| !group.is_empty());
                listing.variants.push(variant);
            }
        }
    }
    Some(listing)
}

/// The sound in `group` that can be told of.
fn group<'a>(offered: &[(&'a Run, &Rendition)], group: Option<&str>) -> Vec<&'a Run> {
    let is_in = |names: &Rendition| match &names.role {
        Role::Audio { group: own, .. } => Some(own.as_str()) == group,
        Role::Variant { .. } => false,
    };
    let sound = offered.iter().filter(|(run, names)| is_in(names) && is_known(run, names));
    sound.map(|(run, _)| *run).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Plan, Presentation, Step, replay};
    use super::*;
    use crate::codec::{Audio, Codec, Format};

    const LIVE: Kind = Kind::Live { window: 3 };
    const TON: usize = 3;

    /// The multivariant playlist of CMAF that a plan puts.
    fn cmaf(plan: &Plan) -> Option<&str> {
        plan.into_iter().find_map(|step| match step {
            Step::PutPlaylist { key, text } if key == "cmaf.m3u8" => Some(text.as_str()),
            _ => None,
        })
    }

    #[test]
    fn each_waits_for_its_own_renditions_alone() {
        let mut presentation = Presentation::new(replay::mixed(LIVE, false));
        for rendition in [0, 1, 0, 1, 0, 1] {
            replay::segment(&mut presentation, rendition);
        }
        let snapshot = presentation.snapshot();
        assert!(snapshot.multivariant("index.m3u8").unwrap().ends_with("low/index.m3u8\n"));
        assert_eq!(snapshot.multivariant("cmaf.m3u8"), None);
        assert_eq!(cmaf(&replay::segment(&mut presentation, 2)), None, "its sound is not out");
        let formats = [Format::Audio(Audio {
            codec: Codec::Eac3,
            rfc6381: Some("ec-3".to_owned()),
            sample_rate_hz: 48_000,
            channels: 6,
            samples_per_frame: 1536,
        })];
        presentation.format(TON, &formats);
        presentation.language(TON, "de");
        let plan = replay::segment(&mut presentation, TON);
        let expected = "#EXTM3U\n#EXT-X-INDEPENDENT-SEGMENTS\n\
            #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound\",NAME=\"Ton\",LANGUAGE=\"de\",DEFAULT=YES,AUTOSELECT=YES,\
            CHANNELS=\"6\",URI=\"ton/index.m3u8\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=2000,AVERAGE-BANDWIDTH=4,AUDIO=\"sound\"\nmid/index.m3u8\n";
        assert_eq!(cmaf(&plan), Some(expected));
    }

    #[test]
    fn sound_that_never_came_is_neither_waited_for_nor_named() {
        let mut presentation = Presentation::new(replay::mixed(LIVE, false));
        presentation.end(TON);
        assert!(presentation.snapshot().is_absent(TON));
        (0..2).for_each(|rendition| drop(replay::segment(&mut presentation, rendition)));
        let plan = replay::segment(&mut presentation, 2);
        let text = cmaf(&plan).unwrap();
        assert!(!text.contains("AUDIO") && text.ends_with("mid/index.m3u8\n"), "{text}");
    }
}
