//! Azurite: Azure Blob Storage as Microsoft itself imitates it.

use std::process::Command;

use segcast::destination::object::{Azure, Options, Service};
use segcast::destination::{Kind, Secret, Target};

use super::gate::Gate;
use super::{http, options, ready, refusal, what_comes_late_stays_out, what_the_network_does};
use crate::conformance::{View, conforms, open, said, text};
use crate::server::{Server, free_port, installed};

const ACCOUNT: &str = "segcasttest";
/// "an account's key that is no secret", as Azure has them.
const KEY: &str = "YW4gYWNjb3VudCdzIGtleSB0aGF0IGlzIG5vIHNlY3JldA==";
const CONTAINER: &str = "live-container";
/// Signs what is asked for in the way of an account's shared access signature (version 2019-12-12).
const SIGN: &str = r#"
import base64, hashlib, hmac, sys, urllib.parse
account, key, permissions = sys.argv[1:]
fields = [("sp", permissions), ("ss", "b"), ("srt", "sco"), ("st", ""), ("se", "2099-01-01T00:00:00Z"), ("sip", ""),
          ("spr", "https,http"), ("sv", "2019-12-12")]
text = "".join(value + "\n" for value in [account, *(value for _, value in fields)])
signature = base64.b64encode(hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()).decode()
print(urllib.parse.urlencode([*((name, value) for name, value in fields if value), ("sig", signature)]), end="")
"#;

/// A server with a container that anyone may read.
struct Azurite(Server);

impl Azurite {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut command = Command::new(installed("azurite-blob"));
        command
            .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string(), "--location"])
            .arg(folder.path());
        command.args(["--skipApiVersionCheck", "--disableTelemetry"]);
        command.env("AZURITE_ACCOUNTS", format!("{ACCOUNT}:{KEY}"));
        let azurite = Self(Server::start(command, port, folder));
        let url = format!("{}/{CONTAINER}?restype=container&{}", azurite.endpoint(), sas("rwdlac"));
        let created =
            http().put(url).header("x-ms-blob-public-access", "container").header("content-length", 0);
        let answer = created.send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
        ready(&Target::Object(azurite.options())).await;
        azurite
    }

    fn endpoint(&self) -> String {
        format!("http://{}/{ACCOUNT}", self.0.address())
    }

    fn options(&self) -> Options {
        self.with(Some(KEY), None)
    }

    fn with(&self, key: Option<&str>, sas: Option<&str>) -> Options {
        options(azure(key, sas), CONTAINER, self.endpoint())
    }
}

fn azure(key: Option<&str>, sas: Option<&str>) -> Service {
    let (access_key, sas_token) = (key.map(Secret::new), sas.map(Secret::new));
    Service::Azure(Azure { account: ACCOUNT.to_owned(), access_key, sas_token, access_tier: None })
}

fn sas(permissions: &str) -> String {
    let output = Command::new("python3").args(["-c", SIGN, ACCOUNT, KEY, permissions]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn azurite_conforms() {
    let azurite = Azurite::start().await;
    let mut options = azurite.options();
    options.headers.extra = vec![("Content-Language".to_owned(), "de".to_owned())];
    let place = format!("{}/{CONTAINER}/{}", azurite.endpoint(), options.prefix);
    let view = View::of_web(place);
    conforms(&Target::Object(options), &view).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_access_signature_is_enough() {
    let azurite = Azurite::start().await;
    let token = sas("rwdlac");
    let mut options = azurite.with(None, Some(&token));
    options.headers.extra = vec![("x-ms-meta-channel".to_owned(), "one".to_owned())];
    let destination = open(&Target::Object(options));
    for key in ["a b.ts", "index.m3u8", "index.m3u8"] {
        destination.put(key, text("something")).await.unwrap();
        assert_eq!(destination.get(key).await.unwrap().as_deref(), Some(&b"something"[..]));
    }
    let url = format!("{}/{CONTAINER}/live/one/a b.ts", azurite.endpoint());
    let served = http().head(url).send().await.unwrap();
    assert_eq!(served.headers()["x-ms-meta-channel"], "one");
    for key in ["a b.ts", "index.m3u8", "index.m3u8"] {
        destination.delete(key).await.unwrap();
        assert_eq!(destination.get(key).await.unwrap(), None);
    }

    let reading = sas("rl");
    let error = refusal(azurite.with(None, Some(&reading))).await;
    println!("{}", said(&error));
    assert_eq!(error.kind(), Kind::Refused);
    let hint = ": these credentials must be allowed to put, get and delete objects in this container";
    assert!(said(&error).ends_with(hint), "{}", said(&error));
    let signature = reading.rsplit("sig=").next().unwrap();
    assert!(!said(&error).contains(signature) && !said(&error).contains("sig="), "{}", said(&error));
    let delete = open(&Target::Object(azurite.with(None, Some(&reading)))).delete("a.ts").await.unwrap_err();
    println!("{}", said(&delete));
    assert_eq!(delete.kind(), Kind::Refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_late_to_azurite_stays_out() {
    let azurite = Azurite::start().await;
    let gate = Gate::open(azurite.0.port).await;
    let endpoint = format!("http://127.0.0.1:{}/{ACCOUNT}", gate.port);
    let through = options(azure(Some(KEY), None), CONTAINER, endpoint);
    what_comes_late_stays_out(&azurite.options(), &through, &gate).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn azurite_behind_a_bad_network() {
    let at = |address| options(azure(Some(KEY), None), CONTAINER, format!("http://{address}/{ACCOUNT}"));
    what_the_network_does(&Azurite::start().await.0, at).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_azure_is_said() {
    let azurite = Azurite::start().await;
    let wrong = "YW5vdGhlciBrZXkgdGhhdCBpcyBub25l";
    let error = refusal(azurite.with(Some(wrong), None)).await;
    println!("{}", said(&error));
    assert_eq!(error.kind(), Kind::Refused);
    assert!(said(&error).contains("403 AuthorizationFailure"), "{}", said(&error));
    assert!(said(&error).contains("check the account's name, and its key"), "{}", said(&error));
    assert!(!said(&error).contains(wrong), "{}", said(&error));

    let error = refusal(azurite.with(Some("not base 64!"), None)).await;
    println!("{}", said(&error));
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(!said(&error).contains("not base 64!"), "{}", said(&error));

    let elsewhere = options(azure(Some(KEY), None), "no-such-container", azurite.endpoint());
    let destination = open(&Target::Object(elsewhere));
    for key in ["a.ts", "index.m3u8"] {
        let put = destination.put(key, text("x")).await.unwrap_err();
        let get = destination.get(key).await.unwrap_err();
        println!("{}\n{}", said(&put), said(&get));
        assert_eq!([put.kind(), get.kind()], [Kind::Missing; 2], "{key}");
        assert!(said(&put).ends_with(": create the container, or name another in the URL"), "{}", said(&put));
    }

    let mut unsigned = azurite.options();
    unsigned.headers.extra = vec![("x-ms-tags".to_owned(), "a=b".to_owned())];
    let error = refusal(unsigned).await;
    println!("{}", said(&error));
    assert_eq!(error.kind(), Kind::Invalid);
}
