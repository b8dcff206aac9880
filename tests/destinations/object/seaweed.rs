//! SeaweedFS: S3 with signatures that are checked, and conditional puts that are atomic.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{HttpRequest, HttpRequestBody, HttpService};
use reqwest::Method;
use segcast::destination::object::{Encryption, Options, S3, Service};
use segcast::destination::{Kind, Secret, Target};
use tempfile::TempDir;

use super::gate::Gate;
use super::{READY, http, options, ready, refusal, what_comes_late_stays_out, what_the_network_does};
use crate::conformance::{View, conforms, open, said, text};
use crate::proxy::{Answer, Answers};
use crate::server::{Server, free_port, installed};

pub const KEY: &str = "AKSEGCASTTEST";
pub const SECRET: &str = "s3cret/of+the=test";
pub const BUCKET: &str = "live-bucket";

/// A server with a bucket that anyone may read.
pub struct Weed {
    pub server: Server,
    https: u16,
}

impl Weed {
    pub async fn start() -> Self {
        Self::start_with(|_| None).await
    }

    /// One that gets a further argument, which is known when there is a folder for what it tells of.
    pub async fn start_with(more: impl FnOnce(&Path) -> Option<&'static str>) -> Self {
        let (folder, https) = (tempfile::tempdir().unwrap(), free_port());
        let more = more(folder.path());
        let weed = Self { server: start(folder, https, more), https };
        weed.create_bucket().await;
        ready(&Target::Object(weed.options())).await;
        weed
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// What stands at `key`.
    pub async fn text(&self, key: &str) -> String {
        let mut options = self.options();
        options.prefix = String::new();
        let body = open(&Target::Object(options)).get(key).await.unwrap();
        String::from_utf8(body.unwrap().to_vec()).unwrap()
    }

    /// Its bucket, reached in the usual way.
    fn options(&self) -> Options {
        self.with(s3())
    }

    /// The same bucket at another address.
    fn at(address: SocketAddr) -> Options {
        options(Service::S3(s3()), BUCKET, format!("http://{address}"))
    }

    fn with(&self, s3: S3) -> Options {
        options(Service::S3(s3), BUCKET, self.endpoint())
    }

    /// The same bucket by way of `gate`.
    fn through(&self, gate: &Gate, s3: S3) -> Options {
        options(Service::S3(s3), BUCKET, format!("http://127.0.0.1:{}", gate.port))
    }

    /// Through S3's interface.
    async fn create_bucket(&self) {
        let (key_id, secret_key) = (KEY.to_owned(), SECRET.to_owned());
        let credential = AwsCredential { key_id, secret_key, token: None };
        let client = http();
        let deadline = Instant::now() + READY;
        loop {
            let mut request = HttpRequest::new(HttpRequestBody::empty());
            *request.method_mut() = Method::PUT;
            *request.uri_mut() = format!("{}/{BUCKET}", self.endpoint()).parse().unwrap();
            AwsAuthorizer::new(&credential, "s3", "us-east-1").try_authorize(&mut request, None).unwrap();
            let answer = HttpService::call(&client, request).await;
            if answer.as_ref().is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            assert!(Instant::now() < deadline, "cannot create the bucket: {answer:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn s3() -> S3 {
    S3 {
        access_key_id: Some(Secret::new(KEY)),
        secret_access_key: Some(Secret::new(SECRET)),
        region: Some("us-east-1".to_owned()),
        ..S3::default()
    }
}

fn start(folder: TempDir, https: u16, more: Option<&str>) -> Server {
    let path = folder.path().to_owned();
    let identities = format!(
        r#"{{"identities": [
            {{"name": "segcast", "credentials": [{{"accessKey": "{KEY}", "secretKey": "{SECRET}"}}], "actions": ["Admin"]}},
            {{"name": "anonymous", "actions": ["Read:{BUCKET}"]}}
        ]}}"#
    );
    std::fs::write(path.join("s3.json"), identities).unwrap();
    certificate(&path);
    let port = free_port();
    let mut weed = Command::new(installed("weed"));
    weed.current_dir(&path).args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-dir=.", "-s3"]);
    weed.args(["-s3.config=s3.json", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]);
    weed.arg("-s3.autoCreateBucket=false");
    weed.args(["-s3.cert.file=server.pem", "-s3.key.file=server.key"]);
    weed.args(more);
    weed.args(["-master.volumeSizeLimitMB=64", "-volume.max=100"]);
    weed.arg(format!("-s3.port={port}")).arg(format!("-s3.port.https={https}"));
    for name in ["master.port", "volume.port", "filer.port"] {
        weed.arg(format!("-{name}={}", free_port())).arg(format!("-{name}.grpc={}", free_port()));
    }
    weed.arg(format!("-s3.port.grpc={}", free_port()));
    Server::start(weed, port, folder)
}

/// A certificate that nobody has signed but its owner.
fn certificate(folder: &Path) {
    let mut openssl = Command::new("openssl");
    openssl.current_dir(folder).args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
    ]);
    openssl.args(["-nodes", "-subj", "/CN=segcast test", "-addext", "subjectAltName=IP:127.0.0.1"]);
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    let output = openssl.args(["-keyout", "server.key", "-out", "server.pem"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn seaweedfs_conforms() {
    let weed = Weed::start().await;
    let mut options = weed.options();
    options.headers.extra = vec![("Content-Language".to_owned(), "de".to_owned())];
    let place = format!("{}/{BUCKET}/{}", weed.endpoint(), options.prefix);
    let view = View::of_web(place);
    conforms(&Target::Object(options), &view).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_late_to_seaweedfs_stays_out() {
    let weed = Weed::start().await;
    let gate = Gate::open(weed.server.port).await;
    what_comes_late_stays_out(&weed.options(), &weed.through(&gate, s3()), &gate).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seaweedfs_behind_a_bad_network() {
    what_the_network_does(&Weed::start().await.server, Weed::at).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_s3_says_what_to_do() {
    let weed = Weed::start().await;
    let answers = Answers::before(weed.server.address());
    let destination = open(&Target::Object(Weed::at(answers.address())));
    answers.give(Answer { retry_after: Some(7), ..Answer::new(503) }, 1);
    let error = destination.put("a.ts", text("x")).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (Kind::Transient, Some(Duration::from_secs(7))));
    assert!(said(&error).ends_with(": the service answered 503"), "{}", said(&error));

    let key = "index.m3u8";
    destination.put(key, text("one")).await.unwrap();
    // It was done, and we do not know it.
    answers.give(Answer { is_done: true, ..Answer::new(500) }, 1);
    assert_eq!(destination.put(key, text("two")).await.unwrap_err().kind(), Kind::Transient);
    destination.put(key, text("three")).await.unwrap();
    // Somebody else has put it meanwhile.
    open(&Target::Object(weed.options())).put(key, text("four")).await.unwrap();
    destination.put(key, text("five")).await.unwrap();
    assert_eq!(destination.get(key).await.unwrap().as_deref(), Some(&b"five"[..]));
    // The service knows no conditions.
    answers.give(Answer::new(501), 1);
    destination.put(key, text("six")).await.unwrap();
    destination.put(key, text("seven")).await.unwrap();
    destination.put("a.ts", text("x")).await.unwrap();
    assert_eq!(destination.get(key).await.unwrap().as_deref(), Some(&b"seven"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_s3_is_said() {
    let weed = Weed::start().await;

    let wrong = "not-the-secret/0f+it";
    let error = refusal(weed.with(S3 { secret_access_key: Some(Secret::new(wrong)), ..s3() })).await;
    assert_eq!(error.kind(), Kind::Refused);
    let words = said(&error);
    println!("{words}");
    assert!(words.starts_with(
        "cannot put s3://live-bucket/live/one/a.ts: the service answered 403 SignatureDoesNotMatch"
    ));
    assert!(words.ends_with(": check access_key_id and secret_access_key"), "{words}");
    assert!(!words.contains(wrong) && !words.contains(KEY), "{words}");

    let error = refusal(weed.with(S3 { access_key_id: Some(Secret::new("AKUNKNOWN")), ..s3() })).await;
    println!("{}", said(&error));
    assert_eq!(error.kind(), Kind::Refused);
    assert!(!said(&error).contains("AKUNKNOWN"), "{}", said(&error));

    let elsewhere = options(Service::S3(s3()), "no-such-bucket", weed.endpoint());
    let destination = open(&Target::Object(elsewhere));
    for key in ["a.ts", "index.m3u8"] {
        let put = destination.put(key, text("x")).await.unwrap_err();
        let get = destination.get(key).await.unwrap_err();
        println!("{}\n{}", said(&put), said(&get));
        assert_eq!([put.kind(), get.kind()], [Kind::Missing; 2], "{key}");
        assert!(said(&put).contains("NoSuchBucket"), "{}", said(&put));
        assert!(said(&put).ends_with(": create the bucket, or name another in the URL"), "{}", said(&put));
    }

    let https = options(Service::S3(s3()), BUCKET, format!("https://127.0.0.1:{}", weed.https));
    let error = refusal(https).await;
    println!("{}", said(&error));
    assert_eq!(error.kind(), Kind::Refused);
    assert!(said(&error).contains(&format!("the certificate of 127.0.0.1:{} is not trusted", weed.https)));

    let nowhere = options(Service::S3(s3()), BUCKET, "http://nowhere.invalid:8333".to_owned());
    let error = refusal(nowhere).await;
    println!("{}", said(&error));
    assert_eq!(error.kind(), Kind::Transient);
    assert!(said(&error).contains("the name of nowhere.invalid:8333 does not resolve"), "{}", said(&error));

    let nobody = options(Service::S3(s3()), BUCKET, format!("http://127.0.0.1:{}", free_port()));
    let error = refusal(nobody).await;
    println!("{}", said(&error));
    assert_eq!(error.kind(), Kind::Transient);
    assert!(said(&error).contains("onnection refused"), "{}", said(&error));
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_s3_are_sent_when_they_are_asked_for() {
    let weed = Weed::start().await;
    let gate = Gate::open(weed.server.port).await;
    let plain = open(&Target::Object(weed.through(&gate, s3())));
    plain.put("plain.ts", text("x")).await.unwrap();
    let passed = gate.passed();
    assert!(passed.starts_with("PUT /live-bucket/live/one/plain.ts HTTP/1.1"), "{passed}");
    for header in ["x-amz-acl", "x-amz-storage-class", "x-amz-server-side-encryption", "expect:", "chunked"] {
        assert!(!passed.contains(header), "{header}: {passed}");
    }

    let mut asked = weed.through(
        &gate,
        S3 { acl: Some("public-read".to_owned()), storage_class: Some("STANDARD_IA".to_owned()), ..s3() },
    );
    asked.headers.extra = vec![
        ("x-amz-meta-channel".to_owned(), "one".to_owned()),
        ("X-Amz-Tagging".to_owned(), "a=b".to_owned()),
    ];
    let destination = open(&Target::Object(asked));
    destination.put("asked.ts", text("x")).await.unwrap();
    let put = gate.passed()[passed.len()..].to_owned();
    for header in ["acl: public-read", "storage-class: STANDARD_IA", "meta-channel: one", "tagging: a=b"] {
        assert!(put.contains(&format!("x-amz-{header}")), "{header}: {put}");
    }
    let before = gate.passed().len();
    destination.get("asked.ts").await.unwrap().unwrap();
    destination.delete("asked.ts").await.unwrap();
    let others = gate.passed()[before..].to_owned();
    assert!(!others.contains("x-amz-acl") && !others.contains("x-amz-tagging"), "{others}");

    // The server has no keys for it, which is its own matter: it was asked.
    let encryption = Some(Encryption::Kms(Some("a-key".to_owned())));
    let encrypted = weed.through(&gate, S3 { encryption, ..s3() });
    let _ = open(&Target::Object(encrypted)).put("encrypted.ts", text("x")).await;
    let passed = gate.passed();
    assert!(passed.contains("x-amz-server-side-encryption: aws:kms"), "{passed}");
    assert!(passed.contains("x-amz-server-side-encryption-aws-kms-key-id: a-key"), "{passed}");
}

/// What [`credentials_come_from_the_environment`] runs in a process of its own.
#[tokio::test]
#[ignore = "runs in the environment of another test"]
async fn child_of_environment() {
    let Ok(endpoint) = std::env::var("TEST_ENDPOINT") else { return };
    let target = Target::Object(options(Service::S3(S3::default()), BUCKET, endpoint));
    match open(&target).put("environment.ts", text("x")).await {
        Ok(()) => println!("put"),
        Err(error) => println!("{:?}: {}", error.kind(), said(&error)),
    }
}

fn in_environment(weed: &Weed, variables: &[(&str, &str)]) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "object::seaweed::child_of_environment", "--ignored", "--nocapture"]);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
        child.env_remove(name);
    }
    child.env("TEST_ENDPOINT", weed.endpoint()).envs(variables.iter().copied());
    String::from_utf8(child.output().unwrap().stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_come_from_the_environment() {
    let weed = Weed::start().await;
    let output = in_environment(&weed, &[("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", SECRET)]);
    assert!(output.contains("\nput\n"), "{output}");
    let output = in_environment(&weed, &[("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", "another")]);
    assert!(output.contains("\nRefused: ") && output.contains("SignatureDoesNotMatch"), "{output}");
    let output = in_environment(&weed, &[]);
    assert!(
        output.contains("\nRefused: ") && output.contains("set access_key_id and secret_access_key"),
        "{output}"
    );
    println!("{output}");
}
