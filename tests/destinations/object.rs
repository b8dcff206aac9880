//! Object storage: SeaweedFS, Azurite, and what stands in for Google's.

mod azurite;
mod gate;
mod google;
mod identity;
pub mod seaweed;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use segcast::chunks::Chunks;
use segcast::destination::object::{Options, Service};
use segcast::destination::{Error, Headers, Target};

use crate::conformance::{View, open, said, text, withstands};
use crate::proxy::Proxy;
use crate::server::Server;
use gate::Gate;

/// How long a server that listens may take until it does what it is for.
const READY: Duration = Duration::from_secs(60);

/// A bucket at `endpoint`.
fn options(service: Service, bucket: &str, endpoint: String) -> Options {
    Options {
        service,
        bucket: bucket.to_owned(),
        prefix: "live/one".to_owned(),
        endpoint: Some(endpoint),
        headers: Headers::default(),
    }
}

/// Waits until `target` takes a file.
async fn ready(target: &Target) {
    let destination = open(target);
    let deadline = Instant::now() + READY;
    while let Err(error) = destination.put("ready", text("ready")).await {
        assert!(Instant::now() < deadline, "{target}: {}", said(&error));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    destination.delete("ready").await.unwrap();
}

/// Why a file cannot be put to the bucket of `options`.
async fn refusal(options: Options) -> Error {
    match Target::Object(options).open() {
        Ok(destination) => destination.put("a.ts", text("x")).await.unwrap_err(),
        Err(error) => error,
    }
}

/// A put that arrives when a newer one is there already does not go over it. `direct` and `through` are the same
/// bucket, the latter by way of `gate`.
async fn what_comes_late_stays_out(direct: &Options, through: &Options, gate: &Gate) {
    let body = |name: &str| Chunks::from(name.repeat(1000));
    let [direct, through] = [direct, through].map(|options| open(&Target::Object(options.clone())));
    for key in ["late/index.m3u8", "late/00001.ts"] {
        if key.ends_with(".m3u8") {
            through.put(key, body("first")).await.unwrap();
        }
        gate.hold(true);
        let late = tokio::time::timeout(Duration::from_millis(500), through.put(key, body("late"))).await;
        assert!(late.is_err(), "it was not held: {late:?}");
        direct.put(key, body("newer")).await.unwrap();
        let before = gate.passed().len();
        gate.hold(false);
        let deadline = Instant::now() + Duration::from_secs(2);
        while Instant::now() < deadline {
            assert_eq!(direct.get(key).await.unwrap().unwrap(), body("newer").to_bytes());
        }
        assert!(gate.passed()[before..].contains("latelate"), "the late one never came");
        through.put(key, body("newest")).await.unwrap();
        assert_eq!(direct.get(key).await.unwrap().unwrap(), body("newest").to_bytes());
        direct.delete(key).await.unwrap();
        through.put(key, body("again")).await.unwrap();
        assert_eq!(direct.get(key).await.unwrap().unwrap(), body("again").to_bytes());
    }
}

/// What the network does to the bucket of `options`, which is reached at an address.
async fn what_the_network_does(server: &Server, options: impl Fn(SocketAddr) -> Options) {
    let proxy = Arc::new(Proxy::before(server.address()));
    let [through, direct] =
        [proxy.address(), server.address()].map(|address| Target::Object(options(address)));
    withstands(&proxy, &through, &direct, &View::default()).await;
}

/// A client for what our destinations do not do: create buckets.
fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}
