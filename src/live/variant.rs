//! What a variant is declared to be: bandwidths measured from its segments, formats from its bitstream.

use std::collections::VecDeque;
use std::time::Duration;

use crate::codec::Format;
use crate::playlist::{Resolution, Variant, VideoRange};
use crate::time::Rate;
use crate::ts::Service;

/// What is known of one rendition, and what of it is declared.
#[derive(Debug, Default)]
pub(super) struct Profile {
    /// Of all its streams; empty until known.
    pub(super) formats: Vec<Format>,
    /// As timestamps show it; where none is known, the formats' own counts.
    pub(super) frame_rate: Option<Rate>,
    /// What is spoken, as BCP 47 writes it.
    pub(super) language: Option<String>,
    /// Whom its sound is for.
    pub(super) service: Service,
    pub(super) meter: Meter,
    declared: Option<Bandwidth>,
}

/// Bits per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bandwidth {
    peak_bps: u64,
    average_bps: u64,
}

impl Profile {
    /// Whether what is declared is wrong: the peak is above it, or the average is off by more than a tenth.
    pub(super) fn is_stale(&self, configured_bps: Option<u64>) -> bool {
        let (Some(measured), Some(declared)) = (self.meter.measured(), self.declared) else {
            return self.declared.is_none() && self.meter.measured().is_some();
        };
        let is_exceeded = configured_bps.is_none() && measured.peak_bps > declared.peak_bps;
        is_exceeded || measured.average_bps.abs_diff(declared.average_bps) > declared.average_bps / 10
    }

    /// Declares what is measured. The peak is never lowered, and with `has_headroom` a quarter is added to it,
    /// for what is still to come.
    pub(super) fn declare(&mut self, has_headroom: bool) {
        let Some(measured) = self.meter.measured() else { return };
        let before = self.declared.map_or(0, |declared| declared.peak_bps);
        let peak_bps = if measured.peak_bps <= before {
            before
        } else if has_headroom {
            let peak_bps = measured.peak_bps.saturating_add(measured.peak_bps / 4);
            peak_bps.checked_next_multiple_of(1000).unwrap_or(peak_bps)
        } else {
            measured.peak_bps
        };
        self.declared = Some(Bandwidth { peak_bps, average_bps: measured.average_bps });
    }

    pub(super) const fn is_declared(&self) -> bool {
        self.declared.is_some()
    }

    /// The highest bit rate so far, measured.
    pub(super) fn peak_bps(&self) -> Option<u64> {
        self.meter.measured().map(|measured| measured.peak_bps)
    }

    /// Whether it has audio of its own, and no video.
    pub(super) fn is_audio(&self) -> bool {
        !self.formats.is_empty() && self.formats.iter().all(|format| matches!(format, Format::Audio(_)))
    }

    /// CHARACTERISTICS of its audio: those of Apple's authoring specification (2.12, 2.28), which rfc8216bis §4.4.6.1
    /// takes for audio.
    pub(super) const fn characteristics(&self) -> Option<&'static str> {
        match self.service {
            Service::Main => None,
            Service::VisuallyImpaired => Some("public.accessibility.describes-video"),
            Service::HearingImpaired => Some("public.accessibility.enhances-speech-intelligibility"),
        }
    }

    /// What is put behind the name of its audio.
    pub(super) const fn suffix(&self) -> &'static str {
        match self.service {
            Service::Main => "",
            Service::VisuallyImpaired => " (audio description)",
            Service::HearingImpaired => " (clear speech)",
        }
    }

    /// Channels of its sound, where that is known.
    pub(super) fn channels(&self) -> Option<u8> {
        let channels = self.formats.iter().filter_map(|format| match format {
            Format::Audio(audio) => Some(audio.channels),
            Format::Video(_) => None,
        });
        channels.max().filter(|channels| *channels > 0)
    }

    /// The playlist entry of a variant whose sound is chosen from `group`; none while there is no bandwidth to declare.
    ///
    /// Its bandwidth and codecs are those of its own segments and of the group's: of the choices the one with the
    /// highest rate (§4.3.4.2), and the codecs of all. A configured bandwidth is that of the whole; whoever calls gives
    /// none where it is exceeded.
    pub(super) fn variant(
        &self,
        uri: String,
        configured_bps: Option<u64>,
        group: &[&Self],
    ) -> Option<Variant> {
        let highest = |rate: fn(&Bandwidth) -> u64| {
            group.iter().filter_map(|sound| sound.declared.as_ref().map(rate)).max().unwrap_or(0)
        };
        let peak_bps = self.declared.map(|own| own.peak_bps.saturating_add(highest(|rates| rates.peak_bps)));
        let bandwidth_bps = configured_bps.or(peak_bps)?;
        let average_bps =
            self.declared.map(|own| own.average_bps.saturating_add(highest(|rates| rates.average_bps)));
        let video = self.formats.iter().find_map(|format| match format {
            Format::Video(video) => Some(video),
            Format::Audio(_) => None,
        });
        let size = video.filter(|video| video.width > 0 && video.height > 0);
        Some(Variant {
            uri,
            bandwidth_bps,
            // An average above the peak makes no sense to anyone: a configured peak holds for both.
            average_bandwidth_bps: average_bps.map(|average| average.min(bandwidth_bps)),
            codecs: codecs([self].into_iter().chain(group.iter().copied())),
            resolution: size.map(|video| Resolution { width: video.width, height: video.height }),
            frame_rate: self.frame_rate.or(video.and_then(|video| video.frame_rate)),
            video_range: video.and_then(|video| VideoRange::of_transfer(video.colour?.transfer)),
            audio: None,
        })
    }
}

