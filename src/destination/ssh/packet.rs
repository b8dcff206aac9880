//! Packets of SFTP, version 3, as OpenSSH speaks it (draft-ietf-secsh-filexfer-02; OpenSSH's PROTOCOL §4).

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::failure::Failure;
use crate::destination::Kind;
use crate::destination::words::one_line;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum Ask {
    Init = 1,
    Open = 3,
    Close = 4,
    Read = 5,
    Write = 6,
    OpenDirectory = 11,
    ReadDirectory = 12,
    Remove = 13,
    MakeDirectory = 14,
    Stat = 17,
    Rename = 18,
    Extended = 200,
}

/// Bytes of one reply at most: OpenSSH's limit.
const MAX_REPLY: usize = 256 << 10;
/// The file is read.
pub(super) const FOR_READ: u32 = 0x01;
/// The file is written, new and empty; it must not be there yet.
pub(super) const FOR_WRITE_OF_NEW: u32 = 0x02 | 0x08 | 0x20;

/// A request that is being written. What comes first in each is its length, 4 bytes.
pub(super) struct Request(BytesMut);

impl Request {
    /// Begins a request. `number` is the request's own, or the version of an [`Ask::Init`].
    pub fn new(ask: Ask, number: u32) -> Self {
        let mut bytes = BytesMut::with_capacity(256);
        bytes.put_u32(0);
        bytes.put_u8(ask as u8);
        bytes.put_u32(number);
        Self(bytes)
    }

    /// Appends a number of 4 bytes.
    pub fn u32(mut self, number: u32) -> Self {
        self.0.put_u32(number);
        self
    }

    /// Appends a number of 8 bytes.
    pub fn u64(mut self, number: u64) -> Self {
        self.0.put_u64(number);
        self
    }

    /// Appends a text, its length first.
    pub fn text(mut self, text: impl AsRef<[u8]>) -> Self {
        self.0.put_u32(text.as_ref().len() as u32);
        self.0.put_slice(text.as_ref());
        self
    }

    /// The request; `rest` bytes follow that belong to it.
    pub fn before(mut self, rest: usize) -> BytesMut {
        let length = (self.0.len() - 4 + rest) as u32;
        self.0[..4].copy_from_slice(&length.to_be_bytes());
        self.0
    }
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// The extensions that the server has, each with its version.
    Version(Vec<(Bytes, Bytes)>),
    /// How it went.
    Status(Status),
    /// What an open file or folder is called from now on.
    Handle(Bytes),
    /// Bytes of a file.
    Data(Bytes),
    /// Files of a folder.
    Names(Vec<Name>),
    /// What a file is.
    Attributes(Attributes),
    /// The answer to an extension.
    Extended(Bytes),
}

/// A file of a folder.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub name: Bytes,
    pub attributes: Attributes,
}

/// What is told of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    /// Its kind and permissions, as POSIX has them.
    pub mode: Option<u32>,
    /// When it was written last, seconds since 1970.
    pub modified: Option<u32>,
}

impl Attributes {
    /// Whether it is a folder. What is not told may be one.
    pub fn is_folder(self) -> bool {
        self.mode.is_none_or(|mode| mode & 0o170_000 == 0o040_000)
    }
}

/// How a request went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Status {
    code: u32,
    message: String,
}

impl Status {
    pub const fn is_ok(&self) -> bool {
        self.code == 0
    }

    /// Whether a file or folder has no more to read.
    pub const fn is_end(&self) -> bool {
        self.code == 1
    }

    /// Whether a file or folder is not there.
    pub const fn is_absent(&self) -> bool {
        self.code == 2
    }

    /// The failure to do `what`, such as "create the folder a".
    pub fn failure(&self, what: &str) -> Failure {
        let (kind, hint) = match self.code {
            2 => (Kind::Missing, ""),
            3 => (Kind::Refused, ": may the user write there?"),
            4 => (Kind::Transient, "; that is all that SFTP says, of a full disk too"),
            5 | 8 => (Kind::Invalid, ""),
            _ => (Kind::Transient, ""),
        };
        let message =
            if self.message.is_empty() { format!("code {}", self.code) } else { self.message.clone() };
        Failure::said(kind, format!("to {what}, the server says {message:?}{hint}"))
    }
}

impl Reply {
    /// Bytes that it holds.
    fn size_bytes(&self) -> usize {
        match self {
            Self::Version(all) => all.iter().map(|(name, version)| name.len() + version.len()).sum(),
            Self::Names(names) => names.iter().map(|name| name.name.len()).sum(),
            Self::Handle(bytes) | Self::Data(bytes) | Self::Extended(bytes) => bytes.len(),
            Self::Status(_) | Self::Attributes(_) => 0,
        }
    }

