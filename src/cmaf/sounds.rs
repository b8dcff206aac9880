//! A stream of sound: frames, wherever PES packets cut them, become samples.

use std::sync::Arc;

use super::anomaly::AnomalyKind;
use super::entry::Entry;
use super::fragment::{Fragment, MAX_BYTES};
use super::line::Line;
use super::sample::{Dependency, Sample};
use super::sound;
use super::substream::{Layers, Substream};
use crate::codec::frames::{Coder, Frames};
use crate::codec::latm::Mux;
use crate::codec::sound::Sound;
use crate::codec::{self, Audio, Codec, Format, aac, latm, opus};
use crate::time::Ticks;

/// Puts frames of sound into fragments.
#[derive(Debug)]
pub struct Sounds {
    frames: Frames<Ticks>,
    reader: Reader,
}

#[derive(Debug)]
struct Reader {
    format: Heard,
    line: Line,
    timeline: u64,
    /// LATM's configuration in force.
    mux: Option<Mux>,
    /// What the first access unit of E-AC-3 has besides its first frame.
    layers: Layers,
    /// Whether the last access unit is a sample, so that frames of its other substreams belong there.
    is_extensible: bool,
    troubles: Vec<AnomalyKind>,
}

/// What frames are like, as far as they have told.
#[derive(Debug, Default)]
struct Heard {
    known: Option<Sound>,
    /// Another format that the frame before showed. It takes two to make a change.
    other: Option<Sound>,
    entry: Option<Arc<Entry>>,
    is_stale: bool,
}

/// What frames go to.
#[derive(Debug)]
pub struct Target<'a> {
    pub fragment: &'a mut Fragment,
    /// When the segment begins.
    pub start: Ticks,
    pub timeline: u64,
}

impl Sounds {
    /// None for codings that fragments do not carry. `channels` are those that the PMT tells of Opus.
    pub fn new(codec: Codec, channels: Option<u8>) -> Option<Self> {
        let reader = Reader {
            format: Heard::default(),
            line: Line::new(1),
            timeline: 0,
            mux: None,
            layers: Layers::default(),
            is_extensible: false,
            troubles: Vec::new(),
        };
        Some(Self { frames: Frames::new(Coder::new(codec, channels)?), reader })
    }

    /// The newest sample entry.
    pub const fn entry(&self) -> Option<&Arc<Entry>> {
        self.reader.format.entry.as_ref()
    }

    /// What was wrong since the last call.
    pub fn troubles(&mut self) -> impl Iterator<Item = AnomalyKind> {
        self.reader.troubles.drain(..)
    }

    /// Packets are missing: so is the rest of the frame in hand.
    pub fn lose(&mut self) {
        self.frames.lose();
        self.reader.line.lose();
    }

    /// A PES packet begins; the first frame that begins in it is presented at `stamp`.
    pub fn begin(&mut self, stamp: Option<Ticks>) {
        self.frames.begin(stamp);
    }

    /// Payload of the PES packet.
    pub fn push(&mut self, payload: &[u8], target: &mut Target<'_>) {
        self.frames.push(payload);
        self.take_frames(false, target);
    }

    /// Takes what is whole, though nothing may follow it.
    pub fn end(&mut self, target: &mut Target<'_>) {
        self.take_frames(true, target);
    }

    fn take_frames(&mut self, is_end: bool, target: &mut Target<'_>) {
        let Self { frames, reader } = self;
        while let Some(frame) = frames.peek(is_end) {
            if !is_end && reader.awaits_layers(frames.bytes(), frame.sound) {
                break;
            }
            let stamp = frames.take(&frame);
            reader.take(frames.taken(&frame), frames.coder(), frame.sound, stamp, target);
        }
    }
}

impl Reader {
    /// Whether the first access unit of E-AC-3 is not all there, without which it cannot be described.
    fn awaits_layers(&mut self, bytes: &[u8], sound: Option<Sound>) -> bool {
        let is_due = self.format.entry.is_none() && sound.is_some_and(|sound| sound.codec == Codec::Eac3);
        if !is_due || Substream::of(bytes) != Substream::First {
            return false;
        }
        let layers = Layers::look(bytes);
        self.layers = layers.unwrap_or_default();
        layers.is_none()
    }

