#!/bin/sh
# bench.sh [NAME]: runs bench-NAME, or every bench in turn, from the release build.
set -eu
cd "$(dirname "$0")/.."

scripts/configure.sh build-release
if [ $# -gt 0 ]; then
    exec "build-release/bench/bench-$1"
fi
for source in bench/bench_*.c; do
    name=$(basename "$source" .c)
    name=${name#bench_}
    echo "bench: $name"
    "build-release/bench/bench-$name"
done
