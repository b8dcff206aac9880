//! A request and its answer.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, Uri};
use prometheus_client::registry::Registry;

use super::activity::Exchange;
use super::body::Body;
use super::content::{Content, Shown};
use super::cors::Cors;
use super::media_type::{JSON, PLAYLIST};
use super::metric::{self, Dashboard, OPEN_METRICS};
use super::page::Page;
use super::path::{self, Wrong};
use super::playlist::Playlist;
use super::reload::Directives;
use super::reply::{self, Facts, REVALIDATE, said};
use super::scene::{Found, Look};
use super::status::Report;
use super::tally::{Class, Held};
use super::text::Text;
use super::{Auth, Limits, coding};

/// All that a request is answered from.
#[derive(Debug)]
pub struct Site {
    pub auth: Option<Auth>,
    pub cors: Cors,
    pub player: Option<String>,
    pub limits: Limits,
    pub content: Content,
    pub page: Page,
    pub dashboard: Arc<Dashboard>,
    pub registry: Registry,
}

/// What is known of who asks.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub path: &'a str,
    pub query: Option<&'a str>,
    pub headers: &'a HeaderMap,
    pub peer: IpAddr,
}

impl<'a> Asked<'a> {
    fn new(parts: &'a Parts, peer: IpAddr) -> Self {
        Self { path: parts.uri.path(), query: parts.uri.query(), headers: &parts.headers, peer }
    }
}

/// What is asked for will be there.
#[derive(Debug)]
struct Later {
    key: String,
    directives: Directives,
}

impl Site {
    /// The answer to a request, which is counted with `exchange`.
    pub async fn answer<B>(
        &self,
        request: Request<B>,
        peer: IpAddr,
        mut exchange: Exchange,
    ) -> Response<Body> {
        // Bodies of requests mean nothing to us.
        let (mut parts, _) = request.into_parts();
        let mut answer = match parts.method {
            Method::GET => self.get(&mut parts, peer, &mut exchange).await,
            Method::HEAD => reply::without_body(self.get(&mut parts, peer, &mut exchange).await),
            Method::OPTIONS => preflight(),
            _ => not_allowed(),
        };
        self.cors.mark(&parts.headers, answer.headers_mut());
        self.dashboard.tallies.answered(exchange.told(), answer.status().as_u16());
        answer.map(|body| body.under(exchange))
    }

    async fn get(&self, parts: &mut Parts, peer: IpAddr, exchange: &mut Exchange) -> Response<Body> {
        let later = match self.found(&Asked::new(parts, peer), exchange).await {
            Ok(answer) => return answer,
            Err(later) => later,
        };
        let (Content::Stage(shown), Some(_held)) =
            (&self.content, Held::one_of(&self.dashboard.tallies.held, self.limits.held))
        else {
            return self::later("too many requests wait");
        };
        forget_buffer(parts);
        match shown.wait(&later.key, later.directives).await {
            Some(found) => self.tell(found, later.directives, &Asked::new(parts, peer), shown, exchange),
            None => self::later("it did not come in time"),
        }
    }

