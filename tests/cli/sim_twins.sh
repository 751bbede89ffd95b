#!/bin/sh
# sim_twins.sh SIM PLAIN: the two programs give the same hash for the same seeds, so the switches that
# SIM has and PLAIN has not change nothing while they are off; and PLAIN has no mutants.
set -eu

for profile in default disk members clock; do
    ours=$("$1" run --seeds 1..8 --profile "$profile" --hashes --jobs 1 2>/dev/null | grep -E '^[0-9]+ [0-9a-f]{16}$')
    plain=$("$2" run --seeds 1..8 --profile "$profile" --hashes --jobs 1 2>/dev/null | grep -E '^[0-9]+ [0-9a-f]{16}$')
    if [ "$ours" != "$plain" ]; then
        printf '%s: novacron-sim:\n%s\nnovacron-sim-plain:\n%s\n' "$profile" "$ours" "$plain"
        exit 1
    fi
    if [ "$(printf '%s\n' "$ours" | wc -l)" -ne 8 ]; then
        printf '%s: not 8 hashes:\n%s\n' "$profile" "$ours"
        exit 1
    fi
done
code=0
"$2" mutants --seeds-max 1 2>/dev/null || code=$?
if [ "$code" -ne 64 ]; then
    echo "novacron-sim-plain mutants ended with $code, and not with 64"
    exit 1
fi
