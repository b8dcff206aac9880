//! A client that holds many requests on one connection, as a cache before the origin does: HTTP/2 with prior knowledge
//! (RFC 9113), as little of it as is needed, so that what is measured is the server.

use std::error::Error;
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Flow control stands in nobody's way (RFC 9113 §6.9).
const WINDOW: u32 = 1 << 30;
const HEAD: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `:status: 200` (RFC 7541, appendix A).
const OK: u8 = 0x88;

/// A connection.
pub struct Connection {
    stream: TcpStream,
    /// The next request's.
    id: u32,
    unread: Vec<u8>,
}

impl Connection {
    pub async fn open(address: &str) -> Result<Self, Box<dyn Error>> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        frame(&mut hello, SETTINGS, 0, 0, &[]);
        frame(&mut hello, WINDOW_UPDATE, 0, 0, &WINDOW.to_be_bytes());
        stream.write_all(&hello).await?;
        Ok(Self { stream, id: 1, unread: Vec::new() })
    }

    /// Asks for `path` so many times.
    pub async fn ask(&mut self, path: &str, times: usize) -> Result<(), Box<dyn Error>> {
        // `:method: GET`, `:scheme: http`, and the two others without an entry in the table.
        let mut fields = vec![0x82, 0x86, 0x04, u8::try_from(path.len())?];
        fields.extend_from_slice(path.as_bytes());
        fields.extend_from_slice(&[0x01, 1, b'x']);
        let mut requests = Vec::new();
        for _ in 0..times {
            frame(&mut requests, HEADERS, END_STREAM | END_HEADERS, self.id, &fields);
            self.id += 2;
        }
        Ok(self.stream.write_all(&requests).await?)
    }

    /// When each of the next answers was whole.
    pub async fn answers(&mut self, count: usize) -> Result<Vec<Instant>, Box<dyn Error>> {
        let mut came = Vec::new();
        while came.len() < count {
            let mut read = 0;
            while let Some(head) = self.unread.get(read..read + HEAD) {
                let len = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
                let (kind, flags) = (head[3], head[4]);
                let Some(payload) = self.unread.get(read + HEAD..read + HEAD + len) else { break };
                match kind {
                    HEADERS => assert_eq!(payload[0], OK, "not answered with 200"),
                    DATA if flags & END_STREAM != 0 => came.push(Instant::now()),
                    PING if flags & ACK == 0 => {
                        let mut answer = Vec::new();
                        frame(&mut answer, PING, ACK, 0, payload);
                        self.stream.write_all(&answer).await?;
                    }
                    DATA | SETTINGS | PING | WINDOW_UPDATE => {}
                    other => return Err(format!("a frame of type {other}").into()),
                }
                read += HEAD + len;
            }
            self.unread.drain(..read);
            self.unread.reserve(256 << 10);
            if came.len() < count && self.stream.read_buf(&mut self.unread).await? == 0 {
                return Err("the connection has ended".into());
            }
        }
        Ok(came)
    }
}

fn frame(into: &mut Vec<u8>, kind: u8, flags: u8, id: u32, payload: &[u8]) {
    into.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    into.extend_from_slice(&[kind, flags]);
    into.extend_from_slice(&id.to_be_bytes());
    into.extend_from_slice(payload);
}
