//! Blocking reload, request by request.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use segcast::live;
use segcast::playlist::{DateRange, Media};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::channel::{Channel, PARTS, body, options, presentation};
use super::client::{Answer, ask, get};

/// Within this, whoever waits is answered once it is there.
const SOON: Duration = Duration::from_millis(500);

fn later(address: std::net::SocketAddr, path: &str) -> JoinHandle<Answer> {
    let path = path.to_owned();
    tokio::spawn(async move { get(address, &path).await })
}

/// Waits until `count` requests are held.
async fn held(address: std::net::SocketAddr, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let line = format!("segcast_origin_held_requests {count}");
    while !get(address, "/metrics").await.text().lines().any(|one| one == line) {
        assert!(Instant::now() < deadline, "never {line}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn malformed_directives_are_refused_and_unknown_ones_passed_over() {
    let (mut channel, server) = Channel::serve(options(), &["hd"], true);
    (0..3).for_each(|_| drop(channel.segment(0, body(10))));
    for query in [
        "_HLS_msn=x",
        "_HLS_msn=",
        "_HLS_msn=-1",
        "_HLS_part=0",
        "_HLS_msn=1&_HLS_part=x",
        "_HLS_skip=maybe",
        "_HLS_msn=99999999999999999999",
    ] {
        let answer = get(server.address, &format!("/hd/index.m3u8?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.text().starts_with("_HLS_"), "{}", answer.text());
    }
    let answer = get(server.address, "/hd/index.m3u8?_HLS_later=1&x=_HLS_msn").await;
    assert_eq!(answer.status, 200);
    // A multivariant playlist has no media sequence.
    assert_eq!(get(server.address, "/index.m3u8?_HLS_msn=99").await.status, 200);
}

#[tokio::test]
async fn what_is_there_is_answered_at_once_and_what_is_too_far_refused() {
    let (mut channel, server) = Channel::serve(options(), &["hd"], true);
    (0..3).for_each(|_| drop(channel.segment(0, body(10))));
    channel.open(0);
    channel.part(0);
    // Segments 1 to 3 are whole, 4 is open and has part 0.
    for query in [
        "_HLS_msn=0",
        "_HLS_msn=3",
        "_HLS_msn=3&_HLS_part=3",
        "_HLS_msn=4&_HLS_part=0",
        "_HLS_msn=3&_HLS_part=4",
    ] {
        let answer = get(server.address, &format!("/hd/index.m3u8?{query}")).await;
        assert_eq!(answer.status, 200, "{query}");
        assert_eq!(answer.header("cache-control"), "max-age=6", "six target durations");
    }
    for query in [
        "_HLS_msn=6",
        "_HLS_msn=18446744073709551615",
        "_HLS_msn=4&_HLS_part=99",
        "_HLS_msn=18446744073709551615&_HLS_part=18446744073709551615",
    ] {
        assert_eq!(get(server.address, &format!("/hd/index.m3u8?{query}")).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn a_request_is_held_until_its_part_is_there() {
    let (mut channel, server) = Channel::serve(options(), &["hd"], true);
    (0..3).for_each(|_| drop(channel.segment(0, body(10))));
    channel.open(0);
    let waiting = later(server.address, "/hd/index.m3u8?_HLS_msn=4&_HLS_part=1");
    held(server.address, 1).await;
    channel.part(0);
    held(server.address, 1).await;
    assert!(!waiting.is_finished(), "the part before is not enough");
    channel.part(0);
    let came = Instant::now();
    let answer = waiting.await.unwrap();
    assert!(came.elapsed() < SOON);
    assert!(answer.text().contains("URI=\"00004.1.ts\""), "{}", answer.text());
}

#[tokio::test]
async fn a_request_for_a_segment_is_held_until_it_is_whole() {
    for has_parts in [false, true] {
        let (mut channel, server) = Channel::serve(options(), &["hd", "sd"], has_parts);
        (0..3).for_each(|_| (0..2).for_each(|rendition| drop(channel.segment(rendition, body(10)))));
        let waiting = [
            later(server.address, "/hd/index.m3u8?_HLS_msn=4"),
            later(server.address, "/hd/index.m3u8?_HLS_msn=5"),
        ];
        held(server.address, 2).await;
        channel.segment(1, body(10));
        assert!(waiting.iter().all(|one| !one.is_finished()), "another rendition's is not enough");
        channel.segment(0, body(10));
        let [first, second] = waiting;
        let media = Media::parse(&first.await.unwrap().text()).unwrap();
        assert_eq!(media.media_sequence + media.segments.len() as u64, 5);
        held(server.address, 1).await;
        channel.segment(0, body(10));
        assert_eq!(second.await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_head_is_held_too() {
    let (mut channel, server) = Channel::serve(options(), &["hd"], false);
    channel.segment(0, body(10));
    let address = server.address;
    let waiting = tokio::spawn(async move { ask(address, "HEAD", "/hd/index.m3u8?_HLS_msn=2", "").await });
    held(address, 1).await;
    channel.segment(0, body(10));
    assert_eq!(waiting.await.unwrap().status, 200);
}

#[tokio::test]
async fn nobody_waits_for_ever() {
    let (mut channel, server) = Channel::serve(options(), &["hd"], true);
    channel.segment(0, body(10));
    let began = Instant::now();
    let answer = get(server.address, "/hd/index.m3u8?_HLS_msn=2").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
    let waited = began.elapsed();
    assert!((Duration::from_secs(3)..Duration::from_secs(5)).contains(&waited), "{waited:?}");
    held(server.address, 0).await;
}

#[tokio::test]
async fn at_the_end_everybody_is_answered_at_once() {
    let (mut channel, server) = Channel::serve(options(), &["hd"], true);
    channel.segment(0, body(10));
    let waiting = later(server.address, "/hd/index.m3u8?_HLS_msn=2&_HLS_part=0");
    held(server.address, 1).await;
    channel.end();
    let answer = waiting.await.unwrap();
    assert!(answer.text().contains("#EXT-X-ENDLIST"));
    let began = Instant::now();
    let after = get(server.address, "/hd/index.m3u8?_HLS_msn=77&_HLS_part=9").await;
    assert!(after.status == 200 && began.elapsed() < SOON, "{}", after.status);
}

#[tokio::test]
async fn when_the_channel_breaks_down_nobody_goes_on_waiting() {
    let (mut channel, server) = Channel::serve(options(), &["hd"], true);
    channel.segment(0, body(10));
    let waiting = later(server.address, "/hd/index.m3u8?_HLS_msn=2");
    let hinted = later(server.address, "/hd/00002.0.ts");
    held(server.address, 2).await;
    let began = Instant::now();
    drop(channel);
    assert_eq!(waiting.await.unwrap().status, 200);
    assert_eq!(hinted.await.unwrap().status, 404);
    assert!(began.elapsed() < SOON);
}

#[tokio::test]
async fn the_first_playlists_are_waited_for() {
    let (mut channel, server) = Channel::serve(options(), &["hd"], true);
    assert_eq!(get(server.address, "/readyz").await.status, 503);
    let waiting = [later(server.address, "/index.m3u8"), later(server.address, "/hd/index.m3u8")];
    held(server.address, 2).await;
    assert_eq!(get(server.address, "/sd/index.m3u8").await.status, 404, "nobody promised that");
    channel.segment(0, body(10));
    for one in waiting {
        assert_eq!(one.await.unwrap().status, 200);
    }
    assert_eq!(get(server.address, "/readyz").await.status, 200);
}

#[tokio::test]
async fn a_hinted_part_is_waited_for_and_no_other() {
    let (mut channel, server) = Channel::serve(options(), &["hd"], true);
    (0..2).for_each(|_| drop(channel.segment(0, body(10))));
    channel.open(0);
    channel.part(0);
    let playlist = get(server.address, "/hd/index.m3u8").await.text();
    assert!(playlist.contains("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"00003.1.ts\""), "{playlist}");
    let waiting = later(server.address, "/hd/00003.1.ts");
    held(server.address, 1).await;
    for path in ["/hd/00003.2.ts", "/hd/00004.0.ts", "/hd/00003.ts"] {
        assert_eq!(get(server.address, path).await.status, 404, "{path}");
    }
    channel.part(0);
    let answer = waiting.await.unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "hd/00003.1.ts"));
    assert_eq!(answer.header("cache-control"), "max-age=31536000, immutable");
    assert_eq!(answer.header("content-type"), "video/mp2t");
}

#[tokio::test]
async fn a_hinted_part_that_never_comes_is_not_found() {
    let (mut channel, server) = Channel::serve(options(), &["hd"], true);
    (0..2).for_each(|_| drop(channel.segment(0, body(10))));
    channel.open(0);
    channel.part(0);
    let waiting = later(server.address, "/hd/00003.1.ts");
    held(server.address, 1).await;
    // The segment ends early.
    channel.close(0, body(10));
    assert_eq!(waiting.await.unwrap().status, 404);
}

#[tokio::test]
async fn older_segments_are_left_out_for_those_who_know_them() {
    let (mut channel, server) = Channel::serve(options(), &["hd"], true);
    // The window is six, and so is the boundary: a segment more than that is needed.
    (0..12).for_each(|_| drop(channel.segment(0, body(10))));
    channel.open(0);
    (0..PARTS - 1).for_each(|_| drop(channel.part(0)));
    let whole = get(server.address, "/hd/index.m3u8").await;
    assert!(whole.text().contains("CAN-SKIP-UNTIL=6"), "{}", whole.text());
    for value in ["YES", "v2"] {
        let delta = get(server.address, &format!("/hd/index.m3u8?_HLS_skip={value}")).await;
        assert_eq!(delta.status, 200);
        let skips = delta.text().contains("#EXT-X-SKIP:SKIPPED-SEGMENTS=");
        assert_eq!(skips, delta.text() != whole.text());
        assert!(delta.body.len() <= whole.body.len());
    }
    let held = get(server.address, "/hd/index.m3u8?_HLS_msn=12&_HLS_part=0&_HLS_skip=YES").await;
    assert_eq!(held.status, 200);
}

#[tokio::test]
async fn date_ranges_that_were_told_long_ago_are_left_out_for_those_who_ask_for_that() {
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let range = |id: &str, seconds| DateRange::new(id, at(seconds));
    let long = live::Options { kind: live::Kind::Live { window: 12 }, ..presentation(&["hd"], true) };
    let (mut channel, server) = Channel::present(options(), long);
    (0..6).for_each(|_| drop(channel.segment(0, body(10))));
    channel.presentation.date_range(range("first", 1), at(6));
    channel.show();
    // Nothing is left out where no segment is.
    let text = get(server.address, "/hd/index.m3u8?_HLS_skip=v2").await.text();
    assert!(text.contains("first") && !text.contains("EXT-X-SKIP"), "{text}");
    (0..6).for_each(|_| drop(channel.segment(0, body(10))));
    let short = DateRange { duration: Some(Duration::from_secs(1)), ..range("short", 8) };
    channel.presentation.date_range(range("old", 9), at(12));
    channel.presentation.date_range(short, SystemTime::now());
    channel.presentation.date_range(range("new", 10), SystemTime::now());
    channel.show();
    let ids = |media: &Media| media.date_ranges.iter().map(|range| range.id.clone()).collect::<Vec<_>>();
    let read = async |query: &str| {
        let text = get(server.address, &format!("/hd/index.m3u8{query}")).await.text();
        Media::parse(&text).unwrap()
    };
    for query in ["", "?_HLS_skip=YES"] {
        let media = read(query).await;
        assert_eq!(ids(&media), ["first", "old", "short", "new"]);
        assert_eq!(media.low_latency.removed_date_ranges, None);
        assert!(media.low_latency.control.unwrap().can_skip_date_ranges);
    }
    let media = read("?_HLS_skip=v2").await;
    assert_eq!((ids(&media), media.version()), (vec!["short".to_owned(), "new".to_owned()], 10));
    assert!(media.low_latency.skipped_segments > 0);
    assert_eq!(media.low_latency.removed_date_ranges, Some(vec![]));
    // The window moves on, beyond the end of the short one.
    (0..11).for_each(|_| drop(channel.segment(0, body(10))));
    assert_eq!(ids(&read("").await), ["first", "old", "new"]);
    let media = read("?_HLS_skip=v2").await;
    assert_eq!(ids(&media), ["new"]);
    assert_eq!(media.low_latency.removed_date_ranges, Some(vec!["short".to_owned()]));
    assert_eq!(
        ids(channel.presentation.snapshot().media(0).unwrap()),
        ["first", "old", "new"],
        "destinations are told too"
    );
    // Of what has ended nothing is left out, whatever is asked for (rfc8216bis §6.2.5.1).
    channel.end();
    for query in ["?_HLS_skip=YES", "?_HLS_skip=v2"] {
        let media = read(query).await;
        assert!(media.is_ended && media.low_latency.skipped_segments == 0, "{media:?}");
        assert_eq!(ids(&media), ["first", "old", "new"]);
    }
}
