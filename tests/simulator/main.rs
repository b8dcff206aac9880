//! Damaged streams, made from a seed, and what must hold of the core's output for each of them.
//!
//! A model of a clean stream (`model`: H.264 or HEVC with B-frames, several slices, up to two audio tracks; every frame
//! names itself) gets a list of faults (`fault`), becomes a transport stream (`mux`) and goes through the core (`drive`) as
//! transport stream and CMAF, with and without parts. Readers of our own (`read_ts`, `read_mp4`) find the frames in the
//! output, and `check` compares them with the model. A failure names the seed and the fewest faults that show it.
//!
//! ```sh
//! cargo test --test simulator                                # 500 seeds and the named regressions
//! SIMULATOR_SEEDS=10000 cargo test --test simulator seeds    # more of them, the first ones the same
//! SIMULATOR_SEED=17 cargo test --test simulator seeds        # one, with all that does not hold
//! SIMULATOR_ALL=1 …                                          # with what `NOT_YET` excludes
//! SIMULATOR_FAULTS=1 …                                       # only streams with so many faults at most
//! SIMULATOR_PRINTED=100 …                                    # so many failures in full; the others are counted
//! ```

#![allow(missing_docs, clippy::unwrap_used)]

mod bitstream;
mod case;
mod check;
mod drive;
mod fault;
mod minimise;
mod model;
mod mux;
mod output;
mod read_mp4;
mod read_ts;
mod regressions;
mod rng;

#[path = "../support/boxes.rs"]
mod boxes;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use case::Input;
use minimise::minimised;
use output::{Rule, Violation};

const SEEDS: u64 = 500;
/// Failures that are made smaller and printed; the others are counted.
const PRINTED: usize = 12;

/// What the core does not do yet: a fault (`clean` is any stream), and the rules that it breaks. To get shorter.
const NOT_YET: &[(&str, &[Rule])] = &[
    ("audio gap", &[Rule::Duration, Rule::Empty, Rule::Parts, Rule::Short, Rule::Timestamps]),
    ("audio jump", &[Rule::Frames, Rule::Parts, Rule::Short]),
    ("audio late", &[Rule::Short]),
    ("audio shift", &[Rule::Short]),
    // An audio frame that lies across the PMT's change, and frames of two codecs in one PES packet.
    ("codec", &[Rule::Empty, Rule::Frames, Rule::Parts]),
    ("gap", &[Rule::Duration, Rule::Empty, Rule::Frames, Rule::Parts, Rule::Shape, Rule::Timestamps]),
    ("ghost", &[Rule::Short]),
    ("jitter", &[Rule::Parts]),
    ("jump", &[Rule::Duration, Rule::Frames, Rule::Held, Rule::Parts, Rule::Shape, Rule::Short]),
    ("late tables", &[Rule::Parts, Rule::Short]),
    ("loop", &[Rule::Duration, Rule::Frames, Rule::Short, Rule::Timestamps]),
    ("loss", &[Rule::Duration, Rule::Frames, Rule::Parts, Rule::Short, Rule::Timestamps]),
    ("no tables", &[Rule::Empty, Rule::Frames, Rule::Keyframe, Rule::Parts, Rule::Short]),
    ("seam", &[Rule::Frames, Rule::Keyframe, Rule::Parts, Rule::Shape, Rule::Short, Rule::Timestamps]),
    // Times of frames that have none of their own are estimated, without the order in which frames are presented.
    (
        "several",
        &[
            Rule::Duration,
            Rule::Frames,
            Rule::Grid,
            Rule::Parts,
            Rule::Shape,
            Rule::Short,
            Rule::Sync,
            Rule::Timestamps,
        ],
    ),
    ("tails", &[Rule::Shape, Rule::Short]),
    // An audio frame that lies across a segment that a change of resolution begins.
    ("unaligned", &[Rule::Aligned, Rule::Duration, Rule::Frames, Rule::Parts, Rule::Short, Rule::Timestamps]),
    ("video absent", &[Rule::Held, Rule::Parts, Rule::Timestamps]),
    ("video gap", &[Rule::Discontinuity, Rule::Duration, Rule::Frames, Rule::Keyframe, Rule::Parts]),
    ("video jump", &[Rule::Duration, Rule::Frames, Rule::Parts]),
    ("video stops", &[Rule::Duration, Rule::Empty, Rule::Frames, Rule::Held, Rule::Parts]),
    ("wrap", &[Rule::Short]),
];

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

