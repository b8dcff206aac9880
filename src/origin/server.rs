//! The port, and who comes in by it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::audience::Audience;
use super::connection::{self, Shared};
use super::content::{Content, Shown};
use super::folder::Folder;
use super::metric::{self, Dashboard, Durations};
use super::page::Page;
use super::scene::Scene;
use super::site::Site;
use super::stage::Stage;
use super::status::{State, Status};
use super::tally::{Open, Tallies};
use super::threads::Threads;
use super::viewer::Viewers;
use super::{Error, Options};
use crate::live;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;
/// How long nobody is accepted when there is no room for another connection.
const NO_ROOM: Duration = Duration::from_millis(50);

/// A server whose port is ours, from [`bind`](Self::bind) on.
#[derive(Debug)]
pub struct Origin {
    options: Options,
    listener: std::net::TcpListener,
    threads: Threads,
    address: SocketAddr,
    tls: Option<Arc<rustls::ServerConfig>>,
    folder: Option<Folder>,
    scenes: watch::Sender<Arc<Scene>>,
    status: watch::Sender<Arc<Status>>,
    durations: Durations,
    audience: Audience,
    /// Sites that the playlists lead to.
    media_sites: Vec<String>,
}

impl Origin {
    /// Takes the port and reads the certificate. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the port is not ours, or the certificate is none.
    pub fn bind(options: Options) -> Result<Self, Error> {
        let tls = options.tls.as_ref().map(super::tls::Tls::config).transpose()?;
        let listen = options.listen;
        let listener = listener(listen)
            .and_then(TcpListener::into_std)
            .map_err(|source| Error::Listen { listen, source })?;
        let address = listener.local_addr().map_err(|source| Error::Listen { listen, source })?;
        Ok(Self {
            options,
            listener,
            threads: Threads::start().map_err(Error::Threads)?,
            address,
            tls,
            folder: None,
            scenes: watch::Sender::default(),
            status: watch::Sender::default(),
            durations: Durations::default(),
            audience: Audience::default(),
            media_sites: Vec::new(),
        })
    }

    /// Where clients come in, with the port that the system gave if none was asked for.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address that people open.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/", self.address)
    }

    /// Serves the channel `name`: gives the writer's side of its content.
    pub fn stage(&mut self, name: &str, options: &live::Options) -> Stage {
        self.media_sites.extend(site_of(&options.url_prefix));
        Stage::new(name, options, self.scenes.clone(), self.status.clone(), &self.durations)
    }

    /// Those who watch.
    pub fn audience(&self) -> Audience {
        self.audience.clone()
    }

    /// Serves what lies in a folder.
    ///
    /// # Errors
    /// If it is none.
    pub fn folder(&mut self, directory: &Path) -> Result<(), Error> {
        let folder =
            Folder::open(directory).map_err(|source| Error::Folder { path: directory.to_owned(), source })?;
        let name = directory.file_name().unwrap_or_default().to_string_lossy();
        self.scenes.send_replace(Arc::new(Scene::of_folder(&name, folder.entry())));
        self.status.send_replace(Arc::new(Status { state: State::Running, ..Status::default() }));
        self.folder = Some(folder);
        Ok(())
    }

    /// Serves until `shutdown` comes; then nobody else is let in, and requests under way are ended, as long as
    /// [`Limits::drain`](super::Limits::drain) allows.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let drain = self.options.limits.drain;
        let threads = std::mem::take(&mut self.threads);
        let Some(readers) = threads.handle() else { return };
        let (end, ending) = watch::channel(false);
        let mut serving = readers.spawn(self.serve(ending));
        tokio::select! {
            _ = &mut serving => {}
            () = shutdown => {}
        }
        end.send_replace(true);
        if timeout(drain, end.closed()).await.is_err() {
            tracing::debug!("clients that were still served were left");
        }
    }

    /// Serves until `ending` says so, on the threads that this is called on.
    async fn serve(self, mut ending: watch::Receiver<bool>) {
        let (listener, shared) = self.into_shared();
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!("nobody can be let in: {error}"),
        };
        let of_clients = ending.clone();
        tokio::select! {
            () = accept(&listener, &shared, &of_clients) => {}
            _ = ending.wait_for(|is_ending| *is_ending) => {}
        }
    }

    /// What all connections share, and where they come in.
    fn into_shared(self) -> (std::net::TcpListener, Arc<Shared>) {
        let limits = self.options.limits;
        let dashboard = Arc::new(Dashboard {
            tallies: Arc::new(Tallies::of(self.audience)),
            viewers: Viewers::default(),
            status: self.status.subscribe(),
            scenes: self.scenes.subscribe(),
            began: Instant::now(),
        });
        let content = match self.folder {
            Some(folder) => Content::Folder(folder),
            None => Content::Stage(Shown::new(self.scenes.subscribe())),
        };
        let site = Arc::new(Site {
            page: Page::new(self.options.player.as_deref(), &self.media_sites),
            registry: metric::registry(&dashboard, &self.durations),
            auth: self.options.auth,
            cors: self.options.cors,
            player: self.options.player,
            limits,
            content,
            dashboard,
        });
        let builder = connection::builder(&limits);
        (self.listener, Arc::new(Shared { site, builder, tls: self.tls }))
    }
}

/// Lets clients in for ever.
async fn accept(listener: &TcpListener, shared: &Arc<Shared>, ending: &watch::Receiver<bool>) {
    let mut has_room = true;
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if is_of_one(&error) => continue,
            Err(error) => {
                if std::mem::take(&mut has_room) {
                    tracing::warn!("no further client can be let in for now: {error}");
                }
                sleep(NO_ROOM).await;
                continue;
            }
        };
        has_room = true;
        let tallies = &shared.site.dashboard.tallies;
        let Some(open) = Open::one_of(tallies, shared.site.limits.connections) else {
            tallies.refused.add(1);
            continue;
        };
        let (shared, ending) = (Arc::clone(shared), ending.clone());
        tokio::spawn(connection::serve(shared, stream, peer.ip(), ending, open));
    }
}

/// Whether an error is that of the one client that was about to come in.
fn is_of_one(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

fn listener(listen: SocketAddr) -> io::Result<TcpListener> {
    let socket = if listen.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // What is left of an earlier run's connections is not in the way.
    socket.set_reuseaddr(true)?;
    socket.bind(listen)?;
    socket.listen(BACKLOG)
}

/// Scheme, host and port of an absolute URL.
fn site_of(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split('/').next()?;
    Some(format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten thousand of them wait at once. What hyper reads and writes in comes to it: two times 8 KiB.
    const LITTLE: usize = 4 << 10;

    #[tokio::test]
    async fn a_connections_own_state_is_little() {
        let listen = SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0));
        let origin = Origin::bind(Options { listen, ..Options::default() }).unwrap();
        let stream = tokio::net::TcpStream::connect(origin.address()).await.unwrap();
        let (_listener, shared) = origin.into_shared();
        let (_end, ending) = watch::channel(false);
        let open = Open::one_of(&shared.site.dashboard.tallies, 1).unwrap();
        let serving = connection::serve(shared, stream, listen.ip(), ending, open);
        assert!(size_of_val(&serving) <= LITTLE, "{}", size_of_val(&serving));
    }
}
