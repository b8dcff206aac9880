//! Tables that come late, never, or wrong: what was there before them is kept, and what comes is taken.
// What the tests share is test code too.
#![allow(clippy::unwrap_used, missing_docs)]

mod support {
    #[cfg(feature = "cli")]
    pub mod command;
    pub mod synth;
}

use std::time::Duration;

use bytes::Bytes;
use segcast::segment::{self, Output, Segmenter};
use segcast::ts::section::crc32;
use segcast::ts::{
    AnomalyKind, Demuxer, Event, PACKET_LEN, Packet, Pid, Program, Selection, packetize, packets,
};
use support::synth::{AUDIO, Synth, VIDEO};

const PMT: Pid = Pid::new(0x1000);
/// The PMT PID of a program that is listed and is not there.
const GHOST: Pid = Pid::new(0x1009);

type Packets = Vec<[u8; PACKET_LEN]>;

fn synth() -> Packets {
    let stream = Synth { pictures: 60, picture_bytes: 900, ..Synth::default() }.bytes();
    split(&stream)
}

fn split(stream: &[u8]) -> Packets {
    packets(stream).map(|packet| *packet.bytes()).collect()
}

fn pid(packet: &[u8; PACKET_LEN]) -> Pid {
    Packet::parse(packet).unwrap().pid()
}

fn section(body: &[u8]) -> Vec<u8> {
    let len = body.len() - 1 + 4;
    let mut section = vec![body[0], 0xb0 | (len >> 8) as u8, len as u8];
    section.extend_from_slice(&body[1..]);
    section.extend_from_slice(&crc32(&section).to_be_bytes());
    section
}

fn pat(version: u8, programs: &[(u16, Pid)]) -> Vec<u8> {
    let mut body = vec![0, 0, 1, 0xc1 | version << 1, 0, 0];
    for (number, pid) in programs {
        body.extend_from_slice(&number.to_be_bytes());
        body.extend_from_slice(&(0xe000 | pid.bits()).to_be_bytes());
    }
    section(&body)
}

/// A PMT section of streams of these types.
fn pmt(number: u16, streams: &[(u8, Pid)]) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    let mut body = vec![2, high, low, 0xc1, 0, 0, 0xe1, 0x00, 0xf0, 0];
    for (stream_type, pid) in streams {
        body.push(*stream_type);
        body.extend_from_slice(&(0xe000 | pid.bits()).to_be_bytes());
        body.extend_from_slice(&[0xf0, 0]);
    }
    section(&body)
}

/// `packet` with another section in it.
fn with_section(packet: &[u8; PACKET_LEN], section: &[u8]) -> [u8; PACKET_LEN] {
    let mut counter = packet[3] & 0x0f;
    let mut out = Vec::new();
    packetize(section, pid(packet), &mut counter, &mut out);
    *out.first_chunk().unwrap()
}

/// The stream with this section in the place of those of `of`.
fn replaced(stream: Packets, of: Pid, section: &[u8]) -> Packets {
    let other =
        |packet: [u8; PACKET_LEN]| if pid(&packet) == of { with_section(&packet, section) } else { packet };
    stream.into_iter().map(other).collect()
}

#[derive(Debug, Default, PartialEq)]
struct Found {
    programs: Vec<u16>,
    video: usize,
    audio: usize,
    pes: Vec<(Pid, u64)>,
    anomalies: Vec<(u64, AnomalyKind)>,
}

fn read(mut demuxer: Demuxer, stream: &Bytes, chunk: usize) -> Found {
    let mut found = Found::default();
    let mut take = |event: Event| match event {
        Event::Program(program) => found.programs.push(program.number),
        Event::Packets(run) if run.pid == VIDEO => found.video += run.packets().count(),
        Event::Packets(run) if run.pid == AUDIO => found.audio += run.packets().count(),
        Event::Pes(pes) => found.pes.push((pes.pid, pes.at)),
        Event::Anomaly(anomaly) => found.anomalies.push((anomaly.at, anomaly.kind)),
        _ => {}
    };
    for at in (0..stream.len()).step_by(chunk) {
        demuxer.push(stream.slice(at..stream.len().min(at + chunk))).for_each(&mut take);
    }
    demuxer.finish().for_each(&mut take);
    found
}

