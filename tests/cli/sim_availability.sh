#!/bin/sh
# sim_availability.sh PROGRAM: what `novacron-sim availability` makes of its model and its command
# line, by its exit status, and that its JSON is JSON.
set -u
program=$1
failed=0
model=$(mktemp)
trap 'rm -f "$model"' EXIT

# expect STATUS ARGUMENT...
expect() {
    status=$1
    shift
    "$program" availability "$@" >/dev/null 2>&1
    got=$?
    if [ "$got" -eq "$status" ]; then
        echo "ok - availability $*"
    else
        echo "not ok - availability $*: exit status $got, not $status"
        failed=1
    fi
}

expect 0 --seeds 1
expect 1 --seeds 1 --goal 0.99999999
expect 1 --seeds 1 --set storage_mtbf_h=8766
expect 64 --set storage_mtbf=8766
expect 64 --set storage_mtbf_h=often
expect 64 --set storage_mtbf_h=
expect 64 --set hosts=2
expect 64 --goal 1.5
expect 64 --seeds 0
expect 2 --model "$model.none"
printf 'storage_mtbf_h: 8766 # a year\n\n# nothing else\n' >"$model"
expect 1 --seeds 1 --model "$model"
expect 0 --seeds 1 --model "$model" --set storage_mtbf_h=0
printf 'storage_mtbf_h 8766\n' >"$model"
expect 64 --seeds 1 --model "$model"

if "$program" availability --seeds 1 --json | python3 -c '
import json, sys
rows = [json.loads(line) for line in sys.stdin]
total = sum(row["minutes"] for row in rows if "cause" in row)
sys.exit(abs(total - rows[-1]["minutes"]) > 1e-4)'; then
    echo "ok - the JSON is JSON, and its causes are the whole"
else
    echo "not ok - the JSON is none, or does not add up"
    failed=1
fi
exit $failed
