# Sourced, not run: finds what is missing on this machine and installs it where apt-get does that.
# shellcheck shell=bash

[[ -d ${CARGO_HOME:-$HOME/.cargo}/bin ]] && PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin

missing=()

# need PACKAGE TEST...: notes the Debian package if the test fails.
need() {
    "${@:2}" >/dev/null 2>&1 || missing+=("$1")
}

has_dejavu() {
    local folders=(/usr/share/fonts /usr/local/share/fonts "$HOME/.fonts" "$HOME/.local/share/fonts"
        "$HOME/Library/Fonts" /Library/Fonts)
    # Most of these are not there, which find counts as a failure.
    [[ -n $(find "${folders[@]}" -name DejaVuSans.ttf -print -quit 2>/dev/null || true) ]]
}

need_cargo() {
    command -v cargo >/dev/null && return
    echo "cargo is missing. Rust's own installer, from https://rustup.rs, sets it up:" >&2
    echo "    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh" >&2
    exit 1
}

# Installs the packages noted by `need`; where there is no apt-get, prints the command that does and ends.
install_missing() {
    [[ ${#missing[@]} -gt 0 ]] || return 0
    local as_root=()
    [[ $EUID -eq 0 ]] || as_root=(sudo)
    if command -v apt-get >/dev/null; then
        echo "installing: ${missing[*]}"
        "${as_root[@]}" apt-get update -qq
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
        missing=()
        return
    fi
    echo "Something is missing here. Please run this, then try again:" >&2
    echo "    $(install_command)" >&2
    exit 1
}

# The command of the package manager at hand, with its own names for Debian's packages.
install_command() {
    local names=" ${missing[*]} "
    if command -v dnf >/dev/null; then
        # Fedora's own ffmpeg-free has no x264; the one of RPM Fusion has.
        names=${names/ build-essential / gcc gcc-c++ make }
        names=${names/ fonts-dejavu-core / dejavu-sans-fonts }
        if [[ $names == *" ffmpeg "* ]]; then
            printf '%s && ' "sudo dnf install https://mirrors.rpmfusion.org/free/fedora/rpmfusion-free-release-\$(rpm -E %fedora).noarch.rpm"
        fi
        echo "sudo dnf install$names"
    elif command -v pacman >/dev/null; then
        names=${names/ build-essential / base-devel }
        names=${names/ fonts-dejavu-core / ttf-dejavu }
        echo "sudo pacman -S --needed${names/ python3 / python }"
    elif command -v apk >/dev/null; then
        names=${names/ build-essential / build-base }
        echo "sudo apk add${names/ fonts-dejavu-core / ttf-dejavu }"
    elif command -v zypper >/dev/null; then
        names=${names/ build-essential / gcc gcc-c++ make }
        echo "sudo zypper install${names/ fonts-dejavu-core / dejavu-fonts }"
    elif command -v brew >/dev/null; then
        [[ $names == *" build-essential "* ]] && printf 'xcode-select --install; '
        names=${names/ build-essential / }
        [[ $names == *" fonts-dejavu-core "* ]] && printf 'brew install --cask font-dejavu; '
        echo "brew install${names/ fonts-dejavu-core / }"
    else
        echo "(your system's package manager) install${names% }"
    fi
}