/// What is found of a stream, the same however it comes.
#[track_caller]
fn found(selection: Selection, stream: &[u8]) -> Found {
    let stream = Bytes::copy_from_slice(stream);
    let whole = read(Demuxer::new(selection), &stream, stream.len().max(1));
    for chunk in [100, 188, 1000, 65_536] {
        assert_eq!(read(Demuxer::new(selection), &stream, chunk), whole, "in chunks of {chunk}");
    }
    whole
}

/// Every packet of video and audio of the stream is found, from the first one on.
#[track_caller]
fn is_whole(stream: &Packets, numbers: &[u16]) {
    let count = |of: Pid| stream.iter().filter(|packet| pid(packet) == of).count();
    let first = stream.iter().position(|packet| pid(packet) == VIDEO).unwrap() as u64;
    for selection in [Selection::First, Selection::All, Selection::Number(1)] {
        let found = found(selection, stream.as_flattened());
        assert!(!numbers.is_empty() && found.programs.iter().any(|number| numbers.contains(number)));
        assert_eq!((found.video, found.audio), (count(VIDEO), count(AUDIO)), "{selection:?}");
        assert_eq!(found.pes.first(), Some(&(VIDEO, first * PACKET_LEN as u64)), "{selection:?}");
    }
}

#[test]
fn media_before_the_tables_are_kept() {
    let tables = [Pid::PAT, PMT];
    for late in [1, 100, 300] {
        let mut n = 0;
        let mut stream = synth();
        stream.retain(|packet| {
            n += 1;
            n > late || !tables.contains(&pid(packet))
        });
        is_whole(&stream, &[1]);
    }
}

#[test]
fn tables_at_the_very_end_are_enough() {
    let (tables, mut stream): (Packets, Packets) =
        synth().into_iter().partition(|packet| [Pid::PAT, PMT].contains(&pid(packet)));
    stream.extend_from_slice(&tables[..2]);
    is_whole(&stream, &[1]);
}

#[test]
fn a_program_whose_pmt_never_comes_is_passed_over() {
    for programs in [[(9, GHOST), (1, PMT)], [(1, PMT), (9, GHOST)]] {
        is_whole(&replaced(synth(), Pid::PAT, &pat(0, &programs)), &[1]);
    }
    // Few PATs, so that only the end tells.
    let mut pats = 0;
    let mut stream = replaced(synth(), Pid::PAT, &pat(0, &[(9, GHOST), (1, PMT)]));
    stream.retain(|packet| {
        pats += usize::from(pid(packet) == Pid::PAT);
        pid(packet) != Pid::PAT || pats == 1
    });
    is_whole(&stream, &[1]);
}

#[test]
fn a_program_whose_media_never_come_is_passed_over() {
    let stream = replaced(synth(), Pid::PAT, &pat(0, &[(9, GHOST), (1, PMT)]));
    let ghost = pmt(9, &[(0x1b, Pid::new(0x200)), (0x0f, Pid::new(0x201))]);
    let ghost = with_section(stream.iter().find(|packet| pid(packet) == PMT).unwrap(), &ghost);
    let mut with_ghost = Packets::new();
    for packet in stream {
        with_ghost.push(packet);
        if pid(&packet) == PMT {
            let mut ghost = ghost;
            [ghost[1], ghost[2]] = (0x4000 | GHOST.bits()).to_be_bytes();
            with_ghost.push(ghost);
        }
    }
    assert_eq!(found(Selection::First, with_ghost.as_flattened()).programs, [1]);
    assert_eq!(found(Selection::All, with_ghost.as_flattened()).programs, [9, 1]);
    is_whole(&with_ghost, &[1]);
}