    async fn found(&self, asked: &Asked<'_>, exchange: &mut Exchange) -> Result<Response<Body>, Later> {
        let key = match path::key(asked.path) {
            Ok(key) => key,
            Err(Wrong::Unreadable) => return Ok(said(StatusCode::BAD_REQUEST, "the path cannot be read")),
            Err(Wrong::Outside) => return Ok(nothing()),
        };
        // Whoever balances load has no login.
        match &*key {
            "healthz" => return Ok(said(StatusCode::OK, "ok")),
            "readyz" => return Ok(self.ready().await),
            _ => {}
        }
        if let Some(auth) = self.auth.as_ref().filter(|auth| !is_let_in(auth, asked.headers)) {
            let mut answer = said(StatusCode::UNAUTHORIZED, "authorization is needed");
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, auth.challenge());
            return Ok(answer);
        }
        Ok(match &*key {
            "status" => self.status().await,
            "metrics" => reply::text(StatusCode::OK, OPEN_METRICS, metric::render(&self.registry)),
            key => return self.stream(key, asked, exchange).await,
        })
    }

    /// The page, or something of the stream.
    async fn stream(
        &self,
        key: &str,
        asked: &Asked<'_>,
        exchange: &mut Exchange,
    ) -> Result<Response<Body>, Later> {
        if let Content::Folder(folder) = &self.content
            && let Some(answer) = folder.answer(key, asked.headers, exchange).await
        {
            if exchange.told() == Class::Playlist {
                self.see_viewer(asked);
            }
            return Ok(answer);
        }
        if let Some((text, media_type)) = self.page.file(key) {
            exchange.class(Class::Page);
            let mut answer = self::text(asked.headers, text, media_type, REVALIDATE);
            self.page.guard(answer.headers_mut());
            return Ok(answer);
        }
        match &self.content {
            Content::Stage(shown) => self.shown(shown, key, asked, exchange),
            Content::Folder(_) => Ok(nothing()),
        }
    }

    fn shown(
        &self,
        shown: &Shown,
        key: &str,
        asked: &Asked<'_>,
        exchange: &mut Exchange,
    ) -> Result<Response<Body>, Later> {
        let directives = if super::media_type::is_playlist(key) {
            exchange.class(Class::Playlist);
            match Directives::parse(asked.query) {
                Ok(directives) => directives,
                Err(wrong) => {
                    let line = format!("{wrong}\n");
                    return Ok(reply::text(StatusCode::BAD_REQUEST, super::media_type::TEXT, line));
                }
            }
        } else {
            Directives::default()
        };
        // Nothing is locked but for the moment in which the scene is taken.
        match shown.scene().look(key, directives) {
            Look::Now(found) => Ok(self.tell(found, directives, asked, shown, exchange)),
            Look::Later => Err(Later { key: key.to_owned(), directives }),
        }
    }

    fn tell(
        &self,
        found: Found,
        directives: Directives,
        asked: &Asked<'_>,
        shown: &Shown,
        exchange: &mut Exchange,
    ) -> Response<Body> {
        match found {
            Found::Object(object) => {
                exchange.class(object.class);
                let facts = Facts::immutable(object.media_type, &object.tag, object.body.size_bytes());
                reply::found(asked.headers, &facts, |span| Body::slices(object.body.clone(), span))
            }
            Found::Playlist(playlist) => {
                self.see_viewer(asked);
                self.playlist(&playlist, directives, asked, shown)
            }
            Found::TooFar => {
                said(StatusCode::BAD_REQUEST, "_HLS_msn or _HLS_part is too far ahead of the playlist")
            }
            Found::Nothing => nothing(),
        }
    }

    fn playlist(
        &self,
        playlist: &Playlist,
        directives: Directives,
        asked: &Asked<'_>,
        shown: &Shown,
    ) -> Response<Body> {
        let cache = match directives.msn {
            // It says at least what was asked for, whoever asks the same: caches may answer for us for a while.
            Some(_) => {
                let seconds = 2 * shown.scene().patience.as_secs();
                reply::written(format!("max-age={seconds}"))
            }
            None => REVALIDATE,
        };
        self::text(asked.headers, playlist.text(directives.skip), PLAYLIST, cache)
    }

    fn see_viewer(&self, asked: &Asked<'_>) {
        let agent = asked.headers.get(header::USER_AGENT).map(HeaderValue::as_bytes);
        self.dashboard.viewers.note((asked.peer, agent), self.dashboard.now());
    }

    async fn is_ready(&self) -> bool {
        match &self.content {
            Content::Stage(shown) => shown.scene().is_ready(),
            Content::Folder(folder) => folder.is_ready().await,
        }
    }

    async fn ready(&self) -> Response<Body> {
        if !self.is_ready().await {
            return later("the stream's playlist is not out yet");
        }
        if self.dashboard.status.borrow().lacks_video() {
            return later("no video arrives while audio does: see /status");
        }
        said(StatusCode::OK, "ready")
    }

    async fn status(&self) -> Response<Body> {
        let is_out = self.is_ready().await;
        let dashboard = &self.dashboard;
        let scene = Arc::clone(&dashboard.scenes.borrow());
        let status = Arc::clone(&dashboard.status.borrow());
        let ready = is_out && !status.lacks_video();
        let (objects, object_bytes) = scene.held();
        let report = Report {
            name: &scene.name,
            state: status.state,
            ready,
            uptime_seconds: dashboard.now().as_secs_f64(),
            entry: &scene.entry,
            player: self.player.as_deref(),
            low_latency: scene.has_parts(),
            viewers: dashboard.viewers.count(dashboard.now()),
            connections: dashboard.tallies.connections.now(),
            held_requests: dashboard.tallies.held.now(),
            objects,
            object_bytes,
            spool_memory_bytes: status.spool_memory_bytes,
            spool_disk_bytes: status.spool_disk_bytes,
            renditions: status.rendition_reports(),
            destinations: status.destination_reports(),
        };
        match serde_json::to_string(&report) {
            Ok(text) => reply::text(StatusCode::OK, JSON, text),
            Err(_) => said(StatusCode::INTERNAL_SERVER_ERROR, "the status cannot be told"),
        }
    }
}

/// A text in the coding that the client takes.
pub fn text(asked: &HeaderMap, text: &Text, media_type: &'static str, cache: HeaderValue) -> Response<Body> {
    let takes_gzip =
        asked.get_all(header::ACCEPT_ENCODING).iter().any(|one| coding::takes_gzip(one.as_bytes()));
    let gzip = text.gzip.as_ref().filter(|_| takes_gzip);
    let (bytes, tag) = gzip.unwrap_or(&text.plain);
    let facts = Facts {
        media_type,
        tag: Some(tag),
        cache,
        size_bytes: bytes.len() as u64,
        is_gzip: gzip.is_some(),
        is_varying: true,
        has_ranges: false,
    };
    reply::found(asked, &facts, |span| Body::slices(bytes.clone().into(), span))
}

/// Copies what is needed yet of a request: its words lie in the connection's buffer, which would be held, beside a new
/// one, as long as the request waits.
fn forget_buffer(parts: &mut Parts) {
    parts.uri = Uri::default();
    for value in parts.headers.values_mut() {
        if let Ok(copy) = HeaderValue::from_bytes(value.as_bytes()) {
            *value = copy;
        }
    }
}

fn is_let_in(auth: &Auth, headers: &HeaderMap) -> bool {
    headers.get(header::AUTHORIZATION).is_some_and(|value| auth.is_met(value.as_bytes()))
}

/// What browsers ask for before a request; it takes no authorization, for they send none.
fn preflight() -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    Cors::allow(answer.headers_mut());
    answer
}

fn not_allowed() -> Response<Body> {
    let mut answer = said(StatusCode::METHOD_NOT_ALLOWED, "only GET, HEAD and OPTIONS are answered");
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    answer
}

fn nothing() -> Response<Body> {
    said(StatusCode::NOT_FOUND, "there is nothing here")
}

/// It may be there in a while.
fn later(line: &'static str) -> Response<Body> {
    let mut answer = said(StatusCode::SERVICE_UNAVAILABLE, line);
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}
