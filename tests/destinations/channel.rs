//! Whole channels in real time: real ffmpeg, real servers, a spoiled network between, and at each destination a viewer
//! past that network, whose log is checked afterwards.
//!
//! - [`stage`]: a channel and its destinations; [`host`]: the servers.
//! - [`viewer`]: what is written down; [`checker`]: what it must hold to.
//!
//! `TEST_FAULT_SECONDS=N` lets random faults last for so long.

mod checker;
mod host;
mod isolation;
mod stage;
mod viewer;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use segcast::channel::Error;
use tokio::time::{Instant, sleep};

use crate::conformance::said;
use crate::copy::Disk;
use crate::proxy::{Answer, Answers, Fault, Schedule};
use host::Host;
use stage::{Place, Stage, until};

/// How long random faults last if nothing else is asked for.
const FAULTS: Duration = Duration::from_secs(20);
/// The longest fault, and the longest calm.
const LONGEST_FAULT: Duration = Duration::from_secs(4);
/// Of these, each brings nearly every fault within [`FAULTS`], some for longer than an attempt may take.
const SEEDS: [u64; 4] = [68, 388, 321, 254];
/// After this all is well again that was not: an attempt's time, a wait, and a playlist's length.
const RECOVERY: Duration = Duration::from_secs(14);

