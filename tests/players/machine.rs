//! The machine that tests share: two cores for a channel, its encoders and up to three browsers. What fails where none of
//! them had time to run tells nothing of a stream, and is tried again with the machine to itself.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};
use std::{fs, thread};

/// What is wrong with a stream is wrong each time.
const TRIES: u32 = 3;
/// How often it is looked whether the machine has time.
const TICK: Duration = Duration::from_millis(20);
/// Ticks that are later than this are late.
const LATE: Duration = Duration::from_millis(100);
/// How long the processors are looked at, and the share of that in percent below which they have no time left.
const STRETCH: Duration = Duration::from_secs(1);
const IDLE_PERCENT: u64 = 10;

static MACHINE: RwLock<()> = RwLock::new(());

/// Runs `test` beside others, and by itself if it fails where the machine had no time left.
pub fn shared(test: impl Fn()) {
    let result = {
        let _others = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
        attempt(&test)
    };
    match result {
        Attempt::Passed => {}
        Attempt::Failed(cause) => resume_unwind(cause),
        Attempt::Starved => alone(test),
    }
}

/// Runs `test` by itself: what is measured there would be late beside others. Again, if the machine had no time left.
pub fn alone(test: impl Fn()) {
    let _machine = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
    for _ in 1..TRIES {
        match attempt(&test) {
            Attempt::Passed => return,
            Attempt::Failed(cause) => resume_unwind(cause),
            Attempt::Starved => {}
        }
    }
    test();
}

enum Attempt {
    Passed,
    Failed(Box<dyn std::any::Any + Send>),
    /// It failed, and the machine had no time left.
    Starved,
}

fn attempt(test: impl Fn()) -> Attempt {
    let (is_over, was_starved) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| watch(&is_over, &was_starved));
        let result = catch_unwind(AssertUnwindSafe(&test));
        is_over.store(true, Ordering::Relaxed);
        match result {
            Ok(()) => Attempt::Passed,
            Err(_) if was_starved.load(Ordering::Relaxed) => {
                println!("the machine had no time left: tried again");
                Attempt::Starved
            }
            Err(cause) => Attempt::Failed(cause),
        }
    })
}

/// Notes whether ticks were late, or the processors busy all of the time.
fn watch(is_over: &AtomicBool, was_starved: &AtomicBool) {
    let (mut looked, mut times) = (Instant::now(), Times::read());
    while !is_over.load(Ordering::Relaxed) {
        let before = Instant::now();
        thread::sleep(TICK);
        let is_late = before.elapsed() > LATE;
        let mut is_busy = false;
        if looked.elapsed() >= STRETCH {
            let now = Times::read();
            let (all, idle) = (now.all - times.all, now.idle - times.idle);
            is_busy = idle * 100 < all * IDLE_PERCENT;
            (looked, times) = (Instant::now(), now);
        }
        if is_late || is_busy {
            was_starved.store(true, Ordering::Relaxed);
        }
    }
}

/// Time of all processors since the machine started, as proc(5) has it in `/proc/stat`; zero where there is none.
#[derive(Clone, Copy, Default)]
struct Times {
    all: u64,
    idle: u64,
}

impl Times {
    fn read() -> Self {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        let fields = text.lines().next().unwrap_or_default().split_ascii_whitespace().skip(1);
        // user, nice, system, idle, iowait, irq, softirq, steal; what follows is part of these.
        let fields: Vec<u64> = fields.take(8).filter_map(|field| field.parse().ok()).collect();
        Self { all: fields.iter().sum(), idle: fields.get(3).copied().unwrap_or_default() }
    }
}