#[test]
fn a_scrambled_program_is_passed_over_for_a_clear_one() {
    let listed = replaced(synth(), Pid::PAT, &pat(0, &[(9, GHOST), (1, PMT)]));
    let mut stream = Packets::new();
    for packet in listed {
        stream.push(packet);
        let scrambled = Pid::new(0x200);
        if pid(&packet) == PMT {
            let mut table = with_section(&packet, &pmt(9, &[(0x1b, scrambled)]));
            [table[1], table[2]] = (0x4000 | GHOST.bits()).to_be_bytes();
            stream.push(table);
        } else if pid(&packet) == VIDEO {
            let mut copy = packet;
            [copy[1], copy[2]] = (u16::from(packet[1] & 0x40) << 8 | scrambled.bits()).to_be_bytes();
            copy[3] |= 0xc0;
            stream.push(copy);
        }
    }
    assert_eq!(found(Selection::First, stream.as_flattened()).programs, [1]);
}

#[test]
fn a_pmt_without_a_pat_is_used() {
    let mut stream = synth();
    stream.retain(|packet| pid(packet) != Pid::PAT);
    is_whole(&stream, &[1]);
    // Nor does a PAT of other programs, or one that is wrong about the number, take it away.
    is_whole(&replaced(synth(), Pid::PAT, &pat(0, &[(9, GHOST)])), &[1]);
    is_whole(&replaced(synth(), Pid::PAT, &pat(0, &[(2, PMT)])), &[1]);
}

#[test]
fn a_wrong_number_is_no_program() {
    let found = found(Selection::Number(7), synth().as_flattened());
    assert_eq!((found.programs, found.video), (vec![], 0));
}

#[test]
fn tables_with_wrong_crcs_are_believed_if_there_are_no_others() {
    let mut wrong = pat(0, &[(1, PMT)]);
    *wrong.last_mut().unwrap() ^= 1;
    is_whole(&replaced(synth(), Pid::PAT, &wrong), &[1]);
    let mut wrong = pmt(1, &[(0x1b, VIDEO), (0x0f, AUDIO)]);
    *wrong.last_mut().unwrap() ^= 1;
    let stream = replaced(synth(), PMT, &wrong);
    is_whole(&stream, &[1]);
    // What is written of it has a right one.
    let mut demuxer = Demuxer::default();
    let events: Vec<_> = demuxer.push(stream.concat().into()).collect();
    let program = events.into_iter().find_map(|event| match event {
        Event::Program(program) => Some(program),
        _ => None,
    });
    assert_eq!(crc32(&program.unwrap().section), 0);
    // The first alone is wrong: the next one is taken, which says otherwise.
    let mut stream = synth();
    let first = stream.iter().position(|packet| pid(packet) == PMT).unwrap();
    let mut lie = pmt(1, &[(0x0f, Pid::new(0x333))]);
    *lie.last_mut().unwrap() ^= 1;
    stream[first] = with_section(&stream[first], &lie);
    is_whole(&stream, &[1]);
}

#[test]
fn tables_whose_counters_never_count_are_read() {
    let mut stream = synth();
    let lie = pmt(1, &[(0x0f, Pid::new(0x333))]);
    let first = stream.iter().position(|packet| pid(packet) == PMT).unwrap();
    stream[first] = with_section(&stream[first], &lie);
    for packet in stream.iter_mut().filter(|packet| [Pid::PAT, PMT].contains(&pid(packet))) {
        packet[3] &= 0xf0;
    }
    let found = found(Selection::First, stream.as_flattened());
    assert_eq!(found.programs, [1, 1], "the second table says otherwise");
    assert_eq!(found.anomalies, []);
}

#[test]
fn a_pat_that_drops_the_program_for_a_while_does_not_stop_it() {
    let (mut stream, mut pats) = (synth(), 0);
    for packet in stream.iter_mut().filter(|packet| pid(packet) == Pid::PAT) {
        pats += 1;
        if pats % 2 == 0 {
            *packet = with_section(packet, &pat(1, &[(9, GHOST)]));
        }
    }
    is_whole(&stream, &[1]);
}