    /// Takes a whole frame.
    fn take(
        &mut self,
        frame: &[u8],
        coder: &Coder,
        sound: Option<Sound>,
        stamp: Option<Ticks>,
        target: &mut Target<'_>,
    ) {
        if std::mem::replace(&mut self.timeline, target.timeline) != target.timeline {
            self.line.restart();
        }
        if sound.is_some_and(|sound| sound.codec == Codec::Eac3) && Substream::of(frame) != Substream::First {
            return if self.is_extensible {
                extend_last(frame, target)
            };
        }
        self.is_extensible = false;
        let Some(heard) = self.hear(sound, coder) else { return };
        let samples = sound.map_or(heard.samples_per_frame, |sound| sound.samples_per_frame);
        let Some(bare) = self.bare(frame, coder) else { return self.pass(stamp, samples, target) };
        if !self.describe(heard, frame, coder, target) {
            return self.pass(stamp, samples, target);
        }
        let mut is_placed = false;
        for (n, payload) in bare.sizes.iter().enumerate() {
            let Some(at) = self.line.place(stamp.filter(|_| n == 0), samples, target.start) else { continue };
            if let Some((from, by)) = self.line.take_move() {
                target.fragment.delay(from, by);
            }
            let from = bare.sizes.iter().take(n).sum::<usize>();
            let payload = bare.bytes(frame).get(from..from + payload).unwrap_or_default();
            is_placed = true;
            put(payload, at, target.fragment);
            target.fragment.is_growing = self.layers.has_others;
            target.fragment.end = self.line.end().unwrap_or(at);
        }
        if let Coder::Opus(_) = coder
            && is_placed
            && let Some(control) = opus::control(frame)
        {
            self.line.trim(control.trims.1.min(u16::try_from(samples).unwrap_or(0)));
            target.fragment.end = self.line.end().unwrap_or(target.fragment.end);
        }
        self.is_extensible = is_placed;
    }

    /// The frame takes its time, but does not become a sample.
    fn pass(&mut self, stamp: Option<Ticks>, samples: u32, target: &Target<'_>) {
        self.line.skip(stamp, samples, target.start);
    }

    /// Takes notice of what a frame tells of the format, and gives the one in force; none, if this frame is not of it.
    fn hear(&mut self, sound: Option<Sound>, coder: &Coder) -> Option<Sound> {
        let Heard { known, other, is_stale, .. } = &mut self.format;
        let Some(mut sound) = sound else { return *known };
        if let Some(known) = known {
            if sound.channels == 0 {
                sound.channels = known.channels;
            }
            if matches!(coder, Coder::Opus(_)) {
                sound.samples_per_frame = known.samples_per_frame;
            }
        }
        if *known == Some(sound) {
            *other = None;
            return *known;
        }
        if known.is_some() && *other != Some(sound) {
            *other = Some(sound);
            return None;
        }
        *other = None;
        *known = Some(sound);
        *is_stale = true;
        *known
    }

    /// What of a frame becomes samples.
    fn bare(&mut self, frame: &[u8], coder: &Coder) -> Option<Bare> {
        match coder {
            Coder::Ac3 => Some(Bare::behind(0, frame)),
            Coder::Mpeg if !aac::is_adts(frame) => Some(Bare::behind(0, frame)),
            Coder::Opus(_) => opus::control(frame).map(|control| Bare::behind(control.len, frame)),
            Coder::Mpeg if aac::is_compound(frame) => {
                self.troubles.push(AnomalyKind::CompoundFrame);
                None
            }
            Coder::Mpeg => Some(Bare::behind(aac::header_len(frame), frame)),
            Coder::Latm => {
                let (mut bytes, mut sizes) = (Vec::with_capacity(frame.len()), Vec::with_capacity(1));
                let before = self.mux.clone();
                let read = latm::payloads(frame, &mut self.mux, &mut bytes, |size| sizes.push(size));
                self.format.is_stale |= self.mux != before;
                read.map(|()| Bare { own: Some(bytes), from: 0, sizes })
            }
        }
    }

    /// Sees to it that the fragment's samples are described. Whether this frame is of their kind.
    fn describe(&mut self, heard: Sound, frame: &[u8], coder: &Coder, target: &mut Target<'_>) -> bool {
        if self.format.entry.is_none() || self.format.is_stale {
            let Some(entry) = self.new_entry(heard, frame, coder) else {
                self.troubles.push(AnomalyKind::ConfigurationAbsent);
                return false;
            };
            self.format.is_stale = false;
            if self.format.entry.as_deref() != Some(&entry) {
                if self.format.entry.as_ref().is_none_or(|known| known.timescale != entry.timescale) {
                    self.line = self.line.at_rate(entry.timescale);
                }
                self.format.entry = Some(Arc::new(entry));
            }
        }
        let entry = self.format.entry.as_ref();
        if target.fragment.entry.is_none() {
            target.fragment.entry = entry.cloned();
        }
        let fixed = target.fragment.entry.as_ref();
        let is_same = entry.zip(fixed).is_some_and(|(entry, fixed)| Arc::ptr_eq(entry, fixed));
        if !is_same {
            self.troubles.push(AnomalyKind::LateFormat);
        }
        is_same
    }

