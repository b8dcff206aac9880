//! Google Cloud Storage, as far as `gcs.py` stands in for it.

use std::process::Command;

use segcast::destination::object::{Gcs, Options, Service};
use segcast::destination::{Kind, Secret, Target};

use super::gate::Gate;
use super::{http, options, ready, refusal, what_comes_late_stays_out, what_the_network_does};
use crate::conformance::{View, conforms, open, said, text};
use crate::server::{Server, free_port};

const BUCKET: &str = "live-bucket";
const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/destinations/object/gcs.py");

struct Google(Server);

impl Google {
    async fn start() -> Self {
        let google = Self::start_with(&[]);
        ready(&Target::Object(google.options())).await;
        google
    }

    fn start_with(arguments: &[&str]) -> Self {
        let port = free_port();
        let mut command = Command::new("python3");
        command.arg(SERVER).arg(port.to_string()).arg(BUCKET).args(arguments);
        Self(Server::start(command, port, tempfile::tempdir().unwrap()))
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.0.address())
    }

    fn options(&self) -> Options {
        self.with(None)
    }

    fn with(&self, credentials: Option<&str>) -> Options {
        let gcs = Gcs { credentials: credentials.map(Secret::new), ..Gcs::default() };
        options(Service::Gcs(gcs), BUCKET, self.endpoint())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn google_conforms() {
    let google = Google::start().await;
    let mut options = google.options();
    options.headers.extra = vec![("Content-Language".to_owned(), "de".to_owned())];
    let place = format!("{}/{BUCKET}/{}", google.endpoint(), options.prefix);
    let view = View::of_web(place);
    conforms(&Target::Object(options), &view).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_late_to_google_stays_out() {
    let google = Google::start().await;
    let gate = Gate::open(google.0.port).await;
    let mut through = google.options();
    through.endpoint = Some(format!("http://127.0.0.1:{}", gate.port));
    what_comes_late_stays_out(&google.options(), &through, &gate).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_google_are_sent_when_they_are_asked_for() {
    let google = Google::start().await;
    let gate = Gate::open(google.0.port).await;
    let gcs = Gcs {
        acl: Some("publicRead".to_owned()),
        storage_class: Some("NEARLINE".to_owned()),
        ..Gcs::default()
    };
    let asked = options(Service::Gcs(gcs), BUCKET, format!("http://127.0.0.1:{}", gate.port));
    open(&Target::Object(asked)).put("asked.ts", text("x")).await.unwrap();
    assert!(gate.passed().contains("x-goog-acl: publicRead"), "{}", gate.passed());
    let url = format!("{}/{BUCKET}/live/one/asked.ts", google.endpoint());
    assert_eq!(http().head(url).send().await.unwrap().headers()["x-goog-storage-class"], "NEARLINE");
}

#[tokio::test(flavor = "multi_thread")]
async fn google_behind_a_bad_network() {
    let at = |address| options(Service::Gcs(Gcs::default()), BUCKET, format!("http://{address}"));
    what_the_network_does(&Google::start().await.0, at).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_google_is_said() {
    let google = Google::start_with(&["the-token"]);
    let error = refusal(google.options()).await;
    println!("{}", said(&error));
    assert_eq!(error.kind(), Kind::Refused);
    assert!(said(&error).ends_with(": check the service account's key in credentials"), "{}", said(&error));

    let error = refusal(google.with(Some("/nowhere/key.json"))).await;
    println!("{}", said(&error));
    assert_eq!(error.kind(), Kind::Missing);
    assert!(said(&error).contains("/nowhere/key.json"), "{}", said(&error));

    for json in [r#"{"private_key": "hunter2hunter2"}"#, "{hunter2hunter2"] {
        let error = refusal(google.with(Some(json))).await;
        println!("{}", said(&error));
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(!said(&error).contains("hunter2"), "{}", said(&error));
    }

    let mut elsewhere = google.options();
    elsewhere.bucket = "no-such-bucket".to_owned();
    let destination = open(&Target::Object(elsewhere));
    for key in ["a.ts", "index.m3u8"] {
        let put = destination.put(key, text("x")).await.unwrap_err();
        let get = destination.get(key).await.unwrap_err();
        println!("{}\n{}", said(&put), said(&get));
        assert_eq!([put.kind(), get.kind()], [Kind::Missing; 2], "{key}");
    }
}
