#!/bin/sh
# Checks that this machine can build and test the project, and names the command for every tool that is missing.
# As root on a Debian system it installs what the system's packages can supply. It never asks anything.
#
#   preflight.sh            check everything
#   preflight.sh --python   print the Python interpreter to make the virtual environment with
set -u

PATH="$PATH:$HOME/.cargo/bin"
MIN_JAVA=17
MIN_RUST=85 # 1.85, as ext/Cargo.toml says

have() { command -v "$1" >/dev/null 2>&1; }

# Including venv's pip and the C headers, which Debian packages apart from the interpreter.
usable_python() {
    have "$1" && "$1" - >/dev/null 2>&1 <<'PYTHON'
import ensurepip, pathlib, sys, sysconfig, venv
sys.exit(sys.version_info < (3, 11) or not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())
PYTHON
}

find_python() {
    for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if usable_python "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

usable_java() {
    java="${JAVA_HOME:+$JAVA_HOME/bin/}java"
    have "$java" || return 1
    # 'openjdk version "17.0.9" ...', 'java version "1.8.0_392"'
    major=$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)
    [ "${major:-0}" -ge "$MIN_JAVA" ]
}

usable_rust() {
    have cargo && have rustc || return 1
    minor=$(rustc --version | sed -n 's/^rustc 1\.\([0-9]*\)\..*/\1/p')
    [ "${minor:-0}" -ge "$MIN_RUST" ]
}

# The tests of the live page look at it with one.
have_browser() { have chromium || have chromium-browser || have google-chrome; }

java_package() {
    if apt-cache show openjdk-17-jre-headless >/dev/null 2>&1; then
        echo openjdk-17-jre-headless
    else
        echo openjdk-21-jre-headless
    fi
}

# The Debian packages of what is missing, empty when nothing is.
missing_packages() {
    find_python >/dev/null || echo python3 python3-venv python3-dev
    have cc || echo gcc libc6-dev
    have make || echo make
    usable_java || java_package
    have mvn || echo maven
    have_browser || echo chromium
}

if [ "${1:-}" = --python ]; then
    find_python
    exit
fi

packages=$(missing_packages | tr '\n' ' ')
if [ -n "$packages" ] && [ "$(id -u)" = 0 ] && have apt-get; then
    echo "preflight: installing $packages" >&2
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends $packages; } </dev/null >&2
fi

failed=0
need() {
    echo "preflight: missing: $1" >&2
    echo "           install: $2" >&2
    failed=1
}
apt() { echo "apt-get install $*   (or your system's equivalent)"; }

find_python >/dev/null || need "Python 3.11 or newer with venv and headers" "$(apt python3 python3-venv python3-dev)"
have cc || need "a C compiler" "$(apt gcc libc6-dev)"
usable_java || need "Java $MIN_JAVA or newer (Kafka's brokers run on it)" "$(apt openjdk-17-jre-headless)"
have mvn || need "Maven (it fetches Kafka)" "$(apt maven)"
have_browser || need "Chromium (it shows the live page to its tests)" "$(apt chromium)"
usable_rust || need "Rust 1.$MIN_RUST or newer" "https://rustup.rs: curl -sSf https://sh.rustup.rs | sh -s -- -y"
if usable_rust; then
    cargo fmt --version >/dev/null 2>&1 || need rustfmt "rustup component add rustfmt"
    cargo clippy --version >/dev/null 2>&1 || need clippy "rustup component add clippy"
fi
exit "$failed"