fn fault_time() -> Duration {
    let asked = std::env::var("TEST_FAULT_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    asked.map_or(FAULTS, Duration::from_secs)
}

#[tokio::test]
async fn five_kinds_behind_a_bad_network_leave_nothing_dangling() {
    let mut places = vec![
        Place::new(Host::folder()),
        Place::behind_a_proxy(Host::nginx()),
        Place::behind_a_proxy(Host::vsftpd()),
        Place::behind_a_proxy(Host::sshd()),
        Place::behind_a_proxy(Host::weed().await),
    ];
    places[1].answer();
    let stage = Stage::new(places);
    let run = stage.run();
    stage.until_on_air(&run, 0..5).await;

    let is_over = Arc::<AtomicBool>::default();
    let mut sufferings = Vec::new();
    for (seed, place) in SEEDS.into_iter().zip(&stage.places[1..]) {
        let proxy = place.proxy.clone().unwrap();
        let is_over = Arc::clone(&is_over);
        sufferings.push(tokio::task::spawn_blocking(move || {
            proxy.suffer(Schedule::new(seed, LONGEST_FAULT), || is_over.load(Ordering::SeqCst));
        }));
    }
    let end = Instant::now() + fault_time();
    answer_now_and_then(stage.places[1].answers.as_ref().unwrap(), end).await;
    is_over.store(true, Ordering::SeqCst);
    for suffering in sufferings {
        suffering.await.unwrap();
    }
    sleep(RECOVERY).await;
    let summary = run.finish().await.unwrap_or_else(|error| panic!("{}", said(&error)));
    for status in &summary.destinations {
        println!("{status}");
    }
    let seen = stage.check().await;
    assert!(seen[0].gaps.is_empty(), "nothing was wrong there: {:?}", seen[0].gaps);
    let spoiled = summary.destinations.iter().filter(|status| status.retries > 0).count();
    assert_eq!(spoiled, 4, "it was too fair to be worth it: {:#?}", summary.destinations);
}

/// Lets a web server answer otherwise than it would, until `end`.
async fn answer_now_and_then(answers: &Answers, end: Instant) {
    let [again, busy] = [(503, 1), (429, 2)]
        .map(|(status, seconds)| Answer { retry_after: Some(seconds), ..Answer::new(status) });
    let lost = Answer { is_done: true, ..Answer::new(500) };
    for (answer, times) in [(Answer::new(500), 3), (again, 1), (lost, 2), (busy, 1)].into_iter().cycle() {
        if Instant::now() >= end {
            return;
        }
        answers.give(answer, times);
        sleep(Duration::from_millis(1700)).await;
    }
}

#[tokio::test]
async fn servers_that_are_killed_and_started_again_catch_up() {
    let places = vec![Place::new(Host::folder()), Place::new(Host::nginx()), Place::new(Host::sshd())];
    let mut stage = Stage::new(places);
    // One is not there when the channel begins.
    let late = stage.places[2].host.stop();
    let run = stage.run();
    stage.until_on_air(&run, 0..2).await;
    sleep(Duration::from_secs(3)).await;
    stage.places[2].host.start_again(late);
    stage.until_on_air(&run, 2..3).await;
    for (n, away) in [(1, 4), (2, 4), (1, 9)] {
        let stopped = stage.places[n].host.stop();
        sleep(Duration::from_secs(away)).await;
        stage.places[n].host.start_again(stopped);
        sleep(Duration::from_secs(2)).await;
    }
    sleep(RECOVERY).await;
    run.finish().await.unwrap_or_else(|error| panic!("{}", said(&error)));
    let seen = stage.check().await;
    assert!(seen[0].gaps.is_empty(), "nothing was wrong there: {:?}", seen[0].gaps);
}

/// Destinations that refuse connections, for a channel that says so.
async fn nowhere(hosts: impl IntoIterator<Item = Host>) -> (Stage, stage::Run) {
    let stage = Stage::new(hosts.into_iter().map(Place::behind_a_proxy).collect());
    stage.places.iter().for_each(|place| place.proxy.as_ref().unwrap().set(Fault::Refuse));
    let run = stage.run();
    stage.until_said(&run, "nowhere to begin").await;
    (stage, run)
}

#[tokio::test]
async fn a_channel_begins_when_one_of_its_destinations_answers() {
    let (stage, run) = nowhere([Host::nginx(), Host::sshd()]).await;
    for place in &stage.places {
        assert!(stage.log().contains(&place.name()), "{} is not in {}", place.name(), stage.log());
    }
    for n in [0, 1] {
        stage.places[n].proxy.as_ref().unwrap().heal();
        stage.until_on_air(&run, n..n + 1).await;
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    for place in &stage.places {
        until(deadline, &place.name(), async || place.segments().await.len() >= 8).await;
    }
    run.finish().await.unwrap_or_else(|error| panic!("{}", said(&error)));
    stage.check().await;
}

/// Of places that come back one after the other, the first is not gone on with alone: no number comes twice.
#[tokio::test]
async fn a_channel_waits_for_the_company_of_the_first_place_that_is_back() {
    let stage = Stage::new([Host::nginx(), Host::sshd()].into_iter().map(Place::behind_a_proxy).collect());
    let fault = |n: usize, fault| stage.places[n].proxy.as_ref().unwrap().set(fault);
    let run = stage.run();
    stage.until_on_air(&run, 0..2).await;
    // The second comes further.
    fault(0, Fault::Refuse);
    let far = stage.places[1].segments().await.len() + 6;
    let deadline = Instant::now() + Duration::from_secs(30);
    until(deadline, "the second goes on", async || stage.places[1].segments().await.len() >= far.min(12))
        .await;
    run.kill().await;
    (0..2).for_each(|n| fault(n, Fault::Refuse));
    let run = stage.run();
    stage.until_said(&run, "nowhere to begin").await;
    fault(0, Fault::None);
    sleep(Duration::from_secs(2)).await;
    fault(1, Fault::None);
    stage.until_on_air(&run, 0..2).await;
    sleep(RECOVERY).await;
    run.finish().await.unwrap_or_else(|error| panic!("{}", said(&error)));
    stage.check().await;
}

#[tokio::test]
async fn a_channel_with_nowhere_to_begin_ends_when_it_is_asked_to() {
    let (stage, run) = nowhere([Host::nginx()]).await;
    let summary = run.finish().await.unwrap_or_else(|error| panic!("{}", said(&error)));
    assert_eq!((summary.segments(), summary.renditions.len()), (0, 2));
    assert!(stage.log().contains("ended before there was a place to begin"), "{}", stage.log());
    assert!(stage.log().contains("Connection refused"), "{}", stage.log());
}

#[tokio::test]
async fn a_full_disk_and_a_lost_permission_cost_their_own_destination_alone() {
    let (Some(full), Some(locked)) = (Disk::mount(), Disk::mount()) else { return };
    let places = vec![
        Place::new(Host::folder()),
        Place::new(Host::Folder { path: full.path().to_owned(), _own: None }),
        Place::new(Host::sshd_with(locked.path().join("files"))),
    ];
    let stage = Stage::new(places);
    let run = stage.run();
    stage.until_on_air(&run, 0..3).await;
    fill(full.path());
    locked.remount("ro");
    sleep(Duration::from_secs(5)).await;
    let log = stage.log();
    assert!(log.contains("the disk is full"), "{log}");
    assert_eq!(log.matches("it is tried again until it works").count(), 2, "{log}");
    assert!(!log.contains("it is still tried again"), "{log}");
    fs::remove_file(full.path().join("filler")).unwrap();
    locked.remount("rw");
    sleep(RECOVERY).await;
    let summary = run.finish().await.unwrap_or_else(|error| panic!("{}", said(&error)));
    let seen = stage.check().await;
    assert!(seen[0].gaps.is_empty(), "nothing was wrong there: {:?}", seen[0].gaps);
    assert_eq!(summary.destinations.iter().filter(|status| status.retries > 0).count(), 2);
}

/// Leaves no room in `folder`.
fn fill(folder: &Path) {
    use std::io::Write;

    let mut file = fs::File::create(folder.join("filler")).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
}

#[tokio::test]
async fn what_is_refused_is_said_once_and_the_others_go_on() {
    let mut places = vec![Place::new(Host::folder())];
    places.extend(refused().await);
    let names = places.iter().map(Place::name).collect::<Vec<_>>();
    let mut stage = Stage::new(places);
    let run = stage.run();
    stage.until_on_air(&run, 0..1).await;
    sleep(Duration::from_secs(3)).await;
    let error = run.finish().await.unwrap_err();
    assert!(matches!(error, Error::Destination { .. }), "{}", said(&error));
    let log = stage.log();
    println!("{log}");
    for (n, place) in stage.places.iter().enumerate().skip(1) {
        let lines: Vec<_> = log.lines().filter(|line| line.contains(&names[n])).collect();
        assert_eq!(lines.len(), 1, "{}: {lines:?}", names[n]);
        for word in place.words {
            assert!(lines[0].contains(word), "no {word:?} in {}", lines[0]);
        }
        for secret in ["hunter2", "not/the/secret"] {
            assert!(!log.contains(secret), "{log}");
        }
    }
    stage.places.truncate(1);
    stage.check().await;
}

#[tokio::test]
async fn what_is_refused_and_required_ends_the_channel_at_once() {
    for place in refused().await {
        let mut place = place;
        place.more.push_str("required = true\n");
        let (name, words) = (place.name(), place.words);
        let stage = Stage::new(vec![Place::new(Host::folder()), place]);
        let began = Instant::now();
        let error = stage.run().end().await.unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        let said = said(&error);
        for word in words.iter().chain([&name.as_str()]) {
            assert!(said.contains(word), "no {word:?} in {said}");
        }
    }
}

#[tokio::test]
async fn a_channel_runs_at_an_ftp_server_without_rename_and_delete() {
    for arguments in [["--without", "RNFR", "DELE"], ["--permissions", "elramwMT", "--without"]] {
        let stage = Stage::unwatched(Place::new(Host::pyftpdlib(&arguments)));
        let folder = host::files(&stage.places[0].host).unwrap();
        let run = stage.run();
        stage.until_on_air(&run, 0..1).await;
        // Of both renditions, more than the playlist names and retention keeps.
        let deadline = Instant::now() + Duration::from_secs(40);
        until(deadline, "segments expire", async || stage::segments_in(&folder).len() > 2 * (6 + 9)).await;
        run.finish().await.unwrap_or_else(|error| panic!("{}", said(&error)));
        let log = stage.log();
        for words in ["rename refused, files are written in place", "delete refused, expired segments stay"] {
            assert_eq!(log.matches(words).count(), 1, "{words}: {log}");
        }
        assert_eq!(log.matches("WARN").count(), 2, "{log}");
        let named = stage.places[0].segments().await;
        let there = stage::segments_in(&folder);
        assert!(named.len() == 2 * 6 && named.is_subset(&there), "{named:?} of {there:?}");
        let mut others: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap()).collect();
        others.retain(|entry| entry.file_type().unwrap().is_file());
        let mut names: Vec<_> = others.iter().map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, [".segcast-probe-hi-index-m3u8", "index.m3u8"]);
        let Host::Pyftpdlib(ftpd) = &stage.places[0].host else { unreachable!() };
        assert_eq!(ftpd.output().matches("<- DELE").count(), 1, "{}", ftpd.output());
    }
}

