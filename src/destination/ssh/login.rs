//! Who we are: a private key, a password, the agent, the user's own keys.

use std::io;
use std::path::Path;
use std::sync::Arc;

use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{self, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey, decode_secret_key};
use russh::{AgentAuthError, MethodKind, MethodSet};
use tokio::sync::OnceCell;

use super::failure::Failure;
use super::session::{Client, LastWords, blocking};
use super::{Options, home};
use crate::destination::Kind;

/// The user's own keys in ~/.ssh, in the order in which they are tried.
const OWN: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];
/// Questions that a server may ask before it is taken for one that never ends.
const MAX_QUESTIONS: usize = 5;

/// The private key that is configured: unlocking it takes a while, so it is kept.
#[derive(Debug, Default)]
pub(super) struct Keys {
    configured: OnceCell<Arc<PrivateKey>>,
}

/// Logs in, with all that is configured; if nothing is, with what the user has.
pub(super) async fn login(
    handle: &mut Handle<Client>,
    options: &Options,
    keys: &Keys,
    last_words: &LastWords,
) -> Result<(), Failure> {
    let mut login =
        Login { handle, user: &options.user, last_words, tried: Vec::new(), takes: None, may_pass: false };
    if login.try_all(options, keys).await? { Ok(()) } else { Err(login.refused()) }
}

struct Login<'a> {
    handle: &'a mut Handle<Client>,
    user: &'a str,
    last_words: &'a LastWords,
    /// What was tried, and what was in the way.
    tried: Vec<String>,
    /// What the server says that it takes.
    takes: Option<MethodSet>,
    /// Whether something was in the way that may be gone another time.
    may_pass: bool,
}

