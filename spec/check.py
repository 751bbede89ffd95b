#!/usr/bin/env python3
"""Runs the models of this folder through spin, and says whether each verdict is the expected one.

    spec/check.py [--long] [--build FOLDER] [MODEL ...]

A run is a model with flags. One that should hold must be searched to its end without an error: a
search that was cut short, by depth, memory or time, is no verdict. One that should be refuted must end in a
counterexample, which is left as a trail, and replayed with `spin -t` (the command is printed by --trails).
Ends with 77 where spin is not installed.
"""

import argparse
import re
import resource
import shutil
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

from runs import HOLDS, LONG, QUICK

ROOT = Path(__file__).resolve().parent
MEMORY_MB = 1000
MEMORY_LONG_MB = 3000
SECONDS_MAX = 120
SECONDS_LONG_MAX = 1800
SKIPPED = 77

Verdict = namedtuple("Verdict", "text states seconds why")


def build(run, folder, memory_mb, is_long):
    """Model to C to program. Hash compaction where a run asks for it; else every state is kept whole."""
    flags = run.flags.split()
    subprocess.run(
        ["spin", "-a", *flags, str(ROOT / f"{run.model}.pml")],
        cwd=folder, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    # One process at a time acts, so there is no partial order to exploit.
    kept = "-DHC4" if run.compact else "-DCOLLAPSE"
    # A counterexample is found sooner than an optimised search is compiled.
    level = "-O2" if is_long else "-O1" if run.expected == HOLDS else "-O0"
    subprocess.run(
        ["gcc", level, "-w", "-DSAFETY", "-DNOREDUCE", f"-DMEMLIM={memory_mb}", kept, "-o", "pan", "pan.c"],
        cwd=folder, check=True,
    )


def search(folder, seconds_max):
    def limit():
        resource.setrlimit(resource.RLIMIT_CPU, (seconds_max, seconds_max + 5))

    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run(
        ["./pan", "-m1000000"], cwd=folder, preexec_fn=limit, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False,
    )
    return done.stdout, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def judge(output, seconds):
    """What the search says. Only a finished one says that a model holds."""
    errors = re.search(r"errors: (\d+)", output)
    states = re.search(r"(?m)^ *([\d.e+]+) states, stored", output)
    count = int(float(states[1])) if states else 0
    if errors is None:
        return Verdict("none", count, seconds, "no result: out of time, or it did not run")
    if int(errors[1]) > 0:
        why = re.search(r"pan:1: (.*)", output)
        return Verdict("refuted", count, seconds, why[1] if why else "")
    for cut_short in ("max search depth too small", "Search not completed", "reached -DMEMLIM", "out of memory"):
        if cut_short in output:
            return Verdict("none", count, seconds, cut_short)
    return Verdict("holds", count, seconds, "")


def main():
    parser = argparse.ArgumentParser(description="Checks the models of spec/ with spin.")
    parser.add_argument("--long", action="store_true", help="the large configurations as well")
    parser.add_argument("--build", default=str(ROOT.parent / "build" / "spec"), help="where to work")
    parser.add_argument("--trails", action="store_true", help="print how to replay each counterexample")
    parser.add_argument("models", nargs="*", help="only these models")
    args = parser.parse_args()
    if shutil.which("spin") is None:
        print("spec: spin is not installed; nothing was checked")
        return SKIPPED
    runs = [r for r in QUICK + (LONG if args.long else []) if not args.models or r.model in args.models]
    print(f"{'model':10} {'flags':58} {'expected':9} {'verdict':9} {'states':>10} {'CPU s':>7}", flush=True)
    wrong, began = 0, time.process_time()
    for number, run in enumerate(runs):
        folder = Path(args.build, f"{run.model}-{number}")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        is_long = run in LONG
        build(run, folder, MEMORY_LONG_MB if is_long else MEMORY_MB, is_long)
        verdict = judge(*search(folder, SECONDS_LONG_MAX if is_long else SECONDS_MAX))
        is_wrong = verdict.text != run.expected
        mark = "  <- UNEXPECTED: " + verdict.why if is_wrong else f"  {run.note}" if run.note else ""
        wrong += is_wrong
        compact = " (hash compaction)" if run.compact else ""
        print(f"{run.model:10} {run.flags + compact:58} {run.expected:9} {verdict.text:9} "
              f"{verdict.states:10} {verdict.seconds:7.1f}{mark}", flush=True)
        if args.trails and verdict.text == "refuted":
            print(f"           cd {folder} && spin -t -T {run.flags} {ROOT / run.model}.pml")
        if verdict.text != "refuted":
            shutil.rmtree(folder, ignore_errors=True)
    total = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{len(runs)} runs, {wrong} unexpected, {total.ru_utime + total.ru_stime:.0f} s of CPU")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
