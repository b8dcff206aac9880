#!/usr/bin/env bash
# Counts the core's instructions for each transport packet on clean streams (callgrind), and fails where a count is more
# than 5 % above its base in benches/instructions.base:
#
#   benches/instructions.sh            prints stream, pass, instructions a packet, base
#   benches/instructions.sh --write    writes the counts to benches/instructions.base
#
# The passes and streams are those of tests/support/workload.rs. Counts of a compiler other than the one named in
# the base file are printed, but not compared: it may choose other instructions. Without valgrind it says so and ends
# with status 0. CARGO=path is another cargo.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
base=$root/benches/instructions.base
allowed=1.05

command -v valgrind >/dev/null || {
    echo "skipped: valgrind is missing (apt-get install valgrind)"
    exit 0
}
target=${CARGO_TARGET_DIR:-$root/target}/instructions
"${CARGO:-cargo}" build --release --quiet --manifest-path "$root/benches/instructions/Cargo.toml" --target-dir "$target"
program=$target/release/segcast-instructions
compiler=$(rustc --version)
log=$(mktemp)
trap 'rm -f -- "$log"' EXIT

# count STREAM PASS ROUNDS: instructions of the whole process.
count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$@" 2>"$log" >/dev/null || {
        cat "$log" >&2
        return 1
    }
    sed -n 's/^.*Collected : *//p' "$log"
}

# per_packet STREAM PASS: of four rounds alone. The start of the process and the making of the stream are in both counts;
# in the first rounds the heap grows, which costs copies that later ones do not need.
per_packet() {
    local few more packets
    few=$(count "$1" "$2" 2)
    more=$(count "$1" "$2" 6)
    packets=$("$program" "$1" "$2" 1)
    awk -v a="$few" -v b="$more" -v n="$packets" 'BEGIN { printf "%.2f", (b - a) / n / 4 }'
}

counted=
for stream in large small; do
    for pass in parse segment segment-parts cmaf cmaf-parts cmaf-muxed; do
        counted+="$stream $pass $(per_packet "$stream" "$pass")"$'\n'
    done
done

if [[ ${1:-} == --write ]]; then
    printf '# %s\n%s' "$compiler" "$counted" >"$base"
    cat "$base"
    exit 0
fi

same=no
[[ $(head -n 1 "$base") != "# $compiler" ]] || same=yes
[[ $same == yes ]] || echo "not compared: the base is of $(head -n 1 "$base" | cut -c3-), this is $compiler"
awk -v same="$same" -v allowed="$allowed" '
    NR == FNR { if ($1 != "#") base[$1 " " $2] = $3; next }
    NF == 3 {
        limit = base[$1 " " $2] * allowed
        is_over = same == "yes" && $3 > limit
        over += is_over
        printf "%-6s %-14s %9.2f  base %9.2f  %+6.1f %%%s\n", $1, $2, $3, base[$1 " " $2],
            ($3 / base[$1 " " $2] - 1) * 100, is_over ? "  MORE THAN 5 % ABOVE" : ""
    }
    END { exit over > 0 }
' "$base" <(printf '%s' "$counted")
