//! The multivariant playlist, "master playlist" in RFC 8216 §4.3.4.

use std::fmt::{self, Write};

use super::line::{self, Line};
use super::{Error, Rendition, attribute, uri};
use crate::time::Rate;

/// The variants of one presentation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Multivariant {
    /// Whether each segment of each variant can be decoded without any other (§4.3.5.1).
    pub is_independent: bool,
    /// Sound that is not in the variants' own playlists.
    pub audio: Vec<Rendition>,
    /// In order; players begin with the first where nothing speaks for another.
    pub variants: Vec<Variant>,
}

/// An EXT-X-STREAM-INF entry (§4.3.4.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variant {
    /// Where its media playlist is, absolute or from this playlist.
    pub uri: String,
    /// Peak segment bits per second.
    pub bandwidth_bps: u64,
    /// Average segment bits per second.
    pub average_bandwidth_bps: Option<u64>,
    /// The coding of everything in it, as RFC 6381 writes it; empty if not all of it is known.
    pub codecs: Vec<String>,
    /// The size of its pictures.
    pub resolution: Option<Resolution>,
    /// The most pictures a second, in thousandths when written.
    pub frame_rate: Option<Rate>,
    /// How bright its pictures may be; SDR where nothing is said.
    pub video_range: Option<VideoRange>,
    /// The group of renditions that its sound is chosen from.
    pub audio: Option<String>,
}

/// VIDEO-RANGE (rfc8216bis §4.4.6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoRange {
    /// Standard dynamic range.
    Sdr,
    /// Hybrid Log-Gamma.
    Hlg,
    /// Perceptual Quantizer.
    Pq,
}

impl VideoRange {
    const ALL: [(Self, &'static str); 3] = [(Self::Sdr, "SDR"), (Self::Hlg, "HLG"), (Self::Pq, "PQ")];

    /// That of transfer characteristics (ITU-T H.273 table 3); none where they are unspecified or other ones.
    pub const fn of_transfer(transfer_characteristics: u8) -> Option<Self> {
        match transfer_characteristics {
            1 | 6 | 13 | 14 | 15 => Some(Self::Sdr),
            16 => Some(Self::Pq),
            18 => Some(Self::Hlg),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(range, _)| *range == self).map_or("SDR", |(_, name)| *name)
    }

    fn read(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name)| *name == text).map(|(range, _)| *range)
    }
}

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

impl Multivariant {
    /// As text, each line ended by a line feed. There is no EXT-X-VERSION: nothing in it asks for more than 1,
    /// which is what its absence means (§7).
    pub fn render(&self) -> String {
        let mut out = String::with_capacity(64 + self.variants.len() * 160);
        out.push_str("#EXTM3U\n");
        if self.is_independent {
            out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
        // Writing to a String cannot fail.
        let _ = self.audio.iter().try_for_each(|rendition| rendition.write(&mut out));
        let _ = self.variants.iter().try_for_each(|variant| variant.write(&mut out));
        out
    }

    /// Reads a multivariant playlist; tags and attributes it does not know are passed over.
    ///
    /// # Errors
    /// If it is no playlist, a media playlist, or a known attribute's value cannot be read.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut all = Self::default();
        let mut next: Option<Variant> = None;
        for (at, line) in line::lines(text)? {
            match line {
                Line::Tag("#EXT-X-STREAM-INF", value) => next = Some(Variant::read(at, value)?),
                Line::Tag("#EXT-X-MEDIA", value) => all.audio.extend(Rendition::read(at, value)?),
                Line::Tag("#EXT-X-INDEPENDENT-SEGMENTS", _) => all.is_independent = true,
                Line::Tag(name @ ("#EXTINF" | "#EXT-X-TARGETDURATION"), _) => {
                    return Err(Error::new(at, "a multivariant playlist, not a media playlist", name));
                }
                Line::Tag(..) => {}
                Line::Uri(uri) => {
                    let missing = || Error::new(at, "#EXT-X-STREAM-INF before a variant", uri);
                    let variant = next.take().ok_or_else(missing)?;
                    all.variants.push(Variant { uri: uri.to_owned(), ..variant });
                }
            }
        }
        Ok(all)
    }
}