/// Each coding once, or none at all if one has no name or is not known yet: CODECS names everything or is left out
/// (§4.3.4.2).
fn codecs<'a>(profiles: impl Iterator<Item = &'a Profile>) -> Vec<String> {
    let mut codecs: Vec<String> = Vec::new();
    for profile in profiles {
        if profile.formats.is_empty() {
            return Vec::new();
        }
        for format in &profile.formats {
            match format.rfc6381() {
                Some(name) if codecs.iter().any(|known| known == name) => {}
                Some(name) => codecs.push(name.to_owned()),
                None => return Vec::new(),
            }
        }
    }
    codecs
}

/// Measures bit rates from segments' sizes and durations.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// The latest segments, no more than the peak's definition looks at.
    recent: VecDeque<(Duration, u64)>,
    peak_bps: u64,
    duration: Duration,
    size_bytes: u64,
}

impl Meter {
    /// The most segments that the peak looks at, however short they are.
    const RECENT: usize = 64;

    /// The peak is the highest rate of any run of segments that lasts 0.5 to 1.5 target durations (§4.1).
    pub(super) fn add(&mut self, duration: Duration, size_bytes: u64, target: Duration) {
        self.duration += duration;
        self.size_bytes = self.size_bytes.saturating_add(size_bytes);
        if self.recent.len() == Self::RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((duration, size_bytes));

        let (least, most) = (target / 2, target + target / 2);
        let mut sum = (Duration::ZERO, 0_u64);
        let mut used = 0;
        for (duration, size_bytes) in self.recent.iter().rev() {
            sum = (sum.0 + *duration, sum.1.saturating_add(*size_bytes));
            // One that is longer than it should be still has a rate.
            if sum.0 > most && used > 0 {
                break;
            }
            used += 1;
            if sum.0 >= least {
                self.peak_bps = self.peak_bps.max(rate_bps(sum.0, sum.1));
            }
        }
        self.recent.drain(..self.recent.len() - used);
    }

    /// None before the first segment that lasts.
    fn measured(&self) -> Option<Bandwidth> {
        let average_bps = rate_bps(self.duration, self.size_bytes);
        let measured = Bandwidth { peak_bps: self.peak_bps.max(average_bps), average_bps };
        (!self.duration.is_zero() && measured.peak_bps > 0).then_some(measured)
    }
}

