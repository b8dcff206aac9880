//! A counted guard of the core's speed on clean streams: allocations, and bytes allocated, for every 1,000 transport
//! packets. A time is noisy on a busy machine; a count is the same in every run.
//!
//! `benches/instructions.sh` counts instructions in the same passes. Both fail where a count exceeds its limit. A limit
//! is the count before streams with faults were handled, plus 5 %. `cargo test --test speed -- --nocapture` prints the
//! counts.

#![allow(missing_docs, clippy::unwrap_used)]

mod support {
    pub mod synth;
    pub mod workload;
}

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::workload::{PASSES, STREAMS, run, stream};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Counts for each 1,000 packets.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Counts {
    /// Calls of the allocator that return memory: allocations and reallocations.
    allocations: f64,
    /// Bytes that they asked for; of a reallocation those by which it grew.
    bytes: f64,
}

/// Stream, pass and the counts of the base.
const BASE: &[(&str, &str, Counts)] = &[
    ("large", "parse", Counts { allocations: 19.5, bytes: 1887.1 }),
    ("large", "segment", Counts { allocations: 20.8, bytes: 2961.6 }),
    ("large", "segment-parts", Counts { allocations: 35.3, bytes: 9864.1 }),
    ("large", "cmaf", Counts { allocations: 32.7, bytes: 219542.9 }),
    ("large", "cmaf-parts", Counts { allocations: 62.8, bytes: 253199.5 }),
    ("large", "cmaf-muxed", Counts { allocations: 31.5, bytes: 219461.0 }),
    ("small", "parse", Counts { allocations: 142.9, bytes: 9351.7 }),
    ("small", "segment", Counts { allocations: 152.5, bytes: 12059.0 }),
    ("small", "segment-parts", Counts { allocations: 268.7, bytes: 47015.6 }),
    ("small", "cmaf", Counts { allocations: 257.0, bytes: 222033.7 }),
    ("small", "cmaf-parts", Counts { allocations: 573.8, bytes: 296503.2 }),
    ("small", "cmaf-muxed", Counts { allocations: 242.9, bytes: 221127.9 }),
];

/// A count may exceed the base by this factor.
const ALLOWED: f64 = 1.05;

const PACKET_LEN: usize = 188;

fn measure(stream_name: &str, pass: &str) -> Counts {
    let stream = stream(stream_name);
    let packets = (stream.len() / PACKET_LEN) as f64;
    let region = Region::new(ALLOCATOR);
    let events = run(pass, &stream);
    let change = region.change();
    assert!(events > 0, "{stream_name}, {pass}: no events");
    let per_thousand = |count: usize| (count as f64 * 10_000.0 / packets).round() / 10.0;
    Counts {
        allocations: per_thousand(change.allocations + change.reallocations),
        bytes: per_thousand(change.bytes_allocated),
    }
}

/// The one test of this program, as every allocation in the process counts.
#[test]
fn the_core_allocates_no_more_than_before_on_clean_streams() {
    let mut over = Vec::new();
    for stream in STREAMS {
        for pass in PASSES {
            let counts = measure(stream, pass);
            println!("(\"{stream}\", \"{pass}\", {counts:?}),");
            let base = BASE.iter().find(|(of, by, _)| of == stream && by == pass).map(|(.., base)| *base);
            let Some(base) = base else {
                over.push(format!("{stream}, {pass}: no base"));
                continue;
            };
            let is_over =
                counts.allocations > base.allocations * ALLOWED || counts.bytes > base.bytes * ALLOWED;
            if is_over {
                over.push(format!("{stream}, {pass}: got {counts:?}, expected at most 5 % above {base:?}"));
            }
        }
    }
    assert!(over.is_empty(), "for each 1,000 packets:\n{}", over.join("\n"));
}
