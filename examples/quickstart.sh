#!/usr/bin/env bash
# From nothing to a live stream: installs what is missing, builds segcast, runs examples/quickstart.toml.
#
#   examples/quickstart.sh [--seconds N] [--output DIR] [--listen ADDR]
#
# --seconds N    stops by itself after N seconds; else Ctrl-C stops it
# --output DIR   where the stream is put too (default: live, beside the sources)
# --listen ADDR  where it is served (default: 127.0.0.1:8080)
set -euo pipefail

usage() {
    sed -n '4,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}
fail() {
    echo "quickstart: $1" >&2
    usage >&2
    exit 2
}

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
seconds=
output=$root/live
listen=127.0.0.1:8080
while [[ $# -gt 0 ]]; do
    case $1 in
    --seconds | --output | --listen) [[ $# -ge 2 ]] || fail "$1 wants a value" ;;&
    --seconds)
        [[ $2 =~ ^[1-9][0-9]*$ ]] || fail "--seconds wants a whole number from 1 on, not \"$2\""
        seconds=$2
        shift 2
        ;;
    --output)
        mkdir -p -- "$2"
        output=$(cd -- "$2" && pwd)
        shift 2
        ;;
    --listen)
        listen=$2
        [[ $listen == *:* ]] || listen=127.0.0.1:$listen
        shift 2
        ;;
    -h | --help)
        usage
        exit
        ;;
    *) fail "unknown argument \"$1\"" ;;
    esac
done

cd -- "$root"
# shellcheck source=examples/need.sh
source examples/need.sh
need ffmpeg command -v ffmpeg
need fonts-dejavu-core has_dejavu
need build-essential command -v cc
install_missing
need_cargo

target=${CARGO_TARGET_DIR:-$root/target}
segcast=$target/release/segcast
[[ -x $segcast ]] || echo "building segcast; the first time takes a few minutes"
cargo build --release

cat <<TEXT

A live stream in three renditions, with low latency; its segments are put into $output too.
${seconds:+It stops by itself after $seconds seconds. }Ctrl-C stops it. Once it is on air, in a few seconds, open

    http://$listen/

or give http://$listen/index.m3u8 to ffplay, VLC or any other player.

TEXT

run=("$segcast" run examples/quickstart.toml --output "$output" --listen "$listen")
[[ -n $seconds ]] || exec "${run[@]}"

# Process groups of their own, so that one Ctrl-C is one signal to segcast: ours, passed on.
set -m
"${run[@]}" </dev/null &
pid=$!
(
    sleep "$seconds"
    kill -INT "$pid"
) &
timer=$!
set +m
pass_on() {
    is_interrupted=yes
    kill "-$1" "$pid" 2>/dev/null || true
}
trap 'pass_on INT' INT
trap 'pass_on TERM' TERM

# A signal ends `wait`, not segcast: then wait again.
is_interrupted=yes
while [[ $is_interrupted == yes ]]; do
    is_interrupted=no
    status=0
    wait "$pid" || status=$?
done
kill -- "-$timer" 2>/dev/null || true
exit "$status"
