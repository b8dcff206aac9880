#!/usr/bin/env bash
# Sets up and runs every test: tests/run.sh, from anywhere.
#
# What is missing is installed (ffmpeg, fonts, a C compiler, valgrind, faketime, cargo-fuzz, nightly Rust for it, and by
# tests/servers.sh the servers that tests put streams to). Every step runs even if one before it failed; the summary says which did, and the
# exit code is 1 then.
# FUZZ_SECONDS=N fuzzes every target of the core for N seconds (default 3; 0 leaves fuzzing out). FUZZ_ALL=yes fuzzes what
# reads configuration files and servers' answers as well: building that takes some minutes more.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
# shellcheck source=examples/need.sh
source examples/need.sh

fuzz_seconds=${FUZZ_SECONDS:-3}
# Neither backtraces nor colours make a log easier to read.
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never} CARGO_INCREMENTAL=${CARGO_INCREMENTAL:-0}
summary=()
failed=0
begun=$SECONDS

# step TITLE COMMAND...: runs it in a subshell where the first failing command ends it, and times it.
step() {
    local title=$1 start=$SECONDS status
    shift
    printf '\n=== %s\n' "$title"
    set +e
    (
        set -e
        "$@"
    )
    status=$?
    set -e
    if [[ $status -eq 0 ]]; then
        summary+=("$(printf 'ok      %4d s  %s' $((SECONDS - start)) "$title")")
    else
        summary+=("$(printf 'FAILED  %4d s  %s' $((SECONDS - start)) "$title")")
        failed=1
    fi
    printf -- '--- %s: %s\n' "$title" "${summary[-1]}"
}

prerequisites() {
    need ffmpeg command -v ffprobe
    need python3 command -v python3
    need fonts-dejavu-core has_dejavu
    need build-essential command -v c++
    [[ $(uname) != Linux ]] || need valgrind command -v valgrind
    [[ $(uname) != Linux ]] || need faketime command -v faketime
    install_missing
    need_cargo
    cargo fmt --version 2>/dev/null || rustup component add rustfmt
    cargo clippy --version 2>/dev/null || rustup component add clippy
    cargo --version
    ffmpeg -version | head -n 1
    [[ $fuzz_seconds -eq 0 ]] || fuzz_prerequisites
}

fuzz_prerequisites() {
    if ! cargo +nightly --version 2>/dev/null; then
        rustup toolchain install nightly --profile minimal || {
            echo "fuzzing needs nightly Rust, and it could not be installed. Try" >&2
            echo "    rustup toolchain install nightly --profile minimal" >&2
            echo "or leave fuzzing out: FUZZ_SECONDS=0 tests/run.sh" >&2
            return 1
        }
    fi
    cargo fuzz --version 2>/dev/null || cargo install cargo-fuzz --locked
}

formatting() {
    cargo fmt --check
    cargo fmt --check --manifest-path fuzz/Cargo.toml
}

scripts() {
    local files=(.ci/run examples/*.sh tests/*.sh benches/*.sh testdata/*.sh) file
    for file in "${files[@]}"; do bash -n "$file"; done
    if command -v shellcheck >/dev/null; then shellcheck -x -e SC2317 "${files[@]}"; fi
}

core_without_tokio() {
    local tree
    tree=$(cargo tree --no-default-features -e normal --prefix none)
    echo "$tree"
    if grep -q '^tokio' <<<"$tree"; then
        echo "the core must not depend on tokio: cargo tree --no-default-features -e normal -i tokio" >&2
        return 1
    fi
}

# Those of the destinations wait for servers and slow networks most of the time: more of them run at once.
tests() {
    local file targets=() status=0
    for file in tests/*.rs tests/*/main.rs; do
        file=${file#tests/} file=${file%/main.rs} file=${file%.rs}
        [[ $file == destinations ]] || targets+=(--test "$file")
    done
    cargo test --quiet --no-fail-fast --lib --bins "${targets[@]}" || status=1
    cargo test --quiet --no-fail-fast --test destinations -- --test-threads 8 || status=1
    cargo test --quiet --doc || status=1
    return "$status"
}

documentation() {
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet --no-default-features
}

# seeds TARGET: the folders of test data that a fuzz target begins with, its own crashes among them.
seeds() {
    case $1 in
        demuxer | segmenter | cmaf) echo testdata/media ;;
        codec | pes) echo testdata/codec ;;
        playlist) echo testdata/playlist ;;
        config) echo testdata/config ;;
        answers) echo testdata/answers ;;
    esac
    if [[ -d testdata/crash/$1 ]]; then echo "testdata/crash/$1"; fi
}

# fuzz TARGET: without the address sanitizer. There is no unsafe code here to find by it, and every run is faster.
fuzz() {
    local target=$1 corpus=fuzz/corpus/$1 seeds
    mkdir -p "$corpus"
    mapfile -t seeds < <(seeds "$target")
    cargo +nightly fuzz run --sanitizer none --fuzz-dir fuzz "${fuzz_features[@]}" "$target" "$corpus" "${seeds[@]}" -- \
        -max_total_time="$fuzz_seconds" -max_len=4096 -timeout=10 -rss_limit_mb=1024 \
        -print_final_stats=1 2>&1 | grep -vE '^#|NEW_FUNC|DE: |# Uses: |dictionary\. ######'
}

step "what the tests need" prerequisites
[[ $failed -eq 0 ]] || exit 1
step "formatting" formatting
step "scripts" scripts
step "clippy" cargo clippy --quiet --all-targets -- -D warnings
step "clippy, core alone" cargo clippy --quiet --all-targets --no-default-features -- -D warnings
step "no tokio in the core" core_without_tokio
step "documentation" documentation
step "test media" testdata/make.sh
step "servers of the tests" tests/servers.sh
step "tests" tests
step "instructions" benches/instructions.sh
if [[ $fuzz_seconds -gt 0 ]]; then
    fuzz_features=()
    [[ ${FUZZ_ALL:-} != yes ]] || fuzz_features=(--features cli)
    for target in $(cargo fuzz list --fuzz-dir fuzz); do
        [[ ${FUZZ_ALL:-} == yes || " config answers " != *" $target "* ]] || continue
        step "fuzz: $target" fuzz "$target"
    done
fi

printf '\n=== summary, after %d s\n' $((SECONDS - begun))
printf '%s\n' "${summary[@]}"
exit "$failed"