impl Variant {
    fn write(&self, out: &mut String) -> fmt::Result {
        write!(out, "#EXT-X-STREAM-INF:BANDWIDTH={}", self.bandwidth_bps)?;
        if let Some(average) = self.average_bandwidth_bps {
            write!(out, ",AVERAGE-BANDWIDTH={average}")?;
        }
        if !self.codecs.is_empty() {
            write!(out, ",CODECS={}", attribute::quoted(&self.codecs.join(",")))?;
        }
        if let Some(Resolution { width, height }) = self.resolution {
            write!(out, ",RESOLUTION={width}x{height}")?;
        }
        if let Some(rate) = self.frame_rate {
            write!(out, ",FRAME-RATE={:.3}", rate.per_second())?;
        }
        if let Some(range) = self.video_range {
            write!(out, ",VIDEO-RANGE={}", range.name())?;
        }
        if let Some(group) = &self.audio {
            write!(out, ",AUDIO={}", attribute::quoted(group))?;
        }
        writeln!(out, "\n{}", uri::escape(&self.uri))
    }

    fn read(at: usize, list: &str) -> Result<Self, Error> {
        let mut variant = Self::default();
        let mut has_bandwidth = false;
        for attribute::Pair { name, value, .. } in attribute::parse(at, list)? {
            match name {
                "BANDWIDTH" => {
                    variant.bandwidth_bps = line::integer(at, value)?;
                    has_bandwidth = true;
                }
                "AVERAGE-BANDWIDTH" => variant.average_bandwidth_bps = Some(line::integer(at, value)?),
                "CODECS" => {
                    let value = attribute::plain(value);
                    let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
                    variant.codecs = names.map(str::to_owned).collect();
                }
                "AUDIO" => variant.audio = Some(attribute::plain(value)),
                "RESOLUTION" => {
                    let wrong = || Error::new(at, "a resolution such as 1280x720", value);
                    variant.resolution = Some(Resolution::read(value).ok_or_else(wrong)?);
                }
                "FRAME-RATE" => {
                    let per_mille = u32::try_from(line::seconds(at, value)?.as_millis()).ok();
                    variant.frame_rate = per_mille.and_then(|rate| Rate::new(rate, 1000));
                }
                "VIDEO-RANGE" => variant.video_range = VideoRange::read(value),
                _ => {}
            }
        }
        has_bandwidth.then_some(variant).ok_or_else(|| Error::new(at, "a BANDWIDTH attribute", list))
    }
}

