//! The built-in origin: a channel, or a folder, over HTTP.
//!
//! The channel's side is a [`Stage`]: bytes are put there ahead of the playlists that name them, then a snapshot is
//! shown. Readers take an immutable [`Scene`] through one watch channel; no lock is held while a request is answered,
//! and "wait until it is there" is a wait on word of it. Nothing here waits for a reader: one that is slow costs
//! itself alone.
//!
//! | file | what it knows |
//! |---|---|
//! | `stage`, `scene`, `shelf`, `playlist` | the writer's side, what readers see, the objects and playlists in it |
//! | `site`, `content`, `reload` | a request and its answer; what is at a path; `_HLS_` directives |
//! | `reply`, `text`, `range`, `coding`, `validator`, `media_type` | HTTP: conditions, ranges, gzip, content types, caching |
//! | `path`, `auth`, `cors` | what is asked for, and who may |
//! | `body`, `slices`, `activity`, `paced`, `gathered` | bytes on their way, limits |
//! | `connection`, `server`, `threads` | connections, the port, threads that are the readers' own |
//! | `status`, `tally`, `viewer`, `metric` | what is told of it: `/status`, `/metrics` |
//! | `audience` | whether anybody still watches, when it is to end |
//! | `page` | the page at `/` |
//! | `folder`, `recent` | a folder in place of a channel; its files in memory |
//!
//! Routes are few and fixed, the rest is one look into a map: `site` matches on the path, without a router.
//!
//! ```no_run
//! # async fn example(presentation: segcast::live::Presentation) -> Result<(), segcast::origin::Error> {
//! use segcast::origin::{Options, Origin};
//!
//! let mut origin = Origin::bind(Options::default())?;
//! let mut stage = origin.stage("news", presentation.options());
//! stage.put("720p/720p-00001.ts", bytes::Bytes::from_static(b"...").into());
//! stage.show(&presentation.snapshot(), std::time::Duration::ZERO);
//! origin.run(std::future::pending()).await;
//! # Ok(())
//! # }
//! ```

mod activity;
mod audience;
mod auth;
mod body;
mod coding;
mod connection;
mod content;
mod cors;
mod folder;
mod gathered;
mod herald;
mod media_type;
mod metric;
mod paced;
mod page;
mod path;
mod playlist;
mod range;
mod recent;
mod reload;
mod reply;
mod scene;
mod server;
mod shelf;
mod site;
mod slices;
mod stage;
mod status;
mod tally;
mod text;
mod threads;
mod tls;
mod validator;
mod viewer;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

pub use audience::Audience;
pub use auth::Auth;
pub use cors::Cors;
pub use scene::Scene;
pub use server::Origin;
pub use stage::Stage;
pub use status::{Rendition, State, Status};
pub use tls::Tls;

/// How a stream is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where clients come in.
    pub listen: SocketAddr,
    /// TLS; cleartext without it.
    pub tls: Option<Tls>,
    /// Who is let in; everybody without it.
    pub auth: Option<Auth>,
    /// Address of the player script that the page loads; without it, only browsers that play HLS themselves play it.
    pub player: Option<String>,
    /// Which pages of other sites may read the stream.
    pub cors: Cors,
    /// How long those who watch are served the rest once the stream has ended.
    pub linger: Duration,
    /// What one client, and all of them together, may cost.
    pub limits: Limits,
}

impl Options {
    /// Where clients come in if nothing else is said.
    pub const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
    /// hls.js, at a public address.
    pub const PLAYER: &'static str = "https://cdn.jsdelivr.net/npm/hls.js@1";
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: Self::LISTEN,
            tls: None,
            auth: None,
            player: Some(Self::PLAYER.to_owned()),
            cors: Cors::default(),
            linger: Duration::from_secs(30),
            limits: Limits::default(),
        }
    }
}

/// What one client, and all of them together, may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at the same time; what is beyond is closed at once.
    pub connections: usize,
    /// Requests that wait for something to come; what is beyond is answered 503.
    pub held: usize,
    /// Header fields of a request.
    pub header_fields: usize,
    /// Bytes of a request's header.
    pub header_bytes: usize,
    /// Requests at the same time on one HTTP/2 connection.
    pub streams: u32,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long a request's header may take from its first byte on, and the first request from the connection on.
    pub header: Duration,
    /// How long a connection may be without a request.
    pub idle: Duration,
    /// How long a client may take nothing of what it asked for.
    pub stall: Duration,
    /// How long the sending of one object from memory may take in all.
    pub answer: Duration,
    /// How long requests under way may take to end when the origin ends.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            held: 65_536,
            header_fields: 100,
            header_bytes: 16 << 10,
            streams: 100,
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            stall: Duration::from_secs(30),
            answer: Duration::from_secs(600),
            drain: Duration::from_secs(3),
        }
    }
}

/// Why an origin cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The port is not ours.
    #[error("cannot listen on {listen}{}", hint(.source))]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The system gives no threads to serve on.
    #[error("cannot start threads")]
    Threads(#[source] io::Error),
    /// The certificate or its key is none.
    #[error("cannot use the {what} in {}: {why}", path.display())]
    Tls {
        /// Which of them.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The folder is none.
    #[error("cannot serve {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What it may be, and what to do; the system's own words are the source's.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => " (another program has it: end that, or choose another port)",
        io::ErrorKind::AddrNotAvailable => " (it is no address of this machine)",
        io::ErrorKind::PermissionDenied => " (ports below 1024 are the system's: choose a higher one)",
        _ => "",
    }
}
