//! The page that a channel shows at `/`.

use crate::folder::Folder;
use crate::machine::{alone, shared};
use crate::page::Page;
use crate::player::scripts;
use crate::server::Server;

const PHONE: [&str; 4] = ["--width", "390", "--height", "844"];

fn pattern(output: &str, origin: &str) -> Server {
    let mut server = Server::pattern(&format!("segment = \"1s\"\nwindow = 8\n{output}"), origin);
    server.until_segments("/high/index.m3u8", 4);
    server
}

/// hls.js, from a server of ours.
fn player() -> String {
    Folder::serve(&scripts("hls.js/dist")).url("hls.min.js")
}

/// It plays, with nothing to complain of for eyes, fingers, keyboards and screen readers.
#[track_caller]
fn assert_is_good(page: &Page) {
    assert!(page.errors.is_empty() && page.violations.is_empty(), "{page:#?}");
    assert!(page.startup_s.is_some_and(|startup| startup < 3.0), "{page:#?}");
    assert!(page.played_s > 2.0 && page.width > 0, "{page:#?}");
    assert_eq!(page.overflow_px, 0, "{page:#?}");
    for role in ["- banner", "- main", "- contentinfo", "- heading \"test\" [level=1]", "- status"] {
        assert!(page.outline.contains(role), "no {role}: {}", page.outline);
    }
}

/// The keyboard reaches everything, in the order of reading.
#[track_caller]
fn assert_is_reached(page: &Page) {
    let stops: Vec<_> = page.stops.iter().map(|stop| stop.element.as_str()).collect();
    assert_eq!(stops, ["a", "video", "a", "button", "a", "a"], "{:#?}", page.stops);
    assert!(page.stops[0].name.starts_with("Skip"), "{:#?}", page.stops);
    assert!(page.stops.iter().all(|stop| stop.is_seen && !stop.name.is_empty()), "{:#?}", page.stops);
}

/// What it says of the channel is there, and plausible.
#[track_caller]
fn assert_tells_all(page: &Page) {
    assert!(page.title.contains("test"), "{page:#?}");
    let size = format!("{} × {}", page.width, page.height);
    assert!(page.fact("Watch", "Variant").ends_with(&size), "{page:#?}");
    for rendition in ["high", "low"] {
        assert!(
            page.number(rendition, "Bitrate") > 0.0 && page.number(rendition, "Segments") >= 4.0,
            "{page:#?}"
        );
    }
    let copy = page.facts.iter().find(|(_, term, _)| term == "Lost").map(|(heading, ..)| heading);
    let copy = copy.unwrap_or_else(|| panic!("no destination: {page:#?}"));
    assert!(page.number(copy, "Lost") == 0.0 && page.fact(copy, "Shown after").ends_with(" ms"), "{page:#?}");
    // A plot for each rendition and destination, each under a name that says what it shows.
    let named =
        |word: &str| page.plots.iter().filter(|plot| plot.name.contains(word) && plot.points > 2).count();
    assert_eq!((named("Segment duration"), named("Publish latency")), (2, 1), "{page:#?}");
}

#[test]
fn the_page_shows_a_channel_on_a_desktop() {
    shared(|| {
        let page = Page::open_and_keep(&pattern("", "").url(""), "desktop", &["--seconds", "3"]);
        assert_is_good(&page);
        assert_is_reached(&page);
        assert_tells_all(&page);
    });
}

#[test]
fn the_page_shows_a_channel_on_a_phone() {
    shared(|| {
        let options = [&PHONE[..], &["--seconds", "3"]].concat();
        let page = Page::open_and_keep(&pattern("", "").url(""), "phone", &options);
        assert_is_good(&page);
        assert_tells_all(&page);
    });
}

#[test]
fn the_page_plays_by_a_script_where_the_browser_has_no_hls() {
    shared(|| {
        let server = pattern("", &format!("player = \"{}\"", player()));
        let options = ["--without-native", "--seconds", "3"];
        let page = Page::open_and_keep(&server.url(""), "script", &options);
        assert_is_good(&page);
        assert_tells_all(&page);
        assert!(page.fact("Watch", "Player").starts_with("hls.js"), "{page:#?}");
        assert!(page.number("Watch", "Latency") < 8.0, "{page:#?}");
    });
}

/// A page must not ask for addresses with a login in them: browsers refuse that.
#[test]
fn the_page_plays_where_the_login_stands_in_its_address() {
    shared(|| {
        let login = format!("user = \"viewer\"\npassword = \"s3cret\"\nplayer = \"{}\"", player());
        for part in ["", "part = \"200ms\""] {
            let mut server = Server::pattern(&format!("segment = \"1s\"\nwindow = 8\n{part}"), &login);
            server.until_ready();
            let url = server.url("").replace("http://", "http://viewer:s3cret@");
            let page = Page::open(&url, &["--seconds", "3"]);
            assert!(page.errors.is_empty() && page.played_s > 1.0, "{page:#?}");
            assert!(page.number("high", "Segments") > 0.0, "{page:#?}");
        }
    });
}

#[test]
fn a_page_that_cannot_play_says_so() {
    shared(|| {
        let server = pattern("", "player = \"\"");
        let page = Page::open(&server.url(""), &["--without-native", "--seconds", "1"]);
        assert!(page.outline.contains("cannot play HLS"), "{page:#?}");
        assert_eq!(page.errors, ["nothing plays"]);
    });
}

/// As a new user has it: the address, as soon as it is printed; and the moment from which there is a stream.
#[test]
fn the_quickstarts_page_plays_within_three_seconds() {
    alone(|| {
        let mut server = Server::quickstart(&player());
        server.until_ready();
        let page = Page::open_and_keep(&server.url(""), "quickstart", &["--seconds", "3"]);
        println!("quickstart: plays after {:.2?} s, {}", page.startup_s, page.fact("Watch", "Latency"));
        assert!(page.errors.is_empty() && page.violations.is_empty(), "{page:#?}");
        assert!(page.startup_s.is_some_and(|startup| startup <= 3.0) && page.played_s > 1.0, "{page:#?}");
    });
}
