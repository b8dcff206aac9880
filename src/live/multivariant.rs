//! The multivariant playlists: one for each container.

use std::collections::BTreeSet;

use super::run::Run;
use super::{Kind, Listing, Options, Rendition, Role, naming};
use crate::playlist::{self, Multivariant, Variant};

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
    run.is_out && (configured_bps(run, names).is_some() || run.profile.is_declared())
}

/// The bandwidth that is configured for it and that it keeps to.
pub(super) fn configured_bps(run: &Run, names: &Rendition) -> Option<u64> {
    names.bandwidth_bps.filter(|_| !run.is_exceeded)
}

/// The highest bit rate of a variant so far, with the audio that goes with it; none of audio by itself.
pub(super) fn peak_bps(options: &Options, runs: &[Run], rendition: usize) -> Option<u64> {
    let names = &options.renditions[rendition];
    let Role::Variant { audio } = &names.role else { return None };
    let is_its = |other: &Rendition| match &other.role {
        Role::Audio { group, .. } => Some(group) == audio.as_ref() && other.container == names.container,
        Role::Variant { .. } => false,
    };
    let sound = runs.iter().zip(&options.renditions).filter(|(_, other)| is_its(other));
    let sound_bps = sound.filter_map(|(run, _)| run.profile.peak_bps()).max().unwrap_or(0);
    Some(runs[rendition].profile.peak_bps()?.saturating_add(sound_bps))
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
            Role::Audio { group, name, is_default } => {
                let entry = sound(run, group, name, *is_default);
                listing.audio.push(playlist::Rendition { uri: Some(uri), ..entry });
            }
            Role::Variant { audio } => {
                let sounds = group(&offered, audio.as_deref());
                let profiles: Vec<_> = sounds.iter().map(|run| &run.profile).collect();
                let mut variant = run.profile.variant(uri, configured_bps(run, names), &profiles)?;
                variant.audio = audio.clone().filter(|_| !sounds.is_empty());
                if let Some(group) = variant.audio.as_ref().filter(|_| run.profile.is_audio()) {
                    add_own(&mut listing.audio, sound(run, group, FIRST, true));
                }
                listing.variants.push(variant);
            }
        }
    }
    let silent = runs.iter().zip(&options.renditions).filter(|(run, _)| run.is_silent());
    for (_, names) in silent.filter(|(_, names)| names.container == of.container) {
        if listing.variants.is_empty()
            && let Role::Variant { audio: Some(audio) } = &names.role
        {
            listing.variants.extend(audio_alone(options, of, &offered, audio));
        }
    }
    choose_defaults(&mut listing.audio);
    Some(listing)
}

/// The variant of a group whose video has not come: its first audio.
fn audio_alone(
    options: &Options,
    of: &Listing,
    offered: &[(&Run, &Rendition)],
    audio: &str,
) -> Option<Variant> {
    let is_in = |names: &Rendition| matches!(&names.role, Role::Audio { group, .. } if group == audio);
    let (run, names) = offered.iter().find(|(run, names)| is_in(names) && is_known(run, names))?;
    let others: Vec<_> = group(offered, Some(audio)).iter().skip(1).map(|run| &run.profile).collect();
    let uri = naming::reference(&options.url_prefix, &of.key, &names.playlist);
    let mut variant = run.profile.variant(uri, configured_bps(run, names), &others)?;
    variant.audio = Some(audio.to_owned());
    Some(variant)
}

/// The name of a variant's own audio among others.
const FIRST: &str = "Audio 1";

/// An entry of a group of audio; where it is, is not told yet.
fn sound(run: &Run, group: &str, name: &str, is_default: bool) -> playlist::Rendition {
    playlist::Rendition {
        group: group.to_owned(),
        name: format!("{name}{}", run.profile.suffix()),
        language: run.profile.language.clone(),
        is_default,
        is_autoselect: true,
        channels: run.profile.channels().map(|channels| channels.to_string()),
        characteristics: run.profile.characteristics().map(str::to_owned),
        uri: None,
    }
}

