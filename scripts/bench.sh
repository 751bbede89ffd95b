#!/bin/sh
# bench.sh [NAME]: runs bench-NAME, or every bench in turn, from the release build.
set -eu
cd "$(dirname "$0")/.."

scripts/configure.sh build-release

# One that runs whole processes is a script, which is told the build folder.
run() {
    script=bench/bench_$(echo "$1" | tr - _).py
    if [ -e "$script" ]; then
        "$script" build-release
    else
        "build-release/bench/bench-$1"
    fi
}
if [ $# -gt 0 ]; then
    run "$1"
    exit
fi
for source in bench/bench_*.c bench/bench_*.py; do
    name=$(basename "${source%.*}")
    name=${name#bench_}
    echo "bench: $name"
    run "$name"
done