impl Resolution {
    fn read(text: &str) -> Option<Self> {
        let (width, height) = text.split_once(['x', 'X'])?;
        Some(Self { width: width.parse().ok()?, height: height.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn codecs_hold_nothing_that_cannot_be_written() {
        let text = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"\u{1}, \u{2}a\",CODECS=a\"\na.m3u8\n";
        assert_eq!(Multivariant::parse(text).unwrap().variants[0].codecs, ["a"]);
    }

    fn sample() -> Multivariant {
        Multivariant {
            is_independent: true,
            audio: vec![
                Rendition {
                    group: "sound".to_owned(),
                    name: "Deutsch".to_owned(),
                    language: Some("de".to_owned()),
                    is_default: true,
                    is_autoselect: true,
                    channels: Some("2".to_owned()),
                    characteristics: Some("public.accessibility.describes-video".to_owned()),
                    uri: Some("ton/index.m3u8".to_owned()),
                },
                Rendition { group: "sound".to_owned(), name: "\"x".to_owned(), ..Rendition::default() },
            ],
            variants: vec![
                Variant {
                    uri: "720p/index.m3u8".to_owned(),
                    bandwidth_bps: 3_500_000,
                    average_bandwidth_bps: Some(2_900_000),
                    codecs: vec!["avc1.64001f".to_owned(), "mp4a.40.2".to_owned()],
                    resolution: Some(Resolution { width: 1280, height: 720 }),
                    frame_rate: Rate::new(30_000, 1001),
                    video_range: Some(VideoRange::Pq),
                    audio: Some("sound".to_owned()),
                },
                Variant { uri: "ton spur.m3u8".to_owned(), bandwidth_bps: 64_000, ..Variant::default() },
            ],
        }
    }

    #[test]
    fn a_whole_playlist_is_written() {
        let text = "#EXTM3U\n#EXT-X-INDEPENDENT-SEGMENTS\n\
            #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound\",NAME=\"Deutsch\",LANGUAGE=\"de\",DEFAULT=YES,AUTOSELECT=YES,\
            CHANNELS=\"2\",CHARACTERISTICS=\"public.accessibility.describes-video\",URI=\"ton/index.m3u8\"\n\
            #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound\",NAME=\"x\",DEFAULT=NO,AUTOSELECT=NO\n\
            #EXT-X-STREAM-INF:BANDWIDTH=3500000,AVERAGE-BANDWIDTH=2900000,CODECS=\"avc1.64001f,mp4a.40.2\",\
            RESOLUTION=1280x720,FRAME-RATE=29.970,VIDEO-RANGE=PQ,AUDIO=\"sound\"\n720p/index.m3u8\n\
            #EXT-X-STREAM-INF:BANDWIDTH=64000\nton%20spur.m3u8\n";
        assert_eq!(sample().render(), text);
    }

    #[test]
    fn an_independent_reader_agrees() {
        let ours = sample();
        let text = ours.render();
        let theirs = m3u8_rs::parse_master_playlist_res(text.as_bytes()).unwrap();
        assert!(theirs.independent_segments);
        let first = &theirs.variants[0];
        assert_eq!(first.uri, "720p/index.m3u8");
        assert_eq!(first.bandwidth, 3_500_000);
        assert_eq!(first.average_bandwidth, Some(2_900_000));
        assert_eq!(first.codecs.as_deref(), Some("avc1.64001f,mp4a.40.2"));
        assert_eq!(first.resolution.map(|size| (size.width, size.height)), Some((1280, 720)));
        assert_eq!(first.frame_rate, Some(29.97));
        assert_eq!(first.audio.as_deref(), Some("sound"));
        assert_eq!(theirs.variants[1].bandwidth, 64_000);
        let sound = &theirs.alternatives[0];
        assert_eq!((sound.group_id.as_str(), sound.name.as_str()), ("sound", "Deutsch"));
        assert_eq!((sound.language.as_deref(), sound.channels.as_deref()), (Some("de"), Some("2")));
        assert_eq!(
            (sound.uri.as_deref(), sound.default, sound.autoselect),
            (Some("ton/index.m3u8"), true, true)
        );
    }

    #[test]
    fn errors_name_the_line_and_what_was_expected() {
        let error = |text| Multivariant::parse(text).unwrap_err().to_string();
        assert!(error("#EXTM3U\n#EXT-X-STREAM-INF:CODECS=\"a\"").starts_with("line 2: expected a BANDWIDTH"));
        assert!(error("#EXTM3U\nx.m3u8").contains("#EXT-X-STREAM-INF before a variant"));
        assert!(error("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=9").contains("1280x720"));
        assert!(error("#EXTM3U\n#EXTINF:1,").contains("not a media playlist"));
    }

    prop_compose! {
        fn variants()(
            uri in "[a-z0-9/._~-]([a-zA-Z0-9/._~%?#:@!$&'()*+,;=-]{0,20})",
            bandwidth_bps: u64,
            average_bandwidth_bps: Option<u64>,
            codecs in proptest::collection::vec("[a-z0-9.]{1,12}", 0..3),
            size: Option<(u32, u32)>,
            per_mille in proptest::option::of(1..1_000_000_u32),
            transfer in 0..20_u8,
            audio in proptest::option::of("[a-z]{1,8}"),
        ) -> Variant {
            let resolution = size.map(|(width, height)| Resolution { width, height });
            let frame_rate = per_mille.and_then(|rate| Rate::new(rate, 1000));
            let video_range = VideoRange::of_transfer(transfer);
            Variant {
                uri,
                bandwidth_bps,
                average_bandwidth_bps,
                codecs,
                resolution,
                frame_rate,
                video_range,
                audio,
            }
        }
    }

    prop_compose! {
        fn sound()(
            group in "[a-z]{0,8}",
            name in "[a-zA-Zé,]{0,8}",
            language in proptest::option::of("[a-z]{2}"),
            is_default: bool,
            is_autoselect: bool,
            channels in proptest::option::of("[0-9]{1,2}(/JOC)?"),
            characteristics in proptest::option::of("[a-z.,-]{1,20}"),
            uri in proptest::option::of("[a-z0-9/.]{1,12}"),
        ) -> Rendition {
            let is_autoselect = is_autoselect || is_default;
            Rendition { group, name, language, is_default, is_autoselect, channels, characteristics, uri }
        }
    }

    proptest! {
        #[test]
        fn playlists_come_back(
            is_independent: bool,
            audio in proptest::collection::vec(sound(), 0..4),
            variants in proptest::collection::vec(variants(), 0..5),
        ) {
            let all = Multivariant { is_independent, audio, variants };
            prop_assert_eq!(Multivariant::parse(&all.render()), Ok(all));
        }

        #[test]
        fn any_text_is_survived(text in "\\PC*", list in "[A-Zx0-9=,\"-]{0,40}") {
            let _ = Multivariant::parse(&text);
            let _ = Multivariant::parse(&format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,{list}\na"));
            let _ = Multivariant::parse(&format!("#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,{list}"));
        }
    }
}
