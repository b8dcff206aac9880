//! One control connection, logged in, with the commands that we use.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use suppaftp::tokio::{AsyncRustlsStream, ImplAsyncFtpStream, TransferStream};
use suppaftp::types::{FileType, Response};
use suppaftp::{Encoding, FtpError, FtpResult, Mode, Status, Utf8Encoding};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::unconstrained;
use tokio::time::{Instant, timeout};

use super::super::Secret;
use super::Options;
use super::failure::Failure;
use super::tls::{self, Session};

/// How long a TCP connection may take to come up.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may take.
const REPLY: Duration = Duration::from_secs(20);
/// How long the answer to a whole upload may take: what the sockets still hold goes over the wire meanwhile.
const COMPLETION: Duration = Duration::from_secs(300);
/// The command that sends a file.
const STOR: &str = "STOR";
/// How long a server may take to say why it ended a transfer. Without its word, the error is that of the socket.
const REASON: Duration = Duration::from_secs(1);
/// Answers to a command that opens a data connection.
const OPENS: [Status; 2] = [Status::AboutToSend, Status::AlreadyOpen];
/// Answers to a transfer that is complete, and to what servers take for one.
const DONE: [Status; 3] = [Status::ClosingDataConnection, Status::RequestedFileActionOk, Status::CommandOk];

/// A data connection.
pub(super) type Transfer = TransferStream<AsyncRustlsStream>;

/// A connection that is logged in. Dropped in the middle of a command, it ends there.
pub(super) struct Connection {
    stream: ImplAsyncFtpStream<AsyncRustlsStream>,
    session: Option<Arc<Session>>,
    /// Whether the server knows only the older way to open a data connection.
    uses_pasv: bool,
    login_folder: Option<String>,
    /// Whether it has answered since it was last taken from among the idle ones.
    has_answered: bool,
    /// Whether no further command can be sent.
    is_spent: bool,
    /// When it was last used.
    used: Instant,
}

impl Connection {
    /// Connects and logs in.
    pub async fn open(options: &Options, tls: Option<&ClientConfig>) -> Result<Self, Failure> {
        let socket = dial(&options.host, options.port).await?;
        let stream = ImplAsyncFtpStream::connect_with_stream(socket);
        let stream = bounded("the greeting", REPLY, stream).await?;
        let mut stream = stream.passive_stream_builder(|address| Box::pin(dial_data(address)));
        // The address in PASV's answer is of no use behind NAT, and leads who knows where.
        stream.set_passive_nat_workaround(true);
        let mut session = None;
        if let Some(config) = tls {
            let (connector, shared) = tls::connector(config);
            session = Some(shared);
            stream = bounded("AUTH TLS", REPLY, stream.into_secure(connector, &options.host)).await?;
        }
        let mut this = Self {
            stream,
            session,
            uses_pasv: false,
            login_folder: None,
            has_answered: false,
            is_spent: false,
            used: Instant::now(),
        };
        this.set_pasv(false);
        this.log_in(&options.user, &options.password).await?;
        bounded("TYPE I", REPLY, this.stream.transfer_type(FileType::Image)).await?;
        // Windows' needs it, others know nothing else.
        answered(this.command("OPTS", "UTF8 ON", &[Status::CommandOk]).await)?;
        Ok(this)
    }

    async fn log_in(&mut self, user: &str, password: &Secret) -> Result<(), Failure> {
        let asked = self.command("USER", user, &[Status::LoggedIn, Status::NeedPassword]).await?;
        if asked.status == Status::NeedPassword {
            self.stream.set_encoding(Password(password.clone())).await;
            let result = self.command("PASS", "", &[Status::LoggedIn, Status::CommandNotImplemented]).await;
            self.stream.set_encoding(Utf8Encoding).await;
            result?;
        }
        Ok(())
    }

    /// Sends one command; an answer other than `expected` is an error.
    pub async fn command(
        &mut self,
        command: &'static str,
        argument: &str,
        expected: &[Status],
    ) -> Result<Response, Failure> {
        let sent = self.stream.custom_command(line(command, argument), expected);
        let result = bounded(command, REPLY, sent).await;
        self.note(&result);
        result
    }

