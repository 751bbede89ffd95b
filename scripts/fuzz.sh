#!/bin/sh
# fuzz.sh SECONDS [NAME]: fuzzes one target of tests/fuzz, or each in turn, for so many seconds.
# What libFuzzer learns stays in build-fuzz/learned/NAME; an input that crashes is left in
# build-fuzz/crash/NAME, and belongs into tests/fuzz/corpus/NAME once it is understood.
set -eu
cd "$(dirname "$0")/.."

seconds=$1
names=${2:-$(ls tests/fuzz/corpus)}
export ASAN_OPTIONS=abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1
for name in $names; do
    scripts/configure.sh build-fuzz "tests/fuzz/fuzz_$name"
    learned=build-fuzz/learned/$name crash=build-fuzz/crash/$name
    mkdir -p "$learned" "$crash"
    echo "fuzz: $name for $seconds s"
    "build-fuzz/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
        -verbosity=0 -print_final_stats=1 -artifact_prefix="$crash/" "$learned" "tests/fuzz/corpus/$name"
done
