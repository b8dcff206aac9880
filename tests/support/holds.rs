//! What must hold whatever the bytes: for the fuzz targets, and for the tests that replay what they found.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use segcast::cmaf::{self, Fragmenter, Layout};
use segcast::codec::{AccessUnit, Codec, Examiner, Format};
use segcast::playlist::{Media, Multivariant};
use segcast::segment::{Cutter, Event as CutEvent, OnMissingRandomAccess, Options};
use segcast::ts::section::{Gathered, Gatherer, MAX_SECTION_LEN, crc32};
#[path = "boxes.rs"]
pub mod boxes;

use segcast::ts::{self, Demuxer, Event, PACKET_LEN, Packet, Pat, Pid, Program, Selection, packets, pes};

/// The same bytes cut into chunks by a hash of their tail.
fn chunks(stream: &Bytes) -> impl Iterator<Item = Bytes> {
    let mut dice = Dice::new(stream);
    let mut rest = stream.clone();
    let most = [3, 188, 400, 5000][dice.below(4)];
    std::iter::from_fn(move || {
        (!rest.is_empty()).then(|| rest.split_to((1 + dice.below(most)).min(rest.len())))
    })
}

/// Numbers that look random and follow from the last bytes of the input.
struct Dice(u64);

impl Dice {
    fn new(bytes: &[u8]) -> Self {
        let tail = &bytes[bytes.len().saturating_sub(16)..];
        let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Self(tail.iter().fold(0xcbf2_9ce4_8422_2325, hash))
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// The stream that fuzzed bytes stand for: themselves, or, behind a `c`, short commands for packets, by which few
/// bytes make a long stream.
fn stream(input: &[u8]) -> Bytes {
    match input.strip_prefix(b"c") {
        Some(commands) => synthesize(commands).into(),
        None => Bytes::copy_from_slice(input),
    }
}

const VIDEO: u16 = 0x100;
/// An access unit delimiter, SPS and PPS of 320x180, the head of an IDR picture.
const IDR: &[u8] = &[
    0, 0, 0, 1, 0x09, 0x10, 0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x0d, 0xd9, 0x01, 0x41, 0x9f, 0x9f, 0x01, 0x10, 0,
    0, 3, 0, 0x10, 0, 0, 3, 3, 0x20, 0xf1, 0x42, 0xa4, 0x80, 0, 0, 0, 1, 0x68, 0xcb, 0x83, 0xcb, 0x20, 0, 0,
    1, 0x65, 0x88,
];
const PICTURE: &[u8] = &[0, 0, 0, 1, 0x09, 0x30, 0, 0, 1, 0x41, 0x9a];

/// Each command is a byte, some with operands behind it.
fn synthesize(commands: &[u8]) -> Vec<u8> {
    let mut mux = Mux::default();
    let mut commands = commands.iter().copied();
    while let Some(command) = commands.next() {
        let mut operand = || commands.next().unwrap_or_default();
        let which = u16::from(command >> 4);
        match command & 0x0f {
            0 => mux.tables(which as u8, operand(), operand()),
            1 => mux.pes(VIDEO, 0xe0, IDR, u16::from_be_bytes([operand(), operand()])),
            2..=5 => mux.pes(VIDEO, 0xe0, PICTURE, 3600 * which),
            6 => mux.pes(VIDEO, 0xe0, PICTURE, u16::from_be_bytes([operand(), operand()])),
            7 => mux.pes(VIDEO + 1 + which % 3, 0xc0, &[0xff, 0xf1, 0x4c, 0x80, 0x02, 0x1f, 0xfc], 0),
            8 | 9 => mux.packet(VIDEO + which % 4, 0, &[operand(); 184]),
            // Far jumps, both ways.
            10 => mux.clock = mux.clock.wrapping_add(u64::from(operand()) << (which + 16)),
            // Lost packets.
            11 => {
                let counter = mux.counters.entry(VIDEO + which % 4).or_default();
                *counter = counter.wrapping_add(operand());
            }
            // Damage to what stands there already.
            12 => {
                let back = usize::from(u16::from_be_bytes([operand(), operand()]));
                if let Some(at) = mux.out.len().checked_sub(back + 1) {
                    mux.out[at] ^= 1 << (which % 8);
                }
            }
            13 => {
                let left = mux.out.len().saturating_sub(usize::from(operand()));
                mux.out.truncate(left);
            }
            14 => mux.out.extend([operand()].repeat(usize::from(which) * 13)),
            _ => mux.shift = i64::from(operand() as i8) * 900,
        }
    }
    mux.out
}

#[derive(Default)]
struct Mux {
    out: Vec<u8>,
    counters: BTreeMap<u16, u8>,
    tables: (u8, u8),
    clock: u64,
    /// PTS beyond DTS.
    shift: i64,
}

impl Mux {
    /// PAT, and a PMT of this version with H.264 and up to three streams more.
    fn tables(&mut self, version: u8, first: u8, second: u8) {
        let pat = section(0, &[0, 1, 0xc1, 0, 0, 0, 1, 0xf0, 0x00]);
        ts::packetize(&pat, Pid::PAT, &mut self.tables.0, &mut self.out);
        let mut pmt = vec![0, 1, 0xc1 | (version & 3) << 1, 0, 0, 0xe1, version >> 2 & 1, 0xf0, 0];
        pmt.extend([0x1b, 0xe1, 0x00, 0xf0, 0]);
        for (n, choice) in [(1, first & 0x0f), (2, first >> 4), (3, second & 0x0f)] {
            const TYPES: [u8; 8] = [0, 0x0f, 0x03, 0x81, 0x06, 0x86, 0x15, 0x11];
            let stream_type = TYPES[usize::from(choice % 8)];
            if stream_type != 0 {
                pmt.extend([stream_type, 0xe1, n, 0xf0, 0]);
            }
        }
        ts::packetize(&section(2, &pmt), Pid::new(0x1000), &mut self.tables.1, &mut self.out);
    }

    /// A PES packet's first transport packet.
    fn pes(&mut self, pid: u16, stream_id: u8, head: &[u8], after: u16) {
        self.clock = self.clock.wrapping_add(u64::from(after));
        let dts = self.clock;
        let pts = dts.wrapping_add_signed(self.shift);
        let mut payload = vec![0, 0, 1, stream_id, 0, 0, 0x84, 0xc0, 10];
        payload.extend(stamp(0x31, pts));
        payload.extend(stamp(0x11, dts));
        payload.extend_from_slice(head);
        payload.resize(184, 0xa5);
        self.packet(pid, 0x40, &payload);
    }

    fn packet(&mut self, pid: u16, flags: u8, payload: &[u8]) {
        let counter = self.counters.entry(pid).or_default();
        self.out.extend([0x47, flags | (pid >> 8) as u8, pid as u8, 0x10 | *counter & 0x0f]);
        *counter = counter.wrapping_add(1);
        self.out.extend(payload);
    }
}

fn stamp(marker: u8, ticks: u64) -> [u8; 5] {
    let [high, low] = [(ticks >> 14) as u16 | 1, (ticks << 1) as u16 | 1].map(u16::to_be_bytes);
    [marker | (ticks >> 29) as u8 & 0x0e, high[0], high[1], low[0], low[1]]
}

/// A section of this table_id, its length and CRC right.
fn section(table_id: u8, body: &[u8]) -> Vec<u8> {
    let len = (body.len() + 4) as u16;
    let mut section = vec![table_id, 0xb0 | (len >> 8) as u8, len as u8];
    section.extend_from_slice(body);
    section.extend(crc32(&section).to_be_bytes());
    section
}

/// Any chunking gives the same events; offsets lie in the stream and do not run back; runs are whole packets of the
/// stream.
pub fn demuxer(input: &[u8]) {
    let stream = stream(input);
    for selection in [Selection::First, Selection::All] {
        let whole = demuxed(selection, [stream.clone()]);
        assert_eq!(whole, demuxed(selection, chunks(&stream)), "other events in chunks");
        let mut ends: BTreeMap<Pid, u64> = BTreeMap::new();
        for event in &whole {
            match event {
                Event::Packets(run) => {
                    let at = run.at as usize;
                    assert_eq!(run.bytes, stream[at..at + run.bytes.len()]);
                    assert_eq!(
                        run.packets().filter(|packet| packet.pid() == run.pid).count() * PACKET_LEN,
                        run.bytes.len()
                    );
                    let end = ends.insert(run.pid, run.at + run.bytes.len() as u64);
                    assert!(end.is_none_or(|end| end <= run.at), "{}: packets come twice", run.pid);
                }
                Event::Pes(start) => assert!(start.at < stream.len() as u64),
                Event::Anomaly(anomaly) => assert!(anomaly.at <= stream.len() as u64),
                _ => {}
            }
        }
    }
}

/// The events, runs that touch joined.
fn demuxed(selection: Selection, chunks: impl IntoIterator<Item = Bytes>) -> Vec<Event> {
    let mut demuxer = Demuxer::new(selection);
    let mut events: Vec<_> =
        chunks.into_iter().flat_map(|chunk| demuxer.push(chunk).collect::<Vec<_>>()).collect();
    events.extend(demuxer.finish());
    let mut joined: Vec<Event> = Vec::new();
    let mut last: Vec<u8> = Vec::new();
    for event in events {
        match (joined.last_mut(), event) {
            (Some(Event::Packets(run)), Event::Packets(next))
                if run.pid == next.pid && run.at + last.len() as u64 == next.at =>
            {
                last.extend_from_slice(&next.bytes);
            }
            (before, event) => {
                if let Some(Event::Packets(run)) = before {
                    run.bytes = std::mem::take(&mut last).into();
                }
                if let Event::Packets(run) = &event {
                    last = run.bytes.to_vec();
                }
                joined.push(event);
            }
        }
    }
    if let Some(Event::Packets(run)) = joined.last_mut() {
        run.bytes = last.into();
    }
    joined
}

/// A section that comes out is as long as it says and its CRC holds; written into packets it comes out again; what
/// is read of it lies in it.
pub fn sections(mut input: &[u8]) {
    let mut gatherer = Gatherer::default();
    let mut found = Vec::new();
    while let [flags, len, rest @ ..] = input {
        let (payload, next) = rest.split_at(usize::from(*len).min(rest.len()));
        input = next;
        if flags & 2 == 0 {
            gatherer.push(payload, flags & 1 != 0, |gathered| found.push(gathered));
            continue;
        }
        let whole = section(flags >> 2 & 3, payload);
        let behind_pointer = [&[0], &whole[..]].concat();
        let mut pieces = behind_pointer.chunks(184);
        let mut is_first = true;
        pieces.by_ref().for_each(|piece| {
            gatherer.push(piece, std::mem::take(&mut is_first), |gathered| found.push(gathered));
        });
        if payload.len() >= 5 {
            assert_eq!(found.last(), Some(&Gathered::Section(whole)), "a whole section is lost");
        }
    }
    for gathered in found {
        if let Gathered::Section(section) = gathered {
            check_section(&section);
        }
    }
}

fn check_section(section: &[u8]) {
    assert_eq!(section.len(), 3 + usize::from(u16::from_be_bytes([section[1] & 0x0f, section[2]])));
    assert!(section.len() <= MAX_SECTION_LEN);
    if section[1] & 0x80 != 0 {
        assert_eq!(crc32(section), 0);
    }
    let (mut counter, mut out, mut again) = (9, Vec::new(), Vec::new());
    ts::packetize(section, Pid::new(0x20), &mut counter, &mut out);
    let mut gatherer = Gatherer::default();
    for packet in packets(&out) {
        gatherer.push(packet.payload().unwrap(), packet.is_unit_start(), |found| again.push(found));
    }
    // A first byte of 0xff is no table_id but stuffing.
    assert_eq!(again, [Gathered::Section(section.to_vec())]);
    Pat::parse(section);
    if let Some(program) = Program::parse(section, 7, Pid::new(0x1000)) {
        assert_eq!(program.section, section);
        for stream in &program.streams {
            stream.examiner();
            (0..=255).for_each(|tag| {
                assert!(ts::find(&stream.descriptors, tag).is_none_or(|body| body.len() < 256))
            });
        }
        let pat = Pat::parse(&ts::pat_section(&program)).unwrap();
        assert_eq!(
            pat.programs.first().copied(),
            (program.number != 0).then_some((program.number, program.pmt_pid))
        );
    }
}

/// A header reads the same however many bytes stand behind it; a call for more is for some, and not too many.
pub fn pes(input: &[u8]) {
    let whole = pes::parse(input);
    for len in 0..input.len().min(2 * pes::MAX_NEEDED) {
        match pes::parse(&input[..len]) {
            pes::Parsed::NeedsMore(needed) => assert!(needed > len && needed <= pes::MAX_NEEDED),
            settled => assert_eq!(settled, whole, "settled by {len} bytes"),
        }
    }
    match whole {
        pes::Parsed::Header(header) => {
            assert!((6..=9 + 255).contains(&header.payload_at));
            assert!(header.len.is_none_or(|len| len >= header.payload_at));
            assert!(header.pts.is_some() || header.dts.is_none());
        }
        pes::Parsed::NeedsMore(needed) => assert!(needed > input.len()),
        pes::Parsed::Malformed => {}
    }
}

const CODECS: [Codec; 10] = [
    Codec::H264,
    Codec::Hevc,
    Codec::Mpeg2Video,
    Codec::AacAdts,
    Codec::AacLatm,
    Codec::MpegAudio,
    Codec::Ac3,
    Codec::Eac3,
    Codec::Opus,
    Codec::Klv,
];

/// Each PES packet gets one verdict, the same however it is cut, within 64 KiB; formats can be.
pub fn codec(input: &[u8]) {
    for codec in CODECS {
        let mut dice = Dice::new(input);
        let [mut whole, mut cut] = [Examiner::new(codec), Examiner::new(codec)];
        for (from, to) in
            [(0, 2), (1, 2), (0, 1)].map(|(from, to)| (from * input.len() / 2, to * input.len() / 2))
        {
            let payload = &input[from..to];
            let verdict = examined(&mut whole, payload, payload.len().max(1));
            let most = 1 + dice.below(payload.len().max(1));
            assert_eq!(verdict, examined(&mut cut, payload, most), "{codec:?} in pieces of {most}");
            assert_eq!(whole.format(), cut.format(), "{codec:?} in pieces of {most}");
            assert!(!verdict.is_new_format || whole.format().is_some(), "{codec:?}");
            if let Some(Format::Video(video)) = whole.format() {
                assert!(video.width > 0 && video.height > 0, "{video:?}");
            }
            if let Some(Format::Audio(audio)) = whole.format() {
                assert!(audio.sample_rate_hz > 0 && audio.samples_per_frame > 0, "{audio:?}");
            }
        }
        // Behind 64 KiB nothing is waited for.
        cut.begin();
        let verdicts =
            std::iter::once(input).chain([&[0xa5; 4096][..]; 16]).filter_map(|piece| cut.push(piece));
        assert_eq!(verdicts.count(), 1, "{codec:?}: no verdict within 64 KiB");
    }
}

fn examined(examiner: &mut Examiner, payload: &[u8], piece: usize) -> AccessUnit {
    examiner.begin();
    let mut verdicts = Vec::new();
    for piece in payload.chunks(piece) {
        verdicts.extend(examiner.push(piece));
        assert_eq!(examiner.is_decided(), !verdicts.is_empty());
    }
    verdicts.extend(examiner.finish());
    assert!(examiner.is_decided() && examiner.finish().is_none() && examiner.push(payload).is_none());
    assert_eq!(verdicts.len(), 1);
    verdicts[0]
}

/// Any chunking gives the same segments; each that closes has been opened, and at most two are open; sizes are the
/// bytes'; a segment is whole packets that begin with PAT and PMT; no duration exceeds what was promised. Its parts
/// follow each other and are all of it.
pub fn segmenter(input: &[u8]) {
    let stream = stream(input);
    for on_missing in [OnMissingRandomAccess::Cut, OnMissingRandomAccess::Extend] {
        let part = Some(Duration::from_millis(300));
        let options = Options { target: Duration::from_secs(2), program: Selection::First, on_missing, part };
        let whole = cut(&options, [stream.clone()]);
        assert_eq!(whole, cut(&options, chunks(&stream)), "other segments in chunks");
        let mut promised = None;
        for (ordinal, segment) in whole.0.iter().enumerate() {
            let extent = segment.extent.unwrap_or_else(|| panic!("segment {ordinal} is never closed"));
            assert_eq!(extent.size_bytes, segment.bytes.len() as u64);
            check_tables(&segment.bytes);
            check_parts(segment, &extent);
            if on_missing == OnMissingRandomAccess::Cut {
                assert_eq!(*promised.get_or_insert(extent.longest), extent.longest);
                assert!(extent.duration <= extent.longest, "segment {ordinal}: {extent:?}");
            }
        }
    }
}

/// Any chunking gives the same fragments; every length in them adds up; a track's segments come one behind the other,
/// each opened and described first; its parts are all of it; decoding times never go back within a timeline, and
/// fragments are numbered in their order.
pub fn cmaf(input: &[u8]) {
    let stream = stream(input);
    for layout in [Layout::Demuxed, Layout::Muxed] {
        for part in [None, Some(Duration::from_millis(300))] {
            let options = Options { target: Duration::from_secs(2), part, ..Options::default() };
            let whole = fragment(&options, layout, [[stream.clone()]]);
            let pieces = fragment(&options, layout, [chunks(&stream)]);
            let half = stream.len() / 2;
            fragment(&options, layout, [[stream.slice(..half)], [stream.slice(half..)]]);
            assert!(whole.log == pieces.log, "other fragments in chunks: {:?} {:?}", whole.log, pieces.log);
        }
    }
}

/// What came of a stream, checked as it came.
#[derive(Debug, Default)]
pub struct Fragments {
    /// All events, their bytes as digests.
    log: Vec<String>,
    tracks: Vec<TrackFragments>,
    anomalies: Vec<cmaf::Anomaly>,
}

#[derive(Clone, Debug, Default)]
struct TrackFragments {
    is_open: bool,
    is_described: bool,
    parts: Vec<u8>,
    has_parts: bool,
    /// When what follows is decoded, by track_ID.
    ends: BTreeMap<u32, u64>,
    /// Of the last fragment.
    sequence: u32,
}

/// What comes of streams in chunks, each of which breaks off.
fn fragment(
    options: &Options,
    layout: Layout,
    streams: impl IntoIterator<Item = impl IntoIterator<Item = Bytes>>,
) -> Fragments {
    let mut cutter = Cutter::new(options);
    let mut fragmenter = Fragmenter::new(&cmaf::Options { layout });
    let mut found = Fragments::default();
    for chunks in streams {
        for chunk in chunks {
            for event in cutter.push(chunk) {
                fragmenter.push(&event).for_each(|event| found.take(event));
            }
        }
        for event in cutter.break_off() {
            fragmenter.push(&event).for_each(|event| found.take(event));
        }
        fragmenter.break_off().for_each(|event| found.take(event));
    }
    fragmenter.finish().for_each(|event| found.take(event));
    assert!(found.tracks.iter().all(|track| !track.is_open), "a segment is never whole");
    found
}

impl Fragments {
    fn take(&mut self, event: cmaf::Event) {
        match &event {
            cmaf::Event::Part { body, .. } | cmaf::Event::Segment { body, .. } => {
                let bytes = body.to_bytes();
                assert_eq!(body.size_bytes(), bytes.len() as u64);
                self.log.push(format!("{:x}", digest(&bytes)));
            }
            _ => {}
        }
        match event {
            cmaf::Event::Tracks(tracks) => {
                assert!(self.tracks.iter().all(|track| !track.is_open));
                self.log.push(format!("{tracks:?}"));
                self.tracks = vec![TrackFragments::default(); tracks.len()];
            }
            cmaf::Event::Open { track, ordinal, head } => {
                self.log.push(format!("{track} {ordinal} {head:?}"));
                self.tracks[track].open(head.is_discontinuity);
            }
            cmaf::Event::Init { track, ordinal, init } => {
                self.log.push(format!("{track} {ordinal} {init:?}"));
                let found = boxes::boxes(&init.bytes);
                assert_eq!(found.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), ["ftyp", "moov"]);
                assert!(self.tracks[track].is_open && !init.formats.is_empty());
                self.tracks[track].is_described = true;
                // It may count at another rate: the timeline breaks wherever there is another one.
                self.tracks[track].ends.clear();
            }
            cmaf::Event::Part { track, ordinal, part, body } => {
                self.log.push(format!("{track} {ordinal} {part:?}"));
                self.tracks[track].part(&body.to_bytes());
            }
            cmaf::Event::Segment { track, ordinal, extent, body } => {
                self.log.push(format!("{track} {ordinal} {extent:?}"));
                assert_eq!(extent.size_bytes, body.size_bytes());
                self.tracks[track].close(&body.to_bytes());
            }
            cmaf::Event::Gap { track, ordinal, extent, is_whole } => {
                self.log.push(format!("{track} {ordinal} {extent:?} {is_whole}"));
                assert_eq!(extent.size_bytes, 0);
                self.tracks[track].pass(extent.head.is_discontinuity, is_whole);
            }
            cmaf::Event::Anomaly(anomaly) => {
                assert!(!self.anomalies.contains(&anomaly) || self.log.len() > 1, "{anomaly} is told twice");
                self.anomalies.push(anomaly);
            }
            _ => {}
        }
    }
}

impl TrackFragments {
    fn open(&mut self, is_discontinuity: bool) {
        assert!(
            !std::mem::replace(&mut self.is_open, true),
            "a segment opens before the one before is whole"
        );
        if is_discontinuity {
            self.ends.clear();
        }
    }

