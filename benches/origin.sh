#!/usr/bin/env bash
# The origin beside nginx, with the same files in the same run: benches/origin.sh [SECONDS-EACH]
#
#   HELD=10000                         how many requests are held
#   SEGCAST=path BENCH=path            other programs than what cargo builds of src and of benches/origin.rs
#
# Requests per second by wrk, HTTP/1.1 with keep-alive, for a playlist, a part and a segment: nginx from a folder,
# `segcast serve` from the same folder, and a channel's origin from memory. Then how soon a part is fetched, and ten
# thousand held requests: by clients on the same cores, over HTTP/2, and by those that do not read yet.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
seconds=${1:-5}
threads=2 connections=64
for tool in nginx wrk curl; do
    command -v "$tool" >/dev/null || { echo "benches/origin.sh needs $tool: apt-get install $tool" >&2; exit 1; }
done
segcast=${SEGCAST:-} bench=${BENCH:-}
if [[ -z $segcast || -z $bench ]]; then
    built=$(cargo build --release --quiet --bin segcast --bench origin --message-format json |
        python3 -c "import json, sys
for line in map(json.loads, sys.stdin):
    if line.get('executable'): print(line['target']['name'], line['executable'])")
    segcast=$(awk '$1 == "segcast" {print $2}' <<<"$built" | tail -n 1)
    bench=$(awk '$1 == "origin" {print $2}' <<<"$built" | tail -n 1)
fi

work=$(mktemp -d)
started=()
end() {
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap end EXIT

mkdir "$work/live" "$work/nginx"
# A part of 333 ms and a segment of 4 s at 3 Mbit/s, some of each.
for n in 1 2 3 4 5; do
    head -c 125000 /dev/urandom >"$work/live/0000$n.ts"
    head -c 1500000 /dev/urandom >"$work/live/0001$n.ts"
done
# The memory numbers its segments from 1: 6 is the first of the large ones.
mkfifo "$work/stay"
exec 3<>"$work/stay"
"$bench" memory "$work/live" 127.0.0.1:0 <"$work/stay" >"$work/memory" &
started+=($!)
"$segcast" serve "$work/live" --listen 0 >"$work/serve" &
started+=($!)
until [[ -s $work/memory && -s $work/serve ]]; do sleep 0.05; done
memory=http://$(<"$work/memory")
serve=$(grep -o 'http://[^/]*' "$work/serve")
curl -sf "$memory/index.m3u8" >"$work/live/index.m3u8"

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$work/nginx/nginx.conf" <<CONF
daemon off;
worker_processes auto;
pid $work/nginx/pid;
error_log $work/nginx/error.log;
events { worker_connections 4096; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000000;
    open_file_cache max=100;
    types { application/vnd.apple.mpegurl m3u8; video/mp2t ts; }
    client_body_temp_path $work/nginx/temp; proxy_temp_path $work/nginx/temp; fastcgi_temp_path $work/nginx/temp;
    uwsgi_temp_path $work/nginx/temp; scgi_temp_path $work/nginx/temp;
    server { listen 127.0.0.1:$port; root $work/live; }
}
CONF
chmod 711 "$work"
nginx -c "$work/nginx/nginx.conf" 2>/dev/null &
started+=($!)
nginx=http://127.0.0.1:$port
until curl -sf "$nginx/index.m3u8" >/dev/null; do sleep 0.05; done

rate() {
    wrk -t "$threads" -c "$connections" -d "${seconds}s" "$1" | awk '/Requests\/sec/ {rate = $2} /Non-2xx/ {bad = 1} END {print bad ? "0" : rate}'
}
printf '%-10s %12s %18s %18s\n' "" nginx "segcast serve" "from memory"
for what in "playlist index.m3u8 index.m3u8" "part 00001.ts 00001.ts" "segment 00011.ts 00006.ts"; do
    read -r name file number <<<"$what"
    theirs=$(rate "$nginx/$file") folder=$(rate "$serve/$file") ours=$(rate "$memory/$number")
    awk -v name="$name" -v theirs="$theirs" -v folder="$folder" -v ours="$ours" 'BEGIN {
        printf "%-10s %10.0f/s %10.0f/s %4.2f× %10.0f/s %4.2f×\n", name, theirs, folder, folder / theirs, ours, ours / theirs
    }'
done
"$bench" fetched 200
"$bench" held "${HELD:-10000}"
"$bench" multiplexed "${HELD:-10000}"
"$bench" answered "${HELD:-10000}"