#[test]
fn a_pmt_that_moves_to_another_pid_is_followed() {
    let (mut stream, mut tables) = (synth(), 0);
    let half = stream.len() / 2;
    for packet in &mut stream[half..] {
        if pid(packet) == Pid::PAT {
            tables += 1;
            *packet = with_section(packet, &pat(1, &[(1, GHOST)]));
        } else if pid(packet) == PMT {
            [packet[1], packet[2]] = (0x4000 | GHOST.bits()).to_be_bytes();
        }
    }
    assert!(tables > 2);
    is_whole(&stream, &[1]);
    assert_eq!(found(Selection::First, stream.as_flattened()).programs, [1, 1]);
}

/// More packets than are kept, then the tables.
/// Packets of video in all segments, and which segments begin after a discontinuity, of a stream whose PMT lists `streams`
/// from its second half on.
fn cut_with(streams: &[(u8, Pid)]) -> (usize, Vec<bool>) {
    let all = Synth { pictures: 200, gop: 25, audio_bytes: Some(300), ..Synth::default() }.bytes();
    let mut all = split(&all);
    let half = all.split_off(all.len() / 2);
    all.extend(replaced(half, PMT, &pmt(1, streams)));
    let options = segment::Options { target: Duration::from_secs(1), ..segment::Options::default() };
    let mut segmenter = Segmenter::new(&options);
    let mut outputs: Vec<_> = segmenter.push(all.concat().into()).collect();
    outputs.extend(segmenter.finish());
    let segments: Vec<_> = outputs
        .into_iter()
        .filter_map(|output| match output {
            Output::Segment(segment) => Some(segment),
            _ => None,
        })
        .collect();
    let bytes = segments.iter().map(|segment| segment.chunks.to_bytes());
    let video = bytes.map(|bytes| packets(&bytes).filter(|packet| packet.pid() == VIDEO).count()).sum();
    (video, segments.iter().map(|segment| segment.extent.head.is_discontinuity).collect())
}

#[test]
fn a_change_of_the_pmt_loses_nothing_and_breaks_only_where_tracks_change() {
    const SCTE_35: (u8, Pid) = (0x86, Pid::new(0x1f0));
    let (video, audio, other) = ((0x1b, VIDEO), (0x0f, AUDIO), (0x0f, Pid::new(0x102)));
    let (count, breaks) = cut_with(&[video, audio]);
    assert!(count > 200 && breaks.len() == 8 && !breaks.contains(&true), "{count} {breaks:?}");
    for (streams, has_break) in [
        (&[video, audio, SCTE_35][..], false),
        (&[audio, video], false),
        (&[video, audio, other], true),
        (&[video, other], true),
        (&[video], true),
    ] {
        let (found, breaks) = cut_with(streams);
        assert_eq!(found, count, "{streams:?}");
        let found = breaks.iter().filter(|is_break| **is_break).count();
        assert_eq!((breaks.len(), found), (8, usize::from(has_break)), "{streams:?} {breaks:?}");
    }
}

fn long_before_the_tables() -> Packets {
    let stream = Synth { pictures: 250, picture_bytes: 40_000, ..Synth::default() }.bytes();
    let (tables, mut media): (Packets, Packets) =
        split(&stream).into_iter().partition(|packet| [Pid::PAT, PMT].contains(&pid(packet)));
    media.splice(media.len() - 10..media.len() - 10, tables[..2].iter().copied());
    assert!((media.len() * PACKET_LEN) as u64 > 2 * Demuxer::MAX_EARLY_BYTES);
    media
}