    fn pass(&mut self, is_discontinuity: bool, is_whole: bool) {
        assert!(!self.has_parts && (is_whole || !self.is_open));
        self.is_open = false;
        if is_discontinuity {
            self.ends.clear();
        }
    }

    fn part(&mut self, body: &[u8]) {
        assert!(self.is_open && self.is_described);
        self.check(body);
        self.has_parts = true;
        self.parts.extend_from_slice(body);
    }

    fn close(&mut self, body: &[u8]) {
        assert!(std::mem::replace(&mut self.is_open, false) && (self.is_described || body.is_empty()));
        if std::mem::take(&mut self.has_parts) {
            assert!(self.parts == body, "the parts are not the segment");
        } else {
            self.check(body);
        }
        self.parts.clear();
    }

    fn check(&mut self, body: &[u8]) {
        for fragment in boxes::fragments(body) {
            assert_eq!(fragment.sequence, self.sequence + 1, "fragments are numbered out of their order");
            self.sequence = fragment.sequence;
            for traf in fragment.trafs {
                let end = self.ends.entry(traf.track_id).or_default();
                assert!(traf.decode >= *end, "decoding times go back from {end} to {}", traf.decode);
                *end = traf.end();
            }
        }
    }
}

fn digest(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn check_parts(segment: &Segment, extent: &segcast::segment::Extent) {
    assert_eq!(
        segment.parts.last().map(|(end, part)| (*end, part.decode_end)),
        Some((segment.bytes.len(), extent.decode_end))
    );
    assert_eq!(segment.parts[0].1.decode_start, extent.head.decode_start);
    for (n, pair) in segment.parts.windows(2).enumerate() {
        assert_eq!((pair[0].1.index as usize, pair[0].1.decode_end), (n, pair[1].1.decode_start));
        assert!(pair[0].0 < pair[1].0 && pair[0].1.longest == pair[1].1.longest);
    }
}

fn check_tables(bytes: &[u8]) {
    let all: Vec<Packet<'_>> = packets(bytes).collect();
    assert_eq!(all.len() * PACKET_LEN, bytes.len());
    assert_eq!(all.first().map(|packet| packet.pid()), Some(Pid::PAT));
    let mut gatherer = Gatherer::default();
    let mut section = Vec::new();
    gatherer.push(all[0].payload().unwrap(), true, |found| section.push(found));
    let [Gathered::Section(section)] = section.as_slice() else { panic!("no PAT but {section:?}") };
    let pat = Pat::parse(section).unwrap();
    // The PAT of a program with number 0, which no PAT names, is empty.
    assert!(pat.programs.iter().all(|(_, pid)| all.get(1).map(|packet| packet.pid()) == Some(*pid)));
}

#[derive(Debug, Default, PartialEq)]
struct Segment {
    head: Option<segcast::segment::Head>,
    bytes: Vec<u8>,
    extent: Option<segcast::segment::Extent>,
    /// Each with the size of the segment up to its end.
    parts: Vec<(usize, segcast::segment::Part)>,
}

/// The segments, and what else was told, in order.
fn cut(options: &Options, chunks: impl IntoIterator<Item = Bytes>) -> (Vec<Segment>, Vec<CutEvent>) {
    let mut cutter = Cutter::new(options);
    let mut events: Vec<_> =
        chunks.into_iter().flat_map(|chunk| cutter.push(chunk).collect::<Vec<_>>()).collect();
    events.extend(cutter.finish());
    let (mut segments, mut others): (Vec<Segment>, Vec<CutEvent>) = Default::default();
    let mut open = 0;
    for event in events {
        match event {
            CutEvent::Open { ordinal, head } => {
                assert_eq!(ordinal, segments.len() as u64);
                segments.push(Segment { head: Some(head), ..Segment::default() });
                open += 1;
                assert!(open <= 2, "more than two segments are open");
            }
            CutEvent::Data { ordinal, bytes } => {
                let segment = &mut segments[ordinal as usize];
                assert!(segment.extent.is_none() && !bytes.is_empty());
                segment.bytes.extend_from_slice(&bytes);
            }
            CutEvent::Part { ordinal, part } => {
                let segment = &mut segments[ordinal as usize];
                segment.parts.push((segment.bytes.len(), part));
            }
            CutEvent::Close { ordinal, extent } => {
                let segment = &mut segments[ordinal as usize];
                assert!(segment.extent.replace(extent).is_none() && segment.head == Some(extent.head));
                open -= 1;
            }
            event => others.push(event),
        }
    }
    (segments, others)
}

/// What is read, written and read again is the same as before.
pub fn playlist(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Ok(media) = Media::parse(&text) {
        let rendered = media.render();
        let again = Media::parse(&rendered).unwrap_or_else(|error| panic!("{error} in {rendered:?}"));
        assert_eq!(rendered, again.render());
        assert_eq!(again.segments.len(), media.segments.len());
    }
    if let Ok(multivariant) = Multivariant::parse(&text) {
        let rendered = multivariant.render();
        let again = Multivariant::parse(&rendered).unwrap_or_else(|error| panic!("{error} in {rendered:?}"));
        assert_eq!(rendered, again.render());
        assert_eq!(again.variants.len(), multivariant.variants.len());
    }
}

/// No text makes the readers of configurations panic, in whichever format; each mistake has words.
#[cfg(feature = "cli")]
pub fn config(input: &[u8]) {
    use segcast::config::{Environment, Format, convert_str, parse_str};

    let text = String::from_utf8_lossy(input);
    for (format, name) in [(Format::Toml, "a.toml"), (Format::Yaml, "a.yml"), (Format::Json, "a.json")] {
        match parse_str(format, name, &text, &Environment::new(), &[]) {
            Ok(checked) => assert!(!checked.describe::<&str>(&["ffmpeg"]).is_empty()),
            Err(error) => assert!(!error.to_string().is_empty() && !error.mistakes().is_empty()),
        }
        if let Ok(toml) = convert_str(format, name, &text) {
            assert!(!toml.is_empty());
        }
    }
}

/// No answer of a server makes its reader panic; what is told of it is short and plain, and no more is kept than came.
#[cfg(feature = "cli")]
pub fn answers(input: &[u8]) {
    use segcast::destination::answer;

    for heard in [answer::sftp(input), answer::ftp(input)] {
        // One byte that is no UTF-8 becomes three.
        assert!(heard.kept_bytes <= 3 * input.len(), "{heard:?}");
        for told in &heard.told {
            assert!(told.chars().count() < 1000 && !told.contains(char::is_control), "{told:?}");
        }
    }
    let text = String::from_utf8_lossy(input);
    for (host, port) in [("example.com", 22), ("127.0.0.1", 2222)] {
        assert!(answer::known_hosts(&text, host, port) <= text.lines().count());
    }
}