/// Adds a variant's own audio to the choices in its group, as the first: without URI, for it is in the variant's own
/// playlist (§4.3.4.2.1). Variants of one group have it in common.
fn add_own(audio: &mut Vec<playlist::Rendition>, own: playlist::Rendition) {
    let is_in = |entry: &playlist::Rendition| entry.group == own.group;
    if audio.iter().any(|entry| is_in(entry) && entry.uri.is_none()) {
        return;
    }
    let at = audio.iter().position(is_in).unwrap_or(audio.len());
    audio.insert(at, own);
}

/// Of each group one is the default: the first that is for everybody, where there is one. Names are distinct.
fn choose_defaults(audio: &mut [playlist::Rendition]) {
    for at in 0..audio.len() {
        let group = audio[at].group.clone();
        let is_in = |entry: &&playlist::Rendition| entry.group == group;
        if audio[..at].iter().any(|entry| is_in(&entry)) {
            continue;
        }
        let score = |entry: &playlist::Rendition| {
            let is_described = entry.characteristics.as_deref().is_some_and(|uti| uti.contains("describes"));
            (!is_described, entry.characteristics.is_none(), entry.uri.is_none(), entry.is_default)
        };
        let members: Vec<usize> = (0..audio.len()).filter(|place| is_in(&&audio[*place])).collect();
        // The earliest of the best.
        let default = members.iter().copied().rev().max_by_key(|place| score(&audio[*place]));
        let names: BTreeSet<String> = members.iter().map(|place| audio[*place].name.clone()).collect();
        let are_distinct = names.len() == members.len();
        for (n, place) in members.into_iter().enumerate() {
            audio[place].is_default = Some(place) == default;
            if !are_distinct {
                let name = &audio[place].name;
                let suffix = name.find(" (").map_or("", |at| &name[at..]);
                audio[place].name = format!("Audio {}{suffix}", n + 1);
            }
        }
    }
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
    use super::super::{Anomaly, Plan, Presentation, Step, replay};
    use super::*;
    use crate::codec::{Audio, Codec, Format};
    use crate::segment::{Extent, Head};
    use crate::time::Ticks;
    use crate::ts::Service;
    use std::time::Duration;

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

    fn audio(codec: Codec) -> Format {
        Format::Audio(Audio {
            codec,
            rfc6381: Some("mp4a.40.2".to_owned()),
            sample_rate_hz: 48_000,
            channels: 2,
            samples_per_frame: 1024,
        })
    }

    /// One multivariant playlist of a variant, the third of `mixed`, and two of audio.
    fn two_sounds(is_default: [bool; 2]) -> Options {
        let mut options = replay::mixed(Kind::Vod, false);
        options.renditions.drain(..2);
        options.multivariants.remove(0);
        options.renditions.push(Rendition {
            name: "more".to_owned(),
            playlist: "more/index.m3u8".to_owned(),
            segment_prefix: "more/".to_owned(),
            ..options.renditions[1].clone()
        });
        let names = ["Audio 1", "Audio 2"];
        for ((rendition, name), is_default) in options.renditions[1..].iter_mut().zip(names).zip(is_default) {
            rendition.role = Role::Audio { group: "sound".to_owned(), name: name.to_owned(), is_default };
        }
        options
    }

    fn finished(presentation: &mut Presentation, renditions: std::ops::Range<usize>) -> String {
        renditions.clone().for_each(|rendition| drop(replay::segment(presentation, rendition)));
        renditions.for_each(|rendition| drop(presentation.end(rendition)));
        presentation.snapshot().multivariant("cmaf.m3u8").unwrap().to_owned()
    }

    #[test]
    fn audio_of_its_own_is_a_choice_without_uri_and_the_default() {
        let mut options = two_sounds([true, false]);
        options.renditions.pop();
        let mut presentation = Presentation::new(options);
        for (rendition, language) in ["en", "fr"].into_iter().enumerate() {
            presentation.format(rendition, &[audio(Codec::AacAdts)]);
            presentation.language(rendition, language);
        }
        let text = finished(&mut presentation, 0..2);
        let media: Vec<&str> = text.lines().filter(|line| line.starts_with("#EXT-X-MEDIA")).collect();
        assert_eq!(
            media,
            [
                "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound\",NAME=\"Audio 1\",LANGUAGE=\"en\",DEFAULT=YES,\
                 AUTOSELECT=YES,CHANNELS=\"2\"",
                "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound\",NAME=\"Audio 2\",LANGUAGE=\"fr\",DEFAULT=NO,\
                 AUTOSELECT=YES,CHANNELS=\"2\",URI=\"ton/index.m3u8\"",
            ]
        );
    }

    #[test]
    fn audio_for_some_says_so_and_is_not_the_default() {
        let mut presentation = Presentation::new(two_sounds([true, false]));
        presentation.service(1, Service::VisuallyImpaired);
        let text = finished(&mut presentation, 0..3);
        assert!(text.contains(
            "NAME=\"Audio 1 (audio description)\",DEFAULT=NO,AUTOSELECT=YES,\
             CHARACTERISTICS=\"public.accessibility.describes-video\",URI"
        ));
        assert!(text.contains("NAME=\"Audio 2\",DEFAULT=YES,AUTOSELECT=YES,URI"), "{text}");
    }

    #[test]
    fn a_configured_bandwidth_is_a_minimum_and_one_warning_says_that_it_is_exceeded() {
        let mut options = replay::options(LIVE, &["high"]);
        options.renditions[0].bandwidth_bps = Some(2500);
        let mut presentation = Presentation::new(options);
        let bandwidth = |presentation: &Presentation| {
            let snapshot = presentation.snapshot();
            let text = snapshot.multivariant("index.m3u8").unwrap();
            Multivariant::parse(text).unwrap().variants[0].bandwidth_bps
        };
        let mut put = |size_bytes| {
            let extent = replay::sized(size_bytes);
            let plan = presentation.close(0, &extent);
            (plan.anomalies().to_vec(), bandwidth(&presentation))
        };
        assert_eq!(put(1000), (vec![], 2500));
        let (anomalies, declared) = put(2000);
        let exceeded = Anomaly::BandwidthExceeded { rendition: 0, measured_bps: 4000, configured_bps: 2500 };
        assert_eq!(anomalies, [exceeded]);
        assert!(declared >= 4000, "{declared}");
        let (anomalies, declared) = put(5000);
        assert!(anomalies.is_empty() && declared >= 10_000, "{declared}");
    }

    #[test]
    fn audio_alone_is_the_variant_while_video_has_not_come() {
        let mut presentation = Presentation::new(replay::mixed(LIVE, false));
        (0..2).for_each(|rendition| drop(replay::segment(&mut presentation, rendition)));
        let four = Duration::from_secs(4);
        let start = Ticks::ZERO;
        let head = Head { start, decode_start: start, is_discontinuity: false, is_independent: true };
        let extent = Extent { head, duration: four, size_bytes: 0, longest: four, decode_end: start };
        presentation.gap(2, &extent, true);
        let plan = replay::segment(&mut presentation, TON);
        let text = cmaf(&plan).unwrap();
        assert!(
            text.contains("URI=\"ton/index.m3u8\"") && text.ends_with("AUDIO=\"sound\"\nton/index.m3u8\n"),
            "{text}"
        );
        let plan = replay::segment_at(&mut presentation, 2, 4);
        let text = cmaf(&plan).unwrap();
        assert!(text.ends_with("AUDIO=\"sound\"\nmid/index.m3u8\n"), "{text}");
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
