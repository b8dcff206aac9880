#!/usr/bin/env bash
# Whole processes side by side on one transport stream: segcast segment, cp, ffmpeg -c copy -f hls.
#
#   benches/compare.sh IN.ts [OUTDIR]      OUTDIR: where each writes and is cleaned up again; default /dev/shm
#   RUNS=5                                 rounds; they take turns within each, after one round that does not count
#   SEGCAST=path                           another binary than the release build
#
# Prints the medians: wall, user and system time, peak memory, ratios. Put IN.ts into tmpfs too, or a disk is measured.
set -euo pipefail

[[ $# -ge 1 && $# -le 2 && -f $1 ]] || {
    echo "usage: benches/compare.sh IN.ts [OUTDIR]" >&2
    exit 2
}
input=$(cd -- "$(dirname -- "$1")" && pwd)/$(basename -- "$1")
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=examples/need.sh
source "$root/examples/need.sh"
need ffmpeg command -v ffmpeg
need python3 command -v python3
need time test -x /usr/bin/time
install_missing

segcast=${SEGCAST:-${CARGO_TARGET_DIR:-$root/target}/release/segcast}
[[ -n ${SEGCAST:-} ]] || cargo build --release --quiet --manifest-path "$root/Cargo.toml"

out=$(mktemp -d -- "${2:-/dev/shm}/segcast-compare.XXXXXX")
trap 'rm -rf -- "$out"' EXIT

python3 - "$input" "$out" "$segcast" "${RUNS:-5}" <<'PYTHON'
import os, platform, shutil, statistics, subprocess, sys, time

source, out, segcast, runs = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
size_mb = os.path.getsize(source) / 1e6
hls = ["-f", "hls", "-hls_time", "6", "-hls_list_size", "0", "-hls_segment_filename", f"{out}/to/%05d.ts"]
commands = {
    "cp": ["cp", source, f"{out}/to/copy.ts"],
    "segcast, 6 s": [segcast, "segment", source, "--output", f"{out}/to", "--segment", "6s"],
    "segcast, 60 s": [segcast, "segment", source, "--output", f"{out}/to", "--segment", "60s"],
    "ffmpeg, 6 s": ["ffmpeg", "-v", "error", "-nostdin", "-i", source, "-c", "copy", *hls, f"{out}/to/index.m3u8"],
}


def run(name, command):
    """Wall, user and system seconds, peak MB. Wall and CPU from here, where the clock is finer; memory from GNU time,
    because a child of this process would count this process's own memory from before its exec."""
    shutil.rmtree(f"{out}/to", ignore_errors=True)
    os.mkdir(f"{out}/to")
    with open(f"{out}/stderr", "wb") as stderr:
        begun = time.perf_counter()
        child = subprocess.Popen(
            ["/usr/bin/time", "-f", "%M", "-o", f"{out}/peak", *command], stdout=subprocess.DEVNULL, stderr=stderr
        )
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - begun
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        with open(f"{out}/stderr", errors="replace") as stderr:
            sys.exit(f"{name} failed ({child.returncode}): {' '.join(command)}\n{stderr.read()}")
    with open(f"{out}/peak") as peak:
        return wall, usage.ru_utime, usage.ru_stime, int(peak.read()) * 1024 / 1e6


results = {name: [] for name in commands}
for i in range(runs + 1):
    for name, command in commands.items():
        result = run(name, command)
        if i:
            results[name].append(result)

medians = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in results.items()}
print(f"{source}: {size_mb:.0f} MB; medians of {runs} runs; {platform.machine()}, {os.cpu_count()} cores")
print(f"{'':14} {'wall s':>8} {'user s':>8} {'sys s':>8} {'peak MB':>8} {'MB/s':>8} {'wall/cp':>8} {'user/ffmpeg':>12}")
for name, (wall, user, system, peak) in medians.items():
    ratios = f"{wall / medians['cp'][0]:8.2f} {user / medians['ffmpeg, 6 s'][1]:12.3f}"
    print(f"{name:14} {wall:8.3f} {user:8.3f} {system:8.3f} {peak:8.1f} {size_mb / wall:8.0f} {ratios}")
PYTHON