/// Rounded up; zero for what takes no time.
fn rate_bps(duration: Duration, size_bytes: u64) -> u64 {
    let bits = u128::from(size_bytes) * 8;
    match duration.as_micros() {
        0 => 0,
        micros => u64::try_from((bits * 1_000_000).div_ceil(micros)).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Audio, Codec, Colour, Video};

    const TARGET: Duration = Duration::from_secs(4);

    fn video(name: Option<&str>) -> Format {
        Format::Video(Video {
            codec: Codec::H264,
            rfc6381: name.map(str::to_owned),
            width: 1280,
            height: 720,
            frame_rate: Rate::new(30, 1),
            is_interlaced: false,
            colour: None,
            sample_aspect: None,
        })
    }

    fn audio(name: &str) -> Format {
        Format::Audio(Audio {
            codec: Codec::AacAdts,
            rfc6381: Some(name.to_owned()),
            sample_rate_hz: 48_000,
            channels: 2,
            samples_per_frame: 1024,
        })
    }

    fn profile(segments: &[(u64, u64)]) -> Profile {
        let mut profile = Profile::default();
        for &(millis, bytes) in segments {
            profile.meter.add(Duration::from_millis(millis), bytes, TARGET);
        }
        profile
    }

    #[test]
    fn a_short_segment_is_no_peak_of_its_own() {
        // 1 s alone is less than half of the target; with its neighbour it counts.
        let measured = profile(&[(4000, 500_000), (1000, 1_000_000), (4000, 500_000)]).meter.measured();
        assert_eq!(measured, Some(Bandwidth { peak_bps: 2_400_000, average_bps: 1_777_778 }));
    }

    #[test]
    fn the_peak_is_declared_with_headroom_and_only_raised() {
        let mut profile = profile(&[(4000, 500_000)]);
        assert!(profile.is_stale(None));
        profile.declare(true);
        let declared = |profile: &Profile| profile.variant(String::new(), None, &[]).unwrap().bandwidth_bps;
        assert_eq!(declared(&profile), 1_250_000);
        profile.meter.add(TARGET, 520_000, TARGET);
        assert!(!profile.is_stale(None));
        for _ in 0..9 {
            profile.meter.add(TARGET, 400_000, TARGET);
        }
        assert!(profile.is_stale(None));
        profile.declare(true);
        assert_eq!(declared(&profile), 1_250_000);
        profile.meter.add(TARGET, 700_000, TARGET);
        assert!(profile.is_stale(None) && !profile.is_stale(Some(9)));
        profile.declare(true);
        assert_eq!(declared(&profile), 1_750_000);
    }

    #[test]
    fn a_configured_peak_wins() {
        let mut profile = profile(&[(4000, 500_000)]);
        profile.declare(true);
        let variant = profile.variant("a".to_owned(), Some(800_000), &[]).unwrap();
        assert_eq!((variant.bandwidth_bps, variant.average_bandwidth_bps), (800_000, Some(800_000)));
        assert_eq!(Profile::default().variant(String::new(), None, &[]), None);
    }

    #[test]
    fn codecs_name_everything_or_nothing() {
        let mut profile = profile(&[(4000, 500_000)]);
        profile.declare(false);
        profile.formats = vec![video(Some("avc1.64001f")), audio("mp4a.40.2"), audio("mp4a.40.2")];
        let variant = profile.variant(String::new(), None, &[]).unwrap();
        assert_eq!(variant.codecs, ["avc1.64001f", "mp4a.40.2"]);
        assert_eq!(variant.resolution, Some(Resolution { width: 1280, height: 720 }));
        profile.formats[0] = video(None);
        assert!(profile.variant(String::new(), None, &[]).unwrap().codecs.is_empty());
        profile.formats = vec![audio("mp4a.40.2")];
        assert_eq!(profile.variant(String::new(), None, &[]).unwrap().resolution, None);
    }

    #[test]
    fn a_variant_has_the_rates_and_codecs_of_its_sound() {
        let mut own = profile(&[(4000, 500_000)]);
        let (mut low, mut high) = (profile(&[(4000, 30_000)]), profile(&[(4000, 60_000)]));
        for one in [&mut own, &mut low, &mut high] {
            one.declare(false);
        }
        own.formats = vec![video(Some("avc1.64001f"))];
        low.formats = vec![audio("mp4a.40.2")];
        assert!(
            own.variant(String::new(), None, &[&low, &high]).unwrap().codecs.is_empty(),
            "one is not known"
        );
        high.formats = vec![audio("ec-3")];
        let variant = own.variant(String::new(), None, &[&low, &high]).unwrap();
        assert_eq!((variant.bandwidth_bps, variant.average_bandwidth_bps), (1_120_000, Some(1_120_000)));
        assert_eq!(variant.codecs, ["avc1.64001f", "mp4a.40.2", "ec-3"]);
        assert_eq!(own.variant(String::new(), Some(9), &[&low]).unwrap().bandwidth_bps, 9);
        assert_eq!((low.channels(), own.channels()), (Some(2), None));
    }

    #[test]
    fn a_measured_frame_rate_and_the_range_of_the_transfer_are_declared() {
        let mut profile = profile(&[(4000, 500_000)]);
        profile.declare(false);
        profile.formats = vec![video(None)];
        let variant = profile.variant(String::new(), None, &[]).unwrap();
        assert_eq!((variant.frame_rate, variant.video_range), (Rate::new(30, 1), None));
        profile.frame_rate = Rate::new(25, 1);
        let ranges =
            [(1, VideoRange::Sdr), (14, VideoRange::Sdr), (16, VideoRange::Pq), (18, VideoRange::Hlg)];
        for (transfer, range) in ranges {
            let Format::Video(mut hdr) = video(None) else { panic!() };
            hdr.colour = Some(Colour { primaries: 9, transfer, matrix: 9, is_full_range: false });
            profile.formats = vec![Format::Video(hdr)];
            let variant = profile.variant(String::new(), None, &[]).unwrap();
            assert_eq!((variant.frame_rate, variant.video_range), (Rate::new(25, 1), Some(range)));
        }
    }

    #[test]
    fn segments_without_duration_do_no_harm() {
        let mut profile = profile(&[(0, 500); 200]);
        assert!(profile.meter.recent.len() <= Meter::RECENT && !profile.is_stale(None));
        profile.declare(true);
        assert_eq!(profile.variant(String::new(), None, &[]), None);
    }
}
