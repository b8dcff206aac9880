//! The `[origin]` table.

use std::path::PathBuf;
use std::time::Duration;

use super::check::Checker;
use super::expand::expand;
use super::file::{self, File, Playlist};
use super::ground::Must;
use super::outside::Outside;
use super::shape::quoted;
use super::value::Kind as _;
use crate::destination::Secret;
use crate::origin::{Auth, Cors, Options, Tls};

/// How long viewers may be served the rest at most.
const LONGEST_LINGER: Duration = Duration::from_secs(3600);

impl Checker<'_> {
    /// The origin that a file asks for, if it does.
    pub(super) fn origin(&mut self, file: &File, outside: &Outside) -> Option<Options> {
        let origin = file.origin.as_ref()?;
        let usual = Options::default();
        let options = Options {
            listen: origin.listen.map_or(usual.listen, |listen| listen.0.0),
            tls: self.tls(origin, outside),
            auth: self.auth(origin, outside),
            player: self.player(origin).unwrap_or(usual.player),
            cors: self.cors(origin),
            linger: self.linger(origin).unwrap_or(usual.linger),
            limits: usual.limits,
        };
        if options.auth.is_some() && options.tls.is_none() && !options.listen.ip().is_loopback() {
            self.notes.push("origin: without `certificate`, passwords and tokens come in clear text".into());
        }
        if file.output.playlist != Playlist::Live {
            self.notes
                .push("origin: the whole stream is held in memory, as nothing leaves its playlists".into());
        }
        Some(options)
    }

    fn tls(&mut self, origin: &file::Origin, outside: &Outside) -> Option<Tls> {
        let certificate = self.pem("origin.certificate", origin.certificate.as_ref(), outside);
        let key = self.pem("origin.key", origin.key.as_ref(), outside);
        match (certificate, key) {
            (Some(certificate), Some(key)) => return Some(Tls { certificate, key }),
            (Some(_), None) => self.mistakes.add("origin.key", "is missing beside `certificate`", None),
            (None, Some(_)) => self.mistakes.add("origin.certificate", "is missing beside `key`", None),
            (None, None) => {}
        }
        None
    }

    fn pem(&mut self, key: &str, path: Option<&PathBuf>, outside: &Outside) -> Option<PathBuf> {
        let text = path?.to_string_lossy();
        if text.is_empty() {
            self.mistakes.add(key, "expected a file, came \"\"", None);
        }
        let resolved = outside.path(&text).map_err(|message| self.mistakes.add(key, message, None));
        let path = resolved.ok()?;
        self.need(key, path.clone(), Must::Read);
        Some(path)
    }

    fn auth(&mut self, origin: &file::Origin, outside: &Outside) -> Option<Auth> {
        let password =
            self.secret("password", origin.password.as_ref(), origin.password_file.as_ref(), outside);
        let token = self.secret("token", origin.token.as_ref(), origin.token_file.as_ref(), outside);
        let has_password = origin.password.is_some() || origin.password_file.is_some();
        if origin.token.is_some() || origin.token_file.is_some() {
            if origin.user.is_some() || has_password {
                self.mistakes.add("origin.token", "has no place beside a user and a password", None);
            }
            return token.map(Auth::Bearer);
        }
        match (&origin.user, has_password) {
            (Some(user), true) if user.is_empty() || user.contains([':', '\n', '\r']) => {
                self.mistakes.add("origin.user", "expected a name without colons", None);
            }
            (Some(_), false) => {
                let hint =
                    "as in password = \"${NAME}\", or password_file = \"/run/secrets/password\"".to_owned();
                self.mistakes.add("origin.password", "is missing, as a user needs it", hint);
            }
            (None, true) => self.mistakes.add("origin.user", "is missing beside `password`", None),
            _ => {}
        }
        Some(Auth::Basic { user: origin.user.clone()?, password: password? })
    }

    /// A secret from its key, where `${NAME}` is the environment's, or from the file that is named.
    fn secret(
        &mut self,
        name: &str,
        text: Option<&String>,
        path: Option<&String>,
        outside: &Outside,
    ) -> Option<Secret> {
        let (key, in_file) = (format!("origin.{name}"), format!("origin.{name}_file"));
        if let Some(path) = path {
            if text.is_some() {
                self.mistakes.add(&in_file, format!("has no place beside `{name}`"), None);
            }
            let read = outside.path(path).and_then(|path| outside.secret(&path));
            return read.map_err(|message| self.mistakes.add(&in_file, message, None)).ok();
        }
        let expanded = expand(text?, outside.environment);
        let secret = expanded.map_err(|message| self.mistakes.add(&key, message, None)).ok()?;
        if secret.is_empty() {
            self.mistakes.add(&key, "expected a secret, came \"\"", None);
        }
        Some(Secret::new(secret))
    }

    fn linger(&mut self, origin: &file::Origin) -> Option<Duration> {
        let linger = origin.linger?.0;
        if linger > LONGEST_LINGER {
            let message = format!("expected at most {}, came {}", LONGEST_LINGER.write(), linger.write());
            self.mistakes.add("origin.linger", message, None);
        }
        Some(linger)
    }

    /// The player's address; an empty text is none.
    fn player(&mut self, origin: &file::Origin) -> Option<Option<String>> {
        let player = origin.player.clone()?;
        let is_good = |text: &str| {
            let is_address = ["https://", "http://", "/"].iter().any(|start| text.starts_with(start));
            is_address && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"',;<>".contains(&byte))
        };
        if player.is_empty() {
            return Some(None);
        }
        if !is_good(&player) {
            let message = format!("expected the address of a script, or nothing, came {}", quoted(&player));
            self.mistakes.add("origin.player", message, None);
        }
        Some(Some(player))
    }

    fn cors(&mut self, origin: &file::Origin) -> Cors {
        let Some(origins) = &origin.cors else { return Cors::Any };
        if origins.iter().any(|one| one == "*") {
            return Cors::Any;
        }
        for (n, one) in origins.iter().enumerate() {
            if !is_origin(one) {
                let hint = "as in \"https://news.example\", without a path; \"*\" for all".to_owned();
                let message = format!("expected a scheme and a host, came {}", quoted(one));
                self.mistakes.add(&format!("origin.cors[{n}]"), message, hint);
            }
        }
        Cors::Of(origins.clone())
    }
}

