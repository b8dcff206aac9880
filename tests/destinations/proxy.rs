//! TCP proxies on loopback that spoil what goes through them: any server can stand behind one.
//!
//! - [`Proxy`]: carries bytes, and suffers the [`Fault`] that is set, until it is healed.
//! - [`Schedule`]: faults that look random and follow from a seed.
//! - [`Answers`]: stands in front of a web server and answers some requests itself.
//!
//! They compose: `Answers::before(Proxy::before(server).address())`. Each runs in a thread of its own, so a test may
//! block while they work.

mod answers;
mod pipe;
mod schedule;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};

pub use answers::{Answer, Answers};
pub use schedule::Schedule;

/// What is wrong with the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Bytes come later by this, either way.
    Latency(Duration),
    /// So many bytes per second go through a connection, either way. 200 kbit/s are 25 000.
    Bandwidth(u64),
    /// A connection is reset, at both ends, when so many more bytes of it have gone to the server.
    ResetAfter(u64),
    /// Nothing goes through. Connections stay, and go on when it is healed: what was sent is late then, not lost, but
    /// for connections that were reset meanwhile. Those that are made meanwhile come to nothing.
    BlackHole,
    /// Connections are refused, and those that there are reset.
    Refuse,
}

/// What all connections of a proxy look at.
#[derive(Clone, Copy, Debug)]
struct State {
    fault: Fault,
    /// Counts up; connections that were made before a step of it are reset.
    cuts: u64,
}

/// What has gone through a proxy.
#[derive(Debug, Default)]
struct Counts {
    connections: AtomicUsize,
    listening: AtomicUsize,
    up_bytes: AtomicU64,
    /// How many connections there are that were made after so many cuts.
    open: Mutex<BTreeMap<u64, usize>>,
}

/// A proxy before a server. It ends, and resets what goes through it, when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    ports: usize,
    state: Arc<watch::Sender<State>>,
    counts: Arc<Counts>,
    _thread: Thread,
}

impl Proxy {
    /// A proxy before `server`, on a free port.
    pub fn before(server: SocketAddr) -> Self {
        Self::start(vec![(bind(Ipv4Addr::LOCALHOST, 0), server)])
    }

    /// A proxy before an FTP server on 127.0.0.1 that takes data connections on the ports `passive`: keep them few.
    ///
    /// It stands at 127.0.0.2, where the data ports have the numbers that they have at the server. So nothing is
    /// rewritten, and it does for TLS as well. A client that uses EPSV goes there by itself; for PASV the server must
    /// be told to name that address (vsftpd's `pasv_address`, pyftpdlib's `masquerade_address`). A certificate must be
    /// good for 127.0.0.2.
    pub fn before_ftp(server: SocketAddr, passive: RangeInclusive<u16>) -> Self {
        let host = Ipv4Addr::new(127, 0, 0, 2);
        let data = passive.map(|port| (bind(host, port), SocketAddr::new(server.ip(), port)));
        Self::start(std::iter::once((bind(host, 0), server)).chain(data).collect())
    }

    fn start(ways: Vec<(TcpListener, SocketAddr)>) -> Self {
        let address = ways[0].0.local_addr().unwrap();
        let ports = ways.len();
        let state = Arc::new(watch::Sender::new(State { fault: Fault::None, cuts: 0 }));
        let counts = Arc::new(Counts::default());
        counts.listening.store(ports, Ordering::SeqCst);
        let (states, counted) = (state.subscribe(), counts.clone());
        let thread = Thread::run(async move {
            for (listener, server) in ways {
                tokio::spawn(pipe::listen(listener, server, states.clone(), counted.clone()));
            }
        });
        Self { address, ports, state, counts, _thread: thread }
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Brings on a fault, instead of the one before. It is there when this returns.
    pub fn set(&self, fault: Fault) {
        self.state.send_modify(|state| state.fault = fault);
        let listening = if fault == Fault::Refuse { 0 } else { self.ports };
        self.wait_until(|| self.counts.listening.load(Ordering::SeqCst) == listening);
        if fault == Fault::Refuse {
            self.cut();
        }
    }

    /// Ends the fault.
    pub fn heal(&self) {
        self.set(Fault::None);
    }

    /// Resets the connections that there are, once. They are gone when this returns.
    pub fn cut(&self) {
        let cuts = {
            let _no_new_ones = self.counts.open.lock().unwrap();
            self.state.send_modify(|state| state.cuts += 1);
            self.state.borrow().cuts
        };
        self.wait_until(|| self.counts.open.lock().unwrap().range(..cuts).next().is_none());
    }

    fn wait_until(&self, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !is_so() {
            assert!(Instant::now() < deadline, "{} does not do as it is told", self.address);
            std::thread::yield_now();
        }
    }

    /// Connections that were made until now.
    pub fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::SeqCst)
    }

    /// Bytes that went to the server until now.
    pub fn up_bytes(&self) -> u64 {
        self.counts.up_bytes.load(Ordering::SeqCst)
    }
}

fn bind(host: Ipv4Addr, port: u16) -> TcpListener {
    let listener = TcpListener::bind((host, port)).unwrap_or_else(|error| panic!("{host}:{port}: {error}"));
    listener.set_nonblocking(true).unwrap();
    listener
}

/// A thread with a runtime of its own; both end when it is dropped.
#[derive(Debug)]
struct Thread {
    /// Dropped first: that is how the thread learns of the end.
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Thread {
    /// Runs `begin`, and what it spawns.
    fn run(begin: impl Future<Output = ()> + Send + 'static) -> Self {
        let (end, ended) = oneshot::channel::<()>();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                begin.await;
                // An error is the end as well: it says that the other side was dropped.
                let _ = ended.await;
            });
        });
        Self { end: Some(end), thread: Some(thread) }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
