//! Files by SCP, and what SCP cannot do by commands of a POSIX shell.

use std::fmt::Write;

use bytes::{Bytes, BytesMut};
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};

use super::Place;
use super::client::Outbox;
use super::failure::Failure;
use super::path::{folder_of, quote};
use super::session::Session;
use crate::chunks::Chunks;
use crate::destination::attempt::{ON_ITS_WAY, PREFIX, SUFFIX};
use crate::destination::words::one_line;
use crate::destination::{Kind, MOST_GOT_BYTES, TOO_LARGE};

/// How the shell says that a file is not there.
const ABSENT: u32 = 44;
/// Bytes that are kept of what a command says of its trouble.
const MAX_WORDS: usize = 2000;

/// Puts a file.
pub(super) async fn put(session: &Session, place: &Place, path: &str, body: &Chunks) -> Result<(), Failure> {
    let folder = folder_of(path).unwrap_or(".");
    if !place.is_ready(folder) {
        make_ready(session, folder).await?;
        place.set_ready(folder);
    } else {
        let result = send(session, place, path, body).await;
        if !result.as_ref().is_err_and(|failure| failure.kind() == Kind::Missing) {
            return result;
        }
        // The folder was taken away.
        place.forget_ready();
        make_ready(session, folder).await?;
    }
    send(session, place, path, body).await
}

/// Makes a folder, and deletes what a run that was killed left half-written in it.
async fn make_ready(session: &Session, folder: &str) -> Result<(), Failure> {
    let folder = quote(folder);
    let command = format!(
        "mkdir -p {folder} || exit; \
         find {folder}/. -maxdepth 1 -name '{PREFIX}*{SUFFIX}' -mmin +1 -exec rm -f {{}} + 2>/dev/null; exit 0"
    );
    run(session, &command).await?.succeeded("create the folder").map(drop)
}

/// Sends a file under a temporary name and gives it its own. What earlier attempts have sent goes first: one of their
/// renames may still be on its way. A part of a file is deleted by the shell, even when we have gone.
async fn send(session: &Session, place: &Place, path: &str, body: &Chunks) -> Result<(), Failure> {
    let attempt = place.attempts.begin(path);
    let left = place.attempts.left(path);
    let temporary = quote(attempt.path());
    let command = format!(
        "{{ scp -t {temporary} && {}mv -f {temporary} {}; }} || {{ rm -f {temporary}; exit 1; }}",
        remove(&left).map(|command| command + " && ").unwrap_or_default(),
        quote(path),
    );
    let output = upload(session.run(&in_english(&command)).await?, body).await?;
    output.succeeded("write the file")?;
    attempt.done();
    left.iter().for_each(|path| place.attempts.absent_for(path, ON_ITS_WAY));
    Ok(())
}

/// Deletes a file, and what attempts to put it have left.
pub(super) async fn delete(session: &Session, place: &Place, path: &str) -> Result<(), Failure> {
    let mut left = place.attempts.left(path);
    left.extend(place.attempts.next_left().filter(|next| !left.contains(next)));
    let files = [&left[..], &[path.to_owned()]].concat();
    let command = remove(&files).unwrap_or_default();
    run(session, &command).await?.succeeded("delete the file")?;
    left.iter().for_each(|path| place.attempts.absent_for(path, ON_ITS_WAY));
    Ok(())
}

fn remove(files: &[String]) -> Option<String> {
    (!files.is_empty()).then(|| {
        files.iter().fold("rm -f".to_owned(), |mut command, file| {
            // Nothing is written anywhere but into the text.
            let _ = write!(command, " {}", quote(file));
            command
        })
    })
}

/// Gets a file.
pub(super) async fn get(session: &Session, path: &str) -> Result<Option<Bytes>, Failure> {
    let file = quote(path);
    let output = run(session, &format!("[ -e {file} ] || exit {ABSENT}; cat {file}")).await?;
    if output.status == Some(ABSENT) { Ok(None) } else { output.succeeded("read the file").map(Some) }
}

/// What a command has said.
#[derive(Debug, Default)]
struct Output {
    status: Option<u32>,
    stdout: BytesMut,
    words: BytesMut,
}

async fn run(session: &Session, command: &str) -> Result<Output, Failure> {
    let (mut receiver, sender) = session.run(&in_english(command)).await?.split();
    sender.eof().await?;
    let mut output = Output::default();
    while output.receive(&mut receiver).await? {}
    Ok(output)
}

/// `command`, where what goes wrong is said in the words that [`trouble`] knows.
fn in_english(command: &str) -> String {
    format!("LC_ALL=C; export LC_ALL; {command}")
}

/// Speaks SCP's part of the sender with a command that begins with `scp -t`.
async fn upload(channel: Channel<Msg>, body: &Chunks) -> Result<Output, Failure> {
    let (mut receiver, sender) = channel.split();
    let mut output = Output::default();
    let is_welcome = output.acknowledged(&mut receiver).await? && {
        // The name is not looked at: the command has said where it goes.
        sender.data_bytes(format!("C0644 {} segment\n", body.size_bytes())).await?;
        output.acknowledged(&mut receiver).await?
    };
    if is_welcome {
        // Both at once: while nobody reads, nothing is written.
        tokio::try_join!(send_body(&sender, body), output.acknowledged(&mut receiver))?;
    }
    sender.eof().await?;
    while output.receive(&mut receiver).await? {}
    Ok(output)
}

