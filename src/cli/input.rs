//! Where a transport stream comes from: a file, or standard input. It is read in large chunks into buffers that
//! are used again, so that a long file takes no more memory than a short one.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use bytes::{Bytes, BytesMut};

use crate::ts::{AnomalyKind, Demuxer, Event, Program, Selection};

/// Bytes asked for at once of a regular file: many packets, and still within a processor's own cache.
const FILE_CHUNK_BYTES: usize = 256 << 10;
/// Bytes asked for at once of a pipe: what one holds.
const PIPE_CHUNK_BYTES: usize = 64 << 10;
/// Buffers kept to be used again. Who holds on to more costs an allocation for each chunk.
const BUFFERS: usize = 4;
/// Bytes kept of the beginning, to tell what it is if it is no transport stream.
const HEAD_BYTES: usize = 4 << 10;
/// Bytes without a transport packet after which the input is given up: it may be endless.
const PATIENCE_BYTES: u64 = 16 << 20;

/// An open input.
pub struct Input {
    /// What messages call it: the path as it was given, or `standard input`.
    pub name: String,
    /// Its length in bytes, if it is a regular file.
    pub len: Option<u64>,
    /// Whether it is standard input.
    pub is_standard: bool,
    reader: Box<dyn Read + Send>,
    /// A regular file that can be read twice, and where it begins.
    file: Option<(File, u64)>,
    chunk_bytes: usize,
    /// Handed out before, the oldest first; each has the full length of a chunk.
    buffers: VecDeque<Bytes>,
    head: Vec<u8>,
    read_bytes: u64,
}

/// Opens the file at `path`, or standard input for `-`.
///
/// # Errors
/// If there is nothing to be read: what, where, and what to do.
pub fn open(path: &Path) -> anyhow::Result<Input> {
    if path.as_os_str() == "-" {
        return standard();
    }
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            anyhow!("{name}: no such file; name a transport stream, or - for standard input")
        }
        ErrorKind::PermissionDenied => anyhow!("{name}: no permission to read it"),
        _ => anyhow::Error::new(error).context(format!("{name}: cannot be opened")),
    })?;
    of_file(name, file, false)
}

fn standard() -> anyhow::Result<Input> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        bail!("standard input is a terminal; pipe a transport stream into it, or name a file");
    }
    // A descriptor of its own, because `Stdin` would copy every byte through a buffer.
    let file = stdin.as_fd().try_clone_to_owned().context("standard input: cannot be opened")?;
    of_file("standard input".into(), file.into(), true)
}

fn of_file(name: String, file: File, is_standard: bool) -> anyhow::Result<Input> {
    let metadata = file.metadata().with_context(|| format!("{name}: cannot be looked at"))?;
    if metadata.is_dir() {
        bail!("{name}: is a directory; name a transport stream in it");
    }
    let mut file = file;
    let len = metadata.is_file().then_some(metadata.len());
    if len == Some(0) {
        bail!("{name}: is empty; expected a transport stream");
    }
    let again = match len {
        Some(_) => file.try_clone().and_then(|again| Ok((again, file.stream_position()?))).ok(),
        None => None,
    };
    Ok(Input { len, is_standard, file: again, ..Input::new(name, file) })
}

impl Input {
    /// An input of unknown length.
    pub fn new(name: String, reader: impl Read + Send + 'static) -> Self {
        Self {
            name,
            len: None,
            is_standard: false,
            reader: Box::new(reader),
            file: None,
            chunk_bytes: 0,
            buffers: VecDeque::new(),
            head: Vec::new(),
            read_bytes: 0,
        }
    }

    /// Reads a regular file up to the tables of its programs. Returns the programs if those tables come so late that a
    /// [`Demuxer`] drops media before them; none otherwise.
    pub fn late_programs(&self, selection: Selection) -> Vec<Arc<Program>> {
        let Some((file, start)) = &self.file else { return Vec::new() };
        let (mut demuxer, mut late) = (Demuxer::new(selection), Late::default());
        let mut read_bytes = 0;
        loop {
            let mut buffer = BytesMut::zeroed(FILE_CHUNK_BYTES);
            // An error here comes again where the file is read for good.
            let count = file.read_at(&mut buffer, start + read_bytes).unwrap_or(0);
            if count == 0 {
                demuxer.finish().for_each(|event| late.take(event));
                break;
            }
            read_bytes += count as u64;
            demuxer.push(buffer.freeze().slice(..count)).for_each(|event| late.take(event));
            if !late.programs.is_empty() || !demuxer.has_packets() && read_bytes >= PATIENCE_BYTES {
                break;
            }
        }
        if late.has_dropped { late.programs } else { Vec::new() }
    }