/// Whether `text` is what browsers send as Origin.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or(text.strip_prefix("http://"));
    host.is_some_and(|host| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{mistakes, ours};
    use super::*;

    fn with(origin: &str) -> String {
        format!(
            "input = {{ url = 'test' }}\nrendition = [{{ name = 'a', audio = {{}} }}]\n[origin]\n{origin}"
        )
    }

    fn read(origin: &str) -> Options {
        ours(&with(origin)).unwrap().options.origin.unwrap()
    }

    #[test]
    fn an_origin_needs_no_destination_and_stays_on_this_machine() {
        let checked = ours(&with("")).unwrap();
        assert!(checked.options.destinations.is_empty());
        assert_eq!(checked.options.origin, Some(Options::default()));
        assert_eq!(read("listen = 81").listen.to_string(), "127.0.0.1:81");
        assert_eq!(read("listen = '0.0.0.0:81'").listen.to_string(), "0.0.0.0:81");
        assert_eq!(read("player = ''").player, None);
        assert_eq!(
            ours("input.url = 'test'\noutput.directory = 'x'\nrendition = [{ name = 'a', audio = {} }]")
                .unwrap()
                .options
                .origin,
            None
        );
    }

    #[test]
    fn everything_is_read() {
        let options = read(
            "user = 'me'\npassword = '${KEY}'\ncertificate = 'c.pem'\nkey = 'k.pem'\n\
             player = 'https://x.example/p.js'\ncors = ['https://a.example:8443']\nlinger = '1m'",
        );
        assert_eq!(options.auth, Some(Auth::Basic { user: "me".into(), password: Secret::new("hunter2") }));
        assert_eq!(options.tls, Some(Tls { certificate: "c.pem".into(), key: "k.pem".into() }));
        assert_eq!(options.cors, Cors::Of(vec!["https://a.example:8443".into()]));
        assert_eq!(options.linger, Duration::from_secs(60));
        assert_eq!(options.player.as_deref(), Some("https://x.example/p.js"));
        assert_eq!(read("token = '${KEY}'").auth, Some(Auth::Bearer(Secret::new("hunter2"))));
        assert_eq!(read("cors = ['*']").cors, Cors::Any);
    }

    #[test]
    fn every_mistake_is_told_and_no_secret() {
        for (text, told) in [
            ("certificate = 'c.pem'", "origin.key: is missing beside `certificate`"),
            ("key = 'k.pem'", "origin.certificate: is missing beside `key`"),
            ("user = 'me'", "origin.password: is missing, as a user needs it"),
            ("password = 'hunter3'", "origin.user: is missing beside `password`"),
            ("token = 'hunter3'\nuser = 'me'", "origin.token: has no place beside a user and a password"),
            ("token = '${NOPE}'", "origin.token: the environment variable \"NOPE\" is not set"),
            ("token = ''", "origin.token: expected a secret, came \"\""),
            ("token = 'hunter3'\ntoken_file = '/x'", "origin.token_file: has no place beside `token`"),
            ("listen = 'here'", "origin.listen: expected an address and a port such as"),
            ("listen = 99999", "origin.listen: expected an address and a port such as"),
            ("player = 'javascript:alert(1)'", "origin.player: expected the address of a script"),
            ("player = 'https://x; script-src *'", "origin.player: expected the address of a script"),
            ("cors = ['news.example']", "origin.cors[0]: expected a scheme and a host"),
            ("cors = ['https://a/b']", "origin.cors[0]: expected a scheme and a host"),
            ("port = 80", "origin.port: unknown key"),
            ("linger = '2h'", "origin.linger: expected at most 1h, came 2h"),
        ] {
            let came = mistakes(&with(text));
            assert!(came.contains(told), "{text}: {came}");
            assert!(!came.contains("hunter3"), "{came}");
        }
    }
}
