//! What one connection is at, and when it has cost enough.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::Limits;
use super::tally::{Class, Tallies};

/// What one connection is at. Times are milliseconds since it began, 0 for never.
#[derive(Debug)]
pub struct Activity {
    began: Instant,
    limits: Limits,
    tallies: Arc<Tallies>,
    /// Requests that are not done with.
    requests: AtomicU32,
    /// Answers under way.
    sending: AtomicU32,
    is_http2: AtomicBool,
    has_asked: AtomicBool,
    /// How often it was its turn to go on.
    turns: AtomicU32,
    /// When there was no request any more.
    free: AtomicU32,
    /// When the header that is being read began.
    reading: AtomicU32,
    /// When the client last took something.
    taken: AtomicU32,
    /// Since when it takes nothing of what was written.
    blocked: AtomicU32,
}

impl Activity {
    /// A connection that begins.
    pub fn new(limits: Limits, tallies: Arc<Tallies>) -> Self {
        Self {
            began: Instant::now(),
            limits,
            tallies,
            requests: AtomicU32::new(0),
            sending: AtomicU32::new(0),
            is_http2: AtomicBool::new(false),
            has_asked: AtomicBool::new(false),
            turns: AtomicU32::new(0),
            free: AtomicU32::new(0),
            reading: AtomicU32::new(0),
            taken: AtomicU32::new(0),
            blocked: AtomicU32::new(0),
        }
    }

    /// A request has come.
    pub fn begin(self: &Arc<Self>, is_http2: bool) -> Exchange {
        self.requests.fetch_add(1, Relaxed);
        self.reading.store(0, Relaxed);
        self.has_asked.store(true, Relaxed);
        self.is_http2.store(is_http2, Relaxed);
        Exchange { activity: Arc::clone(self), class: Class::Other, sending: None }
    }

    /// Whether its requests come by HTTP/2.
    pub fn is_http2(&self) -> bool {
        self.is_http2.load(Relaxed)
    }

    /// It is its turn to go on.
    pub fn turn(&self) {
        self.turns.fetch_add(1, Relaxed);
    }

    /// How often it was.
    pub fn turns(&self) -> u32 {
        self.turns.load(Relaxed)
    }

    /// Bytes were read.
    pub fn read(&self) {
        if self.requests.load(Relaxed) == 0 && self.reading.load(Relaxed) == 0 {
            self.reading.store(self.now(), Relaxed);
        }
    }

    /// Bytes were written.
    pub fn wrote(&self) {
        self.blocked.store(0, Relaxed);
        // A client of HTTP/2 that takes no body can still have its pings answered.
        if !self.is_http2() {
            self.taken.store(self.now(), Relaxed);
        }
    }

    /// Nothing can be written now.
    pub fn block(&self) {
        if self.blocked.load(Relaxed) == 0 {
            self.blocked.store(self.now(), Relaxed);
        }
    }

    /// Whether the client has cost enough: it sends no request, no end of a header, or takes nothing.
    pub fn is_spent(&self) -> bool {
        let passed = |since: &AtomicU32, limit: Duration| {
            let since = since.load(Relaxed);
            since > 0 && u128::from(self.now().saturating_sub(since)) >= limit.as_millis()
        };
        if passed(&self.blocked, self.limits.stall) {
            return true;
        }
        if self.requests.load(Relaxed) > 0 {
            return self.sending.load(Relaxed) > 0 && passed(&self.taken, self.limits.stall);
        }
        if !self.has_asked.load(Relaxed) {
            return self.began.elapsed() >= self.limits.header;
        }
        let is_http1 = !self.is_http2();
        passed(&self.free, self.limits.idle) || (is_http1 && passed(&self.reading, self.limits.header))
    }

    fn now(&self) -> u32 {
        u32::try_from(self.began.elapsed().as_millis()).unwrap_or(u32::MAX).max(1)
    }
}

/// One request and its answer, until the answer is sent or given up.
#[derive(Debug)]
pub struct Exchange {
    activity: Arc<Activity>,
    class: Class,
    /// Since when a body is sent, and whether it is one from memory.
    sending: Option<(u32, bool)>,
}

impl Exchange {
    /// What was asked for, for the counters.
    pub const fn class(&mut self, class: Class) {
        self.class = class;
    }

    /// The class that was told.
    pub const fn told(&self) -> Class {
        self.class
    }

    /// The answer has a body.
    pub fn send(&mut self, is_from_memory: bool) {
        let now = self.activity.now();
        self.activity.sending.fetch_add(1, Relaxed);
        self.activity.taken.store(now, Relaxed);
        self.sending = Some((now, is_from_memory));
    }

    /// So much of it was taken.
    ///
    /// # Errors
    /// If it takes too long in all.
    pub fn sent(&self, size_bytes: u64) -> io::Result<()> {
        let now = self.activity.now();
        self.activity.taken.store(now, Relaxed);
        self.activity.tallies.sent(self.class, size_bytes);
        let limit = self.activity.limits.answer.as_millis();
        match self.sending {
            Some((began, true)) if u128::from(now - began.min(now)) > limit => {
                Err(io::ErrorKind::TimedOut.into())
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.sending.is_some() {
            self.activity.sending.fetch_sub(1, Relaxed);
        }
        self.activity.free.store(self.activity.now(), Relaxed);
        self.activity.requests.fetch_sub(1, Relaxed);
    }
}
