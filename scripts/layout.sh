#!/bin/sh
# layout.sh [-i]: lists the C files that are not laid out as .clang-format has it, or, with -i, lays
# them out.
set -eu
cd "$(dirname "$0")/.."

all_c_files() {
    git ls-files -z --cached --others --exclude-standard '*.c' '*.h'
}

if [ "${1:-}" = -i ]; then
    all_c_files | xargs -0 clang-format -i
else
    all_c_files | xargs -0 -n 1 sh -c '
        clang-format "$0" | cmp -s - "$0" || { echo "$0: run make format"; exit 1; }'
fi