/// The violations of an input that count.
fn failures(input: &Input) -> Vec<Violation> {
    let mut violations = input.violations();
    if setting("SIMULATOR_ALL").is_none() {
        violations.retain(|violation| {
            let is_excluded = |(kind, rules): &(&str, &[Rule])| {
                let has = *kind == "clean" || input.faults.iter().any(|fault| fault.kind() == *kind);
                rules.contains(&violation.rule) && has
            };
            !NOT_YET.iter().any(is_excluded)
        });
    }
    violations
}

fn describe(input: &Input, violations: &[Violation]) -> String {
    let texts: Vec<_> =
        violations.iter().map(|violation| format!("  {:?}: {}", violation.rule, violation.text)).collect();
    format!("seed {}, faults {:?}\n{}", input.model.seed, input.faults, texts.join("\n"))
}

#[test]
fn seeds() {
    // A panic of the core is a violation like others; its backtrace is of no use among hundreds of seeds.
    std::panic::set_hook(Box::new(|_| {}));
    let one = setting("SIMULATOR_SEED");
    let (from, until) = one.map_or((0, setting("SIMULATOR_SEEDS").unwrap_or(SEEDS)), |seed| (seed, seed + 1));
    let next = AtomicU64::new(from);
    let failed = Mutex::new(Vec::new());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= until {
                break;
            }
            let input = Input::draw(seed);
            if setting("SIMULATOR_FAULTS").is_some_and(|most| input.faults.len() as u64 > most) {
                continue;
            }
            let violations = failures(&input);
            if !violations.is_empty() {
                failed.lock().unwrap().push((input, violations));
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let _ = std::panic::take_hook();

    let mut failed = failed.into_inner().unwrap();
    failed.sort_by_key(|(input, _)| input.model.seed);
    if failed.is_empty() {
        return;
    }
    let count = failed.len();
    let mut printed = Vec::new();
    let mut known = std::collections::HashSet::new();
    // One of each kind.
    let is_new = |(input, violations): &&(Input, Vec<Violation>)| {
        let kinds: Vec<_> = input.faults.iter().map(|fault| fault.kind()).collect();
        let mut is_new = false;
        for violation in violations {
            is_new |= known.insert((violation.rule, kinds.clone()));
        }
        is_new
    };
    for (input, violations) in
        failed.iter().filter(is_new).take(setting("SIMULATOR_PRINTED").map_or(PRINTED, |most| most as usize))
    {
        if one.is_some() {
            printed.push(format!("{:#?}\n{}", input.model, describe(input, violations)));
        }
        let (fewer, violations) = minimised(input, violations[0].rule);
        printed.push(describe(&fewer, &violations));
    }
    panic!("{count} of {} seeds\n{}\n\n{}", until - from, summary(&failed), printed.join("\n\n"));
}

/// How often each rule was broken with which faults.
fn summary(failed: &[(Input, Vec<Violation>)]) -> String {
    let mut counts: BTreeMap<(Rule, String), Vec<u64>> = BTreeMap::new();
    for (input, violations) in failed {
        let mut kinds: Vec<_> = input.faults.iter().map(|fault| fault.kind()).collect();
        kinds.sort_unstable();
        let mut rules: Vec<_> = violations.iter().map(|violation| violation.rule).collect();
        rules.sort_unstable();
        rules.dedup();
        for rule in rules {
            counts.entry((rule, kinds.join(" + "))).or_default().push(input.model.seed);
        }
    }
    let line = |((rule, kinds), seeds): (&(Rule, String), &Vec<u64>)| {
        format!(
            "{rule:?} with {}: {} times, such as seed {}",
            if kinds.is_empty() { "no fault" } else { kinds },
            seeds.len(),
            seeds[0]
        )
    };
    counts.iter().map(line).collect::<Vec<_>>().join("\n")
}