#[test]
fn what_is_further_back_than_the_limit_is_dropped_and_told() {
    let stream = long_before_the_tables();
    let at = (stream.len() - 10) * PACKET_LEN;
    let from = (at as u64 - Demuxer::MAX_EARLY_BYTES).next_multiple_of(PACKET_LEN as u64);
    let found = found(Selection::First, stream.as_flattened());
    assert!(
        found.anomalies.contains(&(0, AnomalyKind::BeforeTables { bytes: from })),
        "{:?}",
        found.anomalies
    );
    assert!(found.pes.iter().all(|(_, at)| *at >= from) && found.pes[0].1 < from + 50_000);

    let bytes: Bytes = stream.concat().into();
    let program =
        std::sync::Arc::new(Program::parse(&pmt(1, &[(0x1b, VIDEO), (0x0f, AUDIO)]), 1, PMT).unwrap());
    let known = read(Demuxer::with_programs(Selection::First, [program]), &bytes, 65_536);
    assert_eq!((known.pes[0], known.programs), ((VIDEO, 0), vec![1]));
    assert_eq!(known.video, stream.iter().filter(|packet| pid(packet) == VIDEO).count());
}

/// PAT, PMT and audio PES packets of one packet each.
fn few(count: usize) -> Packets {
    let stream = Synth { pictures: 60, audio_bytes: Some(100), ..Synth::default() }.bytes();
    let stream = split(&stream);
    let first = |of: Pid| *stream.iter().find(|packet| pid(packet) == of).unwrap();
    let table = with_section(&first(PMT), &pmt(1, &[(0x0f, AUDIO)]));
    let audio = stream.iter().filter(|packet| pid(packet) == AUDIO).copied();
    [first(Pid::PAT), table].into_iter().chain(audio).take(count).collect()
}

#[test]
fn few_packets_are_a_stream() {
    for count in 3..8 {
        let bare = few(count).concat();
        let m2ts: Vec<u8> = few(count).iter().flat_map(|packet| [&[0; 4], &packet[..]].concat()).collect();
        let coded: Vec<u8> = few(count).iter().flat_map(|packet| [&packet[..], &[0; 16]].concat()).collect();
        let behind = [&[0x11; 1000], &bare[..]].concat();
        let cut = [&bare[..], &few(count + 1)[count][..100]].concat();
        for (what, stream) in
            [("bare", bare), ("m2ts", m2ts), ("204", coded), ("behind garbage", behind), ("cut short", cut)]
        {
            let found = found(Selection::First, &stream);
            assert_eq!((found.programs, found.audio), (vec![1], count - 2), "{count} {what}");
        }
    }
}

#[test]
fn a_video_pes_packet_lasts_until_the_next_one_whatever_its_length_says() {
    let mut stream = synth();
    let starts = stream.iter_mut().filter(|packet| pid(packet) == VIDEO && packet[1] & 0x40 != 0);
    for packet in starts {
        let at = if packet[3] & 0x20 == 0 { 4 } else { 5 + usize::from(packet[4]) };
        assert_eq!(packet[at..at + 3], [0, 0, 1]);
        packet[at + 4..at + 6].copy_from_slice(&[0, 200]);
    }
    let units = |stream: &Packets| {
        let mut demuxer = Demuxer::default();
        let mut events: Vec<_> = demuxer.push(stream.concat().into()).collect();
        events.extend(demuxer.finish());
        let unit = |event| match event {
            Event::AccessUnit { pid: VIDEO, unit } => Some(unit),
            _ => None,
        };
        events.into_iter().filter_map(unit).collect::<Vec<_>>()
    };
    assert_eq!(units(&stream), units(&synth()));
    assert!(units(&stream).iter().any(|unit| unit.random_access.is_some()));
}

#[cfg(feature = "cli")]
mod command {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use super::support::command::{decoded, media, parsed, run, run_with, segcast};
    use super::*;

    fn segment(input: &Path, output: &Path) -> Command {
        let mut command = segcast(["segment", "--segment", "2s", "--output"]);
        command.arg(output).arg(input);
        command
    }

    fn real() -> Packets {
        split(&fs::read(media("h264-aac.ts")).unwrap())
    }

