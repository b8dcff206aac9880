//! A line of timestamps, cut to 33 bits and unwrapped again, is the same line; its spans add up to the whole.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use segcast::time::{Stamp, Ticks, Unwrapper};

fuzz_target!(|input: (u64, Vec<i32>)| {
    let (start, steps) = input;
    let mut clock = Unwrapper::default();
    let mut last = clock.unwrap(Stamp::new(start));
    assert_eq!(last.count() as u64, Stamp::new(start).bits());

    let mut spans = Duration::ZERO;
    let first = last;
    for step in &steps {
        let expected = last + Ticks::new(i64::from(*step));
        let ticks = clock.unwrap(Stamp::new(expected.count() as u64));
        assert_eq!(ticks, expected, "after {last} by {step}");
        if *step >= 0 {
            spans += last.until(ticks);
        } else {
            assert_eq!(last.until(ticks), Duration::ZERO);
        }
        last = ticks;
    }
    if steps.iter().all(|step| *step >= 0) {
        assert_eq!(spans, first.until(last), "rounding adds up");
    }
});