    /// Bytes read so far.
    pub const fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    /// The next bytes, none at the end. It waits for one byte, not for a full chunk. Once everyone has dropped a
    /// chunk, its memory is read into again.
    ///
    /// # Errors
    /// As reading fails. An interrupted read is tried again.
    pub fn read_chunk(&mut self) -> io::Result<Option<Bytes>> {
        let mut buffer = self.buffer();
        let count = loop {
            match self.reader.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.read_bytes += count as u64;
        let room = HEAD_BYTES - self.head.len();
        self.head.extend_from_slice(&buffer[..count.min(room)]);
        let whole = buffer.freeze();
        self.buffers.push_back(whole.clone());
        Ok((count > 0).then(|| whole.slice(..count)))
    }

    /// A buffer that nobody shares: the oldest such, or a new one.
    fn buffer(&mut self) -> BytesMut {
        if self.chunk_bytes == 0 {
            self.chunk_bytes = if self.len.is_some() { FILE_CHUNK_BYTES } else { PIPE_CHUNK_BYTES };
        }
        for _ in 0..self.buffers.len() {
            match self.buffers.pop_front().map(Bytes::try_into_mut) {
                Some(Ok(buffer)) => return buffer,
                Some(Err(shared)) => self.buffers.push_back(shared),
                None => break,
            }
        }
        if self.buffers.len() >= BUFFERS {
            self.buffers.pop_front();
        }
        BytesMut::zeroed(self.chunk_bytes)
    }

    /// Gives up what is certainly no transport stream: call it after each chunk, while no packet has been found.
    ///
    /// # Errors
    /// If the beginning is that of something else, or if nothing but other bytes came for too long.
    pub fn expect_packets(&self) -> anyhow::Result<()> {
        let is_known = self.head.len() == HEAD_BYTES && foreign(&self.head).is_some();
        if is_known || self.read_bytes >= PATIENCE_BYTES {
            return Err(self.not_a_transport_stream());
        }
        Ok(())
    }

    /// The error for an input, read to its end, in which no program was found: `garbage_bytes` of it were no packets.
    /// `advice` says what to do where program `number` alone was asked for.
    pub fn refusal(&self, garbage_bytes: u64, number: Option<u16>, advice: &str) -> anyhow::Error {
        // By chance a packet or two is found among any bytes.
        if garbage_bytes >= self.read_bytes / 2 {
            return self.not_a_transport_stream();
        }
        match number {
            Some(number) => anyhow!("{}: no program {number} in it; {advice}", self.name),
            None => self.no_program(),
        }
    }

    /// The error for an input in which no transport packets were found.
    pub fn not_a_transport_stream(&self) -> anyhow::Error {
        anyhow!("{}: not a transport stream: {}", self.name, diagnose(&self.head))
    }

    /// The error for an input with transport packets, but without the tables that say what they carry.
    fn no_program(&self) -> anyhow::Error {
        anyhow!(
            "{}: no program in it: {} bytes, but no program map table (PMT); is it a piece from the middle of a \
             stream, or encrypted as a whole?",
            self.name,
            self.read_bytes
        )
    }
}

/// The first tables of a file.
#[derive(Debug, Default)]
struct Late {
    programs: Vec<Arc<Program>>,
    has_dropped: bool,
    has_media: bool,
}

impl Late {
    fn take(&mut self, event: Event) {
        match event {
            Event::Program(program) if !self.has_media => self.programs.push(program),
            Event::Anomaly(anomaly) => {
                self.has_dropped |= matches!(anomaly.kind, AnomalyKind::BeforeTables { .. });
            }
            _ => self.has_media = true,
        }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input")
            .field("name", &self.name)
            .field("len", &self.len)
            .field("read_bytes", &self.read_bytes)
            .finish_non_exhaustive()
    }
}

/// What bytes are that are no transport stream, as far as their beginning tells, and what to do about it.
pub fn diagnose(head: &[u8]) -> &'static str {
    if head.is_empty() {
        return "it is empty";
    }
    if let Some(hint) = foreign(head) {
        return hint;
    }
    if head.iter().all(|byte| *byte == 0) {
        return "it begins with zeros only; was the recording written to the end?";
    }
    "no packets of 188, 192 or 204 bytes that begin with 0x47 were found"
}

