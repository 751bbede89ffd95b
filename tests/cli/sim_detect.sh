#!/bin/sh
# sim_detect.sh PROGRAM EXPERIMENT FIGURE...: that `novacron-sim detect EXPERIMENT --quick` gives the
# same output however many processes share the work, names every FIGURE, and writes its tables and,
# where the experiment draws any, its curves.
set -u
program=$1
experiment=$2
shift 2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0

# check WHAT COMMAND...
check() {
    what=$1
    shift
    if "$@"; then
        echo "ok - $experiment: $what"
    else
        echo "not ok - $experiment: $what"
        failed=1
    fi
}

"$program" detect "$experiment" --quick --jobs 1 --csv "$dir/a.csv" --svg "$dir/a.svg" >"$dir/a"
check "runs" [ $? -eq 0 ]
"$program" detect "$experiment" --quick --jobs 3 --csv "$dir/b.csv" --svg "$dir/b.svg" >"$dir/b"
check "runs again" [ $? -eq 0 ]
check "the same figures" cmp -s "$dir/a" "$dir/b"
check "the same tables" cmp -s "$dir/a.csv" "$dir/b.csv"
check "the same curves" cmp -s "$dir/a.svg" "$dir/b.svg"
check "tables are written" [ -s "$dir/a.csv" ]
for figure; do
    check "figure $figure" grep -q "^$figure: [-0-9.e+]* " "$dir/a"
done
if [ -s "$dir/a.svg" ]; then
    check "the curves are XML" python3 -c "
import sys, xml.dom.minidom
xml.dom.minidom.parse(sys.argv[1])" "$dir/a.svg"
fi
exit $failed
