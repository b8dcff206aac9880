#!/usr/bin/env bash
# Makes a large transport stream quickly, for compare.sh: 20 s are encoded, then repeated with timestamps going on.
#
#   benches/make-big.sh OUT [SIZE_MB]      default: 770; best put in tmpfs, such as /dev/shm
set -euo pipefail

[[ $# -ge 1 && $# -le 2 && ${2:-770} =~ ^[1-9][0-9]*$ ]] || {
    echo "usage: benches/make-big.sh OUT [SIZE_MB]" >&2
    exit 2
}
out=$1
size_mb=${2:-770}

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
quiet=(ffmpeg -hide_banner -nostdin -loglevel error -y)

# Noise, so that the bits are pictures' bits and not filler. About 8 Mbit/s.
"${quiet[@]}" -f lavfi -i "testsrc2=size=1280x720:rate=25,noise=alls=16:allf=t" \
    -f lavfi -i "sine=frequency=440:sample_rate=48000" -t 20 -pix_fmt yuv420p \
    -c:v libx264 -preset ultrafast -bf 2 -g 50 -keyint_min 50 -sc_threshold 0 -b:v 8M -maxrate 8M -bufsize 8M \
    -c:a aac -b:a 128k -f nut "$work/20s.nut"
"${quiet[@]}" -stream_loop -1 -i "$work/20s.nut" -map 0 -c copy -fs "$((size_mb * 1000000))" -f mpegts "$out"
ls -l -- "$out"