/// What other format begins like this.
fn foreign(head: &[u8]) -> Option<&'static str> {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    if matches!(head.get(4..8), Some(b"ftyp" | b"styp" | b"moov" | b"moof" | b"sidx")) {
        Some("it is an MP4; repack it with: ffmpeg -i IN.mp4 -c copy -f mpegts OUT.ts")
    } else if head.starts_with(b"\x1a\x45\xdf\xa3") {
        Some("it is Matroska or WebM; repack it with: ffmpeg -i IN.mkv -c copy -f mpegts OUT.ts")
    } else if text.starts_with(b"#EXTM3U") {
        Some("it is a playlist (m3u8); name one of the segments that it lists")
    } else if head.starts_with(&[0, 0, 1, 0xba]) {
        Some("it is an MPEG program stream; repack it with: ffmpeg -i IN.mpg -c copy -f mpegts OUT.ts")
    } else if head.starts_with(b"FLV\x01") {
        Some("it is Flash video; repack it with: ffmpeg -i IN.flv -c copy -f mpegts OUT.ts")
    } else if head.starts_with(b"RIFF") || head.starts_with(b"OggS") {
        Some("it is an AVI, WAV or Ogg file; repack it with: ffmpeg -i IN -c copy -f mpegts OUT.ts")
    } else if head.starts_with(b"ID3") || matches!(head, [0xff, 0xf0..=0xf7, ..]) {
        Some("it is sound without a container; pack it with: ffmpeg -i IN -c copy -f mpegts OUT.ts")
    } else if head.starts_with(&[0, 0, 0, 1]) || head.starts_with(&[0, 0, 1]) {
        Some("it is video without a container; pack it with: ffmpeg -i IN -c copy -f mpegts OUT.ts")
    } else if text.starts_with(b"<") {
        Some("it is a web page or XML; was an error page saved instead of the stream?")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(mut input: Input) -> (Vec<u8>, usize) {
        let (mut all, mut places) = (Vec::new(), std::collections::BTreeSet::new());
        while let Some(chunk) = input.read_chunk().unwrap() {
            all.extend_from_slice(&chunk);
            places.insert(chunk.as_ptr());
        }
        (all, places.len())
    }

    fn refusal(path: &Path) -> String {
        open(path).unwrap_err().to_string()
    }

    #[test]
    fn a_long_input_is_read_into_one_buffer() {
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
        let (read, buffers) = drained(Input::new("memory".into(), io::Cursor::new(bytes.clone())));
        assert_eq!(read, bytes);
        assert_eq!(buffers, 1);
    }

    #[test]
    fn a_chunk_that_is_held_is_not_written_over() {
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| (n >> 8) as u8).collect();
        let mut input = Input::new("memory".into(), io::Cursor::new(bytes.clone()));
        let mut held = Vec::new();
        while let Some(chunk) = input.read_chunk().unwrap() {
            held.push(chunk.slice(10..));
        }
        let first = &held[0];
        assert_eq!(first.as_ref(), &bytes[10..PIPE_CHUNK_BYTES]);
        assert!(input.buffers.len() <= BUFFERS + 1);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("empty.ts"), b"").unwrap();
        let name = |name: &str| at(name).display().to_string();
        assert_eq!(
            refusal(&at("none.ts")),
            format!("{}: no such file; name a transport stream, or - for standard input", name("none.ts"))
        );
        assert_eq!(
            refusal(&at("empty.ts")),
            format!("{}: is empty; expected a transport stream", name("empty.ts"))
        );
        assert_eq!(
            refusal(folder.path()),
            format!("{}: is a directory; name a transport stream in it", folder.path().display())
        );
    }

    #[test]
    fn other_formats_are_known_by_their_beginning() {
        let cases: [(&[u8], &str); 7] = [
            (b"", "empty"),
            (&[0; 100], "zeros"),
            (b"\0\0\0\x20ftypisom\0\0\x02\0", "MP4"),
            (b"\x1a\x45\xdf\xa3\x01\0\0\0", "Matroska"),
            (b"\xef\xbb\xbf#EXTM3U\n#EXT-X-VERSION:3\n", "playlist"),
            (b"<!DOCTYPE html>", "web page"),
            (b"any other bytes", "0x47"),
        ];
        for (head, word) in cases {
            assert!(diagnose(head).contains(word), "{head:?}: {}", diagnose(head));
        }
    }

    #[test]
    fn an_endless_input_without_packets_is_given_up() {
        let mut input = Input::new("endless".into(), io::repeat(0));
        let given_up = loop {
            input.read_chunk().unwrap();
            if let Err(error) = input.expect_packets() {
                break error.to_string();
            }
        };
        assert_eq!(
            given_up,
            "endless: not a transport stream: it begins with zeros only; was the recording written to the end?"
        );
        assert_eq!(input.read_bytes(), PATIENCE_BYTES);
    }
}