    /// Reads a reply without its length. The number is that of the request; of a version it is the version.
    ///
    /// None if it is none.
    pub fn parse(mut bytes: Bytes) -> Option<(u32, Self)> {
        let kind = bytes.try_get_u8().ok()?;
        let number = bytes.try_get_u32().ok()?;
        let reply = match kind {
            2 => Self::Version(extensions(bytes)?),
            101 => {
                let code = bytes.try_get_u32().ok()?;
                // Some servers leave the text away.
                let message = text(&mut bytes).unwrap_or_default();
                Self::Status(Status { code, message: one_line(&String::from_utf8_lossy(&message)) })
            }
            102 => Self::Handle(text(&mut bytes)?),
            103 => Self::Data(text(&mut bytes)?),
            104 => Self::Names(names(bytes)?),
            105 => Self::Attributes(attributes(&mut bytes)?),
            201 => Self::Extended(bytes),
            _ => return None,
        };
        Some((number, reply))
    }
}

/// Takes a whole reply from what has come, without its length.
pub(super) fn take_reply(input: &mut BytesMut) -> Result<Option<Bytes>, Failure> {
    let Some(length) = input.first_chunk().map(|length| u32::from_be_bytes(*length) as usize) else {
        return Ok(None);
    };
    if length > MAX_REPLY {
        let text = one_line(&String::from_utf8_lossy(input));
        let text = format!("expected SFTP, came {text:?}: what does the user's shell print when it begins?");
        return Err(Failure::said(Kind::Refused, text).and_lost());
    }
    if input.len() < 4 + length {
        return Ok(None);
    }
    input.advance(4);
    Ok(Some(input.split_to(length).freeze()))
}

/// What replies say that came as `bytes`, and of how many bytes they are made.
pub(in crate::destination) fn answers(bytes: &[u8]) -> (Vec<String>, usize) {
    let mut input = BytesMut::from(bytes);
    let (mut told, mut kept_bytes) = (Vec::new(), 0);
    loop {
        match take_reply(&mut input) {
            Ok(Some(reply)) => match Reply::parse(reply) {
                Some((_, Reply::Status(status))) => told.push(status.failure("write it").to_string()),
                Some((_, reply)) => kept_bytes += reply.size_bytes(),
                None => {}
            },
            Ok(None) => return (told, kept_bytes),
            Err(failure) => {
                told.push(failure.to_string());
                return (told, kept_bytes);
            }
        }
    }
}

fn text(bytes: &mut Bytes) -> Option<Bytes> {
    let length = bytes.try_get_u32().ok()? as usize;
    (length <= bytes.len()).then(|| bytes.split_to(length))
}

fn extensions(mut bytes: Bytes) -> Option<Vec<(Bytes, Bytes)>> {
    let mut extensions = Vec::new();
    while !bytes.is_empty() {
        extensions.push((text(&mut bytes)?, text(&mut bytes)?));
    }
    Some(extensions)
}

fn names(mut bytes: Bytes) -> Option<Vec<Name>> {
    let count = bytes.try_get_u32().ok()?;
    let mut names = Vec::new();
    for _ in 0..count {
        let name = text(&mut bytes)?;
        // The line that `ls -l` would print.
        text(&mut bytes)?;
        names.push(Name { name, attributes: attributes(&mut bytes)? });
    }
    Some(names)
}

fn attributes(bytes: &mut Bytes) -> Option<Attributes> {
    let flags = bytes.try_get_u32().ok()?;
    let mut attributes = Attributes::default();
    if flags & 0x1 != 0 {
        bytes.try_get_u64().ok()?;
    }
    if flags & 0x2 != 0 {
        bytes.try_get_u64().ok()?;
    }
    if flags & 0x4 != 0 {
        attributes.mode = Some(bytes.try_get_u32().ok()?);
    }
    if flags & 0x8 != 0 {
        bytes.try_get_u32().ok()?;
        attributes.modified = Some(bytes.try_get_u32().ok()?);
    }
    if flags & 0x8000_0000 != 0 {
        for _ in 0..bytes.try_get_u32().ok()? {
            text(bytes)?;
            text(bytes)?;
        }
    }
    Some(attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_begins_with_its_length() {
        let request = Request::new(Ask::Open, 7).text("a/b").u32(FOR_READ).u32(0);
        assert_eq!(request.before(0)[..], *b"\0\0\0\x14\x03\0\0\0\x07\0\0\0\x03a/b\0\0\0\x01\0\0\0\0");
        assert_eq!(Request::new(Ask::Write, 7).before(300)[..4], *b"\0\0\x01\x31");
    }

    #[test]
    fn a_folder_is_read() {
        let mut bytes = BytesMut::new();
        bytes.put_slice(b"\x68\0\0\0\x09\0\0\0\x01\0\0\0\x02a\xff\0\0\0\x03-rw\0\0\0\x0d");
        bytes.put_u64(5);
        bytes.put_u32(0o100_644);
        bytes.put_u64(77);
        let (number, reply) = Reply::parse(bytes.freeze()).unwrap();
        let attributes = Attributes { mode: Some(0o100_644), modified: Some(77) };
        assert!(!attributes.is_folder());
        let name = Bytes::from_static(b"a\xff");
        assert_eq!((number, reply), (9, Reply::Names(vec![Name { name, attributes }])));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        for kind in [2, 101, 102, 103, 104, 105, 201, 0] {
            for fill in [0, 1, 0x7f, 0xff] {
                for length in 0..40 {
                    let mut bytes = vec![fill; length];
                    bytes.insert(0, kind);
                    let _ = Reply::parse(bytes.into());
                }
            }
        }
    }
}
