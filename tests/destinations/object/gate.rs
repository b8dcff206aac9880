//! A gate before a server: what clients send passes, is written down, and can be held.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A gate that is open, until it is told to hold.
#[derive(Debug)]
pub struct Gate {
    /// Where it listens.
    pub port: u16,
    is_held: watch::Sender<bool>,
    passed: Arc<Mutex<Vec<u8>>>,
}

impl Gate {
    /// A gate before the server at `port`.
    pub async fn open(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (is_held, held) = watch::channel(false);
        let passed = Arc::new(Mutex::default());
        let gate = Self { port: listener.local_addr().unwrap().port(), is_held, passed: Arc::clone(&passed) };
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (from, mut to) = client.into_split();
                let (mut answers, server) = TcpStream::connect(server).await.unwrap().into_split();
                tokio::spawn(pass(from, server, held.clone(), Arc::clone(&passed)));
                tokio::spawn(async move { tokio::io::copy(&mut answers, &mut to).await });
            }
        });
        gate
    }

    /// Holds what clients send from now on, or lets it through.
    pub fn hold(&self, is_held: bool) {
        self.is_held.send_replace(is_held);
    }

    /// What has come to the server so far.
    pub fn passed(&self) -> String {
        String::from_utf8_lossy(&self.passed.lock().unwrap()).into_owned()
    }
}

/// What a client has sent comes to the server, even when the client is gone.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut held: watch::Receiver<bool>,
    passed: Arc<Mutex<Vec<u8>>>,
) {
    let mut buffer = vec![0; 64 << 10];
    let mut waiting = Vec::new();
    let mut is_open = true;
    while is_open || !waiting.is_empty() {
        tokio::select! {
            read = from.read(&mut buffer), if is_open => match read {
                Ok(len) if len > 0 => waiting.extend_from_slice(&buffer[..len]),
                _ => is_open = false,
            },
            is_gone = async { held.wait_for(|held| !held).await.is_err() }, if !waiting.is_empty() => {
                if is_gone || to.write_all(&waiting).await.is_err() {
                    return;
                }
                passed.lock().unwrap().append(&mut waiting);
            }
        }
    }
    // The server may still be at work on it, and would stop when told that there is no more.
    to.forget();
}
