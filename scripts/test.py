#!/usr/bin/env python3
"""Everything that a change must pass, for `make test` and `make test-long`.

Builds with gcc and runs all tests and checks, builds with clang, and runs the tests again under
AddressSanitizer and UBSan. --long adds the long tests, a fresh seed with more rounds for property
tests, the tests of the clang build, clang-tidy, and a minute of fuzzing for each target.

The closing line sums what ran: the tests inside a program that speaks TAP, and any other meson
test as one. A build that fails, or a program that ends before it reported, counts as one failure.
"""

import json
import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LONG_SCALE = 20
LONG_COMMANDS = [
    (["ninja", "-C", "build-clang", "clang-tidy"], "clang-tidy finds something"),
    (["scripts/fuzz.sh", "60"], "a fuzz target crashes"),
]

SIMULATOR = "cli/sim/novacron-sim"
HASH_LINE = re.compile(r"^\d+ [0-9a-f]{16}$", re.MULTILINE)
TAP_LINE = re.compile(r"^(not )?ok\b[^#\n]*(#\s*skip)?", re.IGNORECASE | re.MULTILINE)
TAP_PLAN = re.compile(r"^1\.\.(\d+)$", re.MULTILINE)


def count_program(record):
    """(passed, failed, skipped) of one meson test, from its record in testlog.json."""
    output, result = record.get("stdout", ""), record["result"]
    passed = failed = skipped = 0
    for line in TAP_LINE.finditer(output):
        if line.group(2):
            skipped += 1
        elif line.group(1):
            failed += 1
        else:
            passed += 1
    planned = sum(int(plan) for plan in TAP_PLAN.findall(output))
    if planned == 0 and passed + failed + skipped == 0:
        passed, skipped = int(result == "OK"), int(result == "SKIP")
    missing = planned > passed + failed + skipped
    if (missing or result not in ("OK", "SKIP")) and failed == 0:
        failed = 1
    return passed, failed, skipped


def run_meson_tests(folder, long):
    command = ["meson", "test", "-C", folder, "--no-rebuild", "--print-errorlogs"]
    log_name = "testlog"
    if long:
        command += ["--setup", "long"]
        log_name += "-long"
    log = ROOT / folder / "meson-logs" / f"{log_name}.json"
    log.unlink(missing_ok=True)
    code = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL).returncode
    records = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    totals = [sum(column) for column in zip(*map(count_program, records))] or [0, 0, 0]
    if (code != 0 and totals[1] == 0) or not records:
        totals[1] += 1
    return totals


def build(folder, *targets):
    return subprocess.run(["scripts/configure.sh", folder, *targets], cwd=ROOT).returncode == 0


def seeds_differ():
    """Whether a seed's history depends on the compiler or how it optimises; None: it does not."""
    hashes = {}
    for folder in ("build", "build-clang", "build-debug", "build-release"):
        if not build(folder, SIMULATOR):
            return f"{folder}/{SIMULATOR} does not build"
        run = [f"{folder}/{SIMULATOR}", "run", "--seeds", "1..20", "--hashes", "--twice"]
        output = subprocess.run(run, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        hashes[folder] = sorted(HASH_LINE.findall(output.stdout.decode()))
    for folder, found in hashes.items():
        if len(found) != 20 or found != hashes["build"]:
            return f"seeds of {folder}/{SIMULATOR} have other histories than those of build"
    return None


def main():
    long = sys.argv[1:] == ["--long"]
    if long:
        os.environ.setdefault("NOVACRON_SEED", str(secrets.randbits(63)))
        os.environ.setdefault("NOVACRON_SCALE", str(LONG_SCALE))
    os.environ.setdefault("ASAN_OPTIONS", "detect_stack_use_after_return=1:strict_string_checks=1")
    os.environ.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")

    totals = [0, 0, 0]
    broken = []
    for folder, runs_tests in (("build", True), ("build-clang", long), ("build-asan", True)):
        print(f"== {folder}", flush=True)
        if not build(folder):
            broken.append(f"{folder} does not build")
        elif runs_tests:
            results = run_meson_tests(folder, long)
            totals = [a + b for a, b in zip(totals, results)]
            if results[1]:
                broken.append(f"{results[1]} of {folder}'s tests fail")
        else:
            totals[0] += 1
    print("== one seed, one history: gcc -O2 and -O3, clang -O2 and -O0", flush=True)
    difference = seeds_differ()
    if difference:
        broken.append(difference)
    else:
        totals[0] += 1
    if long:
        for command, failure in LONG_COMMANDS:
            if subprocess.run(command, cwd=ROOT).returncode != 0:
                broken.append(failure)

    for what in broken:
        print(f"FAILED: {what}")
    failed = max(totals[1], len(broken))
    closing = f"{totals[0]} passed, {failed} failed"
    print(closing + (f", {totals[2]} skipped" if totals[2] else ""), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