/// Destinations that can never be, with what is said of them.
async fn refused() -> Vec<Place> {
    let weed = Arc::new(Host::weed().await);
    let mut places =
        vec![Place::new(Host::vsftpd()), Place::new(Host::nginx_with_tls()), Place::new(Host::sshd())];
    places[0]
        .replace("'secret'", "'hunter2'")
        .expect(&["530 Login incorrect", "are user and password right?"]);
    places[1].expect(&["nobody here knows who signed", "ca = "]);
    places[2].host.change_host_key();
    places[2].expect(&["has changed", "ssh-keygen -R"]);
    let mut bucket = Place::new(Host::Shared(Arc::clone(&weed)));
    bucket
        .replace("s3://live-bucket/", "s3://no-such-bucket/")
        .expect(&["NoSuchBucket", "create the bucket"]);
    let mut secret = Place::new(Host::Shared(weed));
    secret
        .replace("/live?", "/other?")
        .replace("secret_access_key = 's3cret/of+the=test'", "secret_access_key = 'not/the/secret'");
    secret.expect(&["SignatureDoesNotMatch", "check access_key_id and secret_access_key"]);
    places.extend([bucket, secret]);
    places
}

#[tokio::test]
async fn a_second_run_goes_on_where_a_killed_one_was() {
    let places = vec![Place::new(Host::folder()), Place::new(Host::vsftpd()), Place::new(Host::weed().await)];
    let stage = Stage::new(places);
    let run = stage.run();
    stage.until_on_air(&run, 0..3).await;
    sleep(Duration::from_secs(5)).await;
    run.kill().await;
    let mut left = Vec::new();
    for place in &stage.places {
        left.push(place.segments().await);
    }
    assert!(left.iter().all(|keys| keys.len() >= 6), "{left:?}");
    let run = stage.run();
    // Each had its own last playlist: what one lacks is a gap there.
    let deadline = Instant::now() + Duration::from_secs(40);
    for (place, keys) in stage.places.iter().zip(&left) {
        for key in keys {
            until(
                deadline,
                &format!("{} of the first run is deleted at {}", key, place.name()),
                async || place.look().get(key).await.is_ok_and(|body| body.is_none()),
            )
            .await;
        }
    }
    run.finish().await.unwrap_or_else(|error| panic!("{}", said(&error)));
    for place in &stage.places {
        let Some(folder) = host::files(&place.host) else { continue };
        let named = place.segments().await;
        let there = stage::segments_in(&folder);
        let most = named.len() + 2 * (6 + 3);
        assert!(there.len() <= most, "{}: {there:?}, and {named:?} are named", place.name());
    }
    stage.check().await;
}

#[tokio::test]
async fn ffmpeg_plays_from_every_destination() {
    let hosts = vec![Host::folder(), Host::nginx(), Host::vsftpd(), Host::sshd(), Host::weed().await];
    let stage = Stage::new(hosts.into_iter().map(Place::new).collect());
    let run = stage.run();
    stage.until_on_air(&run, 0..5).await;
    let mut players = Vec::new();
    for place in &stage.places {
        let web = place.served();
        players.push((place.name(), stage::play(&web.url), web));
    }
    for (name, player, _web) in players {
        let output = player.wait_with_output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let frames = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.is_empty(), "{name}: {said}");
        let frames: u64 = frames
            .lines()
            .filter_map(|line| line.strip_prefix("frame="))
            .next_back()
            .unwrap()
            .parse()
            .unwrap();
        assert!(frames >= 35, "{name}: {frames} frames");
    }
    run.finish().await.unwrap_or_else(|error| panic!("{}", said(&error)));
    stage.check().await;
}
