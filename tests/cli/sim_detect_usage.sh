#!/bin/sh
# sim_detect_usage.sh PROGRAM: what `novacron-sim detect` refuses, by its exit status.
set -u
program=$1
failed=0
empty=$(mktemp -d)
trap 'rm -rf "$empty"' EXIT

# refuses STATUS ARGUMENT...
refuses() {
    status=$1
    shift
    "$program" detect "$@" >/dev/null 2>&1
    got=$?
    if [ "$got" -eq "$status" ]; then
        echo "ok - detect $*"
    else
        echo "not ok - detect $*: exit status $got, not $status"
        failed=1
    fi
}

refuses 64
refuses 64 there-is-no-such-experiment
refuses 64 p9 --seeds 0
refuses 64 p9 --jobs many
refuses 2 p9 --quick --latency /there/is/no/such/directory
refuses 2 p9 --quick --latency "$empty"
refuses 2 p9 --quick --csv /there/is/no/such/directory/p9.csv
exit $failed