    fn new_entry(&self, heard: Sound, frame: &[u8], coder: &Coder) -> Option<Entry> {
        let format = heard.format();
        let Format::Audio(audio) = &format else { return None };
        let codec = self.sample_entry(audio, frame, coder)?;
        Some(Entry { codec, timescale: audio.sample_rate_hz, format })
    }

    fn sample_entry(&self, audio: &Audio, frame: &[u8], coder: &Coder) -> Option<mp4_atom::Codec> {
        match coder {
            Coder::Mpeg if !aac::is_adts(frame) => Some(sound::mpeg(audio)),
            Coder::Mpeg => aac::audio_specific_config(frame).map(|config| sound::aac(audio, config)),
            Coder::Latm => self.mux.as_ref().map(|mux| sound::aac(audio, mux.config.clone())),
            Coder::Ac3 if audio.codec == codec::Codec::Eac3 => sound::eac3(audio, frame, self.layers),
            Coder::Ac3 => sound::ac3(audio, frame),
            Coder::Opus(_) => sound::opus(audio, opus::control(frame)?.trims.0),
        }
    }
}

/// What of a frame becomes samples: bytes of its own or of the frame, and their sizes.
#[derive(Debug)]
struct Bare {
    own: Option<Vec<u8>>,
    from: usize,
    sizes: Vec<usize>,
}

impl Bare {
    fn behind(header: usize, frame: &[u8]) -> Self {
        Self { own: None, from: header, sizes: vec![frame.len().saturating_sub(header)] }
    }

    fn bytes<'a>(&'a self, frame: &'a [u8]) -> &'a [u8] {
        self.own.as_deref().unwrap_or(frame).get(self.from..).unwrap_or_default()
    }
}

fn put(payload: &[u8], decode: i64, fragment: &mut Fragment) {
    if payload.is_empty() || fragment.media.len() > MAX_BYTES {
        return;
    }
    fragment.prepare();
    fragment.media.extend_from_slice(payload);
    fragment.samples.push(Sample {
        decode,
        offset: 0,
        size_bytes: payload.len() as u32,
        dependency: Dependency::ALONE,
        is_unstamped: false,
    });
}

/// Adds a frame to the sample before it.
fn extend_last(frame: &[u8], target: &mut Target<'_>) {
    if let Some(last) = target.fragment.samples.last_mut() {
        last.size_bytes += frame.len() as u32;
        target.fragment.media.extend_from_slice(frame);
    }
}

#[cfg(test)]
mod tests {
    use super::super::substream::DEPENDENT;
    use super::*;
    use crate::codec::aac::Adts;
    use crate::codec::ac3::Ac3;
    use crate::codec::sound::{Coding, Look};

    const STEREO: &[u8] = include_bytes!("../../testdata/codec/stereo.aac");
    const LATM: &[u8] = include_bytes!("../../testdata/codec/stereo.latm");

    /// Samples of PES packets with these payloads, each told to be presented at its second.
    fn samples(codec: Codec, payloads: &[&[u8]], is_lost: bool) -> (Fragment, Vec<AnomalyKind>) {
        let (mut sounds, mut fragment) = (Sounds::new(codec, None).unwrap(), Fragment::default());
        let start = Ticks::new(Ticks::PER_SECOND);
        for (n, payload) in (1..).zip(payloads) {
            if is_lost && n > 1 {
                sounds.lose();
            }
            sounds.begin(Some(Ticks::new(n * Ticks::PER_SECOND)));
            for piece in payload.chunks(184) {
                sounds.push(piece, &mut Target { fragment: &mut fragment, start, timeline: 0 });
            }
        }
        sounds.end(&mut Target { fragment: &mut fragment, start, timeline: 0 });
        let troubles = sounds.troubles().collect();
        (fragment, troubles)
    }

    fn frames(mut stream: &[u8]) -> Vec<&[u8]> {
        let mut frames = Vec::new();
        while let Look::Frame(len, _) = Adts.look(stream) {
            let (frame, rest) = stream.split_at(len.min(stream.len()));
            frames.push(frame);
            stream = rest;
        }
        frames
    }

