//! The initialization of a track: ftyp and moov.

use std::sync::Arc;

use bytes::Bytes;
use mp4_atom::{
    BufMut, Dinf, Dref, DrefEntry, Encode, Ftyp, Hdlr, Mdhd, Mdia, Minf, Mvex, Mvhd, Smhd, Stbl, Stco, Stsd,
    Tkhd, Trak, Trex, Url, Vmhd,
};

use super::entry::Entry;
use crate::codec::Format;

/// What a player reads before a track's fragments.
#[derive(Clone, Debug, PartialEq)]
pub struct Init {
    /// ftyp and moov.
    pub bytes: Bytes,
    /// Of the content: the same bytes have the same, on any machine.
    pub digest: u64,
    /// What is in it, in the order of its track_IDs.
    pub formats: Vec<Format>,
}

/// One stream of a track.
#[derive(Clone, Debug)]
pub struct Described {
    pub track_id: u32,
    pub entry: Arc<Entry>,
    /// ISO 639-2 code.
    pub language: Option<[u8; 3]>,
}

impl Init {
    /// The one for these streams. Nothing, if a parameter set is too long to be described.
    pub fn new(streams: &[Described]) -> Option<Self> {
        let mut bytes = Vec::with_capacity(1024);
        ftyp().encode(&mut bytes).ok()?;
        moov(streams, &mut bytes).ok()?;
        let formats = streams.iter().map(|stream| stream.entry.format.clone()).collect();
        Some(Self { digest: digest(&bytes), bytes: bytes.into(), formats })
    }
}

/// FNV-1a, 64 bits.
fn digest(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn ftyp() -> Ftyp {
    Ftyp {
        major_brand: b"iso6".into(),
        minor_version: 0,
        compatible_brands: vec![b"iso6".into(), b"cmfc".into(), b"mp41".into()],
    }
}

/// In the order that files have it, which is not that of the crate's own type.
fn moov(streams: &[Described], out: &mut Vec<u8>) -> mp4_atom::Result<()> {
    let next = streams.iter().map(|stream| stream.track_id).max().unwrap_or(0).saturating_add(1);
    out.encode_atom(*b"moov", |out| {
        Mvhd { next_track_id: next, rate: 1.into(), volume: 1.into(), ..Mvhd::default() }.encode(out)?;
        for stream in streams {
            trak(stream).encode(out)?;
        }
        let trex = |stream: &Described| Trex {
            track_id: stream.track_id,
            default_sample_description_index: 1,
            ..Trex::default()
        };
        Mvex { mehd: None, trex: streams.iter().map(trex).collect() }.encode(out)
    })
}

fn trak(stream: &Described) -> Trak {
    let Entry { codec, timescale, format } = &*stream.entry;
    let mut tkhd = Tkhd { track_id: stream.track_id, enabled: true, in_movie: true, ..Tkhd::default() };
    match format {
        Format::Video(video) => {
            let side = |pixels: u32| u16::try_from(pixels).unwrap_or(u16::MAX).into();
            (tkhd.width, tkhd.height) = (side(video.width), side(video.height));
        }
        Format::Audio(_) => {
            tkhd.volume = 1.into();
            tkhd.alternate_group = 1;
        }
    }
    let is_video = matches!(format, Format::Video(_));
    let language = stream.language.filter(|code| code.iter().all(u8::is_ascii_lowercase)).unwrap_or(*b"und");
    let stbl =
        Stbl { stsd: Stsd { codecs: vec![codec.clone()] }, stco: Some(Stco::default()), ..Stbl::default() };
    Trak {
        tkhd,
        mdia: Mdia {
            mdhd: Mdhd {
                timescale: *timescale,
                language: String::from_utf8_lossy(&language).into_owned(),
                ..Mdhd::default()
            },
            hdlr: Hdlr {
                handler: if is_video { b"vide" } else { b"soun" }.into(),
                name: if is_video { "video" } else { "sound" }.to_owned(),
            },
            minf: Minf {
                vmhd: is_video.then(Vmhd::default),
                smhd: (!is_video).then(Smhd::default),
                dinf: Dinf { dref: Dref { entries: vec![DrefEntry::Url(Url::default())] } },
                stbl,
                ..Minf::default()
            },
        },
        ..Trak::default()
    }
}
