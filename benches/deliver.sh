#!/usr/bin/env bash
# How fast each kind of destination takes files, beside ordinary clients that do the same transfers.
#
#   benches/deliver.sh [KIND...]       copy http s3 ftp sftp scp; all without one
#   RUNS=5                             rounds; all take turns within each, after one round that does not count
#   BENCH=path                         another program than what cargo builds of benches/deliver.rs
#
# Servers are started on loopback, over a folder in /dev/shm, and stopped at the end. Prints the medians.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
# shellcheck source=examples/need.sh
source examples/need.sh

need curl command -v curl
need openssh-client command -v sftp
need python3 command -v python3
install_missing
tests/servers.sh

python=${TEST_SERVERS:-target/servers}/python
export PATH=$PWD/$python/bin:$python/bin:$PATH:/usr/sbin
python3 -c "import boto3" 2>/dev/null || "$python/bin/pip" install --quiet --disable-pip-version-check boto3

program=${BENCH:-}
if [[ -z $program ]]; then
    program=$(cargo build --release --quiet --bench deliver --message-format json |
        python3 -c "import json, sys
for line in map(json.loads, sys.stdin):
    if line.get('target', {}).get('name') == 'deliver': print(line.get('executable') or '')" | tail -n 1)
fi
exec python3 benches/deliver.py "$program" "${RUNS:-5}" "$@"
