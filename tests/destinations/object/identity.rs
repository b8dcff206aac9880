//! Credentials that nobody has written down: by a web identity, from an instance, from a container's agent. SeaweedFS's
//! own service gives them and checks them; `identity.py` is the cloud around it.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use segcast::playlist::Media;

use super::seaweed::{BUCKET, Weed};
use crate::server::{Server, free_port};

const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/destinations/object/identity.py");
const ROLE: &str = "arn:aws:iam::role/Publisher";

/// A service that gives credentials, and what lets into it.
struct Cloud {
    weed: Weed,
    identity: Server,
}

impl Cloud {
    async fn start() -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let mut command = Command::new("python3");
        command.current_dir(folder.path()).args([SERVER, &port.to_string(), ROLE]);
        // The service looks for the issuer as it starts.
        let identity = Server::start(command, port, folder);
        let weed = Weed::start_with(|folder| {
            std::fs::write(folder.join("iam.json"), rules(port)).unwrap();
            Some("-s3.iam.config=iam.json")
        });
        let cloud = Self { weed: weed.await, identity };
        std::fs::write(cloud.file("sts"), format!("{}/", cloud.weed.endpoint())).unwrap();
        cloud
    }

    fn file(&self, name: &str) -> String {
        self.identity.folder.path().join(name).display().to_string()
    }

    /// What segcast does with a channel whose only destination is the bucket, and with `variables` in its environment.
    fn segcast(&self, arguments: &[&str], input: &str, variables: &[(&str, String)]) -> Output {
        let channel = format!(
            "{input}
            [output]
            segment = '1s'
            [[rendition]]
            name = 'a'
            video = {{ codec = 'h264', size = '128x72', bitrate = '80k', preset = 'ultrafast', fps = 10 }}
            [[destination]]
            url = 's3://{BUCKET}/live?endpoint={}&region=us-east-1'",
            self.weed.endpoint(),
        );
        let file = self.file("channel.toml");
        std::fs::write(&file, channel).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_segcast"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
            command.env_remove(name);
        }
        command.args(arguments).arg(file).envs(variables.iter().map(|(name, value)| (name, value)));
        command.output().unwrap()
    }

    fn check(&self, variables: &[(&str, String)]) -> Output {
        self.segcast(&["destination", "check"], "input = { url = 'test' }", variables)
    }

    fn web_identity(&self, token: &str) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_WEB_IDENTITY_TOKEN_FILE", self.file(token)),
            ("AWS_ROLE_ARN", ROLE.to_owned()),
            ("AWS_ROLE_SESSION_NAME", "segcast".to_owned()),
            ("AWS_ENDPOINT_URL_STS", format!("{}/", self.weed.endpoint())),
        ]
    }
}

/// The service lets the issuer's `channel` be the publisher, who may do everything in the bucket.
fn rules(port: u16) -> String {
    let issuer = format!("http://127.0.0.1:{port}");
    format!(
        r#"{{
        "sts": {{"tokenDuration": "1h", "maxSessionLength": "12h", "issuer": "sts",
            "signingKey": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="}},
        "providers": [{{"name": "issuer", "type": "oidc", "enabled": true,
            "config": {{"issuer": "{issuer}", "clientId": "segcast", "jwksUri": "{issuer}/keys"}}}}],
        "policy": {{"defaultEffect": "Deny", "storeType": "memory"}},
        "roles": [{{"roleName": "Publisher", "roleArn": "{ROLE}", "attachedPolicies": ["Publish"],
            "trustPolicy": {{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow",
                "Principal": {{"Federated": "issuer"}}, "Action": ["sts:AssumeRoleWithWebIdentity"],
                "Condition": {{"StringEquals": {{"oidc:sub": "channel"}}}}}}]}}}}],
        "policies": [{{"name": "Publish", "document": {{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow",
            "Action": "s3:*", "Resource": ["arn:aws:s3:::{BUCKET}", "arn:aws:s3:::{BUCKET}/*"]}}]}}}}]
        }}"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_identity_is_let_in() {
    let cloud = Cloud::start().await;
    for (subject, code, words) in
        [("channel", 0, &["ok"][..]), ("stranger", 1, &["403 AccessDenied", "AWS_ROLE_ARN"])]
    {
        let output = cloud.check(&cloud.web_identity(subject));
        let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert!(words.iter().all(|word| told.contains(word)), "{told}");
        let token = std::fs::read_to_string(cloud.file(subject)).unwrap();
        assert!(!token.is_empty() && !told.contains(&token), "{told}");
    }
    let output = cloud.check(&cloud.web_identity("nobody"));
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains(&cloud.file("nobody")) && told.contains("No such file"), "{output:?}");
}

/// Whoever has credentials that expire asks for others, and the stream goes on.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_instances_and_containers_are_renewed() {
    let cloud = Cloud::start().await;
    let at = format!("http://{}", cloud.identity.address());
    let ways = [
        vec![("AWS_METADATA_ENDPOINT", at.clone())],
        vec![
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{at}/container")),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", cloud.file("pod")),
        ],
    ];
    let mut known = BTreeSet::new();
    for way in &ways {
        let input = "[input]\nurl = 'test'\nargs = ['-re', '-t', '6']";
        let output = cloud.segcast(&["run"], input, way);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !told.contains("tried again"), "{told}");
        let keys: BTreeSet<String> = cloud.identity.output().lines().map(str::to_owned).collect();
        let new: Vec<_> = keys.difference(&known).collect();
        assert!(new.len() >= 4, "{way:?}: only {new:?}");
        assert!(!keys.iter().any(|key| told.contains(key.as_str())), "{told}");
        known = keys;
        let text = cloud.weed.text("live/a/index.m3u8").await;
        let media = Media::parse(&text).unwrap();
        assert!(media.is_ended && media.segments.iter().all(|segment| !segment.is_gap), "{text}");
    }
}