    /// The folder that we were in after logging in.
    pub async fn login_folder(&mut self) -> Result<String, Failure> {
        if let Some(folder) = &self.login_folder {
            return Ok(folder.clone());
        }
        let result = bounded("PWD", REPLY, self.stream.pwd()).await;
        self.note(&result);
        let folder = result?;
        Ok(self.login_folder.insert(folder).clone())
    }

    /// Whether a file is at `path`; None if the server cannot tell.
    pub async fn has_file(&mut self, path: &str) -> Result<Option<bool>, Failure> {
        match self.command("SIZE", path, &[Status::File]).await {
            Ok(_) => Ok(Some(true)),
            Err(failure) if failure.code() == Some(550) => Ok(Some(false)),
            Err(failure) if failure.is_answer() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Bytes of the file at `path`; None if the server cannot tell.
    pub async fn size_bytes(&mut self, path: &str) -> Result<Option<u64>, Failure> {
        match self.command("SIZE", path, &[Status::File]).await {
            Ok(answer) => {
                let text = String::from_utf8_lossy(&answer.body);
                Ok(text.split_whitespace().next_back().and_then(|size| size.parse().ok()))
            }
            Err(failure) if failure.is_answer() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Begins to send the file at `path`.
    pub async fn store(&mut self, path: &str) -> Result<Transfer, Failure> {
        self.transfer(STOR, path).await
    }

    /// Opens a data connection for `command`: by EPSV, or by PASV where the server refuses that.
    async fn transfer(&mut self, command: &'static str, argument: &str) -> Result<Transfer, Failure> {
        let refused = match self.open_data(command, argument).await {
            Err(failure) if self.may_mean_epsv(command, &failure) => failure,
            result => return result,
        };
        self.set_pasv(true);
        match self.open_data(command, argument).await {
            // It was the command that was refused.
            Err(failure) if failure.is_answer() => {
                self.set_pasv(false);
                Err(refused)
            }
            result => result,
        }
    }

    /// Whether it may be EPSV that was refused, and not `command` after it. MLSD is not known to every server either.
    fn may_mean_epsv(&self, command: &str, failure: &Failure) -> bool {
        !self.uses_pasv && command != "MLSD" && matches!(failure.code(), Some(500..=504 | 522))
    }

    async fn open_data(&mut self, command: &'static str, argument: &str) -> Result<Transfer, Failure> {
        let result = if command == STOR {
            bounded(command, REPLY, self.stream.put_with_stream(argument)).await
        } else {
            let opened = self.stream.custom_data_command(line(command, argument), &OPENS);
            bounded(command, REPLY, opened).await.map(|(_, transfer)| transfer)
        };
        self.note(&result);
        result
    }

    fn set_pasv(&mut self, uses_pasv: bool) {
        self.uses_pasv = uses_pasv;
        self.stream.set_mode(if uses_pasv { Mode::Passive } else { Mode::ExtendedPassive });
    }

    /// Ends `transfer`, whose bytes have all been sent or received: the server's word for it.
    pub async fn complete(&mut self, command: &'static str, transfer: Transfer) -> Result<(), Failure> {
        let result = bounded(command, COMPLETION, transfer.finish()).await;
        self.note(&result);
        result
    }

    /// Ends `transfer`, whose connection was reset with `source` when all had been sent. A server that has everything may
    /// close so, and says it at once.
    pub async fn complete_at_once(
        &mut self,
        command: &'static str,
        transfer: Transfer,
        source: io::Error,
    ) -> Result<(), Failure> {
        let result = bounded(command, REASON, transfer.finish()).await;
        self.note(&result);
        result.map_err(|failure| match failure {
            Failure::Reply { .. } => failure,
            _ => {
                self.is_spent = true;
                Failure::Lost { command, source }
            }
        })
    }

    /// Why the server ended a transfer of ours with `source`: its own words, if it has any. The connection is of no use
    /// afterwards.
    pub async fn why(&mut self, command: &'static str, source: io::Error) -> Failure {
        // The library waits for these words once more.
        self.is_spent = true;
        match bounded(command, REASON, self.stream.read_response_in(&DONE)).await {
            Err(failure @ Failure::Reply { .. }) => failure,
            Ok(_) | Err(_) => Failure::Lost { command, source },
        }
    }

    /// All that `command` sends; none if that is more than `limit` bytes, and then the connection is of no more use.
    pub async fn fetch(
        &mut self,
        command: &'static str,
        argument: &str,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let mut transfer = self.transfer(command, argument).await?;
        let mut bytes = Vec::new();
        let mut bounded_transfer = (&mut transfer).take(limit as u64 + 1);
        let read = timeout(COMPLETION, bounded_transfer.read_to_end(&mut bytes)).await;
        let read = read.map_err(|_| Failure::Silent { command, limit: COMPLETION })?;
        read.map_err(|source| Failure::Lost { command, source })?;
        if bytes.len() > limit {
            self.is_spent = true;
            return Ok(None);
        }
        self.complete(command, transfer).await?;
        Ok(Some(bytes))
    }

    /// Ends a use of it; the next begins.
    pub fn lay_down(&mut self) {
        self.used = Instant::now();
        self.has_answered = false;
    }

    /// Whether it can be used again: another data connection has to continue its session.
    pub fn is_good_for_more(&self) -> bool {
        !self.is_spent && self.session.as_ref().is_none_or(|session| !session.is_used_up())
    }

    /// Whether `result` shows that it was dead already when it was taken up: nothing has come of it then.
    pub fn was_dead<T>(&self, result: &Result<T, Failure>) -> bool {
        let is_lost = |failure: &Failure| !failure.is_answer() && !matches!(failure, Failure::Invalid(_));
        !self.has_answered && result.as_ref().is_err_and(is_lost)
    }

    /// How long nobody has used it.
    pub fn idle(&self) -> Duration {
        self.used.elapsed()
    }

    fn note<T>(&mut self, result: &Result<T, Failure>) {
        self.has_answered |= match result {
            Ok(_) => true,
            Err(failure) => failure.is_answer(),
        };
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("idle", &self.idle()).finish_non_exhaustive()
    }
}

fn line(command: &str, argument: &str) -> String {
    if argument.is_empty() { command.to_owned() } else { format!("{command} {argument}") }
}

/// None if there was another answer than expected; only no answer is an error.
pub(super) fn answered<T>(result: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(failure) if failure.is_answer() => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Sends PASS with the password, which the library must not see: it logs every command.
#[derive(Debug)]
struct Password(Secret);

impl Encoding for Password {
    fn decode(&self, bytes: &[u8]) -> String {
        Utf8Encoding.decode(bytes)
    }

    fn encode(&self, text: &str) -> io::Result<Vec<u8>> {
        let line = text.trim_end_matches("\r\n");
        if line != "PASS" {
            return Utf8Encoding.encode(text);
        }
        Ok(format!("PASS {}\r\n", self.0.expose()).into_bytes())
    }
}

async fn dial(host: &str, port: u16) -> Result<TcpStream, Failure> {
    let unresolved = |source| Failure::Unresolved { host: host.to_owned(), source };
    let found = timeout(CONNECT, tokio::net::lookup_host((host, port))).await;
    let found = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(unresolved)?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in found {
        match connect(address).await {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    let hint = "does the server run there, and does a firewall let us through?";
    Err(Failure::Unreachable { address: format!("{host}:{port}"), hint, source: last })
}

async fn dial_data(address: SocketAddr) -> FtpResult<TcpStream> {
    let named = |error: io::Error| {
        let text = format!(
            "no data connection to {address}: {error}: does a firewall let its passive ports through?"
        );
        FtpError::ConnectionError(io::Error::new(error.kind(), text))
    };
    connect(address).await.map_err(named)
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let connected = timeout(CONNECT, TcpStream::connect(address)).await;
    let socket = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// The result of `work`, if it comes within `limit`.
///
/// The library does not flush what it writes. A TLS session keeps a command to itself if the socket is said not to be
/// ready just then, which the runtime says to a task that has had its turn, whatever the socket is: here it does not.
async fn bounded<T>(
    command: &'static str,
    limit: Duration,
    work: impl Future<Output = FtpResult<T>>,
) -> Result<T, Failure> {
    match timeout(limit, unconstrained(work)).await {
        Ok(result) => result.map_err(|error| Failure::new(command, error)),
        Err(_) => Err(Failure::Silent { command, limit }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_put_in_where_nobody_logs() {
        let password = Password(Secret::new("hunter2"));
        assert_eq!(password.encode("PASS\r\n").unwrap(), b"PASS hunter2\r\n");
        assert_eq!(password.encode("NOOP\r\n").unwrap(), b"NOOP\r\n");
        assert!(!format!("{password:?}").contains("hunter2"));
    }
}
