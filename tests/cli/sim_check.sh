#!/bin/sh
# sim_check.sh PROGRAM HISTORIES: what `novacron-sim check` says of the histories that are the seeds
# of tests/fuzz/fuzz_history.c, by its exit status, and that its JSON is JSON.
set -u
program=$1
histories=$2
failed=0

# expect STATUS ARGUMENT...
expect() {
    status=$1
    shift
    "$program" check "$@" >/dev/null 2>&1
    got=$?
    if [ "$got" -eq "$status" ]; then
        echo "ok - check $*"
    else
        echo "not ok - check $*: exit status $got, not $status"
        failed=1
    fi
}

expect 0 "$histories/own-fields"
expect 0 "$histories/edn-strings"
expect 0 "$histories/empty" --json
expect 1 "$histories/stale-read"
expect 1 --json "$histories/stale-read"
expect 2 "$histories/completes-nothing"
expect 2 "$histories/there-is-no-such-file"
expect 64
expect 64 "$histories/stale-read" --no-such-option

if "$program" check --json "$histories/stale-read" | python3 -m json.tool >/dev/null; then
    echo "ok - the JSON is JSON"
else
    echo "not ok - the JSON is none"
    failed=1
fi
exit $failed
