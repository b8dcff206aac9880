//! Messages that children repeat, folded: the first of a kind is logged at once, the further ones are counted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::stderr::Level;

/// How often messages of a kind are logged.
const INTERVAL: Duration = Duration::from_secs(60);
/// How often it is looked whether a count is to be logged.
pub(super) const LOOK: Duration = Duration::from_secs(5);
/// Kinds that are remembered; beyond that the oldest is forgotten.
const KINDS: usize = 128;

/// What the children of one ladder have said lately, over their restarts.
#[derive(Clone, Debug, Default)]
pub struct Messages(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    kinds: Mutex<Kinds>,
    processes: AtomicU64,
}

/// By process label and text without numbers.
type Kinds = HashMap<(Arc<str>, String), Kind>;

/// Of which process a message is.
#[derive(Clone, Debug)]
pub(super) struct Speaker {
    pub(super) label: Arc<str>,
    number: u64,
}

/// Messages that differ in their numbers only.
#[derive(Debug)]
struct Kind {
    level: Level,
    /// The latest.
    text: String,
    /// When one was logged last.
    logged: Instant,
    /// How many came since.
    count: u64,
    /// The process of the latest.
    process: u64,
    /// Whether a process has repeated itself since. Where each said it once before it ended, the reason of its end says it too.
    is_repeated: bool,
}

impl Messages {
    /// A process has started that people know by this label.
    pub(super) fn speaker(&self, label: &Arc<str>) -> Speaker {
        Speaker { label: Arc::clone(label), number: self.0.processes.fetch_add(1, Ordering::Relaxed) }
    }

    fn kinds(&self) -> MutexGuard<'_, Kinds> {
        self.0.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a message of `process`, which `log` logs unless one like it was logged a moment ago.
    pub(super) fn take(
        &self,
        process: &Speaker,
        level: Level,
        text: &str,
        now: Instant,
        log: impl Fn(&str, Level, &str),
    ) {
        if level < Level::Warning {
            return log(&process.label, level, text);
        }
        let mut kinds = self.kinds();
        let key = (Arc::clone(&process.label), kind(text));
        if let Some(known) = kinds.get_mut(&key) {
            known.count += 1;
            known.is_repeated |= known.process == process.number;
            known.process = process.number;
            text.clone_into(&mut known.text);
            known.level = level;
            return known.log_if_due(&process.label, now, &log);
        }
        if kinds.len() >= KINDS {
            let oldest = kinds.iter().min_by_key(|(_, kind)| kind.logged).map(|(key, _)| key.clone());
            if let Some((key, kind)) = oldest.and_then(|key| kinds.remove_entry(&key)) {
                kind.log_count(&key.0, now, &log);
            }
        }
        log(&process.label, level, text);
        let (text, process) = (text.to_owned(), process.number);
        kinds.insert(key, Kind { level, text, logged: now, count: 0, process, is_repeated: false });
    }

    /// Logs the counts that are due at `now`, and forgets what has not come again.
    pub(super) fn due(&self, now: Instant, log: impl Fn(&str, Level, &str)) {
        let mut kinds = self.kinds();
        kinds.retain(|(process, _), kind| {
            let is_due = now.saturating_duration_since(kind.logged) >= INTERVAL;
            let is_repeated = kind.count > 0;
            kind.log_if_due(process, now, &log);
            !is_due || is_repeated
        });
    }

    /// Logs all counts, as at the end of a channel, which no longer is a time for errors.
    pub fn finish(&self) {
        let now = tokio::time::Instant::now().into_std();
        for ((process, _), mut kind) in self.kinds().drain() {
            kind.level = kind.level.min(Level::Warning);
            kind.log_count(&process, now, &super::supervise::log);
        }
    }
}

impl Kind {
    fn log_if_due(&mut self, process: &str, now: Instant, log: &impl Fn(&str, Level, &str)) {
        if self.count > 0 && now.saturating_duration_since(self.logged) >= INTERVAL {
            self.log_count(process, now, log);
            (self.logged, self.count, self.is_repeated) = (now, 0, false);
        }
    }

    fn log_count(&self, process: &str, now: Instant, log: &impl Fn(&str, Level, &str)) {
        let level = if self.is_repeated { self.level } else { Level::Info };
        match self.count {
            0 => {}
            1 => log(process, level, &self.text),
            count => {
                let seconds = now.saturating_duration_since(self.logged).as_secs_f64();
                let text = format!("{} (repeated {count} times in {seconds:.0} s)", self.text);
                log(process, level, &text);
            }
        }
    }
}