    /// A PAT that lists a program whose PMT never comes first, each time or but each hundredth.
    fn with_ghost(keep_each: usize) -> Packets {
        let mut pats = 0;
        let mut stream = replaced(real(), Pid::PAT, &pat(0, &[(9, GHOST), (1, PMT)]));
        stream.retain(|packet| {
            pats += usize::from(pid(packet) == Pid::PAT);
            pid(packet) != Pid::PAT || pats % keep_each == 1 % keep_each
        });
        stream
    }

    #[test]
    fn nothing_before_the_tables_is_lost() {
        let temporary = tempfile::tempdir().unwrap();
        let mut late = real();
        let mut n = 0;
        late.retain(|packet| {
            n += 1;
            n > 300 || ![Pid::PAT, PMT, Pid::new(0x11)].contains(&pid(packet))
        });
        let no_pat: Packets = real().into_iter().filter(|packet| pid(packet) != Pid::PAT).collect();
        let expected = decoded(&media("h264-aac.ts")).0;
        for (name, stream) in
            [("ghost", with_ghost(1)), ("rare-ghost", with_ghost(1000)), ("late", late), ("no-pat", no_pat)]
        {
            let input = temporary.path().join(name).with_extension("ts");
            fs::write(&input, stream.as_flattened()).unwrap();
            for piped in [false, true] {
                let output = temporary.path().join(format!("{name}-{piped}"));
                let ended = if piped {
                    let mut command = segment(Path::new("-"), &output);
                    run_with(command.args(["--playlist", "event"]), stream.as_flattened())
                } else {
                    run(&mut segment(&input, &output))
                };
                let ended = ended.good();
                assert!(ended.stderr.starts_with("6 segments, 12.000 s"), "{name}: {}", ended.stderr);
                assert_eq!(decoded(&output.join("index.m3u8")), (expected, String::new()), "{name}");
            }
            let inspected = run(segcast(["inspect", "--json"]).arg(&input)).good();
            let report: serde_json::Value = serde_json::from_str(&inspected.stdout).unwrap();
            let program = &report["programs"][0];
            assert_eq!(program["number"], 1, "{name}");
            assert_eq!(program["streams"][0]["pes_packets"], 300, "{name}");
        }
    }

    #[test]
    fn a_file_is_read_from_its_start_however_late_its_tables_come() {
        let temporary = tempfile::tempdir().unwrap();
        let input = temporary.path().join("late.ts");
        let stream = long_before_the_tables();
        fs::write(&input, stream.as_flattened()).unwrap();
        let output = temporary.path().join("file");
        let ended = run(&mut segment(&input, &output)).good();
        let list = parsed(&fs::read_to_string(output.join("index.m3u8")).unwrap());
        let sum: f32 = list.segments.iter().map(|segment| segment.duration).sum();
        assert!((sum - 10.0).abs() < 0.001, "{sum}: {}", ended.stderr);
        assert!(!ended.stderr.contains("before the tables"), "{}", ended.stderr);
        let report = run(segcast(["inspect", "--json"]).arg(&input)).good();
        let report: serde_json::Value = serde_json::from_str(&report.stdout).unwrap();
        assert_eq!(report["programs"][0]["streams"][0]["pes_packets"], 250);

        // What cannot be read again is kept to a limit, and the rest counted.
        let mut piped = segment(Path::new("-"), &temporary.path().join("pipe"));
        let ended = run_with(&mut piped, stream.as_flattened()).good();
        let dropped = "1 × before the tables; first at byte 0: ";
        assert!(ended.stderr.contains(dropped), "{}", ended.stderr);
    }

    #[test]
    fn four_packets_are_a_file() {
        let temporary = tempfile::tempdir().unwrap();
        let input = temporary.path().join("four.ts");
        fs::write(&input, few(4).as_flattened()).unwrap();
        for format in ["ts", "cmaf"] {
            let output = temporary.path().join(format);
            let ended = run(segment(&input, &output).args(["--format", format])).good();
            assert!(ended.stderr.starts_with("1 segment, "), "{}", ended.stderr);
        }
        run(segcast(["inspect"]).arg(&input)).good();
    }
}
