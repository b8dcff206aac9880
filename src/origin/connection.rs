//! One client's connection.

use std::convert::Infallible;
use std::future::{Future as _, poll_fn};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper::{Request, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsAcceptor;

use super::Limits;
use super::activity::Activity;
use super::gathered::Gathered;
use super::paced::Paced;
use super::site::Site;
use super::tally::Open;

/// How often a connection is looked at, at most.
const LONGEST_TICK: Duration = Duration::from_secs(5);

/// What speaks HTTP, with our limits.
pub fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // Header and idle time-outs are ours: those of hyper cannot tell a slow header from an idle connection.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(limits.header_fields)
        .max_buf_size(limits.header_bytes.max(8 << 10))
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(Duration::from_secs(20)))
        .keep_alive_timeout(limits.stall);
    builder
}

/// What connections share.
#[derive(Debug)]
pub struct Shared {
    pub site: Arc<Site>,
    pub builder: Builder<TokioExecutor>,
    pub tls: Option<Arc<ServerConfig>>,
}

/// Serves one client until it leaves, costs too much, or `ending` says that the origin ends. What it returns is the
/// state of a connection: there are thousands, so that it is spawned as it is, and not wrapped, which would double it.
pub async fn serve(
    shared: Arc<Shared>,
    stream: TcpStream,
    peer: IpAddr,
    ending: watch::Receiver<bool>,
    _open: Open,
) {
    // Playlists and parts are small and waited for.
    let _ = stream.set_nodelay(true);
    let Some(tls) = &shared.tls else { return speak(&shared, stream, peer, ending).await };
    let accepting = Box::pin(TlsAcceptor::from(Arc::clone(tls)).accept(stream));
    let handshake = timeout(shared.site.limits.handshake, accepting).await;
    match handshake {
        // In a place of its own: those without TLS need not hold room for its state.
        Ok(Ok(stream)) => Box::pin(speak(&shared, stream, peer, ending)).await,
        Ok(Err(error)) => tracing::debug!(%peer, "no TLS: {error}"),
        Err(_) => tracing::debug!(%peer, "no TLS in time"),
    }
}

async fn speak<S>(shared: &Shared, stream: S, peer: IpAddr, mut ending: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (site, limits) = (&shared.site, shared.site.limits);
    let activity = Arc::new(Activity::new(limits, Arc::clone(&site.dashboard.tallies)));
    let service = service_fn(|request: Request<_>| {
        let exchange = activity.begin(request.version() == Version::HTTP_2);
        let site = Arc::clone(site);
        async move { Ok::<_, Infallible>(site.answer(request, peer, exchange).await) }
    });
    let paced = Paced::new(stream, Arc::clone(&activity));
    let io = TokioIo::new(Gathered::new(paced, Arc::clone(&activity)));
    let mut connection = pin!(shared.builder.serve_connection(io, service));
    let mut tick = interval(tick(&limits));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_ending = false;
    loop {
        let going_on = poll_fn(|context| {
            activity.turn();
            connection.as_mut().poll(context)
        });
        tokio::select! {
            result = going_on => {
                if let Err(error) = result {
                    tracing::trace!(%peer, "connection: {error}");
                }
                return;
            }
            _ = ending.wait_for(|is_ending| *is_ending), if !is_ending => {
                is_ending = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = tick.tick() => if activity.is_spent() {
                site.dashboard.tallies.spent.add(1);
                return;
            },
        }
    }
}

/// A tenth of the shortest limit: a client that costs too much is found soon enough.
fn tick(limits: &Limits) -> Duration {
    let shortest = limits.header.min(limits.idle).min(limits.stall);
    (shortest / 10).clamp(Duration::from_millis(20), LONGEST_TICK)
}
