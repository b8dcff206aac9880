//! A counted guard of the core's speed on clean streams: allocations, and bytes allocated, for every 1,000 transport
//! packets. A time is noisy on a busy machine; a count is the same in every run.
//!
//! `benches/instructions.sh` counts instructions in the same passes. Both fail where a count exceeds its base by more than
//! 5 %. Handling streams with faults took 14 % more instructions to parse and up to 23 % more to segment than before; CMAF
//! takes 10 % less on large frames and 10 % more on small ones. The base has that in it. `cargo test --test speed -- --nocapture` prints the
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
    ("large", "parse", Counts { allocations: 20.0, bytes: 2456.4 }),
    ("large", "segment", Counts { allocations: 21.8, bytes: 4019.1 }),
    ("large", "segment-parts", Counts { allocations: 39.0, bytes: 11751.1 }),
    ("large", "cmaf", Counts { allocations: 34.6, bytes: 220884.3 }),
    ("large", "cmaf-parts", Counts { allocations: 67.9, bytes: 255236.3 }),
    ("large", "cmaf-muxed", Counts { allocations: 33.1, bytes: 220753.8 }),
    ("small", "parse", Counts { allocations: 143.5, bytes: 11003.7 }),
    ("small", "segment", Counts { allocations: 153.7, bytes: 14265.0 }),
    ("small", "segment-parts", Counts { allocations: 301.9, bytes: 56599.2 }),
    ("small", "cmaf", Counts { allocations: 265.2, bytes: 225423.4 }),
    ("small", "cmaf-parts", Counts { allocations: 618.3, bytes: 306106.1 }),
    ("small", "cmaf-muxed", Counts { allocations: 248.5, bytes: 224200.2 }),
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