async fn send_body(sender: &ChannelWriteHalf<Msg>, body: &Chunks) -> Result<(), Failure> {
    let mut outbox = Outbox::new(sender);
    for slice in body.slices() {
        outbox.push(slice.clone()).await?;
    }
    outbox.gather(&[0]).await?;
    outbox.flush().await
}

impl Output {
    /// Receives something. Whether more may come.
    async fn receive(&mut self, receiver: &mut ChannelReadHalf) -> Result<bool, Failure> {
        match receiver.wait().await {
            Some(ChannelMsg::Data { data }) if self.stdout.len() + data.len() > MOST_GOT_BYTES => {
                // The rest is not waited for.
                return Err(Failure::said(Kind::Invalid, TOO_LARGE).and_lost());
            }
            Some(ChannelMsg::Data { data }) => self.stdout.extend_from_slice(&data),
            Some(ChannelMsg::ExtendedData { data, .. }) if self.words.len() < MAX_WORDS => {
                self.words.extend_from_slice(&data);
            }
            Some(ChannelMsg::ExitStatus { exit_status }) => self.status = Some(exit_status),
            Some(ChannelMsg::Close) => return Ok(false),
            None if self.status.is_some() => return Ok(false),
            None => return Err(Failure::lost(russh::Error::Disconnect)),
            Some(_) => {}
        }
        Ok(true)
    }

    /// Waits until `scp` has taken what it was sent. If not, what it says of that is among the words.
    async fn acknowledged(&mut self, receiver: &mut ChannelReadHalf) -> Result<bool, Failure> {
        while self.stdout.is_empty() {
            if !self.receive(receiver).await? {
                return Ok(false);
            }
        }
        let is_taken = self.stdout[0] == 0;
        if is_taken {
            let _ = self.stdout.split_to(1);
        }
        Ok(is_taken)
    }

    /// What the command has written, if it went well.
    fn succeeded(self, what: &str) -> Result<Bytes, Failure> {
        if self.status == Some(0) {
            return Ok(self.stdout.freeze());
        }
        let mut words = self.words.to_vec();
        words.extend_from_slice(&self.stdout[..self.stdout.len().min(MAX_WORDS)]);
        let words = String::from_utf8_lossy(&words);
        let lines: Vec<&str> = words.split(['\n', '\r', '\u{1}', '\u{2}', '\0']).map(str::trim).collect();
        let words = lines.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
        Err(trouble(what, self.status, &words))
    }
}

fn trouble(what: &str, status: Option<u32>, words: &str) -> Failure {
    let is_any = |texts: &[&str]| texts.iter().any(|text| words.contains(text));
    let status = status.map_or_else(|| "no exit status".into(), |status| format!("exit status {status}"));
    let told = one_line(words);
    let text = format!("the command to {what} has failed, {status}: {told}");
    if is_any(&["sftp connections only", "SFTP"]) {
        let text = format!("the account may not use SCP ({told}): write sftp:// instead of scp://");
        return Failure::said(Kind::Refused, text);
    }
    let kind = if is_any(&["No space left", "quota exceeded"]) {
        Kind::Transient
    } else if is_any(&["No such file or directory", "Not a directory"]) {
        Kind::Missing
    } else if is_any(&["ermission denied", "Read-only", "not permitted", "not found", "not available"]) {
        Kind::Refused
    } else {
        Kind::Transient
    };
    Failure::said(kind, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_speak_english() {
        let mut shell = std::process::Command::new("sh");
        let command = in_english("{ sh -c 'echo $LC_ALL'; }");
        let output = shell.args(["-c", &command]).env("LC_ALL", "de_DE.UTF-8").output().unwrap();
        assert_eq!(output.stdout, b"C\n");
    }

    #[test]
    fn what_a_command_says_is_short_and_plain() {
        let said = trouble("write", Some(1), &"\u{1b}]0;title\u{7}".repeat(1000)).to_string();
        assert!(said.len() < 400 && !said.contains(char::is_control), "{said}");
    }

    #[test]
    fn what_a_command_says_tells_the_kind() {
        let kind = |words| trouble("write", Some(1), words).kind();
        assert_eq!(kind("scp: /x: No space left on device"), Kind::Transient);
        assert_eq!(kind("mkdir: cannot create directory '/x': Permission denied"), Kind::Refused);
        assert_eq!(kind("scp: /x/y: No such file or directory"), Kind::Missing);
        assert_eq!(kind("sh: scp: command not found"), Kind::Refused);
        assert_eq!(kind("something else"), Kind::Transient);
        let only = trouble("write", Some(1), "This service allows sftp connections only.");
        assert_eq!(only.kind(), Kind::Refused);
        assert!(only.to_string().contains("sftp://"), "{only}");
    }
}
