#!/usr/bin/env bash
# What a black-holed destination costs four others: benches/isolation.sh [http|ftp|sftp|s3], from anywhere.
#
# The release binary puts one channel to five kinds of servers on loopback, for SEGCAST_ISOLATION_SECONDS (60) with all
# well and as long with one black-holed, SEGCAST_ISOLATION_CYCLES times (1). Prints publish latencies, peak memory, and
# whether the one that was healed has caught up. Run it on a machine with nothing else to do.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
tests/servers.sh
export SEGCAST_BLACK_HOLE=${1:-http}
cargo build --release --bin segcast
export SEGCAST_BINARY=${CARGO_TARGET_DIR:-target}/release/segcast
exec cargo test --test destinations -- --ignored --exact --nocapture \
    channel::isolation::one_black_hole_costs_the_others_nothing