impl Login<'_> {
    async fn try_all(&mut self, options: &Options, keys: &Keys) -> Result<bool, Failure> {
        if let Some(file) = &options.private_key {
            let key = keys.configured.get_or_try_init(|| load(file, options)).await?;
            if self.key(key.clone(), file).await? {
                return Ok(true);
            }
        }
        if let Some(password) = &options.password {
            return self.password(password.expose()).await;
        }
        if options.private_key.is_some() {
            return Ok(false);
        }
        Ok(self.agent().await? || self.own_keys(options).await?)
    }

    async fn key(&mut self, key: Arc<PrivateKey>, file: &Path) -> Result<bool, Failure> {
        let hash = self.rsa_hash(key.public_key()).await?;
        self.tried.push(format!("the key {}", file.display()));
        let result =
            self.handle.authenticate_publickey(self.user, PrivateKeyWithHashAlg::new(key, hash)).await?;
        self.is_in(result)
    }

    /// The best hash that the server takes in signatures by RSA keys.
    async fn rsa_hash(&self, key: &PublicKey) -> Result<Option<HashAlg>, Failure> {
        if !key.algorithm().is_rsa() {
            return Ok(None);
        }
        Ok(self.handle.best_supported_rsa_hash().await?.unwrap_or(Some(HashAlg::Sha256)))
    }

    async fn password(&mut self, password: &str) -> Result<bool, Failure> {
        self.tried.push("the password".into());
        let result = self.handle.authenticate_password(self.user, password).await?;
        if self.is_in(result)? {
            return Ok(true);
        }
        let takes = |kind| self.takes.as_ref().is_some_and(|methods| methods.contains(&kind));
        if takes(MethodKind::Password) || !takes(MethodKind::KeyboardInteractive) {
            return Ok(false);
        }
        self.answers(password).await
    }

    /// Gives the password to a server that asks for it in its own words (RFC 4256).
    async fn answers(&mut self, password: &str) -> Result<bool, Failure> {
        let mut answer = self.handle.authenticate_keyboard_interactive_start(self.user, None).await?;
        for _ in 0..MAX_QUESTIONS {
            match answer {
                KeyboardInteractiveAuthResponse::Success => return Ok(true),
                KeyboardInteractiveAuthResponse::Failure { remaining_methods, .. } => {
                    self.takes = Some(remaining_methods);
                    return Ok(false);
                }
                KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => {
                    let responses = prompts.iter().map(|_| password.to_owned()).collect();
                    answer = self.handle.authenticate_keyboard_interactive_respond(responses).await?;
                }
            }
        }
        self.tried.push(format!("{MAX_QUESTIONS} answers to its questions"));
        Ok(false)
    }

    async fn agent(&mut self) -> Result<bool, Failure> {
        let Some(socket) = std::env::var_os("SSH_AUTH_SOCK") else {
            self.tried.push("no agent (SSH_AUTH_SOCK is not set)".into());
            return Ok(false);
        };
        let mut agent = match AgentClient::connect_uds(&socket).await {
            Ok(agent) => agent,
            Err(error) => return self.pass_over_agent("the agent", &error),
        };
        let identities = match agent.request_identities().await {
            Ok(identities) => identities,
            Err(error) => return self.pass_over_agent("the agent", &error),
        };
        self.tried.push(match identities.len() {
            0 => "the agent, which has no keys".into(),
            count => format!("{count} keys of the agent"),
        });
        for identity in identities {
            let hash = self.rsa_hash(&identity.public_key()).await?;
            let result = match identity {
                AgentIdentity::PublicKey { key, .. } => {
                    self.handle.authenticate_publickey_with(self.user, key, hash, &mut agent).await
                }
                AgentIdentity::Certificate { certificate, .. } => {
                    self.handle.authenticate_certificate_with(self.user, certificate, hash, &mut agent).await
                }
            };
            let result = match result {
                Ok(result) => result,
                Err(AgentAuthError::Send(error)) => return Err(Failure::lost(error)),
                // The session waits for the signature: nothing else can be tried on it.
                Err(AgentAuthError::Key(error)) => {
                    let text = "the agent has a key that the server takes, but did not sign: is it locked?";
                    return Err(Failure::from(Kind::Transient, text, error));
                }
            };
            if self.is_in(result)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn own_keys(&mut self, options: &Options) -> Result<bool, Failure> {
        let folder = home()?.join(".ssh");
        let files = OWN.map(|name| folder.join(name));
        let mut is_any = false;
        for file in files.into_iter().filter(|file| file.exists()) {
            is_any = true;
            match load(&file, options).await {
                Ok(key) => {
                    if self.key(key, &file).await? {
                        return Ok(true);
                    }
                }
                Err(failure) => drop(self.pass_over("an own key", &failure)?),
            }
        }
        if !is_any {
            self.tried.push(format!("no key in {}", folder.display()));
        }
        Ok(false)
    }

    /// The agent may have been restarted, or not be there yet.
    fn pass_over_agent(&mut self, what: &str, error: &dyn std::error::Error) -> Result<bool, Failure> {
        self.may_pass = true;
        self.pass_over(what, error)
    }

    fn pass_over(&mut self, what: &str, error: &dyn std::error::Error) -> Result<bool, Failure> {
        self.tried.push(format!("{what} ({error})"));
        Ok(false)
    }

    fn is_in(&mut self, result: AuthResult) -> Result<bool, Failure> {
        match result {
            AuthResult::Success => Ok(true),
            // Without an answer.
            AuthResult::Failure { .. } if self.handle.is_closed() => match self.last_words.get() {
                Some(words) => {
                    self.tried.push(format!("then it said {words:?} and closed the connection"));
                    Err(self.refused())
                }
                None => Err(Failure::lost(russh::Error::Disconnect)),
            },
            AuthResult::Failure { remaining_methods, .. } => {
                self.takes = Some(remaining_methods);
                Ok(false)
            }
        }
    }

    fn refused(&self) -> Failure {
        let mut text = format!("the login of {:?} was refused; tried: {}", self.user, self.tried.join(", "));
        let methods = self.takes.iter().flat_map(|methods| methods.iter());
        let methods: Vec<&str> = methods.map(Into::into).collect();
        if !methods.is_empty() {
            text += &format!("; the server takes: {}", methods.join(", "));
        }
        Failure::said(if self.may_pass { Kind::Transient } else { Kind::Refused }, text)
    }
}

/// Reads a private key and unlocks it.
async fn load(file: &Path, options: &Options) -> Result<Arc<PrivateKey>, Failure> {
    let file = file.to_owned();
    let passphrase = options.passphrase.clone();
    blocking(move || {
        let text = std::fs::read_to_string(&file).map_err(|error| unreadable(&file, error))?;
        read(&text, passphrase.as_ref().map(|passphrase| passphrase.expose())).map(Arc::new).map_err(
            |problem| {
                let text = format!("the private key {} {problem}", file.display());
                Failure::said(Kind::Refused, text)
            },
        )
    })
    .await
}

fn unreadable(file: &Path, error: io::Error) -> Failure {
    Failure::from(Kind::Refused, format!("cannot read the private key {}", file.display()), error)
}

/// What is wrong with the text of a key, completing "the key …".
fn read(text: &str, passphrase: Option<&str>) -> Result<PrivateKey, String> {
    let locked = match decode_secret_key(text, None) {
        Ok(key) => return Ok(key),
        Err(keys::Error::KeyIsEncrypted) => true,
        Err(keys::Error::SshKey(_) | keys::Error::Pkcs8(_)) if text.contains("ENCRYPTED") => true,
        Err(error) if passphrase.is_none() => return Err(format!("cannot be understood: {error}")),
        Err(_) => false,
    };
    match passphrase {
        None => Err("is locked: give its passphrase".into()),
        Some(passphrase) => decode_secret_key(text, Some(passphrase)).map_err(|error| {
            if locked {
                "is not unlocked by the passphrase".into()
            } else {
                format!("cannot be understood: {error}")
            }
        }),
    }
}
