//! Runs one pass of the core over one clean stream so many times: `segcast-instructions STREAM PASS ROUNDS`. Prints
//! the number of transport packets of a round. `benches/instructions.sh` runs it under callgrind.

#![allow(missing_docs)]

#[path = "../../../tests/support/synth.rs"]
mod synth;
#[path = "../../../tests/support/workload.rs"]
mod workload;

use workload::{run, stream};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, pass, rounds] = arguments.as_slice() else {
        eprintln!("usage: segcast-instructions STREAM PASS ROUNDS");
        std::process::exit(2);
    };
    let rounds: usize = rounds.parse().expect("ROUNDS is a number");
    let stream = stream(name);
    for _ in 0..rounds {
        assert!(run(pass, &stream) > 0, "no events");
    }
    println!("{}", stream.len() / 188);
}
