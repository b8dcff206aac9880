//! Our reading of tables and PES headers beside that of `mpeg2ts-reader`, which shares nothing with us.
#![allow(missing_docs, clippy::unwrap_used)]

mod support {
    pub mod media;
}

use std::collections::BTreeMap;

use mpeg2ts_reader::demultiplex::{
    Demultiplex, DemuxContext, FilterChangeset, FilterRequest, NullPacketFilter, PatPacketFilter,
    PmtPacketFilter,
};
use mpeg2ts_reader::pes::{
    ElementaryStreamConsumer, PesContents, PesHeader, PesPacketFilter, PtsDts, Timestamp, TimestampError,
};
use mpeg2ts_reader::{packet_filter_switch, psi};
use segcast::time::{Stamp, Ticks};
use segcast::ts::{Demuxer, Event, Selection};
use support::media::{CHUNK, read};

/// What a reader found.
#[derive(Debug, Default, PartialEq)]
pub struct Found {
    /// PID and stream_type of each stream of each program, in the tables' order.
    streams: Vec<(u16, u8)>,
    /// PTS and DTS of each PES packet, by PID; where there is no DTS, the PTS.
    stamps: BTreeMap<u16, Vec<(u64, u64)>>,
}

fn ours(name: &str) -> Found {
    let (stream, mut found) = (read(name), Found::default());
    let mut demuxer = Demuxer::new(Selection::All);
    let mut take = |event| match event {
        Event::Program(program) => {
            found
                .streams
                .extend(program.streams.iter().map(|stream| (stream.pid.bits(), stream.stream_type)));
        }
        Event::Pes(pes) => {
            let bits = |ticks: Ticks| Stamp::new(ticks.count() as u64).bits();
            let stamps = found.stamps.entry(pes.pid.bits()).or_default();
            stamps.extend(pes.pts.zip(pes.dts).map(|(pts, dts)| (bits(pts), bits(dts))));
        }
        _ => {}
    };
    for at in (0..stream.len()).step_by(CHUNK) {
        demuxer.push(stream.slice(at..stream.len().min(at + CHUNK))).for_each(&mut take);
    }
    demuxer.finish().for_each(&mut take);
    found.streams.sort_unstable();
    found
}

fn theirs(name: &str) -> Found {
    let mut witness = Witness::default();
    Demultiplex::new(&mut witness).push(&mut witness, &read(name));
    witness.found.streams.sort_unstable();
    witness.found
}

packet_filter_switch! {
    Filter<Witness> {
        Pat: PatPacketFilter<Witness>,
        Pmt: PmtPacketFilter<Witness>,
        Pes: PesPacketFilter<Witness, Stamps>,
        Null: NullPacketFilter<Witness>,
    }
}

#[derive(Default)]
pub struct Witness {
    changes: FilterChangeset<Filter>,
    found: Found,
}

impl DemuxContext for Witness {
    type F = Filter;

    fn filter_changeset(&mut self) -> &mut FilterChangeset<Filter> {
        &mut self.changes
    }

    fn construct(&mut self, request: FilterRequest<'_, '_>) -> Filter {
        match request {
            FilterRequest::ByPid(psi::pat::PAT_PID) => Filter::Pat(PatPacketFilter::default()),
            FilterRequest::Pmt { pid, program_number } => {
                Filter::Pmt(PmtPacketFilter::new(pid, program_number))
            }
            FilterRequest::ByStream { stream_type, stream_info, .. } => {
                let pid = u16::from(stream_info.elementary_pid());
                self.found.streams.push((pid, stream_type.into()));
                // SCTE-35 stands in sections.
                if stream_type.0 == 0x86 {
                    return Filter::Null(NullPacketFilter::default());
                }
                Filter::Pes(PesPacketFilter::new(Stamps(pid)))
            }
            _ => Filter::Null(NullPacketFilter::default()),
        }
    }
}

/// Takes down the stamps of one PID.
pub struct Stamps(u16);

impl ElementaryStreamConsumer<Witness> for Stamps {
    fn start_stream(&mut self, _: &mut Witness) {}

    fn begin_packet(&mut self, witness: &mut Witness, header: PesHeader<'_>) {
        let value = |stamp: Result<Timestamp, TimestampError>| stamp.map(Timestamp::value).unwrap();
        let PesContents::Parsed(Some(contents)) = header.contents() else { return };
        let stamps = match contents.pts_dts() {
            Ok(PtsDts::PtsOnly(pts)) => {
                let pts = value(pts);
                (pts, pts)
            }
            Ok(PtsDts::Both { pts, dts }) => (value(pts), value(dts)),
            _ => return,
        };
        witness.found.stamps.entry(self.0).or_default().push(stamps);
    }

    fn continue_packet(&mut self, _: &mut Witness, _: &[u8]) {}
    fn end_packet(&mut self, _: &mut Witness) {}
    fn continuity_error(&mut self, _: &mut Witness) {}
}

#[test]
fn another_reader_finds_the_same_streams_and_timestamps() {
    let files = [
        "h264-aac.ts",
        "h264-interlaced.ts",
        "hevc-open-gop.ts",
        "mpeg2-mp2.ts",
        "h264-ac3.ts",
        "h264-opus.ts",
        "h264-latm.ts",
        "audio-only.ts",
        "wrap.ts",
        "two-programs.ts",
        "many-streams.ts",
        "constant-rate.ts",
        "id3-scte35.ts",
        "jump-back.ts",
    ];
    for name in files {
        let (ours, theirs) = (ours(name), theirs(name));
        assert_eq!(ours.streams, theirs.streams, "{name}");
        let counts =
            |found: &Found| found.stamps.iter().map(|(pid, all)| (*pid, all.len())).collect::<Vec<_>>();
        assert_eq!(counts(&ours), counts(&theirs), "{name}");
        assert!(!ours.stamps.is_empty() && ours == theirs, "{name}: other timestamps");
    }
}
