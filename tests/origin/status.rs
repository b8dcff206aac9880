//! What is told of a channel.

use std::time::Duration;

use segcast::delivery;
use segcast::origin::{Rendition, State, Status};

use super::channel::{Channel, PARTS, body, options};
use super::client::{ask, get};

#[tokio::test]
async fn the_status_says_how_the_channel_is_doing() {
    let (mut channel, server) = Channel::serve(options(), &["hd"], true);
    let rendition = Rendition {
        name: "hd".to_owned(),
        state: State::Running,
        bitrate_bps: Some(1_000_000),
        recent: vec![Duration::from_secs(1)],
        last_error: Some("a continuity counter".to_owned()),
        ..Rendition::default()
    };
    let destination =
        delivery::Status { name: "s3://bucket/live".to_owned(), queued_bytes: 7, ..Default::default() };
    channel.stage.status(Status {
        state: State::Running,
        renditions: vec![rendition],
        destinations: vec![destination],
        now: Duration::from_secs(9),
        ..Status::default()
    });
    channel.segment(0, body(1000));
    for agent in ["one", "two", "one"] {
        ask(server.address, "GET", "/hd/index.m3u8", &format!("User-Agent: {agent}\r\n")).await;
    }
    let answer = get(server.address, "/status").await;
    assert_eq!(
        (answer.header("content-type"), answer.header("cache-control")),
        ("application/json", "no-store")
    );
    let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    for (at, value) in [
        ("/name", "\"test\""),
        ("/state", "\"running\""),
        ("/ready", "true"),
        ("/entry", "\"index.m3u8\""),
        ("/low_latency", "true"),
        ("/viewers", "2"),
        ("/objects", "5"),
        ("/renditions/0/bitrate_bps", "1000000"),
        ("/renditions/0/last_error", "\"a continuity counter\""),
        ("/destinations/0/queued_bytes", "7"),
        ("/destinations/0/state", "\"ok\""),
    ] {
        assert_eq!(json.pointer(at).unwrap().to_string(), value, "{at}");
    }
}

#[tokio::test]
async fn metrics_are_prometheus_own() {
    let (mut channel, server) = Channel::serve(options(), &["hd"], true);
    channel.open(0);
    (1..PARTS).for_each(|_| drop(channel.part(0)));
    channel.part_unshown(0);
    channel.close(0, body(1000));
    get(server.address, "/hd/00001.ts").await;
    get(server.address, "/none").await;
    let answer = get(server.address, "/metrics").await;
    assert!(answer.header("content-type").starts_with("application/openmetrics-text; version=1.0.0"));
    let text = answer.text();
    for line in [
        "segcast_origin_requests_total{class=\"segment\",status=\"200\"} 1",
        "segcast_origin_requests_total{class=\"other\",status=\"404\"} 1",
        "segcast_origin_sent_bytes_total{class=\"segment\"} 1000",
        "segcast_segment_duration_seconds_count{rendition=\"hd\"} 1",
        "segcast_part_duration_seconds_count{rendition=\"hd\"} 4",
        "segcast_origin_object_bytes 1052",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} is missing in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}