/// The text with its numbers left out.
fn kind(text: &str) -> String {
    let mut kind = String::with_capacity(text.len());
    for word in text.split(' ') {
        let is_hex = word.starts_with("0x");
        let (mut in_number, mut before) = (false, None);
        let mut chars = word.chars().peekable();
        while let Some(c) = chars.next() {
            let is_sign = c == '-' && !before.is_some_and(char::is_alphanumeric);
            before = Some(c);
            if is_sign && chars.peek().is_some_and(char::is_ascii_digit) {
                continue;
            }
            let is_digit = c.is_ascii_digit() || (is_hex && c.is_ascii_hexdigit());
            if !(is_digit && in_number) {
                kind.push(if is_digit { '0' } else { c });
            }
            in_number = is_digit;
        }
        kind.push(' ');
    }
    kind
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    struct Log(RefCell<Vec<String>>);

    impl Log {
        fn new() -> Self {
            Self(RefCell::default())
        }

        fn take(&self, messages: &Messages, text: &str, now: Instant) -> usize {
            let process = Speaker { label: "encoder of a".into(), number: 0 };
            messages.take(&process, Level::Warning, text, now, |_, _, text| {
                self.0.borrow_mut().push(text.to_owned());
            });
            self.0.borrow().len()
        }
    }

    #[test]
    fn like_messages_are_counted_and_logged_once_a_minute() {
        let (messages, log, began) = (Messages::default(), Log::new(), Instant::now());
        let at = |seconds| began + Duration::from_secs(seconds);
        for n in 0..300 {
            let text = format!("h264: concealing {n} DC, {n} AC errors in P frame");
            assert_eq!(log.take(&messages, &text, at(n / 10)), 1);
        }
        assert_eq!(log.take(&messages, "mpegts: Packet corrupt (stream = 0, dts = 90000)", at(30)), 2);
        messages.due(at(59), |_, _, text| panic!("{text}"));
        messages.due(at(60), |_, _, text| log.0.borrow_mut().push(text.to_owned()));
        let last = log.0.borrow().last().cloned();
        assert_eq!(
            last.as_deref(),
            Some("h264: concealing 299 DC, 299 AC errors in P frame (repeated 299 times in 60 s)")
        );
        assert_eq!(log.take(&messages, "h264: concealing 1 DC, 1 AC errors in P frame", at(61)), 3);
    }

    #[test]
    fn numbers_and_their_signs_make_no_other_kind() {
        let same = ["cbp too large (-12) at 3 4", "cbp too large (7) at 31 -14"].map(kind);
        assert_eq!(same[0], same[1]);
        assert_eq!(kind("pts 0x1f1 < -5"), kind("pts 0x9 < 1234"));
        assert_ne!(kind("non-existing PPS 1"), kind("non-existing SPS 1"));
        assert_ne!(kind("out-0 is late"), kind("out0 is late"));
    }

    #[test]
    fn what_each_process_says_once_before_it_ends_is_left_to_the_reason_of_its_end() {
        let (messages, began) = (Messages::default(), Instant::now());
        let logged = RefCell::new(Vec::new());
        for seconds in 0..=60 {
            let process = messages.speaker(&"encoder of a".into());
            let now = began + Duration::from_secs(seconds);
            messages.take(&process, Level::Error, "tcp: Connection refused", now, |_, level, text| {
                logged.borrow_mut().push((level, text.to_owned()));
            });
        }
        let expected = [
            (Level::Error, "tcp: Connection refused".to_owned()),
            (Level::Info, "tcp: Connection refused (repeated 60 times in 60 s)".to_owned()),
        ];
        assert_eq!(*logged.borrow(), expected);
    }

    #[test]
    fn what_is_not_repeated_is_forgotten_and_memory_is_bounded() {
        let (messages, log, began) = (Messages::default(), Log::new(), Instant::now());
        for n in 0..10_000_u32 {
            let letters: String = n.to_string().chars().map(|c| (c as u8 + 50) as char).collect();
            log.take(&messages, &letters, began);
        }
        assert_eq!(messages.kinds().len(), KINDS);
        messages.due(began + INTERVAL, |_, _, _| {});
        assert_eq!(messages.kinds().len(), 0);
    }
}
