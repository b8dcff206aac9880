#!/usr/bin/env bash
# What a black-holed destination costs four others: benches/isolation.sh [http|ftp|sftp|s3], from anywhere.
#
# The release binary puts a channel to five kinds of servers on loopback: with that destination left out, with it, and
# with it black-holed, one after the other in an order that moves on, TEST_ISOLATION_CYCLES times (3), measured for
# TEST_ISOLATION_SECONDS (15) each: five minutes in all. Prints the medians of publish latencies, their ratios within
# each cycle, and peak memory; it fails if the one that was healed does not catch up. Run it on a machine with nothing
# else to do.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
tests/servers.sh
export TEST_BLACK_HOLE=${1:-http}
cargo build --release --bin segcast
export TEST_BINARY=${CARGO_TARGET_DIR:-target}/release/segcast
exec cargo test --test destinations -- --ignored --exact --nocapture \
    channel::isolation::one_black_hole_costs_the_others_nothing
