//! Fragments taken apart by hand: every length has to add up.
#![allow(dead_code)]

/// One sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    pub duration: u32,
    pub size: u32,
    pub flags: u32,
    pub offset: i32,
}

/// What a moof says of one track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traf {
    pub track_id: u32,
    pub decode: u64,
    pub samples: Vec<Sample>,
    /// Its samples' bytes, one behind the other.
    pub media: Vec<u8>,
}

impl Traf {
    /// When what follows is decoded.
    pub fn end(&self) -> u64 {
        self.decode + self.samples.iter().map(|sample| u64::from(sample.duration)).sum::<u64>()
    }
}

/// A moof, with the mdat behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    pub sequence: u32,
    pub trafs: Vec<Traf>,
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The boxes that `bytes` are.
pub fn boxes(mut bytes: &[u8]) -> Vec<(&str, &[u8])> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let len = number(&bytes[..4]) as usize;
        assert!(len >= 8 && len <= bytes.len(), "a box of {len} bytes in {}", bytes.len());
        found.push((std::str::from_utf8(&bytes[4..8]).unwrap(), &bytes[8..len]));
        bytes = &bytes[len..];
    }
    found
}

/// The fragments of a segment or a part.
pub fn fragments(bytes: &[u8]) -> Vec<Fragment> {
    let mut rest = boxes(bytes).into_iter();
    let mut found = Vec::new();
    while let Some((kind, moof)) = rest.next() {
        assert_eq!(kind, "moof");
        let Some(("mdat", media)) = rest.next() else { panic!("no mdat behind the moof") };
        found.push(fragment(moof, media));
    }
    found
}

fn fragment(moof: &[u8], media: &[u8]) -> Fragment {
    let parts = boxes(moof);
    assert_eq!(parts[0].0, "mfhd");
    let mut at = moof.len() + 8 + 8;
    let first = at;
    let mut trafs = Vec::new();
    for (kind, traf) in &parts[1..] {
        assert_eq!(*kind, "traf");
        let mut traf = self::traf(traf, at);
        let size: usize = traf.samples.iter().map(|sample| sample.size as usize).sum();
        traf.media = media[at - first..][..size].to_vec();
        at += size;
        trafs.push(traf);
    }
    assert_eq!(at - first, media.len(), "the samples are not the mdat");
    Fragment { sequence: number(&parts[0].1[4..8]) as u32, trafs }
}

fn traf(traf: &[u8], media_at: usize) -> Traf {
    let [("tfhd", tfhd), ("tfdt", tfdt), runs @ ..] = &boxes(traf)[..] else { panic!("no tfhd and tfdt") };
    let flags = number(&tfhd[1..4]);
    assert_eq!(flags & !0x28, 0x02_0000, "default-base-is-moof and defaults alone: {flags:#x}");
    let mut defaults = tfhd[8..].chunks(4).map(|field| number(field) as u32);
    let duration = if flags & 0x08 != 0 { defaults.next() } else { None };
    let sample_flags = if flags & 0x20 != 0 { defaults.next() } else { None };
    assert_eq!((tfdt[0], tfdt.len()), (1, 12), "64-bit decoding times");
    assert!(runs.len() <= 1 && defaults.next().is_none());
    let run = |(kind, run): &(&str, &[u8])| {
        assert_eq!(*kind, "trun");
        samples(run, media_at, duration, sample_flags)
    };
    let samples = runs.first().map(run).unwrap_or_default();
    Traf { track_id: number(&tfhd[4..8]) as u32, decode: number(&tfdt[4..]), samples, media: Vec::new() }
}

fn samples(run: &[u8], media_at: usize, duration: Option<u32>, flags: Option<u32>) -> Vec<Sample> {
    let has = number(&run[1..4]);
    assert_eq!((run[0], has & 1), (1, 1), "signed offsets, and where the samples begin");
    let count = number(&run[4..8]);
    let mut fields = run[8..].chunks(4).map(|field| number(field) as u32);
    assert_eq!(fields.next().unwrap() as usize, media_at);
    let mut first_flags = if has & 4 != 0 { fields.next() } else { None };
    let samples = (0..count).map(|_| {
        let mut field = |mask| if has & mask != 0 { fields.next() } else { None };
        let (own_duration, size, own_flags, offset) =
            (field(0x100), field(0x200), field(0x400), field(0x800));
        Sample {
            duration: own_duration.or(duration).unwrap(),
            size: size.unwrap(),
            flags: first_flags.take().or(own_flags).or(flags).unwrap(),
            offset: offset.unwrap_or(0) as i32,
        }
    });
    let samples: Vec<_> = samples.collect();
    assert!(!samples.is_empty() && fields.next().is_none());
    samples
}