    #[test]
    fn a_sample_is_a_frame_without_its_header() {
        let (fragment, troubles) = samples(Codec::AacAdts, &[STEREO], false);
        let bare: Vec<u8> = frames(STEREO).iter().flat_map(|frame| frame[7..].iter().copied()).collect();
        assert!(fragment.media == bare && troubles.is_empty());
        assert_eq!(fragment.samples.len(), frames(STEREO).len());
        assert_eq!(fragment.samples[0].decode, 48_000);
        assert!(fragment.samples.windows(2).all(|pair| pair[1].decode - pair[0].decode == 1024));
    }

    #[test]
    fn a_frame_may_lie_in_two_pes_packets() {
        let cut = frames(STEREO)[0].len() + 20;
        let (head, tail) = STEREO.split_at(cut);
        let (fragment, _) = samples(Codec::AacAdts, &[head, tail], false);
        assert_eq!(fragment.samples.len(), frames(STEREO).len());
        // The timestamp is that of the first frame that begins in the packet.
        assert_eq!([fragment.samples[1].decode, fragment.samples[2].decode], [48_000 + 1024, 96_000]);
    }

    #[test]
    fn what_is_lost_takes_one_frame_with_it() {
        let cut = frames(STEREO)[0].len() + 20;
        let tail = &STEREO[cut + 5..];
        let (fragment, _) = samples(Codec::AacAdts, &[&STEREO[..cut], tail], true);
        assert_eq!(fragment.samples.len(), frames(STEREO).len() - 1);
    }

    #[test]
    fn adts_under_the_stream_type_of_mpeg_audio_is_aac() {
        let (fragment, troubles) = samples(Codec::MpegAudio, &[STEREO], false);
        let (expected, _) = samples(Codec::AacAdts, &[STEREO], false);
        assert!(troubles.is_empty() && fragment.media == expected.media);
        assert_eq!(fragment.entry.unwrap().codec, expected.entry.unwrap().codec);
    }

    #[test]
    fn latm_becomes_what_adts_is() {
        let (fragment, troubles) = samples(Codec::AacLatm, &[LATM], false);
        assert!(troubles.is_empty() && fragment.samples.len() > 20);
        let Some(mp4_atom::Codec::Mp4a(entry)) = fragment.entry.as_ref().map(|entry| entry.codec.clone())
        else {
            panic!("{:?}", fragment.entry)
        };
        let config = entry.esds.es_desc.dec_config.dec_specific.map(|specific| specific.raw);
        assert_eq!(config, Some(vec![0x11, 0x90]));
    }

    #[test]
    fn dependent_substreams_are_in_the_sample_and_in_its_description() {
        const SURROUND: &[u8] = include_bytes!("../../testdata/codec/surround.eac3");
        let Look::Frame(len, _) = Ac3.look(SURROUND) else { panic!("no frame") };
        let units: Vec<_> = SURROUND.chunks_exact(len).map(|frame| [frame, &DEPENDENT].concat()).collect();
        let payloads: Vec<_> = units.iter().map(Vec::as_slice).collect();
        let (fragment, troubles) = samples(Codec::Eac3, &payloads, false);
        assert_eq!(troubles, []);
        assert_eq!(fragment.samples.len(), units.len());
        assert_eq!(fragment.samples[0].decode, 48_000);
        assert!(fragment.samples.iter().all(|sample| sample.size_bytes as usize == len + DEPENDENT.len()));
        assert!(fragment.media == units.concat() && fragment.is_growing);
        let Some(mp4_atom::Codec::Eac3(entry)) = fragment.entry.as_ref().map(|entry| entry.codec.clone())
        else {
            panic!("{:?}", fragment.entry)
        };
        let [substream] = &entry.dec3.substreams[..] else { panic!("{:?}", entry.dec3) };
        assert_eq!((substream.num_dep_sub, substream.chan_loc), (1, Some(2)));
    }

    #[test]
    fn a_lone_frame_of_another_format_is_left_out() {
        let mut odd = frames(STEREO)[0].to_vec();
        odd[2] = odd[2] & !0x3c | 4 << 2;
        let (fragment, _) = samples(Codec::AacAdts, &[STEREO, &odd, STEREO], false);
        assert_eq!(fragment.samples.len(), 2 * frames(STEREO).len());
        assert_eq!(fragment.entry.map(|entry| entry.timescale), Some(48_000));
    }
}
