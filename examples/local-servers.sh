#!/usr/bin/env bash
# Servers of every kind on this machine, to try destinations with: an S3 store, a web server, FTP, SSH.
#
#   examples/local-servers.sh [DIR]
#
# DIR  where they keep their files and keys (default: target/local-servers). What they had there before is kept.
#
# It installs what is missing, writes DIR/live.toml, a channel that is put at each of them, and serves until Ctrl-C.
# Everything listens on 127.0.0.1 alone, and nothing of the system's own servers is touched.
set -euo pipefail

case ${1:-} in
-h | --help)
    sed -n '4,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit
    ;;
-*)
    echo "local-servers: unknown argument \"$1\"" >&2
    exit 2
    ;;
esac
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p -- "${1:-$root/target/local-servers}"
folder=$(cd -- "${1:-$root/target/local-servers}" && pwd)
"$root/tests/servers.sh" ssh ftp http s3
tools=${TEST_SERVERS:-$root/target/servers}
PATH=$PATH:/usr/sbin:/sbin

s3=8333 web=8081 ftp=2121 ssh=2222
for port in $s3 $web $ftp $ssh; do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
        echo "local-servers: something listens on port $port already; end it, and try again" >&2
        exit 1
    fi
done

running=()
finish() {
    trap - EXIT
    for pid in "${running[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait
}
trap finish EXIT
trap 'exit 0' INT TERM

# serve NAME PORT COMMAND...: starts a server in DIR/NAME and waits until it answers.
serve() {
    local name=$1 port=$2
    (cd -- "$folder/$name" && exec "${@:3}") >"$folder/$name.log" 2>&1 &
    running+=($!)
    for _ in {1..600}; do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return; fi
        kill -0 "${running[-1]}" 2>/dev/null || break
        sleep 0.1
    done
    echo "local-servers: $name does not start; see $folder/$name.log" >&2
    exit 1
}

cd -- "$folder"
mkdir -p s3 web/files web/temporary ftp/live ssh/live

cat >s3/s3.json <<'JSON'
{"identities": [
  {"name": "segcast", "credentials": [{"accessKey": "local", "secretKey": "local-secret"}],
   "actions": ["Admin", "Read", "Write", "List"]},
  {"name": "anonymous", "actions": ["Read:live"]}
]}
JSON
# The bucket comes with the first object. 8080, where volumes usually are, is where segcast itself serves.
serve s3 $s3 "$tools/python/bin/weed" server -ip=127.0.0.1 -ip.bind=127.0.0.1 -dir=. -s3 -s3.port=$s3 \
    -s3.config=s3.json -s3.autoCreateBucket=true -s3.port.iceberg=0 -s3.port.lance=0 -master.telemetry=false \
    -master.volumeSizeLimitMB=64 -volume.max=100 -volume.port=8334
cat >web/nginx.conf <<CONF
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path temporary/body;
    proxy_temp_path temporary/proxy;
    fastcgi_temp_path temporary/fastcgi;
    uwsgi_temp_path temporary/uwsgi;
    scgi_temp_path temporary/scgi;
    types { application/vnd.apple.mpegurl m3u8; video/mp2t ts; }
    client_max_body_size 0;
    add_header Access-Control-Allow-Origin *;
    server {
        listen 127.0.0.1:$web;
        location / { root files; dav_methods PUT DELETE MKCOL; }
        location /ftp/ { alias $folder/ftp/; }
        location /ssh/ { alias $folder/ssh/; }
    }
}
CONF
serve web $web nginx -e stderr -c nginx.conf -p "$folder/web"

serve ftp $ftp "$tools/python/bin/python" "$root/tests/destinations/ftp/server.py" \
    --port $ftp --root "$folder/ftp" --user deploy --password local-secret

for key in host_key id_ed25519; do
    [[ -f ssh/$key ]] || ssh-keygen -q -t ed25519 -N "" -f "ssh/$key"
done
cp ssh/id_ed25519.pub ssh/authorized_keys
echo "[127.0.0.1]:$ssh $(cut -d' ' -f1,2 ssh/host_key.pub)" >ssh/known_hosts
[[ $EUID -ne 0 ]] || mkdir -p /run/sshd
serve ssh $ssh "$(command -v sshd)" -D -e -f /dev/null -p $ssh -o ListenAddress=127.0.0.1 -h "$folder/ssh/host_key" \
    -o AuthorizedKeysFile="$folder/ssh/authorized_keys" -o StrictModes=no -o UsePAM=no -o PidFile=none \
    -o PermitRootLogin=prohibit-password -o Subsystem="sftp internal-sftp"

cat >live.toml <<TOML
[input]
url = "test"
args = ["-re"]

[output]
segment = "2s"

[[rendition]]
name = "360p"
video = { codec = "h264", size = "640x360", bitrate = "800k", preset = "veryfast" }
audio = { codec = "aac", bitrate = "96k" }

[[rendition]]
name = "180p"
video = { codec = "h264", size = "320x180", bitrate = "200k", preset = "veryfast" }
audio = { codec = "aac", bitrate = "64k" }

[[destination]]
url = "s3://live/show?endpoint=http://127.0.0.1:$s3"
access_key_id = "local"
secret_access_key = "local-secret"

[[destination]]
url = "http://127.0.0.1:$web/show"

[[destination]]
url = "ftp://deploy@127.0.0.1:$ftp/live"
password = "local-secret"

[[destination]]
url = "sftp://$(id -un)@127.0.0.1:$ssh$folder/ssh/live"
private_key = "$folder/ssh/id_ed25519"
known_hosts = "$folder/ssh/known_hosts"
TOML

segcast=segcast
command -v segcast >/dev/null || segcast="cargo run --release --quiet --manifest-path $root/Cargo.toml --"
cat <<TEXT

All of them are up; Ctrl-C ends them. In another terminal:

  $segcast destination check $folder/live.toml
  $segcast run $folder/live.toml

and the same stream plays from each:

  ffplay http://127.0.0.1:$s3/live/show/index.m3u8
  ffplay http://127.0.0.1:$web/show/index.m3u8
  ffplay http://127.0.0.1:$web/ftp/live/index.m3u8
  ffplay http://127.0.0.1:$web/ssh/live/index.m3u8
TEXT
wait
