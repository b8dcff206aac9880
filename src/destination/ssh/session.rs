//! One connection to the host, logged in.

use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{self, DisconnectReason, Handle, Msg};
use russh::keys::PublicKeyOrCertificate;
use russh::{Channel, ChannelMsg, Preferred, cipher};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Options;
use super::client::Sftp;
use super::failure::Failure;
use super::host_key::KnownHost;
use super::login::{Keys, login};
use crate::destination::Kind;
use crate::destination::words::one_line;

/// How long it may take until the host has answered at all.
const CONNECT: Duration = Duration::from_secs(10);
/// How long one of a host's addresses may take.
const CONNECT_ONE: Duration = Duration::from_secs(4);
/// How long it may take then until we are logged in. sshd waits before it refuses a password.
const LOGIN: Duration = Duration::from_secs(20);
/// How long it may be silent before we ask whether the host is there. Firewalls forget connections after a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(25);
/// So many times it may leave that unanswered.
const UNANSWERED: usize = 2;

/// One connection to the host, logged in. It is closed at once when this is dropped.
pub(super) struct Session {
    handle: Handle<Client>,
    sftp: Option<Sftp>,
    _socket: Socket,
}

/// The TCP connection, beside the task that reads from it and writes to it.
struct Socket(std::net::TcpStream);

impl Drop for Socket {
    fn drop(&mut self) {
        // The task may be waiting for a host that takes nothing any more. If it has ended there is nothing to do.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

impl Session {
    /// Connects and logs in.
    pub async fn open(options: &Options, keys: &Keys) -> Result<Self, Failure> {
        let stream = timeout(CONNECT, connect(&options.host, options.port)).await;
        let stream = stream.unwrap_or_else(|_| Err(silent("nothing has answered", CONNECT)))?;
        let socket = Socket(stream.as_fd().try_clone_to_owned().map_err(Failure::lost)?.into());
        let handle = timeout(LOGIN, greet(stream, options, keys)).await;
        let handle = handle.unwrap_or_else(|_| Err(silent("the login was not done", LOGIN)))?;
        Ok(Self { handle, sftp: None, _socket: socket })
    }

    /// Whether the connection is known to have ended.
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// SFTP on this connection.
    pub async fn sftp(&mut self) -> Result<&mut Sftp, Failure> {
        let sftp = match self.sftp.take() {
            Some(sftp) => sftp,
            None => Sftp::open(self.channel().await?).await?,
        };
        Ok(self.sftp.insert(sftp))
    }

    /// A channel on which `command` runs.
    pub async fn run(&self, command: &str) -> Result<Channel<Msg>, Failure> {
        let mut channel = self.channel().await?;
        channel.exec(true, command).await?;
        if is_granted(&mut channel).await? {
            return Ok(channel);
        }
        let text = "the account may run no commands: if it may use SFTP, write sftp:// instead of scp://";
        Err(Failure::said(Kind::Refused, text).and_lost())
    }

    async fn channel(&self) -> Result<Channel<Msg>, Failure> {
        self.handle.channel_open_session().await.map_err(|error| match error {
            russh::Error::ChannelOpenFailure(_) => {
                Failure::from(Kind::Refused, "the server opens no session", error).and_lost()
            }
            error => error.into(),
        })
    }
}

/// Whether the server grants what was asked for on `channel`.
pub(super) async fn is_granted(channel: &mut Channel<Msg>) -> Result<bool, Failure> {
    loop {
        match channel.wait().await {
            Some(ChannelMsg::Success) => return Ok(true),
            Some(ChannelMsg::Failure) => return Ok(false),
            None | Some(ChannelMsg::Close) => return Err(Failure::lost(russh::Error::Disconnect)),
            // sshd adjusts the window first.
            Some(_) => {}
        }
    }
}

fn silent(what: &str, limit: Duration) -> Failure {
    Failure::said(Kind::Transient, format!("{what} within {limit:?}"))
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, Failure> {
    let unresolved = format!("the name {host:?} does not resolve: is it spelled right, and is DNS there?");
    let addresses: Vec<SocketAddr> = match tokio::net::lookup_host((host, port)).await {
        Ok(addresses) => addresses.collect(),
        Err(error) => return Err(Failure::from(Kind::Transient, unresolved, error)),
    };
    let mut failure = Failure::said(Kind::Transient, unresolved);
    for address in addresses {
        // One that is a black hole leaves time for the others.
        match timeout(CONNECT_ONE, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).map_err(Failure::lost)?;
                return Ok(stream);
            }
            Ok(Err(error)) => {
                failure = Failure::from(Kind::Transient, format!("cannot connect to {address}"), error);
            }
            Err(_) => failure = silent(&format!("no answer of {address}"), CONNECT_ONE),
        }
    }
    Err(failure)
}

/// Agrees on keys, sees whether the host is the right one, logs in.
async fn greet(stream: TcpStream, options: &Options, keys: &Keys) -> Result<Handle<Client>, Failure> {
    let known = {
        let options = options.clone();
        blocking(move || KnownHost::read(&options)).await?
    };
    let preferred = Preferred {
        key: known.algorithms().into(),
        // Processors have AES built in, and ring uses that.
        cipher: vec![
            cipher::AES_256_GCM,
            cipher::CHACHA20_POLY1305,
            cipher::AES_256_CTR,
            cipher::AES_128_CTR,
        ]
        .into(),
        ..Preferred::DEFAULT
    };
    let config = client::Config {
        keepalive_interval: Some(KEEP_ALIVE),
        keepalive_max: UNANSWERED,
        preferred,
        ..client::Config::default()
    };
    let last_words = LastWords::default();
    let client = Client { known, last_words: last_words.clone() };
    let mut handle = client::connect_stream(Arc::new(config), stream, client).await.map_err(in_greeting)?;
    login(&mut handle, options, keys, &last_words).await?;
    Ok(handle)
}

fn in_greeting(failure: Failure) -> Failure {
    if failure.is_lost() {
        Failure::from(Kind::Transient, "an SSH connection was not agreed on", failure)
    } else {
        failure
    }
}

/// Runs `work` where blocking does no harm.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(join) => Err(Failure::from(Kind::Closed, "a file was not read", join)),
    }
}

/// What the server has said when it ended the connection.
#[derive(Clone, Debug, Default)]
pub(super) struct LastWords(Arc<Mutex<Option<String>>>);

impl LastWords {
    /// What it was, if it was something.
    pub fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What is asked of us while a connection lasts.
pub(super) struct Client {
    known: KnownHost,
    last_words: LastWords,
}

impl client::Handler for Client {
    type Error = Failure;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Failure> {
        let (mut known, key) = (self.known.clone(), key.public_key());
        blocking(move || known.check(&key)).await?;
        Ok(true)
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Failure>) -> Result<(), Failure> {
        if let DisconnectReason::ReceivedDisconnect(info) = reason {
            let words = one_line(&info.message);
            *self.last_words.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(words);
        }
        Ok(())
    }
}
